/* cmd_why: `postern why`: what one message would meet with, rule by rule, and what would make it
 * pass. The steps are those of a session, in its order; the facts come from the configuration, the
 * directory and the command line. */
#include "base/must.h"
#include "bin/commands.h"
#include "bin/findings.h"
#include "bin/settings.h"
#include "bin/why_run.h"

#include <stdlib.h>
#include <sysexits.h>

enum { ROUNDS_MAX = 100, LINE_MAX_OCTETS = 256 * 1024 };

/* --- the session ------------------------------------------------------------------------------------- */

static bool is_kept(const struct why_run *w, const struct rule *r) {
    for (size_t i = 0; i < w->rule_count; i++)
        if (bytes_equal(w->rules[i].name, r->name) && bytes_equal(w->rules[i].because, r->because))
            return true;
    return false;
}

/* What two steps say alike is told once. */
static void keep_rules(struct why_run *w) {
    for (size_t i = 0; i < w->v.rule_count && w->rule_count < RULES_MAX; i++)
        if (!is_kept(w, &w->v.rules[i]))
            w->rules[w->rule_count++] = w->v.rules[i];
}

/* True when the step was passed. */
static bool step(struct why_run *w, enum decide_step step, const char *name) {
    w->step = name;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        decide(w->config, step, &w->facts, w->arena, &w->v);
        if (w->v.rc != MORE)
            break;
        why_find(w, w->v.missing);
    }
    keep_rules(w);
    return w->v.rc == OK;
}

static bool command(struct why_run *w, const char *verb) {
    w->facts.verb = bytes_str(verb);
    return step(w, STEP_COMMAND, verb);
}

/* The mechanism a client would take: the first that is offered. */
static struct bytes mechanism(const struct why_run *w) {
    struct bytes list = decide_mechanisms(w->config, &w->facts, w->arena), first = BYTES_NONE;
    if (w->q->mechanism.len)
        return w->q->mechanism;
    return bytes_split(&list, ' ', &first) && first.len ? first : B("PLAIN");
}

static bool log_in(struct why_run *w) {
    struct facts *f = &w->facts;
    if (!w->q->user.len || f->local_door)
        return true;
    bool in_transaction = f->has_sender;
    f->has_sender = false; /* AUTH comes before MAIL */
    if (!command(w, "AUTH"))
        return false;
    f->mechanism = mechanism(w);
    if (!step(w, STEP_AUTH, "AUTH"))
        return false;
    f->login = arena_lower(w->arena, w->q->user);
    if (!step(w, STEP_LOGIN, "AUTH"))
        return false;
    f->has_sender = in_transaction;
    return true;
}

static bool content(struct why_run *w, const struct verdict *granted) {
    struct facts *f = &w->facts;
    if (!f->header_mailbox_count && !w->q->from_fields.len)
        return true;
    struct bytes *charged = ARENA_NEW(w->arena, struct bytes);
    *charged = granted->connector;
    f->charged = (struct strings){ granted->connector.len ? 1 : 0, charged };
    ptrdiff_t at = bytes_find_last(f->recipient, '@');
    struct bytes *domain = ARENA_NEW(w->arena, struct bytes);
    *domain = bytes_skip(f->recipient, (size_t)(at + 1));
    f->domains = (struct strings){ granted->relay || at < 0 ? 0 : 1, domain };
    return step(w, STEP_CONTENT, "DATA");
}

static void run(struct why_run *w) {
    if (!step(w, STEP_CONNECT, "connect") || !log_in(w) || !command(w, "MAIL") ||
        !step(w, STEP_MAIL, "MAIL") || !step(w, STEP_RCPT, "RCPT"))
        return;
    struct verdict granted = w->v;
    if (content(w, &granted))
        w->v = granted;
}

/* --- the command -------------------------------------------------------------------------------------- */

static int open_config(struct why_run *w) {
    struct config_findings findings = { 0 };
    enum rc rc = settings_parse(w->q->file, &w->config, &findings);
    if (rc == OK || (w->config && !w->config->incomplete))
        return OPTIONS_GO_ON;
    findings_print(stderr, &findings, false);
    return EX_CONFIG;
}

static int answer(struct why_run *w) {
    if (!w->q->to.len || !w->q->from.at)
        return options_misuse(w->options,
                              "--from A and --to A are needed (--from \"<>\" is the null sender)");
    int code = why_take(w);
    if (code != OPTIONS_GO_ON)
        return code;
    why_find_suspended(w);
    run(w);
    why_print(w);
    return w->v.rc == OK ? EX_OK : 1;
}

/* --- many questions: one JSON object a line ------------------------------------------------------------ */

static void print_complaint(struct buf *text) {
    struct buf b = buf_grow(64 * 1024);
    buf_str(&b, "{\"error\":");
    buf_json(&b, buf_bytes(text));
    buf_str(&b, "}");
    printf("%s\n", buf_text(&b));
    buf_free(&b);
}

/* What a question leaves behind is gone with its arena; configuration and directory stay. */
static struct why_run *another(const struct why_run *w, const struct options *o,
                               const struct why_question *q, struct arena *a) {
    struct why_run *one = ARENA_NEW(a, struct why_run);
    one->options = o;
    one->q = q;
    one->arena = a;
    one->config = w->config;
    one->directory = w->directory;
    one->directory_down = w->directory_down;
    one->looking = w->looking;
    return one;
}

