/* Tests of src/smtp/server.c and server_command.c: scripts of a client against a driver that notes
 * what it is asked. Every script runs whole and cut into pieces of many sizes, answered at once and
 * later, with content held and not: all must come to the same replies and the same questions. */
#include "smtp/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum pending { NOTHING, HELO, MAIL, RCPT, DATA, END, AUTH, STARTTLS, XCLIENT };

struct world {
    struct arena *arena;
    struct smtp_server *server;
    struct buf out;   /* replies */
    struct buf trace; /* questions */
    struct buf content;
    bool later, hold; /* how to answer */
    bool held;
    enum pending pending;
    char local[64]; /* of the address that was asked for */
    char sender[64];
    char mechanism[32];
    struct buf response;
    bool need_tls;
    unsigned abort_at; /* errors */
    bool closed, securing;
};

static void note(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct world *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    buf_vprintf(&w->trace, format, args);
    va_end(args);
    buf_char(&w->trace, ' ');
}

static void refuse(struct world *w, int code, const char *status) {
    struct why why;
    why_set(&why, code < 500 ? TEMP : PERM, code, status, "test.reason", "Because of the test");
    smtp_server_answer(w->server, code < 500 ? TEMP : PERM, &why);
}

/* What to do with an address is said in its local part. */
static bool refused_by_name(struct world *w, const char *local) {
    if (strcmp(local, "refuse") == 0)
        refuse(w, 550, "5.7.1");
    else if (strcmp(local, "later") == 0)
        refuse(w, 451, "4.3.0");
    else if (strcmp(local, "closing") == 0)
        refuse(w, 421, "4.3.2");
    else if (strcmp(local, "nowhy") == 0)
        smtp_server_answer(w->server, TEMP, NULL);
    else
        return false;
    return true;
}

static void answer_auth(struct world *w) {
    if (bytes_equal(buf_bytes(&w->response), B("good")))
        smtp_server_answer(w->server, OK, NULL);
    else if (strcmp(w->mechanism, "CHALLENGE") == 0 && w->response.len == 0)
        smtp_server_challenge(w->server, B("who?"));
    else
        refuse(w, 535, "5.7.8");
}

static void answer_end(struct world *w) {
    struct why why;
    why_set(&why, OK, 250, "2.0.0", "", "Queued");
    if (bytes_search(buf_bytes(&w->content), B("REJECT")) >= 0)
        refuse(w, 554, "5.6.0");
    else
        smtp_server_answer(w->server, OK, &why);
}

static void answer(struct world *w) {
    enum pending pending = w->pending;
    w->pending = NOTHING;
    if ((pending == MAIL || pending == RCPT || pending == HELO) && refused_by_name(w, w->local))
        return;
    if (pending == DATA && strcmp(w->sender, "nodata") == 0)
        refuse(w, 452, "4.3.1");
    else if (pending == AUTH)
        answer_auth(w);
    else if (pending == END)
        answer_end(w);
    else
        smtp_server_answer(w->server, OK, NULL);
}

static void ask(struct world *w, enum pending pending) {
    assert_int_equal(w->pending, NOTHING);
    assert_false(w->closed);
    w->pending = pending;
    if (!w->later)
        answer(w);
}

static void set_text(char *to, size_t size, struct bytes text) {
    struct buf b = buf_fixed(to, size);
    buf_add(&b, text);
    buf_text(&b);
}

static bool on_gate(void *ctx, enum smtp_verb verb, struct why *why) {
    struct world *w = ctx;
    bool allowed =
        verb == SMTP_EHLO || verb == SMTP_HELO || verb == SMTP_NOOP || verb == SMTP_STARTTLS;
    assert_true(verb != SMTP_QUIT);
    if (!w->need_tls || allowed)
        return true;
    why_set(why, PERM, 530, "5.7.0", "tls.required", "Must issue a STARTTLS command first");
    return false;
}
static void on_helo(void *ctx, bool extended, struct bytes name) {
    struct world *w = ctx;
    note(w, "%s(%.*s)", extended ? "ehlo" : "helo", BYTES_FMT(name));
    set_text(w->local, sizeof w->local, name);
    ask(w, HELO);
}
static void on_mail(void *ctx, const struct smtp_mail *mail) {
    struct world *w = ctx;
    note(w, "mail(%.*s)", BYTES_FMT(mail->from.mailbox));
    set_text(w->local, sizeof w->local, mail->from.local);
    set_text(w->sender, sizeof w->sender, mail->from.local);
    ask(w, MAIL);
}
static void on_rcpt(void *ctx, const struct smtp_rcpt *rcpt) {
    struct world *w = ctx;
    note(w, "rcpt(%.*s)", BYTES_FMT(rcpt->to.mailbox));
    set_text(w->local, sizeof w->local, rcpt->to.local);
    ask(w, RCPT);
}
static void on_data(void *ctx) {
    note(ctx, "data");
    ask(ctx, DATA);
}
static void on_content(void *ctx, struct bytes content) {
    struct world *w = ctx;
    assert_true(content.len > 0);
    buf_add(&w->content, content);
    if (w->hold) {
        w->held = true;
        smtp_server_hold_content(w->server, true);
    }
}
static void on_content_end(void *ctx, bool bare) {
    struct world *w = ctx;
    note(w, "end(%zu%s)", w->content.len, bare ? " bare" : "");
    ask(w, END);
}
static void on_auth(void *ctx, struct bytes mechanism, bool has_initial, struct bytes initial) {
    struct world *w = ctx;
    note(w, "auth(%.*s%s%.*s)", BYTES_FMT(mechanism), has_initial ? " " : "", BYTES_FMT(initial));
    set_text(w->mechanism, sizeof w->mechanism, mechanism);
    buf_clear(&w->response);
    buf_add(&w->response, initial);
    ask(w, AUTH);
}
static void on_auth_response(void *ctx, struct bytes response) {
    struct world *w = ctx;
    note(w, "response(%.*s)", BYTES_FMT(response));
    buf_clear(&w->response);
    buf_add(&w->response, response.len ? response : B("none"));
    ask(w, AUTH);
}
static void on_auth_cancel(void *ctx) {
    note(ctx, "cancel");
}
static void on_starttls(void *ctx) {
    note(ctx, "starttls");
    ask(ctx, STARTTLS);
}
static void on_secure(void *ctx) {
    struct world *w = ctx;
    assert_int_equal(smtp_server_output(w->server)->len, 0);
    note(w, "secure");
    w->securing = true;
}
static void on_xclient(void *ctx, const struct smtp_command *command) {
    note(ctx, "xclient(%.*s)", BYTES_FMT(command->xclient.addr));
    ask(ctx, XCLIENT);
}
static void on_reset(void *ctx) {
    struct world *w = ctx;
    note(w, "reset");
    buf_clear(&w->content);
}
static void on_flush(void *ctx) {
    struct world *w = ctx;
    struct buf *out = smtp_server_output(w->server);
    assert_true(out->len > 0);
    buf_add(&w->out, buf_bytes(out));
    buf_clear(out);
}
static void on_quit(void *ctx) {
    struct world *w = ctx;
    assert_false(w->closed);
    assert_int_equal(smtp_server_output(w->server)->len, 0);
    note(w, "quit");
    w->closed = true;
}
static void on_refused(void *ctx, const struct why *why) {
    struct world *w = ctx;
    note(w, "refused(%s)", why->reason);
    if (w->abort_at && smtp_server_errors(w->server) == w->abort_at) {
        struct why many;
        why_set(&many, TEMP, 421, "4.7.0", "limit.errors", "Too many");
        smtp_server_abort(w->server, &many);
    }
}

