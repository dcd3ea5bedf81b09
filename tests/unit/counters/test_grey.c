/* The greylist: who must come back, who need not, and what stays of it. */
#include "base/buf.h"
#include "counters/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define MIN   INT64_C(60000)
#define DAY   (1440 * MIN)
#define START (INT64_C(20000) * DAY)

static struct counters *c;

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

static struct counters_grey from(const char *client, const char *sender) {
    struct counters_grey g = {
        .sender = bytes_str(sender),
        .recipient = B("terri@proseware.com"),
        .delay = 5 * MIN,
        .window = 2 * DAY,
        .lifetime = 35 * DAY,
        .trust = 3,
    };
    assert_true(addr_parse(bytes_str(client), &g.client));
    return g;
}

static int64_t try_at(const char *client, const char *sender, int64_t now) {
    struct counters_grey g = from(client, sender);
    return counters_grey(c, &g, now) - now;
}

static void comes_back(void **state) {
    (void)state;
    assert_int_equal(try_at("203.0.113.7", "a@x.example", START), 5 * MIN);
    assert_int_equal(try_at("203.0.113.7", "a@x.example", START + MIN), 4 * MIN);
    assert_int_equal(try_at("203.0.113.99", "A@X.example", START + 5 * MIN), 0);
    assert_int_equal(try_at("203.0.113.99", "a@x.example", START + 30 * DAY), 0);
    assert_int_equal(try_at("203.0.113.99", "a@x.example", START + 64 * DAY), 0);
    assert_true(try_at("203.0.113.99", "a@x.example", START + 100 * DAY) > 0);
    /* Its octets must not run into each other. */
    assert_true(try_at("203.0.113.7", "a@x.exampl", START) > 0);
    assert_int_equal(try_at("2001:db8:1:2::1", "a@x.example", START), 5 * MIN);
    assert_int_equal(try_at("2001:db8:1:2:ffff::1", "a@x.example", START + 6 * MIN), 0);
    assert_true(try_at("2001:db8:1:3::1", "a@x.example", START + 6 * MIN) > 0);
    assert_int_equal(try_at("::ffff:203.0.113.7", "b@x.example", START), 5 * MIN);
    assert_int_equal(try_at("203.0.113.8", "b@x.example", START + 5 * MIN), 0);
}

static void comes_too_late(void **state) {
    (void)state;
    assert_true(try_at("203.0.113.7", "a@x.example", START) > 0);
    assert_int_equal(try_at("203.0.113.7", "a@x.example", START + 3 * DAY), 5 * MIN);
    /* A clock that was set back by years. */
    assert_int_equal(try_at("203.0.113.7", "a@x.example", START - 900 * DAY), 5 * MIN);
    assert_int_equal(try_at("203.0.113.7", "a@x.example", START - 900 * DAY + 5 * MIN), 0);
}

static void network_is_trusted(void **state) {
    (void)state;
    static const char *const senders[] = { "a@x.example", "b@x.example", "c@x.example" };
    for (int i = 0; i < 3; i++)
        assert_true(try_at("203.0.113.7", senders[i], START) > 0);
    assert_true(try_at("203.0.113.7", "d@x.example", START) > 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(try_at("203.0.113.7", senders[i], START + 6 * MIN), 0);
    assert_int_equal(try_at("203.0.113.200", "new@x.example", START + 6 * MIN), 0);
    assert_true(try_at("203.0.112.200", "new@x.example", START + 6 * MIN) > 0);
}

/* A network that tries a thousand senders pushes out nobody who has come back. */
static void flood_keeps_the_known(void **state) {
    (void)state;
    char sender[40];
    assert_true(try_at("203.0.113.7", "a@x.example", START) > 0);
    assert_int_equal(try_at("203.0.113.7", "a@x.example", START + 5 * MIN), 0);
    for (int i = 0; i < 5000; i++) {
        snprintf(sender, sizeof sender, "s%d@spam.example", i);
        assert_true(try_at("203.0.113.66", sender, START + 6 * MIN) > 0);
    }
    assert_int_equal(try_at("203.0.113.7", "a@x.example", START + 7 * MIN), 0);
}

static void survives_a_restart(void **state) {
    (void)state;
    struct buf saved = buf_grow(1 << 22);
    try_at("203.0.113.7", "a@x.example", START);
    try_at("203.0.113.7", "b@x.example", START + MIN);
    try_at("203.0.113.7", "a@x.example", START + 5 * MIN);
    counters_save(c, &saved, 0, START + 5 * MIN);
    counters_close(&c);
    c = counters_local();
    assert_true(counters_load(c, buf_bytes(&saved), 0, START + 6 * MIN));
    assert_int_equal(try_at("203.0.113.7", "a@x.example", START + 6 * MIN), 0);
    assert_int_equal(try_at("203.0.113.7", "b@x.example", START + 6 * MIN), 0);
    /* Cut anywhere, it does no harm. */
    for (size_t n = 0; n < saved.len; n += 7) {
        struct counters *other = counters_local();
        counters_load(other, bytes_first(buf_bytes(&saved), n), 0, START);
        counters_close(&other);
    }
    buf_free(&saved);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(comes_back, open_one, close_one),
        cmocka_unit_test_setup_teardown(comes_too_late, open_one, close_one),
        cmocka_unit_test_setup_teardown(network_is_trusted, open_one, close_one),
        cmocka_unit_test_setup_teardown(flood_keeps_the_known, open_one, close_one),
        cmocka_unit_test_setup_teardown(survives_a_restart, open_one, close_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
