/* cmd_doctor: `postern doctor`: options, as whoever knows swaks expects them, to what is to be examined; and what
 * came of it on the screen. A password never comes by the command line. */
#include "base/must.h"
#include "bin/commands.h"
#include "bin/lookup.h"
#include "bin/options.h"
#include "bin/password.h"
#include "config/config.h"
#include "doctor/compose.h"
#include "doctor/examine.h"
#include "doctor/render.h"
#include "message/address.h"
#include "sys/files.h"
#include "sys/loop.h"
#include "sys/random.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    TARGETS_MAX = 16,
    LIST_MAX = 32,
    FILE_MAX = 32 * 1024 * 1024,
    SECRET_FILE_MAX = 64 * 1024,
    OUTPUT_MAX = 64 * 1024 * 1024,
    TIMEOUT_MS = 30 * 1000,
    TOTAL_MS = 3 * 60 * 1000,
};

/* What was typed. */
struct typed {
    struct bytes targets[TARGETS_MAX];
    size_t target_count;
    struct bytes server, port, ports, socket, from, helo, source, tls, tls_name, ca, user, auth;
    struct bytes password_file, password_env, token_file, argv_password;
    struct bytes proxy, xclient, body, data, timeout, time, until, dns, foreign, hosted;
    struct bytes to[LIST_MAX], headers[LIST_MAX], attach[LIST_MAX];
    size_t to_count, header_count, attach_count;
    bool has_from;
    bool mx, all_mx, four, six, tls_on_connect, tls_required, password_stdin, allow_plain;
    bool pipeline, lmtp, send, no_probes, no_tls_look, json, quiet, verbose;
};

struct doctor {
    struct typed typed;
    const struct options *options;
    struct arena *arena;
    struct loop *loop;
    struct examine_want want;
    struct bytes recipients[CONVERSATION_RECIPIENTS];
};

/* --- values ---------------------------------------------------------------------------------------------- */

static bool take_port(struct bytes text, uint16_t *out) {
    uint64_t n;
    if (!bytes_to_u64(text, 65535, &n) || !n)
        return false;
    *out = (uint16_t)n;
    return true;
}

static int take_ports(struct doctor *d) {
    struct bytes rest = d->typed.ports, one;
    if (!rest.len)
        return OPTIONS_GO_ON;
    d->want.ports_chosen = true;
    if (bytes_equal(rest, B("none")))
        return OPTIONS_GO_ON;
    while (bytes_split(&rest, ',', &one))
        if (d->want.port_count == EXAMINE_PORTS ||
            !take_port(bytes_trim(one), &d->want.ports[d->want.port_count++]))
            return options_misuse(d->options,
                                  "--ports takes up to %d port numbers with commas, or none: %.*s",
                                  EXAMINE_PORTS, BYTES_FMT(d->typed.ports));
    return OPTIONS_GO_ON;
}

static int take_tls(struct doctor *d) {
    static const struct {
        const char *name;
        enum examine_tls tls;
    } modes[] = { { "off", EXAMINE_TLS_OFF },
                  { "try", EXAMINE_TLS_TRY },
                  { "require", EXAMINE_TLS_REQUIRE },
                  { "verify", EXAMINE_TLS_VERIFY } };
    if (d->typed.tls_required)
        d->want.tls = EXAMINE_TLS_REQUIRE;
    d->want.implicit = d->typed.tls_on_connect;
    if (!d->typed.tls.len)
        return OPTIONS_GO_ON;
    for (size_t i = 0; i < COUNT_OF(modes); i++)
        if (bytes_equal_nocase(d->typed.tls, bytes_str(modes[i].name))) {
            d->want.tls = modes[i].tls;
            return OPTIONS_GO_ON;
        }
    return options_misuse(d->options, "--tls takes off, try, require or verify, not %.*s",
                          BYTES_FMT(d->typed.tls));
}

