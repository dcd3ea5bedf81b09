/* What arrives in a Maildir or an mbox: what was there before is none, each message comes, whole in the end, and nothing is
 * changed. The listener is tested with real servers (tests/system). */
#include "base/must.h"
#include "doctor/arrival.h"
#include "sys/files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20 * 1000, MESSAGES = 8 };

struct lab {
    char dir[64];
    struct loop *loop;
    struct arena *arena;
    struct arrivals *arrivals;
    struct timer late;
    size_t count, wanted;
    struct bytes messages[MESSAGES];
};

static bool on_message(void *ctx, struct bytes message, struct bytes by) {
    struct lab *l = ctx;
    assert_int_equal(by.len, 0);
    if (l->count < MESSAGES)
        l->messages[l->count++] = arena_copy(l->arena, message);
    if (l->count >= l->wanted)
        loop_stop(l->loop);
    return true;
}

static void late(void *ctx) {
    struct lab *l = ctx;
    loop_stop(l->loop);
}

static int open_lab(void **state) {
    struct lab *l = calloc(1, sizeof *l);
    strcpy(l->dir, "/tmp/postern-test-XXXXXX");
    l->loop = loop_open();
    l->arena = arena_open();
    *state = l;
    return mkdtemp(l->dir) ? 0 : -1;
}

static int close_lab(void **state) {
    struct lab *l = *state;
    char command[128];
    arrivals_close(&l->arrivals);
    timer_clear(&l->late);
    loop_close(&l->loop);
    arena_close(&l->arena);
    snprintf(command, sizeof command, "rm -rf %s", l->dir);
    free(l);
    return system(command);
}

static struct bytes path(struct lab *l, const char *name) {
    return arena_printf(l->arena, "%s/%s", l->dir, name);
}

static void put(struct lab *l, const char *name, const char *text) {
    struct why why;
    assert_int_equal(files_write(path(l, name), bytes_str(text), FILES_MODE(0600), &why), OK);
}

static void add(struct lab *l, const char *name, const char *text) {
    FILE *f = fopen(path(l, name).at, "a");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void begin(struct lab *l, const char *name) {
    struct why why;
    struct arrival_want want = { .path = path(l, name) };
    assert_int_equal(arrivals_open(l->loop, &want, on_message, l, &l->arrivals, &why), OK);
}

/* Until so many have come, in all. */
static void await(struct lab *l, size_t wanted) {
    l->wanted = wanted;
    timer_set(l->loop, &l->late, PATIENCE_MS, late, l);
    loop_run(l->loop);
    assert_true(l->count >= wanted);
}

static bool came(struct lab *l, const char *text) {
    for (size_t i = 0; i < l->count; i++)
        if (bytes_search(l->messages[i], bytes_str(text)) >= 0)
            return true;
    return false;
}

static void test_maildir(void **state) {
    struct lab *l = *state;
    mkdir(path(l, "new").at, 0700);
    mkdir(path(l, "cur").at, 0700);
    put(l, "new/1.old", "Subject: old\n\n");
    put(l, "cur/2.old:2,S", "Subject: read\n\n");
    begin(l, "");
    put(l, "new/3.fresh", "Subject: fresh\n\nbody\n");
    await(l, 1);
    put(l, "cur/4.filed:2,", "Subject: filed\n\n"); /* by a filter, at once */
    await(l, 2);
    assert_int_equal(l->count, 2);
    assert_true(came(l, "fresh") && came(l, "filed") && !came(l, "old") && !came(l, "read"));
    assert_int_equal(access(path(l, "new/3.fresh").at, F_OK), 0);
}

/* Of a message that is longer than what is looked at, the beginning. */
static void test_long_ones(void **state) {
    struct lab *l = *state;
    mkdir(path(l, "new").at, 0700);
    begin(l, ""); /* no cur/ yet */
    struct buf b = buf_grow(4 * ARRIVAL_MESSAGE);
    while (b.len < 2 * ARRIVAL_MESSAGE)
        buf_str(&b, "0123456789abcdef\n");
    put(l, "new/1.long", buf_text(&b));
    buf_free(&b);
    await(l, 1);
    assert_int_equal(l->messages[0].len, ARRIVAL_MESSAGE);
}

static void test_mbox(void **state) {
    struct lab *l = *state;
    put(l, "mbox", "From a Sat Nov 28 00:00:00 2026\nSubject: old\n\n\n");
    begin(l, "mbox");
    add(l, "mbox",
        "From a Sat Nov 28 00:00:00 2026\nSubject: first\n\nhello\n\nFrom b Sat Nov 28 00:00:00 2026\nSubject: sec");
    await(l, 2);
    assert_true(came(l, "first") && !came(l, "second") && !came(l, "old"));
    l->count = 0; /* what was in the midst of being written comes whole with the next look */
    add(l, "mbox", "ond\n\nhello\n");
    await(l, 2);
    assert_true(came(l, "second"));
}

static void test_not_there_yet(void **state) {
    struct lab *l = *state;
    begin(l, "mbox");
    put(l, "mbox", "From a Sat Nov 28 00:00:00 2026\nSubject: first\n\n");
    await(l, 1);
    assert_true(came(l, "first"));
}

static void test_no_mailbox(void **state) {
    struct lab *l = *state;
    struct why why;
    struct arrival_want want = { .path = path(l, "") }; /* a folder without new/ */
    assert_int_equal(arrivals_open(l->loop, &want, on_message, l, &l->arrivals, &why), PERM);
    assert_null(l->arrivals);
    assert_true(why.text[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_maildir, open_lab, close_lab),
        cmocka_unit_test_setup_teardown(test_long_ones, open_lab, close_lab),
        cmocka_unit_test_setup_teardown(test_mbox, open_lab, close_lab),
        cmocka_unit_test_setup_teardown(test_not_there_yet, open_lab, close_lab),
        cmocka_unit_test_setup_teardown(test_no_mailbox, open_lab, close_lab),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
