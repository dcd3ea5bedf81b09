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
/* With what makes an entry long: a group's members, the text of a vacation. */
void directory_find_whole(struct directory *d, struct bytes address, directory_found *on_found,
                          void *ctx);
/* Does this login, or this sender, belong to the group, itself or through others within it? Either
 * may be empty. OK and an entry (its address alone): yes; OK and NULL: no. */
void directory_find_member(struct directory *d, struct bytes group, struct bytes login,
                           struct bytes sender, directory_found *on_found, void *ctx);
/* Whether `user` may answer `sender` by itself now: once within `pause` ms. It is on the disk before
 * on_claimed comes, once, later; then nobody else gets it: whatever becomes of the answer, there is no
 * second (answered.h says where and why). TEMP: it could not be written, so there is no answer. */
struct directory_claim {
    struct bytes user, sender;
    int64_t now, pause; /* wall ms, ms */
};
enum directory_claim_result { DIRECTORY_CLAIMED, DIRECTORY_CLAIMED_BEFORE, DIRECTORY_CLAIMS_FULL };
typedef void directory_claimed(void *ctx, enum rc rc, enum directory_claim_result result,
                               const struct why *why);
void directory_claim_answer(struct directory *d, const struct directory_claim *claim,
                            directory_claimed *on_claimed, void *ctx);
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
/* Groups. A member is a mailbox of ours or elsewhere, or another group; whatever would lead back to
 * the group is refused. */
enum rc directory_group_add(struct directory_db *db, struct bytes address, struct why *why);
enum rc directory_group_remove(struct directory_db *db, struct bytes address, struct why *why);
enum rc directory_group_members(struct directory_db *db, struct bytes address,
                                const struct bytes *members, size_t count, bool add,
                                struct why *why); /* all of them or none */
enum rc directory_group_senders(struct directory_db *db, struct bytes address,
                                enum directory_senders senders, struct why *why);
enum rc directory_group_delivery(struct directory_db *db, struct bytes address,
                                 enum directory_delivery delivery, struct why *why);
enum rc directory_group_send_as(struct directory_db *db, struct bytes address, bool members,
                                struct why *why);
/* owner empty: none. */
enum rc directory_group_owner(struct directory_db *db, struct bytes address, struct bytes owner,
                              struct why *why);
enum rc directory_group_allow(struct directory_db *db, struct bytes address, struct bytes pattern,
                              bool allow, struct why *why);
enum rc directory_group_moderator(struct directory_db *db, struct bytes address,
                                  struct bytes mailbox, bool add, struct why *why);

/* A user's forwards, all at once; none: its mail stays. Never to a group that not everyone may send
 * to: whoever writes to the user would. */
enum rc directory_user_forward(struct directory_db *db, struct bytes address,
                               const struct bytes *targets, size_t count, bool keep,
                               struct why *why);
/* text of at most 16 KiB, subject of one line of at most 200 octets, both UTF-8 (else PERM
 * directory.text); text empty: no answer any more. */
enum rc directory_user_vacation(struct directory_db *db, struct bytes address,
                                const struct directory_vacation *vacation, struct why *why);
/* Addresses of aliases, groups and users whose mail, or part of it, goes to this one. */
enum rc directory_db_leading(struct directory_db *db, struct bytes address, struct arena *a,
                             struct strings *out, struct why *why);

enum rc directory_db_find(struct directory_db *db, struct bytes address, struct arena *a,
                          struct directory_entry **out, struct why *why); /* *out NULL: none */
enum rc directory_db_find_login(struct directory_db *db, struct bytes login, struct arena *a,
                                struct directory_entry **out, struct why *why);
enum rc directory_db_find_whole(struct directory_db *db, struct bytes address, struct arena *a,
                                struct directory_entry **out, struct why *why);
enum rc directory_db_is_member(struct directory_db *db, struct bytes group, struct bytes login,
                               struct bytes sender, bool *out, struct why *why);
/* All of a kind in order of address, whole. */
enum rc directory_db_list(struct directory_db *db, enum directory_kind kind,
                          void (*each)(void *ctx, const struct directory_entry *entry), void *ctx,
                          struct why *why);

/* At most so many addresses of a kind, in their order, behind `after`. */
enum rc directory_db_addresses(struct directory_db *db, enum directory_kind kind,
                               struct bytes after, size_t max, struct arena *a, struct strings *out,
                               struct why *why);

/* A deep copy; NULL stays NULL. */
struct directory_entry *directory_entry_copy(struct arena *a, const struct directory_entry *from);

#endif
