/* Tests of src/base/map.c. */
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_put_find_remove(void **state) {
    (void)state;
    struct map *m = map_open();
    int one, two;
    assert_null(map_find(m, B("a")));
    assert_null(map_remove(m, B("a")));
    assert_null(map_put(m, B("a"), &one));
    assert_null(map_put(m, B(""), &two));
    assert_ptr_equal(map_put(m, B("a"), &two), &one);
    assert_ptr_equal(map_find(m, B("a")), &two);
    assert_ptr_equal(map_find(m, BYTES_NONE), &two);
    assert_null(map_find(m, B("A")));
    assert_null(map_find(m, B("a\0")));
    assert_int_equal(map_count(m), 2);
    assert_ptr_equal(map_remove(m, B("a")), &two);
    assert_null(map_find(m, B("a")));
    assert_int_equal(map_count(m), 1);
    map_close(&m);
    assert_null(m);
    map_close(&m);
}

static void test_keys_are_copied(void **state) {
    (void)state;
    struct map *m = map_open();
    for (size_t len = 0; len < 40; len++) {
        char key[40];
        memset(key, 'k', len);
        map_put(m, bytes_of(key, len), &m);
        memset(key, 'x', len);
    }
    for (size_t len = 0; len < 40; len++)
        assert_non_null(
            map_find(m, bytes_first(B("kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"), len)));
    uint32_t id = 7, other = 8;
    map_put(m, MAP_KEY(id), &id);
    assert_ptr_equal(map_find(m, MAP_KEY(id)), &id);
    assert_null(map_find(m, MAP_KEY(other)));
    map_close(&m);
}

/* Against the simplest model there is: an array by number. */
static void test_like_a_model(void **state) {
    (void)state;
    enum { KEYS = 3000 };
    static void *model[KEYS];
    size_t count = 0;
    struct map *m = map_open();
    srand(1);
    for (int step = 0; step < 200000; step++) {
        /* Mostly growing, then mostly shrinking. */
        int n = rand() % KEYS, limit = step < 100000 ? 7 : 3;
        char key[32];
        struct bytes k =
            bytes_of(key, (size_t)sprintf(key, n % 2 ? "%d" : "a rather long key %d", n));
        if (rand() % 10 < limit) {
            assert_ptr_equal(map_put(m, k, &model[step % KEYS]), model[n]);
            count += model[n] == NULL;
            model[n] = &model[step % KEYS];
        } else {
            assert_ptr_equal(map_remove(m, k), model[n]);
            count -= model[n] != NULL;
            model[n] = NULL;
        }
        assert_int_equal(map_count(m), count);
    }
    for (int n = 0; n < KEYS; n++) {
        char key[32];
        struct bytes k =
            bytes_of(key, (size_t)sprintf(key, n % 2 ? "%d" : "a rather long key %d", n));
        assert_ptr_equal(map_find(m, k), model[n]);
    }
    map_close(&m);
}

static void test_next(void **state) {
    (void)state;
    enum { COUNT = 500 };
    struct map *m = map_open();
    int seen[COUNT] = { 0 };
    for (int i = 0; i < COUNT; i++)
        map_put(m, MAP_KEY(i), &seen[i]);
    struct bytes key;
    void *value;
    for (size_t position = 0; map_next(m, &position, &key, &value);) {
        int i;
        assert_int_equal(key.len, sizeof i);
        memcpy(&i, key.at, sizeof i);
        assert_ptr_equal(value, &seen[i]);
        seen[i]++;
        if (i % 3)
            assert_ptr_equal(map_remove(m, key), &seen[i]);
    }
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(seen[i], 1);
    assert_int_equal(map_count(m), (COUNT + 2) / 3);
    for (size_t position = 0; map_next(m, &position, &key, NULL);)
        map_remove(m, key);
    assert_int_equal(map_count(m), 0);
    map_close(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_find_remove),
        cmocka_unit_test(test_keys_are_copied),
        cmocka_unit_test(test_like_a_model),
        cmocka_unit_test(test_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
