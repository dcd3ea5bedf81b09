/* stream_open: where streams come from: accepting and connecting. A listener takes a bounded number
 * of connections a turn, so that sessions under way get theirs; out of descriptors it pauses for a
 * second, because the socket would else call without end. */
#include "base/event.h"
#include "base/must.h"
#include "sys/loop_impl.h"
#include "sys/sockets.h"
#include "sys/stream_impl.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ACCEPT_AT_ONCE = 64, PAUSE_MS = 1000 };

/* --- listening --------------------------------------------------------------------------------- */

struct stream_listener {
    uv_poll_t poll;
    struct loop *loop;
    void (*on_accept)(void *ctx, struct stream *s);
    void *ctx;
    struct timer pause;
    struct addr bound;
    int fd;
    bool closed;
};

static void on_pending(uv_poll_t *poll, int status, int events);

static void go_on(void *ctx) {
    struct stream_listener *l = ctx;
    uv_poll_start(&l->poll, UV_READABLE, on_pending);
}

static void pause_accepting(struct stream_listener *l, int error) {
    struct event *e = event_begin("accept-paused");
    event_addr(e, "listener", l->bound);
    event_str(e, "error", strerror(error));
    event_u64(e, "pause_ms", PAUSE_MS);
    event_end(e);
    uv_poll_stop(&l->poll);
    timer_set(l->loop, &l->pause, PAUSE_MS, go_on, l);
}

static bool is_unspecified(struct addr a) {
    static const uint8_t zero[16];
    return memcmp(a.ip, zero, sizeof zero) == 0;
}

/* False when none is left for now. */
static bool accept_one(struct stream_listener *l) {
    struct sockaddr_storage from = { 0 };
    socklen_t size = sizeof from;
    int fd = accept4(l->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        struct addr peer = sockets_from_system((struct sockaddr *)&from, size);
        struct addr local = l->bound;
        if (local.family != 1 && is_unspecified(local))
            local = (struct addr){ 0 };
        l->on_accept(l->ctx, stream_adopt(l->loop, fd, peer, local));
        return !l->closed;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        pause_accepting(l, errno);
        return false;
    }
    /* Anything else but EAGAIN befell one connection that is no more (accept(2)). */
    return errno != EAGAIN && errno != EBADF && errno != EINVAL;
}

static void on_pending(uv_poll_t *poll, int status, int events) {
    struct stream_listener *l = poll->data;
    (void)events;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++)
        if (!accept_one(l))
            break;
    if (status < 0 && !l->closed && !timer_is_set(&l->pause))
        pause_accepting(l, EIO);
}

struct stream_listener *stream_listen(struct loop *l, int fd,
                                      void (*on_accept)(void *ctx, struct stream *s), void *ctx) {
    struct stream_listener *listener = calloc(1, sizeof *listener);
    MUST(listener);
    MUST(uv_poll_init(&l->uv, &listener->poll, fd) == 0);
    listener->poll.data = listener;
    listener->loop = l;
    listener->on_accept = on_accept;
    listener->ctx = ctx;
    listener->bound = sockets_bound(fd);
    listener->fd = fd;
    const int on = 1; /* accepted sockets inherit it; not for unix sockets, where it fails */
    if (listener->bound.family != 1)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    go_on(listener);
    return listener;
}

static void free_handle(uv_handle_t *handle) {
    free(handle->data);
}

void stream_listener_close(struct stream_listener **l) {
    if (!*l)
        return;
    (*l)->closed = true;
    timer_clear(&(*l)->pause);
    uv_close((uv_handle_t *)&(*l)->poll, free_handle);
    close((*l)->fd);
    *l = NULL;
}

/* --- connecting --------------------------------------------------------------------------------- */

struct stream_connect {
    uv_poll_t poll;
    struct loop *loop;
    void (*on_connect)(void *ctx, enum rc rc, struct stream *s, const struct why *why);
    void *ctx;
    struct timer timer; /* the time allowed, or the next turn when all is known already */
    struct addr remote;
    int fd;    /* -1 when there is none */
    int error; /* known at once */
};

