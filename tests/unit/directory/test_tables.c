/* The directory's tables, on real SQLite files. */
#include "directory/directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char folder[64], file[96];
    struct directory_db *db;
    struct arena *arena;
    struct why why;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->folder, "/tmp/postern-tables-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->file, sizeof f->file, "%s/directory.db", f->folder);
    assert_int_equal(directory_db_open(f->file, true, &f->db, &f->why), OK);
    f->arena = arena_open();
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
    directory_db_close(&f->db);
    arena_close(&f->arena);
    delete_with(f, "");
    delete_with(f, "-wal");
    delete_with(f, "-shm");
    rmdir(f->folder);
    free(f);
    return 0;
}

static struct directory_entry *find(struct fixture *f, const char *address) {
    struct directory_entry *e;
    assert_int_equal(directory_db_find(f->db, bytes_str(address), f->arena, &e, &f->why), OK);
    return e;
}

static bool owns(struct fixture *f, const char *user, const char *address) {
    struct directory_entry *e = find(f, user);
    assert_non_null(e);
    return strings_has(e->own, bytes_str(address));
}

static enum rc add(struct fixture *f, const char *user) {
    return directory_user_add(f->db, bytes_str(user), &f->why);
}

static enum rc alias(struct fixture *f, const char *address, const char *target) {
    return directory_alias_add(f->db, bytes_str(address), bytes_str(target), &f->why);
}

static void a_user_is_found_in_any_case(void **state) {
    struct fixture *f = *state;
    assert_int_equal(add(f, "Terri@Proseware.COM"), OK);
    struct directory_entry *e = find(f, "tERRI@proseware.com");
    assert_non_null(e);
    assert_int_equal(e->kind, DIRECTORY_USER);
    assert_true(bytes_equal(e->address, B("terri@proseware.com")));
    assert_false(e->disabled);
    assert_int_equal(e->own.count, 1);
    assert_null(find(f, "nobody@proseware.com"));
    assert_null(find(f, ""));
    assert_null(find(f, "' OR 1=1 --"));
}

static void a_subaddress_leads_to_its_user_unless_it_exists_itself(void **state) {
    struct fixture *f = *state;
    assert_int_equal(add(f, "terri@a.example"), OK);
    assert_true(bytes_equal(find(f, "terri+news@a.example")->address, B("terri@a.example")));
    assert_int_equal(add(f, "terri+news@a.example"), OK);
    assert_true(bytes_equal(find(f, "terri+news@a.example")->address, B("terri+news@a.example")));
    assert_true(bytes_equal(find(f, "TERRI+x+y@a.example")->address, B("terri@a.example")));
    assert_null(find(f, "+terri@a.example"));
    struct directory_entry *e;
    assert_int_equal(
        directory_db_find_login(f->db, B("terri+other@a.example"), f->arena, &e, &f->why), OK);
    assert_null(e);
}

static void own_addresses_are_those_that_lead_here_alone(void **state) {
    struct fixture *f = *state;
    add(f, "terri@a.example");
    add(f, "other@a.example");
    assert_int_equal(alias(f, "sales@a.example", "terri@a.example"), OK);
    assert_int_equal(alias(f, "shop@a.example", "sales@a.example"), OK);
    assert_int_equal(alias(f, "tagged@a.example", "terri+x@a.example"), OK);
    assert_int_equal(alias(f, "both@a.example", "terri@a.example"), OK);
    assert_int_equal(alias(f, "both@a.example", "other@a.example"), OK);
    assert_int_equal(alias(f, "viaboth@a.example", "both@a.example"), OK);
    assert_true(owns(f, "terri@a.example", "terri@a.example"));
    assert_true(owns(f, "terri@a.example", "sales@a.example"));
    assert_true(owns(f, "terri@a.example", "shop@a.example"));
    assert_true(owns(f, "terri@a.example", "tagged@a.example"));
    assert_false(owns(f, "terri@a.example", "both@a.example"));
    assert_false(owns(f, "terri@a.example", "viaboth@a.example"));
    assert_false(owns(f, "other@a.example", "sales@a.example"));
    /* The tag gets an owner of its own. */
    add(f, "terri+x@a.example");
    assert_false(owns(f, "terri@a.example", "tagged@a.example"));
    assert_true(owns(f, "terri+x@a.example", "tagged@a.example"));
    /* The second target goes: what is left leads to one. */
    assert_int_equal(
        directory_alias_remove(f->db, B("both@a.example"), B("other@a.example"), &f->why), OK);
    assert_true(owns(f, "terri@a.example", "viaboth@a.example"));
}

