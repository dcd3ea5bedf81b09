/* Tests of src/smtp/client.c and client_wire.c: conversations with a scripted server. What the
 * client sends is compared octet by octet; replies are given whole and in pieces. */
#include "smtp/client.h"
#include "smtp/data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PIECES = 4 };

struct world {
    struct arena *arena;
    struct smtp_client *client;
    struct buf sent; /* since the last exchange */
    struct buf trace;
    unsigned flushes; /* since the last exchange */
    const char
        *plan; /* what to do when ready: m mail, M mail without recipients, s starttls, a auth,
                         i auth with initial, c xclient, r rset, q quit, x close, . nothing */
    struct smtp_client_mail mail;
    struct bytes pieces[PIECES]; /* content; the one with NULL behind it is the last */
    size_t piece;
    bool later;         /* give content from outside the call */
    bool wants_content; /* later: content is due */
    bool close_in_stage;
    bool closed;
    bool keep_output; /* flush takes nothing */
};

static void note(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct world *w, const char *format, ...) {
    va_list args;
    if (w->trace.len)
        buf_char(&w->trace, ' ');
    va_start(args, format);
    buf_vprintf(&w->trace, format, args);
    va_end(args);
}

static void close_client(struct world *w) {
    smtp_client_close(w->client);
    arena_close(&w->arena);
    w->closed = true;
}

static void on_stage(void *ctx, enum smtp_stage stage, size_t index, const struct smtp_reply *reply,
                     const struct why *why) {
    struct world *w = ctx;
    assert_false(w->closed);
    assert_int_equal(reply->code == 0, why != NULL);
    if (why)
        assert_string_equal(why->reason, "remote.protocol");
    note(w, "%s[%zu]%d", smtp_stage_name(stage), index, reply->code);
    if (w->close_in_stage)
        close_client(w);
}

static void on_ready(void *ctx) {
    struct world *w = ctx;
    assert_false(w->closed);
    note(w, "ready");
    char what = *w->plan ? *w->plan++ : '.';
    if (what == 'm')
        smtp_client_mail(w->client, &w->mail);
    else if (what == 'M')
        smtp_client_mail(w->client,
                         &(struct smtp_client_mail){ .sender = B("a@c.test"), .probe = true });
    else if (what == 'c')
        smtp_client_xclient(w->client, B("ADDR=192.0.2.1 NAME=x\r\nQUIT"));
    else if (what == 's')
        smtp_client_starttls(w->client);
    else if (what == 'a')
        smtp_client_auth(w->client, B("LOGIN"), false, BYTES_NONE);
    else if (what == 'i')
        smtp_client_auth(w->client, B("PLAIN"), true, w->pieces[0]);
    else if (what == 'r')
        smtp_client_rset(w->client);
    else if (what == 'q')
        smtp_client_quit(w->client);
    else if (what == 'x')
        close_client(w);
}

static void on_secure(void *ctx) {
    note(ctx, "secure");
}

static void on_challenge(void *ctx, struct bytes challenge) {
    struct world *w = ctx;
    note(w, "challenge(%.*s)", BYTES_FMT(challenge));
    if (bytes_equal(challenge, B("stop")))
        smtp_client_auth_cancel(w->client);
    else
        smtp_client_auth_response(w->client, bytes_equal(challenge, B("empty")) ? B("") : B("me"));
}

static void give(struct world *w) {
    struct bytes piece = w->pieces[w->piece++];
    assert_non_null(piece.at);
    smtp_client_content(w->client, piece, w->piece == PIECES || !w->pieces[w->piece].at);
}

static void on_content(void *ctx) {
    struct world *w = ctx;
    if (w->later)
        w->wants_content = true;
    else
        give(w);
}

static void on_flush(void *ctx) {
    struct world *w = ctx;
    struct buf *out = smtp_client_output(w->client);
    assert_true(out->len > 0);
    w->flushes++;
    if (w->keep_output)
        return;
    buf_add(&w->sent, buf_bytes(out));
    buf_clear(out);
}

static const struct smtp_client_driver driver = {
    .stage = on_stage,
    .ready = on_ready,
    .secure = on_secure,
    .challenge = on_challenge,
    .content = on_content,
    .flush = on_flush,
};

static const struct smtp_client_rcpt two[] = { { B("b@d.test"), 0, BYTES_NONE },
                                               { B("c@d.test"), 0, BYTES_NONE },
                                               { B("d@d.test"), 0, BYTES_NONE } };

