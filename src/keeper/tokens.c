/* tokens: keys and introspections, and how long they are good for. */
#include "keeper/tokens.h"

#include "base/list.h"
#include "base/map.h"
#include "base/must.h"
#include "keeper/hash.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum {
    AGAIN_MS = 10 * 1000, /* between two fetches for a key that is not in the set */
    FAILED_MS = 2 * 1000, /* after a failure */
    GOOD_MS = 60 * 1000,  /* an introspection's yes, and */
    BAD_MS = 10 * 1000,   /* its no are remembered */
    REMEMBERED_MAX = 10000,
    DIGEST = 32,
};

typedef void token_had_fn(void *ctx, const struct token_had *had);

struct waiter {
    struct list_node node;
    token_had_fn *on_had;
    void *ctx;
};
struct provider {
    struct tokens *tokens;
    struct bytes name, issuer, audience, claim;
    bool introspects, fixed; /* fixed: the keys are a file's */
    struct token_keys *keys;
    int64_t keys_until, keys_renew, asked, failed_until;
    uint64_t call;
    struct list waiting;
    struct token_had failure;
};
struct tokens {
    struct loop *loop;
    struct arena *arena;
    struct fetcher *fetcher;
    size_t count;
    struct provider list[TOKEN_PROVIDERS_MAX];
    struct map *remembered;     /* struct remembered by digest */
    struct list introspections; /* under way */
};
struct remembered {
    int64_t until;
    struct token_had had;
};
struct introspection {
    struct list_node node;
    struct provider *provider;
    uint64_t call;
    uint8_t digest[DIGEST];
    token_had_fn *on_had;
    void *ctx;
};

/* --- keys in use ----------------------------------------------------------------------------------- */

static void keys_release(struct token_keys *keys) {
    if (!keys || --keys->users)
        return;
    arena_close(&keys->arena);
    free(keys);
}

static struct token_keys *keys_make(struct bytes json, struct why *why) {
    struct token_keys *keys = calloc(1, sizeof *keys);
    MUST(keys);
    keys->arena = arena_open();
    keys->users = 1;
    if (oauth_keys_parse(keys->arena, json, &keys->keys, why) == OK)
        return keys;
    keys_release(keys);
    return NULL;
}

static bool is_fresh(const struct provider *p) {
    return p->keys && (p->fixed || loop_now(p->tokens->loop) < p->keys_until);
}

static void ask_keys(struct provider *p);

/* Keys that near their end are renewed while they still serve. */
void tokens_view(struct tokens *t, struct token_view *out) {
    *out = (struct token_view){ .count = t->count };
    for (size_t i = 0; i < t->count; i++) {
        struct provider *p = &t->list[i];
        out->list[i] = (struct token_view_provider){
            .policy = { p->issuer, p->audience, p->claim },
            .introspects = p->introspects,
            .keys = is_fresh(p) ? p->keys : NULL,
        };
        if (!out->list[i].keys)
            continue;
        p->keys->users++;
        int64_t now = loop_now(t->loop);
        if (!p->fixed && now >= p->keys_renew && now >= p->failed_until)
            ask_keys(p);
    }
}

void tokens_release(struct token_view *view) {
    for (size_t i = 0; i < view->count; i++)
        keys_release(view->list[i].keys);
    view->count = 0;
}

/* --- opening --------------------------------------------------------------------------------------- */

static void open_provider(struct tokens *t, const struct keeper_provider *from) {
    struct provider *p = &t->list[t->count++];
    *p = (struct provider){
        .tokens = t,
        .name = arena_copy(t->arena, from->name),
        .issuer = arena_copy(t->arena, from->issuer),
        .audience = arena_copy(t->arena, from->audience),
        .claim = arena_copy(t->arena, from->claim),
        .introspects = from->introspects,
        .fixed = from->keys.len > 0,
        .asked = -AGAIN_MS,
    };
    list_init(&p->waiting);
    if (p->fixed)
        p->keys = keys_make(from->keys, NULL);
}

