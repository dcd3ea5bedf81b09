/* Entries of blocklists and allowlists. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void good_ones(void **state) {
    (void)state;
    struct dnslist l;
    assert_true(dnslist_parse(B("zen.example"), &l));
    assert_true(bytes_equal(l.zone, B("zen.example")) && !l.last && !l.score);
    assert_true(dnslist_parse(B("zen.example=20"), &l));
    assert_true(bytes_equal(l.zone, B("zen.example")) && l.score == 20);
    assert_true(dnslist_parse(B("zen.example:127.0.0.2"), &l));
    assert_true(l.first == 0x7f000002 && l.last == l.first && !l.score);
    assert_true(dnslist_parse(B("zen.example:127.0.1.4-7=3"), &l));
    assert_true(l.first == 0x7f000104 && l.last == 0x7f000107 && l.score == 3);
}

static void bad_ones(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "=1",
        ":127.0.0.2",
        "a.example=",
        "a.example=0",
        "a=1001",
        "a=x",
        "a:",
        "a:192.0.2.1",
        "a:127.0.0.9-4",
        "a:127.0",
        "a:127.0.0.1-",
        "a:127.0.0.1-256",
        "a:127.0.0.1-2-3",
        "a:::1",
        "a:127.0.0.2,4",
        "a=1=2",
    };
    struct dnslist l;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (dnslist_parse(bytes_str(bad[i]), &l))
            fail_msg("%s was taken", bad[i]);
}

/* The key of a paying customer is nobody else's business. */
static void keys_are_not_shown(void **state) {
    (void)state;
    assert_true(bytes_equal(dnslist_name(B("zen.example")), B("zen.example")));
    assert_true(bytes_equal(dnslist_name(B("abcdefghijklmnopqrstuvwxyz.zen.dq.example")),
                            B("zen.dq.example")));
}

static void zones_once(void **state) {
    (void)state;
    struct bytes block[] = { B("a.example:127.0.0.2"), B("b.example"), B("a.example=2") },
                 allow[] = { B("b.example"), B("c.example") }, zones[8];
    struct listener l = { .blocklists = { 3, block }, .allowlists = { 2, allow } };
    assert_int_equal(dnslist_zones(&l, zones, 8), 3);
    assert_true(bytes_equal(zones[2], B("c.example")));
    assert_int_equal(dnslist_zones(&l, zones, 2), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones),
        cmocka_unit_test(bad_ones),
        cmocka_unit_test(keys_are_not_shown),
        cmocka_unit_test(zones_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
