/* index: pools of messages, dues and next hops, and three orders over them: messages by lane and
 * sequence, dues by time, and dues of one next hop by time. Next hops are kept once, however many
 * messages go there. */
#include "spool/index.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

/* --- the orders ----------------------------------------------------------------------------- */

struct name { /* of a message */
    uint64_t sequence;
    uint16_t lane;
};

static struct links *message_links(void *pool, uint32_t n) {
    struct message *m = pool_at(pool, n);
    return &m->links;
}

static int compare_name(const struct name *a, uint16_t lane, uint64_t sequence) {
    if (a->lane != lane)
        return a->lane < lane ? -1 : 1;
    return a->sequence == sequence ? 0 : a->sequence < sequence ? -1 : 1;
}

static int message_compare(void *pool, const void *key, uint32_t n) {
    const struct message *m = pool_at(pool, n);
    return compare_name(key, m->lane, m->sequence);
}

static const void *message_key(void *pool, uint32_t n) {
    static _Thread_local struct name name;
    const struct message *m = pool_at(pool, n);
    name = (struct name){ .sequence = m->sequence, .lane = m->lane };
    return &name;
}

static struct links *due_links(void *pool, uint32_t n) {
    struct due *d = pool_at(pool, n);
    return &d->all;
}

static struct links *hop_links(void *pool, uint32_t n) {
    struct due *d = pool_at(pool, n);
    return &d->by_hop;
}

static int compare_due(int64_t at, uint64_t order, const struct due *d) {
    if (at != d->at)
        return at < d->at ? -1 : 1;
    return order == d->order ? 0 : order < d->order ? -1 : 1;
}

static int due_compare(void *pool, const void *key, uint32_t n) {
    const struct store_cursor *c = key;
    return compare_due(c->due, c->order, pool_at(pool, n));
}

static const void *due_key(void *pool, uint32_t n) {
    static _Thread_local struct store_cursor key;
    const struct due *d = pool_at(pool, n);
    key = (struct store_cursor){ .due = d->at, .order = d->order };
    return &key;
}

static const struct tree_kind by_sequence = { message_links, message_compare, message_key };
static const struct tree_kind by_due = { due_links, due_compare, due_key };
static const struct tree_kind by_hop = { hop_links, due_compare, due_key };

/* --- messages ------------------------------------------------------------------------------- */

void index_init(struct index *x) {
    *x = (struct index){ .hop_names = map_open() };
    pool_init(&x->messages, sizeof(struct message));
    pool_init(&x->dues, sizeof(struct due));
    pool_init(&x->hops, sizeof(struct hop));
}

void index_free(struct index *x) {
    uint32_t n;
    while ((n = index_after(x, 0, 0)))
        index_remove(x, n);
    pool_free(&x->messages);
    pool_free(&x->dues);
    pool_free(&x->hops);
    map_close(&x->hop_names);
}

uint32_t index_add(struct index *x, uint16_t lane, uint64_t sequence) {
    uint32_t n = pool_take(&x->messages);
    struct message *m = index_at(x, n);
    m->lane = lane;
    m->sequence = sequence;
    tree_put(&by_sequence, &x->messages, &x->by_sequence, n);
    return n;
}

uint32_t index_find(struct index *x, uint16_t lane, uint64_t sequence) {
    struct name key = { .sequence = sequence, .lane = lane };
    return tree_find(&by_sequence, &x->messages, x->by_sequence, &key);
}

uint32_t index_after(struct index *x, uint16_t lane, uint64_t sequence) {
    struct name key = { .sequence = sequence, .lane = lane };
    return tree_after(&by_sequence, &x->messages, x->by_sequence, &key);
}

/* --- next hops ------------------------------------------------------------------------------ */

static struct hop *hop_at(const struct index *x, uint32_t n) {
    return pool_at(&x->hops, n);
}

static uint32_t hop_take(struct index *x, struct bytes name) {
    uint32_t n = (uint32_t)(uintptr_t)map_find(x->hop_names, name);
    if (!n) {
        n = pool_take(&x->hops);
        char *copy = malloc(name.len + 1);
        MUST(copy);
        if (name.len)
            memcpy(copy, name.at, name.len);
        hop_at(x, n)->name = bytes_of(copy, name.len);
        map_put(x->hop_names, name, (void *)(uintptr_t)n);
    }
    hop_at(x, n)->users++;
    return n;
}

static void hop_give(struct index *x, uint32_t n) {
    struct hop *h = n ? hop_at(x, n) : NULL;
    if (!h || --h->users)
        return;
    MUST(!h->dues);
    map_remove(x->hop_names, h->name);
    free((char *)(uintptr_t)h->name.at);
    pool_give(&x->hops, n);
}

struct bytes index_hop(const struct index *x, uint32_t hop) {
    return hop ? hop_at(x, hop)->name : BYTES_NONE;
}

void index_set_hop(struct index *x, struct seat *s, struct bytes name) {
    if (s->hop && bytes_equal(index_hop(x, s->hop), name))
        return;
    uint32_t before = s->hop;
    s->hop = hop_take(x, name);
    hop_give(x, before);
}

/* --- recipients ----------------------------------------------------------------------------- */

void index_seat(struct index *x, struct message *m, uint32_t count) {
    (void)x;
    MUST(m->count == 0);
    m->count = m->open = count;
    if (count != 1) {
        m->seats.many = calloc(count ? count : 1, sizeof *m->seats.many);
        MUST(m->seats.many);
    }
    struct seat *s = message_seats(m);
    for (uint32_t i = 0; i < count; i++)
        s[i] = (struct seat){ .next = m->arrived, .state = RECIPIENT_DUE };
}

