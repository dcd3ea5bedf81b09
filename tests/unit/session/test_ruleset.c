/* A configuration is let go once, when nobody refers to it and it is not the current one. */
#include "base/must.h"
#include "config/config.h"
#include "session/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static unsigned released;

static void on_release(void *ctx, const struct config *old) {
    assert_ptr_equal(ctx, old);
    released++;
}

static void test_nobody(void **state) {
    (void)state;
    struct config c = { 0 };
    struct ruleset *r = ruleset_open(&c);
    released = 0;
    ruleset_retire(&r, on_release, &c);
    assert_null(r);
    assert_int_equal(released, 1);
    r = ruleset_open(&c);
    ruleset_retire(&r, NULL, NULL);
    assert_null(r);
}

static void test_sessions(void **state) {
    (void)state;
    struct config c = { 0 };
    struct ruleset *r = ruleset_open(&c);
    struct ruleset *one = ruleset_join(r), *two = ruleset_join(r), *three = ruleset_join(r);
    released = 0;
    ruleset_leave(&one);
    assert_null(one);
    ruleset_leave(&two);
    ruleset_leave(&three);
    assert_int_equal(released, 0); /* it is the current one still */
    one = ruleset_join(r);
    two = ruleset_join(r);
    ruleset_retire(&r, on_release, &c);
    ruleset_leave(&two);
    assert_int_equal(released, 0);
    assert_ptr_equal(one->config, &c);
    ruleset_leave(&one);
    assert_int_equal(released, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
