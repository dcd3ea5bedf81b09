/* secrets: secrets.db. This file alone knows its schema. No password is in it, nor anything it
 * could be had from but by guessing, unless a login was given a reversible one on purpose. */
#include "keeper/secrets.h"

#include "base/must.h"
#include "keeper/seal.h"
#include "sys/db.h"
#include "sys/random.h"

#include <stdlib.h>
#include <string.h>

static const char *const steps[] = {
    "CREATE TABLE login ("
    " login TEXT PRIMARY KEY,"
    " disabled INTEGER NOT NULL DEFAULT 0,"
    " iterations INTEGER NOT NULL,"
    " salt BLOB NOT NULL,"
    " stored_key BLOB NOT NULL,"
    " server_key BLOB NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE TABLE seed (one INTEGER PRIMARY KEY CHECK (one = 1), value BLOB NOT NULL);",
    /* A login need not have a password of its own; one salt serves all its passwords. */
    "ALTER TABLE login RENAME TO login_before;"
    "CREATE TABLE login ("
    " login TEXT PRIMARY KEY,"
    " disabled INTEGER NOT NULL DEFAULT 0,"
    " iterations INTEGER NOT NULL,"
    " salt BLOB NOT NULL,"
    " stored_key BLOB, server_key BLOB,"     /* SCRAM-SHA-256 */
    " stored_key_1 BLOB, server_key_1 BLOB," /* SCRAM-SHA-1 */
    " hash TEXT,"                            /* of another system */
    " sealed BLOB"                           /* the password itself, encrypted */
    ") WITHOUT ROWID;"
    "INSERT INTO login (login, disabled, iterations, salt, stored_key, server_key)"
    " SELECT login, disabled, iterations, salt, stored_key, server_key FROM login_before;"
    "DROP TABLE login_before;"
    "CREATE TABLE app_password ("
    " login TEXT NOT NULL REFERENCES login ON DELETE CASCADE,"
    " name TEXT NOT NULL,"
    " created INTEGER NOT NULL,"
    " services INTEGER NOT NULL,"
    " senders TEXT NOT NULL,"
    " networks TEXT NOT NULL,"
    " stored_key BLOB NOT NULL, server_key BLOB NOT NULL,"
    " stored_key_1 BLOB NOT NULL, server_key_1 BLOB NOT NULL,"
    " PRIMARY KEY (login, name)"
    ") WITHOUT ROWID;"
    "CREATE TABLE certificate ("
    " certificate TEXT PRIMARY KEY,"
    " login TEXT NOT NULL REFERENCES login ON DELETE CASCADE"
    ") WITHOUT ROWID;"
    "CREATE INDEX certificate_by_login ON certificate (login);",
};
static const struct db_schema schema = { "backend.auth", steps, COUNT_OF(steps) };

struct secrets {
    struct db *db;
    struct seal *seal;
};

struct secrets *secrets_new(const char *file) {
    struct secrets *s = calloc(1, sizeof *s);
    MUST(s);
    s->db = db_new(file, &schema);
    s->seal = seal_open(file);
    return s;
}

void secrets_close(struct secrets **s) {
    if (!*s)
        return;
    db_close(&(*s)->db);
    seal_close(&(*s)->seal);
    free(*s);
    *s = NULL;
}

enum rc secrets_ready(struct secrets *s, bool create, struct why *why) {
    return db_ready(s->db, create, why);
}

enum rc secrets_open(const char *file, bool create, struct secrets **out, struct why *why) {
    *out = secrets_new(file);
    enum rc rc = secrets_ready(*out, create, why);
    if (rc != OK)
        secrets_close(out);
    return rc;
}

/* --- reading ----------------------------------------------------------------------------------- */

static bool take(const struct db_row *row, int column, void *into, size_t size) {
    struct bytes value = db_bytes(row, column);
    if (value.len != size)
        return false;
    memcpy(into, value.at, size);
    return true;
}

