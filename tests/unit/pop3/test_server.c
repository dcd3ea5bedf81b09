/* Tests of src/pop3: scripts of a client against a driver that notes what it is asked. Every script
 * runs whole and cut into reads of many sizes, with messages in pieces of many sizes, answered at
 * once and later, with output held and not: all must come to the same octets and questions. */
#include "pop3/pop3.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum pending { NOTHING, LOGIN, AUTH, MAILDROP, RETRIEVE, READ, UPDATE, STLS };

static const char *const messages[] = {
    "Subject: one\r\n\r\n.dot\r\nline\r\n",
    "Subject: two\n\n..\nx\n.\nno end",
    "",
    "\r\n\rlone\r\n.\n\r.",
};
static const unsigned sizes[] = { 28, 34, 0, 18 };
enum { COUNT = sizeof messages / sizeof *messages };

struct world {
    struct arena *arena;
    struct pop3_server *server;
    struct buf out, trace;
    bool later, hold, held; /* how to answer */
    size_t piece;
    enum pending pending;
    char user[64], password[64], mechanism[32], response[64];
    uint32_t count; /* of messages; more than COUNT are like the first */
    uint32_t message;
    size_t offset;
    bool reading, closed, securing, need_tls;
    unsigned abort_at; /* errors */
};

static void note(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct world *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    buf_vprintf(&w->trace, format, args);
    va_end(args);
    buf_char(&w->trace, ' ');
}

static void refuse(struct world *w, int code, const char *reason) {
    struct why why;
    enum rc rc =
        why_set(&why, code < 500 ? TEMP : PERM, code, NULL, reason, "Because of %s", reason);
    pop3_server_answer(w->server, rc, &why);
}

static void answer_auth(struct world *w) {
    if (strcmp(w->response, "good") == 0)
        pop3_server_answer(w->server, OK, NULL);
    else if (strcmp(w->mechanism, "CHALLENGE") == 0 && !w->response[0])
        pop3_server_challenge(w->server, B("who?"));
    else
        refuse(w, 535, "auth.failed");
}

static void answer_login(struct world *w) {
    if (strcmp(w->password, "down") == 0)
        refuse(w, 454, "backend.keeper");
    else if (strcmp(w->password, "secret") == 0)
        pop3_server_answer(w->server, OK, NULL);
    else
        refuse(w, strcmp(w->password, "closing") == 0 ? 421 : 535, "auth.failed");
}

static void answer_maildrop(struct world *w) {
    if (strcmp(w->user, "locked") == 0)
        refuse(w, 454, "mailbox.in-use");
    else if (strcmp(w->user, "broken") == 0)
        refuse(w, 550, "mailbox.read");
    else
        pop3_server_maildrop(w->server, w->count);
}

static const char *text_of(uint32_t i) {
    return messages[i < COUNT ? i : 0];
}

static void answer_read(struct world *w) {
    struct bytes rest = bytes_skip(bytes_str(text_of(w->message)), w->offset);
    struct bytes piece = bytes_first(rest, w->piece);
    bool fails = strcmp(w->user, "badblock") == 0 && w->offset > 4;
    w->offset += piece.len;
    char *copy = malloc(piece.len + 1);
    memcpy(copy, piece.at, piece.len);
    pop3_server_content(w->server, fails ? TEMP : OK, bytes_of(copy, piece.len));
    free(copy);
}

static void answer(struct world *w) {
    enum pending pending = w->pending;
    w->pending = NOTHING;
    if (pending == LOGIN)
        answer_login(w);
    else if (pending == AUTH)
        answer_auth(w);
    else if (pending == MAILDROP)
        answer_maildrop(w);
    else if (pending == READ)
        answer_read(w);
    else if (pending == RETRIEVE && strcmp(w->user, "gone") == 0)
        refuse(w, 451, "mailbox.gone");
    else if (pending == UPDATE && strcmp(w->user, "stuck") == 0)
        refuse(w, 451, "mailbox.write");
    else
        pop3_server_answer(w->server, OK, NULL);
}

static void ask(struct world *w, enum pending pending) {
    assert_int_equal(w->pending, NOTHING);
    assert_false(w->closed);
    assert_false(w->held);
    w->pending = pending;
    if (!w->later)
        answer(w);
}

static void set_text(char *to, size_t size, struct bytes text) {
    struct buf b = buf_fixed(to, size);
    buf_add(&b, text);
    buf_text(&b);
}