static int take_until(struct doctor *d) {
    static const struct {
        const char *name;
        enum step step;
    } steps[] = {
        { "connect", STEP_CONNECT }, { "banner", STEP_BANNER },     { "ehlo", STEP_EHLO },
        { "helo", STEP_EHLO },       { "first-ehlo", STEP_EHLO },   { "first-helo", STEP_EHLO },
        { "xclient", STEP_XCLIENT }, { "starttls", STEP_STARTTLS }, { "tls", STEP_STARTTLS },
        { "auth", STEP_AUTH },       { "mail", STEP_MAIL },         { "from", STEP_MAIL },
        { "rcpt", STEP_RCPT },       { "to", STEP_RCPT },
    };
    d->want.until = STEP_NONE;
    if (!d->typed.until.len)
        return OPTIONS_GO_ON;
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        if (bytes_equal_nocase(d->typed.until, bytes_str(steps[i].name))) {
            d->want.until = steps[i].step;
            return OPTIONS_GO_ON;
        }
    return options_misuse(
        d->options,
        "--quit-after takes connect, banner, ehlo, starttls, auth, mail or rcpt, not %.*s",
        BYTES_FMT(d->typed.until));
}

/* With several in one word, as with swaks: -t a@example.com,b@example.com */
static int take_recipients(struct doctor *d) {
    size_t count = 0;
    for (size_t i = 0; i < d->typed.to_count; i++) {
        struct bytes rest = d->typed.to[i], one;
        while (bytes_split(&rest, ',', &one)) {
            struct address parsed;
            one = bytes_trim(one);
            const char *wrong = address_parse(one, d->arena, &parsed);
            if (wrong)
                return options_misuse(d->options, "--to: %.*s: %s", BYTES_FMT(one), wrong);
            if (count == CONVERSATION_RECIPIENTS)
                return options_misuse(d->options, "--to is given more than %d times",
                                      CONVERSATION_RECIPIENTS);
            d->recipients[count++] = parsed.mailbox;
        }
    }
    d->want.recipients = d->recipients;
    d->want.recipient_count = count;
    return OPTIONS_GO_ON;
}

static int take_mailbox(struct doctor *d, const char *option, struct bytes text,
                        struct bytes *out) {
    struct address parsed;
    if (!text.len)
        return OPTIONS_GO_ON;
    const char *wrong = address_parse(text, d->arena, &parsed);
    if (wrong)
        return options_misuse(d->options, "%s: %.*s: %s", option, BYTES_FMT(text), wrong);
    *out = parsed.mailbox;
    return OPTIONS_GO_ON;
}

/* -f '' and -f '<>' are the null sender. */
static int take_sender(struct doctor *d) {
    struct bytes from = d->typed.from;
    d->want.has_sender = from.at != NULL;
    if (bytes_equal(from, B("<>")))
        from = BYTES_NONE;
    return take_mailbox(d, "--from", from, &d->want.sender);
}

static int take_source(struct doctor *d) {
    if (d->typed.source.len && !addr_parse(d->typed.source, &d->want.source))
        return options_misuse(d->options, "--source takes an address of this computer, not %.*s",
                              BYTES_FMT(d->typed.source));
    if (d->typed.four && d->typed.six)
        return options_misuse(d->options, "-4 and -6 exclude each other");
    d->want.family = d->typed.four ? 4 : d->typed.six ? 6 : d->want.source.family;
    return OPTIONS_GO_ON;
}

static bool take_end(struct bytes text, struct addr *out) {
    return addr_parse(text, out) || (addr_parse_port(text, out) && out->family);
}

