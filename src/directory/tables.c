/* tables: the directory as SQLite keeps it. This file alone knows the schema and its SQL: users and
 * aliases share one table of addresses, so that none can be both; a target keeps beside itself its
 * form without subaddress, so that "which addresses lead here" is one recursive query. */
#include "directory/internal.h"

#include "base/must.h"
#include "message/address.h"

#include <stdlib.h>

enum {
    TARGETS_MAX = 1000,
    SEND_AS_MAX = 1000,
    OWN_MAX = 1000,
    MEMBERS_MAX = 20000,
    GROUPS_MAX = 1000, /* behind an alias: as many as it has targets */
};

static const char *const steps[] = {
    "CREATE TABLE entry ("
    " address TEXT PRIMARY KEY,"
    " kind INTEGER NOT NULL,"
    " disabled INTEGER NOT NULL DEFAULT 0"
    ") WITHOUT ROWID;"
    "CREATE TABLE send_as ("
    " address TEXT NOT NULL REFERENCES entry ON DELETE CASCADE,"
    " pattern TEXT NOT NULL,"
    " PRIMARY KEY (address, pattern)"
    ") WITHOUT ROWID;"
    "CREATE TABLE target ("
    " address TEXT NOT NULL REFERENCES entry ON DELETE CASCADE,"
    " target TEXT NOT NULL,"
    " base TEXT NOT NULL," /* target without its subaddress */
    " PRIMARY KEY (address, target)"
    ") WITHOUT ROWID;"
    "CREATE INDEX target_by_base ON target (base);"
    "CREATE INDEX target_by_target ON target (target);",
    "ALTER TABLE entry ADD COLUMN logins_since INTEGER NOT NULL DEFAULT 0;",

    /* Groups; a user's targets are whom its mail is forwarded to. */
    "ALTER TABLE entry ADD COLUMN keep INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE rules ("
    " address TEXT PRIMARY KEY REFERENCES entry ON DELETE CASCADE,"
    " senders INTEGER NOT NULL DEFAULT 0,"
    " delivery INTEGER NOT NULL DEFAULT 0,"
    " members_send_as INTEGER NOT NULL DEFAULT 0,"
    " owner TEXT NOT NULL DEFAULT ''"
    ") WITHOUT ROWID;"
    "CREATE INDEX rules_send_as ON rules (address) WHERE members_send_as=1;"
    "CREATE TABLE allowed (" /* may send to a group */
    " address TEXT NOT NULL REFERENCES entry ON DELETE CASCADE,"
    " pattern TEXT NOT NULL,"
    " PRIMARY KEY (address, pattern)"
    ") WITHOUT ROWID;"
    "CREATE TABLE moderator ("
    " address TEXT NOT NULL REFERENCES entry ON DELETE CASCADE,"
    " mailbox TEXT NOT NULL,"
    " PRIMARY KEY (address, mailbox)"
    ") WITHOUT ROWID;"
    "CREATE TABLE vacation ("
    " address TEXT PRIMARY KEY REFERENCES entry ON DELETE CASCADE,"
    " text TEXT NOT NULL,"
    " begins INTEGER NOT NULL DEFAULT 0,"
    " ends INTEGER NOT NULL DEFAULT 0"
    ") WITHOUT ROWID;",
    "ALTER TABLE vacation ADD COLUMN subject TEXT NOT NULL DEFAULT '';",
};
static const struct db_schema schema = { "backend.directory", steps, COUNT_OF(steps) };

struct directory_db {
    struct db *db;
};

/* --- opening ----------------------------------------------------------------------------------- */

struct directory_db *tables_new(const char *file) {
    struct directory_db *d = calloc(1, sizeof *d);
    MUST(d);
    d->db = db_new(file, &schema);
    return d;
}

struct db *tables_db(struct directory_db *d) {
    return d->db;
}

enum rc directory_db_open(const char *file, bool create, struct directory_db **out,
                          struct why *why) {
    *out = tables_new(file);
    enum rc rc = db_ready((*out)->db, create, why);
    if (rc != OK)
        directory_db_close(out);
    return rc;
}

void directory_db_close(struct directory_db **d) {
    if (!*d)
        return;
    db_close(&(*d)->db);
    free(*d);
    *d = NULL;
}

/* --- reading ----------------------------------------------------------------------------------- */

