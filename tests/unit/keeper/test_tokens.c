/* Logins by token, from the worker's call to the answer: real tokens, the keeper's threads and database,
 * and a fetcher that is this test. */
#include "../oauth/jose.h"
#include "fetcher/fetcher.h"
#include "keeper/auth.h"
#include "keeper/keeper.h"
#include "oauth/oauth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>
#include <unistd.h>

#define M "\x01"

struct fixture {
    char folder[64], file[96];
    struct loop *loop;
    struct keeper *keeper;
    struct fetcher *fetcher;
    struct auth *auth;
    struct secrets *secrets;
    struct why why;
    EVP_PKEY *key, *next;
    struct buf token, set;
    /* the web */
    unsigned asked;
    struct fetched reply;
    bool silent;
    enum fetch_kind kind;
    char name[64];
    /* the last answer */
    unsigned answers;
    struct auth_answer answer;
    char data[4096], login[400];
    struct auth_exchange *x;
};

static const struct addr client = { .family = 4, .ip = { 192, 0, 2, 7 } };

static void web(void *ctx, uint64_t id, const struct fetch *what);

static const struct keeper_provider own = { { "corp", 4 }, { "https://login.example", 21 },
                                            { "mail", 4 }, { "email", 5 },
                                            false,         { NULL, 0 } };

static void open_keeper(struct fixture *f, const struct keeper_provider *list, size_t count) {
    struct keeper_setup setup = { .secrets_file = f->file, .hostname = B("mail.example") };
    assert_int_equal(keeper_open(f->loop, &setup, &f->keeper, &f->why), OK);
    f->fetcher = fetcher_open_direct(f->loop, web, f);
    keeper_take_providers(f->keeper, list, count, f->fetcher);
    f->auth = auth_open_direct(f->loop, f->keeper);
}

static void close_keeper(struct fixture *f) {
    auth_end(&f->x);
    auth_close(&f->auth);
    keeper_close(&f->keeper);
}

static void publish(struct fixture *f, EVP_PKEY *key, const char *kid) {
    buf_clear(&f->set);
    buf_str(&f->set, "{\"keys\":[");
    jose_jwk(&f->set, key, kid, NULL);
    buf_str(&f->set, "]}");
    f->reply = (struct fetched){ .rc = OK, .body = buf_bytes(&f->set), .lasts_ms = 3600000 };
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->folder, "/tmp/postern-tokens-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->file, sizeof f->file, "%s/secrets.db", f->folder);
    f->loop = loop_open();
    f->token = buf_grow(65536);
    f->set = buf_grow(65536);
    f->key = jose_make("P-256");
    f->next = jose_make("P-256");
    publish(f, f->key, "one");
    open_keeper(f, &own, 1);
    assert_int_equal(secrets_open(f->file, false, &f->secrets, &f->why), OK);
    assert_int_equal(secrets_set(f->secrets, B("terri@a.example"), B("pass"), &f->why), OK);
    assert_int_equal(secrets_set(f->secrets, B("ceo@a.example"), B("pass"), &f->why), OK);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    static const char *const suffixes[] = { "", "-wal", "-shm", ".key" };
    close_keeper(f);
    secrets_close(&f->secrets);
    loop_close(&f->loop);
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", f->file, suffixes[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(f->folder), 0);
    buf_free(&f->token);
    buf_free(&f->set);
    EVP_PKEY_free(f->key);
    EVP_PKEY_free(f->next);
    free(f);
    return 0;
}

/* --- the fetcher's part --------------------------------------------------------------------------- */

struct later {
    struct fixture *fixture;
    struct timer timer;
    uint64_t id;
};

static void answer_now(void *ctx) {
    struct later l = *(struct later *)ctx;
    free(ctx);
    fetcher_answer(l.fixture->fetcher, l.id, &l.fixture->reply);
}

static void web(void *ctx, uint64_t id, const struct fetch *what) {
    struct fixture *f = ctx;
    f->asked++;
    f->kind = what->kind;
    snprintf(f->name, sizeof f->name, "%.*s", BYTES_FMT(what->name));
    if (f->silent)
        return;
    struct later *l = calloc(1, sizeof *l);
    MUST(l);
    l->fixture = f;
    l->id = id;
    timer_set(f->loop, &l->timer, 0, answer_now, l);
}

