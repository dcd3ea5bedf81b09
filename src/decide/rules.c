/* rules: from the connection to MAIL. */
#include "base/num.h"
#include "decide/internal.h"

/* A report of our own has nobody to prove anything to. */
bool decide_rule_own_door(struct decision *d) {
    if (!d->facts->inner_door)
        return false;
    decide_trace(d, B("inner door"), true, B("a report of this server's own"));
    return decide_accept(d, B("a report of this server's own"));
}

/* --- CONNECT --------------------------------------------------------------------------------- */

/* Which address counts: a tale about it stands in every trace, never in a reply. */
bool decide_rule_whose_address(struct decision *d) {
    const struct facts *f = d->facts;
    const struct listener *l = f->listener;
    struct bytes client = decide_text_addr(d, f->client);
    if (!f->client_told_by) {
        if (l && networks_have(l->proxy_protocol_from, f->client))
            decide_trace(d, decide_listener_name(d, "proxy_protocol_from"), false,
                         SAY(d,
                             "%.*s is such a peer: the address in its PROXY header counts, its own "
                             "does not",
                             BYTES_FMT(client)));
        return false;
    }
    struct bytes peer = f->client_peer.family ? decide_text_addr(d, f->client_peer) : B("the peer");
    decide_trace(d, B("client"), !f->client_unknown,
                 f->client_unknown
                     ? SAY(d, "%.*s did not tell by %s who is calling: no network counts",
                           BYTES_FMT(peer), f->client_told_by)
                     : SAY(d, "%.*s counts: %.*s told it by %s", BYTES_FMT(client), BYTES_FMT(peer),
                           f->client_told_by));
    return false;
}

bool decide_rule_connections(struct decision *d) {
    const struct listener *l = d->facts->listener;
    if (!l)
        return false;
    uint64_t max = l->max_connections_per_client, open = d->facts->client_connections;
    struct bytes name = decide_listener_name(d, "max_connections_per_client");
    if (open <= max) {
        decide_trace(
            d, name, true,
            SAY(d, "%llu of %llu connections", (unsigned long long)open, (unsigned long long)max));
        return false;
    }
    decide_trace(d, name, false,
                 SAY(d, "%llu connections are the most for one client", (unsigned long long)max));
    decide_change(d, "fewer-connections", true, SAY(d, "%llu", (unsigned long long)max),
                  SAY(d, "open at most %llu connections at a time", (unsigned long long)max));
    decide_change(d, "raise-connections", false,
                  SAY(d, "%.*s %llu", BYTES_FMT(l->name), (unsigned long long)open),
                  SAY(d,
                      "raise max_connections_per_client of listener %.*s to %llu: unsafe, any "
                      "stranger may then hold as many",
                      BYTES_FMT(l->name), (unsigned long long)open));
    return decide_refuse(d, REFUSE_CONNECTIONS,
                         SAY(d, "Too many connections from %.*s at the same time",
                             BYTES_FMT(decide_text_addr(d, d->facts->client))),
                         B("Close some, or try again in a minute"));
}

/* --- every command: TLS ------------------------------------------------------------------------ */

static bool is_one_of(struct bytes word, const char *const *words) {
    while (*words && !bytes_equal_nocase(bytes_str(*words), word))
        words++;
    return *words != NULL;
}

static bool before_tls(const struct listener *l, struct bytes verb) {
    static const char *const smtp[] = { "EHLO", "HELO", "NOOP", "STARTTLS", "QUIT", NULL };
    static const char *const pop3[] = { "CAPA", "STLS", "QUIT", NULL };
    return is_one_of(verb, l->service == SERVICE_POP3 ? pop3 : smtp);
}

/* As this listener's protocol calls it. */
static const char *tls_verb(const struct listener *l) {
    return l->service == SERVICE_POP3 ? "STLS" : "STARTTLS";
}

