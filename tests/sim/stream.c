/* The simulated network: a stream is one end of a pair of queues. What is written arrives in a later
 * turn; TLS is the real engine. */
#include "base/list.h"
#include "base/must.h"
#include "sim.h"
#include "sys/tls_engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE_MAX = 256 * 1024 * 1024, ENOUGH = 64 * 1024, BOUND_MAX = 256, FIRST_FD = 1000 };

struct stream {
    struct loop *loop;
    const struct stream_handler *handler;
    void *ctx;
    struct addr peer, local;
    struct stream *other; /* NULL when it is gone */
    struct buf inbox;     /* as on the wire */
    struct tls_engine *engine;
    bool secured, held, closed, told_end, ended, full;
    int end_error;
    struct timer timer;
    struct buf early; /* written before the handshake was done */
};

static struct bound {
    struct addr at;
    bool blackhole;
    struct stream_listener *listener;
} bounds[BOUND_MAX];
static size_t bound_count;
static size_t piece_size = QUEUE_MAX;

struct stream_listener {
    struct loop *loop;
    size_t index;
    void (*on_accept)(void *ctx, struct stream *s);
    void *ctx;
};

struct stream_connect {
    struct loop *loop;
    struct connect_to to;
    struct timer timer;
    void (*on_connect)(void *ctx, enum rc rc, struct stream *s, const struct why *why);
    void *ctx;
};

static void wake(struct stream *s);

/* --- addresses --------------------------------------------------------------------------- */

int sim_bind(struct addr at) {
    MUST(bound_count < BOUND_MAX);
    bounds[bound_count] = (struct bound){ .at = at };
    return FIRST_FD + (int)bound_count++;
}

void sim_blackhole(struct addr at) {
    bounds[sim_bind(at) - FIRST_FD].blackhole = true;
}

void sim_reset(void) {
    bound_count = 0;
    piece_size = QUEUE_MAX;
}

void sim_pieces(size_t octets) {
    piece_size = octets;
}

static struct bound *find_bound(struct addr at) {
    for (size_t i = bound_count; i > 0; i--) {
        struct bound *b = &bounds[i - 1];
        if (addr_equal(b->at, at) && (b->blackhole ? !b->at.port || b->at.port == at.port
                                                   : b->listener && b->at.port == at.port))
            return b;
    }
    return NULL;
}

struct stream_listener *stream_listen(struct loop *l, int fd,
                                      void (*on_accept)(void *ctx, struct stream *s), void *ctx) {
    struct stream_listener *listener = calloc(1, sizeof(*listener));
    MUST(listener && fd >= FIRST_FD);
    *listener = (struct stream_listener){ l, (size_t)(fd - FIRST_FD), on_accept, ctx };
    bounds[listener->index].listener = listener;
    return listener;
}

void stream_listener_close(struct stream_listener **l) {
    bounds[(*l)->index].listener = NULL;
    free(*l);
    *l = NULL;
}

/* --- connecting -------------------------------------------------------------------------- */

static struct stream *new_end(struct loop *l, struct addr local, struct addr peer) {
    struct stream *s = calloc(1, sizeof(*s));
    MUST(s);
    s->loop = l;
    s->local = local;
    s->peer = peer;
    s->inbox = buf_grow(QUEUE_MAX);
    s->early = buf_grow(QUEUE_MAX);
    return s;
}

static void fail_connect(struct stream_connect *c, const char *reason, const char *text) {
    struct why why;
    why_set(&why, TEMP, 0, "4.4.1", reason, "%s", text);
    void (*on_connect)(void *, enum rc, struct stream *, const struct why *) = c->on_connect;
    void *ctx = c->ctx;
    free(c);
    on_connect(ctx, TEMP, NULL, &why);
}

static void timed_out(void *ctx) {
    fail_connect(ctx, "connect.timeout", "connection timed out");
}

