/* logins: access tokens for routes, got by client credentials or a refresh token (RFC 6749 sections 4.4
 * and 6) and renewed before they run out. A provider may replace the refresh token each time: the new
 * one is on disk before the access token is used, for the old one may be void from then on. */
#include "fetcher/internal.h"

#include "base/event.h"
#include "base/must.h"
#include "sys/files.h"

#include <openssl/evp.h>
#include <string.h>

enum {
    MARGIN_MAX_MS = 5 * 60 * 1000, /* renewed that long before the end, or after 3/4 of the time */
    LAST_USE_MS = 10 * 1000,       /* an old token is not given out in its last seconds */
    DENIED_MS = 60 * 1000,         /* before a provider that refused us is asked again */
    DOWN_MS = 5 * 1000,
    FILE_MAX = 16 * 1024,
    ORIGIN_HEX = 64,
};

struct login {
    struct fetch_logic *fetcher;
    const struct route *route;
    struct oauth_client client;
    struct bytes path;
    char origin[ORIGIN_HEX + 1]; /* of the refresh token in the login file: a new one there wins */
    struct list waiting;
    void *call;
    char refresh[OAUTH_TOKEN_MAX + 1], token[OAUTH_TOKEN_MAX + 1];
    size_t refresh_len, token_len;
    int64_t renew_at, expires; /* of the token; loop's time */
    int64_t not_before;        /* after a failure */
    struct fetched failure;
};

static struct bytes token_of(const struct login *l) {
    return bytes_of(l->token, l->token_len);
}

static void keep(char *into, size_t *len, struct bytes token) {
    MUST(token.len <= OAUTH_TOKEN_MAX);
    explicit_bzero(into, OAUTH_TOKEN_MAX + 1);
    if (token.len)
        memcpy(into, token.at, token.len);
    *len = token.len;
}

/* --- the refresh token on disk -------------------------------------------------------------------- */

static void find_origin(struct login *l) {
    unsigned char digest[32];
    struct buf text = buf_grow(64 * 1024), hex = buf_fixed(l->origin, sizeof l->origin);
    buf_lbytes(&text, l->client.token_url);
    buf_lbytes(&text, l->client.client_id);
    buf_lbytes(&text, l->client.refresh_token);
    MUST(EVP_Digest(text.at, text.len, digest, NULL, EVP_sha256(), NULL) == 1);
    buf_hex(&hex, bytes_of(digest, sizeof digest));
    buf_text(&hex);
    explicit_bzero(text.at, text.len);
    buf_free(&text);
}

/* Two lines: what it came from, and the token. */
static void read_file(struct login *l) {
    struct arena *a = arena_open();
    struct bytes text, origin;
    keep(l->refresh, &l->refresh_len, bytes_first(l->client.refresh_token, OAUTH_TOKEN_MAX));
    if (l->client.refresh_token.len && files_read(l->path, FILE_MAX, a, &text, NULL) == OK &&
        bytes_split(&text, '\n', &origin) && bytes_equal(origin, bytes_str(l->origin))) {
        text = bytes_trim(text);
        if (text.len && text.len <= OAUTH_TOKEN_MAX)
            keep(l->refresh, &l->refresh_len, text);
    }
    arena_close(&a);
}

/* Blocking, and rightly so: nothing is to be done with the grant before. A route's token is renewed
 * some times an hour. */
static void write_file(struct login *l) {
    struct buf b = buf_grow(FILE_MAX);
    struct why why;
    buf_printf(&b, "%s\n%.*s\n", l->origin, (int)l->refresh_len, l->refresh);
    if (files_write(l->path, buf_bytes(&b), FILES_MODE(0600), &why) != OK) {
        struct event *e = event_begin("oauth-not-kept");
        event_text(e, "route", l->route->name);
        event_why(e, &why);
        event_str(e, "remedy",
                  "Make room or rights for it: after a restart the provider may refuse "
                  "the old refresh token, and a new one must be put into the login "
                  "file");
        event_bool(e, "alarm", true);
        event_end(e);
    }
    explicit_bzero(b.at, b.len);
    buf_free(&b);
}

