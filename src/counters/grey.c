/* grey: the greylist. This file alone knows when a message may pass: a triplet that came back after
 * the delay and within the window, or a network of which enough have. */
#include "counters/grey.h"

#include <string.h>

static uint64_t key_of(struct bytes text) {
    uint64_t h = bytes_hash(text);
    return h ? h : 1;
}

static void put_network(struct buf *b, struct addr client) {
    client = addr_fold(client);
    addr_format(b, addr_masked(client, client.family == 6 ? 64 : 24));
}

static struct grey_row *find(struct grey_table *t, uint64_t bucket, uint64_t key) {
    for (size_t i = 0; i < GREY_DEPTH; i++) {
        struct grey_row *row = &t->rows[bucket * GREY_DEPTH + i];
        if (row->key == key)
            return row;
    }
    return NULL;
}

/* Free before waiting before passed; of the same kind the one that was used longest ago. */
static bool is_worse(const struct grey_row *a, const struct grey_row *b) {
    if (!a->key || !b->key)
        return !a->key && b->key;
    if (!a->passed != !b->passed)
        return !a->passed;
    return a->last < b->last;
}

static struct grey_row *make(struct grey_table *t, uint64_t bucket, uint64_t key, int64_t now) {
    struct grey_row *worst = &t->rows[bucket * GREY_DEPTH];
    for (size_t i = 1; i < GREY_DEPTH; i++)
        if (is_worse(&t->rows[bucket * GREY_DEPTH + i], worst))
            worst = &t->rows[bucket * GREY_DEPTH + i];
    *worst = (struct grey_row){ .first = now, .last = now };
    worst->key = key; /* last: a worker may be killed at any instruction */
    t->used[bucket / 64] |= UINT64_C(1) << bucket % 64;
    return worst;
}

static struct grey_row *get(struct grey_table *t, uint64_t bucket, uint64_t key, int64_t now) {
    struct grey_row *row = find(t, bucket, key);
    return row ? row : make(t, bucket, key, now);
}

/* A clock that was set back makes nothing older than it is. */
static bool is_over(const struct grey_row *row, const struct counters_grey *g, int64_t now) {
    return row->passed ? now - row->last > g->lifetime : now - row->first > g->delay + g->window;
}

static int64_t pass(struct grey_table *t, uint64_t bucket, uint64_t network, struct grey_row *row,
                    int64_t now) {
    bool first = row->passed == 0;
    row->passed += row->passed < UINT32_MAX;
    row->last = now;
    if (!first)
        return now;
    struct grey_row *all = get(t, bucket, network, now);
    all->passed++;
    all->last = now;
    return now;
}

int64_t grey_look(struct grey_table *t, const struct counters_grey *g, int64_t now) {
    char memory[700];
    struct buf b = buf_fixed(memory, sizeof memory);
    put_network(&b, g->client);
    uint64_t network = key_of(buf_bytes(&b)), bucket = network % GREY_BUCKETS;
    struct grey_row *all = find(t, bucket, network);
    if (all && g->trust && all->passed >= g->trust && !is_over(all, g, now)) {
        all->last = now;
        return now;
    }
    buf_char(&b, '\n');
    buf_lower(&b, bytes_first(g->sender, 300));
    buf_char(&b, '\n');
    buf_lower(&b, bytes_first(g->recipient, 300));
    uint64_t key = key_of(buf_bytes(&b));
    struct grey_row *row = get(t, bucket, key, now);
    if (is_over(row, g, now) || row->first > now)
        *row = (struct grey_row){ .key = key, .first = now, .last = now };
    if (row->passed || now - row->first >= g->delay)
        return pass(t, bucket, network, row, now);
    row->last = now;
    return row->first + g->delay;
}

/* --- kept over a restart ----------------------------------------------------------------------- */

void grey_save(const struct grey_table *t, char kind, struct buf *out) {
    for (size_t i = 0; i < GREY_ROWS; i++) {
        size_t bucket = i / GREY_DEPTH;
        if (!(t->used[bucket / 64] >> bucket % 64 & 1) || !t->rows[i].key)
            continue;
        buf_char(out, kind);
        buf_le32(out, (uint32_t)bucket);
        buf_le64(out, t->rows[i].key);
        buf_le64(out, (uint64_t)t->rows[i].first);
        buf_le64(out, (uint64_t)t->rows[i].last);
        buf_le32(out, t->rows[i].passed);
    }
}

void grey_load(struct grey_table *t, struct scan *s, int64_t wall_ms) {
    uint32_t bucket = scan_le32(s);
    struct grey_row row = { .key = scan_le64(s) };
    row.first = (int64_t)scan_le64(s);
    row.last = (int64_t)scan_le64(s);
    row.passed = scan_le32(s);
    if (s->bad || !row.key || bucket >= GREY_BUCKETS || row.first < 0 || row.last < row.first ||
        row.last > wall_ms)
        return;
    *get(t, bucket, row.key, wall_ms) = row;
}
