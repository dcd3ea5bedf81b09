/* stream: connections on non-blocking sockets watched by the loop. What makes them cheap:
 *
 * - Reading goes to one buffer of the loop, decrypting to another; a stream owns memory only while
 *   something waits to be sent.
 * - While on_read runs, what its owner writes to the same stream gathers in a third buffer and goes
 *   out in one send (one TLS record) when on_read returns: a group of pipelined commands costs one
 *   recv and one send. Outside on_read a write is tried at once.
 * - stream_hold costs nothing until octets really arrive.
 *
 * No callback is ever called from within a function of the owner's; what has to be told is put on a
 * list and told in the next turn. */
#include "sys/stream.h"

#include "base/list.h"
#include "base/must.h"
#include "sys/loop_impl.h"
#include "sys/sockets.h"
#include "sys/stream_impl.h"
#include "sys/tls_engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_SIZE = 64 * 1024,
    ENOUGH_PENDING = 64 * 1024,
    PENDING_MAX = 64 * 1024 * 1024, /* an owner deaf to stream_write's answer is cut off here */
    KEEP_SPARE = 256 * 1024,
    GATHER_BELOW = 16 * 1024,
    LINGER_MS = 10000,
    DRAIN_MAX = 16 * 1024 * 1024,
    DRAIN_AT_ONCE = 16, /* reads in one turn */
};

enum phase {
    OPEN,
    ENDED,     /* its owner was told, or is being told, that nothing more comes */
    LINGERING, /* closed by its owner; what it wrote still goes out */
    GONE,      /* freed at the end of the turn */
};

/* What waits to be sent: data from `sent` on. */
struct outgoing {
    struct buf data;
    size_t sent;
};

struct secure {
    struct tls_engine *engine;
    bool done;        /* the handshake */
    struct buf early; /* what the owner wrote before it was done */
    struct buf kept;  /* received, but the owner held the stream before it was decrypted */
};

struct farewell {
    struct timer timer;
    struct list_node node;
    struct stream *stream;
    size_t drained;
    bool all_sent;
};

struct stream {
    uv_poll_t poll;
    const struct stream_handler *handler;
    void *ctx;
    /* These three only while they are needed. */
    struct outgoing *out;
    struct secure *secure;
    struct farewell *farewell;
    struct list_node later;
    struct addr peer, local;
    int fd;
    int error;       /* of sending, told by on_end */
    uint8_t phase;   /* enum phase */
    uint8_t polling; /* UV_READABLE, UV_WRITABLE as last set */
    bool held;       /* by its owner */
    bool parked;     /* octets came while it was held: not polled for more */
    bool told_full;  /* stream_write returned false */
    bool mute;       /* sending failed */
    bool peer_ended;
};

/* Once a loop. */
struct shared {
    struct loop *loop;
    char *read;           /* READ_SIZE */
    struct buf plain;     /* what was decrypted */
    struct buf gathered;  /* what the owner of `reading` writes meanwhile */
    struct buf encrypted; /* what is about to be sent */
    struct stream *reading;
    struct list later;
    struct timer turn;
    struct list lingering;
};

static void on_event(uv_poll_t *poll, int status, int events);
static void read_secure(struct stream *s);
static void finish_close(struct stream *s);

static struct shared *shared(const struct stream *s) {
    return CONTAINER_OF(s->poll.loop, struct loop, uv)->streams;
}

static void shared_free(void *arg) {
    struct shared *h = arg;
    struct list_node *n;
    while ((n = list_first(&h->lingering))) {
        struct stream *s = CONTAINER_OF(n, struct farewell, node)->stream;
        stream_abort(&s);
    }
    timer_clear(&h->turn);
    buf_free(&h->plain);
    buf_free(&h->gathered);
    buf_free(&h->encrypted);
    free(h->read);
    free(h);
}

static void shared_make(struct loop *l) {
    if (l->streams)
        return;
    struct shared *h = calloc(1, sizeof *h);
    MUST(h);
    h->loop = l;
    h->read = malloc(READ_SIZE);
    MUST(h->read);
    h->plain = buf_grow(READ_SIZE);
    h->gathered = buf_grow(PENDING_MAX);
    h->encrypted = buf_grow(PENDING_MAX);
    list_init(&h->later);
    list_init(&h->lingering);
    l->streams = h;
    l->streams_free = shared_free;
}

/* Empties a shared buffer; what a burst made it grow to is given back. */
static void release(struct buf *b) {
    if (b->cap > KEEP_SPARE)
        buf_free(b);
    else
        buf_clear(b);
}

