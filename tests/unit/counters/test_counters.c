/* Gauges, rolling windows, what is kept over a restart. */
#include "base/buf.h"
#include "counters/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void gauges_take_and_give(void **state) {
    (void)state;
    struct counters *c = counters_local();
    for (int i = 0; i < 50; i++)
        assert_true(counters_take(c, B("client/192.0.2.1"), 50));
    assert_false(counters_take(c, B("client/192.0.2.1"), 50));
    assert_int_equal(counters_open(c, B("client/192.0.2.1")), 50);
    assert_true(counters_take(c, B("client/192.0.2.2"), 50));
    counters_give(c, B("client/192.0.2.1"));
    assert_true(counters_take(c, B("client/192.0.2.1"), 50));
    counters_give(c, B("nobody took this"));
    assert_int_equal(counters_open(c, B("nobody took this")), 0);
    counters_close(&c);
}

/* Many keys in and out, so that places are freed under others. */
static void gauges_survive_churn(void **state) {
    (void)state;
    struct counters *c = counters_local();
    char key[32];
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 20000; i++)
            assert_true(counters_take(
                c, bytes_of(key, (size_t)snprintf(key, sizeof(key), "k%d", i * 7 + round)), 3));
        for (int i = 0; i < 20000; i++)
            counters_give(c,
                          bytes_of(key, (size_t)snprintf(key, sizeof(key), "k%d", i * 7 + round)));
    }
    for (int i = 0; i < 140000; i++)
        assert_int_equal(
            counters_open(c, bytes_of(key, (size_t)snprintf(key, sizeof(key), "k%d", i))), 0);
    counters_close(&c);
}

static void dead_worker_gives_back(void **state) {
    (void)state;
    struct counters *c = counters_local();
    char key[32];
    for (int i = 0; i < 3000; i++)
        assert_true(
            counters_take(c, bytes_of(key, (size_t)snprintf(key, sizeof(key), "k%d", i)), 1));
    counters_worker_died(c, 0);
    for (int i = 0; i < 3000; i++)
        assert_true(
            counters_take(c, bytes_of(key, (size_t)snprintf(key, sizeof(key), "k%d", i)), 1));
    counters_close(&c);
}

static const struct rate rate_list[] = { { 5, 3600000 }, { 8, 86400000 } };
static const struct rates rates = { 2, rate_list };
static const int64_t T0 = 1790000000000;

static void windows_roll(void **state) {
    (void)state;
    struct counters *c = counters_local();
    int64_t opens;
    struct rate which;
    for (int i = 0; i < 5; i++) {
        assert_true(counters_room(c, B("login/a"), rates, 1, T0, &opens, &which));
        counters_charge(c, B("login/a"), rates, 1, T0);
    }
    assert_false(counters_room(c, B("login/a"), rates, 1, T0 + 1000, &opens, &which));
    assert_int_equal(which.window_ms, 3600000);
    assert_true(opens > T0 + 3500000 && opens <= T0 + 3600000 + 60000);
    assert_true(counters_room(c, B("login/a"), rates, 1, opens, &opens, &which));
    assert_true(counters_room(c, B("login/b"), rates, 5, T0, &opens, &which));
    assert_false(counters_room(c, B("login/b"), rates, 6, T0, &opens, &which));
    counters_charge(c, B("login/a"), rates, -1, T0);
    assert_true(counters_room(c, B("login/a"), rates, 1, T0 + 1000, &opens, &which));
    /* The hour is over, the day's limit is the one that is full now. */
    counters_charge(c, B("login/a"), rates, 4, T0 + 4000000);
    assert_false(counters_room(c, B("login/a"), rates, 1, T0 + 8000000, &opens, &which));
    assert_int_equal(which.window_ms, 86400000);
    counters_close(&c);
}

static void windows_forget_nothing_when_the_clock_jumps_back(void **state) {
    (void)state;
    struct counters *c = counters_local();
    int64_t opens;
    struct rate which;
    counters_charge(c, B("x"), rates, 5, T0);
    assert_false(counters_room(c, B("x"), rates, 1, T0 - 600000, &opens, &which));
    assert_false(counters_room(c, B("x"), rates, 1, T0 + 600000, &opens, &which));
    counters_close(&c);
}

static void windows_are_kept_over_a_restart(void **state) {
    (void)state;
    struct counters *c = counters_local(), *d = counters_local();
    int64_t opens;
    struct rate which;
    counters_charge(c, B("x"), rates, 5, T0);
    struct buf saved = buf_grow(1 << 24);
    counters_save(c, &saved, T0);
    assert_true(counters_load(d, buf_bytes(&saved), T0 + 1000));
    assert_false(counters_room(d, B("x"), rates, 1, T0 + 1000, &opens, &which));
    assert_true(counters_room(d, B("y"), rates, 1, T0 + 1000, &opens, &which));
    assert_false(counters_load(d, bytes_first(buf_bytes(&saved), saved.len - 3), T0));
    assert_false(counters_load(d, B("junk that is no saved state"), T0));
    buf_free(&saved);
    counters_close(&c);
    counters_close(&d);
}

static void in_hand(void **state) {
    (void)state;
    struct counters *c = counters_local();
    counters_in_hand(c, B("0-1-42"));
    assert_true(bytes_equal(counters_was_in_hand(c, 0), B("0-1-42")));
    counters_in_hand(c, BYTES_NONE);
    assert_int_equal(counters_was_in_hand(c, 0).len, 0);
    counters_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gauges_take_and_give),
        cmocka_unit_test(gauges_survive_churn),
        cmocka_unit_test(dead_worker_gives_back),
        cmocka_unit_test(windows_roll),
        cmocka_unit_test(windows_forget_nothing_when_the_clock_jumps_back),
        cmocka_unit_test(windows_are_kept_over_a_restart),
        cmocka_unit_test(in_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