/* A connector that waives TLS is asked before anybody can have logged in: whatever else it wants
 * must hold already, and it must say for which clients it does so. */
static enum stands waives_tls(struct decision *d, size_t i, uint32_t *needs) {
    const struct connector *c = &d->config->connectors[i];
    if (!strings_has(c->without_tls_on, d->facts->listener->name))
        return STANDS_OUT;
    if (!c->clients.count && !c->pop_before_smtp)
        return STANDS_OUT;
    struct standing s = decide_standings(d)[i];
    s.fails &= ~(unsigned)WHO_AUTH;
    s.needs &= ~(uint32_t)FACT_LOGIN;
    *needs |= s.needs;
    return decide_stands(&s);
}

static struct bytes connector_name(struct decision *d, size_t i) {
    return SAY(d, "connector %.*s", BYTES_FMT(d->config->connectors[i].name));
}

/* True when the decision is ended by a question; *waived says the rest. */
static bool find_tls_waiver(struct decision *d, bool *waived) {
    for (size_t i = 0; i < d->config->connector_count; i++) {
        uint32_t needs = 0;
        enum stands stands = waives_tls(d, i, &needs);
        if (stands == STANDS_UNSURE)
            return decide_ask(d, needs);
        if (stands != STANDS_IN)
            continue;
        decide_trace(d, connector_name(d, i), true, B("without_tls_on waives TLS here"));
        *waived = true;
        return false;
    }
    return false;
}

/* Of a connector that would waive it, were its address not suspended. */
static bool waiver_suspended(struct decision *d, bool tls) {
    for (size_t i = 0; i < d->config->connector_count && d->facts->suspended; i++) {
        const struct connector *c = &d->config->connectors[i];
        struct strings waived = tls ? c->without_tls_on : c->without_auth_on;
        if (strings_has(waived, d->facts->listener->name) &&
            decide_standings(d)[i].fails == WHO_SUSPENDED && !decide_standings(d)[i].expired)
            return true;
    }
    return false;
}

bool decide_rule_tls(struct decision *d) {
    const struct facts *f = d->facts;
    const struct listener *l = f->listener;
    if (!l || f->tls_version || l->tls == TLS_OFF || l->tls == TLS_OFFER)
        return false;
    struct bytes name = decide_listener_name(d, "tls");
    if (before_tls(l, f->verb)) {
        decide_trace(d, name, true, SAY(d, "%.*s needs no TLS", BYTES_FMT(f->verb)));
        return false;
    }
    bool waived = false;
    if (find_tls_waiver(d, &waived))
        return true;
    decide_trace(d, name, waived,
                 waived ? B("required, but waived for this client")
                        : B("TLS is required and was not begun"));
    if (waived)
        return false;
    if (waiver_suspended(d, true))
        return decide_refuse_suspended(d);
    decide_change(d, "starttls", true, BYTES_NONE,
                  SAY(d, "begin TLS (%s) before anything else", tls_verb(l)));
    if (l->service == SERVICE_SMTP && l->auth == AUTH_REQUIRE) /* which comes next */
        decide_changes_login(d);
    decide_changes_waiver(d, true);
    return decide_refuse(d, REFUSE_TLS_REQUIRED,
                         SAY(d, "Must issue a %s command first", tls_verb(l)),
                         B("Switch on STARTTLS in the mail program's settings for this server"));
}

/* --- AUTH --------------------------------------------------------------------------------------- */

bool decide_rule_auth_offered(struct decision *d) {
    const struct listener *l = d->facts->listener;
    bool offered = l && l->auth != AUTH_OFF;
    decide_trace(d, decide_listener_name(d, "auth"), offered,
                 offered ? B("logins are taken here") : B("logins are not taken here"));
    if (offered)
        return false;
    decide_changes_login(d);
    struct bytes login = decide_login_words(d);
    return decide_refuse(d, REFUSE_AUTH_NOT_HERE, B("Logins are not taken on this port"),
                         login.len ? login : B("Send without a login, or ask the administrator"));
}

