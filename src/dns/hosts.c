/* hosts: from a domain to the hosts that take its mail (RFC 5321 section 5.1, RFC 7505), and from a
 * host to its addresses. Questions go out in parallel; what could not be had for now is told apart
 * from what does not exist, host by host. */
#include "base/must.h"
#include "dns/local.h"
#include "dns/wire.h"

#include <stdlib.h>
#include <string.h>

enum { HOSTS_MAX = 20, ADDRESSES_MAX = 8 /* of a family and host */ };

struct work;
struct lookup { /* A or AAAA of one host */
    struct work *work;
    uint64_t id;
    bool asked, done, failed, exists, secure;
    struct addr addresses[ADDRESSES_MAX];
    size_t count;
};
struct work {
    struct dns_query *query;
    struct dns_host host;
    uint64_t order; /* random: among equal preferences */
    struct lookup six, four;
};
struct dns_query {
    struct dns *dns;
    struct arena *arena;
    struct bytes name;
    dns_routed *on_route;
    void *ctx;
    bool mail;     /* MX rules hold; else one host */
    bool implicit; /* no MX */
    bool secure;   /* the MX answer */
    bool asked;    /* the MX question is under way */
    uint64_t id;
    size_t count, waiting;
    struct work *works;
    struct why temp; /* of the last lookup that failed */
};

static struct dns_query *query_open(struct dns *d, struct bytes name, dns_routed *on_route,
                                    void *ctx) {
    struct arena *a = arena_open();
    struct dns_query *q = ARENA_NEW(a, struct dns_query);
    q->dns = d;
    q->arena = a;
    if (name.len && name.at[name.len - 1] == '.')
        name.len--;
    q->name = arena_lower(a, name);
    q->on_route = on_route;
    q->ctx = ctx;
    return q;
}

/* --- the end ------------------------------------------------------------------------------ */

static void finish(struct dns_query *q, const struct dns_route *route) {
    struct arena *a = q->arena;
    q->on_route(q->ctx, route);
    arena_close(&a); /* q lies in it */
}

static void finish_with(struct dns_query *q, enum rc rc, const struct why *why) {
    struct dns_route route = { .rc = rc, .why = *why };
    finish(q, &route);
}

/* None of the hosts has an address. */
static void no_address(struct dns_query *q, bool later) {
    struct why why;
    int n = (int)q->name.len;
    const char *name = q->name.at;
    if (later) {
        finish_with(q, TEMP, &q->temp);
        return;
    }
    if (!q->mail)
        why_set(&why, PERM, 550, "5.4.4", "dns.no-host", "the host %.*s has no address in the DNS",
                n, name);
    else if (q->implicit && !q->works[0].six.exists && !q->works[0].four.exists)
        why_set(&why, PERM, 550, "5.1.2", "dns.no-domain",
                "the domain %.*s does not exist; check its spelling", n, name);
    else if (q->implicit)
        why_set(&why, PERM, 550, "5.1.2", "dns.no-mail",
                "the domain %.*s has neither MX nor address records, so it takes no mail", n, name);
    else
        why_set(&why, PERM, 550, "5.4.4", "dns.no-address",
                "none of the mail servers named by the MX records of %.*s has an address", n, name);
    finish_with(q, PERM, &why);
}

static void finish_hosts(struct dns_query *q) {
    struct dns_host *hosts = ARENA_ARRAY(q->arena, q->count, struct dns_host);
    size_t addresses = 0;
    bool later = false;
    for (size_t i = 0; i < q->count; i++) {
        hosts[i] = q->works[i].host;
        addresses += hosts[i].address_count;
        later |= hosts[i].rc == TEMP;
    }
    if (!addresses) {
        no_address(q, later);
        return;
    }
    struct dns_route route = {
        .rc = OK, .implicit = q->implicit, .count = q->count, .hosts = hosts
    };
    finish(q, &route);
}

/* --- addresses ---------------------------------------------------------------------------- */

/* IPv6 first, then by turns, so that a family that does not work here costs one try (RFC 5321
 * section 5.1: the sender must try every address). */