/* Version 1 of the PROXY protocol: "CLIENT[:PORT],SERVER[:PORT]", or the line itself behind "PROXY". */
static int take_proxy(struct doctor *d) {
    struct bytes rest = d->typed.proxy, client, server;
    struct addr from, to;
    char a[80], b[80];
    struct buf x = buf_fixed(a, sizeof a), y = buf_fixed(b, sizeof b);
    if (!rest.len)
        return OPTIONS_GO_ON;
    if (bytes_find(rest, '\n') >= 0 || bytes_find(rest, '\r') >= 0)
        return options_misuse(d->options, "--proxy-protocol is one line");
    if (bytes_starts(rest, B("TCP")) || bytes_equal(rest, B("UNKNOWN"))) {
        d->want.proxy = arena_printf(d->arena, "PROXY %.*s\r\n", BYTES_FMT(rest));
        return OPTIONS_GO_ON;
    }
    bytes_split(&rest, ',', &client);
    server = rest.len ? rest : B("127.0.0.1");
    if (!take_end(client, &from) || !take_end(server, &to) || from.family != to.family)
        return options_misuse(
            d->options,
            "--proxy-protocol takes CLIENT[:PORT],SERVER[:PORT], both IPv4 or both IPv6, or \"TCP4 ...\"");
    addr_format(&x, from);
    addr_format(&y, to);
    d->want.proxy =
        arena_printf(d->arena, "PROXY TCP%d %s %s %u %u\r\n", from.family, buf_text(&x),
                     buf_text(&y), from.port ? from.port : 50000, to.port ? to.port : 25);
    return OPTIONS_GO_ON;
}

/* --- secrets ------------------------------------------------------------------------------------------------ */

static int read_secret(struct doctor *d, struct bytes file, struct bytes *out) {
    struct why why;
    if (files_read(file, SECRET_FILE_MAX, d->arena, out, &why) != OK) {
        fprintf(stderr, "postern doctor: %s\n", why.text);
        return EX_NOINPUT;
    }
    struct bytes rest = *out, line;
    bytes_split(&rest, '\n', &line);
    *out = bytes_trim(line);
    return OPTIONS_GO_ON;
}

static int ask_password(struct doctor *d) {
    char line[PASSWORD_LINE];
    size_t len;
    int code = password_read("postern doctor", d->typed.password_stdin, false, line, &len);
    if (code != EX_OK)
        return code;
    d->want.auth.password = arena_copy(d->arena, bytes_of(line, len));
    explicit_bzero(line, sizeof line);
    return OPTIONS_GO_ON;
}

static int take_password(struct doctor *d) {
    const struct typed *t = &d->typed;
    if (t->token_file.len)
        return read_secret(d, t->token_file, &d->want.auth.token);
    if (t->password_file.len)
        return read_secret(d, t->password_file, &d->want.auth.password);
    if (!t->password_env.len)
        return ask_password(d);
    const char *name = arena_str(d->arena, t->password_env), *value = getenv(name);
    if (!value || !*value)
        return options_misuse(d->options, "the environment has no %.*s",
                              BYTES_FMT(t->password_env));
    d->want.auth.password = arena_copy(d->arena, bytes_str(value));
    unsetenv(name); /* the resolver that is started later has no use for it */
    return OPTIONS_GO_ON;
}

static int take_login(struct doctor *d) {
    const struct typed *t = &d->typed;
    if (t->argv_password.at)
        return options_misuse(
            d->options,
            "a password on the command line can be read by everybody on this computer: "
            "leave it out to be asked for it, or use --password-stdin, --password-file or "
            "--password-env");
    if (t->auth.len && !login_knows(t->auth))
        return options_misuse(
            d->options,
            "--auth: %.*s is not known; SCRAM-SHA-256-PLUS, SCRAM-SHA-256, SCRAM-SHA-1, CRAM-MD5, "
            "PLAIN, LOGIN, OAUTHBEARER and XOAUTH2 are",
            BYTES_FMT(t->auth));
    if (!t->user.len)
        return t->auth.len ? options_misuse(d->options, "--auth needs a --user") : OPTIONS_GO_ON;
    d->want.login = true;
    d->want.auth.user = t->user;
    d->want.auth.mechanism = t->auth;
    d->want.auth.allow_plain = t->allow_plain;
    return take_password(d);
}

/* --- the message ------------------------------------------------------------------------------------------------ */