/* Two columns; false: neither keys nor none. */
static bool take_keys(const struct db_row *row, int column, enum scram_hash h,
                      struct scram_keys *out) {
    *out = (struct scram_keys){ 0 };
    if (!db_bytes(row, column).len && !db_bytes(row, column + 1).len)
        return true;
    out->is_set = take(row, column, out->stored, scram_octets(h)) &&
                  take(row, column + 1, out->server, scram_octets(h));
    return out->is_set;
}

static bool take_text(struct bytes value, char *into, size_t size) {
    if (value.len >= size || bytes_find(value, '\0') >= 0)
        return false;
    if (value.len)
        memcpy(into, value.at, value.len);
    into[value.len] = '\0';
    return true;
}

struct reading {
    struct account *account;
    bool damaged;
};

static void on_login(void *ctx, const struct db_row *row) {
    struct reading *r = ctx;
    struct account *a = r->account;
    struct credential *own = &a->list[0];
    int64_t iterations = db_int(row, 1);
    a->found = true;
    a->disabled = db_int(row, 0) != 0;
    a->salting.iterations = (unsigned)iterations;
    own->services = SERVICE_SMTP_BIT | SERVICE_POP_BIT;
    r->damaged |= iterations < ITERATIONS_MIN || iterations > 10000000 ||
                  !take(row, 2, a->salting.salt, SALT_OCTETS) ||
                  !take_keys(row, 3, SCRAM_SHA_256, &own->keys[SCRAM_SHA_256]) ||
                  !take_keys(row, 5, SCRAM_SHA_1, &own->keys[SCRAM_SHA_1]) ||
                  !take_text(db_bytes(row, 7), a->hash, sizeof a->hash);
    a->has_reversible = db_int(row, 8) != 0;
    a->has_own = own->keys[SCRAM_SHA_256].is_set;
    a->count = a->has_own;
    memcpy(a->own, own->keys, sizeof a->own);
}

static void on_app(void *ctx, const struct db_row *row) {
    struct reading *r = ctx;
    struct account *a = r->account;
    if (a->count == COUNT_OF(a->list))
        return;
    struct credential *c = &a->list[a->count];
    *c = (struct credential){ .services = (unsigned)db_int(row, 1) };
    r->damaged |= !take_text(db_bytes(row, 0), c->name, sizeof c->name) ||
                  !take_keys(row, 2, SCRAM_SHA_256, &c->keys[SCRAM_SHA_256]) ||
                  !take_keys(row, 4, SCRAM_SHA_1, &c->keys[SCRAM_SHA_1]);
    a->count++;
}

static enum rc damaged(struct bytes login, struct why *why) {
    return why_backend(why, schema.reason,
                       "The keys of %.*s are damaged: set the password anew with "
                       "postern user passwd",
                       BYTES_FMT(login));
}

enum rc secrets_find(struct secrets *s, struct bytes login, struct account *out, struct why *why) {
    struct reading r = { .account = out };
    explicit_bzero(out, sizeof *out);
    enum rc rc = db_run(s->db,
                        "SELECT disabled, iterations, salt, stored_key, server_key, stored_key_1,"
                        " server_key_1, hash, sealed IS NOT NULL FROM login WHERE login=?1",
                        DB_VALUES(DB_TEXT(login)), on_login, &r, why);
    if (rc == OK && out->found && !r.damaged)
        rc = db_run(s->db,
                    "SELECT name, services, stored_key, server_key, stored_key_1, server_key_1"
                    " FROM app_password WHERE login=?1 ORDER BY name",
                    DB_VALUES(DB_TEXT(login)), on_app, &r, why);
    if (rc == OK && r.damaged)
        rc = damaged(login, why);
    if (rc != OK || out->disabled) {
        bool found = out->found, disabled = out->disabled;
        explicit_bzero(out, sizeof *out);
        out->found = found;
        out->disabled = disabled;
    }
    return rc;
}

