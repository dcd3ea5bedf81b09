/* Who was answered: once within the pause, whoever asks, whatever ends meanwhile; on real files. */
#include "directory/directory.h"

#include "directory/answered.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

static const int64_t NOW = 1795167000000, WEEK = 7LL * 86400000;

struct fixture {
    char folder[64], file[96];
    struct loop *loop;
    struct directory *one, *two; /* two workers */
    struct why why;
};

static void open_two(struct fixture *f) {
    assert_int_equal(directory_open(f->loop, f->file, &f->one, &f->why), OK);
    assert_int_equal(directory_open(f->loop, f->file, &f->two, &f->why), OK);
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->folder, "/tmp/postern-answered-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->file, sizeof f->file, "%s/directory.db", f->folder);
    f->loop = loop_open();
    open_two(f);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    static const char *const names[] = { "directory.db", "answered.db" };
    static const char *const ends[] = { "", "-wal", "-shm" };
    directory_close(&f->one);
    directory_close(&f->two);
    loop_close(&f->loop);
    for (size_t i = 0; i < 6; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s%s", f->folder, names[i / 3], ends[i % 3]);
        unlink(path);
    }
    rmdir(f->folder);
    free(f);
    return 0;
}

struct told {
    struct loop *loop;
    unsigned count, wanted, claims;
    enum rc rc;
    enum directory_claim_result result;
    struct why why;
};

static void on_claimed(void *ctx, enum rc rc, enum directory_claim_result result,
                       const struct why *why) {
    struct told *t = ctx;
    t->count++;
    t->rc = rc;
    t->result = result;
    t->why = *why;
    t->claims += rc == OK && result == DIRECTORY_CLAIMED;
    if (t->count == t->wanted)
        loop_stop(t->loop);
}

static void begin(struct directory *d, struct told *t, const char *user, const char *sender,
                  int64_t now) {
    const struct directory_claim c = {
        .user = bytes_str(user), .sender = bytes_str(sender), .now = now, .pause = WEEK
    };
    directory_claim_answer(d, &c, on_claimed, t);
}

static struct told ask(struct fixture *f, struct directory *d, const char *user, const char *sender,
                       int64_t now) {
    struct told t = { .loop = f->loop, .wanted = 1 };
    begin(d, &t, user, sender, now);
    assert_int_equal(t.count, 0); /* never before the call returned */
    loop_run(f->loop);
    return t;
}

static void assert_result(struct fixture *f, struct directory *d, const char *sender, int64_t now,
                          enum directory_claim_result wanted) {
    struct told t = ask(f, d, "ann@a.example", sender, now);
    assert_int_equal(t.rc, OK);
    assert_int_equal(t.result, wanted);
}

static void once_in_a_week(void **state) {
    struct fixture *f = *state;
    assert_result(f, f->one, "Bob@b.example", NOW, DIRECTORY_CLAIMED);
    assert_result(f, f->one, "bob@B.example", NOW + 1, DIRECTORY_CLAIMED_BEFORE);
    assert_result(f, f->two, "bob@b.example", NOW + WEEK - 1, DIRECTORY_CLAIMED_BEFORE);
    assert_result(f, f->one, "eve@b.example", NOW, DIRECTORY_CLAIMED);
    assert_int_equal(ask(f, f->two, "zoe@a.example", "bob@b.example", NOW).result,
                     DIRECTORY_CLAIMED);
    assert_result(f, f->two, "bob@b.example", NOW + WEEK, DIRECTORY_CLAIMED);
}

static void a_restart_forgets_nothing(void **state) {
    struct fixture *f = *state;
    assert_result(f, f->one, "bob@b.example", NOW, DIRECTORY_CLAIMED);
    directory_close(&f->one);
    directory_close(&f->two);
    open_two(f);
    assert_result(f, f->two, "bob@b.example", NOW + 5, DIRECTORY_CLAIMED_BEFORE);
}

static void one_of_two_workers_gets_it(void **state) {
    struct fixture *f = *state;
    struct told t = { .loop = f->loop, .wanted = 40 };
    for (size_t i = 0; i < 40; i++)
        begin(i % 2 ? f->one : f->two, &t, "ann@a.example", "bob@b.example", NOW);
    loop_run(f->loop);
    assert_int_equal(t.rc, OK);
    assert_int_equal(t.claims, 1);
}

/* A clock that was a year ahead must not silence a user for a year; one hour back is nothing. */
static void clocks_that_are_set_back(void **state) {
    struct fixture *f = *state;
    assert_result(f, f->one, "bob@b.example", NOW + 52 * WEEK, DIRECTORY_CLAIMED);
    assert_result(f, f->one, "bob@b.example", NOW, DIRECTORY_CLAIMED);
    assert_result(f, f->one, "bob@b.example", NOW - 3600000, DIRECTORY_CLAIMED_BEFORE);
}

static void a_flood_of_senders_ends(void **state) {
    struct fixture *f = *state;
    struct told t = { .loop = f->loop, .wanted = ANSWERED_MAX + 5 };
    char sender[64];
    for (unsigned i = 0; i < ANSWERED_MAX + 5; i++) {
        snprintf(sender, sizeof sender, "b%u@b.example", i);
        begin(f->one, &t, "ann@a.example", sender, NOW);
    }
    loop_run(f->loop);
    assert_int_equal(t.claims, ANSWERED_MAX);
    assert_int_equal(t.result, DIRECTORY_CLAIMS_FULL);
    assert_int_equal(ask(f, f->one, "zoe@a.example", "bob@b.example", NOW).result,
                     DIRECTORY_CLAIMED);
    assert_result(f, f->one, "new@b.example", NOW + WEEK, DIRECTORY_CLAIMED);
}

static void a_file_that_cannot_be_used_means_no_answer(void **state) {
    struct fixture *f = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/answered.db", f->folder);
    FILE *file = fopen(path, "w");
    for (size_t i = 0; i < 1000; i++)
        fputs("this is no database", file);
    fclose(file);
    struct told t = ask(f, f->one, "ann@a.example", "bob@b.example", NOW);
    assert_int_equal(t.rc, TEMP);
    assert_string_equal(t.why.reason, "backend.directory");
    unlink(path);
    assert_result(f, f->one, "bob@b.example", NOW, DIRECTORY_CLAIMED);
}

static void cancelled_means_no_call(void **state) {
    struct fixture *f = *state;
    struct told gone = { .loop = f->loop, .wanted = 1 };
    begin(f->one, &gone, "ann@a.example", "bob@b.example", NOW);
    directory_cancel(f->one, &gone);
    assert_result(f, f->one, "bob@b.example", NOW, DIRECTORY_CLAIMED_BEFORE);
    assert_int_equal(gone.count, 0);
    begin(f->one, &gone, "ann@a.example", "eve@b.example", NOW); /* closed with one under way */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(once_in_a_week),
        CASE(a_restart_forgets_nothing),
        CASE(one_of_two_workers_gets_it),
        CASE(clocks_that_are_set_back),
        CASE(a_flood_of_senders_ends),
        CASE(a_file_that_cannot_be_used_means_no_answer),
        CASE(cancelled_means_no_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
