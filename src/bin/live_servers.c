/* live_servers: the servers a configuration names: where its routes go, and where its domains' mail
 * is delivered. Each address of each is looked at as delivery would meet it. */
#include "base/must.h"
#include "base/num.h"
#include "bin/live.h"
#include "deliver/deliver.h"
#include "doctor/doctor.h"

#include <string.h>

enum { ADDRESSES_MAX = 16, LEAST_MS = 1000 };

/* What came of one address. */
struct look {
    struct server *server;
    struct bytes where; /* "smtp.provider.example [192.0.2.1]:587" */
    struct probe *probe;
    bool over;
    struct probe_seen seen;
    struct bytes text; /* why, kept */
};

struct server {
    struct list_node node;
    struct live *live;
    struct live_about about;
    const struct route *route; /* NULL: a domain's own server */
    struct tls_client *own_tls;
    struct bytes token; /* where the route logs in with one */
    bool mx, implicit, lmtp;
    struct bytes host, path;
    uint16_t port;
    struct dns_query *query;
    struct timer timer;
    bool resolved;
    struct why why; /* when it has no address to look at */
    size_t count, left;
    struct look *looks;
};

/* --- one address -------------------------------------------------------------------------- */

static enum probe_tls policy_for(const struct server *s, struct addr address) {
    static const enum probe_tls policies[] = {
        [TLS_POLICY_DEFAULT] = PROBE_TLS_TRY,     [TLS_POLICY_VERIFY] = PROBE_TLS_VERIFY,
        [TLS_POLICY_REQUIRE] = PROBE_TLS_REQUIRE, [TLS_POLICY_OPPORTUNISTIC] = PROBE_TLS_TRY,
        [TLS_POLICY_OFF] = PROBE_TLS_OFF,
    };
    return policies[deliver_tls_policy(&(struct deliver_tls){
        .set = s->route ? s->route->tls : TLS_POLICY_DEFAULT,
        .login = s->route && s->route->has_login,
        .loopback = addr_is_loopback(address),
        .unix_socket = s->path.len,
        .implicit = s->implicit,
    })];
}

static const char *how_secure(const struct probe_seen *seen) {
    return !seen->secured ? "no TLS" : seen->trusted ? "verified" : "not verified";
}

static void say_seen(const struct look *k) {
    struct live *l = k->server->live;
    const struct probe_seen *seen = &k->seen;
    struct bytes setting = k->server->about.setting;
    if (seen->step != PROBE_DONE)
        live_say(l, "%.*s: %.*s: %.*s", BYTES_FMT(setting), BYTES_FMT(k->where),
                 BYTES_FMT(k->text));
    else
        live_say(l, "%.*s: %.*s: fine (%.*s%s%s%s)", BYTES_FMT(setting), BYTES_FMT(k->where),
                 BYTES_FMT(seen->protocol), seen->secured ? " " : "", how_secure(seen),
                 seen->logged_in ? ", logged in" : "");
}

static void on_seen(void *ctx, const struct probe_seen *seen) {
    struct look *k = ctx;
    struct live *l = k->server->live;
    k->probe = NULL;
    k->over = true;
    k->seen = *seen;
    k->seen.banner = arena_copy(l->arena, seen->banner);
    k->seen.protocol = arena_copy(l->arena, seen->protocol);
    k->seen.cipher = k->seen.mechanism = BYTES_NONE;
    k->text = arena_copy(l->arena, bytes_str(seen->why.text));
    k->server->left--;
    say_seen(k);
    live_over(l);
}

static struct bytes describe(const struct server *s, struct bytes host, struct addr address) {
    char memory[80];
    struct buf b = buf_fixed(memory, sizeof(memory));
    if (s->path.len)
        return s->path;
    addr_format(&b, address);
    return arena_printf(s->live->arena, "%.*s [%.*s]:%u", BYTES_FMT(host), BYTES_FMT(buf_bytes(&b)),
                        address.port);
}

/* Certificates know no brackets; with a login, a name that an unsigned MX gave decides nothing. */
static struct bytes certified_name(const struct server *s, struct bytes host, bool secure) {
    struct bytes name = s->mx && (secure || !s->route->has_login) ? host : s->host;
    return name.len > 2 && name.at[0] == '[' ? bytes_slice(name, 1, name.len - 1) : name;
}