static const struct smtp_server_driver driver = {
    .gate = on_gate,
    .helo = on_helo,
    .mail = on_mail,
    .rcpt = on_rcpt,
    .data = on_data,
    .content = on_content,
    .content_end = on_content_end,
    .auth = on_auth,
    .auth_response = on_auth_response,
    .auth_cancel = on_auth_cancel,
    .starttls = on_starttls,
    .secure = on_secure,
    .xclient = on_xclient,
    .reset = on_reset,
    .flush = on_flush,
    .quit = on_quit,
    .refused = on_refused,
};

static void world_open(struct world *w) {
    w->arena = arena_open();
    w->out = buf_grow(1 << 24);
    w->trace = buf_grow(1 << 24);
    w->content = buf_grow(1 << 26);
    w->response = buf_grow(1 << 20);
    w->server = smtp_server_open(w->arena, &driver, w, B("mx.test"), B("S1"));
    struct smtp_offer *offer = smtp_server_offer(w->server);
    offer->size = 100000;
    offer->starttls = true;
    offer->auth = B("PLAIN CHALLENGE");
    offer->xclient = B("ADDR");
    offer->rcpt_max = 7;
}

static void world_close(struct world *w) {
    smtp_server_close(w->server);
    arena_close(&w->arena);
    buf_free(&w->out);
    buf_free(&w->trace);
    buf_free(&w->content);
    buf_free(&w->response);
}

/* Answers what is open, until nothing is. */
static void settle(struct world *w) {
    while (w->pending != NOTHING || w->held) {
        if (w->held) {
            w->held = false;
            smtp_server_hold_content(w->server, false);
        } else {
            answer(w);
        }
    }
}

static void feed(struct world *w, struct bytes data, size_t step) {
    while (data.len && !w->closed) {
        struct bytes piece = bytes_first(data, step);
        char *copy = malloc(piece.len); /* of its own, so that no view of it outlives the call */
        memcpy(copy, piece.at, piece.len);
        smtp_server_input(w->server, bytes_of(copy, piece.len));
        free(copy);
        settle(w);
        data = bytes_skip(data, step);
    }
}

/* "250 2.1.0 Sender ok" -> "250/2.1.0"; lines that are not the last of a reply are left out. Checks
 * the form of every line, and the session id at the end of every refusal. */
static void codes_of(struct bytes out, struct buf *to) {
    while (out.len) {
        ptrdiff_t lf = bytes_find(out, '\n');
        assert_true(lf > 3 && lf <= 511 && out.at[lf - 1] == '\r');
        struct bytes line = bytes_first(out, (size_t)lf - 1), word, rest = bytes_skip(line, 4);
        assert_true(bytes_find(line, '\r') < 0);
        out = bytes_skip(out, (size_t)lf + 1);
        if (line.at[3] == '-')
            continue;
        ptrdiff_t tail = bytes_find_last(line, '[');
        if (line.at[0] >= '4' && (!bytes_ends_nocase(line, B(" S1]")) || tail < 0 ||
                                  bytes_find(bytes_skip(line, (size_t)tail), '.') < 0))
            fail_msg("no reason and session id: %.*s", BYTES_FMT(line));
        if (to->len)
            buf_char(to, ' ');
        buf_add(to, bytes_first(line, 3));
        struct status status;
        bytes_split(&rest, ' ', &word);
        if (status_parse(word, &status)) {
            buf_char(to, '/');
            buf_add(to, word);
        }
    }
}

