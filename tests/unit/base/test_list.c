/* Tests of src/base/list.c. */
#include "base/list.h"

#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    int n;
    struct list_node node;
};

static int number(const struct list_node *n) {
    return CONTAINER_OF(n, struct item, node)->n;
}

static void test_order(void **state) {
    (void)state;
    struct list l;
    struct item items[4] = { { .n = 0 }, { .n = 1 }, { .n = 2 }, { .n = 3 } };
    list_init(&l);
    assert_null(list_first(&l));
    assert_null(list_pop(&l));
    for (int i = 1; i < 4; i++)
        list_append(&l, &items[i].node);
    list_prepend(&l, &items[0].node);
    assert_int_equal(l.count, 4);
    int expected = 0;
    LIST_EACH(&l, n) {
        assert_int_equal(number(n), expected++);
    }
    assert_int_equal(expected, 4);
    assert_null(list_next(&l, &items[3].node));
    assert_int_equal(number(list_pop(&l)), 0);
    assert_int_equal(l.count, 3);
}

static void test_remove(void **state) {
    (void)state;
    struct list l;
    struct item items[4] = { { .n = 0 }, { .n = 1 }, { .n = 2 }, { .n = 3 } };
    list_init(&l);
    for (int i = 0; i < 4; i++)
        list_append(&l, &items[i].node);
    LIST_EACH(&l, n) {
        if (number(n) % 2 == 0)
            list_remove(&l, n);
    }
    assert_int_equal(l.count, 2);
    assert_false(list_linked(&items[0].node));
    assert_null(items[0].node.prev);
    assert_true(list_linked(&items[1].node));
    list_append(&l, &items[0].node);
    assert_int_equal(number(list_pop(&l)), 1);
    assert_int_equal(number(list_pop(&l)), 3);
    assert_int_equal(number(list_pop(&l)), 0);
    assert_null(list_pop(&l));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
