/* index: what is known in memory of every waiting message, some 150 octets for one recipient: where
 * its record is, how far each recipient is, and when which next hop is due. No I/O; it does not
 * know how anything is written. */
#ifndef SPOOL_INDEX_H
#define SPOOL_INDEX_H

#include "base/map.h"
#include "flow/settlement.h"
#include "flow/store.h"
#include "spool/pool.h"
#include "spool/tree.h"

struct segment;
struct object;

/* One recipient. */
struct seat {
    int64_t next;
    uint32_t hop;
    uint32_t note_segment; /* number of the segment with its last note, and where; 0: none */
    uint32_t note_offset;
    uint16_t attempts;
    uint8_t state;
    bool warned;
};

enum message_flag {
    MESSAGE_BIG = 1,   /* has a file of its own */
    MESSAGE_QUIET = 2, /* read from disk, but newer segments may know more: not shown yet */
};

struct message {
    uint64_t sequence;
    int64_t arrived;
    uint64_t size;
    struct segment *segment;
    uint32_t offset, length; /* of the record */
    union {
        struct seat one;
        struct seat *many;
    } seats;
    uint32_t count;
    uint32_t open;    /* recipients not final; 0: finished, until that is on disk */
    uint32_t pending; /* notes on their way to the disk */
    uint32_t due;     /* the first of its dues */
    struct object *object;
    struct links links;
    uint16_t lane;
    uint8_t flags;
};

/* One message's recipients with one next hop that wait. */
struct due {
    int64_t at;
    uint64_t order;
    uint32_t hop, message, next, count;
    struct links all, by_hop;
};

struct hop {
    struct bytes name; /* owned */
    uint32_t users;
    uint32_t dues;  /* root of its tree */
    uint32_t round; /* scratch of index_recount */
    uint32_t count;
    int64_t at;
};

struct index {
    struct pool messages, dues, hops;
    struct map *hop_names;
    uint32_t by_sequence, by_due; /* roots */
    uint64_t order;
    uint32_t round;
    uint64_t shown, recipients, octets; /* messages shown, of them: recipients not final, octets */
    uint64_t by_state[RECIPIENT_STATES];
};

void index_init(struct index *x);
void index_free(struct index *x);

/* Numbers of messages; 0 is none. The new message has no recipients yet and is not in any tree but
 * that of sequences. */
uint32_t index_add(struct index *x, uint16_t lane, uint64_t sequence);
uint32_t index_find(struct index *x, uint16_t lane, uint64_t sequence);
/* The next in order of lane and sequence; lane 0, sequence 0 to begin with. */
uint32_t index_after(struct index *x, uint16_t lane, uint64_t sequence);
void index_remove(struct index *x, uint32_t n);
static inline struct message *index_at(const struct index *x, uint32_t n) {
    return pool_at(&x->messages, n);
}
static inline struct seat *message_seats(struct message *m) {
    return m->count == 1 ? &m->seats.one : m->seats.many;
}
/* Gives it `count` recipients, DUE at `arrived`, without next hop. */
void index_seat(struct index *x, struct message *m, uint32_t count);
void index_set_hop(struct index *x, struct seat *s, struct bytes name);
void index_set_state(struct index *x, struct message *m, struct seat *s,
                     enum recipient_state state);
struct bytes index_hop(const struct index *x, uint32_t hop);
/* Counts it in and lets its dues be found. */
void index_show(struct index *x, uint32_t n);
/* Brings its dues into line with its recipients. */
void index_recount(struct index *x, uint32_t n);

/* Dues in order of time; hop empty: all. 0 at the end. */
uint32_t index_due_after(struct index *x, struct bytes hop, const struct store_cursor *cursor);
static inline struct due *index_due(const struct index *x, uint32_t n) {
    return pool_at(&x->dues, n);
}

#endif
