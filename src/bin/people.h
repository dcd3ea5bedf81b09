/* people: what `postern user`, `postern alias` and `postern group` share: finding and opening the two databases below
 * state_dir, and speaking of entries. */
#ifndef BIN_PEOPLE_H
#define BIN_PEOPLE_H

#include "bin/options.h"
#include "bin/people_json.h"
#include "directory/directory.h"
#include "keeper/keeper.h"

struct people {
    struct arena *arena;
    struct config *config;
    struct directory_db *directory;
    struct secrets *secrets; /* with_secrets only */
    bool json;
    struct bytes as; /* a tenant's administrator: the running server is asked */
    /* What people_print_whole adds to an entry, or NULL. */
    void (*add_json)(struct people *p, const struct directory_entry *e, struct buf *b);
};

/* Reads the configuration, makes state_dir if it is missing, opens the databases. 0, or the exit
 * code after saying on standard error what is wrong. people_close in either case. */
int people_open(struct people *p, struct bytes config_file, bool with_secrets);
void people_close(struct people *p);

/* Says why on standard error; the exit code that fits: EX_NOUSER, EX_DATAERR, EX_TEMPFAIL. */
int people_fail(const char *command, const struct why *why);
/* Warns when mail to this address cannot come here, because its domain is not configured. */
void people_warn_domain(const struct people *p, struct bytes address);

/* Warns when this target, in a domain of ours, does not exist: mail there would bounce. */
void people_warn_target(struct people *p, struct bytes target);
/* Says which aliases, groups and forwards still lead to an address that is no more. */
void people_note_leading(struct people *p, struct bytes address);
/* One line of a list: JSON, or text. */
void people_print(struct people *p, const struct directory_entry *e);
/* Everything about one. */
void people_print_whole(struct people *p, const struct directory_entry *e);
/* What was done: {"address":...,"done":"removed"} or "removed ADDRESS". */
void people_done(const struct people *p, const char *what, struct bytes address);

/* people_ask.c: list, or show this address, from the running server, as p->as. The exit code. */
int people_ask(struct people *p, const char *kind, bool show, struct bytes address);

/* What an action of a command is: `postern user add ADDRESS`. */
struct people_action {
    const char *name, *arguments, *sentence;
    size_t min, max; /* words behind the action */
    int (*run)(struct people *p, const struct bytes *words, size_t count);
    bool secrets;
};
struct people_command {
    const char *name, *sentence;
    const struct people_action *actions;
    size_t count;
    const struct option_row *rows; /* beside -c, --json, --as and --password-stdin; at most 14 */
    size_t row_count;
};
/* Was --password-stdin given? A new user's password comes that way, and an administrator's. */
extern bool people_password_stdin;
int people_run(const struct people_command *c, int argc, char **argv);

#endif