static void connect_now(void *ctx) {
    struct stream_connect *c = ctx;
    struct bound *b = find_bound(c->to.remote);
    if (b && b->blackhole) {
        timer_set(c->loop, &c->timer, c->to.timeout_ms, timed_out, c);
        return;
    }
    if (!b) {
        fail_connect(c, "connect.refused", "connection refused");
        return;
    }
    static uint16_t port = 40000;
    struct addr local = c->to.source;
    if (!local.family)
        addr_parse(c->to.remote.family == 6 ? B("2001:db8:ffff::1") : B("192.0.2.254"), &local);
    local.port = ++port;
    struct stream *ours = new_end(c->loop, local, c->to.remote);
    struct stream *theirs = new_end(c->loop, c->to.remote, local);
    ours->other = theirs;
    theirs->other = ours;
    struct stream_connect copy = *c;
    struct stream_listener *listener = b->listener;
    free(c);
    copy.on_connect(copy.ctx, OK, ours, NULL);
    listener->on_accept(listener->ctx, theirs);
}

struct stream_connect *stream_connect(struct loop *l, const struct connect_to *to,
                                      void (*on_connect)(void *ctx, enum rc rc, struct stream *s,
                                                         const struct why *why),
                                      void *ctx) {
    struct stream_connect *c = calloc(1, sizeof(*c));
    MUST(c && !to->path.len);
    c->loop = l;
    c->to = *to;
    c->on_connect = on_connect;
    c->ctx = ctx;
    timer_set(l, &c->timer, 0, connect_now, c);
    return c;
}

void stream_connect_cancel(struct stream_connect **c) {
    if (*c)
        timer_clear(&(*c)->timer);
    free(*c);
    *c = NULL;
}

/* --- what a stream is -------------------------------------------------------------------- */

void stream_attach(struct stream *s, const struct stream_handler *handler, void *ctx) {
    s->handler = handler;
    s->ctx = ctx;
    wake(s);
}

struct addr stream_peer(const struct stream *s) {
    return s->peer;
}

struct addr stream_local(const struct stream *s) {
    return s->local;
}

struct loop *stream_loop(const struct stream *s) {
    return s->loop;
}

bool stream_credentials(const struct stream *s, unsigned *uid_out, unsigned *gid_out,
                        int *pid_out) {
    (void)s, (void)uid_out, (void)gid_out, (void)pid_out;
    return false;
}

const struct tls_info *stream_tls(const struct stream *s) {
    return s->engine && s->secured ? tls_engine_info(s->engine) : NULL;
}

/* --- writing ----------------------------------------------------------------------------- */

static void send_wire(struct stream *s, struct bytes data) {
    if (!s->other || !data.len)
        return;
    buf_add(&s->other->inbox, data);
    MUST(!s->other->inbox.full);
    wake(s->other);
}

bool stream_write(struct stream *s, struct bytes data) {
    if (s->engine && !s->secured) {
        buf_add(&s->early, data);
        return true;
    }
    if (s->engine) {
        struct buf out = buf_grow(QUEUE_MAX);
        tls_engine_write(s->engine, data, &out);
        send_wire(s, buf_bytes(&out));
        buf_free(&out);
    } else {
        send_wire(s, data);
    }
    s->full = stream_pending(s) >= ENOUGH;
    return !s->full;
}

size_t stream_pending(const struct stream *s) {
    return s->other ? s->other->inbox.len : 0;
}

/* --- reading ----------------------------------------------------------------------------- */

static void read_more(struct stream *s);

static void turn(void *ctx) {
    struct stream *s = ctx;
    if (s->handler)
        read_more(s);
}

static void wake(struct stream *s) {
    if (!s->closed)
        timer_set(s->loop, &s->timer, 0, turn, s);
}

static void tell_room(struct stream *s) {
    struct stream *other = s->other;
    if (!other || !other->full || stream_pending(other) >= ENOUGH)
        return;
    other->full = false;
    if (other->handler && other->handler->on_writable && !other->closed)
        other->handler->on_writable(other->ctx);
}

static void read_plain(struct stream *s) {
    struct buf data = s->inbox;
    struct bytes now = bytes_first(buf_bytes(&data), piece_size);
    s->inbox = buf_grow(QUEUE_MAX);
    if (now.len < data.len) {
        buf_add(&s->inbox, bytes_skip(buf_bytes(&data), now.len));
        wake(s);
    }
    s->handler->on_read(s->ctx, now);
    buf_free(&data);
}

static void secured(struct stream *s) {
    s->secured = true;
    struct buf out = buf_grow(QUEUE_MAX);
    if (s->early.len)
        tls_engine_write(s->engine, buf_bytes(&s->early), &out);
    send_wire(s, buf_bytes(&out));
    buf_free(&out);
    buf_clear(&s->early);
    if (s->handler->on_secured)
        s->handler->on_secured(s->ctx, OK, tls_engine_info(s->engine), NULL);
}

