/* A scripted mail server on a loopback port, on the test's own loop. It takes everything, but for
 * what the script says: rules { command prefix, reply, how often }, tried in order. The reply "!"
 * closes the connection, "" says nothing. The prefix "." is the end of data, "banner" the greeting.
 * STARTTLS works with `tls` set; without, the handshake breaks. */
#ifndef TESTS_DELIVER_PEER_H
#define TESTS_DELIVER_PEER_H

#include "base/must.h"
#include "sys/sockets.h"
#include "sys/stream.h"

#include <stdlib.h>
#include <string.h>

enum { PEER_SESSIONS = 32 };

struct peer_rule {
    const char *prefix, *reply;
    unsigned times; /* 0: always */
};
struct peer;
struct peer_session {
    struct peer *peer;
    struct stream *stream;
    struct buf in;
    bool in_data, lmtp, broken;
    unsigned taken;
};
struct peer {
    struct loop *loop;
    struct stream_listener *listener;
    struct addr address;
    const char *hello; /* the reply to EHLO and LHLO */
    struct tls_server *tls;
    struct peer_rule rules[16];
    unsigned used[16];
    unsigned connections, messages;
    struct buf log;  /* commands, a line each */
    struct buf data; /* the last message's content */
    struct peer_session sessions[PEER_SESSIONS];
};

static inline bool peer_rule(struct peer *p, struct bytes line, const char **reply_out) {
    for (size_t i = 0; i < COUNT_OF(p->rules) && p->rules[i].prefix; i++) {
        if (!bytes_starts_nocase(line, bytes_str(p->rules[i].prefix)))
            continue;
        if (p->rules[i].times && p->used[i] >= p->rules[i].times)
            continue;
        p->used[i]++;
        *reply_out = p->rules[i].reply;
        return true;
    }
    return false;
}

static inline void peer_say(struct peer_session *s, struct bytes line, const char *reply) {
    peer_rule(s->peer, line, &reply);
    if (!strcmp(reply, "!")) {
        stream_abort(&s->stream);
        return;
    }
    stream_write(s->stream, bytes_str(reply));
}

static inline void peer_end_of_data(struct peer_session *s) {
    s->in_data = false;
    s->peer->messages++;
    unsigned replies = s->lmtp ? s->taken : 1;
    for (unsigned i = 0; i < replies && s->stream; i++)
        peer_say(s, B("."), "250 2.0.0 queued as 1\r\n");
}

static inline void peer_command(struct peer_session *s, struct bytes line) {
    struct peer *p = s->peer;
    const char *reply = "250 2.1.0 ok\r\n";
    buf_add(&p->log, line);
    buf_char(&p->log, '\n');
    s->lmtp |= bytes_starts(line, B("LHLO"));
    if (bytes_starts(line, B("EHLO")) || bytes_starts(line, B("LHLO")))
        reply = p->hello;
    else if (bytes_starts(line, B("MAIL")))
        s->taken = 0;
    else if (bytes_equal(line, B("QUIT")))
        reply = "221 2.0.0 bye\r\n";
    else if (bytes_equal(line, B("DATA")))
        reply = s->taken ? "354 go on\r\n" : "554 5.5.1 no valid recipients\r\n";
    peer_rule(p, line, &reply);
    if (!strcmp(reply, "!")) {
        stream_abort(&s->stream);
        return;
    }
    s->taken += bytes_starts(line, B("RCPT")) && reply[0] == '2';
    s->in_data = bytes_equal(line, B("DATA")) && reply[0] == '3';
    if (s->in_data)
        buf_clear(&p->data);
    stream_write(s->stream, bytes_str(reply));
    if (bytes_equal(line, B("STARTTLS")) && reply[0] == '2') {
        s->broken = !p->tls;
        if (p->tls)
            stream_start_tls_server(s->stream, p->tls, false);
    }
}

static inline void peer_read(void *ctx, struct bytes data) {
    struct peer_session *s = ctx;
    if (s->broken) {
        stream_abort(&s->stream);
        return;
    }
    buf_add(&s->in, data);
    while (s->stream) {
        ptrdiff_t end = bytes_search(buf_bytes(&s->in), B("\r\n"));
        if (end < 0)
            return;
        char line[2048];
        struct buf copy = buf_fixed(line, sizeof line);
        buf_add(&copy, bytes_first(buf_bytes(&s->in), (size_t)end));
        buf_drop(&s->in, (size_t)end + 2);
        if (!s->in_data) {
            peer_command(s, buf_bytes(&copy));
        } else if (bytes_equal(buf_bytes(&copy), B("."))) {
            peer_end_of_data(s);
        } else {
            buf_add(&s->peer->data, buf_bytes(&copy));
            buf_char(&s->peer->data, '\n');
        }
    }
}

static inline void peer_ended(void *ctx, int error) {
    struct peer_session *s = ctx;
    (void)error;
    stream_abort(&s->stream);
}

static inline void peer_secured(void *ctx, enum rc rc, const struct tls_info *info,
                                const struct why *why) {
    struct peer_session *s = ctx;
    (void)info;
    (void)why;
    if (rc != OK)
        stream_abort(&s->stream);
}

static inline void peer_accept(void *ctx, struct stream *stream) {
    static const struct stream_handler handler = { .on_read = peer_read,
                                                   .on_end = peer_ended,
                                                   .on_secured = peer_secured };
    struct peer *p = ctx;
    MUST(p->connections < PEER_SESSIONS);
    struct peer_session *s = &p->sessions[p->connections++];
    *s = (struct peer_session){ .peer = p, .stream = stream, .in = buf_grow(1 << 24) };
    stream_attach(stream, &handler, s);
    peer_say(s, B("banner"), "220 peer.example ESMTP\r\n");
}

static inline void peer_init(struct peer *p, struct loop *l) {
    *p = (struct peer){ .loop = l, .log = buf_grow(1 << 20), .data = buf_grow(1 << 24) };
    p->hello = "250-peer.example\r\n250-PIPELINING\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n";
}

static inline void peer_open(struct peer *p, struct loop *l) {
    int fd;
    struct addr at;
    peer_init(p, l);
    MUST(addr_parse_port(B("127.0.0.1:0"), &at));
    MUST(sockets_listen_tcp(at, &fd, NULL) == OK);
    p->address = sockets_bound(fd);
    p->listener = stream_listen(l, fd, peer_accept, p);
}

static inline void peer_open_unix(struct peer *p, struct loop *l, const char *path) {
    int fd;
    peer_init(p, l);
    MUST(sockets_listen_unix(bytes_str(path), SOCK_STREAM, 0600, &fd, NULL) == OK);
    p->listener = stream_listen(l, fd, peer_accept, p);
}

static inline void peer_stop(struct peer *p) {
    stream_listener_close(&p->listener);
}

static inline void peer_close(struct peer *p) {
    if (p->listener)
        peer_stop(p);
    for (unsigned i = 0; i < p->connections; i++) {
        if (p->sessions[i].stream)
            stream_abort(&p->sessions[i].stream);
        buf_free(&p->sessions[i].in);
    }
    buf_free(&p->log);
    buf_free(&p->data);
}

#endif
