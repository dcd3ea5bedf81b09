/* cmd_explain: `postern explain`: what a bounce, a reply, a line of a log, a cause or a reason id means, who must
 * act, and what to do. This file knows how an argument is told to be a file, a name or a text. */
#include "base/buf.h"
#include "base/must.h"
#include "bin/commands.h"
#include "bin/explain.h"
#include "bin/lookup.h"
#include "bin/options.h"
#include "sys/files.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    WORDS_MAX = 4096,
    TEXT_MAX = 256 * 1024,
    NEAR_MAX = 5,
    RULES_MAX = 4 * 1024 * 1024,
    OUT_MAX = 64 * 1024 * 1024,
    PIPE_MS = 2000
};

struct given {
    const struct options *options;
    struct bytes words[WORDS_MAX];
    size_t count;
    bool json, each, list, live;
    struct bytes rules, command, code;
    struct explain_hints hints;
    struct explain_live_want network;
};

/* --- names -------------------------------------------------------------------------------------------------- */

/* A word, a dot, a word: what looks like an id, though there may be none of that name. */
static bool looks_like_id(struct bytes text) {
    size_t dots = 0, letters = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = ascii_lower(text.at[i]);
        dots += c == '.';
        letters += c >= 'a' && c <= 'z';
        if (c != '.' && c != '-' && c != '_' && !ascii_is_digit(c) && (c < 'a' || c > 'z'))
            return false;
    }
    return letters && dots <= 1;
}

static const char *nearest_cause(struct bytes name) {
    enum { CAUSES_MAX = 256 };
    const char *names[CAUSES_MAX];
    struct reply_cause c;
    size_t count = 0;
    while (count < CAUSES_MAX && reply_cause_at(count, &c))
        names[count++] = c.name;
    return options_nearest(name, names, count);
}

static int no_such_name(const struct options *o, struct bytes name) {
    const struct reason *near[NEAR_MAX];
    char text[512];
    struct buf b = buf_fixed(text, sizeof text);
    const char *cause = nearest_cause(name);
    if (cause)
        return options_misuse(o, "there is no cause %.*s; did you mean %s?", BYTES_FMT(name),
                              cause);
    size_t count = reasons_near(name, near, NEAR_MAX);
    for (size_t i = 0; i < count; i++)
        buf_printf(&b, "%s%s",
                   i == 0          ? "; did you mean "
                   : i + 1 < count ? ", "
                                   : " or ",
                   near[i]->id);
    buf_str(&b, count ? "?" : "; `postern explain list` shows all");
    return options_misuse(o, "there is no reason %.*s, and no file of that name%s", BYTES_FMT(name),
                          buf_text(&b));
}

/* --- telling ------------------------------------------------------------------------------------------------- */

static int print(struct buf *b) {
    fwrite(b->at, 1, b->len, stdout);
    buf_free(b);
    return EX_OK;
}

static int show_list(bool json) {
    struct buf b = buf_grow(OUT_MAX);
    if (json)
        explain_list_json(&b);
    else
        explain_list_text(&b);
    return print(&b);
}

static int show_reason(const struct reason *r, bool json) {
    struct buf b = buf_grow(OUT_MAX);
    if (json) {
        explain_reason_json(r, &b);
        buf_char(&b, '\n');
    } else {
        explain_reason_text(r, &b);
    }
    return print(&b);
}

static int show_cause(const struct reply_cause *c, bool json) {
    struct buf b = buf_grow(OUT_MAX);
    if (json) {
        explain_cause_json(c, &b);
        buf_char(&b, '\n');
    } else {
        explain_cause_text(c, &b);
    }
    return print(&b);
}

