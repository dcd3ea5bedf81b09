/* Tests of src/base/arena.c. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_alloc_is_zeroed_and_aligned(void **state) {
    (void)state;
    struct arena *a = arena_open();
    assert_int_equal(arena_used(a), 0);
    for (int round = 0; round < 2; round++) {
        for (size_t size = 0; size < 3000; size = size * 5 / 4 + 1) {
            unsigned char *at = arena_alloc(a, size);
            assert_int_equal((uintptr_t)at % _Alignof(max_align_t), 0);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(at[i], 0);
            memset(at, 0xee, size); /* what a reset must wipe off */
        }
        arena_reset(a);
        assert_int_equal(arena_used(a), 0);
    }
    arena_close(&a);
    assert_null(a);
    arena_close(&a);
}

static void test_allocations_do_not_overlap(void **state) {
    (void)state;
    enum { COUNT = 200 };
    struct arena *a = arena_open();
    unsigned char *all[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        all[i] = ARENA_ARRAY(a, i * i * 3 + 1, unsigned char);
        memset(all[i], (int)i, i * i * 3 + 1);
    }
    for (size_t i = 0; i < COUNT; i++)
        for (size_t k = 0; k < i * i * 3 + 1; k++)
            assert_true(all[i][k] == i);
    assert_int_equal(arena_used(a), 7940300); /* the sum of all sizes */
    arena_close(&a);
}

static void test_first_block_of_a_size(void **state) {
    (void)state;
    struct arena *a = arena_open_for(100);
    for (int round = 0; round < 2; round++) {
        for (size_t size = 1; size < 3000; size *= 3) {
            unsigned char *at = arena_alloc(a, size);
            for (size_t i = 0; i < size; i++)
                assert_int_equal(at[i], 0);
            memset(at, 0xee, size);
        }
        arena_reset(a);
        assert_int_equal(arena_used(a), 0);
    }
    arena_close(&a);
    assert_null(a);
}

static void test_copies(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct bytes copy = arena_copy(a, bytes_first(B("hello"), 4));
    assert_true(bytes_equal(copy, B("hell")));
    assert_int_equal(copy.at[4], '\0');
    assert_true(bytes_equal(arena_lower(a, B("MiXed")), B("mixed")));
    assert_int_equal(arena_lower(a, BYTES_NONE).len, 0);
    assert_string_equal(arena_str(a, B("x")), "x");
    assert_string_equal(arena_str(a, BYTES_NONE), "");
    arena_close(&a);
}

static void test_printf(void **state) {
    (void)state;
    struct arena *a = arena_open();
    assert_true(bytes_equal(arena_printf(a, "%d %s", 7, "x"), B("7 x")));
    for (int width = 254; width < 258; width++) {
        struct bytes text = arena_printf(a, "%*d", width, 5);
        assert_int_equal(text.len, width);
        assert_int_equal(text.at[width - 1], '5');
        assert_int_equal(text.at[width], '\0');
    }
    arena_close(&a);
}

static struct arena *undo_arena;
static char undo_log[16];
static char letter_a[] = "a", letter_b[] = "b", letter_c[] = "c", letter_d[] = "d",
            letter_z[] = "z";

static void note(void *arg) {
    strcat(undo_log, arg);
}

static void note_and_defer(void *arg) {
    note(arg);
    arena_defer(undo_arena, note, letter_z);
}

static void test_defer(void **state) {
    (void)state;
    undo_arena = arena_open();
    undo_log[0] = '\0';
    arena_defer(undo_arena, note, letter_a);
    arena_defer(undo_arena, note_and_defer, letter_b);
    arena_defer(undo_arena, note, letter_c);
    assert_int_equal(arena_used(undo_arena), 0);
    arena_reset(undo_arena);
    assert_string_equal(undo_log, "cbza");
    arena_reset(undo_arena);
    assert_string_equal(undo_log, "cbza");
    arena_defer(undo_arena, note, letter_d);
    arena_close(&undo_arena);
    assert_string_equal(undo_log, "cbzad");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc_is_zeroed_and_aligned),
        cmocka_unit_test(test_allocations_do_not_overlap),
        cmocka_unit_test(test_first_block_of_a_size),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_defer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
