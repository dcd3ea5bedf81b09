/* pop: the table of POP windows. This file alone knows where a row lies: an address has one bucket,
 * whose rows it shares with the addresses that fall there too. A full bucket gives up its oldest
 * row; so does a login that has come from too many addresses, whose own oldest goes. */
#include "counters/pop.h"

#include <stdlib.h>
#include <string.h>

static uint32_t fold(uint64_t hash) {
    uint32_t key = (uint32_t)(hash ^ hash >> 32);
    return key ? key : 1;
}

static uint32_t address_key(struct addr client) {
    return fold(bytes_hash(bytes_of((const char *)client.ip, client.family == 4 ? 4 : 16)));
}

static uint32_t login_key(struct bytes login) {
    return fold(bytes_hash(login));
}

static struct bytes login_of(const struct pop_row *row) {
    return bytes_of(row->login, row->login_len);
}

static uint32_t bucket_of(uint32_t key) {
    return key % POP_BUCKETS * COUNTERS_POP_LOGINS;
}

static struct addr exact(struct addr client) {
    client = addr_fold(client);
    client.port = 0;
    return client;
}

static void free_row(struct pop_table *t, uint32_t i) {
    t->keys[i] = 0;
    t->logins[i] = 0;
}

/* The row of this pair, else a free one of the bucket, else the bucket's oldest. */
static uint32_t place_for(const struct pop_table *t, struct addr client, struct bytes login) {
    uint32_t key = address_key(client), who = login_key(login), first = bucket_of(key);
    uint32_t place = first;
    for (uint32_t i = first; i < first + COUNTERS_POP_LOGINS; i++) {
        const struct pop_row *row = &t->rows[i];
        if (t->keys[i] == key && t->logins[i] == who && addr_equal(row->client, client) &&
            bytes_equal(login_of(row), login))
            return i;
        if (t->keys[place] && (!t->keys[i] || row->at < t->rows[place].at))
            place = i;
    }
    return place;
}

/* Nobody fills the table with the addresses of one login. */
static void bound_login(struct pop_table *t, uint32_t who) {
    uint32_t count = 0, oldest = 0;
    for (uint32_t i = 0; i < POP_ROWS; i++) {
        if (t->logins[i] != who || !t->keys[i])
            continue;
        if (!count++ || t->rows[i].at < t->rows[oldest].at)
            oldest = i;
    }
    if (count > COUNTERS_POP_ADDRESSES)
        free_row(t, oldest);
}

void pop_open(struct pop_table *t, struct addr client, struct bytes login, int64_t now) {
    client = exact(client);
    if (!login.len || login.len > COUNTERS_LOGIN || (client.family != 4 && client.family != 6))
        return;
    uint32_t i = place_for(t, client, login);
    struct pop_row *row = &t->rows[i];
    free_row(t, i);
    row->client = client;
    row->at = now;
    row->login_len = (uint8_t)login.len;
    memcpy(row->login, login.at, login.len);
    t->logins[i] = login_key(login);
    t->keys[i] = address_key(client);
    bound_login(t, t->logins[i]);
}

static bool is_meant(const struct pop_table *t, uint32_t i, struct bytes login,
                     struct addr client) {
    const struct pop_row *row = &t->rows[i];
    return t->keys[i] && (!login.len || bytes_equal(login_of(row), login)) &&
           (!client.family || addr_equal(row->client, client));
}

size_t pop_close(struct pop_table *t, struct bytes login, struct addr client) {
    size_t count = 0;
    client = exact(client);
    for (uint32_t i = 0; i < POP_ROWS; i++)
        if (is_meant(t, i, login, client)) {
            free_row(t, i);
            count++;
        }
    return count;
}

static struct counters_popped copy_row(const struct pop_row *row, struct arena *a) {
    return (struct counters_popped){ arena_copy(a, login_of(row)), row->client, row->at };
}

static int newest_first(const void *left, const void *right) {
    const struct counters_popped *a = left, *b = right;
    if (a->at != b->at)
        return a->at > b->at ? -1 : 1;
    return bytes_compare(a->login, b->login);
}

size_t pop_find(const struct pop_table *t, struct addr client, int64_t since, struct arena *a,
                struct counters_popped **out) {
    client = exact(client);
    uint32_t key = address_key(client), first = bucket_of(key);
    size_t count = 0;
    *out = NULL;
    for (uint32_t i = first; i < first + COUNTERS_POP_LOGINS; i++) {
        const struct pop_row *row = &t->rows[i];
        if (t->keys[i] != key || row->at < since || !addr_equal(row->client, client))
            continue;
        if (!count)
            *out = ARENA_ARRAY(a, COUNTERS_POP_LOGINS, struct counters_popped);
        (*out)[count++] = copy_row(row, a);
    }
    if (count > 1)
        qsort(*out, count, sizeof **out, newest_first);
    return count;
}

bool pop_next(const struct pop_table *t, uint32_t *cursor, struct arena *a,
              struct counters_popped *out) {
    while (*cursor < POP_ROWS) {
        uint32_t i = (*cursor)++;
        if (!t->keys[i])
            continue;
        *out = copy_row(&t->rows[i], a);
        return true;
    }
    return false;
}

bool pop_save_row(const struct pop_table *t, uint32_t i, struct buf *out) {
    const struct pop_row *row = &t->rows[i];
    if (!t->keys[i])
        return false;
    buf_char(out, (char)row->client.family);
    buf_add(out, bytes_of((const char *)row->client.ip, sizeof row->client.ip));
    buf_le32(out, row->client.scope);
    buf_le64(out, (uint64_t)row->at);
    buf_lbytes(out, login_of(row));
    return true;
}

/* A login that has not happened yet by this clock is none. */
void pop_load_row(struct pop_table *t, struct scan *s, int64_t wall_ms) {
    struct addr client = { .family = (uint8_t)scan_char(s) };
    struct bytes ip = scan_take(s, sizeof client.ip);
    client.scope = scan_le32(s);
    int64_t at = (int64_t)scan_le64(s);
    struct bytes login = scan_lbytes(s);
    if (s->bad || at > wall_ms)
        return;
    memcpy(client.ip, ip.at, sizeof client.ip);
    pop_open(t, client, login, at);
}
