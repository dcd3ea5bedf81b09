/* Names of accounts: looked up once a minute, on a thread, so that a look-up that hangs holds up nobody
 * else. */
#include "sys/names.h"

#include "base/must.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static atomic_uint looked_up;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static char heard[200];
static struct loop *loop;

static struct bytes slow_look_up(unsigned uid, char *room, size_t size) {
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    looked_up++;
    return bytes_of(room, (size_t)snprintf(room, size, "user%u", uid));
}

static void on_name(void *ctx, struct bytes name) {
    snprintf(heard + strlen(heard), sizeof heard - strlen(heard), "[%.*s]", BYTES_FMT(name));
    if (ctx)
        loop_stop(loop);
}

static void open_the_gate(void *ctx) {
    (void)ctx;
    strcat(heard, "(tick)"); /* the loop ran meanwhile */
    pthread_mutex_unlock(&gate);
}

static void test_names(void **state) {
    (void)state;
    loop = loop_open();
    struct names *n = names_open(loop);
    struct timer timer = { 0 };
    names_look_up_with(n, slow_look_up);
    pthread_mutex_lock(&gate);
    timer_set(loop, &timer, 20, open_the_gate, NULL);
    names_find(n, 7, on_name, NULL);
    names_find(n, 8, on_name, loop);
    loop_run(loop);
    assert_string_equal(heard, "(tick)[user7][user8]");
    names_find(n, 7, on_name, NULL); /* known */
    assert_string_equal(heard, "(tick)[user7][user8][user7]");
    assert_int_equal(looked_up, 2);
    names_close(&n);
    assert_null(n);
    loop_close(&loop);
}

static void test_of_the_system(void **state) {
    (void)state;
    heard[0] = '\0';
    loop = loop_open();
    struct names *n = names_open(loop);
    names_find(n, 0, on_name, NULL);
    names_find(n, 3999999999u, on_name, loop);
    loop_run(loop);
    assert_string_equal(heard, "[root][3999999999]");
    names_find(n, 5, on_name, NULL); /* not answered: told so at the end */
    names_close(&n);
    assert_string_equal(heard, "[root][3999999999][]");
    loop_close(&loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_of_the_system),
    };
    return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
