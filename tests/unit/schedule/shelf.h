/* A store in memory, as flow/store.h promises one, for tests of schedule: messages by number, each
 * load, due page and settlement as the spool would answer it, with the faults a test asks for. */
#ifndef TESTS_SCHEDULE_SHELF_H
#define TESTS_SCHEDULE_SHELF_H

#include "base/list.h"
#include "base/must.h"
#include "flow/store.h"
#include "sys/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shelf_message {
    struct store_message base;
    struct message_id id;
    struct envelope envelope;
    struct recipient *to;
    struct store_recipient *states;
    bool gone, unreadable;
};

struct shelf {
    struct store base;
    struct loop *loop;
    struct arena *arena;
    struct shelf_message **list;
    size_t count, room, held; /* held: loaded and not released */
    size_t loads;
    void (*on_news)(void *ctx, const struct store_due *due);
    void *news_ctx;
    struct store_due *sorted; /* scratch of due */
};

/* --- messages --------------------------------------------------------------------------------- */

/* One message of `count` recipients for one next hop. News comes when `told`. */
static inline struct shelf_message *shelf_add(struct shelf *s, const char *next_hop, size_t count,
                                              bool told) {
    struct arena *a = s->arena;
    struct shelf_message *m = ARENA_NEW(a, struct shelf_message);
    m->base.store = &s->base;
    snprintf(m->id.text, sizeof m->id.text, "m%zu", s->count);
    m->to = ARENA_ARRAY(a, count, struct recipient);
    m->states = ARENA_ARRAY(a, count, struct store_recipient);
    m->envelope = (struct envelope){ .sender = B("anna@proseware.com"),
                                     .arrived = loop_wall(s->loop),
                                     .count = count,
                                     .recipients = m->to };
    struct bytes hop = arena_copy(a, bytes_str(next_hop));
    for (size_t i = 0; i < count; i++) {
        m->to[i].original = m->to[i].final = arena_printf(a, "r%zu@example.com", i);
        m->to[i].next_hop = m->states[i].next_hop = hop;
        m->states[i].next = m->envelope.arrived;
    }
    if (s->count == s->room) {
        s->room = s->room ? 2 * s->room : 64;
        s->list = realloc(s->list, s->room * sizeof(*s->list));
        s->sorted = realloc(s->sorted, s->room * sizeof(*s->sorted));
        MUST(s->list && s->sorted);
    }
    s->list[s->count++] = m;
    if (told && s->on_news)
        s->on_news(s->news_ctx,
                   &(struct store_due){ m->id, hop, m->envelope.arrived, (uint32_t)count, 10 });
    return m;
}

static inline struct shelf_message *shelf_find(struct shelf *s, struct message_id id) {
    size_t n = (size_t)strtoul(id.text + 1, NULL, 10);
    return n < s->count ? s->list[n] : NULL;
}

/* --- the store's functions ---------------------------------------------------------------------- */

struct shelf_load {
    struct timer timer;
    struct shelf *shelf;
    struct message_id id;
    void (*on_loaded)(void *ctx, enum rc rc, struct store_message *m, const struct why *why);
    void *ctx;
};

static inline void shelf_loaded(void *ctx) {
    struct shelf_load l = *(struct shelf_load *)ctx;
    free(ctx);
    struct shelf_message *m = shelf_find(l.shelf, l.id);
    struct why why;
    if (m && m->unreadable) {
        l.on_loaded(l.ctx, why_backend(&why, "backend.spool", "the disk says no"), NULL, &why);
    } else if (!m || m->gone) {
        l.on_loaded(l.ctx, OK, NULL, NULL);
    } else {
        l.shelf->held++;
        l.on_loaded(l.ctx, OK, &m->base, NULL);
    }
}

static inline void shelf_load(struct store *store, struct message_id id,
                              void (*on_loaded)(void *ctx, enum rc rc, struct store_message *m,
                                                const struct why *why),
                              void *ctx) {
    struct shelf *s = (struct shelf *)(void *)store;
    struct shelf_load *l = calloc(1, sizeof(*l));
    MUST(l);
    s->loads++;
    l->shelf = s;
    l->id = id;
    l->on_loaded = on_loaded;
    l->ctx = ctx;
    timer_set(s->loop, &l->timer, 0, shelf_loaded, l);
}

static inline struct message_id shelf_id(const struct store_message *m) {
    return ((const struct shelf_message *)(const void *)m)->id;
}
static inline const struct envelope *shelf_envelope(const struct store_message *m) {
    return &((const struct shelf_message *)(const void *)m)->envelope;
}
static inline const struct store_recipient *shelf_recipients(const struct store_message *m) {
    return ((const struct shelf_message *)(const void *)m)->states;
}
static inline struct content shelf_content(struct store_message *m) {
    (void)m;
    return (struct content){ .size = 5, .memory = B("hello") };
}
static inline void shelf_release(struct store_message **m) {
    struct shelf *s = (struct shelf *)(void *)(*m)->store;
    s->held--;
    *m = NULL;
}

