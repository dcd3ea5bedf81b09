/* tables: the directory as SQLite keeps it. This file alone knows the schema and its SQL: users and
 * aliases share one table of addresses, so that none can be both; a target keeps beside itself its
 * form without subaddress, so that "which addresses lead here" is one recursive query. */
#include "directory/internal.h"

#include "base/must.h"
#include "message/address.h"

#include <stdlib.h>

enum { TARGETS_MAX = 1000, SEND_AS_MAX = 1000, OWN_MAX = 1000 };

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
    struct bytes *list;
    size_t count, cap;
};

static void on_entry(void *ctx, const struct db_row *row) {
    struct reading *r = ctx;
    r->entry = ARENA_NEW(r->arena, struct directory_entry);
    r->entry->address = arena_copy(r->arena, db_bytes(row, 0));
    r->entry->kind = (enum directory_kind)db_int(row, 1);
    r->entry->disabled = db_int(row, 2) != 0;
    r->entry->logins_since = db_int(row, 3);
}

static void on_text(void *ctx, const struct db_row *row) {
    struct reading *r = ctx;
    if (r->count == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 4;
        struct bytes *list = ARENA_ARRAY(r->arena, cap, struct bytes);
        for (size_t i = 0; i < r->count; i++)
            list[i] = r->list[i];
        r->list = list;
        r->cap = cap;
    }
    r->list[r->count++] = arena_copy(r->arena, db_bytes(row, 0));
}

static enum rc read_list(struct directory_db *d, const char *sql, struct bytes address, int limit,
                         struct arena *a, struct strings *out, struct why *why) {
    struct reading r = { .arena = a };
    enum rc rc = db_run(d->db, sql, DB_VALUES(DB_TEXT(address), DB_INT(limit)), on_text, &r, why);
    *out = (struct strings){ r.count, r.list };
    return rc;
}

static enum rc read_send_as(struct directory_db *d, struct directory_entry *e, struct arena *a,
                            struct why *why) {
    struct strings texts;
    enum rc rc = read_list(d, "SELECT pattern FROM send_as WHERE address=?1 LIMIT ?2", e->address,
                           SEND_AS_MAX, a, &texts, why);
    struct pattern *list = ARENA_ARRAY(a, texts.count, struct pattern);
    size_t count = 0;
    for (size_t i = 0; i < texts.count; i++)
        if (pattern_parse(texts.list[i], a, &list[count]))
            count++;
    e->send_as = (struct patterns){ count, list };
    return rc;
}

/* The main address and every alias all of whose mail comes here: it has one target, and that is an
 * address already in the list, or one with a subaddress that is no entry of its own. */
static const char own_sql[] =
    "WITH RECURSIVE own(address) AS ("
    " SELECT ?1 UNION"
    " SELECT t.address FROM own JOIN target t ON t.base=own.address OR t.target=own.address"
    "  WHERE (SELECT count(*) FROM target n WHERE n.address=t.address)=1"
    "  AND (t.target=own.address OR NOT EXISTS (SELECT 1 FROM entry e WHERE e.address=t.target))"
    ") SELECT address FROM own LIMIT ?2";

static enum rc read_user(struct directory_db *d, struct directory_entry *e, struct arena *a,
                         struct why *why) {
    enum rc rc = read_list(d, own_sql, e->address, OWN_MAX, a, &e->own, why);
    return rc == OK ? read_send_as(d, e, a, why) : rc;
}

/* An address exactly as the table has it; *out NULL: none. */
static enum rc read_exact(struct directory_db *d, struct bytes address, struct arena *a,
                          struct directory_entry **out, struct why *why) {
    struct reading r = { .arena = a };
    *out = NULL;
    enum rc rc =
        db_run(d->db, "SELECT address, kind, disabled, logins_since FROM entry WHERE address=?1",
               DB_VALUES(DB_TEXT(address)), on_entry, &r, why);
    if (rc == OK && r.entry && r.entry->kind == DIRECTORY_USER)
        rc = read_user(d, r.entry, a, why);
    else if (rc == OK && r.entry)
        rc = read_list(d, "SELECT target FROM target WHERE address=?1 LIMIT ?2", r.entry->address,
                       TARGETS_MAX, a, &r.entry->targets, why);
    if (rc == OK)
        *out = r.entry;
    return rc;
}

