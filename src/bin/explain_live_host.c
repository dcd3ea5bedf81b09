/* explain_live_host: is the host that spoke one that the recipient's domain names for its mail (MX), and does
 * it want people to log in? Its name, its addresses and the organisation it belongs to count: the
 * machines behind a provider's MX bear names of their own. */
#include "bin/explain_live.h"

#include "base/must.h"
#include "doctor/doctor.h"
#include "trust/organisation.h"

#include <string.h>

enum { MX_MAX = 20, ADDRESSES_MAX = 64, NAMES_SHOWN = 4 };

struct port {
    struct explain_host *host;
    uint16_t number;
    struct probe *probe;
    bool asked, done;
    enum probe_step step;
    int code; /* that it refused with */
    struct bytes problem, auth, auth_plain, banner;
    bool secured;
};
struct names { /* an answer about hosts */
    bool asked, done;
    struct dns_query *query;
    enum rc rc;
    struct bytes problem;
    const char *reason;
    size_t name_count, address_count;
    struct bytes names[MX_MAX];
    struct addr addresses[ADDRESSES_MAX];
    bool implicit;
};
enum relation { OF_UNKNOWN, OF_NAME, OF_ADDRESS, OF_OPERATOR, OF_NOBODY };
struct explain_host {
    struct explain_facts *facts;
    struct bytes name, domain; /* of the host; of the recipient; either may be empty */
    struct addr literal;       /* the name is an address; else family 0 */
    struct names mx, own;
    struct tls_client *tls;
    struct port ports[2];
    enum relation relation;
};

static struct bytes domain_of(struct bytes address) {
    ptrdiff_t at = bytes_find_last(address, '@');
    return at < 0 ? BYTES_NONE : bytes_skip(address, (size_t)at + 1);
}

/* --- ports ---------------------------------------------------------------------------------------------- */

static void on_seen(void *ctx, const struct probe_seen *seen) {
    struct port *p = ctx;
    struct arena *a = p->host->facts->arena;
    p->probe = NULL;
    p->done = true;
    p->step = seen->step;
    p->code = seen->why.code;
    p->problem = arena_copy(a, bytes_str(seen->why.text));
    p->auth = arena_copy(a, seen->auth);
    p->auth_plain = arena_copy(a, seen->auth_plain);
    p->banner = arena_copy(a, seen->banner);
    p->secured = seen->secured;
    explain_facts_over(p->host->facts);
}

static void probe_port(struct port *p, struct addr address) {
    struct explain_host *h = p->host;
    struct probe_want want = {
        .address = address,
        .hostname = h->facts->hostname,
        .tls = h->tls ? PROBE_TLS_TRY : PROBE_TLS_OFF,
        .tls_client = h->tls,
        .tls_name = h->name,
        .timeout_ms = EXPLAIN_PROBE_MS,
    };
    want.address.port = p->number;
    p->asked = true;
    explain_facts_begun(h->facts);
    p->probe = probe_open(h->facts->loop, &want, on_seen, p);
}

/* One address is enough to learn whether there is a login; IPv4, as IPv6 may not lead out of here. */
static void probe_host(struct explain_host *h) {
    struct addr address = { 0 };
    struct why why;
    for (size_t i = 0; i < h->own.address_count; i++)
        if (!address.family || (address.family == 6 && h->own.addresses[i].family == 4))
            address = h->own.addresses[i];
    if (!address.family)
        return;
    if (tls_client_open(BYTES_NONE, &h->tls, &why) != OK)
        h->tls = NULL;
    for (size_t i = 0; i < COUNT_OF(h->ports); i++)
        probe_port(&h->ports[i], address);
}

/* --- names ------------------------------------------------------------------------------------------------ */

static void take(struct explain_host *h, struct names *n, const struct dns_route *route) {
    struct arena *a = h->facts->arena;
    n->query = NULL;
    n->done = true;
    n->rc = route->rc;
    n->implicit = route->implicit;
    if (route->rc != OK) {
        n->problem = arena_copy(a, bytes_str(route->why.text));
        n->reason = arena_str(a, bytes_str(route->why.reason));
    }
    for (size_t i = 0; i < route->count && n->name_count < MX_MAX; i++) {
        n->names[n->name_count++] = arena_copy(a, route->hosts[i].name);
        for (size_t j = 0; j < route->hosts[i].address_count; j++)
            if (n->address_count < ADDRESSES_MAX)
                n->addresses[n->address_count++] = route->hosts[i].addresses[j];
    }
}

