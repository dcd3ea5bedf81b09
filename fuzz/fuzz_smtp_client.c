/* Any octets from a server. The input is cut into what comes before each of the driver's turns by
 * 0xff. Whatever it says, the client sends whole lines, nothing bare, and reports each recipient at
 * most once a stage. */
#include "base/must.h"
#include "smtp/client.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECIPIENTS = 3 };

struct world {
    struct smtp_client *client;
    const uint8_t *plan;
    size_t turns;
    bool over, secure;
    unsigned rcpt_seen, end_seen; /* bits */
    struct buf sent;
};

static const struct smtp_client_rcpt rcpts[RECIPIENTS] = {
    { B("a@d.test"), 2, B("rfc822;x@d.test") },
    { B("b@d.test"), 0, BYTES_NONE },
    { B("\"q \"@d.test"), 1, BYTES_NONE },
};

static void on_stage(void *ctx, enum smtp_stage stage, size_t index, const struct smtp_reply *reply,
                     const struct why *why) {
    struct world *w = ctx;
    MUST(!w->over && stage < SMTP_STAGES && index < RECIPIENTS);
    MUST((reply->code == 0) == (why != NULL));
    w->over = reply->code == 0 || reply->code == 421;
    if (w->over)
        return;
    unsigned *seen = stage == SMTP_STAGE_RCPT          ? &w->rcpt_seen
                     : stage == SMTP_STAGE_END_OF_DATA ? &w->end_seen
                                                       : NULL;
    if (!seen)
        return;
    MUST(!(*seen & 1u << index));
    *seen |= 1u << index;
}

static void on_ready(void *ctx) {
    static const struct smtp_client_mail mail = { .sender = B("s@c.test"),
                                                  .size = 10,
                                                  .eightbit = true,
                                                  .ret = 1,
                                                  .envid = B("x y"),
                                                  .count = RECIPIENTS,
                                                  .rcpts = rcpts };
    struct world *w = ctx;
    MUST(!w->over);
    w->rcpt_seen = w->end_seen = 0;
    switch (w->turns++ > 8 ? 4 : w->plan[w->turns % 2] >> 2 * (w->turns / 2 % 4) & 3) {
    case 0:
    case 1:
        smtp_client_mail(w->client, &mail);
        break;
    case 2:
        smtp_client_auth(w->client, B("PLAIN"), w->plan[0] & 4, B("\0me\0secret"));
        break;
    case 3:
        smtp_client_starttls(w->client);
        break;
    default:
        smtp_client_quit(w->client);
    }
}

static void on_secure(void *ctx) {
    struct world *w = ctx;
    w->secure = true;
}

static void on_challenge(void *ctx, struct bytes challenge) {
    struct world *w = ctx;
    MUST(!w->over);
    if (w->turns++ > 8)
        smtp_client_auth_cancel(w->client);
    else
        smtp_client_auth_response(w->client, challenge);
}

static void on_content(void *ctx) {
    struct world *w = ctx;
    MUST(!w->over);
    bool last = w->turns++ % 2;
    smtp_client_content(w->client, last ? B(".\r\n.bare\n") : B("Subject: x\r\n\r"), last);
}

static void on_flush(void *ctx) {
    struct world *w = ctx;
    struct buf *out = smtp_client_output(w->client);
    MUST(!w->over && out->len);
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

static void check_sent(struct bytes sent) {
    for (size_t i = 0; i < sent.len; i++) {
        MUST(sent.at[i] != '\n' || (i > 0 && sent.at[i - 1] == '\r'));
        MUST(sent.at[i] != '\r' || i + 1 == sent.len || sent.at[i + 1] == '\n');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    struct arena *a = arena_open();
    struct world w = { .plan = data, .sent = buf_grow(1 << 26) };
    struct smtp_client_setup setup = { .hostname = B("c.test"),
                                       .lmtp = data[0] & 1,
                                       .no_pipelining = data[1] & 1,
                                       .no_chunking = data[1] & 2 };
    w.client = smtp_client_open(a, &driver, &w, &setup);
    struct bytes stream = bytes_of(data + 2, size - 2), piece;
    while (bytes_split(&stream, '\xff', &piece)) {
        smtp_client_input(w.client, piece);
        if (w.secure)
            smtp_client_secured(w.client);
        w.secure = false;
    }
    check_sent(buf_bytes(&w.sent));
    smtp_client_close(w.client);
    arena_close(&a);
    buf_free(&w.sent);
    return 0;
}