struct script {
    struct bytes input;
    const char *codes;
    const char *trace; /* NULL: whatever */
    unsigned abort_at;
    bool need_tls, fix;
};

static void run_script(const struct script *s, size_t step, bool later, bool hold) {
    struct world w = { .later = later, .hold = hold };
    world_open(&w);
    w.abort_at = s->abort_at;
    w.need_tls = s->need_tls;
    smtp_server_offer(w.server)->bare_newline_fix = s->fix;
    smtp_server_begin(w.server, NULL);
    feed(&w, s->input, step);
    struct buf codes = buf_grow(1 << 20);
    codes_of(buf_bytes(&w.out), &codes);
    assert_string_equal(buf_text(&codes), s->codes);
    if (s->trace) {
        buf_cut(&w.trace, w.trace.len ? w.trace.len - 1 : 0);
        assert_string_equal(buf_text(&w.trace), s->trace);
    }
    buf_free(&codes);
    world_close(&w);
}

static void check(const struct script *s) {
    static const size_t steps[] = { 1000000, 1, 2, 3, 5, 7, 64, 1000, 4096 };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (int mode = 0; mode < 4; mode++)
            run_script(s, steps[i], mode & 1, mode & 2);
}

#define SCRIPT(text, ...) check(&(struct script){ .input = B(text), __VA_ARGS__ })
#define EHLO_LINE         "EHLO c.test\r\n"
#define MAIL_LINE         "MAIL FROM:<a@c.test>\r\n"
#define RCPT_LINE         "RCPT TO:<b@d.test>\r\n"
#define OPENED            EHLO_LINE MAIL_LINE RCPT_LINE
#define OPENED_CODES      "220 250 250/2.1.0 250/2.1.5"
#define OPENED_TRACE      "ehlo(c.test) mail(a@c.test) rcpt(b@d.test)"

static void test_transaction(void **state) {
    (void)state;
    SCRIPT(OPENED "DATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n",
           OPENED_CODES " 354 250/2.0.0 221/2.0.0", OPENED_TRACE " data end(20) reset quit");
    SCRIPT("HELO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\n.\r\n",
           "220 250 250/2.1.0 250/2.1.5 354 250/2.0.0",
           "helo(c.test) mail() rcpt(postmaster) data end(0) reset");
    SCRIPT(OPENED "DATA\r\nREJECT\r\n.\r\n" MAIL_LINE, OPENED_CODES " 354 554/5.6.0 250/2.1.0",
           OPENED_TRACE " data end(8) refused(test.reason) reset mail(a@c.test)");
    SCRIPT(OPENED "RCPT TO:<refuse@d>\r\nRCPT TO:<later@d>\r\nRCPT TO:<nowhy@d>\r\nDATA\r\n.\r\n",
           OPENED_CODES " 550/5.7.1 451/4.3.0 451/4.3.0 354 250/2.0.0");
    SCRIPT(OPENED "RCPT TO:<closing@d>\r\nNOOP\r\n", OPENED_CODES " 421/4.3.2",
           OPENED_TRACE " rcpt(closing@d) refused(test.reason) reset quit");
    SCRIPT(EHLO_LINE "MAIL FROM:<nodata@c>\r\n" RCPT_LINE "DATA\r\n" MAIL_LINE,
           "220 250 250/2.1.0 250/2.1.5 452/4.3.1 250/2.1.0");
    SCRIPT(EHLO_LINE "MAIL FROM:<refuse@c>\r\n" RCPT_LINE, "220 250 550/5.7.1 503/5.5.1");
    SCRIPT("EHLO refuse\r\n" MAIL_LINE, "220 550/5.7.1 503/5.5.1");
    SCRIPT(OPENED "QUIT\r\nNOOP\r\n", OPENED_CODES " 221/2.0.0", OPENED_TRACE " reset quit");
}

static void test_order(void **state) {
    (void)state;
    SCRIPT(MAIL_LINE RCPT_LINE "DATA\r\n", "220 503/5.5.1 503/5.5.1 503/5.5.1",
           "refused(syntax.sequence) refused(syntax.sequence) refused(syntax.sequence)");
    SCRIPT(EHLO_LINE RCPT_LINE MAIL_LINE MAIL_LINE "DATA\r\n",
           "220 250 503/5.5.1 250/2.1.0 503/5.5.1 503/5.5.1");
    SCRIPT(EHLO_LINE MAIL_LINE "RCPT TO:<refuse@d>\r\nDATA\r\nBDAT 3 LAST\r\nabc",
           "220 250 250/2.1.0 550/5.7.1 554/5.5.1 554/5.5.1");
    SCRIPT(OPENED "RSET\r\nDATA\r\n" MAIL_LINE EHLO_LINE RCPT_LINE,
           OPENED_CODES " 250/2.0.0 503/5.5.1 250/2.1.0 250 503/5.5.1",
           OPENED_TRACE " reset refused(syntax.sequence) mail(a@c.test) ehlo(c.test) reset "
                        "refused(syntax.sequence)");
    SCRIPT("HELO c\r\nAUTH PLAIN\r\nSTARTTLS\r\n", "220 250 503/5.5.1 503/5.5.1");
    SCRIPT(OPENED "AUTH PLAIN Z29vZA==\r\nXCLIENT ADDR=192.0.2.1\r\n",
           OPENED_CODES " 503/5.5.1 503/5.5.1");
    SCRIPT("NOOP\r\nNOOP x\r\nRSET\r\nHELP\r\nVRFY a\r\nEXPN a\r\nETRN a\r\nQUIT\r\n",
           "220 250/2.0.0 250/2.0.0 250/2.0.0 214/2.0.0 252/2.5.2 502/5.5.1 502/5.5.1 221/2.0.0");
}