/* `q` is where the options' table puts things: set back for each line to what the command line said. */
static int answer_line(const struct why_run *w, struct why_question *q, struct bytes line) {
    const struct why_question given = *q;
    struct arena *a = arena_open();
    struct buf complaints = buf_grow(8192);
    struct options o = *w->options;
    o.complaints = &complaints;
    q->json = true;
    int code = line.len > LINE_MAX_OCTETS
                   ? options_misuse(&o, "the line is longer than %d octets", LINE_MAX_OCTETS)
                   : options_take_json(&o, line, a);
    if (code == OPTIONS_GO_ON)
        code = answer(another(w, &o, q, a));
    if (complaints.len)
        print_complaint(&complaints);
    fflush(stdout);
    *q = given;
    buf_free(&complaints);
    arena_close(&a);
    return code;
}

static int answer_batch(const struct why_run *w, struct why_question *q) {
    char *line = NULL;
    size_t room = 0;
    int code = EX_OK;
    for (ssize_t len; (len = getline(&line, &room, stdin)) >= 0;) {
        struct bytes text = bytes_trim(bytes_of(line, (size_t)len));
        if (text.len && answer_line(w, q, text) == EX_USAGE)
            code = EX_USAGE;
    }
    free(line);
    return code;
}

#define TEXT(option, what, sentence, field)                                                        \
    { .name = option, .value = what, .help = sentence, .text = &q.field }
#define EACH(option, sentence, field)                                                              \
    {                                                                                              \
        .name = option, .value = "A", .help = sentence, .list = q.field,                           \
        .count = &q.field##_count, .max = HEADERS_MAX                                              \
    }

int cmd_why(int argc, char **argv) {
    struct why_question q = { .file = SETTINGS_FILE };
    const struct option_row rows[] = {
        TEXT("-c", "FILE", "the configuration", file),
        TEXT("--client", "IP", "the address that connects", client),
        TEXT("--proxy", "IP", "the listed peer that told that address, by PROXY or XCLIENT", proxy),
        TEXT("--local", "IP", "the address of ours it connects to: a tenant's own, say", local),
        TEXT("--listener", "NAME",
             "where it connects; default: internet, or with --user where logins are taken",
             listener),
        { .name = "--tls", .help = "TLS was begun", .flag = &q.tls },
        TEXT("--user", "U", "the login, with the right password", user),
        TEXT("--app-password", "NAME", "with this app password of the user's", app_password),
        TEXT("--mechanism", "M", "how it logs in; default: the first that is offered", mechanism),
        TEXT("--certificate", "F",
             "the client's certificate: a PEM file, or its key as spki-sha256:HEX", certificate),
        TEXT("--local-user", "U", "handed in on this host by this user (postern send)", local_user),
        TEXT("--popped", "U",
             "this login has just used POP3 from the address; default: as the running server knows",
             popped),
        TEXT("--helo", "N", "what it says in EHLO", helo),
        { .name = "--retried",
          .help = "greylist: it has tried before, long enough ago",
          .flag = &q.retried },
        EACH("--listed", "as if this DNS list had the client (LIST or LIST:127.0.0.4)", listed),
        TEXT("--from", "A", "envelope sender; <> is the null sender", from),
        TEXT("--to", "A", "recipient", to),
        EACH("--header-from", "a mailbox in From; may be given again", header_from),
        TEXT("--from-fields", "N", "the message has N From fields; default: 1", from_fields),
        EACH("--sender-header", "a mailbox in Sender", sender_header),
        EACH("--reply-to", "a mailbox in Reply-To", reply_to),
        TEXT("--size", "N", "octets of the message, or 5MiB", size),
        TEXT("--recipients", "N", "the recipient is the Nth of its message", recipients),
        TEXT("--sent", "N", "messages sent already; default: what the running server has counted",
             sent),
        TEXT("--probe", "ANSWER",
             "recipients = probe: what the server behind says of the recipient: takes, refuses, "
             "later",
             probe),
        TEXT("--at", "TIME", "as if it were 2026-11-20T09:30:00Z", at),
        { .name = "--offline",
          .help = "do not ask the running server what it has counted",
          .flag = &q.offline },
        { .name = "--json", .help = "one JSON object", .flag = &q.json },
        { .name = "--batch",
          .help = "questions on standard input, one a line as a JSON object of these options",
          .flag = &q.batch },
    };
    const struct options o = {
        .command = "why",
        .arguments = "",
        .sentence = "what one message would meet with, rule by rule, and what would make it pass",
        .rows = rows,
        .row_count = COUNT_OF(rows),
    };
    int code = options_parse(&o, argc, argv);
    if (code != OPTIONS_GO_ON)
        return code;
    struct arena *arena = arena_open();
    struct why_run *w = ARENA_NEW(arena, struct why_run);
    w->options = &o;
    w->q = &q;
    w->arena = arena;
    struct looking looking = { .loop = loop_open() };
    w->looking = &looking;
    code = open_config(w);
    if (code == OPTIONS_GO_ON) {
        why_open_directory(w);
        code = q.batch ? answer_batch(w, &q) : answer(w);
    }
    lookup_close(&looking.lookup);
    loop_close(&looking.loop);
    directory_db_close(&w->directory);
    config_close(&w->config);
    arena_close(&arena);
    return code;
}
