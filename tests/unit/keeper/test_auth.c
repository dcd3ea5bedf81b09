/* Logins from end to end: our own client against the keeper, through the wire's form, on a real
 * database, loop and threads. */
#include "keeper/auth.h"
#include "keeper/keeper.h"
#include "sasl/sasl.h"
#include "sys/sockets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
    char folder[64], file[96];
    struct loop *loop;
    struct keeper *keeper;
    struct auth *auth;
    struct secrets *secrets;
    struct arena *arena;
    struct why why;
    /* the last answer */
    unsigned answers;
    struct auth_answer answer;
    char data[4096], login[400];
};

static const struct addr client = { .family = 4, .ip = { 192, 0, 2, 7 } };

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->folder, "/tmp/postern-keeper-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->file, sizeof f->file, "%s/secrets.db", f->folder);
    f->loop = loop_open();
    assert_int_equal(keeper_open(f->loop,
                                 &(struct keeper_setup){ .secrets_file = f->file,
                                                         .hostname = B("mail.example") },
                                 &f->keeper, &f->why),
                     OK);
    f->auth = auth_open_direct(f->loop, f->keeper);
    assert_int_equal(secrets_open(f->file, false, &f->secrets, &f->why), OK);
    assert_int_equal(secrets_set(f->secrets, B("Terri@a.example"), B("p\xc3\xa4ss word"), &f->why),
                     OK);
    f->arena = arena_open();
    *state = f;
    return 0;
}

static void delete_with(const struct fixture *f, const char *suffix) {
    char path[128];
    snprintf(path, sizeof path, "%s%s", f->file, suffix);
    unlink(path);
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    auth_close(&f->auth);
    keeper_close(&f->keeper);
    secrets_close(&f->secrets);
    loop_close(&f->loop);
    arena_close(&f->arena);
    delete_with(f, "");
    delete_with(f, "-wal");
    delete_with(f, "-shm");
    delete_with(f, ".away");
    rmdir(f->folder);
    free(f);
    return 0;
}

static void on_answer(void *ctx, const struct auth_answer *answer) {
    struct fixture *f = ctx;
    f->answers++;
    f->answer = *answer;
    assert_true(answer->data.len < sizeof f->data && answer->login.len < sizeof f->login);
    if (answer->data.len)
        memcpy(f->data, answer->data.at, answer->data.len);
    if (answer->login.len)
        memcpy(f->login, answer->login.at, answer->login.len);
    f->answer.data.at = f->data;
    f->answer.login.at = f->login;
    loop_stop(f->loop);
}

static void wait_answer(struct fixture *f) {
    unsigned before = f->answers;
    loop_run(f->loop);
    assert_int_equal(f->answers, before + 1);
}

static struct auth_exchange *begin(struct fixture *f, const struct auth_session *session) {
    unsigned before = f->answers;
    struct auth_exchange *x = auth_begin(f->auth, session, on_answer, f);
    assert_int_equal(f->answers, before);
    wait_answer(f);
    return x;
}

static void step(struct fixture *f, struct auth_exchange *x, struct bytes response) {
    auth_step(x, response);
    wait_answer(f);
}

/* PLAIN from an address; the message written with '/' for NUL. */
static enum auth_result plain_from(struct fixture *f, const char *text, struct addr from) {
    char message[512];
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        message[i] = text[i] == '/' ? '\0' : text[i];
    struct auth_exchange *x = begin(f, &(struct auth_session){ .mechanism = B("PLAIN"),
                                                               .client = from,
                                                               .service = B("smtp"),
                                                               .has_initial = true,
                                                               .initial = bytes_of(message, len) });
    auth_end(&x);
    return f->answer.result;
}

static enum auth_result plain(struct fixture *f, const char *text) {
    return plain_from(f, text, client);
}

