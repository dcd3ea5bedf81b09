/* Hosts files as people write them. */
#include "dns/local.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_hosts_file(void **state) {
    (void)state;
    static const char text[] = "# comment\n"
                               "127.0.0.1\tlocalhost\n"
                               "10.0.0.1  Filter filter.example # the filter\r\n"
                               "2001:db8::1 filter.example\n"
                               "fe80::1%eth0 strange\n"
                               "nonsense here\n"
                               "10.0.0.2";
    struct arena *a = arena_open();
    struct dns_local *t = dns_local_parse(a, bytes_str(text));
    struct addr found[4], expect;
    assert_int_equal(dns_local_find(t, B("filter"), found, 4), 1);
    addr_parse(B("10.0.0.1"), &expect);
    assert_true(addr_equal(found[0], expect));
    assert_int_equal(dns_local_find(t, B("FILTER.example"), found, 4), 2);
    assert_int_equal(dns_local_find(t, B("filter.example"), found, 1), 1);
    assert_int_equal(dns_local_find(t, B("here"), found, 4), 0);
    assert_int_equal(dns_local_find(t, B("the"), found, 4), 0);
    assert_int_equal(dns_local_find(t, B(""), found, 4), 0);
    arena_close(&a);
}

static void localhost(void **state) {
    (void)state;
    struct addr found[2];
    assert_int_equal(dns_localhost(B("LocalHost"), found, 2), 2);
    assert_true(addr_is_loopback(found[0]) && addr_is_loopback(found[1]));
    assert_int_equal(dns_localhost(B("a.localhost"), found, 2), 2);
    assert_int_equal(dns_localhost(B("mylocalhost"), found, 2), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hosts_file),
        cmocka_unit_test(localhost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
