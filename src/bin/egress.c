/* egress: see egress.h. Which SPF record well-known smart hosts ask to be included is known here alone. */
#include "bin/egress.h"
#include "base/must.h"
#include "bin/layout.h"
#include "sys/files.h"
#include "sys/sockets.h"
#include "sys/tls.h"

#include <string.h>

enum { INTERFACES_MAX = 256, PEM_MAX = 1024 * 1024 };

static void add(struct egress *e, struct addr address, struct bytes host, struct bytes what,
                bool smarthost) {
    address.port = 0;
    if (e->count == EGRESS_MAX)
        return;
    for (size_t i = 0; i < e->count; i++)
        if (address.family ? addr_equal(e->list[i].address, address)
                           : bytes_equal_nocase(e->list[i].host, host))
            return;
    e->list[e->count++] = (struct domain_egress){ address, host, what, smarthost };
}

/* --- smart hosts ------------------------------------------------------------------------------------------------ */

static const struct {
    const char *host; /* or a domain that hosts lie in */
    const char *include;
} providers[] = {
    { "smtp.gmail.com", "_spf.google.com" },
    { "smtp-relay.gmail.com", "_spf.google.com" },
    { "smtp.office365.com", "spf.protection.outlook.com" },
    { "mail.protection.outlook.com", "spf.protection.outlook.com" },
    { "smtp.sendgrid.net", "sendgrid.net" },
    { "mailgun.org", "mailgun.org" },
    { "amazonaws.com", "amazonses.com" },
    { "smtp.sparkpostmail.com", "sparkpostmail.com" },
    { "mailjet.com", "spf.mailjet.com" },
    { "smtp-relay.brevo.com", "spf.brevo.com" },
    { "smtp-relay.sendinblue.com", "spf.sendinblue.com" },
    { "smtp.zoho.com", "zoho.com" },
    { "smtp.zoho.eu", "zoho.eu" },
    { "smtp.postmarkapp.com", "spf.mtasv.net" },
    { "smtp.fastmail.com", "spf.messagingengine.com" },
    { "smtp.mandrillapp.com", "spf.mandrillapp.com" },
    { "smtp.smtp2go.com", "spf.smtp2go.com" },
    { "mail.smtp2go.com", "spf.smtp2go.com" },
    { "smtp.ionos.com", "_spf.perfora.net" },
    { "smtp.ionos.de", "_spf.kundenserver.de" },
    { "smtp.strato.de", "_spf.strato.com" },
    { "mail.ovh.net", "mx.ovh.com" },
    { "smtp.mail.yahoo.com", "_spf.mail.yahoo.com" },
    { "pphosted.com", "pphosted.com" },
    { "smtp.protonmail.ch", "_spf.protonmail.ch" },
};

static bool is_within(struct bytes host, struct bytes domain) {
    return bytes_ends_nocase(host, domain) &&
           (host.len == domain.len || host.at[host.len - domain.len - 1] == '.');
}

static void add_include(struct egress *e, struct bytes host) {
    for (size_t i = 0; i < COUNT_OF(providers); i++) {
        struct bytes include = bytes_str(providers[i].include);
        bool known = e->include_count == EGRESS_MAX;
        if (!is_within(host, bytes_str(providers[i].host)))
            continue;
        for (size_t n = 0; n < e->include_count; n++)
            known |= bytes_equal(e->includes[n], include);
        if (!known)
            e->includes[e->include_count++] = include;
        return;
    }
}

static bool is_local(struct bytes host) {
    struct addr a;
    return bytes_equal_nocase(host, B("localhost")) ||
           (addr_parse(host, &a) && addr_is_loopback(a));
}

static void add_via(struct egress *e, const struct route *r, struct arena *a) {
    for (size_t i = 0; i < r->via_count; i++) {
        struct bytes host = r->via[i].host;
        struct bytes what =
            arena_printf(a, "route %.*s: via %.*s", BYTES_FMT(r->name), BYTES_FMT(host));
        struct addr address = { 0 };
        if (r->via[i].mx || is_local(host))
            continue;
        addr_parse(host, &address);
        add(e, address, address.family ? BYTES_NONE : host, what, true);
        add_include(e, host);
    }
}

/* --- routes ------------------------------------------------------------------------------------------------------- */

static bool is_for_anybody(const struct route *r) {
    for (size_t i = 0; i < r->to.count; i++)
        if (r->to.list[i].kind == PATTERN_ANY)
            return true;
    return r->to.count == 0;
}

static bool is_for(const struct route *r, struct bytes domain, struct arena *a) {
    if (!r->from.count || !domain.len)
        return true;
    for (size_t i = 0; i < r->from.count; i++)
        if (r->from.list[i].kind == PATTERN_ADDRESS &&
            bytes_ends_nocase(r->from.list[i].text, domain))
            return true;
    return patterns_match(r->from, arena_printf(a, "postmaster@%.*s", BYTES_FMT(domain))) > 0;
}