static void set_addresses(struct work *w) {
    size_t total = w->six.count + w->four.count, n = 0;
    struct addr *list = total ? ARENA_ARRAY(w->query->arena, total, struct addr) : NULL;
    for (size_t i = 0; i < ADDRESSES_MAX; i++) {
        if (i < w->six.count)
            list[n++] = w->six.addresses[i];
        if (i < w->four.count)
            list[n++] = w->four.addresses[i];
    }
    w->host.addresses = list;
    w->host.address_count = total;
    w->host.secure = (!w->query->mail || w->query->secure) && (!w->six.count || w->six.secure) &&
                     (!w->four.count || w->four.secure);
    if (total)
        w->host.rc = OK;
    else
        w->host.rc = w->six.failed || w->four.failed ? TEMP : PERM;
}

static bool is_unspecified(struct addr a) {
    static const uint8_t zero[16];
    return memcmp(a.ip, zero, a.family == 6 ? 16 : 4) == 0;
}

static void on_addresses(void *ctx, const struct dns_answer *answer) {
    struct lookup *l = ctx;
    struct dns_query *q = l->work->query;
    l->done = true;
    l->failed = answer->rc != OK;
    l->exists = answer->exists;
    l->secure = answer->secure;
    if (l->failed)
        q->temp = answer->why;
    for (size_t i = 0; i < answer->count && l->count < ADDRESSES_MAX; i++)
        /* 0.0.0.0 and :: would be this host. */
        if (answer->records[i].address.family && !is_unspecified(answer->records[i].address))
            l->addresses[l->count++] = answer->records[i].address;
    if (--q->waiting)
        return;
    for (size_t i = 0; i < q->count; i++)
        set_addresses(&q->works[i]);
    finish_hosts(q);
}

static void ask_addresses(struct dns_query *q) {
    q->waiting = 2 * q->count;
    for (size_t i = 0; i < q->count; i++) {
        struct work *w = &q->works[i];
        w->six.work = w->four.work = w;
        w->six.asked = w->four.asked = true;
        w->six.id = q->dns->ask(q->dns->self, w->host.name, DNS_AAAA, on_addresses, &w->six);
        w->four.id = q->dns->ask(q->dns->self, w->host.name, DNS_A, on_addresses, &w->four);
    }
}

static void one_host(struct dns_query *q) {
    q->count = 1;
    q->works = ARENA_NEW(q->arena, struct work);
    q->works[0].query = q;
    q->works[0].host.name = q->name;
    ask_addresses(q);
}

/* --- MX ----------------------------------------------------------------------------------- */

/* splitmix64: order among equals need not be secret. */
static uint64_t next_random(struct dns *d) {
    uint64_t z = d->seed += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int by_preference(const void *a, const void *b) {
    const struct work *x = a, *y = b;
    if (x->host.preference != y->host.preference)
        return x->host.preference < y->host.preference ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* A name given twice counts once, with its better preference (the list is sorted). */
static size_t without_doubles(struct work *works, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        size_t j = 0;
        while (j < kept && !bytes_equal_nocase(works[j].host.name, works[i].host.name))
            j++;
        if (j == kept)
            works[kept++] = works[i];
    }
    return kept;
}

static void take_mx(struct dns_query *q, const struct dns_answer *answer) {
    struct work *works = ARENA_ARRAY(q->arena, answer->count, struct work);
    size_t count = 0;
    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_record *r = &answer->records[i];
        if (!r->name.len)
            continue; /* "." beside others means nothing (RFC 7505 section 3) */
        works[count].query = q;
        works[count].host.preference = r->preference;
        works[count].host.name = arena_lower(q->arena, r->name);
        works[count++].order = next_random(q->dns);
    }
    qsort(works, count, sizeof *works, by_preference);
    count = without_doubles(works, count);
    q->works = works;
    q->count = count < HOSTS_MAX ? count : HOSTS_MAX;
}