struct bytes tables_base(struct bytes address, struct arena *a) {
    ptrdiff_t at = bytes_find_last(address, '@');
    ptrdiff_t plus = bytes_find(address, '+');
    if (plus <= 0 || at < plus || address.at[0] == '"')
        return address;
    return arena_printf(a, "%.*s%.*s", (int)plus, address.at,
                        BYTES_FMT(bytes_skip(address, (size_t)at)));
}

struct reading {
    struct arena *arena;
    struct directory_entry *entry;
    bool has_targets;
    struct bytes *list;
    uint8_t *plain;
    size_t count, cap;
};

static void on_entry(void *ctx, const struct db_row *row) {
    struct reading *r = ctx;
    r->entry = ARENA_NEW(r->arena, struct directory_entry);
    r->entry->address = arena_copy(r->arena, db_bytes(row, 0));
    r->entry->kind = (enum directory_kind)db_int(row, 1);
    r->entry->disabled = db_int(row, 2) != 0;
    r->entry->keep = db_int(row, 3) != 0;
    r->entry->vacation.set = db_int(row, 4) != 0;
    r->has_targets = db_int(row, 5) != 0;
    r->entry->logins_since = db_int(row, 6);
}

static void on_text(void *ctx, const struct db_row *row) {
    struct reading *r = ctx;
    if (r->count == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 4;
        struct bytes *list = ARENA_ARRAY(r->arena, cap, struct bytes);
        uint8_t *plain = ARENA_ARRAY(r->arena, cap, uint8_t);
        for (size_t i = 0; i < r->count; i++) {
            list[i] = r->list[i];
            plain[i] = r->plain[i];
        }
        r->list = list;
        r->plain = plain;
        r->cap = cap;
    }
    r->list[r->count++] = arena_copy(r->arena, db_bytes(row, 0));
}

static void on_member(void *ctx, const struct db_row *row) {
    struct reading *r = ctx;
    on_text(ctx, row);
    r->plain[r->count - 1] = db_int(row, 1) != 0;
}

static enum rc read_list(struct directory_db *d, const char *sql, struct bytes address, int limit,
                         struct arena *a, struct strings *out, struct why *why) {
    struct reading r = { .arena = a };
    enum rc rc = db_run(d->db, sql, DB_VALUES(DB_TEXT(address), DB_INT(limit)), on_text, &r, why);
    *out = (struct strings){ r.count, r.list };
    return rc;
}

static enum rc read_patterns(struct directory_db *d, const char *sql, struct bytes address,
                             struct arena *a, struct patterns *out, struct why *why) {
    struct strings texts;
    enum rc rc = read_list(d, sql, address, SEND_AS_MAX, a, &texts, why);
    struct pattern *list = ARENA_ARRAY(a, texts.count, struct pattern);
    size_t count = 0;
    for (size_t i = 0; i < texts.count; i++)
        if (pattern_parse(texts.list[i], a, &list[count]))
            count++;
    *out = (struct patterns){ count, list };
    return rc;
}

/* What leads to ?1: aliases and groups, and what leads to those. Its own first. */
#define LEADS_UP(from)                                                                             \
    "WITH RECURSIVE up(address) AS (" from " UNION"                                                \
    " SELECT t.address FROM up JOIN target t ON t.base=up.address OR t.target=up.address"          \
    "  JOIN entry e ON e.address=t.address AND e.kind<>0"                                          \
    "  WHERE t.target=up.address OR NOT EXISTS (SELECT 1 FROM entry x WHERE x.address=t.target)"   \
    ") "

/* What was granted, and the groups whose members may send as them. The walk is made only where there
 * are such groups. */
static const char send_as_sql[] =
    "SELECT pattern FROM send_as WHERE address=?1 UNION "
    "SELECT address FROM rules WHERE members_send_as=1 AND address IN (" LEADS_UP(
        "SELECT ?1") "SELECT address FROM up) LIMIT ?2";

/* The main address and every alias all of whose mail comes here: it has one target, and that is an
 * address already in the list, or one with a subaddress that is no entry of its own. */
static const char own_sql[] =
    "WITH RECURSIVE own(address) AS ("
    " SELECT ?1 UNION"
    " SELECT t.address FROM own JOIN target t ON t.base=own.address OR t.target=own.address"
    "  JOIN entry k ON k.address=t.address AND k.kind=1"
    "  WHERE (SELECT count(*) FROM target n WHERE n.address=t.address)=1"
    "  AND (t.target=own.address OR NOT EXISTS (SELECT 1 FROM entry e WHERE e.address=t.target))"
    ") SELECT address FROM own LIMIT ?2";

