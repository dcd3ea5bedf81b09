/* changes: the smallest changes that would turn a refusal into acceptance. Each is found by asking
 * which single condition stood in the way, and says so when it would let in more than was asked. */
#include "base/num.h"
#include "decide/internal.h"

#include <string.h>

/* --- logging in --------------------------------------------------------------------------------- */

static bool for_listener(const struct connector *c, const struct listener *l) {
    return !c->listeners.count || strings_has(c->listeners, l->name);
}

/* Would some login be granted what is asked, over this listener? Before RCPT any login will do. */
static bool login_helps(struct decision *d, const struct listener *l) {
    if (d->step != STEP_RCPT || d->to != TO_OTHERS)
        return true;
    for (size_t i = 0; i < d->config->connector_count; i++) {
        const struct connector *c = &d->config->connectors[i];
        unsigned others = decide_standings(d)[i].fails & ~(unsigned)(WHO_AUTH | WHO_LISTENERS);
        bool logins = c->auth_any || c->auth.count;
        if (logins && !others && !decide_expired(c, d->facts->now) && for_listener(c, l) &&
            decide_relays_to(c, d->facts->recipient))
            return true;
    }
    return false;
}

/* The ports of RFC 6409 and 8314 are made like this: a login is required, and TLS. */
static unsigned login_score(const struct listener *l) {
    if (l->service != SERVICE_SMTP || l->auth == AUTH_OFF || l->tls == TLS_OFF)
        return 0;
    return 1 + (l->auth == AUTH_REQUIRE ? 4u : 0u) + (l->tls == TLS_OFFER ? 0u : 2u);
}

const struct listener *decide_login_listener(struct decision *d) {
    const struct listener *best = NULL;
    for (size_t i = 0; i < d->config->listener_count; i++) {
        const struct listener *l = &d->config->listeners[i];
        if (login_score(l) > (best ? login_score(best) : 0) && login_helps(d, l))
            best = l;
    }
    return best;
}

struct bytes decide_login_words(struct decision *d) {
    const struct listener *l = decide_login_listener(d);
    if (!l)
        return BYTES_NONE;
    bool port = l->address_count && l->addresses[0].port;
    if (l == d->facts->listener || !port)
        return B("Log in");
    return SAY(d, "Log in on port %u", l->addresses[0].port);
}

void decide_changes_login(struct decision *d) {
    const struct listener *l = decide_login_listener(d);
    if (!l || d->facts->login.len || d->facts->local_door)
        return;
    bool port = l->address_count && l->addresses[0].port;
    decide_change(
        d, "login", true, l->name,
        port ? SAY(d, "log in on port %u (listener %.*s)", l->addresses[0].port, BYTES_FMT(l->name))
             : SAY(d, "log in at listener %.*s", BYTES_FMT(l->name)));
}

/* --- a client's address ------------------------------------------------------------------------- */

static struct bytes network_text(struct decision *d, struct addr client, unsigned bits) {
    char text[64];
    struct buf b = buf_fixed(text, sizeof text);
    network_format(&b, (struct network){ addr_masked(addr_fold(client), bits), bits });
    return arena_copy(d->arena, buf_bytes(&b));
}

/* Can the address say who is calling? */
static bool address_counts(const struct facts *f) {
    return !f->client_unknown && (f->client.family == 4 || f->client.family == 6) &&
           !(f->gateway_state == FACT_KNOWN && f->gateway);
}

static void add_client(struct decision *d, const struct connector *c) {
    const struct facts *f = d->facts;
    struct bytes client = decide_text_addr(d, f->client);
    struct bytes around = network_text(d, f->client, f->client.family == 6 ? 64 : 24);
    decide_change(d, "add-client", true, SAY(d, "%.*s %.*s", BYTES_FMT(c->name), BYTES_FMT(client)),
                  SAY(d,
                      "add %.*s to clients of connector %.*s, if it is one machine of yours with "
                      "a fixed address",
                      BYTES_FMT(client), BYTES_FMT(c->name)));
    decide_change(d, "add-network", false,
                  SAY(d, "%.*s %.*s", BYTES_FMT(c->name), BYTES_FMT(around)),
                  SAY(d,
                      "add %.*s to clients of connector %.*s: unsafe, every machine in it could "
                      "then relay without a login",
                      BYTES_FMT(around), BYTES_FMT(c->name)));
}

