/* cmd_serve: `postern serve`: reads the configuration, refuses one that is open, and becomes the
 * parent. Its hidden --child option is how the parent starts the other processes. */
#include "base/must.h"
#include "bin/commands.h"
#include "bin/options.h"
#include "bin/serve.h"
#include "bin/settings.h"
#include "decide/decide.h"
#include "sys/gateways.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

static void print_finding(const struct config_finding *f) {
    bool error = f->severity == FINDING_ERROR;
    if (f->place.file.len && f->place.line)
        fprintf(stderr, "%.*s:%d: ", BYTES_FMT(f->place.file), f->place.line);
    fprintf(stderr, "%s: ", error ? "error" : "warning");
    if (f->setting.len)
        fprintf(stderr, "%.*s: ", BYTES_FMT(f->setting));
    fprintf(stderr, "%.*s\n", BYTES_FMT(f->text));
}

static bool print_findings(const struct config_findings *findings, bool quiet_warnings) {
    bool errors = false;
    for (size_t i = 0; i < findings->count; i++) {
        bool error = findings->list[i].severity == FINDING_ERROR;
        errors |= error;
        if (error || !quiet_warnings)
            print_finding(&findings->list[i]);
    }
    return errors;
}

struct config *serve_load(struct bytes file, bool quiet_warnings) {
    struct config *config = NULL;
    struct config_findings findings = { 0 };
    enum rc rc = settings_parse(file, &config, &findings);
    bool errors = print_findings(&findings, quiet_warnings) || rc != OK;
    if (!errors) {
        struct arena *a = arena_open();
        struct network *list = NULL;
        struct why why;
        struct networks gateways = { 0 };
        if (gateways_list(a, &list, &gateways.count, &why) == OK)
            gateways.list = list;
        struct config_findings proof = { 0 };
        decide_prove(config, &gateways, (int64_t)time(NULL) * 1000, a, &proof);
        errors = print_findings(&proof, quiet_warnings);
        arena_close(&a);
    }
    if (errors)
        config_close(&config);
    return config;
}

static const struct {
    const char *argument;
    int (*run)(void);
} children[] = {
    { "--child=worker", worker_run },     { "--child=keeper", keeper_run },
    { "--child=resolver", resolver_run }, { "--child=pam", pam_run },
    { "--child=fetcher", fetcher_run },
};

int cmd_serve(int argc, char **argv) {
    for (size_t i = 0; argc == 2 && i < COUNT_OF(children); i++)
        if (!strcmp(argv[1], children[i].argument))
            return children[i].run();
    struct bytes file = SETTINGS_FILE;
    const struct option_row rows[] = {
        { .name = "-c",
          .value = "FILE",
          .help = "the configuration (default: "
                  "/etc/postern/postern.conf)",
          .text = &file },
    };
    const struct options o = {
        .command = "serve",
        .arguments = "",
        .sentence = "run the server in the foreground; SIGHUP reloads, SIGTERM stops",
        .rows = rows,
        .row_count = COUNT_OF(rows),
    };
    int rc = options_parse(&o, argc, argv);
    if (rc != OPTIONS_GO_ON)
        return rc;
    struct config *config = serve_load(file, false);
    if (!config) {
        fprintf(stderr,
                "postern: not started: correct what is named above; `postern check -c "
                "%.*s` shows the same\n",
                BYTES_FMT(file));
        return EX_CONFIG;
    }
    return parent_run(config);
}