static enum rc read_targets(struct directory_db *d, struct directory_entry *e, struct arena *a,
                            struct why *why) {
    return read_list(d, "SELECT target FROM target WHERE address=?1 LIMIT ?2", e->address,
                     TARGETS_MAX, a, &e->targets, why);
}

static void on_vacation(void *ctx, const struct db_row *row) {
    struct reading *r = ctx;
    r->entry->vacation = (struct directory_vacation){
        .set = true,
        .from = db_int(row, 0),
        .until = db_int(row, 1),
        .text = arena_copy(r->arena, db_bytes(row, 2)),
        .subject = arena_copy(r->arena, db_bytes(row, 3)),
    };
}

static enum rc read_vacation(struct directory_db *d, struct directory_entry *e, bool whole,
                             struct arena *a, struct why *why) {
    struct reading r = { .arena = a, .entry = e };
    return db_run(d->db,
                  "SELECT begins, ends, CASE ?2 WHEN 1 THEN text ELSE '' END,"
                  " CASE ?2 WHEN 1 THEN subject ELSE '' END FROM vacation "
                  "WHERE address=?1",
                  DB_VALUES(DB_TEXT(e->address), DB_INT(whole)), on_vacation, &r, why);
}

static enum rc read_user(struct directory_db *d, struct reading *r, bool whole, struct why *why) {
    struct directory_entry *e = r->entry;
    enum rc rc = read_list(d, own_sql, e->address, OWN_MAX, r->arena, &e->own, why);
    if (rc == OK)
        rc = read_patterns(d, send_as_sql, e->address, r->arena, &e->send_as, why);
    if (rc == OK && r->has_targets)
        rc = read_targets(d, e, r->arena, why);
    if (rc == OK && e->vacation.set)
        rc = read_vacation(d, e, whole, r->arena, why);
    return rc;
}

static void on_rules(void *ctx, const struct db_row *row) {
    struct reading *r = ctx;
    struct directory_rules *rules = &r->entry->rules;
    rules->senders = (enum directory_senders)db_int(row, 0);
    rules->delivery = (enum directory_delivery)db_int(row, 1);
    rules->members_send_as = db_int(row, 2) != 0;
    rules->owner = arena_copy(r->arena, db_bytes(row, 3));
}

/* A member that is a user and does not forward needs no look of its own: through a group nobody
 * answers by itself. */
static const char members_sql[] =
    "SELECT t.target, e.kind=0"
    "  AND NOT EXISTS (SELECT 1 FROM target f WHERE f.address=t.target)"
    " FROM target t LEFT JOIN entry e ON e.address=t.target WHERE t.address=?1 LIMIT ?2";

static enum rc read_members(struct directory_db *d, struct reading *r, struct why *why) {
    enum rc rc =
        db_run(d->db, members_sql, DB_VALUES(DB_TEXT(r->entry->address), DB_INT(MEMBERS_MAX)),
               on_member, r, why);
    r->entry->targets = (struct strings){ r->count, r->list };
    r->entry->plain = r->plain;
    return rc;
}

static enum rc read_group(struct directory_db *d, struct reading *r, bool whole, struct why *why) {
    struct directory_entry *e = r->entry;
    enum rc rc = db_run(d->db,
                        "SELECT senders, delivery, members_send_as, owner FROM rules "
                        "WHERE address=?1",
                        DB_VALUES(DB_TEXT(e->address)), on_rules, r, why);
    if (rc == OK)
        rc = read_patterns(d, "SELECT pattern FROM allowed WHERE address=?1 LIMIT ?2", e->address,
                           r->arena, &e->rules.allowed, why);
    if (rc == OK)
        rc = read_list(d, "SELECT mailbox FROM moderator WHERE address=?1 LIMIT ?2", e->address,
                       SEND_AS_MAX, r->arena, &e->rules.moderators, why);
    return rc == OK && whole ? read_members(d, r, why) : rc;
}

static enum rc read_exact(struct directory_db *d, struct bytes address, bool whole, struct arena *a,
                          struct directory_entry **out, struct why *why);

