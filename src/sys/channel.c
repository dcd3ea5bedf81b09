/* channel: requests and replies between processes of one server. A record on the wire is the call's
 * number (8 octets, little-endian) and the payload; a reply carries the number of its call. Records
 * keep their borders (SOCK_SEQPACKET), so there is nothing to parse beyond that.
 *
 * Neither side trusts the other to be well: the caller drops replies it does not know, the service
 * stops reading from a caller who does not take its replies or has too many calls open. */
#include "sys/channel.h"

#include "base/list.h"
#include "base/map.h"
#include "base/must.h"
#include "base/scan.h"
#include "sys/sockets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD = 8,
    RECORD_MAX = CHANNEL_MAX + HEAD,
    RECONNECT_MS = 100,
    RECORDS_AT_ONCE = 64,
    ACCEPT_AT_ONCE = 16,
    CALLS_OPEN_MAX = 4096, /* of one caller */
    UNSENT_MAX = 256,      /* replies one caller may leave waiting */
};

/* --- records ------------------------------------------------------------------------------------- */

struct record {
    size_t size;
    char octets[];
};

static struct record *record_make(uint64_t id, struct bytes payload) {
    MUST(payload.len <= CHANNEL_MAX);
    struct record *r = malloc(sizeof *r + HEAD + payload.len);
    MUST(r);
    r->size = HEAD + payload.len;
    for (int i = 0; i < HEAD; i++)
        r->octets[i] = (char)(id >> (8 * i));
    if (payload.len)
        memcpy(r->octets + HEAD, payload.at, payload.len);
    return r;
}

