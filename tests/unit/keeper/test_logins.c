/* Logins beyond one password: SCRAM-SHA-1, CRAM-MD5, EXTERNAL, imported hashes, app passwords, on a real
 * database, loop and threads; and what a database of the last release becomes. */
#include "keeper/auth.h"
#include "keeper/keeper.h"
#include "keeper/secrets.h"
#include "sasl/sasl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char folder[64], file[96];
    struct loop *loop;
    struct keeper *keeper;
    struct auth *auth;
    struct secrets *secrets;
    struct arena *arena;
    struct why why;
    unsigned answers;
    struct auth_answer answer;
    char data[4096], login[400], app[80], senders[400], networks[400];
};

static const struct addr client = { .family = 4, .ip = { 192, 0, 2, 7 } };
#define TERRI B("terri@a.example")

static void open_keeper(struct fixture *f) {
    assert_int_equal(keeper_open(f->loop,
                                 &(struct keeper_setup){ .secrets_file = f->file,
                                                         .hostname = B("mail.example") },
                                 &f->keeper, &f->why),
                     OK);
    f->auth = auth_open_direct(f->loop, f->keeper);
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->folder, "/tmp/postern-logins-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->file, sizeof f->file, "%s/secrets.db", f->folder);
    f->loop = loop_open();
    open_keeper(f);
    assert_int_equal(secrets_open(f->file, false, &f->secrets, &f->why), OK);
    assert_int_equal(secrets_set(f->secrets, TERRI, B("main word"), &f->why), OK);
    f->arena = arena_open();
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    static const char *const names[] = { "secrets.db", "secrets.db-wal", "secrets.db-shm",
                                         "reversible.key" };
    struct fixture *f = *state;
    auth_close(&f->auth);
    keeper_close(&f->keeper);
    secrets_close(&f->secrets);
    loop_close(&f->loop);
    arena_close(&f->arena);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", f->folder, names[i]);
        unlink(path);
    }
    rmdir(f->folder);
    free(f);
    return 0;
}

static void keep(char *into, size_t size, struct bytes *view) {
    assert_true(view->len < size);
    if (view->len)
        memcpy(into, view->at, view->len);
    into[view->len] = '\0';
    view->at = into;
}

static void on_answer(void *ctx, const struct auth_answer *answer) {
    struct fixture *f = ctx;
    f->answers++;
    f->answer = *answer;
    keep(f->data, sizeof f->data, &f->answer.data);
    keep(f->login, sizeof f->login, &f->answer.login);
    keep(f->app, sizeof f->app, &f->answer.app);
    keep(f->senders, sizeof f->senders, &f->answer.app_senders);
    keep(f->networks, sizeof f->networks, &f->answer.app_networks);
    loop_stop(f->loop);
}

static void wait_answer(struct fixture *f) {
    unsigned before = f->answers;
    loop_run(f->loop);
    assert_int_equal(f->answers, before + 1);
}

static struct auth_exchange *begin(struct fixture *f, const struct auth_session *session) {
    struct auth_exchange *x = auth_begin(f->auth, session, on_answer, f);
    wait_answer(f);
    return x;
}

static enum auth_result plain_at(struct fixture *f, const char *login, const char *password,
                                 struct bytes service) {
    char message[512];
    struct buf b = buf_fixed(message, sizeof message);
    buf_char(&b, '\0');
    buf_str(&b, login);
    buf_char(&b, '\0');
    buf_str(&b, password);
    struct auth_exchange *x = begin(f, &(struct auth_session){ .mechanism = B("PLAIN"),
                                                               .client = client,
                                                               .service = service,
                                                               .has_initial = true,
                                                               .initial = buf_bytes(&b) });
    auth_end(&x);
    return f->answer.result;
}

static enum auth_result plain(struct fixture *f, const char *password) {
    return plain_at(f, "terri@a.example", password, B("smtp"));
}

