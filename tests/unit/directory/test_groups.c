/* Groups, forwards and vacations in the directory's tables, on real SQLite files. */
#include "directory/directory.h"

#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <unistd.h>

struct fixture {
    char folder[64], file[96];
    struct directory_db *db;
    struct arena *arena;
    struct why why;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->folder, "/tmp/postern-groups-XXXXXX");
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

static struct directory_entry *whole(struct fixture *f, const char *address) {
    struct directory_entry *e;
    assert_int_equal(directory_db_find_whole(f->db, bytes_str(address), f->arena, &e, &f->why), OK);
    return e;
}

static void user(struct fixture *f, const char *address) {
    assert_int_equal(directory_user_add(f->db, bytes_str(address), &f->why), OK);
}

static void alias(struct fixture *f, const char *address, const char *target) {
    assert_int_equal(directory_alias_add(f->db, bytes_str(address), bytes_str(target), &f->why),
                     OK);
}

static void group(struct fixture *f, const char *address) {
    assert_int_equal(directory_group_add(f->db, bytes_str(address), &f->why), OK);
}

static enum rc member(struct fixture *f, const char *address, const char *who) {
    struct bytes one = bytes_str(who);
    return directory_group_members(f->db, bytes_str(address), &one, 1, true, &f->why);
}

static bool is_member(struct fixture *f, const char *address, const char *login,
                      const char *sender) {
    bool out;
    assert_int_equal(directory_db_is_member(f->db, bytes_str(address), bytes_str(login),
                                            bytes_str(sender), &out, &f->why),
                     OK);
    return out;
}

static enum rc forward(struct fixture *f, const char *address, const char *to, bool keep) {
    struct bytes target = bytes_str(to);
    return directory_user_forward(f->db, bytes_str(address), &target, to[0] ? 1 : 0, keep, &f->why);
}

static void a_group_has_members_and_rules(void **state) {
    struct fixture *f = *state;
    group(f, "Staff@a.example");
    user(f, "anna@a.example");
    assert_int_equal(member(f, "staff@a.example", "anna@a.example"), OK);
    assert_int_equal(member(f, "staff@a.example", "anna@a.example"), OK); /* once is enough */
    assert_int_equal(member(f, "staff@a.example", "bob@Elsewhere.example"), OK);
    struct directory_entry *e = find(f, "staff@a.example");
    assert_int_equal(e->kind, DIRECTORY_GROUP);
    assert_int_equal(e->targets.count, 0); /* not for each RCPT */
    assert_int_equal(e->rules.senders, DIRECTORY_EVERYONE);
    e = whole(f, "staff+tag@a.example");
    assert_int_equal(e->targets.count, 2);
    assert_int_equal(
        directory_group_senders(f->db, B("staff@a.example"), DIRECTORY_MEMBERS, &f->why), OK);
    assert_int_equal(
        directory_group_delivery(f->db, B("staff@a.example"), DIRECTORY_TO_BOTH, &f->why), OK);
    assert_int_equal(
        directory_group_owner(f->db, B("staff@a.example"), B("anna@a.example"), &f->why), OK);
    assert_int_equal(
        directory_group_owner(f->db, B("staff@a.example"), B("staff@a.example"), &f->why), PERM);
    assert_int_equal(
        directory_group_allow(f->db, B("staff@a.example"), B("*@Partner.example"), true, &f->why),
        OK);
    assert_int_equal(
        directory_group_moderator(f->db, B("staff@a.example"), B("boss@a.example"), true, &f->why),
        OK);
    e = find(f, "staff@a.example");
    assert_int_equal(e->rules.senders, DIRECTORY_MEMBERS);
    assert_int_equal(e->rules.delivery, DIRECTORY_TO_BOTH);
    assert_true(bytes_equal(e->rules.owner, B("anna@a.example")));
    assert_int_equal(patterns_match(e->rules.allowed, B("x@partner.example")) > 0, 1);
    assert_true(strings_has(e->rules.moderators, B("boss@a.example")));
    /* And back. */
    assert_int_equal(
        directory_group_allow(f->db, B("staff@a.example"), B("partner.example"), false, &f->why),
        OK);
    assert_int_equal(
        directory_group_allow(f->db, B("staff@a.example"), B("partner.example"), false, &f->why),
        PERM);
    assert_string_equal(f->why.reason, "directory.unknown");
    assert_int_equal(directory_group_owner(f->db, B("staff@a.example"), B(""), &f->why), OK);
    assert_int_equal(directory_group_remove(f->db, B("staff@a.example"), &f->why), OK);
    assert_null(find(f, "staff@a.example"));
    assert_int_equal(directory_group_remove(f->db, B("anna@a.example"), &f->why), PERM);
    assert_string_equal(f->why.reason, "directory.kind");
}