/* --- asking --------------------------------------------------------------------------------------- */

static void on_answer(void *ctx, const struct auth_answer *answer) {
    struct fixture *f = ctx;
    f->answers++;
    f->answer = *answer;
    MUST(answer->data.len < sizeof f->data && answer->login.len < sizeof f->login);
    snprintf(f->data, sizeof f->data, "%.*s", BYTES_FMT(answer->data));
    snprintf(f->login, sizeof f->login, "%.*s", BYTES_FMT(answer->login));
    loop_stop(f->loop);
}

static void wait_answer(struct fixture *f) {
    unsigned before = f->answers;
    loop_run(f->loop);
    assert_int_equal(f->answers, before + 1);
}

static void begin(struct fixture *f, const char *mechanism, bool has_initial,
                  struct bytes message) {
    struct auth_session session = { .mechanism = bytes_str(mechanism),
                                    .client = client,
                                    .service = B("smtp"),
                                    .has_initial = has_initial,
                                    .initial = message };
    auth_end(&f->x);
    f->x = auth_begin(f->auth, &session, on_answer, f);
}

static enum auth_result bearer(struct fixture *f, const char *user) {
    struct buf b = buf_grow(20000);
    buf_printf(&b, "n,%s%s,%sauth=Bearer %.*s%s%s", *user ? "a=" : "", user, M,
               BYTES_FMT(buf_bytes(&f->token)), M, M);
    begin(f, "OAUTHBEARER", true, buf_bytes(&b));
    buf_free(&b);
    wait_answer(f);
    return f->answer.result;
}

/* A token that is refused: challenge, the client's answer, and the refusal with these words. */
static void expect_bad(struct fixture *f, const char *user, const char *words, bool told) {
    assert_int_equal(bearer(f, user), AUTH_CHALLENGE);
    assert_non_null(strstr(f->data, "invalid_token"));
    auth_step(f->x, B(M));
    wait_answer(f);
    assert_int_equal(f->answer.result, AUTH_REFUSED);
    assert_int_equal(f->answer.told, told);
    assert_string_equal(f->answer.why.reason, "auth.failed");
    if (!strstr(f->answer.why.text, words))
        fail_msg("no \"%s\" in \"%s\"", words, f->answer.why.text);
}

static void sign(struct fixture *f, EVP_PKEY *key, const char *kid, const char *more) {
    char header[100], claims[512];
    long long now = (long long)time(NULL);
    snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", kid);
    snprintf(claims, sizeof claims,
             "{\"iss\":\"https://login.example\",\"aud\":\"mail\",\"exp\":%lld,%s}", now + 600,
             more);
    jose_sign(&f->token, "ES256", key, header, claims);
}

#define TERRI "\"email\":\"Terri@a.example\""

/* --- tests ----------------------------------------------------------------------------------------- */

static void a_good_token(void **state) {
    struct fixture *f = *state;
    sign(f, f->key, "one", TERRI);
    assert_int_equal(bearer(f, ""), AUTH_DONE);
    assert_string_equal(f->login, "terri@a.example");
    assert_int_equal(f->asked, 1);
    assert_int_equal(f->kind, FETCH_KEYS);
    assert_string_equal(f->name, "corp");
    assert_int_equal(bearer(f, "TERRI@A.example"), AUTH_DONE);
    assert_int_equal(f->asked, 1);
    /* without an initial response, and the other mechanism */
    begin(f, "XOAUTH2", false, BYTES_NONE);
    wait_answer(f);
    assert_int_equal(f->answer.result, AUTH_CHALLENGE);
    assert_int_equal(f->answer.data.len, 0);
    struct buf b = buf_grow(20000);
    buf_printf(&b, "user=terri@a.example%sauth=Bearer %.*s%s%s", M, BYTES_FMT(buf_bytes(&f->token)),
               M, M);
    auth_step(f->x, buf_bytes(&b));
    buf_free(&b);
    wait_answer(f);
    assert_int_equal(f->answer.result, AUTH_DONE);
}

