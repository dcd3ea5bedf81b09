/* cmd_trace: `postern trace`: every step of a message, from the history files, in words. */
#include "base/must.h"
#include "bin/commands.h"
#include "bin/control.h"
#include "bin/layout.h"
#include "bin/options.h"
#include "bin/password.h"
#include "bin/settings.h"
#include "report/report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct trace {
    bool json, from_stdin;
    struct bytes file, as; /* as: a tenant's administrator */
    size_t lines;
    int code; /* of a failure that was told, or 0 */
};

static const char *text_of(const json_t *e, const char *key) {
    const char *text = json_string_value(json_object_get(e, key));
    return text ? text : "";
}

static void print_safe(const char *text) {
    struct buf b = buf_grow(1 << 20);
    buf_printable(&b, bytes_str(text));
    fputs(buf_text(&b), stdout);
    buf_free(&b);
}

/* " word VALUE", or " VALUE" without a word, when there is one. */
static void part(const json_t *e, const char *word, const char *key) {
    const char *value = text_of(e, key);
    if (!*value)
        return;
    printf("%s%s ", *word ? " " : "", word);
    print_safe(value);
}

static void list_part(const json_t *e, const char *word, const char *key) {
    const json_t *list = json_object_get(e, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        printf(i ? ", " : " %s ", word);
        print_safe(json_string_value(json_array_get(list, i)));
    }
}

static void accepted(const json_t *e) {
    part(e, "message", "message");
    part(e, "from", "from");
    list_part(e, "to", "to");
    if (json_object_get(e, "size")) /* not of what we write ourselves */
        printf(", %lld octets", (long long)json_integer_value(json_object_get(e, "size")));
    part(e, "by", "client");
    part(e, "on listener", "listener");
    part(e, "login", "login");
    part(e, "granted by connector", "granted_by");
}

static void refused(const json_t *e) {
    long long code = json_integer_value(json_object_get(e, "code"));
    if (code)
        printf(" %lld", code);
    part(e, "", "enhanced");
    part(e, "reason", "reason");
    part(e, "client", "client");
    part(e, "from", "from");
    part(e, "to", "to");
    fputs("\n      ", stdout);
    print_safe(text_of(e, "text"));
}

static void outcome(const json_t *e) {
    part(e, "to", "to");
    part(e, "(for", "original_to");
    if (*text_of(e, "original_to"))
        putchar(')');
    part(e, "at", "host");
    part(e, "", "address");
    part(e, "step", "command");
    long long code = json_integer_value(json_object_get(e, "code"));
    if (code)
        printf(", reply %lld", code);
    part(e, "", "enhanced");
    part(e, "with", "tls");
    part(e, "next attempt", "next");
    part(e, "by operator", "operator");
    if (json_is_true(json_object_get(e, "uncertain")))
        fputs("; the data was sent and no reply seen: it may have arrived", stdout);
    if (*text_of(e, "reply")) {
        fputs("\n      ", stdout);
        print_safe(text_of(e, "reply"));
    }
}

static void answered(const json_t *e) {
    part(e, "by", "from");
    part(e, "to", "to");
    part(e, "message", "answer");
    part(e, "", "text");
}

static void other(const json_t *e) {
    part(e, "message", "message");
    part(e, "login", "login");
    part(e, "client", "client");
    part(e, "operator", "operator");
    part(e, "to", "to");
    part(e, "", "text");
}

static const struct {
    const char *event;
    void (*print)(const json_t *e);
} printers[] = {
    { "accepted", accepted },        { "refused", refused },
    { "relayed", outcome },          { "delivered", outcome },
    { "deferred", outcome },         { "bounced", outcome },
    { "expanded", outcome },         { "held", outcome },
    { "removed", outcome },          { "vacation-answered", answered },
    { "vacation-silent", answered },
};