static void who_belongs_to_a_group(void **state) {
    struct fixture *f = *state;
    user(f, "anna@a.example");
    user(f, "bob@a.example");
    alias(f, "sales@a.example", "bob@a.example");
    alias(f, "bob.b@a.example", "bob@a.example");
    group(f, "inner@a.example");
    group(f, "outer@a.example");
    assert_int_equal(member(f, "outer@a.example", "inner@a.example"), OK);
    assert_int_equal(member(f, "inner@a.example", "sales@a.example"), OK);
    assert_int_equal(member(f, "inner@a.example", "guest@b.example"), OK);
    assert_true(is_member(f, "inner@a.example", "bob@a.example", ""));
    assert_true(is_member(f, "outer@a.example", "BOB@a.example", ""));
    assert_true(is_member(f, "outer@a.example", "", "bob.b@a.example"));
    assert_true(is_member(f, "outer@a.example", "", "bob+tag@a.example"));
    assert_true(is_member(f, "outer@a.example", "", "guest@b.example"));
    assert_true(is_member(f, "outer@a.example", "anna@a.example", "guest@b.example"));
    assert_false(is_member(f, "outer@a.example", "anna@a.example", "anna@a.example"));
    assert_false(is_member(f, "outer@a.example", "", ""));
    /* The group's own name in the sender makes nobody a member. */
    assert_false(is_member(f, "outer@a.example", "", "outer@a.example"));
    assert_false(is_member(f, "inner@a.example", "", "outer@a.example"));
    /* A forward is no membership: anyone may set one up. */
    assert_int_equal(forward(f, "anna@a.example", "sales@a.example", true), OK);
    assert_false(is_member(f, "inner@a.example", "anna@a.example", "anna@a.example"));
}

static void groups_do_not_go_in_circles(void **state) {
    struct fixture *f = *state;
    user(f, "anna@a.example");
    group(f, "one@a.example");
    group(f, "two@a.example");
    alias(f, "name@a.example", "one@a.example");
    assert_int_equal(member(f, "one@a.example", "one@a.example"), PERM);
    assert_string_equal(f->why.reason, "directory.loop");
    assert_int_equal(member(f, "one@a.example", "two@a.example"), OK);
    assert_int_equal(member(f, "two@a.example", "one@a.example"), PERM);
    assert_int_equal(member(f, "two@a.example", "name@a.example"), PERM);
    assert_int_equal(member(f, "two@a.example", "anna@a.example"), OK);
    assert_int_equal(forward(f, "anna@a.example", "name@a.example", false), PERM);
    assert_string_equal(f->why.reason, "directory.loop");
    assert_int_equal(forward(f, "anna@a.example", "anna+x@a.example", false), PERM);
}

static void members_may_send_as_the_group(void **state) {
    struct fixture *f = *state;
    user(f, "anna@a.example");
    group(f, "office@a.example");
    group(f, "inner@a.example");
    member(f, "office@a.example", "inner@a.example");
    member(f, "inner@a.example", "anna@a.example");
    assert_int_equal(patterns_match(find(f, "anna@a.example")->send_as, B("office@a.example")), 0);
    assert_int_equal(directory_group_send_as(f->db, B("office@a.example"), true, &f->why), OK);
    assert_true(patterns_match(find(f, "anna@a.example")->send_as, B("office@a.example")) > 0);
    assert_int_equal(patterns_match(find(f, "anna@a.example")->send_as, B("inner@a.example")), 0);
    /* A group of one is not that one's own address. */
    assert_false(strings_has(find(f, "anna@a.example")->own, B("inner@a.example")));
    assert_int_equal(directory_group_send_as(f->db, B("office@a.example"), false, &f->why), OK);
    assert_int_equal(patterns_match(find(f, "anna@a.example")->send_as, B("office@a.example")), 0);
}

