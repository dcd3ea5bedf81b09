/* prove: that a configuration cannot be an open relay. It never looks at senders, which anybody can
 * write, but counts the addresses from which mail is relayed without anything proved; and it says
 * where grants cancel each other or their time is over. */
#include "base/num.h"
#include "decide/internal.h"
#include "decide/ranges.h"

#include <string.h>

/* Promise 1's bounds. */
static const wide public4_most = (wide)1 << 24, public4_wide = (wide)1 << 16;
static const wide public6_most = (wide)1 << 108, public6_wide = (wide)1 << 96;
static const wide peers4_most = (wide)1 << 8, peers6_most = (wide)1 << 104,
                  peers6_wide = (wide)1 << 64;

struct proof {
    const struct config *config;
    const struct networks *gateways;
    int64_t now;
    struct arena *arena;
    struct config_findings *out;
};

static struct config_finding *find(struct proof *p, int severity, struct place place,
                                   const char *id, struct bytes setting, struct bytes text) {
    struct config_finding *list = ARENA_ARRAY(p->arena, p->out->count + 1, struct config_finding);
    if (p->out->count)
        memcpy(list, p->out->list, p->out->count * sizeof *list);
    struct config_finding *mine = &list[p->out->count++];
    *mine = (struct config_finding){
        .severity = severity, .place = place, .setting = setting, .text = text, .id = id
    };
    p->out->list = list;
    return mine;
}

/* What an error of the proof says is shown, where there is a listener at which it can happen. */
static void show(struct proof *p, struct config_finding *f, struct bytes example) {
    f->example = example;
    f->text = arena_printf(p->arena, "%.*s. %s%.*s", BYTES_FMT(f->text),
                           example.len ? "For example it relays for "
                                       : "(As the file is now, no listener and sender rule lets it "
                                         "happen; the next change may.)",
                           BYTES_FMT(example));
}

static struct bytes setting_of(struct proof *p, const struct connector *c, const char *setting) {
    return arena_printf(p->arena, "connector %.*s: %s", BYTES_FMT(c->name), setting);
}

/* --- the union of what is granted without proof --------------------------------------------------- */

static bool grants_by_address(const struct proof *p, const struct connector *c) {
    return c->clients.count && !c->auth_any && !c->auth.count && !c->client_certificate.count &&
           !c->pop_before_smtp && !c->local_users.count && !decide_expired(c, p->now);
}

static struct address_set clients_of(const struct connector *c, struct arena *a) {
    return address_set_minus(address_set_of(c->clients, a), address_set_of(c->except, a), a);
}

static struct address_set public_clients(const struct connector *c, struct arena *a) {
    return address_set_public(address_set_fold(clients_of(c, a), a), a);
}

static bool larger(struct address_set x, struct address_set y) {
    wide x4 = ranges_size(x.v4), y4 = ranges_size(y.v4);
    return x4 != y4 ? x4 > y4 : ranges_size(x.v6) > ranges_size(y.v6);
}

/* "16777216 public IPv4 addresses", or for IPv6 the prefix it is about as wide as. */
static struct bytes amount(struct proof *p, struct address_set x) {
    unsigned bits = 128;
    for (wide n = ranges_size(x.v6); n > 1; n >>= 1)
        bits--;
    struct bytes v4 = x.v4.count ? arena_printf(p->arena, "%llu public IPv4 addresses",
                                                (unsigned long long)ranges_size(x.v4))
                                 : BYTES_NONE;
    if (!x.v6.count)
        return v4;
    return arena_printf(p->arena, "%.*s%spublic IPv6 as wide as a /%u", BYTES_FMT(v4),
                        v4.len ? " and " : "", bits);
}

static struct bytes contributors(struct proof *p) {
    struct buf b = buf_grow(4096);
    for (size_t i = 0; i < p->config->connector_count; i++) {
        const struct connector *c = &p->config->connectors[i];
        if (!grants_by_address(p, c) || address_set_empty(public_clients(c, p->arena)))
            continue;
        buf_str(&b, b.len ? ", " : "");
        buf_add(&b, c->name);
    }
    struct bytes all = arena_copy(p->arena, buf_bytes(&b));
    buf_free(&b);
    return all;
}