static void on_text(void *ctx, const struct db_row *row) {
    struct bytes text = db_bytes(row, 0);
    buf_clear(ctx);
    buf_add(ctx, text);
}

enum rc secrets_find_certificate(struct secrets *s, struct bytes certificate, struct buf *login_out,
                                 struct why *why) {
    return db_run(s->db,
                  "SELECT login FROM certificate JOIN login USING (login)"
                  " WHERE certificate=?1 AND NOT disabled",
                  DB_VALUES(DB_TEXT(certificate)), on_text, login_out, why);
}

enum rc secrets_reveal(struct secrets *s, struct bytes login, struct buf *out, struct why *why) {
    char memory[SEALED_MAX];
    struct buf sealed = buf_fixed(memory, sizeof memory);
    enum rc rc = db_run(s->db, "SELECT sealed FROM login WHERE login=?1", DB_VALUES(DB_TEXT(login)),
                        on_text, &sealed, why);
    return rc == OK ? seal_break(s->seal, login, buf_bytes(&sealed), out, why) : rc;
}

static void on_seed(void *ctx, const struct db_row *row) {
    struct bytes *value = ctx;
    if (take(row, 0, (char *)(uintptr_t)value->at, HASH_OCTETS))
        value->len = HASH_OCTETS;
}

static enum rc read_seed(struct secrets *s, uint8_t out[HASH_OCTETS], bool *found_out,
                         struct why *why) {
    struct bytes value = bytes_of(out, 0);
    enum rc rc = db_run(s->db, "SELECT value FROM seed", DB_NO_VALUES, on_seed, &value, why);
    *found_out = value.len == HASH_OCTETS;
    return rc;
}

enum rc secrets_seed(struct secrets *s, uint8_t out[HASH_OCTETS], struct why *why) {
    uint8_t fresh[HASH_OCTETS];
    bool found;
    enum rc rc = read_seed(s, out, &found, why);
    if (rc != OK || found)
        return rc;
    random_octets(fresh, sizeof fresh);
    /* Somebody else may be doing the same: the first one's stays. */
    rc = db_run(s->db, "INSERT OR IGNORE INTO seed (one, value) VALUES (1, ?1)",
                DB_VALUES(DB_BLOB(bytes_of(fresh, sizeof fresh))), NULL, NULL, why);
    if (rc == OK)
        rc = read_seed(s, out, &found, why);
    if (rc == OK && !found)
        rc = why_backend(why, schema.reason, "The seed in secrets.db is damaged");
    return rc;
}

/* --- writing: what all changes need ------------------------------------------------------------ */

/* One change: the login prepared, the transaction entered. */
struct change {
    struct secrets *s;
    struct why *why;
    char memory[LOGIN_MAX + 1];
    struct bytes login;
};

static enum rc bad_login(struct bytes login, struct why *why) {
    return why_set(why, PERM, 0, NULL, "auth.login", "\"%.*s\" cannot be a login: %s",
                   BYTES_FMT(bytes_first(login, 80)),
                   "it is empty, too long or holds characters that SASLprep forbids");
}

static enum rc change_begin(struct change *c, struct secrets *s, struct bytes login,
                            struct why *why) {
    struct buf prepared = buf_fixed(c->memory, sizeof c->memory);
    c->s = s;
    c->why = why;
    if (!prepare_login(login, &prepared))
        return bad_login(login, why);
    c->login = buf_bytes(&prepared);
    return db_begin(s->db, why);
}

static enum rc change_end(struct change *c, enum rc rc) {
    if (rc == OK)
        rc = db_commit(c->s->db, c->why);
    db_rollback(c->s->db);
    return rc;
}

static void on_salting(void *ctx, const struct db_row *row) {
    struct salting *s = ctx;
    if (take(row, 1, s->salt, SALT_OCTETS))
        s->iterations = (unsigned)db_int(row, 0);
}

/* The row of the login, made if it is missing, and its salt. With `fresh` the salt is a new one
 * unless app passwords were made with the old. */
