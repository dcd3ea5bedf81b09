/* target: from what the user typed to hosts and addresses: a mailbox's or domain's MX, a host, an address, with
 * a port or without. Names that do not lead anywhere are the first thing that can be to blame. */
#include "base/must.h"
#include "doctor/examine_parts.h"
#include "message/address.h"

#include <string.h>

/* --- asking, and waiting ---------------------------------------------------------------------------- */

struct wait {
    struct loop *loop;
    struct arena *arena;
    bool done;
    struct dns_route route; /* kept */
};

static const struct dns_host *keep_hosts(struct arena *a, const struct dns_route *route) {
    struct dns_host *hosts = ARENA_ARRAY(a, route->count + 1, struct dns_host);
    for (size_t i = 0; i < route->count; i++) {
        hosts[i] = route->hosts[i];
        hosts[i].name = arena_copy(a, route->hosts[i].name);
        struct addr *list = ARENA_ARRAY(a, hosts[i].address_count + 1, struct addr);
        if (hosts[i].address_count)
            memcpy(list, route->hosts[i].addresses, hosts[i].address_count * sizeof *list);
        hosts[i].addresses = list;
    }
    return hosts;
}

static void on_route(void *ctx, const struct dns_route *route) {
    struct wait *w = ctx;
    w->route = *route;
    w->route.hosts = keep_hosts(w->arena, route);
    w->done = true;
    loop_stop(w->loop);
}

static struct dns_route ask(struct examination *e, struct bytes name, bool mx) {
    struct wait w = { .loop = e->loop, .arena = e->arena };
    if (!e->dns) {
        why_set(&w.route.why, TEMP, 0, NULL, "dns.failed", "names cannot be looked up here");
        w.route.rc = TEMP;
        return w.route;
    }
    struct dns_query *q =
        mx ? dns_find_mx(e->dns, name, on_route, &w) : dns_find_host(e->dns, name, on_route, &w);
    if (w.done)
        return w.route;
    if (!examine_wait_dns(e, &w.done)) {
        dns_query_cancel(&q);
        w.route.rc = TEMP;
        why_set(&w.route.why, TEMP, 0, NULL, "dns.failed",
                "the DNS did not answer in time for %.*s", BYTES_FMT(name));
    }
    return w.route;
}

/* --- what was typed ----------------------------------------------------------------------------------- */

struct typed {
    struct bytes name;
    uint16_t port;
    bool literal;
    struct addr address;
};

static bool take_port(struct bytes text, uint16_t *port) {
    uint64_t n;
    if (!bytes_to_u64(text, 65535, &n) || !n)
        return false;
    *port = (uint16_t)n;
    return true;
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]:25", "2001:db8::1", "192.0.2.1:25", "mail.example.com:587" */
static bool take_apart(struct bytes text, struct typed *out) {
    *out = (struct typed){ .name = text };
    if (addr_parse(text, &out->address)) {
        out->literal = true;
        return true;
    }
    ptrdiff_t colon = bytes_find_last(text, ':'), bracket = bytes_find_last(text, ']');
    if (colon >= 0 && colon > bracket) {
        if (!take_port(bytes_skip(text, (size_t)colon + 1), &out->port))
            return false;
        text = bytes_first(text, (size_t)colon);
    }
    if (text.len > 2 && text.at[0] == '[' && text.at[text.len - 1] == ']') {
        text = bytes_slice(text, 1, text.len - 1);
        if (bytes_starts_nocase(text, B("IPv6:")))
            text = bytes_skip(text, 5);
        out->literal = true;
    }
    out->name = text;
    if (addr_parse(text, &out->address))
        out->literal = true;
    else if (out->literal)
        return false;
    return text.len > 0;
}

/* --- hosts ---------------------------------------------------------------------------------------------- */

static struct host *add_host(struct examination *e, struct bytes name) {
    if (e->host_count == HOSTS_MAX)
        return NULL;
    struct host *h = &e->hosts[e->host_count++];
    *h = (struct host){ .name = name };
    return h;
}

static void add_addresses(const struct examination *e, struct host *h, const struct addr *list,
                          size_t count) {
    for (size_t i = 0; h && i < count && h->count < ADDRESSES_MAX; i++)
        if (!e->want->family || list[i].family == e->want->family)
            h->addresses[h->count++] = list[i];
}