static int show_text(const struct given *g, struct bytes text) {
    struct arena *a = arena_open();
    struct buf b = buf_grow(OUT_MAX);
    struct explained e;
    explain_read(text, &g->hints, a, &e);
    if (e.kind == EXPLAIN_NO_BOUNCE && g->count == 1 && looks_like_id(g->words[0])) {
        arena_close(&a);
        return no_such_name(g->options, g->words[0]);
    }
    struct why why;
    if (g->live && e.count && e.kind != EXPLAIN_NO_BOUNCE &&
        explain_live(&e, &g->network, a, &why) != OK)
        fprintf(stderr, "postern explain: --live: %s\n", why.text);
    if (g->json)
        explain_json(&e, &b);
    else
        explain_text(&e, &b);
    if (g->json)
        buf_char(&b, '\n');
    print(&b);
    arena_close(&a);
    return e.kind == EXPLAIN_NO_BOUNCE ? 1 : EX_OK;
}

/* --- what was given ------------------------------------------------------------------------------------------ */

static bool all_are_files(const struct given *g) {
    for (size_t i = 0; i < g->count; i++)
        if (!bytes_equal(g->words[i], B("-")) && access(g->words[i].at, F_OK) != 0)
            return false;
    return g->count > 0;
}

static int run_files(const struct given *g) {
    if (g->count == 1 && bytes_equal(g->words[0], B("-")) && isatty(STDIN_FILENO))
        fprintf(stderr, "Paste the bounce, reply or lines of a log; end with Ctrl-D.\n");
    const struct explain_batch batch = { .paths = g->words,
                                         .count = g->count,
                                         .json = g->json,
                                         .each = g->each,
                                         .hints = g->hints,
                                         .live = g->live ? &g->network : NULL };
    return explain_run(&batch);
}

/* A path with a slash and nothing else that makes a text of it. */
static bool looks_like_path(struct bytes word) {
    static const char *const endings[] = { ".eml", ".msg", ".mbox", ".txt", ".log", ".mail" };
    bool file = bytes_find(word, '/') >= 0;
    for (size_t i = 0; i < COUNT_OF(endings); i++)
        file |= bytes_ends_nocase(word, bytes_str(endings[i]));
    return file && bytes_find(word, ' ') < 0 && bytes_find(word, '\n') < 0;
}

/* Whether something is redirected or piped in: whoever forgets the "-" means that, not the list. A pipe that says
 * nothing was only inherited, from a cron job or a supervisor. */
static bool is_fed(void) {
    struct stat st;
    struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
    if (fstat(STDIN_FILENO, &st) != 0)
        return false;
    if (S_ISREG(st.st_mode))
        return st.st_size > 0;
    return S_ISFIFO(st.st_mode) && poll(&in, 1, PIPE_MS) == 1 && (in.revents & POLLIN);
}

static int explain(const struct given *g, struct bytes text) {
    struct reply_cause cause;
    const struct reason *r = reason_find(text);
    if (g->list || !g->count || bytes_equal(text, B("list")))
        return show_list(g->json);
    if (r)
        return show_reason(r, g->json);
    if (g->count == 1 && reply_cause_find(text.at, &cause))
        return show_cause(&cause, g->json);
    if (all_are_files(g))
        return run_files(g);
    if (g->count == 1 && looks_like_path(text))
        return options_misuse(g->options, "there is no file %.*s", BYTES_FMT(text));
    r = g->live ? NULL : reason_of_reply(text);
    return r ? show_reason(r, g->json) : show_text(g, text);
}

static int take_rules(const struct given *g) {
    struct arena *a = arena_open();
    struct bytes text;
    struct why why;
    enum rc rc = files_read(g->rules, RULES_MAX, a, &text, &why);
    int code = rc == OK ? EX_DATAERR : EX_NOINPUT;
    if (rc == OK)
        rc = reply_learn(g->rules.at, text, &why);
    arena_close(&a);
    if (rc == OK)
        return EX_OK;
    fprintf(stderr, "postern explain: %s\n", why.text);
    return code;
}

static const char *const steps[] = { "connect", "banner", "EHLO", "STARTTLS", "AUTH",
                                     "MAIL",    "RCPT",   "DATA", "end",      "DNS" };

