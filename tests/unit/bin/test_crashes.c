/* Which messages the parent has held: not one that was in hand once, each that was so twice. */
#include "base/must.h"
#include "bin/crashes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static size_t held(const struct crashes *c, unsigned worker) {
    struct message_id ids[CRASHES_KEPT];
    return crashes_to_hold(c, worker, ids);
}

static void second_time(void **state) {
    (void)state;
    struct crashes c = { 0 };
    struct message_id ids[CRASHES_KEPT];
    crashes_note(&c, 1, B("9zldt-0"));
    assert_int_equal(held(&c, 1), 0);
    crashes_note(&c, 1, B("9zldt-0"));
    assert_int_equal(crashes_to_hold(&c, 1, ids), 1);
    assert_string_equal(ids[0].text, "9zldt-0");
    assert_int_equal(held(&c, 0), 0); /* another worker does not have its lane */
    crashes_note(&c, 1, B("9zldt-0"));
    assert_int_equal(held(&c, 1), 1);
    crashes_forget(&c, B("9zldt-0"));
    assert_int_equal(held(&c, 1), 0);
    crashes_note(&c, 1, B("9zldt-0")); /* after a release counting begins anew */
    assert_int_equal(held(&c, 1), 0);
}

static void taking_turns(void **state) {
    (void)state;
    struct crashes c = { 0 };
    crashes_note(&c, 0, B("aaaa-0"));
    crashes_note(&c, 0, B("bbbb-0"));
    crashes_note(&c, 0, B("aaaa-0"));
    assert_int_equal(held(&c, 0), 1);
    crashes_note(&c, 0, B("bbbb-0"));
    assert_int_equal(held(&c, 0), 2);
}

static void nothing_in_hand(void **state) {
    (void)state;
    struct crashes c = { 0 };
    for (int i = 0; i < 5; i++) {
        crashes_note(&c, 0, BYTES_NONE);
        crashes_note(&c, 0, B("no id at all, and far too long to be one"));
    }
    crashes_forget(&c, B("aaaa-0"));
    assert_int_equal(c.count, 0);
}

static void oldest_falls_off(void **state) {
    (void)state;
    struct crashes c = { 0 };
    char id[24];
    for (int i = 0; i < CRASHES_KEPT + 10; i++) {
        snprintf(id, sizeof id, "id%d-0", i);
        crashes_note(&c, 0, bytes_str(id));
        crashes_note(&c, 0, B("bad-0")); /* used last, so it stays */
    }
    assert_int_equal(c.count, CRASHES_KEPT);
    crashes_note(&c, 0, B("id0-0"));
    assert_int_equal(held(&c, 0), 1);
    crashes_note(&c, 0, bytes_str(id));
    assert_int_equal(held(&c, 0), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_time),
        cmocka_unit_test(taking_turns),
        cmocka_unit_test(nothing_in_hand),
        cmocka_unit_test(oldest_falls_off),
    };
    return cmocka_run_group_tests_name("bin/crashes", tests, NULL, NULL);
}
