/* groups: writing what leads mail to several: groups with their members and rules, forwards of users,
 * and what a user who is away answers. */
#include "directory/internal.h"

#include "base/must.h"

enum {
    MEMBERS_MAX = 20000,
    RULES_MAX = 1000,
    FORWARDS_MAX = 20,
    TEXT_MAX = 16 * 1024, /* of an automatic answer */
    SUBJECT_MAX = 200,
};

/* --- groups ------------------------------------------------------------------------------------ */

enum rc directory_group_add(struct directory_db *d, struct bytes address, struct why *why) {
    struct change c;
    enum rc rc = change_begin(&c, d, address, why);
    if (rc == OK)
        rc = change_insert(&c, DIRECTORY_GROUP);
    if (rc == OK)
        rc = change_run(&c, "INSERT INTO rules (address) VALUES (?1)",
                        DB_VALUES(DB_TEXT(c.address)));
    return change_end(&c, rc);
}

enum rc directory_group_remove(struct directory_db *d, struct bytes address, struct why *why) {
    struct change c;
    enum rc rc = change_begin(&c, d, address, why);
    if (rc == OK)
        rc = change_need(&c, DIRECTORY_GROUP);
    if (rc == OK)
        rc = change_delete(&c);
    return change_end(&c, rc);
}

static enum rc begin_group(struct change *c, struct directory_db *d, struct bytes address,
                           struct why *why) {
    enum rc rc = change_begin(c, d, address, why);
    return rc == OK ? change_need(c, DIRECTORY_GROUP) : rc;
}

static enum rc removed(struct change *c, enum rc rc, const char *text) {
    if (rc == OK && db_changes(tables_db(c->d)) == 0)
        return change_refuse(c, "directory.unknown", text);
    return rc;
}

static void on_count(void *ctx, const struct db_row *row) {
    *(int64_t *)ctx = db_int(row, 0);
}

static enum rc room_for(struct change *c, size_t more) {
    int64_t count = 0;
    enum rc rc = db_run(tables_db(c->d), "SELECT count(*) FROM target WHERE address=?1",
                        DB_VALUES(DB_TEXT(c->address)), on_count, &count, c->why);
    if (rc == OK && more + (uint64_t)count > MEMBERS_MAX)
        return change_refuse(c, "directory.limit", "may have at most 20000 members");
    return rc;
}

static enum rc drop_member(struct change *c, struct bytes mailbox) {
    enum rc rc = change_run(c, "DELETE FROM target WHERE address=?1 AND target=?2",
                            DB_VALUES(DB_TEXT(c->address), DB_TEXT(mailbox)));
    if (rc == OK && db_changes(tables_db(c->d)) == 0)
        return why_set(c->why, PERM, 0, NULL, "directory.unknown", "%.*s is not a member of %.*s",
                       BYTES_FMT(mailbox), BYTES_FMT(c->address));
    return rc;
}

enum rc directory_group_members(struct directory_db *d, struct bytes address,
                                const struct bytes *members, size_t count, bool add,
                                struct why *why) {
    struct change c;
    struct bytes mailbox;
    enum rc rc = begin_group(&c, d, address, why);
    if (rc == OK && add)
        rc = room_for(&c, count);
    for (size_t i = 0; i < count && rc == OK; i++) {
        rc = tables_mailbox(members[i], c.arena, &mailbox, why);
        if (rc == OK)
            rc = add ? change_add_target(&c, mailbox) : drop_member(&c, mailbox);
    }
    return change_end(&c, rc);
}

enum rc directory_group_senders(struct directory_db *d, struct bytes address,
                                enum directory_senders senders, struct why *why) {
    struct change c;
    enum rc rc = begin_group(&c, d, address, why);
    if (rc == OK)
        rc = change_run(&c, "UPDATE rules SET senders=?2 WHERE address=?1",
                        DB_VALUES(DB_TEXT(c.address), DB_INT(senders)));
    return change_end(&c, rc);
}

