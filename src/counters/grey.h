/* grey: who has come before, within the shared table; the caller holds its lock. Only counters.c
 * includes it. A client's network has one bucket, so that a flood from one network pushes out its own
 * rows, and those that have come back go last. */
#ifndef COUNTERS_GREY_H
#define COUNTERS_GREY_H

#include "base/scan.h"
#include "counters/counters.h"

enum { GREY_BUCKETS = 2048, GREY_DEPTH = 64, GREY_ROWS = GREY_BUCKETS * GREY_DEPTH };

struct grey_row {
    uint64_t key; /* of client network, sender and recipient, or of the network alone; 0: free */
    int64_t first, last; /* wall ms */
    uint32_t passed;     /* times; of a network: triplets of it */
};
struct grey_table {
    uint64_t used[GREY_BUCKETS / 64]; /* a bit a bucket: others' pages are not touched by saving */
    struct grey_row rows[GREY_ROWS];
};

int64_t grey_look(struct grey_table *t, const struct counters_grey *g, int64_t now);
void grey_save(const struct grey_table *t, char kind, struct buf *out);
void grey_load(struct grey_table *t, struct scan *s, int64_t wall_ms);

#endif
