/* relay: RCPT. Whose the recipient is, who may send it there, and who is charged for it: the
 * connectors' union, as postern.conf tells it. */
#include "decide/internal.h"

#include <string.h>

/* --- whose the recipient is --------------------------------------------------------------------- */

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" that is an address of this host, as far as is known. */
static bool own_literal(const struct decision *d, struct bytes domain) {
    struct addr a;
    if (domain.len < 3 || domain.at[0] != '[' || domain.at[domain.len - 1] != ']')
        return false;
    domain = bytes_slice(domain, 1, domain.len - 1);
    if (bytes_starts_nocase(domain, B("IPv6:")))
        domain = bytes_skip(domain, 5);
    if (!addr_parse(domain, &a))
        return false;
    if (d->facts->local.family && addr_equal(a, d->facts->local))
        return true;
    const struct listener *l = d->facts->listener;
    for (size_t i = 0; l && i < l->address_count; i++)
        if (addr_equal(a, l->addresses[i]))
            return true;
    return false;
}

bool decide_rule_recipient_class(struct decision *d) {
    const struct facts *f = d->facts;
    struct bytes domain = decide_domain(f->recipient);
    bool postmaster = bytes_equal_nocase(decide_local(f->recipient), B("postmaster"));
    d->domain = domain.len ? config_domain(d->config, domain) : NULL;
    if (f->recipient_postmaster || (postmaster && (d->domain || own_literal(d, domain))))
        d->to = TO_POSTMASTER;
    else
        d->to = d->domain ? TO_OWN : TO_OTHERS;
    d->out->relay = d->to == TO_OTHERS;
    if (d->to == TO_POSTMASTER)
        decide_trace(d, B("postmaster"), true, B("taken from anyone"));
    else
        decide_trace(d, SAY(d, "domain %.*s", BYTES_FMT(decide_text_cut(d, domain))),
                     d->domain != NULL,
                     d->domain ? B("one of ours") : B("not ours: this is a relay"));
    return false;
}

/* --- limits that hold for every recipient ------------------------------------------------------- */

/* Mail that strangers bring to a tenant's own address for one of its recipients is not sent by it. */
static bool is_brought(const struct decision *d) {
    const struct facts *f = d->facts;
    bool submission = f->listener && f->listener->auth == AUTH_REQUIRE;
    return d->to != TO_OTHERS && !decide_login(f).len && !submission;
}

bool decide_rule_tenant_network(struct decision *d) {
    const struct facts *f = d->facts;
    if (!d->config->tenant_count)
        return false;
    if (decide_login(f).len && f->login_state != FACT_KNOWN)
        return decide_ask(d, FACT_LOGIN);
    const struct tenant *t = decide_tenant(d);
    d->out->tenant = t ? t->name : BYTES_NONE;
    if (!t || !t->clients.count || d->facts->local_door || is_brought(d))
        return false;
    bool inside = !f->client_unknown && networks_have(t->clients, f->client);
    struct bytes client = decide_text_addr(d, f->client);
    decide_trace(
        d, SAY(d, "tenant %.*s: clients", BYTES_FMT(t->name)), inside,
        SAY(d, "client %.*s is %s its networks", BYTES_FMT(client), inside ? "in" : "in none of"));
    if (inside)
        return false;
    decide_change(
        d, "add-tenant-client", true, SAY(d, "%.*s %.*s", BYTES_FMT(t->name), BYTES_FMT(client)),
        SAY(d, "add %.*s to clients of tenant %.*s", BYTES_FMT(client), BYTES_FMT(t->name)));
    return decide_refuse(d, REFUSE_TENANT_NETWORK,
                         SAY(d, "Mail of this customer is not taken from %.*s", BYTES_FMT(client)),
                         B("Send from the customer's own network, or through its VPN"));
}