static int take_hints(struct given *g) {
    uint64_t code;
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        if (bytes_equal_nocase(g->command, bytes_str(steps[i])))
            g->hints.command = steps[i];
    if (g->command.len && !g->hints.command)
        return options_misuse(
            g->options,
            "--command %.*s: one of connect banner EHLO STARTTLS AUTH MAIL RCPT DATA end DNS",
            BYTES_FMT(g->command));
    struct addr client;
    if (g->network.client.len && !addr_parse(g->network.client, &client))
        return options_misuse(g->options, "--client %.*s is no address",
                              BYTES_FMT(g->network.client));
    if (!lookup_takes(g->network.dns))
        return options_misuse(g->options,
                              "--dns takes an address, with a port or without, system or "
                              "full; not %.*s",
                              BYTES_FMT(g->network.dns));
    if ((g->network.client.len || g->network.from.len || g->network.dns.len) && !g->live)
        return options_misuse(g->options, "--client, --from and --dns are for --live");
    if (!g->code.len)
        return EX_OK;
    if (!bytes_to_u64(g->code, 599, &code) || code < 200)
        return options_misuse(g->options, "--code %.*s: a reply code has three digits, 200 to 599",
                              BYTES_FMT(g->code));
    g->hints.code = (int)code;
    return EX_OK;
}

int cmd_explain(int argc, char **argv) {
    static struct given g;
    g = (struct given){ 0 };
    const struct option_row rows[] = {
        { .name = "--json",
          .help = "one JSON object (of a list, of many messages: one a line)",
          .flag = &g.json },
        { .name = "--each",
          .help = "of many messages: explain each, instead of a table of causes",
          .flag = &g.each },
        { .name = "--list",
          .help = "all causes, and all reason ids of this server",
          .flag = &g.list },
        { .name = "--rules",
          .value = "FILE",
          .help = "reply rules that come before the built-in ones",
          .text = &g.rules },
        { .name = "--command",
          .value = "STEP",
          .help = "what the reply was to: connect banner EHLO STARTTLS AUTH MAIL RCPT DATA end",
          .text = &g.command },
        { .name = "--step", .value = "STEP", .help = "the same", .text = &g.command },
        { .name = "--host",
          .value = "NAME",
          .help = "the server that said it",
          .text = &g.hints.host },
        { .name = "--to", .value = "ADDRESS", .help = "the recipient", .text = &g.hints.to },
        { .name = "--live",
          .help = "ask the network too: MX, login, blocklists, SPF, DKIM, DMARC; sends no mail",
          .flag = &g.live },
        { .name = "--client",
          .value = "IP",
          .help = "with --live: the address that the message came from",
          .text = &g.network.client },
        { .name = "--from",
          .value = "ADDRESS",
          .help = "with --live: the sender",
          .text = &g.network.from },
        { .name = "--dns", .value = "SERVER", .help = LOOKUP_DNS_HELP, .text = &g.network.dns },
        { .name = "--code",
          .value = "CODE",
          .help = "the reply's code, when the text does not have it",
          .text = &g.code },
    };
    const struct options o = {
        .command = "explain",
        .arguments = "[FILE... | REASON | CAUSE | TEXT | - | list]",
        .sentence =
            "what a bounce, a reply, a line of a log or a reason id means, who must act, and what to do",
        .rows = rows,
        .row_count = COUNT_OF(rows),
        .args = g.words,
        .args_max = WORDS_MAX,
        .arg_count = &g.count,
    };
    g.options = &o;
    int code = options_parse(&o, argc, argv);
    if (code != OPTIONS_GO_ON)
        return code;
    if (!g.count && !g.list && is_fed())
        g.words[g.count++] = B("-");
    code = take_hints(&g);
    if (code == EX_OK && g.rules.len)
        code = take_rules(&g);
    if (code != EX_OK)
        return code;
    /* A reply that was pasted without quotes is one text. */
    struct buf b = buf_grow(TEXT_MAX);
    for (size_t i = 0; i < g.count; i++) {
        buf_str(&b, i ? " " : "");
        buf_add(&b, g.words[i]);
    }
    code = explain(&g, bytes_str(buf_text(&b)));
    buf_free(&b);
    reply_forget();
    return code;
}
