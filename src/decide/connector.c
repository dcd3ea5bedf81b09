/* connector: who is in play, and what a connector allows. This file alone reads a connector's WHO
 * and WHAT: each condition of WHO is a row of one table, so another kind of caller is another row. */
#include "decide/internal.h"

#include <string.h>

/* --- WHO ------------------------------------------------------------------------------------ */

struct bytes decide_login(const struct facts *f) {
    return f->login.len ? f->login : f->popped_login;
}

static bool entry_known(const struct facts *f) {
    return f->login_state == FACT_KNOWN;
}

static bool entry_void(const struct facts *f) {
    return !f->login_entry || f->login_entry->disabled;
}

static bool has_clients(const struct connector *c) {
    return c->clients.count > 0;
}

static enum holds clients_hold(struct decision *d, const struct connector *c, struct standing *s) {
    const struct facts *f = d->facts;
    if (f->client_unknown) {
        s->fails |= WHO_GATEWAY;
        s->because = B("the proxy in front did not say who is calling");
        return FAILS;
    }
    if (networks_have(c->clients, f->client))
        return HOLDS;
    s->because =
        SAY(d, "client %.*s is in none of its networks", BYTES_FMT(decide_text_addr(d, f->client)));
    return FAILS;
}

static bool has_except(const struct connector *c) {
    return c->except.count > 0;
}

static enum holds except_holds(struct decision *d, const struct connector *c, struct standing *s) {
    if (!networks_have(c->except, d->facts->client))
        return HOLDS;
    s->because =
        SAY(d, "client %.*s is in except", BYTES_FMT(decide_text_addr(d, d->facts->client)));
    return FAILS;
}

/* Where an address is all that is known of the caller. Behind this host's default gateway or a
 * bridge stands whoever NAT or a container proxy lets through. */
bool decide_trusts_address(const struct connector *c) {
    bool by_address = c->clients.count || c->pop_before_smtp;
    return by_address && !c->auth_any && !c->auth.count && !c->client_certificate.count;
}

static enum holds gateway_holds(struct decision *d, const struct connector *c, struct standing *s) {
    (void)c;
    if (d->facts->gateway_state != FACT_KNOWN) {
        s->needs |= FACT_GATEWAY;
        return UNSURE;
    }
    if (!d->facts->gateway)
        return HOLDS;
    s->because = SAY(d,
                     "%.*s is a default gateway or bridge address of this host: NAT or a proxy "
                     "there hides who is calling",
                     BYTES_FMT(decide_text_addr(d, d->facts->client)));
    return FAILS;
}

static enum holds suspended_holds(struct decision *d, const struct connector *c,
                                  struct standing *s) {
    (void)c;
    if (!d->facts->suspended)
        return HOLDS;
    s->because = SAY(d, "%.*s is suspended: many unrelated senders came from it (postern grants)",
                     BYTES_FMT(decide_text_addr(d, d->facts->client)));
    return FAILS;
}

static bool has_listeners(const struct connector *c) {
    return c->listeners.count > 0;
}

static enum holds listeners_hold(struct decision *d, const struct connector *c,
                                 struct standing *s) {
    const struct listener *l = d->facts->listener;
    if (l && strings_has(c->listeners, l->name))
        return HOLDS;
    s->because = l ? SAY(d, "it is not for listener %.*s", BYTES_FMT(l->name))
                   : B("it is not for the local door");
    return FAILS;
}

static bool has_auth(const struct connector *c) {
    return c->auth_any || c->auth.count;
}

static enum holds auth_holds(struct decision *d, const struct connector *c, struct standing *s) {
    const struct facts *f = d->facts;
    if (!f->login.len) {
        s->because = B("not logged in");
        return FAILS;
    }
    if (!c->auth_any && !strings_has(c->auth, f->login)) {
        s->because = SAY(d, "login %.*s is not in auth", BYTES_FMT(f->login));
        return FAILS;
    }
    if (!entry_known(f)) {
        s->needs |= FACT_LOGIN;
        return UNSURE;
    }
    if (!entry_void(f))
        return HOLDS;
    s->because = SAY(d, "login %.*s is disabled or gone", BYTES_FMT(f->login));
    return FAILS;
}

static bool has_certificate(const struct connector *c) {
    return c->client_certificate.count > 0;
}

static const struct vouch *find_vouch(const struct facts *f, struct bytes authority) {
    for (size_t i = 0; i < f->vouch_count; i++)
        if (bytes_equal(f->vouches[i].authority, authority))
            return &f->vouches[i];
    return NULL;
}