static void drop_except(struct decision *d, const struct connector *c) {
    struct bytes client = decide_text_addr(d, d->facts->client);
    decide_change(d, "drop-except", false,
                  SAY(d, "%.*s %.*s", BYTES_FMT(c->name), BYTES_FMT(client)),
                  SAY(d,
                      "take %.*s out of except of connector %.*s: unsafe if it was put there "
                      "because others share it",
                      BYTES_FMT(client), BYTES_FMT(c->name)));
}

static bool hosted(const struct decision *d, struct bytes mailbox) {
    ptrdiff_t at = bytes_find_last(mailbox, '@');
    return at >= 0 && config_domain(d->config, bytes_skip(mailbox, (size_t)at + 1));
}

/* --- a relay that nobody grants ------------------------------------------------------------------ */

static bool sender_holds(struct decision *d, const struct connector *c) {
    uint32_t needs = 0;
    return decide_sender(d, c, d->facts->sender, false, &needs) == HOLDS;
}

static struct bytes recipient_domain(const struct decision *d) {
    struct bytes to = d->facts->recipient;
    return bytes_skip(to, (size_t)(bytes_find_last(to, '@') + 1));
}

static void widen(struct decision *d, const struct connector *c) {
    struct bytes domain = recipient_domain(d);
    decide_change(d, "widen-relay", true,
                  SAY(d, "%.*s %.*s", BYTES_FMT(c->name), BYTES_FMT(domain)),
                  SAY(d, "add %.*s to may_relay_to of connector %.*s",
                      BYTES_FMT(decide_text_cut(d, domain)), BYTES_FMT(c->name)));
}

static void add_login(struct decision *d, const struct connector *c) {
    struct bytes login = d->facts->login;
    bool live = d->facts->login_state == FACT_KNOWN && d->facts->login_entry &&
                !d->facts->login_entry->disabled;
    if (login.len && live && !c->auth_any && !strings_has(c->auth, login))
        decide_change(
            d, "add-login", true, SAY(d, "%.*s %.*s", BYTES_FMT(c->name), BYTES_FMT(login)),
            SAY(d, "add %.*s to auth of connector %.*s", BYTES_FMT(login), BYTES_FMT(c->name)));
}

/* A login that is disabled or gone: would it pass if it were not? The decision itself is asked. */
void decide_changes_user(struct decision *d) {
    const struct facts *f = d->facts;
    struct bytes login = decide_login(f);
    bool gone = !f->login_entry;
    if (!login.len || f->login_state != FACT_KNOWN || (!gone && !f->login_entry->disabled))
        return;
    struct directory_entry live = { .kind = DIRECTORY_USER, .address = login };
    struct facts then = *f;
    struct verdict v;
    if (!gone)
        live = *f->login_entry;
    live.disabled = false;
    then.login_entry = &live;
    decide(d->config, d->step, &then, d->arena, &v);
    if (v.rc == OK || v.rc == MORE)
        decide_change(
            d, gone ? "add-user" : "enable-user", true, login,
            gone ? SAY(d, "make the login: postern user add %.*s", BYTES_FMT(login))
                 : SAY(d, "enable the login again: postern user enable %.*s", BYTES_FMT(login)));
}

static void other_listener(struct decision *d, const struct connector *c) {
    for (size_t i = 0; i < d->config->listener_count; i++) {
        const struct listener *l = &d->config->listeners[i];
        if (l->service != SERVICE_SMTP || !for_listener(c, l) || !d->facts->listener)
            continue;
        decide_change(d, "listener", true, l->name,
                      SAY(d, "connect to listener %.*s instead", BYTES_FMT(l->name)));
        return;
    }
}

static void add_local_user(struct decision *d, const struct connector *c) {
    struct bytes user = d->facts->local_user;
    if (d->facts->local_door)
        decide_change(d, "add-local-user", true,
                      SAY(d, "%.*s %.*s", BYTES_FMT(c->name), BYTES_FMT(user)),
                      SAY(d, "add %.*s to local_users of connector %.*s", BYTES_FMT(user),
                          BYTES_FMT(c->name)));
}

/* Whoever has the key is let in, so it must be known whose it is. */
static void add_certificate(struct decision *d, const struct connector *c) {
    const struct facts *f = d->facts;
    if (f->client_spki.len == 32) {
        struct bytes key = decide_text_spki(d, f->client_spki);
        decide_change(d, "add-certificate", false,
                      SAY(d, "%.*s %.*s", BYTES_FMT(c->name), BYTES_FMT(key)),
                      SAY(d,
                          "add %.*s to client_certificate of connector %.*s: unsafe unless its "
                          "owner confirms that this is the key",
                          BYTES_FMT(key), BYTES_FMT(c->name)));
    } else if (f->listener && f->listener->tls != TLS_OFF) {
        decide_change(d, "show-certificate", true, c->name,
                      SAY(d, "show the client certificate that connector %.*s is for, within TLS%s",
                          BYTES_FMT(c->name), f->tls_version ? "" : " (STARTTLS)"));
    }
}

