/* Tests of src/flow/settlement.c. */
#include "flow/settlement.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_names(void **state) {
    (void)state;
    for (unsigned i = 0; i < RECIPIENT_STATES; i++) {
        enum recipient_state back = RECIPIENT_STATES;
        assert_true(recipient_state_parse(bytes_str(recipient_state_name(i)), &back));
        assert_int_equal(back, i);
    }
    enum recipient_state none;
    assert_false(recipient_state_parse(B("dead"), &none));
    assert_false(recipient_state_parse(B(""), &none));
    assert_string_equal(recipient_state_name(RECIPIENT_DUE), "due");
    assert_string_equal(recipient_state_name(RECIPIENT_RELAYED), "relayed");
}

static void test_final(void **state) {
    (void)state;
    for (unsigned i = 0; i < RECIPIENT_STATES; i++)
        assert_int_equal(recipient_state_final(i), i >= RECIPIENT_DELIVERED);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_names),
                                        cmocka_unit_test(test_final) };
    return cmocka_run_group_tests_name("settlement", tests, NULL, NULL);
}