static void an_alias_tells_of_the_groups_behind_it(void **state) {
    struct fixture *f = *state;
    group(f, "staff@a.example");
    group(f, "open@a.example");
    group(f, "over@a.example");
    alias(f, "all@a.example", "staff+x@a.example");
    alias(f, "all@a.example", "open@a.example");
    alias(f, "everybody@a.example", "all@a.example");
    member(f, "over@a.example", "staff@a.example");
    alias(f, "above@a.example", "over@a.example");
    directory_group_senders(f->db, B("staff@a.example"), DIRECTORY_LISTED, &f->why);
    directory_group_allow(f->db, B("staff@a.example"), B("boss@a.example"), true, &f->why);
    struct directory_entry *e = find(f, "everybody@a.example");
    assert_int_equal(e->group_count, 1);
    assert_true(bytes_equal(e->groups[0].address, B("staff@a.example")));
    assert_int_equal(e->groups[0].rules.senders, DIRECTORY_LISTED);
    assert_int_equal(e->groups[0].rules.allowed.count, 1);
    /* What was nested into a group is reached through it. */
    assert_int_equal(find(f, "above@a.example")->group_count, 0);
    struct directory_entry *copy = directory_entry_copy(f->arena, e);
    assert_true(bytes_equal(copy->groups[0].address, B("staff@a.example")));
}

