/* What guessing costs, on a clock of our own. */
#include "keeper/failures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct addr here = { .family = 4, .ip = { 192, 0, 2, 1 } };
static const struct addr there = { .family = 4, .ip = { 192, 0, 2, 2 } };

enum { MINUTE = 60000 };

static void the_price_grows_then_the_door_shuts(void **state) {
    struct failures *f = failures_open();
    static const int64_t delays[] = { 0, 0, 1000, 2000, 4000, 8000, 15000, 15000 };
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct penalty p = failures_wrong(f, here, B("terri"), 1000 + i);
        assert_int_equal(p.delay_ms, delays[i]);
        assert_int_equal(p.close, i >= 4);
    }
    failures_close(&f);
}

static void a_right_answer_and_time_make_it_good(void **state) {
    struct failures *f = failures_open();
    (void)state;
    for (int i = 0; i < 5; i++)
        failures_wrong(f, here, B("terri"), 1000);
    assert_int_equal(failures_right(f, here, B("terri"), 2000), 0);
    assert_int_equal(failures_wrong(f, here, B("terri"), 3000).delay_ms, 0);
    for (int i = 0; i < 5; i++)
        failures_wrong(f, here, B("other"), 4000);
    assert_int_equal(failures_wrong(f, here, B("other"), 4000 + 16 * MINUTE).delay_ms, 0);
    failures_close(&f);
}

static void nobody_is_locked_out_by_a_stranger(void **state) {
    struct failures *f = failures_open();
    (void)state;
    for (int i = 0; i < 1000; i++)
        failures_wrong(f, there, B("terri"), 1000 + i);
    assert_int_equal(failures_wrong(f, here, B("terri"), 2000).delay_ms, 0);
    assert_int_equal(failures_right(f, here, B("terri"), 2000), 0);
    failures_close(&f);
}

static void many_names_from_one_address(void **state) {
    struct failures *f = failures_open();
    struct penalty p = { 0 };
    (void)state;
    failures_right(f, here, B("regular"), 500);
    for (char i = 0; i < 25; i++)
        p = failures_wrong(f, here, bytes_of(&i, 1), 1000);
    assert_int_equal(p.delay_ms, 15000);
    assert_true(p.close);
    /* Who never logged in from here waits for the right answer too, once. */
    assert_int_equal(failures_right(f, here, B("new"), 2000), 15000);
    assert_int_equal(failures_right(f, here, B("new"), 3000), 0);
    assert_int_equal(failures_right(f, here, B("regular"), 3000), 0);
    failures_close(&f);
}

static void ipv6_counts_by_network(void **state) {
    struct failures *f = failures_open();
    struct addr a = { .family = 6, .ip = { 0x20, 1, 0xd, 0xb8 } };
    struct penalty p = { 0 };
    (void)state;
    for (uint8_t i = 0; i < 6; i++) {
        a.ip[15] = i;
        p = failures_wrong(f, a, B("terri"), 1000);
    }
    assert_true(p.delay_ms > 0);
    a.ip[7] = 1; /* another /64 */
    assert_int_equal(failures_wrong(f, a, B("terri"), 1000).delay_ms, 0);
    failures_close(&f);
}

static void its_memory_is_bounded(void **state) {
    struct failures *f = failures_open();
    (void)state;
    for (uint32_t i = 0; i < 30000; i++)
        failures_wrong(f, here, bytes_of(&i, sizeof i), 1000);
    assert_true(failures_count(f) <= 20000);
    /* The address's own row is used each time, so it is not the one that went. */
    assert_true(failures_wrong(f, here, B("x"), 1000).close);
    failures_close(&f);
}

static struct addr number(unsigned n) {
    return (struct addr){ .family = 4, .ip = { 198, 51, (uint8_t)(n >> 8), (uint8_t)n } };
}

