/* pop: the windows of POP before SMTP within the shared table; the caller holds its lock. Only
 * counters.c includes it.
 *
 * A worker may be killed at any instruction: a row counts once its key is set, which is done last,
 * and no row leads to another. */
#ifndef COUNTERS_POP_H
#define COUNTERS_POP_H

#include "base/scan.h"
#include "counters/counters.h"

enum { POP_BUCKETS = 128, POP_ROWS = POP_BUCKETS * COUNTERS_POP_LOGINS };

struct pop_row {
    struct addr client;
    uint8_t login_len;
    int64_t at; /* wall ms of the last login */
    char login[COUNTERS_LOGIN];
};

struct pop_table {
    uint32_t keys[POP_ROWS];   /* of the address; 0: free */
    uint32_t logins[POP_ROWS]; /* of the login */
    struct pop_row rows[POP_ROWS];
};

void pop_open(struct pop_table *t, struct addr client, struct bytes login, int64_t now);
size_t pop_close(struct pop_table *t, struct bytes login, struct addr client);
size_t pop_find(const struct pop_table *t, struct addr client, int64_t since, struct arena *a,
                struct counters_popped **out);
bool pop_next(const struct pop_table *t, uint32_t *cursor, struct arena *a,
              struct counters_popped *out);
/* One row as it is saved; false: free. */
bool pop_save_row(const struct pop_table *t, uint32_t row, struct buf *out);
void pop_load_row(struct pop_table *t, struct scan *s, int64_t wall_ms);

#endif