enum rc directory_db_find(struct directory_db *d, struct bytes address, struct arena *a,
                          struct directory_entry **out, struct why *why) {
    struct bytes lower = arena_lower(a, address);
    enum rc rc = read_exact(d, lower, a, out, why);
    struct bytes base = tables_base(lower, a);
    if (rc != OK || *out || base.len == lower.len)
        return rc;
    return read_exact(d, base, a, out, why);
}

enum rc directory_db_find_login(struct directory_db *d, struct bytes login, struct arena *a,
                                struct directory_entry **out, struct why *why) {
    enum rc rc = read_exact(d, arena_lower(a, login), a, out, why);
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
        rc = read_exact(d, r.list[i], one, &e, why);
        if (rc == OK && e && e->kind == kind)
            each(ctx, e);
        arena_reset(one);
    }
    arena_close(&one);
    arena_close(&all);
    return rc;
}

/* --- writing ----------------------------------------------------------------------------------- */

/* One change: what it is about, read before the transaction is entered. */
struct change {
    struct directory_db *d;
    struct arena *arena;
    struct bytes address; /* lower case */
    struct directory_entry *entry;
    struct why *why;
};

static enum rc refuse(struct why *why, const char *reason, struct bytes address, const char *text) {
    return why_set(why, PERM, 0, NULL, reason, "%.*s %s", BYTES_FMT(address), text);
}

