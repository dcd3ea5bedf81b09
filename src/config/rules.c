/* rules: what no single value shows: features not built yet, names that must exist, settings that
 * need or exclude each other. Each rule looks at one section; whether a grant is too wide is not
 * judged here but in decide's proof. A rule never complains about a value that could not be read:
 * that has been said. */
#include "config/value.h"

#include "base/map.h"
#include "base/must.h"
#include "oauth/oauth.h"

/* --- words for a complaint --------------------------------------------------------------- */

/* Where a setting stands, or its section when it is absent. */
static int line_of(const struct syntax_section *from, const char *setting) {
    const struct syntax_setting *s = syntax_find(from, setting);
    return s ? s->line : from->line;
}

/* An empty list asks for nothing; a broken value did ask. */
static bool given(const struct syntax_section *from, const char *setting) {
    const struct syntax_setting *s = syntax_find(from, setting);
    return s && (s->broken || s->count > 0);
}

#define ERROR(r, from, setting, id, ...)                                                           \
    reading_error((r), line_of((from), (setting)), reading_label((r), (from), bytes_str(setting)), \
                  (id), __VA_ARGS__)
/* Warnings are about what the values come to, so all of them must be there. */
#define WARNING(r, from, setting, ...)                                                             \
    ((r)->config->incomplete ? (void)0                                                             \
                             : reading_warning((r), line_of((from), (setting)),                    \
                                               reading_label((r), (from), bytes_str(setting)),     \
                                               "config.void", __VA_ARGS__))

static void require(struct reading *r, const struct syntax_section *from, const char *setting) {
    if (given(from, setting))
        return;
    const struct setting *s = schema_setting(schema_section(from->kind)->name, bytes_str(setting));
    struct buf b = buf_grow(2000);
    schema_expected(&b, s);
    ERROR(r, from, setting, "config.missing", "this setting is required; expected %s",
          buf_text(&b));
    buf_free(&b);
}

/* Both or neither. */
static void require_both(struct reading *r, const struct syntax_section *from, const char *a,
                         const char *b) {
    if (given(from, a) != given(from, b))
        ERROR(r, from, given(from, a) ? a : b, "config.missing",
              "a certificate and its key belong together; expected %s too", given(from, a) ? b : a);
}

/* --- not built yet ----------------------------------------------------------------------- */

/* A word, or with "pam:" anything that begins so. */
static bool is_built_value(const char *words, struct bytes text) {
    ptrdiff_t colon = bytes_find(text, ':');
    return schema_word(words, text) ||
           (colon > 0 && schema_word(words, bytes_first(text, (size_t)colon + 1)));
}

/* Is this value among those built? An empty list asks for nothing. */
static bool is_built(const struct not_built *row, const struct syntax_setting *s) {
    for (size_t i = 0; i < s->count; i++)
        if (!is_built_value(row->built, s->items[i].text))
            return false;
    return true;
}

static void check_setting_built(struct reading *r, const struct syntax_section *from,
                                const char *kind, const struct syntax_setting *s) {
    const struct setting *setting = schema_setting(kind, s->name);
    const struct not_built *row = setting ? schema_not_built(kind, setting->name) : NULL;
    if (!row || s->broken || is_built(row, s))
        return;
    struct bytes label = reading_label(r, from, s->name);
    if (*row->built)
        reading_error(r, s->line, label, "config.not-built",
                      "%s: not built yet in this release; expected no other value than: %s",
                      row->feature, row->built);
    else
        reading_error(r, s->line, label, "config.not-built",
                      "%s: not built yet in this release; expected the setting to be left out",
                      row->feature);
}

static void check_built(struct reading *r, const struct syntax_section *from) {
    const struct schema_section *kind = schema_section(from->kind);
    const struct not_built *row = kind ? schema_not_built(kind->name, NULL) : NULL;
    if (!kind || r->host->lift_not_built)
        return;
    if (row) {
        reading_error(r, from->line, reading_label(r, from, BYTES_NONE), "config.not-built",
                      "%s: not built yet in this release; expected the section to be left out",
                      row->feature);
        return;
    }
    for (size_t i = 0; i < from->count; i++)
        check_setting_built(r, from, kind->name, &from->settings[i]);
}