static int read_file(struct doctor *d, struct bytes name, struct bytes *out) {
    struct why why;
    if (files_read(name, FILE_MAX, d->arena, out, &why) == OK)
        return OPTIONS_GO_ON;
    fprintf(stderr, "postern doctor: %s\n", why.text);
    return EX_NOINPUT;
}

static int read_stdin(struct doctor *d, struct bytes *out) {
    struct buf b = buf_grow(FILE_MAX);
    char piece[16384];
    size_t got;
    while ((got = fread(piece, 1, sizeof piece, stdin)) > 0)
        buf_add(&b, bytes_of(piece, got));
    *out = arena_copy(d->arena, buf_bytes(&b));
    buf_free(&b);
    return OPTIONS_GO_ON;
}

/* "@FILE" and "-" as swaks has them. */
static int take_text(struct doctor *d, struct bytes given, struct bytes *out) {
    if (bytes_equal(given, B("-")))
        return read_stdin(d, out);
    if (given.len > 1 && given.at[0] == '@')
        return read_file(d, bytes_skip(given, 1), out);
    *out = given;
    return OPTIONS_GO_ON;
}

static int compose(struct doctor *d) {
    struct typed *t = &d->typed;
    struct compose_file files[LIST_MAX];
    struct compose c = {
        .sender = d->want.sender,
        .recipients = d->want.recipients,
        .recipient_count = d->want.recipient_count,
        .headers = t->headers,
        .header_count = t->header_count,
        .files = files,
        .file_count = t->attach_count,
        .wall_ms = loop_wall(d->loop),
        .random = random_u64(),
        .host = d->want.helo,
    };
    int code = take_text(d, t->body, &c.body);
    for (size_t i = 0; i < t->attach_count && code == OPTIONS_GO_ON; i++) {
        files[i].name = t->attach[i].len && t->attach[i].at[0] == '@' ? bytes_skip(t->attach[i], 1)
                                                                      : t->attach[i];
        code = read_file(d, files[i].name, &files[i].content);
    }
    if (code != OPTIONS_GO_ON)
        return code;
    if (!c.recipient_count && t->target_count) {
        c.recipients = t->targets;
        c.recipient_count = 1;
    }
    const char *wrong = compose_message(d->arena, &c, &d->want.content);
    return wrong ? options_misuse(d->options, "--header takes \"Name: value\", not %s", wrong)
                 : OPTIONS_GO_ON;
}

/* Every target must say whom the message is for, or --to does. */
static bool has_recipient(const struct typed *t) {
    bool all = t->target_count > 0;
    for (size_t i = 0; i < t->target_count; i++)
        all &= bytes_find(t->targets[i], '@') >= 0;
    return t->to_count > 0 || all;
}

static int take_message(struct doctor *d) {
    const struct typed *t = &d->typed;
    d->want.send = t->send;
    if (!t->send) {
        if (t->header_count || t->body.len || t->attach_count || t->data.len)
            return options_misuse(d->options, "a message is only sent with --send");
        return OPTIONS_GO_ON;
    }
    if (d->want.until != STEP_NONE)
        return options_misuse(d->options, "--send and --quit-after exclude each other");
    if (!has_recipient(t))
        return options_misuse(d->options, "--send needs somebody to send to: --to ADDRESS");
    if (!t->data.len)
        return compose(d);
    if (bytes_equal(t->data, B("-")))
        return read_stdin(d, &d->want.content);
    return read_file(d, t->data.at[0] == '@' ? bytes_skip(t->data, 1) : t->data, &d->want.content);
}

/* --- all of it ------------------------------------------------------------------------------------------------------ */

static struct bytes own_name(struct arena *a) {
    char name[256] = "";
    struct bytes hosts = BYTES_NONE;
    gethostname(name, sizeof name - 1);
    (void)files_read(B("/etc/hosts"), FILE_MAX, a, &hosts, NULL);
    struct bytes full = arena_copy(a, config_find_fqdn(bytes_str(name), hosts));
    return bytes_find(full, '.') > 0 ? full : BYTES_NONE; /* else the address's literal */
}

