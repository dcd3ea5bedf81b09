/* hop: what a next hop's name means under the configuration. A hop holds copies, so a reload may
 * free the configuration while tasks go on under the rules they began with. */
#include "base/must.h"
#include "base/scan.h"
#include "deliver/internal.h"

#include <stdlib.h>
#include <string.h>

enum { MX_CONNECTIONS = 20, OWN_CONNECTIONS = 64, SMTP_PORT = 25, LMTP_PORT = 24 };

static void wipe(void *arg) {
    struct hop *h = arg;
    tls_client_close(&h->own_tls);
    if (h->login_password.len)
        explicit_bzero((void *)(uintptr_t)h->login_password.at, h->login_password.len);
}

static const struct route *find_route(const struct config *c, struct bytes name) {
    for (size_t i = 0; i < c->route_count; i++)
        if (bytes_equal(c->routes[i].name, name))
            return &c->routes[i];
    return NULL;
}

static struct source *one_source(struct hop *h) {
    h->sources = ARENA_NEW(h->arena, struct source);
    h->source_count = 1;
    return h->sources;
}

static bool read_mx(struct hop *h, struct bytes domain) {
    h->tls = TLS_POLICY_OPPORTUNISTIC;
    h->max_connections = MX_CONNECTIONS;
    *one_source(h) = (struct source){ .mx = true, .host = domain, .port = SMTP_PORT };
    return domain.len > 0;
}

static struct rates copy_rates(struct arena *a, struct rates from) {
    struct rate *list = ARENA_ARRAY(a, from.count ? from.count : 1, struct rate);
    for (size_t i = 0; i < from.count; i++)
        list[i] = from.list[i];
    return (struct rates){ from.count, list };
}

static void set_why(struct hop *h, const char *text) {
    why_set(&h->why, TEMP, 450, "4.3.5", "config.next-hop", "%s", text);
}

static bool read_route(struct hop *h, struct bytes name) {
    const struct route *r = find_route(h->deliver->config, name);
    if (!r || !r->via_count)
        return false;
    arena_defer(h->arena, wipe, h);
    struct why why;
    if (r->ca_file.len && tls_client_open(r->ca_file, &h->own_tls, &why) != OK) {
        set_why(h, why.text);
        return false;
    }
    h->tls = r->tls;
    h->has_login = r->has_login;
    h->login_user = arena_copy(h->arena, r->login_user);
    h->login_password = arena_copy(h->arena, r->login_password);
    if (r->login_oauth)
        h->login_route = arena_copy(h->arena, name);
    if (r->source_address.family) /* the smart host may know us by it, whoever's mail it is */
        h->source_address = r->source_address;
    h->max_connections = r->max_connections ? r->max_connections : MX_CONNECTIONS;
    h->no_chunking = !r->chunking;
    h->rate = copy_rates(h->arena, r->rate);
    h->rate_key = arena_printf(h->arena, "route/%.*s", BYTES_FMT(name));
    h->source_count = r->via_count;
    h->sources = ARENA_ARRAY(h->arena, r->via_count, struct source);
    for (size_t i = 0; i < r->via_count; i++) {
        const struct via *v = &r->via[i];
        h->sources[i] = (struct source){ .mx = v->mx,
                                         .implicit = v->implicit,
                                         .host = arena_copy(h->arena, v->host),
                                         .port = v->port ? v->port : SMTP_PORT };
    }
    return true;
}

/* HOST:PORT, [2001:db8::1]:PORT, 2001:db8::1:PORT (the last colon divides), HOST. */
static bool read_host(struct hop *h, struct bytes text, uint16_t port) {
    uint64_t number = port;
    ptrdiff_t colon = bytes_find_last(text, ':');
    ptrdiff_t bracket = bytes_find_last(text, ']');
    if (colon > bracket) {
        if (!bytes_to_u64(bytes_skip(text, (size_t)colon + 1), 65535, &number) || !number)
            return false;
        text = bytes_first(text, (size_t)colon);
    }
    *one_source(h) = (struct source){ .host = text, .port = (uint16_t)number };
    return text.len > 0;
}

static bool read_smtp(struct hop *h, struct bytes text) {
    h->max_connections = OWN_CONNECTIONS;
    return read_host(h, text, SMTP_PORT);
}

static bool read_lmtp(struct hop *h, struct bytes text) {
    h->max_connections = OWN_CONNECTIONS;
    if (!bytes_starts(text, B("unix:")))
        return read_host(h, text, LMTP_PORT);
    *one_source(h) = (struct source){ .path = bytes_skip(text, 5), .host = B("localhost") };
    return h->sources->path.len > 0;
}

