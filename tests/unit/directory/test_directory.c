/* The workers' side of the directory: a real loop, a real thread, a real file. */
#include "directory/directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

struct fixture {
    char folder[64], file[96];
    struct loop *loop;
    struct directory *directory;
    struct directory_db *writer;
    struct why why;
};

struct answer {
    struct loop *loop;
    unsigned count, wanted;
    enum rc rc;
    bool found, disabled;
    char address[128];
    struct why why;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->folder, "/tmp/postern-directory-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->file, sizeof f->file, "%s/directory.db", f->folder);
    f->loop = loop_open();
    assert_int_equal(directory_open(f->loop, f->file, &f->directory, &f->why), OK);
    assert_int_equal(directory_db_open(f->file, false, &f->writer, &f->why), OK);
    *state = f;
    return 0;
}

static void delete_with(const struct fixture *f, const char *suffix) {
    char path[128];
    snprintf(path, sizeof path, "%s%s", f->file, suffix);
    unlink(path);
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    directory_close(&f->directory);
    directory_db_close(&f->writer);
    loop_close(&f->loop);
    delete_with(f, "");
    delete_with(f, "-wal");
    delete_with(f, "-shm");
    delete_with(f, ".away");
    rmdir(f->folder);
    free(f);
    return 0;
}

static void on_found(void *ctx, enum rc rc, const struct directory_entry *e,
                     const struct why *why) {
    struct answer *a = ctx;
    a->count++;
    a->rc = rc;
    a->found = e != NULL;
    a->why = *why;
    if (e) {
        a->disabled = e->disabled;
        snprintf(a->address, sizeof a->address, "%.*s", BYTES_FMT(e->address));
    }
    if (a->count == a->wanted)
        loop_stop(a->loop);
}

static struct answer ask(struct fixture *f, const char *address) {
    struct answer a = { .loop = f->loop, .wanted = 1 };
    directory_find(f->directory, bytes_str(address), on_found, &a);
    assert_int_equal(a.count, 0); /* never before the call returned */
    loop_run(f->loop);
    assert_int_equal(a.count, 1);
    return a;
}

/* Lets the 50 ms of trust in the cache go by, by the loop's own clock. */
static void on_time(void *ctx) {
    loop_stop(ctx);
}
static void let_go_stale(struct fixture *f) {
    struct timer t = { 0 };
    timer_set(f->loop, &t, 51, on_time, f->loop);
    loop_run(f->loop);
}

static void answers_come_later_and_once(void **state) {
    struct fixture *f = *state;
    directory_user_add(f->writer, B("terri@a.example"), &f->why);
    struct answer a = ask(f, "Terri+x@A.example");
    assert_int_equal(a.rc, OK);
    assert_string_equal(a.address, "terri@a.example");
    a = ask(f, "nobody@a.example");
    assert_int_equal(a.rc, OK);
    assert_false(a.found);
    a = ask(f, "terri+x@a.example"); /* from memory now */
    assert_string_equal(a.address, "terri@a.example");
}

static void logins_are_users_only(void **state) {
    struct fixture *f = *state;
    directory_user_add(f->writer, B("terri@a.example"), &f->why);
    directory_alias_add(f->writer, B("sales@a.example"), B("terri@a.example"), &f->why);
    struct answer a = { .loop = f->loop, .wanted = 1 };
    directory_find_login(f->directory, B("TERRI@a.example"), on_found, &a);
    loop_run(f->loop);
    assert_string_equal(a.address, "terri@a.example");
    struct answer b = { .loop = f->loop, .wanted = 1 };
    directory_find_login(f->directory, B("sales@a.example"), on_found, &b);
    loop_run(f->loop);
    assert_int_equal(b.rc, OK);
    assert_false(b.found);
    assert_true(ask(f, "sales@a.example").found); /* login and address do not share a memory */
}

static void a_change_by_a_command_is_seen(void **state) {
    struct fixture *f = *state;
    directory_user_add(f->writer, B("terri@a.example"), &f->why);
    assert_false(ask(f, "terri@a.example").disabled);
    assert_false(ask(f, "new@a.example").found);
    directory_user_disable(f->writer, B("terri@a.example"), true, &f->why);
    directory_user_add(f->writer, B("new@a.example"), &f->why);
    let_go_stale(f);
    assert_true(ask(f, "terri@a.example").disabled);
    assert_true(ask(f, "new@a.example").found);
    directory_user_remove(f->writer, B("terri@a.example"), &f->why);
    let_go_stale(f);
    assert_false(ask(f, "terri@a.example").found);
}

