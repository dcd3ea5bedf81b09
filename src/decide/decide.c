/* decide: the steps as tables of rules, and how a decision ends. Which reply a refusal gives stands
 * here and nowhere else: code, enhanced code and reason id, one row a refusal. */
#include "decide/internal.h"

#include <string.h>

static const struct refusal_row refusals[REFUSE_COUNT] = {
    [REFUSE_CONNECTIONS] = { TEMP, 421, "4.7.0", "limit.connections" },
    [REFUSE_TLS_REQUIRED] = { PERM, 530, "5.7.0", "tls.required" },
    [REFUSE_AUTH_NOT_HERE] = { PERM, 502, "5.5.1", "auth.not-here" },
    [REFUSE_SEQUENCE] = { PERM, 503, "5.5.1", "syntax.sequence" },
    [REFUSE_MECHANISM] = { PERM, 504, "5.5.4", "auth.mechanism" },
    [REFUSE_PLAINTEXT] = { PERM, 538, "5.7.11", "tls.required" },
    [REFUSE_LOGIN] = { PERM, 535, "5.7.8", "auth.failed" },
    [REFUSE_AUTH_REQUIRED] = { PERM, 530, "5.7.0", "auth.required" },
    [REFUSE_SIZE] = { PERM, 552, "5.3.4", "limit.size" },
    [REFUSE_QUEUE_FULL] = { TEMP, 452, "4.3.1", "queue.full" },
    [REFUSE_BLOCKED_SENDER] = { PERM, 550, "5.7.1", "sender.blocked" },
    [REFUSE_TENANT_NETWORK] = { PERM, 550, "5.7.1", "relay.tenant-network" },
    [REFUSE_APP_NETWORK] = { PERM, 550, "5.7.1", "auth.app-network" },
    [REFUSE_RECIPIENTS] = { TEMP, 452, "4.5.3", "limit.recipients" },
    [REFUSE_UNKNOWN] = { PERM, 550, "5.1.1", "recipient.unknown" },
    [REFUSE_GROUP] = { PERM, 550, "5.7.1", "recipient.group-restricted" },
    [REFUSE_SRS_FORGED] = { PERM, 550, "5.1.1", "recipient.srs-forged" },
    [REFUSE_SRS_EXPIRED] = { PERM, 550, "5.1.1", "recipient.srs-expired" },
    [REFUSE_SRS_SENDER] = { PERM, 550, "5.7.1", "recipient.srs-sender" },
    [REFUSE_BEHIND] = { PERM, 550, "5.2.1", "recipient.refused-behind" },
    [REFUSE_PROBE_LATER] = { TEMP, 451, "4.4.1", "backend.probe" },
    [REFUSE_PROBE_LIMIT] = { TEMP, 450, "4.7.1", "limit.probes" },
    [REFUSE_SENDER] = { PERM, 553, "5.7.1", "sender.not-yours" },
    [REFUSE_NO_GRANT] = { PERM, 550, "5.7.1", "relay.no-grant" },
    [REFUSE_EXPIRED] = { PERM, 550, "5.7.1", "relay.grant-expired" },
    [REFUSE_MESSAGES_QUOTA] = { TEMP, 450, "4.7.1", "limit.messages" },
    [REFUSE_RECIPIENTS_QUOTA] = { TEMP, 450, "4.7.1", "limit.recipients" },
    [REFUSE_BARE_NEWLINE] = { PERM, 550, "5.6.0", "syntax.bare-newline" },
    [REFUSE_HOPS] = { PERM, 554, "5.4.6", "limit.hops" },
    [REFUSE_FROM_COUNT] = { PERM, 550, "5.6.0", "syntax.header" },
    [REFUSE_HEADER] = { PERM, 550, "5.7.1", "header.not-yours" },
    [REFUSE_BLOCKED_HEADER] = { PERM, 550, "5.7.1", "header.blocked" },
    [REFUSE_LOGIN_VOID] = { PERM, 535, "5.7.8", "auth.failed" },
    [REFUSE_NO_MAILDROP] = { PERM, 550, "5.2.1", "mailbox.not-here" },
    [REFUSE_SUSPENDED] = { TEMP, 450, "4.7.1", "relay.grant-suspended" },
    [REFUSE_HELO] = { PERM, 550, "5.7.1", "reputation.helo" },
    [REFUSE_PTR] = { PERM, 550, "5.7.25", "reputation.ptr" },
    [REFUSE_BLOCKLIST] = { PERM, 550, "5.7.1", "reputation.blocklist" },
    [REFUSE_GREYLIST] = { TEMP, 450, "4.7.1", "reputation.greylist" },
    [REFUSE_DIRECTORY_DOWN] = { TEMP, 451, "4.3.0", "backend.directory" },
    [REFUSE_COUNTERS_DOWN] = { TEMP, 451, "4.3.0", "backend.counters" },
    [REFUSE_GATEWAYS_DOWN] = { TEMP, 451, "4.3.0", "backend.gateways" },
};

