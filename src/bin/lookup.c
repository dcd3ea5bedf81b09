/* lookup: starts the resolver process behind a socket in a folder of its own, and ends it. */
#include "bin/lookup.h"
#include "base/must.h"
#include "bin/layout.h"
#include "sys/process.h"
#include "sys/sockets.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONFIG_MAX = 64 * 1024 * 1024 };

/* A socket that only root may open is none for the workers. */
static bool give_up_root(const struct config *c, const char *dir) {
    struct layout_accounts accounts;
    struct why why;
    return geteuid() != 0 || (layout_accounts(c, &accounts, &why) == OK &&
                              chown(dir, accounts.worker.uid, accounts.worker.gid) == 0 &&
                              process_become(&accounts.worker, &why) == OK);
}

static enum rc spawn(const struct config *c, struct arena *a, struct lookup *k, struct why *why) {
    static const char *const argv[] = { "postern", "serve", "--child=resolver", NULL };
    struct buf frozen = buf_grow(CONFIG_MAX);
    int door = -1;
    k->socket = arena_printf(a, "%s/resolver.sock", k->dir);
    enum rc rc = sockets_listen_unix(k->socket, SOCK_SEQPACKET, 0600, &door, why);
    if (rc != OK)
        return rc;
    config_freeze(&frozen, c);
    int config = process_memfd("postern-config", buf_bytes(&frozen));
    explicit_bzero(frozen.at, frozen.len);
    buf_free(&frozen);
    MUST(config >= 0);
    struct process_fd fds[] = { { door, 3 }, { config, 4 } };
    rc = process_spawn(&(struct process_spawn){ argv, fds, COUNT_OF(fds), NULL }, &k->pid, why);
    close(door);
    close(config);
    return rc;
}

enum rc lookup_open(const struct config *c, struct loop *l, struct arena *a, struct lookup *out,
                    struct why *why) {
    *out = (struct lookup){ .dir = "/tmp/postern-lookup-XXXXXX" };
    if (!mkdtemp(out->dir)) {
        out->dir[0] = '\0';
        return why_set(why, TEMP, 0, NULL, "backend.resolver", "/tmp: %s", strerror(errno));
    }
    out->still_root = !give_up_root(c, out->dir);
    enum rc rc = spawn(c, a, out, why);
    if (rc == OK)
        out->dns = dns_open_channel(l, out->socket.at);
    return rc;
}

void lookup_close(struct lookup *k) {
    dns_close(&k->dns);
    if (k->pid) {
        kill(k->pid, SIGTERM);
        waitpid(k->pid, NULL, 0);
    }
    if (k->socket.len)
        unlink(k->socket.at);
    if (k->dir[0])
        rmdir(k->dir);
    *k = (struct lookup){ 0 };
}