/* The widest connector is asked first; another may be the one that has a listener. */
static struct bytes public_example(struct proof *p, const struct connector *widest) {
    struct example_question q = {
        .config = p->config, .c = widest, .gateways = p->gateways, .now = p->now
    };
    q.among = public_clients(widest, p->arena);
    struct bytes found = decide_example(&q, p->arena);
    for (size_t i = 0; !found.len && i < p->config->connector_count; i++) {
        q.c = &p->config->connectors[i];
        q.among = public_clients(q.c, p->arena);
        if (q.c != widest && grants_by_address(p, q.c))
            found = decide_example(&q, p->arena);
    }
    return found;
}

static void prove_union(struct proof *p) {
    struct address_set all = { 0 }, most = { 0 };
    const struct connector *widest = NULL;
    for (size_t i = 0; i < p->config->connector_count; i++) {
        const struct connector *c = &p->config->connectors[i];
        if (!grants_by_address(p, c))
            continue;
        struct address_set open = public_clients(c, p->arena);
        if (!widest || larger(open, most)) {
            widest = c;
            most = open;
        }
        all = address_set_union(all, open, p->arena);
    }
    wide v4 = ranges_size(all.v4), v6 = ranges_size(all.v6);
    if (v4 <= public4_wide && v6 <= public6_wide)
        return;
    bool fails = v4 > public4_most || v6 > public6_most;
    struct config_finding *f = find(
        p, fails ? FINDING_ERROR : FINDING_WARNING, widest->place,
        fails ? "proof.public" : "proof.wide", setting_of(p, widest, "clients"),
        arena_printf(
            p->arena,
            "without a login this server would relay for %.*s (connectors: %.*s); %s: list the "
            "networks that are yours, and let everybody else log in",
            BYTES_FMT(amount(p, all)), BYTES_FMT(contributors(p)),
            fails ? "that is an open relay: at most 2^24 IPv4 addresses and an IPv6 /20 are taken"
                  : "that is more than most networks have"));
    if (fails)
        show(p, f, public_example(p, widest));
}

/* --- addresses behind which anybody may be --------------------------------------------------------- */

static bool is_single(struct network n) {
    return n.bits == (n.base.family == 4 ? 32u : 128u);
}

static struct bytes network_text(struct proof *p, struct network n) {
    char text[64];
    struct buf b = buf_fixed(text, sizeof text);
    if (is_single(n))
        addr_format(&b, n.base);
    else
        network_format(&b, n);
    return arena_copy(p->arena, buf_bytes(&b));
}

static void prove_gateway(struct proof *p, const struct connector *c, struct network gateway) {
    if (networks_have(c->except, gateway.base))
        return;
    for (size_t i = 0; i < c->clients.count; i++) {
        struct network n = c->clients.list[i];
        if (!network_contains(n, gateway.base))
            continue;
        bool outright = is_single(n);
        find(p, outright ? FINDING_ERROR : FINDING_WARNING, c->place,
             outright ? "proof.gateway" : "proof.gateway-inside", setting_of(p, c, "clients"),
             arena_printf(p->arena,
                          "%.*s is a default gateway or bridge address of this host: NAT or a "
                          "container proxy there hides who is calling%s",
                          BYTES_FMT(network_text(p, gateway)),
                          outright ? "; take it out, and let these clients log in"
                                   : ". It earns no grant without a login, though it is in a "
                                     "granted network"));
        return;
    }
}

static void prove_gateways(struct proof *p) {
    for (size_t i = 0; i < p->config->connector_count; i++)
        for (size_t j = 0; p->gateways && j < p->gateways->count; j++)
            if (grants_by_address(p, &p->config->connectors[i]))
                prove_gateway(p, &p->config->connectors[i], p->gateways->list[j]);
}

/* --- who may say whose address it is ----------------------------------------------------------------- */

