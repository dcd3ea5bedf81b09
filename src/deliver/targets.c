/* targets: the order in which servers are tried: every source of the hop, every host of a source,
 * every address of a host. Mail that would come back to us is found out here. */
#include "base/must.h"
#include "deliver/internal.h"

static bool same_host(struct addr own, struct addr a) {
    static const struct addr any4 = { .family = 4 }, any6 = { .family = 6 };
    if (addr_equal(own, any4) || addr_equal(own, any6))
        return addr_is_loopback(a);
    return addr_equal(own, a);
}

/* An address (with its port) that we listen on. */
bool targets_own(const struct deliver *d, struct addr address) {
    for (size_t i = 0; i < d->setup.own_address_count; i++) {
        struct addr own = d->setup.own_addresses[i];
        if ((own.port == 0 || own.port == address.port) && same_host(own, address))
            return true;
    }
    return false;
}

/* --- what a source came to ----------------------------------------------------------------- */

static struct addr at_port(struct addr a, uint16_t port) {
    a.port = port;
    return a;
}

static bool host_is_own(const struct task *t, const struct dns_host *h, uint16_t port) {
    for (size_t i = 0; i < h->address_count; i++)
        if (targets_own(t->deliver, at_port(h->addresses[i], port)))
            return true;
    return false;
}

/* RFC 5321 section 5.1: when we are among the MXes, only better ones than ourselves are of use. */
static size_t count_before_own(const struct task *t, const struct source *s,
                               const struct dns_route *route) {
    unsigned own = UINT16_MAX + 1u;
    for (size_t i = 0; i < route->count; i++) {
        const struct dns_host *h = &route->hosts[i];
        if (h->preference < own && (host_is_own(t, h, s->port) || hop_is_our_name(t->hop, h->name)))
            own = h->preference;
    }
    size_t count = 0;
    while (count < route->count && route->hosts[count].preference < own)
        count++;
    return count;
}

/* With a login, a name that an unsigned MX answer gave must not decide whom we trust. */
static struct bytes tls_name(const struct task *t, const struct source *s,
                             const struct dns_host *h) {
    struct bytes name = s->mx && (h->secure || !t->hop->has_login) ? h->name : s->host;
    if (name.len > 2 && name.at[0] == '[') /* an address literal; certificates know no brackets */
        return bytes_slice(name, 1, name.len - 1);
    return name;
}

static void add_host(struct task *t, const struct source *s, const struct dns_host *h) {
    struct bytes host = arena_copy(t->arena, h->name);
    struct bytes name = arena_copy(t->arena, tls_name(t, s, h));
    for (size_t i = 0; i < h->address_count; i++)
        t->targets.list[t->targets.count++] = (struct target){
            .host = host,
            .address = at_port(h->addresses[i], s->port),
            .implicit = s->implicit,
            .tls_name = name,
        };
}

static void add_hosts(struct task *t, const struct source *s, const struct dns_route *route,
                      size_t count) {
    size_t addresses = 0;
    for (size_t i = 0; i < count; i++)
        addresses += route->hosts[i].address_count;
    t->targets.list = ARENA_ARRAY(t->arena, addresses ? addresses : 1, struct target);
    t->targets.count = t->targets.next = 0;
    for (size_t i = 0; i < count; i++) {
        const struct dns_host *h = &route->hosts[i];
        add_host(t, s, h);
        if (h->address_count)
            continue;
        struct why why;
        why_set(&why, TEMP, 0, h->rc == TEMP ? "4.4.3" : "4.4.4", "dns.no-address",
                h->rc == TEMP ? "its address could not be looked up for now"
                              : "it has no address in the DNS");
        struct outcome failure = task_fault(OUTCOME_DEFERRED, "DNS", &why);
        failure.host = h->name;
        task_note(t, &failure);
    }
}

