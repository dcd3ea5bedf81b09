/* main: the table of subcommands; help is printed from it. */
#include "base/must.h"
#include "bin/commands.h"
#include "bin/options.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *sentence;
} commands[] = {
    { "serve", cmd_serve, "run the server" },
    { "check", cmd_check, "validate the configuration, prove it closed, show who may relay what" },
    { "why", cmd_why, "simulate one decision: what a client is told, and what would change it" },
    { "user", cmd_user, "logins and mailboxes: add, passwd, list, show, remove, allow-sender ..." },
    { "group", cmd_group, "addresses for many: add, list, show, remove, add-member, set ..." },
    { "alias", cmd_alias, "addresses that lead to others: add, list, show, remove" },
    { "grants", cmd_grants, "list and resume grants by address that the tripwire has suspended" },
    { "pop", cmd_pop, "POP before SMTP: open, close and list the addresses that may send" },
    { "queue", cmd_queue, "the queue: list, show, retry, hold, release, bounce, remove, stats" },
    { "trace", cmd_trace, "what became of a message: by id, Message-ID or address" },
    { "send", cmd_send, "hand a message in from this host, as sendmail(8) does" },
    { "dns", cmd_dns, "what the DNS says of a domain's mail: found, wrong, what to publish" },
    { "doctor", cmd_doctor,
      "talk to a mail server: which step was refused, why, whose move it is" },
    { "relaytest", cmd_relaytest,
      "is it an open relay: the known ways around, tried without a login" },
    { "blocklist", cmd_blocklist,
      "is an address or a domain on DNS blocklists, and how it comes off" },
    { "explain", cmd_explain,
      "what a bounce, a reply or a reason id means, who must act, what to do" },
};

static void help(FILE *to) {
    fprintf(to, "postern: a mail relay that says why\n\nusage: postern COMMAND [options]\n\n");
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].sentence);
    fprintf(to, "\npostern COMMAND --help tells a command's options. Manual: postern(1), "
                "postern.conf(5)\n");
}

static int unknown(const char *given) {
    const char *names[COUNT_OF(commands)];
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        names[i] = commands[i].name;
    const char *nearest = options_nearest(bytes_str(given), names, COUNT_OF(names));
    char memory[200];
    struct buf clean = buf_fixed(memory, sizeof memory);
    buf_printable(&clean, bytes_first(bytes_str(given), 100));
    fprintf(stderr, "postern: there is no command '%s'", buf_text(&clean));
    if (nearest)
        fprintf(stderr, "; did you mean '%s'?", nearest);
    fprintf(stderr, "\nTry: postern --help\n");
    return EX_USAGE;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int main(int argc, char **argv) {
    static const char *const sendmail_names[] = { "sendmail", "mailq", "newaliases" };
    for (size_t i = 0; argc > 0 && i < COUNT_OF(sendmail_names); i++)
        if (!strcmp(base_name(argv[0]), sendmail_names[i]))
            return cmd_sendmail(argc, argv);
    if (argc < 2) {
        help(stderr);
        return EX_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        help(stdout);
        return 0;
    }
    if (!strcmp(argv[1], "--version")) {
        puts("postern " POSTERN_VERSION);
        return 0;
    }
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (!strcmp(argv[1], commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    return unknown(argv[1]);
}