/* A peer that claims to be one of those that are granted something by their address. */
static struct bytes claimed_example(struct proof *p, const struct listener *l, const char *setting,
                                    struct address_set peers) {
    struct example_question q = {
        .config = p->config, .at = l, .gateways = p->gateways, .now = p->now
    };
    struct bytes found = BYTES_NONE;
    struct addr peer;
    for (size_t i = 0; !found.len && i < p->config->connector_count; i++) {
        q.c = &p->config->connectors[i];
        q.among = public_clients(q.c, p->arena);
        if (grants_by_address(p, q.c))
            found = decide_example(&q, p->arena);
        q.among = address_set_fold(clients_of(q.c, p->arena), p->arena);
        if (grants_by_address(p, q.c) && !found.len)
            found = decide_example(&q, p->arena);
    }
    if (!found.len || !address_set_first(peers, &peer))
        return BYTES_NONE;
    char text[64];
    struct buf b = buf_fixed(text, sizeof text);
    addr_format(&b, peer);
    return arena_printf(p->arena, "peer %s, which claims by %s to be %.*s", buf_text(&b),
                        setting[0] == 'p' ? "PROXY" : "XCLIENT", BYTES_FMT(found));
}

static void prove_peers(struct proof *p, const struct listener *l, const char *setting,
                        struct networks peers) {
    struct address_set set = address_set_of(peers, p->arena);
    struct address_set folded = address_set_fold(set, p->arena);
    bool fails = ranges_widest(folded.v4) > peers4_most || ranges_widest(folded.v6) > peers6_most;
    if (!fails && ranges_widest(folded.v6) <= peers6_wide)
        return;
    struct config_finding *f = find(
        p, fails ? FINDING_ERROR : FINDING_WARNING, l->place, "proof.peers",
        arena_printf(p->arena, "listener %.*s: %s", BYTES_FMT(l->name), setting),
        fails ? B("these peers may claim any client address, and are wider than a /24: name the "
                  "proxies themselves")
              : B("these peers may claim any client address, and are wider than an IPv6 /64: name "
                  "the proxies themselves"));
    if (fails)
        show(p, f, claimed_example(p, l, setting, set));
}

static void prove_listeners(struct proof *p) {
    for (size_t i = 0; i < p->config->listener_count; i++) {
        const struct listener *l = &p->config->listeners[i];
        prove_peers(p, l, "proxy_protocol_from", l->proxy_protocol_from);
        prove_peers(p, l, "xclient_from", l->xclient_from);
    }
}

static void prove_domains(struct proof *p) {
    for (size_t i = 0; i < p->config->domain_count; i++) {
        const struct domain *d = &p->config->domains[i];
        if (bytes_find(d->name, '*') < 0 && !bytes_starts(d->name, B(".")) && d->name.len)
            continue;
        find(p, FINDING_ERROR, d->place, "proof.domain",
             arena_printf(p->arena, "domain %.*s", BYTES_FMT(d->name)),
             B("a domain with a wildcard would make everybody's mail ours: name each domain"));
    }
}

/* --- grants that cancel each other -------------------------------------------------------------------- */

static bool strings_within(struct strings inner, struct strings outer) {
    for (size_t i = 0; i < inner.count; i++)
        if (!strings_has(outer, inner.list[i]))
            return false;
    return true;
}

static bool clients_within(struct proof *p, const struct connector *in,
                           const struct connector *out) {
    if (!out->clients.count)
        return true;
    return in->clients.count &&
           address_set_within(clients_of(in, p->arena), clients_of(out, p->arena), p->arena);
}

static bool auth_within(const struct connector *in, const struct connector *out) {
    if (!out->auth_any && !out->auth.count)
        return true;
    if (out->auth_any)
        return in->auth_any || in->auth.count;
    return !in->auth_any && in->auth.count && strings_within(in->auth, out->auth);
}