/* --- the whole server -------------------------------------------------------------------- */

static bool has_oauth(const struct reading *r, struct bytes name) {
    return config_oauth(r->config, name) != NULL;
}

/* "SERVICE" or "SERVICE@DOMAIN": PAM takes the service for the name of a file. */
static bool is_pam_service(struct bytes text) {
    struct bytes service = text;
    bytes_split(&text, '@', &service);
    for (size_t i = 0; i < service.len; i++)
        if (!ascii_is_alnum(service.at[i]) && bytes_find(B("-_."), service.at[i]) < 0)
            return false;
    return service.len > 0 && service.len <= 64 && service.at[0] != '.' &&
           (!text.at || (text.len && bytes_find(text, '@') < 0));
}

static void check_source(struct reading *r, const struct syntax_section *top, struct bytes source) {
    if (bytes_starts(source, B("pam:")) && !is_pam_service(bytes_skip(source, 4)))
        ERROR(r, top, "logins", "config.value",
              "\"%.*s\" names no service of PAM; expected pam:SERVICE (the whole login is PAM's "
              "user) or pam:SERVICE@DOMAIN (the local part is)",
              BYTES_FMT(source));
}

static void check_top(struct reading *r) {
    const struct config *c = r->config;
    const struct syntax_section *top = &r->syntax.sections[0];
    for (size_t i = 0; i < c->logins.count; i++) {
        struct bytes login = c->logins.list[i];
        check_source(r, top, login);
        if (bytes_starts(login, B("oauth:")) && !has_oauth(r, bytes_skip(login, 6)))
            ERROR(r, top, "logins", "config.reference",
                  "there is no provider \"%.*s\"; expected a section oauth \"%.*s\"",
                  BYTES_FMT(bytes_skip(login, 6)), BYTES_FMT(bytes_skip(login, 6)));
    }
    if (c->srs_secret.len && bytes_trim(c->srs_secret).len < 16)
        WARNING(r, top, "srs_secret",
                "the key is shorter than 16 octets: whoever guesses it can send mail on through "
                "this server");
    if (c->dns.count > 1 && strings_has(c->dns, B("system")))
        ERROR(r, top, "dns", "config.conflict",
              "\"system\" stands for the servers of this host; expected it alone, or addresses");
}

/* --- providers of tokens ----------------------------------------------------------------- */

static bool is_login_source(const struct config *c, struct bytes name) {
    for (size_t i = 0; i < c->logins.count; i++)
        if (bytes_starts(c->logins.list[i], B("oauth:")) &&
            bytes_equal_nocase(bytes_skip(c->logins.list[i], 6), name))
            return true;
    return false;
}

static void check_provider(struct reading *r, size_t i) {
    const struct oauth *o = &r->config->oauths[i];
    const struct syntax_section *from = reading_origin(r, "oauth", i);
    require(r, from, "issuer");
    if (!given(from, "jwks") && !given(from, "introspection") && given(from, "issuer") &&
        !oauth_url_is_fit(o->issuer))
        ERROR(r, from, "issuer", "config.missing",
              "the issuer is no https:// URL under which its keys could be looked for; expected "
              "jwks too");
    if (given(from, "jwks") && given(from, "introspection"))
        WARNING(r, from, "jwks", "tokens are checked by introspection: the keys are never used");
    if (given(from, "client") && !given(from, "introspection"))
        WARNING(r, from, "introspection", "without it the client is never used");
    if (!given(from, "client") && given(from, "introspection"))
        WARNING(r, from, "client",
                "most providers answer an introspection to a known client only: set it");
    if (!o->audience.len)
        WARNING(r, from, "audience",
                "any token of this issuer logs in, those made for other services too: set the "
                "audience that the tokens for mail carry");
    if (!is_login_source(r->config, o->name))
        WARNING(r, from, "", "logins does not name oauth:%.*s: its tokens are not taken",
                BYTES_FMT(o->name));
}