static void loop_found(struct task *t, const char *reason, const char *what,
                       const struct source *s) {
    struct why why;
    why_set(&why, PERM, 554, "5.4.6", reason,
            "mail loop: %s %.*s is this server itself, which does not host the domain", what,
            BYTES_FMT(s->host));
    struct outcome failure = task_fault(OUTCOME_FAILED, "DNS", &why);
    failure.host = s->host;
    failure.alarm = t->hop->kind != HOP_MX;
    task_settle_rest(t, &failure);
}

static void lookup_failed(struct task *t, const struct source *s, const struct dns_route *route) {
    bool final = route->rc == PERM && t->hop->kind == HOP_MX;
    struct outcome failure =
        task_fault(final ? OUTCOME_FAILED : OUTCOME_DEFERRED, "DNS", &route->why);
    failure.host = s->host;
    if (final) {
        task_settle_rest(t, &failure);
        return;
    }
    if (failure.status.klass == 5) /* our own configuration names it: not the sender's fault */
        failure.status.klass = 4;
    failure.code = 0;
    task_note(t, &failure);
}

static void take_route(struct task *t, const struct dns_route *route) {
    const struct source *s = &t->hop->sources[t->targets.source - 1];
    t->targets.query = NULL;
    /* Never from within the call that asked: the answer may have been known at once. */
    task_later(t, targets_next);
    if (route->rc != OK) {
        lookup_failed(t, s, route);
        return;
    }
    size_t count = route->count;
    if (s->mx) {
        count = count_before_own(t, s, route);
        if (!count) {
            loop_found(t, t->hop->kind == HOP_MX ? "loop.best-mx" : "loop.via",
                       "the best mail server of", s);
            return;
        }
    } else if (host_is_own(t, &route->hosts[0], s->port)) {
        loop_found(t, "loop.via", "the next hop", s);
        return;
    }
    add_hosts(t, s, route, count);
}

static void on_route(void *ctx, const struct dns_route *route) {
    struct task *t = ctx;
    deliver_in_hand(t->deliver, t);
    take_route(t, route);
    deliver_in_hand(t->deliver, NULL);
}

static void look_up(struct task *t, const struct source *s) {
    struct deliver *d = t->deliver;
    if (s->path.len) {
        t->targets.list = ARENA_NEW(t->arena, struct target);
        *t->targets.list = (struct target){ .host = s->host, .path = s->path };
        t->targets.count = 1;
        t->targets.next = 0;
        targets_next(t);
        return;
    }
    if (s->mx)
        t->targets.query = dns_find_mx(d->setup.dns, s->host, on_route, t);
    else
        t->targets.query = dns_find_host(d->setup.dns, s->host, on_route, t);
}

/* --- one after the other ------------------------------------------------------------------- */

void targets_next(void *task) {
    struct task *t = task;
    struct targets *g = &t->targets;
    if (!t->left) {
        task_session_over(t);
    } else if (g->next < g->count && g->tried < TARGETS_MAX) {
        struct counters *counters = t->deliver->setup.counters;
        if (!counters_take(counters, t->hop->key, t->hop->max_connections)) {
            task_wait(t);
            return;
        }
        g->tried++;
        conn_open(t, &g->list[g->next++]);
    } else if (g->source < t->hop->source_count && g->tried < TARGETS_MAX) {
        look_up(t, &t->hop->sources[g->source++]);
    } else {
        task_exhausted(t);
    }
}

/* The same address once more. A connection that was kept from another task has none in the list. */
void targets_again(struct task *t, const struct target *target) {
    if (t->targets.next > 0) {
        struct target again = *target;
        again.host = arena_copy(t->arena, target->host);
        again.tls_name = arena_copy(t->arena, target->tls_name);
        again.path = arena_copy(t->arena, target->path);
        t->targets.list[--t->targets.next] = again;
        t->targets.tried--;
    }
    task_later(t, targets_next);
}

void targets_again_plain(struct task *t, const struct target *target) {
    struct target plain = *target;
    plain.plain = true;
    MUST(t->targets.next > 0);
    targets_again(t, &plain);
}

void targets_cancel(struct task *t) {
    dns_query_cancel(&t->targets.query);
}