static void on_mx(void *ctx, const struct dns_route *route) {
    struct explain_host *h = ctx;
    take(h, &h->mx, route);
    explain_facts_over(h->facts);
}

static void on_host(void *ctx, const struct dns_route *route) {
    struct explain_host *h = ctx;
    take(h, &h->own, route);
    probe_host(h);
    explain_facts_over(h->facts);
}

/* The answer may come before the question returns: then there is no query to keep. */
static void begin_names(struct explain_host *h) {
    struct explain_facts *f = h->facts;
    if (h->domain.len) {
        h->mx.asked = true;
        explain_facts_begun(f);
        struct dns_query *q = dns_find_mx(f->dns, h->domain, on_mx, h);
        h->mx.query = h->mx.done ? NULL : q;
    }
    if (h->name.len) {
        h->own.asked = true;
        explain_facts_begun(f);
        struct dns_query *q = dns_find_host(f->dns, h->name, on_host, h);
        h->own.query = h->own.done ? NULL : q;
    }
}

/* --- which hosts ------------------------------------------------------------------------------------------- */

/* A bare name is somebody's own network's: the DNS here would tell of another host, or of none. */
static bool is_known_name(struct bytes name) {
    struct addr a;
    return addr_parse(name, &a) || bytes_find(name, '.') > 0;
}

static struct explain_host *find_host(const struct explain_facts *f, struct bytes name,
                                      struct bytes domain) {
    for (size_t i = 0; i < f->host_count; i++)
        if (bytes_equal_nocase(f->hosts[i]->name, name) &&
            bytes_equal_nocase(f->hosts[i]->domain, domain))
            return f->hosts[i];
    return NULL;
}

static struct bytes name_of(const struct explain_answer *a) {
    return is_known_name(a->said->host) ? a->said->host : BYTES_NONE;
}

static void add_host(struct explain_facts *f, struct bytes name, struct bytes domain) {
    if ((!name.len && !domain.len) || find_host(f, name, domain))
        return;
    if (f->host_count == EXPLAIN_HOSTS) {
        f->hosts_left_out++;
        return;
    }
    struct explain_host *h = ARENA_NEW(f->arena, struct explain_host);
    h->facts = f;
    h->name = arena_lower(f->arena, name);
    h->domain = arena_lower(f->arena, domain);
    addr_parse(h->name, &h->literal);
    static const uint16_t numbers[] = { 25, 587 };
    for (size_t i = 0; i < COUNT_OF(h->ports); i++)
        h->ports[i] = (struct port){ .host = h, .number = numbers[i] };
    f->hosts[f->host_count++] = h;
}

void explain_hosts_begin(struct explain_facts *f) {
    for (size_t i = 0; i < f->explained->count; i++) {
        const struct explain_answer *a = &f->explained->answers[i];
        add_host(f, name_of(a), domain_of(a->said->address));
    }
    for (size_t i = 0; i < f->host_count; i++)
        begin_names(f->hosts[i]);
}

/* --- whose it is --------------------------------------------------------------------------------------------- */

static bool has_name(const struct names *n, struct bytes name) {
    for (size_t i = 0; i < n->name_count; i++)
        if (bytes_equal_nocase(n->names[i], name))
            return true;
    return false;
}

static bool shares_address(const struct names *a, const struct names *b) {
    for (size_t i = 0; i < a->address_count; i++)
        for (size_t j = 0; j < b->address_count; j++)
            if (addr_equal(a->addresses[i], b->addresses[j]))
                return true;
    return false;
}

static bool shares_operator(const struct names *n, struct bytes name) {
    for (size_t i = 0; i < n->name_count; i++)
        if (organisation_same(n->names[i], name))
            return true;
    return false;
}

