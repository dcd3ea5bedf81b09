/* What replies mean, all over the world: every row of tests/golden/replies-wide.txt. */
#include "reply/knowledge.h"

#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* "cause" or "cause:reason", one of those between the bars. */
static bool is_accepted(struct bytes list, const struct reply_meaning *m) {
    struct bytes one, cause;
    while (bytes_split(&list, '|', &one)) {
        bytes_split(&one, ':', &cause);
        if (bytes_equal(cause, bytes_str(m->cause)) &&
            (!one.len || bytes_equal(one, bytes_str(m->reason))))
            return true;
    }
    return false;
}

static bool is_relay(const char *cause) {
    return bytes_starts(bytes_str(cause), B("relay-"));
}

/* One reply of the file; whether it is right. */
static bool is_right(struct bytes text, const char *step, struct bytes accepted) {
    const struct reply_facts facts = { .text = text, .command = step[0] == '-' ? NULL : step };
    const struct reply_meaning *m = reply_explain(&facts);
    bool right = is_accepted(accepted, m);
    if (!right)
        print_message("[%s] %.*s: %s:%s by rule %s, not %.*s\n", step, BYTES_FMT(text), m->cause,
                      m->reason, m->rule, BYTES_FMT(accepted));
    assert_true(m->confidence > 0 && m->confidence <= 1);
    assert_true(right || !is_relay(m->cause));
    return right;
}

static void test_all(void **state) {
    (void)state;
    char line[4096], step[32] = "", accepted[256] = "";
    unsigned count = 0, wrong = 0;
    FILE *f = fopen("tests/golden/replies-wide.txt", "rb");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        struct bytes text = bytes_trim(bytes_str(line));
        if (!text.len || text.at[0] == '#')
            continue;
        if (bytes_starts(text, B("== "))) {
            assert_int_equal(sscanf(line, "== %31s %255s", step, accepted), 2);
            continue;
        }
        count++;
        wrong += !is_right(text, step, bytes_str(accepted));
    }
    fclose(f);
    assert_true(count > 1200);
    assert_int_equal(wrong, 0);
}

static int tear_down(void **state) {
    (void)state;
    reply_forget();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_all) };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