/* "ca:PATH name:NAME": both must hold, and of a certificate nobody vouches for no name counts. */
static bool vouched_for(struct decision *d, struct bytes entry, struct standing *s) {
    const struct facts *f = d->facts;
    struct bytes path, name;
    if (!config_certificate_split(entry, &path, &name))
        return false;
    const struct vouch *v = find_vouch(f, path);
    bool vouches = v && v->vouches;
    if (vouches && strings_has(f->client_names, name))
        return true;
    s->because = vouches ? SAY(d, "the client's certificate does not name %.*s", BYTES_FMT(name))
                 : v     ? SAY(d, "%.*s does not vouch for the client's certificate: %.*s",
                               BYTES_FMT(path), BYTES_FMT(v->because))
                         : SAY(d, "whether %.*s vouches for the client's certificate is not known",
                               BYTES_FMT(path));
    return false;
}

static enum holds certificate_holds(struct decision *d, const struct connector *c,
                                    struct standing *s) {
    const struct facts *f = d->facts;
    s->because = B("no client certificate was shown");
    if (f->client_spki.len != 32)
        return FAILS;
    s->because = SAY(d, "the client's certificate is another one, %.*s",
                     BYTES_FMT(decide_text_spki(d, f->client_spki)));
    struct bytes shown = decide_text_spki(d, f->client_spki);
    for (size_t i = 0; i < c->client_certificate.count; i++) {
        struct bytes entry = c->client_certificate.list[i];
        if (bytes_equal_nocase(entry, shown) || vouched_for(d, entry, s))
            return HOLDS;
    }
    return FAILS;
}

static bool has_pop(const struct connector *c) {
    return c->pop_before_smtp > 0;
}

/* With a login of its own a session is that login's, and the window only counts if it is too. */
static enum holds pop_holds(struct decision *d, const struct connector *c, struct standing *s) {
    const struct facts *f = d->facts;
    if (f->client_unknown) {
        s->fails |= WHO_GATEWAY;
        s->because = B("the proxy in front did not say who is calling");
        return FAILS;
    }
    if (!f->popped_login.len || (f->login.len && !bytes_equal_nocase(f->login, f->popped_login))) {
        s->because = B("no POP3 login came from this address lately");
        return FAILS;
    }
    if (f->popped_at > f->now || f->now - f->popped_at >= c->pop_before_smtp) {
        s->because = B("the POP3 login from this address is too long ago");
        return FAILS;
    }
    if (!entry_known(f)) {
        s->needs |= FACT_LOGIN;
        return UNSURE;
    }
    if (entry_void(f)) {
        s->because = SAY(d, "login %.*s is disabled or gone", BYTES_FMT(f->popped_login));
        return FAILS;
    }
    if (f->popped_at >= f->login_entry->logins_since)
        return HOLDS;
    s->because = SAY(d, "login %.*s has got another password since", BYTES_FMT(f->popped_login));
    return FAILS;
}

static bool has_local_users(const struct connector *c) {
    return c->local_users.count > 0;
}

static enum holds local_users_hold(struct decision *d, const struct connector *c,
                                   struct standing *s) {
    const struct facts *f = d->facts;
    if (f->local_door && strings_has(c->local_users, f->local_user))
        return HOLDS;
    s->because = f->local_door
                     ? SAY(d, "local user %.*s is not in local_users", BYTES_FMT(f->local_user))
                     : B("not handed in by a user of this host");
    return FAILS;
}

static bool has_tenant(const struct connector *c) {
    return c->tenant.len > 0;
}

static enum holds tenant_holds(struct decision *d, const struct connector *c, struct standing *s) {
    if (decide_login(d->facts).len && !entry_known(d->facts)) {
        s->needs |= FACT_LOGIN;
        return UNSURE;
    }
    const struct tenant *t = decide_tenant(d);
    if (t && bytes_equal(t->name, c->tenant))
        return HOLDS;
    s->because = SAY(d, "the session is not tenant %.*s's", BYTES_FMT(c->tenant));
    return FAILS;
}

