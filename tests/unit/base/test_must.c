/* Tests of src/base/must.c. */
#include "base/must.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_true_goes_on(void **state) {
    (void)state;
    MUST(1 + 1 == 2);
}

static void test_false_prints_and_aborts(void **state) {
    (void)state;
    int ends[2], status;
    char text[256];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        MUST(1 + 1 == 3);
        _exit(0);
    }
    close(ends[1]);
    ssize_t len = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_true(len > 0);
    text[len] = '\0';
    assert_non_null(strstr(text, "test_must.c:"));
    assert_non_null(strstr(text, "MUST(1 + 1 == 3)\n"));
}

static void test_container(void **state) {
    (void)state;
    struct outer {
        int a, b;
    } o;
    assert_ptr_equal(CONTAINER_OF(&o.b, struct outer, b), &o);
    int three[3];
    assert_int_equal(COUNT_OF(three), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_true_goes_on),
        cmocka_unit_test(test_false_prints_and_aborts),
        cmocka_unit_test(test_container),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