static bool on_gate(void *ctx, enum pop3_verb verb, struct why *why) {
    struct world *w = ctx;
    assert_true(verb < POP3_VERBS && verb != POP3_QUIT);
    if (!w->need_tls || verb == POP3_CAPA || verb == POP3_STLS)
        return true;
    why_set(why, PERM, 530, "5.7.0", "tls.required", "Say STLS first");
    return false;
}
static void on_login(void *ctx, struct bytes user, struct bytes password) {
    struct world *w = ctx;
    note(w, "login(%.*s,%.*s)", BYTES_FMT(user), BYTES_FMT(password));
    set_text(w->user, sizeof w->user, user);
    set_text(w->password, sizeof w->password, password);
    ask(w, LOGIN);
}
static void on_auth(void *ctx, struct bytes mechanism, bool has_initial, struct bytes initial) {
    struct world *w = ctx;
    note(w, "auth(%.*s%s%.*s)", BYTES_FMT(mechanism), has_initial ? " " : "", BYTES_FMT(initial));
    set_text(w->mechanism, sizeof w->mechanism, mechanism);
    set_text(w->response, sizeof w->response, initial);
    ask(w, AUTH);
}
static void on_auth_response(void *ctx, struct bytes response) {
    struct world *w = ctx;
    note(w, "response(%.*s)", BYTES_FMT(response));
    set_text(w->response, sizeof w->response, response.len ? response : B("none"));
    ask(w, AUTH);
}
static void on_auth_cancel(void *ctx) {
    note(ctx, "cancel");
}
static void on_maildrop(void *ctx) {
    note(ctx, "maildrop");
    ask(ctx, MAILDROP);
}
static uint64_t on_size(void *ctx, uint32_t i) {
    struct world *w = ctx;
    assert_true(i < w->count);
    return sizes[i < COUNT ? i : 0];
}
static void on_uid(void *ctx, uint32_t i, struct buf *out) {
    (void)ctx;
    buf_printf(out, "uid-%u", (unsigned)i);
}
static void on_retrieve(void *ctx, uint32_t i, bool top) {
    struct world *w = ctx;
    assert_false(w->reading);
    note(w, "%s(%u)", top ? "top" : "retr", (unsigned)i);
    w->message = i;
    w->offset = 0;
    w->reading = strcmp(w->user, "gone") != 0;
    ask(w, RETRIEVE);
}
static void on_read(void *ctx) {
    struct world *w = ctx;
    assert_true(w->reading);
    ask(w, READ);
}
static void on_content_end(void *ctx) {
    struct world *w = ctx;
    assert_true(w->reading);
    w->reading = false;
    w->pending = NOTHING;
}
static void on_update(void *ctx, struct bytes marked) {
    struct world *w = ctx;
    note(w, "update");
    for (uint32_t i = 0; i < w->count; i++)
        if ((marked.at[i / 8] >> (i % 8)) & 1)
            note(w, "%u", (unsigned)i);
    ask(w, UPDATE);
}
static void on_stls(void *ctx) {
    note(ctx, "stls");
    ask(ctx, STLS);
}
static void on_secure(void *ctx) {
    struct world *w = ctx;
    assert_int_equal(pop3_server_output(w->server)->len, 0);
    note(w, "secure");
    w->securing = true;
}
static void on_flush(void *ctx) {
    struct world *w = ctx;
    struct buf *out = pop3_server_output(w->server);
    assert_true(out->len > 0);
    assert_true(out->len < 300 * 1024);
    buf_add(&w->out, buf_bytes(out));
    buf_clear(out);
    if (w->hold && !w->closed) {
        w->held = true;
        pop3_server_hold(w->server, true);
    }
}
static void on_quit(void *ctx) {
    struct world *w = ctx;
    assert_false(w->closed);
    assert_false(w->reading);
    assert_int_equal(pop3_server_output(w->server)->len, 0);
    note(w, "quit");
    w->closed = true;
}
static void on_refused(void *ctx, const struct why *why) {
    struct world *w = ctx;
    (void)why;
    if (w->abort_at && pop3_server_errors(w->server) == w->abort_at) {
        struct why many;
        why_set(&many, TEMP, 421, "4.7.0", "limit.errors", "Too many");
        pop3_server_abort(w->server, &many);
    }
}