static void whose_it_is(void **state) {
    struct fixture *f = *state;
    sign(f, f->key, "one", "\"email\":\"nobody@a.example\"");
    expect_bad(f, "", "no login here", true);
    sign(f, f->key, "one", TERRI);
    expect_bad(f, "ceo@a.example", "not made out to the login", true);
    sign(f, f->key, "one", "\"sub\":\"17\"");
    expect_bad(f, "", "names no mailbox", true);
    assert_int_equal(secrets_disable(f->secrets, B("terri@a.example"), true, &f->why), OK);
    sign(f, f->key, "one", TERRI);
    expect_bad(f, "", "no login here", true);
    sign(f, f->next, "one", TERRI);
    expect_bad(f, "", "signature", false);
}

static void malformed(void **state) {
    struct fixture *f = *state;
    begin(f, "OAUTHBEARER", true, B("n,,auth=Bearer x"));
    wait_answer(f);
    assert_int_equal(f->answer.result, AUTH_MALFORMED);
    begin(f, "XOAUTH2", true, B(""));
    wait_answer(f);
    assert_int_equal(f->answer.result, AUTH_MALFORMED);
    assert_int_equal(f->asked, 0);
    f->token.len = 0;
    for (int i = 0; i < 8300; i++)
        buf_char(&f->token, 'x');
    expect_bad(f, "", "token that can be read", false);
    /* one message too many */
    begin(f, "OAUTHBEARER", true, B("n,," M "auth=Bearer x" M M));
    wait_answer(f);
    auth_step(f->x, B("whatever"));
    wait_answer(f);
    assert_int_equal(f->answer.result, AUTH_REFUSED);
}

/* Keys that change are found; strangers' made-up keys do not make us ask. */
static void rotation(void **state) {
    struct fixture *f = *state;
    sign(f, f->next, "two", TERRI);
    publish(f, f->key, "one");
    expect_bad(f, "", "does not publish", false);
    assert_int_equal(f->asked, 1);
    publish(f, f->next, "two");
    for (int i = 0; i < 5; i++)
        expect_bad(f, "", "does not publish", false);
    assert_int_equal(f->asked, 1); /* ten seconds after the last */
}

static void short_lived_keys(void **state) {
    struct fixture *f = *state;
    publish(f, f->key, "one");
    f->reply.lasts_ms = 0;
    sign(f, f->key, "one", TERRI);
    assert_int_equal(bearer(f, ""), AUTH_DOWN); /* too old the moment they come */
    f->reply.lasts_ms = 3600000;
    assert_int_equal(bearer(f, ""), AUTH_DONE);
    assert_int_equal(f->asked, 2);
}

static void provider_down(void **state) {
    struct fixture *f = *state;
    f->reply = (struct fetched){ .rc = TEMP };
    why_backend(&f->reply.why, "backend.oauth", "no route to login.example");
    sign(f, f->key, "one", TERRI);
    assert_int_equal(bearer(f, ""), AUTH_DOWN);
    assert_int_equal(f->answer.why.code, 454);
    assert_string_equal(f->answer.why.reason, "backend.oauth");
    assert_non_null(strstr(f->answer.why.text, "no route"));
    assert_int_equal(bearer(f, ""), AUTH_DOWN); /* from memory */
    assert_int_equal(f->asked, 1);
    f->reply = (struct fetched){ .rc = OK, .body = B("[]"), .lasts_ms = 1000 };
    close_keeper(f);
    open_keeper(f, &own, 1);
    assert_int_equal(bearer(f, ""), AUTH_DOWN);
}

/* Many wait for one fetch; one that goes away meanwhile harms nobody; the end is survived. */
static void waiting(void **state) {
    struct fixture *f = *state;
    struct auth_exchange *x[3];
    struct buf b = buf_grow(20000);
    sign(f, f->key, "one", TERRI);
    buf_printf(&b, "n,,%sauth=Bearer %.*s%s%s", M, BYTES_FMT(buf_bytes(&f->token)), M, M);
    struct auth_session session = { .mechanism = B("OAUTHBEARER"),
                                    .client = client,
                                    .service = B("smtp"),
                                    .has_initial = true,
                                    .initial = buf_bytes(&b) };
    for (size_t i = 0; i < COUNT_OF(x); i++)
        x[i] = auth_begin(f->auth, &session, on_answer, f);
    auth_end(&x[1]);
    while (f->answers < 2)
        loop_run(f->loop);
    assert_int_equal(f->answer.result, AUTH_DONE);
    assert_int_equal(f->asked, 1);
    auth_end(&x[0]);
    auth_end(&x[2]);
    close_keeper(f);
    open_keeper(f, &own, 1);
    f->silent = true;
    x[0] = auth_begin(f->auth, &session, on_answer, f);
    f->asked = 0;
    struct timer tick = { 0 };
    while (!f->asked) { /* until it is waited for */
        timer_set(f->loop, &tick, 1, (void (*)(void *))loop_stop, f->loop);
        loop_run(f->loop);
    }
    buf_free(&b);
    auth_end(&x[0]);
}

