/* parts: the structs that the files of spool/ share. Nobody else includes this.
 *
 * One loop thread owns everything here. What a worker's thread touches is in the job it was given,
 * and a segment's file handle, which stays open while somebody reads (segment.readers). */
#ifndef SPOOL_PARTS_H
#define SPOOL_PARTS_H

#include "base/list.h"
#include "spool/format.h"
#include "spool/index.h"
#include "spool/sites.h"
#include "spool/spool.h"
#include "spool/worker.h"

enum {
    DRAFT_MEMORY = 128 * 1024,  /* content beyond goes to a file of its own */
    DRAFT_HEADROOM = 1024,      /* in front of content, for the prefix */
    DRAFT_WAITING = 512 * 1024, /* octets not yet written that stop a draft */
    FRESH_MEMORY = 8 << 20,     /* of fresh messages kept: seconds of them, where mail flows */
    FRESH_AGE_MS = 30 * 1000,   /* an old one gives way when that is used up */
    BATCH_OCTETS = 4 << 20,     /* one write and sync */
    GATHER_MS = 4,
    SETTLE_WAIT_MS = 100, /* what settlements wait for company */
    PAUSE_MS = 1000,      /* after a disk failed */
    SPACE_AGE_MS = 1000,
    SEQUENCE_BITS = 24,       /* of a sequence below the segment's number */
    SEQUENCES_ROLL = 1 << 23, /* ids of one segment after which the next is begun */
    PATH_SIZE = 48,
};

struct lane;

struct segment {
    struct list_node node; /* in lane->segments, by number */
    struct lane *lane;
    uint32_t number;
    int file;
    uint64_t salt;
    uint32_t end; /* of what is known to be on disk */
    bool sealed;  /* nothing will be added */
    bool abandoned;
    bool damaged;    /* is kept under another name instead of deleted */
    bool unreadable; /* its head is gone */
    bool deleting;
    bool stuck; /* could not be emptied; not tried again */
    int64_t sealed_at;
    uint32_t live; /* messages whose record is here */
    uint64_t live_octets;
    uint32_t notes;   /* recipients whose last note is here */
    uint32_t readers; /* jobs and messages in hand that may read it */
    /* Segments that must outlive this one: they say what became of messages recorded here. */
    struct segment **needs;
    size_t needs_count, needs_cap;
    uint32_t needed_by;
    struct buf entries; /* of the index to come, while it is written */
};

/* One record on its way to the log. Embedded in its owner. */
struct piece {
    struct list_node node;
    struct buf front;  /* head and meta */
    struct bytes body; /* the owner's */
    struct record record;
    bool patient;            /* may wait for company */
    bool lasting;            /* goes to the next segment when one fails */
    bool failed;             /* has told so once */
    struct segment *segment; /* where it is, for done */
    /* OK: on disk. TEMP: not; a lasting piece is kept and comes again. */
    void (*done)(struct piece *p, enum rc rc, const struct why *why);
};

enum lane_state { LANE_LEASING, LANE_READING, LANE_READY, LANE_RELEASING, LANE_RELEASED };

struct lane {
    struct list_node node;
    struct spool *spool;
    uint16_t number;
    enum lane_state state;
    struct spool_lane_events events;
    void *ctx;
    int lock;
    struct worker *writer;
    struct list segments;
    struct segment *active; /* NULL after a failure, until the next batch */
    bool active_synced;     /* since it is the active one */
    uint32_t next_segment;
    uint32_t first_own; /* segments from here on were begun by this process */
    uint32_t id_segment, id_next;
    struct trim *trims; /* of abandoned segments that may be on disk */
    size_t trims_count;

    struct list queue;   /* of pieces */
    struct batch *batch; /* under way */
    struct buf flat;     /* its small parts */
    struct timer turn, patience, pause, upkeep;
    size_t waiting;  /* messages in the queue */
    size_t expected; /* that came together lately */
    int64_t paused_until;
    bool upkeep_slow; /* the next look is not urgent */
    bool keep_all;    /* what was read may not be on disk: nothing is deleted */
    unsigned jobs;    /* of other kinds, under way */
    bool has_reserve, reserving;

    struct recovery *recovery; /* while reading */
    struct evacuation *evacuation;
    void (*on_released)(void *ctx);
    void *released_ctx;
};