static const struct pop3_server_driver driver = {
    .gate = on_gate,
    .login = on_login,
    .auth = on_auth,
    .auth_response = on_auth_response,
    .auth_cancel = on_auth_cancel,
    .maildrop = on_maildrop,
    .size = on_size,
    .uid = on_uid,
    .retrieve = on_retrieve,
    .read = on_read,
    .content_end = on_content_end,
    .update = on_update,
    .stls = on_stls,
    .secure = on_secure,
    .flush = on_flush,
    .quit = on_quit,
    .refused = on_refused,
};

static void world_open(struct world *w) {
    w->arena = arena_open();
    w->out = buf_grow(1 << 26);
    w->trace = buf_grow(1 << 26);
    w->server = pop3_server_open(w->arena, &driver, w, B("mx.test"), B("S1"));
    struct pop3_offer *offer = pop3_server_offer(w->server);
    offer->stls = true;
    offer->user = true;
    offer->auth = B("PLAIN CHALLENGE");
    offer->implementation = B("Postern");
}

static void world_close(struct world *w) {
    pop3_server_close(w->server);
    arena_close(&w->arena);
    buf_free(&w->out);
    buf_free(&w->trace);
}

/* Answers what is open, until nothing is. */
static void settle(struct world *w) {
    while ((w->pending != NOTHING || w->held) && !w->closed) {
        if (w->held) {
            w->held = false;
            pop3_server_hold(w->server, false);
        } else {
            answer(w);
        }
    }
}

static void feed(struct world *w, struct bytes data, size_t step) {
    settle(w);
    while (data.len && !w->closed) {
        struct bytes piece = bytes_first(data, step);
        char *copy = malloc(piece.len); /* of its own, so that no view of it outlives the call */
        memcpy(copy, piece.at, piece.len);
        pop3_server_input(w->server, bytes_of(copy, piece.len));
        free(copy);
        settle(w);
        data = bytes_skip(data, step);
    }
}

struct script {
    struct bytes input;
    const char *output; /* behind the greeting; NULL: whatever */
    const char *trace;  /* NULL: whatever */
    uint32_t count;     /* 0: COUNT */
    unsigned abort_at;
    bool need_tls;
    struct buf *out; /* what it came to */
};

#define GREETING "+OK mx.test POP3 Postern\r\n"

static void run_script(const struct script *s, size_t step, size_t piece, unsigned mode) {
    struct world w = { .later = mode & 1, .hold = mode & 2, .piece = piece };
    world_open(&w);
    w.count = s->count ? s->count : COUNT;
    w.abort_at = s->abort_at;
    w.need_tls = s->need_tls;
    pop3_server_begin(w.server, NULL);
    feed(&w, s->input, step);
    struct bytes out = buf_bytes(&w.out);
    assert_true(bytes_starts(out, B(GREETING)));
    out = bytes_skip(out, sizeof GREETING - 1);
    if (s->output && !bytes_equal(out, bytes_str(s->output)))
        fail_msg("step %zu, mode %u:\n%.*sinstead of\n%s", step, mode, BYTES_FMT(out), s->output);
    if (s->trace) {
        buf_cut(&w.trace, w.trace.len ? w.trace.len - 1 : 0);
        assert_string_equal(buf_text(&w.trace), s->trace);
    }
    if (s->out) {
        buf_clear(s->out);
        buf_add(s->out, out);
    }
    world_close(&w);
}

static void check(const struct script *s) {
    static const size_t steps[] = { 1000000, 1, 2, 3, 5, 7, 64, 1000 };
    static const size_t pieces[] = { 65536, 1, 2, 3 };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++)
            for (unsigned mode = 0; mode < 4; mode++)
                run_script(s, steps[i], pieces[p], mode);
}

#define SCRIPT(text, ...) check(&(struct script){ .input = B(text), __VA_ARGS__ })
#define LOG_IN(user)      "USER " user "\r\nPASS secret\r\n"
#define LOGGED_IN         "+OK Now PASS\r\n+OK Logged in: 4 messages (80 octets)\r\n"
#define LOGIN_TRACE       "login(a,secret) maildrop"