/* The bound of an app password is told like a tenant's: the login itself was right. */
bool decide_rule_app_network(struct decision *d) {
    const struct facts *f = d->facts;
    if (!f->login.len || !f->app_networks.count)
        return false;
    bool inside = !f->client_unknown && networks_have(f->app_networks, f->client);
    struct bytes client = decide_text_addr(d, f->client), app = decide_text_cut(d, f->app_password);
    decide_trace(
        d, SAY(d, "app password %.*s: networks", BYTES_FMT(app)), inside,
        SAY(d, "client %.*s is %s its networks", BYTES_FMT(client), inside ? "in" : "in none of"));
    if (inside)
        return false;
    decide_changes_app(d, BYTES_NONE);
    return decide_refuse(d, REFUSE_APP_NETWORK,
                         SAY(d, "App password %.*s of %.*s is not taken from %.*s", BYTES_FMT(app),
                             BYTES_FMT(decide_text_cut(d, f->login)), BYTES_FMT(client)),
                         B("Use it in the network it is for, or log in with another password"));
}

static uint64_t smaller(uint64_t limit, uint64_t other) {
    return other && (!limit || other < limit) ? other : limit;
}

/* The limit as far as it is known; *unsure_out: the smallest that facts not asked for yet might make
 * of it, *needs_out: those facts. */
static uint64_t recipient_limit(struct decision *d, uint64_t *unsure_out, uint32_t *needs_out) {
    const struct listener *l = d->facts->listener;
    const struct tenant *t = decide_tenant(d);
    uint64_t limit = l ? l->max_recipients : 0;
    limit = smaller(limit, t ? t->max_recipients : 0);
    *unsure_out = 0;
    for (size_t i = 0; i < d->config->connector_count; i++) {
        const struct connector *c = &d->config->connectors[i];
        const struct standing *s = &decide_standings(d)[i];
        if (!c->max_recipients || decide_stands(s) == STANDS_OUT)
            continue;
        if (decide_stands(s) == STANDS_IN)
            limit = smaller(limit, c->max_recipients);
        if (decide_stands(s) != STANDS_UNSURE)
            continue;
        *unsure_out = smaller(*unsure_out, c->max_recipients);
        *needs_out |= s->needs;
    }
    return limit;
}

uint64_t decide_max_recipients(const struct config *config, const struct facts *facts) {
    struct arena *a = arena_open();
    struct verdict v = { 0 };
    struct decision d = { .config = config, .facts = facts, .arena = a, .out = &v };
    uint64_t unsure;
    uint32_t needs = 0;
    uint64_t limit = recipient_limit(&d, &unsure, &needs);
    arena_close(&a);
    return limit;
}

bool decide_rule_recipient_count(struct decision *d) {
    uint64_t so_far = d->facts->recipients_so_far, unsure;
    uint32_t needs = 0;
    uint64_t limit = recipient_limit(d, &unsure, &needs);
    bool full = limit && so_far >= limit;
    if (!full && unsure && so_far >= unsure)
        return decide_ask(d, needs);
    if (!full)
        return false;
    decide_trace(d, B("max_recipients"), false,
                 SAY(d, "%llu recipients are the most for one message", (unsigned long long)limit));
    decide_change(
        d, "split", true, SAY(d, "%llu", (unsigned long long)limit),
        SAY(d, "send the message once for every %llu recipients", (unsigned long long)limit));
    return decide_refuse(d, REFUSE_RECIPIENTS,
                         SAY(d, "This message has %llu recipients, the most that is taken",
                             (unsigned long long)limit),
                         B("Send it again to the others"));
}

/* --- who grants, and has room -------------------------------------------------------------------- */

/* What came of asking every connector, in file order. */
struct poll {
    bool *passes;    /* one a connector: in play, recipient and sender allowed */
    bool in_play;    /* one at least */
    bool maybe;      /* one at least is, or would be if facts that change nothing were known */
    bool recipients; /* one in play allows the recipient */
    bool senders;    /* one of those the sender */
    bool expired;    /* one would pass, were its time not over */
};

static struct bytes connector_name(struct decision *d, size_t i) {
    return SAY(d, "connector %.*s", BYTES_FMT(d->config->connectors[i].name));
}

static bool has_limits(const struct connector *c) {
    return c->limit.count || c->limit_total.count || c->limit_recipients.count;
}