static struct bytes address_list(struct examination *e, const struct host *h) {
    struct buf b = buf_grow(4096);
    for (size_t i = 0; i < h->count; i++) {
        buf_str(&b, i ? ", " : "");
        addr_format(&b, h->addresses[i]);
    }
    struct bytes text = arena_copy(e->arena, buf_bytes(&b));
    buf_free(&b);
    return text;
}

static void say_hosts(struct examination *e) {
    struct finding_list *f = &e->out->findings;
    for (size_t i = 0; i < e->host_count; i++) {
        const struct host *h = &e->hosts[i];
        struct bytes list = h->count ? address_list(e, h) : B("no address");
        examine_say(e, MARK_NOTE, "%.*s%.*s is %.*s", BYTES_FMT(h->mx ? B("MX ") : B("")),
                    BYTES_FMT(h->name), BYTES_FMT(list));
        struct finding *one = finding_add(f, h->count ? SEVERITY_INFO : SEVERITY_WARNING,
                                          "dns.addresses", "DNS", "%.*s", BYTES_FMT(list));
        if (h->mx)
            finding_about(f, one, "%.*s MX %u %.*s", BYTES_FMT(e->domain), h->preference,
                          BYTES_FMT(h->name));
        else
            finding_about(f, one, "%.*s", BYTES_FMT(h->name));
        if (!h->count)
            finding_means(f, one, "Nothing can be delivered to this host.");
    }
}

static bool any_address(const struct examination *e) {
    for (size_t i = 0; i < e->host_count; i++)
        if (e->hosts[i].count)
            return true;
    return false;
}

static bool blame_dns(struct examination *e, const struct why *why) {
    examine_say(e, MARK_FAULT, "DNS: %s", why->text);
    verdict_of_fault(e, STEP_DNS,
                     why->reason[0] && !strcmp(why->reason, "dns.failed") ? HOW_TIMEOUT
                                                                          : HOW_UNREACHABLE,
                     why->reason, arena_copy(e->arena, bytes_str(why->text)));
    return false;
}

static bool check_addresses(struct examination *e) {
    struct why why;
    say_hosts(e);
    if (any_address(e))
        return true;
    why_set(&why, PERM, 0, NULL, "dns.no-host", "there is no %s address to connect to",
            e->want->family == 4   ? "IPv4"
            : e->want->family == 6 ? "IPv6"
                                   : "IP");
    return blame_dns(e, &why);
}

static bool find_host(struct examination *e, const struct typed *t) {
    struct host *h = add_host(e, arena_copy(e->arena, t->name));
    if (t->literal) {
        add_addresses(e, h, &t->address, 1);
        return check_addresses(e);
    }
    struct dns_route route = ask(e, t->name, false);
    if (route.rc != OK)
        return blame_dns(e, &route.why);
    for (size_t i = 0; i < route.count; i++) {
        add_addresses(e, h, route.hosts[i].addresses, route.hosts[i].address_count);
        h->secure = route.hosts[i].secure;
    }
    return check_addresses(e);
}

static bool take_route(struct examination *e, const struct dns_route *route) {
    for (size_t i = 0; i < route->count; i++) {
        const struct dns_host *from = &route->hosts[i];
        struct host *h = add_host(e, from->name);
        if (!h)
            break;
        h->preference = from->preference;
        h->mx = !route->implicit;
        h->secure = from->secure;
        add_addresses(e, h, from->addresses, from->address_count);
    }
    if (route->implicit) {
        struct finding_list *f = &e->out->findings;
        struct finding *one =
            finding_add(f, SEVERITY_INFO, "dns.no-mx", "DNS",
                        "%.*s has no MX record; mail goes to the address of its own name",
                        BYTES_FMT(e->domain));
        finding_means(f, one, "That is allowed (RFC 5321 section 5.1).");
    }
    return check_addresses(e);
}

static bool find_mx(struct examination *e, struct bytes domain) {
    e->domain = arena_copy(e->arena, domain);
    e->own = e->domain;
    struct dns_route route = ask(e, domain, true);
    if (route.rc != OK)
        return blame_dns(e, &route.why);
    return take_route(e, &route);
}