static void test_login(void **state) {
    (void)state;
    SCRIPT(LOG_IN("a") "QUIT\r\n", LOGGED_IN "+OK mx.test closing; messages left: 4\r\n",
           LOGIN_TRACE " update quit");
    SCRIPT("QUIT\r\nNOOP\r\n", "+OK mx.test closing\r\n", "quit");
    SCRIPT("user anna@proseware.com  \r\npass  two blanks \r\n",
           "+OK Now PASS\r\n-ERR [AUTH] Because of auth.failed [auth.failed S1]\r\n",
           "login(anna@proseware.com, two blanks )");
    SCRIPT(
        "PASS x\r\nUSER a\r\nPASS wrong\r\nPASS secret\r\n" LOG_IN("a") "USER b\r\nAUTH PLAIN\r\n",
        "-ERR Say USER first [syntax.sequence S1]\r\n+OK Now PASS\r\n"
        "-ERR [AUTH] Because of auth.failed [auth.failed S1]\r\n-ERR Say USER first [syntax.sequence S1]\r\n" LOGGED_IN
        "-ERR This session is logged in already [syntax.sequence S1]\r\n"
        "-ERR This session is logged in already [syntax.sequence S1]\r\n",
        "login(a,wrong) " LOGIN_TRACE);
    SCRIPT("USER a\r\nPASS down\r\nUSER a\r\nPASS closing\r\nNOOP\r\n",
           "+OK Now PASS\r\n-ERR [SYS/TEMP] Because of backend.keeper [backend.keeper S1]\r\n"
           "+OK Now PASS\r\n-ERR [AUTH] Because of auth.failed [auth.failed S1]\r\n",
           "login(a,down) login(a,closing) quit");
    SCRIPT(
        LOG_IN("locked") "STAT\r\n" LOG_IN("broken") LOG_IN("a"),
        "+OK Now PASS\r\n-ERR [IN-USE] Because of mailbox.in-use [mailbox.in-use S1]\r\n"
        "-ERR Log in first [syntax.sequence S1]\r\n"
        "+OK Now PASS\r\n-ERR [SYS/PERM] Because of mailbox.read [mailbox.read S1]\r\n" LOGGED_IN);
    SCRIPT("USER j\xc3\xbcrgen\r\nPASS \xff\r\nAPOP a b\r\n", NULL, "login(j\xc3\xbcrgen,\xff)");
}

static void test_auth(void **state) {
    (void)state;
    SCRIPT("AUTH PLAIN Z29vZA==\r\nSTAT\r\n",
           "+OK Logged in: 4 messages (80 octets)\r\n+OK 4 80\r\n", "auth(PLAIN good) maildrop");
    SCRIPT("AUTH CHALLENGE\r\nZ29vZA==\r\n",
           "+ d2hvPw==\r\n+OK Logged in: 4 messages (80 octets)\r\n",
           "auth(CHALLENGE) response(good) maildrop");
    SCRIPT("AUTH CHALLENGE =\r\n\r\n",
           "+ d2hvPw==\r\n-ERR [AUTH] Because of auth.failed [auth.failed S1]\r\n",
           "auth(CHALLENGE ) response()");
    SCRIPT(
        "AUTH CHALLENGE\r\n*\r\nNOOP\r\n",
        "+ d2hvPw==\r\n-ERR AUTH cancelled [syntax.argument S1]\r\n-ERR Log in first [syntax.sequence S1]\r\n",
        "auth(CHALLENGE) cancel");
    SCRIPT("AUTH CHALLENGE\r\nQUIT!\r\n",
           "+ d2hvPw==\r\n-ERR AUTH: the response is not valid base64 [syntax.argument S1]\r\n",
           "auth(CHALLENGE) cancel");
    SCRIPT(
        "AUTH CHALLENGE\r\nZ29v\nZA==\r\nQUIT\r\n",
        "+ d2hvPw==\r\n-ERR A line must end in CRLF and hold no bare CR, LF or NUL [syntax.line S1]\r\n"
        "+OK mx.test closing\r\n",
        "auth(CHALLENGE) cancel quit");
    SCRIPT("AUTH\r\nAUTH PLAIN a b\r\nAUTH PLAIN %\r\nAUTH ABCDEFGHIJKLMNOPQRSTU\r\n",
           "+OK Mechanisms follow\r\nPLAIN\r\nCHALLENGE\r\n.\r\n"
           "-ERR AUTH: the initial response is not valid base64 [syntax.argument S1]\r\n"
           "-ERR AUTH: the initial response is not valid base64 [syntax.argument S1]\r\n"
           "-ERR That is no SASL mechanism [syntax.argument S1]\r\n",
           "");
}