static void plain_takes_the_right_password_alone(void **state) {
    struct fixture *f = *state;
    assert_int_equal(plain(f, "/TERRI@a.example/p\xc3\xa4ss word"), AUTH_DONE);
    assert_true(bytes_equal(f->answer.login, B("terri@a.example")));
    assert_int_equal(f->answer.data.len, 0);
    /* remembered by now; the others still are not right */
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_DONE);
    assert_int_equal(plain(f, "terri@a.example/terri@a.example/p\xc3\xa4ss word"), AUTH_DONE);
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss wore"), AUTH_REFUSED);
    assert_string_equal(f->answer.why.reason, "auth.failed");
    assert_int_equal(plain(f, "other@a.example/terri@a.example/p\xc3\xa4ss word"), AUTH_REFUSED);
    assert_int_equal(plain(f, "/nobody@a.example/p\xc3\xa4ss word"), AUTH_REFUSED);
    /* the same letters written otherwise: SASLprep (RFC 4013) makes them one */
    assert_int_equal(plain(f, "/terri@a.example/pa\xcc\x88ss\xc2\xa0word"), AUTH_DONE);
}

static void plain_of_a_wrong_form(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = { "",       "x",          "/x",  "//",     "//pass",
                                       "/user/", "/user/a/b/", "///", "a/b/c/d" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(plain(f, bad[i]), AUTH_MALFORMED);
    assert_int_equal(f->answer.delay_ms, 0);
    /* Not UTF-8, a control, far too long: wrong, but of the right form. */
    assert_int_equal(plain(f, "/terri@a.example/\xff\xfe"), AUTH_REFUSED);
    assert_int_equal(plain(f, "/terri@a.example/a\tb"), AUTH_REFUSED);
    assert_int_equal(plain(f, "/\xff/pass"), AUTH_REFUSED);
}

static void messages_that_are_too_long(void **state) {
    struct fixture *f = *state;
    size_t sizes[] = { 5000, 12 * 1024, 13 * 1024, 200 * 1024 };
    char *big = malloc(200 * 1024);
    memset(big, 'x', 200 * 1024);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct auth_session s = { .mechanism = B("PLAIN"),
                                  .has_initial = true,
                                  .initial = bytes_of(big, sizes[i]) };
        struct auth_exchange *x = begin(f, &s);
        assert_int_equal(f->answer.result, AUTH_MALFORMED);
        auth_end(&x);
    }
    struct auth_exchange *x = begin(f, &(struct auth_session){ .mechanism = B("LOGIN") });
    step(f, x, bytes_of(big, 200 * 1024));
    assert_int_equal(f->answer.result, AUTH_MALFORMED);
    auth_end(&x);
    free(big);
}

static void plain_without_initial_response(void **state) {
    struct fixture *f = *state;
    struct auth_exchange *x = begin(f, &(struct auth_session){ .mechanism = B("plain") });
    assert_int_equal(f->answer.result, AUTH_CHALLENGE);
    assert_int_equal(f->answer.data.len, 0);
    step(f, x, B("\0terri@a.example\0p\xc3\xa4ss word"));
    assert_int_equal(f->answer.result, AUTH_DONE);
    auth_end(&x);
}

static void login_asks_for_name_and_password(void **state) {
    struct fixture *f = *state;
    struct auth_exchange *x = begin(f, &(struct auth_session){ .mechanism = B("LOGIN") });
    assert_int_equal(f->answer.result, AUTH_CHALLENGE);
    assert_true(bytes_equal(f->answer.data, B("Username:")));
    step(f, x, B("terri@a.example"));
    assert_true(bytes_equal(f->answer.data, B("Password:")));
    step(f, x, B("p\xc3\xa4ss word"));
    assert_int_equal(f->answer.result, AUTH_DONE);
    auth_end(&x);
    /* the name as initial response, as Outlook has it; an empty password */
    x = begin(f, &(struct auth_session){ .mechanism = B("LOGIN"),
                                         .has_initial = true,
                                         .initial = B("terri@a.example") });
    assert_true(bytes_equal(f->answer.data, B("Password:")));
    step(f, x, BYTES_NONE);
    assert_int_equal(f->answer.result, AUTH_REFUSED);
    auth_end(&x);
}

static void unknown_mechanisms(void **state) {
    struct fixture *f = *state;
    static const char *const names[] = { "", "ANONYMOUS", "DIGEST-MD5", "SCRAM-SHA-1-PLUS",
                                         "SCRAM-SHA-256-PLUS-PLUS-PLUS-PLUS-PLUS-PLUS" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct auth_exchange *x =
            begin(f, &(struct auth_session){ .mechanism = bytes_str(names[i]) });
        assert_int_equal(f->answer.result, AUTH_MALFORMED);
        auth_end(&x);
    }
}

/* --- SCRAM ------------------------------------------------------------------------------------- */