static void test_syntax(void **state) {
    (void)state;
    SCRIPT("FOO\r\nMAIL\r\n" EHLO_LINE "MAIL FROM:<a@b> X=1\r\nMAIL FROM:<a>\r\n\r\n",
           "220 500/5.5.1 501/5.5.4 250 555/5.5.4 501/5.1.7 500/5.5.1",
           "refused(syntax.command) refused(syntax.argument) ehlo(c.test) "
           "refused(syntax.parameter) refused(syntax.address) refused(syntax.command)");
    SCRIPT(EHLO_LINE "MAIL FROM:<a@b> BODY=BINARYMIME\r\n", "220 250 555/5.5.4");
    SCRIPT(EHLO_LINE "MAIL FROM:<\xc3\xa4@b>\r\nMAIL FROM:<\xc3\xa4@b> SMTPUTF8\r\n"
                     "RCPT TO:<\xc3\xa4@b>\r\nRSET\r\n" MAIL_LINE "RCPT TO:<\xc3\xa4@b>\r\n",
           "220 250 550/5.6.7 250/2.1.0 250/2.1.5 250/2.0.0 250/2.1.0 553/5.6.7");
    SCRIPT("GET / HTTP/1.1\r\nHost: x\r\n\r\nMAIL\r\n", "220 421/4.7.0",
           "refused(syntax.command) quit");
    SCRIPT(EHLO_LINE "MAIL FROM:<refuse@c>\r\nNOOP\r\n", "220 250 550/5.7.1 421/4.7.0",
           "ehlo(c.test) mail(refuse@c) refused(test.reason) quit", 1);
    SCRIPT("FOO\r\nFOO\r\nFOO\r\nNOOP\r\n", "220 500/5.5.1 500/5.5.1 421/4.7.0", NULL, 2);
}

/* A line with something bare in it is refused as soon as that is seen, and passed over to its
 * CRLF: nothing in it is a command. */
static void test_lines(void **state) {
    (void)state;
    static const struct bytes lines[] = {
        B("NOOP\nNOOP\nNOOP\r\n"),
        B("NOOP\rNOOP\r\n"),
        B("NOOP\r\r\n"),
        B("NOOP\0\r\n"),
        B("\nNOOP\r\n"),
        B("\n\r\n"),
        B("\r\r\n"),
        B("NOOP\n\r\n"),
        B("\0\r\n"),
        B("NOOP\rNOOP\n\r\n"),
        B("N\0\r\0\n\r\n"),
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char memory[100];
        struct buf b = buf_fixed(memory, sizeof memory);
        buf_add(&b, lines[i]);
        buf_str(&b, "NOOP\r\n");
        check(&(struct script){ .input = buf_bytes(&b),
                                .codes = "220 500/5.5.2 250/2.0.0",
                                .trace = "refused(syntax.line)" });
    }
    SCRIPT("NOOP\nNOOP\n", "220 500/5.5.2", "refused(syntax.line)"); /* at once */
}

static void fill(struct buf *b, const char *head, size_t n, const char *tail) {
    buf_clear(b);
    buf_str(b, head);
    for (size_t i = 0; i < n; i++)
        buf_char(b, 'a');
    buf_str(b, tail);
}

static void test_long_lines(void **state) {
    (void)state;
    struct buf b = buf_grow(1 << 20);
    static const size_t steps[] = { 1000000, 1000, 4097, 1 };
    struct script s = { .codes = "220 250/2.0.0 250/2.0.0", .trace = "" };
    struct script long_line = { .codes = "220 500/5.5.6 250/2.0.0",
                                .trace = "refused(syntax.line)" };
    for (size_t i = 0; i < 4; i++) {
        fill(&b, "NOOP ", 4091, "\r\nNOOP\r\n");
        s.input = buf_bytes(&b);
        run_script(&s, steps[i], false, false);
        fill(&b, "NOOP ", 4092, "\r\nNOOP\r\n");
        long_line.input = buf_bytes(&b);
        run_script(&long_line, steps[i], false, false);
        fill(&b, "NOOP ", 4093, "\nNOOP\r\nNOOP\r\n"); /* bare, but beyond the limit */
        long_line.input = buf_bytes(&b);
        run_script(&long_line, steps[i], false, false);
        if (steps[i] == 1)
            continue;
        fill(&b, EHLO_LINE "AUTH PLAIN ", 12276, "\r\nNOOP\r\n");
        struct script auth = { .input = buf_bytes(&b), .codes = "220 250 535/5.7.8 250/2.0.0" };
        run_script(&auth, steps[i], false, false);
        fill(&b, EHLO_LINE "AUTH PLAIN ", 12278, "\r\nNOOP\r\n");
        auth = (struct script){ .input = buf_bytes(&b), .codes = "220 250 500/5.5.6 250/2.0.0" };
        run_script(&auth, steps[i], false, false);
        fill(&b, "NOOP ", 300000, "\r\nNOOP\r\n");
        struct script endless = { .input = buf_bytes(&b), .codes = "220 500/5.5.6 421/4.7.0" };
        run_script(&endless, steps[i], false, false);
    }
    buf_free(&b);
}