static void test_listing(void **state) {
    (void)state;
    SCRIPT(LOG_IN("a") "LIST\r\nUIDL\r\nLIST 2\r\nUIDL 4\r\nSTAT\r\nNOOP\r\n", LOGGED_IN
           "+OK 4 messages (80 octets)\r\n1 28\r\n2 34\r\n3 0\r\n4 18\r\n.\r\n"
           "+OK 4 messages (80 octets)\r\n1 uid-0\r\n2 uid-1\r\n3 uid-2\r\n4 uid-3\r\n.\r\n"
           "+OK 2 34\r\n+OK 4 uid-3\r\n+OK 4 80\r\n+OK Nothing done\r\n");
    SCRIPT(
        LOG_IN("a") "DELE 2\r\nDELE 2\r\nLIST 2\r\nRETR 2\r\nLIST\r\nSTAT\r\nRSET\r\nDELE 4\r\n"
                    "DELE 1\r\nQUIT\r\n",
        LOGGED_IN
        "+OK Message 2 will be deleted at QUIT\r\n-ERR Message 2 is deleted [message.deleted S1]\r\n"
        "-ERR Message 2 is deleted [message.deleted S1]\r\n-ERR Message 2 is deleted [message.deleted S1]\r\n"
        "+OK 3 messages (46 octets)\r\n1 28\r\n3 0\r\n4 18\r\n.\r\n+OK 3 46\r\n"
        "+OK 4 messages (80 octets)\r\n+OK Message 4 will be deleted at QUIT\r\n"
        "+OK Message 1 will be deleted at QUIT\r\n"
        "+OK mx.test closing; messages left: 2\r\n",
        LOGIN_TRACE " update 0 3 quit");
    SCRIPT(LOG_IN("stuck") "DELE 1\r\nQUIT\r\n",
           LOGGED_IN "+OK Message 1 will be deleted at QUIT\r\n"
                     "-ERR [SYS/TEMP] Because of mailbox.write [mailbox.write S1]\r\n",
           "login(stuck,secret) maildrop update 0 quit");
    SCRIPT(LOG_IN("a") "LIST 0\r\nRETR 5\r\nDELE -1\r\nUIDL x\r\nRETR\r\nSTAT 1\r\n"
                       "RETR 4294967297\r\nDELE 1 2\r\n",
           LOGGED_IN "-ERR There is no message 0: the maildrop has 4 [message.unknown S1]\r\n"
                     "-ERR There is no message 5: the maildrop has 4 [message.unknown S1]\r\n"
                     "-ERR Expected a message number [syntax.argument S1]\r\n"
                     "-ERR Expected a message number [syntax.argument S1]\r\n"
                     "-ERR This command needs an argument [syntax.argument S1]\r\n"
                     "-ERR This command takes no argument [syntax.argument S1]\r\n"
                     "-ERR Expected a message number [syntax.argument S1]\r\n"
                     "-ERR Expected a message number [syntax.argument S1]\r\n");
}

static void test_content(void **state) {
    (void)state;
    SCRIPT(LOG_IN("a") "RETR 1\r\nRETR 2\r\nRETR 3\r\nRETR 4\r\nNOOP\r\n",
           LOGGED_IN "+OK 28 octets\r\nSubject: one\r\n\r\n..dot\r\nline\r\n.\r\n"
                     "+OK 34 octets\r\nSubject: two\r\n\r\n...\r\nx\r\n..\r\nno end\r\n.\r\n"
                     "+OK 0 octets\r\n.\r\n"
                     "+OK 18 octets\r\n\r\n\r\nlone\r\n..\r\n\r\n..\r\n.\r\n+OK Nothing done\r\n",
           LOGIN_TRACE " retr(0) retr(1) retr(2) retr(3)");
    SCRIPT(LOG_IN("a") "TOP 1 0\r\nTOP 1 1\r\nTOP 2  2 \r\nTOP 1 99\r\nTOP 3 1\r\n",
           LOGGED_IN "+OK Top of message 1 follows\r\nSubject: one\r\n\r\n.\r\n"
                     "+OK Top of message 1 follows\r\nSubject: one\r\n\r\n..dot\r\n.\r\n"
                     "+OK Top of message 2 follows\r\nSubject: two\r\n\r\n...\r\nx\r\n.\r\n"
                     "+OK Top of message 1 follows\r\nSubject: one\r\n\r\n..dot\r\nline\r\n.\r\n"
                     "+OK Top of message 3 follows\r\n.\r\n");
    SCRIPT(
        LOG_IN("a") "TOP 1\r\nTOP 1 x\r\nTOP x 1\r\nTOP 9 1\r\nTOP 1 -1\r\n", LOGGED_IN
        "-ERR Expected a number of lines [syntax.argument S1]\r\n-ERR Expected a number of lines [syntax.argument S1]\r\n"
        "-ERR Expected a message number [syntax.argument S1]\r\n"
        "-ERR There is no message 9: the maildrop has 4 [message.unknown S1]\r\n"
        "-ERR Expected a number of lines [syntax.argument S1]\r\n");
    SCRIPT(LOG_IN("gone") "RETR 1\r\nSTAT\r\n",
           LOGGED_IN "-ERR [SYS/TEMP] Because of mailbox.gone [mailbox.gone S1]\r\n+OK 4 80\r\n");
}

