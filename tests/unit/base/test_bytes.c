/* Tests of src/base/bytes.c. */
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_equal_and_compare(void **state) {
    (void)state;
    assert_true(bytes_equal(B("abc"), B("abc")));
    assert_false(bytes_equal(B("abc"), B("abC")));
    assert_false(bytes_equal(B("abc"), B("ab")));
    assert_true(bytes_equal(BYTES_NONE, B("")));
    assert_true(bytes_equal_nocase(B("MAIL From"), B("mail fROM")));
    /* Only ASCII letters fold: not '@' and '`', not octets above 127. */
    assert_false(bytes_equal_nocase(B("@["), B("`{")));
    assert_false(bytes_equal_nocase(B("\xc4"), B("\xe4")));
    assert_true(bytes_compare(B("a"), B("b")) < 0);
    assert_true(bytes_compare(B("ab"), B("a")) > 0);
    assert_true(bytes_compare(B("\xff"), B("a")) > 0);
    assert_int_equal(bytes_compare(BYTES_NONE, B("")), 0);
    assert_true(bytes_compare_nocase(B("A"), B("b")) < 0);
    assert_int_equal(bytes_compare_nocase(B("Ab"), B("aB")), 0);
    assert_true(bytes_compare_nocase(B("AB"), B("a")) > 0);
}

static void test_prefix_and_suffix(void **state) {
    (void)state;
    assert_true(bytes_starts(B("abc"), B("ab")));
    assert_false(bytes_starts(B("a"), B("ab")));
    assert_true(bytes_starts(BYTES_NONE, BYTES_NONE));
    assert_true(bytes_starts_nocase(B("RCPT to"), B("rcpt TO")));
    assert_true(bytes_ends_nocase(B("mx.EXAMPLE.com"), B(".example.COM")));
    assert_false(bytes_ends_nocase(B("com"), B(".com")));
    assert_true(bytes_ends_nocase(B("com"), BYTES_NONE));
}

static void test_find_and_search(void **state) {
    (void)state;
    assert_int_equal(bytes_find(B("a@b@c"), '@'), 1);
    assert_int_equal(bytes_find_last(B("a@b@c"), '@'), 3);
    assert_int_equal(bytes_find(BYTES_NONE, '@'), -1);
    assert_int_equal(bytes_find_last(B("abc"), '@'), -1);
    assert_int_equal(bytes_find(B("a\0b"), '\0'), 1);
    assert_int_equal(bytes_search(B("aabaabb"), B("aabb")), 3);
    assert_int_equal(bytes_search(B("abc"), B("")), 0);
    assert_int_equal(bytes_search(BYTES_NONE, B("a")), -1);
    assert_int_equal(bytes_search(B("ab"), B("abc")), -1);
    assert_int_equal(bytes_search_nocase(B("xxAaB"), B("AAb")), 2);
    assert_int_equal(bytes_search_nocase(B("ab"), B("abc")), -1);
}

static void test_slices(void **state) {
    (void)state;
    assert_true(bytes_equal(bytes_skip(B("abc"), 1), B("bc")));
    assert_int_equal(bytes_skip(B("abc"), 9).len, 0);
    assert_true(bytes_equal(bytes_first(B("abc"), 2), B("ab")));
    assert_true(bytes_equal(bytes_first(B("abc"), 9), B("abc")));
    assert_true(bytes_equal(bytes_slice(B("abcd"), 1, 3), B("bc")));
    assert_int_equal(bytes_slice(B("abcd"), 3, 1).len, 0);
    assert_null(bytes_skip(BYTES_NONE, 0).at);
    assert_true(bytes_equal(bytes_trim(B(" \t a b\r\n")), B("a b")));
    assert_int_equal(bytes_trim(B(" \t ")).len, 0);
    assert_int_equal(bytes_trim(BYTES_NONE).len, 0);
    assert_null(bytes_str(NULL).at);
    assert_int_equal(bytes_str("abc").len, 3);
}

static void test_split(void **state) {
    (void)state;
    struct bytes rest = B("a,,b,"), item;
    assert_true(bytes_split(&rest, ',', &item) && bytes_equal(item, B("a")));
    assert_true(bytes_split(&rest, ',', &item) && item.len == 0);
    assert_true(bytes_split(&rest, ',', &item) && bytes_equal(item, B("b")));
    assert_true(bytes_split(&rest, ',', &item) && item.len == 0);
    assert_false(bytes_split(&rest, ',', &item));
    rest = B("");
    assert_true(bytes_split(&rest, ',', &item));
    assert_false(bytes_split(&rest, ',', &item));
}

static void test_to_u64(void **state) {
    (void)state;
    uint64_t n = 7;
    assert_true(bytes_to_u64(B("18446744073709551615"), UINT64_MAX, &n) && n == UINT64_MAX);
    assert_false(bytes_to_u64(B("18446744073709551616"), UINT64_MAX, &n));
    assert_true(bytes_to_u64(B("007"), 7, &n) && n == 7);
    assert_false(bytes_to_u64(B("8"), 7, &n));
    assert_false(bytes_to_u64(B("10"), 9, &n));
    assert_true(bytes_to_u64(B("0"), 0, &n) && n == 0);
    assert_false(bytes_to_u64(B("1"), 0, &n));
    assert_false(bytes_to_u64(BYTES_NONE, 9, &n));
    assert_false(bytes_to_u64(B("-1"), 9, &n));
    assert_false(bytes_to_u64(B("1 "), 9, &n));
}

static void test_secret_and_hash(void **state) {
    (void)state;
    assert_true(bytes_equal_secret(B("secret"), B("secret")));
    assert_false(bytes_equal_secret(B("secret"), B("secreT")));
    assert_false(bytes_equal_secret(B("secret"), B("secre")));
    assert_true(bytes_equal_secret(BYTES_NONE, BYTES_NONE));
    assert_int_equal(bytes_hash(BYTES_NONE), UINT64_C(0xcbf29ce484222325));
    assert_int_equal(bytes_hash(B("foobar")), UINT64_C(0x85944171f73967e8));
}

static void test_ascii(void **state) {
    (void)state;
    for (int i = 0; i < 256; i++) {
        char c = (char)i;
        bool upper = i >= 'A' && i <= 'Z', lower = i >= 'a' && i <= 'z';
        assert_int_equal(ascii_lower(c), upper ? (char)(i + 32) : c);
        assert_int_equal(ascii_is_alpha(c), upper || lower);
        assert_int_equal(ascii_is_alnum(c), upper || lower || (i >= '0' && i <= '9'));
    }
}

static void test_ascii_only(void **state) {
    (void)state;
    char text[40];
    memset(text, 'a', sizeof text);
    assert_true(bytes_is_ascii(BYTES_NONE));
    for (size_t len = 0; len <= sizeof text; len++) {
        assert_true(bytes_is_ascii(bytes_of(text, len)));
        for (size_t at = 0; at < len; at++) {
            text[at] = (char)0x80;
            assert_false(bytes_is_ascii(bytes_of(text, len)));
            text[at] = 0x7f;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ascii_only),
        cmocka_unit_test(test_equal_and_compare),
        cmocka_unit_test(test_prefix_and_suffix),
        cmocka_unit_test(test_find_and_search),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_to_u64),
        cmocka_unit_test(test_secret_and_hash),
        cmocka_unit_test(test_ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
