/* freeze: a config as one block of octets and back, for the parent's children. The tables below name
 * every field of every struct, in order; writing and reading both walk them. Reading trusts nothing:
 * counts, lengths and enums are checked, and what does not fit to the last octet is refused. The
 * format is this build's own (version below), never stored. */
#include "config/reading.h"

#include "base/must.h"
#include "base/scan.h"
#include "config/storage.h"

#include <string.h>

#define MAGIC    "PSTC"
#define VERSION  2u
/* Milliseconds that can be added to a clock without a thought. */
#define TIME_MAX (INT64_C(1) << 53)

struct thawing {
    struct arena *arena;
    struct scan in;
};

#define F(type, field, kind, ...)                                                                  \
    { KIND_##kind, offsetof(struct type, field), sizeof(((struct type *)0)->field), __VA_ARGS__ }
#define END                                                                                        \
    { KIND_END, 0, 0, .max = 0 }

static const struct storage pattern_storage[] = {
    F(pattern, kind, ENUM, .max = PATTERN_ANY),
    F(pattern, text, BYTES, .max = 0),
    END,
};
static const struct storage rate_storage[] = {
    F(rate, count, U64, .max = 0),
    F(rate, window_ms, U64, .max = TIME_MAX),
    END,
};
static const struct storage network_storage[] = {
    F(network, base, ADDR, .max = 0),
    F(network, bits, ENUM, .max = 128),
    END,
};
static const struct storage via_storage[] = {
    F(via, mx, BOOL, .max = 0),
    F(via, implicit, BOOL, .max = 0),
    F(via, host, BYTES, .max = 0),
    F(via, port, U16, .max = 0),
    END,
};
struct one_bytes {
    struct bytes text;
};
static const struct storage bytes_storage[] = { F(one_bytes, text, BYTES, .max = 0), END };
struct one_i64 {
    int64_t n;
};
static const struct storage i64_storage[] = { F(one_i64, n, U64, .max = TIME_MAX), END };
struct one_addr {
    struct addr addr;
};
static const struct storage addr_storage[] = { F(one_addr, addr, ADDR, .max = 0), END };
static const struct storage place_storage[] = {
    F(place, file, BYTES, .max = 0),
    F(place, line, ENUM, .max = INT32_MAX),
    END,
};
static const struct storage deliver_storage[] = {
    F(deliver_to, transport, ENUM, .max = TRANSPORT_SMTP),
    F(deliver_to, host, BYTES, .max = 0),
    F(deliver_to, port, U16, .max = 0),
    F(deliver_to, path, BYTES, .max = 0),
    END,
};

/* A struct inside the struct; a count and a list, in this order. */
#define SUB(type, field, table)         F(type, field, SUB, .of = (table))
#define LIST(type, field, table, itype) F(type, field, LIST, .of = (table), .item = sizeof(itype))
#define STRINGS(type, field)            LIST(type, field, bytes_storage, struct bytes)
#define NETWORKS(type, field)           LIST(type, field, network_storage, struct network)
#define PATTERNS(type, field)           LIST(type, field, pattern_storage, struct pattern)
#define RATES(type, field)              LIST(type, field, rate_storage, struct rate)
#define BYTES(type, field)              F(type, field, BYTES, .max = 0)
#define SECRET(type, field)             F(type, field, BYTES, .max = 0)
/* Not for workers. */
#define WITHHELD(type, field)           F(type, field, BYTES, .max = 1)
#define U64(type, field)                F(type, field, U64, .max = 0)
#define TIME(type, field)               F(type, field, U64, .max = TIME_MAX)
#define BOOL(type, field)               F(type, field, BOOL, .max = 0)
#define ENUM(type, field, m)            F(type, field, ENUM, .max = (m))
#define ADDR(type, field)               F(type, field, ADDR, .max = 0)
/* A count and a list that are two fields of the struct. */
#define COUNT(type, count, list, table, itype)                                                     \
    {                                                                                              \
        KIND_COUNT, offsetof(struct type, count), sizeof(size_t),                                  \
            .of = (table), .item = sizeof(itype), .list_at = offsetof(struct type, list)           \
    }
#define POINTER(type, list) F(type, list, POINTER, .max = 0)
#define COUNTED(type, count, list, table, itype)                                                   \
    COUNT(type, count, list, table, itype), POINTER(type, list)

static const struct storage domain_storage[] = {
    SUB(domain, place, place_storage),
    BYTES(domain, name),
    ENUM(domain, recipients, RECIPIENTS_PROBE),
    SUB(domain, deliver, deliver_storage),
    ENUM(domain, header_auth, HEADER_AUTH_ENFORCE),
    RATES(domain, limit),
    RATES(domain, limit_recipients),
    PATTERNS(domain, blocked_senders),
    PATTERNS(domain, blocked_headers),
    END,
};
static const struct storage listener_storage[] = {
    SUB(listener, place, place_storage),
    BYTES(listener, name),
    STRINGS(listener, bind),
    COUNTED(listener, address_count, addresses, addr_storage, struct addr),
    ENUM(listener, service, SERVICE_ADMIN),
    ENUM(listener, tls, TLS_IMPLICIT),
    ENUM(listener, tls_min, 13),
    ENUM(listener, auth, AUTH_REQUIRE),
    STRINGS(listener, mechanisms),
    NETWORKS(listener, proxy_protocol_from),
    NETWORKS(listener, xclient_from),
    BOOL(listener, xclient_login),
    ENUM(listener, bare_newline, BARE_FIX),
    BYTES(listener, certificate),
    BYTES(listener, key),
    BYTES(listener, chain_pem),
    SECRET(listener, key_pem),
    U64(listener, max_connections_per_client),
    U64(listener, max_message_size),
    U64(listener, max_recipients),
    TIME(listener, idle_timeout),
    RATES(listener, limit_per_client),
    RATES(listener, limit_recipients_per_client),
    STRINGS(listener, blocklists),
    STRINGS(listener, allowlists),
    ENUM(listener, helo, CALLER_REQUIRE),
    ENUM(listener, ptr, CALLER_REQUIRE),
    END,
};
static const struct storage certificate_storage[] = {
    SUB(certificate, place, place_storage),
    BYTES(certificate, name),
    BYTES(certificate, chain),
    BYTES(certificate, key),
    BYTES(certificate, chain_pem),
    SECRET(certificate, key_pem),
    END,
};
static const struct storage connector_storage[] = {
    SUB(connector, place, place_storage),
    BYTES(connector, name),
    NETWORKS(connector, clients),
    NETWORKS(connector, except),
    STRINGS(connector, listeners),
    BOOL(connector, auth_any),
    STRINGS(connector, auth),
    STRINGS(connector, client_certificate),
    TIME(connector, pop_before_smtp),
    STRINGS(connector, local_users),
    TIME(connector, expires),
    BYTES(connector, tenant),
    PATTERNS(connector, may_relay_to),
    BOOL(connector, to_accepted),
    ENUM(connector, senders, SENDERS_LIST),
    PATTERNS(connector, sender_list),
    ENUM(connector, header_from, HEADER_FROM_ANY),
    RATES(connector, limit),
    RATES(connector, limit_total),
    RATES(connector, limit_recipients),
    U64(connector, max_recipients),
    STRINGS(connector, without_auth_on),
    STRINGS(connector, without_tls_on),
    BYTES(connector, note),
    END,
};
static const struct storage tenant_storage[] = {
    SUB(tenant, place, place_storage),
    BYTES(tenant, name),
    BYTES(tenant, hostname),
    STRINGS(tenant, domains),
    ADDR(tenant, address),
    NETWORKS(tenant, clients),
    RATES(tenant, limit),
    RATES(tenant, limit_recipients),
    U64(tenant, max_recipients),
    BOOL(tenant, external_forwarding),
    STRINGS(tenant, admins),
    END,
};
static const struct storage route_storage[] = {
    SUB(route, place, place_storage),
    BYTES(route, name),
    PATTERNS(route, to),
    PATTERNS(route, from),
    COUNTED(route, via_count, via, via_storage, struct via),
    ENUM(route, tls, TLS_POLICY_OFF),
    BYTES(route, ca_file),
    BYTES(route, login),
    SECRET(route, login_user),
    SECRET(route, login_password),
    WITHHELD(route, login_client),
    BYTES(route, login_ca_pem),
    BOOL(route, has_login),
    BOOL(route, login_oauth),
    ADDR(route, source_address),
    U64(route, max_connections),
    RATES(route, rate),
    BOOL(route, chunking),
    END,
};
static const struct storage client_authority_storage[] = {
    BYTES(client_authority, path),
    BYTES(client_authority, pem),
    END,
};
static const struct storage oauth_storage[] = {
    SUB(oauth, place, place_storage),
    BYTES(oauth, name),
    BYTES(oauth, issuer),
    BYTES(oauth, jwks),
    BYTES(oauth, audience),
    BYTES(oauth, claim),
    BYTES(oauth, introspection),
    BYTES(oauth, keys),
    BYTES(oauth, ca_file),
    BYTES(oauth, ca_pem),
    WITHHELD(oauth, client_id),
    WITHHELD(oauth, client_secret),
    END,
};
/* arena, incomplete and the index are not the config's contents. */
const struct storage config_storage[] = {
    F(config, arena, SKIPPED, .max = 0),
    F(config, incomplete, SKIPPED, .max = 0),
    F(config, domain_index, SKIPPED, .max = 0),
    F(config, tenant_index, SKIPPED, .max = 0),
    BYTES(config, file),
    BYTES(config, hostname),
    BYTES(config, state_dir),
    BYTES(config, mail_dir),
    BYTES(config, run_as),
    BYTES(config, keeper_as),
    ENUM(config, workers, 256),
    BYTES(config, log),
    BYTES(config, postmaster),
    ENUM(config, explain, EXPLAIN_BRIEF),
    TIME(config, history_keep),
    U64(config, history_max_size),
    COUNT(config, domain_count, domains, domain_storage, struct domain),
    COUNT(config, listener_count, listeners, listener_storage, struct listener),
    COUNT(config, certificate_count, certificates, certificate_storage, struct certificate),
    COUNT(config, connector_count, connectors, connector_storage, struct connector),
    COUNT(config, tenant_count, tenants, tenant_storage, struct tenant),
    COUNT(config, route_count, routes, route_storage, struct route),
    COUNT(config, oauth_count, oauths, oauth_storage, struct oauth),
    POINTER(config, domains),
    POINTER(config, listeners),
    POINTER(config, certificates),
    POINTER(config, connectors),
    POINTER(config, tenants),
    POINTER(config, routes),
    COUNTED(config, client_authority_count, client_authorities, client_authority_storage,
            struct client_authority),
    POINTER(config, oauths),
    PATTERNS(config, blocked_senders),
    PATTERNS(config, blocked_headers),
    BYTES(config, queue.store),
    LIST(config, queue.retry, i64_storage, int64_t),
    TIME(config, queue.give_up),
    TIME(config, queue.warn_after),
    ENUM(config, queue.min_free, 100),
    BYTES(config, directory),
    STRINGS(config, logins),
    BYTES(config, counters),
    STRINGS(config, dns),
    BYTES(config, dns_trust_anchor),
    STRINGS(config, blocklists),
    STRINGS(config, allowlists),
    U64(config, blocklist_score),
    BOOL(config, greylist),
    TIME(config, greylist_delay),
    TIME(config, greylist_window),
    TIME(config, greylist_lifetime),
    U64(config, greylist_trust),
    U64(config, tripwire_senders),
    U64(config, tripwire_helos),
    TIME(config, tripwire_window),
    SECRET(config, srs_secret),
    BYTES(config, alarm),
    END,
};

/* A list inside a struct, as strings, networks, patterns and rates all are. */
struct any_list {
    size_t count;
    const void *list;
};
_Static_assert(sizeof(struct any_list) == sizeof(struct strings), "one shape of list");

/* --- writing ----------------------------------------------------------------------------- */

struct freezing {
    struct buf *out;
    bool withhold; /* what is not for workers */
};

static void put_struct(const struct freezing *to, const struct storage *fields, const char *base);

static void put_list(const struct freezing *to, const struct storage *f, size_t count,
                     const char *list) {
    buf_le32(to->out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        put_struct(to, f->of, list + i * f->item);
}

static void put_addr(struct buf *out, const struct addr *a) {
    buf_char(out, (char)a->family);
    buf_add(out, bytes_of(a->ip, sizeof a->ip));
    buf_le16(out, a->port);
    buf_le32(out, a->scope);
}

static void put_field(const struct freezing *to, const struct storage *f, const char *base) {
    struct buf *out = to->out;
    const void *at = base + f->offset;
    const struct any_list *list = at;
    switch (f->kind) {
    case KIND_BYTES:
        buf_lbytes(out, to->withhold && f->max ? BYTES_NONE : *(const struct bytes *)at);
        return;
    case KIND_U64:
        buf_le64(out, *(const uint64_t *)at);
        return;
    case KIND_U16:
        buf_le16(out, *(const uint16_t *)at);
        return;
    case KIND_ENUM:
        buf_le32(out, *(const uint32_t *)at);
        return;
    case KIND_BOOL:
        buf_char(out, *(const bool *)at ? 1 : 0);
        return;
    case KIND_ADDR:
        put_addr(out, at);
        return;
    case KIND_SUB:
        put_struct(to, f->of, at);
        return;
    case KIND_LIST:
        put_list(to, f, list->count, list->list);
        return;
    case KIND_COUNT:
        put_list(to, f, list->count, *(const char *const *)(const void *)(base + f->list_at));
        return;
    case KIND_POINTER:
    case KIND_SKIPPED:
    case KIND_END:
        return;
    }
}

static void put_struct(const struct freezing *to, const struct storage *fields, const char *base) {
    for (; fields->kind != KIND_END; fields++)
        put_field(to, fields, base);
}

static void freeze(const struct freezing *to, const struct config *c) {
    buf_add(to->out, B(MAGIC));
    buf_le32(to->out, VERSION);
    put_struct(to, config_storage, (const char *)c);
}

void config_freeze(struct buf *out, const struct config *c) {
    freeze(&(struct freezing){ out, false }, c);
}

void config_freeze_worker(struct buf *out, const struct config *c) {
    freeze(&(struct freezing){ out, true }, c);
}

/* --- reading ----------------------------------------------------------------------------- */

static void get_struct(struct thawing *t, const struct storage *fields, char *base);

/* Every item takes at least one octet, so a count beyond what is left is a lie, and what is
 * allocated for it stays in proportion to the input. */
static const char *get_list(struct thawing *t, const struct storage *f, size_t *count_out) {
    size_t count = scan_le32(&t->in);
    if (t->in.bad || count > t->in.rest.len) {
        t->in.bad = true;
        return NULL;
    }
    char *list = count ? arena_array(t->arena, count, f->item) : NULL;
    for (size_t i = 0; i < count && !t->in.bad; i++)
        get_struct(t, f->of, list + i * f->item);
    *count_out = count;
    return list;
}

static void get_addr(struct thawing *t, struct addr *a) {
    a->family = (uint8_t)scan_char(&t->in);
    struct bytes ip = scan_take(&t->in, sizeof a->ip);
    a->port = scan_le16(&t->in);
    a->scope = scan_le32(&t->in);
    if (t->in.bad)
        return;
    memcpy(a->ip, ip.at, sizeof a->ip);
    t->in.bad |= a->family != 0 && a->family != 1 && a->family != 4 && a->family != 6;
}

static uint32_t get_enum(struct thawing *t, uint64_t max) {
    uint32_t n = scan_le32(&t->in);
    t->in.bad |= n > max;
    return t->in.bad ? 0 : n;
}

static void get_field(struct thawing *t, const struct storage *f, char *base) {
    void *at = base + f->offset;
    struct any_list *list = at;
    uint8_t flag;
    switch (f->kind) {
    case KIND_BYTES:
        *(struct bytes *)at = scan_lbytes(&t->in);
        return;
    case KIND_U64:
        *(uint64_t *)at = scan_le64(&t->in);
        t->in.bad |= f->max && *(uint64_t *)at > f->max;
        return;
    case KIND_U16:
        *(uint16_t *)at = scan_le16(&t->in);
        return;
    case KIND_ENUM:
        *(uint32_t *)at = get_enum(t, f->max);
        return;
    case KIND_BOOL:
        flag = (uint8_t)scan_char(&t->in);
        t->in.bad |= flag > 1;
        *(bool *)at = flag == 1;
        return;
    case KIND_ADDR:
        get_addr(t, at);
        return;
    case KIND_SUB:
        get_struct(t, f->of, at);
        return;
    case KIND_LIST:
        list->list = get_list(t, f, &list->count);
        return;
    case KIND_COUNT:
        *(const void **)(void *)(base + f->list_at) = get_list(t, f, (size_t *)at);
        return;
    case KIND_POINTER:
    case KIND_SKIPPED:
    case KIND_END:
        return;
    }
}

static void get_struct(struct thawing *t, const struct storage *fields, char *base) {
    for (; fields->kind != KIND_END && !t->in.bad; fields++)
        get_field(t, fields, base);
}

/* Beyond the octets: what the rest of the program takes for granted. */
static bool is_sane(const struct config *c) {
    bool sane = c->workers >= 1 && c->hostname.len > 0 && c->queue.retry.count > 0;
    for (size_t i = 0; i < c->route_count; i++)
        sane &= c->routes[i].tls != TLS_POLICY_DEFAULT && c->routes[i].via_count > 0;
    for (size_t i = 0; i < c->listener_count; i++)
        sane &= c->listeners[i].address_count > 0 && c->listeners[i].tls_min >= 12;
    return sane;
}

struct block {
    char *at;
    size_t len;
};

static void wipe(void *arg) {
    struct block *b = arg;
    explicit_bzero(b->at, b->len);
}

/* Views point into one copy, which is wiped with the config: it holds the secrets. */
static struct bytes own_copy(struct arena *a, struct bytes frozen) {
    struct block *b = ARENA_NEW(a, struct block);
    *b = (struct block){ arena_alloc(a, frozen.len + 1), frozen.len };
    if (frozen.len)
        memcpy(b->at, frozen.at, frozen.len);
    arena_defer(a, wipe, b);
    return bytes_of(b->at, b->len);
}

enum rc config_thaw(struct bytes frozen, struct config **out) {
    struct arena *a = arena_open();
    struct config *c = ARENA_NEW(a, struct config);
    struct thawing t = { .arena = a, .in = scan_of(own_copy(a, frozen)) };
    c->arena = a;
    *out = NULL;
    bool ours = bytes_equal(scan_take(&t.in, 4), B(MAGIC)) && scan_le32(&t.in) == VERSION;
    if (ours)
        get_struct(&t, config_storage, (char *)c);
    if (!ours || t.in.bad || !scan_done(&t.in) || !is_sane(c)) {
        config_close(&c);
        return PERM;
    }
    find_index(c);
    *out = c;
    return OK;
}