struct scram {
    const char *offered, *user, *password;
    struct bytes client_exporter, server_exporter, client_unique, server_unique;
};

/* A whole exchange as a client and a server have it; the server's last word. */
static enum auth_result scram(struct fixture *f, const struct scram *s, bool *client_content_out) {
    struct sasl_client *c;
    struct sasl_client_setup setup = { .mechanisms = bytes_str(s->offered),
                                       .user = bytes_str(s->user),
                                       .password = bytes_str(s->password),
                                       .service = B("smtp"),
                                       .host = B("mail.example"),
                                       .tls = true,
                                       .cb_exporter = s->client_exporter,
                                       .cb_unique = s->client_unique };
    struct bytes message;
    *client_content_out = false;
    assert_int_equal(sasl_client_open(f->arena, &setup, &c, &f->why), OK);
    struct auth_session session = { .mechanism = sasl_client_mechanism(c),
                                    .client = client,
                                    .service = B("smtp"),
                                    .cb_exporter = s->server_exporter,
                                    .cb_unique = s->server_unique };
    session.has_initial = sasl_client_initial(c, &session.initial);
    struct auth_exchange *x = begin(f, &session);
    for (int i = 0; i < 4 && f->answer.result == AUTH_CHALLENGE; i++) {
        if (sasl_client_step(c, f->answer.data, &message, &f->why) != OK)
            break;
        step(f, x, message);
    }
    if (f->answer.result == AUTH_DONE)
        *client_content_out = sasl_client_step(c, f->answer.data, &message, &f->why) == OK &&
                              message.len == 0 && sasl_client_finish(c, &f->why) == OK;
    auth_end(&x);
    return f->answer.result;
}

static void scram_both_sides_prove_themselves(void **state) {
    struct fixture *f = *state;
    bool content;
    struct scram s = { .offered = "LOGIN PLAIN SCRAM-SHA-256",
                       .user = "terri@a.example",
                       .password = "p\xc3\xa4ss word" };
    assert_int_equal(scram(f, &s, &content), AUTH_DONE);
    assert_true(content);
    assert_true(bytes_equal(f->answer.login, B("terri@a.example")));
    s.password = "wrong";
    assert_int_equal(scram(f, &s, &content), AUTH_REFUSED);
    s.user = "nobody@a.example";
    assert_int_equal(scram(f, &s, &content), AUTH_REFUSED);
}

static void scram_plus_binds_the_channel(void **state) {
    struct fixture *f = *state;
    bool content;
    struct scram s = { .offered = "SCRAM-SHA-256 SCRAM-SHA-256-PLUS PLAIN",
                       .user = "terri@a.example",
                       .password = "p\xc3\xa4ss word",
                       .client_exporter = B("01234567890123456789012345678901"),
                       .server_exporter = B("01234567890123456789012345678901") };
    assert_int_equal(scram(f, &s, &content), AUTH_DONE);
    assert_true(content);
    /* a man in the middle has another channel to each side */
    s.server_exporter = B("x1234567890123456789012345678901");
    assert_int_equal(scram(f, &s, &content), AUTH_REFUSED);
    /* TLS 1.2 */
    s.client_exporter = s.server_exporter = BYTES_NONE;
    s.client_unique = s.server_unique = B("0123456789ab");
    assert_int_equal(scram(f, &s, &content), AUTH_DONE);
    assert_true(content);
    /* binding asked of a server that has none */
    s.server_unique = BYTES_NONE;
    assert_int_equal(scram(f, &s, &content), AUTH_REFUSED);
}

static enum auth_result scram_first(struct fixture *f, struct auth_session s, const char *message) {
    s.has_initial = true;
    s.initial = bytes_str(message);
    s.client = client;
    struct auth_exchange *x = begin(f, &s);
    auth_end(&x);
    return f->answer.result;
}

static void scram_downgrades_are_seen(void **state) {
    struct fixture *f = *state;
    struct auth_session s = { .mechanism = B("SCRAM-SHA-256"), .cb_exporter = B("0123456789") };
    assert_int_equal(scram_first(f, s, "y,,n=terri@a.example,r=abcdef"), AUTH_REFUSED);
    s.no_plus = true; /* it really was not offered */
    assert_int_equal(scram_first(f, s, "y,,n=terri@a.example,r=abcdef"), AUTH_CHALLENGE);
    assert_int_equal(scram_first(f, s, "p=tls-exporter,,n=terri@a.example,r=abcdef"),
                     AUTH_MALFORMED);
    s.mechanism = B("SCRAM-SHA-256-PLUS");
    s.no_plus = false;
    assert_int_equal(scram_first(f, s, "n,,n=terri@a.example,r=abcdef"), AUTH_REFUSED);
}

