/* layout: the directories of STATE as a table. */
#include "bin/layout.h"
#include "base/must.h"
#include "sys/files.h"

#include <unistd.h>

struct bytes layout_path(struct arena *a, const struct config *c, const char *name) {
    return arena_printf(a, "%.*s/%s", BYTES_FMT(c->state_dir), name);
}

enum rc layout_accounts(const struct config *c, struct layout_accounts *out, struct why *why) {
    out->root = geteuid() == 0;
    if (!out->root) {
        enum rc rc = process_own_account(&out->worker, why);
        out->keeper = out->worker;
        return rc;
    }
    enum rc rc = process_find_account(c->run_as, &out->worker, why);
    if (rc == OK)
        rc = process_find_account(c->keeper_as.len ? c->keeper_as : c->run_as, &out->keeper, why);
    return rc;
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

enum rc layout_make(const struct config *c, const struct layout_accounts *accounts,
                    struct why *why) {
    struct arena *a = arena_open();
    enum rc rc = OK;
    for (size_t i = 0; i < COUNT_OF(directories) && rc == OK; i++) {
        struct bytes path = directories[i].name[0] ? layout_path(a, c, directories[i].name)
                                                   : arena_copy(a, c->state_dir);
        rc = files_make_dir(path, owner_of(accounts, directories[i].who, directories[i].mode), why);
    }
    if (rc == OK)
        rc = files_make_dir(c->mail_dir, owner_of(accounts, WORKER, 0700), why);
    arena_close(&a);
    return rc;
}
