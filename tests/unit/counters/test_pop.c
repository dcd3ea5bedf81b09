/* POP windows: who came from where, when; bounded, folded, kept over a restart. */
#include "base/must.h"
#include "counters/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const int64_t T0 = 1797811200000;

struct bench {
    struct counters *c;
    struct arena *a;
    struct counters_popped *found;
};

static struct addr at(const char *text) {
    struct addr a;
    MUST(addr_parse(bytes_str(text), &a));
    return a;
}

static int set_up(void **state) {
    static struct bench b;
    b = (struct bench){ counters_local(), arena_open(), NULL };
    *state = &b;
    return 0;
}

static int tear_down(void **state) {
    struct bench *b = *state;
    counters_close(&b->c);
    arena_close(&b->a);
    return 0;
}

static size_t find(struct bench *b, const char *address, int64_t since) {
    return counters_popped(b->c, at(address), since, b->a, &b->found);
}

static void opens_the_exact_address(void **state) {
    struct bench *b = *state;
    struct addr mapped = at("192.0.2.7");
    mapped.port = 50123;
    counters_pop_open(b->c, mapped, B("anna@a.example"), T0);
    counters_pop_open(b->c, at("2001:db8::1"), B("bob@a.example"), T0);
    assert_int_equal(find(b, "192.0.2.7", T0), 1);
    assert_true(bytes_equal(b->found[0].login, B("anna@a.example")));
    assert_int_equal(b->found[0].at, T0);
    assert_int_equal(find(b, "::ffff:192.0.2.7", T0), 1);
    assert_int_equal(find(b, "192.0.2.8", 0), 0);
    assert_int_equal(find(b, "2001:db8::1", T0), 1);
    assert_int_equal(find(b, "2001:db8::2", 0), 0); /* no /64 here */
}

static void a_mapped_address_is_folded(void **state) {
    struct bench *b = *state;
    struct addr mapped = { .family = 6, .ip = { [10] = 0xff, 0xff, 192, 0, 2, 7 } };
    counters_pop_open(b->c, mapped, B("anna@a.example"), T0);
    assert_int_equal(find(b, "192.0.2.7", T0), 1);
}

static void counts_from_the_last_login(void **state) {
    struct bench *b = *state;
    counters_pop_open(b->c, at("192.0.2.7"), B("anna@a.example"), T0);
    counters_pop_open(b->c, at("192.0.2.7"), B("anna@a.example"), T0 + 1000);
    assert_int_equal(find(b, "192.0.2.7", T0 + 1000), 1);
    assert_int_equal(find(b, "192.0.2.7", T0 + 1001), 0);
}

static void many_logins_of_one_address_newest_first(void **state) {
    struct bench *b = *state;
    char name[32];
    for (int i = 0; i < COUNTERS_POP_LOGINS + 10; i++) {
        struct buf text = buf_fixed(name, sizeof name);
        buf_printf(&text, "u%d@a.example", i);
        counters_pop_open(b->c, at("192.0.2.7"), buf_bytes(&text), T0 + i);
    }
    assert_int_equal(find(b, "192.0.2.7", 0), COUNTERS_POP_LOGINS);
    assert_int_equal(b->found[0].at, T0 + COUNTERS_POP_LOGINS + 9);
    assert_int_equal(b->found[COUNTERS_POP_LOGINS - 1].at, T0 + 10); /* the oldest went */
}

static void one_login_has_so_many_addresses(void **state) {
    struct bench *b = *state;
    struct addr from = at("2001:db8::");
    counters_pop_open(b->c, at("192.0.2.7"), B("bob@a.example"), T0);
    for (int i = 0; i < 2000; i++) {
        from.ip[14] = (uint8_t)(i >> 8);
        from.ip[15] = (uint8_t)i;
        counters_pop_open(b->c, from, B("anna@a.example"), T0 + i);
    }
    assert_int_equal(find(b, "192.0.2.7", 0), 1); /* pushed out nobody */
    assert_int_equal(counters_pop_close(b->c, B("anna@a.example"), (struct addr){ 0 }),
                     COUNTERS_POP_ADDRESSES);
}

static void closes(void **state) {
    struct bench *b = *state;
    static const char *const where[] = { "192.0.2.7", "192.0.2.8" };
    for (int i = 0; i < 2; i++) {
        counters_pop_open(b->c, at(where[i]), B("anna@a.example"), T0);
        counters_pop_open(b->c, at(where[i]), B("bob@a.example"), T0);
    }
    assert_int_equal(counters_pop_close(b->c, B("anna@a.example"), at("192.0.2.7")), 1);
    assert_int_equal(find(b, "192.0.2.7", 0), 1);
    assert_int_equal(find(b, "192.0.2.8", 0), 2);
    assert_int_equal(counters_pop_close(b->c, BYTES_NONE, at("192.0.2.8")), 2);
    assert_int_equal(counters_pop_close(b->c, B("bob@a.example"), (struct addr){ 0 }), 1);
    uint32_t cursor = 0;
    struct counters_popped row;
    assert_false(counters_pop_next(b->c, &cursor, b->a, &row));
}

static void what_is_no_login_opens_nothing(void **state) {
    struct bench *b = *state;
    static char text[COUNTERS_LOGIN + 1];
    struct bytes longer = bytes_of(text, sizeof text);
    counters_pop_open(b->c, at("192.0.2.7"), BYTES_NONE, T0);
    counters_pop_open(b->c, at("192.0.2.7"), longer, T0);
    counters_pop_open(b->c, (struct addr){ .family = 1 }, B("anna@a.example"), T0);
    counters_pop_open(b->c, (struct addr){ 0 }, B("anna@a.example"), T0);
    uint32_t cursor = 0;
    struct counters_popped row;
    assert_false(counters_pop_next(b->c, &cursor, b->a, &row));
    counters_pop_open(b->c, at("192.0.2.7"), bytes_first(longer, COUNTERS_LOGIN), T0);
    assert_int_equal(find(b, "192.0.2.7", T0), 1);
}

static void kept_over_a_restart(void **state) {
    struct bench *b = *state;
    struct buf saved = buf_grow(1 << 20);
    counters_pop_open(b->c, at("192.0.2.7"), B("anna@a.example"), T0);
    counters_pop_open(b->c, at("2001:db8::1"), B("bob@a.example"), T0 + 5000);
    counters_save(b->c, &saved, 0, T0 + 5000);
    counters_close(&b->c);
    b->c = counters_local();
    assert_true(counters_load(b->c, buf_bytes(&saved), 0, T0 + 1000));
    assert_int_equal(find(b, "192.0.2.7", T0), 1);
    assert_int_equal(find(b, "2001:db8::1", 0), 0); /* the clock went back: it is yet to come */
    for (size_t cut = 10; cut < saved.len; cut++)
        counters_load(b->c, bytes_first(buf_bytes(&saved), cut), 0, T0 + 9000);
    assert_true(counters_load(b->c, buf_bytes(&saved), 0, T0 + 9000));
    assert_int_equal(find(b, "2001:db8::1", 0), 1);
    buf_free(&saved);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(opens_the_exact_address),         TEST(a_mapped_address_is_folded),
        TEST(counts_from_the_last_login),      TEST(many_logins_of_one_address_newest_first),
        TEST(one_login_has_so_many_addresses), TEST(closes),
        TEST(what_is_no_login_opens_nothing),  TEST(kept_over_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