/* True when the decision is ended by a question. */
static bool poll_sender(struct decision *d, size_t i, struct poll *p) {
    const struct facts *f = d->facts;
    const struct standing *s = &decide_standings(d)[i];
    uint32_t needs = s->needs;
    if (needs)
        return decide_ask(d, needs);
    p->recipients = true;
    enum holds holds = decide_sender(d, &d->config->connectors[i], f->sender, false, &needs);
    if (holds == UNSURE)
        return decide_ask(d, needs);
    p->passes[i] = holds == HOLDS;
    p->senders |= p->passes[i];
    decide_trace(d, connector_name(d, i), p->passes[i],
                 p->passes[i]
                     ? s->because
                     : SAY(d, "sender %.*s is not allowed by its senders rule",
                           BYTES_FMT(f->sender.len ? decide_text_cut(d, f->sender) : B("<>"))));
    return false;
}

static bool serves_recipient(const struct decision *d, const struct connector *c) {
    return d->to != TO_OTHERS || decide_relays_to(c, d->facts->recipient);
}

/* Stops at the first that grants without a limit: those behind it cannot change anything. */
static bool poll_connectors(struct decision *d, struct poll *p) {
    size_t count = d->config->connector_count;
    p->passes = ARENA_ARRAY(d->arena, count, bool);
    for (size_t i = 0; i < count; i++) {
        const struct connector *c = &d->config->connectors[i];
        const struct standing *s = &decide_standings(d)[i];
        enum stands stands = decide_stands(s);
        p->in_play |= stands == STANDS_IN;
        p->maybe |= stands == STANDS_IN || stands == STANDS_UNSURE;
        if (stands == STANDS_OUT || stands == STANDS_EXPIRED) {
            decide_trace(d, connector_name(d, i), false, s->because);
            continue;
        }
        if (!serves_recipient(d, c)) {
            decide_trace(d, connector_name(d, i), false,
                         c->to_accepted ? B("it allows our own domains only")
                                        : B("the recipient is not in its may_relay_to"));
            continue;
        }
        if (poll_sender(d, i, p))
            return true;
        if (p->passes[i] && !has_limits(c))
            return false;
    }
    return false;
}

/* Did only the time fail? True when the decision is ended by a question. */
static bool poll_expired(struct decision *d, struct poll *p) {
    for (size_t i = 0; i < d->config->connector_count && !p->expired; i++) {
        const struct connector *c = &d->config->connectors[i];
        uint32_t needs = decide_standings(d)[i].needs;
        if (decide_stands(&decide_standings(d)[i]) != STANDS_EXPIRED || !serves_recipient(d, c))
            continue;
        enum holds holds = decide_sender(d, c, d->facts->sender, false, &needs);
        if (needs)
            return decide_ask(d, needs);
        p->expired = holds == HOLDS;
    }
    return false;
}

/* Who passes is charged at the end, when the recipient is accepted: decide_limits. */
static void note_passes(struct decision *d, const struct poll *p) {
    d->passes = p->passes;
    d->granting = p->senders;
}

/* --- a sender that is bound ----------------------------------------------------------------------- */

/* Logged in, or here by without_auth_on, or by a POP window. True when it ended by a question. */
static bool find_bound(struct decision *d, bool *bound) {
    const struct facts *f = d->facts;
    *bound = f->login.len || (f->listener && f->listener->auth == AUTH_REQUIRE);
    uint32_t needs = 0;
    for (size_t i = 0; !*bound && i < d->config->connector_count; i++) {
        const struct standing *s = &decide_standings(d)[i];
        if (!d->config->connectors[i].pop_before_smtp)
            continue;
        *bound = decide_stands(s) == STANDS_IN;
        needs |= decide_stands(s) == STANDS_UNSURE ? s->needs : 0;
    }
    return !*bound && needs && decide_ask(d, needs);
}

static bool refuse_app_sender(struct decision *d, struct bytes sender) {
    struct bytes app = decide_text_cut(d, d->facts->app_password);
    decide_trace(d, SAY(d, "app password %.*s: senders", BYTES_FMT(app)), false,
                 SAY(d, "%.*s is not among its senders", BYTES_FMT(sender)));
    decide_changes_app(d, d->facts->sender.len ? d->facts->sender : B("<>"));
    return decide_refuse(
        d, REFUSE_SENDER,
        SAY(d, "App password %.*s is not for sender %.*s", BYTES_FMT(app), BYTES_FMT(sender)),
        B("Send with an address it is for, or log in with another password"));
}

