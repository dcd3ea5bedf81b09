/* lookup: a resolver of a command's own, for as long as it runs: the same process the server has, with
 * the same settings, reached the same way. */
#ifndef BIN_LOOKUP_H
#define BIN_LOOKUP_H

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
void lookup_close(struct lookup *k);

#endif
