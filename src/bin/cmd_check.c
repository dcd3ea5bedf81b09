/* cmd_check: `postern check`: is the configuration valid, who may relay where, and is it proved that
 * nobody else may. */
#include "base/must.h"
#include "bin/commands.h"
#include "bin/findings.h"
#include "bin/live.h"
#include "bin/options.h"
#include "bin/settings.h"
#include "decide/decide.h"
#include "sys/gateways.h"
#include "sys/loop.h"

#include <stdio.h>
#include <sysexits.h>

struct check {
    struct config *config;
    struct arena *arena;
    struct config_findings findings;
    const struct matrix_row *rows;
    size_t row_count;
    bool proved; /* the proof was made; a file that cannot be read proves nothing */
};

static int64_t wall_now(void) {
    struct loop *l = loop_open();
    int64_t now = loop_wall(l);
    loop_close(&l);
    return now;
}

static void prove(struct check *c) {
    struct network *list = NULL;
    size_t count = 0;
    struct why why;
    int64_t now = wall_now();
    if (gateways_list(c->arena, &list, &count, &why) != OK)
        fprintf(stderr, "postern check: gateways of this host were not looked at: %s\n", why.text);
    const struct networks gateways = { count, list };
    decide_prove(c->config, &gateways, now, c->arena, &c->findings);
    c->row_count = decide_matrix(c->config, now, c->arena, &c->rows);
    c->proved = true;
}

static bool is_proof(const struct config_finding *f) {
    return f->severity == FINDING_ERROR && bytes_starts(bytes_str(f->id), B("proof."));
}

/* A stranger's transaction that would be relayed is known. */
static bool is_open(const struct check *c) {
    for (size_t i = 0; i < c->findings.count; i++)
        if (is_proof(&c->findings.list[i]) && c->findings.list[i].example.len)
            return true;
    return false;
}

/* No error of the proof's; other errors may be there. */
static bool is_closed(const struct check *c) {
    for (size_t i = 0; i < c->findings.count; i++)
        if (is_proof(&c->findings.list[i]))
            return false;
    return c->proved;
}

static bool trusts_networks(const struct config *config) {
    for (size_t i = 0; i < config->connector_count; i++)
        if (config->connectors[i].clients.count)
            return true;
    return false;
}

/* --- JSON --------------------------------------------------------------------------------------- */

static void json_text(struct buf *b, const char *key, struct bytes text) {
    buf_printf(b, "%s\"%s\":", b->len && b->at[b->len - 1] != '{' ? "," : "", key);
    buf_json(b, text);
}

static void json_row(struct buf *b, const struct matrix_row *r) {
    buf_char(b, '{');
    json_text(b, "who", r->who);
    json_text(b, "listener", r->listener);
    json_text(b, "senders", r->senders);
    json_text(b, "to_own", r->to_own);
    json_text(b, "to_other", r->to_other);
    json_text(b, "connector", r->connector);
    buf_char(b, '}');
}

static void print_json(const struct check *c) {
    struct buf b = buf_grow(64 * 1024 * 1024);
    buf_str(&b, "{\"verdict\":");
    buf_json(&b, findings_have_errors(&c->findings) ? B("refused") : B("ok"));
    buf_printf(&b, ",\"proof\":\"%s\"",
               !c->proved || (!is_closed(c) && !is_open(c)) ? "none"
               : is_closed(c)                               ? "closed"
                                                            : "open");
    buf_str(&b, ",\"findings\":");
    findings_json(&b, &c->findings);
    buf_str(&b, ",\"matrix\":[");
    for (size_t i = 0; i < c->row_count; i++) {
        buf_str(&b, i ? "," : "");
        json_row(&b, &c->rows[i]);
    }
    buf_str(&b, "]}");
    printf("%s\n", buf_text(&b));
    buf_free(&b);
}

/* --- text ----------------------------------------------------------------------------------------- */

enum { COLUMNS = 5, WIDTH_MAX = 64 };

static struct bytes cell(const struct matrix_row *r, int column) {
    const struct bytes cells[COLUMNS] = { r->who, r->listener, r->senders, r->to_own, r->to_other };
    return cells[column];
}