static bool refuse_sender(struct decision *d) {
    const struct facts *f = d->facts;
    struct bytes sender = f->sender.len ? decide_text_cut(d, f->sender) : B("<>");
    struct bytes login =
        f->login; /* whose POP window it is, others at that address need not know */
    if (decide_app_alone_forbids(d, f->sender, false))
        return refuse_app_sender(d, sender);
    decide_changes_sender(d, f->sender, false);
    struct bytes may = decide_sender_words(d, false);
    struct bytes what =
        login.len
            ? SAY(d, "Sender %.*s is not among the addresses that login %.*s may send as%s%.*s",
                  BYTES_FMT(sender), BYTES_FMT(decide_text_cut(d, login)), may.len ? ": " : "",
                  BYTES_FMT(may))
        : f->local_door ? SAY(d, "Sender %.*s may not be used by user %.*s of this host",
                              BYTES_FMT(sender), BYTES_FMT(f->local_user))
        : f->popped_login.len && d->out->bound
            ? SAY(d, "Sender %.*s is none of those for whom mail was fetched from %.*s",
                  BYTES_FMT(sender), BYTES_FMT(decide_text_addr(d, f->client)))
            : SAY(d, "Sender %.*s may not be used by %.*s", BYTES_FMT(sender),
                  BYTES_FMT(decide_text_addr(d, f->client)));
    struct bytes remedy =
        SAY(d, "Send with an address of your own, or ask the administrator of %.*s for the right",
            BYTES_FMT(d->config->hostname));
    return decide_refuse(d, REFUSE_SENDER, what,
                         decide_fitting(what, remedy, B("Send with an address of your own")));
}

/* A login without a connector is bound to its own addresses; nobody is charged. */
static bool bound_to_own(struct decision *d) {
    uint32_t needs = 0;
    enum holds holds = decide_sender(d, NULL, d->facts->sender, false, &needs);
    if (holds == UNSURE)
        return decide_ask(d, needs);
    decide_trace(d, B("login: own addresses"), holds == HOLDS,
                 holds == HOLDS ? B("the sender is the login's own")
                                : B("the sender is not the login's own"));
    return holds == FAILS && d->to != TO_POSTMASTER && refuse_sender(d);
}

bool decide_rule_bound_sender(struct decision *d) {
    if (find_bound(d, &d->out->bound))
        return true;
    if (!d->out->bound || d->to == TO_OTHERS)
        return false; /* a relay polls the connectors anyway */
    struct poll p = { 0 };
    if (poll_connectors(d, &p))
        return true;
    note_passes(d, &p);
    if (p.senders)
        return false;
    if (!p.in_play && d->facts->login.len)
        return bound_to_own(d);
    return d->to != TO_POSTMASTER && refuse_sender(d);
}

/* --- relaying --------------------------------------------------------------------------------------- */

static bool any_fails(struct decision *d, unsigned bits) {
    for (size_t i = 0; i < d->config->connector_count; i++)
        if (decide_standings(d)[i].fails == bits)
            return true;
    return false;
}

/* Why this caller is granted nothing, without a word on whom else we relay for. */
static struct bytes no_grant_because(struct decision *d, const struct poll *p) {
    const struct facts *f = d->facts;
    if (f->login.len && f->login_state == FACT_KNOWN &&
        (!f->login_entry || f->login_entry->disabled))
        return SAY(d, "login %.*s is %s", BYTES_FMT(decide_text_cut(d, f->login)),
                   f->login_entry ? "disabled" : "not known");
    if (f->login.len)
        return SAY(d, "login %.*s may not send there", BYTES_FMT(decide_text_cut(d, f->login)));
    if (f->local_door)
        return SAY(d, "user %.*s of this host is not allowed to", BYTES_FMT(f->local_user));
    if (p->maybe)
        return B("this client may not send there");
    if (f->client_unknown)
        return B("not logged in, and the proxy in front did not say who is calling");
    if (any_fails(d, WHO_GATEWAY))
        return B("not logged in, and behind this gateway's address anybody may be");
    return B("not logged in and not in an authorised network");
}