static void look_at(struct server *s, struct bytes host, struct addr address, bool secure) {
    struct live *l = s->live;
    if (s->count == ADDRESSES_MAX)
        return;
    struct look *k = &s->looks[s->count++];
    int64_t left = l->ends - loop_now(l->loop);
    address.port = s->port;
    *k = (struct look){ .server = s, .where = describe(s, host, address) };
    struct probe_want want = {
        .address = address,
        .path = s->path,
        .hostname = l->config->hostname,
        .lmtp = s->lmtp,
        .implicit = s->implicit,
        .tls = policy_for(s, address),
        .tls_client = s->own_tls ? s->own_tls : l->tls,
        .tls_name = arena_copy(l->arena, certified_name(s, host, secure)),
        .timeout_ms = left > LEAST_MS ? left : LEAST_MS,
    };
    if (s->route) {
        want.source = s->route->source_address;
        want.login = s->route->has_login && (!s->route->login_oauth || s->token.len);
        want.user = s->route->login_user;
        want.password = s->route->login_password;
        want.token = s->token;
    }
    if (!want.tls_client && want.tls != PROBE_TLS_OFF) {
        k->over = true;
        k->text = B("TLS is not available here");
        k->seen.step = PROBE_TLS;
        return;
    }
    s->left++;
    live_begun(l);
    k->probe = probe_open(l->loop, &want, on_seen, k);
}

/* --- its addresses ------------------------------------------------------------------------ */

static void resolved(struct server *s) {
    s->query = NULL;
    s->resolved = true;
    timer_clear(&s->timer);
}

static void no_address(struct server *s, const char *text) {
    why_set(&s->why, TEMP, 0, NULL, "live.dns", "%.*s: %s", BYTES_FMT(s->host), text);
    live_say(s->live, "%.*s: %s", BYTES_FMT(s->about.setting), s->why.text);
}

static void on_route(void *ctx, const struct dns_route *route) {
    struct server *s = ctx;
    resolved(s);
    if (route->rc != OK)
        no_address(s, route->why.text);
    for (size_t i = 0; route->rc == OK && i < route->count; i++) {
        const struct dns_host *h = &route->hosts[i];
        struct bytes name = arena_copy(s->live->arena, h->name);
        for (size_t j = 0; j < h->address_count; j++)
            look_at(s, name, h->addresses[j], h->secure);
    }
    if (route->rc == OK && !s->count)
        no_address(s, "it has no address in the DNS");
    live_over(s->live);
}

static void on_late(void *ctx) {
    struct server *s = ctx;
    dns_query_cancel(&s->query);
    resolved(s);
    no_address(s, "the DNS did not answer in time");
    live_over(s->live);
}

static void begin(struct server *s) {
    struct live *l = s->live;
    static const struct addr local = { .family = 1 };
    s->looks = ARENA_ARRAY(l->arena, ADDRESSES_MAX, struct look);
    if (s->path.len) {
        s->resolved = true;
        look_at(s, B("localhost"), local, false);
        return;
    }
    if (!l->dns) {
        s->resolved = true;
        no_address(s, "names could not be looked up");
        return;
    }
    live_begun(l);
    timer_set(l->loop, &s->timer, LIVE_MS, on_late, s);
    struct dns_query *query = s->mx ? dns_find_mx(l->dns, s->host, on_route, s)
                                    : dns_find_host(l->dns, s->host, on_route, s);
    if (!s->resolved) /* else it was known at once */
        s->query = query;
}

/* --- which there are ---------------------------------------------------------------------- */

static struct server *add(struct live *l, struct place place, struct bytes setting) {
    struct server *s = ARENA_NEW(l->arena, struct server);
    s->live = l;
    s->about = (struct live_about){ place, setting };
    list_append(&l->servers, &s->node);
    return s;
}

static void add_route(struct live *l, const struct route *r) {
    struct bytes setting = arena_printf(l->arena, "route %.*s: via", BYTES_FMT(r->name));
    struct live_about about = { r->place, setting };
    for (size_t i = 0; i < r->via_count; i++) {
        struct why why;
        struct tls_client *own = NULL;
        if (r->ca_file.len && tls_client_open(r->ca_file, &own, &why) != OK) {
            live_find(l, LIVE_ERROR, "live.roots", &about, "%s", why.text);
            return;
        }
        struct server *s = add(l, r->place, setting);
        const struct via *v = &r->via[i];
        s->route = r;
        s->own_tls = own;
        s->mx = v->mx;
        s->implicit = v->implicit;
        s->host = v->host;
        s->port = v->port ? v->port : v->implicit ? 465 : 25;
        if (!r->login_oauth) /* else once there is a token */
            begin(s);
    }
}

void live_servers_token(struct live *l, const struct route *route, struct bytes token) {
    LIST_EACH(&l->servers, n) {
        struct server *s = CONTAINER_OF(n, struct server, node);
        if (s->route != route)
            continue;
        s->token = arena_copy(l->arena, token);
        begin(s);
    }
}

static bool same_target(const struct server *s, const struct deliver_to *d) {
    return !s->route && s->lmtp == (d->transport == TRANSPORT_LMTP) && s->port == d->port &&
           bytes_equal(s->path, d->path) && bytes_equal_nocase(s->host, d->host);
}