bool decide_rule_auth_sequence(struct decision *d) {
    const struct facts *f = d->facts;
    if (f->login.len) {
        decide_trace(d, B("order of commands"), false, B("logged in already"));
        decide_change(d, "new-session", true, BYTES_NONE, B("use a new connection to log in anew"));
        return decide_refuse(d, REFUSE_SEQUENCE, B("Logged in already"),
                             B("Use a new connection to log in as somebody else"));
    }
    if (!f->has_sender)
        return false;
    decide_trace(d, B("order of commands"), false, B("AUTH within a transaction"));
    decide_change(d, "reset", true, BYTES_NONE, B("log in before MAIL, or after RSET"));
    return decide_refuse(d, REFUSE_SEQUENCE, B("AUTH is not taken between MAIL and the message"),
                         B("Log in before MAIL"));
}

/* Credentials that a listener on the way could use again. */
static bool sends_secret(struct bytes mechanism) {
    static const char *const plain[] = { "PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER", NULL };
    return is_one_of(mechanism, plain);
}

/* RFC 4422 appendix A: what the channel below says is all there is to say. */
static bool needs_certificate(struct bytes mechanism) {
    return bytes_equal_nocase(mechanism, B("EXTERNAL"));
}

static bool binds_channel(struct bytes mechanism) {
    return bytes_ends_nocase(mechanism, B("-PLUS"));
}

bool decide_rule_auth_plaintext(struct decision *d) {
    const struct facts *f = d->facts;
    if (f->tls_version || !sends_secret(f->mechanism) ||
        !strings_has(f->listener->mechanisms, f->mechanism))
        return false;
    decide_trace(d, decide_listener_name(d, "mechanisms"), false,
                 SAY(d, "%.*s sends the password itself and is taken within TLS only",
                     BYTES_FMT(f->mechanism)));
    bool can = f->listener->tls != TLS_OFF;
    if (can)
        decide_change(d, "starttls", true, BYTES_NONE,
                      SAY(d, "begin TLS (%s), then log in", tls_verb(f->listener)));
    else
        decide_changes_login(d);
    struct bytes elsewhere = decide_login_words(d);
    return decide_refuse(d, REFUSE_PLAINTEXT,
                         SAY(d, "%.*s is taken within TLS only", BYTES_FMT(f->mechanism)),
                         can ? SAY(d, "Begin TLS (%s), then log in; the password was not looked at",
                                   tls_verb(f->listener))
                         : elsewhere.len ? SAY(d, "%.*s instead", BYTES_FMT(elsewhere))
                                         : B("Use a mechanism that does not send the password"));
}

/* Is this one on the listener's list usable now? */
static bool usable(const struct facts *f, struct bytes mechanism) {
    if (needs_certificate(mechanism))
        return f->tls_version && f->client_spki.len;
    return f->tls_version || (!sends_secret(mechanism) && !binds_channel(mechanism));
}

static struct bytes usable_list(const struct facts *f, struct arena *a) {
    char text[512];
    struct buf b = buf_fixed(text, sizeof text);
    for (size_t i = 0; i < f->listener->mechanisms.count; i++) {
        struct bytes m = f->listener->mechanisms.list[i];
        if (!usable(f, m))
            continue;
        if (b.len)
            buf_char(&b, ' ');
        buf_add(&b, m);
    }
    return arena_copy(a, buf_bytes(&b));
}

