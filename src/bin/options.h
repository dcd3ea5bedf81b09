/* options: the command line of a subcommand as a table: parsing, --help and "did you mean" come from
 * it, and so does what the manual prints.
 *
 *     struct bytes file = B("/etc/postern/postern.conf");
 *     bool json = false;
 *     const struct option_row rows[] = {
 *         { "-c", "FILE", "the configuration", .text = &file },
 *         { "--json", NULL, "one JSON object", .flag = &json },
 *     };
 *     struct options o = { "check", "", "validate the configuration", rows, COUNT_OF(rows) };
 *     int rc = options_parse(&o, argc, argv);
 *     if (rc != OPTIONS_GO_ON)
 *         return rc;
 *
 * argv[0] is the subcommand's name. Views look into argv. */
#ifndef BIN_OPTIONS_H
#define BIN_OPTIONS_H

#include "base/arena.h"
#include "base/buf.h"

#include <stdio.h>

enum { OPTIONS_GO_ON = -1 };

/* One option. With a value: `text` (the last one given holds) or `list` (each one given, up to
 * max; *count of them). Without: `flag`. */
struct option_row {
    const char *name;  /* "-c" or "--client"; long ones take "--client IP" and "--client=IP" */
    const char *value; /* what help calls its value; NULL: it takes none */
    const char *help;  /* a sentence without a full stop */
    struct bytes *text;
    bool *flag;
    struct bytes *list;
    size_t *count;
    size_t max;
};
struct options {
    const char *command;   /* "why" */
    const char *arguments; /* for the usage line: "ID|ADDRESS" or "" */
    const char *sentence;  /* what the command does */
    const struct option_row *rows;
    size_t row_count;
    /* What is no option, in order; none are taken when args is NULL. "--" ends the options. */
    struct bytes *args;
    size_t args_min, args_max;
    size_t *arg_count;
    struct buf *complaints; /* options_misuse writes here instead of to standard error */
};

/* OPTIONS_GO_ON, or the exit code: 0 after --help (on standard output), 64 (EX_USAGE) after saying
 * on standard error what is wrong. */
int options_parse(const struct options *o, int argc, char **argv);
void options_help(const struct options *o, FILE *to);
/* Says it on standard error, with the command's name and where help is; returns 64. */
int options_misuse(const struct options *o, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "20s", "5min"; a bare number is seconds, at most a day. False: it is neither, or no time at all. */
bool options_time(struct bytes text, int64_t *ms_out);
/* The options from a JSON object, {"client":"192.0.2.1","tls":true,"header-from":["a@example.com"]}: keys are
 * long options without their dashes (or with _ for -), values texts, numbers, lists, and true for
 * flags. OPTIONS_GO_ON or 64. Views live as long as the arena. */
int options_take_json(const struct options *o, struct bytes object, struct arena *a);
/* Commands of several actions, "postern pop ACTION": the row that argv[1] names. Or COUNT, and *code_out says how to
 * exit: help was printed, or what is wrong. */
struct options_action {
    const char *name, *arguments, *sentence;
};
size_t options_take_action(const char *command, const struct options_action *rows, size_t count,
                           int argc, char **argv, int *code_out);
/* The word of `words` that `given` was most likely meant to be, or NULL: for subcommands too. */
const char *options_nearest(struct bytes given, const char *const *words, size_t count);

#endif
