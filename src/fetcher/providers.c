/* providers: keys and introspections. Where the keys are is asked of the issuer unless jwks says it
 * (RFC 8414, OpenID Connect Discovery); how long they may be kept is the provider's word, within
 * bounds. */
#include "fetcher/internal.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

struct provider {
    struct fetch_logic *fetcher;
    const struct oauth *oauth;
    struct list waiting; /* for its keys */
    void *call;          /* under way */
    unsigned place;      /* which one is being asked */
    struct arena *arena; /* of keys_url */
    struct bytes keys_url;
    int64_t keys_url_until;
    struct why why; /* of the place before */
};
struct introspection {
    struct list_node node;
    struct provider *provider;
    void *call;
    fetch_done *on_done;
    void *ctx;
};

struct provider *providers_open(struct fetch_logic *f, size_t *count_out) {
    struct provider *list = ARENA_ARRAY(f->arena, f->config->oauth_count + 1, struct provider);
    *count_out = f->config->oauth_count;
    list_init(&f->introspections);
    for (size_t i = 0; i < *count_out; i++) {
        list[i] = (struct provider){ .fetcher = f, .oauth = &f->config->oauths[i] };
        list_init(&list[i].waiting);
        list[i].arena = arena_open();
    }
    return list;
}

void providers_close(struct fetch_logic *f) {
    struct list_node *n;
    for (size_t i = 0; i < f->provider_count; i++) {
        if (f->providers[i].call)
            f->web.cancel(f->web.ctx, f->providers[i].call);
        waiting_drop(&f->providers[i].waiting);
        arena_close(&f->providers[i].arena);
    }
    while ((n = list_pop(&f->introspections))) {
        struct introspection *i = CONTAINER_OF(n, struct introspection, node);
        f->web.cancel(f->web.ctx, i->call);
        free(i);
    }
}

static struct provider *find(struct fetch_logic *f, struct bytes name) {
    for (size_t i = 0; i < f->provider_count; i++)
        if (bytes_equal_nocase(f->providers[i].oauth->name, name))
            return &f->providers[i];
    return NULL;
}

/* --- keys --------------------------------------------------------------------------------------- */

static http_answered on_metadata, on_keys;

static void get(struct provider *p, struct bytes url, http_answered *on_answer) {
    struct fetch_logic *f = p->fetcher;
    struct http_request r = { .url = url,
                              .ca_pem = p->oauth->ca_pem,
                              .body_max = OAUTH_DOCUMENT_MAX,
                              .timeout_ms = ANSWER_MS / 3 };
    p->call = f->web.begin(f->web.ctx, &r, on_answer, p);
}

static void keys_failed(struct provider *p, const char *text) {
    struct fetched answer = { .rc = TEMP };
    why_backend(&answer.why, "backend.oauth", "provider %.*s: %s", BYTES_FMT(p->oauth->name), text);
    waiting_tell(&p->waiting, &answer);
}

static void ask_place(struct provider *p) {
    struct arena *a = arena_open();
    struct bytes url;
    if (oauth_metadata_url(a, p->oauth->issuer, p->place, &url) && oauth_url_is_fit(url))
        get(p, url, on_metadata);
    else
        keys_failed(p, p->why.text[0] ? p->why.text : "nobody knows where its keys are: set jwks");
    arena_close(&a);
}

static enum rc read_place(struct provider *p, const struct http_answer *answer) {
    struct bytes url;
    if (answer->rc != OK) {
        p->why = answer->why;
        return TEMP;
    }
    if (answer->status != 200)
        return why_set(&p->why, TEMP, 0, NULL, "backend.oauth",
                       "the issuer's metadata are not to be had (HTTP %d)", answer->status);
    struct arena *a = arena_open();
    enum rc rc = oauth_metadata_parse(a, answer->body, p->oauth->issuer, &url, &p->why);
    if (rc == OK) {
        arena_reset(p->arena);
        p->keys_url = arena_copy(p->arena, url);
        p->keys_url_until = loop_now(p->fetcher->loop) + PLACE_LASTS_MS;
    }
    arena_close(&a);
    return rc;
}

static void on_metadata(void *ctx, const struct http_answer *answer) {
    struct provider *p = ctx;
    p->call = NULL;
    if (read_place(p, answer) == OK) {
        get(p, p->keys_url, on_keys);
        return;
    }
    p->place++;
    ask_place(p);
}

static int64_t clamp(int64_t age) {
    if (age < 0)
        return KEYS_LAST_MS;
    return age < KEYS_LAST_MIN_MS   ? KEYS_LAST_MIN_MS
           : age > KEYS_LAST_MAX_MS ? KEYS_LAST_MAX_MS
                                    : age;
}

