/* Tests of src/base/buf.c. */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ASSERT_TEXT(b, text) assert_string_equal(buf_text(b), text)

static void test_fixed(void **state) {
    (void)state;
    char memory[6];
    struct buf b = buf_fixed(memory, sizeof memory);
    buf_str(&b, "abc");
    buf_str(&b, "def"); /* dropped whole */
    assert_true(b.full);
    buf_char(&b, 'x'); /* stays full */
    ASSERT_TEXT(&b, "abc");
    buf_clear(&b);
    buf_str(&b, "12345");
    assert_false(b.full);
    ASSERT_TEXT(&b, "12345");
    assert_null(buf_room(&b, 1));
    buf_free(&b);
    assert_true(b.at == memory && b.len == 0 && !b.full);
    b = buf_fixed(memory, 1);
    buf_add(&b, BYTES_NONE);
    assert_false(b.full);
    buf_char(&b, 'a');
    assert_true(b.full);
    ASSERT_TEXT(&b, "");
}

static void test_grow(void **state) {
    (void)state;
    struct buf b = buf_grow(100000);
    ASSERT_TEXT(&b, "");
    for (int i = 0; i < 100000; i++)
        buf_char(&b, (char)('a' + i % 26));
    assert_false(b.full);
    assert_int_equal(strlen(buf_text(&b)), 100000);
    buf_char(&b, 'x');
    assert_true(b.full);
    buf_drop(&b, 99998);
    assert_int_equal(b.len, 2);
    buf_drop(&b, 9);
    assert_int_equal(b.len, 0);
    buf_free(&b);
    assert_null(b.at);
    b = buf_grow(SIZE_MAX);
    buf_str(&b, "hello");
    buf_cut(&b, 9);
    buf_cut(&b, 2);
    ASSERT_TEXT(&b, "he");
    buf_free(&b);
    buf_drop(&b, 1);
    b = buf_grow(0);
    buf_printf(&b, "%s", "");
    assert_false(b.full);
    buf_printf(&b, "%s", "a");
    assert_true(b.full);
    buf_free(&b);
}

static void test_room(void **state) {
    (void)state;
    struct buf b = buf_grow(10);
    char *at = buf_room(&b, 10);
    assert_non_null(at);
    memcpy(at, "123", 3);
    buf_wrote(&b, 3);
    ASSERT_TEXT(&b, "123");
    assert_null(buf_room(&b, 8));
    assert_true(b.full);
    buf_free(&b);
}

static void test_numbers(void **state) {
    (void)state;
    char memory[128];
    struct buf b = buf_fixed(memory, sizeof memory);
    buf_u64(&b, 0);
    buf_char(&b, ' ');
    buf_u64(&b, UINT64_MAX);
    buf_char(&b, ' ');
    buf_i64(&b, INT64_MIN);
    buf_char(&b, ' ');
    buf_i64(&b, 42);
    ASSERT_TEXT(&b, "0 18446744073709551615 -9223372036854775808 42");
    b = buf_fixed(memory, 3);
    buf_i64(&b, -12); /* not just the sign */
    assert_true(b.full);
    ASSERT_TEXT(&b, "");
}

static void test_printf(void **state) {
    (void)state;
    char memory[8];
    struct buf b = buf_fixed(memory, sizeof memory);
    buf_printf(&b, "%d-%s", 12, "abcd");
    ASSERT_TEXT(&b, "12-abcd");
    buf_clear(&b);
    buf_printf(&b, "%s", "12345678");
    assert_true(b.full);
    ASSERT_TEXT(&b, "");
    struct buf g = buf_grow(1000);
    for (int i = 0; i < 100; i++)
        buf_printf(&g, "%09d,", i);
    assert_false(g.full);
    assert_int_equal(g.len, 1000);
    assert_memory_equal(g.at + 990, "000000099,", 10);
    buf_free(&g);
}

static void test_lower_and_hex(void **state) {
    (void)state;
    struct buf b = buf_grow(100);
    buf_lower(&b, B("ExAmple.COM"));
    buf_char(&b, ' ');
    buf_hex(&b, B("\x00\xff\x1a"));
    buf_hex(&b, BYTES_NONE);
    ASSERT_TEXT(&b, "example.com 00ff1a");
    buf_free(&b);
}

