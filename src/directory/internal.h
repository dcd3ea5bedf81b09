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
/* A deep copy; NULL stays NULL. */
struct directory_entry *entry_copy(struct arena *a, const struct directory_entry *from);

#endif
