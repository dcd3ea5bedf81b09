/* A hostile server against the doctor's conversation, over a real socket. The first octet says how far the doctor
 * goes; the rest is what the server says, cut at 0xff into what it says after each thing it hears, and it closes at the end.
 * However that looks, the conversation ends once, with a step and how it failed that fit each other, and the transcript
 * is clean, bounded, and without the password. */
#include "base/must.h"
#include "doctor/conversation.h"
#include "sys/sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE_MAX_HERE = 300 * 1000 };
enum { LOGIN = 1, MAIL = 2, SEND = 4, PIPELINE = 8, LMTP = 16, XCLIENT = 32, TWO = 64 };

struct world {
    struct loop *loop;
    struct bytes rest; /* of what the server says */
    bool spoke_all;
    struct stream *server;
    struct stream_listener *listener;
    struct timer end;
    struct transcript transcript;
    bool seen;
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
    MUST(!w->server);
    w->server = s;
    stream_attach(s, &handler, w);
    speak(w);
}

static void stop(void *ctx) {
    struct world *w = ctx;
    loop_stop(w->loop);
}

static bool is_clean(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7f)
            return false;
    return bytes_is_utf8(text) && bytes_search(text, B("Secret-42")) < 0;
}

static void on_seen(void *ctx, const struct conversation_seen *seen) {
    struct world *w = ctx;
    MUST(!w->seen);
    w->seen = true;
    MUST((seen->step == STEP_NONE) == (seen->how == HOW_FINE));
    MUST(seen->step < STEPS && seen->accepted <= seen->recipient_count &&
         seen->try_count <= LOGIN_TRIES);
    MUST(seen->how != HOW_REFUSED || seen->said[seen->step].code >= 300);
    MUST(bytes_search(seen->words, B("Secret-42")) < 0);
    loop_stop(w->loop);
}

static struct bytes socket_path(void) {
    static char path[64];
    if (!path[0])
        snprintf(path, sizeof path, "/tmp/postern-fuzz-%d.sock", (int)getpid());
    return bytes_str(path);
}

static struct conversation_want wanted(struct world *w, uint8_t how) {
    static const struct bytes recipients[] = { { "bob@example.com", 15 },
                                               { "carol@example.com", 17 } };
    return (struct conversation_want){
        .session = B("main"),
        .address = { .family = 1 },
        .path = socket_path(),
        .lmtp = how & LMTP,
        .pipeline = how & PIPELINE,
        .xclient = how & XCLIENT ? B("ADDR=192.0.2.1") : BYTES_NONE,
        .login = how & LOGIN,
        .auth = { .user = B("alice"),
                  .password = B("Secret-42"),
                  .allow_plain = true,
                  .host = B("localhost") },
        .mail = how & (MAIL | SEND),
        .sender = B("alice@example.com"),
        .recipients = recipients,
        .recipient_count = how & TWO ? 2 : 1,
        .send = how & SEND,
        .content = B("Subject: x\r\n\r\n.dot\r\n"),
        .until = STEP_NONE,
        .timeout_ms = 500,
        .ends = loop_now(w->loop) + 1000,
        .transcript = &w->transcript,
    };
}

static void converse(struct world *w, struct arena *a, uint8_t how) {
    struct conversation_want want = wanted(w, how);
    conversation_open(w->loop, a, &want, on_seen, w);
    loop_run(w->loop);
    MUST(w->seen);
    for (size_t i = 0; i < w->transcript.count; i++) {
        MUST(is_clean(w->transcript.lines[i].text));
        MUST(w->transcript.lines[i].text.len < 4 * TRANSCRIPT_TEXT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int door;
    struct why why;
    if (size < 2 || size > SIZE_MAX_HERE)
        return 0;
    struct arena *a = arena_open();
    struct world w = { .loop = loop_open(), .rest = bytes_of(data + 1, size - 1) };
    transcript_open(&w.transcript, a);
    transcript_password(&w.transcript, B("alice"), B("Secret-42"));
    MUST(sockets_listen_unix(socket_path(), SOCK_STREAM, 0600, &door, &why) == OK);
    w.listener = stream_listen(w.loop, door, on_accept, &w);
    converse(&w, a, data[0]);
    if (w.server)
        stream_abort(&w.server);
    stream_listener_close(&w.listener);
    timer_set(w.loop, &w.end, 0, stop, &w); /* handles are let go in a turn of the loop */
    loop_run(w.loop);
    loop_close(&w.loop);
    unlink(socket_path().at);
    arena_close(&a);
    return 0;
}