/* 1 sent, 0 no room for now, -1 the connection is broken. */
static int record_send(int fd, const struct record *r) {
    ssize_t sent;
    do
        sent = send(fd, r->octets, r->size, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN || errno == ENOBUFS ? 0 : -1;
    return 1;
}

/* 1 and its parts, 0 when there is none for now, -1 at the end or for a record that is none. A
 * descriptor that comes with it is not asked for, and so never opened here. */
static int record_receive(int fd, char *into, uint64_t *id_out, struct bytes *payload_out) {
    ssize_t got;
    do
        got = recv(fd, into, RECORD_MAX, MSG_DONTWAIT | MSG_TRUNC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? 0 : -1;
    if (got < HEAD || got > RECORD_MAX)
        return -1;
    struct scan s = scan_of(bytes_of(into, (size_t)got));
    *id_out = scan_le64(&s);
    *payload_out = s.rest;
    return 1;
}

/* A whole record must fit, whatever the system's default. */
static void widen(int fd) {
    const int size = 2 * RECORD_MAX;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* --- caller's side ------------------------------------------------------------------------------- */

struct call {
    uint64_t id;
    struct channel *channel;
    void (*on_reply)(void *ctx, enum rc rc, struct bytes reply, const struct why *why);
    void *ctx;
    struct timer timer;
    struct list_node node;
    struct list *in;        /* waiting, sent or doomed */
    struct record *request; /* while it waits */
    bool tried;
};

struct channel {
    struct loop *loop;
    struct bytes path;
    char name[32];
    int fd; /* -1 without a connection */
    struct watch *watch;
    struct timer again; /* the next try to connect; at once after a break */
    struct map *calls;  /* by id */
    struct list waiting, sent, doomed;
    char *room;
    uint64_t last_id;
    unsigned inside; /* callbacks running */
    bool closed;     /* inside one of them */
};

static void go_on(struct channel *c);

static void call_move(struct call *call, struct list *to) {
    if (call->in)
        list_remove(call->in, &call->node);
    call->in = to;
    list_append(to, &call->node);
}

static void call_free(struct call *call) {
    timer_clear(&call->timer);
    list_remove(call->in, &call->node);
    map_remove(call->channel->calls, MAP_KEY(call->id));
    free(call->request);
    free(call);
}

static void channel_free(struct channel *c) {
    map_close(&c->calls);
    free(c->room);
    free((char *)(uintptr_t)c->path.at);
    free(c);
}

/* Ends a call with its one callback. False when the owner closed the channel in it. */
static bool call_end(struct call *call, enum rc rc, struct bytes reply, const struct why *why) {
    struct channel *c = call->channel;
    struct call copy = *call;
    call_free(call);
    c->inside++;
    copy.on_reply(copy.ctx, rc, reply, why);
    c->inside--;
    if (!c->closed)
        return true;
    if (!c->inside)
        channel_free(c);
    return false;
}

static bool call_fail(struct call *call, const char *what) {
    struct why why;
    char reason[WHY_REASON];
    const char *name = call->channel->name;
    snprintf(reason, sizeof reason, "backend.%s", name);
    why_backend(&why, reason, "%s %s", name, what);
    return call_end(call, TEMP, BYTES_NONE, &why);
}

static void on_late(void *ctx) {
    struct call *call = ctx;
    bool reached = call->in == &call->channel->sent;
    call_fail(call, reached ? "did not answer in time" : "cannot be reached");
}

/* Lets the connection go. What was sent on it gets no answer any more; the owners are told in the
 * next turn, for this may be running inside channel_call. */
static void disconnect(struct channel *c) {
    struct list_node *n;
    watch_close(&c->watch);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    while ((n = list_first(&c->sent)))
        call_move(CONTAINER_OF(n, struct call, node), &c->doomed);
}

static void on_again(void *ctx) {
    struct channel *c = ctx;
    struct list_node *n;
    while ((n = list_first(&c->doomed)))
        if (!call_fail(CONTAINER_OF(n, struct call, node), "was interrupted"))
            return;
    go_on(c);
}

static void try_again(struct channel *c, int64_t ms) {
    timer_set(c->loop, &c->again, ms, on_again, c);
}

static void send_waiting(struct channel *c) {
    struct list_node *n;
    while ((n = list_first(&c->waiting))) {
        struct call *call = CONTAINER_OF(n, struct call, node);
        int sent = record_send(c->fd, call->request);
        if (sent < 0) {
            /* The connection may have been stale: once more, on a new one. */
            if (call->tried)
                call_move(call, &c->sent);
            call->tried = true;
            disconnect(c);
            try_again(c, 0);
            return;
        }
        if (sent == 0)
            break;
        free(call->request);
        call->request = NULL;
        call_move(call, &c->sent);
    }
    watch_change(c->watch, WATCH_READ | (list_first(&c->waiting) ? WATCH_WRITE : 0));
}

/* False when the channel is gone or its connection is. */
static bool take_reply(struct channel *c) {
    uint64_t id;
    struct bytes reply;
    int got = record_receive(c->fd, c->room, &id, &reply);
    if (got < 0) {
        disconnect(c);
        try_again(c, 0);
        return false;
    }
    struct call *call = got ? map_find(c->calls, MAP_KEY(id)) : NULL;
    if (call && call->in == &c->sent) /* else cancelled, late, or never made */
        return call_end(call, OK, reply, NULL) && c->fd >= 0;
    return got > 0;
}

static void on_channel(void *ctx, int what) {
    struct channel *c = ctx;
    if (what & WATCH_READ)
        for (int i = 0; i < RECORDS_AT_ONCE; i++)
            if (!take_reply(c))
                return;
    if (what & WATCH_WRITE)
        send_waiting(c);
}

/* Connects if need be and sends what waits. */
static void go_on(struct channel *c) {
    if (!list_first(&c->waiting))
        return;
    if (c->fd < 0) {
        if (sockets_connect_unix(c->path, SOCK_SEQPACKET, &c->fd) < 0) {
            c->fd = -1;
            try_again(c, RECONNECT_MS);
            return;
        }
        widen(c->fd);
        c->watch = watch_open(c->loop, c->fd, WATCH_READ, on_channel, c);
    }
    send_waiting(c);
}

struct channel *channel_open(struct loop *l, const char *path, const char *name) {
    struct channel *c = calloc(1, sizeof *c);
    MUST(c);
    c->loop = l;
    c->path = bytes_str(strdup(path));
    snprintf(c->name, sizeof c->name, "%s", name);
    c->fd = -1;
    c->calls = map_open();
    c->room = malloc(RECORD_MAX);
    MUST(c->path.at && c->room);
    list_init(&c->waiting);
    list_init(&c->sent);
    list_init(&c->doomed);
    return c;
}

void channel_close(struct channel **channel) {
    struct channel *c = *channel;
    struct list_node *n;
    if (!c)
        return;
    *channel = NULL;
    disconnect(c);
    timer_clear(&c->again);
    while ((n = list_first(&c->doomed)) || (n = list_first(&c->waiting)))
        call_free(CONTAINER_OF(n, struct call, node));
    c->closed = true;
    if (!c->inside)
        channel_free(c);
}

uint64_t channel_call(struct channel *c, struct bytes request, int64_t timeout_ms,
                      void (*on_reply)(void *ctx, enum rc rc, struct bytes reply,
                                       const struct why *why),
                      void *ctx) {
    struct call *call = calloc(1, sizeof *call);
    MUST(call && !c->closed);
    call->id = ++c->last_id;
    call->channel = c;
    call->on_reply = on_reply;
    call->ctx = ctx;
    call->request = record_make(call->id, request);
    call_move(call, &c->waiting);
    map_put(c->calls, MAP_KEY(call->id), call);
    timer_set(c->loop, &call->timer, timeout_ms, on_late, call);
    const uint64_t id = call->id;
    /* While a try to connect is set, and behind calls that wait for room, it waits its turn. */
    if (!timer_is_set(&c->again) && c->waiting.count == 1)
        go_on(c);
    return id;
}

void channel_cancel(struct channel *c, uint64_t id) {
    struct call *call = map_find(c->calls, MAP_KEY(id));
    if (call)
        call_free(call);
}

/* --- service's side ------------------------------------------------------------------------------ */

struct reply {
    struct list_node node;
    struct record *record;
};

struct caller {
    uint64_t id;
    struct service *service; /* NULL when the service or the connection is gone */
    struct list_node node;   /* in service.callers */
    struct watch *watch;
    struct list unsent;
    size_t open; /* calls without reply; the struct lives as long as there are any */
    int fd;
    bool broken;
};

struct service_call {
    struct caller *caller;
    uint64_t id;
};

struct service {
    struct loop *loop;
    struct watch *watch;
    int fd;
    struct list callers;
    char *room;
    uint64_t last_id;
    struct timer pause;
    void (*on_call)(void *ctx, struct service_call *call, struct bytes request);
    void *ctx;
    void (*on_gone)(void *ctx, uint64_t caller);
    void *on_gone_ctx;
    unsigned inside;
    bool closed;
};

static void caller_watch(struct caller *k) {
    bool busy = k->open >= CALLS_OPEN_MAX || k->unsent.count >= UNSENT_MAX;
    watch_change(k->watch, (busy && !k->broken ? 0 : WATCH_READ) |
                               (k->unsent.count && !k->broken ? WATCH_WRITE : 0));
}

/* Ends the connection; its open calls keep the struct. */
static void caller_close(struct caller *k) {
    struct list_node *n;
    while ((n = list_pop(&k->unsent))) {
        struct reply *r = CONTAINER_OF(n, struct reply, node);
        free(r->record);
        free(r);
    }
    watch_close(&k->watch);
    close(k->fd);
    list_remove(&k->service->callers, &k->node);
    k->service = NULL;
    if (k->open == 0)
        free(k);
}

static void caller_send(struct caller *k) {
    struct list_node *n;
    while ((n = list_first(&k->unsent))) {
        struct reply *r = CONTAINER_OF(n, struct reply, node);
        int sent = record_send(k->fd, r->record);
        k->broken = sent < 0;
        if (sent <= 0)
            break;
        list_remove(&k->unsent, n);
        free(r->record);
        free(r);
    }
    caller_watch(k);
}

static void service_free(struct service *s) {
    free(s->room);
    free(s);
}

/* True when the owner closed the service in a callback. */
static bool service_left(struct service *s) {
    const bool closed = s->closed;
    if (--s->inside == 0 && closed)
        service_free(s);
    return closed;
}

static void caller_gone(struct caller *k) {
    struct service *s = k->service;
    const uint64_t id = k->id;
    caller_close(k);
    if (s->on_gone)
        s->on_gone(s->on_gone_ctx, id);
}

/* False when there is nothing more to take from this caller. */
static bool take_call(struct caller *k) {
    struct service *s = k->service;
    struct bytes request;
    uint64_t id;
    int got = k->broken ? -1 : record_receive(k->fd, s->room, &id, &request);
    if (got == 0)
        return false;
    if (got < 0) {
        caller_gone(k);
        return false;
    }
    struct service_call *call = malloc(sizeof *call);
    MUST(call);
    *call = (struct service_call){ k, id };
    k->open++;
    s->on_call(s->ctx, call, request);
    if (s->closed)
        return false; /* the caller may be gone with it */
    return k->open < CALLS_OPEN_MAX && k->unsent.count < UNSENT_MAX;
}

static void on_caller(void *ctx, int what) {
    struct caller *k = ctx;
    struct service *s = k->service;
    const uint64_t id = k->id;
    if (what & WATCH_WRITE)
        caller_send(k);
    s->inside++;
    if (what & WATCH_READ || k->broken)
        for (int i = 0; i < RECORDS_AT_ONCE && take_call(k); i++)
            ;
    if (service_left(s))
        return;
    /* It may have ended meanwhile, and its memory with it. */
    LIST_EACH(&s->callers, n)
    if (CONTAINER_OF(n, struct caller, node)->id == id)
        caller_watch(k);
}

static void accept_again(void *ctx) {
    struct service *s = ctx;
    watch_change(s->watch, WATCH_READ);
}

static void on_service(void *ctx, int what) {
    struct service *s = ctx;
    (void)what;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                watch_change(s->watch, 0);
                timer_set(s->loop, &s->pause, RECONNECT_MS, accept_again, s);
            }
            return;
        }
        struct caller *k = calloc(1, sizeof *k);
        MUST(k);
        k->id = ++s->last_id;
        k->service = s;
        k->fd = fd;
        list_init(&k->unsent);
        list_append(&s->callers, &k->node);
        widen(fd);
        k->watch = watch_open(s->loop, fd, WATCH_READ, on_caller, k);
    }
}

