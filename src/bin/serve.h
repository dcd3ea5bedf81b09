/* serve: the processes of a running server. parent.c is the first one; it re-executes this program
 * as `postern serve --child=KIND` for the others. */
#ifndef BIN_SERVE_H
#define BIN_SERVE_H

#include "config/config.h"

/* The parent: returns the exit code once all children are gone. Takes the configuration over. */
int parent_run(struct config *config);
/* Children: descriptor 3 is what the parent handed over. They do not return. */
int worker_run(void);   /* 3: its link */
int keeper_run(void);   /* 3: the listening socket, 4: a frozen configuration */
int resolver_run(void); /* 3 and 4 likewise */
int pam_run(void);      /* 3 and 4 likewise */
int fetcher_run(void);  /* 3: the workers' socket, 4 likewise, 5: the keeper's socket */

/* Parses, proves, prints findings on standard error as serve and check do; NULL when it must not
 * be run. */
struct config *serve_load(struct bytes file, bool quiet_warnings);
/* Opens config.log for this process; a file only in the parent, whose standard error it becomes. */
void serve_open_log(const struct config *config, bool parent);
/* The parent, on SIGHUP. */
void serve_reopen_log(const struct config *config);

#endif