/* What one condition of WHO would take; the rest of the connector holds. */
static void mend_who(struct decision *d, const struct connector *c, unsigned fails) {
    if (fails == WHO_CLIENTS && address_counts(d->facts))
        add_client(d, c);
    if (fails == WHO_EXCEPT && address_counts(d->facts))
        drop_except(d, c);
    if (fails == WHO_AUTH)
        add_login(d, c);
    if (fails == WHO_LISTENERS)
        other_listener(d, c);
    if (fails == WHO_LOCAL_USERS)
        add_local_user(d, c);
    if (fails == WHO_CERTIFICATE)
        add_certificate(d, c);
}

static bool has_kind(const struct decision *d, const char *kind) {
    for (size_t i = 0; i < d->out->change_count; i++)
        if (strcmp(d->changes[i].kind, kind) == 0)
            return true;
    return false;
}

static void own_connector(struct decision *d) {
    if (!address_counts(d->facts) || d->facts->login.len || has_kind(d, "add-client"))
        return;
    struct bytes client = decide_text_addr(d, d->facts->client), to = recipient_domain(d);
    decide_change(d, "add-connector", true, SAY(d, "%.*s %.*s", BYTES_FMT(client), BYTES_FMT(to)),
                  SAY(d,
                      "give %.*s a connector of its own with may_relay_to = {\"%.*s\"}, if it is "
                      "one machine of yours with a fixed address",
                      BYTES_FMT(client), BYTES_FMT(decide_text_cut(d, to))));
}

/* Would the sender do, were the recipient ours? */
static bool sender_would_do(struct decision *d) {
    bool in_play = false;
    for (size_t i = 0; i < d->config->connector_count; i++) {
        const struct standing *s = &decide_standings(d)[i];
        if (s->fails || s->expired)
            continue;
        in_play = true;
        if (sender_holds(d, &d->config->connectors[i]))
            return true;
    }
    return !d->out->bound || (d->facts->login.len && !in_play && sender_holds(d, NULL));
}

static void host_domain(struct decision *d) {
    struct bytes domain = recipient_domain(d);
    if (domain.len && domain.at[0] != '[' && sender_would_do(d))
        decide_change(d, "host-domain", true, domain,
                      SAY(d, "host the domain, if it is yours: domain \"%.*s\" {}",
                          BYTES_FMT(decide_text_cut(d, domain))));
}

/* Whose the sender is, was not asked: it could not change the refusal. */
static void pop_again(struct decision *d, const struct connector *c, const struct standing *s) {
    const struct facts *f = d->facts;
    char text[40];
    struct buf window = buf_fixed(text, sizeof text);
    if (s->fails != WHO_POP || s->expired || f->login.len || !address_counts(f) ||
        !hosted(d, f->sender) || !decide_relays_to(c, f->recipient))
        return;
    num_format_duration(&window, c->pop_before_smtp);
    decide_change(d, "pop-login", true, f->sender,
                  SAY(d,
                      "fetch mail by POP3 from this address with the login that %.*s belongs to, "
                      "and send within %s",
                      BYTES_FMT(decide_text_cut(d, f->sender)), buf_text(&window)));
}

static void mend_connector(struct decision *d, size_t i) {
    const struct connector *c = &d->config->connectors[i];
    const struct standing *s = &decide_standings(d)[i];
    bool relays = decide_relays_to(c, d->facts->recipient), sends = sender_holds(d, c);
    if (s->expired && !s->fails && !s->needs && relays && sends)
        decide_change(d, "renew", true, c->name,
                      SAY(d, "give connector %.*s a later expires", BYTES_FMT(c->name)));
    /* Facts that could not change the refusal were not asked for: not sure is good enough here. */
    if (!s->fails && !s->expired && !relays && sends)
        widen(d, c);
    if (!s->expired && relays && sends)
        mend_who(d, c, s->fails);
    pop_again(d, c, s);
}