static void tell_failure(struct stream_connect *c, int error) {
    static const struct {
        int error;
        const char *reason, *text;
    } known[] = {
        { ECONNREFUSED, "connect.refused", "connection refused" },
        { ETIMEDOUT, "connect.timeout", "connection timed out" },
        { EHOSTUNREACH, "connect.unreachable", "host unreachable" },
        { ENETUNREACH, "connect.unreachable", "network unreachable" },
        { ECONNRESET, "connect.reset", "connection reset" },
        { ENOENT, "connect.refused", "no such socket" },
        { EADDRNOTAVAIL, "connect.source", "source address not available" },
        { EMFILE, "connect.system", "too many open files" },
        { EAGAIN, "connect.busy", "the socket's backlog is full" },
    };
    struct why why;
    const char *reason = "connect.failed", *text = strerror(error);
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (known[i].error == error) {
            reason = known[i].reason;
            text = known[i].text;
        }
    why_set(&why, TEMP, 0, "4.4.1", reason, "%s", text);
    c->on_connect(c->ctx, TEMP, NULL, &why);
}

/* Takes the socket out of the connect, which is gone afterwards but for its memory. */
static int let_go(struct stream_connect *c) {
    int fd = c->fd;
    c->fd = -1;
    timer_clear(&c->timer);
    if (fd >= 0)
        uv_close((uv_handle_t *)&c->poll, free_handle);
    return fd;
}

static void end_connect(struct stream_connect *c, int error) {
    bool had_handle = c->fd >= 0;
    int fd = let_go(c);
    if (error) {
        if (fd >= 0)
            close(fd);
        tell_failure(c, error);
    } else {
        c->on_connect(c->ctx, OK, stream_adopt(c->loop, fd, c->remote, (struct addr){ 0 }), NULL);
    }
    if (!had_handle)
        free(c);
}

static void on_timer(void *ctx) {
    struct stream_connect *c = ctx;
    end_connect(c, c->error ? c->error : ETIMEDOUT);
}

static void on_connected(uv_poll_t *poll, int status, int events) {
    struct stream_connect *c = poll->data;
    int error = 0;
    socklen_t size = sizeof error;
    (void)events;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    end_connect(c, error ? error : status < 0 ? ECONNRESET : 0);
}

/* 0, also while it is under way, or an errno. */
static int begin_tcp(const struct connect_to *to, int *fd_out) {
    struct sockaddr_storage at;
    const int on = 1;
    int fd = socket(to->remote.family == 4 ? AF_INET : AF_INET6,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    *fd_out = fd;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (to->source.family) {
        /* The port is chosen at connect, so that one source reaches more than 28,000 peers. */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        socklen_t size = sockets_to_system(to->source, &at);
        if (bind(fd, (struct sockaddr *)&at, size) < 0)
            return errno;
    }
    socklen_t size = sockets_to_system(to->remote, &at);
    return connect(fd, (struct sockaddr *)&at, size) < 0 && errno != EINPROGRESS ? errno : 0;
}

struct stream_connect *stream_connect(struct loop *l, const struct connect_to *to,
                                      void (*on_connect)(void *ctx, enum rc rc, struct stream *s,
                                                         const struct why *why),
                                      void *ctx) {
    struct stream_connect *c = calloc(1, sizeof *c);
    MUST(c);
    c->loop = l;
    c->on_connect = on_connect;
    c->ctx = ctx;
    c->remote = to->remote;
    c->fd = -1;
    if (to->path.len) {
        c->remote = (struct addr){ .family = 1 };
        c->error = -sockets_connect_unix(to->path, SOCK_STREAM, &c->fd);
    } else if (to->remote.family == 4 || to->remote.family == 6) {
        c->error = begin_tcp(to, &c->fd);
    } else {
        c->error = EINVAL;
    }
    if (c->fd >= 0) {
        MUST(uv_poll_init(&l->uv, &c->poll, c->fd) == 0);
        c->poll.data = c;
        if (!c->error)
            uv_poll_start(&c->poll, UV_WRITABLE, on_connected);
    }
    timer_set(l, &c->timer, c->error ? 0 : to->timeout_ms, on_timer, c);
    return c;
}

void stream_connect_cancel(struct stream_connect **c) {
    if (!*c)
        return;
    bool had_handle = (*c)->fd >= 0;
    int fd = let_go(*c);
    if (fd >= 0)
        close(fd);
    if (!had_handle)
        free(*c);
    *c = NULL;
}
