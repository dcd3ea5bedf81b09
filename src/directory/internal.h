/* internal: what the files of directory/ know of each other. */
#ifndef DIRECTORY_INTERNAL_H
#define DIRECTORY_INTERNAL_H

#include "directory/directory.h"
#include "sys/db.h"

/* A handle that has not been opened yet: db_ready(tables_db(d)) before each use. */
struct directory_db *tables_new(const char *file);
struct db *tables_db(struct directory_db *d);
/* The address without its subaddress; itself if it has none. */
struct bytes tables_base(struct bytes address, struct arena *a);

/* --- one change of a command's: what it is about is read before anything is written ------------ */
struct change {
    struct directory_db *d;
    struct arena *arena;
    struct bytes address; /* lower case */
    struct directory_entry *entry;
    struct why *why;
};
enum rc change_begin(struct change *c, struct directory_db *d, struct bytes address,
                     struct why *why);
/* Commits what went well, takes back what did not. */
enum rc change_end(struct change *c, enum rc rc);
/* There is an entry of this kind; else says what there is. */
enum rc change_need(struct change *c, enum directory_kind kind);
enum rc change_insert(struct change *c, enum directory_kind kind);
enum rc change_delete(struct change *c);
/* One more target; refused where mail would come back to the address. */
enum rc change_add_target(struct change *c, struct bytes target);
enum rc change_refuse(struct change *c, const char *reason, const char *text);
enum rc change_run(struct change *c, const char *sql, const struct db_value *values, size_t count);
/* A mailbox as the tables keep it. */
enum rc tables_mailbox(struct bytes text, struct arena *a, struct bytes *out, struct why *why);
/* An address pattern in its one way of writing. */
enum rc tables_pattern(struct bytes text, struct arena *a, struct bytes *out, struct why *why);

#endif