void decide_changes_no_grant(struct decision *d) {
    decide_changes_login(d);
    if (!d->facts->login.len && !d->facts->local_door)
        decide_change(d, "outgoing-server", true, BYTES_NONE,
                      B("use the outgoing server of the network you are in"));
    decide_changes_user(d);
    for (size_t i = 0; i < d->config->connector_count; i++)
        mend_connector(d, i);
    own_connector(d);
    host_domain(d);
}

/* Clients that may do without: only where there is a connector for such clients already. */
void decide_changes_waiver(struct decision *d, bool tls) {
    for (size_t i = 0; i < d->config->connector_count; i++) {
        const struct connector *c = &d->config->connectors[i];
        const struct standing *s = &decide_standings(d)[i];
        struct strings waived = tls ? c->without_tls_on : c->without_auth_on;
        unsigned fails = tls ? s->fails & ~(unsigned)WHO_AUTH : s->fails;
        if (!strings_has(waived, d->facts->listener->name))
            continue;
        if (s->expired && !fails && !s->needs)
            decide_change(d, "renew", true, c->name,
                          SAY(d, "give connector %.*s a later expires", BYTES_FMT(c->name)));
        else if (!s->expired && fails == WHO_CLIENTS && address_counts(d->facts))
            add_client(d, c);
    }
}

/* --- a sender that is somebody else's ------------------------------------------------------------- */

static const char *forged_warning(const struct decision *d, struct bytes mailbox) {
    return hosted(d, mailbox) ? ""
                              : ": unsafe, the domain is not hosted here, and others may refuse "
                                "such mail as forged";
}

/* An address the connector's list allows, as close to the one given as can be. */
static struct bytes allowed_address(struct decision *d, const struct connector *c,
                                    struct bytes mailbox) {
    ptrdiff_t at = bytes_find_last(mailbox, '@');
    struct bytes local = at > 0 ? bytes_first(mailbox, (size_t)at) : B("postmaster");
    for (size_t i = 0; i < c->sender_list.count; i++) {
        const struct pattern *p = &c->sender_list.list[i];
        if (p->kind == PATTERN_ADDRESS)
            return p->text;
        if (p->kind == PATTERN_DOMAIN)
            return SAY(d, "%.*s@%.*s", BYTES_FMT(local), BYTES_FMT(p->text));
    }
    return BYTES_NONE;
}

static void suggest_own(struct decision *d, struct bytes address, bool header) {
    if (!address.len)
        return;
    decide_change(d, header ? "own-header" : "own-sender", true, address,
                  header ? SAY(d, "put an allowed address into the field: %.*s", BYTES_FMT(address))
                         : SAY(d, "send as an allowed address: %.*s", BYTES_FMT(address)));
}

static void allow_login(struct decision *d, struct bytes mailbox, bool header) {
    const struct facts *f = d->facts;
    struct bytes login = decide_login(f);
    if (!login.len || f->login_state != FACT_KNOWN || !f->login_entry)
        return;
    if (f->login_entry->disabled)
        return;
    suggest_own(d, f->login_entry->address, header);
    if (mailbox.len)
        decide_change(d, "allow-sender", hosted(d, mailbox),
                      SAY(d, "%.*s %.*s", BYTES_FMT(login), BYTES_FMT(mailbox)),
                      SAY(d, "give the right: postern user allow-sender %.*s %.*s%s",
                          BYTES_FMT(login), BYTES_FMT(decide_text_cut(d, mailbox)),
                          forged_warning(d, mailbox)));
}

static void allow_on_list(struct decision *d, const struct connector *c, struct bytes mailbox,
                          bool header) {
    suggest_own(d, allowed_address(d, c, mailbox), header);
    if (mailbox.len)
        decide_change(d, "add-sender", hosted(d, mailbox),
                      SAY(d, "%.*s %.*s", BYTES_FMT(c->name), BYTES_FMT(mailbox)),
                      SAY(d, "add %.*s to senders of connector %.*s%s",
                          BYTES_FMT(decide_text_cut(d, mailbox)), BYTES_FMT(c->name),
                          forged_warning(d, mailbox)));
}

/* Only connectors that the sender was asked about: in play, and for this recipient. */
static bool asked_about(struct decision *d, size_t i, bool header) {
    const struct connector *c = &d->config->connectors[i];
    if (header)
        return strings_has(d->facts->charged, c->name);
    return decide_stands(&decide_standings(d)[i]) == STANDS_IN &&
           (d->to != TO_OTHERS || decide_relays_to(c, d->facts->recipient));
}

/* --- what it may send as ---------------------------------------------------------------------------- */

enum { WORDS_MAX = 140 };