/* Is every session that `in` is in play for also one of `out`? */
static bool who_within(struct proof *p, const struct connector *in, const struct connector *out) {
    if (out->listeners.count &&
        (!in->listeners.count || !strings_within(in->listeners, out->listeners)))
        return false;
    if (out->client_certificate.count &&
        (!in->client_certificate.count ||
         !strings_within(in->client_certificate, out->client_certificate)))
        return false;
    if (out->local_users.count &&
        (!in->local_users.count || !strings_within(in->local_users, out->local_users)))
        return false;
    if (out->pop_before_smtp &&
        (!in->pop_before_smtp || in->pop_before_smtp > out->pop_before_smtp))
        return false;
    if (out->tenant.len && !bytes_equal(out->tenant, in->tenant))
        return false;
    return auth_within(in, out) && clients_within(p, in, out);
}

/* Does `list` match whatever this pattern matches? */
static bool covers(struct patterns list, const struct pattern *in) {
    for (size_t i = 0; i < list.count; i++) {
        const struct pattern *p = &list.list[i];
        if (p->kind == PATTERN_ANY && in->kind != PATTERN_NULL)
            return true;
        if (p->kind == in->kind && bytes_equal_nocase(p->text, in->text))
            return true;
        if (in->kind == PATTERN_ADDRESS && pattern_match(p, in->text))
            return true;
        if (p->kind == PATTERN_SUBDOMAINS &&
            (in->kind == PATTERN_DOMAIN || in->kind == PATTERN_SUBDOMAINS) &&
            in->text.len > p->text.len && bytes_ends_nocase(in->text, p->text))
            return true;
    }
    return false;
}

static bool patterns_within(struct patterns in, struct patterns out) {
    for (size_t i = 0; i < in.count; i++)
        if (!covers(out, &in.list[i]))
            return false;
    return true;
}

static bool relays_within(const struct connector *in, const struct connector *out) {
    if (in->to_accepted)
        return true;
    return !out->to_accepted && patterns_within(in->may_relay_to, out->may_relay_to);
}

static bool senders_within(const struct connector *in, const struct connector *out) {
    if (out->senders == SENDERS_ANY)
        return true;
    if (in->senders != out->senders)
        return false;
    return in->senders == SENDERS_OWN || patterns_within(in->sender_list, out->sender_list);
}

static bool has_limits(const struct connector *c) {
    return c->limit.count || c->limit_total.count || c->limit_recipients.count;
}

static void find_void(struct proof *p, const struct connector *in, const struct connector *out,
                      const char *setting) {
    find(p, FINDING_WARNING, in->place, "proof.void", setting_of(p, in, setting),
         arena_printf(p->arena,
                      "void: whoever is in play here is also in play in connector %.*s, which "
                      "allows more; grants only add. Leave these clients out there (except), or "
                      "narrow it",
                      BYTES_FMT(out->name)));
}

static void prove_void(struct proof *p, const struct connector *in, const struct connector *out) {
    if (in->to_accepted || !who_within(p, in, out) || !relays_within(in, out))
        return;
    if (!senders_within(in, out))
        return;
    if (!senders_within(out, in))
        find_void(p, in, out, "senders");
    if (has_limits(in) && !has_limits(out))
        find_void(p, in, out, "limit");
}

static void prove_pairs(struct proof *p) {
    const struct config *c = p->config;
    for (size_t i = 0; i < c->connector_count; i++)
        for (size_t j = 0; j < c->connector_count; j++)
            if (i != j && !decide_expired(&c->connectors[i], p->now) &&
                !decide_expired(&c->connectors[j], p->now))
                prove_void(p, &c->connectors[i], &c->connectors[j]);
}

/* --- POP before SMTP ---------------------------------------------------------------------------------- */

enum { POP_WINDOW_WIDE = 60 * 60 * 1000 };

static bool serves_pop3(const struct config *c) {
    for (size_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i].service == SERVICE_POP3)
            return true;
    return false;
}

