/* Tests of src/base/heap.c. */
#include "base/heap.h"

#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_first_in_first_out(void **state) {
    (void)state;
    struct heap h;
    struct heap_node nodes[100] = { 0 };
    heap_init(&h);
    assert_null(heap_first(&h));
    for (size_t i = 0; i < 100; i++)
        heap_put(&h, &nodes[i], (int64_t)(i % 3) - 1);
    int64_t key = -1;
    size_t last = 0;
    for (size_t i = 0; i < 100; i++) {
        struct heap_node *n = heap_first(&h);
        size_t at = (size_t)(n - nodes);
        assert_true(n->key > key || (n->key == key && (at > last || i == 0)));
        key = n->key;
        last = at;
        heap_remove(&h, n);
        assert_false(heap_has(n));
    }
    assert_null(heap_first(&h));
    heap_free(&h);
}

static void test_put_moves(void **state) {
    (void)state;
    struct heap h;
    struct heap_node a = { 0 }, b = { 0 };
    heap_init(&h);
    heap_put(&h, &a, 1);
    heap_put(&h, &b, 2);
    assert_ptr_equal(heap_first(&h), &a);
    heap_put(&h, &a, 3);
    assert_int_equal(h.count, 2);
    assert_ptr_equal(heap_first(&h), &b);
    heap_put(&h, &a, INT64_MIN);
    assert_ptr_equal(heap_first(&h), &a);
    heap_remove(&h, &a);
    heap_remove(&h, &a); /* nothing */
    assert_int_equal(h.count, 1);
    heap_free(&h);
}

static void check_order(const struct heap *h) {
    for (size_t i = 1; i <= h->count; i++) {
        assert_int_equal(h->nodes[i]->index, i);
        assert_true(i == 1 || h->nodes[i / 2]->key <= h->nodes[i]->key);
    }
}

static void test_any_sequence_keeps_the_order(void **state) {
    (void)state;
    struct heap h;
    struct heap_node nodes[60] = { 0 };
    heap_init(&h);
    srand(1);
    for (int step = 0; step < 20000; step++) {
        struct heap_node *n = &nodes[(size_t)rand() % COUNT_OF(nodes)];
        if (rand() % 3)
            heap_put(&h, n, rand() % 40);
        else
            heap_remove(&h, n);
        check_order(&h);
    }
    size_t in = 0;
    for (size_t i = 0; i < COUNT_OF(nodes); i++)
        in += heap_has(&nodes[i]);
    assert_int_equal(in, h.count);
    heap_free(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_in_first_out),
        cmocka_unit_test(test_put_moves),
        cmocka_unit_test(test_any_sequence_keeps_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
