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
    const char *name; /* below STATE; "" is STATE itself */
    enum who who;
    mode_t mode;
} directories[] = {
    { "", WORKER, 0755 },       { "spool", WORKER, 0700 }, { "history", WORKER, 0700 },
    { "keeper", KEEPER, 0700 }, { "keys", PARENT, 0700 },  { "run", PARENT, 0755 },
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

enum rc layout_make(const struct config *c, const struct layout_accounts *accounts,
                    struct why *why) {
    struct arena *a = arena_open();
    enum rc rc = OK;
    for (size_t i = 0; i < COUNT_OF(directories) && rc == OK; i++) {
        struct bytes path = directories[i].name[0] ? layout_path(a, c, directories[i].name)
                                                   : arena_copy(a, c->state_dir);
        rc = make_dir("state_dir", path,
                      owner_of(accounts, directories[i].who, directories[i].mode), why);
    }
    if (rc == OK)
        rc = make_dir("mail_dir", c->mail_dir, owner_of(accounts, WORKER, 0700), why);
    arena_close(&a);
    return rc;
}
