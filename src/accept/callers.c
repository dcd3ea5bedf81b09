/* callers: what is asked of the DNS about a client: once a session, when a decision needs it. What
 * could not be had is told as failed, and refuses nobody; a list that cannot be asked is an event, now
 * and then. */
#include "accept/internal.h"
#include "base/must.h"

enum { LISTS_MAX = 128, UNREACHABLE_MS = 10 * 60 * 1000 };

static void go_on(struct session *s) {
    s->inquiry = NULL;
    ask_go_on(s);
}

/* --- names ---------------------------------------------------------------------------------------- */

static void ptr_checked(void *ctx, const struct dns_name_check *check) {
    struct session *s = ctx;
    struct facts *f = &s->facts;
    f->ptr_state = check->failed ? FACT_FAILED : FACT_KNOWN;
    f->ptr_name = arena_copy(s->arena, check->name);
    f->ptr_confirmed = check->confirmed;
    go_on(s);
}

static void helo_checked(void *ctx, const struct dns_name_check *check) {
    struct session *s = ctx;
    struct facts *f = &s->facts;
    f->helo_state = check->failed ? FACT_FAILED : FACT_KNOWN;
    f->helo_missing = !check->name.len;
    f->helo_confirmed = check->confirmed;
    go_on(s);
}

/* --- lists ---------------------------------------------------------------------------------------- */

/* Once in ten minutes for the whole server. */
static void tell_unreachable(struct session *s, const struct dns_listing *g) {
    struct counters *c = s->accept->setup.counters;
    struct rate once = { 1, UNREACHABLE_MS }, which;
    struct rates rates = { 1, &once };
    int64_t opens, now = loop_now(s->accept->setup.loop);
    struct bytes key = arena_printf(s->step, "list/%.*s", BYTES_FMT(g->zone));
    if (!counters_room(c, key, rates, 1, now, &opens, &which))
        return;
    counters_charge(c, key, rates, 1, now);
    struct event *e = event_begin("list-skipped");
    session_event_caller(e, s->id, &s->facts);
    event_text(e, "list", dnslist_name(g->zone));
    event_str(e, "text", g->because);
    event_end(e);
}

static struct listing keep_listing(struct session *s, const struct dns_listing *g) {
    uint32_t *codes = ARENA_ARRAY(s->arena, g->count, uint32_t);
    for (size_t i = 0; i < g->count; i++)
        codes[i] = dnslist_code(g->codes[i]);
    return (struct listing){ .zone = arena_copy(s->arena, g->zone),
                             .failed = g->failed,
                             .because = bytes_str(g->because),
                             .code_count = g->count,
                             .codes = codes,
                             .text = arena_copy(s->arena, g->text) };
}

static void listed(void *ctx, const struct dns_listing *list, size_t count) {
    struct session *s = ctx;
    struct listing *kept = ARENA_ARRAY(s->arena, count, struct listing);
    for (size_t i = 0; i < count; i++) {
        kept[i] = keep_listing(s, &list[i]);
        if (list[i].failed)
            tell_unreachable(s, &list[i]);
    }
    s->facts.listings = kept;
    s->facts.listing_count = count;
    s->facts.listings_state = FACT_KNOWN;
    go_on(s);
}

static void ask_lists(struct session *s) {
    struct bytes zones[LISTS_MAX];
    size_t count = dnslist_zones(s->facts.listener, zones, LISTS_MAX);
    s->inquiry = dns_ask_lists(s->accept->setup.dns, s->accept->setup.loop, s->facts.client, zones,
                               count, listed, s);
}

/* --- greylist ------------------------------------------------------------------------------------- */

void callers_look_grey(struct session *s) {
    const struct config *c = s->rules->config;
    struct facts *f = &s->facts;
    f->grey_opens = counters_grey(s->accept->setup.counters,
                                  &(struct counters_grey){
                                      .client = f->client,
                                      .sender = f->sender,
                                      .recipient = f->recipient,
                                      .delay = c->greylist_delay,
                                      .window = c->greylist_window,
                                      .lifetime = c->greylist_lifetime,
                                      .trust = c->greylist_trust,
                                  },
                                  f->now);
    f->grey_state = FACT_KNOWN;
}

/* --- the tripwire ---------------------------------------------------------------------------------- */

static void tell_tripped(struct session *s, const struct verdict *v,
                         const struct counters_watch *w) {
    struct event *e = event_begin("grant-suspended");
    session_event_caller(e, s->id, &s->facts);
    event_text(e, "connector", v->connector);
    event_u64(e, "senders", w->senders);
    event_u64(e, "helos", w->helos);
    event_str(e, "text",
              "many unrelated senders came through a grant by address: NAT, a gateway or a "
              "container proxy may hide who is calling. postern grants resume lifts it");
    event_bool(e, "alarm", true);
    event_end(e);
}

bool callers_trip(struct session *s, const struct verdict *v) {
    const struct config *c = s->rules->config;
    struct counters_watch w = {
        .client = s->facts.client,
        .sender = v->unrelated,
        .helo = s->facts.helo,
        .window = c->tripwire_window,
        .senders_max = c->tripwire_senders,
        .helos_max = c->tripwire_helos,
    };
    if (s->watched || s->asking != STEP_RCPT || (!w.senders_max && !w.helos_max))
        return false;
    s->watched = true;
    if (!counters_watch(s->accept->setup.counters, &w, s->facts.now))
        return false;
    s->facts.suspended = s->facts.now;
    tell_tripped(s, v, &w);
    return true;
}

/* --- the door of this file -------------------------------------------------------------------------- */

void callers_forget(struct session *s) {
    struct facts *f = &s->facts;
    f->helo_state = f->ptr_state = f->listings_state = f->grey_state = FACT_UNKNOWN;
    f->listing_count = 0;
}

void callers_cancel(struct session *s) {
    dns_inquiry_cancel(&s->inquiry);
}

bool callers_fetch(struct session *s, uint32_t missing) {
    struct dns *d = s->accept->setup.dns;
    struct loop *l = s->accept->setup.loop;
    struct facts *f = &s->facts;
    MUST(!s->inquiry);
    if (missing & FACT_HELO)
        s->inquiry = dns_check_name(d, l, f->helo, f->client, helo_checked, s);
    else if (missing & FACT_PTR)
        s->inquiry = dns_check_client(d, l, f->client, ptr_checked, s);
    else if (missing & FACT_LISTS)
        ask_lists(s);
    return s->inquiry != NULL;
}
