/* watch: who sends through grants by address alone, within the shared table; the caller holds its
 * lock. Only counters.c includes it. */
#ifndef COUNTERS_WATCH_H
#define COUNTERS_WATCH_H

#include "base/scan.h"
#include "counters/counters.h"

enum {
    WATCH_BUCKETS = 64,
    WATCH_DEPTH = 16,
    WATCH_ROWS = WATCH_BUCKETS * WATCH_DEPTH,
    WATCH_VALUES = COUNTERS_WATCHED_MAX,
};

struct watch_set {
    uint32_t values[WATCH_VALUES]; /* hashes */
    int64_t seen[WATCH_VALUES];    /* wall ms; 0: free */
};
struct watch_row {
    uint32_t key; /* 0: free */
    struct addr client;
    int64_t last;      /* wall ms */
    int64_t suspended; /* since when; 0: it is not */
    struct watch_set senders, helos;
};
struct watch_table {
    uint64_t used;  /* a bit a bucket */
    uint32_t count; /* of suspended rows */
    struct watch_row rows[WATCH_ROWS];
};

bool watch_note(struct watch_table *t, struct counters_watch *w, int64_t now);
int64_t watch_suspended(const struct watch_table *t, struct addr client);
size_t watch_resume(struct watch_table *t, struct addr client);
bool watch_next(const struct watch_table *t, uint32_t *cursor, struct addr *client_out,
                int64_t *since_out);
void watch_save(const struct watch_table *t, char kind, struct buf *out);
void watch_load(struct watch_table *t, struct scan *s, int64_t wall_ms);

#endif