static void check_unencrypted(struct reading *r, size_t i) {
    const struct oauth *o = &r->config->oauths[i];
    const struct {
        const char *setting;
        struct bytes url;
    } urls[] = {
        { "jwks", o->jwks },
        { "introspection", o->introspection },
        /* asked only for where the keys are; else it is but a name */
        { "issuer", o->jwks.len || o->introspection.len ? BYTES_NONE : o->issuer },
    };
    for (size_t j = 0; j < sizeof urls / sizeof urls[0]; j++)
        if (bytes_starts_nocase(urls[j].url, B("http://")))
            WARNING(r, reading_origin(r, "oauth", i), urls[j].setting,
                    "without TLS whoever is on this host's loopback can answer in the provider's "
                    "place; expected https://");
}

static void check_providers(struct reading *r) {
    for (size_t i = 0; i < r->config->oauth_count; i++) {
        check_provider(r, i);
        check_unencrypted(r, i);
    }
}

/* A mechanism that was asked for by name and that nobody could ever use. */
static void check_mechanisms(struct reading *r, const struct listener *l,
                             const struct syntax_section *from) {
    bool tokens =
        strings_has(l->mechanisms, B("XOAUTH2")) || strings_has(l->mechanisms, B("OAUTHBEARER"));
    bool source = false;
    for (size_t i = 0; i < r->config->logins.count; i++)
        source |= bytes_starts(r->config->logins.list[i], B("oauth:"));
    const struct syntax_setting *asked = syntax_find(from, "mechanisms");
    if (asked && !asked->broken && tokens && !source)
        ERROR(r, from, "mechanisms", "config.missing",
              "no source in logins takes tokens; expected oauth:NAME there, or neither XOAUTH2 nor "
              "OAUTHBEARER here");
}

/* A Maildir knows no recipients of its own: the directory does. */
static void check_domains(struct reading *r) {
    for (size_t i = 0; i < r->config->domain_count; i++) {
        const struct domain *d = &r->config->domains[i];
        const struct syntax_section *from = reading_origin(r, "domain", i);
        if (d->recipients == RECIPIENTS_PROBE && d->deliver.transport == TRANSPORT_MAILDIR)
            ERROR(r, from, "recipients", "config.conflict",
                  "there is no server behind a Maildir to be asked; expected directory, or a "
                  "deliver of lmtp: or smtp:");
    }
}

static void check_queue(struct reading *r) {
    const struct config *c = r->config;
    const struct syntax_section *from = reading_origin(r, "queue", 0);
    if (c->queue.warn_after >= c->queue.give_up)
        WARNING(r, from, given(from, "give_up") ? "give_up" : "warn_after",
                "mail is given up before warn_after: no delay notice will ever be sent");
}

/* --- listeners --------------------------------------------------------------------------- */

/* Two listeners on one address and port; port 0 is another port each time. */
static void check_bound_once(struct reading *r, struct map *bound, const struct listener *l,
                             const struct syntax_section *from) {
    for (size_t i = 0; i < l->address_count; i++) {
        char memory[80];
        struct buf key = buf_fixed(memory, sizeof memory);
        addr_format_port(&key, l->addresses[i]);
        if (l->addresses[i].port == 0)
            continue;
        const struct listener *first = map_find(bound, buf_bytes(&key));
        if (!first)
            map_put(bound, buf_bytes(&key), (void *)(uintptr_t)l);
        else
            ERROR(r, from, "bind", "config.conflict",
                  "%s is bound already; expected an address that listener %.*s in line %d has not",
                  buf_text(&key), BYTES_FMT(first->name), first->place.line);
    }
}