struct service *service_open(struct loop *l, int fd,
                             void (*on_call)(void *ctx, struct service_call *call,
                                             struct bytes request),
                             void *ctx) {
    struct service *s = calloc(1, sizeof *s);
    MUST(s);
    s->loop = l;
    s->fd = fd;
    s->on_call = on_call;
    s->ctx = ctx;
    s->room = malloc(RECORD_MAX);
    MUST(s->room);
    list_init(&s->callers);
    s->watch = watch_open(l, fd, WATCH_READ, on_service, s);
    return s;
}

void service_close(struct service **service) {
    struct service *s = *service;
    struct list_node *n;
    if (!s)
        return;
    *service = NULL;
    while ((n = list_first(&s->callers)))
        caller_close(CONTAINER_OF(n, struct caller, node));
    timer_clear(&s->pause);
    watch_close(&s->watch);
    close(s->fd);
    s->closed = true;
    if (!s->inside)
        service_free(s);
}

void service_reply(struct service_call *call, struct bytes reply) {
    struct caller *k = call->caller;
    const uint64_t id = call->id;
    free(call);
    k->open--;
    if (!k->service) {
        if (k->open == 0)
            free(k);
        return;
    }
    struct reply *r = calloc(1, sizeof *r);
    MUST(r);
    r->record = record_make(id, reply);
    list_append(&k->unsent, &r->node);
    caller_send(k);
}

uint64_t service_caller(const struct service_call *call) {
    return call->caller->id;
}

void service_on_gone(struct service *s, void (*on_gone)(void *ctx, uint64_t caller), void *ctx) {
    s->on_gone = on_gone;
    s->on_gone_ctx = ctx;
}