static bool refuse_no_grant(struct decision *d, const struct poll *p) {
    const struct facts *f = d->facts;
    struct bytes to = decide_text_cut(d, decide_domain(f->recipient));
    struct bytes host = d->config->hostname;
    struct bytes client = f->local_door ? B("this host") : decide_text_addr(d, f->client);
    decide_changes_no_grant(d);
    if (p->expired)
        return decide_refuse(d, REFUSE_EXPIRED,
                             SAY(d, "Unable to relay to %.*s for %.*s: the grant has expired",
                                 BYTES_FMT(to), BYTES_FMT(client)),
                             SAY(d, "Ask the administrator of %.*s to renew it", BYTES_FMT(host)));
    struct bytes login = f->login.len ? BYTES_NONE : decide_login_words(d);
    struct bytes remedy =
        f->login.len || f->local_door || (p->maybe && !login.len)
            ? SAY(d, "Ask the administrator of %.*s to allow it", BYTES_FMT(host))
        : p->maybe ? SAY(d, "%.*s, or ask the administrator of %.*s to allow it", BYTES_FMT(login),
                         BYTES_FMT(host))
        : login.len
            ? SAY(d, "%.*s, or use the outgoing server of the network you are in", BYTES_FMT(login))
            : B("Use the outgoing server of the network you are in");
    return decide_refuse(d, REFUSE_NO_GRANT,
                         SAY(d, "Unable to relay to %.*s for %.*s: %.*s", BYTES_FMT(to),
                             BYTES_FMT(client), BYTES_FMT(no_grant_because(d, p))),
                         remedy);
}

/* Our suspicion, not the sender's fault: the mail waits until somebody has looked. */
bool decide_refuse_suspended(struct decision *d) {
    struct bytes client = decide_text_addr(d, d->facts->client);
    decide_changes_login(d);
    decide_change(d, "resume", false, client,
                  SAY(d, "postern grants resume %.*s: unsafe unless it is known who sent all that",
                      BYTES_FMT(client)));
    return decide_refuse(
        d, REFUSE_SUSPENDED,
        SAY(d, "Relaying for %.*s is suspended: too many unrelated senders", BYTES_FMT(client)),
        SAY(d, "The administrator of %.*s can lift it", BYTES_FMT(d->config->hostname)));
}

static bool only_suspended(struct decision *d) {
    for (size_t i = 0; i < d->config->connector_count; i++)
        if (decide_standings(d)[i].fails == WHO_SUSPENDED && !decide_standings(d)[i].expired &&
            serves_recipient(d, &d->config->connectors[i]))
            return true;
    return false;
}

/* Belongs to the grant: a domain of ours, or one that its senders name. */
static bool is_related(const struct decision *d, const struct connector *c) {
    struct bytes sender = d->facts->sender;
    bool related = !sender.len || config_domain(d->config, decide_domain(sender));
    for (size_t i = 0; i < c->sender_list.count && !related; i++)
        related = c->sender_list.list[i].kind != PATTERN_ANY &&
                  pattern_match(&c->sender_list.list[i], sender);
    return related;
}

static void note_watched(struct decision *d) {
    const struct connector *c = config_connector(d->config, d->out->connector);
    if (!c || !c->clients.count || !decide_trusts_address(c) || d->facts->local_door)
        return;
    d->out->watched = true;
    if (!is_related(d, c))
        d->out->unrelated = decide_domain(d->facts->sender);
}

bool decide_rule_relay(struct decision *d) {
    struct poll p = { 0 };
    if (poll_connectors(d, &p))
        return true;
    if (!p.recipients)
        return (only_suspended(d) && decide_refuse_suspended(d)) || poll_expired(d, &p) ||
               refuse_no_grant(d, &p);
    if (!p.senders)
        return refuse_sender(d);
    note_passes(d, &p);
    if (decide_limits(d))
        return true;
    note_watched(d);
    return decide_accept(d,
                         SAY(d, "connector %.*s grants the relay", BYTES_FMT(d->out->connector)));
}