static void handle_step(struct stream *s, enum engine_step step, struct buf *into,
                        const struct why *why) {
    switch (step) {
    case ENGINE_SECURED:
        secured(s);
        return;
    case ENGINE_DATA:
        s->handler->on_read(s->ctx, buf_bytes(into));
        buf_clear(into);
        return;
    case ENGINE_ENDED:
        s->ended = true;
        return;
    case ENGINE_FAILED:
        if (!s->secured && s->handler->on_secured)
            s->handler->on_secured(s->ctx, PERM, NULL, why);
        else
            s->ended = true;
        return;
    case ENGINE_MORE:
        return;
    }
}

static void read_secure(struct stream *s) {
    struct buf wire = s->inbox, into = buf_grow(QUEUE_MAX);
    s->inbox = buf_grow(QUEUE_MAX);
    tls_engine_feed(s->engine, buf_bytes(&wire));
    while (!s->closed && !s->ended) {
        struct buf out = buf_grow(QUEUE_MAX);
        struct why why;
        enum engine_step step = tls_engine_read(s->engine, &into, &out, &why);
        send_wire(s, buf_bytes(&out));
        buf_free(&out);
        if (step == ENGINE_MORE)
            break;
        handle_step(s, step, &into, &why);
        if (step == ENGINE_FAILED)
            break;
    }
    buf_free(&wire);
    buf_free(&into);
}

static void free_stream(void *ctx) {
    struct stream *s = ctx;
    tls_engine_close(&s->engine);
    buf_free(&s->inbox);
    buf_free(&s->early);
    free(s);
}

static void read_more(struct stream *s) {
    if (s->inbox.len && !s->held) {
        if (s->engine)
            read_secure(s);
        else
            read_plain(s);
        if (!s->closed)
            tell_room(s);
    }
    if (s->closed || s->told_end || s->held)
        return;
    if (s->ended || (!s->other && !s->inbox.len)) {
        s->told_end = true;
        s->handler->on_end(s->ctx, s->end_error);
    }
}

void stream_hold(struct stream *s) {
    s->held = true;
}

void stream_resume(struct stream *s) {
    if (!s->held)
        return;
    s->held = false;
    wake(s);
}

/* --- TLS --------------------------------------------------------------------------------- */

static void begin_tls(struct stream *s, struct tls_engine *engine) {
    MUST(!s->engine);
    s->engine = engine;
    s->held = false;
    struct buf out = buf_grow(QUEUE_MAX);
    tls_engine_start(engine, &out);
    send_wire(s, buf_bytes(&out));
    buf_free(&out);
    wake(s);
}

void stream_start_tls_server(struct stream *s, struct tls_server *tls, bool ask_certificate) {
    begin_tls(s, tls_engine_server(tls, ask_certificate));
}

void stream_start_tls_client(struct stream *s, struct tls_client *tls,
                             const struct tls_want *want) {
    begin_tls(s, tls_engine_client(tls, want));
}

void stream_tls_received(struct stream *s, struct bytes data) {
    struct buf all = buf_grow(QUEUE_MAX);
    buf_add(&all, data);
    buf_add(&all, buf_bytes(&s->inbox));
    buf_free(&s->inbox);
    s->inbox = all;
    wake(s);
}

/* --- the end ----------------------------------------------------------------------------- */

static void leave(struct stream *s, int error) {
    struct stream *other = s->other;
    s->closed = true;
    s->other = NULL;
    if (other) {
        other->other = NULL;
        other->end_error = error;
        if (error)
            buf_clear(&other->inbox);
        wake(other);
    }
    timer_set(s->loop, &s->timer, 0, free_stream, s);
}

void stream_close(struct stream **sp) {
    struct stream *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    if (s->engine && s->secured && s->other) {
        struct buf out = buf_grow(QUEUE_MAX);
        tls_engine_shutdown(s->engine, &out);
        send_wire(s, buf_bytes(&out));
        buf_free(&out);
    }
    leave(s, 0);
}

void stream_abort(struct stream **sp) {
    struct stream *s = *sp;
    *sp = NULL;
    if (s)
        leave(s, ECONNRESET);
}