static void each(void *ctx, struct bytes line) {
    struct trace *t = ctx;
    t->lines++;
    if (t->json) {
        printf("%.*s\n", BYTES_FMT(line));
        return;
    }
    json_t *e = json_loadb(line.at, line.len, 0, NULL);
    const char *name = text_of(e, "event");
    printf("%s  %-10s", text_of(e, "time"), name);
    void (*print)(const json_t *) = other;
    for (size_t i = 0; i < COUNT_OF(printers); i++)
        if (!strcmp(printers[i].event, name))
            print = printers[i].print;
    print(e);
    putchar('\n');
    json_decref(e);
}

/* --- finding ------------------------------------------------------------------------------------ */

static int find(struct trace *t, const struct config *config, struct bytes what) {
    struct arena *a = arena_open();
    struct why why;
    enum rc rc = history_trace(layout_path(a, config, "history").at, what, each, t, &why);
    arena_close(&a);
    if (rc == OK)
        return EX_OK;
    fprintf(stderr, "postern trace: %s\n", why.text);
    return EX_NOPERM;
}

static void each_answer(void *ctx, struct bytes line) {
    struct trace *t = ctx;
    if (!bytes_starts(line, B("{\"error\":"))) {
        each(ctx, line);
        return;
    }
    json_t *e = json_loadb(line.at, line.len, 0, NULL);
    fprintf(stderr, "postern trace: %s\n", text_of(e, "error"));
    json_decref(e);
    t->code = EX_UNAVAILABLE;
}

/* The server proves the login and tells what is its own. */
static int find_as(struct trace *t, const struct config *config, struct bytes what) {
    char password[PASSWORD_LINE];
    size_t len;
    int code = password_read("postern trace", t->from_stdin, false, password, &len);
    if (code != EX_OK)
        return code;
    struct arena *a = arena_open();
    json_t *request = json_pack("{s:s}", "command", "trace");
    json_object_set_new(request, "what", json_stringn(what.at, what.len));
    json_object_set_new(request, "as", json_stringn(t->as.at, t->as.len));
    json_object_set_new(request, "password", json_stringn(password, len));
    explicit_bzero(password, sizeof password);
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    if (!control_ask(layout_path(a, config, "run/control.sock"), bytes_str(text ? text : "{}"),
                     each_answer, t)) {
        fprintf(stderr, "postern trace: --as needs the running server, and none answers\n");
        t->code = EX_UNAVAILABLE;
    }
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
    arena_close(&a);
    return t->code;
}

int cmd_trace(int argc, char **argv) {
    struct bytes what[1];
    size_t count = 0;
    struct trace t = { .file = SETTINGS_FILE };
    const struct option_row rows[] = {
        { .name = "-c", .value = "FILE", .help = "the configuration", .text = &t.file },
        { .name = "--json",
          .help = "the events themselves, one JSON object a line",
          .flag = &t.json },
        { .name = "--as",
          .value = "LOGIN",
          .help = "as this administrator of a tenant, of what is its own; asks for the password",
          .text = &t.as },
        { .name = "--password-stdin",
          .help = "read that password from standard input, one line",
          .flag = &t.from_stdin },
    };
    const struct options o = {
        .command = "trace",
        .arguments = "ID|MESSAGE-ID|ADDRESS",
        .sentence = "what became of a message: every step, attempt and reply",
        .rows = rows,
        .row_count = COUNT_OF(rows),
        .args = what,
        .args_min = 1,
        .args_max = 1,
        .arg_count = &count,
    };
    int rc = options_parse(&o, argc, argv);
    if (rc != OPTIONS_GO_ON)
        return rc;
    struct config *config = settings_find("trace", t.file);
    if (!config)
        return EX_CONFIG;
    rc = t.as.len ? find_as(&t, config, what[0]) : find(&t, config, what[0]);
    if (rc == EX_OK && !t.lines) {
        fprintf(stderr,
                "postern trace: nothing is known of %.*s: the history reaches back %lld days; a "
                "message that never arrived here leaves no trace\n",
                BYTES_FMT(what[0]), (long long)(config->history_keep / 86400000));
        rc = 1;
    }
    config_close(&config);
    return rc;
}