static void scram_of_a_wrong_form(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = { "",           "n",          "n,,",       "n,,n=,r=abc",
                                       "n,,r=abc",   "x,,n=a,r=b", "n,,n=a,r=", "n,,m=x,n=a,r=b",
                                       "n,,n=a=,r=b" };
    struct auth_session s = { .mechanism = B("SCRAM-SHA-256") };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_not_equal(scram_first(f, s, bad[i]), AUTH_DONE);
    assert_int_equal(scram_first(f, s, "n,,n=,r=abc"), AUTH_MALFORMED);
    s.has_initial = true;
    s.initial = B("n,,n=terri@a.example\0,r=abc");
    struct auth_exchange *x = begin(f, &s);
    assert_int_equal(f->answer.result, AUTH_MALFORMED);
    auth_end(&x);
}

/* The salt of a login, as the server shows it to anybody. */
static void salt_of(struct fixture *f, const char *login, char out[128]) {
    char message[128];
    snprintf(message, sizeof message, "n,,n=%s,r=abcdef", login);
    assert_int_equal(
        scram_first(f, (struct auth_session){ .mechanism = B("SCRAM-SHA-256") }, message),
        AUTH_CHALLENGE);
    f->data[f->answer.data.len] = '\0';
    snprintf(out, 128, "%s", strstr(f->data, ",s="));
}

static void unknown_logins_look_like_known_ones(void **state) {
    struct fixture *f = *state;
    char known[128], one[128], again[128], two[128];
    salt_of(f, "terri@a.example", known);
    salt_of(f, "one@a.example", one);
    salt_of(f, "ONE@a.example", again);
    salt_of(f, "two@a.example", two);
    assert_int_equal(strlen(known), strlen(one));
    assert_string_equal(one, again);
    assert_string_not_equal(one, two);
    assert_non_null(strstr(known, ",i=10000"));
    assert_non_null(strstr(one, ",i=10000"));
    /* also after the keeper was started anew */
    auth_close(&f->auth);
    keeper_close(&f->keeper);
    assert_int_equal(keeper_open(f->loop,
                                 &(struct keeper_setup){ .secrets_file = f->file,
                                                         .hostname = B("mail.example") },
                                 &f->keeper, &f->why),
                     OK);
    f->auth = auth_open_direct(f->loop, f->keeper);
    salt_of(f, "one@a.example", again);
    assert_string_equal(one, again);
}

static void somebody_elses_name_is_not_for_the_taking(void **state) {
    struct fixture *f = *state;
    static const char *const asked[] = { "n,a=other@a.example,n=terri@a.example,r=abcdef" };
    assert_int_equal(
        scram_first(f, (struct auth_session){ .mechanism = B("SCRAM-SHA-256") }, asked[0]),
        AUTH_CHALLENGE); /* found out at the end; here that nobody is let in at once */
    assert_int_equal(plain(f, "admin@a.example/terri@a.example/p\xc3\xa4ss word"), AUTH_REFUSED);
}

/* --- changes of secrets.db ---------------------------------------------------------------------- */

static void a_new_password_counts_at_once(void **state) {
    struct fixture *f = *state;
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_DONE);
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_DONE);
    assert_int_equal(secrets_set(f->secrets, B("terri@a.example"), B("new"), &f->why), OK);
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_REFUSED);
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_REFUSED);
    assert_int_equal(plain(f, "/terri@a.example/new"), AUTH_DONE);
}

static void disabled_and_removed_logins(void **state) {
    struct fixture *f = *state;
    bool content;
    struct scram s = { .offered = "SCRAM-SHA-256",
                       .user = "terri@a.example",
                       .password = "p\xc3\xa4ss word" };
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_DONE);
    assert_int_equal(secrets_disable(f->secrets, B("terri@a.example"), true, &f->why), OK);
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_REFUSED);
    assert_int_equal(scram(f, &s, &content), AUTH_REFUSED);
    assert_int_equal(secrets_disable(f->secrets, B("terri@a.example"), false, &f->why), OK);
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_DONE);
    assert_int_equal(secrets_remove(f->secrets, B("terri@a.example"), &f->why), OK);
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_REFUSED);
}