/* What is for a way in is refused where mail is only read: it would be taken to mean something. */
static void check_pop3(struct reading *r, const struct listener *l,
                       const struct syntax_section *from) {
    static const char *const smtp[] = { "xclient_from", "bare_newline", "max_message_size",
                                        "max_recipients" };
    if (l->service != SERVICE_POP3)
        return;
    for (size_t i = 0; i < sizeof smtp / sizeof smtp[0]; i++)
        if (given(from, smtp[i]))
            ERROR(r, from, smtp[i], "config.conflict",
                  "this is for service = smtp; expected it to be left out");
    if (l->auth != AUTH_REQUIRE)
        ERROR(r, from, "auth", "config.conflict",
              "a mailbox is read by its owner only; expected require, the default for pop3");
    if (l->idle_timeout < POP3_IDLE_MIN)
        WARNING(r, from, "idle_timeout",
                "RFC 1939 wants at least 10min for POP3; slow clients will be cut off");
}

/* A source that must see the password serves no mechanism that hides it. */
static void check_hidden_passwords(struct reading *r, const struct listener *l,
                                   const struct syntax_section *from) {
    static const char *const hiding[] = { "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1",
                                          "CRAM-MD5" };
    struct bytes source = config_password_source(r->config);
    for (size_t i = 0; given(from, "mechanisms") && source.len && i < COUNT_OF(hiding); i++)
        if (strings_has(l->mechanisms, bytes_str(hiding[i]))) {
            WARNING(r, from, "mechanisms",
                    "%s serves logins of the directory only: whoever is known to %.*s alone and "
                    "whose program prefers it cannot log in; expected PLAIN and LOGIN alone",
                    hiding[i], BYTES_FMT(source));
            return;
        }
}

static void check_listener(struct reading *r, struct map *bound, size_t i) {
    const struct listener *l = &r->config->listeners[i];
    const struct syntax_section *from = reading_origin(r, "listener", i);
    require(r, from, "bind");
    require_both(r, from, "certificate", "key");
    check_mechanisms(r, l, from);
    check_bound_once(r, bound, l, from);
    check_pop3(r, l, from);
    check_hidden_passwords(r, l, from);
    if (l->tls == TLS_OFF && given(from, "certificate"))
        ERROR(r, from, "certificate", "config.conflict",
              "this listener has tls = off; expected no certificate, or TLS");
    if (l->xclient_login && l->xclient_from.count == 0)
        ERROR(r, from, "xclient_login", "config.missing",
              "nobody's XCLIENT is believed here; expected xclient_from too");
}

static void check_listeners(struct reading *r) {
    struct map *bound = map_open();
    for (size_t i = 0; i < r->config->listener_count; i++)
        check_listener(r, bound, i);
    map_close(&bound);
}

static void check_certificates(struct reading *r) {
    for (size_t i = 0; i < r->config->certificate_count; i++) {
        require(r, reading_origin(r, "certificate", i), "chain");
        require(r, reading_origin(r, "certificate", i), "key");
    }
}

/* --- connectors -------------------------------------------------------------------------- */

static void check_listener_names(struct reading *r, const struct syntax_section *from,
                                 const char *setting, struct strings names) {
    for (size_t i = 0; i < names.count; i++)
        if (!config_listener(r->config, names.list[i]))
            ERROR(r, from, setting, "config.reference",
                  "there is no listener \"%.*s\"; expected the title of one",
                  BYTES_FMT(names.list[i]));
}

/* Waiving what a listener requires, for these clients only. */
static void check_waiver(struct reading *r, const struct syntax_section *from, const char *setting,
                         const struct connector *c, struct strings names) {
    check_listener_names(r, from, setting, names);
    if (names.count && !given(from, "clients"))
        ERROR(r, from, setting, "config.missing",
              "this is waived for listed clients only; expected clients too");
    for (size_t i = 0; i < names.count && c->listeners.count; i++)
        if (!strings_has(c->listeners, names.list[i]))
            ERROR(r, from, setting, "config.conflict",
                  "the connector does not hold on listener \"%.*s\"; expected it in listeners too",
                  BYTES_FMT(names.list[i]));
}

