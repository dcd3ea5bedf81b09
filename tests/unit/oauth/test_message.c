/* The SASL messages, both ways. */
#include "base/must.h"
#include "oauth/oauth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define M "\x01"

static void test_parse(void **state) {
    static const struct {
        enum oauth_mechanism mechanism;
        const char *message;
        const char *user, *token; /* NULL: refused */
    } rows[] = {
        { OAUTH_XOAUTH2, "user=a@b.example" M "auth=Bearer t.o.k" M M, "a@b.example", "t.o.k" },
        { OAUTH_XOAUTH2, "user=a@b.example" M "auth=bearer t" M M, "a@b.example", "t" },
        { OAUTH_XOAUTH2, "user=a@b.example" M "auth=" M M, "a@b.example", "" },
        { OAUTH_XOAUTH2, "user=" M "auth=Bearer t" M M, NULL, NULL },
        { OAUTH_XOAUTH2, "auth=Bearer t" M M, NULL, NULL },
        { OAUTH_XOAUTH2, "user=a" M "user=b" M "auth=Bearer t" M M, NULL, NULL },
        { OAUTH_XOAUTH2, "user=a" M "auth=Bearer t" M, NULL, NULL },
        { OAUTH_XOAUTH2, "user=a" M "auth=Bearer t", NULL, NULL },
        { OAUTH_XOAUTH2, "user=a" M "auth=Bearer t" M M "x", NULL, NULL },
        { OAUTH_XOAUTH2, "user=a" M "auth=Basic t" M M, NULL, NULL },
        { OAUTH_XOAUTH2, "user=a" M "auth=Bearer t u" M M, NULL, NULL },
        { OAUTH_XOAUTH2, "user=a" M "auth=Bearer t" M "auth=Bearer u" M M, NULL, NULL },
        { OAUTH_XOAUTH2, "", NULL, NULL },
        { OAUTH_XOAUTH2, M, NULL, NULL },
        { OAUTH_XOAUTH2, "=a" M M, NULL, NULL },
        { OAUTH_BEARER, "n,a=a@b.example," M "host=h" M "port=587" M "auth=Bearer t" M M,
          "a@b.example", "t" },
        { OAUTH_BEARER, "n,," M "auth=Bearer t" M M, "", "t" },
        { OAUTH_BEARER, "y,," M "auth=Bearer t" M M, "", "t" },
        { OAUTH_BEARER, "n,a=a=2Cb=3D," M "auth=Bearer t" M M, "a,b=", "t" },
        { OAUTH_BEARER, "n,," M "auth=" M M, "", "" },
        { OAUTH_BEARER, "n,," M M, "", "" },
        { OAUTH_BEARER, "n,a=a=2X," M "auth=Bearer t" M M, NULL, NULL },
        { OAUTH_BEARER, "n,a=a=," M "auth=Bearer t" M M, NULL, NULL },
        { OAUTH_BEARER, "n,a=," M "auth=Bearer t" M M, NULL, NULL },
        { OAUTH_BEARER, "p=tls-unique,," M "auth=Bearer t" M M, NULL, NULL },
        { OAUTH_BEARER, "n," M "auth=Bearer t" M M, NULL, NULL },
        { OAUTH_BEARER, "n,,auth=Bearer t" M M, NULL, NULL },
        { OAUTH_BEARER, "n,," M "user=x" M "auth=Bearer t" M M, "",
          "t" }, /* no such pair: ignored */
        { OAUTH_BEARER, "n,," M "a2=x" M "auth=Bearer t" M M, NULL, NULL },
        { OAUTH_BEARER, "user=a" M "auth=Bearer t" M M, NULL, NULL },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena *a = arena_open();
        struct oauth_message m;
        bool parsed = oauth_message_parse(a, rows[i].mechanism, bytes_str(rows[i].message), &m);
        if (parsed != (rows[i].user != NULL))
            fail_msg("row %zu", i);
        if (parsed && (!bytes_equal(m.user, bytes_str(rows[i].user)) ||
                       !bytes_equal(m.token, bytes_str(rows[i].token))))
            fail_msg("row %zu: what was read", i);
        arena_close(&a);
    }
    struct arena *a = arena_open();
    struct oauth_message m;
    assert_false(oauth_message_parse(a, OAUTH_XOAUTH2, B("user=a\0" M "auth=Bearer t" M M), &m));
    arena_close(&a);
}

static void test_format(void **state) {
    struct oauth_message m = { B("a,b=c@d.example"), B("t.o.k") };
    (void)state;
    for (int i = OAUTH_XOAUTH2; i <= OAUTH_BEARER; i++) {
        struct arena *a = arena_open();
        struct buf b = buf_grow(1000);
        struct oauth_message read;
        oauth_message_format(&b, (enum oauth_mechanism)i, &m, B("mx.example"), 587);
        assert_true(oauth_message_parse(a, (enum oauth_mechanism)i, buf_bytes(&b), &read));
        assert_true(bytes_equal(read.user, m.user) && bytes_equal(read.token, m.token));
        buf_free(&b);
        arena_close(&a);
    }
}

static void test_refusal(void **state) {
    struct buf b = buf_grow(1000);
    (void)state;
    oauth_message_refusal(&b, OAUTH_BEARER, B("https://login.example/"));
    assert_string_equal(buf_text(&b),
                        "{\"status\":\"invalid_token\",\"openid-configuration\":"
                        "\"https://login.example/.well-known/openid-configuration\"}");
    buf_clear(&b);
    oauth_message_refusal(&b, OAUTH_BEARER, B("not \" a url"));
    assert_string_equal(buf_text(&b), "{\"status\":\"invalid_token\"}");
    buf_clear(&b);
    oauth_message_refusal(&b, OAUTH_XOAUTH2, B("https://login.example"));
    assert_string_equal(buf_text(&b), "{\"status\":\"401\",\"schemes\":\"bearer\",\"scope\":\"\"}");
    buf_free(&b);
    assert_true(bytes_equal(oauth_message_dummy(OAUTH_BEARER), B(M)));
    assert_int_equal(oauth_message_dummy(OAUTH_XOAUTH2).len, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
