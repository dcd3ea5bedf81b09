/* store: where accepted mail lives until each recipient is settled, as its users see it: accept
 * puts messages in, schedule takes them up and settles them, operators look and steer. spool/
 * implements it on a segment log; a shared store on PostgreSQL will implement the same table (at
 * the end).
 *
 * Asynchronous throughout. Promise 2 lives here: on_committed(OK) comes only after the sync that
 * covers the record has returned. Callbacks come from the loop, never before the call that asks for
 * them has returned. rc is OK or TEMP (queue.full 452 4.3.1 when there is no room; backend.spool
 * 451 4.3.0 when the store failed). */
#ifndef FLOW_STORE_H
#define FLOW_STORE_H

#include "flow/envelope.h"
#include "flow/job.h"
#include "flow/message_id.h"
#include "flow/settlement.h"

struct store;

/* --- taking a message in -------------------------------------------------------------------- */
struct store_draft;
/* Content gathers in memory up to 128 KiB, then goes to disk as it comes. `size` is what is
 * expected, 0 unknown. NULL when the queue is full (why: 452 4.3.1 queue.full) or no lane is leased
 * (451). */
struct store_draft *store_begin(struct store *s, uint64_t size, struct why *why);
/* Takes a copy. False: too much waits to be written; go on when on_room is called. */
bool store_append(struct store_draft *d, struct bytes data);
void store_on_room(struct store_draft *d, void (*on_room)(void *ctx), void *ctx);
/* The id it will have; stable from store_begin on. */
struct message_id store_draft_id(const struct store_draft *d);
uint64_t store_draft_size(const struct store_draft *d);
/* `prefix` goes in front of the content (Return-Path is not stored; Received and completed header
 * fields are). Copies both. All recipients become DUE at envelope.arrived. *d becomes NULL. */
void store_commit(struct store_draft **d, struct bytes prefix, const struct envelope *envelope,
                  void (*on_committed)(void *ctx, enum rc rc, struct message_id id,
                                       const struct why *why),
                  void *ctx);
void store_abort(struct store_draft **d);
/* True below min_free: MAIL is answered 452 (facts.queue_full). Refreshed once a second. */
bool store_full(struct store *s);

/* --- a message in memory -------------------------------------------------------------------- */
/* Held by reference; content may be in memory (fresh, small) or on disk. */
struct store_message;
struct store_recipient { /* parallel to envelope.recipients */
    enum recipient_state state;
    uint32_t attempts;
    int64_t next;
    bool warned;
    struct bytes next_hop; /* the latest */
    struct bytes reply;
};
/* Loads envelope and states; NULL and OK when the id is not (or no longer) here. Fresh messages
 * come from memory. Release each with store_message_release. */
void store_load(struct store *s, struct message_id id,
                void (*on_loaded)(void *ctx, enum rc rc, struct store_message *m,
                                  const struct why *why),
                void *ctx);
struct message_id store_message_id(const struct store_message *m);
const struct envelope *store_message_envelope(const struct store_message *m);
const struct store_recipient *store_message_recipients(const struct store_message *m);
struct content store_message_content(struct store_message *m); /* valid while m is held */
void store_message_release(struct store_message **m);

/* --- what happens to it --------------------------------------------------------------------- */
/* Writes the batch with the next sync, at most 100 ms later, and calls back when it is on disk
 * (TEMP: it is not, though memory already shows it: a restart may try again what was done).
 * on_settled may be NULL. When the last recipient is final the message is gone. */
void store_settle(struct store *s, const struct settlement *list, size_t count,
                  void (*on_settled)(void *ctx, enum rc rc), void *ctx);

/* --- what is due ---------------------------------------------------------------------------- */
/* One entry a message and next hop. */
struct store_due {
    struct message_id id;
    struct bytes next_hop;
    int64_t due;    /* the earliest of its recipients with this next hop */
    uint32_t count; /* recipients */
    uint64_t size;
};
/* The page of what is DUE or DEFERRED with due <= until, oldest due first, after the cursor
 * (zeroed to begin); next_hop empty: all. What fits in `limit`. *earliest_out: when the next after
 * this page is due, INT64_MAX if nothing is. Synchronous from the index in memory (which keeps 64
 * octets or less a waiting message). */