/* --- making and asking ------------------------------------------------------------------------ */

static void ignore_read(void *ctx, struct bytes data) {
    (void)ctx;
    (void)data;
}

static void ignore_end(void *ctx, int error) {
    (void)ctx;
    (void)error;
}

static const struct stream_handler nobody = { .on_read = ignore_read, .on_end = ignore_end };

static size_t out_pending(const struct stream *s) {
    return s->out ? s->out->data.len - s->out->sent : 0;
}

static void update_poll(struct stream *s) {
    bool reading = s->farewell ? s->farewell->all_sent : s->phase == OPEN && !s->parked;
    int want = (reading ? UV_READABLE : 0) | (out_pending(s) ? UV_WRITABLE : 0);
    if (s->phase == GONE || want == s->polling)
        return;
    s->polling = (uint8_t)want;
    if (want)
        uv_poll_start(&s->poll, want, on_event);
    else
        uv_poll_stop(&s->poll);
}

struct stream *stream_adopt(struct loop *l, int fd, struct addr peer, struct addr local) {
    shared_make(l);
    struct stream *s = calloc(1, sizeof *s);
    MUST(s);
    MUST(uv_poll_init(&l->uv, &s->poll, fd) == 0);
    s->poll.data = s;
    s->fd = fd;
    s->peer = peer;
    s->local = local;
    s->handler = &nobody;
    update_poll(s);
    return s;
}

void stream_attach(struct stream *s, const struct stream_handler *handler, void *ctx) {
    MUST(handler && handler->on_read && handler->on_end);
    s->handler = handler;
    s->ctx = ctx;
}

struct addr stream_peer(const struct stream *s) {
    return s->peer;
}

struct addr stream_local(const struct stream *s) {
    /* The kernel is asked only when somebody wants to know. */
    if (s->local.family == 0)
        ((struct stream *)(uintptr_t)s)->local = sockets_bound(s->fd);
    return s->local;
}

struct loop *stream_loop(const struct stream *s) {
    return CONTAINER_OF(s->poll.loop, struct loop, uv);
}

bool stream_credentials(const struct stream *s, unsigned *uid_out, unsigned *gid_out,
                        int *pid_out) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (s->peer.family != 1 || getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return false;
    *uid_out = peer.uid;
    *gid_out = peer.gid;
    *pid_out = peer.pid;
    return true;
}

