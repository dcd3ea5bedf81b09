/* What conversations that differ in one thing say together: each row of the table, and that none speaks where its
 * conditions do not hold. */
#include "base/must.h"
#include "doctor/settle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct settle_facts refused(const char *words) {
    return (struct settle_facts){ .step = STEP_RCPT, .words = words, .confidence = 0.9 };
}

static void expect(const struct settle_facts *f, const char *cause) {
    struct settled s = { 0 };
    assert_true(settle_cause(f, &s));
    assert_non_null(s.because);
    if (cause)
        assert_string_equal(s.cause, cause);
    else
        assert_null(s.cause);
}

static void expect_nothing(const struct settle_facts *f) {
    struct settled s = { 0 };
    assert_false(settle_cause(f, &s));
    assert_null(s.because);
}

static void test_words_alone(void **state) {
    (void)state;
    static const char *const causes[] = { "relay-not-authorised", "unknown", "recipient-unknown",
                                          "sender-blocked", "policy" };
    for (size_t i = 0; i < COUNT_OF(causes); i++) {
        struct settle_facts f = refused(causes[i]);
        expect_nothing(&f);
    }
}

static void test_senders(void **state) {
    (void)state;
    struct settle_facts f = refused("relay-not-authorised");
    f.login = true;
    f.login_sender = TRIAL_TAKEN;
    expect(&f, "sender-not-permitted");
    f.login = false; /* without a login there is no address of the login's */
    expect_nothing(&f);

    f = refused("spam-content");
    f.sender_is_own = true;
    f.foreign_sender = TRIAL_TAKEN;
    expect(&f, "auth-required");
    f.login = true;
    expect_nothing(&f);

    f = refused("unknown");
    f.null_sender = TRIAL_TAKEN;
    expect(&f, "sender-blocked");
    f.words = "recipient-unknown"; /* clear words stand against a guess */
    expect_nothing(&f);
    f.confidence = 0.5;
    expect(&f, "sender-blocked");
}

static void test_logins(void **state) {
    (void)state;
    struct settle_facts f = refused("policy");
    f.login = true;
    f.without_login = TRIAL_TAKEN;
    expect(&f, "account-restricted");
    f.words = "recipient-unknown";
    expect_nothing(&f);
    f = refused("auth-required");
    f.login = true;
    f.without_login = TRIAL_REFUSED;
    expect(&f, "relay-not-authorised");
    f.is_mx = f.mx_known = true; /* then it is not relaying */
    expect_nothing(&f);
}

static void test_recipients(void **state) {
    (void)state;
    struct settle_facts f = refused("relay-not-authorised");
    f.mx_known = f.is_mx = f.hosted_sure = f.hosted_is_domain = true;
    f.hosted = TRIAL_REFUSED;
    expect(&f, "relay-domain-not-hosted");
    f.hosted = TRIAL_TAKEN;
    expect(&f, "recipient-unknown");
    f.hosted = TRIAL_FAILED; /* a conversation that failed says nothing */
    expect_nothing(&f);
    f.hosted = TRIAL_REFUSED;
    f.step = STEP_MAIL; /* where it knows no recipient yet */
    expect_nothing(&f);

    /* "Invalid recipient", to its own domain and a foreign one alike: many domains have no postmaster, so this
     * does not outweigh the words; but it makes them less sure. */
    f = refused("recipient-unknown");
    f.mx_known = f.is_mx = f.hosted_sure = f.hosted_is_domain = true;
    f.hosted = f.foreign = TRIAL_REFUSED;
    expect(&f, NULL);
    struct settled s = { 0 };
    assert_true(settle_cause(&f, &s) && s.doubt && s.confidence < f.confidence);
    f.confidence = 0.75; /* words that some servers have for both */
    expect(&f, "relay-domain-not-hosted");
    f.confidence = 0.94;
    f.hosted = TRIAL_TAKEN;
    f.foreign = TRIAL_NONE;
    expect_nothing(&f);
    f.hosted = TRIAL_REFUSED;
    f.foreign = TRIAL_OTHERWISE;
    expect_nothing(&f);
    f.words = "unknown"; /* words of its own for its own domain */
    expect(&f, "recipient-unknown");

    f = refused("recipient-unknown");
    f.mx_known = f.hosted_sure = true;
    f.hosted = TRIAL_TAKEN;
    expect(&f, "relay-not-authorised");
    f.hosted = TRIAL_OTHERWISE; /* refused, too, but in other words */
    expect(&f, "relay-not-authorised");
    f.hosted = TRIAL_REFUSED;
    expect_nothing(&f);
    f.hosted = TRIAL_TAKEN;
    f.mx_known = false; /* perhaps it is its MX */
    expect_nothing(&f);
    f.words = "relay-not-authorised";
    expect(&f, NULL);
    f.step = STEP_MAIL;
    expect_nothing(&f);

    f = refused("unknown");
    f.mx_known = f.is_mx = f.hosted_sure = true;
    f.hosted = TRIAL_TAKEN;
    expect(&f, "recipient-unknown");
}