static void world_open(struct world *w, const struct smtp_client_setup *setup) {
    w->arena = arena_open();
    w->sent = buf_grow(1 << 26);
    w->trace = buf_grow(1 << 20);
    w->client = smtp_client_open(w->arena, &driver, w, setup);
    if (!w->mail.count)
        w->mail = (struct smtp_client_mail){ .sender = B("a@c.test"), .count = 2, .rcpts = two };
    if (!w->pieces[0].at)
        w->pieces[0] = B("Subject: x\r\n\r\n.hi\r\n");
}

static void world_close(struct world *w) {
    if (!w->closed)
        close_client(w);
    buf_free(&w->sent);
    buf_free(&w->trace);
}

static void input(struct world *w, struct bytes data, size_t step) {
    for (; data.len && !w->closed; data = bytes_skip(data, step)) {
        struct bytes piece = bytes_first(data, step);
        char *copy = malloc(piece.len);
        memcpy(copy, piece.at, piece.len);
        smtp_client_input(w->client, bytes_of(copy, piece.len));
        free(copy);
    }
    while (w->wants_content && !w->closed) {
        w->wants_content = false;
        give(w);
    }
}

/* What the server says, and what the client says to that: one write, or none. */
struct exchange {
    const char *server, *client;
};
enum { EXCHANGES = 24 };
struct talk {
    const char *plan;
    struct exchange exchanges[EXCHANGES];
    const char *trace;
    struct smtp_client_setup setup;
    struct smtp_client_mail mail;
    struct bytes pieces[PIECES];
};

static void run_talk(const struct talk *t, size_t step, bool later) {
    struct world w = { .plan = t->plan, .later = later, .mail = t->mail };
    struct smtp_client_setup setup = t->setup;
    setup.hostname = B("c.test");
    memcpy(w.pieces, t->pieces, sizeof w.pieces);
    world_open(&w, &setup);
    for (size_t i = 0; i < EXCHANGES && t->exchanges[i].server; i++) {
        const struct exchange *x = &t->exchanges[i];
        buf_clear(&w.sent);
        w.flushes = 0;
        input(&w, bytes_str(x->server), step);
        assert_string_equal(buf_text(&w.sent), x->client);
        assert_true(w.flushes <= 1);
        if (strcmp(x->client, "") == 0 && !w.closed &&
            bytes_ends_nocase(buf_bytes(&w.trace), B("secure"))) {
            smtp_client_secured(w.client);
            assert_false(smtp_client_peer(w.client)->starttls); /* said before TLS: forgotten */
        }
    }
    assert_string_equal(buf_text(&w.trace), t->trace);
    world_close(&w);
}

static void check(const struct talk *t) {
    static const size_t steps[] = { 100000, 1, 2, 7, 30 };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        run_talk(t, steps[i], false);
        run_talk(t, steps[i], true);
    }
}

#define TALK(...) check(&(struct talk){ __VA_ARGS__ })
#define BANNER                                                                                     \
    { "220 mx.test ESMTP\r\n", "EHLO c.test\r\n" }
#define PIPE_EHLO "250-mx.test hello\r\n250-PIPELINING\r\n250 SIZE 1000\r\n"
#define GROUP     "MAIL FROM:<a@c.test>\r\nRCPT TO:<b@d.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"
#define CONTENT   "Subject: x\r\n\r\n..hi\r\n.\r\n"