static bool read_maildir(struct hop *h, struct bytes domain) {
    (void)h;
    (void)domain; /* the mailbox says it all; bare postmaster has none */
    return true;
}

/* What resolve found out about a recipient, as it is told. */
static const struct {
    const char *reason;
    int code;
    const char *status, *text;
} failures[] = {
    { "recipient.forwarding-denied", 550, "5.7.1",
      "the mailbox is forwarded to another domain, which the administrator of its own domain does "
      "not allow" },
    { "recipient.group-restricted", 550, "5.7.1",
      "the mailbox is forwarded to a group that not everyone may send to" },
    { "recipient.group-empty", 550, "5.2.4", "the group has no members" },
    { "recipient.srs-expired", 550, "5.1.1",
      "the return address was not made by this server or has expired" },
    { "loop.forward", 554, "5.4.6",
      "mail loop: the message was forwarded from this address before and has come back" },
};

static bool read_fail(struct hop *h, struct bytes reason) {
    for (size_t i = 0; i < COUNT_OF(failures); i++) {
        if (!bytes_equal(reason, bytes_str(failures[i].reason)))
            continue;
        why_set(&h->why, PERM, failures[i].code, failures[i].status, failures[i].reason, "%s",
                failures[i].text);
        return true;
    }
    return false;
}

static const struct {
    const char *prefix;
    enum hop_kind kind;
    bool (*read)(struct hop *h, struct bytes rest);
} kinds[] = {
    { "mx:", HOP_MX, read_mx },
    { "route:", HOP_ROUTE, read_route },
    { "smtp:", HOP_SMTP, read_smtp },
    { "lmtp:", HOP_LMTP, read_lmtp },
    { "maildir:", HOP_MAILDIR, read_maildir },
    { "fail:", HOP_REFUSED, read_fail },
};

/* "mx:example.com@northwind": with the face of this tenant. Only what leaves this host has one. */
static struct bytes put_face_on(struct hop *h) {
    ptrdiff_t at = bytes_find_last(h->name, '@');
    bool leaves = bytes_starts(h->name, B("mx:")) || bytes_starts(h->name, B("route:"));
    const struct config *c = h->deliver->config;
    if (at < 0 || !leaves)
        return h->name;
    const struct tenant *t = config_tenant(c, bytes_skip(h->name, (size_t)at + 1));
    h->hostname = arena_copy(h->arena, t && t->hostname.len ? t->hostname : c->hostname);
    if (t)
        h->source_address = t->address;
    return bytes_first(h->name, (size_t)at);
}

static void read_name(struct hop *h) {
    struct bytes name = put_face_on(h);
    h->key = arena_printf(h->arena, "hop/%.*s", BYTES_FMT(name));
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct bytes prefix = bytes_str(kinds[i].prefix);
        if (!bytes_starts(name, prefix))
            continue;
        if (kinds[i].read(h, bytes_skip(name, prefix.len)))
            h->kind = kinds[i].kind;
        return;
    }
}

struct hop *hop_get(struct deliver *d, struct bytes next_hop) {
    struct hop *h = map_find(d->hops, next_hop);
    if (h)
        return h;
    struct arena *a = arena_open();
    h = ARENA_NEW(a, struct hop);
    h->deliver = d;
    h->arena = a;
    h->name = arena_copy(a, next_hop);
    h->hostname = arena_copy(a, d->config->hostname);
    list_init(&h->idle);
    list_init(&h->waiting);
    set_why(h, "the configuration no longer has this next hop");
    read_name(h);
    map_put(d->hops, next_hop, h);
    return h;
}

bool hop_is_our_name(const struct hop *h, struct bytes name) {
    const struct config *c = h->deliver->config;
    if (bytes_equal_nocase(name, h->hostname) || bytes_equal_nocase(name, c->hostname))
        return true;
    for (size_t i = 0; i < c->tenant_count; i++)
        if (bytes_equal_nocase(name, c->tenants[i].hostname))
            return true;
    return false;
}

void hop_use(struct hop *h) {
    h->users++;
}

void hop_release(struct hop *h) {
    MUST(h->users > 0);
    if (--h->users)
        return;
    if (!h->stale)
        map_remove(h->deliver->hops, h->name);
    struct arena *a = h->arena;
    arena_close(&a);
}

/* After a reload: names are read anew; what is under way keeps the old meaning. */
void hop_forget_all(struct deliver *d) {
    size_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(d->hops, &position, &key, &value)) {
        struct hop *h = value;
        map_remove(d->hops, h->name);
        h->stale = true;
        hop_use(h);
        LIST_EACH(&h->idle, n)
        conn_quit(CONTAINER_OF(n, struct conn, idle_node));
        hop_release(h);
    }
}