static int take_simple(struct doctor *d) {
    const struct typed *t = &d->typed;
    struct examine_want *w = &d->want;
    w->server = t->server;
    w->path = t->socket;
    w->as_domain = t->mx || t->all_mx;
    w->all_mx = t->all_mx;
    w->helo = t->helo.len ? t->helo : own_name(d->arena);
    w->tls_name = t->tls_name;
    w->xclient = t->xclient;
    w->lmtp = t->lmtp;
    w->pipeline = t->pipeline;
    w->no_probes = t->no_probes;
    w->no_tls_look = t->no_tls_look;
    w->timeout_ms = TIMEOUT_MS;
    w->total_ms = TOTAL_MS;
    if (t->port.len && !take_port(t->port, &w->port))
        return options_misuse(d->options, "--port takes a number from 1 to 65535, not %.*s",
                              BYTES_FMT(t->port));
    if ((t->timeout.len && !options_time(t->timeout, &w->timeout_ms)) ||
        (t->time.len && !options_time(t->time, &w->total_ms)))
        return options_misuse(d->options,
                              "--timeout and --time take a duration such as 30s or 5min");
    if (!t->target_count && !t->server.len && !t->socket.len)
        return options_misuse(d->options,
                              "say what to look at: a host, an address, or whom you write to");
    return OPTIONS_GO_ON;
}

static int take_targets(struct doctor *d) {
    const struct typed *t = &d->typed;
    const char *wrong = t->server.len ? examine_wrong_target(t->server, d->arena) : NULL;
    if (wrong)
        return options_misuse(d->options, "--server %.*s: %s", BYTES_FMT(t->server), wrong);
    for (size_t i = 0; i < t->target_count; i++)
        if ((wrong = examine_wrong_target(t->targets[i], d->arena)))
            return options_misuse(d->options, "%.*s: %s", BYTES_FMT(t->targets[i]), wrong);
    return OPTIONS_GO_ON;
}

static int take_all(struct doctor *d) {
    static int (*const takers[])(struct doctor * d) = {
        take_simple, take_targets, take_ports, take_tls,   take_until,   take_recipients,
        take_sender, take_source,  take_proxy, take_login, take_message,
    };
    int code = OPTIONS_GO_ON;
    for (size_t i = 0; i < COUNT_OF(takers) && code == OPTIONS_GO_ON; i++)
        code = takers[i](d);
    if (code == OPTIONS_GO_ON)
        code = take_mailbox(d, "--foreign", d->typed.foreign, &d->want.foreign);
    if (code == OPTIONS_GO_ON)
        code = take_mailbox(d, "--hosted", d->typed.hosted, &d->want.hosted);
    return code;
}

static void show_line(void *ctx, const struct transcript_line *line) {
    FILE *to = ctx;
    char text[4 * TRANSCRIPT_TEXT];
    struct buf b = buf_fixed(text, sizeof text);
    transcript_line_text(line, &b);
    fprintf(to, "%6.2f %s\n", (double)line->ms / 1000, buf_text(&b));
    fflush(to);
}

/* With --json the screen still shows that something happens. */
static void show_progress(void *ctx, const struct transcript_line *line) {
    if (line->mark == MARK_NOTE || line->mark == MARK_FAULT)
        show_line(ctx, line);
}

static size_t screen_width(void) {
    struct winsize size;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        return size.ws_col < 120 ? size.ws_col : 120;
    return 80;
}

static int look_at(struct doctor *d, struct dns *dns, struct bytes target) {
    struct arena *a = arena_open();
    struct examined x;
    struct buf out = buf_grow(OUTPUT_MAX);
    const struct typed *t = &d->typed;
    examined_open(&x, a);
    if (!t->json && !t->quiet) {
        x.transcript.on_line = show_line;
        x.transcript.ctx = stdout;
    } else if (!t->quiet && isatty(STDERR_FILENO)) {
        x.transcript.on_line = show_progress;
        x.transcript.ctx = stderr;
    }
    d->want.target = target;
    examine(d->loop, dns, &d->want, &x);
    if (t->json)
        render_json(&x, &out);
    else
        render_text(&x, &out, t->verbose, screen_width());
    printf("%s%s%s", t->json || t->quiet ? "" : "\n", buf_text(&out), t->json ? "\n" : "");
    fflush(stdout);
    int code = x.verdict.exit;
    buf_free(&out);
    arena_close(&a);
    return code;
}