static void an_alias_keeps_its_targets_in_lower_case_and_once(void **state) {
    struct fixture *f = *state;
    assert_int_equal(alias(f, "Team@a.example", "One@B.example"), OK);
    assert_int_equal(alias(f, "team@a.example", "one@b.example"), OK);
    assert_int_equal(alias(f, "team@a.example", "two@b.example"), OK);
    struct directory_entry *e = find(f, "team@a.example");
    assert_int_equal(e->kind, DIRECTORY_ALIAS);
    assert_int_equal(e->targets.count, 2);
    assert_true(strings_has(e->targets, B("one@b.example")));
    assert_int_equal(
        directory_alias_remove(f->db, B("team@a.example"), B("one@b.example"), &f->why), OK);
    assert_int_equal(
        directory_alias_remove(f->db, B("team@a.example"), B("one@b.example"), &f->why), PERM);
    assert_int_equal(
        directory_alias_remove(f->db, B("team@a.example"), B("two@b.example"), &f->why), OK);
    assert_null(find(f, "team@a.example")); /* the last one takes the alias along */
}

static void aliases_do_not_go_in_circles(void **state) {
    struct fixture *f = *state;
    assert_int_equal(alias(f, "a@a.example", "a@a.example"), PERM);
    assert_string_equal(f->why.reason, "directory.loop");
    assert_null(find(f, "a@a.example")); /* nothing half made */
    assert_int_equal(alias(f, "a@a.example", "a+tag@a.example"), PERM);
    assert_int_equal(alias(f, "a@a.example", "b@a.example"), OK);
    assert_int_equal(alias(f, "b@a.example", "c+x@a.example"), OK);
    assert_int_equal(alias(f, "c@a.example", "a@a.example"), PERM);
    assert_int_equal(alias(f, "c@a.example", "d@a.example"), OK);
}

static void an_address_is_one_thing(void **state) {
    struct fixture *f = *state;
    add(f, "terri@a.example");
    assert_int_equal(add(f, "TERRI@a.example"), PERM);
    assert_string_equal(f->why.reason, "directory.exists");
    assert_int_equal(alias(f, "terri@a.example", "x@b.example"), PERM);
    alias(f, "x@a.example", "terri@a.example");
    assert_int_equal(add(f, "x@a.example"), PERM);
    assert_int_equal(directory_user_remove(f->db, B("x@a.example"), &f->why), PERM);
    assert_int_equal(directory_user_remove(f->db, B("nobody@a.example"), &f->why), PERM);
    assert_string_equal(f->why.reason, "directory.unknown");
    assert_int_equal(directory_alias_remove(f->db, B("terri@a.example"), BYTES_NONE, &f->why),
                     PERM);
}

static void what_is_no_address_is_refused(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = { "",
                                       "terri",
                                       "@a.example",
                                       "a b@a.example",
                                       "terri@",
                                       "terri@[192.0.2.1]",
                                       "terri@a.example\n",
                                       "<a@a.example>" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(add(f, bad[i]), PERM);
        assert_int_equal(alias(f, "ok@a.example", bad[i]), PERM);
    }
    assert_null(find(f, "ok@a.example"));
}

static void rights_to_send_as_others(void **state) {
    struct fixture *f = *state;
    add(f, "terri@a.example");
    struct bytes user = B("terri@a.example");
    assert_int_equal(directory_user_allow_sender(f->db, user, B("Boss@A.example"), true, &f->why),
                     OK);
    assert_int_equal(directory_user_allow_sender(f->db, user, B(".b.example"), true, &f->why), OK);
    assert_int_equal(directory_user_allow_sender(f->db, user, B("not a pattern"), true, &f->why),
                     PERM);
    struct directory_entry *e = find(f, "terri@a.example");
    assert_int_equal(e->send_as.count, 2);
    assert_true(patterns_match(e->send_as, B("boss@a.example")) > 0);
    assert_true(patterns_match(e->send_as, B("x@y.b.example")) > 0);
    assert_int_equal(patterns_match(e->send_as, B("x@b.example")), 0);
    assert_int_equal(directory_user_allow_sender(f->db, user, B("boss@a.example"), false, &f->why),
                     OK);
    assert_int_equal(directory_user_allow_sender(f->db, user, B("boss@a.example"), false, &f->why),
                     PERM);
    assert_int_equal(find(f, "terri@a.example")->send_as.count, 1);
    /* two ways to write one */
    assert_int_equal(directory_user_allow_sender(f->db, user, B("*@c.example"), true, &f->why), OK);
    assert_int_equal(directory_user_allow_sender(f->db, user, B("C.example"), false, &f->why), OK);
    assert_int_equal(find(f, "terri@a.example")->send_as.count, 1);
}

static void disabled_and_removed_users(void **state) {
    struct fixture *f = *state;
    add(f, "terri@a.example");
    alias(f, "sales@a.example", "terri@a.example");
    assert_int_equal(directory_user_disable(f->db, B("terri@a.example"), true, &f->why), OK);
    assert_true(find(f, "terri@a.example")->disabled);
    assert_int_equal(directory_user_disable(f->db, B("terri@a.example"), false, &f->why), OK);
    assert_false(find(f, "terri@a.example")->disabled);
    directory_user_allow_sender(f->db, B("terri@a.example"), B("*"), true, &f->why);
    assert_int_equal(directory_user_remove(f->db, B("terri@a.example"), &f->why), OK);
    assert_null(find(f, "terri@a.example"));
    assert_non_null(find(f, "sales@a.example"));
    /* Made again, it has none of the old rights. */
    add(f, "terri@a.example");
    assert_int_equal(find(f, "terri@a.example")->send_as.count, 0);
}