struct spool {
    struct store store; /* first */
    struct loop *loop;
    struct spool_setup setup;
    struct disk *disk;
    struct worker *reader; /* reads */
    struct worker *bulk;   /* big messages' files */
    struct list lanes;
    struct lane *turn_lane; /* the one that took the last message */
    struct index index;
    struct list fresh; /* objects kept for their first attempt */
    uint64_t fresh_octets;
    struct list later; /* answers of the next turn */
    struct timer later_turn;
    struct timer space_turn;
    bool full, poor, closing;
    int64_t space_read_at;
    struct space_job *space;
    void (*on_news)(void *ctx, const struct store_due *due);
    void *news_ctx;
    uint64_t syncs, committed;
};

/* A message in memory: what store.h calls store_message. */
struct object {
    struct store_message message; /* first */
    struct list_node fresh;
    uint32_t refs;
    uint32_t n; /* in the index; 0 when it is finished */
    struct lane *lane;
    uint64_t sequence;
    struct message_id id;
    struct arena *arena;
    const struct envelope *envelope;
    struct store_recipient *recipients; /* replies are malloc'ed */
    uint64_t size;
    int64_t since;
    /* Content: what the record holds, and for a big one the file. */
    char *memory; /* malloc'ed, body is in it; NULL: on disk */
    size_t cap;   /* what it takes in all, while it is kept fresh */
    struct bytes body;
    struct segment *segment; /* held; NULL when content is in memory */
    struct record record;
    bool big;
    bool unlink_big; /* when it is let go */
    int big_file;    /* -1: not open */
    uint64_t big_salt;
};

/* --- spool.c -------------------------------------------------------------------------------- */
struct message_id id_format(const struct lane *lane, uint64_t sequence);
/* The lane and sequence of an id of this node; NULL for others. */
struct lane *id_parse(struct spool *s, struct bytes id, uint64_t *sequence_out);
/* Calls run(ctx) in the next turn. */
void spool_later(struct spool *s, void (*run)(void *ctx), void *ctx);
void spool_check_space(struct spool *s);
void spool_tell_news(struct spool *s, uint32_t message);
bool spool_is_full(struct store *store);

/* --- segment.c ------------------------------------------------------------------------------ */
void segment_path(char out[PATH_SIZE], uint16_t lane, uint32_t number);
void big_path(char out[PATH_SIZE], uint16_t lane, uint64_t sequence);
struct segment *segment_add(struct lane *lane, uint32_t number, int file, uint64_t salt);
struct segment *segment_find(const struct lane *lane, uint32_t number);
/* `from` may only be deleted before `to`. */
void segment_need(struct segment *from, struct segment *to);
void segment_free(struct segment *s); /* closes nothing */
/* Counts a message's record and notes in or out. */
void segment_put(struct segment *s, const struct message *m);
void segment_drop(struct segment *s, const struct message *m);
void segment_note(struct lane *lane, struct seat *seat, struct segment *to, uint32_t offset);
void lane_trim(struct lane *lane, uint32_t number, uint32_t end);

/* --- log.c ---------------------------------------------------------------------------------- */
/* The record's kind, flags and sequence are set, meta is behind RECORD_HEAD octets in front. */
void piece_init(struct piece *p, enum record_kind kind, uint64_t sequence);
/* False when it is too large for a record. */
bool piece_close(struct piece *p, struct bytes body);
void log_put(struct lane *lane, struct piece *p);
void log_kick(struct lane *lane); /* now, with all that waits */
/* A segment's first octets: its head, and how far abandoned segments are valid. */
struct buf log_opening(const struct file_head *h, const struct trim *trims, size_t count);
/* Calls each() for the records not yet on disk, in their order. */
void log_each(const struct lane *lane, void (*each)(void *ctx, const struct piece *p), void *ctx);
bool log_idle(const struct lane *lane);
/* Soon begins a new segment, for its number. */
void log_roll(struct lane *lane);
/* Keeps room for settlements on a full disk, if it can. */
void log_keep_reserve(struct lane *lane);
bool reserve_make(struct disk *d, const char *path, uint64_t size);
/* Waits for what is under way and writes what waits, on this thread. */
void log_finish(struct lane *lane);
bool log_can_take(const struct lane *lane);

