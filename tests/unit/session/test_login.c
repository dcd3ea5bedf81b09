/* What a client is told when a login fails, and what only the log is. */
#include "base/must.h"
#include "config/config.h"
#include "session/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct refusal told(const char *mechanism, struct auth_answer answer,
                           struct bytes *because) {
    struct facts f = { .mechanism = bytes_str(mechanism) };
    static struct auth_answer kept; /* words of a refusal may be the answer's */
    kept = answer;
    return session_login_refusal(&f, &kept, because);
}

static void test_password(void **state) {
    (void)state;
    struct bytes because;
    struct auth_answer answer = { .result = AUTH_REFUSED };
    why_set(&answer.why, PERM, 535, "5.7.8", "auth.failed", "no such login");
    struct refusal r = told("PLAIN", answer, &because);
    assert_int_equal(r.code, 535);
    assert_string_equal(r.what, "Wrong login or password"); /* and not that there is none */
    assert_int_equal(because.len, 0);
}

static void test_token(void **state) {
    (void)state;
    struct bytes because;
    struct auth_answer answer = { .result = AUTH_REFUSED };
    why_set(&answer.why, PERM, 535, "5.7.8", "auth.failed", "it is for another audience");
    struct refusal r = told("xoauth2", answer, &because);
    assert_string_equal(r.what, "The token is not good");
    assert_true(bytes_equal(because, B("it is for another audience")));
    answer.told = true;
    r = told("OAUTHBEARER", answer, &because);
    assert_string_equal(r.what, "it is for another audience");
    assert_int_equal(because.len, 0);
}

static void test_faults_are_ours(void **state) {
    (void)state;
    struct bytes because;
    struct auth_answer answer = { .result = AUTH_DOWN };
    why_set(&answer.why, TEMP, 454, "4.7.0", "backend.auth", "the keeper is gone");
    struct refusal r = told("PLAIN", answer, &because);
    assert_int_equal(r.rc, TEMP);
    assert_int_equal(r.code, 454);
    assert_string_equal(r.reason, "backend.auth");
    assert_true(bytes_equal(because, B("the keeper is gone")));
    why_set(&answer.why, TEMP, 454, "4.7.0", "backend.oauth", "no answer");
    assert_string_equal(told("XOAUTH2", answer, &because).reason, "backend.oauth");
    answer.result = AUTH_MALFORMED;
    r = told("PLAIN", answer, &because);
    assert_int_equal(r.code, 501);
    assert_int_equal(because.len, 0);
}

static void test_brief(void **state) {
    (void)state;
    struct config c = { .explain = EXPLAIN_FULL };
    struct why why;
    refusal_why(&c, &session_wrong_login, &why);
    assert_true(strstr(why.text, "Wrong login or password. Check both"));
    c.explain = EXPLAIN_BRIEF;
    refusal_why(&c, &session_wrong_login, &why);
    assert_string_equal(why.text, "Wrong login or password");
}

static void test_hold(void **state) {
    (void)state;
    struct arena *a = arena_open();
    char login[] = "anna@example.com";
    struct auth_answer held,
        answer = { .result = AUTH_REFUSED, .login = bytes_str(login), .data = B("x") };
    assert_false(session_login_hold(&held, &answer, a));
    assert_int_equal(held.data.len, 1);
    answer.delay_ms = 5;
    assert_true(session_login_hold(&held, &answer, a));
    memset(login, 'x', sizeof login - 1);
    assert_true(bytes_equal(held.login, B("anna@example.com")));
    assert_int_equal(held.data.len, 0);
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_faults_are_ours),
        cmocka_unit_test(test_brief),
        cmocka_unit_test(test_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