struct tokens *tokens_open(struct loop *l, const struct keeper_provider *list, size_t count,
                           struct fetcher *fetcher) {
    struct arena *a = arena_open();
    struct tokens *t = ARENA_NEW(a, struct tokens);
    t->loop = l;
    t->arena = a;
    t->fetcher = fetcher;
    t->remembered = map_open();
    list_init(&t->introspections);
    for (size_t i = 0; i < count && i < TOKEN_PROVIDERS_MAX; i++)
        open_provider(t, &list[i]);
    return t;
}

static void forget_all(struct tokens *t) {
    size_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(t->remembered, &position, &key, &value))
        free(value);
    map_close(&t->remembered);
    t->remembered = map_open();
}

static void set_down(struct token_had *had, const struct provider *p, const struct why *why) {
    *had = (struct token_had){ .rc = TEMP };
    why_set(&had->why, TEMP, 454, "4.7.0", "backend.oauth", "%s", why->text);
    if (!why->text[0])
        why_set(&had->why, TEMP, 454, "4.7.0", "backend.oauth", "provider %.*s does not answer",
                BYTES_FMT(p->name));
}

static void tell_waiting(struct provider *p, const struct token_had *had) {
    struct list_node *n;
    for (size_t left = p->waiting.count; left && (n = list_pop(&p->waiting)); left--) {
        struct waiter w = *CONTAINER_OF(n, struct waiter, node);
        free(CONTAINER_OF(n, struct waiter, node));
        w.on_had(w.ctx, had);
    }
}

static void end_introspection(struct introspection *i, const struct token_had *had) {
    token_had_fn *on_had = i->on_had;
    void *ctx = i->ctx;
    list_remove(&i->provider->tokens->introspections, &i->node);
    free(i);
    on_had(ctx, had);
}

void tokens_close(struct tokens **out) {
    struct tokens *t = *out;
    struct list_node *n;
    static const struct why ending = { .text = "the keeper ends" };
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++) {
        struct provider *p = &t->list[i];
        struct token_had had;
        set_down(&had, p, &ending);
        if (p->call)
            fetcher_cancel(t->fetcher, p->call);
        tell_waiting(p, &had);
        keys_release(p->keys);
    }
    while ((n = list_first(&t->introspections))) {
        struct introspection *i = CONTAINER_OF(n, struct introspection, node);
        struct token_had had;
        set_down(&had, i->provider, &ending);
        fetcher_cancel(t->fetcher, i->call);
        end_introspection(i, &had);
    }
    forget_all(t);
    map_close(&t->remembered);
    fetcher_close(&t->fetcher);
    struct arena *a = t->arena;
    arena_close(&a);
    *out = NULL;
}

/* --- keys ------------------------------------------------------------------------------------------ */

static void on_keys(void *ctx, const struct fetched *answer) {
    struct provider *p = ctx;
    struct why why = answer->why;
    struct token_had had = { .rc = OK };
    int64_t now = loop_now(p->tokens->loop);
    struct token_keys *fresh = answer->rc == OK ? keys_make(answer->body, &why) : NULL;
    p->call = 0;
    if (fresh) {
        keys_release(p->keys);
        p->keys = fresh;
        p->keys_until = now + answer->lasts_ms;
        p->keys_renew = now + answer->lasts_ms / 2;
    } else {
        set_down(&had, p, &why);
        p->failure = had;
        p->failed_until = now + FAILED_MS;
    }
    tell_waiting(p, &had);
}

static void ask_keys(struct provider *p) {
    struct fetch what = { .kind = FETCH_KEYS, .name = p->name };
    if (p->call)
        return;
    p->asked = loop_now(p->tokens->loop);
    p->call = fetcher_ask(p->tokens->fetcher, &what, on_keys, p);
}

/* With keys that are good but for one nobody knows, a new fetch has to wait: anybody can make up a
 * key's name. */