bool decide_rule_auth_mechanism(struct decision *d) {
    const struct facts *f = d->facts;
    struct bytes name = decide_listener_name(d, "mechanisms");
    struct bytes offered = usable_list(f, d->arena), first = offered;
    if (strings_has(f->listener->mechanisms, f->mechanism) && usable(f, f->mechanism)) {
        decide_trace(d, name, true, SAY(d, "%.*s is offered", BYTES_FMT(f->mechanism)));
        return false;
    }
    struct bytes asked = decide_text_cut(d, f->mechanism);
    decide_trace(d, name, false, SAY(d, "%.*s is not offered", BYTES_FMT(asked)));
    if (offered.len && bytes_split(&first, ' ', &name))
        decide_change(d, "mechanism", true, name, SAY(d, "log in with %.*s", BYTES_FMT(name)));
    else if (f->listener->tls != TLS_OFF)
        decide_change(
            d, "starttls", true, BYTES_NONE,
            SAY(d, "begin TLS (%s): mechanisms are offered after it", tls_verb(f->listener)));
    return decide_refuse(d, REFUSE_MECHANISM,
                         SAY(d, "Mechanism %.*s is not offered", BYTES_FMT(asked)),
                         offered.len ? SAY(d, "Offered: %.*s", BYTES_FMT(offered))
                                     : SAY(d, "Begin TLS (%s): mechanisms are offered after it",
                                           tls_verb(f->listener)));
}

/* Logins kept elsewhere need no entry of their own here. */
static bool is_kept_here(const struct config *c) {
    return c->logins.count <= 1 && (!c->logins.count || strings_has(c->logins, B("directory")));
}

bool decide_rule_login(struct decision *d) {
    const struct facts *f = d->facts;
    if (f->login_state != FACT_KNOWN)
        return decide_ask(d, FACT_LOGIN);
    const struct directory_entry *e = f->login_entry;
    bool good = e ? !e->disabled && e->kind == DIRECTORY_USER : !is_kept_here(d->config);
    decide_trace(d, SAY(d, "login %.*s", BYTES_FMT(decide_text_cut(d, f->login))), good,
                 good          ? B("may be used")
                 : !e          ? B("there is no such login")
                 : e->disabled ? B("is disabled")
                               : B("is an alias, not a login"));
    if (good)
        return false;
    decide_changes_user(d);
    return decide_refuse(d, REFUSE_LOGIN, B("Wrong login or password"),
                         B("Check both (the login is the whole mail address), or have the password "
                           "set anew"));
}

struct bytes decide_mechanisms(const struct config *config, const struct facts *facts,
                               struct arena *a) {
    const struct listener *l = facts->listener;
    if (!l || l->auth == AUTH_OFF || facts->login.len)
        return BYTES_NONE;
    struct verdict v;
    struct facts asked = *facts;
    asked.verb = B("AUTH");
    decide(config, STEP_COMMAND, &asked, a, &v);
    return v.rc == OK ? usable_list(facts, a) : BYTES_NONE;
}

/* --- POP3: the mailbox behind a login ------------------------------------------------------------ */

/* The keeper refuses a login that is disabled; one may have become so since, or lack its half here. */
bool decide_rule_login_live(struct decision *d) {
    const struct facts *f = d->facts;
    if (f->login_state != FACT_KNOWN)
        return decide_ask(d, FACT_LOGIN);
    bool live = f->login_entry && !f->login_entry->disabled;
    struct bytes login = decide_text_cut(d, f->login);
    decide_trace(d, SAY(d, "login %.*s", BYTES_FMT(login)), live,
                 live ? B("is there") : B("is disabled or gone"));
    if (live)
        return false;
    decide_change(
        d, f->login_entry ? "enable-user" : "add-user", true, f->login,
        SAY(d, "postern user %s %.*s", f->login_entry ? "enable" : "add", BYTES_FMT(login)));
    return decide_refuse(
        d, REFUSE_LOGIN_VOID,
        SAY(d, "Login %.*s is %s", BYTES_FMT(login), f->login_entry ? "disabled" : "not known"),
        SAY(d, "Ask the administrator of %.*s", BYTES_FMT(d->config->hostname)));
}