/* Hands the mail on to hosts that are named; mx:NAME stands for the recipient's own. */
static bool has_smarthost(const struct route *r) {
    for (size_t i = 0; i < r->via_count; i++)
        if (!r->via[i].mx && !is_local(r->via[i].host))
            return true;
    return false;
}

/* Whether the recipient's MX meets an address of ours: unless a smart host gets all of it. */
static bool take_routes(const struct config *c, struct bytes domain, struct arena *a,
                        struct egress *e) {
    bool direct = true;
    for (size_t i = 0; i < c->route_count; i++) {
        const struct route *r = &c->routes[i];
        if (!is_for(r, domain, a))
            continue;
        if (has_smarthost(r))
            add_via(e, r, a);
        else if (r->source_address.family)
            add(e, r->source_address, BYTES_NONE,
                arena_printf(a, "route %.*s: source_address", BYTES_FMT(r->name)), false);
        if (is_for_anybody(r) && (has_smarthost(r) || r->source_address.family))
            direct = false;
    }
    return direct;
}

static void take_host(const struct config *c, const struct tenant *t, struct arena *a,
                      struct egress *e) {
    struct addr interfaces[INTERFACES_MAX];
    if (t && t->address.family) {
        add(e, t->address, BYTES_NONE, arena_printf(a, "tenant %.*s: address", BYTES_FMT(t->name)),
            false);
        return;
    }
    size_t count = sockets_interface_addresses(interfaces, INTERFACES_MAX);
    for (size_t i = 0; i < count; i++)
        if (addr_is_public(interfaces[i]))
            add(e, interfaces[i], BYTES_NONE, B("an address of this host"), false);
    add(e, (struct addr){ 0 }, c->hostname, B("hostname"), false);
}

static const struct tenant *tenant_of(const struct config *c, struct bytes domain) {
    return domain.len ? config_tenant_of(c, domain) : NULL;
}

void egress_of(const struct config *c, struct bytes domain, struct arena *a, struct egress *out) {
    memset(out, 0, sizeof *out);
    if (take_routes(c, domain, a, out))
        take_host(c, tenant_of(c, domain), a, out);
}

/* --- plans ----------------------------------------------------------------------------------------------------------- */

static bool is_for_strangers(const struct listener *l) {
    return l->service == SERVICE_SMTP && l->auth != AUTH_REQUIRE && l->tls != TLS_IMPLICIT;
}

static struct bytes chain_for(const struct config *c, struct bytes host, const struct listener *l,
                              struct arena *a) {
    struct bytes pem = BYTES_NONE;
    for (size_t i = 0; i < c->certificate_count; i++)
        if (bytes_equal_nocase(c->certificates[i].name, host))
            return c->certificates[i].chain_pem;
    if (l->chain_pem.len)
        return l->chain_pem;
    if (files_read(layout_path(a, c, "keys/tls.crt"), PEM_MAX, a, &pem, NULL) != OK)
        return BYTES_NONE;
    return pem;
}

static void plan_tls(const struct config *c, struct arena *a, struct domain_plan *out) {
    for (size_t i = 0; i < c->listener_count && !out->tls; i++) {
        const struct listener *l = &c->listeners[i];
        if (!is_for_strangers(l) || l->tls == TLS_OFF)
            continue;
        out->tls = true;
        struct bytes pem = chain_for(c, out->host, l, a);
        if (pem.len && tls_certificate_spki(pem, a, &out->spki, NULL) != OK)
            out->spki = BYTES_NONE;
    }
}

void egress_plan(const struct config *c, struct bytes domain, struct arena *a,
                 const struct egress *e, struct domain_plan *out) {
    const struct tenant *t = tenant_of(c, domain);
    struct addr interfaces[INTERFACES_MAX];
    *out =
        (struct domain_plan){ .host = config_hostname(c, t ? t->name : BYTES_NONE),
                              .postmaster = arena_printf(a, "postmaster@%.*s", BYTES_FMT(domain)),
                              .takes_mail = config_domain(c, domain) != NULL,
                              .include_count = e->include_count,
                              .includes = e->includes };
    size_t count = 0, found = 0;
    if (t && t->address.family)
        interfaces[count++] = t->address;
    else
        count = sockets_interface_addresses(interfaces, INTERFACES_MAX);
    struct addr *list = ARENA_ARRAY(a, count + 1, struct addr);
    for (size_t i = 0; i < count; i++)
        if (addr_is_public(interfaces[i])) {
            list[found] = interfaces[i];
            list[found++].port = 0;
        }
    out->addresses = list;
    out->address_count = found;
    plan_tls(c, a, out);
}
