/* cmd_grants: `postern grants`: the addresses whose grants the tripwire has suspended, asked of the
 * running server. */
#include "base/must.h"
#include "bin/commands.h"
#include "bin/control.h"
#include "bin/layout.h"
#include "bin/options.h"
#include "bin/settings.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct grants_command {
    struct bytes file, address;
    size_t word_count;
    bool json, all, resume, failed;
    size_t told;
};

static const char *text_of(const json_t *json, const char *key) {
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

static void on_line(void *ctx, struct bytes line) {
    struct grants_command *g = ctx;
    json_t *json = json_loadb(line.at, line.len, 0, NULL);
    const json_t *resumed = json_object_get(json, "resumed");
    const char *error = text_of(json, "error");
    g->told++;
    g->failed |= *error || (resumed && !json_integer_value(resumed));
    if (*error)
        fprintf(stderr, "postern grants: %s\n", error);
    else if (g->json)
        printf("%.*s\n", BYTES_FMT(line));
    else if (resumed)
        printf("resumed %lld\n", (long long)json_integer_value(resumed));
    else
        printf("%-44s suspended since %s\n", text_of(json, "address"), text_of(json, "since"));
    json_decref(json);
}

static int ask(struct grants_command *g) {
    struct config *config = settings_find("grants", g->file);
    if (!config)
        return EX_CONFIG;
    struct arena *a = arena_open();
    json_t *json = json_pack("{s:s}", "command", g->resume ? "grants-resume" : "grants-list");
    if (g->address.len)
        json_object_set_new(json, "address", json_stringn(g->address.at, g->address.len));
    char *request = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    bool asked = request && control_ask(layout_path(a, config, "run/control.sock"),
                                        bytes_str(request), on_line, g);
    free(request);
    arena_close(&a);
    config_close(&config);
    if (!asked)
        fprintf(stderr, "postern grants: no server of this configuration runs, or you may not "
                        "speak to it (root and the group of run_as may)\n");
    else if (!g->told && !g->json)
        printf("no grant is suspended\n");
    return !asked ? EX_UNAVAILABLE : g->failed ? 1 : EX_OK;
}

static const struct options_action actions[] = {
    { "list", "", "addresses whose grants are suspended, since when" },
    { "resume", "[ADDRESS]", "let an address relay again" },
};

static int run(struct grants_command *g, size_t at, int argc, char **argv) {
    const struct option_row rows[] = {
        { .name = "-c", .value = "FILE", .help = "the configuration", .text = &g->file },
        { .name = "--all", .help = "with resume: all addresses", .flag = &g->all },
        { .name = "--json", .help = "one JSON object a line", .flag = &g->json },
    };
    char name[32];
    snprintf(name, sizeof name, "grants %s", actions[at].name);
    g->resume = at == 1;
    const struct options o = {
        .command = name,
        .arguments = actions[at].arguments,
        .sentence = actions[at].sentence,
        .rows = rows,
        .row_count = COUNT_OF(rows),
        .args = &g->address,
        .args_max = g->resume ? 1 : 0,
        .arg_count = &g->word_count,
    };
    int code = options_parse(&o, argc, argv);
    if (code != OPTIONS_GO_ON)
        return code;
    if (g->resume && !g->word_count != g->all)
        return options_misuse(&o, "expected an address, or --all");
    return ask(g);
}

int cmd_grants(int argc, char **argv) {
    static struct grants_command g = { 0 };
    int code;
    g.file = SETTINGS_FILE;
    size_t at = options_take_action("grants", actions, COUNT_OF(actions), argc, argv, &code);
    return at == COUNT_OF(actions) ? code : run(&g, at, argc - 1, argv + 1);
}
