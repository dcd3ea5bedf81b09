/* Tests of src/flow/message_id.c. */
#include "flow/message_id.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_parse(void **state) {
    (void)state;
    struct message_id id;
    assert_true(message_id_parse(B("9zldc-0"), &id));
    assert_string_equal(id.text, "9zldc-0");
    assert_true(message_id_parse(B("abcd"), &id));
    assert_true(message_id_parse(B("0123456789abcdefghij-0z"), &id));
    static const char *const bad[] = { "",        "abc",    "0123456789abcdefghij-0za",
                                       "ABCD",    "ab cd",  "ab/cd",
                                       "../../x", "abcd\n", "ab_cd" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(message_id_parse(bytes_str(bad[i]), &id));
        assert_string_equal(id.text, "");
    }
    assert_false(message_id_parse(bytes_of("ab\0cd", 5), &id));
    assert_int_equal(message_id_bytes(&id).len, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse) };
    return cmocka_run_group_tests_name("message_id", tests, NULL, NULL);
}