static void test_pipelined(void **state) {
    (void)state;
    TALK(.plan = "mq",
         .exchanges = { BANNER,
                        { PIPE_EHLO, GROUP },
                        { "250 2.1.0 ok\r\n250 2.1.5 ok\r\n250 2.1.5 ok\r\n354 go\r\n", CONTENT },
                        { "250 2.0.0 queued\r\n", "QUIT\r\n" },
                        { "221 bye\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]250 RCPT[1]250 "
                  "end of data[0]250 ready QUIT[0]221");
    /* One of two refused. */
    TALK(.plan = "m",
         .exchanges = { BANNER,
                        { PIPE_EHLO, GROUP },
                        { "250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n", CONTENT },
                        { "452 4.3.1 full\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]550 RCPT[1]250 "
                  "end of data[0]452 ready");
    /* All refused, DATA refused too: RSET. */
    TALK(.plan = "m",
         .exchanges = { BANNER,
                        { PIPE_EHLO, GROUP },
                        { "250 ok\r\n550 no\r\n451 no\r\n554 no valid recipients\r\n", "RSET\r\n" },
                        { "250 ok\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]550 RCPT[1]451 ready");
    /* All refused, and yet 354: a lone dot. */
    TALK(.plan = "m",
         .exchanges = { BANNER,
                        { PIPE_EHLO, GROUP },
                        { "250 ok\r\n550 no\r\n550 no\r\n354 go\r\n", ".\r\n" },
                        { "554 no valid recipients\r\n", "RSET\r\n" },
                        { "250 ok\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]550 RCPT[1]550 ready");
    /* MAIL refused: the rest is read and not reported. */
    TALK(.plan = "mm",
         .exchanges = { BANNER,
                        { PIPE_EHLO, GROUP },
                        { "550 no\r\n503 x\r\n503 x\r\n503 x\r\n", "RSET\r\n" },
                        { "250 ok\r\n", GROUP },
                        { "451 no\r\n250 x\r\n250 x\r\n354 x\r\n", ".\r\n" },
                        { "250 oh\r\n", "RSET\r\n" },
                        { "250 ok\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]550 ready MAIL[0]451 ready");
    /* DATA refused though recipients were taken. */
    TALK(.plan = "m",
         .exchanges = { BANNER,
                        { PIPE_EHLO, GROUP },
                        { "250 ok\r\n250 ok\r\n250 ok\r\n451 4.3.0 not now\r\n", "RSET\r\n" },
                        { "250 ok\r\n", "" } },
         .trace =
             "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]250 RCPT[1]250 DATA[0]451 ready");
    /* Our own RSET refused: the session can carry no other message. */
    TALK(.plan = "m",
         .exchanges = { BANNER,
                        { PIPE_EHLO, GROUP },
                        { "250 ok\r\n550 no\r\n550 no\r\n554 no\r\n", "RSET\r\n" },
                        { "502 what?\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]550 RCPT[1]550 RSET[0]502");
}

static void test_one_by_one(void **state) {
    (void)state;
    TALK(.plan = "mrq",
         .exchanges = { { "220-mx\r\n220 ready\r\n", "EHLO c.test\r\n" },
                        { "500 what?\r\n", "HELO c.test\r\n" },
                        { "250 mx.test\r\n", "MAIL FROM:<a@c.test>\r\n" },
                        { "250 ok\r\n", "RCPT TO:<b@d.test>\r\n" },
                        { "550-no\r\n550 no\r\n", "RCPT TO:<c@d.test>\r\n" },
                        { "250 ok\r\n", "DATA\r\n" },
                        { "354 go\r\n", CONTENT },
                        { "250 ok\r\n", "RSET\r\n" },
                        { "250 ok\r\n", "QUIT\r\n" },
                        { "221 bye\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]550 RCPT[1]250 "
                  "end of data[0]250 ready RSET[0]250 ready QUIT[0]221");
    TALK(.plan = "mm", .setup = { .no_pipelining = true },
         .exchanges = { BANNER,
                        { PIPE_EHLO, "MAIL FROM:<a@c.test>\r\n" },
                        { "250 ok\r\n", "RCPT TO:<b@d.test>\r\n" },
                        { "550 no\r\n", "RCPT TO:<c@d.test>\r\n" },
                        { "450 no\r\n", "RSET\r\n" },
                        { "250 ok\r\n", "MAIL FROM:<a@c.test>\r\n" },
                        { "550 no\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]550 RCPT[1]450 ready "
                  "MAIL[0]550 ready");
}

static void test_beginning_refused(void **state) {
    (void)state;
    TALK(.exchanges = { { "554 go away\r\n", "" } }, .trace = "banner[0]554");
    TALK(.exchanges = { { "421 busy\r\n", "" } }, .trace = "banner[0]421");
    TALK(.exchanges = { BANNER, { "521 no mail here\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]521");
    TALK(.exchanges = { BANNER, { "450 later\r\n", "" } }, .trace = "banner[0]220 EHLO[0]450");
    TALK(.exchanges = { BANNER, { "550 no\r\n", "HELO c.test\r\n" }, { "550 no\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]550");
    TALK(.exchanges = { { "220 mx\r\n", "LHLO c.test\r\n" }, { "500 no\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]500", .setup = { .lmtp = true });
}

static void test_nonsense(void **state) {
    (void)state;
    TALK(.exchanges = { { "HTTP/1.1 200 OK\r\n", "" } }, .trace = "banner[0]0");
    TALK(.exchanges = { { "354 what\r\n", "" } }, .trace = "banner[0]0");
    TALK(.plan = "m", .exchanges = { BANNER, { PIPE_EHLO, GROUP }, { "354 what\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]0");
    TALK(.plan = "m",
         .exchanges = { BANNER, { PIPE_EHLO, GROUP }, { "250 ok\r\n250 ok\r\nxyz\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]250 RCPT[1]0");
    TALK(.plan = "m",
         .exchanges = { BANNER,
                        { PIPE_EHLO, GROUP },
                        { "250 ok\r\n250 ok\r\n250 ok\r\n250 what\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]250 RCPT[1]250 DATA[0]0");
    TALK(.plan = "m",
         .exchanges = { BANNER,
                        { PIPE_EHLO, GROUP },
                        { "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", CONTENT },
                        { "354 go\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]250 RCPT[1]250 "
                  "end of data[0]0");
}

static void test_421(void **state) {
    (void)state;
    TALK(.plan = "m", .exchanges = { BANNER, { PIPE_EHLO, GROUP }, { "421 bye\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]421");
    TALK(.plan = "m",
         .exchanges = { BANNER, { PIPE_EHLO, GROUP }, { "250 ok\r\n250 ok\r\n421 bye\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]250 RCPT[1]421");
    TALK(.plan = "m",
         .exchanges = { BANNER, { PIPE_EHLO, GROUP }, { "550 no\r\n421 bye\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]550 RCPT[0]421");
    TALK(.plan = "m",
         .exchanges = { BANNER,
                        { PIPE_EHLO, GROUP },
                        { "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", CONTENT },
                        { "421 bye\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]250 RCPT[1]250 "
                  "end of data[0]421");
    /* While nothing is asked of it. */
    TALK(.plan = ".", .exchanges = { BANNER, { PIPE_EHLO, "" }, { "421 idle\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready RSET[0]421");
}

static struct world world;

static int setup(void **state) {
    (void)state;
    world = (struct world){ .plan = "m" };
    return 0;
}
static int teardown(void **state) {
    (void)state;
    world_close(&world);
    return 0;
}

static void open_world(const char *plan, struct smtp_client_setup client) {
    client.hostname = B("c.test");
    world.plan = plan;
    world_open(&world, &client);
}

static void say(const char *text) {
    buf_clear(&world.sent);
    input(&world, bytes_str(text), 100000);
}

/* A reply that was there before its command went out answers something else. */
static void test_early(void **state) {
    (void)state;
    static const char *const first[] = { "220 mx\r\n250 early\r\n", "220 mx\r\n2",
                                         "220 mx\r\n421 bye\r\n" };
    for (size_t i = 0; i < 3; i++) {
        world = (struct world){ 0 };
        open_world("m", (struct smtp_client_setup){ 0 });
        say(first[i]);
        assert_string_equal(buf_text(&world.trace), "banner[0]220 EHLO[0]0");
        world_close(&world);
    }
    world = (struct world){ 0 };
    open_world("m", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    say(PIPE_EHLO "250 early\r\n");
    assert_string_equal(buf_text(&world.trace), "banner[0]220 EHLO[0]250 RSET[0]0");
    world_close(&world);
    /* One too many behind a group. */
    world = (struct world){ 0 };
    open_world("m", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    say(PIPE_EHLO);
    say("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 too early\r\n");
    assert_non_null(strstr(buf_text(&world.trace), "RCPT[1]250 end of data[0]0"));
    assert_int_equal(world.sent.len, 0);
    world_close(&world);
    /* Part of one, while idle; it is completed behind the next command. */
    world = (struct world){ 0 };
    open_world(".", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    say(PIPE_EHLO);
    say("250 ");
    smtp_client_rset(world.client);
    assert_non_null(strstr(buf_text(&world.trace), "RSET[0]0"));
    world_close(&world);
    /* Unasked while idle. */
    world = (struct world){ 0 };
    open_world(".", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    say(PIPE_EHLO);
    say("250 hm\r\n");
    assert_non_null(strstr(buf_text(&world.trace), "RSET[0]0"));
}

static void test_refused_in_content(void **state) {
    (void)state;
    world.later = true;
    open_world("m", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    say(PIPE_EHLO);
    buf_clear(&world.sent);
    smtp_client_input(world.client, B("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"));
    assert_true(world.wants_content);
    smtp_client_content(world.client, B("part\r\n"), false);
    assert_string_equal(buf_text(&world.sent), "part\r\n");
    smtp_client_input(world.client, B("552 5.3.4 too"));
    smtp_client_input(world.client, B(" large\r\n"));
    assert_non_null(strstr(buf_text(&world.trace), "end of data[0]552"));
    smtp_client_content(world.client, B("rest"), true); /* too late: ignored */
    assert_string_equal(buf_text(&world.sent), "part\r\n");
}

/* The same with LMTP is nonsense, told at the first recipient that was taken. */
static void test_early_in_lmtp_content(void **state) {
    (void)state;
    world.later = true;
    open_world("m", (struct smtp_client_setup){ .lmtp = true });
    say("220 mx\r\n");
    say(PIPE_EHLO);
    smtp_client_input(world.client, B("250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n"));
    assert_true(world.wants_content);
    smtp_client_input(world.client, B("552 no\r\n"));
    assert_non_null(strstr(buf_text(&world.trace), "RCPT[1]250 end of data[1]0"));
}

static void test_starttls(void **state) {
    (void)state;
    TALK(.plan = "s.",
         .exchanges = { BANNER,
                        { "250-mx\r\n250 STARTTLS\r\n", "STARTTLS\r\n" },
                        { "220 go\r\n", "" },
                        { "250-mx\r\n250 SIZE\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready STARTTLS[0]220 secure EHLO[0]250 ready");
    TALK(.plan = "s.",
         .exchanges = { BANNER,
                        { "250-mx\r\n250 STARTTLS\r\n", "STARTTLS\r\n" },
                        { "454 not now\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready STARTTLS[0]454 ready");
    /* Injected behind the 220: before the handshake begins, or after it should have. */
    open_world("s", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    say("250-mx\r\n250 STARTTLS\r\n");
    say("220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n");
    assert_null(strstr(buf_text(&world.trace), "secure"));
    assert_non_null(strstr(buf_text(&world.trace), "STARTTLS[0]220 STARTTLS[0]0"));
    world_close(&world);
    world = (struct world){ 0 };
    open_world("s", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    say("250-mx\r\n250 STARTTLS\r\n");
    say("220 go\r\n");
    say("250 evil\r\n");
    assert_non_null(strstr(buf_text(&world.trace), "secure STARTTLS[0]0"));
}

/* The session begins anew, without a banner; what would end the line is not sent. */
static void test_xclient(void **state) {
    (void)state;
    TALK(.plan = "c.",
         .exchanges = { BANNER,
                        { "250-mx\r\n250 XCLIENT ADDR NAME\r\n",
                          "XCLIENT ADDR=192.0.2.1 NAME=x??QUIT\r\n" },
                        { "220 mx\r\n", "EHLO c.test\r\n" },
                        { "250 mx\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready XCLIENT[0]220 EHLO[0]250 ready");
    TALK(.plan = "c.",
         .exchanges = { BANNER,
                        { "250 mx\r\n", "XCLIENT ADDR=192.0.2.1 NAME=x??QUIT\r\n" },
                        { "550 no\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready XCLIENT[0]550 ready");
}

static void test_mail_alone(void **state) {
    (void)state;
    TALK(.plan = "M.",
         .exchanges = { BANNER,
                        { "250-mx\r\n250 PIPELINING\r\n", "MAIL FROM:<a@c.test>\r\n" },
                        { "250 ok\r\n", "RSET\r\n" },
                        { "250 ok\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 ready");
    TALK(.plan = "M.",
         .exchanges = { BANNER,
                        { "250 mx\r\n", "MAIL FROM:<a@c.test>\r\n" },
                        { "550 no\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]550 ready");
}

static void test_auth(void **state) {
    (void)state;
    TALK(.plan = "a.",
         .exchanges = { BANNER,
                        { "250-mx\r\n250 AUTH LOGIN\r\n", "AUTH LOGIN\r\n" },
                        { "334 VXNlcm5hbWU6\r\n", "bWU=\r\n" },
                        { "334 ZW1wdHk=\r\n", "\r\n" },
                        { "334 not base64\r\n", "bWU=\r\n" },
                        { "235 2.7.0 ok\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready challenge(Username:) challenge(empty) "
                  "challenge() AUTH[0]235 ready");
    TALK(.plan = "a.",
         .exchanges = { BANNER,
                        { "250-mx\r\n250 AUTH LOGIN\r\n", "AUTH LOGIN\r\n" },
                        { "334 c3RvcA==\r\n", "*\r\n" },
                        { "501 5.0.0 cancelled\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready challenge(stop) AUTH[0]501 ready");
    TALK(.plan = "i.",
         .exchanges = { BANNER,
                        { "250-mx\r\n250 AUTH PLAIN\r\n", "AUTH PLAIN AGEAYg==\r\n" },
                        { "535 5.7.8 wrong\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready AUTH[0]535 ready", .pieces = { B("\0a\0b") });
    TALK(.plan = "i.",
         .exchanges = { BANNER,
                        { "250-mx\r\n250 AUTH PLAIN\r\n", "AUTH PLAIN =\r\n" },
                        { "235 ok\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready AUTH[0]235 ready", .pieces = { B("") });
    /* Too long for a command line: it follows by itself. */
    char long_one[400], line[600];
    memset(long_one, 0, sizeof long_one);
    struct talk t = { .plan = "i.",
                      .exchanges = { BANNER,
                                     { "250-mx\r\n250 AUTH PLAIN\r\n", "AUTH PLAIN\r\n" },
                                     { "334 \r\n", "" },
                                     { "235 ok\r\n", "" } },
                      .trace = "banner[0]220 EHLO[0]250 ready AUTH[0]235 ready",
                      .pieces = { bytes_of(long_one, 400) } };
    memset(line, 'A', 534);
    strcpy(line + 534, "==\r\n"); /* 400 = 3 * 133 + 1 */
    t.exchanges[2].client = line;
    check(&t);
}

static void test_chunks(void **state) {
    (void)state;
#define CHUNK_EHLO  "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
#define CHUNK_GROUP "MAIL FROM:<a@c.test>\r\nRCPT TO:<b@d.test>\r\nRCPT TO:<c@d.test>\r\n"
    TALK(.plan = "m",
         .exchanges = { BANNER,
                        { CHUNK_EHLO, CHUNK_GROUP },
                        { "250 ok\r\n550 no\r\n250 ok\r\n",
                          "BDAT 19 LAST\r\nSubject: x\r\n\r\n.hi\r\n" },
                        { "250 ok\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]550 RCPT[1]250 "
                  "end of data[0]250 ready");
    TALK(.plan = "m",
         .exchanges = { BANNER,
                        { CHUNK_EHLO, CHUNK_GROUP },
                        { "250 ok\r\n550 no\r\n550 no\r\n", "RSET\r\n" },
                        { "250 ok\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]550 RCPT[1]550 ready");
    TALK(.plan = "m", .setup = { .no_chunking = true },
         .exchanges = { BANNER, { CHUNK_EHLO, GROUP } }, .trace = "banner[0]220 EHLO[0]250 ready");
    /* Without PIPELINING each chunk waits for its reply; no CR ends one. */
    TALK(.plan = "m",
         .exchanges = { BANNER,
                        { "250-mx\r\n250 CHUNKING\r\n", "MAIL FROM:<a@c.test>\r\n" },
                        { "250 ok\r\n", "RCPT TO:<b@d.test>\r\n" },
                        { "250 ok\r\n", "RCPT TO:<c@d.test>\r\n" },
                        { "250 ok\r\n", "BDAT 1\r\na" },
                        { "250 ok\r\n", "BDAT 4\r\n\r\nb." },
                        { "250 ok\r\n", "BDAT 2 LAST\r\n\r\n" },
                        { "250 ok\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]250 RCPT[1]250 "
                  "end of data[0]250 ready",
         .pieces = { B("a\r"), B("\nb."), B("\n") });
    TALK(.plan = "m",
         .exchanges = { BANNER,
                        { "250-mx\r\n250 CHUNKING\r\n", "MAIL FROM:<a@c.test>\r\n" },
                        { "250 ok\r\n", "RCPT TO:<b@d.test>\r\n" },
                        { "250 ok\r\n", "RCPT TO:<c@d.test>\r\n" },
                        { "250 ok\r\n", "BDAT 1\r\na" },
                        { "552 5.3.4 too large\r\n", "RSET\r\n" },
                        { "250 ok\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]250 RCPT[1]250 "
                  "end of data[0]552 ready",
         .pieces = { B("a"), B("b") });
    /* A chunk in the middle is refused: one report, the others are drained. */
    world.pieces[0] = B("a");
    world.pieces[1] = B("b");
    world.pieces[2] = B("c");
    open_world("m", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    say(CHUNK_EHLO);
    say("250 ok\r\n250 ok\r\n250 ok\r\n");
    assert_string_equal(buf_text(&world.sent), "BDAT 1\r\na"); /* the first is waited for */
    say("250 ok\r\n");
    assert_string_equal(buf_text(&world.sent), "BDAT 1\r\nbBDAT 3 LAST\r\nc\r\n");
    say("452 no\r\n503 no\r\n");
    assert_string_equal(buf_text(&world.sent), "RSET\r\n");
    say("250 ok\r\n");
    assert_non_null(strstr(buf_text(&world.trace), "RCPT[1]250 end of data[0]452 ready"));
}

static void test_lmtp(void **state) {
    (void)state;
    struct smtp_client_mail mail = { .sender = B(""), .count = 3, .rcpts = two };
#define LMTP_GROUP                                                                                 \
    "MAIL FROM:<>\r\nRCPT TO:<b@d.test>\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<d@d.test>\r\nDATA\r\n"
    TALK(.plan = "m.", .setup = { .lmtp = true }, .mail = mail,
         .exchanges = { { "220 mx\r\n", "LHLO c.test\r\n" },
                        { "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n", LMTP_GROUP },
                        { "250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n", CONTENT },
                        { "250 ok\r\n452 4.2.2 full\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]250 RCPT[1]550 RCPT[2]250 "
                  "end of data[0]250 end of data[2]452 ready");
    TALK(.plan = "m.", .setup = { .lmtp = true }, .mail = mail,
         .exchanges = { { "220 mx\r\n", "LHLO c.test\r\n" },
                        { "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n", LMTP_GROUP },
                        { "250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n", CONTENT },
                        { "250 ok\r\n421 bye\r\n", "" } },
         .trace = "banner[0]220 EHLO[0]250 ready MAIL[0]250 RCPT[0]250 RCPT[1]550 RCPT[2]250 "
                  "end of data[0]250 end of data[2]421");
}

static void test_parameters(void **state) {
    (void)state;
    static const struct smtp_client_rcpt rcpts[] = {
        { B("b@d.test"), 2 | 8, B("rfc822;b+x=y@d.test") },
        { B("\xc3\xa4@d.test"), 1, B("utf-8;\xc3\xa4@d.test") },
        { B("c\r\nRSET@d.test"), 0, B("rfc822;\xc3\xa4@d.test") },
    };
    struct smtp_client_mail mail = { .sender = B("a@c.test"),
                                     .size = 4096,
                                     .eightbit = true,
                                     .smtputf8 = true,
                                     .ret = 2,
                                     .envid = B("QQ=1 x"),
                                     .count = 3,
                                     .rcpts = rcpts };
    TALK(.plan = "m", .mail = mail,
         .exchanges = { BANNER,
                        { "250-mx\r\n250-pipelining\r\n250-SIZE\r\n250-8BITMIME\r\n"
                          "250-SMTPUTF8\r\n250 DSN\r\n",
                          "MAIL FROM:<a@c.test> SIZE=4096 BODY=8BITMIME SMTPUTF8 RET=HDRS "
                          "ENVID=QQ+3D1+20x\r\n"
                          "RCPT TO:<b@d.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bx+3Dy@d.test\r\n"
                          "RCPT TO:<\xc3\xa4@d.test> NOTIFY=NEVER ORCPT=utf-8;\xc3\xa4@d.test\r\n"
                          "RCPT TO:<c??RSET@d.test>\r\nDATA\r\n" } },
         .trace = "banner[0]220 EHLO[0]250 ready");
    TALK(.plan = "m", .mail = mail,
         .exchanges = { BANNER,
                        { "250-mx\r\n250 PIPELINING\r\n",
                          "MAIL FROM:<a@c.test>\r\nRCPT TO:<b@d.test>\r\n"
                          "RCPT TO:<\xc3\xa4@d.test>\r\nRCPT TO:<c??RSET@d.test>\r\nDATA\r\n" } },
         .trace = "banner[0]220 EHLO[0]250 ready");
}

static void test_peer(void **state) {
    (void)state;
    open_world(".", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    say("250-mx.d.test greets c.test\r\n250-PIPELINING\r\n250-size 12345\r\n250-8BITMIME\r\n"
        "250-AUTH PLAIN login\r\n250-AUTH=PLAIN OLD\r\n250-LIMITS RCPTMAX=50 MAILMAX=9 X=y\r\n"
        "250-STARTTLS\r\n250-DSN\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-REQUIRETLS\r\n"
        "250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 X-OTHER thing\r\n");
    const struct smtp_peer *p = smtp_client_peer(world.client);
    assert_true(bytes_equal(p->name, B("mx.d.test")));
    assert_true(p->extended && p->pipelining && p->eightbit && p->smtputf8 && p->chunking &&
                p->dsn && p->starttls && p->enhanced && p->requiretls && p->binarymime);
    assert_true(p->has_size);
    assert_int_equal(p->size, 12345);
    assert_true(bytes_equal(p->auth, B("PLAIN LOGIN PLAIN OLD")));
    assert_int_equal(p->rcpt_max, 50);
    assert_int_equal(p->mail_max, 9);
    assert_true(bytes_starts(p->keywords, B("PIPELINING\nsize 12345\n8BITMIME\n")));
    assert_true(bytes_ends_nocase(p->keywords, B("\nX-OTHER thing")));
    assert_int_equal(smtp_client_stage(world.client), SMTP_STAGE_RSET);
}

/* The last piece goes with the dot; nothing bare gets out; output stays near the window. */
static void test_large_content(void **state) {
    (void)state;
    static char big[300000];
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = i % 70 == 0 ? '\n' : i % 1000 == 7 ? '\r' : i % 70 == 1 ? '.' : 'x';
    for (size_t i = 0; i < PIECES; i++)
        world.pieces[i] = bytes_of(big + i * 70000, 70000);
    open_world("mq", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    say(PIPE_EHLO);
    buf_clear(&world.sent);
    world.flushes = 0;
    smtp_client_input(world.client, B("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"));
    assert_int_equal(world.flushes, 4);
    struct bytes sent = buf_bytes(&world.sent);
    for (size_t i = 0; i < sent.len; i++) {
        assert_true(sent.at[i] != '\n' || (i > 0 && sent.at[i - 1] == '\r'));
        assert_true(sent.at[i] != '\r' || (i + 1 < sent.len && sent.at[i + 1] == '\n'));
    }
    struct smtp_data_in s = { 0 };
    struct buf back = buf_grow(1 << 20);
    size_t used;
    assert_true(smtp_data_in(&s, sent, &used, &back));
    assert_int_equal(used, sent.len);
    buf_free(&back);
    say("250 ok\r\n");
    assert_string_equal(buf_text(&world.sent), "QUIT\r\n");
}

/* A driver that cannot send now is not asked for more, until it says that it can. */
static void test_window(void **state) {
    (void)state;
    static char big[70000];
    memset(big, 'x', sizeof big);
    world.pieces[0] = bytes_of(big, 70000);
    world.pieces[1] = B("end");
    open_world("m", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    say(PIPE_EHLO);
    world.keep_output = true;
    smtp_client_input(world.client, B("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"));
    assert_int_equal(world.piece, 1);
    smtp_client_input(world.client, BYTES_NONE);
    assert_int_equal(world.piece, 1);
    buf_clear(smtp_client_output(world.client));
    world.keep_output = false;
    buf_clear(&world.sent);
    smtp_client_input(world.client, BYTES_NONE);
    assert_int_equal(world.piece, 2);
    assert_string_equal(buf_text(&world.sent), "end\r\n.\r\n");
}

static void test_quit_anywhere(void **state) {
    (void)state;
    open_world("m", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    say(PIPE_EHLO);
    buf_clear(&world.sent);
    smtp_client_quit(world.client); /* four replies are still owed */
    assert_string_equal(buf_text(&world.sent), "QUIT\r\n");
    say("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n221 bye\r\n");
    assert_non_null(strstr(buf_text(&world.trace), "ready QUIT[0]221"));
    world_close(&world);
    world = (struct world){ 0 };
    open_world("m", (struct smtp_client_setup){ 0 });
    say("554 no\r\n");
    smtp_client_quit(world.client);
    assert_string_equal(buf_text(&world.sent), "QUIT\r\n");
    say("221 bye\r\n");
    assert_string_equal(buf_text(&world.trace), "banner[0]554 QUIT[0]221");
    world_close(&world);
    world = (struct world){ .later = true };
    open_world("m", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    say(PIPE_EHLO);
    smtp_client_input(world.client, B("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"));
    buf_clear(&world.sent);
    smtp_client_quit(world.client); /* in the midst of content: nothing can be said */
    assert_int_equal(world.sent.len, 0);
}

static void test_close_inside(void **state) {
    (void)state;
    world.close_in_stage = true;
    open_world("m", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    assert_true(world.closed);
    world_close(&world);
    world = (struct world){ 0 };
    open_world("x", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    say(PIPE_EHLO);
    assert_true(world.closed);
    world_close(&world);
    world = (struct world){ 0 };
    open_world("m", (struct smtp_client_setup){ 0 });
    say("220 mx\r\n");
    say(PIPE_EHLO);
    world.close_in_stage = true;
    say("250 ok\r\n250 ok\r\n");
    assert_true(world.closed);
    world_close(&world);
    world = (struct world){ 0 };
    open_world("m", (struct smtp_client_setup){ 0 });
    world.close_in_stage = true;
    say("nonsense\r\n");
    assert_true(world.closed);
}

static void test_stages(void **state) {
    (void)state;
    for (int s = 0; s < SMTP_STAGES; s++) {
        assert_non_null(smtp_stage_name((enum smtp_stage)s));
        assert_true(smtp_stage_timeout((enum smtp_stage)s) >= 5000);
    }
    assert_int_equal(smtp_stage_timeout(SMTP_STAGE_END_OF_DATA), 600000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_beginning_refused),
        cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_421),
        cmocka_unit_test_setup_teardown(test_early, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_in_content, setup, teardown),
        cmocka_unit_test_setup_teardown(test_early_in_lmtp_content, setup, teardown),
        cmocka_unit_test_setup_teardown(test_starttls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_xclient, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mail_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_auth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chunks, setup, teardown),
        cmocka_unit_test(test_lmtp),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test_setup_teardown(test_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_content, setup, teardown),
        cmocka_unit_test_setup_teardown(test_window, setup, teardown),
        cmocka_unit_test_setup_teardown(test_quit_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_inside, setup, teardown),
        cmocka_unit_test(test_stages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
