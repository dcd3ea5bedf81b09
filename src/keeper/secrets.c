/* secrets: secrets.db. This file alone knows its schema. No password is in it, nor anything it
 * could be had from but by guessing. */
#include "keeper/secrets.h"

#include "base/must.h"
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
};
static const struct db_schema schema = { "backend.auth", steps, COUNT_OF(steps) };

struct secrets {
    struct db *db;
};

struct secrets *secrets_new(const char *file) {
    struct secrets *s = calloc(1, sizeof *s);
    MUST(s);
    s->db = db_new(file, &schema);
    return s;
}

void secrets_close(struct secrets **s) {
    if (!*s)
        return;
    db_close(&(*s)->db);
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

struct found {
    struct secret *secret;
    bool any, good, disabled;
};

static void on_login(void *ctx, const struct db_row *row) {
    struct found *f = ctx;
    int64_t iterations = db_int(row, 1);
    f->any = true;
    f->disabled = db_int(row, 0) != 0;
    f->good = iterations >= ITERATIONS_MIN && iterations <= 10000000 &&
              take(row, 2, f->secret->salt, SALT_OCTETS) &&
              take(row, 3, f->secret->stored_key, HASH_OCTETS) &&
              take(row, 4, f->secret->server_key, HASH_OCTETS);
    f->secret->iterations = (unsigned)iterations;
}

enum rc secrets_find(struct secrets *s, struct bytes login, struct secret *out, bool *found_out,
                     struct why *why) {
    struct secret secret = { 0 };
    struct found f = { .secret = &secret };
    enum rc rc = db_run(s->db,
                        "SELECT disabled, iterations, salt, stored_key, server_key FROM login"
                        " WHERE login=?1",
                        DB_VALUES(DB_TEXT(login)), on_login, &f, why);
    *found_out = false;
    if (rc != OK)
        return rc;
    if (f.any && !f.good)
        return why_backend(why, schema.reason,
                           "The keys of %.*s are damaged: set the password anew with "
                           "postern user passwd",
                           BYTES_FMT(login));
    *found_out = f.any && !f.disabled;
    if (*found_out)
        *out = secret;
    explicit_bzero(&secret, sizeof secret);
    return OK;
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

/* --- writing ----------------------------------------------------------------------------------- */

static enum rc bad_login(struct bytes login, struct why *why) {
    return why_set(why, PERM, 0, NULL, "auth.login", "\"%.*s\" cannot be a login: %s",
                   BYTES_FMT(bytes_first(login, 80)),
                   "it is empty, too long or holds characters that SASLprep forbids");
}

static enum rc store(struct secrets *s, struct bytes login, const struct secret *k,
                     struct why *why) {
    return db_run(s->db,
                  "INSERT INTO login (login, iterations, salt, stored_key, server_key)"
                  " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (login) DO UPDATE SET"
                  " iterations=excluded.iterations, salt=excluded.salt,"
                  " stored_key=excluded.stored_key, server_key=excluded.server_key",
                  DB_VALUES(DB_TEXT(login), DB_INT(k->iterations),
                            DB_BLOB(bytes_of(k->salt, SALT_OCTETS)),
                            DB_BLOB(bytes_of(k->stored_key, HASH_OCTETS)),
                            DB_BLOB(bytes_of(k->server_key, HASH_OCTETS))),
                  NULL, NULL, why);
}

enum rc secrets_set(struct secrets *s, struct bytes login, struct bytes password, struct why *why) {
    char name[LOGIN_MAX + 1], word[4 * PASSWORD_MAX];
    struct buf prepared_name = buf_fixed(name, sizeof name);
    struct buf prepared = buf_fixed(word, sizeof word);
    struct secret secret = { .iterations = ITERATIONS };
    if (!prepare_login(login, &prepared_name))
        return bad_login(login, why);
    if (!prepare_password(password, true, &prepared) || prepared.len > PASSWORD_MAX) {
        explicit_bzero(word, sizeof word);
        return why_set(why, PERM, 0, NULL, "auth.password",
                       "This password cannot be used: it is empty, longer than 1024 octets, not "
                       "UTF-8, or holds control characters");
    }
    random_octets(secret.salt, SALT_OCTETS);
    secret_derive(&secret, buf_bytes(&prepared));
    explicit_bzero(word, sizeof word);
    enum rc rc = store(s, buf_bytes(&prepared_name), &secret, why);
    explicit_bzero(&secret, sizeof secret);
    return rc;
}

enum rc secrets_remove(struct secrets *s, struct bytes login, struct why *why) {
    char name[LOGIN_MAX + 1];
    struct buf prepared = buf_fixed(name, sizeof name);
    if (!prepare_login(login, &prepared))
        return bad_login(login, why);
    return db_run(s->db, "DELETE FROM login WHERE login=?1",
                  DB_VALUES(DB_TEXT(buf_bytes(&prepared))), NULL, NULL, why);
}

enum rc secrets_disable(struct secrets *s, struct bytes login, bool disabled, struct why *why) {
    char name[LOGIN_MAX + 1];
    struct buf prepared = buf_fixed(name, sizeof name);
    if (!prepare_login(login, &prepared))
        return bad_login(login, why);
    return db_run(s->db, "UPDATE login SET disabled=?2 WHERE login=?1",
                  DB_VALUES(DB_TEXT(buf_bytes(&prepared)), DB_INT(disabled)), NULL, NULL, why);
}