static decide_rule *const connect_rules[] = { decide_rule_own_door, decide_rule_connections };
static decide_rule *const command_rules[] = { decide_rule_own_door, decide_rule_tls };
static decide_rule *const auth_rules[] = {
    decide_rule_auth_offered,
    decide_rule_auth_sequence,
    decide_rule_auth_plaintext,
    decide_rule_auth_mechanism,
};
static decide_rule *const login_rules[] = { decide_rule_login };
static decide_rule *const mail_rules[] = {
    decide_rule_own_door, decide_rule_whose_address, decide_rule_auth_required,
    decide_rule_size,     decide_rule_queue,         decide_rule_blocked_sender,
};
static decide_rule *const rcpt_rules[] = {
    decide_rule_own_door,       decide_rule_whose_address,         decide_rule_recipient_class,
    decide_rule_tenant_network, decide_rule_app_network,           decide_rule_recipient_count,
    decide_rule_bound_sender,   decide_rule_domain_blocked_sender, decide_rule_recipient_known,
    decide_rule_relay,
};
static decide_rule *const maildrop_rules[] = { decide_rule_login_live, decide_rule_app_network,
                                               decide_rule_maildrop };
static decide_rule *const content_rules[] = {
    decide_rule_own_door, decide_rule_bare_newline,   decide_rule_hops,           decide_rule_size,
    decide_rule_one_from, decide_rule_header_senders, decide_rule_blocked_header,
};

#define STEP(rules, accepted)                                                                      \
    { rules, COUNT_OF(rules), accepted }
static const struct step {
    decide_rule *const *rules;
    size_t count;
    const char *accepted;
} steps[] = {
    [STEP_CONNECT] = STEP(connect_rules, "the connection is taken"),
    [STEP_COMMAND] = STEP(command_rules, "the command may be given"),
    [STEP_AUTH] = STEP(auth_rules, "the mechanism may be used"),
    [STEP_LOGIN] = STEP(login_rules, "the login may be used"),
    [STEP_MAIL] = STEP(mail_rules, "the sender may begin a message"),
    [STEP_RCPT] = STEP(rcpt_rules, NULL), /* always ended by a rule */
    [STEP_CONTENT] = STEP(content_rules, "the message is taken"),
    [STEP_MAILDROP] = STEP(maildrop_rules, "the mailbox may be opened"),
};

static bool safer_first(struct change *list, size_t count) {
    bool moved = false;
    for (size_t i = 1; i < count; i++) {
        if (list[i - 1].safe || !list[i].safe)
            continue;
        struct change c = list[i];
        list[i] = list[i - 1];
        list[i - 1] = c;
        moved = true;
    }
    return moved;
}

void decide(const struct config *config, enum decide_step step, const struct facts *facts,
            struct arena *a, struct verdict *out) {
    *out = (struct verdict){ .rc = MORE };
    struct facts own = *facts;
    struct decision d = { .config = config, .facts = &own, .arena = a, .step = step, .out = out };
    const struct step *s = &steps[step];
    bool ended = decide_choose_popped(&d, &own);
    out->login = decide_login(&own);
    for (size_t i = 0; i < s->count && !ended; i++)
        ended = s->rules[i](&d);
    if (!ended) {
        MUST(s->accepted);
        decide_accept(&d, bytes_str(s->accepted));
    }
    /* Stable, and short: a bubble a pass. */
    while (safer_first(d.changes, out->change_count))
        ;
    out->rules = d.rules;
    out->changes = d.changes;
}

/* --- how a decision ends -------------------------------------------------------------------- */

bool decide_refuse(struct decision *d, enum refusal refusal, struct bytes what,
                   struct bytes remedy) {
    const struct refusal_row *r = &refusals[refusal];
    bool full = d->config->explain == EXPLAIN_FULL && remedy.len;
    d->out->rc = why_set(&d->out->why, r->rc, r->code, r->status, r->reason, "%.*s%s%.*s",
                         BYTES_FMT(what), full ? ". " : "", BYTES_FMT(full ? remedy : BYTES_NONE));
    return true;
}

bool decide_refusal_row(size_t i, struct refusal_row *out) {
    if (i < COUNT_OF(refusals))
        *out = refusals[i];
    return i < COUNT_OF(refusals);
}

/* Of the 510 octets of a line code, reason and session take some. */
struct bytes decide_fitting(struct bytes what, struct bytes remedy, struct bytes shorter) {
    enum { ROOM = 440 };
    return what.len + 2 + remedy.len <= ROOM ? remedy : shorter;
}

