/* Tests of src/base/scan.c. */
#include "base/scan.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_words(void **state) {
    (void)state;
    struct scan s = scan_of(B("mail FROM:  <a@b> 42,x"));
    assert_false(scan_accept(&s, 'x'));
    assert_false(scan_accept_nocase(&s, B("RCPT")));
    assert_true(scan_accept_nocase(&s, B("MAIL from")));
    scan_expect(&s, ':');
    scan_blanks(&s);
    scan_blanks(&s);
    assert_int_equal(scan_peek(&s), '<');
    scan_expect(&s, '<');
    assert_true(bytes_equal(scan_while(&s, ascii_is_alpha), B("a")));
    assert_int_equal(scan_while(&s, ascii_is_alpha).len, 0);
    assert_true(bytes_equal(scan_until(&s, '>'), B("@b")));
    assert_int_equal(scan_char(&s), '>');
    scan_expect(&s, ' ');
    assert_int_equal(scan_number(&s, 42), 42);
    assert_true(scan_accept(&s, ','));
    assert_true(bytes_equal(scan_until(&s, '!'), B("x")));
    assert_true(scan_done(&s) && !s.bad);
    assert_int_equal(scan_peek(&s), -1);
    assert_false(scan_accept(&s, '\xff')); /* not mistaken for -1 */
}

static void test_bad_stays_bad(void **state) {
    (void)state;
    struct bytes all = B("abc12");
    struct scan s = scan_of(all);
    scan_char(&s);
    scan_expect(&s, 'x');
    assert_true(s.bad && scan_done(&s));
    assert_ptr_equal(s.rest.at, all.at + 1);
    assert_int_equal(scan_peek(&s), -1);
    assert_int_equal(scan_char(&s), 0);
    assert_false(scan_accept(&s, 'b'));
    assert_false(scan_accept_nocase(&s, B("")));
    assert_int_equal(scan_take(&s, 0).len, 0);
    assert_int_equal(scan_until(&s, 'c').len, 0);
    assert_int_equal(scan_number(&s, 9), 0);
    assert_int_equal(scan_le64(&s), 0);
    assert_true(s.bad);
}

static void test_numbers(void **state) {
    (void)state;
    struct bytes all = B("256");
    struct scan s = scan_of(all);
    assert_int_equal(scan_number(&s, 255), 0);
    assert_true(s.bad);
    assert_ptr_equal(s.rest.at, all.at);
    s = scan_of(B("x"));
    scan_number(&s, 255);
    assert_true(s.bad);
    s = scan_of(BYTES_NONE);
    scan_number(&s, 255);
    assert_true(s.bad);
}

static void test_binary(void **state) {
    (void)state;
    struct scan s = scan_of(B("\2\1\4\3\2\1\xf8\7\6\5\4\3\2\xf1\2\0\0\0xy\3\0\0\0zz"));
    assert_int_equal(scan_le16(&s), 0x0102);
    assert_int_equal(scan_le32(&s), 0x01020304);
    assert_int_equal(scan_le64(&s), UINT64_C(0xf1020304050607f8));
    assert_true(bytes_equal(scan_lbytes(&s), B("xy")));
    assert_false(s.bad);
    assert_int_equal(scan_lbytes(&s).len, 0); /* claims three octets, has two */
    assert_true(s.bad);
    s = scan_of(B("\1"));
    assert_int_equal(scan_le16(&s), 0);
    assert_true(s.bad);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_bad_stays_bad),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_binary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
