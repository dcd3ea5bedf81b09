/* The client side of SASL: its choice, its messages, and its distrust. */
#include "base/buf.h"
#include "sasl/sasl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int set_up(void **state) {
    *state = arena_open();
    return 0;
}

static int tear_down(void **state) {
    struct arena *a = *state;
    arena_close(&a);
    return 0;
}

static struct sasl_client_setup setup_of(const char *offered) {
    return (struct sasl_client_setup){ .mechanisms = bytes_str(offered),
                                       .user = B("user"),
                                       .password = B("pencil"),
                                       .service = B("smtp"),
                                       .host = B("mail.example"),
                                       .tls = true };
}

static void the_best_that_fits_is_chosen(void **state) {
    static const struct {
        const char *offered;
        bool tls, allowed, binding;
        const char *chosen; /* NULL: none */
    } rows[] = {
        { "PLAIN LOGIN", true, false, false, "PLAIN" },
        { "LOGIN", true, false, false, "LOGIN" },
        { "login plain", true, false, false, "PLAIN" },
        { "  PLAIN\tSCRAM-SHA-256 ", true, false, false, "SCRAM-SHA-256" },
        { "SCRAM-SHA-1 SCRAM-SHA-256-PLUS SCRAM-SHA-256", true, false, true, "SCRAM-SHA-256-PLUS" },
        { "SCRAM-SHA-1 SCRAM-SHA-256-PLUS SCRAM-SHA-256", true, false, false, "SCRAM-SHA-256" },
        { "PLAIN CRAM-MD5 SCRAM-SHA-1", true, false, false, "SCRAM-SHA-1" },
        { "PLAIN CRAM-MD5", true, false, false, "CRAM-MD5" },
        { "PLAIN LOGIN", false, false, false, NULL },
        { "PLAIN LOGIN CRAM-MD5", false, false, false, "CRAM-MD5" },
        { "PLAIN LOGIN", false, true, false, "PLAIN" },
        { "XPLAIN PLAINX GSSAPI", true, false, false, NULL },
        { "SCRAM-SHA-256-PLUS", true, false, false, NULL },
        { "", true, false, false, NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sasl_client *c;
        struct why why;
        struct sasl_client_setup s = setup_of(rows[i].offered);
        s.tls = rows[i].tls;
        s.plaintext_allowed = rows[i].allowed;
        s.cb_exporter = rows[i].binding ? B("0123456789") : BYTES_NONE;
        enum rc rc = sasl_client_open(*state, &s, &c, &why);
        assert_int_equal(rc, rows[i].chosen ? OK : PERM);
        if (rows[i].chosen)
            assert_true(bytes_equal(sasl_client_mechanism(c), bytes_str(rows[i].chosen)));
        else
            assert_string_equal(why.reason, "auth.mechanism");
    }
}

static void plain_in_one_message(void **state) {
    struct sasl_client *c;
    struct why why;
    struct bytes message;
    struct sasl_client_setup s = setup_of("PLAIN");
    assert_int_equal(sasl_client_open(*state, &s, &c, &why), OK);
    assert_true(sasl_client_initial(c, &message));
    assert_true(bytes_equal(message, B("\0user\0pencil")));
    assert_int_equal(sasl_client_finish(c, &why), OK);
    assert_int_equal(sasl_client_step(c, B("more"), &message, &why), PERM);
}

static void login_answers_two_questions(void **state) {
    struct sasl_client *c;
    struct why why;
    struct bytes message;
    struct sasl_client_setup s = setup_of("LOGIN");
    assert_int_equal(sasl_client_open(*state, &s, &c, &why), OK);
    assert_false(sasl_client_initial(c, &message));
    assert_int_equal(sasl_client_step(c, B("Username:"), &message, &why), OK);
    assert_true(bytes_equal(message, B("user")));
    assert_int_equal(sasl_client_step(c, B("Password:"), &message, &why), OK);
    assert_true(bytes_equal(message, B("pencil")));
    assert_int_equal(sasl_client_finish(c, &why), OK);
}

/* RFC 2195 section 2. */
static void cram_md5_as_in_its_rfc(void **state) {
    struct sasl_client *c;
    struct why why;
    struct bytes message;
    struct sasl_client_setup s = setup_of("CRAM-MD5");
    s.user = B("tim");
    s.password = B("tanstaaftanstaaf");
    assert_int_equal(sasl_client_open(*state, &s, &c, &why), OK);
    assert_int_equal(
        sasl_client_step(c, B("<1896.697170952@postoffice.reston.mci.net>"), &message, &why), OK);
    assert_true(bytes_equal(message, B("tim b913a602c7eda7a495b4e6e7334d3890")));
    assert_int_equal(sasl_client_finish(c, &why), OK);
}

static void a_server_that_proves_nothing_is_not_believed(void **state) {
    struct sasl_client *c;
    struct why why;
    struct bytes message;
    char first[256];
    struct sasl_client_setup s = setup_of("SCRAM-SHA-256");
    assert_int_equal(sasl_client_open(*state, &s, &c, &why), OK);
    assert_true(sasl_client_initial(c, &message));
    assert_true(bytes_starts(message, B("n,,n=user,r=")));
    /* 235 at once, without a word of its own */
    assert_int_equal(sasl_client_finish(c, &why), PERM);
    struct buf b = buf_fixed(first, sizeof first);
    buf_str(&b, "r=");
    buf_add(&b, bytes_skip(message, strlen("n,,n=user,r=")));
    buf_str(&b, "more,s=c2FsdHNhbHQ=,i=4096");
    assert_int_equal(sasl_client_step(c, buf_bytes(&b), &message, &why), OK);
    assert_true(bytes_starts(message, B("c=biws,r=")));
    assert_int_equal(sasl_client_finish(c, &why), PERM);
    assert_int_equal(
        sasl_client_step(c, B("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), &message, &why),
        PERM);
    assert_string_equal(why.reason, "auth.failed");
    assert_int_equal(sasl_client_finish(c, &why), PERM);
}

static void challenges_that_make_no_sense(void **state) {
    static const char *const bad[] = { "",    "r=",           "r=other,s=c2FsdA==,i=4096",
                                       "e=x", "r=x,s=*,i=-1", "v=x" };
    char *big = arena_alloc(*state, 100000);
    for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
        struct sasl_client *c;
        struct why why;
        struct bytes message;
        struct sasl_client_setup s = setup_of("SCRAM-SHA-256");
        struct bytes challenge =
            i < sizeof bad / sizeof *bad ? bytes_str(bad[i]) : bytes_of(big, 100000);
        assert_int_equal(sasl_client_open(*state, &s, &c, &why), OK);
        enum rc rc = sasl_client_step(c, challenge, &message, &why);
        assert_int_equal(rc, PERM);
        assert_int_equal(sasl_client_step(c, challenge, &message, &why), PERM);
        assert_int_equal(sasl_client_finish(c, &why), PERM);
    }
}

static void users_and_passwords_that_cannot_be(void **state) {
    struct sasl_client *c;
    struct why why;
    struct sasl_client_setup s = setup_of("PLAIN");
    s.password = B("a\0b");
    assert_int_equal(sasl_client_open(*state, &s, &c, &why), PERM);
    s = setup_of("PLAIN");
    s.user = BYTES_NONE;
    assert_int_equal(sasl_client_open(*state, &s, &c, &why), PERM);
    assert_null(c);
}

#define M "\x01"

static void tokens(void **state) {
    static const struct {
        const char *offered;
        bool tls;
        const char *chosen, *initial, *dummy;
    } rows[] = {
        { "PLAIN XOAUTH2 OAUTHBEARER", true, "OAUTHBEARER",
          "n,a=us=3Der=2C," M "host=mail.example" M "port=587" M "auth=Bearer t.o.k" M M, M },
        { "LOGIN XOAUTH2", true, "XOAUTH2", "user=us=er," M "auth=Bearer t.o.k" M M, "" },
        { "OAUTHBEARER", false, NULL, NULL, NULL },
        { "PLAIN LOGIN SCRAM-SHA-256", true, NULL, NULL, NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sasl_client *c;
        struct why why;
        struct bytes initial, response;
        struct sasl_client_setup s = setup_of(rows[i].offered);
        s.user = B("us=er,");
        s.password = BYTES_NONE;
        s.token = B("t.o.k");
        s.port = 587;
        s.tls = rows[i].tls;
        enum rc rc = sasl_client_open(*state, &s, &c, &why);
        assert_int_equal(rc, rows[i].chosen ? OK : PERM);
        if (rc != OK) {
            assert_string_equal(why.reason, "auth.mechanism");
            assert_non_null(strstr(why.text, rows[i].tls ? "takes no token" : "not encrypted"));
            continue;
        }
        assert_true(bytes_equal(sasl_client_mechanism(c), bytes_str(rows[i].chosen)));
        assert_true(sasl_client_initial(c, &initial));
        assert_true(bytes_equal(initial, bytes_str(rows[i].initial)));
        /* overlooked, then refused */
        assert_int_equal(sasl_client_step(c, BYTES_NONE, &response, &why), OK);
        assert_true(bytes_equal(response, initial));
        assert_int_equal(sasl_client_step(c, B("{\"status\":\"400\"}"), &response, &why), OK);
        assert_true(bytes_equal(response, bytes_str(rows[i].dummy)));
        assert_int_equal(sasl_client_finish(c, &why), OK);
    }
}

/* A password is not handed over where a token would be, nor the other way round. */
static void no_token_without_one(void **state) {
    struct sasl_client *c;
    struct why why;
    struct sasl_client_setup s = setup_of("XOAUTH2 OAUTHBEARER");
    assert_int_equal(sasl_client_open(*state, &s, &c, &why), PERM);
    assert_string_equal(why.reason, "auth.mechanism");
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(the_best_that_fits_is_chosen),
        CASE(plain_in_one_message),
        CASE(login_answers_two_questions),
        CASE(cram_md5_as_in_its_rfc),
        CASE(a_server_that_proves_nothing_is_not_believed),
        CASE(challenges_that_make_no_sense),
        CASE(users_and_passwords_that_cannot_be),
        CASE(tokens),
        CASE(no_token_without_one),
    };
    return cmocka_run_group_tests_name("sasl/client", tests, NULL, NULL);
}
