/* example: a stranger whose mail is relayed. What the proof calls open is shown by a transaction: made
 * up here, put to the decision step by step as a session would, and told only if it is accepted. */
#include "decide/internal.h"
#include "decide/ranges.h"

#include <string.h>

enum { RANGES_TRIED = 16, PATTERNS_TRIED = 8 };

struct search {
    const struct example_question *q;
    struct arena *arena;
    struct facts facts;
    struct bytes header_from;
};

#define SAID(s, ...) arena_printf((s)->arena, __VA_ARGS__)

/* --- is it accepted -------------------------------------------------------------------------------- */

static bool passes(struct search *s, enum decide_step step, struct verdict *v) {
    decide(s->q->config, step, &s->facts, s->arena, v);
    return v->rc == OK;
}

static bool is_relayed(struct search *s) {
    const struct mailbox_header from = { "From", s->header_from };
    struct facts *f = &s->facts;
    struct verdict v;
    f->verb = B("MAIL");
    f->charged = (struct strings){ 0 };
    f->header_mailbox_count = 0;
    if (!passes(s, STEP_CONNECT, &v) || !passes(s, STEP_COMMAND, &v) || !passes(s, STEP_MAIL, &v) ||
        !passes(s, STEP_RCPT, &v) || !v.relay)
        return false;
    struct bytes charged = v.connector;
    f->charged = (struct strings){ charged.len ? 1 : 0, &charged };
    f->header_mailboxes = &from;
    f->header_mailbox_count = f->from_fields = 1;
    bool taken = passes(s, STEP_CONTENT, &v);
    f->charged = (struct strings){ 0 };
    f->header_mailboxes = NULL;
    f->header_mailbox_count = 0;
    return taken;
}

/* --- what might be ----------------------------------------------------------------------------------- */

struct bytes decide_example_address(const struct pattern *p, struct arena *a) {
    switch (p->kind) {
    case PATTERN_NULL:
        return BYTES_NONE;
    case PATTERN_ADDRESS:
        return p->text;
    case PATTERN_DOMAIN:
        return arena_printf(a, "somebody@%.*s", BYTES_FMT(p->text));
    case PATTERN_SUBDOMAINS:
        return arena_printf(a, "somebody@below%.*s", BYTES_FMT(p->text));
    case PATTERN_ANY:
        break;
    }
    return B("somebody@elsewhere.invalid");
}

/* The first few of a list of senders; one that nobody owns where there is no list. */
static bool nth_sender(const struct search *s, size_t i, struct bytes *out) {
    const struct connector *c = s->q->c;
    *out = c->senders == SENDERS_ANY ? B("anybody@elsewhere.invalid") : BYTES_NONE;
    if (c->senders != SENDERS_LIST)
        return i == 0;
    if (i >= c->sender_list.count || i >= PATTERNS_TRIED)
        return false;
    *out = decide_example_address(&c->sender_list.list[i], s->arena);
    return true;
}

static bool try_senders(struct search *s) {
    for (size_t i = 0; nth_sender(s, i, &s->facts.sender); i++) {
        s->header_from = s->facts.sender;
        for (size_t j = 0; !s->header_from.len && nth_sender(s, j, &s->header_from); j++)
            ;
        if (!s->header_from.len)
            s->header_from = B("anybody@elsewhere.invalid");
        if (is_relayed(s))
            return true;
    }
    return false;
}

static bool try_recipients(struct search *s) {
    for (size_t i = 0; i < s->q->c->may_relay_to.count && i < PATTERNS_TRIED; i++) {
        s->facts.recipient = decide_example_address(&s->q->c->may_relay_to.list[i], s->arena);
        if (s->facts.recipient.len && try_senders(s))
            return true;
    }
    return false;
}

static bool try_listeners(struct search *s) {
    for (size_t i = 0; i < s->q->config->listener_count; i++) {
        const struct listener *l = &s->q->config->listeners[i];
        if (l->service != SERVICE_SMTP || (s->q->at && s->q->at != l))
            continue;
        s->facts.listener = l;
        s->facts.tls_version = l->tls == TLS_OFF ? 0 : 13;
        if (try_recipients(s))
            return true;
    }
    return false;
}

/* A tenant's own sessions are those that reach its address. */
static bool try_client(struct search *s, struct addr client) {
    const struct tenant *t =
        s->q->c->tenant.len ? config_tenant(s->q->config, s->q->c->tenant) : NULL;
    s->facts.client = client;
    s->facts.gateway = s->q->gateways && networks_have(*s->q->gateways, client);
    s->facts.local = t ? t->address : (struct addr){ 0 };
    return try_listeners(s);
}

/* An IPv4 address, or as a translator (64:ff9b::/96) shows it. */
static bool try_v4(struct search *s, wide address) {
    const wide translated = (wide)0x64ff9b << 96;
    return try_client(s, address_of(address, 4)) ||
           try_client(s, address_of(translated + address, 6));
}

static bool try_set(struct search *s, struct address_set set) {
    for (size_t i = 0; i < set.v4.count && i < RANGES_TRIED; i++)
        if (try_v4(s, set.v4.list[i].first) || try_v4(s, set.v4.list[i].last))
            return true;
    for (size_t i = 0; i < set.v6.count && i < RANGES_TRIED; i++)
        if (try_client(s, address_of(set.v6.list[i].first, 6)) ||
            try_client(s, address_of(set.v6.list[i].last, 6)))
            return true;
    return false;
}

/* --- the answer ---------------------------------------------------------------------------------------- */

static struct bytes address_text(const struct search *s, struct addr address) {
    char text[64];
    struct buf b = buf_fixed(text, sizeof text);
    addr_format(&b, address);
    return arena_copy(s->arena, buf_bytes(&b));
}

static struct bytes shown(const struct search *s) {
    const struct facts *f = &s->facts;
    struct bytes to =
        f->local.family ? SAID(s, " on %.*s", BYTES_FMT(address_text(s, f->local))) : BYTES_NONE;
    return SAID(s, "client %.*s at listener %.*s%.*s%s, from <%.*s> to <%.*s>, header From %.*s",
                BYTES_FMT(address_text(s, f->client)), BYTES_FMT(f->listener->name), BYTES_FMT(to),
                f->tls_version ? " with TLS" : "", BYTES_FMT(f->sender), BYTES_FMT(f->recipient),
                BYTES_FMT(s->header_from));
}

struct bytes decide_example(const struct example_question *q, struct arena *a) {
    struct search s = {
        .q = q,
        .arena = a,
        .facts = { .gateway_state = FACT_KNOWN,
                   .login_state = FACT_KNOWN,
                   .recipient_state = FACT_KNOWN,
                   .sender_state = FACT_KNOWN,
                   .counts_state = FACT_KNOWN,
                   .client_connections = 1,
                   .has_sender = true,
                   .date_fields = 1,
                   .now = q->now },
    };
    const struct connector *c = q->c;
    const struct tenant *t = c->tenant.len ? config_tenant(q->config, c->tenant) : NULL;
    struct address_set among = q->among;
    if (t && t->clients.count) { /* whoever is outside of them is refused whatever else holds */
        struct address_set inside = address_set_fold(address_set_of(t->clients, a), a);
        among = address_set_minus(among, address_set_minus(among, inside, a), a);
    }
    return try_set(&s, among) ? shown(&s) : BYTES_NONE;
}