static enum rc need_row(struct change *c, bool fresh, struct salting *out) {
    struct salting made = { .iterations = ITERATIONS };
    random_octets(made.salt, SALT_OCTETS);
    enum rc rc = db_run(c->s->db,
                        "INSERT OR IGNORE INTO login (login, iterations, salt) VALUES (?1, ?2, ?3)",
                        DB_VALUES(DB_TEXT(c->login), DB_INT(made.iterations),
                                  DB_BLOB(bytes_of(made.salt, SALT_OCTETS))),
                        NULL, NULL, c->why);
    if (rc == OK && fresh)
        rc = db_run(c->s->db,
                    "UPDATE login SET iterations=?2, salt=?3 WHERE login=?1 AND NOT EXISTS"
                    " (SELECT 1 FROM app_password a WHERE a.login=?1)",
                    DB_VALUES(DB_TEXT(c->login), DB_INT(made.iterations),
                              DB_BLOB(bytes_of(made.salt, SALT_OCTETS))),
                    NULL, NULL, c->why);
    *out = (struct salting){ 0 };
    if (rc == OK)
        rc = db_run(c->s->db, "SELECT iterations, salt FROM login WHERE login=?1",
                    DB_VALUES(DB_TEXT(c->login)), on_salting, out, c->why);
    if (rc == OK && out->iterations < ITERATIONS_MIN)
        rc = damaged(c->login, c->why);
    return rc;
}

/* The password prepared and its keys, of all hashes. */
static enum rc derive_all(const struct salting *salting, struct bytes password,
                          struct scram_keys keys[SCRAM_HASHES], struct why *why) {
    char word[4 * PASSWORD_MAX];
    struct buf prepared = buf_fixed(word, sizeof word);
    if (!prepare_password(password, true, &prepared) || prepared.len > PASSWORD_MAX) {
        explicit_bzero(word, sizeof word);
        return why_set(why, PERM, 0, NULL, "auth.password",
                       "This password cannot be used: it is empty, longer than 1024 octets, not "
                       "UTF-8, or holds control characters");
    }
    for (int h = 0; h < SCRAM_HASHES; h++)
        scram_derive(salting, (enum scram_hash)h, buf_bytes(&prepared), &keys[h]);
    explicit_bzero(word, sizeof word);
    return OK;
}

static struct db_value stored_of(const struct scram_keys *keys, enum scram_hash h) {
    return DB_BLOB(bytes_of(keys[h].stored, keys[h].is_set ? scram_octets(h) : 0));
}

static struct db_value server_of(const struct scram_keys *keys, enum scram_hash h) {
    return DB_BLOB(bytes_of(keys[h].server, keys[h].is_set ? scram_octets(h) : 0));
}

#define KEY_VALUES(keys)                                                                           \
    stored_of(keys, SCRAM_SHA_256), server_of(keys, SCRAM_SHA_256), stored_of(keys, SCRAM_SHA_1),  \
        server_of(keys, SCRAM_SHA_1)

/* --- the login's own password ------------------------------------------------------------------ */

static enum rc set_password(struct change *c, struct bytes password, struct bytes sealed) {
    struct salting salting;
    struct scram_keys keys[SCRAM_HASHES];
    enum rc rc = need_row(c, true, &salting);
    if (rc == OK)
        rc = derive_all(&salting, password, keys, c->why);
    if (rc == OK)
        rc = db_run(c->s->db,
                    "UPDATE login SET stored_key=?2, server_key=?3, stored_key_1=?4,"
                    " server_key_1=?5, hash=NULL, sealed=nullif(?6, x'') WHERE login=?1",
                    DB_VALUES(DB_TEXT(c->login), KEY_VALUES(keys), DB_BLOB(sealed)), NULL, NULL,
                    c->why);
    explicit_bzero(keys, sizeof keys);
    return rc;
}