static bool counted(const struct message *m) {
    return !(m->flags & MESSAGE_QUIET) && m->open > 0;
}

static void count_message(struct index *x, struct message *m, bool in) {
    uint64_t one = in ? 1 : (uint64_t)-1;
    const struct seat *s = message_seats(m);
    x->shown += one;
    x->recipients += one * m->open;
    x->octets += one * m->size;
    for (uint32_t i = 0; i < m->count; i++)
        x->by_state[s[i].state] += one;
}

void index_set_state(struct index *x, struct message *m, struct seat *s,
                     enum recipient_state state) {
    bool was_counted = counted(m);
    bool was = recipient_state_final((enum recipient_state)s->state);
    bool is = recipient_state_final(state);
    if (was_counted && is && !was && m->open == 1)
        count_message(x, m, false);
    m->open -= is && !was;
    m->open += was && !is;
    if (was_counted && counted(m)) {
        x->by_state[s->state]--;
        x->by_state[state]++;
        x->recipients -= is && !was;
        x->recipients += was && !is;
    }
    s->state = (uint8_t)state;
}

/* --- dues ----------------------------------------------------------------------------------- */

static void due_link(struct index *x, uint32_t n, int64_t at) {
    struct due *d = index_due(x, n);
    d->at = at;
    d->order = ++x->order;
    tree_put(&by_due, &x->dues, &x->by_due, n);
    tree_put(&by_hop, &x->dues, &hop_at(x, d->hop)->dues, n);
}

static void due_unlink(struct index *x, uint32_t n) {
    tree_remove(&by_due, &x->dues, &x->by_due, n);
    tree_remove(&by_hop, &x->dues, &hop_at(x, index_due(x, n)->hop)->dues, n);
}

static void due_add(struct index *x, uint32_t message, uint32_t hop) {
    struct hop *h = hop_at(x, hop);
    uint32_t n = pool_take(&x->dues);
    struct due *d = index_due(x, n);
    *d = (struct due){ .hop = hop, .message = message, .count = h->count };
    d->next = index_at(x, message)->due;
    index_at(x, message)->due = n;
    h->users++;
    due_link(x, n, h->at);
}

static void due_drop(struct index *x, uint32_t n) {
    due_unlink(x, n);
    hop_give(x, index_due(x, n)->hop);
    pool_give(&x->dues, n);
}

static bool waits(const struct seat *s) {
    return s->state == RECIPIENT_DUE || s->state == RECIPIENT_DEFERRED;
}

/* Notes with each next hop how many of m's recipients wait for it, and since when. */
static void survey(struct index *x, struct message *m) {
    const struct seat *s = message_seats(m);
    x->round++;
    for (uint32_t i = 0; i < m->count; i++) {
        if (!waits(&s[i]))
            continue;
        struct hop *h = hop_at(x, s[i].hop);
        if (h->round != x->round) {
            h->round = x->round;
            h->count = 0;
            h->at = INT64_MAX;
        }
        h->count++;
        if (s[i].next < h->at)
            h->at = s[i].next;
    }
}

void index_recount(struct index *x, uint32_t n) {
    struct message *m = index_at(x, n);
    const struct seat *s = message_seats(m);
    survey(x, m);
    for (uint32_t *at = &m->due; *at;) {
        uint32_t own = *at;
        struct due *d = index_due(x, own);
        struct hop *h = hop_at(x, d->hop);
        if (h->round != x->round) {
            *at = d->next;
            due_drop(x, own);
            continue;
        }
        d->count = h->count;
        if (d->at != h->at) {
            due_unlink(x, own);
            due_link(x, own, h->at);
        }
        h->round = 0; /* done */
        at = &d->next;
    }
    for (uint32_t i = 0; i < m->count; i++)
        if (waits(&s[i]) && hop_at(x, s[i].hop)->round == x->round) {
            due_add(x, n, s[i].hop);
            hop_at(x, s[i].hop)->round = 0;
        }
}

uint32_t index_due_after(struct index *x, struct bytes hop, const struct store_cursor *cursor) {
    if (!hop.len)
        return tree_after(&by_due, &x->dues, x->by_due, cursor);
    uint32_t n = (uint32_t)(uintptr_t)map_find(x->hop_names, hop);
    return n ? tree_after(&by_hop, &x->dues, hop_at(x, n)->dues, cursor) : 0;
}

/* --- coming and going ----------------------------------------------------------------------- */

void index_show(struct index *x, uint32_t n) {
    struct message *m = index_at(x, n);
    m->flags &= (uint8_t)~MESSAGE_QUIET;
    if (m->open > 0)
        count_message(x, m, true);
    index_recount(x, n);
}

void index_remove(struct index *x, uint32_t n) {
    struct message *m = index_at(x, n);
    if (counted(m))
        count_message(x, m, false);
    while (m->due) {
        uint32_t d = m->due;
        m->due = index_due(x, d)->next;
        due_drop(x, d);
    }
    struct seat *s = message_seats(m);
    for (uint32_t i = 0; i < m->count; i++)
        hop_give(x, s[i].hop);
    if (m->count != 1 && m->seats.many)
        free(m->seats.many);
    tree_remove(&by_sequence, &x->messages, &x->by_sequence, n);
    pool_give(&x->messages, n);
}
