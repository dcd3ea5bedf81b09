/* Our own reasons: each is whole, found by its id, by a misspelt one, and in a reply of ours. */
#include "base/must.h"
#include "reply/reasons.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_each_is_whole(void **state) {
    (void)state;
    static const char *const who[] = { "sender",          "sender-admin",  "recipient",
                                       "recipient-admin", "network-owner", "server-admin",
                                       "nobody" };
    size_t count;
    const struct reason *rows = reasons_list(&count);
    assert_true(count > 100);
    for (size_t i = 0; i < count; i++) {
        const struct reason *r = &rows[i];
        bool known = false;
        for (size_t j = 0; j < COUNT_OF(who); j++)
            known |= strcmp(r->who, who[j]) == 0;
        assert_true(known);
        assert_true(*r->means && *r->client && *r->administrator && *r->postmaster && *r->acts);
        assert_ptr_equal(reason_find(bytes_str(r->id)), r);
    }
}

static void test_found(void **state) {
    (void)state;
    assert_string_equal(reason_find(B("relay.no-grant"))->replies[0], "550 5.7.1");
    assert_null(reason_find(B("relay.no-grant"))->replies[1]);
    assert_string_equal(reason_find(B("RELAY.NO-GRANT"))->id, "relay.no-grant");
    assert_null(reason_find(B("relay")));
    assert_null(reason_find(B("")));
}

static void expect_near(const char *given, const char *first) {
    const struct reason *near[5] = { 0 };
    size_t count = reasons_near(bytes_str(given), near, 5);
    if (!count || strcmp(near[0]->id, first) != 0)
        fail_msg("%s: %s instead of %s", given, count ? near[0]->id : "nothing", first);
}

static void test_near(void **state) {
    (void)state;
    const struct reason *near[5];
    char longer[300];
    memset(longer, 'x', sizeof longer);
    expect_near("relay.nogrant", "relay.no-grant");
    expect_near("reply.no-grant", "relay.no-grant");
    expect_near("no-grant", "relay.no-grant");
    expect_near("sender.not-your", "sender.not-yours");
    expect_near("header.notyours", "header.not-yours");
    expect_near("atuh.required", "auth.required");
    assert_int_equal(reasons_near(B("zzzzzz.qqqqqq"), near, 5), 0);
    assert_int_equal(reasons_near(bytes_of(longer, sizeof longer), near, 5), 0);
    assert_int_equal(reasons_near(B(""), near, 5), 0);
    assert_int_equal(reasons_near(B("auth"), near, 5), 5);
    assert_int_equal(reasons_near(B("auth"), near, 0), 0);
}

static void test_in_a_reply(void **state) {
    (void)state;
    assert_string_equal(
        reason_of_reply(B("550 5.7.1 Unable to relay to [192.0.2.1]. Log in [relay.no-grant 4f]"))
            ->id,
        "relay.no-grant");
    assert_string_equal(reason_of_reply(B("[tls.required]"))->id, "tls.required");
    assert_string_equal(
        reason_of_reply(
            B("mx.x [192.0.2.1] said: 550 [sender.not-yours 4f] (in reply to RCPT) [x]"))
            ->id,
        "sender.not-yours");
    assert_null(reason_of_reply(B("[[[[[[")));
    assert_null(reason_of_reply(B("550 5.7.1 Unable to relay")));
    assert_null(reason_of_reply(B("550 nothing [made.up 4f]")));
    assert_null(reason_of_reply(B("550 cut [relay.no-grant")));
    assert_null(reason_of_reply(B("[]")));
    assert_null(reason_of_reply(B("")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_whole),
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_near),
        cmocka_unit_test(test_in_a_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