enum rc secrets_set(struct secrets *s, struct bytes login, struct bytes password, struct why *why) {
    struct change c;
    enum rc rc = change_begin(&c, s, login, why);
    if (rc == OK)
        rc = set_password(&c, password, BYTES_NONE);
    return change_end(&c, rc);
}

enum rc secrets_set_reversible(struct secrets *s, struct bytes login, struct bytes password,
                               struct why *why) {
    char memory[SEALED_MAX];
    struct buf sealed = buf_fixed(memory, sizeof memory);
    struct change c;
    enum rc rc = change_begin(&c, s, login, why);
    if (rc == OK)
        rc = seal_make(s->seal, c.login, password, &sealed, why);
    if (rc == OK)
        rc = set_password(&c, password, buf_bytes(&sealed));
    return change_end(&c, rc);
}

enum rc secrets_import(struct secrets *s, struct bytes login, struct bytes text, struct why *why) {
    struct salting salting;
    struct change c;
    struct bytes hash;
    const char *wrong = import_parse(text, &hash);
    if (wrong)
        return why_set(why, PERM, 0, NULL, "auth.hash", "This hash cannot be taken: %s", wrong);
    enum rc rc = change_begin(&c, s, login, why);
    if (rc == OK)
        rc = need_row(&c, true, &salting);
    if (rc == OK)
        rc = db_run(s->db,
                    "UPDATE login SET stored_key=NULL, server_key=NULL, stored_key_1=NULL,"
                    " server_key_1=NULL, sealed=NULL, hash=?2 WHERE login=?1",
                    DB_VALUES(DB_TEXT(c.login), DB_TEXT(hash)), NULL, NULL, why);
    return change_end(&c, rc);
}

enum rc secrets_complete(struct secrets *s, struct bytes login, const struct account *as_read,
                         struct bytes password, struct why *why) {
    struct scram_keys keys[SCRAM_HASHES];
    if (derive_all(&as_read->salting, password, keys, NULL) != OK)
        return OK; /* of characters that are not stored: what there is stays */
    enum rc rc =
        db_run(s->db,
               "UPDATE login SET stored_key=?2, server_key=?3, stored_key_1=?4, server_key_1=?5,"
               " hash=NULL WHERE login=?1 AND salt=?6 AND coalesce(hash, '')=?7"
               " AND coalesce(stored_key, x'')=?8",
               DB_VALUES(DB_TEXT(login), KEY_VALUES(keys),
                         DB_BLOB(bytes_of(as_read->salting.salt, SALT_OCTETS)),
                         DB_TEXT(bytes_str(as_read->hash)), stored_of(as_read->own, SCRAM_SHA_256)),
               NULL, NULL, why);
    explicit_bzero(keys, sizeof keys);
    return rc;
}

enum rc secrets_remove(struct secrets *s, struct bytes login, struct why *why) {
    struct change c;
    enum rc rc = change_begin(&c, s, login, why);
    if (rc == OK)
        rc = db_run(s->db, "DELETE FROM login WHERE login=?1", DB_VALUES(DB_TEXT(c.login)), NULL,
                    NULL, why);
    return change_end(&c, rc);
}

enum rc secrets_disable(struct secrets *s, struct bytes login, bool disabled, struct why *why) {
    struct change c;
    struct salting salting;
    enum rc rc = change_begin(&c, s, login, why);
    /* One that only others know the password of has no row yet, but must not come in by them. */
    if (rc == OK && disabled)
        rc = need_row(&c, false, &salting);
    if (rc == OK)
        rc = db_run(s->db, "UPDATE login SET disabled=?2 WHERE login=?1",
                    DB_VALUES(DB_TEXT(c.login), DB_INT(disabled)), NULL, NULL, why);
    return change_end(&c, rc);
}

/* --- app passwords ----------------------------------------------------------------------------- */

static void on_count(void *ctx, const struct db_row *row) {
    *(int64_t *)ctx = db_int(row, 0);
}