static void passwords_that_cannot_be(void **state) {
    struct fixture *f = *state;
    char big[1200];
    memset(big, 'x', sizeof big);
    struct bytes login = B("terri@a.example");
    assert_int_equal(secrets_set(f->secrets, login, BYTES_NONE, &f->why), PERM);
    assert_int_equal(secrets_set(f->secrets, login, B("a\0b"), &f->why), PERM);
    assert_int_equal(secrets_set(f->secrets, login, B("a\x07"), &f->why), PERM);
    assert_int_equal(secrets_set(f->secrets, login, B("\xff"), &f->why), PERM);
    assert_int_equal(secrets_set(f->secrets, login, bytes_of(big, sizeof big), &f->why), PERM);
    assert_int_equal(secrets_set(f->secrets, BYTES_NONE, B("x"), &f->why), PERM);
    assert_int_equal(secrets_set(f->secrets, login, bytes_of(big, 1024), &f->why), OK);
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_REFUSED);
}

static void no_plain_password_is_in_the_file(void **state) {
    struct fixture *f = *state;
    assert_int_equal(secrets_set(f->secrets, B("x@a.example"), B("Sesame-open-4711"), &f->why), OK);
    secrets_close(&f->secrets);
    auth_close(&f->auth);
    keeper_close(&f->keeper); /* the last connection: all is in the one file now */
    FILE *file = fopen(f->file, "r");
    char *all = malloc(1 << 20);
    size_t len = fread(all, 1, 1 << 20, file);
    fclose(file);
    assert_true(bytes_search(bytes_of(all, len), B("x@a.example")) > 0);
    assert_true(bytes_search(bytes_of(all, len), B("Sesame")) < 0);
    free(all);
}

static void a_missing_database_is_our_fault(void **state) {
    struct fixture *f = *state;
    char away[128];
    bool content;
    struct scram s = { .offered = "SCRAM-SHA-256",
                       .user = "terri@a.example",
                       .password = "p\xc3\xa4ss word" };
    snprintf(away, sizeof away, "%s.away", f->file);
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_DONE);
    assert_int_equal(rename(f->file, away), 0);
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_DOWN);
    assert_int_equal(f->answer.why.code, 454);
    assert_string_equal(f->answer.why.reason, "backend.auth");
    assert_int_equal(f->answer.delay_ms, 0);
    assert_int_equal(scram(f, &s, &content), AUTH_DOWN);
    assert_int_equal(rename(away, f->file), 0);
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_DONE);
    assert_int_equal(scram(f, &s, &content), AUTH_DONE);
}

static void damaged_keys_are_our_fault(void **state) {
    struct fixture *f = *state;
    sqlite3 *handle;
    assert_int_equal(sqlite3_open(f->file, &handle), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(handle, "UPDATE login SET stored_key=x'00', iterations=-1", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(handle);
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_DOWN);
}

/* --- failures, bounds, ends ---------------------------------------------------------------------- */

static void wrong_passwords_cost_the_guesser(void **state) {
    struct fixture *f = *state;
    int64_t last = 0;
    const struct addr stranger = { .family = 4, .ip = { 198, 51, 100, 9 } };
    for (int i = 0; i < 6; i++) {
        assert_int_equal(plain_from(f, "/terri@a.example/guess", stranger), AUTH_REFUSED);
        assert_true(f->answer.delay_ms >= last);
        assert_true(f->answer.delay_ms <= 15000);
        last = f->answer.delay_ms;
    }
    assert_true(last >= 4000);
    assert_true(f->answer.close);
    /* The owner, from where he is, notices nothing. */
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_DONE);
    assert_int_equal(f->answer.delay_ms, 0);
    assert_int_equal(plain(f, "/terri@a.example/slip"), AUTH_REFUSED);
    assert_int_equal(f->answer.delay_ms, 0);
    assert_false(f->answer.close);
}

