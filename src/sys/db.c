/* db: connections to SQLite files. This file alone knows SQLite's calls and codes, and that an open
 * connection goes on working on a file that is no longer at its path: so the path is looked at
 * before each piece of work. */
#include "sys/db.h"

#include "base/buf.h"
#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATIENCE_MS = 5000, STATEMENTS = 48, CACHE_KIB = 512 };

struct db {
    char *file;
    const struct db_schema *schema;
    sqlite3 *handle; /* NULL: not open */
    dev_t device;
    ino_t inode;
    uint64_t opened; /* how often */
    bool broken;     /* failed in a way that a new connection may mend */
    struct {
        const char *sql;
        sqlite3_stmt *statement;
    } kept[STATEMENTS];
    size_t kept_count;
};

struct db_row {
    sqlite3_stmt *statement;
};

struct db *db_new(const char *file, const struct db_schema *schema) {
    struct db *d = calloc(1, sizeof *d);
    MUST(d);
    d->file = strdup(file);
    MUST(d->file);
    d->schema = schema;
    return d;
}

static void disconnect(struct db *d) {
    for (size_t i = 0; i < d->kept_count; i++)
        sqlite3_finalize(d->kept[i].statement);
    d->kept_count = 0;
    sqlite3_close(d->handle);
    d->handle = NULL;
    d->broken = false;
}

void db_close(struct db **d) {
    if (!*d)
        return;
    disconnect(*d);
    free((*d)->file);
    free(*d);
    *d = NULL;
}

/* --- failures ---------------------------------------------------------------------------------- */

static const struct {
    int code;
    bool reopen;
    const char *text;
} failures[] = {
    { SQLITE_BUSY, false, "is locked by another process for more than 5 s" },
    { SQLITE_LOCKED, false, "is locked by another process for more than 5 s" },
    { SQLITE_CORRUPT, true, "is damaged: restore it from a backup" },
    { SQLITE_NOTADB, true, "is not a database or is damaged: restore it from a backup" },
    { SQLITE_CANTOPEN, true, "cannot be opened: check its owner, mode and directory" },
    { SQLITE_PERM, true, "cannot be opened: check its owner and mode" },
    { SQLITE_READONLY, true, "cannot be written: check its owner and mode" },
    { SQLITE_FULL, false, "cannot grow: the disk is full" },
    { SQLITE_IOERR, true, "cannot be read or written" },
};

static enum rc failed(struct db *d, int code, struct why *why) {
    const char *detail = d->handle ? sqlite3_errmsg(d->handle) : sqlite3_errstr(code);
    for (size_t i = 0; i < COUNT_OF(failures); i++) {
        if (failures[i].code != (code & 0xff))
            continue;
        d->broken |= failures[i].reopen;
        return why_backend(why, d->schema->reason, "%s %s (%s)", d->file, failures[i].text, detail);
    }
    d->broken = true;
    return why_backend(why, d->schema->reason, "%s: %s", d->file, detail);
}

/* --- opening ----------------------------------------------------------------------------------- */

/* What a restored or removed file, or one made unreadable, looks like before SQLite is asked. */
static enum rc look(const struct db *d, struct stat *st, struct why *why) {
    if (stat(d->file, st) != 0)
        return why_backend(why, d->schema->reason, "%s: %s", d->file, strerror(errno));
    if (euidaccess(d->file, R_OK) != 0)
        return why_backend(why, d->schema->reason, "%s cannot be read: %s", d->file,
                           strerror(errno));
    return OK;
}

/* The directory a path is in; false: none is named. */
static bool directory_of(const char *path, char out[PATH_MAX]) {
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path || (size_t)(slash - path) >= PATH_MAX)
        return false;
    memcpy(out, path, (size_t)(slash - path));
    out[slash - path] = '\0';
    return true;
}