/* What fails in the middle of a message must not look like its end, nor remove anything. */
static void test_broken_message(void **state) {
    (void)state;
    struct buf out = buf_grow(1 << 16);
    struct script s = { .input = B(LOG_IN("badblock") "DELE 2\r\nRETR 1\r\nQUIT\r\n"),
                        .out = &out };
    s.trace = "login(badblock,secret) maildrop retr(0) quit";
    for (unsigned mode = 0; mode < 4; mode++) {
        run_script(&s, 1000, 3, mode);
        assert_true(bytes_ends_nocase(buf_bytes(&out), B("+OK 28 octets\r\nSubjec")));
    }
    buf_free(&out);
}

static void test_lines(void **state) {
    (void)state;
    char line[300 + 3];
    memset(line, 'x', sizeof line);
    struct script s = { .output = "+OK Now PASS\r\n" };
    memcpy(line, "USER ", 5);
    memcpy(line + 253, "\r\n", 2);
    s.input = bytes_of(line, 255);
    check(&s);
    memset(line + 253, 'x', 2);
    memcpy(line + 254, "\r\n", 2);
    s.input = bytes_of(line, 256);
    s.output = "-ERR The line is too long [syntax.line S1]\r\n";
    check(&s);
    SCRIPT(
        "STAT\nQUIT\r\nCAPA\rX\r\nQ\0IT\r\nSTAT\tx\r\n\r\nFOO\r\nAPOP a\r\nQUIT\r\n",
        "-ERR A line must end in CRLF and hold no bare CR, LF or NUL [syntax.line S1]\r\n"
        "-ERR A line must end in CRLF and hold no bare CR, LF or NUL [syntax.line S1]\r\n"
        "-ERR A line must end in CRLF and hold no bare CR, LF or NUL [syntax.line S1]\r\n"
        "-ERR The line holds a control character [syntax.line S1]\r\n"
        "-ERR Unknown command [syntax.command S1]\r\n-ERR Unknown command [syntax.command S1]\r\n"
        "-ERR APOP is not offered: use AUTH, or USER and PASS [auth.not-here S1]\r\n+OK mx.test closing\r\n");
    SCRIPT("POST / HTTP/1.1\r\nUSER a\r\n", "-ERR This is POP3, not HTTP [syntax.command S1]\r\n",
           "quit");
    SCRIPT(
        "X\r\nX\r\nX\r\nQUIT\r\n",
        "-ERR Unknown command [syntax.command S1]\r\n-ERR Unknown command [syntax.command S1]\r\n"
        "-ERR [SYS/TEMP] Too many [limit.errors S1]\r\n",
        "quit", .abort_at = 2);
}

static void test_endless_line(void **state) {
    (void)state;
    struct world w = { .piece = 1 };
    char block[4096];
    memset(block, 'A', sizeof block);
    world_open(&w);
    pop3_server_begin(w.server, NULL);
    unsigned n = 0;
    for (; n < 1000 && !w.closed; n++)
        pop3_server_input(w.server, bytes_of(block, sizeof block));
    assert_true(w.closed && n < 70);
    world_close(&w);
}

#define CAPA_MIDDLE                                                                                \
    "RESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\nUTF8\r\n"                       \
    "IMPLEMENTATION Postern\r\n.\r\n"

