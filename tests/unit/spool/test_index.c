/* Tests of src/spool/index.c, tree.c and pool.c: the orders hold whatever comes and goes, and a
 * million waiting messages fit. */
#include "spool/index.h"

#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t draw(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint32_t add(struct index *x, uint16_t lane, uint64_t sequence, unsigned hops,
                    uint32_t count) {
    uint32_t n = index_add(x, lane, sequence);
    struct message *m = index_at(x, n);
    m->arrived = (int64_t)(sequence * 7919 % 100003);
    m->size = 10;
    m->flags = MESSAGE_QUIET;
    index_seat(x, m, count);
    for (uint32_t i = 0; i < count; i++) {
        char hop[32];
        int len = snprintf(hop, sizeof hop, "mx:%u", (unsigned)(sequence + i) % hops);
        index_set_hop(x, &message_seats(m)[i], bytes_of(hop, (size_t)len));
    }
    index_show(x, n);
    return n;
}

static size_t walk(struct index *x, struct bytes hop) {
    struct store_cursor c = { 0 };
    size_t count = 0;
    uint32_t n;
    while ((n = index_due_after(x, hop, &c))) {
        const struct due *d = index_due(x, n);
        assert_true(d->at > c.due || (d->at == c.due && d->order > c.order));
        c = (struct store_cursor){ .due = d->at, .order = d->order };
        count++;
    }
    return count;
}

static void test_orders(void **state) {
    (void)state;
    enum { COUNT = 3000 };
    struct index x;
    uint64_t seed = 1;
    bool there[COUNT] = { false };
    size_t total = 0;
    index_init(&x);
    for (int round = 0; round < 20000; round++) {
        uint64_t i = draw(&seed) % COUNT;
        uint16_t lane = i % 3;
        if (there[i]) {
            uint32_t n = index_find(&x, lane, i + 1);
            assert_true(n != 0);
            index_remove(&x, n);
            total--;
        } else {
            add(&x, lane, i + 1, 11, 1);
            total++;
        }
        there[i] = !there[i];
    }
    assert_int_equal(walk(&x, BYTES_NONE), total);
    assert_int_equal(x.shown, total);
    size_t by_hop = 0, by_name = 0;
    for (unsigned i = 0; i < 11; i++) {
        char hop[32];
        int len = snprintf(hop, sizeof hop, "mx:%u", i);
        by_hop += walk(&x, bytes_of(hop, (size_t)len));
    }
    assert_int_equal(by_hop, total);
    uint16_t lane = 0;
    uint64_t sequence = 0;
    uint32_t n;
    while ((n = index_after(&x, lane, sequence))) {
        const struct message *m = index_at(&x, n);
        assert_true(m->lane > lane || (m->lane == lane && m->sequence > sequence));
        lane = m->lane;
        sequence = m->sequence;
        by_name++;
    }
    assert_int_equal(by_name, total);
    index_free(&x);
}

static void test_recount(void **state) {
    (void)state;
    struct index x;
    index_init(&x);
    uint32_t n = add(&x, 0, 1, 2, 4); /* two recipients to each of two next hops */
    struct message *m = index_at(&x, n);
    struct seat *s = message_seats(m);
    assert_int_equal(walk(&x, BYTES_NONE), 2);
    assert_int_equal(x.recipients, 4);
    index_set_state(&x, m, &s[0], RECIPIENT_RELAYED);
    index_recount(&x, n);
    assert_int_equal(walk(&x, BYTES_NONE), 2);
    index_set_state(&x, m, &s[2], RECIPIENT_HELD);
    index_recount(&x, n);
    assert_int_equal(walk(&x, BYTES_NONE), 1);
    index_set_hop(&x, &s[1], B("route:other"));
    s[1].next = 500000;
    index_recount(&x, n);
    assert_int_equal(walk(&x, BYTES_NONE), 2);
    assert_int_equal(walk(&x, B("route:other")), 1);
    assert_int_equal(x.recipients, 3);
    assert_int_equal(x.by_state[RECIPIENT_HELD], 1);
    for (int i = 1; i < 4; i++)
        index_set_state(&x, m, &s[i], RECIPIENT_BOUNCED);
    index_recount(&x, n);
    assert_int_equal(walk(&x, BYTES_NONE), 0);
    assert_int_equal(x.shown + x.recipients + x.octets, 0);
    for (int i = 0; i < RECIPIENT_STATES; i++)
        assert_int_equal(x.by_state[i], 0);
    assert_int_equal(index_find(&x, 0, 1), n); /* until it is on disk that it is over */
    index_free(&x);
}

static size_t pool_octets(const struct pool *p) {
    return (size_t)p->count * POOL_BLOCK * p->size + p->room * sizeof *p->blocks;
}

static void test_memory(void **state) {
    (void)state;
    enum { COUNT = 200000 };
    struct index x;
    index_init(&x);
    for (uint64_t i = 0; i < COUNT; i++)
        add(&x, 0, i + 1, 1000, 1);
    size_t all = pool_octets(&x.messages) + pool_octets(&x.dues) + pool_octets(&x.hops);
    assert_true(all / COUNT <= 160);
    index_free(&x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_recount),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
