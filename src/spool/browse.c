/* browse: looking at what waits: by time for schedule, by filter for people, and in figures. */
#include "spool/parts.h"

#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOOKED_AT = 2000, LOADED = 64 /* a page, at most */ };

/* --- what is due -------------------------------------------------------------------------------- */

static void show_due(struct spool *s, const struct due *d, struct store_due *out) {
    const struct message *m = index_at(&s->index, d->message);
    *out = (struct store_due){
        .id = id_format(m->segment->lane, m->sequence),
        .next_hop = index_hop(&s->index, d->hop),
        .due = d->at,
        .count = d->count,
        .size = m->size,
    };
}

size_t browse_due(struct store *store, struct bytes next_hop, int64_t until,
                  struct store_cursor *cursor, struct store_due *page, size_t limit,
                  int64_t *earliest_out) {
    struct spool *s = (struct spool *)(void *)store;
    size_t count = 0;
    *earliest_out = INT64_MAX;
    uint32_t n;
    while ((n = index_due_after(&s->index, next_hop, cursor))) {
        const struct due *d = index_due(&s->index, n);
        if (d->at > until || count == limit) {
            *earliest_out = d->at;
            break;
        }
        show_due(s, d, &page[count++]);
        *cursor = (struct store_cursor){ .due = d->at, .order = d->order };
    }
    return count;
}

void browse_on_news(struct store *store, void (*on_news)(void *ctx, const struct store_due *due),
                    void *ctx) {
    struct spool *s = (struct spool *)(void *)store;
    s->on_news = on_news;
    s->news_ctx = ctx;
}

/* --- by filter ----------------------------------------------------------------------------------- */

struct scan_call {
    struct spool *spool;
    struct arena *arena;
    struct store_filter filter;
    struct store_scan_events events;
    void *ctx;
    size_t limit, loaded;
    uint16_t lane;
    uint64_t sequence; /* of the last one looked at */
};

static bool domain_is(struct bytes address, struct bytes domain) {
    ptrdiff_t at = bytes_find_last(address, '@');
    return at >= 0 && bytes_equal_nocase(bytes_skip(address, (size_t)at + 1), domain);
}

/* What the index can tell. */
static bool may_match(const struct scan_call *c, struct message *m) {
    const struct store_filter *f = &c->filter;
    const struct seat *seats = message_seats(m);
    if (m->open == 0 || m->flags & MESSAGE_QUIET ||
        (f->older_than && m->arrived >= f->older_than) ||
        (f->newer_than && m->arrived <= f->newer_than))
        return false;
    for (uint32_t i = 0; i < m->count; i++) {
        bool state = f->states ? f->states >> seats[i].state & 1
                               : !recipient_state_final((enum recipient_state)seats[i].state);
        if (state && (!f->next_hop.len ||
                      bytes_equal(index_hop(&c->spool->index, seats[i].hop), f->next_hop)))
            return true;
    }
    return false;
}

static bool matches(const struct scan_call *c, const struct object *o) {
    const struct store_filter *f = &c->filter;
    const struct envelope *e = o->envelope;
    if (f->sender.len && !bytes_equal_nocase(e->sender, f->sender))
        return false;
    if (!f->recipient.len && !f->domain.len)
        return true;
    for (size_t i = 0; i < e->count; i++) {
        const struct recipient *r = &e->recipients[i];
        bool recipient = !f->recipient.len || bytes_equal_nocase(r->original, f->recipient) ||
                         bytes_equal_nocase(r->final, f->recipient);
        bool domain =
            !f->domain.len || domain_is(r->original, f->domain) || domain_is(r->final, f->domain);
        if (recipient && domain)
            return true;
    }
    return false;
}

static void end_page(struct scan_call *c, enum rc rc, bool more) {
    char text[40];
    snprintf(text, sizeof text, "%x.%llx", c->lane, (unsigned long long)c->sequence);
    c->events.on_page(c->ctx, rc, more ? bytes_str(text) : BYTES_NONE, more);
    arena_close(&c->arena);
    free(c);
}

static void look_on(void *ctx);

