/* Tests of src/base/crc.c. */
/* The source is included under another name, so that the tables are tested where the machine has
 * instructions. */
#define crc32c crc32c_included
#include "../../../src/base/crc.c"
#undef crc32c

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

uint32_t crc32c(uint32_t crc, struct bytes data);

/* As the polynomial says, bit by bit. */
static uint32_t slow(uint32_t crc, struct bytes data) {
    crc = ~crc;
    for (size_t i = 0; i < data.len; i++) {
        crc ^= (unsigned char)data.at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}

static void test_known(void **state) {
    (void)state;
    static const char zeros[32];
    assert_int_equal(crc32c(0, B("123456789")), 0xe3069283);
    assert_int_equal(crc32c(0, bytes_of(zeros, 32)), 0x8a9136aa); /* RFC 3720 appendix B.4 */
    assert_int_equal(crc32c(0, BYTES_NONE), 0);
    assert_int_equal(crc32c(7, BYTES_NONE), 7);
}

static void test_every_way_agrees(void **state) {
    (void)state;
    char data[300];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 167 + 13);
    for (size_t from = 0; from < 9; from++)
        for (size_t len = 0; len + from <= sizeof data; len++) {
            struct bytes part = bytes_of(data + from, len);
            uint32_t expected = slow(0, part);
            assert_int_equal(crc32c(0, part), expected);
            assert_int_equal(~crc_by_table(~UINT32_C(0), (unsigned char *)data + from, len),
                             expected);
            struct bytes head = bytes_first(part, len / 3);
            assert_int_equal(crc32c(crc32c(0, head), bytes_skip(part, len / 3)), expected);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_every_way_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
