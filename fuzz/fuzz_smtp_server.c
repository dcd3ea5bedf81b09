/* Any octets from a client, to a driver that says yes and no by what it is asked. Fed whole and
 * answered at once, and in pieces and answered later, both must come to the same replies and the
 * same content. The first octet is the size of the pieces and the kind of offer. */
#include "base/must.h"
#include "smtp/server.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct smtp_server *server;
    struct buf seen, replies;
    bool later, asked, yes, challenge, closed, securing, held;
};

static void answer(struct world *w) {
    struct why why;
    w->asked = false;
    why_set(&why, PERM, 550, "5.7.1", "test", "No");
    if (w->challenge)
        smtp_server_challenge(w->server, B("go on"));
    else
        smtp_server_answer(w->server, w->yes ? OK : PERM, w->yes ? NULL : &why);
}

static void ask(struct world *w, const char *what, struct bytes about, bool challenge) {
    MUST(!w->asked && !w->closed);
    buf_printf(&w->seen, "%s(%.*s)", what, BYTES_FMT(about));
    w->yes = bytes_find(about, 'n') < 0;
    w->challenge = challenge && w->yes;
    w->asked = true;
    if (!w->later)
        answer(w);
}

static bool on_gate(void *ctx, enum smtp_verb verb, struct why *why) {
    (void)ctx, (void)why;
    MUST(verb != SMTP_QUIT);
    return true;
}
static void on_helo(void *ctx, bool extended, struct bytes name) {
    ask(ctx, extended ? "ehlo" : "helo", name, false);
}
static void on_mail(void *ctx, const struct smtp_mail *mail) {
    ask(ctx, "mail", mail->from.mailbox, false);
}
static void on_rcpt(void *ctx, const struct smtp_rcpt *rcpt) {
    ask(ctx, "rcpt", rcpt->to.mailbox, false);
}
static void on_data(void *ctx) {
    ask(ctx, "data", B(""), false);
}
static void on_content(void *ctx, struct bytes content) {
    struct world *w = ctx;
    MUST(content.len && !w->held);
    buf_add(&w->seen, content);
    if (w->later) {
        w->held = true;
        smtp_server_hold_content(w->server, true);
    }
}
static void on_content_end(void *ctx, bool bare) {
    ask(ctx, bare ? "bare" : "end", B(""), false);
}
static void on_auth(void *ctx, struct bytes mechanism, bool has, struct bytes initial) {
    ask(ctx, "auth", has ? initial : mechanism, !has);
}
static void on_auth_response(void *ctx, struct bytes response) {
    ask(ctx, "response", response, false);
}
static void on_auth_cancel(void *ctx) {
    struct world *w = ctx;
    buf_str(&w->seen, "cancel");
}
static void on_starttls(void *ctx) {
    ask(ctx, "starttls", B(""), false);
}
static void on_secure(void *ctx) {
    struct world *w = ctx;
    w->securing = true;
}
static void on_xclient(void *ctx, const struct smtp_command *command) {
    ask(ctx, "xclient", command->argument, false);
}
static void on_reset(void *ctx) {
    struct world *w = ctx;
    buf_str(&w->seen, "reset");
}
static void on_flush(void *ctx) {
    struct world *w = ctx;
    struct buf *out = smtp_server_output(w->server);
    MUST(out->len);
    buf_add(&w->replies, buf_bytes(out));
    buf_clear(out);
}
static void on_quit(void *ctx) {
    struct world *w = ctx;
    MUST(!w->closed);
    w->closed = true;
}
static void on_refused(void *ctx, const struct why *why) {
    struct world *w = ctx;
    buf_printf(&w->seen, "[%d %s]", why->code, why->reason);
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

static void settle(struct world *w) {
    while (w->asked || w->held) {
        if (w->held) {
            w->held = false;
            smtp_server_hold_content(w->server, false);
        } else {
            answer(w);
        }
    }
}

static void feed(struct world *w, struct bytes data, size_t step) {
    while (data.len && !w->closed && !w->securing) {
        struct bytes piece = bytes_first(data, step);
        char *copy = malloc(piece.len);
        MUST(copy);
        memcpy(copy, piece.at, piece.len);
        smtp_server_input(w->server, bytes_of(copy, piece.len));
        free(copy);
        settle(w);
        data = bytes_skip(data, step);
    }
}

static void run(struct world *w, struct bytes stream, size_t step, uint8_t kind) {
    struct arena *a = arena_open();
    w->seen = buf_grow(1 << 26);
    w->replies = buf_grow(1 << 26);
    w->server = smtp_server_open(a, &driver, w, B("mx.test"), B("S1"));
    struct smtp_offer *offer = smtp_server_offer(w->server);
    offer->size = kind & 1 ? 1000 : 0;
    offer->bare_newline_fix = kind & 2;
    offer->auth = B("PLAIN");
    offer->xclient = B("ADDR");
    /* STARTTLS is not offered: what counts as injected depends on the pieces. */
    smtp_server_begin(w->server, NULL);
    feed(w, stream, step);
    MUST(!w->closed || !smtp_server_in_transaction(w->server));
    smtp_server_close(w->server);
    arena_close(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    struct bytes stream = bytes_of(data + 2, size - 2);
    struct world whole = { 0 }, pieces = { .later = true };
    run(&whole, stream, SIZE_MAX, data[1]);
    run(&pieces, stream, 1u + data[0], data[1]);
    MUST(bytes_equal(buf_bytes(&whole.seen), buf_bytes(&pieces.seen)));
    MUST(bytes_equal(buf_bytes(&whole.replies), buf_bytes(&pieces.replies)));
    buf_free(&whole.seen);
    buf_free(&pieces.seen);
    buf_free(&whole.replies);
    buf_free(&pieces.replies);
    return 0;
}