static enum rc app_room(struct change *c, struct bytes name) {
    int64_t count = 0, same = 0;
    enum rc rc = db_run(c->s->db, "SELECT count(*) FROM app_password WHERE login=?1",
                        DB_VALUES(DB_TEXT(c->login)), on_count, &count, c->why);
    if (rc == OK)
        rc = db_run(c->s->db, "SELECT count(*) FROM app_password WHERE login=?1 AND name=?2",
                    DB_VALUES(DB_TEXT(c->login), DB_TEXT(name)), on_count, &same, c->why);
    if (rc == OK && same)
        rc = why_set(c->why, PERM, 0, NULL, "auth.app-password",
                     "%.*s has an app password \"%.*s\" already", BYTES_FMT(c->login),
                     BYTES_FMT(name));
    else if (rc == OK && count >= APP_PASSWORDS_MAX)
        rc = why_set(c->why, PERM, 0, NULL, "auth.app-password",
                     "%.*s has %d app passwords, the most there may be: remove one",
                     BYTES_FMT(c->login), APP_PASSWORDS_MAX);
    return rc;
}

static bool good_name(struct bytes name) {
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_alnum(name.at[i]) && bytes_find(B("-_."), name.at[i]) < 0)
            return false;
    return name.len > 0 && name.len <= APP_NAME_MAX;
}

static enum rc app_insert(struct change *c, const struct app_password *app,
                          const struct scram_keys *keys) {
    unsigned services = (app->smtp ? SERVICE_SMTP_BIT : 0) | (app->pop ? SERVICE_POP_BIT : 0);
    return db_run(c->s->db,
                  "INSERT INTO app_password (login, stored_key, server_key, stored_key_1,"
                  " server_key_1, name, created, services, senders, networks)"
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                  DB_VALUES(DB_TEXT(c->login), KEY_VALUES(keys), DB_TEXT(app->name),
                            DB_INT(app->created), DB_INT(services), DB_TEXT(app->senders),
                            DB_TEXT(app->networks)),
                  NULL, NULL, c->why);
}

enum rc secrets_app_add(struct secrets *s, struct bytes login, const struct app_password *app,
                        struct bytes password, struct why *why) {
    struct salting salting;
    struct scram_keys keys[SCRAM_HASHES];
    struct change c;
    if (!good_name(app->name))
        return why_set(why, PERM, 0, NULL, "auth.app-password",
                       "The name of an app password is at most 64 letters, digits and - _ .");
    if (app->senders.len > APP_SENDERS_MAX || app->networks.len > APP_NETWORKS_MAX)
        return why_set(why, PERM, 0, NULL, "auth.app-password",
                       "The lists of senders and networks may have 1024 and 512 octets");
    enum rc rc = change_begin(&c, s, login, why);
    if (rc == OK)
        rc = need_row(&c, false, &salting);
    if (rc == OK)
        rc = app_room(&c, app->name);
    if (rc == OK)
        rc = derive_all(&salting, password, keys, why);
    if (rc == OK)
        rc = app_insert(&c, app, keys);
    explicit_bzero(keys, sizeof keys);
    return change_end(&c, rc);
}

enum rc secrets_app_remove(struct secrets *s, struct bytes login, struct bytes name,
                           struct why *why) {
    struct change c;
    enum rc rc = change_begin(&c, s, login, why);
    if (rc == OK)
        rc = db_run(s->db, "DELETE FROM app_password WHERE login=?1 AND name=?2",
                    DB_VALUES(DB_TEXT(c.login), DB_TEXT(name)), NULL, NULL, why);
    if (rc == OK && db_changes(s->db) == 0)
        rc =
            why_set(why, PERM, 0, NULL, "directory.unknown",
                    "%.*s has no app password \"%.*s\" (postern user app-password list shows them)",
                    BYTES_FMT(c.login), BYTES_FMT(bytes_first(name, APP_NAME_MAX)));
    return change_end(&c, rc);
}

struct listing {
    void (*on_app)(void *ctx, const struct app_password *app);
    void (*on_certificate)(void *ctx, struct bytes certificate);
    void *ctx;
};