static const char behind_sql[] =
    "WITH RECURSIVE reach(address) AS ("
    " SELECT ?1 UNION"
    " SELECT t.target FROM reach JOIN entry e ON e.address=reach.address AND e.kind=1"
    "  JOIN target t ON t.address=reach.address UNION"
    " SELECT t.base FROM reach JOIN entry e ON e.address=reach.address AND e.kind=1"
    "  JOIN target t ON t.address=reach.address"
    "  WHERE NOT EXISTS (SELECT 1 FROM entry x WHERE x.address=t.target)"
    ") SELECT r.address FROM reach JOIN rules r ON r.address=reach.address"
    "  WHERE r.senders<>0 LIMIT ?2";

static enum rc read_alias(struct directory_db *d, struct reading *r, struct why *why) {
    struct directory_entry *e = r->entry, *group;
    struct strings names;
    enum rc rc = read_targets(d, e, r->arena, why);
    if (rc == OK)
        rc = read_list(d, behind_sql, e->address, GROUPS_MAX, r->arena, &names, why);
    if (rc != OK || !names.count)
        return rc;
    struct directory_entry *groups = ARENA_ARRAY(r->arena, names.count, struct directory_entry);
    for (size_t i = 0; i < names.count && rc == OK; i++) {
        rc = read_exact(d, names.list[i], false, r->arena, &group, why);
        if (rc == OK && group)
            groups[e->group_count++] = *group;
    }
    e->groups = groups;
    return rc;
}

/* An address exactly as the table has it; *out NULL: none. */
static enum rc read_exact(struct directory_db *d, struct bytes address, bool whole, struct arena *a,
                          struct directory_entry **out, struct why *why) {
    struct reading r = { .arena = a };
    *out = NULL;
    enum rc rc = db_run(d->db,
                        "SELECT address, kind, disabled, keep,"
                        " EXISTS (SELECT 1 FROM vacation v WHERE v.address=?1),"
                        " EXISTS (SELECT 1 FROM target t WHERE t.address=?1),"
                        " logins_since"
                        " FROM entry WHERE address=?1",
                        DB_VALUES(DB_TEXT(address)), on_entry, &r, why);
    if (rc != OK || !r.entry)
        return rc;
    rc = r.entry->kind == DIRECTORY_USER    ? read_user(d, &r, whole, why)
         : r.entry->kind == DIRECTORY_GROUP ? read_group(d, &r, whole, why)
                                            : read_alias(d, &r, why);
    if (rc == OK)
        *out = r.entry;
    return rc;
}

static enum rc find(struct directory_db *d, struct bytes address, bool whole, struct arena *a,
                    struct directory_entry **out, struct why *why) {
    struct bytes lower = arena_lower(a, address);
    enum rc rc = read_exact(d, lower, whole, a, out, why);
    struct bytes base = tables_base(lower, a);
    if (rc != OK || *out || base.len == lower.len)
        return rc;
    return read_exact(d, base, whole, a, out, why);
}

enum rc directory_db_find(struct directory_db *d, struct bytes address, struct arena *a,
                          struct directory_entry **out, struct why *why) {
    return find(d, address, false, a, out, why);
}

enum rc directory_db_find_whole(struct directory_db *d, struct bytes address, struct arena *a,
                                struct directory_entry **out, struct why *why) {
    return find(d, address, true, a, out, why);
}

static void on_any(void *ctx, const struct db_row *row) {
    (void)row;
    *(bool *)ctx = true;
}

/* An alias with one target stands for it: who sends as it is the one behind it. */
static const char member_sql[] = LEADS_UP(
    "SELECT ?2 UNION SELECT ?3 UNION SELECT ?4 UNION SELECT ?5 UNION"
    " SELECT t.target FROM target t JOIN entry a ON a.address=t.address AND a.kind=1"
    "  WHERE t.address IN (?2, ?4)"
    "  AND (SELECT count(*) FROM target n WHERE n.address=t.address)=1") "SELECT 1 FROM up "
                                                                         "WHERE address=?1 "
                                                                         "AND ?1<>?2 AND ?1<>?4 "
                                                                         "LIMIT 1";

