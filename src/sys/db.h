/* db: SQLite files as Postern keeps them: WAL, foreign keys on, 5 s of patience with a lock, a
 * schema that is brought up to date by numbered steps (PRAGMA user_version). SQLite is behind it
 * and nowhere else. All calls block: they belong into commands or on an offload thread.
 *
 * Order of calls: db_new; db_ready before each piece of work (it opens, and opens again when the
 * file was replaced or failed); db_run; db_close. A fault of the file is always TEMP with the
 * schema's reason, whatever it is: locked, damaged, gone, not readable, disk full. */
#ifndef SYS_DB_H
#define SYS_DB_H

#include "base/why.h"

struct db;
struct db_schema {
    const char *reason; /* "backend.directory" */
    const char *const
        *steps; /* SQL that leads from version i to i + 1; never changed, only added */
    size_t count;
};

/* Opens nothing yet. */
struct db *db_new(const char *file, const struct db_schema *schema);
void db_close(struct db **d);
/* OK: the file at the path is there, may be read, and is what the connection has open. With
 * `create` a missing file is made (0600, and its directory 0700; by root for the account that owns
 * the directory around it). */
enum rc db_ready(struct db *d, bool create, struct why *why);
/* Changes whenever another connection has written, or the file was opened again; after db_ready. */
enum rc db_version(struct db *d, uint64_t *out, struct why *why);

struct db_value {
    enum { DB_TEXT_VALUE, DB_BLOB_VALUE, DB_INT_VALUE } kind;
    struct bytes data;
    int64_t number;
};
#define DB_TEXT(view) ((struct db_value){ .kind = DB_TEXT_VALUE, .data = (view) })
#define DB_BLOB(view) ((struct db_value){ .kind = DB_BLOB_VALUE, .data = (view) })
#define DB_INT(n)     ((struct db_value){ .kind = DB_INT_VALUE, .number = (n) })
#define DB_VALUES(...)                                                                             \
    (const struct db_value[]){ __VA_ARGS__ },                                                      \
        sizeof((const struct db_value[]){ __VA_ARGS__ }) / sizeof(struct db_value)
#define DB_NO_VALUES NULL, 0

struct db_row;
/* Gone with the row. */
struct bytes db_bytes(const struct db_row *row, int column);
int64_t db_int(const struct db_row *row, int column);

/* Runs one statement, calling on_row (or NULL) for each row. `sql` must be a literal: the prepared
 * statement is kept under its address. A constraint that is broken is a MUST: ask first, inside the
 * transaction. */
enum rc db_run(struct db *d, const char *sql, const struct db_value *values, size_t count,
               void (*on_row)(void *ctx, const struct db_row *row), void *ctx, struct why *why);
/* Rows the last statement changed. */
int64_t db_changes(const struct db *d);
/* A write transaction; rollback is safe at any time. */
enum rc db_begin(struct db *d, struct why *why);
enum rc db_commit(struct db *d, struct why *why);
void db_rollback(struct db *d);

#endif
