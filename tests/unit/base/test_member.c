/* Tests of src/base/member.c. */
#include "base/member.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_members(void **state) {
    (void)state;
    struct buf b = buf_grow(200);
    buf_char(&b, '{');
    member_text(&b, "name", B("a \"b\"\n"));
    member_flag(&b, "yes", true);
    member_flag(&b, "no", false);
    member_key(&b, "list");
    buf_str(&b, "[{");
    member_flag(&b, "inner", true);
    buf_str(&b, "}]");
    member_text(&b, "none", BYTES_NONE);
    buf_char(&b, '}');
    assert_string_equal(buf_text(&b), "{\"name\":\"a \\\"b\\\"\\n\",\"yes\":true,\"no\":false,"
                                      "\"list\":[{\"inner\":true}],\"none\":\"\"}");
    buf_free(&b);
}

/* A value may end with a brace, and is none for that. */
static void test_comma(void **state) {
    (void)state;
    struct buf b = buf_grow(100);
    buf_char(&b, '{');
    member_text(&b, "a", B("{"));
    member_text(&b, "b", B("x"));
    assert_string_equal(buf_text(&b), "{\"a\":\"{\",\"b\":\"x\"");
    buf_free(&b);
    member_flag(&b, "a", true); /* no object stands open */
    assert_string_equal(buf_text(&b), ",\"a\":true");
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_comma),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