/* Keys that cannot be used are no keys: those had before stay in use. */
static void on_keys(void *ctx, const struct http_answer *answer) {
    struct provider *p = ctx;
    struct oauth_keys *keys;
    struct arena *a = arena_open();
    struct why why = answer->why;
    enum rc rc = answer->rc;
    p->call = NULL;
    if (rc == OK && answer->status != 200)
        rc = why_set(&why, TEMP, 0, NULL, "backend.oauth", "its keys are not to be had (HTTP %d)",
                     answer->status);
    if (rc == OK)
        rc = oauth_keys_parse(a, answer->body, &keys, &why);
    arena_close(&a);
    if (rc != OK) {
        p->keys_url_until = 0; /* they may have moved */
        keys_failed(p, why.text);
        return;
    }
    struct fetched good = { .rc = OK, .body = answer->body, .lasts_ms = clamp(answer->max_age_ms) };
    waiting_tell(&p->waiting, &good);
}

void providers_keys(struct fetch_logic *f, struct bytes name, fetch_done *on_done, void *ctx) {
    struct provider *p = find(f, name);
    if (!p) {
        fetch_tell_down(on_done, ctx, "there is no such provider");
        return;
    }
    waiting_add(&p->waiting, on_done, ctx);
    if (p->call)
        return;
    p->place = 0;
    why_clear(&p->why);
    if (p->oauth->jwks.len && !p->oauth->keys.len)
        get(p, p->oauth->jwks, on_keys);
    else if (loop_now(f->loop) < p->keys_url_until)
        get(p, p->keys_url, on_keys);
    else
        ask_place(p);
}

/* --- introspections ------------------------------------------------------------------------------- */

static void on_introspected(void *ctx, const struct http_answer *answer) {
    struct introspection *i = ctx;
    struct provider *p = i->provider;
    fetch_done *on_done = i->on_done;
    void *done_ctx = i->ctx;
    struct bytes name = p->oauth->name;
    list_remove(&p->fetcher->introspections, &i->node);
    free(i);
    if (answer->rc != OK)
        fetch_tell_down(on_done, done_ctx, "provider %.*s: %s", BYTES_FMT(name), answer->why.text);
    else if (answer->status == 401 || answer->status == 403)
        fetch_tell_down(on_done, done_ctx,
                        "provider %.*s: it refuses our client (HTTP %d): correct client",
                        BYTES_FMT(name), answer->status);
    else if (answer->status != 200)
        fetch_tell_down(on_done, done_ctx, "provider %.*s: the introspection failed (HTTP %d)",
                        BYTES_FMT(name), answer->status);
    else
        on_done(done_ctx, &(struct fetched){ .rc = OK, .body = answer->body });
}

static void post(struct introspection *i, struct bytes token) {
    struct fetch_logic *f = i->provider->fetcher;
    const struct oauth *o = i->provider->oauth;
    struct buf form = buf_grow(4 * OAUTH_TOKEN_MAX), id = buf_grow(4096), secret = buf_grow(4096);
    oauth_form_add(&form, "token", token);
    oauth_form_add(&form, "token_type_hint", B("access_token"));
    oauth_escape(&id, o->client_id);
    oauth_escape(&secret, o->client_secret);
    struct http_request r = { .url = o->introspection,
                              .form = buf_bytes(&form),
                              .user = buf_bytes(&id),
                              .password = buf_bytes(&secret),
                              .ca_pem = o->ca_pem,
                              .body_max = OAUTH_DOCUMENT_MAX,
                              .timeout_ms = ANSWER_MS };
    i->call = f->web.begin(f->web.ctx, &r, on_introspected, i);
    explicit_bzero(form.at, form.len);
    buf_free(&form);
    buf_free(&id);
    if (secret.len)
        explicit_bzero(secret.at, secret.len);
    buf_free(&secret);
}

void providers_introspect(struct fetch_logic *f, const struct fetch *what, fetch_done *on_done,
                          void *ctx) {
    struct provider *p = find(f, what->name);
    if (!p || !p->oauth->introspection.len) {
        fetch_tell_down(on_done, ctx, "there is no such introspection");
        return;
    }
    if (f->introspections.count >= OPEN_MAX) {
        fetch_tell_down(on_done, ctx, "provider %.*s: too many introspections are under way",
                        BYTES_FMT(p->oauth->name));
        return;
    }
    struct introspection *i = calloc(1, sizeof *i);
    MUST(i);
    *i = (struct introspection){ .provider = p, .on_done = on_done, .ctx = ctx };
    list_append(&f->introspections, &i->node);
    post(i, what->token);
}