static void check_who(struct reading *r, const struct syntax_section *from) {
    static const char *const who[] = { "clients", "auth", "client_certificate", "pop_before_smtp",
                                       "local_users" };
    bool any = false;
    for (size_t i = 0; i < sizeof who / sizeof who[0]; i++)
        any |= given(from, who[i]);
    if (!any)
        ERROR(r, from, "", "config.missing",
              "a connector without a WHO would grant to everybody; expected one of clients, auth, "
              "client_certificate, pop_before_smtp, local_users");
    else if (!given(from, "auth") && !given(from, "note"))
        ERROR(r, from, "note", "config.missing",
              "a grant without a login needs a note; expected what it is for and who answers for "
              "it");
    if (given(from, "except") && !given(from, "clients"))
        ERROR(r, from, "except", "config.missing",
              "there is nothing to leave anything out of; expected clients too");
}

static void check_senders(struct reading *r, const struct syntax_section *from,
                          const struct connector *c) {
    if (given(from, "pop_before_smtp") && c->senders != SENDERS_OWN)
        ERROR(r, from, "senders", "config.conflict",
              "a POP3 login stands for its own addresses only; expected own");
    bool owner =
        given(from, "auth") || given(from, "pop_before_smtp") || given(from, "local_users");
    if (c->senders == SENDERS_OWN && !owner && (given(from, "clients")))
        WARNING(r, from, "senders",
                "without a login no sender is anybody's own: this grants for the null sender only; "
                "list the senders, or say any");
}

/* A certificate is shown within TLS, so a connector that only has listeners without is void. */
static void check_client_certificate(struct reading *r, const struct syntax_section *from,
                                     const struct connector *c) {
    struct bytes path, name;
    bool tls = false;
    for (size_t i = 0; i < r->config->listener_count; i++) {
        const struct listener *l = &r->config->listeners[i];
        tls |= l->service == SERVICE_SMTP && l->tls != TLS_OFF &&
               (!c->listeners.count || strings_has(c->listeners, l->name));
    }
    if (c->client_certificate.count && r->config->listener_count && !tls)
        WARNING(r, from, "client_certificate",
                "a certificate is shown within TLS, and no listener of this connector has it: it "
                "will never be in play");
    for (size_t i = 0; i < c->client_certificate.count; i++) {
        if (!config_certificate_split(c->client_certificate.list[i], &path, &name))
            continue;
        bool kept = false;
        for (size_t j = 0; j < r->config->client_authority_count && !kept; j++)
            kept = bytes_equal(r->config->client_authorities[j].path, path);
        if (!kept)
            ERROR(r, from, "client_certificate", "config.range",
                  "expected at most %d files of authorities in all connectors together",
                  CLIENT_AUTHORITIES_MAX);
    }
}

static bool owns_domain(const struct tenant *t, struct bytes domain) {
    if (bytes_starts(domain, B(".")))
        domain = bytes_skip(domain, 1);
    return strings_has(t->domains, domain);
}

static struct bytes behind_at(struct bytes address) {
    return bytes_skip(address, (size_t)(bytes_find_last(address, '@') + 1));
}

/* A tenant's connector may list only its domains as senders. */
static void check_tenant_senders(struct reading *r, const struct syntax_section *from,
                                 const struct connector *c, const struct tenant *t) {
    if (c->senders == SENDERS_ANY)
        ERROR(r, from, "senders", "config.conflict",
              "a tenant's connector may not take any sender; expected own, or its domains");
    for (size_t i = 0; i < c->sender_list.count; i++) {
        const struct pattern *p = &c->sender_list.list[i];
        bool fine = p->kind == PATTERN_NULL ||
                    (p->kind != PATTERN_ANY && owns_domain(t, behind_at(p->text)));
        if (!fine)
            ERROR(r, from, "senders", "config.conflict",
                  "\"%.*s\" is not in a domain of tenant \"%.*s\"; expected senders in its domains",
                  BYTES_FMT(p->kind == PATTERN_ANY ? B("*") : p->text), BYTES_FMT(t->name));
    }
}