static void list_app(void *ctx, const struct db_row *row) {
    const struct listing *l = ctx;
    struct app_password app = {
        .name = db_bytes(row, 0),
        .created = db_int(row, 1),
        .smtp = db_int(row, 2) & SERVICE_SMTP_BIT,
        .pop = db_int(row, 2) & SERVICE_POP_BIT,
        .senders = db_bytes(row, 3),
        .networks = db_bytes(row, 4),
    };
    l->on_app(l->ctx, &app);
}

enum rc secrets_app_list(struct secrets *s, struct bytes login,
                         void (*each)(void *ctx, const struct app_password *app), void *ctx,
                         struct why *why) {
    char name[LOGIN_MAX + 1];
    struct buf prepared = buf_fixed(name, sizeof name);
    struct listing l = { .on_app = each, .ctx = ctx };
    if (!prepare_login(login, &prepared))
        return bad_login(login, why);
    return db_run(s->db,
                  "SELECT name, created, services, senders, networks FROM app_password"
                  " WHERE login=?1 ORDER BY name",
                  DB_VALUES(DB_TEXT(buf_bytes(&prepared))), list_app, &l, why);
}

struct bounds {
    struct buf *senders, *networks;
    bool found;
};

static void on_bounds(void *ctx, const struct db_row *row) {
    struct bounds *b = ctx;
    b->found = true;
    buf_add(b->senders, db_bytes(row, 0));
    buf_add(b->networks, db_bytes(row, 1));
}

enum rc secrets_app_bounds(struct secrets *s, struct bytes login, struct bytes name,
                           struct buf *senders_out, struct buf *networks_out, bool *found_out,
                           struct why *why) {
    struct bounds b = { .senders = senders_out, .networks = networks_out };
    enum rc rc =
        db_run(s->db, "SELECT senders, networks FROM app_password WHERE login=?1 AND name=?2",
               DB_VALUES(DB_TEXT(login), DB_TEXT(name)), on_bounds, &b, why);
    *found_out = b.found;
    if (rc == OK && (senders_out->full || networks_out->full))
        rc = damaged(login, why); /* half a bound is none */
    return rc;
}

/* --- certificates ------------------------------------------------------------------------------ */

static enum rc bad_certificate(struct bytes text, struct why *why) {
    return why_set(
        why, PERM, 0, NULL, "auth.certificate",
        "\"%.*s\" names no certificate: expected spki-sha256: and 64 hexadecimal digits, "
        "or name: and a name that the authority of the listener vouches for",
        BYTES_FMT(bytes_first(text, 100)));
}

static bool is_hex(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_digit(text.at[i]) && (text.at[i] < 'a' || text.at[i] > 'f'))
            return false;
    return text.len > 0;
}

/* The one way to write it: in lower case, but for a path. */
static bool prepare_certificate(struct bytes text, struct buf *out) {
    ptrdiff_t name = bytes_search(text, B(" name:"));
    if (bytes_find(text, '\0') >= 0 || bytes_find(text, '\n') >= 0)
        return false;
    if (bytes_starts(text, B("ca:/")) && name > 0) {
        buf_add(out, bytes_first(text, (size_t)name));
        buf_lower(out, bytes_skip(text, (size_t)name));
        return !out->full && text.len > (size_t)name + 6;
    }
    buf_lower(out, text);
    return !out->full && bytes_starts(buf_bytes(out), B("spki-sha256:")) &&
           out->len == 12 + 2 * HASH_OCTETS && is_hex(bytes_skip(buf_bytes(out), 12));
}