enum rc directory_db_is_member(struct directory_db *d, struct bytes group, struct bytes login,
                               struct bytes sender, bool *out, struct why *why) {
    struct arena *a = arena_open();
    login = arena_lower(a, login);
    sender = arena_lower(a, sender);
    *out = false;
    enum rc rc = db_run(d->db, member_sql,
                        DB_VALUES(DB_TEXT(arena_lower(a, group)), DB_TEXT(login),
                                  DB_TEXT(tables_base(login, a)), DB_TEXT(sender),
                                  DB_TEXT(tables_base(sender, a))),
                        on_any, out, why);
    arena_close(&a);
    return rc;
}

enum rc directory_db_find_login(struct directory_db *d, struct bytes login, struct arena *a,
                                struct directory_entry **out, struct why *why) {
    enum rc rc = read_exact(d, arena_lower(a, login), false, a, out, why);
    if (rc == OK && *out && (*out)->kind != DIRECTORY_USER)
        *out = NULL;
    return rc;
}

enum rc directory_db_list(struct directory_db *d, enum directory_kind kind,
                          void (*each)(void *ctx, const struct directory_entry *entry), void *ctx,
                          struct why *why) {
    struct arena *all = arena_open(), *one = arena_open();
    struct reading r = { .arena = all };
    enum rc rc = db_run(d->db, "SELECT address FROM entry WHERE kind=?1 ORDER BY address",
                        DB_VALUES(DB_INT(kind)), on_text, &r, why);
    for (size_t i = 0; i < r.count && rc == OK; i++) {
        struct directory_entry *e;
        rc = read_exact(d, r.list[i], true, one, &e, why);
        if (rc == OK && e && e->kind == kind)
            each(ctx, e);
        arena_reset(one);
    }
    arena_close(&one);
    arena_close(&all);
    return rc;
}

enum rc directory_db_addresses(struct directory_db *d, enum directory_kind kind, struct bytes after,
                               size_t max, struct arena *a, struct strings *out, struct why *why) {
    struct reading r = { .arena = a };
    enum rc rc =
        db_run(d->db,
               "SELECT address FROM entry WHERE kind=?1 AND address>?2"
               " ORDER BY address LIMIT ?3",
               DB_VALUES(DB_INT(kind), DB_TEXT(after), DB_INT((int64_t)max)), on_text, &r, why);
    *out = (struct strings){ r.count, r.list };
    return rc;
}

/* --- writing ----------------------------------------------------------------------------------- */

static enum rc refuse(struct why *why, const char *reason, struct bytes address, const char *text) {
    return why_set(why, PERM, 0, NULL, reason, "%.*s %s", BYTES_FMT(address), text);
}

enum rc change_refuse(struct change *c, const char *reason, const char *text) {
    return refuse(c->why, reason, c->address, text);
}

enum rc tables_mailbox(struct bytes text, struct arena *a, struct bytes *out, struct why *why) {
    struct address parsed;
    const char *wrong = address_parse(text, a, &parsed);
    if (wrong)
        return why_set(why, PERM, 0, NULL, "directory.address", "\"%.*s\" is not an address: %s",
                       BYTES_FMT(text), wrong);
    if (parsed.literal || !parsed.domain.len)
        return refuse(why, "directory.address", text, "needs a domain name behind the @");
    *out = arena_lower(a, parsed.mailbox);
    return OK;
}

/* The one way to write it, so that what was allowed as *@d can be taken back as d. */
static struct bytes pattern_text(const struct pattern *p) {
    return p->kind == PATTERN_ANY ? B("*") : p->kind == PATTERN_NULL ? B("<>") : p->text;
}

enum rc tables_pattern(struct bytes text, struct arena *a, struct bytes *out, struct why *why) {
    struct pattern parsed;
    struct bytes lower = arena_lower(a, text);
    if (lower.len > 320 || !pattern_parse(lower, a, &parsed))
        return why_set(why, PERM, 0, NULL, "directory.pattern",
                       "\"%.*s\" is not an address pattern: expected user@domain, domain, .domain, "
                       "<> or *",
                       BYTES_FMT(bytes_first(text, 80)));
    *out = pattern_text(&parsed);
    return OK;
}

enum rc change_begin(struct change *c, struct directory_db *d, struct bytes address,
                     struct why *why) {
    *c = (struct change){ .d = d, .arena = arena_open(), .why = why };
    enum rc rc = tables_mailbox(address, c->arena, &c->address, why);
    if (rc == OK)
        rc = db_begin(d->db, why);
    if (rc == OK)
        rc = read_exact(d, c->address, false, c->arena, &c->entry, why);
    return rc;
}