bool decide_accept(struct decision *d, struct bytes because) {
    if (d->step == STEP_RCPT && decide_limits(d))
        return true;
    d->out->rc = why_set(&d->out->why, OK, 250, d->step == STEP_RCPT ? "2.1.5" : "2.0.0", "",
                         "%.*s", BYTES_FMT(because));
    return true;
}

static enum fact_state fact_state(const struct facts *f, enum fact fact) {
    switch (fact) {
    case FACT_LOGIN:
        return f->login_state;
    case FACT_RECIPIENT:
        return f->recipient_state;
    case FACT_GATEWAY:
        return f->gateway_state;
    case FACT_COUNTERS:
        return f->counts_state;
    case FACT_SENDER_ENTRY:
        return f->sender_state;
    case FACT_POPPED:
        return f->popped_state;
    case FACT_HELO:
        return f->helo_state;
    case FACT_PTR:
        return f->ptr_state;
    case FACT_LISTS:
        return f->listings_state;
    case FACT_GREY:
        return f->grey_state;
    case FACT_MEMBER:
        return f->member_state;
    case FACT_SRS:
        return f->srs_state;
    case FACT_PROBE:
        return f->probe_state;
    }
    return FACT_UNKNOWN;
}

static bool service_down(struct decision *d, enum fact fact) {
    const struct bytes later = B("This is our fault: try again in some minutes");
    decide_change(d, "wait", true, BYTES_NONE, B("wait until the service answers again"));
    if (fact == FACT_COUNTERS)
        return decide_refuse(d, REFUSE_COUNTERS_DOWN, B("Limits cannot be checked for the moment"),
                             later);
    if (fact == FACT_GATEWAY)
        return decide_refuse(d, REFUSE_GATEWAYS_DOWN,
                             B("Network addresses cannot be checked for the moment"), later);
    return decide_refuse(d, REFUSE_DIRECTORY_DOWN, B("Addresses cannot be checked for the moment"),
                         later);
}

bool decide_ask(struct decision *d, uint32_t facts) {
    for (uint32_t fact = 1; fact <= facts; fact <<= 1)
        if (facts & fact && fact_state(d->facts, fact) == FACT_FAILED)
            return service_down(d, fact);
    d->out->rc = MORE;
    d->out->missing = facts;
    return true;
}

void decide_trace(struct decision *d, struct bytes name, bool matched, struct bytes because) {
    struct verdict *v = d->out;
    if (v->rule_count == d->rule_cap) {
        size_t cap = d->rule_cap ? d->rule_cap * 2 : 16;
        struct rule *more = ARENA_ARRAY(d->arena, cap, struct rule);
        if (v->rule_count)
            memcpy(more, d->rules, v->rule_count * sizeof *more);
        d->rules = more;
        d->rule_cap = cap;
    }
    d->rules[v->rule_count++] = (struct rule){ name, matched, because };
}

static bool has_change(const struct decision *d, const char *kind, struct bytes argument) {
    for (size_t i = 0; i < d->out->change_count; i++)
        if (strcmp(d->changes[i].kind, kind) == 0 && bytes_equal(d->changes[i].argument, argument))
            return true;
    return false;
}

void decide_change(struct decision *d, const char *kind, bool safe, struct bytes argument,
                   struct bytes text) {
    struct verdict *v = d->out;
    if (has_change(d, kind, argument))
        return;
    if (v->change_count == d->change_cap) {
        size_t cap = d->change_cap ? d->change_cap * 2 : 8;
        struct change *more = ARENA_ARRAY(d->arena, cap, struct change);
        if (v->change_count)
            memcpy(more, d->changes, v->change_count * sizeof *more);
        d->changes = more;
        d->change_cap = cap;
    }
    d->changes[v->change_count++] = (struct change){ text, safe, kind, argument };
}

/* --- words for sentences -------------------------------------------------------------------- */

struct bytes decide_text_addr(struct decision *d, struct addr a) {
    char text[64];
    struct buf b = buf_fixed(text, sizeof text);
    addr_format(&b, a);
    return arena_copy(d->arena, buf_bytes(&b));
}

struct bytes decide_text_spki(struct decision *d, struct bytes spki) {
    char text[80];
    struct buf b = buf_fixed(text, sizeof text);
    buf_str(&b, "spki-sha256:");
    buf_hex(&b, spki);
    return arena_copy(d->arena, buf_bytes(&b));
}

struct bytes decide_text_cut(struct decision *d, struct bytes text) {
    enum { MOST = 100 };
    if (text.len <= MOST)
        return text;
    return SAY(d, "%.*s...", BYTES_FMT(bytes_first(text, MOST)));
}

struct bytes decide_listener_name(struct decision *d, const char *setting) {
    const struct listener *l = d->facts->listener;
    return l ? SAY(d, "listener %.*s: %s", BYTES_FMT(l->name), setting)
             : SAY(d, "local door: %s", setting);
}
