/* The tripwire: what trips it, what must not, and what stays of it. */
#include "base/buf.h"
#include "counters/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define MIN   INT64_C(60000)
#define HOUR  (60 * MIN)
#define START (INT64_C(20000) * 24 * HOUR)

static struct counters *c;
static const char *client = "192.0.2.1";

static int open_one(void **state) {
    (void)state;
    c = counters_local();
    return 0;
}

static int close_one(void **state) {
    (void)state;
    counters_close(&c);
    return 0;
}

static struct addr address(const char *text) {
    struct addr a;
    assert_true(addr_parse(bytes_str(text), &a));
    return a;
}

static bool sends(const char *sender, const char *helo, int64_t now) {
    struct counters_watch w = {
        .client = address(client),
        .sender = bytes_str(sender),
        .helo = bytes_str(helo),
        .window = HOUR,
        .senders_max = 20,
        .helos_max = 10,
    };
    return counters_watch(c, &w, now);
}

static const char *numbered(const char *before, int i, const char *behind) {
    static char text[2][60];
    static int turn;
    turn = !turn;
    snprintf(text[turn], sizeof text[turn], "%s%d%s", before, i, behind);
    return text[turn];
}

/* A mail server that forwards: any number of senders, one name. */
static void a_mail_server_does_not(void **state) {
    (void)state;
    for (int i = 0; i < 500; i++)
        assert_false(sends(numbered("d", i, ".example"), "mail.corp.example", START + i));
    /* A cluster of one owner. */
    for (int i = 0; i < 500; i++)
        assert_false(
            sends(numbered("d", i, ".example"), numbered("mx", i, ".corp.example"), START + i));
    assert_int_equal(counters_suspended(c, address(client)), 0);
}

/* An office behind NAT: any number of machines, whose senders are ours; two have a private address. */
static void an_office_does_not(void **state) {
    (void)state;
    for (int i = 0; i < 500; i++)
        assert_false(sends(i % 50    ? ""
                           : i % 100 ? "gmail.example"
                                     : "web.example",
                           numbered("DESKTOP-", i, ""), START + i));
}

static void spammers_do(void **state) {
    (void)state;
    int i = 0;
    while (i < 40 && !sends(numbered("d", i, ".example"),
                            numbered("h", i % 2 ? 0 : i, ".pool.example"), START + i))
        i++;
    assert_int_equal(i, 40); /* one owner's machines */
    assert_true(sends("x.example", "friend", START + 50));
    assert_int_equal(counters_suspended(c, address(client)), START + 50);
    assert_int_equal(counters_suspended(c, address("192.0.2.2")), 0);
    assert_int_equal(counters_suspended(c, address("::ffff:192.0.2.1")), START + 50);
    assert_false(sends("y.example", "friend", START + 51)); /* told once */
}

static void many_machines_do(void **state) {
    (void)state;
    int i = 0;
    while (i < 40 &&
           !sends(numbered("d", i % 5, ".example"), numbered("h", i, ".example"), START + i))
        i++;
    assert_int_equal(i, 9); /* the tenth name */
}

static void slow_ones_do_not(void **state) {
    (void)state;
    for (int i = 0; i < 200; i++)
        assert_false(
            sends(numbered("d", i, ".example"), numbered("h", i, ".example"), START + i * 7 * MIN));
}

static void is_lifted(void **state) {
    (void)state;
    for (int i = 0; i < 30; i++)
        sends(numbered("d", i, ".example"), numbered("h", i, ".example"), START + i);
    assert_true(counters_suspended(c, address(client)) > 0);
    assert_int_equal(counters_resume(c, address("192.0.2.2")), 0);
    assert_int_equal(counters_resume(c, address(client)), 1);
    assert_int_equal(counters_suspended(c, address(client)), 0);
    assert_false(sends("z.example", "z.example", START + 100)); /* what was before is forgotten */
}

static void survives_death_and_restart(void **state) {
    (void)state;
    struct buf saved = buf_grow(1 << 20);
    uint32_t cursor = 0;
    struct addr who;
    int64_t since;
    client = "2001:db8:1:2::7";
    for (int i = 0; i < 30; i++)
        sends(numbered("d", i, ".example"), numbered("h", i, ".example"), START + i);
    counters_worker_died(c, 0);
    assert_true(counters_suspended(c, address("2001:db8:1:2::8")) > 0);
    counters_save(c, &saved, 0, START + HOUR);
    counters_close(&c);
    c = counters_local();
    assert_true(counters_load(c, buf_bytes(&saved), 0, START + 2 * HOUR));
    assert_true(counters_suspended_next(c, &cursor, &who, &since));
    assert_true(addr_equal(who, address("2001:db8:1:2::")) && since >= START);
    assert_false(counters_suspended_next(c, &cursor, &who, &since));
    assert_int_equal(counters_resume(c, (struct addr){ 0 }), 1);
    buf_free(&saved);
    client = "192.0.2.1";
}

/* Bounded: a whole network of watched addresses pushes out no suspension. */
static void many_addresses(void **state) {
    (void)state;
    char text[40];
    for (int i = 0; i < 30; i++)
        sends(numbered("d", i, ".example"), numbered("h", i, ".example"), START + i);
    for (int i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "10.0.%d.%d", i / 256, i % 256);
        client = text;
        assert_false(sends("x.example", "x.example", START + HOUR));
    }
    client = "192.0.2.1";
    assert_true(counters_suspended(c, address(client)) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_mail_server_does_not, open_one, close_one),
        cmocka_unit_test_setup_teardown(an_office_does_not, open_one, close_one),
        cmocka_unit_test_setup_teardown(spammers_do, open_one, close_one),
        cmocka_unit_test_setup_teardown(many_machines_do, open_one, close_one),
        cmocka_unit_test_setup_teardown(slow_ones_do_not, open_one, close_one),
        cmocka_unit_test_setup_teardown(is_lifted, open_one, close_one),
        cmocka_unit_test_setup_teardown(survives_death_and_restart, open_one, close_one),
        cmocka_unit_test_setup_teardown(many_addresses, open_one, close_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