static void get_keys(struct provider *p, token_had_fn *on_had, void *ctx) {
    int64_t now = loop_now(p->tokens->loop);
    static const struct token_had as_before = { .rc = OK };
    if (!p->call && now < p->failed_until && !is_fresh(p)) {
        on_had(ctx, &p->failure);
        return;
    }
    if (p->fixed || (!p->call && is_fresh(p) && now < p->asked + AGAIN_MS)) {
        on_had(ctx, &as_before);
        return;
    }
    struct waiter *w = calloc(1, sizeof *w);
    MUST(w);
    w->on_had = on_had;
    w->ctx = ctx;
    list_append(&p->waiting, &w->node);
    ask_keys(p);
}

/* --- introspections -------------------------------------------------------------------------------- */

static void make_digest(const struct provider *p, struct bytes token, uint8_t out[DIGEST]) {
    struct buf text = buf_grow(OAUTH_TOKEN_MAX + 1024);
    buf_lbytes(&text, p->name);
    buf_add(&text, token);
    MUST(EVP_Digest(text.at, text.len, out, NULL, EVP_sha256(), NULL) == 1);
    explicit_bzero(text.at, text.len);
    buf_free(&text);
}

static void remember(struct tokens *t, const uint8_t digest[DIGEST], const struct token_had *had) {
    struct bytes key = bytes_of(digest, DIGEST);
    struct remembered *r = map_find(t->remembered, key);
    if (!r) {
        if (map_count(t->remembered) >= REMEMBERED_MAX)
            forget_all(t);
        r = calloc(1, sizeof *r);
        MUST(r);
        map_put(t->remembered, key, r);
    }
    r->had = *had;
    r->until = loop_now(t->loop) + (had->fault ? BAD_MS : GOOD_MS);
}

/* What it said holds for a minute, but not beyond the token's own end. */
static const struct token_had *recall(struct tokens *t, const uint8_t digest[DIGEST]) {
    const struct remembered *r = map_find(t->remembered, bytes_of(digest, DIGEST));
    bool good =
        r && loop_now(t->loop) < r->until && (r->had.fault || loop_wall(t->loop) < r->had.expires);
    return good ? &r->had : NULL;
}

static void read_answer(struct provider *p, const struct fetched *answer, struct token_had *out) {
    struct arena *a = arena_open();
    struct oauth_policy policy = { p->issuer, p->audience, p->claim };
    struct oauth_token token;
    struct why why = answer->why;
    *out = (struct token_had){ .rc = OK };
    enum rc rc = answer->rc;
    if (rc == OK)
        rc = oauth_introspection_parse(a, answer->body, &policy, loop_wall(p->tokens->loop),
                                       &out->fault, &token, &why);
    if (rc != OK) {
        set_down(out, p, &why);
    } else if (!out->fault) {
        memcpy(out->login, token.login.at, token.login.len);
        out->login_len = token.login.len;
        out->expires = token.expires;
    }
    arena_close(&a);
}

static void on_introspected(void *ctx, const struct fetched *answer) {
    struct introspection *i = ctx;
    struct token_had had;
    read_answer(i->provider, answer, &had);
    if (had.rc == OK)
        remember(i->provider->tokens, i->digest, &had);
    end_introspection(i, &had);
}

static void introspect(struct provider *p, struct bytes token, token_had_fn *on_had, void *ctx) {
    struct tokens *t = p->tokens;
    uint8_t digest[DIGEST];
    make_digest(p, token, digest);
    const struct token_had *known = recall(t, digest);
    if (known) {
        on_had(ctx, known);
        return;
    }
    struct introspection *i = calloc(1, sizeof *i);
    MUST(i);
    *i = (struct introspection){ .provider = p, .on_had = on_had, .ctx = ctx };
    memcpy(i->digest, digest, DIGEST);
    list_append(&t->introspections, &i->node);
    struct fetch what = { .kind = FETCH_INTROSPECTION, .name = p->name, .token = token };
    i->call = fetcher_ask(t->fetcher, &what, on_introspected, i);
}

void tokens_get(struct tokens *t, const struct token_need *need, token_had_fn *on_had, void *ctx) {
    MUST(need->provider < t->count);
    if (need->what == NEED_KEYS)
        get_keys(&t->list[need->provider], on_had, ctx);
    else
        introspect(&t->list[need->provider], need->token, on_had, ctx);
}