/* A mailbox as the tables keep it. */
static enum rc normalise(struct bytes text, struct arena *a, struct bytes *out, struct why *why) {
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

static enum rc change_begin(struct change *c, struct directory_db *d, struct bytes address,
                            struct why *why) {
    *c = (struct change){ .d = d, .arena = arena_open(), .why = why };
    enum rc rc = normalise(address, c->arena, &c->address, why);
    if (rc == OK)
        rc = db_begin(d->db, why);
    if (rc == OK)
        rc = read_exact(d, c->address, c->arena, &c->entry, why);
    return rc;
}

/* Commits what went well, takes back what did not. */
static enum rc change_end(struct change *c, enum rc rc) {
    if (rc == OK)
        rc = db_commit(c->d->db, c->why);
    db_rollback(c->d->db);
    arena_close(&c->arena);
    return rc;
}

static enum rc need(struct change *c, enum directory_kind kind) {
    if (c->entry && c->entry->kind == kind)
        return OK;
    if (!c->entry)
        return refuse(c->why, "directory.unknown", c->address,
                      kind == DIRECTORY_USER ? "is not a user" : "is not an alias");
    return refuse(c->why, "directory.kind", c->address,
                  kind == DIRECTORY_USER ? "is an alias, not a user" : "is a user, not an alias");
}

static enum rc insert_entry(struct change *c, enum directory_kind kind) {
    return db_run(c->d->db, "INSERT INTO entry (address, kind) VALUES (?1, ?2)",
                  DB_VALUES(DB_TEXT(c->address), DB_INT(kind)), NULL, NULL, c->why);
}

static enum rc delete_entry(struct change *c) {
    return db_run(c->d->db, "DELETE FROM entry WHERE address=?1", DB_VALUES(DB_TEXT(c->address)),
                  NULL, NULL, c->why);
}

enum rc directory_user_add(struct directory_db *d, struct bytes address, struct why *why) {
    struct change c;
    enum rc rc = change_begin(&c, d, address, why);
    if (rc == OK && c.entry)
        rc = refuse(why, "directory.exists", c.address,
                    c.entry->kind == DIRECTORY_USER ? "is a user already" : "is an alias already");
    if (rc == OK)
        rc = insert_entry(&c, DIRECTORY_USER);
    return change_end(&c, rc);
}

enum rc directory_user_remove(struct directory_db *d, struct bytes address, struct why *why) {
    struct change c;
    enum rc rc = change_begin(&c, d, address, why);
    if (rc == OK)
        rc = need(&c, DIRECTORY_USER);
    if (rc == OK)
        rc = delete_entry(&c);
    return change_end(&c, rc);
}

enum rc directory_user_disable(struct directory_db *d, struct bytes address, bool disabled,
                               struct why *why) {
    struct change c;
    enum rc rc = change_begin(&c, d, address, why);
    if (rc == OK)
        rc = need(&c, DIRECTORY_USER);
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
        rc = need(&c, DIRECTORY_USER);
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

/* The one way to write it, so that what was allowed as *@d can be taken back as d. */
static struct bytes pattern_text(const struct pattern *p) {
    return p->kind == PATTERN_ANY ? B("*") : p->kind == PATTERN_NULL ? B("<>") : p->text;
}

enum rc directory_user_allow_sender(struct directory_db *d, struct bytes address,
                                    struct bytes pattern, bool allowed, struct why *why) {
    struct change c;
    struct pattern parsed;
    enum rc rc = change_begin(&c, d, address, why);
    struct bytes text = arena_lower(c.arena, pattern);
    if (rc == OK)
        rc = need(&c, DIRECTORY_USER);
    if (rc == OK && (text.len > 320 || !pattern_parse(text, c.arena, &parsed)))
        rc = why_set(why, PERM, 0, NULL, "directory.pattern",
                     "\"%.*s\" is not an address pattern: expected user@domain, domain, .domain, "
                     "<> or *",
                     BYTES_FMT(bytes_first(pattern, 80)));
    if (rc == OK)
        rc = allowed ? allow(&c, pattern_text(&parsed)) : deny(&c, pattern_text(&parsed));
    return change_end(&c, rc);
}

/* --- aliases ----------------------------------------------------------------------------------- */

static const char leads_sql[] =
    "WITH RECURSIVE reach(address) AS ("
    " SELECT ?1 UNION SELECT ?2 UNION"
    " SELECT t.target FROM reach JOIN target t ON t.address=reach.address UNION"
    " SELECT t.base FROM reach JOIN target t ON t.address=reach.address"
    ") SELECT 1 FROM reach WHERE address=?3";

static void on_any(void *ctx, const struct db_row *row) {
    (void)row;
    *(bool *)ctx = true;
}

static enum rc insert_target(struct change *c, struct bytes target) {
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
        rc = normalise(target, c.arena, &to, why);
    if (rc == OK && c.entry)
        rc = need(&c, DIRECTORY_ALIAS);
    else if (rc == OK)
        rc = insert_entry(&c, DIRECTORY_ALIAS);
    if (rc == OK && c.entry && c.entry->targets.count >= TARGETS_MAX)
        rc = refuse(why, "directory.limit", c.address, "has 1000 targets already");
    if (rc == OK)
        rc = insert_target(&c, to);
    return change_end(&c, rc);
}

/* An alias without a target would swallow mail: with its last target it goes too. */
static enum rc remove_target(struct change *c, struct bytes target) {
    enum rc rc = db_run(c->d->db, "DELETE FROM target WHERE address=?1 AND target=?2",
                        DB_VALUES(DB_TEXT(c->address), DB_TEXT(target)), NULL, NULL, c->why);
    if (rc == OK && db_changes(c->d->db) == 0)
        return refuse(c->why, "directory.unknown", c->address, "does not lead to this target");
    if (rc == OK && c->entry->targets.count == 1)
        rc = delete_entry(c);
    return rc;
}

enum rc directory_alias_remove(struct directory_db *d, struct bytes address, struct bytes target,
                               struct why *why) {
    struct change c;
    struct bytes to = BYTES_NONE;
    enum rc rc = change_begin(&c, d, address, why);
    if (rc == OK)
        rc = need(&c, DIRECTORY_ALIAS);
    if (rc == OK && target.len)
        rc = normalise(target, c.arena, &to, why);
    if (rc == OK)
        rc = target.len ? remove_target(&c, to) : delete_entry(&c);
    return change_end(&c, rc);
}