static void check_connector_tenant(struct reading *r, const struct syntax_section *from,
                                   const struct connector *c) {
    if (c->tenant.len == 0)
        return;
    const struct tenant *t = config_tenant(r->config, c->tenant);
    if (t)
        check_tenant_senders(r, from, c, t);
    else
        ERROR(r, from, "tenant", "config.reference",
              "there is no tenant \"%.*s\"; expected the title of one", BYTES_FMT(c->tenant));
}

static void check_pop_listeners(struct reading *r, const struct syntax_section *from,
                                const struct connector *c) {
    for (size_t i = 0; i < c->listeners.count; i++) {
        const struct listener *l = config_listener(r->config, c->listeners.list[i]);
        if (l && l->service == SERVICE_POP3)
            WARNING(r, from, "listeners",
                    "no mail comes in at listener \"%.*s\": it has service = pop3",
                    BYTES_FMT(l->name));
    }
}

static void check_connector(struct reading *r, size_t i) {
    const struct connector *c = &r->config->connectors[i];
    const struct syntax_section *from = reading_origin(r, "connector", i);
    check_who(r, from);
    check_listener_names(r, from, "listeners", c->listeners);
    check_waiver(r, from, "without_auth_on", c, c->without_auth_on);
    check_waiver(r, from, "without_tls_on", c, c->without_tls_on);
    check_senders(r, from, c);
    check_client_certificate(r, from, c);
    check_pop_listeners(r, from, c);
    check_connector_tenant(r, from, c);
}

/* --- tenants ----------------------------------------------------------------------------- */

static void check_tenant_domains(struct reading *r, struct map *owned, const struct tenant *t,
                                 const struct syntax_section *from) {
    for (size_t i = 0; i < t->domains.count; i++) {
        struct bytes name = t->domains.list[i];
        if (!config_domain(r->config, name))
            ERROR(r, from, "domains", "config.reference",
                  "there is no domain \"%.*s\"; expected a section domain \"%.*s\"",
                  BYTES_FMT(name), BYTES_FMT(name));
        const struct tenant *first = map_put(owned, name, (void *)(uintptr_t)t);
        if (first && first != t)
            ERROR(r, from, "domains", "config.conflict",
                  "\"%.*s\" is tenant \"%.*s\"'s already; expected each domain with one tenant",
                  BYTES_FMT(name), BYTES_FMT(first->name));
    }
}

static void check_tenant_address(struct reading *r, size_t i) {
    const struct tenant *all = r->config->tenants;
    for (size_t j = 0; j < i; j++)
        if (all[i].address.family && addr_equal(all[i].address, all[j].address))
            ERROR(r, reading_origin(r, "tenant", i), "address", "config.conflict",
                  "this is tenant \"%.*s\"'s address already; expected one of its own",
                  BYTES_FMT(all[j].name));
}

static void check_tenants(struct reading *r) {
    struct map *owned = map_open();
    for (size_t i = 0; i < r->config->tenant_count; i++) {
        const struct tenant *t = &r->config->tenants[i];
        const struct syntax_section *from = reading_origin(r, "tenant", i);
        require(r, from, "domains");
        check_tenant_domains(r, owned, t, from);
        check_tenant_address(r, i);
        for (size_t j = 0; j < t->admins.count; j++)
            if (!owns_domain(t, behind_at(t->admins.list[j])))
                ERROR(r, from, "admins", "config.conflict",
                      "\"%.*s\" is not in one of its domains; expected logins of the tenant",
                      BYTES_FMT(t->admins.list[j]));
    }
    map_close(&owned);
}

/* --- routes ------------------------------------------------------------------------------ */

struct earlier { /* routes that have the same pattern in `to` */
    const struct route *route;
    struct earlier *next;
};

static bool same_pattern(const struct pattern *a, const struct pattern *b) {
    return a->kind == b->kind && bytes_equal_nocase(a->text, b->text);
}