/* --- opening --------------------------------------------------------------------------------------- */

struct login *logins_open(struct fetch_logic *f, size_t *count_out) {
    struct login *list = ARENA_ARRAY(f->arena, f->config->route_count + 1, struct login);
    size_t count = 0;
    for (size_t i = 0; i < f->config->route_count; i++) {
        const struct route *r = &f->config->routes[i];
        struct login *l = &list[count];
        if (!r->login_oauth)
            continue;
        *l = (struct login){ .fetcher = f, .route = r };
        if (oauth_client_parse(f->arena, r->login_client, &l->client, NULL) != OK)
            continue;
        list_init(&l->waiting);
        l->path =
            arena_printf(f->arena, "%.*s/login-%.*s", BYTES_FMT(f->folder), BYTES_FMT(r->name));
        find_origin(l);
        read_file(l);
        count++;
    }
    *count_out = count;
    return list;
}

void logins_close(struct fetch_logic *f) {
    for (size_t i = 0; i < f->login_count; i++) {
        struct login *l = &f->logins[i];
        if (l->call)
            f->web.cancel(f->web.ctx, l->call);
        waiting_drop(&l->waiting);
        explicit_bzero(l->token, sizeof l->token);
        explicit_bzero(l->refresh, sizeof l->refresh);
    }
}

/* --- asking ---------------------------------------------------------------------------------------- */

static bool is_usable(const struct login *l) {
    return l->token_len && loop_now(l->fetcher->loop) < l->expires - LAST_USE_MS;
}

static struct fetched good(const struct login *l) {
    return (struct fetched){ .rc = OK,
                             .body = token_of(l),
                             .lasts_ms = l->expires - loop_now(l->fetcher->loop) };
}

static void tell_renewed(const struct login *l, int64_t lasts_ms) {
    if (l->fetcher->web.quiet)
        return;
    struct event *e = event_begin("oauth-token");
    event_text(e, "route", l->route->name);
    event_i64(e, "lasts_s", lasts_ms / 1000);
    event_end(e);
}

static void tell_failed(const struct login *l) {
    if (l->fetcher->web.quiet)
        return;
    struct event *e = event_begin("oauth-token-failed");
    event_text(e, "route", l->route->name);
    event_text(e, "url", l->client.token_url);
    event_why(e, &l->failure.why);
    if (l->failure.rc == PERM) {
        event_str(e, "remedy",
                  "Correct the client in the route's login file, or put a new refresh "
                  "token into it");
        event_bool(e, "alarm", true);
    }
    event_end(e);
}

static void take(struct login *l, const struct oauth_grant *grant) {
    int64_t now = loop_now(l->fetcher->loop), margin = grant->lasts_ms / 4;
    if (grant->refresh_token.len && l->client.refresh_token.len &&
        !bytes_equal(grant->refresh_token, bytes_of(l->refresh, l->refresh_len))) {
        keep(l->refresh, &l->refresh_len, grant->refresh_token);
        if (!l->fetcher->web.quiet)
            write_file(l);
    }
    keep(l->token, &l->token_len, grant->access_token);
    l->expires = now + grant->lasts_ms;
    l->renew_at = l->expires - (margin < MARGIN_MAX_MS ? margin : MARGIN_MAX_MS);
    l->not_before = 0;
    tell_renewed(l, grant->lasts_ms);
}

/* Until the old token has run out, it serves on. */
static void failed(struct login *l, enum rc rc, const struct why *why) {
    l->failure = (struct fetched){ .rc = rc };
    l->failure.why = *why;
    l->not_before = loop_now(l->fetcher->loop) + (rc == PERM ? DENIED_MS : DOWN_MS);
    tell_failed(l);
}