enum rc change_end(struct change *c, enum rc rc) {
    if (rc == OK)
        rc = db_commit(c->d->db, c->why);
    db_rollback(c->d->db);
    arena_close(&c->arena);
    return rc;
}

/* Sentences behind an address. */
static const char *const is_not[] = { "is not a user", "is not an alias", "is not a group" };
static const char *const is_already[] = { "is a user already", "is an alias already",
                                          "is a group already" };
static const char *const is_other[3][3] = {
    { "", "is a user, not an alias", "is a user, not a group" },
    { "is an alias, not a user", "", "is an alias, not a group" },
    { "is a group, not a user", "is a group, not an alias", "" },
};

enum rc change_need(struct change *c, enum directory_kind kind) {
    if (c->entry && c->entry->kind == kind)
        return OK;
    if (!c->entry)
        return change_refuse(c, "directory.unknown", is_not[kind]);
    return change_refuse(c, "directory.kind", is_other[c->entry->kind][kind]);
}

enum rc change_run(struct change *c, const char *sql, const struct db_value *values, size_t count) {
    return db_run(c->d->db, sql, values, count, NULL, NULL, c->why);
}

enum rc change_insert(struct change *c, enum directory_kind kind) {
    if (c->entry)
        return change_refuse(c, "directory.exists", is_already[c->entry->kind]);
    return change_run(c, "INSERT INTO entry (address, kind) VALUES (?1, ?2)",
                      DB_VALUES(DB_TEXT(c->address), DB_INT(kind)));
}

enum rc change_delete(struct change *c) {
    return change_run(c, "DELETE FROM entry WHERE address=?1", DB_VALUES(DB_TEXT(c->address)));
}

enum rc directory_user_add(struct directory_db *d, struct bytes address, struct why *why) {
    struct change c;
    enum rc rc = change_begin(&c, d, address, why);
    if (rc == OK)
        rc = change_insert(&c, DIRECTORY_USER);
    return change_end(&c, rc);
}

enum rc directory_user_remove(struct directory_db *d, struct bytes address, struct why *why) {
    struct change c;
    enum rc rc = change_begin(&c, d, address, why);
    if (rc == OK)
        rc = change_need(&c, DIRECTORY_USER);
    if (rc == OK)
        rc = change_delete(&c);
    return change_end(&c, rc);
}

enum rc directory_user_disable(struct directory_db *d, struct bytes address, bool disabled,
                               struct why *why) {
    struct change c;
    enum rc rc = change_begin(&c, d, address, why);
    if (rc == OK)
        rc = change_need(&c, DIRECTORY_USER);
    if (rc == OK)
        rc = db_run(d->db, "UPDATE entry SET disabled=?2 WHERE address=?1",
                    DB_VALUES(DB_TEXT(c.address), DB_INT(disabled)), NULL, NULL, why);
    return change_end(&c, rc);
}

enum rc directory_user_void_logins(struct directory_db *d, struct bytes address, int64_t wall_ms,
                                   struct why *why) {
    struct change c;
    enum rc rc = change_begin(&c, d, address, why);
    if (rc == OK)
        rc = change_need(&c, DIRECTORY_USER);
    if (rc == OK)
        rc = db_run(d->db, "UPDATE entry SET logins_since=?2 WHERE address=?1",
                    DB_VALUES(DB_TEXT(c.address), DB_INT(wall_ms)), NULL, NULL, why);
    return change_end(&c, rc);
}

static enum rc allow(struct change *c, struct bytes pattern) {
    if (c->entry->send_as.count >= SEND_AS_MAX)
        return refuse(c->why, "directory.limit", c->address, "has 1000 sender patterns already");
    return db_run(c->d->db, "INSERT OR IGNORE INTO send_as (address, pattern) VALUES (?1, ?2)",
                  DB_VALUES(DB_TEXT(c->address), DB_TEXT(pattern)), NULL, NULL, c->why);
}

static enum rc deny(struct change *c, struct bytes pattern) {
    enum rc rc = db_run(c->d->db, "DELETE FROM send_as WHERE address=?1 AND pattern=?2",
                        DB_VALUES(DB_TEXT(c->address), DB_TEXT(pattern)), NULL, NULL, c->why);
    if (rc == OK && db_changes(c->d->db) == 0)
        return refuse(c->why, "directory.unknown", c->address, "had no such sender pattern");
    return rc;
}