static enum relation relate(const struct explain_host *h) {
    if (!h->name.len || !h->domain.len || !h->mx.done || h->mx.rc == TEMP)
        return OF_UNKNOWN;
    if (has_name(&h->mx, h->name))
        return OF_NAME;
    if (shares_address(&h->mx, &h->own))
        return OF_ADDRESS;
    if (!h->literal.family && shares_operator(&h->mx, h->name))
        return OF_OPERATOR;
    /* What its addresses are must be known before it is said to be a stranger. */
    bool known = h->own.done && (h->own.rc == OK || h->own.rc == PERM);
    return known ? OF_NOBODY : OF_UNKNOWN;
}

/* --- what is said of it ---------------------------------------------------------------------------------------- */

static void write_names(struct buf *b, const struct names *n) {
    for (size_t i = 0; i < n->name_count && i < NAMES_SHOWN; i++)
        buf_printf(b, "%s%.*s", i ? ", " : "", BYTES_FMT(n->names[i]));
    if (n->name_count > NAMES_SHOWN)
        buf_printf(b, " and %zu more", n->name_count - NAMES_SHOWN);
}

static void tell_domain(struct explain_host *h) {
    struct finding_list *l = h->facts->findings;
    struct finding *f =
        finding_add(l, SEVERITY_ERROR, "live.domain", "MX", "%.*s", BYTES_FMT(h->mx.problem));
    finding_about(l, f, "%.*s", BYTES_FMT(h->domain));
    finding_means(l, f, "No mail can be delivered to %.*s, whatever any server said.",
                  BYTES_FMT(h->domain));
    f->who = !strcmp(h->mx.reason, "dns.no-domain") ? "sender" : "recipient-admin";
    finding_fix(l, f, "Check the address's spelling; the domain may have moved or ended.");
    finding_fix(l, f, "If the domain is yours: publish MX records that name its mail servers.");
}

static void tell_stranger(struct explain_host *h, const char *names) {
    struct finding_list *l = h->facts->findings;
    struct finding *f = finding_add(l, SEVERITY_WARNING, "live.mx", "MX",
                                    "it is not among the mail servers (%s) of %.*s, which are %s",
                                    h->mx.implicit ? "no MX: the domain's own address" : "MX",
                                    BYTES_FMT(h->domain), names);
    finding_about(l, f, "%.*s", BYTES_FMT(h->name));
    finding_means(l, f,
                  "It was to pass the message on, as an outgoing server or smart host does, and "
                  "does so only for those it knows: by a login, or by their address.");
    f->who = "sender-admin";
    finding_fix(l, f,
                "If it is your provider's or company's outgoing server: log in there, on port 587 "
                "or 465, with an account that may send as this sender.");
    finding_fix(l, f,
                "If it should have been the recipient's server: correct the route, transport or "
                "hosts entry that led there instead of to the MX.");
}

static void tell_relation(struct explain_host *h) {
    struct finding_list *l = h->facts->findings;
    static const char *const how[] = {
        [OF_NAME] = "it is a mail server (MX) of",
        [OF_ADDRESS] = "its address is one of the mail servers' (MX) of",
        [OF_OPERATOR] = "it belongs to whoever runs the mail servers (MX) of",
    };
    struct finding *f;
    struct buf names = buf_grow(2048);
    write_names(&names, &h->mx);
    h->relation = relate(h);
    if (h->mx.done && h->mx.rc == PERM)
        tell_domain(h);
    else if (h->relation == OF_NOBODY)
        tell_stranger(h, buf_text(&names));
    else if (h->relation == OF_UNKNOWN) {
        f = finding_skip(l, "live.mx", "MX", "%s%.*s",
                         !h->domain.len ? "nobody says whom the message was for (--to)"
                         : !h->name.len ? "nobody says which host spoke (--host)"
                         : !h->mx.done || !h->own.done ? "the DNS did not answer in time"
                                                       : "",
                         BYTES_FMT(h->mx.problem.len ? h->mx.problem : h->own.problem));
        finding_about(l, f, "%.*s", BYTES_FMT(h->name.len ? h->name : h->domain));
    } else {
        f = finding_add(l, SEVERITY_INFO, "live.mx", "MX", "%s %.*s (%s)", how[h->relation],
                        BYTES_FMT(h->domain), buf_text(&names));
        finding_about(l, f, "%.*s", BYTES_FMT(h->name));
    }
    buf_free(&names);
}