/* Nothing but CRLF . CRLF ends data, so nothing of what follows is a command. */
static void test_smuggling(void **state) {
    (void)state;
    static const struct bytes ends[] = {
        B("\n.\n"),      B("\n.\r\n"),    B("\r\n.\n"),     B("\r.\r"),         B("\r\n.\r"),
        B("\r.\r\n"),    B("\r.\n"),      B("\n.\r"),       B("\r\n\0.\r\n"),   B("\r\n.\0\r\n"),
        B("\n\n.\r\n"),  B("\r\r.\r\n"),  B("\r\n.\r\0\n"), B("\r\n.\r\r\n"),   B("\r\n..\r\n"),
        B("\n.\n\r\n"),  B("\r\n.\n\n"),  B("\r\n\r.\r\n"), B("\r\0\n.\r\0\n"), B("\x85.\x85"),
        B("\r\n .\r\n"), B("\r\n. \r\n"),
    };
    struct buf b = buf_grow(1 << 12);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        for (int fix = 0; fix < 2; fix++) {
            buf_clear(&b);
            buf_str(&b, OPENED "DATA\r\nx");
            buf_add(&b, ends[i]);
            buf_str(&b, "MAIL FROM:<evil@c.test>\r\nRCPT TO:<b@d.test>\r\nDATA\r\nx\r\n.\r\n");
            check(&(struct script){
                .input = buf_bytes(&b), .codes = OPENED_CODES " 354 250/2.0.0", .fix = fix });
            /* The same as a chunk: the size alone says where it ends. */
            buf_clear(&b);
            buf_str(&b, OPENED);
            buf_printf(&b, "BDAT %zu LAST\r\n", ends[i].len + 40);
            buf_add(&b, ends[i]);
            buf_str(&b, "MAIL FROM:<evil@c.test>\r\nRSET\r\n.\r\nRSET\r\n");
            check(&(struct script){
                .input = buf_bytes(&b), .codes = OPENED_CODES " 250/2.0.0", .fix = fix });
        }
    }
    buf_free(&b);
    SCRIPT(OPENED "DATA\r\na\nb\r\n.\r\n", OPENED_CODES " 354 250/2.0.0",
           OPENED_TRACE " data end(5 bare) reset");
    SCRIPT(OPENED "DATA\r\na\nb\r\n.\r\n", OPENED_CODES " 354 250/2.0.0",
           OPENED_TRACE " data end(6 bare) reset", .fix = true);
}

static void test_bdat(void **state) {
    (void)state;
    SCRIPT(OPENED "BDAT 4\r\n.\r\nxBDAT 0\r\nBDAT 3 LAST\r\nabcNOOP\r\n",
           OPENED_CODES " 250/2.0.0 250/2.0.0 250/2.0.0 250/2.0.0",
           OPENED_TRACE " data end(7) reset");
    SCRIPT(OPENED "BDAT 0 LAST\r\n", OPENED_CODES " 250/2.0.0", OPENED_TRACE " data end(0) reset");
    SCRIPT(OPENED "BDAT 2\r\na\rBDAT 1 LAST\r\n\n", OPENED_CODES " 250/2.0.0 250/2.0.0",
           OPENED_TRACE " data end(3) reset");
    SCRIPT(OPENED "BDAT 2 LAST\r\na\r", OPENED_CODES " 250/2.0.0",
           OPENED_TRACE " data end(2 bare) reset");
    SCRIPT(OPENED "BDAT 2 LAST\r\na\r", OPENED_CODES " 250/2.0.0",
           OPENED_TRACE " data end(3 bare) reset", .fix = true);
    /* Mixed with other commands. */
    SCRIPT(OPENED "BDAT 1\r\naDATA\r\n" RCPT_LINE MAIL_LINE
                  "NOOP\r\nRSET\r\nBDAT 6 LAST\r\nQUIT\r\n",
           OPENED_CODES " 250/2.0.0 503/5.5.1 503/5.5.1 503/5.5.1 250/2.0.0 250/2.0.0 503/5.5.1",
           NULL);
    /* Refused: swallowed, and each answered. */
    SCRIPT("BDAT 6\r\nQUIT\r\n" EHLO_LINE "BDAT 0\r\n" MAIL_LINE "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
           "220 503/5.5.1 250 503/5.5.1 250/2.1.0 503/5.5.1 250/2.0.0");
    SCRIPT(EHLO_LINE "MAIL FROM:<nodata@c>\r\n" RCPT_LINE
                     "BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
           "220 250 250/2.1.0 250/2.1.5 452/4.3.1 503/5.5.1 250/2.0.0",
           "ehlo(c.test) mail(nodata@c) rcpt(b@d.test) data refused(test.reason) reset "
           "refused(syntax.sequence)");
    SCRIPT("BDAT 6\r\nQUIT\r\nNOOP\r\n", "220 530/5.7.0 250/2.0.0", NULL, .need_tls = true);
    /* Where it ends is not known. */
    SCRIPT(OPENED "BDAT x\r\nQUIT\r\n", OPENED_CODES " 501/5.5.4",
           OPENED_TRACE " refused(syntax.argument) reset quit");
    SCRIPT(OPENED "BDAT 99999999999\r\nQUIT\r\n", OPENED_CODES " 552/5.3.4",
           OPENED_TRACE " refused(limit.size) reset quit");
    SCRIPT("BDAT 6\r\nQUIT\r\nNOOP\r\n", "220 503/5.5.1 421/4.7.0", NULL, 1);
}