enum rc directory_user_allow_sender(struct directory_db *d, struct bytes address,
                                    struct bytes pattern, bool allowed, struct why *why) {
    struct change c;
    struct bytes text;
    enum rc rc = change_begin(&c, d, address, why);
    if (rc == OK)
        rc = change_need(&c, DIRECTORY_USER);
    if (rc == OK)
        rc = tables_pattern(pattern, c.arena, &text, why);
    if (rc == OK)
        rc = allowed ? allow(&c, text) : deny(&c, text);
    return change_end(&c, rc);
}

/* --- aliases ----------------------------------------------------------------------------------- */

static const char leads_sql[] =
    "WITH RECURSIVE reach(address) AS ("
    " SELECT ?1 UNION SELECT ?2 UNION"
    " SELECT t.target FROM reach JOIN target t ON t.address=reach.address UNION"
    " SELECT t.base FROM reach JOIN target t ON t.address=reach.address"
    ") SELECT 1 FROM reach WHERE address=?3";

enum rc change_add_target(struct change *c, struct bytes target) {
    struct bytes base = tables_base(target, c->arena);
    bool back = false;
    enum rc rc =
        db_run(c->d->db, leads_sql, DB_VALUES(DB_TEXT(target), DB_TEXT(base), DB_TEXT(c->address)),
               on_any, &back, c->why);
    if (rc != OK)
        return rc;
    if (back)
        return refuse(c->why, "directory.loop", c->address,
                      "would lead back to itself through this target");
    return db_run(
        c->d->db, "INSERT OR IGNORE INTO target (address, target, base) VALUES (?1, ?2, ?3)",
        DB_VALUES(DB_TEXT(c->address), DB_TEXT(target), DB_TEXT(base)), NULL, NULL, c->why);
}

enum rc directory_alias_add(struct directory_db *d, struct bytes address, struct bytes target,
                            struct why *why) {
    struct change c;
    struct bytes to;
    enum rc rc = change_begin(&c, d, address, why);
    if (rc == OK)
        rc = tables_mailbox(target, c.arena, &to, why);
    if (rc == OK && c.entry)
        rc = change_need(&c, DIRECTORY_ALIAS);
    else if (rc == OK)
        rc = change_insert(&c, DIRECTORY_ALIAS);
    if (rc == OK && c.entry && c.entry->targets.count >= TARGETS_MAX)
        rc = refuse(why, "directory.limit", c.address, "has 1000 targets already");
    if (rc == OK)
        rc = change_add_target(&c, to);
    return change_end(&c, rc);
}

/* An alias without a target would swallow mail: with its last target it goes too. */
static enum rc remove_target(struct change *c, struct bytes target) {
    enum rc rc = db_run(c->d->db, "DELETE FROM target WHERE address=?1 AND target=?2",
                        DB_VALUES(DB_TEXT(c->address), DB_TEXT(target)), NULL, NULL, c->why);
    if (rc == OK && db_changes(c->d->db) == 0)
        return refuse(c->why, "directory.unknown", c->address, "does not lead to this target");
    if (rc == OK && c->entry->targets.count == 1)
        rc = change_delete(c);
    return rc;
}

enum rc directory_alias_remove(struct directory_db *d, struct bytes address, struct bytes target,
                               struct why *why) {
    struct change c;
    struct bytes to = BYTES_NONE;
    enum rc rc = change_begin(&c, d, address, why);
    if (rc == OK)
        rc = change_need(&c, DIRECTORY_ALIAS);
    if (rc == OK && target.len)
        rc = tables_mailbox(target, c.arena, &to, why);
    if (rc == OK)
        rc = target.len ? remove_target(&c, to) : change_delete(&c);
    return change_end(&c, rc);
}

/* --- what leads here --------------------------------------------------------------------------- */

enum rc directory_db_leading(struct directory_db *d, struct bytes address, struct arena *a,
                             struct strings *out, struct why *why) {
    return read_list(d,
                     "SELECT DISTINCT address FROM target WHERE base=?1 OR target=?1 "
                     "ORDER BY address LIMIT ?2",
                     arena_lower(a, address), TARGETS_MAX, a, out, why);
}