bool decide_rule_maildrop(struct decision *d) {
    const struct facts *f = d->facts;
    struct bytes address = f->login_entry->address;
    struct bytes name = bytes_skip(address, (size_t)(bytes_find_last(address, '@') + 1));
    const struct domain *domain = config_domain(d->config, name);
    bool here = domain && domain->deliver.transport == TRANSPORT_MAILDIR;
    name = decide_text_cut(d, name);
    decide_trace(d, SAY(d, "domain %.*s: deliver", BYTES_FMT(name)), here,
                 here     ? B("its mailboxes are Maildirs of this server")
                 : domain ? B("its mail is handed to another server")
                          : B("the domain is not hosted here"));
    if (here)
        return false;
    decide_change(d, domain ? "deliver-here" : "host-domain", true, name,
                  domain ? SAY(d, "set deliver = maildir in domain %.*s", BYTES_FMT(name))
                         : SAY(d, "host the domain: domain \"%.*s\" {}", BYTES_FMT(name)));
    return decide_refuse(
        d, REFUSE_NO_MAILDROP,
        domain ? SAY(d, "Mail for %.*s is kept on another server", BYTES_FMT(name))
               : SAY(d, "Mail for %.*s is not kept here", BYTES_FMT(name)),
        SAY(d, "Ask the administrator of %.*s where to fetch it", BYTES_FMT(d->config->hostname)));
}

/* --- MAIL --------------------------------------------------------------------------------------- */

/* True when the decision is ended by a question. */
static bool find_auth_waiver(struct decision *d, bool *waived) {
    for (size_t i = 0; i < d->config->connector_count; i++) {
        const struct connector *c = &d->config->connectors[i];
        if (!strings_has(c->without_auth_on, d->facts->listener->name))
            continue;
        const struct standing *s = &decide_standings(d)[i];
        enum stands stands = decide_stands(s);
        if (stands == STANDS_UNSURE)
            return decide_ask(d, s->needs);
        decide_trace(d, connector_name(d, i), stands == STANDS_IN, s->because);
        if (stands != STANDS_IN)
            continue;
        *waived = true;
        return false;
    }
    return false;
}

bool decide_rule_auth_required(struct decision *d) {
    const struct listener *l = d->facts->listener;
    if (!l || l->auth != AUTH_REQUIRE)
        return false;
    bool waived = false;
    if (!d->facts->login.len && find_auth_waiver(d, &waived))
        return true;
    bool passes = waived || d->facts->login.len;
    decide_trace(d, decide_listener_name(d, "auth"), passes,
                 waived   ? B("required, but waived for this client")
                 : passes ? SAY(d, "logged in as %.*s", BYTES_FMT(d->facts->login))
                          : B("a login is required"));
    if (passes)
        return false;
    if (waiver_suspended(d, false))
        return decide_refuse_suspended(d);
    decide_changes_login(d);
    decide_changes_waiver(d, false);
    return decide_refuse(d, REFUSE_AUTH_REQUIRED, B("A login is required on this port"),
                         B("Switch on the login for the outgoing server in the mail program"));
}

bool decide_rule_size(struct decision *d) {
    const struct listener *l = d->facts->listener;
    if (!l || !l->max_message_size)
        return false;
    bool fits = d->facts->size <= l->max_message_size;
    char text[40];
    struct buf b = buf_fixed(text, sizeof text);
    num_format_size(&b, l->max_message_size);
    struct bytes most = arena_copy(d->arena, buf_bytes(&b));
    decide_trace(d, decide_listener_name(d, "max_message_size"), fits,
                 SAY(d, "at most %.*s", BYTES_FMT(most)));
    if (fits)
        return false;
    decide_change(d, "smaller", true, SAY(d, "%llu", (unsigned long long)l->max_message_size),
                  SAY(d, "send at most %.*s, or a link to the file", BYTES_FMT(most)));
    decide_change(d, "raise-size", true,
                  SAY(d, "%.*s %llu", BYTES_FMT(l->name), (unsigned long long)d->facts->size),
                  SAY(d, "raise max_message_size of listener %.*s to at least %llu octets",
                      BYTES_FMT(l->name), (unsigned long long)d->facts->size));
    return decide_refuse(d, REFUSE_SIZE,
                         SAY(d, "The message is larger than the %.*s taken here", BYTES_FMT(most)),
                         B("Send less at once, or a link to the file"));
}

