/* directory: users, aliases and groups in STATE/directory/directory.db (SQLite, WAL). It holds no secrets:
 * those are the keeper's (keeper/secrets.h). Workers read it through an offload thread; commands
 * and the admin API write it.
 *
 * Addresses are looked up in lower case (RFC 5321 lets a host do so for its own local parts). A
 * mailbox with subaddress, user+tag@d, is found as itself first, then as user@d. */
#ifndef DIRECTORY_DIRECTORY_H
#define DIRECTORY_DIRECTORY_H

#include "directory/entry.h"
#include "sys/offload.h"

struct directory;

/* --- asynchronous, for workers; file: path of directory.db, made if missing ---------------- */
enum rc directory_open(struct loop *l, const char *file, struct directory **out, struct why *why);
void directory_close(struct directory **d);
/* on_found comes exactly once, later: OK and the entry (in an arena of the call, copy to keep) or
 * NULL when there is none; TEMP and why (backend.directory) when the database is locked for more
 * than 5 s, damaged or missing. Recently seen answers come from memory while the database's
 * data_version has not changed. */
typedef void directory_found(void *ctx, enum rc rc, const struct directory_entry *entry,
                             const struct why *why);
void directory_find(struct directory *d, struct bytes address, directory_found *on_found,
                    void *ctx);
void directory_find_login(struct directory *d, struct bytes login, directory_found *on_found,
                          void *ctx);
/* No callbacks with this ctx any more. */
void directory_cancel(struct directory *d, void *ctx);

/* --- synchronous, for commands ------------------------------------------------------------- */
struct directory_db;
enum rc directory_db_open(const char *file, bool create, struct directory_db **out,
                          struct why *why);
void directory_db_close(struct directory_db **db);
enum rc directory_user_add(struct directory_db *db, struct bytes address, struct why *why);
enum rc directory_user_remove(struct directory_db *db, struct bytes address, struct why *why);
enum rc directory_user_disable(struct directory_db *db, struct bytes address, bool disabled,
                               struct why *why);
/* What logins before now earned is void (POP before SMTP): the password was changed. */
enum rc directory_user_void_logins(struct directory_db *db, struct bytes address, int64_t wall_ms,
                                   struct why *why);
enum rc directory_user_allow_sender(struct directory_db *db, struct bytes address,
                                    struct bytes pattern, bool allow, struct why *why);
enum rc directory_alias_add(struct directory_db *db, struct bytes address, struct bytes target,
                            struct why *why);
/* target empty: the whole alias. */
enum rc directory_alias_remove(struct directory_db *db, struct bytes address, struct bytes target,
                               struct why *why);
enum rc directory_db_find(struct directory_db *db, struct bytes address, struct arena *a,
                          struct directory_entry **out, struct why *why); /* *out NULL: none */
enum rc directory_db_find_login(struct directory_db *db, struct bytes login, struct arena *a,
                                struct directory_entry **out, struct why *why);
/* All of a kind in order of address. */
enum rc directory_db_list(struct directory_db *db, enum directory_kind kind,
                          void (*each)(void *ctx, const struct directory_entry *entry), void *ctx,
                          struct why *why);

#endif
