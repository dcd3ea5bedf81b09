/* A hostile server against the relay test, over a real socket. The first octet says how far it goes; the rest is what the
 * server says, cut at 0xff into what it says after each thing it hears, over as many connections as it takes. However that
 * looks, it ends once; grades and replies fit each other, nothing is proven that was not sent, and what is told is clean. Then the
 * same octets as a message that arrived. */
#include "base/must.h"
#include "doctor/relaytest.h"
#include "sys/sockets.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE_MAX_HERE = 300 * 1000 };
enum { SEND = 1, LMTP = 2, BRIEF = 4, NAMED = 8, FEW = 16 };

struct world {
    struct loop *loop;
    struct bytes rest; /* of what the server says */
    struct stream *server;
    struct stream_listener *listener;
    struct timer end;
    bool over;
};

static void speak(struct world *w) {
    struct bytes part;
    if (!w->server)
        return;
    if (bytes_split(&w->rest, (char)0xff, &part))
        stream_write(w->server, part);
    if (!w->rest.len)
        stream_close(&w->server);
}

static void on_read(void *ctx, struct bytes data) {
    (void)data;
    speak(ctx);
}

static void on_end(void *ctx, int error) {
    struct world *w = ctx;
    (void)error;
    if (w->server)
        stream_close(&w->server);
}

static const struct stream_handler handler = { .on_read = on_read, .on_end = on_end };

static void on_accept(void *ctx, struct stream *s) {
    struct world *w = ctx;
    if (w->server)
        stream_close(&w->server);
    w->server = s;
    stream_attach(s, &handler, w);
    speak(w);
}

static void on_over(void *ctx) {
    struct world *w = ctx;
    MUST(!w->over);
    w->over = true;
    loop_stop(w->loop);
}

static void stop(void *ctx) {
    struct world *w = ctx;
    loop_stop(w->loop);
}

static bool is_clean(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7f)
            return false;
    return bytes_is_utf8(text);
}

static void check_test(const struct relay_test *t, bool sends) {
    MUST(is_clean(t->text) && t->id && t->to.len);
    MUST(t->grade != RELAY_ACCEPTED || t->code / 100 == 2 || sends);
    MUST(t->grade != RELAY_REFUSED || (t->code >= 400 && t->cause));
    MUST(t->grade != RELAY_PROVEN || t->sent == RELAY_SEEN);
    MUST(sends || t->sent == RELAY_NOT_SENT);
}

static void check(struct relaytest_seen *seen, bool sends, struct bytes message, struct arena *a) {
    struct finding_list findings;
    finding_list_open(&findings, a);
    MUST(is_clean(seen->banner) && is_clean(seen->why) && is_clean(seen->no_tls));
    MUST(!seen->gave_up || !seen->count);
    for (size_t i = 0; i < seen->count; i++)
        check_test(&seen->tests[i], sends);
    relaytest_judge(seen, 0, &findings);
    if (relaytest_sighted(a, seen, B("t0ken"), message, BYTES_NONE))
        relaytest_judge(seen, 1, &findings);
    for (size_t i = 0; i < findings.count; i++)
        MUST(is_clean(findings.list[i]->seen));
}

static void converse(struct world *w, struct arena *a, uint8_t how, struct addr at) {
    struct relaytest_want want = {
        .address = at,
        .hostname = B("client.example.org"),
        .host = B("127.0.0.1"),
        .name = how & NAMED ? B("mail.example.com") : BYTES_NONE,
        .to = how & NAMED ? B("bob@example.net") : BYTES_NONE,
        .lmtp = how & LMTP,
        .brief = how & BRIEF,
        .timeout_ms = 100,
        .deadline_ms = 400,
        .connections = how & FEW ? 1 : 4,
        .per_connection = 3,
        .messages = how & SEND ? 5 : 0,
        .token = B("t0ken"),
    };
    struct relaytest_seen *seen;
    struct relaytest *t = relaytest_open(w->loop, a, &want, on_over, w, &seen);
    struct bytes message = w->rest;
    loop_run(w->loop);
    MUST(w->over);
    (void)t; /* gone with on_over */
    check(seen, how & SEND, message, a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct addr here = { .family = 4, .ip = { 127, 0, 0, 1 } };
    struct why why;
    int door;
    if (size < 2 || size > SIZE_MAX_HERE)
        return 0;
    struct arena *a = arena_open();
    struct world w = { .loop = loop_open(), .rest = bytes_of(data + 1, size - 1) };
    MUST(sockets_listen_tcp(here, &door, &why) == OK);
    here = sockets_bound(door);
    w.listener = stream_listen(w.loop, door, on_accept, &w);
    converse(&w, a, data[0], here);
    stream_listener_close(&w.listener);
    if (w.server)
        stream_abort(&w.server);
    timer_set(w.loop, &w.end, 0, stop, &w); /* handles are let go in a turn of the loop */
    loop_run(w.loop);
    loop_close(&w.loop);
    arena_close(&a);
    return 0;
}