static void test_bdat_size(void **state) {
    (void)state;
    struct buf b = buf_grow(1 << 20);
    fill(&b, OPENED "BDAT 99999\r\n", 99999, "");
    buf_str(&b, "BDAT 1\r\naBDAT 1 LAST\r\naNOOP\r\n");
    struct script s = { .input = buf_bytes(&b),
                        .codes = OPENED_CODES " 250/2.0.0 250/2.0.0 552/5.3.4 250/2.0.0" };
    for (size_t step = 1; step < 1000000; step = step * 7 + 1)
        for (int mode = 0; mode < 4; mode++)
            run_script(&s, step, mode & 1, mode & 2);
    fill(&b, OPENED "BDAT 200000\r\n", 200000, "NOOP\r\n");
    s = (struct script){ .input = buf_bytes(&b), .codes = OPENED_CODES " 552/5.3.4 250/2.0.0" };
    run_script(&s, 5000, true, true);
    buf_free(&b);
}

static void test_auth(void **state) {
    (void)state;
    SCRIPT(EHLO_LINE "AUTH plain Z29vZA==\r\nAUTH PLAIN Z29vZA==\r\n" MAIL_LINE,
           "220 250 235/2.7.0 503/5.5.1 250/2.1.0",
           "ehlo(c.test) auth(PLAIN good) refused(syntax.sequence) mail(a@c.test)");
    SCRIPT(EHLO_LINE "AUTH PLAIN YmFk\r\nAUTH PLAIN =\r\nAUTH PLAIN Z29vZA\r\nAUTH PLAIN !\r\n",
           "220 250 535/5.7.8 535/5.7.8 501/5.5.2 501/5.5.2",
           "ehlo(c.test) auth(PLAIN bad) refused(test.reason) auth(PLAIN ) refused(test.reason) "
           "refused(syntax.argument) refused(syntax.argument)");
    SCRIPT(EHLO_LINE "AUTH CHALLENGE\r\nZ29vZA==\r\nNOOP\r\n", "220 250 334 235/2.7.0 250/2.0.0",
           "ehlo(c.test) auth(CHALLENGE) response(good)");
    SCRIPT(EHLO_LINE "AUTH CHALLENGE\r\n*\r\nNOOP\r\n", "220 250 334 501/5.0.0 250/2.0.0",
           "ehlo(c.test) auth(CHALLENGE) cancel refused(syntax.argument)");
    SCRIPT(EHLO_LINE "AUTH CHALLENGE\r\nQUIT!\r\nNOOP\r\n", "220 250 334 501/5.5.2 250/2.0.0",
           "ehlo(c.test) auth(CHALLENGE) cancel refused(syntax.argument)");
    SCRIPT(EHLO_LINE "AUTH CHALLENGE\r\n\r\nNOOP\r\n", "220 250 334 535/5.7.8 250/2.0.0",
           "ehlo(c.test) auth(CHALLENGE) response() refused(test.reason)");
    SCRIPT(EHLO_LINE "AUTH CHALLENGE\r\nZ29v\nZA==\r\nNOOP\r\n", "220 250 334 500/5.5.2 250/2.0.0",
           "ehlo(c.test) auth(CHALLENGE) refused(syntax.line) cancel");
    SCRIPT(EHLO_LINE "AUTH CHALLENGE\r\nZ29v\rZA==\r\nNOOP\r\n", "220 250 334 500/5.5.2 250/2.0.0");
    SCRIPT(EHLO_LINE "AUTH CHALLENGE\r\nZ29v\0ZA==\r\nNOOP\r\n", "220 250 334 500/5.5.2 250/2.0.0");
    struct buf b = buf_grow(1 << 20);
    fill(&b, EHLO_LINE "AUTH CHALLENGE\r\n", 12289, "\r\nNOOP\r\n");
    struct script s = { .input = buf_bytes(&b),
                        .codes = "220 250 334 500/5.5.6 250/2.0.0",
                        .trace = "ehlo(c.test) auth(CHALLENGE) refused(syntax.line) cancel" };
    run_script(&s, 1000000, false, false);
    run_script(&s, 1000, true, false);
    buf_free(&b);
}

static void test_xclient(void **state) {
    (void)state;
    SCRIPT(EHLO_LINE "XCLIENT ADDR=192.0.2.7\r\n" MAIL_LINE EHLO_LINE MAIL_LINE,
           "220 250 220 503/5.5.1 250 250/2.1.0",
           "ehlo(c.test) xclient(192.0.2.7) refused(syntax.sequence) ehlo(c.test) mail(a@c.test)");
}

static struct world world;

static int setup(void **state) {
    (void)state;
    world = (struct world){ 0 };
    world_open(&world);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    world_close(&world);
    return 0;
}

static void assert_codes(const char *codes) {
    struct buf b = buf_grow(1 << 16);
    codes_of(buf_bytes(&world.out), &b);
    assert_string_equal(buf_text(&b), codes);
    buf_free(&b);
}

static bool said(const char *text) {
    return bytes_search(buf_bytes(&world.out), bytes_str(text)) >= 0;
}

