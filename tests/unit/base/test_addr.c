/* Tests of src/base/addr.c. */
#include "base/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct addr of(const char *text) {
    struct addr a;
    assert_true(addr_parse(bytes_str(text), &a));
    return a;
}

static void assert_written(void (*format)(struct buf *b, struct addr a), struct addr a,
                           const char *expected) {
    char text[80];
    struct buf b = buf_fixed(text, sizeof text);
    format(&b, a);
    assert_string_equal(buf_text(&b), expected);
}

static void test_parse_and_format(void **state) {
    (void)state;
    /* RFC 5952: lower case, no leading zeros, the longest run of zeros, the first of equals. */
    static const char *const rows[][2] = {
        { "192.0.2.1", "192.0.2.1" },
        { "0.0.0.0", "0.0.0.0" },
        { "255.255.255.255", "255.255.255.255" },
        { "2001:DB8::1", "2001:db8::1" },
        { "::", "::" },
        { "::1", "::1" },
        { "1::", "1::" },
        { "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" },
        { "1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8" },
        { "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
        { "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },
        { "0:0:1::", "0:0:1::" },
        { "abcd:0ef0:00ff::", "abcd:ef0:ff::" },
        { "::ffff:192.0.2.1", "192.0.2.1" },
        { "::ffff:c000:201", "192.0.2.1" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_written(addr_format, of(rows[i][0]), rows[i][1]);
    static const char *const bad[] = { "",
                                       "1.2.3",
                                       "1.2.3.4.5",
                                       "1.2.3.256",
                                       "01.2.3.4",
                                       "1.2.3.4 ",
                                       "[::1]",
                                       ":::",
                                       "1:2:3:4:5:6:7:8:9",
                                       "fe80::1%1",
                                       "1.2.3.4:25",
                                       "a",
                                       "12345::",
                                       "1111:2222:3333:4444:5555:6666:123.123.123.1234" };
    struct addr a;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(addr_parse(bytes_str(bad[i]), &a));
    assert_false(addr_parse(B("1.2.3.4\0"), &a));
    assert_written(addr_format, (struct addr){ .family = 1 }, "local");
    char text[9];
    struct buf b = buf_fixed(text, sizeof text);
    addr_format(&b, of("192.0.2.1"));
    assert_true(b.full && b.len == 0);
}

static void test_ports(void **state) {
    (void)state;
    static const char *const good[] = { "192.0.2.1:25", "[2001:db8::1]:587", "*:0", "[::]:65535" };
    static const char *const bad[] = {
        "",         "192.0.2.1", "192.0.2.1:",     "192.0.2.1:65536",
        "::1:25",   "[::1]",     "[192.0.2.1]:25", "[::1:25",
        "[]:25",    ":25",       "192.0.2.1:-1",   "192.0.2.1:000025",
        "local:25", "[::1]x:25"
    };
    struct addr a;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(addr_parse_port(bytes_str(good[i]), &a));
        assert_written(addr_format_port, a, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(addr_parse_port(bytes_str(bad[i]), &a));
    assert_true(addr_parse_port(B("[::ffff:192.0.2.1]:25"), &a));
    assert_written(addr_format_port, a, "192.0.2.1:25");
    assert_written(addr_format_port, (struct addr){ .family = 1 }, "local");
}

static void test_equal(void **state) {
    (void)state;
    struct addr a = of("192.0.2.1"), b = a;
    b.port = 25;
    assert_true(addr_equal(a, b));
    assert_false(addr_equal(a, of("192.0.2.2")));
    assert_false(addr_equal(of("::1"), of("::2")));
    struct addr mapped = { .family = 6, .ip = { [10] = 0xff, 0xff, 192, 0, 2, 1 }, .port = 7 };
    assert_true(addr_equal(a, mapped));
    assert_int_equal(addr_fold(mapped).family, 4);
    assert_int_equal(addr_fold(mapped).port, 7);
    assert_true(addr_is_loopback(of("127.9.9.9")) && addr_is_loopback(of("::1")));
    assert_true(addr_is_loopback(of("::ffff:127.0.0.1")));
    assert_false(addr_is_loopback(of("128.0.0.1")) || addr_is_loopback(of("::2")));
    assert_false(addr_is_loopback((struct addr){ .family = 1 }));
}

static void test_public(void **state) {
    (void)state;
    static const char *const yes[] = { "1.1.1.1",         "8.8.8.8",     "100.63.255.255",
                                       "100.128.0.0",     "172.15.0.1",  "172.32.0.1",
                                       "192.0.1.1",       "198.17.0.1",  "198.20.0.1",
                                       "223.255.255.255", "11.0.0.0",    "2606:4700::1",
                                       "2a00:1450::1",    "2001:200::1", "2001:db7::1",
                                       "2001:db9::1",     "2003::1",     "3ffe::1" };
    static const char *const no[] = { "0.0.0.0",
                                      "0.1.2.3",
                                      "10.1.2.3",
                                      "100.64.0.1",
                                      "100.127.255.255",
                                      "127.0.0.1",
                                      "169.254.1.1",
                                      "172.16.0.1",
                                      "172.31.255.255",
                                      "192.0.0.1",
                                      "192.0.2.1",
                                      "192.88.99.1",
                                      "192.168.1.1",
                                      "198.18.0.1",
                                      "198.19.255.255",
                                      "198.51.100.1",
                                      "203.0.113.1",
                                      "224.0.0.1",
                                      "240.0.0.1",
                                      "255.255.255.255",
                                      "::",
                                      "::1",
                                      "::8.8.8.8",
                                      "::ffff:10.0.0.1",
                                      "64:ff9b::8.8.8.8",
                                      "64:ff9b:1::1",
                                      "100::1",
                                      "2001::1",
                                      "2001:1ff::1",
                                      "2001:db8::1",
                                      "2002:808:808::1",
                                      "2620:4f:8000::1",
                                      "3fff::1",
                                      "3fff:fff::1",
                                      "5f00::1",
                                      "fc00::1",
                                      "fdff::1",
                                      "fe80::1",
                                      "fec0::1",
                                      "ff02::1" };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(addr_is_public(of(yes[i])));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(addr_is_public(of(no[i])));
    assert_true(addr_is_public(of("::ffff:8.8.8.8")));
    assert_false(addr_is_public((struct addr){ .family = 1 }));
    assert_false(addr_is_public((struct addr){ 0 }));
}

static void test_masked(void **state) {
    (void)state;
    assert_written(addr_format, addr_masked(of("2001:db8:1:2:3:4:5:6"), 64), "2001:db8:1:2::");
    assert_written(addr_format, addr_masked(of("2001:db8:1:2:3:4:5:6"), 128),
                   "2001:db8:1:2:3:4:5:6");
    assert_written(addr_format, addr_masked(of("255.255.255.255"), 19), "255.255.224.0");
    assert_written(addr_format, addr_masked(of("192.0.2.1"), 64), "192.0.2.1");
    assert_written(addr_format, addr_masked(of("192.0.2.1"), 0), "0.0.0.0");
}

static void test_reversed(void **state) {
    (void)state;
    assert_written(addr_format_reversed, of("192.0.2.1"), "1.2.0.192");
    assert_written(addr_format_reversed, of("2001:db8::567:89ab"),
                   "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2");
}

static void assert_network(const char *text, enum network_error error, const char *written) {
    struct network n;
    char memory[80];
    struct buf b = buf_fixed(memory, sizeof memory);
    assert_int_equal(network_parse(bytes_str(text), &n), error);
    network_format(&b, n);
    assert_string_equal(buf_text(&b), written);
}

static void test_network_parse(void **state) {
    (void)state;
    assert_network("192.0.2.0/24", NETWORK_OK, "192.0.2.0/24");
    assert_network("192.0.2.1", NETWORK_OK, "192.0.2.1/32");
    assert_network("0.0.0.0/0", NETWORK_OK, "0.0.0.0/0");
    assert_network("2001:db8::/32", NETWORK_OK, "2001:db8::/32");
    assert_network("::1", NETWORK_OK, "::1/128");
    assert_network("192.0.2.1/24", NETWORK_HOST_BITS, "192.0.2.0/24");
    assert_network("2001:db8::1/64", NETWORK_HOST_BITS, "2001:db8::/64");
    assert_network("::ffff:192.0.2.0/120", NETWORK_OK, "192.0.2.0/24");
    assert_network("::ffff:0:0/96", NETWORK_OK, "0.0.0.0/0");
    assert_network("::ffff:192.0.2.1", NETWORK_OK, "192.0.2.1/32");
    assert_network("::ffff:0:0/80", NETWORK_HOST_BITS, "::/80");
    static const char *const bad[] = { "",
                                       "/24",
                                       "192.0.2.0/",
                                       "192.0.2.0/33",
                                       "::/129",
                                       "192.0.2.0/024",
                                       "192.0.2/24",
                                       "::/-1",
                                       "192.0.2.0/24/",
                                       "*" };
    struct network n;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(network_parse(bytes_str(bad[i]), &n), NETWORK_SYNTAX);
}

static struct network net(const char *text) {
    struct network n;
    assert_int_equal(network_parse(bytes_str(text), &n), NETWORK_OK);
    return n;
}

static void test_network_contains(void **state) {
    (void)state;
    assert_true(network_contains(net("192.0.2.0/25"), of("192.0.2.127")));
    assert_false(network_contains(net("192.0.2.0/25"), of("192.0.2.128")));
    assert_true(network_contains(net("0.0.0.0/0"), of("::ffff:9.9.9.9")));
    assert_false(network_contains(net("::/0"), of("9.9.9.9")));
    assert_true(network_contains(net("::/0"), of("fe80::1")));
    assert_true(network_contains(net("::1"), of("::1")));
    assert_false(network_contains((struct network){ 0 }, (struct addr){ 0 }));
    assert_true(network_overlaps(net("10.0.0.0/8"), net("10.1.0.0/16")));
    assert_true(network_overlaps(net("10.1.0.0/16"), net("10.0.0.0/8")));
    assert_false(network_overlaps(net("10.1.0.0/16"), net("10.2.0.0/16")));
    assert_false(network_overlaps(net("0.0.0.0/0"), net("::/0")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_format),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_public),
        cmocka_unit_test(test_masked),
        cmocka_unit_test(test_reversed),
        cmocka_unit_test(test_network_parse),
        cmocka_unit_test(test_network_contains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