/* Many addresses, one guess each: the login's own addresses are let in at once, others wait. */
static void many_addresses_at_one_login(void **state) {
    struct failures *f = failures_open();
    struct penalty p = { 0 };
    unsigned told = 0;
    (void)state;
    failures_right(f, here, B("terri"), 500);
    for (unsigned i = 0; i < 30; i++) {
        p = failures_wrong(f, number(i), B("terri"), 1000 + i);
        told += p.addresses > 0;
        assert_false(p.close);
    }
    assert_int_equal(told, 1); /* once an hour */
    assert_int_equal(p.delay_ms, 15000);
    assert_int_equal(failures_right(f, here, B("terri"), 2000), 0);
    assert_int_equal(failures_wrong(f, here, B("terri"), 2000).delay_ms, 0);
    assert_int_equal(failures_right(f, there, B("terri"), 2000), 15000); /* but in */
    assert_int_equal(failures_right(f, there, B("terri"), 3000), 0);
    /* one address again and again is one address */
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(failures_wrong(f, there, B("other"), 4000).addresses, 0);
    failures_close(&f);
}

static void whose_turn_it_is(void **state) {
    struct failures *f = failures_open();
    (void)state;
    assert_int_equal(failures_rank(f, here, 1000), RANK_STRANGER);
    failures_right(f, here, B("terri"), 1000);
    assert_int_equal(failures_rank(f, here, 2000), RANK_KNOWN);
    failures_wrong(f, there, B("terri"), 2000);
    assert_int_equal(failures_rank(f, there, 2000), RANK_GUESSER);
    assert_int_equal(failures_rank(f, there, 2000 + 16 * MINUTE), RANK_STRANGER);
    for (unsigned i = 0; i < 20; i++)
        failures_wrong(f, here, B("x"), 3000);
    assert_int_equal(failures_rank(f, here, 3000), RANK_STRANGER); /* no longer above others */
    failures_close(&f);
}

/* What a restart is to survive, though the new process's clock begins anew. */
static void a_restart_forgets_nothing(void **state) {
    struct failures *f = failures_open(), *after = failures_open();
    struct buf b = buf_grow(FAILURES_SAVED_MAX);
    (void)state;
    failures_right(f, here, B("regular"), 1000);
    for (int i = 0; i < 5; i++)
        failures_wrong(f, here, B("terri"), 2000);
    failures_save(f, 2000, 1000002000, &b);
    assert_true(failures_load(after, buf_bytes(&b), 50, 1000003050));
    assert_int_equal(failures_count(after), failures_count(f));
    assert_true(failures_wrong(after, here, B("terri"), 60).close);
    assert_int_equal(failures_right(after, here, B("regular"), 60), 0);
    failures_close(&after);
    /* a quarter of an hour later they are over */
    after = failures_open();
    assert_true(failures_load(after, buf_bytes(&b), 50, 1000002000 + 16 * MINUTE));
    assert_int_equal(failures_wrong(after, here, B("terri"), 60).delay_ms, 0);
    failures_close(&after);
    /* a clock that was set back: as if just now */
    after = failures_open();
    assert_true(failures_load(after, buf_bytes(&b), 50, 5000));
    assert_true(failures_wrong(after, here, B("terri"), 60).close);
    failures_close(&after);
    /* cut short: nothing of it */
    after = failures_open();
    assert_false(failures_load(after, bytes_first(buf_bytes(&b), b.len - 3), 50, 1000003050));
    assert_int_equal(failures_count(after), 0);
    failures_close(&after);
    buf_free(&b);
    failures_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_price_grows_then_the_door_shuts),
        cmocka_unit_test(a_right_answer_and_time_make_it_good),
        cmocka_unit_test(nobody_is_locked_out_by_a_stranger),
        cmocka_unit_test(many_names_from_one_address),
        cmocka_unit_test(ipv6_counts_by_network),
        cmocka_unit_test(its_memory_is_bounded),
        cmocka_unit_test(many_addresses_at_one_login),
        cmocka_unit_test(whose_turn_it_is),
        cmocka_unit_test(a_restart_forgets_nothing),
    };
    return cmocka_run_group_tests_name("keeper/failures", tests, NULL, NULL);
}