static void a_removed_file_is_never_no_such_user(void **state) {
    struct fixture *f = *state;
    char away[128];
    snprintf(away, sizeof away, "%s.away", f->file);
    directory_user_add(f->writer, B("terri@a.example"), &f->why);
    assert_true(ask(f, "terri@a.example").found);
    assert_int_equal(rename(f->file, away), 0);
    let_go_stale(f);
    struct answer a = ask(f, "terri@a.example");
    assert_int_equal(a.rc, TEMP);
    assert_string_equal(a.why.reason, "backend.directory");
    assert_int_equal(ask(f, "other@a.example").rc, TEMP);
    assert_int_equal(access(f->file, F_OK), -1); /* and it is not made anew, empty */
    assert_int_equal(rename(away, f->file), 0);
    assert_true(ask(f, "terri@a.example").found);
}

static void a_restored_file_is_taken_up(void **state) {
    struct fixture *f = *state;
    struct directory_db *db;
    assert_false(ask(f, "terri@a.example").found);
    directory_db_close(&f->writer);
    delete_with(f, "");
    delete_with(f, "-wal");
    delete_with(f, "-shm");
    assert_int_equal(directory_db_open(f->file, true, &db, &f->why), OK);
    directory_user_add(db, B("terri@a.example"), &f->why);
    directory_db_close(&db);
    let_go_stale(f);
    assert_true(ask(f, "terri@a.example").found);
}

static void a_damaged_file_is_told_as_our_fault(void **state) {
    struct fixture *f = *state;
    directory_db_close(&f->writer);
    delete_with(f, "");
    delete_with(f, "-wal");
    delete_with(f, "-shm");
    FILE *file = fopen(f->file, "w");
    for (int i = 0; i < 1000; i++)
        fputs("garbage!", file);
    fclose(file);
    struct answer a = ask(f, "terri@a.example");
    assert_int_equal(a.rc, TEMP);
    assert_string_equal(a.why.reason, "backend.directory");
}

static void many_at_once_and_some_given_up(void **state) {
    struct fixture *f = *state;
    directory_user_add(f->writer, B("terri@a.example"), &f->why);
    struct answer kept = { .loop = f->loop, .wanted = 200 }, given_up = { .loop = f->loop };
    for (int i = 0; i < 200; i++) {
        char address[32];
        int len = snprintf(address, sizeof address, "u%d@a.example", i % 50);
        directory_find(f->directory, bytes_of(address, (size_t)len), on_found, &kept);
        directory_find(f->directory, B("terri@a.example"), on_found, &given_up);
    }
    directory_cancel(f->directory, &given_up);
    loop_run(f->loop);
    assert_int_equal(kept.count, 200);
    assert_int_equal(given_up.count, 0);
}

static void hostile_keys_are_only_unknown(void **state) {
    struct fixture *f = *state;
    char *big = malloc(100000);
    memset(big, 'x', 100000);
    struct answer a = { .loop = f->loop, .wanted = 3 };
    directory_find(f->directory, bytes_of(big, 100000), on_found, &a);
    directory_find(f->directory, bytes_of("a\0b@c", 5), on_found, &a);
    directory_find(f->directory, BYTES_NONE, on_found, &a);
    loop_run(f->loop);
    assert_int_equal(a.rc, OK);
    assert_false(a.found);
    free(big);
}

static void closing_with_questions_open(void **state) {
    struct fixture *f = *state;
    struct answer a = { .loop = f->loop };
    for (int i = 0; i < 10; i++)
        directory_find(f->directory, B("terri@a.example"), on_found, &a);
    directory_close(&f->directory);
    assert_int_equal(a.count, 0);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(answers_come_later_and_once),    CASE(logins_are_users_only),
        CASE(a_change_by_a_command_is_seen),  CASE(a_removed_file_is_never_no_such_user),
        CASE(a_restored_file_is_taken_up),    CASE(a_damaged_file_is_told_as_our_fault),
        CASE(many_at_once_and_some_given_up), CASE(hostile_keys_are_only_unknown),
        CASE(closing_with_questions_open),
    };
    return cmocka_run_group_tests_name("directory/directory", tests, NULL, NULL);
}
