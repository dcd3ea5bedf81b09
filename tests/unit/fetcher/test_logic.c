/* What the fetcher asks, keeps and says, with a web that is this test. */
#include "base/event.h"
#include "base/must.h"
#include "config/config.h"
#include "fetcher/logic.h"
#include "fetcher/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

static const char keys[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
                           "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                           "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";

struct asked {
    char url[256], form[1024], user[64], password[64];
    http_answered *on_answer;
    void *arg;
    bool open;
};
struct fixture {
    char folder[64];
    struct loop *loop;
    struct config *config;
    struct fetch_logic *logic;
    struct asked asked[16];
    size_t asked_count;
    /* answers */
    unsigned answers;
    struct fetched answer;
    char body[4096];
};

static void *begin(void *ctx, const struct http_request *r, http_answered *on_answer, void *arg) {
    struct fixture *f = ctx;
    struct asked *a = &f->asked[f->asked_count++];
    MUST(f->asked_count <= COUNT_OF(f->asked));
    snprintf(a->url, sizeof a->url, "%.*s", BYTES_FMT(r->url));
    snprintf(a->form, sizeof a->form, "%.*s", BYTES_FMT(r->form));
    snprintf(a->user, sizeof a->user, "%.*s", BYTES_FMT(r->user));
    snprintf(a->password, sizeof a->password, "%.*s", BYTES_FMT(r->password));
    a->on_answer = on_answer;
    a->arg = arg;
    a->open = true;
    return a;
}

static void cancel(void *ctx, void *call) {
    (void)ctx;
    ((struct asked *)call)->open = false;
}

/* The web answers what was asked last. */
static void web(struct fixture *f, int status, const char *body) {
    struct asked *a = &f->asked[f->asked_count - 1];
    struct http_answer answer = { .status = status, .body = bytes_str(body), .max_age_ms = -1 };
    MUST(a->open);
    a->open = false;
    if (!status)
        answer.rc = why_backend(&answer.why, "backend.http", "no route to host");
    a->on_answer(a->arg, &answer);
}

static void on_done(void *ctx, const struct fetched *answer) {
    struct fixture *f = ctx;
    f->answers++;
    f->answer = *answer;
    snprintf(f->body, sizeof f->body, "%.*s", BYTES_FMT(answer->body));
}

static void ask(struct fixture *f, enum fetch_kind kind, const char *name, const char *token) {
    struct fetch what = { kind, bytes_str(name), bytes_str(token) };
    fetch_logic_ask(f->logic, &what, on_done, f);
}

static void expect(const struct fixture *f, unsigned answers, enum rc rc, const char *words) {
    assert_int_equal(f->answers, answers);
    assert_int_equal(f->answer.rc, rc);
    const char *in = rc == OK ? f->body : f->answer.why.text;
    if (!strstr(in, words))
        fail_msg("no \"%s\" in \"%s\"", words, in);
}

static void write_file(const struct fixture *f, const char *name, const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    chmod(path, 0600);
}

static void open_logic(struct fixture *f) {
    char text[2048];
    struct config_findings findings;
    snprintf(text, sizeof text,
             "logins = {\"oauth:a\", \"oauth:b\"}\n"
             "oauth \"a\" { issuer = \"https://a.example/realm\" audience = mail }\n"
             "oauth \"b\" { issuer = b jwks = \"https://b.example/keys\" audience = mail\n"
             "  introspection = \"https://b.example/i\" client = \"file:%s/client\" }\n"
             "route \"r\" { via = {\"smtps://h.example\"} login = \"file:%s/plain\" }\n"
             "route \"s\" { via = {\"smtps://h.example\"} to = {x.example}\n"
             "  login = \"file:%s/refresh\" }\n",
             f->folder, f->folder, f->folder);
    assert_int_equal(config_parse(BYTES_NONE, bytes_str(text), &f->config, &findings), OK);
    assert_true(config_needs_fetcher(f->config));
    f->logic = fetch_logic_open(f->loop, f->config, bytes_str(f->folder),
                                &(struct fetch_web){ begin, cancel, f, .quiet = false });
}

static void close_logic(struct fixture *f) {
    fetch_logic_close(&f->logic);
    config_close(&f->config);
}

static int64_t clock_of(void *ctx) {
    (void)ctx;
    return 0;
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    event_open(clock_of, NULL);
    strcpy(f->folder, "/tmp/postern-fetcher-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    write_file(f, "client", "mail server:s&cret\n");
    write_file(f, "plain",
               "{\"token_url\":\"https://l.example/t\",\"client_id\":\"i d\",\"client_secret\":"
               "\"s:1\",\"user\":\"u@l.example\",\"scope\":\"smtp\"}");
    write_file(f, "refresh",
               "{\"token_url\":\"https://l.example/t\",\"client_id\":\"id\",\"refresh_token\":"
               "\"first\",\"user\":\"u@l.example\"}");
    f->loop = loop_open();
    open_logic(f);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    static const char *const files[] = { "client", "plain", "refresh", "login-r", "login-s" };
    close_logic(f);
    loop_close(&f->loop);
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", f->folder, files[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(f->folder), 0);
    free(f);
    return 0;
}

/* --- providers --------------------------------------------------------------------------------- */

static void discovery(void **state) {
    struct fixture *f = *state;
    ask(f, FETCH_KEYS, "a", "");
    ask(f, FETCH_KEYS, "A", ""); /* waits with the first */
    assert_int_equal(f->asked_count, 1);
    assert_string_equal(f->asked[0].url,
                        "https://a.example/realm/.well-known/openid-configuration");
    web(f, 404, "no");
    assert_string_equal(f->asked[1].url,
                        "https://a.example/.well-known/oauth-authorization-server/realm");
    web(f, 200, "{\"issuer\":\"https://a.example/realm\",\"jwks_uri\":\"https://a.example/k\"}");
    assert_string_equal(f->asked[2].url, "https://a.example/k");
    assert_int_equal(f->answers, 0);
    web(f, 200, keys);
    expect(f, 2, OK, "\"keys\"");
    assert_int_equal(f->answer.lasts_ms, 3600000);
    ask(f, FETCH_KEYS, "a", ""); /* where they are is known now */
    assert_string_equal(f->asked[3].url, "https://a.example/k");
    web(f, 404, "moved");
    expect(f, 3, TEMP, "404");
    ask(f, FETCH_KEYS, "a", "");
    assert_non_null(strstr(f->asked[4].url, "openid-configuration"));
}

static void lies(void **state) {
    struct fixture *f = *state;
    ask(f, FETCH_KEYS, "a", "");
    web(f, 200, "{\"issuer\":\"https://evil.example\",\"jwks_uri\":\"https://evil.example/k\"}");
    web(f, 200, "{\"issuer\":\"https://a.example/realm\",\"jwks_uri\":\"http://a.example/k\"}");
    expect(f, 1, TEMP, "https://");
    ask(f, FETCH_KEYS, "b", "");
    assert_string_equal(f->asked[2].url, "https://b.example/keys");
    web(f, 200, "{\"keys\":[]}");
    expect(f, 2, TEMP, "no public key");
    ask(f, FETCH_KEYS, "b", "");
    web(f, 0, "");
    expect(f, 3, TEMP, "no route to host");
    ask(f, FETCH_KEYS, "nobody", "");
    expect(f, 4, TEMP, "no such provider");
}

static void introspection(void **state) {
    struct fixture *f = *state;
    ask(f, FETCH_INTROSPECTION, "b", "t&k");
    assert_string_equal(f->asked[0].url, "https://b.example/i");
    assert_string_equal(f->asked[0].form, "token=t%26k&token_type_hint=access_token");
    assert_string_equal(f->asked[0].user, "mail%20server");
    assert_string_equal(f->asked[0].password, "s%26cret");
    web(f, 200, "{\"active\":true}");
    expect(f, 1, OK, "active");
    ask(f, FETCH_INTROSPECTION, "b", "t");
    web(f, 401, "{}");
    expect(f, 2, TEMP, "refuses our client");
    ask(f, FETCH_INTROSPECTION, "b", "t");
    web(f, 500, "{}");
    expect(f, 3, TEMP, "500");
    ask(f, FETCH_INTROSPECTION, "a", "t");
    expect(f, 4, TEMP, "no such introspection");
    ask(f, FETCH_INTROSPECTION, "b", "open at the end");
}

/* --- logins ------------------------------------------------------------------------------------ */

static void client_credentials(void **state) {
    struct fixture *f = *state;
    ask(f, FETCH_LOGIN, "r", "");
    ask(f, FETCH_LOGIN, "r", "");
    assert_int_equal(f->asked_count, 1);
    assert_string_equal(f->asked[0].form, "grant_type=client_credentials&scope=smtp");
    assert_string_equal(f->asked[0].user, "i%20d");
    assert_string_equal(f->asked[0].password, "s%3A1");
    web(f, 200, "{\"access_token\":\"one\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
    expect(f, 2, OK, "one");
    assert_int_equal(f->answer.lasts_ms, 3600000);
    ask(f, FETCH_LOGIN, "r", "");
    expect(f, 3, OK, "one");           /* at once */
    ask(f, FETCH_LOGIN, "r", "older"); /* somebody has seen to that */
    expect(f, 4, OK, "one");
    ask(f, FETCH_LOGIN, "r", "one"); /* refused */
    assert_int_equal(f->answers, 4);
    web(f, 200, "{\"access_token\":\"two\",\"token_type\":\"Bearer\",\"expires_in\":3600}");
    expect(f, 5, OK, "two");
    ask(f, FETCH_LOGIN, "r", "one");
    expect(f, 6, OK, "two");
    assert_int_equal(f->asked_count, 2);
}

static void denied(void **state) {
    struct fixture *f = *state;
    ask(f, FETCH_LOGIN, "r", "");
    web(f, 401, "{\"error\":\"invalid_client\",\"error_description\":\"who are you\"}");
    expect(f, 1, PERM, "invalid_client: who are you");
    ask(f, FETCH_LOGIN, "r", ""); /* not asked again at once */
    expect(f, 2, PERM, "invalid_client");
    assert_int_equal(f->asked_count, 1);
    ask(f, FETCH_LOGIN, "x", "");
    expect(f, 3, TEMP, "no OAuth 2.0 client");
}

static void token_endpoint_faults(void **state) {
    struct fixture *f = *state;
    static const struct {
        int status;
        const char *body;
        enum rc rc;
        const char *words;
    } rows[] = {
        { 0, "", TEMP, "no route" },
        { 503, "", TEMP, "503" },
        { 302, "", TEMP, "302" },
        { 200, "<html>", TEMP, "no JSON" },
        { 200, "{\"access_token\":\"x\"}", TEMP, "bearer" },
        { 200, "{\"error\":\"invalid_request\"}", PERM, "invalid_request" },
        { 400, "{\"error\":\"invalid_grant\"}", PERM, "invalid_grant" },
        { 400, "<html>", PERM, "HTTP 400" },
        { 200, "{\"access_token\":\"x\",\"token_type\":\"bearer\",\"expires_in\":5}", TEMP,
          "run out at once" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        close_logic(f);
        open_logic(f);
        f->answers = 0;
        f->asked_count = 0;
        ask(f, FETCH_LOGIN, "r", "");
        web(f, rows[i].status, rows[i].body);
        expect(f, 1, rows[i].rc, rows[i].words);
    }
}

static void refresh(void **state) {
    struct fixture *f = *state;
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/login-s", f->folder);
    ask(f, FETCH_LOGIN, "s", "");
    assert_string_equal(f->asked[0].form,
                        "grant_type=refresh_token&refresh_token=first&client_id=id");
    web(f, 200, "{\"access_token\":\"one\",\"token_type\":\"Bearer\"}");
    expect(f, 1, OK, "one");
    assert_int_equal(stat(path, &st), -1); /* nothing to keep */
    ask(f, FETCH_LOGIN, "s", "one");
    web(f, 200,
        "{\"access_token\":\"two\",\"token_type\":\"Bearer\",\"refresh_token\":\"second\"}");
    expect(f, 2, OK, "two");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    ask(f, FETCH_LOGIN, "s", "two");
    assert_non_null(strstr(f->asked[2].form, "refresh_token=second"));
    /* after a restart */
    close_logic(f);
    open_logic(f);
    ask(f, FETCH_LOGIN, "s", "");
    assert_non_null(strstr(f->asked[3].form, "refresh_token=second"));
    /* a new one in the login file wins */
    write_file(f, "refresh",
               "{\"token_url\":\"https://l.example/t\",\"client_id\":\"id\",\"refresh_token\":"
               "\"fresh\",\"user\":\"u@l.example\"}");
    close_logic(f);
    open_logic(f);
    ask(f, FETCH_LOGIN, "s", "");
    assert_non_null(strstr(f->asked[4].form, "refresh_token=fresh"));
}

/* What is on disk may be anything. */
static void damaged_file(void **state) {
    struct fixture *f = *state;
    static const char *const texts[] = { "", "\n", "x\n", "\n\n\n", "0000\nstolen\n" };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        close_logic(f);
        write_file(f, "login-s", texts[i]);
        open_logic(f);
        f->asked_count = 0;
        ask(f, FETCH_LOGIN, "s", "");
        assert_non_null(strstr(f->asked[0].form, "refresh_token=first&"));
    }
}

/* --- the wire ---------------------------------------------------------------------------------- */

static void wire(void **state) {
    struct fetch what = { FETCH_LOGIN, B("route"), B("tok") }, read;
    struct fetched answer = { .rc = PERM, .lasts_ms = 77 }, back;
    struct buf b = buf_grow(FETCH_WIRE_MAX);
    (void)state;
    fetch_format_request(&b, &what);
    assert_true(fetch_parse_request(buf_bytes(&b), &read));
    assert_true(read.kind == what.kind && bytes_equal(read.name, what.name) &&
                bytes_equal(read.token, what.token));
    for (size_t i = 0; i < b.len; i++)
        assert_false(fetch_parse_request(bytes_first(buf_bytes(&b), i), &read));
    b.at[0] = 9;
    assert_false(fetch_parse_request(buf_bytes(&b), &read));
    buf_clear(&b);
    answer.body = B("body");
    why_set(&answer.why, PERM, 0, NULL, "auth.smarthost", "denied");
    fetch_format_answer(&b, &answer);
    assert_true(fetch_parse_answer(buf_bytes(&b), &back));
    assert_true(back.rc == PERM && back.lasts_ms == 77 && bytes_equal(back.body, B("body")));
    assert_string_equal(back.why.text, "denied");
    assert_string_equal(back.why.reason, "auth.smarthost");
    for (size_t i = 0; i < b.len; i++)
        assert_false(fetch_parse_answer(bytes_first(buf_bytes(&b), i), &back));
    buf_free(&b);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(discovery),
        T(lies),
        T(introspection),
        T(client_credentials),
        T(denied),
        T(token_endpoint_faults),
        T(refresh),
        T(damaged_file),
        cmocka_unit_test(wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