static void too_many_exchanges_end_the_oldest(void **state) {
    struct fixture *f = *state;
    enum { COUNT = 501 };
    struct auth_exchange *x[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        x[i] = begin(f, &(struct auth_session){ .mechanism = B("LOGIN") });
        assert_int_equal(f->answer.result, AUTH_CHALLENGE);
    }
    step(f, x[COUNT - 1], B("terri@a.example"));
    assert_int_equal(f->answer.result, AUTH_CHALLENGE);
    step(f, x[0], B("terri@a.example"));
    assert_int_equal(f->answer.result, AUTH_DOWN);
    for (size_t i = 0; i < COUNT; i++)
        auth_end(&x[i]);
}

static void exchanges_may_be_given_up_at_any_time(void **state) {
    struct fixture *f = *state;
    unsigned before = f->answers;
    struct auth_session s = { .mechanism = B("PLAIN"),
                              .has_initial = true,
                              .initial = B("\0terri@a.example\0wrong") };
    struct auth_exchange *x = auth_begin(f->auth, &s, on_answer, f);
    auth_end(&x);
    assert_null(x);
    for (int i = 0; i < 20; i++)
        x = auth_begin(f->auth, &s, on_answer, f); /* left to auth_close */
    struct auth_exchange *good = auth_begin(f->auth, &s, on_answer, f);
    auth_end(&good);
    auth_close(&f->auth);
    f->auth = auth_open_direct(f->loop, f->keeper);
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_DONE);
    assert_int_equal(f->answers, before + 1);
}

static void on_raw(void *ctx, struct bytes reply) {
    struct fixture *f = ctx;
    f->answers++;
    assert_true(reply.len > 0);
}

static void nonsense_on_the_wire_is_answered(void **state) {
    struct fixture *f = *state;
    keeper_call(f->keeper, 1, BYTES_NONE, on_raw, f);
    keeper_call(f->keeper, 1, B("\x01"), on_raw, f);
    keeper_call(f->keeper, 1, B("\x09garbage garbage garbage"), on_raw, f);
    keeper_call(f->keeper, 1, B("\x02\1\0\0\0\0\0\0\0\0\0\0\0"), on_raw, f); /* step of none */
    assert_int_equal(f->answers, 4);
}

static void over_a_socket_as_in_the_server(void **state) {
    struct fixture *f = *state;
    char path[96];
    int fd = -1;
    bool content;
    struct scram s = { .offered = "SCRAM-SHA-256",
                       .user = "terri@a.example",
                       .password = "p\xc3\xa4ss word" };
    snprintf(path, sizeof path, "%s/keeper.sock", f->folder);
    assert_int_equal(sockets_listen_unix(bytes_str(path), SOCK_SEQPACKET, 0600, &fd, &f->why), OK);
    keeper_serve(f->keeper, fd);
    auth_close(&f->auth);
    f->auth = auth_open_channel(f->loop, path);
    assert_int_equal(plain(f, "/terri@a.example/p\xc3\xa4ss word"), AUTH_DONE);
    assert_int_equal(plain(f, "/terri@a.example/wrong"), AUTH_REFUSED);
    assert_int_equal(scram(f, &s, &content), AUTH_DONE);
    assert_true(content);
    /* closed with an exchange open: the keeper forgets it with the connection */
    begin(f, &(struct auth_session){ .mechanism = B("LOGIN") });
    auth_close(&f->auth);
    unlink(path);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(plain_takes_the_right_password_alone),
        CASE(plain_of_a_wrong_form),
        CASE(messages_that_are_too_long),
        CASE(plain_without_initial_response),
        CASE(login_asks_for_name_and_password),
        CASE(unknown_mechanisms),
        CASE(scram_both_sides_prove_themselves),
        CASE(scram_plus_binds_the_channel),
        CASE(scram_downgrades_are_seen),
        CASE(scram_of_a_wrong_form),
        CASE(unknown_logins_look_like_known_ones),
        CASE(somebody_elses_name_is_not_for_the_taking),
        CASE(a_new_password_counts_at_once),
        CASE(disabled_and_removed_logins),
        CASE(passwords_that_cannot_be),
        CASE(no_plain_password_is_in_the_file),
        CASE(a_missing_database_is_our_fault),
        CASE(damaged_keys_are_our_fault),
        CASE(wrong_passwords_cost_the_guesser),
        CASE(too_many_exchanges_end_the_oldest),
        CASE(exchanges_may_be_given_up_at_any_time),
        CASE(nonsense_on_the_wire_is_answered),
        CASE(over_a_socket_as_in_the_server),
    };
    return cmocka_run_group_tests_name("keeper/auth", tests, NULL, NULL);
}
