/* Gauges, rolling windows, what is kept over a restart. */
#include "base/buf.h"
#include "base/scan.h"
#include "counters/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

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
static const int64_t T0 = 1790000000000, WALL = 1795000000000;

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
    /* Never early: an hour after the last of them at least, and at most 1/64 of it later. */
    assert_true(opens > T0 + 3600000 && opens <= T0 + 3600000 + 3600000 / 64);
    assert_false(counters_room(c, B("login/a"), rates, 1, opens - 1, &opens, &which));
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
    /* By more than the window: it is full, and not for longer than a window. */
    assert_false(counters_room(c, B("x"), rates, 1, T0 - 864000000, &opens, &which));
    assert_true(opens > T0 - 864000000 && opens <= T0 - 864000000 + 3600000 * 65 / 64);
    counters_charge(c, B("x"), rates, 1, T0 - 864000000);
    assert_false(counters_room(c, B("x"), rates, 1, T0 - 864000000 + 3500000, &opens, &which));
    assert_true(counters_room(c, B("x"), rates, 1, T0 - 864000000 + 3700000, &opens, &which));
    counters_close(&c);
}

static void windows_are_kept_over_a_restart(void **state) {
    (void)state;
    struct counters *c = counters_local(), *d = counters_local();
    int64_t opens;
    struct rate which;
    counters_charge(c, B("x"), rates, 5, T0);
    struct buf saved = buf_grow(1 << 24);
    counters_save(c, &saved, T0, WALL);
    /* The host was started anew: its clock begins at nothing. */
    assert_true(counters_load(d, buf_bytes(&saved), 1000, WALL + 1000));
    assert_false(counters_room(d, B("x"), rates, 1, 1000, &opens, &which));
    assert_true(opens > 3500000 && opens <= 3600000 * 65 / 64);
    assert_true(counters_room(d, B("y"), rates, 1, 1000, &opens, &which));
    assert_false(counters_load(d, bytes_first(buf_bytes(&saved), saved.len - 3), 0, WALL));
    assert_false(counters_load(d, B("junk that is no saved state"), 0, WALL));
    assert_false(counters_load(d, BYTES_NONE, 0, WALL));
    buf_free(&saved);
    counters_close(&c);
    counters_close(&d);
}

/* Down for a time; and a time of day that was set back, or far ahead, meanwhile. */
static void time_passes_while_the_server_is_down(void **state) {
    (void)state;
    static const struct {
        int64_t wall;
        bool hour, day; /* is there room in it? */
    } cases[] = {
        { 0, false, true },
        { 3500000, false, true },
        { 3600000 * 65 / 64 + 60000, true, true },
        { -86400000 * 400LL, false, true },
        { 86400000 * 400LL, true, true },
    };
    struct counters *c = counters_local();
    struct buf saved = buf_grow(1 << 24);
    counters_charge(c, B("x"), rates, 5, T0);
    counters_save(c, &saved, T0, WALL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct counters *d = counters_local();
        int64_t opens;
        struct rate which;
        assert_true(counters_load(d, buf_bytes(&saved), 5000, WALL + cases[i].wall));
        const struct rates hour = { 1, rate_list }, day = { 1, rate_list + 1 };
        assert_int_equal(counters_room(d, B("x"), hour, 1, 5000, &opens, &which), cases[i].hour);
        assert_int_equal(counters_room(d, B("x"), day, 3, 5000, &opens, &which), cases[i].day);
        counters_close(&d);
    }
    buf_free(&saved);
    counters_close(&c);
}

/* --- limits --------------------------------------------------------------------------------- */

static void noted(void *ctx, enum rc rc, const struct why *why) {
    *(enum rc *)ctx = rc;
    if (rc == TEMP)
        assert_string_equal(why->reason, "backend.counters");
}

static enum rc hold(struct counters *c, struct counters_limit *l, size_t count, int64_t now) {
    enum rc rc = PERM;
    counters_hold(c, l, count, now, noted, &rc);
    return rc;
}

static bool is_full(struct counters *c, struct counters_limit *l, int64_t now) {
    enum rc rc = PERM;
    counters_look(c, l, 1, now, noted, &rc);
    assert_int_equal(rc, OK);
    return l->full;
}

static const struct rate two_list[] = { { 2, 3600000 } };

static void limits_are_held_then_kept_or_given_back(void **state) {
    (void)state;
    struct counters *c = counters_local();
    struct counters_limit l = { .key = B("a"), .rates = { 1, two_list } };
    assert_int_equal(hold(c, &l, 1, T0), OK);
    assert_int_equal(hold(c, &l, 1, T0), OK);
    assert_int_equal(hold(c, &l, 1, T0), MORE);
    assert_true(l.full && l.which.count == 2 && l.opens > T0);
    counters_drop(c, &l, 1);
    assert_false(is_full(c, &l, T0));
    assert_int_equal(hold(c, &l, 1, T0), OK);
    counters_keep(c, &l, 2, T0 + 1000);
    assert_true(is_full(c, &l, T0 + 1000));
    counters_drop(c, &l, 5); /* nothing is held any more */
    assert_true(is_full(c, &l, T0 + 3600000));
    assert_false(is_full(c, &l, T0 + 3600000 + 60000));
    l.besides = 2;
    assert_true(is_full(c, &l, T0 + 3600000 + 60000));
    /* A question about another time forgets nothing. */
    l.besides = 0;
    assert_true(is_full(c, &l, T0 + 2000));
    counters_close(&c);
}