bool decide_rule_queue(struct decision *d) {
    if (!d->facts->queue_full)
        return false;
    decide_trace(d, B("queue: min_free"), false, B("the disk of the queue is nearly full"));
    decide_change(d, "free-space", true, BYTES_NONE,
                  B("free space on the disk that holds state_dir, or lower queue: min_free"));
    return decide_refuse(d, REFUSE_QUEUE_FULL,
                         B("No room for new mail for the moment; this is our fault"),
                         B("Try again later"));
}

bool decide_outside(struct decision *d, bool *outside) {
    const struct facts *f = d->facts;
    uint32_t needs = 0;
    *outside = !f->login.len && !f->local_door;
    for (size_t i = 0; *outside && i < d->config->connector_count; i++) {
        const struct standing *s = &decide_standings(d)[i];
        enum stands stands = decide_stands(s);
        *outside = stands != STANDS_IN;
        needs |= stands == STANDS_UNSURE ? s->needs : 0;
    }
    return *outside && needs && decide_ask(d, needs);
}

/* of: the domain whose list it is; NULL: the server's. */
static bool refuse_blocked(struct decision *d, const struct domain *of) {
    const struct facts *f = d->facts;
    struct bytes shown = f->sender.len ? decide_text_cut(d, f->sender) : B("<>");
    struct bytes name =
        of ? SAY(d, "domain %.*s: blocked_senders", BYTES_FMT(of->name)) : B("blocked_senders");
    bool outside;
    if (decide_outside(d, &outside))
        return true;
    decide_trace(d, name, !outside,
                 outside ? SAY(d, "%.*s is blocked from outside", BYTES_FMT(shown))
                         : B("blocked from outside only"));
    if (!outside)
        return false;
    decide_changes_login(d);
    decide_change(d, of ? "unblock-domain" : "unblock", false,
                  of ? SAY(d, "%.*s %.*s", BYTES_FMT(of->name), BYTES_FMT(f->sender)) : f->sender,
                  SAY(d,
                      "take %.*s out of blocked_senders%s%.*s: unsafe if it was put there for "
                      "abuse",
                      BYTES_FMT(shown), of ? " of domain " : "",
                      BYTES_FMT(of ? of->name : BYTES_NONE)));
    /* An address of ours that is blocked from outside: its owner logs in. */
    ptrdiff_t at = bytes_find_last(f->sender, '@');
    bool ours = at >= 0 && config_domain(d->config, bytes_skip(f->sender, (size_t)at + 1));
    struct bytes login = ours ? decide_login_words(d) : BYTES_NONE;
    return decide_refuse(
        d, REFUSE_BLOCKED_SENDER,
        SAY(d, "Mail from %.*s is not taken %s%.*s%s", BYTES_FMT(shown), of ? "for " : "here",
            BYTES_FMT(of ? of->name : BYTES_NONE), ours ? " from outside" : ""),
        SAY(d, "%.*s%s the administrator of %.*s", BYTES_FMT(login),
            login.len ? " if it is yours, or ask" : "Ask", BYTES_FMT(d->config->hostname)));
}

bool decide_rule_blocked_sender(struct decision *d) {
    return patterns_match(d->config->blocked_senders, d->facts->sender) && refuse_blocked(d, NULL);
}

bool decide_rule_domain_blocked_sender(struct decision *d) {
    return d->to == TO_OWN && patterns_match(d->domain->blocked_senders, d->facts->sender) &&
           refuse_blocked(d, d->domain);
}