/* A whole exchange as our own client has it. */
static enum auth_result with(struct fixture *f, const char *mechanism, const char *user,
                             const char *password) {
    struct sasl_client *c;
    struct bytes message;
    struct sasl_client_setup setup = { .mechanisms = bytes_str(mechanism),
                                       .user = bytes_str(user),
                                       .password = bytes_str(password),
                                       .service = B("smtp"),
                                       .host = B("mail.example"),
                                       .tls = true };
    assert_int_equal(sasl_client_open(f->arena, &setup, &c, &f->why), OK);
    struct auth_session session = { .mechanism = sasl_client_mechanism(c),
                                    .client = client,
                                    .service = B("smtp") };
    session.has_initial = sasl_client_initial(c, &session.initial);
    struct auth_exchange *x = begin(f, &session);
    for (int i = 0; i < 4 && f->answer.result == AUTH_CHALLENGE; i++) {
        if (sasl_client_step(c, f->answer.data, &message, &f->why) != OK)
            break;
        auth_step(x, message);
        wait_answer(f);
    }
    if (f->answer.result == AUTH_DONE && f->answer.data.len) {
        assert_int_equal(sasl_client_step(c, f->answer.data, &message, &f->why), OK);
        assert_int_equal(sasl_client_finish(c, &f->why), OK);
    }
    auth_end(&x);
    return f->answer.result;
}

static void scram_sha_1_has_keys_of_its_own(void **state) {
    struct fixture *f = *state;
    assert_int_equal(with(f, "SCRAM-SHA-1", "terri@a.example", "main word"), AUTH_DONE);
    assert_int_equal(with(f, "SCRAM-SHA-1", "terri@a.example", "main wort"), AUTH_REFUSED);
    assert_int_equal(with(f, "SCRAM-SHA-1", "nobody@a.example", "main word"), AUTH_REFUSED);
    assert_int_equal(secrets_set(f->secrets, TERRI, B("another"), &f->why), OK);
    assert_int_equal(with(f, "SCRAM-SHA-1", "terri@a.example", "main word"), AUTH_REFUSED);
    assert_int_equal(with(f, "SCRAM-SHA-1", "terri@a.example", "another"), AUTH_DONE);
}

/* RFC 5802 section 5.1: a proof belongs to the nonces of its exchange. */
static void a_replayed_proof_is_worth_nothing(void **state) {
    struct fixture *f = *state;
    struct sasl_client *c;
    struct bytes first, last;
    struct sasl_client_setup setup = { .mechanisms = B("SCRAM-SHA-256"),
                                       .user = TERRI,
                                       .password = B("main word"),
                                       .service = B("smtp"),
                                       .host = B("mail.example"),
                                       .tls = true };
    assert_int_equal(sasl_client_open(f->arena, &setup, &c, &f->why), OK);
    assert_true(sasl_client_initial(c, &first));
    struct auth_session session = {
        .mechanism = B("SCRAM-SHA-256"), .client = client, .has_initial = true, .initial = first
    };
    struct auth_exchange *x = begin(f, &session);
    assert_int_equal(sasl_client_step(c, f->answer.data, &last, &f->why), OK);
    auth_step(x, last);
    wait_answer(f);
    assert_int_equal(f->answer.result, AUTH_DONE);
    auth_end(&x);
    x = begin(f, &session); /* the very same words again */
    assert_int_equal(f->answer.result, AUTH_CHALLENGE);
    auth_step(x, last);
    wait_answer(f);
    assert_int_not_equal(f->answer.result, AUTH_DONE);
    auth_end(&x);
}

/* --- CRAM-MD5 -------------------------------------------------------------------------------------- */