struct store_cursor {
    int64_t due;
    uint64_t order;
};
size_t store_due(struct store *s, struct bytes next_hop, int64_t until, struct store_cursor *cursor,
                 struct store_due *page, size_t limit, int64_t *earliest_out);
/* Told for every message that becomes due newly: committed here, released, recovered. */
void store_on_news(struct store *s, void (*on_news)(void *ctx, const struct store_due *due),
                   void *ctx);

/* --- operators ------------------------------------------------------------------------------ */
struct store_filter { /* empty fields match all; all given must hold */
    struct bytes id, sender, recipient, domain /* of a recipient */, next_hop;
    int64_t older_than; /* arrived before this wall ms; 0 any */
    int64_t newer_than;
    uint32_t states; /* bits 1 << recipient_state; 0 all not final */
};
/* Visits messages in order of arrival within a lane, from the cursor (empty to begin), at most
 * `limit` matches or a millisecond of work; then on_page: `more` says whether to go on from
 * *next. Each message is held during on_message only. */
struct store_scan_events {
    void (*on_message)(void *ctx, struct store_message *m);
    void (*on_page)(void *ctx, enum rc rc, struct bytes next, bool more);
};
void store_scan(struct store *s, const struct store_filter *filter, struct bytes cursor,
                size_t limit, const struct store_scan_events *events, void *ctx);

struct store_stats {
    uint64_t messages, recipients, octets; /* waiting */
    uint64_t by_state[RECIPIENT_STATES];
    uint64_t segments, segment_octets;
    uint64_t syncs, committed; /* since the start */
    int64_t oldest;            /* arrived, wall ms; 0 none */
};
void store_stats(const struct store *s, struct store_stats *out);

/* --- for implementations --- */
/* An implementation's store, draft and message begin with these (as their first member). The table
 * has one function for each above, with the same contract. */
struct store {
    const struct store_ops *ops;
};
struct store_draft {
    struct store *store;
};
struct store_message {
    struct store *store;
};
struct store_ops {
    struct store_draft *(*begin)(struct store *s, uint64_t size, struct why *why);
    bool (*append)(struct store_draft *d, struct bytes data);
    void (*on_room)(struct store_draft *d, void (*on_room)(void *ctx), void *ctx);
    struct message_id (*draft_id)(const struct store_draft *d);
    uint64_t (*draft_size)(const struct store_draft *d);
    void (*commit)(struct store_draft **d, struct bytes prefix, const struct envelope *envelope,
                   void (*on_committed)(void *ctx, enum rc rc, struct message_id id,
                                        const struct why *why),
                   void *ctx);
    void (*abort)(struct store_draft **d);
    bool (*full)(struct store *s);
    void (*load)(struct store *s, struct message_id id,
                 void (*on_loaded)(void *ctx, enum rc rc, struct store_message *m,
                                   const struct why *why),
                 void *ctx);
    struct message_id (*message_id)(const struct store_message *m);
    const struct envelope *(*message_envelope)(const struct store_message *m);
    const struct store_recipient *(*message_recipients)(const struct store_message *m);
    struct content (*message_content)(struct store_message *m);
    void (*message_release)(struct store_message **m);
    void (*settle)(struct store *s, const struct settlement *list, size_t count,
                   void (*on_settled)(void *ctx, enum rc rc), void *ctx);
    size_t (*due)(struct store *s, struct bytes next_hop, int64_t until,
                  struct store_cursor *cursor, struct store_due *page, size_t limit,
                  int64_t *earliest_out);
    void (*on_news)(struct store *s, void (*on_news)(void *ctx, const struct store_due *due),
                    void *ctx);
    void (*scan)(struct store *s, const struct store_filter *filter, struct bytes cursor,
                 size_t limit, const struct store_scan_events *events, void *ctx);
    void (*stats)(const struct store *s, struct store_stats *out);
};

#endif