static void test_base64(void **state) {
    (void)state;
    static const struct {
        struct bytes plain, coded;
    } rows[] = { /* RFC 4648 section 10 */
                 { { "", 0 }, { "", 0 } },
                 { { "f", 1 }, { "Zg==", 4 } },
                 { { "fo", 2 }, { "Zm8=", 4 } },
                 { { "foo", 3 }, { "Zm9v", 4 } },
                 { { "foob", 4 }, { "Zm9vYg==", 8 } },
                 { { "fooba", 5 }, { "Zm9vYmE=", 8 } },
                 { { "foobar", 6 }, { "Zm9vYmFy", 8 } },
                 { { "\xff\xfe\xfb", 3 }, { "//77", 4 } }
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b = buf_grow(100), c = buf_grow(100);
        buf_base64(&b, rows[i].plain);
        assert_true(bytes_equal(buf_bytes(&b), rows[i].coded));
        assert_true(buf_unbase64(&c, rows[i].coded));
        assert_true(bytes_equal(buf_bytes(&c), rows[i].plain));
        buf_free(&b);
        buf_free(&c);
    }
}

static void test_unbase64_strict(void **state) {
    (void)state;
    static const char *const bad[] = { "Z",         "Zg",   "Zg=",  "====",  "Z===",
                                       "Zh==",      "Zm9=", "Zm 9", "Zm9v=", "Zg==Zg==",
                                       "Zm9\nZm9v", "Zm-_", "=g==", "Zm=v" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf b = buf_grow(100);
        assert_false(buf_unbase64(&b, bytes_str(bad[i])));
        assert_int_equal(b.len, 0);
        buf_free(&b);
    }
    char memory[3];
    struct buf b = buf_fixed(memory, sizeof memory);
    assert_true(buf_unbase64(&b, B("Zm8=")));
    buf_clear(&b);
    assert_false(buf_unbase64(&b, B("Zm9v")));
    assert_true(b.full);
}

static void test_json(void **state) {
    (void)state;
    struct buf b = buf_grow(1000);
    buf_json(&b, B("a\"\\\b\f\n\r\t\x01\x0b\x1f\x7f z\xc3\xa4\xf0\x9f\x98\x80"));
    ASSERT_TEXT(
        &b, "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u000b\\u001f\\u007f z\xc3\xa4\xf0\x9f\x98\x80\"");
    buf_clear(&b);
    buf_json(&b, B("\xc2\x9b\0"));
    ASSERT_TEXT(&b, "\"\\u009b\\u0000\"");
    buf_clear(&b);
    /* A stray octet, an overlong '/', a surrogate, beyond U+10FFFF, a cut sequence. */
    buf_json(&b, B("\xff-\xc0\xaf-\xed\xa0\x80-\xf4\x90\x80\x80-\xe2\x82"));
#define R "\xef\xbf\xbd"
    ASSERT_TEXT(&b, "\"" R "-" R R "-" R R R "-" R R R R "-" R R "\"");
#undef R
    buf_clear(&b);
    buf_json(&b, BYTES_NONE);
    ASSERT_TEXT(&b, "\"\"");
    buf_free(&b);
    char memory[6];
    b = buf_fixed(memory, sizeof memory);
    buf_json(&b, B("abc"));
    ASSERT_TEXT(&b, "\"abc\"");
    buf_clear(&b);
    buf_json(&b, B("ab\n"));
    assert_true(b.full);
    ASSERT_TEXT(&b, "");
}

static void test_printable(void **state) {
    (void)state;
    struct buf b = buf_grow(100);
    buf_printable(&b, B("a\x1b[1m\r\n\x7f\xc3\xa4\xff\xc2\x9b."));
    ASSERT_TEXT(&b, "a?[1m???\xc3\xa4??.");
    buf_free(&b);
    char memory[3];
    b = buf_fixed(memory, sizeof memory);
    buf_printable(&b, B("abc"));
    ASSERT_TEXT(&b, "");
}

static void test_little_endian(void **state) {
    (void)state;
    char memory[32];
    struct buf b = buf_fixed(memory, sizeof memory);
    buf_le16(&b, 0x0102);
    buf_le32(&b, 0x01020304);
    buf_le64(&b, UINT64_C(0x0102030405060708));
    buf_lbytes(&b, B("xy"));
    assert_true(bytes_equal(buf_bytes(&b), B("\2\1\4\3\2\1\10\7\6\5\4\3\2\1\2\0\0\0xy")));
    b = buf_fixed(memory, 6);
    buf_lbytes(&b, B("xy")); /* the length has room, the octets have not */
    assert_true(b.full);
    assert_int_equal(b.len, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed),         cmocka_unit_test(test_grow),
        cmocka_unit_test(test_room),          cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_printf),        cmocka_unit_test(test_lower_and_hex),
        cmocka_unit_test(test_base64),        cmocka_unit_test(test_unbase64_strict),
        cmocka_unit_test(test_json),          cmocka_unit_test(test_printable),
        cmocka_unit_test(test_little_endian),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
