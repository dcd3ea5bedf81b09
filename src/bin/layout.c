/* layout: the directories of STATE as a table. */
#include "bin/layout.h"
#include "base/must.h"
#include "sys/files.h"

#include <unistd.h>

struct bytes layout_path(struct arena *a, const struct config *c, const char *name) {
    return arena_printf(a, "%.*s/%s", BYTES_FMT(c->state_dir), name);
}

static enum rc find_account(const char *setting, struct bytes name, struct account *out,
                            struct why *why) {
    struct why found;
    enum rc rc = process_find_account(name, out, &found);
    if (rc == PERM)
        return why_set(why, PERM, 0, NULL, found.reason,
                       "%s; make it (adduser --system --group %.*s), or set %s to another one",
                       found.text, BYTES_FMT(name), setting);
    if (rc != OK)
        *why = found;
    return rc;
}

enum rc layout_accounts(const struct config *c, struct layout_accounts *out, struct why *why) {
    out->root = geteuid() == 0;
    if (!out->root) {
        enum rc rc = process_own_account(&out->worker, why);
        out->keeper = out->worker;
        return rc;
    }
    enum rc rc = find_account("run_as", c->run_as, &out->worker, why);
    if (rc != OK)
        return rc;
    return c->keeper_as.len ? find_account("keeper_as", c->keeper_as, &out->keeper, why)
                            : find_account("run_as", c->run_as, &out->keeper, why);
}

enum who { PARENT, WORKER, KEEPER };

static const struct {
    const char *name; /* below STATE; the first is STATE itself */
    enum who who;
    mode_t mode;
} directories[] = {
    { "", PARENT, 0755 },          { "run", PARENT, 0755 },     { "keys", PARENT, 0700 },
    { "directory", WORKER, 0700 }, { "spool", WORKER, 0700 },   { "history", WORKER, 0700 },
    { "keeper", KEEPER, 0700 },    { "fetcher", KEEPER, 0700 },
};

static struct files_owner owner_of(const struct layout_accounts *accounts, enum who who,
                                   mode_t mode) {
    const struct account *account = who == KEEPER ? &accounts->keeper : &accounts->worker;
    struct files_owner owner = FILES_MODE(mode);
    if (accounts->root) {
        owner.uid = who == PARENT ? 0 : account->uid;
        owner.gid = who == PARENT ? 0 : account->gid;
    }
    return owner;
}

static struct bytes path_of(struct arena *a, const struct config *c, size_t i) {
    return i ? layout_path(a, c, directories[i].name) : arena_copy(a, c->state_dir);
}

/* Missing parents are not made: a mistyped path, or a disk that is not mounted, must not go
 * unnoticed. */
static enum rc make_dir(const char *setting, struct bytes path, struct files_owner owner,
                        struct why *why) {
    struct why said;
    enum rc rc = files_make_dir(path, owner, &said);
    if (rc == OK)
        return OK;
    bool missing = bytes_equal(bytes_str(said.reason), B("files.missing"));
    bool denied = bytes_equal(bytes_str(said.reason), B("files.denied")) && geteuid() != 0;
    return why_set(why, rc, 0, NULL, said.reason, "%s: %s%s", setting, said.text,
                   missing  ? "; make the directory above it, or set another one"
                   : denied ? "; start as root, or set one that this account owns"
                            : "");
}

/* --- a STATE that was run_as's ------------------------------------------------------------------ */

/* Whoever was run_as could rename what lies in STATE. Giving such a folder to the account that its
 * name stands for would be giving away what it holds. */
static enum rc check_owner(struct bytes path, struct files_owner wanted, struct why *why) {
    struct files_owner found;
    if (!files_owner_of(path, &found) || found.uid == wanted.uid)
        return OK;
    return why_set(
        why, PERM, 0, NULL, "layout.owner",
        "%.*s belongs to account %lu, not to %lu as it should, and until now the workers "
        "could have put it there. Look at what it is; if it is right, chown -R it, and "
        "start again",
        BYTES_FMT(path), (unsigned long)found.uid, (unsigned long)wanted.uid);
}

