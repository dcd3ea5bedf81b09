/* Gateways and bridges, in a network namespace of its own; skipped where there may be none. */
#include "base/must.h"
#include "sys/gateways.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static bool alone; /* in a namespace of our own, with a bridge */

static bool command(const char *text) {
    char line[256];
    snprintf(line, sizeof line, "%s >/dev/null 2>&1", text);
    return system(line) == 0;
}

static struct addr addr(const char *text) {
    struct addr a;
    assert_true(addr_parse(bytes_str(text), &a));
    return a;
}

static int prepare(void **state) {
    (void)state;
    alone = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 && command("ip link set lo up") &&
            command("ip link add br9 type bridge") && command("ip addr add 10.99.0.1/24 dev br9") &&
            command("ip addr add 2001:db8:99::1/64 dev br9 nodad") &&
            command("ip link set br9 up") && command("ip addr add 127.0.0.5/8 dev lo");
    return 0;
}

static void lists_once(void **state) {
    (void)state;
    struct network *found;
    size_t count;
    struct why why;
    struct arena *a = arena_open();
    assert_int_equal(gateways_list(a, &found, &count, &why), OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(found[i].bits, found[i].base.family == 4 ? 32 : 128);
    arena_close(&a);
}

static void knows_bridges(void **state) {
    (void)state;
    struct why why;
    if (!alone)
        skip();
    struct loop *l = loop_open();
    struct gateways *g = gateways_open(l, &why);
    assert_non_null(g);
    assert_true(gateways_has(g, addr("10.99.0.1")));
    assert_true(gateways_has(g, addr("::ffff:10.99.0.1")));
    assert_true(gateways_has(g, addr("2001:db8:99::1")));
    assert_false(gateways_has(g, addr("10.99.0.2")));
    assert_false(gateways_has(g, addr("127.0.0.5"))); /* ours, but no bridge */
    assert_false(gateways_has(g, addr("127.0.0.1")));
    struct arena *a = arena_open();
    struct network *all;
    size_t count = gateways_networks(g, a, &all);
    assert_true(count >= 2);
    arena_close(&a);
    gateways_close(&g);
    loop_close(&l);
}

static void on_change(void *ctx) {
    loop_stop(ctx);
}

static void give_up(void *ctx) {
    loop_stop(ctx);
}

/* Runs until the next change; false after five seconds without one. */
static bool changes(struct loop *l) {
    struct timer guard = { 0 };
    timer_set(l, &guard, 5000, give_up, l);
    loop_run(l);
    bool fine = timer_is_set(&guard);
    timer_clear(&guard);
    return fine;
}

static void follows_changes(void **state) {
    (void)state;
    struct why why;
    if (!alone)
        skip();
    struct loop *l = loop_open();
    struct gateways *g = gateways_open(l, &why);
    gateways_on_change(g, on_change, l);
    assert_false(gateways_has(g, addr("10.99.0.254")));
    assert_true(command("ip route add default via 10.99.0.254"));
    assert_true(changes(l));
    assert_true(gateways_has(g, addr("10.99.0.254")));
    assert_true(command("ip -6 route add default via 2001:db8:99::fe"));
    assert_true(changes(l));
    assert_true(gateways_has(g, addr("2001:db8:99::fe")));
    assert_true(command("ip addr add 10.98.0.1/24 dev br9"));
    assert_true(changes(l));
    assert_true(gateways_has(g, addr("10.98.0.1")));
    assert_true(command("ip route replace default nexthop via 10.99.0.7 nexthop via 10.98.0.8"));
    assert_true(changes(l));
    assert_true(gateways_has(g, addr("10.99.0.7")) && gateways_has(g, addr("10.98.0.8")));
    assert_false(gateways_has(g, addr("10.99.0.254")));
    /* A gateway of the other family. */
    assert_true(command("ip route replace default via inet6 2001:db8:99::77"));
    assert_true(changes(l));
    assert_true(gateways_has(g, addr("2001:db8:99::77")));
    assert_true(command("ip link del br9"));
    assert_true(changes(l));
    assert_false(gateways_has(g, addr("10.99.0.1")));
    gateways_close(&g);
    loop_close(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_once),
        cmocka_unit_test(knows_bridges),
        cmocka_unit_test(follows_changes),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, prepare, NULL);
}