/* --- the login ----------------------------------------------------------------------------------------------- */

static void write_port(struct buf *b, const struct port *p) {
    buf_printf(b, "%sport %u: ", b->len ? "; " : "", p->number);
    if (!p->done)
        buf_str(b, "no answer in time");
    else if (p->auth.len)
        buf_printf(b, "a login is offered%s (%.*s)",
                   p->auth_plain.len || !p->secured ? "" : " after STARTTLS", BYTES_FMT(p->auth));
    else if (p->step == PROBE_DONE)
        buf_printf(b, "no login is offered%s", p->secured ? ", after STARTTLS either" : "");
    else
        buf_printf(b, "%.*s", BYTES_FMT(p->problem));
}

static void tell_login(struct explain_host *h) {
    struct finding_list *l = h->facts->findings;
    bool asked = false, offered = false, spoke = false;
    struct buf b = buf_grow(4096);
    for (size_t i = 0; i < COUNT_OF(h->ports); i++) {
        const struct port *p = &h->ports[i];
        if (!p->asked)
            continue;
        asked = true;
        offered |= p->auth.len > 0;
        spoke |= p->done && (p->step == PROBE_DONE || p->auth.len);
        write_port(&b, p);
    }
    struct finding *f;
    bool wanted = offered && h->relation == OF_NOBODY;
    if (!asked)
        f = finding_skip(
            l, "live.login", "AUTH", "%.*s",
            BYTES_FMT(h->own.problem.len ? h->own.problem : B("the DNS did not answer in time")));
    else if (!spoke)
        f = finding_skip(l, "live.login", "AUTH", "%s", buf_text(&b));
    else
        f = finding_add(l, wanted ? SEVERITY_WARNING : SEVERITY_INFO, "live.login", "AUTH", "%s",
                        buf_text(&b));
    finding_about(l, f, "%.*s", BYTES_FMT(h->name));
    buf_free(&b);
    if (!wanted)
        return;
    finding_means(l, f,
                  "A server that offers logins, and is not the recipient's, relays for those who "
                  "log in: the message came without a login, or with one that may not do this.");
    f->who = "sender";
    finding_fix(l, f,
                "Turn on authentication for the outgoing server in the mail program, device or "
                "application: user name, password, port 587, STARTTLS.");
}

/* --- for the rules --------------------------------------------------------------------------------------------- */

static void teach(struct explain_facts *f) {
    for (size_t i = 0; i < f->explained->count; i++) {
        struct explain_answer *a = &f->explained->answers[i];
        const struct explain_host *h = find_host(f, name_of(a), domain_of(a->said->address));
        if (!h || h->relation == OF_UNKNOWN || h->mx.rc != OK)
            continue;
        a->facts.mx = h->relation == OF_NOBODY ? REPLY_MX_NO : REPLY_MX_YES;
        a->facts.ours_is_client &= h->relation != OF_NOBODY;
        for (size_t j = 0; j < COUNT_OF(h->ports); j++)
            if (h->ports[j].number == 25)
                a->facts.banner = h->ports[j].banner;
    }
}

static void end(struct explain_host *h) {
    struct names *both[] = { &h->mx, &h->own };
    for (size_t i = 0; i < COUNT_OF(both); i++)
        if (both[i]->query)
            dns_query_cancel(&both[i]->query);
    for (size_t i = 0; i < COUNT_OF(h->ports); i++)
        probe_close(&h->ports[i].probe);
    if (h->tls)
        tls_client_close(&h->tls);
}

void explain_hosts_tell(struct explain_facts *f) {
    if (!f->host_count)
        finding_skip(f->findings, "live.mx", "MX",
                     "nobody says which host spoke, and whom the message was for (--host, --to)");
    for (size_t i = 0; i < f->host_count; i++) {
        struct explain_host *h = f->hosts[i];
        end(h);
        tell_relation(h);
        if (h->name.len)
            tell_login(h);
    }
    if (f->hosts_left_out)
        finding_skip(f->findings, "live.many", NULL,
                     "%zu more hosts and domains were not looked at: %d are", f->hosts_left_out,
                     EXPLAIN_HOSTS);
    teach(f);
}