static void on_object(void *ctx, enum rc rc, struct object *o, const struct why *why) {
    struct scan_call *c = ctx;
    (void)why; /* one that cannot be read has been reported as damage */
    if (rc == OK && o && matches(c, o)) {
        c->limit--;
        c->events.on_message(c->ctx, &o->message);
    }
    object_put(&o);
    look_on(c);
}

static void look_on(void *ctx) {
    struct scan_call *c = ctx;
    struct index *x = &c->spool->index;
    for (int i = 0; i < LOOKED_AT && c->limit && c->loaded < LOADED; i++) {
        uint32_t n = index_after(x, c->lane, c->sequence);
        if (!n) {
            end_page(c, OK, false);
            return;
        }
        struct message *m = index_at(x, n);
        c->lane = m->lane;
        c->sequence = m->sequence;
        if (!may_match(c, m))
            continue;
        c->loaded++;
        object_get(c->spool, n, on_object, c);
        return;
    }
    end_page(c, OK, true);
}

static void look_for_id(void *ctx) {
    struct scan_call *c = ctx;
    uint64_t sequence;
    struct lane *lane = id_parse(c->spool, c->filter.id, &sequence);
    uint32_t n = lane ? index_find(&c->spool->index, lane->number, sequence) : 0;
    if (!n || !may_match(c, index_at(&c->spool->index, n))) {
        end_page(c, OK, false);
        return;
    }
    /* What follows the last possible name is nothing. */
    c->lane = UINT16_MAX;
    c->sequence = UINT64_MAX;
    c->loaded++;
    object_get(c->spool, n, on_object, c);
}

static bool set_cursor(struct scan_call *c, struct bytes cursor) {
    char text[40];
    unsigned lane;
    unsigned long long sequence;
    if (!cursor.len)
        return true;
    if (cursor.len >= sizeof text)
        return false;
    snprintf(text, sizeof text, "%.*s", BYTES_FMT(cursor));
    if (sscanf(text, "%x.%llx", &lane, &sequence) != 2 || lane > UINT16_MAX)
        return false;
    c->lane = (uint16_t)lane;
    c->sequence = sequence;
    return true;
}

static void bad_cursor(void *ctx) {
    end_page(ctx, TEMP, false);
}

void browse_scan(struct store *store, const struct store_filter *filter, struct bytes cursor,
                 size_t limit, const struct store_scan_events *events, void *ctx) {
    struct scan_call *c = calloc(1, sizeof *c);
    MUST(c && limit > 0);
    c->spool = (struct spool *)(void *)store;
    c->arena = arena_open();
    c->filter = *filter;
    struct bytes *texts[] = { &c->filter.id, &c->filter.sender, &c->filter.recipient,
                              &c->filter.domain, &c->filter.next_hop };
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        *texts[i] = arena_copy(c->arena, *texts[i]);
    c->events = *events;
    c->ctx = ctx;
    c->limit = limit;
    bool good = set_cursor(c, cursor);
    spool_later(c->spool, !good ? bad_cursor : filter->id.len ? look_for_id : look_on, c);
}

/* --- in figures ---------------------------------------------------------------------------------- */

static int64_t oldest_of(const struct spool *s, uint16_t lane) {
    struct index *x = (struct index *)(uintptr_t)&s->index;
    uint32_t n = index_after(x, lane, 0);
    return n && index_at(x, n)->lane == lane ? index_at(x, n)->arrived : 0;
}

void browse_stats(const struct store *store, struct store_stats *out) {
    const struct spool *s = (const struct spool *)(const void *)store;
    *out = (struct store_stats){
        .messages = s->index.shown,
        .recipients = s->index.recipients,
        .octets = s->index.octets,
        .syncs = s->syncs,
        .committed = s->committed,
    };
    for (int i = 0; i < RECIPIENT_STATES; i++)
        out->by_state[i] = s->index.by_state[i];
    LIST_EACH(&s->lanes, n) {
        const struct lane *lane = CONTAINER_OF(n, struct lane, node);
        int64_t oldest = oldest_of(s, lane->number);
        if (oldest && (!out->oldest || oldest < out->oldest))
            out->oldest = oldest;
        LIST_EACH(&lane->segments, at) {
            out->segments++;
            out->segment_octets += CONTAINER_OF(at, struct segment, node)->end;
        }
    }
}
