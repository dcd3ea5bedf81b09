/* Any octets from a client, to a driver that says yes and no by what it is asked. Fed whole and
 * answered at once, and in pieces, answered later and held in between, both must come to the same
 * replies and the same questions. The first octet is the size of the reads, the second the kind of
 * offer and maildrop. */
#include "base/must.h"
#include "pop3/pop3.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum asked { NOTHING, LOGIN, CHALLENGE, MAILDROP, RETRIEVE, READ, OTHER };

static const char text[] = "Subject: x\n\n.\r\n..\rdot\n\n\r\nlast";
enum { TEXT_SIZE = 36 }; /* on the wire, without doubled dots */

struct world {
    struct pop3_server *server;
    struct buf seen, replies;
    enum asked asked;
    bool later, yes, closed, securing, held, reading;
    size_t offset, piece;
    uint32_t count;
};

static void answer(struct world *w) {
    enum asked asked = w->asked;
    struct why why;
    w->asked = NOTHING;
    why_set(&why, PERM, 550, "5.7.1", "test", "No");
    if (asked == CHALLENGE && w->yes) {
        pop3_server_challenge(w->server, B("go on"));
    } else if (asked == MAILDROP) {
        pop3_server_maildrop(w->server, w->count);
    } else if (asked == READ) {
        struct bytes rest = bytes_skip(bytes_of(text, sizeof text - 1), w->offset);
        struct bytes piece = bytes_first(rest, w->piece);
        w->offset += piece.len;
        pop3_server_content(w->server, OK, piece);
    } else {
        if (asked == RETRIEVE)
            w->reading = w->yes;
        pop3_server_answer(w->server, w->yes ? OK : PERM, w->yes ? NULL : &why);
    }
}

static void ask(struct world *w, enum asked asked, const char *what, struct bytes about) {
    MUST(w->asked == NOTHING && !w->closed && !w->held);
    buf_printf(&w->seen, "%s(", what);
    buf_add(&w->seen, about);
    w->yes = bytes_find(about, 'n') < 0;
    w->asked = asked;
    if (!w->later)
        answer(w);
}

static bool on_gate(void *ctx, enum pop3_verb verb, struct why *why) {
    (void)ctx, (void)why;
    MUST(verb < POP3_VERBS && verb != POP3_QUIT);
    return true;
}
static void on_login(void *ctx, struct bytes user, struct bytes password) {
    MUST(user.len);
    ask(ctx, LOGIN, "login", password);
}
static void on_auth(void *ctx, struct bytes mechanism, bool has, struct bytes initial) {
    ask(ctx, has ? LOGIN : CHALLENGE, "auth", has ? initial : mechanism);
}
static void on_auth_response(void *ctx, struct bytes response) {
    ask(ctx, LOGIN, "response", response);
}
static void on_auth_cancel(void *ctx) {
    struct world *w = ctx;
    buf_str(&w->seen, "cancel");
}
static void on_maildrop(void *ctx) {
    ask(ctx, MAILDROP, "maildrop", B(""));
}
static uint64_t on_size(void *ctx, uint32_t i) {
    struct world *w = ctx;
    MUST(i < w->count);
    return TEXT_SIZE;
}
static void on_uid(void *ctx, uint32_t i, struct buf *out) {
    struct world *w = ctx;
    MUST(i < w->count);
    buf_printf(out, "u%u", (unsigned)i);
}
static void on_retrieve(void *ctx, uint32_t i, bool top) {
    struct world *w = ctx;
    MUST(i < w->count && !w->reading);
    w->offset = 0;
    ask(w, RETRIEVE, top ? "top" : "retrieve", i == 2 ? B("no") : B(""));
}
static void on_read(void *ctx) {
    struct world *w = ctx;
    MUST(w->reading && w->asked == NOTHING && !w->held);
    w->asked = READ;
    if (!w->later)
        answer(w);
}
static void on_content_end(void *ctx) {
    struct world *w = ctx;
    MUST(w->reading);
    w->reading = false;
    w->asked = NOTHING;
}
static void on_update(void *ctx, struct bytes marked) {
    struct world *w = ctx;
    MUST(marked.len == (w->count + 7) / 8);
    ask(w, OTHER, "update", marked);
}
static void on_stls(void *ctx) {
    ask(ctx, OTHER, "stls", B(""));
}
static void on_secure(void *ctx) {
    struct world *w = ctx;
    w->securing = true;
}
static void on_flush(void *ctx) {
    struct world *w = ctx;
    struct buf *out = pop3_server_output(w->server);
    MUST(out->len);
    buf_add(&w->replies, buf_bytes(out));
    buf_clear(out);
    if (w->later) {
        w->held = true;
        pop3_server_hold(w->server, true);
    }
}
static void on_quit(void *ctx) {
    struct world *w = ctx;
    MUST(!w->closed && !w->reading);
    w->closed = true;
}
static void on_refused(void *ctx, const struct why *why) {
    struct world *w = ctx;
    buf_printf(&w->seen, "[%d %s]", why->code, why->reason);
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

static void settle(struct world *w) {
    while ((w->asked != NOTHING || w->held) && !w->closed) {
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
    while (data.len && !w->closed && !w->securing) {
        struct bytes piece = bytes_first(data, step);
        char *copy = malloc(piece.len);
        MUST(copy);
        memcpy(copy, piece.at, piece.len);
        pop3_server_input(w->server, bytes_of(copy, piece.len));
        free(copy);
        settle(w);
        data = bytes_skip(data, step);
    }
}

static void run(struct world *w, struct bytes stream, size_t step, uint8_t kind) {
    struct arena *a = arena_open();
    w->seen = buf_grow(1 << 26);
    w->replies = buf_grow(1 << 26);
    w->piece = step;
    w->count = kind >> 4;
    w->server = pop3_server_open(a, &driver, w, B("mx.test"), B("S1"));
    struct pop3_offer *offer = pop3_server_offer(w->server);
    offer->user = !(kind & 1);
    offer->auth = kind & 2 ? BYTES_NONE : B("PLAIN");
    /* STLS is not offered: what counts as injected depends on the pieces. */
    pop3_server_begin(w->server, NULL);
    if (kind & 4)
        feed(w, B("USER a\r\nPASS b\r\n"), step);
    feed(w, stream, step);
    pop3_server_close(w->server);
    arena_close(&a);
}

/* Every line ends in CRLF and holds no other CR or LF. */
static void check_lines(struct bytes replies) {
    while (replies.len) {
        ptrdiff_t lf = bytes_find(replies, '\n');
        MUST(lf > 0 && bytes_find(replies, '\r') == lf - 1);
        replies = bytes_skip(replies, (size_t)lf + 1);
    }
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
    check_lines(buf_bytes(&whole.replies));
    buf_free(&whole.seen);
    buf_free(&pieces.seen);
    buf_free(&whole.replies);
    buf_free(&pieces.replies);
    return 0;
}