/* What root makes belongs to whoever owns the directory it is in: the server's accounts. */
static void inherit_owner(int fd, const char *path) {
    char directory[PATH_MAX];
    struct stat st;
    if (geteuid() == 0 && directory_of(path, directory) && stat(directory, &st) == 0 &&
        fchown(fd, st.st_uid, st.st_gid) != 0)
        return; /* then it stays root's, and the server says that it cannot read it */
}

static void make_directory(const char *path) {
    if (mkdir(path, 0700) != 0)
        return; /* there already; else the open says why */
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    inherit_owner(fd, path);
    close(fd);
}

/* Made by us, not by SQLite, because of mode and owner. */
static enum rc make_file(struct db *d, struct why *why) {
    char directory[PATH_MAX];
    if (directory_of(d->file, directory))
        make_directory(directory);
    int fd = open(d->file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return why_backend(why, d->schema->reason, "%s cannot be made: %s", d->file,
                           strerror(errno));
    inherit_owner(fd, d->file);
    close(fd);
    return OK;
}

static int64_t number_of(sqlite3 *handle, const char *sql, int *code_out) {
    sqlite3_stmt *statement = NULL;
    int64_t number = 0;
    *code_out = sqlite3_prepare_v2(handle, sql, -1, &statement, NULL);
    if (*code_out == SQLITE_OK) {
        *code_out = sqlite3_step(statement);
        if (*code_out == SQLITE_ROW) {
            number = sqlite3_column_int64(statement, 0);
            *code_out = SQLITE_OK;
        }
    }
    sqlite3_finalize(statement);
    return number;
}

static int step_up(struct db *d, int64_t version) {
    char pragma[48];
    int code = sqlite3_exec(d->handle, d->schema->steps[version], NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return code;
    snprintf(pragma, sizeof pragma, "PRAGMA user_version=%d", (int)version + 1);
    return sqlite3_exec(d->handle, pragma, NULL, NULL, NULL);
}

static bool up_to_date(struct db *d, int *code_out) {
    int64_t version = number_of(d->handle, "PRAGMA user_version", code_out);
    return *code_out == SQLITE_OK && version == (int64_t)d->schema->count;
}

static enum rc migrate(struct db *d, struct why *why) {
    int code;
    if (up_to_date(d, &code))
        return OK;
    if (code == SQLITE_OK)
        code = sqlite3_exec(d->handle, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return failed(d, code, why);
    /* Again, now that nobody else can be at it. */
    int64_t version = number_of(d->handle, "PRAGMA user_version", &code);
    if (code == SQLITE_OK && version > (int64_t)d->schema->count) {
        sqlite3_exec(d->handle, "ROLLBACK", NULL, NULL, NULL);
        return why_backend(why, d->schema->reason,
                           "%s was written by a newer version of this program", d->file);
    }
    while (code == SQLITE_OK && version < (int64_t)d->schema->count)
        code = step_up(d, version++);
    if (code == SQLITE_OK)
        code = sqlite3_exec(d->handle, "COMMIT", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        return OK;
    enum rc rc = failed(d, code, why);
    sqlite3_exec(d->handle, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

static int set_up(sqlite3 *handle) {
    char sql[256];
    sqlite3_busy_timeout(handle, PATIENCE_MS);
    sqlite3_extended_result_codes(handle, 0);
    snprintf(sql, sizeof sql,
             "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
             "PRAGMA trusted_schema=OFF; PRAGMA secure_delete=ON; PRAGMA cache_size=-%d",
             CACHE_KIB);
    return sqlite3_exec(handle, sql, NULL, NULL, NULL);
}

static enum rc connect_to(struct db *d, const struct stat *st, struct why *why) {
    int code =
        sqlite3_open_v2(d->file, &d->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = set_up(d->handle);
    enum rc rc = code == SQLITE_OK ? migrate(d, why) : failed(d, code, why);
    if (rc != OK) {
        disconnect(d);
        return rc;
    }
    d->device = st->st_dev;
    d->inode = st->st_ino;
    d->opened++;
    return OK;
}

enum rc db_ready(struct db *d, bool create, struct why *why) {
    struct stat st;
    if (create && access(d->file, F_OK) != 0 && errno == ENOENT) {
        enum rc made = make_file(d, why);
        if (made != OK)
            return made;
    }
    enum rc rc = look(d, &st, why);
    if (rc != OK) {
        disconnect(d);
        return rc;
    }
    if (d->handle && !d->broken && st.st_dev == d->device && st.st_ino == d->inode)
        return OK;
    disconnect(d);
    return connect_to(d, &st, why);
}

enum rc db_version(struct db *d, uint64_t *out, struct why *why) {
    int code;
    int64_t version = number_of(d->handle, "PRAGMA data_version", &code);
    if (code != SQLITE_OK)
        return failed(d, code, why);
    *out = d->opened << 32 | (uint32_t)version;
    return OK;
}

/* --- statements -------------------------------------------------------------------------------- */

static sqlite3_stmt *prepared(struct db *d, const char *sql, int *code_out) {
    *code_out = SQLITE_OK;
    for (size_t i = 0; i < d->kept_count; i++)
        if (d->kept[i].sql == sql)
            return d->kept[i].statement;
    MUST(d->kept_count < STATEMENTS);
    sqlite3_stmt *statement = NULL;
    *code_out = sqlite3_prepare_v3(d->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    if (*code_out != SQLITE_OK)
        return NULL;
    d->kept[d->kept_count].sql = sql;
    d->kept[d->kept_count++].statement = statement;
    return statement;
}

static void bind(sqlite3_stmt *statement, int at, const struct db_value *v) {
    const char *data = v->data.at ? v->data.at : "";
    int code = SQLITE_OK;
    if (v->kind == DB_INT_VALUE)
        code = sqlite3_bind_int64(statement, at, v->number);
    else if (v->kind == DB_TEXT_VALUE)
        code = sqlite3_bind_text(statement, at, data, (int)v->data.len, SQLITE_STATIC);
    else
        code = sqlite3_bind_blob(statement, at, data, (int)v->data.len, SQLITE_STATIC);
    MUST(code == SQLITE_OK);
}

enum rc db_run(struct db *d, const char *sql, const struct db_value *values, size_t count,
               void (*on_row)(void *ctx, const struct db_row *row), void *ctx, struct why *why) {
    MUST(d->handle);
    int code;
    sqlite3_stmt *statement = prepared(d, sql, &code);
    if (!statement)
        return failed(d, code, why);
    for (size_t i = 0; i < count; i++)
        bind(statement, (int)i + 1, &values[i]);
    struct db_row row = { statement };
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        if (on_row)
            on_row(ctx, &row);
    MUST((code & 0xff) != SQLITE_CONSTRAINT);
    enum rc rc = code == SQLITE_DONE ? OK : failed(d, code, why);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc;
}

struct bytes db_bytes(const struct db_row *row, int column) {
    const void *at = sqlite3_column_blob(row->statement, column);
    int len = sqlite3_column_bytes(row->statement, column);
    return at ? bytes_of(at, (size_t)len) : BYTES_NONE;
}

int64_t db_int(const struct db_row *row, int column) {
    return sqlite3_column_int64(row->statement, column);
}

int64_t db_changes(const struct db *d) {
    return sqlite3_changes64(d->handle);
}

enum rc db_begin(struct db *d, struct why *why) {
    return db_run(d, "BEGIN IMMEDIATE", DB_NO_VALUES, NULL, NULL, why);
}

enum rc db_commit(struct db *d, struct why *why) {
    return db_run(d, "COMMIT", DB_NO_VALUES, NULL, NULL, why);
}

void db_rollback(struct db *d) {
    if (d->handle && !sqlite3_get_autocommit(d->handle))
        db_run(d, "ROLLBACK", DB_NO_VALUES, NULL, NULL, NULL);
}