static void test_capa(void **state) {
    (void)state;
    SCRIPT(
        "CAPA\r\n" LOG_IN("a") "CAPA\r\n",
        "+OK Capabilities follow\r\nTOP\r\nUIDL\r\nUSER\r\nSASL PLAIN CHALLENGE\r\nSTLS\r\n" CAPA_MIDDLE
            LOGGED_IN
        "+OK Capabilities follow\r\nTOP\r\nUIDL\r\nUSER\r\nSASL PLAIN CHALLENGE\r\n" CAPA_MIDDLE);
    struct world w = { .piece = 1, .count = 1 };
    world_open(&w);
    *pop3_server_offer(w.server) = (struct pop3_offer){ .stls = false };
    pop3_server_begin(w.server, NULL);
    feed(&w, B("CAPA\r\nUSER a\r\nPASS b\r\nAUTH PLAIN\r\nSTLS\r\n"), 100);
    assert_string_equal(buf_text(&w.out),
                        GREETING "+OK Capabilities follow\r\nTOP\r\nUIDL\r\nRESP-CODES\r\n"
                                 "AUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\nUTF8\r\n.\r\n"
                                 "-ERR USER and PASS are not offered here [auth.not-here S1]\r\n"
                                 "-ERR USER and PASS are not offered here [auth.not-here S1]\r\n"
                                 "-ERR AUTH is not offered here [auth.not-here S1]\r\n"
                                 "-ERR STLS is not offered here [tls.not-here S1]\r\n");
    world_close(&w);
}

static void test_utf8(void **state) {
    (void)state;
    SCRIPT("UTF8\r\nSTLS\r\n" LOG_IN("a") "UTF8\r\n",
           "+OK UTF-8 it is\r\n-ERR STLS must come before UTF8 [syntax.sequence S1]\r\n" LOGGED_IN
           "-ERR This session is logged in already [syntax.sequence S1]\r\n");
    struct world w = { .piece = 1 };
    world_open(&w);
    pop3_server_begin(w.server, NULL);
    assert_false(pop3_server_utf8(w.server));
    feed(&w, B("UTF8\r\n"), 100);
    assert_true(pop3_server_utf8(w.server));
    world_close(&w);
}

static void test_stls(void **state) {
    (void)state;
    for (unsigned mode = 0; mode < 4; mode++) {
        struct world w = { .piece = 1, .later = mode & 1, .hold = mode & 2, .need_tls = true };
        world_open(&w);
        pop3_server_begin(w.server, NULL);
        feed(&w, B("USER a\r\nSTLS\r\n"), 1);
        assert_true(w.securing);
        assert_false(pop3_server_wants_input(w.server));
        w.need_tls = false;
        w.count = 1;
        pop3_server_secured(w.server);
        feed(&w, B("PASS secret\r\nSTLS\r\n" LOG_IN("a")), 1);
        assert_string_equal(
            buf_text(&w.out), GREETING
            "-ERR Say STLS first [tls.required S1]\r\n+OK Ready to start TLS\r\n"
            "-ERR Say USER first [syntax.sequence S1]\r\n-ERR TLS is active already [syntax.sequence S1]\r\n"
            "+OK Now PASS\r\n+OK Logged in: 1 messages (28 octets)\r\n");
        world_close(&w);
    }
}

static void test_stls_injection(void **state) {
    (void)state;
    for (unsigned later = 0; later < 2; later++) {
        struct world w = { .piece = 1, .later = later };
        world_open(&w);
        pop3_server_begin(w.server, NULL);
        feed(&w, B("STLS\r\nUSER a\r\n"), 100);
        assert_string_equal(buf_text(&w.out), GREETING
                            "-ERR Plain text came behind STLS: closing [tls.injection S1]\r\n");
        assert_true(w.closed && !w.securing);
        world_close(&w);
    }
}