static const struct who_row {
    const char *setting;
    enum who_bit bit;
    bool (*is_set)(const struct connector *c);
    enum holds (*holds)(struct decision *d, const struct connector *c, struct standing *s);
} who_rows[] = {
    { "clients", WHO_CLIENTS, has_clients, clients_hold },
    { "except", WHO_EXCEPT, has_except, except_holds },
    { "listeners", WHO_LISTENERS, has_listeners, listeners_hold },
    { "auth", WHO_AUTH, has_auth, auth_holds },
    { "client_certificate", WHO_CERTIFICATE, has_certificate, certificate_holds },
    { "pop_before_smtp", WHO_POP, has_pop, pop_holds },
    { "local_users", WHO_LOCAL_USERS, has_local_users, local_users_hold },
    { "tenant", WHO_TENANT, has_tenant, tenant_holds },
    { "clients", WHO_GATEWAY, decide_trusts_address, gateway_holds },
    { "clients", WHO_SUSPENDED, decide_trusts_address, suspended_holds },
};

static bool names_somebody(const struct connector *c) {
    return has_clients(c) || has_auth(c) || has_certificate(c) || has_pop(c) || has_local_users(c);
}

bool decide_expired(const struct connector *c, int64_t now) {
    return c->expires && now >= c->expires;
}

static void add_word(struct buf *b, const char *word) {
    if (b->len)
        buf_str(b, ", ");
    buf_str(b, word);
}

static void stand(struct decision *d, const struct connector *c, struct standing *s) {
    char text[128];
    struct buf held = buf_fixed(text, sizeof text);
    struct bytes first = BYTES_NONE;
    s->fails = names_somebody(c) ? 0 : WHO_NOBODY;
    s->expired = decide_expired(c, d->facts->now);
    for (size_t i = 0; i < COUNT_OF(who_rows); i++) {
        const struct who_row *row = &who_rows[i];
        if (!row->is_set(c))
            continue;
        enum holds holds = row->holds(d, c, s);
        if (holds == FAILS) {
            s->fails |= row->bit;
            if (!first.len)
                first = s->because;
        } else if (row->bit != WHO_GATEWAY && row->bit != WHO_SUSPENDED) {
            add_word(&held, row->setting);
        }
    }
    if (s->fails == WHO_NOBODY)
        first = B("it names nobody");
    s->because = first.len    ? first
                 : s->expired ? B("its time is over (expires)")
                              : SAY(d, "in play: %.*s", BYTES_FMT(buf_bytes(&held)));
}

const struct standing *decide_standings(struct decision *d) {
    if (d->standings || !d->config->connector_count)
        return d->standings;
    d->standings = ARENA_ARRAY(d->arena, d->config->connector_count, struct standing);
    for (size_t i = 0; i < d->config->connector_count; i++)
        stand(d, &d->config->connectors[i], &d->standings[i]);
    return d->standings;
}

enum stands decide_stands(const struct standing *s) {
    if (s->fails)
        return STANDS_OUT;
    if (s->expired)
        return STANDS_EXPIRED;
    return s->needs ? STANDS_UNSURE : STANDS_IN;
}

/* Of its login, whose domain says it; else of the address it connected to. A login of no tenant is
 * nobody's wherever it connects: a tenant that is given an address grants it nothing by that. */
const struct tenant *decide_tenant(struct decision *d) {
    const struct facts *f = d->facts;
    struct bytes login = decide_login(f);
    if (!login.len)
        return config_tenant_at(d->config, f->local);
    const struct tenant *t = config_tenant_of(d->config, login);
    bool told = !t && entry_known(f) && f->login_entry && f->login_entry->tenant.len;
    return told ? config_tenant(d->config, f->login_entry->tenant) : t;
}

/* --- WHAT ------------------------------------------------------------------------------------ */

bool decide_relays_to(const struct connector *c, struct bytes mailbox) {
    return !c->to_accepted && bytes_find(mailbox, '@') >= 0 &&
           patterns_match(c->may_relay_to, mailbox) > 0;
}

/* An alias in a tenant's domain makes nobody outside of it an owner of the address. */
static bool may_own(const struct decision *d, const struct directory_entry *e,
                    struct bytes mailbox) {
    const struct tenant *t = config_tenant_of(d->config, mailbox);
    return !t || t == config_tenant_of(d->config, e->address);
}

static bool in_own(const struct decision *d, const struct directory_entry *e,
                   struct bytes mailbox) {
    return bytes_equal_nocase(e->address, mailbox) ||
           (strings_has(e->own, mailbox) && may_own(d, e, mailbox));
}