/* --- read.c: from a worker's thread ----------------------------------------------------------- */
struct damage {      /* what was found, a sentence a place */
    struct buf text; /* lines */
};
void damage_add(struct damage *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct segment_read {
    struct disk *disk;
    uint16_t lane;
    uint32_t number;
    int file;
    uint64_t salt;
    uint32_t limit; /* what is behind does not count; 0: all */
    /* out */
    struct buf entries;
    uint32_t end;
    uint32_t last_batch; /* where that begins; 0 when it is the first. Without an index */
    bool indexed;        /* had an index */
    bool damaged;
    int error;
    struct damage damage;
};
void segment_read(struct segment_read *r);
/* Makes sure that the last batch is on disk; 0 or -errno. */
int segment_secure(const struct segment_read *r);
/* Reads and checks one record's head and meta. 0, -errno, or -EBADMSG. */
int record_read(struct disk *d, int file, uint64_t salt, uint32_t offset, struct record *out,
                struct buf *meta);
int body_read(struct disk *d, int file, uint64_t salt, const struct record *r, char *into);

/* --- recover.c ------------------------------------------------------------------------------ */
void recover_begin(struct lane *lane, uint64_t *bigs, size_t count);
bool recover_abort(struct lane *lane); /* false: a job is under way, it will stop by itself */
/* A note that is on disk, or a finished message: for replay and for what is written. */
void apply_note(struct lane *lane, uint32_t n, const struct note *note);
void message_finished(struct lane *lane, uint32_t n);

/* --- evacuate.c ----------------------------------------------------------------------------- */
/* Deletes what nobody needs, and empties what is mostly waste. */
void upkeep(struct lane *lane);
bool evacuation_abort(struct lane *lane);

/* --- lane.c --------------------------------------------------------------------------------- */
void lane_check_release(struct lane *lane);
void lane_free(struct lane *lane);
void lane_damage(struct lane *lane, const struct damage *d);

/* --- draft.c, message.c, settle.c, browse.c: the calls of store.h ----------------------------- */
struct store_draft *draft_begin(struct store *s, uint64_t size, struct why *why);
bool draft_append(struct store_draft *d, struct bytes data);
void draft_on_room(struct store_draft *d, void (*on_room)(void *ctx), void *ctx);
struct message_id draft_id(const struct store_draft *d);
uint64_t draft_size(const struct store_draft *d);
void draft_commit(struct store_draft **d, struct bytes prefix, const struct envelope *envelope,
                  void (*on_committed)(void *ctx, enum rc rc, struct message_id id,
                                       const struct why *why),
                  void *ctx);
void draft_abort(struct store_draft **d);

void object_load(struct store *s, struct message_id id,
                 void (*on_loaded)(void *ctx, enum rc rc, struct store_message *m,
                                   const struct why *why),
                 void *ctx);
/* Of a message in the index; NULL and TEMP when it cannot be read. */
void object_get(struct spool *s, uint32_t n,
                void (*on_got)(void *ctx, enum rc rc, struct object *o, const struct why *why),
                void *ctx);
/* A new one with one reference; envelope is copied. */
struct object *object_new(struct lane *lane, uint64_t sequence, const struct envelope *e);
void object_put(struct object **o);
/* Shows the index's states in it. */
void object_refresh(struct object *o);
void object_set_reply(struct object *o, uint32_t recipient, struct bytes reply);
void object_keep_fresh(struct object *o);
void object_drop_fresh(struct object *o);
struct message_id object_id(const struct store_message *m);
const struct envelope *object_envelope(const struct store_message *m);
const struct store_recipient *object_recipients(const struct store_message *m);
struct content object_content(struct store_message *m);
void object_release(struct store_message **m);
/* Deletes a big message's file, once nobody reads it. */
void big_unlink(struct lane *lane, uint64_t sequence);

void settle(struct store *s, const struct settlement *list, size_t count,
            void (*on_settled)(void *ctx, enum rc rc), void *ctx);
size_t browse_due(struct store *s, struct bytes next_hop, int64_t until,
                  struct store_cursor *cursor, struct store_due *page, size_t limit,
                  int64_t *earliest_out);
void browse_on_news(struct store *s, void (*on_news)(void *ctx, const struct store_due *due),
                    void *ctx);
void browse_scan(struct store *s, const struct store_filter *filter, struct bytes cursor,
                 size_t limit, const struct store_scan_events *events, void *ctx);
void browse_stats(const struct store *s, struct store_stats *out);

#endif