/* 400 and 401 carry the reason in words (RFC 6749 section 5.2). */
static enum rc read_grant(struct login *l, const struct http_answer *answer, struct arena *a,
                          struct oauth_grant *out, struct why *why) {
    *why = answer->why;
    if (answer->rc != OK)
        return TEMP;
    bool said = answer->status == 200 || answer->status == 400 || answer->status == 401 ||
                answer->status == 403;
    if (!said)
        return why_backend(why, "backend.oauth", "HTTP %d from the token endpoint", answer->status);
    enum rc rc = oauth_grant_parse(a, answer->body, out, why);
    bool denied = rc == PERM && bytes_equal(bytes_str(why->reason), B("auth.smarthost"));
    if (answer->status == 200)
        return rc == OK ? OK : denied ? PERM : TEMP;
    if (!denied)
        why_set(why, PERM, 0, NULL, "auth.smarthost", "the token was denied (HTTP %d)",
                answer->status);
    (void)l;
    return PERM;
}

static void on_grant(void *ctx, const struct http_answer *answer) {
    struct login *l = ctx;
    struct arena *a = arena_open();
    struct oauth_grant grant;
    struct why why;
    l->call = NULL;
    enum rc rc = read_grant(l, answer, a, &grant, &why);
    if (rc == OK)
        take(l, &grant);
    else
        failed(l, rc, &why);
    arena_close(&a);
    struct fetched said = is_usable(l) ? good(l) : l->failure;
    if (rc == OK && !is_usable(l)) { /* one that lasts less than its last seconds */
        said = (struct fetched){ .rc = TEMP };
        why_backend(&said.why, "backend.oauth", "the provider's tokens run out at once");
    }
    waiting_tell(&l->waiting, &said);
}

static void renew(struct login *l) {
    struct fetch_logic *f = l->fetcher;
    const struct oauth_client *c = &l->client;
    struct buf form = buf_grow(8 * OAUTH_TOKEN_MAX), id = buf_grow(16384), secret = buf_grow(16384);
    oauth_client_form(&form, c, bytes_of(l->refresh, l->refresh_len));
    bool basic = !c->secret_in_body && c->client_secret.len;
    oauth_escape(&id, basic ? c->client_id : BYTES_NONE);
    oauth_escape(&secret, basic ? c->client_secret : BYTES_NONE);
    struct http_request r = { .url = c->token_url,
                              .form = buf_bytes(&form),
                              .user = buf_bytes(&id),
                              .password = buf_bytes(&secret),
                              .ca_pem = l->route->login_ca_pem,
                              .body_max = OAUTH_DOCUMENT_MAX,
                              .timeout_ms = ANSWER_MS };
    l->call = f->web.begin(f->web.ctx, &r, on_grant, l);
    explicit_bzero(form.at, form.len);
    buf_free(&form);
    buf_free(&id);
    if (secret.len)
        explicit_bzero(secret.at, secret.len);
    buf_free(&secret);
}

static struct login *find(struct fetch_logic *f, struct bytes name) {
    for (size_t i = 0; i < f->login_count; i++)
        if (bytes_equal(f->logins[i].route->name, name))
            return &f->logins[i];
    return NULL;
}

/* A token that was refused is the one to be replaced; if it is an older one, that has been done. */
void logins_token(struct fetch_logic *f, const struct fetch *what, fetch_done *on_done, void *ctx) {
    struct login *l = find(f, what->name);
    if (!l) {
        fetch_tell_down(on_done, ctx, "this route has no OAuth 2.0 client");
        return;
    }
    int64_t now = loop_now(f->loop);
    if (what->token.len && bytes_equal_secret(what->token, token_of(l)))
        keep(l->token, &l->token_len, BYTES_NONE);
    bool usable = is_usable(l);
    if (usable && (now < l->renew_at || now < l->not_before)) {
        struct fetched answer = good(l);
        on_done(ctx, &answer);
    } else if (!usable && !l->call && now < l->not_before) {
        on_done(ctx, &l->failure);
    } else {
        waiting_add(&l->waiting, on_done, ctx);
        if (!l->call)
            renew(l);
    }
}