static void introspection(void **state) {
    struct fixture *f = *state;
    struct keeper_provider p = own;
    p.introspects = true;
    p.claim = B("username");
    close_keeper(f);
    open_keeper(f, &p, 1);
    buf_clear(&f->token);
    buf_str(&f->token, "opaque");
    f->reply.body = B("{\"active\":true,\"username\":\"terri@a.example\",\"aud\":\"mail\"}");
    assert_int_equal(bearer(f, ""), AUTH_DONE);
    assert_int_equal(f->kind, FETCH_INTROSPECTION);
    assert_int_equal(bearer(f, ""), AUTH_DONE);
    assert_int_equal(f->asked, 1);
    buf_char(&f->token, '2');
    f->reply.body = B("{\"active\":false}");
    expect_bad(f, "", "not active", true);
    expect_bad(f, "", "not active", true);
    assert_int_equal(f->asked, 2);
    buf_char(&f->token, '3');
    f->reply.body = B("{\"active\":\"yes\"}");
    assert_int_equal(bearer(f, ""), AUTH_DOWN);
    /* a token that says it is another issuer's is not told to this one */
    f->asked = 0;
    char claims[] = "{\"iss\":\"https://other.example\"}";
    jose_sign(&f->token, "ES256", f->key, "{\"alg\":\"ES256\"}", claims);
    expect_bad(f, "", "another issuer", false);
    assert_int_equal(f->asked, 0);
}

/* Two providers: the issuer chooses; an opaque token goes to the one that can be asked. */
static void two_providers(void **state) {
    struct fixture *f = *state;
    struct keeper_provider list[] = { own, own };
    list[0].issuer = B("https://first.example");
    list[0].keys = buf_bytes(&f->set);
    list[1].name = B("second");
    close_keeper(f);
    open_keeper(f, list, 2);
    sign(f, f->key, "one", TERRI);
    assert_int_equal(bearer(f, ""), AUTH_DONE);
    assert_string_equal(f->name, "second");
    jose_sign(&f->token, "ES256", f->key, "{\"alg\":\"ES256\",\"kid\":\"one\"}",
              "{\"iss\":\"https://first.example\",\"aud\":\"mail\",\"exp\":32503680000," TERRI "}");
    assert_int_equal(bearer(f, ""), AUTH_DONE);
    assert_int_equal(f->asked, 1);
    /* the first provider's token for the second's users: another key */
    sign(f, f->next, "one", TERRI);
    expect_bad(f, "", "signature", false);
}

static void no_provider(void **state) {
    struct fixture *f = *state;
    close_keeper(f);
    open_keeper(f, NULL, 0);
    sign(f, f->key, "one", TERRI);
    assert_int_equal(bearer(f, ""), AUTH_CHALLENGE);
    assert_string_equal(f->data, "{\"status\":\"invalid_token\"}");
}

/* Bad tokens slow an address down as bad passwords do. */
static void failures_count(void **state) {
    struct fixture *f = *state;
    int64_t delay = 0;
    buf_clear(&f->token);
    buf_str(&f->token, "opaque");
    for (int i = 0; i < 4; i++) {
        expect_bad(f, "terri@a.example", "", false);
        delay = f->answer.delay_ms;
    }
    assert_true(delay > 0);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_good_token),     T(whose_it_is),   T(malformed),      T(rotation),
        T(short_lived_keys), T(provider_down), T(waiting),        T(introspection),
        T(two_providers),    T(no_provider),   T(failures_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