static enum rc check_owners(struct arena *a, const struct config *c,
                            const struct layout_accounts *accounts, struct why *why) {
    enum rc rc = OK;
    for (size_t i = 1; i < COUNT_OF(directories) && rc == OK; i++)
        rc = check_owner(path_of(a, c, i),
                         owner_of(accounts, directories[i].who, directories[i].mode), why);
    if (rc == OK)
        rc = check_owner(layout_path(a, c, "mail"), owner_of(accounts, WORKER, 0700), why);
    return rc;
}

static enum rc take_state(struct arena *a, const struct config *c,
                          const struct layout_accounts *accounts, struct why *why) {
    struct files_owner before, ours = owner_of(accounts, PARENT, directories[0].mode);
    struct bytes path = path_of(a, c, 0);
    bool there = files_owner_of(path, &before);
    enum rc rc = make_dir("state_dir", path, ours, why);
    if (rc != OK || !accounts->root || !there || before.uid == 0)
        return rc;
    rc = check_owners(a, c, accounts, why);
    if (rc != OK)
        files_make_dir(path, before, NULL); /* the next start asks again */
    return rc;
}

static struct bytes old_file(struct arena *a, const struct config *c) {
    return layout_path(a, c, "directory.db");
}

static struct bytes new_file(struct arena *a, const struct config *c) {
    return layout_path(a, c, "directory/directory.db");
}

/* The log first, the database last: as long as that is where it was, this goes on after a crash. All
 * are moved, none copied, so that who has them open still has the same files. */
static enum rc move_directory(struct arena *a, const struct config *c, struct why *why) {
    static const char *const parts[] = { "-wal", "-shm", "" };
    struct bytes from = old_file(a, c), to = new_file(a, c);
    struct files_owner found;
    if (!files_owner_of(from, &found))
        return OK;
    if (files_owner_of(to, &found))
        return why_set(why, PERM, 0, NULL, "layout.twice",
                       "there are two directories of users, %.*s and %.*s: remove the one that is "
                       "not wanted",
                       BYTES_FMT(from), BYTES_FMT(to));
    enum rc rc = OK;
    for (size_t i = 0; i < COUNT_OF(parts) && rc == OK; i++)
        rc = files_move(arena_printf(a, "%.*s%s", BYTES_FMT(from), parts[i]),
                        arena_printf(a, "%.*s%s", BYTES_FMT(to), parts[i]), why);
    return rc;
}

struct bytes layout_directory_file(struct arena *a, const struct config *c) {
    struct files_owner found;
    struct bytes old = old_file(a, c), new = new_file(a, c);
    return !files_owner_of(new, &found) && files_owner_of(old, &found) ? old : new;
}

/* --- making -------------------------------------------------------------------------------------- */

enum rc layout_make(const struct config *c, const struct layout_accounts *accounts,
                    struct why *why) {
    struct arena *a = arena_open();
    enum rc rc = take_state(a, c, accounts, why);
    for (size_t i = 1; i < COUNT_OF(directories) && rc == OK; i++)
        rc = make_dir("state_dir", path_of(a, c, i),
                      owner_of(accounts, directories[i].who, directories[i].mode), why);
    if (rc == OK)
        rc = make_dir("mail_dir", c->mail_dir, owner_of(accounts, WORKER, 0700), why);
    if (rc == OK)
        rc = move_directory(a, c, why);
    arena_close(&a);
    return rc;
}

void layout_make_one(const struct config *c, const char *name) {
    struct layout_accounts accounts;
    struct files_owner found;
    struct why why;
    struct arena *a = arena_open();
    for (size_t i = 0; i < COUNT_OF(directories); i++) {
        bool wanted = i == 0 || bytes_equal(bytes_str(directories[i].name), bytes_str(name));
        struct bytes path = path_of(a, c, i);
        if (wanted && !files_owner_of(path, &found) && layout_accounts(c, &accounts, &why) == OK)
            files_make_dir(path, owner_of(&accounts, directories[i].who, directories[i].mode),
                           NULL);
    }
    arena_close(&a);
}
