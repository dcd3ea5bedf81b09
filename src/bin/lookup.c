/* lookup: starts the resolver process behind a socket in a folder of its own, and ends it. */
#include "bin/lookup.h"
#include "base/must.h"
#include "bin/layout.h"
#include "bin/settings.h"
#include "sys/process.h"
#include "sys/sockets.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
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

static enum rc begin(struct lookup *out, struct why *why) {
    *out = (struct lookup){ .dir = "/tmp/postern-lookup-XXXXXX" };
    if (mkdtemp(out->dir))
        return OK;
    out->dir[0] = '\0';
    return why_set(why, TEMP, 0, NULL, "backend.resolver", "/tmp: %s", strerror(errno));
}

enum rc lookup_open(const struct config *c, struct loop *l, struct arena *a, struct lookup *out,
                    struct why *why) {
    enum rc rc = begin(out, why);
    if (rc != OK)
        return rc;
    out->still_root = !give_up_root(c, out->dir);
    rc = spawn(c, a, out, why);
    if (rc == OK)
        out->dns = dns_open_channel(l, out->socket.at);
    return rc;
}

/* --- without a configuration --------------------------------------------------------------------- */

static bool is_address(struct bytes text, struct addr *out) {
    if (addr_parse(text, out)) {
        out->port = 53;
        return true;
    }
    return addr_parse_port(text, out) && out->family && out->port;
}

bool lookup_takes(struct bytes server) {
    struct addr a;
    return !server.len || bytes_equal(server, B("system")) || bytes_equal(server, B("full")) ||
           is_address(server, &a);
}

/* The settings of a configuration that the resolver looks at. */
static struct bytes settings_of(struct arena *a, struct bytes server) {
    struct addr address;
    char memory[80];
    struct buf text = buf_fixed(memory, sizeof memory);
    if (bytes_equal(server, B("full")))
        return B("hostname = \"host.localdomain.example\"\n");
    if (is_address(server, &address))
        addr_format_port(&text, address);
    else
        buf_add(&text, server);
    return arena_printf(a, "hostname = \"host.localdomain.example\"\ndns = {\"%s\"}\n",
                        buf_text(&text));
}

static enum rc open_with(struct bytes server, struct arena *a, struct lookup *out,
                         struct why *why) {
    struct config *c;
    struct config_findings findings = { 0 };
    const struct config_host host = { .hostname = B("host.localdomain.example"), .cores = 1 };
    config_parse_on(&host, B("--dns"), settings_of(a, server), &c, &findings);
    enum rc rc = c->incomplete ? why_set(why, PERM, 0, NULL, "config.dns",
                                         "--dns: %.*s is no name server", BYTES_FMT(server))
                               : spawn(c, a, out, why);
    config_close(&c);
    return rc;
}

/* False: there is no configuration to go by. */
static bool open_as_configured(struct arena *a, struct lookup *out, enum rc *rc, struct why *why) {
    struct config *c;
    struct config_findings findings = { 0 };
    if (access(SETTINGS_FILE.at, R_OK) != 0)
        return false;
    settings_parse(SETTINGS_FILE, &c, &findings);
    bool usable = !c->incomplete;
    if (usable)
        *rc = spawn(c, a, out, why);
    config_close(&c);
    return usable;
}

/* --- when somebody loses patience ---------------------------------------------------------------- */

static struct { /* NUL-terminated, for the handler */
    char dir[40];
    char socket[64];
} leftovers;

/* The resolver dies with us; what lies in /tmp does not. */
static void on_kill(int signo) {
    unlink(leftovers.socket);
    rmdir(leftovers.dir);
    signal(signo, SIG_DFL);
    raise(signo);
}

static void tidy_when_killed(const struct lookup *k) {
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction how = { .sa_handler = on_kill }, old;
    if (k->socket.len >= sizeof leftovers.socket)
        return;
    memcpy(leftovers.dir, k->dir, sizeof leftovers.dir);
    memcpy(leftovers.socket, k->socket.at, k->socket.len);
    leftovers.socket[k->socket.len] = '\0';
    for (size_t i = 0; i < COUNT_OF(signals); i++)
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(signals[i], &how, NULL);
}

enum rc lookup_open_at(struct bytes server, struct loop *l, struct arena *a, struct lookup *out,
                       struct why *why) {
    *out = (struct lookup){ 0 };
    if (!lookup_takes(server))
        return why_set(why, PERM, 0, NULL, "config.dns",
                       "--dns takes an address, with a port or without, system or full; not %.*s",
                       BYTES_FMT(server));
    enum rc rc = begin(out, why);
    if (rc == OK && (server.len || !open_as_configured(a, out, &rc, why)))
        rc = open_with(server.len ? server : B("system"), a, out, why);
    if (rc == OK)
        tidy_when_killed(out);
    if (rc == OK)
        out->dns = dns_open_channel(l, out->socket.at);
    return rc;
}

int lookup_complain(const struct options *o, enum rc rc, const struct why *why) {
    if (rc == PERM)
        return options_misuse(o, "%s", why->text);
    fprintf(stderr, "postern %s: no names can be looked up: %s\n", o->command, why->text);
    return EX_OSERR;
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