/* One that is full keeps the others free. */
static void all_or_none_is_held(void **state) {
    (void)state;
    static const struct rate one[] = { { 1, 60000 } };
    struct counters *c = counters_local();
    struct counters_limit both[] = { { .key = B("a"), .rates = { 1, two_list } },
                                     { .key = B("b"), .rates = { 1, one } } };
    assert_int_equal(hold(c, both, 2, T0), OK);
    assert_int_equal(hold(c, both, 2, T0), MORE);
    assert_true(!both[0].full && both[1].full);
    assert_int_equal(hold(c, both, 1, T0), OK); /* the second place of a was not taken */
    counters_set_down(c, true);
    assert_int_equal(hold(c, both, 1, T0), TEMP);
    counters_close(&c);
}

static void a_dead_worker_holds_nothing(void **state) {
    (void)state;
    struct counters *c = counters_local();
    struct counters_limit l = { .key = B("a"), .rates = { 1, two_list } };
    assert_int_equal(hold(c, &l, 1, T0), OK);
    counters_keep(c, &l, 1, T0);
    assert_int_equal(hold(c, &l, 1, T0), OK);
    assert_true(is_full(c, &l, T0));
    counters_worker_died(c, 0);
    assert_false(is_full(c, &l, T0)); /* what was kept is counted all the same */
    assert_int_equal(hold(c, &l, 1, T0), OK);
    assert_int_equal(hold(c, &l, 1, T0), MORE);
    counters_close(&c);
}

/* However many strangers come, what others have used is not forgotten. */
static void a_crowd_pushes_nobody_else_out(void **state) {
    (void)state;
    struct counters *c = counters_local();
    struct counters_limit mine = { .key = B("login/anna"), .rates = { 1, two_list } };
    struct counters_limit held = { .key = B("client/held"),
                                   .rates = { 1, two_list },
                                   .crowd = true };
    assert_int_equal(hold(c, &mine, 1, T0), OK);
    assert_int_equal(hold(c, &mine, 1, T0), OK);
    counters_keep(c, &mine, 2, T0);
    assert_int_equal(hold(c, &held, 1, T0), OK);
    for (int i = 0; i < 120000; i++) {
        char key[32];
        struct counters_limit l = { .rates = { 1, two_list }, .crowd = true };
        l.key = bytes_of(key, (size_t)snprintf(key, sizeof(key), "client/%d", i));
        assert_int_equal(hold(c, &l, 1, T0 + i), OK);
        counters_keep(c, &l, 1, T0 + i);
    }
    assert_true(is_full(c, &mine, T0 + 120000));
    assert_int_equal(hold(c, &held, 1, T0 + 120000), OK);
    assert_true(is_full(c, &held, T0 + 120000)); /* the place it had was still there */
    counters_close(&c);
}

/* A table without a place says so: neither taken nor refused for good. */
static void a_full_table_cannot_tell(void **state) {
    (void)state;
    struct counters *c = counters_local();
    enum rc rc = OK;
    int i;
    for (i = 0; rc == OK && i < 70000; i++) {
        char key[32];
        struct counters_limit l = { .rates = { 1, two_list } };
        l.key = bytes_of(key, (size_t)snprintf(key, sizeof(key), "login/%d", i));
        rc = hold(c, &l, 1, T0);
        counters_keep(c, &l, 1, T0);
    }
    assert_int_equal(rc, TEMP);
    assert_true(i > 16000);
    struct counters_limit late = { .key = B("login/late"), .rates = { 1, two_list } };
    assert_int_equal(hold(c, &late, 1, T0 + 3600000 + 60000), OK); /* places become free again */
    counters_close(&c);
}

/* Two processes ask for the last places at once: together they get as many as there are. */
static void processes_together_stay_within(void **state) {
    (void)state;
    enum { CHILDREN = 4, TRIES = 3000, MOST = 5000 };
    static const struct rate most[] = { { MOST, 86400000 } };
    struct counters *parent;
    struct why why;
    int fd;
    assert_int_equal(counters_create(CHILDREN, &parent, &fd, &why), OK);
    pid_t pids[CHILDREN];
    for (unsigned i = 0; i < CHILDREN; i++) {
        pids[i] = fork();
        if (pids[i])
            continue;
        struct counters *c;
        int got = 0;
        if (counters_map(fd, i, &c, &why) != OK)
            _exit(255);
        for (int n = 0; n < TRIES; n++) {
            struct counters_limit l = { .key = B("a"), .rates = { 1, most } };
            if (hold(c, &l, 1, T0) == OK) {
                counters_keep(c, &l, 1, T0);
                got++;
            }
        }
        _exit(got * 100 / MOST);
    }
    for (unsigned i = 0; i < CHILDREN; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 100);
    }
    struct counters_limit l = { .key = B("a"), .rates = { 1, most } };
    assert_true(is_full(parent, &l, T0));
    struct buf saved = buf_grow(1 << 20);
    counters_save(parent, &saved, T0, WALL);
    struct scan s = scan_of(buf_bytes(&saved));
    scan_take(&s, 1 + 8 + 1 + 1 + 8 + 8);
    assert_int_equal(scan_le32(&s), MOST); /* not one more */
    buf_free(&saved);
    counters_close(&parent);
    close(fd);
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
        cmocka_unit_test(time_passes_while_the_server_is_down),
        cmocka_unit_test(limits_are_held_then_kept_or_given_back),
        cmocka_unit_test(all_or_none_is_held),
        cmocka_unit_test(a_dead_worker_holds_nothing),
        cmocka_unit_test(a_crowd_pushes_nobody_else_out),
        cmocka_unit_test(a_full_table_cannot_tell),
        cmocka_unit_test(processes_together_stay_within),
        cmocka_unit_test(in_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
