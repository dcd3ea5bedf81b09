/* The arithmetic of addresses against counting them one by one. */
#include "lab.h"

#include "decide/ranges.h"

static struct network net(const char *text) {
    struct network n;
    assert_int_equal(network_parse(bytes_str(text), &n), NETWORK_OK);
    return n;
}

/* A small world: 10.0.0.0/24, of which networks of all sizes are taken at random. */
static uint32_t seed = 20261121;

static uint32_t roll(uint32_t below) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static struct network random_network(uint8_t family) {
    struct network n = { .base = { .family = family } };
    unsigned top = family == 4 ? 3 : 15;
    n.bits = 8 * top + 2 + roll(7);
    n.base.ip[0] = family == 4 ? 10 : 0x20;
    n.base.ip[top] = (uint8_t)roll(256);
    n.base = addr_masked(n.base, n.bits);
    return n;
}

static struct networks random_networks(struct arena *a, uint8_t family) {
    size_t count = roll(9);
    struct network *list = ARENA_ARRAY(a, count, struct network);
    for (size_t i = 0; i < count; i++)
        list[i] = random_network(family);
    return (struct networks){ count, list };
}

static unsigned count_if(struct networks in, struct networks but, uint8_t family) {
    unsigned n = 0;
    for (unsigned i = 0; i < 256; i++) {
        struct addr a = { .family = family };
        a.ip[0] = family == 4 ? 10 : 0x20;
        a.ip[family == 4 ? 3 : 15] = (uint8_t)i;
        n += networks_have(in, a) && !networks_have(but, a);
    }
    return n;
}

static void test_brute_force(void **state) {
    (void)state;
    struct arena *a = arena_open();
    for (int round = 0; round < 3000; round++, arena_reset(a)) {
        uint8_t family = round % 2 ? 4 : 6;
        struct networks in = random_networks(a, family), but = random_networks(a, family);
        struct address_set x = address_set_of(in, a), y = address_set_of(but, a);
        struct address_set left = address_set_minus(x, y, a);
        struct ranges r = family == 4 ? left.v4 : left.v6;
        assert_int_equal((unsigned)ranges_size(r), count_if(in, but, family));
        assert_int_equal(address_set_within(x, y, a), count_if(in, but, family) == 0);
        /* What was taken and what is left come to all again. */
        struct address_set both = address_set_union(left, y, a);
        struct address_set all = address_set_union(x, y, a);
        assert_true(address_set_within(all, both, a) && address_set_within(both, all, a));
        for (size_t i = 1; i < r.count; i++)
            assert_true(r.list[i].first > r.list[i - 1].last);
    }
    arena_close(&a);
}

static void test_whole_families(void **state) {
    (void)state;
    struct arena *a = arena_open();
    const struct network all4[] = { net("0.0.0.0/1"), net("128.0.0.0/1") };
    const struct network all6[] = { net("::/1"), net("8000::/1"), net("2000::/3") };
    struct address_set x = address_set_of((struct networks){ 2, all4 }, a);
    assert_int_equal(x.v4.count, 1);
    assert_true(ranges_size(x.v4) == (wide)1 << 32);
    struct address_set y = address_set_of((struct networks){ 3, all6 }, a);
    assert_int_equal(y.v6.count, 1);
    assert_true(ranges_size(y.v6) == ~(wide)0);
    assert_true(address_set_empty(address_set_minus(y, y, a)));
    assert_int_equal(address_set_minus(y, x, a).v6.count, 1);
    arena_close(&a);
}

static void test_fold(void **state) {
    (void)state;
    struct arena *a = arena_open();
    const struct network list[] = { net("::/0"), net("64:ff9b::c000:200/120") };
    struct address_set x = address_set_fold(address_set_of((struct networks){ 1, list }, a), a);
    assert_true(ranges_size(x.v4) == (wide)1 << 32);
    x = address_set_fold(address_set_of((struct networks){ 1, list + 1 }, a), a);
    assert_true(ranges_size(x.v4) == 256);
    struct addr first;
    assert_true(address_set_first(x, &first));
    assert_true(addr_equal(first, lab_addr("192.0.2.0")));
    arena_close(&a);
}

static struct addr from_number(wide n, uint8_t family) {
    struct addr a = { .family = family };
    for (unsigned i = family == 4 ? 4 : 16; i > 0; i--, n >>= 8)
        a.ip[i - 1] = (uint8_t)n;
    return a;
}

static bool in_ranges(struct ranges r, wide n) {
    for (size_t i = 0; i < r.count; i++)
        if (n >= r.list[i].first && n <= r.list[i].last)
            return true;
    return false;
}

/* Both must know the same registries. Only 6to4, which routers still carry, counts here. */
static void agree(struct ranges public, wide n, uint8_t family) {
    struct addr a = from_number(n, family);
    bool mapped = family == 6 && n >> 32 == 0xffff;
    bool sixtofour = family == 6 && n >> 112 == 0x2002;
    bool here = in_ranges(public, n);
    if (here != ((addr_is_public(a) && !mapped) || sixtofour)) {
        char text[64];
        struct buf b = buf_fixed(text, sizeof text);
        addr_format(&b, a);
        fail_msg("%s: %d", buf_text(&b), here);
    }
}

static void test_public_agrees_with_addr(void **state) {
    (void)state;
    struct arena *a = arena_open();
    const struct network list[] = { net("0.0.0.0/0"), net("::/0") };
    struct address_set open =
        address_set_public(address_set_of((struct networks){ 2, list }, a), a);
    for (int family = 4; family <= 6; family += 2) {
        struct ranges r = family == 4 ? open.v4 : open.v6;
        for (size_t i = 0; i < r.count; i++) {
            agree(r, r.list[i].first, (uint8_t)family);
            agree(r, r.list[i].last, (uint8_t)family);
            if (r.list[i].first)
                agree(r, r.list[i].first - 1, (uint8_t)family);
            agree(r, r.list[i].last + 1, (uint8_t)family);
        }
    }
    for (int i = 0; i < 20000; i++)
        agree(open.v4, (wide)roll(1u << 24) << 8 | roll(256), 4);
    for (int i = 0; i < 65536; i++)
        agree(open.v6, (wide)(unsigned)i << 112 | roll(1u << 24), 6);
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_brute_force),
        cmocka_unit_test(test_whole_families),
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_public_agrees_with_addr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