/* A large maildrop is listed in portions that the driver asks for by having room. */
static void test_large_listing(void **state) {
    (void)state;
    struct script s = { .input = B(LOG_IN("a") "UIDL\r\nQUIT\r\n"), .count = 100000 };
    struct buf one = buf_grow(1 << 26), other = buf_grow(1 << 26);
    s.out = &one;
    run_script(&s, 1000, 1, 0);
    s.out = &other;
    run_script(&s, 1, 1, 3);
    assert_true(bytes_equal(buf_bytes(&one), buf_bytes(&other)));
    assert_true(bytes_search(buf_bytes(&one), B("\r\n100000 uid-99999\r\n.\r\n")) > 0);
    buf_free(&one);
    buf_free(&other);

    struct world w = { .hold = true, .piece = 1, .count = 100000 };
    world_open(&w);
    pop3_server_begin(w.server, NULL);
    feed(&w, B(LOG_IN("a")), 100);
    pop3_server_input(w.server, B("UIDL\r\nSTAT\r\n"));
    assert_true(w.held);
    assert_true(w.out.len < 40 * 1024);
    assert_int_equal(pop3_server_output(w.server)->len, 0);
    pop3_server_abort(w.server, NULL);
    assert_true(w.closed);
    world_close(&w);
}

/* Nothing is asked for while the driver has no room, and what is pipelined waits. */
static void test_held(void **state) {
    (void)state;
    struct world w = { .piece = 4, .count = COUNT, .later = true };
    world_open(&w);
    pop3_server_begin(w.server, NULL);
    feed(&w, B(LOG_IN("a")), 100);
    pop3_server_input(w.server, B("RETR 1\r\n"));
    assert_int_equal(w.pending, RETRIEVE);
    pop3_server_hold(w.server, true);
    answer(&w);
    assert_int_equal(w.pending, NOTHING);
    pop3_server_hold(w.server, false);
    assert_int_equal(w.pending, READ);
    struct why why;
    why_set(&why, TEMP, 421, NULL, "shutdown", "Bye");
    pop3_server_abort(w.server, &why);
    assert_true(w.closed && !w.reading);
    assert_true(bytes_ends_nocase(buf_bytes(&w.out), B("28 octets\r\n")));
    pop3_server_content(w.server, OK, B("late"));
    pop3_server_answer(w.server, OK, NULL);
    pop3_server_maildrop(w.server, 1);
    world_close(&w);
}

static void test_flood(void **state) {
    (void)state;
    struct world w = { .piece = 1, .count = 1, .later = true };
    char block[4096];
    for (size_t i = 0; i < sizeof block; i += 8)
        memcpy(block + i, "NOOP x\r\n", 8);
    world_open(&w);
    pop3_server_begin(w.server, NULL);
    pop3_server_input(w.server, B(LOG_IN("a")));
    unsigned n = 0;
    for (; n < 100 && pop3_server_wants_input(w.server); n++)
        pop3_server_input(w.server, bytes_of(block, sizeof block));
    assert_int_equal(n, 16);
    settle(&w);
    assert_true(pop3_server_wants_input(w.server));
    assert_int_equal(pop3_server_errors(w.server), 16 * 512);
    world_close(&w);
}

static void test_greeting_refused(void **state) {
    (void)state;
    struct world w = { .piece = 1 };
    struct why why;
    why_set(&why, TEMP, 421, "4.7.0", "limit.connections", "Too many connections, %s",
            "J\xc3\xbcrgen");
    world_open(&w);
    pop3_server_begin(w.server, &why);
    assert_true(w.closed);
    assert_string_equal(buf_text(&w.out),
                        "-ERR [SYS/TEMP] Too many connections, J??rgen [limit.connections S1]\r\n");
    world_close(&w);
}

static void test_reply_length(void **state) {
    (void)state;
    struct arena *a = arena_open();
    char id[100], text[WHY_TEXT];
    memset(id, 'i', sizeof id);
    memset(text, 't', sizeof text);
    struct world w = { .piece = 1, .out = buf_grow(10000), .trace = buf_grow(10000) };
    struct why why;
    why_set(&why, TEMP, 451, NULL, "backend.x", "%.*s", (int)sizeof text, text);
    w.server = pop3_server_open(a, &driver, &w, B("mx"), bytes_of(id, sizeof id));
    pop3_server_begin(w.server, &why);
    assert_int_equal(w.out.len, 512);
    pop3_server_close(w.server);
    arena_close(&a);
    buf_free(&w.out);
    buf_free(&w.trace);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_login),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_listing),
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_broken_message),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_endless_line),
        cmocka_unit_test(test_capa),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_stls),
        cmocka_unit_test(test_stls_injection),
        cmocka_unit_test(test_large_listing),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_greeting_refused),
        cmocka_unit_test(test_reply_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