static int look_at_all(struct doctor *d) {
    struct lookup lookup;
    struct why why;
    int worst = 0;
    enum rc rc = lookup_open_at(d->typed.dns, d->loop, d->arena, &lookup, &why);
    if (rc != OK)
        fprintf(stderr, "postern doctor: %s\n", why.text);
    if (rc == PERM) {
        lookup_close(&lookup);
        return EX_USAGE;
    }
    if (!d->typed.target_count)
        worst = look_at(d, lookup.dns, BYTES_NONE);
    for (size_t i = 0; i < d->typed.target_count; i++) {
        int code = look_at(d, lookup.dns, d->typed.targets[i]);
        worst = worst ? worst : code;
    }
    lookup_close(&lookup);
    return worst;
}

static int run(struct doctor *d) {
    struct why why;
    int code = take_all(d);
    if (code != OPTIONS_GO_ON)
        return code;
    if (tls_client_open(d->typed.ca, &d->want.tls_client, &why) != OK) {
        fprintf(stderr, "postern doctor: %s\n", why.text);
        if (d->typed.ca.len)
            return EX_NOINPUT;
    }
    if (d->typed.ca.len)
        (void)files_read(d->typed.ca, FILE_MAX, d->arena, &d->want.ca_pem, NULL);
    signal(SIGPIPE, SIG_IGN);
    code = look_at_all(d);
    tls_client_close(&d->want.tls_client);
    return code;
}

#define TEXT(n, v, h, field)                                                                       \
    { .name = n, .value = v, .help = h, .text = &t->field }
#define FLAG(n, h, field)                                                                          \
    { .name = n, .help = h, .flag = &t->field }
#define EACH(n, v, h, field, counter)                                                              \
    { .name = n, .value = v, .help = h, .list = t->field, .count = &t->counter, .max = LIST_MAX }

