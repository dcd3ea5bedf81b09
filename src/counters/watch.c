/* watch: the tripwire's memory. Of each address it keeps which senders' domains and which names in
 * EHLO were seen lately, as hashes; this file alone says how many are too many. */
#include "counters/watch.h"

#include <string.h>

static uint32_t fold(uint64_t hash) {
    uint32_t key = (uint32_t)(hash ^ hash >> 32);
    return key ? key : 1;
}

static struct addr watched(struct addr client) {
    client = addr_fold(client);
    client.port = 0;
    return client.family == 6 ? addr_masked(client, 64) : client;
}

static uint32_t key_of(struct addr client) {
    return fold(bytes_hash(bytes_of((const char *)client.ip, sizeof client.ip)) + client.family);
}

static struct watch_row *find(const struct watch_table *t, struct addr client) {
    uint32_t key = key_of(client), first = key % WATCH_BUCKETS * WATCH_DEPTH;
    if (!(t->used >> key % WATCH_BUCKETS & 1))
        return NULL;
    for (uint32_t i = first; i < first + WATCH_DEPTH; i++)
        if (t->rows[i].key == key && addr_equal(t->rows[i].client, client))
            return (struct watch_row *)(uintptr_t)&t->rows[i];
    return NULL;
}

/* Who is suspended stays longest. */
static bool is_worse(const struct watch_row *a, const struct watch_row *b) {
    if (!a->key || !b->key)
        return !a->key && b->key;
    if (!a->suspended != !b->suspended)
        return !a->suspended;
    return a->last < b->last;
}

static struct watch_row *get(struct watch_table *t, struct addr client) {
    struct watch_row *row = find(t, client);
    uint32_t key = key_of(client), first = key % WATCH_BUCKETS * WATCH_DEPTH;
    if (row)
        return row;
    row = &t->rows[first];
    for (uint32_t i = first + 1; i < first + WATCH_DEPTH; i++)
        if (is_worse(&t->rows[i], row))
            row = &t->rows[i];
    t->count -= row->key && row->suspended;
    memset(row, 0, sizeof *row);
    row->client = client;
    row->key = key; /* last: a worker may be killed at any instruction */
    t->used |= UINT64_C(1) << key % WATCH_BUCKETS;
    return row;
}

/* --- sets ----------------------------------------------------------------------------------------- */

/* How many were seen within the window, this one included; the oldest gives way. */
static unsigned note(struct watch_set *set, struct bytes text, int64_t window, int64_t now) {
    uint32_t value = fold(bytes_hash(text));
    unsigned count = 0;
    size_t place = 0;
    bool known = false;
    for (size_t i = 0; i < WATCH_VALUES; i++) {
        bool live = set->seen[i] && now - set->seen[i] < window && set->seen[i] <= now;
        if (live && set->values[i] == value && text.len) {
            place = i;
            known = true;
        }
        count += live;
        if (!live)
            set->seen[i] = 0;
        if (!known && set->seen[i] < set->seen[place])
            place = i;
    }
    if (!text.len)
        return count;
    set->values[place] = value;
    set->seen[place] = now;
    return known || count == WATCH_VALUES ? count : count + 1;
}

/* "mx1.example.com" and "mx2.example.com" are machines of one owner. */
static struct bytes owner(struct bytes helo) {
    ptrdiff_t dot = bytes_find(helo, '.');
    struct bytes parent = bytes_skip(helo, (size_t)(dot + 1));
    struct addr literal;
    bool name = helo.len && helo.at[0] != '[' && !addr_parse(helo, &literal);
    return name && dot > 0 && bytes_find(parent, '.') > 0 ? parent : helo;
}

/* Many strangers, by more than one machine; or many machines, and strangers among them. */
static bool too_many(const struct counters_watch *w) {
    bool senders = w->senders_max && w->senders >= w->senders_max && w->helos >= 2;
    bool helos = w->helos_max && w->helos >= w->helos_max && w->senders * 4 >= w->senders_max &&
                 w->senders >= 2;
    return senders || helos;
}

bool watch_note(struct watch_table *t, struct counters_watch *w, int64_t now) {
    char sender[256], helo[256];
    struct buf s = buf_fixed(sender, sizeof sender), h = buf_fixed(helo, sizeof helo);
    struct watch_row *row = get(t, watched(w->client));
    buf_lower(&s, bytes_first(w->sender, 255));
    buf_lower(&h, bytes_first(owner(w->helo), 255));
    row->last = now;
    w->senders = note(&row->senders, buf_bytes(&s), w->window, now);
    w->helos = note(&row->helos, buf_bytes(&h), w->window, now);
    if (row->suspended || !too_many(w))
        return false;
    row->suspended = now;
    t->count++;
    return true;
}

/* --- who is suspended ------------------------------------------------------------------------------- */

int64_t watch_suspended(const struct watch_table *t, struct addr client) {
    const struct watch_row *row = t->count ? find(t, watched(client)) : NULL;
    return row ? row->suspended : 0;
}

/* What was seen is forgotten too: it would trip again at the next message. */
size_t watch_resume(struct watch_table *t, struct addr client) {
    size_t count = 0;
    for (uint32_t i = 0; i < WATCH_ROWS && t->count; i++) {
        struct watch_row *row = &t->rows[i];
        if (!(t->used >> i / WATCH_DEPTH & 1) || !row->key || !row->suspended ||
            (client.family && !addr_equal(row->client, watched(client))))
            continue;
        row->key = 0;
        row->suspended = 0;
        t->count--;
        count++;
    }
    return count;
}

bool watch_next(const struct watch_table *t, uint32_t *cursor, struct addr *client_out,
                int64_t *since_out) {
    while (t->count && *cursor < WATCH_ROWS) {
        uint32_t i = (*cursor)++;
        if (!(t->used >> i / WATCH_DEPTH & 1) || !t->rows[i].key || !t->rows[i].suspended)
            continue;
        *client_out = t->rows[i].client;
        *since_out = t->rows[i].suspended;
        return true;
    }
    return false;
}

void watch_save(const struct watch_table *t, char kind, struct buf *out) {
    struct addr client;
    int64_t since;
    uint32_t cursor = 0;
    while (watch_next(t, &cursor, &client, &since)) {
        buf_char(out, kind);
        buf_char(out, (char)client.family);
        buf_add(out, bytes_of((const char *)client.ip, sizeof client.ip));
        buf_le32(out, client.scope);
        buf_le64(out, (uint64_t)since);
    }
}

void watch_load(struct watch_table *t, struct scan *s, int64_t wall_ms) {
    struct addr client = { .family = (uint8_t)scan_char(s) };
    struct bytes ip = scan_take(s, sizeof client.ip);
    client.scope = scan_le32(s);
    int64_t since = (int64_t)scan_le64(s);
    if (s->bad || since <= 0 || (client.family != 4 && client.family != 6))
        return;
    memcpy(client.ip, ip.at, sizeof client.ip);
    struct watch_row *row = get(t, client);
    t->count += !row->suspended;
    row->suspended = since < wall_ms ? since : wall_ms;
    row->last = row->suspended;
}
