/* The PROXY header, versions 1 and 2: whole, in pieces, and wrong in every way we could think of. */
#include "base/must.h"
#include "sys/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static enum proxy_kind kind_of(struct bytes data) {
    struct proxy_header h;
    proxy_parse(data, &h);
    return h.kind;
}

static void version_1(void **state) {
    (void)state;
    struct proxy_header h;
    struct addr want;
    proxy_parse(B("PROXY TCP4 192.0.2.7 198.51.100.1 56324 25\r\nEHLO x\r\n"), &h);
    assert_int_equal(h.kind, PROXY_CLIENT);
    assert_true(addr_parse(B("192.0.2.7"), &want) && addr_equal(h.client, want));
    assert_int_equal(h.client.port, 56324);
    assert_int_equal(h.length, 44);
    proxy_parse(B("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n"), &h);
    assert_int_equal(h.kind, PROXY_CLIENT);
    assert_int_equal(h.client.family, 6);
    assert_int_equal(kind_of(B("PROXY UNKNOWN\r\n")), PROXY_UNKNOWN);
    assert_int_equal(kind_of(B("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n")), PROXY_UNKNOWN);
}

/* No line end within the 107 octets that version 1 may have. */
#define LONG                                                                                       \
    "PROXY TCP4 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"   \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static void version_1_wrong(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n",
        "PROXY TCP5 192.0.2.7 198.51.100.1 1 2\r\n",
        "proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
        "EHLO client.example\r\n",
        LONG,
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_equal(kind_of(bytes_str(wrong[i])), PROXY_BAD);
}

static const char v2_client[] =
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\1\xdc\4\0\x19";

static void version_2(void **state) {
    (void)state;
    struct proxy_header h;
    struct addr want;
    proxy_parse(bytes_of(v2_client, 28), &h);
    assert_int_equal(h.kind, PROXY_CLIENT);
    assert_true(addr_parse(B("192.0.2.7"), &want) && addr_equal(h.client, want));
    assert_int_equal(h.client.port, 56324);
    assert_int_equal(h.length, 28);
    char local[16];
    memcpy(local, v2_client, 16);
    local[12] = 0x20;
    local[15] = 0;
    assert_int_equal(kind_of(bytes_of(local, 16)), PROXY_LOCAL);
    local[12] = 0x21;
    local[13] = 0;
    assert_int_equal(kind_of(bytes_of(local, 16)), PROXY_UNKNOWN);
    local[12] = 0x31;
    assert_int_equal(kind_of(bytes_of(local, 16)), PROXY_BAD);
    local[12] = 0x22;
    assert_int_equal(kind_of(bytes_of(local, 16)), PROXY_BAD);
}

static void version_2_mapped_address_is_folded(void **state) {
    (void)state;
    char header[16 + 36] = { 0 };
    memcpy(header, v2_client, 13);
    header[13] = 0x21;
    header[15] = 36;
    header[16 + 10] = header[16 + 11] = (char)0xff;
    memcpy(header + 16 + 12, "\xc0\0\2\7", 4);
    struct proxy_header h;
    proxy_parse(bytes_of(header, sizeof(header)), &h);
    assert_int_equal(h.kind, PROXY_CLIENT);
    assert_int_equal(h.client.family, 4);
}

static void incomplete_at_every_octet(void **state) {
    (void)state;
    struct bytes v1 = B("PROXY TCP4 192.0.2.7 198.51.100.1 56324 25\r\n");
    for (size_t i = 0; i < v1.len; i++)
        assert_int_equal(kind_of(bytes_first(v1, i)), PROXY_INCOMPLETE);
    for (size_t i = 0; i < 28; i++)
        assert_int_equal(kind_of(bytes_of(v2_client, i)), PROXY_INCOMPLETE);
}

static void version_2_too_long(void **state) {
    (void)state;
    char header[16];
    memcpy(header, v2_client, 16);
    header[14] = 0x7f;
    assert_int_equal(kind_of(bytes_of(header, 16)), PROXY_BAD);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1),
        cmocka_unit_test(version_1_wrong),
        cmocka_unit_test(version_2),
        cmocka_unit_test(version_2_mapped_address_is_folded),
        cmocka_unit_test(incomplete_at_every_octet),
        cmocka_unit_test(version_2_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