static void on_mx(void *ctx, const struct dns_answer *answer) {
    struct dns_query *q = ctx;
    struct why why;
    q->asked = false;
    q->secure = answer->secure;
    if (answer->rc != OK) {
        finish_with(q, TEMP, &answer->why);
        return;
    }
    if (!answer->exists) {
        why_set(&why, PERM, 550, "5.1.2", "dns.no-domain",
                "the domain %.*s does not exist; check its spelling", BYTES_FMT(q->name));
        finish_with(q, PERM, &why);
        return;
    }
    if (!answer->count) {
        q->implicit = true; /* RFC 5321 section 5.1: as if an MX of preference 0 named the domain */
        one_host(q);
        return;
    }
    take_mx(q, answer);
    if (!q->count) {
        why_set(&why, PERM, 556, "5.1.10", "dns.null-mx",
                "the domain %.*s accepts no mail (null MX, RFC 7505)", BYTES_FMT(q->name));
        finish_with(q, PERM, &why);
        return;
    }
    ask_addresses(q);
}

/* --- without a question ------------------------------------------------------------------- */

static bool is_literal(struct bytes name, struct addr *out) {
    if (name.len > 2 && name.at[0] == '[' && name.at[name.len - 1] == ']')
        name = bytes_slice(name, 1, name.len - 1);
    if (bytes_starts_nocase(name, B("IPv6:")))
        name = bytes_skip(name, 5);
    return addr_parse(name, out);
}

static void known(struct bytes name, const struct addr *addresses, size_t count,
                  dns_routed *on_route, void *ctx) {
    struct dns_host host = { .name = name, .address_count = count, .addresses = addresses };
    struct dns_route route = { .rc = OK, .implicit = true, .count = 1, .hosts = &host };
    on_route(ctx, &route);
}

static bool no_name(struct bytes name, dns_routed *on_route, void *ctx) {
    if (name.len && name.len <= DNS_NAME_MAX && bytes_find(name, '\0') < 0)
        return false;
    struct dns_route route = { .rc = PERM };
    why_set(&route.why, PERM, 550, "5.1.2", "dns.no-domain", "this is not a domain name: %.*s",
            BYTES_FMT(bytes_first(name, DNS_NAME_MAX)));
    on_route(ctx, &route);
    return true;
}

struct dns_query *dns_find_mx(struct dns *d, struct bytes domain, dns_routed *on_route, void *ctx) {
    struct addr literal;
    if (domain.len && domain.at[0] == '[' && is_literal(domain, &literal)) {
        known(domain, &literal, 1, on_route, ctx);
        return NULL;
    }
    if (no_name(domain, on_route, ctx))
        return NULL;
    struct dns_query *q = query_open(d, domain, on_route, ctx);
    q->mail = true;
    q->asked = true;
    q->id = d->ask(d->self, q->name, DNS_MX, on_mx, q);
    return q;
}

struct dns_query *dns_find_host(struct dns *d, struct bytes host, dns_routed *on_route, void *ctx) {
    struct addr found[2 * ADDRESSES_MAX];
    size_t count = is_literal(host, found);
    if (!count && d->local)
        count = d->local(d->self, host, found, COUNT_OF(found));
    if (!count)
        count = dns_localhost(host, found, COUNT_OF(found));
    if (count) {
        known(host, found, count, on_route, ctx);
        return NULL;
    }
    if (no_name(host, on_route, ctx))
        return NULL;
    struct dns_query *q = query_open(d, host, on_route, ctx);
    one_host(q);
    return q;
}

void dns_query_cancel(struct dns_query **qp) {
    struct dns_query *q = *qp;
    *qp = NULL;
    if (!q)
        return;
    if (q->asked)
        q->dns->cancel(q->dns->self, q->id);
    for (size_t i = 0; i < q->count; i++) {
        struct work *w = &q->works[i];
        if (w->six.asked && !w->six.done)
            q->dns->cancel(q->dns->self, w->six.id);
        if (w->four.asked && !w->four.done)
            q->dns->cancel(q->dns->self, w->four.id);
    }
    struct arena *a = q->arena;
    arena_close(&a);
}
