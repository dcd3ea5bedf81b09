/* failures: two tables of counts. This file alone knows how fast the price of a guess grows. */
#include "keeper/failures.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/must.h"

#include <stdlib.h>

enum {
    WINDOW_MS = 15 * 60 * 1000,     /* without a failure: forgotten */
    KNOWN_MS = 24 * 60 * 60 * 1000, /* a pair that logged in */
    DELAY_FIRST_MS = 1000,          /* then doubled */
    DELAY_MAX_MS = 15000,
    PAIR_FREE = 2,
    PAIR_CLOSE = 5, /* of one login from one address */
    CLIENT_FREE = 10,
    CLIENT_CLOSE = 20, /* of any logins from one address */
    ROWS_MAX = 20000,
};

struct row {
    struct list_node node; /* the longest untouched first */
    unsigned count;
    int64_t last;
    int64_t known_until;
    size_t len;
    char key[];
};

struct failures {
    struct map *rows;
    struct list ages;
};

struct failures *failures_open(void) {
    struct failures *f = calloc(1, sizeof *f);
    MUST(f);
    f->rows = map_open();
    list_init(&f->ages);
    return f;
}

static void drop(struct failures *f, struct row *r) {
    map_remove(f->rows, bytes_of(r->key, r->len));
    list_remove(&f->ages, &r->node);
    free(r);
}

void failures_close(struct failures **f) {
    struct list_node *n;
    if (!*f)
        return;
    while ((n = list_first(&(*f)->ages)))
        drop(*f, CONTAINER_OF(n, struct row, node));
    map_close(&(*f)->rows);
    free(*f);
    *f = NULL;
}

size_t failures_count(const struct failures *f) {
    return map_count(f->rows);
}

static struct row *add(struct failures *f, struct bytes key) {
    if (map_count(f->rows) >= ROWS_MAX)
        drop(f, CONTAINER_OF(list_first(&f->ages), struct row, node));
    struct row *r = calloc(1, sizeof *r + key.len);
    MUST(r);
    r->len = key.len;
    for (size_t i = 0; i < key.len; i++)
        r->key[i] = key.at[i];
    list_append(&f->ages, &r->node);
    map_put(f->rows, key, r);
    return r;
}

/* The row of a client (login empty) or of a pair; NULL without `make` when there is none. */
static struct row *row_of(struct failures *f, struct addr client, struct bytes login, bool make,
                          int64_t now) {
    char memory[400];
    struct buf key = buf_fixed(memory, sizeof memory);
    struct addr masked = addr_masked(client, client.family == 6 ? 64 : 32);
    buf_char(&key, (char)masked.family);
    buf_add(&key, bytes_of(masked.ip, sizeof masked.ip));
    buf_add(&key, bytes_first(login, 320));
    struct row *r = map_find(f->rows, buf_bytes(&key));
    if (!r && make)
        r = add(f, buf_bytes(&key));
    if (!r)
        return NULL;
    list_remove(&f->ages, &r->node);
    list_append(&f->ages, &r->node);
    if (now - r->last > WINDOW_MS)
        r->count = 0;
    return r;
}

static int64_t delay_of(unsigned count, unsigned free_of_charge) {
    int64_t delay = DELAY_FIRST_MS;
    if (count <= free_of_charge)
        return 0;
    for (unsigned i = free_of_charge + 1; i < count && delay < DELAY_MAX_MS; i++)
        delay *= 2;
    return delay < DELAY_MAX_MS ? delay : DELAY_MAX_MS;
}

static unsigned count_up(struct row *r, int64_t now) {
    r->last = now;
    if (r->count < 1000)
        r->count++;
    return r->count;
}

struct penalty failures_wrong(struct failures *f, struct addr client, struct bytes login,
                              int64_t now) {
    unsigned all = count_up(row_of(f, client, BYTES_NONE, true, now), now);
    unsigned own = login.len ? count_up(row_of(f, client, login, true, now), now) : 0;
    int64_t by_client = delay_of(all, CLIENT_FREE), by_pair = delay_of(own, PAIR_FREE);
    return (struct penalty){
        .delay_ms = by_client > by_pair ? by_client : by_pair,
        .close = all >= CLIENT_CLOSE || own >= PAIR_CLOSE,
    };
}

int64_t failures_right(struct failures *f, struct addr client, struct bytes login, int64_t now) {
    struct row *all = row_of(f, client, BYTES_NONE, false, now);
    unsigned count = all ? all->count : 0;
    struct row *own = row_of(f, client, login, true, now);
    bool known = now < own->known_until;
    own->count = 0;
    own->known_until = now + KNOWN_MS;
    return known ? 0 : delay_of(count, CLIENT_FREE);
}