static void test_everything(void **state) {
    (void)state;
    struct settle_facts f = refused("unknown");
    f.hosted_sure = true;
    f.hosted = f.null_sender = TRIAL_REFUSED;
    expect(&f, "client-denied");
    f.hosted_sure = false; /* that it hosts it was a guess */
    expect_nothing(&f);
    f.hosted_sure = true;
    f.null_sender = TRIAL_TAKEN;
    expect(&f, "sender-blocked");
    f.null_sender = TRIAL_REFUSED;
    f.words = "blocklisted";
    expect_nothing(&f);
}

static void test_ports(void **state) {
    (void)state;
    struct settled s = { 0 };
    assert_false(settle_port(PORT_AS_IT_IS, &s));
    assert_null(s.because);
    assert_true(settle_port(PORT_WANTS_TLS, &s));
    assert_string_equal(s.cause, "tls-required");
    assert_true(settle_port(PORT_WANTS_PLAIN, &s));
    assert_string_equal(s.cause, "tls-failed");
}

static void test_clear(void **state) {
    (void)state;
    assert_true(settle_is_clear("greylisted"));
    assert_true(settle_is_clear("mailbox-full"));
    assert_false(settle_is_clear("relay-not-authorised"));
    assert_false(settle_is_clear("unknown"));
}

static void test_steps(void **state) {
    (void)state;
    static const struct {
        enum step step;
        const char *name;
        int exit;
    } known[] = { { STEP_DNS, "DNS", 2 },
                  { STEP_CONNECT, "connect", 2 },
                  { STEP_BANNER, "banner", 21 },
                  { STEP_EHLO, "EHLO", 22 },
                  { STEP_MAIL, "MAIL", 23 },
                  { STEP_RCPT, "RCPT", 24 },
                  { STEP_DATA, "DATA", 25 },
                  { STEP_END, "end", 26 },
                  { STEP_QUIT, "QUIT", 27 },
                  { STEP_AUTH, "AUTH", 28 },
                  { STEP_STARTTLS, "STARTTLS", 29 },
                  { STEP_XCLIENT, "XCLIENT", 33 } };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        assert_string_equal(step_name(known[i].step), known[i].name);
        assert_int_equal(step_exit(known[i].step), known[i].exit);
        assert_true(strlen(step_awaited(known[i].step)) > 3);
    }
    assert_null(step_name(STEP_NONE));
    assert_int_equal(step_exit(STEP_NONE), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_alone), cmocka_unit_test(test_senders),
        cmocka_unit_test(test_logins),      cmocka_unit_test(test_recipients),
        cmocka_unit_test(test_everything),  cmocka_unit_test(test_ports),
        cmocka_unit_test(test_clear),       cmocka_unit_test(test_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