/* At most WORDS_MAX octets, however many there are. */
struct words {
    char text[WORDS_MAX + 40];
    struct buf out;
    size_t left_out;
};

static void list_one(struct words *l, const char *before, struct bytes text) {
    if (l->left_out || l->out.len + text.len + 4 > WORDS_MAX) {
        l->left_out++;
        return;
    }
    buf_str(&l->out, l->out.len ? ", " : "");
    buf_str(&l->out, before);
    buf_add(&l->out, text);
}

static void list_patterns(struct words *l, struct patterns patterns) {
    for (size_t i = 0; i < patterns.count; i++) {
        const struct pattern *p = &patterns.list[i];
        if (p->kind == PATTERN_ANY)
            list_one(l, "", B("*"));
        else if (p->kind != PATTERN_NULL)
            list_one(l, p->kind == PATTERN_ADDRESS ? "" : "*@", p->text);
    }
}

static void list_own(struct decision *d, struct words *l) {
    const struct facts *f = d->facts;
    if (f->login_state != FACT_KNOWN || !f->login_entry || f->login_entry->disabled)
        return;
    const struct directory_entry *e = f->login_entry;
    list_one(l, "", e->address);
    for (size_t i = 0; i < e->own.count; i++)
        if (!bytes_equal_nocase(e->own.list[i], e->address))
            list_one(l, "", e->own.list[i]);
    list_patterns(l, e->send_as);
}

/* Only to whom it belongs: other people's addresses are nothing for strangers. */
struct bytes decide_sender_words(struct decision *d, bool header) {
    struct words l = { .left_out = 0 };
    bool own = false, asked = false;
    if (!d->facts->login.len)
        return BYTES_NONE;
    l.out = buf_fixed(l.text, sizeof l.text);
    for (size_t i = 0; i < d->config->connector_count; i++) {
        const struct connector *c = &d->config->connectors[i];
        if (!asked_about(d, i, header))
            continue;
        asked = true;
        own |= c->senders == SENDERS_OWN;
        if (c->senders == SENDERS_LIST)
            list_patterns(&l, c->sender_list);
    }
    if (own || !asked)
        list_own(d, &l);
    if (l.left_out && l.out.len)
        buf_printf(&l.out, " and %zu more", l.left_out);
    return arena_copy(d->arena, buf_bytes(&l.out));
}

void decide_changes_sender(struct decision *d, struct bytes mailbox, bool header) {
    size_t asked = 0;
    decide_changes_user(d);
    for (size_t i = 0; i < d->config->connector_count; i++) {
        const struct connector *c = &d->config->connectors[i];
        if (!asked_about(d, i, header))
            continue;
        asked++;
        if (c->senders == SENDERS_LIST)
            allow_on_list(d, c, mailbox, header);
        else if (c->local_users.count && d->facts->local_door)
            suggest_own(d,
                        SAY(d, "%.*s@%.*s", BYTES_FMT(d->facts->local_user),
                            BYTES_FMT(d->config->hostname)),
                        header);
        else
            allow_login(d, mailbox, header);
    }
    if (!asked)
        allow_login(d, mailbox, header);
    if (!d->facts->login.len && !header)
        decide_changes_login(d);
}

/* Another password first: the bound is there on purpose. */
void decide_changes_app(struct decision *d, struct bytes mailbox) {
    const struct facts *f = d->facts;
    struct bytes app = decide_text_cut(d, f->app_password), login = decide_text_cut(d, f->login);
    decide_change(d, "other-password", true, f->login,
                  SAY(d, "log in with the password of %.*s itself", BYTES_FMT(login)));
    if (mailbox.len)
        decide_change(d, "app-sender", true,
                      SAY(d, "%.*s %.*s %.*s", BYTES_FMT(f->login), BYTES_FMT(f->app_password),
                          BYTES_FMT(mailbox)),
                      SAY(d, "make app password %.*s of %.*s anew with --sender %.*s too",
                          BYTES_FMT(app), BYTES_FMT(login),
                          BYTES_FMT(decide_text_cut(d, mailbox))));
    else
        decide_change(d, "app-network", true,
                      SAY(d, "%.*s %.*s %.*s", BYTES_FMT(f->login), BYTES_FMT(f->app_password),
                          BYTES_FMT(decide_text_addr(d, f->client))),
                      SAY(d, "make app password %.*s of %.*s anew with --network %.*s too",
                          BYTES_FMT(app), BYTES_FMT(login),
                          BYTES_FMT(decide_text_addr(d, f->client))));
}
