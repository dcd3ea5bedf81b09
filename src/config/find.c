/* find: looking things up in a configuration. Domains, of which there may be many and which are
 * looked up for every recipient, have an index; the rest is few and searched. */
#include "config/reading.h"

#include "base/map.h"

enum { DOMAIN_MAX = 255 };

static void close_index(void *arg) {
    struct config *c = arg;
    map_close(&c->domain_index);
    map_close(&c->tenant_index);
}

void find_index(struct config *c) {
    c->domain_index = map_open();
    c->tenant_index = map_open();
    arena_defer(c->arena, close_index, c);
    for (size_t i = 0; i < c->domain_count; i++)
        if (!map_find(c->domain_index, c->domains[i].name))
            map_put(c->domain_index, c->domains[i].name, (void *)(uintptr_t)&c->domains[i]);
    for (size_t i = 0; i < c->tenant_count; i++)
        for (size_t j = 0; j < c->tenants[i].domains.count; j++)
            if (!map_find(c->tenant_index, c->tenants[i].domains.list[j]))
                map_put(c->tenant_index, c->tenants[i].domains.list[j],
                        (void *)(uintptr_t)&c->tenants[i]);
}

static const void *find_domain(const struct map *index, struct bytes name) {
    char memory[DOMAIN_MAX + 1];
    struct buf lower = buf_fixed(memory, sizeof memory);
    buf_lower(&lower, name);
    if (lower.full || name.len == 0 || !index)
        return NULL;
    return map_find(index, buf_bytes(&lower));
}

const struct domain *config_domain(const struct config *c, struct bytes name) {
    return find_domain(c->domain_index, name);
}

const struct tenant *config_tenant_of(const struct config *c, struct bytes mailbox) {
    return find_domain(c->tenant_index,
                       bytes_skip(mailbox, (size_t)(bytes_find_last(mailbox, '@') + 1)));
}

#define FIND(list, count, wanted)                                                                  \
    for (size_t i = 0; i < (count); i++)                                                           \
        if (bytes_equal_nocase((list)[i].name, (wanted)))                                          \
            return &(list)[i];                                                                     \
    return NULL

int64_t config_pop_window(const struct config *c) {
    int64_t window = 0;
    for (size_t i = 0; i < c->connector_count; i++)
        if (c->connectors[i].pop_before_smtp > window)
            window = c->connectors[i].pop_before_smtp;
    return window;
}

const struct connector *config_connector(const struct config *c, struct bytes name) {
    FIND(c->connectors, c->connector_count, name);
}

const struct listener *config_listener(const struct config *c, struct bytes name) {
    FIND(c->listeners, c->listener_count, name);
}

struct bytes config_password_source(const struct config *c) {
    for (size_t i = 0; i < c->logins.count; i++)
        if (bytes_starts(c->logins.list[i], B("dovecot:")) ||
            bytes_starts(c->logins.list[i], B("pam:")))
            return c->logins.list[i];
    return BYTES_NONE;
}

const struct tenant *config_tenant(const struct config *c, struct bytes name) {
    FIND(c->tenants, c->tenant_count, name);
}

bool config_certificate_split(struct bytes entry, struct bytes *path_out, struct bytes *name_out) {
    static const struct bytes name = { " name:", 6 };
    ptrdiff_t at = bytes_search(entry, name);
    if (!bytes_starts_nocase(entry, B("ca:")) || at < 0)
        return false;
    *path_out = bytes_slice(entry, 3, (size_t)at);
    *name_out = bytes_skip(entry, (size_t)at + name.len);
    return true;
}

/* Programs that people use show a dialog when they are asked, so only where it could matter: connectors
 * grant relaying, which is SMTP's. */
bool config_wants_certificate(const struct config *c, const struct listener *l) {
    if (!l || l->tls == TLS_OFF)
        return false;
    bool wants = l->auth != AUTH_OFF && strings_has(l->mechanisms, B("EXTERNAL"));
    for (size_t i = 0; l->service == SERVICE_SMTP && i < c->connector_count && !wants; i++) {
        const struct connector *k = &c->connectors[i];
        wants = k->client_certificate.count &&
                (!k->listeners.count || strings_has(k->listeners, l->name));
    }
    return wants;
}

struct bytes config_hostname(const struct config *c, struct bytes tenant) {
    const struct tenant *t = tenant.len ? config_tenant(c, tenant) : NULL;
    return t && t->hostname.len ? t->hostname : c->hostname;
}

const struct tenant *config_tenant_at(const struct config *c, struct addr local) {
    for (size_t i = 0; local.family && i < c->tenant_count; i++)
        if (c->tenants[i].address.family && addr_equal(c->tenants[i].address, local))
            return &c->tenants[i];
    return NULL;
}

bool strings_has(struct strings list, struct bytes text) {
    for (size_t i = 0; i < list.count; i++)
        if (bytes_equal_nocase(list.list[i], text))
            return true;
    return false;
}

bool networks_have(struct networks list, struct addr a) {
    for (size_t i = 0; i < list.count; i++)
        if (network_contains(list.list[i], a))
            return true;
    return false;
}

/* The next word of a line of /etc/hosts; empty at its end. */
static struct bytes next_name(struct bytes *line) {
    struct bytes rest = bytes_trim(*line);
    size_t n = 0;
    while (n < rest.len && rest.at[n] != ' ' && rest.at[n] != '\t')
        n++;
    *line = bytes_skip(rest, n);
    return bytes_first(rest, n);
}

static bool has_dot(struct bytes name) {
    return bytes_find(name, '.') > 0;
}

struct bytes config_find_fqdn(struct bytes nodename, struct bytes hosts) {
    struct bytes line, name;
    if (has_dot(nodename))
        return nodename;
    while (bytes_split(&hosts, '\n', &line)) {
        bytes_split(&line, '#', &name);
        line = name;
        next_name(&line); /* the address */
        struct bytes full = BYTES_NONE;
        bool ours = false;
        while ((name = next_name(&line)).len) {
            ours |= bytes_equal_nocase(name, nodename);
            if (!full.len && has_dot(name))
                full = name;
        }
        if (ours && full.len)
            return full;
    }
    return nodename;
}

const struct oauth *config_oauth(const struct config *c, struct bytes name) {
    for (size_t i = 0; i < c->oauth_count; i++)
        if (bytes_equal_nocase(c->oauths[i].name, name))
            return &c->oauths[i];
    return NULL;
}

bool config_needs_fetcher(const struct config *c) {
    bool needed = false;
    for (size_t i = 0; i < c->route_count; i++)
        needed |= c->routes[i].login_oauth;
    for (size_t i = 0; i < c->logins.count; i++) {
        const struct oauth *o = bytes_starts(c->logins.list[i], B("oauth:"))
                                    ? config_oauth(c, bytes_skip(c->logins.list[i], 6))
                                    : NULL;
        needed |= o && (o->introspection.len || !o->keys.len);
    }
    return needed;
}