/* user+tag@d without its tag; empty when it has none. */
static struct bytes without_tag(struct decision *d, struct bytes mailbox) {
    ptrdiff_t at = bytes_find_last(mailbox, '@');
    ptrdiff_t plus = bytes_find(mailbox, '+');
    if (plus <= 0 || at < plus)
        return BYTES_NONE;
    return SAY(d, "%.*s%.*s", BYTES_FMT(bytes_first(mailbox, (size_t)plus)),
               BYTES_FMT(bytes_skip(mailbox, (size_t)at)));
}

/* user+tag@d is user@d's, unless the directory knows somebody of exactly that name. A header field
 * has no entry of its own: there only the tag the envelope proved is taken. */
static enum holds own_tag(struct decision *d, const struct directory_entry *e, struct bytes mailbox,
                          bool header, uint32_t *needs) {
    const struct facts *f = d->facts;
    struct bytes plain = without_tag(d, mailbox);
    if (!plain.len || !in_own(d, e, plain))
        return FAILS;
    if (header && !bytes_equal_nocase(mailbox, f->sender))
        return FAILS;
    if (f->sender_state != FACT_KNOWN) {
        *needs |= FACT_SENDER_ENTRY;
        return UNSURE;
    }
    return f->sender_entry && in_own(d, e, f->sender_entry->address) ? HOLDS : FAILS;
}

/* Whether the directory knows a tagged sender as somebody of that name comes out when the choice has
 * been made: own_tag asks. */
bool decide_owns(struct decision *d, const struct directory_entry *e, struct bytes mailbox) {
    struct bytes plain = without_tag(d, mailbox);
    return in_own(d, e, mailbox) || patterns_match(e->send_as, mailbox) ||
           (plain.len && in_own(d, e, plain));
}

static enum holds own_of_login(struct decision *d, struct bytes mailbox, bool header,
                               uint32_t *needs) {
    const struct facts *f = d->facts;
    if (!entry_known(f)) {
        *needs |= FACT_LOGIN;
        return UNSURE;
    }
    if (entry_void(f))
        return FAILS;
    if (!mailbox.len)
        return header ? FAILS : HOLDS;
    if (in_own(d, f->login_entry, mailbox) || patterns_match(f->login_entry->send_as, mailbox))
        return HOLDS;
    return own_tag(d, f->login_entry, mailbox, header, needs);
}

static enum holds own(struct decision *d, const struct connector *c, struct bytes mailbox,
                      bool header, uint32_t *needs) {
    const struct facts *f = d->facts;
    if (decide_login(f).len && (!c || !c->local_users.count))
        return own_of_login(d, mailbox, header, needs);
    if (!mailbox.len)
        return header ? FAILS : HOLDS;
    if (!f->local_door || !c || !c->local_users.count)
        return FAILS;
    struct bytes mine =
        SAY(d, "%.*s@%.*s", BYTES_FMT(f->local_user), BYTES_FMT(d->config->hostname));
    return bytes_equal_nocase(mine, mailbox) ? HOLDS : FAILS;
}

/* An app password narrows whatever its login may do. */
bool decide_app_forbids(const struct facts *f, struct bytes mailbox) {
    return f->app_senders.count && !patterns_match(f->app_senders, mailbox);
}

/* Without the app password it might have been sent: then that is what to tell. */
bool decide_app_alone_forbids(struct decision *d, struct bytes mailbox, bool header) {
    struct facts whole = *d->facts;
    struct decision plain = *d;
    uint32_t needs = 0;
    if (!decide_app_forbids(d->facts, mailbox))
        return false;
    whole.app_senders = (struct patterns){ 0 };
    plain.facts = &whole;
    bool holds = decide_sender(&plain, NULL, mailbox, header, &needs) == HOLDS;
    for (size_t i = 0; i < d->config->connector_count && !holds; i++)
        holds = decide_stands(&decide_standings(d)[i]) == STANDS_IN &&
                decide_sender(&plain, &d->config->connectors[i], mailbox, header, &needs) == HOLDS;
    return holds || needs; /* it is not asked who else might object */
}

enum holds decide_sender(struct decision *d, const struct connector *c, struct bytes mailbox,
                         bool header, uint32_t *needs) {
    if (decide_app_forbids(d->facts, mailbox))
        return FAILS;
    if (!c || c->senders == SENDERS_OWN)
        return own(d, c, mailbox, header, needs);
    if (header && !mailbox.len)
        return FAILS;
    if (c->senders == SENDERS_ANY)
        return HOLDS;
    return patterns_match(c->sender_list, mailbox) ? HOLDS : FAILS;
}
