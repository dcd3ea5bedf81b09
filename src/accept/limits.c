/* limits: from the decision's limits to the counters and back. A recipient has its places held from
 * the moment it is granted; they are counted when the message is on disk, and given back when it is
 * not: refused, broken off, or its worker dead. */
#include "accept/internal.h"
#include "base/must.h"

enum { TELL_MS = 60 * 60 * 1000 }; /* an event about one limit, once in that time */

/* The end of the second it falls into: that is what a person reads, and by then there is room. */
static int64_t wall_of(const struct session *s, int64_t now) {
    const struct loop *l = s->accept->setup.loop;
    int64_t wall = loop_wall(l) + now - loop_now(l);
    return (wall + 999) / 1000 * 1000;
}

static void ask_about(struct session *s, const struct verdict *v) {
    s->limits = ARENA_ARRAY(s->step, v->limit_count, struct counters_limit);
    s->limit_count = v->limit_count;
    for (size_t i = 0; i < v->limit_count; i++)
        s->limits[i] = (struct counters_limit){ .key = v->limits[i].key,
                                                .rates = v->limits[i].rates,
                                                .crowd = v->limits[i].crowd };
}

/* What was known of other limits stays known. */
static void take_counts(struct session *s) {
    struct facts *f = &s->facts;
    size_t known = f->counts_state == FACT_KNOWN ? f->count_count : 0;
    struct count *counts = ARENA_ARRAY(s->step, known + s->limit_count, struct count);
    for (size_t i = 0; i < s->limit_count; i++) {
        const struct counters_limit *l = &s->limits[i];
        counts[i] = (struct count){ l->key, l->full, l->which, l->full ? wall_of(s, l->opens) : 0 };
    }
    for (size_t i = 0; i < known; i++)
        counts[s->limit_count + i] = f->counts[i];
    f->counts = counts;
    f->count_count = known + s->limit_count;
    f->counts_state = FACT_KNOWN;
}

static void go_on(struct session *s, void (*then)(struct session *s)) {
    if (s->in_call)
        s->answered = true;
    else
        then(s);
}

/* --- looking ------------------------------------------------------------------------------------- */

static void looked(void *ctx, enum rc rc, const struct why *why) {
    (void)why;
    struct session *s = ctx;
    if (rc == OK)
        take_counts(s);
    else
        s->facts.counts_state = FACT_FAILED;
    go_on(s, s->on_counts);
}

bool limits_look(struct session *s, const struct verdict *v, void (*then)(struct session *s)) {
    struct accept_setup *setup = &s->accept->setup;
    ask_about(s, v);
    s->on_counts = then;
    s->in_call = true;
    s->answered = false;
    counters_look(setup->counters, s->limits, s->limit_count, loop_now(setup->loop), looked, s);
    s->in_call = false;
    return s->answered;
}

/* --- holding ------------------------------------------------------------------------------------- */

static struct held *get_held(struct transaction *tx, const struct counters_limit *limit) {
    for (struct held *h = tx->held; h; h = h->next)
        if (bytes_equal(h->limit.key, limit->key))
            return h;
    struct held *h = ARENA_NEW(tx->arena, struct held);
    *h = (struct held){ tx->held, *limit, 0 };
    h->limit.key = arena_copy(tx->arena, limit->key);
    return tx->held = h;
}

/* A message is counted once, its recipients each: who has been held is not asked about again. */
static void note_counted(struct session *s) {
    struct transaction *tx = s->tx;
    size_t count = 0;
    for (const struct held *h = tx->held; h; h = h->next)
        count++;
    tx->counted = ARENA_ARRAY(tx->arena, count, struct bytes);
    s->facts.counted = (struct strings){ count, tx->counted };
    for (const struct held *h = tx->held; h; h = h->next)
        tx->counted[--count] = h->limit.key;
}

static void take_places(struct session *s) {
    bool fresh = false;
    for (size_t i = 0; i < s->limit_count; i++) {
        struct held *h = get_held(s->tx, &s->limits[i]);
        fresh |= h->n++ == 0;
    }
    if (fresh)
        note_counted(s);
    s->placed = true;
}

static void held(void *ctx, enum rc rc, const struct why *why) {
    (void)why;
    struct session *s = ctx;
    if (rc == OK)
        take_places(s);
    else if (rc == MORE)
        take_counts(s);
    else
        s->facts.counts_state = FACT_FAILED;
    go_on(s, s->on_counts);
}

bool limits_hold(struct session *s, const struct verdict *v, void (*then)(struct session *s)) {
    struct accept_setup *setup = &s->accept->setup;
    ask_about(s, v);
    s->on_counts = then;
    s->in_call = true;
    s->answered = false;
    counters_hold(setup->counters, s->limits, s->limit_count, loop_now(setup->loop), held, s);
    s->in_call = false;
    return s->answered;
}

/* --- the end -------------------------------------------------------------------------------------- */

void limits_keep(struct session *s) {
    struct accept_setup *setup = &s->accept->setup;
    for (struct held *h = s->tx->held; h; h = h->next)
        counters_keep(setup->counters, &h->limit, h->n, loop_now(setup->loop));
    s->tx->held = NULL;
}

void limits_give_back(struct session *s) {
    for (struct held *h = s->tx->held; h; h = h->next)
        counters_drop(s->accept->setup.counters, &h->limit, h->n);
    s->tx->held = NULL;
}

/* A stolen password looks like this. Every refusal has an event of its own; this one is for people. */
void limits_reached_event(struct session *s, const struct verdict *v) {
    static const struct rate once = { 1, TELL_MS };
    const struct accept_setup *setup = &s->accept->setup;
    const struct limit *l = v->full;
    int64_t opens;
    if (!l || !l->alarm)
        return;
    char memory[512];
    struct buf key = buf_fixed(memory, sizeof(memory));
    buf_printf(&key, "told/%.*s", BYTES_FMT(l->key));
    if (!counters_charge_if_room(setup->counters, buf_bytes(&key), (struct rates){ 1, &once },
                                 loop_now(setup->loop), &opens))
        return;
    struct event *e = event_begin("limit-reached");
    session_event_caller(e, s->id, &s->facts);
    event_text(e, "tenant", v->tenant);
    event_text(e, "limit", l->name);
    event_str(e, "setting", l->setting);
    event_u64(e, "most", v->full_count.which.count);
    event_u64(e, "window_s", (uint64_t)v->full_count.which.window_ms / 1000);
    event_time(e, "opens", v->full_count.opens);
    event_text(e, "text", bytes_str(v->why.text));
    event_str(e, "remedy",
              "If this is more than its owner sends, the password may be stolen or "
              "the machine taken over: disable the login, look at what it sent");
    event_bool(e, "alarm", true);
    event_end(e);
}