/* A bare name may be a host's or a domain's: what has an MX is a domain. */
static bool find_either(struct examination *e, const struct typed *t) {
    bool may_be_domain = !t->literal && !e->port && !e->want->lmtp && bytes_find(t->name, '.') >= 0;
    if (!may_be_domain && !e->want->as_domain)
        return find_host(e, t);
    struct dns_route route = ask(e, t->name, true);
    if (e->want->as_domain ? route.rc != OK : (route.rc != OK || route.implicit)) {
        if (e->want->as_domain || !strcmp(route.why.reason, "dns.null-mx"))
            return blame_dns(e, &route.why);
        return find_host(e, t);
    }
    e->domain = e->own = arena_copy(e->arena, t->name);
    return take_route(e, &route);
}

static bool misread(struct examination *e, struct bytes text, const char *what) {
    struct why why;
    why_set(&why, PERM, 0, NULL, "dns.no-host", "%.*s: %s", BYTES_FMT(text), what);
    return blame_dns(e, &why);
}

/* "mail.example.com" -> "example.com", for a guess at a mailbox that the server hosts. */
static struct bytes parent_domain(struct bytes name) {
    ptrdiff_t dot = bytes_find(name, '.');
    struct bytes rest = dot > 0 ? bytes_skip(name, (size_t)dot + 1) : BYTES_NONE;
    return bytes_find(rest, '.') > 0 ? rest : name;
}

static bool find_named(struct examination *e, struct bytes text) {
    struct typed t;
    struct bytes ascii;
    if (!take_apart(text, &t))
        return misread(e, text, "this is no host, address or mailbox");
    if (t.port)
        e->port = t.port;
    if (!t.literal) {
        const char *wrong = address_parse_domain(t.name, e->arena, &ascii);
        if (wrong)
            return misread(e, text, wrong);
        t.name = ascii;
        e->own = arena_copy(e->arena, parent_domain(ascii));
    }
    return e->want->server.len ? find_host(e, &t) : find_either(e, &t);
}

bool target_find(struct examination *e) {
    const struct examine_want *want = e->want;
    struct address address;
    if (want->path.len) {
        add_host(e, B("localhost"));
        return true;
    }
    if (want->server.len)
        return find_named(e, want->server);
    if (bytes_find(want->target, '@') < 0)
        return find_named(e, want->target);
    const char *wrong = address_parse(want->target, e->arena, &address);
    if (wrong)
        return misread(e, want->target, wrong);
    if (address.literal) {
        struct typed t;
        return take_apart(address.domain, &t) ? find_host(e, &t)
                                              : misread(e, want->target, "no such address");
    }
    return find_mx(e, address.domain);
}

const char *examine_wrong_target(struct bytes text, struct arena *a) {
    struct typed t;
    struct address address;
    struct bytes ascii;
    if (bytes_find(text, '@') >= 0)
        return address_parse(text, a, &address);
    if (!take_apart(text, &t))
        return "it is no host, address or mailbox";
    return t.literal ? NULL : address_parse_domain(t.name, a, &ascii);
}

size_t target_addresses(struct examination *e, struct bytes host, struct addr *out) {
    struct dns_route route = ask(e, host, false);
    size_t count = 0;
    for (size_t i = 0; route.rc == OK && i < route.count; i++)
        for (size_t j = 0; j < route.hosts[i].address_count && count < ADDRESSES_MAX; j++)
            out[count++] = route.hosts[i].addresses[j];
    return count;
}

/* --- whose MX ----------------------------------------------------------------------------------------------- */

bool target_is_mx(struct examination *e, struct bytes domain, bool *is_out) {
    *is_out = false;
    if (!e->dns || !domain.len || domain.at[0] == '[' || bytes_find(domain, '.') < 0)
        return false;
    if (e->domain.len && bytes_equal_nocase(domain, e->domain)) {
        *is_out = true;
        return true;
    }
    struct dns_route route = ask(e, domain, true);
    if (route.rc == TEMP)
        return false;
    for (size_t i = 0; route.rc == OK && i < route.count; i++) {
        *is_out |= bytes_equal_nocase(route.hosts[i].name, e->host);
        for (size_t j = 0; j < route.hosts[i].address_count; j++)
            *is_out |= addr_equal(route.hosts[i].addresses[j], e->address);
    }
    return true;
}
