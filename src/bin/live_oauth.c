/* live_oauth: token providers: whether their keys or their word about a token are to be had, and tokens for
 * the routes that log in with one. It asks as the fetcher does, with the fetcher's own code, but in this
 * process and with nothing kept. A refresh token is never used up by a look. */
#include "base/must.h"
#include "bin/live.h"
#include "fetcher/logic.h"
#include "oauth/oauth.h"
#include "sys/http.h"

#include <string.h>

struct asking {
    struct live *live;
    struct live_about about;
    const struct oauth *oauth; /* or */
    const struct route *route;
    bool over;
    struct why why; /* what is wrong; empty: nothing */
};
struct live_oauth {
    struct http *http;
    struct fetch_logic *logic;
    size_t count;
    struct asking *list;
};

static void *begin(void *ctx, const struct http_request *request, http_answered *on_answer,
                   void *arg) {
    return http_begin(ctx, request, on_answer, arg);
}

static void cancel(void *ctx, void *call) {
    struct http_call *c = call;
    (void)ctx;
    http_cancel(&c);
}

/* --- what was heard -------------------------------------------------------------------------- */

/* It does not know the token of a look; that it says so is what matters. */
static enum rc read_introspection(struct asking *k, const struct fetched *answer) {
    struct oauth_policy policy = { k->oauth->issuer, k->oauth->audience, k->oauth->claim };
    struct oauth_token token;
    enum oauth_fault fault;
    return oauth_introspection_parse(k->live->arena, answer->body, &policy,
                                     loop_wall(k->live->loop), &fault, &token, &k->why);
}

static void on_answer(void *ctx, const struct fetched *answer) {
    struct asking *k = ctx;
    struct live *l = k->live;
    enum rc rc = answer->rc;
    k->over = true;
    if (rc != OK)
        k->why = answer->why;
    else if (k->oauth && k->oauth->introspection.len)
        rc = read_introspection(k, answer);
    live_say(l, "%.*s: %s", BYTES_FMT(k->about.setting), rc == OK ? "fine" : k->why.text);
    if (k->route)
        live_servers_token(l, k->route, rc == OK ? answer->body : BYTES_NONE);
    live_over(l);
}

static void ask(struct live *l, struct asking from, enum fetch_kind kind, struct bytes name,
                struct bytes token) {
    struct asking *k = &l->oauth->list[l->oauth->count++];
    struct fetch what = { kind, name, token };
    *k = from;
    k->live = l;
    live_begun(l);
    fetch_logic_ask(l->oauth->logic, &what, on_answer, k);
}

/* --- which there are ------------------------------------------------------------------------- */

static void ask_provider(struct live *l, const struct oauth *o) {
    bool introspects = o->introspection.len > 0;
    struct asking k = { .oauth = o };
    k.about =
        (struct live_about){ o->place, arena_printf(l->arena, "oauth %.*s: %s", BYTES_FMT(o->name),
                                                    introspects ? "introspection" : "jwks") };
    if (introspects)
        ask(l, k, FETCH_INTROSPECTION, o->name, B("postern-check"));
    else if (!o->keys.len)
        ask(l, k, FETCH_KEYS, o->name, BYTES_NONE);
}

static void ask_route(struct live *l, const struct route *r) {
    struct oauth_client client;
    struct asking k = { .route = r };
    k.about = (struct live_about){ r->place, arena_printf(l->arena, "route %.*s: login",
                                                          BYTES_FMT(r->name)) };
    if (oauth_client_parse(l->arena, r->login_client, &client, NULL) == OK &&
        !client.refresh_token.len) {
        ask(l, k, FETCH_LOGIN, r->name, BYTES_NONE);
        return;
    }
    live_say(l, "%.*s: not tried, as a refresh token may serve only once",
             BYTES_FMT(k.about.setting));
    live_servers_token(l, r, BYTES_NONE);
}

void live_oauth_begin(struct live *l) {
    const struct config *c = l->config;
    struct live_oauth *o = l->oauth = ARENA_NEW(l->arena, struct live_oauth);
    o->list = ARENA_ARRAY(l->arena, c->oauth_count + c->route_count + 1, struct asking);
    if (!config_needs_fetcher(c))
        return;
    o->http = http_open(l->loop);
    struct fetch_web web = { begin, cancel, o->http, .quiet = true };
    o->logic = fetch_logic_open(l->loop, c, BYTES_NONE, &web);
    for (size_t i = 0; i < c->oauth_count; i++)
        if (strings_has(c->logins,
                        arena_printf(l->arena, "oauth:%.*s", BYTES_FMT(c->oauths[i].name))))
            ask_provider(l, &c->oauths[i]);
    for (size_t i = 0; i < c->route_count; i++)
        if (c->routes[i].login_oauth)
            ask_route(l, &c->routes[i]);
}

void live_oauth_end(struct live *l) {
    struct live_oauth *o = l->oauth;
    for (size_t i = 0; i < o->count; i++) {
        const struct asking *k = &o->list[i];
        if (!k->over)
            live_find(l, LIVE_ERROR, "live.oauth", &k->about, "no answer in time");
        else if (k->why.text[0])
            live_find(l, LIVE_ERROR, "live.oauth", &k->about, "%s; %s", k->why.text,
                      k->route
                          ? "correct the client in the login file"
                          : "correct its URL, client or ca_file: no login by token works until "
                            "then");
    }
    fetch_logic_close(&o->logic);
    http_close(&o->http);
}