static void test_ehlo(void **state) {
    (void)state;
    smtp_server_begin(world.server, NULL);
    assert_true(said("220 mx.test ESMTP"));
    feed(&world, B("EHLO c.test\r\n"), 100);
    static const char *const lines[] = {
        "250-mx.test\r\n",      "250-PIPELINING\r\n",
        "250-SIZE 100000\r\n",  "250-8BITMIME\r\n",
        "250-SMTPUTF8\r\n",     "250-CHUNKING\r\n",
        "250-DSN\r\n",          "250-ENHANCEDSTATUSCODES\r\n",
        "250-STARTTLS\r\n",     "250-AUTH PLAIN CHALLENGE\r\n",
        "250-XCLIENT ADDR\r\n", "250-LIMITS RCPTMAX=7\r\n",
        "250 HELP\r\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_true(said(lines[i]));
    assert_true(smtp_server_extended(world.server));
    buf_clear(&world.out);
    *smtp_server_offer(world.server) = (struct smtp_offer){ .size = 5 };
    feed(&world, B("EHLO c.test\r\nSTARTTLS\r\nXCLIENT ADDR=192.0.2.1\r\n"), 100);
    assert_false(said("STARTTLS\r\n") || said("AUTH") || said("250-XCLIENT") || said("LIMITS"));
    assert_codes("250 502/5.5.1 502/5.5.1");
    buf_clear(&world.out);
    feed(&world, B("HELO c.test\r\n"), 100);
    assert_true(said("250 mx.test\r\n"));
    assert_false(smtp_server_extended(world.server));
}

static void test_starttls(void **state) {
    (void)state;
    smtp_server_begin(world.server, NULL);
    feed(&world, B("EHLO c.test\r\nAUTH PLAIN Z29vZA==\r\n" MAIL_LINE "STARTTLS\r\n"), 1000);
    assert_true(world.securing);
    assert_codes("220 250 235/2.7.0 250/2.1.0 220/2.0.0");
    assert_false(smtp_server_wants_input(world.server));
    assert_false(smtp_server_in_transaction(world.server));
    assert_false(smtp_server_extended(world.server));
    smtp_server_input(world.server, B("MAIL FROM:<evil@c>\r\n")); /* too late: forgotten */
    buf_clear(&world.out);
    buf_clear(&world.trace);
    smtp_server_offer(world.server)->starttls = false;
    smtp_server_secured(world.server);
    feed(&world, B(MAIL_LINE EHLO_LINE "STARTTLS\r\nAUTH PLAIN Z29vZA==\r\n" MAIL_LINE), 1000);
    assert_codes("503/5.5.1 250 503/5.5.1 235/2.7.0 250/2.1.0");
    assert_null(strstr(buf_text(&world.trace), "evil"));
    assert_false(said("250-STARTTLS"));
}

/* What comes behind STARTTLS in the same breath is not executed, and ends the session. */
static void test_starttls_injection(void **state) {
    (void)state;
    for (int later = 0; later < 2; later++) {
        struct world w = { .later = later };
        world_open(&w);
        smtp_server_begin(w.server, NULL);
        feed(&w, B(EHLO_LINE "STARTTLS\r\nMAIL FROM:<evil@c>\r\n"), 1000);
        assert_true(w.closed);
        assert_false(w.securing);
        assert_string_equal(buf_text(&w.trace),
                            "ehlo(c.test) starttls refused(tls.injection) quit ");
        assert_true(bytes_search(buf_bytes(&w.out), B("421 4.7.0")) > 0);
        world_close(&w);
    }
    /* Between the command and the driver's answer. */
    world.later = true;
    smtp_server_begin(world.server, NULL);
    feed(&world, B(EHLO_LINE), 100);
    smtp_server_input(world.server, B("STARTTLS\r\n"));
    assert_int_equal(world.pending, STARTTLS);
    smtp_server_input(world.server, B("RSET\r\n"));
    settle(&world);
    assert_true(world.closed);
    assert_codes("220 250 421/4.7.0");
}

static void test_begin_refused(void **state) {
    (void)state;
    struct why why;
    why_set(&why, PERM, 554, "5.7.1", "reputation.blocklist", "Listed");
    smtp_server_begin(world.server, &why);
    assert_true(said("554 Listed [reputation.blocklist S1]\r\n"));
    feed(&world, B("EHLO x\r\nMAIL FROM:<a@b>\r\nNOOP\r\nA\nB\r\nSTARTTLS\r\nquit\r\nNOOP\r\n"), 3);
    assert_codes("554 503/5.5.1 503/5.5.1 503/5.5.1 500/5.5.2 503/5.5.1 221/2.0.0");
    assert_true(world.closed);
}

static void test_begin_closing(void **state) {
    (void)state;
    struct why why;
    why_set(&why, TEMP, 421, "4.3.2", "limit.stopping", "Stopping");
    smtp_server_begin(world.server, &why);
    assert_true(world.closed);
    assert_codes("421");
}

static void test_early_input(void **state) {
    (void)state;
    smtp_server_input(world.server, B("EHLO c.test\r\n"));
    assert_int_equal(world.out.len, 0);
    smtp_server_begin(world.server, NULL);
    assert_codes("220 250");
}

static void test_abort(void **state) {
    (void)state;
    struct why why;
    why_set(&why, TEMP, 421, "4.4.2", "limit.idle", "Idle");
    static const char *const before[] = { "",
                                          EHLO_LINE,
                                          OPENED,
                                          OPENED "DATA\r\nabc",
                                          OPENED "BDAT 10\r\nabc",
                                          EHLO_LINE "AUTH CHALLENGE\r\n",
                                          "NOOP",
                                          "NO\nOP" };
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        struct world w = { 0 };
        world_open(&w);
        smtp_server_begin(w.server, NULL);
        feed(&w, bytes_str(before[i]), 1000);
        smtp_server_abort(w.server, &why);
        assert_true(w.closed);
        assert_true(bytes_search(buf_bytes(&w.out), B("421 4.4.2 Idle [limit.idle S1]\r\n")) > 0);
        assert_false(smtp_server_in_transaction(w.server));
        assert_false(smtp_server_wants_input(w.server));
        smtp_server_abort(w.server, &why); /* once is enough */
        smtp_server_input(w.server, B("NOOP\r\n"));
        world_close(&w);
    }
    /* While the driver owes an answer: it comes too late and changes nothing. */
    world.later = true;
    smtp_server_begin(world.server, NULL);
    smtp_server_input(world.server, B(EHLO_LINE));
    smtp_server_abort(world.server, &why);
    assert_true(world.closed);
    answer(&world);
    assert_codes("220 421/4.4.2");
}