static void cram_md5_wants_a_reversible_password(void **state) {
    struct fixture *f = *state;
    char path[128];
    struct stat st;
    assert_int_equal(with(f, "CRAM-MD5", "terri@a.example", "main word"), AUTH_REFUSED);
    assert_int_equal(secrets_set_reversible(f->secrets, TERRI, B("plain text"), &f->why), OK);
    snprintf(path, sizeof path, "%s/reversible.key", f->folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(with(f, "CRAM-MD5", "terri@a.example", "plain text"), AUTH_DONE);
    assert_string_equal(f->login, "terri@a.example");
    assert_int_equal(with(f, "CRAM-MD5", "terri@a.example", "plain texd"), AUTH_REFUSED);
    assert_int_equal(with(f, "CRAM-MD5", "nobody@a.example", "plain text"), AUTH_REFUSED);
    assert_int_equal(with(f, "SCRAM-SHA-256", "terri@a.example", "plain text"), AUTH_DONE);
    /* set anew without the option: it is gone */
    assert_int_equal(secrets_set(f->secrets, TERRI, B("plain text"), &f->why), OK);
    assert_int_equal(with(f, "CRAM-MD5", "terri@a.example", "plain text"), AUTH_REFUSED);
}

static void cram_md5_without_its_key_is_our_fault(void **state) {
    struct fixture *f = *state;
    char path[128];
    assert_int_equal(secrets_set_reversible(f->secrets, TERRI, B("plain text"), &f->why), OK);
    snprintf(path, sizeof path, "%s/reversible.key", f->folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(with(f, "CRAM-MD5", "terri@a.example", "plain text"), AUTH_DOWN);
    assert_int_equal(f->answer.why.code, 454);
    /* another key does not fit */
    assert_int_equal(secrets_set_reversible(f->secrets, B("zoe@a.example"), B("x"), &f->why), OK);
    assert_int_equal(with(f, "CRAM-MD5", "terri@a.example", "plain text"), AUTH_DOWN);
    assert_int_equal(with(f, "CRAM-MD5", "zoe@a.example", "x"), AUTH_DONE);
}

static void a_sealed_password_is_bound_to_its_login(void **state) {
    struct fixture *f = *state;
    sqlite3 *db;
    assert_int_equal(secrets_set_reversible(f->secrets, TERRI, B("terri's"), &f->why), OK);
    assert_int_equal(secrets_set_reversible(f->secrets, B("zoe@a.example"), B("zoe's"), &f->why),
                     OK);
    assert_int_equal(sqlite3_open(f->file, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(
            db,
            "UPDATE login SET sealed=(SELECT sealed FROM login WHERE login='zoe@a.example')"
            " WHERE login='terri@a.example'",
            NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(with(f, "CRAM-MD5", "terri@a.example", "zoe's"), AUTH_DOWN);
}

static void cram_md5_of_a_wrong_form(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = {
        "",
        " ",
        "terri@a.example",
        "terri@a.example 0123",
        "terri@a.example 0123456789abcdef0123456789abcdeg",
        "terri@a.example 0123456789ABCDEF0123456789abcdef",
        " 0123456789abcdef0123456789abcdef",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct auth_exchange *x = begin(f, &(struct auth_session){ .mechanism = B("CRAM-MD5") });
        assert_int_equal(f->answer.result, AUTH_CHALLENGE);
        auth_step(x, bytes_str(bad[i]));
        wait_answer(f);
        assert_int_equal(f->answer.result, AUTH_MALFORMED);
        auth_end(&x);
    }
    struct auth_exchange *x =
        begin(f, &(struct auth_session){ .mechanism = B("CRAM-MD5"),
                                         .has_initial = true,
                                         .initial = B("t 0123456789abcdef0123456789abcdef") });
    assert_int_equal(f->answer.result, AUTH_MALFORMED);
    auth_end(&x);
}

/* RFC 2195 section 2: each challenge is a new one, so an answer heard on the way is worth nothing. */
static void cram_md5_challenges_differ(void **state) {
    struct fixture *f = *state;
    char before[4096] = "";
    for (int i = 0; i < 20; i++) {
        struct auth_exchange *x = begin(f, &(struct auth_session){ .mechanism = B("CRAM-MD5") });
        assert_int_equal(f->answer.result, AUTH_CHALLENGE);
        assert_true(f->data[0] == '<' && strcmp(before, f->data) != 0);
        strcpy(before, f->data);
        auth_end(&x);
    }
}

/* --- EXTERNAL -------------------------------------------------------------------------------------- */

static const char spki[] = "0123456789abcdef0123456789abcdef";
#define SPKI_TEXT "spki-sha256:3031323334353637383961626364656630313233343536373839616263646566"

static enum auth_result external(struct fixture *f, struct bytes key, struct bytes names,
                                 const char *identity) {
    struct auth_exchange *x = begin(f, &(struct auth_session){ .mechanism = B("EXTERNAL"),
                                                               .client = client,
                                                               .client_spki = key,
                                                               .client_names = names,
                                                               .has_initial = true,
                                                               .initial = bytes_str(identity) });
    auth_end(&x);
    return f->answer.result;
}

static void external_by_key(void **state) {
    struct fixture *f = *state;
    struct bytes key = bytes_of(spki, 32);
    assert_int_equal(external(f, key, BYTES_NONE, ""), AUTH_REFUSED);
    assert_int_equal(
        secrets_allow_certificate(f->secrets, B("Terri@a.example"), B(SPKI_TEXT), &f->why), OK);
    assert_int_equal(external(f, key, BYTES_NONE, ""), AUTH_DONE);
    assert_string_equal(f->login, "terri@a.example");
    assert_int_equal(external(f, key, BYTES_NONE, "TERRI@a.example"), AUTH_DONE);
    assert_int_equal(external(f, key, BYTES_NONE, "zoe@a.example"), AUTH_REFUSED);
    assert_int_equal(external(f, BYTES_NONE, BYTES_NONE, ""), AUTH_REFUSED);
    assert_int_equal(external(f, bytes_of(spki + 1, 32), BYTES_NONE, ""), AUTH_REFUSED);
    assert_int_equal(secrets_disable(f->secrets, TERRI, true, &f->why), OK);
    assert_int_equal(external(f, key, BYTES_NONE, ""), AUTH_REFUSED);
    assert_int_equal(secrets_disable(f->secrets, TERRI, false, &f->why), OK);
    assert_int_equal(secrets_deny_certificate(f->secrets, TERRI, B(SPKI_TEXT), &f->why), OK);
    assert_int_equal(external(f, key, BYTES_NONE, ""), AUTH_REFUSED);
}

static void external_by_name(void **state) {
    struct fixture *f = *state;
    struct bytes key = bytes_of(spki, 32);
    assert_int_equal(secrets_allow_certificate(f->secrets, TERRI,
                                               B("ca:/etc/CA.pem name:Box.A.example"), &f->why),
                     OK);
    assert_int_equal(external(f, key, B("ca:/etc/CA.pem name:box.a.example"), ""), AUTH_DONE);
    assert_int_equal(external(f, key, B("ca:/x name:y\nca:/etc/CA.pem name:box.a.example\n"), ""),
                     AUTH_DONE);
    assert_int_equal(external(f, key, B("ca:/etc/ca.pem name:box.a.example"), ""), AUTH_REFUSED);
    assert_int_equal(external(f, key, B("ca:/etc/CA.pem name:box"), ""), AUTH_REFUSED);
    /* names without a certificate are nobody's */
    assert_int_equal(external(f, BYTES_NONE, B("ca:/etc/CA.pem name:box.a.example"), ""),
                     AUTH_REFUSED);
}

static void certificates_that_cannot_be(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = {
        "",
        "spki-sha256:12",
        SPKI_TEXT "00",
        "name:x",
        "ca:x name:y",
        "ca:/x name:",
        "ca:/x",
        ("spki-sha256:"
         "zz31323334353637383961626364656630313233343536373839616263646566"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(secrets_allow_certificate(f->secrets, TERRI, bytes_str(bad[i]), &f->why),
                         PERM);
    assert_int_equal(secrets_allow_certificate(f->secrets, TERRI, B(SPKI_TEXT), &f->why), OK);
    assert_int_equal(secrets_allow_certificate(f->secrets, TERRI, B(SPKI_TEXT), &f->why), OK);
    assert_int_equal(
        secrets_allow_certificate(f->secrets, B("zoe@a.example"), B(SPKI_TEXT), &f->why), PERM);
    assert_int_equal(
        secrets_deny_certificate(f->secrets, B("zoe@a.example"), B(SPKI_TEXT), &f->why), PERM);
}

/* --- imported hashes --------------------------------------------------------------------------------- */

/* Of "pässword", made by other programs: openssl passwd, mkpasswd, argon2, htpasswd. */
static const char *const hashes[] = {
    "$2b$04$KBCwKxOzLha2MUDgW0PjXeOFNhhE26rSq5ykPKV1b1AA/mfxHit1m",
    "$6$k2XAnEHBqQ1Ct2aM$RnKK1FHt1JM3Fxw8T9/x.AwpErz8loSRjoOGmlztgWbx/TpRXTZoEbf4qvPKTXsJFZM/U0HvbRdjBRN0ziD9h.",
    "$5$k2XAnEHBqQ1Ct2aM$4kAtFqrRH/Gvo.V9i3EJAcAtoUqLDMBkhUm.aLDwX/8",
    "$y$j75$k2XAnEHBqQ1Ct2aMXFKNa/HAmA1BpMnBsYHMWB4NZN4$hC2sLwlWfVbSGvKuXoTwyy5/hfdvEAeFFaGVCNFR8x1",
    "$1$k2XAnEHB$WZmq5UF7WvZeUa/FD9bTI.",
    "$argon2id$v=19$m=8192,t=2,p=1$VBbMhzVrvBkhyhBQl2YhZQ$6TF1gmpGZ4kn0KnznF0mrTuWo/gmEhCWRrGFc9kkFgo",
    "$argon2id$v=19$m=4096,t=2,p=4$c29tZXNhbHQxNm9jdGV0cw$7uQvqefx770aqyOCNkXddqj+/g29m0WYSqB9t0I0l6Y",
    "$argon2i$v=19$m=4096,t=3,p=1$c29tZXNhbHQxNm9jdGV0cw$2f5J7o7U45OnrUjsES+XY/OdUvcMX1JZVpDc+zt+u5c",
    "{BLF-CRYPT}$2y$04$KBCwKxOzLha2MUDgW0PjXeOFNhhE26rSq5ykPKV1b1AA/mfxHit1m"
};

static void imported_hashes_let_in_and_become_keys(void **state) {
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
        struct secrets_kinds kinds;
        assert_int_equal(secrets_import(f->secrets, TERRI, bytes_str(hashes[i]), &f->why), OK);
        assert_int_equal(secrets_kinds(f->secrets, TERRI, &kinds, &f->why), OK);
        assert_true(kinds.imported && !kinds.password);
        assert_int_equal(plain(f, "main word"), AUTH_REFUSED);
        assert_int_equal(plain(f, "wrong"), AUTH_REFUSED);
        assert_int_equal(with(f, "SCRAM-SHA-256", "terri@a.example", "p\xc3\xa4ssword"),
                         AUTH_REFUSED);
        assert_int_equal(plain(f, "p\xc3\xa4ssword"), AUTH_DONE);
        assert_int_equal(secrets_kinds(f->secrets, TERRI, &kinds, &f->why), OK);
        assert_true(!kinds.imported && kinds.password && kinds.sha_1);
        assert_int_equal(with(f, "SCRAM-SHA-256", "terri@a.example", "p\xc3\xa4ssword"), AUTH_DONE);
        assert_int_equal(with(f, "SCRAM-SHA-1", "terri@a.example", "p\xc3\xa4ssword"), AUTH_DONE);
        assert_int_equal(plain(f, "p\xc3\xa4ssword"), AUTH_DONE);
        assert_int_equal(plain(f, "wrong"), AUTH_REFUSED);
    }
}

static void a_disabled_login_with_a_hash_stays_out(void **state) {
    struct fixture *f = *state;
    assert_int_equal(secrets_import(f->secrets, TERRI, bytes_str(hashes[0]), &f->why), OK);
    assert_int_equal(secrets_disable(f->secrets, TERRI, true, &f->why), OK);
    assert_int_equal(plain(f, "p\xc3\xa4ssword"), AUTH_REFUSED);
    assert_int_equal(secrets_disable(f->secrets, TERRI, false, &f->why), OK);
    assert_int_equal(plain(f, "p\xc3\xa4ssword"), AUTH_DONE);
}

static void hashes_that_are_not_taken(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = {
        "",
        "password",
        "{PLAIN}secret",
        "$argon2id$v=19$m=4194304,t=3,p=1$c2FsdHNhbHQ$aGFzaA", /* 4 GiB */
        "$argon2id$v=19$m=65536,t=4000000000,p=1$c2FsdHNhbHQ$aGFzaA",
        "$argon2id$v=16$m=65536,t=3,p=1$c2FsdHNhbHQ$aGFzaA",
        "$argon2id$",
        "$argon2id$v=19$m=0,t=3,p=1$c2FsdHNhbHQ$aGFzaA",
        "$2y$31$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
        "$2y$10$short",
        "$6$rounds=4000000000$salt$hash",
        "$6$",
        "$y$jzT$salt$hash",
        "$y$",
        "$6$sa lt$hash",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(secrets_import(f->secrets, TERRI, bytes_str(bad[i]), &f->why), PERM);
        assert_string_equal(f->why.reason, "auth.hash");
    }
    assert_int_equal(plain(f, "main word"), AUTH_DONE); /* what there was is untouched */
}

/* --- app passwords ------------------------------------------------------------------------------------ */

static void add_app(struct fixture *f, const char *name, bool smtp, bool pop, const char *password,
                    const char *networks) {
    struct app_password app = { .name = bytes_str(name),
                                .smtp = smtp,
                                .pop = pop,
                                .senders = B("scan@a.example .b.example"),
                                .networks = bytes_str(networks),
                                .created = 1000 };
    assert_int_equal(secrets_app_add(f->secrets, TERRI, &app, bytes_str(password), &f->why), OK);
}

static void app_passwords_work_with_every_mechanism(void **state) {
    struct fixture *f = *state;
    static const char *const mechanisms[] = { "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-1" };
    add_app(f, "phone", true, true, "phone word", "");
    add_app(f, "copier", true, false, "copier word", "192.0.2.0/24");
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++) {
        assert_int_equal(with(f, mechanisms[i], "terri@a.example", "copier word"), AUTH_DONE);
        assert_string_equal(f->login, "terri@a.example");
        assert_string_equal(f->app, "copier");
        assert_string_equal(f->senders, "scan@a.example .b.example");
        assert_string_equal(f->networks, "192.0.2.0/24");
        assert_int_equal(with(f, mechanisms[i], "terri@a.example", "phone word"), AUTH_DONE);
        assert_string_equal(f->app, "phone");
        assert_int_equal(with(f, mechanisms[i], "terri@a.example", "main word"), AUTH_DONE);
        assert_string_equal(f->app, "");
        assert_string_equal(f->senders, "");
        assert_int_equal(with(f, mechanisms[i], "terri@a.example", "no word"), AUTH_REFUSED);
    }
    assert_int_equal(plain(f, "copier word"), AUTH_DONE); /* remembered by now */
    assert_string_equal(f->app, "copier");
}

static void an_app_password_for_another_service_is_wrong(void **state) {
    struct fixture *f = *state;
    add_app(f, "reader", false, true, "reader word", "");
    assert_int_equal(plain_at(f, "terri@a.example", "reader word", B("pop")), AUTH_DONE);
    assert_int_equal(plain_at(f, "terri@a.example", "reader word", B("smtp")), AUTH_REFUSED);
    assert_int_equal(with(f, "SCRAM-SHA-256", "terri@a.example", "reader word"), AUTH_REFUSED);
    add_app(f, "sender", true, false, "sender word", "");
    assert_int_equal(plain_at(f, "terri@a.example", "sender word", B("pop")), AUTH_REFUSED);
    assert_int_equal(plain_at(f, "terri@a.example", "sender word", B("smtp")), AUTH_DONE);
}

static void app_passwords_end(void **state) {
    struct fixture *f = *state;
    add_app(f, "phone", true, true, "phone word", "");
    assert_int_equal(plain(f, "phone word"), AUTH_DONE);
    assert_int_equal(secrets_app_remove(f->secrets, TERRI, B("phone"), &f->why), OK);
    assert_int_equal(plain(f, "phone word"), AUTH_REFUSED); /* though it was remembered */
    assert_int_equal(secrets_app_remove(f->secrets, TERRI, B("phone"), &f->why), PERM);
    add_app(f, "phone", true, true, "phone word", "");
    assert_int_equal(secrets_disable(f->secrets, TERRI, true, &f->why), OK);
    assert_int_equal(plain(f, "phone word"), AUTH_REFUSED);
    assert_int_equal(secrets_disable(f->secrets, TERRI, false, &f->why), OK);
    assert_int_equal(plain(f, "phone word"), AUTH_DONE);
    /* a new password of the login's own leaves them alone, SCRAM too */
    assert_int_equal(secrets_set(f->secrets, TERRI, B("fresh word"), &f->why), OK);
    assert_int_equal(with(f, "SCRAM-SHA-256", "terri@a.example", "phone word"), AUTH_DONE);
    assert_int_equal(with(f, "SCRAM-SHA-256", "terri@a.example", "fresh word"), AUTH_DONE);
    assert_int_equal(with(f, "SCRAM-SHA-256", "terri@a.example", "main word"), AUTH_REFUSED);
    assert_int_equal(secrets_remove(f->secrets, TERRI, &f->why), OK);
    assert_int_equal(plain(f, "phone word"), AUTH_REFUSED);
    assert_int_equal(secrets_set(f->secrets, TERRI, B("fresh word"), &f->why), OK);
    assert_int_equal(plain(f, "phone word"), AUTH_REFUSED); /* not even if the login comes back */
}

static void app_passwords_that_cannot_be(void **state) {
    struct fixture *f = *state;
    static const char *const names[] = { "", "a b", "a/b", "\xc3\xa4", "a\n" };
    struct app_password app = { .smtp = true };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        app.name = bytes_str(names[i]);
        assert_int_equal(secrets_app_add(f->secrets, TERRI, &app, B("word"), &f->why), PERM);
    }
    for (int i = 0; i < APP_PASSWORDS_MAX; i++) {
        char name[8];
        snprintf(name, sizeof name, "n%d", i);
        add_app(f, name, true, true, name, "");
    }
    app.name = B("n0");
    assert_int_equal(secrets_app_add(f->secrets, TERRI, &app, B("word"), &f->why), PERM);
    app.name = B("more");
    assert_int_equal(secrets_app_add(f->secrets, TERRI, &app, B("word"), &f->why), PERM);
    assert_int_equal(with(f, "SCRAM-SHA-256", "terri@a.example", "n31"), AUTH_DONE);
    assert_string_equal(f->app, "n31");
}

static void an_app_password_alone(void **state) {
    struct fixture *f = *state;
    struct app_password app = { .name = B("only"), .smtp = true };
    struct secrets_kinds kinds;
    assert_int_equal(secrets_app_add(f->secrets, B("zoe@a.example"), &app, B("word"), &f->why), OK);
    assert_int_equal(secrets_kinds(f->secrets, B("zoe@a.example"), &kinds, &f->why), OK);
    assert_true(!kinds.password && kinds.app_passwords == 1);
    assert_int_equal(with(f, "SCRAM-SHA-256", "zoe@a.example", "word"), AUTH_DONE);
    assert_int_equal(with(f, "PLAIN", "zoe@a.example", "other"), AUTH_REFUSED);
}

/* --- the database of the last release ------------------------------------------------------------------ */

static void an_older_database_is_brought_up_to_date(void **state) {
    struct fixture *f = *state;
    struct secrets_kinds kinds;
    sqlite3 *db;
    auth_close(&f->auth);
    keeper_close(&f->keeper);
    secrets_close(&f->secrets);
    assert_int_equal(sqlite3_open(f->file, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(
            db,
            "CREATE TABLE old AS SELECT login, disabled, iterations, salt, stored_key, server_key"
            " FROM login; DROP TABLE login; DROP TABLE app_password; DROP TABLE certificate;"
            "CREATE TABLE login (login TEXT PRIMARY KEY, disabled INTEGER NOT NULL DEFAULT 0,"
            " iterations INTEGER NOT NULL, salt BLOB NOT NULL, stored_key BLOB NOT NULL,"
            " server_key BLOB NOT NULL) WITHOUT ROWID;"
            "INSERT INTO login SELECT * FROM old; DROP TABLE old; PRAGMA user_version=1;",
            NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    open_keeper(f);
    assert_int_equal(secrets_open(f->file, false, &f->secrets, &f->why), OK);
    assert_int_equal(with(f, "SCRAM-SHA-256", "terri@a.example", "main word"), AUTH_DONE);
    assert_int_equal(with(f, "SCRAM-SHA-1", "terri@a.example", "main word"), AUTH_REFUSED);
    assert_int_equal(plain(f, "main word"), AUTH_DONE); /* which makes the missing keys */
    assert_int_equal(with(f, "SCRAM-SHA-1", "terri@a.example", "main word"), AUTH_DONE);
    assert_int_equal(secrets_kinds(f->secrets, TERRI, &kinds, &f->why), OK);
    assert_true(kinds.sha_1 && kinds.password);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(scram_sha_1_has_keys_of_its_own),
        TEST(a_replayed_proof_is_worth_nothing),
        TEST(cram_md5_wants_a_reversible_password),
        TEST(cram_md5_without_its_key_is_our_fault),
        TEST(a_sealed_password_is_bound_to_its_login),
        TEST(cram_md5_of_a_wrong_form),
        TEST(cram_md5_challenges_differ),
        TEST(external_by_key),
        TEST(external_by_name),
        TEST(certificates_that_cannot_be),
        TEST(imported_hashes_let_in_and_become_keys),
        TEST(a_disabled_login_with_a_hash_stays_out),
        TEST(hashes_that_are_not_taken),
        TEST(app_passwords_work_with_every_mechanism),
        TEST(an_app_password_for_another_service_is_wrong),
        TEST(app_passwords_end),
        TEST(app_passwords_that_cannot_be),
        TEST(an_app_password_alone),
        TEST(an_older_database_is_brought_up_to_date),
    };
    return cmocka_run_group_tests_name("keeper/logins", tests, NULL, NULL);
}