static void on_listed(void *ctx, const struct directory_entry *e) {
    struct buf *b = ctx;
    buf_add(b, e->address);
    buf_char(b, ' ');
}

static void lists_are_in_order(void **state) {
    struct fixture *f = *state;
    char memory[256];
    struct buf b = buf_fixed(memory, sizeof memory);
    add(f, "b@a.example");
    add(f, "a@a.example");
    alias(f, "c@a.example", "a@a.example");
    assert_int_equal(directory_db_list(f->db, DIRECTORY_USER, on_listed, &b, &f->why), OK);
    assert_string_equal(buf_text(&b), "a@a.example b@a.example ");
    buf_clear(&b);
    assert_int_equal(directory_db_list(f->db, DIRECTORY_ALIAS, on_listed, &b, &f->why), OK);
    assert_string_equal(buf_text(&b), "c@a.example ");
}

static void assert_page(struct fixture *f, const char *after, size_t max, const char *expected) {
    char memory[256];
    struct buf b = buf_fixed(memory, sizeof memory);
    struct arena *a = arena_open();
    struct strings page;
    assert_int_equal(
        directory_db_addresses(f->db, DIRECTORY_USER, bytes_str(after), max, a, &page, &f->why),
        OK);
    for (size_t i = 0; i < page.count; i++) {
        buf_add(&b, page.list[i]);
        buf_char(&b, ' ');
    }
    assert_string_equal(buf_text(&b), expected);
    arena_close(&a);
}

static void pages_follow_each_other(void **state) {
    struct fixture *f = *state;
    add(f, "b@a.example");
    add(f, "a@a.example");
    add(f, "c@a.example");
    alias(f, "aa@a.example", "a@a.example");
    assert_page(f, "", 2, "a@a.example b@a.example ");
    assert_page(f, "b@a.example", 2, "c@a.example ");
    assert_page(f, "b", 1, "b@a.example ");
    assert_page(f, "c@a.example", 2, "");
    assert_page(f, "", 0, "");
}

static void everything_is_there_after_opening_again(void **state) {
    struct fixture *f = *state;
    struct stat st;
    add(f, "terri@a.example");
    directory_db_close(&f->db);
    assert_int_equal(stat(f->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(directory_db_open(f->file, false, &f->db, &f->why), OK);
    assert_non_null(find(f, "terri@a.example"));
}

static void a_file_that_is_not_there_is_not_made_unasked(void **state) {
    struct fixture *f = *state;
    char path[128];
    struct directory_db *db = NULL;
    snprintf(path, sizeof path, "%s/none.db", f->folder);
    assert_int_equal(directory_db_open(path, false, &db, &f->why), TEMP);
    assert_null(db);
    assert_string_equal(f->why.reason, "backend.directory");
    assert_int_equal(access(path, F_OK), -1);
}

static void a_damaged_file_is_our_fault(void **state) {
    struct fixture *f = *state;
    char path[128];
    struct directory_db *db = NULL;
    snprintf(path, sizeof path, "%s/damaged.db", f->folder);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 4096; i++)
        fputs("garbage ", file);
    fclose(file);
    assert_int_equal(directory_db_open(path, true, &db, &f->why), TEMP);
    assert_string_equal(f->why.reason, "backend.directory");
    assert_int_equal(f->why.code, 451);
    unlink(path);
}

static void a_file_of_a_newer_version_is_left_alone(void **state) {
    struct fixture *f = *state;
    sqlite3 *handle;
    directory_db_close(&f->db);
    assert_int_equal(sqlite3_open(f->file, &handle), SQLITE_OK);
    assert_int_equal(sqlite3_exec(handle, "PRAGMA user_version=99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(handle);
    assert_int_equal(directory_db_open(f->file, true, &f->db, &f->why), TEMP);
    assert_non_null(strstr(f->why.text, "newer version"));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_user_is_found_in_any_case),
        CASE(a_subaddress_leads_to_its_user_unless_it_exists_itself),
        CASE(own_addresses_are_those_that_lead_here_alone),
        CASE(an_alias_keeps_its_targets_in_lower_case_and_once),
        CASE(aliases_do_not_go_in_circles),
        CASE(an_address_is_one_thing),
        CASE(what_is_no_address_is_refused),
        CASE(rights_to_send_as_others),
        CASE(disabled_and_removed_users),
        CASE(lists_are_in_order),
        CASE(pages_follow_each_other),
        CASE(everything_is_there_after_opening_again),
        CASE(a_file_that_is_not_there_is_not_made_unasked),
        CASE(a_damaged_file_is_our_fault),
        CASE(a_file_of_a_newer_version_is_left_alone),
    };
    return cmocka_run_group_tests_name("directory/tables", tests, NULL, NULL);
}