static const struct matrix_row heading = {
    .who = { "WHO", 3 },
    .listener = { "LISTENER", 8 },
    .senders = { "SENDERS", 7 },
    .to_own = { "TO OUR DOMAINS", 14 },
    .to_other = { "TO OTHERS", 9 },
};

static void print_row(const struct matrix_row *r, const size_t widths[COLUMNS]) {
    for (int i = 0; i < COLUMNS; i++) {
        struct bytes text = cell(r, i);
        bool last = i == COLUMNS - 1;
        printf("%.*s", BYTES_FMT(text));
        if (!last)
            printf("%*s", (int)(widths[i] > text.len ? widths[i] - text.len : 0) + 2, "");
    }
    printf("\n");
}

static void print_matrix(const struct check *c) {
    size_t widths[COLUMNS] = { 0 };
    if (!c->row_count) {
        printf("No listener, no local users: nothing is accepted, nothing is relayed.\n\n");
        return;
    }
    for (int i = 0; i < COLUMNS; i++) {
        widths[i] = cell(&heading, i).len;
        for (size_t j = 0; j < c->row_count; j++) {
            size_t len = cell(&c->rows[j], i).len;
            len = len < WIDTH_MAX ? len : WIDTH_MAX;
            widths[i] = len > widths[i] ? len : widths[i];
        }
    }
    print_row(&heading, widths);
    for (size_t i = 0; i < c->row_count; i++)
        print_row(&c->rows[i], widths);
    printf("\n");
}

/* What no look at this host can tell, and how the administrator can. */
static void print_lost_address(void) {
    printf(
        "NAT beyond this host cannot be seen from here: a granted address must stand for "
        "machines of yours alone.\n"
        "How to tell a lost client address from a real one: send a message from outside, and look "
        "at \"client\" in the\n"
        "log. If it is not the sender's own address but a router's or a container bridge's "
        "(172.17.0.1, 10.0.2.2), or if\n"
        "people at different places all have one, then NAT or a container's proxy has put its "
        "address in place of theirs.\n"
        "Take that address out of clients, or name it in except. Then have the proxy send PROXY "
        "headers\n"
        "(proxy_protocol_from), or use the host's network, or ask for logins. While serving, the "
        "tripwire watches for it:\n"
        "`postern grants list` shows what it has suspended.\n");
}

static void print_text(const struct check *c) {
    findings_print(stdout, &c->findings, true);
    if (c->findings.count)
        printf("\n");
    if (c->proved)
        print_matrix(c);
    if (!c->proved)
        printf("Proof: none, the configuration could not be read.\n");
    else if (is_closed(c))
        printf(
            "Proof: closed. Without a login mail is relayed only for the networks listed above.\n");
    else if (is_open(c))
        printf("Proof: OPEN. `postern serve` does not start with this configuration.\n");
    else
        printf("Proof: none, for the errors above. `postern serve` does not start with this "
               "configuration.\n");
    if (c->proved && trusts_networks(c->config))
        print_lost_address();
    if (findings_have_errors(&c->findings))
        printf("This configuration is refused.\n");
    else
        printf("This configuration is fine.\n");
}

int cmd_check(int argc, char **argv) {
    struct bytes file = SETTINGS_FILE;
    bool json = false, live = false;
    const struct option_row rows[] = {
        { .name = "-c", .value = "FILE", .help = "the configuration", .text = &file },
        { .name = "--live",
          .help = "look at the servers it names, certificates, and the DNS about this host too",
          .flag = &live },
        { .name = "--json", .help = "one JSON object", .flag = &json },
    };
    const struct options o = {
        .command = "check",
        .arguments = "",
        .sentence = "validate the configuration; show who may relay where, and prove that nobody "
                    "else may",
        .rows = rows,
        .row_count = COUNT_OF(rows),
    };
    int code = options_parse(&o, argc, argv);
    if (code != OPTIONS_GO_ON)
        return code;
    struct check c = { .arena = arena_open() };
    settings_parse(file, &c.config, &c.findings);
    if (c.config && !c.config->incomplete)
        prove(&c);
    if (live && c.config && !c.config->incomplete)
        live_check(c.config, c.arena, &c.findings);
    if (json)
        print_json(&c);
    else
        print_text(&c);
    code = findings_have_errors(&c.findings) ? 1 : EX_OK;
    config_close(&c.config);
    arena_close(&c.arena);
    return code;
}