enum rc directory_group_delivery(struct directory_db *d, struct bytes address,
                                 enum directory_delivery delivery, struct why *why) {
    struct change c;
    enum rc rc = begin_group(&c, d, address, why);
    if (rc == OK)
        rc = change_run(&c, "UPDATE rules SET delivery=?2 WHERE address=?1",
                        DB_VALUES(DB_TEXT(c.address), DB_INT(delivery)));
    return change_end(&c, rc);
}

enum rc directory_group_send_as(struct directory_db *d, struct bytes address, bool members,
                                struct why *why) {
    struct change c;
    enum rc rc = begin_group(&c, d, address, why);
    if (rc == OK)
        rc = change_run(&c, "UPDATE rules SET members_send_as=?2 WHERE address=?1",
                        DB_VALUES(DB_TEXT(c.address), DB_INT(members)));
    return change_end(&c, rc);
}

/* Reports about the group's mail that came to the group would go round and round. */
enum rc directory_group_owner(struct directory_db *d, struct bytes address, struct bytes owner,
                              struct why *why) {
    struct change c;
    struct bytes mailbox = B("");
    enum rc rc = begin_group(&c, d, address, why);
    if (rc == OK && owner.len)
        rc = tables_mailbox(owner, c.arena, &mailbox, why);
    if (rc == OK && bytes_equal(mailbox, c.address))
        rc = change_refuse(&c, "directory.loop", "cannot be its own owner");
    if (rc == OK)
        rc = change_run(&c, "UPDATE rules SET owner=?2 WHERE address=?1",
                        DB_VALUES(DB_TEXT(c.address), DB_TEXT(mailbox)));
    return change_end(&c, rc);
}

enum rc directory_group_allow(struct directory_db *d, struct bytes address, struct bytes pattern,
                              bool allow, struct why *why) {
    struct change c;
    struct bytes text;
    enum rc rc = begin_group(&c, d, address, why);
    if (rc == OK)
        rc = tables_pattern(pattern, c.arena, &text, why);
    if (rc == OK && allow && c.entry->rules.allowed.count >= RULES_MAX)
        rc = change_refuse(&c, "directory.limit", "has 1000 allowed senders already");
    if (rc == OK && allow)
        rc = change_run(&c, "INSERT OR IGNORE INTO allowed (address, pattern) VALUES (?1, ?2)",
                        DB_VALUES(DB_TEXT(c.address), DB_TEXT(text)));
    else if (rc == OK)
        rc = removed(&c,
                     change_run(&c, "DELETE FROM allowed WHERE address=?1 AND pattern=?2",
                                DB_VALUES(DB_TEXT(c.address), DB_TEXT(text))),
                     "has no such allowed sender");
    return change_end(&c, rc);
}

enum rc directory_group_moderator(struct directory_db *d, struct bytes address,
                                  struct bytes moderator, bool add, struct why *why) {
    struct change c;
    struct bytes mailbox;
    enum rc rc = begin_group(&c, d, address, why);
    if (rc == OK)
        rc = tables_mailbox(moderator, c.arena, &mailbox, why);
    if (rc == OK && add && c.entry->rules.moderators.count >= RULES_MAX)
        rc = change_refuse(&c, "directory.limit", "has 1000 moderators already");
    if (rc == OK && add)
        rc = change_run(&c, "INSERT OR IGNORE INTO moderator (address, mailbox) VALUES (?1, ?2)",
                        DB_VALUES(DB_TEXT(c.address), DB_TEXT(mailbox)));
    else if (rc == OK)
        rc = removed(&c,
                     change_run(&c, "DELETE FROM moderator WHERE address=?1 AND mailbox=?2",
                                DB_VALUES(DB_TEXT(c.address), DB_TEXT(mailbox))),
                     "has no such moderator");
    return change_end(&c, rc);
}

/* --- users ------------------------------------------------------------------------------------- */

static void on_found(void *ctx, const struct db_row *row) {
    (void)row;
    *(bool *)ctx = true;
}