bool stream_peer_in_group(const struct stream *s, unsigned gid) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (s->peer.family != 1 || getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return false;
    gid_t groups[1024];
    size = sizeof groups;
    if (peer.gid == gid)
        return true;
    if (getsockopt(s->fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        return false;
    for (size_t i = 0; i < size / sizeof groups[0]; i++)
        if (groups[i] == gid)
            return true;
    return false;
}

const struct tls_info *stream_tls(const struct stream *s) {
    return s->secure && s->secure->done ? tls_engine_info(s->secure->engine) : NULL;
}

size_t stream_pending(const struct stream *s) {
    const struct shared *h = shared(s);
    return out_pending(s) + (s->secure ? s->secure->early.len : 0) +
           (h->reading == s ? h->gathered.len : 0);
}

/* --- its end ------------------------------------------------------------------------------------ */

static void drop_out(struct stream *s) {
    if (!s->out)
        return;
    buf_free(&s->out->data);
    free(s->out);
    s->out = NULL;
}

static void free_stream(uv_handle_t *handle) {
    struct stream *s = handle->data;
    if (s->secure) {
        tls_engine_close(&s->secure->engine);
        buf_free(&s->secure->early);
        buf_free(&s->secure->kept);
        free(s->secure);
    }
    free(s);
}

/* Closes the socket now; the struct stays until the callbacks that may be running have returned. */
static void die(struct stream *s) {
    struct shared *h = shared(s);
    MUST(s->phase != GONE);
    s->phase = GONE;
    if (list_linked(&s->later))
        list_remove(&h->later, &s->later);
    if (s->farewell) {
        timer_clear(&s->farewell->timer);
        list_remove(&h->lingering, &s->farewell->node);
        free(s->farewell);
        s->farewell = NULL;
    }
    drop_out(s);
    uv_close((uv_handle_t *)&s->poll, free_stream);
    close(s->fd);
}

/* Tells the owner, who then must close: the last callback. */
static void tell_end(struct stream *s, int error) {
    struct why why;
    MUST(s->phase == OPEN);
    s->phase = ENDED;
    update_poll(s);
    if (!s->secure || s->secure->done || !s->handler->on_secured) {
        s->handler->on_end(s->ctx, error);
        return;
    }
    why_set(&why, TEMP, 0, "4.7.0", "tls.handshake",
            error ? "the connection broke during the TLS handshake: %s"
                  : "the peer ended the connection during the TLS handshake%s",
            error ? strerror(error) : "");
    s->handler->on_secured(s->ctx, TEMP, NULL, &why);
}

static void tell_tls_failure(struct stream *s, const struct why *why) {
    s->phase = ENDED;
    update_poll(s);
    if (!s->secure->done && s->handler->on_secured)
        s->handler->on_secured(s->ctx, TEMP, NULL, why);
    else
        s->handler->on_end(s->ctx, EPROTO);
}

/* --- later: what is told in the next turn ----------------------------------------------------- */

static void decrypt_kept(struct stream *s) {
    struct buf kept = s->secure->kept;
    s->secure->kept = buf_grow(PENDING_MAX);
    tls_engine_feed(s->secure->engine, buf_bytes(&kept));
    read_secure(s); /* keeps again what it does not get to */
    buf_free(&kept);
}

static void settle(struct stream *s) {
    if (s->phase == OPEN && s->told_full && stream_pending(s) < ENOUGH_PENDING) {
        s->told_full = false;
        if (s->handler->on_writable)
            s->handler->on_writable(s->ctx);
    }
    if (s->phase == OPEN && !s->held && s->secure && s->secure->kept.len)
        decrypt_kept(s);
    /* Otherwise the end is found by reading, behind what still can be read. */
    if (s->phase == OPEN && s->mute && s->held)
        tell_end(s, s->error);
}

static void on_turn(void *ctx) {
    struct shared *h = ctx;
    struct list_node *n;
    for (size_t count = h->later.count; count > 0 && (n = list_pop(&h->later)); count--)
        settle(CONTAINER_OF(n, struct stream, later));
    if (h->later.count)
        timer_set(h->loop, &h->turn, 0, on_turn, h);
}

static void settle_later(struct stream *s) {
    struct shared *h = shared(s);
    if (s->phase != OPEN || list_linked(&s->later))
        return;
    list_append(&h->later, &s->later);
    if (!timer_is_set(&h->turn))
        timer_set(h->loop, &h->turn, 0, on_turn, h);
}

/* --- sending ------------------------------------------------------------------------------------ */

static void sending_failed(struct stream *s, int error) {
    s->mute = true;
    s->error = error;
    drop_out(s);
    if (s->secure)
        buf_free(&s->secure->early);
    settle_later(s);
    update_poll(s);
}

/* What the socket takes now; 0 also when sending failed. */
static size_t send_now(struct stream *s, struct bytes data) {
    ssize_t sent;
    do
        sent = send(s->fd, data.at, data.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return (size_t)sent;
    if (errno != EAGAIN)
        sending_failed(s, errno);
    return 0;
}

/* The queue's buffer, to append to. */
static struct buf *out_open(struct stream *s) {
    if (!s->out) {
        s->out = calloc(1, sizeof *s->out);
        MUST(s->out);
        s->out->data = buf_grow(PENDING_MAX);
    }
    if (s->out->sent > s->out->data.len / 2) {
        buf_drop(&s->out->data, s->out->sent);
        s->out->sent = 0;
    }
    return &s->out->data;
}

static void out_grown(struct stream *s) {
    if (s->out->data.full)
        sending_failed(s, ENOBUFS);
    else if (out_pending(s) == 0)
        drop_out(s);
    else
        update_poll(s);
}

static void send_or_queue(struct stream *s, struct bytes data) {
    if (s->mute || data.len == 0)
        return;
    if (!s->out)
        data = bytes_skip(data, send_now(s, data));
    if (s->mute || data.len == 0)
        return;
    buf_add(out_open(s), data);
    out_grown(s);
}

/* Sends what a TLS engine put into the shared buffer. */
static void send_encrypted(struct stream *s) {
    struct buf *encrypted = &shared(s)->encrypted;
    send_or_queue(s, buf_bytes(encrypted));
    release(encrypted);
}

static void encrypt(struct stream *s, struct bytes data) {
    bool fine;
    if (s->mute)
        return;
    if (s->out) {
        fine = tls_engine_write(s->secure->engine, data, out_open(s));
        out_grown(s);
    } else {
        fine = tls_engine_write(s->secure->engine, data, &shared(s)->encrypted);
        send_encrypted(s);
    }
    if (!fine && !s->mute)
        sending_failed(s, EPROTO);
}

static void put(struct stream *s, struct bytes data) {
    if (data.len == 0 || s->mute)
        return;
    if (!s->secure)
        send_or_queue(s, data);
    else if (s->secure->done)
        encrypt(s, data);
    else
        buf_add(&s->secure->early, data);
}

/* Sends what the owner wrote during on_read. */
static void flush_gathered(struct stream *s) {
    struct shared *h = shared(s);
    if (h->reading != s || h->gathered.len == 0)
        return;
    put(s, buf_bytes(&h->gathered));
    release(&h->gathered);
}

bool stream_write(struct stream *s, struct bytes data) {
    struct shared *h = shared(s);
    MUST(s->phase <= ENDED);
    if (h->reading == s && data.len < GATHER_BELOW) {
        buf_add(&h->gathered, data);
        if (h->gathered.len >= ENOUGH_PENDING)
            flush_gathered(s);
    } else {
        flush_gathered(s);
        put(s, data);
    }
    if (stream_pending(s) < ENOUGH_PENDING)
        return true;
    s->told_full = true;
    return false;
}

static void flush_out(struct stream *s) {
    if (!s->out)
        return;
    size_t sent = send_now(s, bytes_skip(buf_bytes(&s->out->data), s->out->sent));
    if (s->mute) {
        if (s->phase == LINGERING)
            die(s);
        return;
    }
    s->out->sent += sent;
    if (out_pending(s) == 0)
        drop_out(s);
    if (s->phase == LINGERING && !s->out)
        finish_close(s);
    else if (s->phase == OPEN && s->told_full && stream_pending(s) < ENOUGH_PENDING)
        settle(s);
}

/* --- receiving ------------------------------------------------------------------------------- */

void stream_hold(struct stream *s) {
    s->held = true;
}

void stream_resume(struct stream *s) {
    s->held = s->parked = false;
    if (s->secure && s->secure->kept.len)
        settle_later(s);
    update_poll(s);
}

static void give(struct stream *s, struct bytes data) {
    struct shared *h = shared(s);
    h->reading = s;
    s->handler->on_read(s->ctx, data);
    if (s->phase <= ENDED)
        flush_gathered(s);
    release(&h->gathered);
    h->reading = NULL;
}

static void tell_secured(struct stream *s) {
    struct secure *secure = s->secure;
    secure->done = true;
    put(s, buf_bytes(&secure->early));
    buf_free(&secure->early);
    if (s->told_full)
        settle_later(s);
    if (s->handler->on_secured)
        s->handler->on_secured(s->ctx, OK, tls_engine_info(secure->engine), NULL);
}

/* One step of the engine; false when there is no more to be had from it now. */
static bool read_secure_step(struct stream *s) {
    struct shared *h = shared(s);
    struct why why;
    enum engine_step step = tls_engine_read(s->secure->engine, &h->plain, &h->encrypted, &why);
    send_encrypted(s);
    switch (step) {
    case ENGINE_SECURED:
        tell_secured(s);
        return true;
    case ENGINE_DATA:
        give(s, buf_bytes(&h->plain));
        buf_clear(&h->plain);
        return true;
    case ENGINE_ENDED:
        s->peer_ended = true;
        tell_end(s, 0);
        return false;
    case ENGINE_FAILED:
        tell_tls_failure(s, &why);
        return false;
    case ENGINE_MORE:
        return false;
    }
    return false;
}

static void read_secure(struct stream *s) {
    while (s->phase == OPEN && !s->held && read_secure_step(s))
        ;
    struct bytes rest = tls_engine_unread(s->secure->engine);
    if (s->phase == OPEN)
        buf_add(&s->secure->kept, rest);
}

/* Throws away what a peer goes on sending to a closed stream: closing a socket with unread octets
 * resets the connection, and the peer may lose the reply that told it why. */
static void drain(struct stream *s) {
    char octets[4096];
    for (int i = 0; i < DRAIN_AT_ONCE; i++) {
        ssize_t got = recv(s->fd, octets, sizeof octets, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (got > 0)
            s->farewell->drained += (size_t)got;
        if (got <= 0 || s->farewell->drained > DRAIN_MAX) {
            die(s);
            return;
        }
    }
}

/* False when there was nothing to receive. */
static bool receive(struct stream *s) {
    struct shared *h = shared(s);
    ssize_t got = recv(s->fd, h->read, READ_SIZE, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        s->peer_ended = true;
        tell_end(s, s->error ? s->error : got < 0 ? errno : 0);
    } else if (!s->secure) {
        give(s, bytes_of(h->read, (size_t)got));
    } else {
        tls_engine_feed(s->secure->engine, bytes_of(h->read, (size_t)got));
        read_secure(s);
    }
    return true;
}

static bool on_readable(struct stream *s) {
    if (s->phase == OPEN && s->held)
        s->parked = true;
    else if (s->phase == OPEN && s->secure && s->secure->kept.len)
        decrypt_kept(s);
    else if (s->phase == OPEN)
        return receive(s);
    else if (s->farewell && s->farewell->all_sent)
        drain(s);
    else
        return false;
    return true;
}

/* The kernel noted an error that neither reading nor writing told. */
static void on_error(struct stream *s) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (!error)
        error = s->error ? s->error : EIO;
    if (s->phase == OPEN)
        tell_end(s, error);
    else if (s->phase == LINGERING)
        die(s);
    else if (!s->mute)
        sending_failed(s, error);
}

static void on_event(uv_poll_t *poll, int status, int events) {
    struct stream *s = poll->data;
    if (status < 0) {
        s->polling = 0; /* libuv stops on POLLERR */
        events = UV_READABLE | UV_WRITABLE;
    }
    if (events & UV_WRITABLE)
        flush_out(s);
    bool read = events & UV_READABLE && s->phase != GONE && on_readable(s);
    if (status < 0 && !read && s->phase != GONE)
        on_error(s);
    update_poll(s);
}

/* --- TLS ------------------------------------------------------------------------------------------ */

static void start_tls(struct stream *s, struct tls_engine *engine) {
    MUST(!s->secure && s->phase <= ENDED);
    flush_gathered(s);
    struct secure *secure = calloc(1, sizeof *secure);
    MUST(secure);
    secure->engine = engine;
    secure->early = buf_grow(PENDING_MAX);
    secure->kept = buf_grow(PENDING_MAX);
    s->secure = secure;
    tls_engine_start(engine, &shared(s)->encrypted);
    send_encrypted(s);
    stream_resume(s);
}

void stream_start_tls_server(struct stream *s, struct tls_server *tls, bool ask_certificate) {
    start_tls(s, tls_engine_server(tls, ask_certificate));
}

void stream_start_tls_client(struct stream *s, struct tls_client *tls,
                             const struct tls_want *want) {
    start_tls(s, tls_engine_client(tls, want));
}

void stream_tls_received(struct stream *s, struct bytes data) {
    MUST(s->secure && !s->secure->done);
    buf_add(&s->secure->kept, data);
    settle_later(s);
}

/* --- closing ------------------------------------------------------------------------------------ */

static void on_linger_over(void *ctx) {
    die(ctx);
}

static void linger(struct stream *s) {
    if (s->farewell)
        return;
    s->farewell = calloc(1, sizeof *s->farewell);
    MUST(s->farewell);
    s->farewell->stream = s;
    list_append(&shared(s)->lingering, &s->farewell->node);
    timer_set(stream_loop(s), &s->farewell->timer, LINGER_MS, on_linger_over, s);
}

/* Everything is sent. A peer that has nothing more on its way to us is let go at once. */
static void finish_close(struct stream *s) {
    char octet;
    if (s->peer_ended || recv(s->fd, &octet, 1, MSG_DONTWAIT | MSG_PEEK) <= 0 ||
        shutdown(s->fd, SHUT_WR) < 0) {
        die(s);
        return;
    }
    linger(s);
    s->farewell->all_sent = true;
    update_poll(s);
}

void stream_close(struct stream **stream) {
    struct stream *s = *stream;
    if (!s)
        return;
    *stream = NULL;
    MUST(s->phase <= ENDED);
    flush_gathered(s);
    if (s->secure && s->secure->done && !s->mute) {
        tls_engine_shutdown(s->secure->engine, &shared(s)->encrypted);
        send_encrypted(s);
    }
    if (list_linked(&s->later))
        list_remove(&shared(s)->later, &s->later);
    s->handler = &nobody;
    s->phase = LINGERING;
    if (s->mute) {
        die(s);
    } else if (s->out) {
        linger(s);
        update_poll(s);
    } else {
        finish_close(s);
    }
}

void stream_abort(struct stream **stream) {
    if (*stream)
        die(*stream);
    *stream = NULL;
}