int cmd_doctor(int argc, char **argv) {
    struct doctor d = { .arena = arena_open(), .loop = loop_open() };
    struct typed *t = &d.typed;
    const struct option_row rows[] = {
        TEXT("--server", "HOST[:PORT]", "look at this host, not at what the MX says", server),
        TEXT("-s", "HOST[:PORT]", "--server", server),
        TEXT("--port", "PORT", "25 if not given; with --user 587, 465 or 25, whichever is open",
             port),
        TEXT("-p", "PORT", "--port", port),
        TEXT("--ports", "LIST",
             "other ports to look at (25,587,465,2525 when none is named), or none", ports),
        TEXT("--socket", "PATH", "a unix socket instead of a host", socket),
        FLAG("--mx", "the name is a domain: look at its MX hosts", mx),
        FLAG("--all-mx", "have the conversation with each of them, and look at their ports",
             all_mx),
        FLAG("-4", "IPv4 only", four),
        FLAG("-6", "IPv6 only", six),
        TEXT("--source", "ADDRESS", "connect from this address of this computer", source),
        TEXT("--local-interface", "ADDRESS", "--source", source),
        TEXT("-li", "ADDRESS", "--source", source),
        TEXT("--helo", "NAME", "say this at EHLO (this computer's name, or its address)", helo),
        TEXT("--ehlo", "NAME", "--helo", helo),
        TEXT("--from", "ADDRESS",
             "the sender; <> for none (the user, or postmaster of this computer)", from),
        TEXT("-f", "ADDRESS", "--from", from),
        EACH("--to", "ADDRESS", "a recipient; may be given again, or with commas", to, to_count),
        EACH("-t", "ADDRESS", "--to", to, to_count),
        TEXT("--tls", "MODE",
             "off, try, require, or verify; if not given: try, and judge the certificate", tls),
        FLAG("-tls", "--tls require", tls_required),
        FLAG("--tls-on-connect", "TLS from the first octet, as on port 465", tls_on_connect),
        FLAG("-tlsc", "--tls-on-connect", tls_on_connect),
        TEXT("--tls-name", "NAME", "the name that the certificate must carry", tls_name),
        TEXT("--ca", "FILE", "roots to trust, PEM (the system's)", ca),
        TEXT("--user", "USER", "log in as this user", user),
        TEXT("-au", "USER", "--user", user),
        TEXT("--auth-user", "USER", "--user", user),
        TEXT("--auth", "MECHANISM",
             "only this way to log in; else each that is offered, the best first", auth),
        TEXT("-a", "MECHANISM", "--auth", auth),
        FLAG("--password-stdin", "read the password from the first line of standard input",
             password_stdin),
        TEXT("--password-file", "FILE", "from the first line of a file", password_file),
        TEXT("--password-env", "NAME", "from a variable of the environment", password_env),
        TEXT("--token-file", "FILE", "an OAuth 2.0 access token instead", token_file),
        TEXT("-ap", "PASSWORD", "refused: all can read it; leave it out to be asked",
             argv_password),
        FLAG("--allow-plain", "send the password though the connection is not safe", allow_plain),
        FLAG("--send", "send one message, for real; without it nothing is ever sent", send),
        EACH("--header", "LINE", "with --send: a header, \"Subject: test\"", headers, header_count),
        TEXT("--body", "TEXT", "with --send: the text; @FILE, or - for standard input", body),
        EACH("--attach", "FILE", "with --send: attach this file", attach, attach_count),
        TEXT("--data", "FILE", "with --send: the whole message, as it is; - for standard input",
             data),
        TEXT("--quit-after", "STEP", "connect, banner, ehlo, starttls, auth, mail or rcpt", until),
        TEXT("-q", "STEP", "--quit-after", until),
        FLAG("--pipeline", "send MAIL and RCPT in one go where the server lets", pipeline),
        TEXT("--xclient", "ATTRIBUTES",
             "be taken for another client: \"ADDR=192.0.2.1 NAME=host.example\"", xclient),
        TEXT("--proxy-protocol", "CLIENT[,SERVER]",
             "begin with a PROXY header, as a load balancer would", proxy),
        FLAG("--lmtp", "speak LMTP", lmtp),
        FLAG("--no-probes", "one conversation only: none besides to tell causes apart", no_probes),
        TEXT("--foreign", "ADDRESS",
             "a recipient that the server does not host (for those conversations)", foreign),
        TEXT("--hosted", "ADDRESS", "a recipient that it does host", hosted),
        FLAG("--no-tls-look", "leave out the conversations that look at TLS", no_tls_look),
        TEXT("--timeout", "TIME", "for each step (30s)", timeout),
        TEXT("--time", "TIME", "for all of it (3min)", time),
        TEXT("--dns", "SERVER", LOOKUP_DNS_HELP, dns),
        FLAG("--json", "one JSON object a target", json),
        FLAG("--verbose", "show all findings, those of what is well too", verbose),
        FLAG("-v", "--verbose", verbose),
        FLAG("--quiet", "show no transcript", quiet),
    };
    const struct options o = {
        .command = "doctor",
        .arguments = "HOST[:PORT] | ADDRESS | DOMAIN ...",
        .sentence =
            "talks to a mail server: which step was refused, why, whose move it is, what to do",
        .rows = rows,
        .row_count = COUNT_OF(rows),
        .args = t->targets,
        .args_max = TARGETS_MAX,
        .arg_count = &t->target_count,
    };
    d.options = &o;
    int code = options_parse(&o, argc, argv);
    if (code == OPTIONS_GO_ON)
        code = run(&d);
    loop_close(&d.loop);
    arena_close(&d.arena);
    return code;
}