/* A window outlives its client at the address: the hotel's next guest has what is left of it. */
static void prove_pop(struct proof *p) {
    for (size_t i = 0; i < p->config->connector_count; i++) {
        const struct connector *c = &p->config->connectors[i];
        if (!c->pop_before_smtp || decide_expired(c, p->now))
            continue;
        if (c->pop_before_smtp > POP_WINDOW_WIDE)
            find(p, FINDING_WARNING, c->place, "proof.pop-window",
                 setting_of(p, c, "pop_before_smtp"),
                 B("whoever has the address within that time may send as the one who read mail "
                   "there: some minutes are enough, an hour is long"));
        if (!serves_pop3(p->config) && !c->note.len)
            find(
                p, FINDING_WARNING, c->place, "proof.pop-source",
                setting_of(p, c, "pop_before_smtp"),
                B("no listener has service = pop3, so that only `postern pop open` opens a window: "
                  "make one, or say in note who opens them"));
    }
}

/* --- tenants ------------------------------------------------------------------------------------------ */

/* Whose session it is, is known by its login or by the address of ours it came in by. */
static bool never_known(const struct connector *c, const struct tenant *t) {
    return !t->address.family && !c->auth_any && !c->auth.count && !c->pop_before_smtp;
}

static bool no_login_of(const struct proof *p, const struct connector *c, const struct tenant *t) {
    if (c->auth_any || !c->auth.count)
        return false;
    for (size_t i = 0; i < c->auth.count; i++)
        if (config_tenant_of(p->config, c->auth.list[i]) == t)
            return false;
    return true;
}

static void prove_tenant_connector(struct proof *p, const struct connector *c,
                                   const struct tenant *t) {
    if (never_known(c, t))
        find(p, FINDING_WARNING, c->place, "proof.tenant", setting_of(p, c, "tenant"),
             arena_printf(p->arena,
                          "without a login a session is tenant %.*s's by its address alone, and it "
                          "has none: this grants nothing. Give the tenant an address",
                          BYTES_FMT(t->name)));
    if (no_login_of(p, c, t))
        find(p, FINDING_WARNING, c->place, "proof.tenant", setting_of(p, c, "auth"),
             arena_printf(p->arena,
                          "none of these logins is in a domain of tenant %.*s: this grants nothing",
                          BYTES_FMT(t->name)));
    bool outside = c->clients.count && t->clients.count;
    for (size_t i = 0; outside && i < c->clients.count; i++)
        for (size_t j = 0; outside && j < t->clients.count; j++)
            outside = !network_contains(t->clients.list[j], c->clients.list[i].base) &&
                      !network_contains(c->clients.list[i], t->clients.list[j].base);
    if (outside)
        find(p, FINDING_WARNING, c->place, "proof.tenant", setting_of(p, c, "clients"),
             arena_printf(p->arena,
                          "none of these is in the clients of tenant %.*s, which hold whatever "
                          "grants: this grants nothing",
                          BYTES_FMT(t->name)));
}

static void prove_tenants(struct proof *p) {
    for (size_t i = 0; i < p->config->connector_count; i++) {
        const struct connector *c = &p->config->connectors[i];
        const struct tenant *t = c->tenant.len ? config_tenant(p->config, c->tenant) : NULL;
        if (t)
            prove_tenant_connector(p, c, t);
    }
}

static void prove_expired(struct proof *p) {
    for (size_t i = 0; i < p->config->connector_count; i++) {
        const struct connector *c = &p->config->connectors[i];
        if (decide_expired(c, p->now))
            find(p, FINDING_WARNING, c->place, "proof.expired", setting_of(p, c, "expires"),
                 B("the time of this grant is over: it grants nothing. Give it a later day, or "
                   "take it out"));
    }
}

void decide_prove(const struct config *config, const struct networks *gateways, int64_t now,
                  struct arena *a, struct config_findings *out) {
    struct proof p = { config, gateways, now, a, out };
    prove_union(&p);
    prove_gateways(&p);
    prove_listeners(&p);
    prove_domains(&p);
    prove_pairs(&p);
    prove_expired(&p);
    prove_pop(&p);
    prove_tenants(&p);
}