enum rc secrets_allow_certificate(struct secrets *s, struct bytes login, struct bytes certificate,
                                  struct why *why) {
    char text[CERTIFICATE_MAX], owner[LOGIN_MAX + 1];
    struct buf prepared = buf_fixed(text, sizeof text), other = buf_fixed(owner, sizeof owner);
    struct salting salting;
    struct change c;
    if (!prepare_certificate(certificate, &prepared))
        return bad_certificate(certificate, why);
    enum rc rc = change_begin(&c, s, login, why);
    if (rc == OK)
        rc = need_row(&c, false, &salting);
    if (rc == OK)
        rc = db_run(s->db, "SELECT login FROM certificate WHERE certificate=?1 AND login<>?2",
                    DB_VALUES(DB_TEXT(buf_bytes(&prepared)), DB_TEXT(c.login)), on_text, &other,
                    why);
    if (rc == OK && other.len)
        rc = why_set(why, PERM, 0, NULL, "auth.certificate",
                     "This certificate stands for %.*s: deny it there first",
                     BYTES_FMT(buf_bytes(&other)));
    if (rc == OK)
        rc = db_run(s->db, "INSERT OR IGNORE INTO certificate (certificate, login) VALUES (?1, ?2)",
                    DB_VALUES(DB_TEXT(buf_bytes(&prepared)), DB_TEXT(c.login)), NULL, NULL, why);
    return change_end(&c, rc);
}

enum rc secrets_deny_certificate(struct secrets *s, struct bytes login, struct bytes certificate,
                                 struct why *why) {
    char text[CERTIFICATE_MAX];
    struct buf prepared = buf_fixed(text, sizeof text);
    struct change c;
    if (!prepare_certificate(certificate, &prepared))
        return bad_certificate(certificate, why);
    enum rc rc = change_begin(&c, s, login, why);
    if (rc == OK)
        rc = db_run(s->db, "DELETE FROM certificate WHERE certificate=?1 AND login=?2",
                    DB_VALUES(DB_TEXT(buf_bytes(&prepared)), DB_TEXT(c.login)), NULL, NULL, why);
    if (rc == OK && db_changes(s->db) == 0)
        rc = why_set(why, PERM, 0, NULL, "directory.unknown", "%.*s had no such certificate",
                     BYTES_FMT(c.login));
    return change_end(&c, rc);
}

static void list_certificate(void *ctx, const struct db_row *row) {
    const struct listing *l = ctx;
    l->on_certificate(l->ctx, db_bytes(row, 0));
}

enum rc secrets_certificates(struct secrets *s, struct bytes login,
                             void (*each)(void *ctx, struct bytes certificate), void *ctx,
                             struct why *why) {
    char name[LOGIN_MAX + 1];
    struct buf prepared = buf_fixed(name, sizeof name);
    struct listing l = { .on_certificate = each, .ctx = ctx };
    if (!prepare_login(login, &prepared))
        return bad_login(login, why);
    return db_run(s->db, "SELECT certificate FROM certificate WHERE login=?1 ORDER BY certificate",
                  DB_VALUES(DB_TEXT(buf_bytes(&prepared))), list_certificate, &l, why);
}

static void on_kinds(void *ctx, const struct db_row *row) {
    struct secrets_kinds *k = ctx;
    *k = (struct secrets_kinds){
        .password = db_int(row, 0),
        .sha_1 = db_int(row, 1),
        .imported = db_int(row, 2),
        .reversible = db_int(row, 3),
        .app_passwords = (unsigned)db_int(row, 4),
    };
}

enum rc secrets_kinds(struct secrets *s, struct bytes login, struct secrets_kinds *out,
                      struct why *why) {
    char name[LOGIN_MAX + 1];
    struct buf prepared = buf_fixed(name, sizeof name);
    *out = (struct secrets_kinds){ 0 };
    if (!prepare_login(login, &prepared))
        return bad_login(login, why);
    return db_run(s->db,
                  "SELECT length(stored_key)>0, length(stored_key_1)>0, hash IS NOT NULL,"
                  " sealed IS NOT NULL,"
                  " (SELECT count(*) FROM app_password a WHERE a.login=login.login)"
                  " FROM login WHERE login=?1",
                  DB_VALUES(DB_TEXT(buf_bytes(&prepared))), on_kinds, out, why);
}
