/* cmd_pop: `postern pop`: windows of POP before SMTP, asked of the running server. What a POP3 or IMAP
 * server beside us does at each login, people do by hand. */
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

enum { WORDS = 2 };

struct pop_command {
    struct bytes file, words[WORDS], login, address;
    size_t word_count;
    bool json, all;
    const char *action;
    size_t told;
    bool failed;
};

/* --- what the server says -------------------------------------------------------------------- */

static const char *text_of(const json_t *json, const char *key) {
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

static void print_window(const struct pop_command *p, const json_t *json) {
    if (!strcmp(p->action, "open"))
        printf("%s may send from %s until %s\n", text_of(json, "login"), text_of(json, "address"),
               text_of(json, "until"));
    else
        printf("%-40s %-40s %s\n", text_of(json, "login"), text_of(json, "address"),
               text_of(json, "until"));
}

static void on_line(void *ctx, struct bytes line) {
    struct pop_command *p = ctx;
    json_t *json = json_loadb(line.at, line.len, 0, NULL);
    const json_t *closed = json_object_get(json, "closed");
    const char *error = text_of(json, "error");
    p->failed |= *error != 0;
    if (*error)
        fprintf(stderr, "postern pop: %s\n", error);
    else if (p->json)
        printf("%.*s\n", BYTES_FMT(line));
    else if (closed)
        printf("closed %lld\n", (long long)json_integer_value(closed));
    else
        print_window(p, json);
    p->told += !*error;
    json_decref(json);
}

static char *request_of(const struct pop_command *p) {
    char name[16];
    snprintf(name, sizeof name, "pop-%s", p->action);
    json_t *json = json_pack("{s:s}", "command", name);
    if (p->login.len)
        json_object_set_new(json, "login", json_stringn(p->login.at, p->login.len));
    if (p->address.len)
        json_object_set_new(json, "address", json_stringn(p->address.at, p->address.len));
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return text;
}

static int ask(struct pop_command *p) {
    struct config *config = settings_find("pop", p->file);
    if (!config)
        return EX_CONFIG;
    struct arena *a = arena_open();
    char *request = request_of(p);
    bool asked = request && control_ask(layout_path(a, config, "run/control.sock"),
                                        bytes_str(request), on_line, p);
    free(request);
    arena_close(&a);
    config_close(&config);
    if (!asked)
        fprintf(stderr, "postern pop: no server of this configuration runs, or you may not speak "
                        "to it (root and the group of run_as may)\n");
    return !asked ? EX_UNAVAILABLE : p->failed ? 1 : EX_OK;
}

/* --- the command line ------------------------------------------------------------------------- */

static const struct options_action actions[] = {
    { "open", "LOGIN ADDRESS", "let the login send from this address for a while" },
    { "close", "[LOGIN] [ADDRESS]", "end what is open for a login, an address, or a pair" },
    { "list", "[LOGIN] [ADDRESS]", "what is open, until when at most" },
};

/* An address is known by its form, so the order does not matter. */
static bool take_words(struct pop_command *p) {
    for (size_t i = 0; i < p->word_count; i++) {
        struct addr a;
        bool address = addr_parse(p->words[i], &a);
        struct bytes *to = address ? &p->address : &p->login;
        if (to->len)
            return false;
        *to = p->words[i];
    }
    return true;
}

static int run(struct pop_command *p, size_t at, int argc, char **argv) {
    const struct option_row rows[] = {
        { .name = "-c", .value = "FILE", .help = "the configuration", .text = &p->file },
        { .name = "--all", .help = "with close: all windows", .flag = &p->all },
        { .name = "--json", .help = "one JSON object a line", .flag = &p->json },
    };
    const bool opens = !strcmp(actions[at].name, "open");
    char name[32];
    snprintf(name, sizeof name, "pop %s", actions[at].name);
    const struct options o = {
        .command = name,
        .arguments = actions[at].arguments,
        .sentence = actions[at].sentence,
        .rows = rows,
        .row_count = COUNT_OF(rows),
        .args = p->words,
        .args_min = opens ? WORDS : 0,
        .args_max = WORDS,
        .arg_count = &p->word_count,
    };
    int code = options_parse(&o, argc, argv);
    if (code != OPTIONS_GO_ON)
        return code;
    p->action = actions[at].name;
    if (!take_words(p) || (opens && !p->address.len))
        return options_misuse(&o, "expected one login and one IP address: %s",
                              actions[at].arguments);
    if (!strcmp(p->action, "close") && !p->word_count && !p->all)
        return options_misuse(&o, "expected a login or an address, or --all");
    return ask(p);
}

int cmd_pop(int argc, char **argv) {
    static struct pop_command p = { 0 };
    int code;
    p.file = SETTINGS_FILE;
    size_t at = options_take_action("pop", actions, COUNT_OF(actions), argc, argv, &code);
    return at == COUNT_OF(actions) ? code : run(&p, at, argc - 1, argv + 1);
}