static void forwards_and_what_they_make_of_a_member(void **state) {
    struct fixture *f = *state;
    user(f, "anna@a.example");
    user(f, "bob@a.example");
    group(f, "staff@a.example");
    member(f, "staff@a.example", "anna@a.example");
    member(f, "staff@a.example", "bob@a.example");
    member(f, "staff@a.example", "guest@b.example");
    assert_int_equal(forward(f, "anna@a.example", "anna@b.example", true), OK);
    struct directory_entry *e = find(f, "anna@a.example");
    assert_int_equal(e->targets.count, 1);
    assert_true(e->keep);
    /* The address at b is not anna's here. */
    assert_int_equal(e->own.count, 1);
    e = whole(f, "staff@a.example");
    assert_int_equal(e->targets.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(e->plain[i], bytes_equal(e->targets.list[i], B("bob@a.example")));
    assert_int_equal(forward(f, "anna@a.example", "", true), OK);
    e = find(f, "anna@a.example");
    assert_int_equal(e->targets.count, 0);
    assert_false(e->keep);
    /* Bob gets nothing because anna forwards to him. */
    assert_int_equal(forward(f, "anna@a.example", "bob@a.example", false), OK);
    assert_false(strings_has(find(f, "bob@a.example")->own, B("anna@a.example")));
    directory_group_senders(f->db, B("staff@a.example"), DIRECTORY_MEMBERS, &f->why);
    user(f, "carol@a.example");
    assert_int_equal(forward(f, "carol@a.example", "staff@a.example", false), PERM);
    assert_string_equal(f->why.reason, "directory.group");
    /* Nothing was changed by the one that was refused. */
    assert_int_equal(find(f, "carol@a.example")->targets.count, 0);
    struct strings leading;
    assert_int_equal(directory_db_leading(f->db, B("bob@a.example"), f->arena, &leading, &f->why),
                     OK);
    assert_int_equal(leading.count, 2);
    assert_true(strings_has(leading, B("anna@a.example")));
}

static enum rc away(struct fixture *f, const char *address, struct directory_vacation v) {
    return directory_user_vacation(f->db, bytes_str(address), &v, &f->why);
}

static void vacations(void **state) {
    struct fixture *f = *state;
    user(f, "anna@a.example");
    group(f, "staff@a.example");
    member(f, "staff@a.example", "anna@a.example");
    const struct directory_vacation set = {
        .text = B("Away\n"), .subject = B("Bin weg"), .from = 10, .until = 20
    };
    assert_int_equal(away(f, "anna@a.example", set), OK);
    struct directory_entry *e = find(f, "anna@a.example");
    assert_true(e->vacation.set);
    assert_int_equal(e->vacation.from, 10);
    assert_int_equal(e->vacation.until, 20);
    assert_int_equal(e->vacation.text.len, 0);
    assert_int_equal(e->vacation.subject.len, 0);
    e = whole(f, "anna@a.example");
    assert_true(bytes_equal(e->vacation.text, B("Away\n")));
    assert_true(bytes_equal(e->vacation.subject, B("Bin weg")));
    /* Through a group nobody answers: no need to look at each member. */
    assert_int_equal(whole(f, "staff@a.example")->plain[0], 1);
    assert_int_equal(away(f, "anna@a.example", (struct directory_vacation){ 0 }), OK);
    assert_false(find(f, "anna@a.example")->vacation.set);
    assert_int_equal(away(f, "staff@a.example", set), PERM);
}

static void vacations_that_cannot_be(void **state) {
    struct fixture *f = *state;
    static char long_text[16 * 1024 + 1], long_subject[201];
    memset(long_text, 'x', sizeof long_text);
    memset(long_subject, 'x', sizeof long_subject);
    user(f, "anna@a.example");
    const struct directory_vacation good = { .text = B("Away\n") };
    assert_int_equal(away(f, "anna@a.example", good), OK);
    const struct {
        struct directory_vacation v;
        const char *reason;
    } bad[] = {
        { { .text = B("Away\n"), .from = 20, .until = 20 }, "directory.time" },
        { { .text = bytes_of(long_text, sizeof long_text) }, "directory.limit" },
        { { .text = B("x"), .subject = bytes_of(long_subject, sizeof long_subject) },
          "directory.limit" },
        { { .text = B("\xff") }, "directory.text" },
        { { .text = bytes_of("a\0b", 3) }, "directory.text" },
        { { .text = B("\x1b[2J") }, "directory.text" },
        { { .text = B("x"), .subject = B("one\r\nBcc: two@b.example") }, "directory.text" },
        { { .text = B("x"), .subject = B("\xc3") }, "directory.text" },
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(away(f, "anna@a.example", bad[i].v), PERM);
        assert_string_equal(f->why.reason, bad[i].reason);
    }
    assert_true(bytes_equal(whole(f, "anna@a.example")->vacation.text, B("Away\n")));
}

static void twenty_thousand_members(void **state) {
    struct fixture *f = *state;
    static struct bytes names[20000];
    group(f, "all@a.example");
    for (size_t i = 0; i < 20000; i++)
        names[i] = arena_printf(f->arena, "m%zu@b.example", i);
    assert_int_equal(
        directory_group_members(f->db, B("all@a.example"), names, 10000, true, &f->why), OK);
    assert_int_equal(
        directory_group_members(f->db, B("all@a.example"), names + 10000, 10000, true, &f->why),
        OK);
    assert_int_equal(whole(f, "all@a.example")->targets.count, 20000);
    assert_int_equal(member(f, "all@a.example", "more@b.example"), PERM);
    assert_string_equal(f->why.reason, "directory.limit");
    assert_true(is_member(f, "all@a.example", "", "m19999@b.example"));
    /* All of them or none. */
    names[1] = B("not an address");
    assert_int_equal(directory_group_members(f->db, B("all@a.example"), names, 2, false, &f->why),
                     PERM);
    assert_int_equal(whole(f, "all@a.example")->targets.count, 20000);
}

/* What the version before this one wrote. */
static void an_older_file_is_brought_up_to_date(void **state) {
    struct fixture *f = *state;
    sqlite3 *handle;
    directory_db_close(&f->db);
    delete_with(f, "");
    delete_with(f, "-wal");
    delete_with(f, "-shm");
    assert_int_equal(sqlite3_open(f->file, &handle), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(handle,
                     "CREATE TABLE entry (address TEXT PRIMARY KEY, kind INTEGER NOT NULL,"
                     " disabled INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
                     "CREATE TABLE send_as (address TEXT NOT NULL REFERENCES entry ON DELETE "
                     "CASCADE, pattern TEXT NOT NULL, PRIMARY KEY (address, pattern)) WITHOUT "
                     "ROWID;"
                     "CREATE TABLE target (address TEXT NOT NULL REFERENCES entry ON DELETE "
                     "CASCADE, target TEXT NOT NULL, base TEXT NOT NULL, PRIMARY KEY (address, "
                     "target)) WITHOUT ROWID;"
                     "CREATE INDEX target_by_base ON target (base);"
                     "CREATE INDEX target_by_target ON target (target);"
                     "INSERT INTO entry VALUES ('anna@a.example', 0, 0), ('info@a.example', 1, 0);"
                     "INSERT INTO target VALUES ('info@a.example', 'anna@a.example', "
                     "'anna@a.example');"
                     "PRAGMA user_version=1",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(handle);
    assert_int_equal(directory_db_open(f->file, false, &f->db, &f->why), OK);
    assert_true(strings_has(find(f, "anna@a.example")->own, B("info@a.example")));
    assert_int_equal(find(f, "info@a.example")->targets.count, 1);
    group(f, "staff@a.example");
    assert_int_equal(member(f, "staff@a.example", "anna@a.example"), OK);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_group_has_members_and_rules),
        CASE(who_belongs_to_a_group),
        CASE(groups_do_not_go_in_circles),
        CASE(members_may_send_as_the_group),
        CASE(an_alias_tells_of_the_groups_behind_it),
        CASE(forwards_and_what_they_make_of_a_member),
        CASE(vacations),
        CASE(vacations_that_cannot_be),
        CASE(twenty_thousand_members),
        CASE(an_older_file_is_brought_up_to_date),
    };
    return cmocka_run_group_tests_name("directory/groups", tests, NULL, NULL);
}