struct shelf_settled {
    struct timer timer;
    void (*on_settled)(void *ctx, enum rc rc);
    void *ctx;
};

static inline void shelf_written(void *ctx) {
    struct shelf_settled c = *(struct shelf_settled *)ctx;
    free(ctx);
    c.on_settled(c.ctx, OK);
}

static inline void shelf_settle(struct store *store, const struct settlement *list, size_t count,
                                void (*on_settled)(void *ctx, enum rc rc), void *ctx) {
    struct shelf *s = (struct shelf *)(void *)store;
    for (size_t i = 0; i < count; i++) {
        struct shelf_message *m = shelf_find(s, list[i].id);
        struct store_recipient *r = &m->states[list[i].recipient];
        r->state = list[i].state;
        r->attempts = list[i].attempts;
        r->next = list[i].next;
        r->warned = list[i].warned;
        r->reply = arena_copy(s->arena, list[i].reply);
        if (list[i].next_hop.len)
            r->next_hop = arena_copy(s->arena, list[i].next_hop);
        m->gone = true;
        for (size_t j = 0; j < m->envelope.count; j++)
            if (!recipient_state_final(m->states[j].state))
                m->gone = false;
    }
    if (!on_settled)
        return;
    struct shelf_settled *c = calloc(1, sizeof(*c));
    MUST(c);
    c->on_settled = on_settled;
    c->ctx = ctx;
    timer_set(s->loop, &c->timer, 0, shelf_written, c);
}

static inline bool shelf_is_due(const struct store_recipient *r, struct bytes hop) {
    return (r->state == RECIPIENT_DUE || r->state == RECIPIENT_DEFERRED) &&
           (!hop.len || bytes_equal(hop, r->next_hop));
}

static inline int shelf_order(const void *a, const void *b) {
    const struct store_due *x = a, *y = b;
    if (x->due != y->due)
        return x->due < y->due ? -1 : 1;
    return x->size < y->size ? -1 : x->size > y->size;
}

/* One entry a message here: the messages of these tests have one next hop at a time. The order of
 * equal dues is that of arrival, kept in `size`. */
static inline size_t shelf_due(struct store *store, struct bytes hop, int64_t until,
                               struct store_cursor *cursor, struct store_due *page, size_t limit,
                               int64_t *earliest) {
    struct shelf *s = (struct shelf *)(void *)store;
    size_t found = 0, given = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct shelf_message *m = s->list[i];
        struct store_due d = { m->id, BYTES_NONE, INT64_MAX, 0, i + 1 };
        for (size_t j = 0; j < m->envelope.count && !m->gone; j++) {
            const struct store_recipient *r = &m->states[j];
            if (!shelf_is_due(r, hop))
                continue;
            d.count++;
            d.next_hop = r->next_hop;
            d.due = r->next < d.due ? r->next : d.due;
        }
        if (d.count && (d.due > cursor->due || (d.due == cursor->due && d.size > cursor->order)))
            s->sorted[found++] = d;
    }
    if (found)
        qsort(s->sorted, found, sizeof(*s->sorted), shelf_order);
    while (given < found && given < limit && s->sorted[given].due <= until) {
        page[given] = s->sorted[given];
        cursor->due = page[given].due;
        cursor->order = page[given].size;
        given++;
    }
    *earliest = given < found ? s->sorted[given].due : INT64_MAX;
    return given;
}

static inline void shelf_on_news(struct store *store,
                                 void (*on_news)(void *ctx, const struct store_due *due),
                                 void *ctx) {
    struct shelf *s = (struct shelf *)(void *)store;
    s->on_news = on_news;
    s->news_ctx = ctx;
}

static const struct store_ops shelf_ops = {
    .load = shelf_load,
    .message_id = shelf_id,
    .message_envelope = shelf_envelope,
    .message_recipients = shelf_recipients,
    .message_content = shelf_content,
    .message_release = shelf_release,
    .settle = shelf_settle,
    .due = shelf_due,
    .on_news = shelf_on_news,
};

static inline void shelf_open(struct shelf *s, struct loop *loop) {
    *s = (struct shelf){ .base.ops = &shelf_ops, .loop = loop, .arena = arena_open() };
}

static inline void shelf_close(struct shelf *s) {
    MUST(!s->held);
    free(s->list);
    free(s->sorted);
    arena_close(&s->arena);
}

#endif
