/* layout: where things lie below STATE, who owns them, and making what is missing. The one place
 * that knows these names. STATE is the parent's, so that no other process can put another thing in
 * the place of a folder that is not its own.
 *
 *     STATE/                the parent's, 0755
 *       directory/directory.db   run_as, 0700: users, aliases; no secrets
 *       directory/answered.db    run_as: whom vacations have answered
 *       spool/              run_as, 0700
 *       mail/               run_as, 0700 (or wherever mail_dir is)
 *       history/            run_as, 0700
 *       counters            the parent's: saved windows
 *       keeper/secrets.db   keeper_as, 0700
 *       fetcher/login-ROUTE keeper_as, 0700: refresh tokens that a provider has renewed
 *       keys/tls.crt .key   the parent's, 0700: the pair made on first start
 *       run/control.sock    commands: root and group of run_as
 *       run/submit.sock     postern send: everybody
 *       run/keeper.sock run/resolver.sock run/fetcher.sock   our own processes, for workers
 *       run/tokens.sock     the fetcher, for the keeper */
#ifndef BIN_LAYOUT_H
#define BIN_LAYOUT_H

#include "config/config.h"
#include "sys/process.h"

/* STATE/name, NUL-terminated. */
struct bytes layout_path(struct arena *a, const struct config *c, const char *name);

struct layout_accounts {
    bool root;             /* started as root: children change their account */
    struct account worker; /* run_as, or the caller */
    struct account keeper; /* keeper_as, or run_as */
};
/* Looks the accounts up. Started without root everything runs as the caller. */
enum rc layout_accounts(const struct config *c, struct layout_accounts *out, struct why *why);
/* Makes the directories that are missing, with owners and modes as above. A STATE of before, which
 * belonged to run_as, is taken over: first STATE itself, then nothing in it may have another owner
 * than it should (PERM layout.owner: STATE is left as it was), then directory.db is moved. Only for
 * who holds run/lock. */
enum rc layout_make(const struct config *c, const struct layout_accounts *accounts,
                    struct why *why);
/* directory.db, where it is: in a STATE that no server of this version has taken over, still in STATE
 * itself. */
struct bytes layout_directory_file(struct arena *a, const struct config *c);
/* For commands, which may come before the server: STATE and this directory of it ("directory",
 * "keeper"), if they are missing. What goes wrong shows when the directory is used. */
void layout_make_one(const struct config *c, const char *name);

#endif