/* Whoever may write to the user would write to the group. */
static enum rc not_restricted(struct change *c, struct bytes target) {
    bool restricted = false;
    enum rc rc =
        db_run(tables_db(c->d), "SELECT 1 FROM rules WHERE address=?1 AND senders<>0",
               DB_VALUES(DB_TEXT(tables_base(target, c->arena))), on_found, &restricted, c->why);
    if (rc == OK && restricted)
        return why_set(c->why, PERM, 0, NULL, "directory.group",
                       "%.*s is a group that not everyone may send to: make the user a member "
                       "instead, or open the group",
                       BYTES_FMT(target));
    return rc;
}

static enum rc add_forward(struct change *c, struct bytes text) {
    struct bytes target;
    enum rc rc = tables_mailbox(text, c->arena, &target, c->why);
    if (rc == OK)
        rc = not_restricted(c, target);
    return rc == OK ? change_add_target(c, target) : rc;
}

enum rc directory_user_forward(struct directory_db *d, struct bytes address,
                               const struct bytes *targets, size_t count, bool keep,
                               struct why *why) {
    struct change c;
    enum rc rc = change_begin(&c, d, address, why);
    if (rc == OK)
        rc = change_need(&c, DIRECTORY_USER);
    if (rc == OK && count > FORWARDS_MAX)
        rc = change_refuse(&c, "directory.limit", "may be forwarded to at most 20 addresses");
    if (rc == OK)
        rc = change_run(&c, "DELETE FROM target WHERE address=?1", DB_VALUES(DB_TEXT(c.address)));
    for (size_t i = 0; i < count && rc == OK; i++)
        rc = add_forward(&c, targets[i]);
    if (rc == OK)
        rc = change_run(&c, "UPDATE entry SET keep=?2 WHERE address=?1",
                        DB_VALUES(DB_TEXT(c.address), DB_INT(keep && count)));
    return change_end(&c, rc);
}

/* Tabs and line ends are the only controls in a text; in a subject there are none. */
static bool is_plain(struct bytes text, const char *controls) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if ((c < ' ' && bytes_find(bytes_str(controls), (char)c) < 0) || c == 127)
            return false;
    }
    return bytes_is_utf8(text);
}

static enum rc judge_vacation(struct change *c, const struct directory_vacation *v) {
    if (v->text.len > TEXT_MAX)
        return change_refuse(c, "directory.limit", "may answer with at most 16 KiB");
    if (v->subject.len > SUBJECT_MAX)
        return change_refuse(c, "directory.limit", "may have a subject of at most 200 octets");
    if (!is_plain(v->text, "\t\r\n"))
        return change_refuse(c, "directory.text",
                             "cannot answer with this text: it is not UTF-8, or has control "
                             "characters in it");
    if (!is_plain(v->subject, ""))
        return change_refuse(c, "directory.text",
                             "cannot answer with this subject: it must be one line of UTF-8");
    if (v->until && v->until <= v->from)
        return change_refuse(c, "directory.time", "would be back before it is away");
    return OK;
}

enum rc directory_user_vacation(struct directory_db *d, struct bytes address,
                                const struct directory_vacation *v, struct why *why) {
    struct change c;
    enum rc rc = change_begin(&c, d, address, why);
    if (rc == OK)
        rc = change_need(&c, DIRECTORY_USER);
    if (rc == OK)
        rc = judge_vacation(&c, v);
    if (rc == OK)
        rc = change_run(&c, "DELETE FROM vacation WHERE address=?1", DB_VALUES(DB_TEXT(c.address)));
    if (rc == OK && v->text.len)
        rc = change_run(&c,
                        "INSERT INTO vacation (address, text, begins, ends, subject) "
                        "VALUES (?1, ?2, ?3, ?4, ?5)",
                        DB_VALUES(DB_TEXT(c.address), DB_TEXT(v->text), DB_INT(v->from),
                                  DB_INT(v->until), DB_TEXT(v->subject)));
    return change_end(&c, rc);
}