/* Without `from` a route takes any sender, as "*" does. */
static bool share_from(const struct route *a, const struct route *b) {
    static const struct pattern any = { .kind = PATTERN_ANY };
    struct patterns x = a->from.count ? a->from : (struct patterns){ 1, &any };
    struct patterns y = b->from.count ? b->from : (struct patterns){ 1, &any };
    for (size_t i = 0; i < x.count; i++)
        for (size_t j = 0; j < y.count; j++)
            if (same_pattern(&x.list[i], &y.list[j]))
                return true;
    return false;
}

static void check_equal(struct reading *r, struct map *seen, const struct route *route,
                        const struct syntax_section *from) {
    const struct route *told = NULL;
    for (size_t i = 0; i < route->to.count; i++) {
        const struct pattern *p = &route->to.list[i];
        struct bytes key = arena_printf(r->arena, "%d%.*s", (int)p->kind,
                                        BYTES_FMT(arena_lower(r->arena, p->text)));
        struct earlier *first = map_find(seen, key);
        for (struct earlier *e = first; e && !told; e = e->next)
            if (e->route != route && share_from(e->route, route))
                told = e->route;
        struct earlier *mine = ARENA_NEW(r->arena, struct earlier);
        *mine = (struct earlier){ route, first };
        map_put(seen, key, mine);
    }
    if (told)
        ERROR(r, from, given(from, "to") ? "to" : "", "config.conflict",
              "route \"%.*s\" in line %d takes the same recipients from the same senders; expected "
              "another to or from, so that one of the two is more specific",
              BYTES_FMT(told->name), told->place.line);
}

static void check_route_tls(struct reading *r, const struct syntax_section *from,
                            const struct route *route) {
    bool implicit = false;
    for (size_t i = 0; i < route->via_count; i++)
        implicit |= route->via[i].implicit;
    if (route->tls != TLS_POLICY_OFF)
        return;
    if (implicit && given(from, "tls"))
        ERROR(r, from, "tls", "config.conflict",
              "smtps:// is TLS from the first octet; expected "
              "verify, require or opportunistic");
    if (given(from, "login"))
        ERROR(r, from, "login", "config.conflict",
              "a login is never sent without TLS, and this route has tls = off%s; expected tls = "
              "verify or require",
              given(from, "tls") ? "" : ", the default with a loopback via");
    if (given(from, "ca_file"))
        ERROR(r, from, "ca_file", "config.conflict",
              "this route has tls = off; expected no ca_file, or tls = verify");
}

/* Mail to our own domains goes where their deliver says. */
static void check_reach(struct reading *r, const struct syntax_section *from,
                        const struct route *route) {
    for (size_t i = 0; i < route->to.count; i++) {
        const struct pattern *p = &route->to.list[i];
        bool exact = p->kind == PATTERN_DOMAIN || p->kind == PATTERN_ADDRESS;
        if (exact && config_domain(r->config, behind_at(p->text)))
            WARNING(
                r, from, "to",
                "\"%.*s\" is ours, and routes are never applied to our own domains; set deliver "
                "in its domain section",
                BYTES_FMT(p->text));
    }
}

static void check_routes(struct reading *r) {
    struct map *seen = map_open();
    for (size_t i = 0; i < r->config->route_count; i++) {
        const struct route *route = &r->config->routes[i];
        const struct syntax_section *from = reading_origin(r, "route", i);
        require(r, from, "via");
        check_equal(r, seen, route, from);
        check_route_tls(r, from, route);
        check_reach(r, from, route);
    }
    map_close(&seen);
}

void rules_check(struct reading *r) {
    for (size_t i = 0; i < r->syntax.count; i++)
        check_built(r, &r->syntax.sections[i]);
    check_top(r);
    check_queue(r);
    check_providers(r);
    check_domains(r);
    check_listeners(r);
    check_certificates(r);
    for (size_t i = 0; i < r->config->connector_count; i++)
        check_connector(r, i);
    check_tenants(r);
    check_routes(r);
}
