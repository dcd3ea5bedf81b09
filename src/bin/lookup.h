/* lookup: a resolver of a command's own, for as long as it runs: the same process the server has, with
 * the same settings, reached the same way. */
#ifndef BIN_LOOKUP_H
#define BIN_LOOKUP_H

#include "bin/options.h"
#include "config/config.h"
#include "dns/dns.h"

#include <sys/types.h>

struct lookup {
    pid_t pid;
    char dir[40];
    struct bytes socket;
    struct dns *dns; /* NULL: it could not be started */
    bool still_root; /* run_as cannot be used */
};
/* Gives up root: what the server's workers may reach is what is looked at. PERM or TEMP and why when
 * there is none. */
enum rc lookup_open(const struct config *c, struct loop *l, struct arena *a, struct lookup *out,
                    struct why *why);
/* For commands that need no configuration. `server`: "192.0.2.53" or with a port, "system", "full" (full
 * resolution); empty: as the configuration in the usual place says if that can be read, else the
 * system's. Gives up nothing. PERM for what is no server. */
enum rc lookup_open_at(struct bytes server, struct loop *l, struct arena *a, struct lookup *out,
                       struct why *why);
/* Says why there is none: what was typed is no server (PERM), or no names can be looked up. How to exit. */
int lookup_complain(const struct options *o, enum rc rc, const struct why *why);
bool lookup_takes(struct bytes server); /* is this one? */
/* What --help says of --dns. */
#define LOOKUP_DNS_HELP "the name server to ask: ADDRESS[:PORT], system, or full resolution: full"
void lookup_close(struct lookup *k);

#endif