/* Many domains share one server: it is looked at once. */
static void add_domain(struct live *l, const struct domain *d) {
    if (d->deliver.transport == TRANSPORT_MAILDIR)
        return;
    LIST_EACH(&l->servers, n)
    if (same_target(CONTAINER_OF(n, struct server, node), &d->deliver))
        return;
    struct server *s =
        add(l, d->place, arena_printf(l->arena, "domain %.*s: deliver", BYTES_FMT(d->name)));
    s->lmtp = d->deliver.transport == TRANSPORT_LMTP;
    s->host = d->deliver.host;
    s->path = d->deliver.path;
    s->port = d->deliver.port;
    begin(s);
}

void live_servers_begin(struct live *l) {
    for (size_t i = 0; i < l->config->route_count; i++)
        add_route(l, &l->config->routes[i]);
    for (size_t i = 0; i < l->config->domain_count; i++)
        add_domain(l, &l->config->domains[i]);
}

/* --- what it means ------------------------------------------------------------------------ */

static const struct {
    const char *id;
    bool grave; /* though another address may do: it is the same account everywhere */
    const char *remedy;
} meanings[] = {
    [PROBE_CONNECT] = { "live.connect", false,
                        "check its name and port, and the firewalls on the way; mail for it waits "
                        "in the queue meanwhile" },
    [PROBE_BANNER] = { "live.banner", false,
                       "it turns us away before it has heard of any mail: ask its administrator" },
    [PROBE_EHLO] = { "live.ehlo", false,
                     "it turns us away before it has heard of any mail: ask its administrator, or "
                     "correct hostname" },
    [PROBE_STARTTLS] = { "live.starttls", true,
                         "the route's tls, or its login, demands TLS: use the port that offers it "
                         "(587, or smtps:// on 465)" },
    [PROBE_TLS] = { "live.tls", true,
                    "use the name that its certificate carries, or name its root with ca_file" },
    [PROBE_AUTH] = { "live.login", true, "correct the user and password in login" },
};

static bool any_fine(const struct server *s) {
    for (size_t i = 0; i < s->count; i++)
        if (s->looks[i].over && s->looks[i].seen.step == PROBE_DONE)
            return true;
    return false;
}

/* RFC 5321 section 4.3.1: the greeting's first word is the server's name. */
static bool greets_as_us(const struct look *k) {
    struct bytes rest = k->seen.banner, word;
    return k->server->route && bytes_split(&rest, ' ', &word) &&
           bytes_equal_nocase(word, k->server->live->config->hostname);
}

static void judge_fine(const struct look *k) {
    struct live *l = k->server->live;
    const struct live_about *about = &k->server->about;
    int64_t left = k->seen.not_after - loop_wall(l->loop);
    if (greets_as_us(k))
        live_find(l, LIVE_ERROR, "live.loop", about,
                  "%.*s greets with our own name, so it is this server itself: mail would go "
                  "round; name another server, or correct hostname",
                  BYTES_FMT(k->where));
    if (k->seen.trusted && k->seen.not_after && left < LIVE_SOON_MS && k->server->route &&
        k->server->route->tls == TLS_POLICY_VERIFY)
        live_find(l, LIVE_WARNING, "live.expiry", about,
                  "%.*s: its certificate expires in less than 14 days, and mail waits from then "
                  "on; its administrator must renew it",
                  BYTES_FMT(k->where));
}

static void judge(const struct look *k, bool others_do) {
    struct live *l = k->server->live;
    const struct live_about *about = &k->server->about;
    if (k->over && k->seen.step == PROBE_DONE) {
        judge_fine(k);
        return;
    }
    if (!k->over) {
        live_find(l, others_do ? LIVE_WARNING : LIVE_ERROR, "live.connect", about,
                  "%.*s: no answer in time", BYTES_FMT(k->where));
        return;
    }
    bool grave = meanings[k->seen.step].grave || !others_do;
    live_find(l, grave ? LIVE_ERROR : LIVE_WARNING, meanings[k->seen.step].id, about,
              "%.*s: %.*s; %s", BYTES_FMT(k->where), BYTES_FMT(k->text),
              meanings[k->seen.step].remedy);
}

void live_servers_end(struct live *l) {
    LIST_EACH(&l->servers, n) {
        struct server *s = CONTAINER_OF(n, struct server, node);
        bool fine = any_fine(s);
        if (s->why.text[0])
            live_find(l, LIVE_ERROR, "live.dns", &s->about,
                      "%s; correct the name, or dns; mail for it waits in the queue meanwhile",
                      s->why.text);
        for (size_t i = 0; i < s->count; i++) {
            judge(&s->looks[i], fine);
            probe_close(&s->looks[i].probe);
        }
        timer_clear(&s->timer);
        dns_query_cancel(&s->query);
        tls_client_close(&s->own_tls);
    }
}