static void test_keeps_pipelined(void **state) {
    (void)state;
    world.later = true;
    smtp_server_begin(world.server, NULL);
    smtp_server_input(world.server, B(EHLO_LINE));
    smtp_server_input(world.server, B(MAIL_LINE));
    smtp_server_input(world.server, B(RCPT_LINE "DATA\r\n"));
    smtp_server_input(world.server, B("text\r\n.\r\nQUIT\r\n"));
    assert_codes("220"); /* nothing is answered before the first question is */
    settle(&world);
    assert_codes(OPENED_CODES " 354 250/2.0.0 221/2.0.0");
}

static void test_wants_input(void **state) {
    (void)state;
    static char many[70000];
    world.later = true;
    smtp_server_begin(world.server, NULL);
    assert_true(smtp_server_wants_input(world.server));
    smtp_server_input(world.server, B(EHLO_LINE));
    for (size_t i = 0; i + 6 <= 66000; i += 6)
        memcpy(many + i, "NOOP\r\n", 6);
    smtp_server_input(world.server, bytes_of(many, 60000));
    assert_true(smtp_server_wants_input(world.server));
    smtp_server_input(world.server, bytes_of(many, 6000));
    assert_false(smtp_server_wants_input(world.server));
    settle(&world);
    assert_true(smtp_server_wants_input(world.server));
    unsigned replies = 0;
    for (size_t i = 0; i < world.out.len; i++)
        replies += world.out.at[i] == '\n';
    assert_true(replies > 11000);
    /* Held content is not taken further, and not asked for. */
    world.later = false;
    feed(&world, B(MAIL_LINE RCPT_LINE "DATA\r\n"), 1000);
    assert_true(smtp_server_in_content(world.server));
    smtp_server_hold_content(world.server, true);
    assert_false(smtp_server_wants_input(world.server));
    smtp_server_input(world.server, B("abc\r\n.\r\nNOOP\r\n"));
    assert_int_equal(world.content.len, 0);
    smtp_server_hold_content(world.server, false);
    assert_false(smtp_server_in_content(world.server));
    assert_non_null(strstr(buf_text(&world.trace), "end(5)"));
}

/* A driver that has no room just as the message ends is asked again by the next one. */
static void test_held_at_the_end(void **state) {
    (void)state;
    smtp_server_begin(world.server, NULL);
    feed(&world, B(EHLO_LINE MAIL_LINE RCPT_LINE "DATA\r\n"), 1000);
    world.hold = true;
    smtp_server_input(world.server, B("abc\r\n.\r\n"));
    world.hold = false;
    assert_false(smtp_server_in_content(world.server));
    feed(&world, B(MAIL_LINE RCPT_LINE "DATA\r\n"), 1000);
    assert_true(smtp_server_wants_input(world.server));
    smtp_server_input(world.server, B("abc\r\n.\r\n"));
    assert_false(smtp_server_in_content(world.server));
}

/* RFC 2920 section 3.2: the replies to a group go in one write. */
static void test_grouped(void **state) {
    (void)state;
    smtp_server_begin(world.server, NULL);
    feed(&world, B(EHLO_LINE), 100);
    size_t before = world.out.len;
    world.later = true;
    smtp_server_input(world.server, B(MAIL_LINE RCPT_LINE RCPT_LINE "DATA\r\n"));
    for (int i = 0; i < 3; i++) {
        answer(&world);
        assert_int_equal(world.out.len, before);
    }
    answer(&world);
    assert_true(world.out.len > before);
}

static void test_errors(void **state) {
    (void)state;
    smtp_server_begin(world.server, NULL);
    feed(&world, B("X\r\nNOOP\r\nA\nB\r\n" MAIL_LINE), 5);
    assert_int_equal(smtp_server_errors(world.server), 3);
    buf_clear(&world.out);
    feed(&world, B("HELP\r\n"), 10);
    assert_true(said(" EHLO ") && said(" BDAT ") && said(" QUIT ") && !said("EXPN"));
}

/* A long session does not grow. */
static void test_memory(void **state) {
    (void)state;
    smtp_server_begin(world.server, NULL);
    feed(&world, B(EHLO_LINE), 100);
    size_t used = arena_used(world.arena);
    assert_true(used < 600);
    for (int i = 0; i < 100; i++) {
        feed(&world, B(MAIL_LINE RCPT_LINE "DATA\r\nx\r\n.\r\n"), 17);
        assert_int_equal(arena_used(world.arena), used);
        assert_null(smtp_server_output(world.server)->at); /* nothing is held when idle */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transaction),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_smuggling),
        cmocka_unit_test(test_bdat),
        cmocka_unit_test(test_bdat_size),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_xclient),
        cmocka_unit_test_setup_teardown(test_ehlo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_starttls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_starttls_injection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_begin_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_begin_closing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_early_input, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abort, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keeps_pipelined, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wants_input, setup, teardown),
        cmocka_unit_test_setup_teardown(test_held_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_grouped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
