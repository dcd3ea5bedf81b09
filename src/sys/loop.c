/* loop: libuv's loop with Postern's timers. All timers wait in one heap behind a single libuv timer,
 * which is moved only when something earlier comes: a session that puts its idle timer off with
 * every command costs a heap operation and no more. A timer that is due at once waits for the idle
 * handle, because libuv would fire it within the same turn again and again. */
#include "sys/loop.h"

#include "base/must.h"
#include "sys/loop_impl.h"

#include <stdlib.h>
#include <time.h>

static void ring(struct loop *l);

static void on_alarm(uv_timer_t *handle) {
    ring(handle->data);
}

static void on_soon(uv_idle_t *handle) {
    ring(handle->data);
}

struct loop *loop_open(void) {
    struct loop *l = calloc(1, sizeof *l);
    MUST(l);
    MUST(uv_loop_init(&l->uv) == 0);
    MUST(uv_timer_init(&l->uv, &l->alarm) == 0);
    MUST(uv_idle_init(&l->uv, &l->soon) == 0);
    l->alarm.data = l->soon.data = l;
    l->alarm_at = -1;
    l->wall_read_at = -1;
    heap_init(&l->timers);
    return l;
}

void loop_close(struct loop **l) {
    if (!*l)
        return;
    struct loop *own = *l;
    if (own->streams)
        own->streams_free(own->streams);
    MUST(!heap_first(&own->timers));
    uv_close((uv_handle_t *)&own->alarm, NULL);
    uv_close((uv_handle_t *)&own->soon, NULL);
    /* Closed handles are let go in a turn of the loop; an early loop_stop takes one more. */
    int busy = 1;
    for (int turns = 0; turns < 3 && busy; turns++) {
        uv_run(&own->uv, UV_RUN_NOWAIT);
        busy = uv_loop_close(&own->uv);
    }
    MUST(!busy);
    heap_free(&own->timers);
    free(own);
    *l = NULL;
}

void loop_run(struct loop *l) {
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l) {
    uv_stop(&l->uv);
}

int64_t loop_now(const struct loop *l) {
    return (int64_t)uv_now(&l->uv);
}

int64_t loop_wall(const struct loop *l) {
    /* uv_now moves once a turn, and so does the time of day, which is read when first asked for. */
    struct loop *own = (struct loop *)(uintptr_t)l;
    if (l->wall_read_at != loop_now(l)) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        own->wall = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
        own->wall_read_at = loop_now(l);
    }
    return l->wall;
}

/* --- timers -------------------------------------------------------------------------------- */

static void alarm_set(struct loop *l) {
    struct heap_node *first = heap_first(&l->timers);
    if (!first || first->key > loop_now(l))
        uv_idle_stop(&l->soon);
    if (!first) {
        uv_timer_stop(&l->alarm);
        l->alarm_at = -1;
    } else if (first->key <= loop_now(l)) {
        uv_idle_start(&l->soon, on_soon);
    } else if (l->alarm_at < 0 || first->key < l->alarm_at) {
        /* An alarm that rings too early finds nothing due and is set again. */
        l->alarm_at = first->key;
        uv_timer_start(&l->alarm, on_alarm, (uint64_t)(first->key - loop_now(l)), 0);
    }
}

static void ring(struct loop *l) {
    /* Timers set from here on wait for the next turn, though they may be due by now. */
    const uint64_t later = l->timers.order;
    const int64_t now = loop_now(l);
    struct heap_node *first;
    l->alarm_at = -1;
    while ((first = heap_first(&l->timers)) && first->key <= now && first->order < later) {
        struct timer *t = CONTAINER_OF(first, struct timer, node);
        heap_remove(&l->timers, first);
        t->fire(t->ctx);
    }
    alarm_set(l);
}

void timer_set(struct loop *l, struct timer *t, int64_t ms, void (*fire)(void *ctx), void *ctx) {
    MUST(!heap_has(&t->node) || t->loop == l);
    t->loop = l;
    t->fire = fire;
    t->ctx = ctx;
    heap_put(&l->timers, &t->node, loop_now(l) + (ms > 0 ? ms : 0));
    alarm_set(l);
}

void timer_clear(struct timer *t) {
    if (!heap_has(&t->node))
        return;
    heap_remove(&t->loop->timers, &t->node);
    if (!heap_first(&t->loop->timers))
        alarm_set(t->loop);
}

bool timer_is_set(const struct timer *t) {
    return heap_has(&t->node);
}

/* --- descriptors ---------------------------------------------------------------------------- */

struct watch {
    uv_poll_t poll;
    void (*ready)(void *ctx, int what);
    void *ctx;
    int what;
};

static void on_ready(uv_poll_t *poll, int status, int events) {
    struct watch *w = poll->data;
    /* An error (POLLERR) stops libuv's handle and says nothing more: the owner finds it by reading
     * or writing, whichever it waits for. */
    int what = status < 0 ? w->what
                          : (events & (UV_READABLE | UV_DISCONNECT) ? WATCH_READ : 0) |
                                (events & UV_WRITABLE ? WATCH_WRITE : 0);
    if (status < 0)
        watch_change(w, w->what);
    if (what)
        w->ready(w->ctx, what);
}

struct watch *watch_open(struct loop *l, int fd, int what, void (*ready)(void *ctx, int what),
                         void *ctx) {
    struct watch *w = calloc(1, sizeof *w);
    MUST(w);
    MUST(uv_poll_init(&l->uv, &w->poll, fd) == 0);
    w->poll.data = w;
    w->ready = ready;
    w->ctx = ctx;
    watch_change(w, what);
    return w;
}

void watch_change(struct watch *w, int what) {
    w->what = what;
    int events = (what & WATCH_READ ? UV_READABLE : 0) | (what & WATCH_WRITE ? UV_WRITABLE : 0);
    if (events)
        uv_poll_start(&w->poll, events, on_ready);
    else
        uv_poll_stop(&w->poll);
}

static void free_handle(uv_handle_t *handle) {
    free(handle->data);
}

void watch_close(struct watch **w) {
    if (!*w)
        return;
    uv_close((uv_handle_t *)&(*w)->poll, free_handle);
    *w = NULL;
}

/* --- signals -------------------------------------------------------------------------------- */

struct signal_watch {
    uv_signal_t handle;
    void (*caught)(void *ctx, int signo);
    void *ctx;
};

static void on_signal(uv_signal_t *handle, int signo) {
    struct signal_watch *w = handle->data;
    w->caught(w->ctx, signo);
}

struct signal_watch *signal_watch_open(struct loop *l, int signo,
                                       void (*caught)(void *ctx, int signo), void *ctx) {
    struct signal_watch *w = calloc(1, sizeof *w);
    MUST(w);
    MUST(uv_signal_init(&l->uv, &w->handle) == 0);
    w->handle.data = w;
    w->caught = caught;
    w->ctx = ctx;
    MUST(uv_signal_start(&w->handle, on_signal, signo) == 0);
    return w;
}

void signal_watch_close(struct signal_watch **w) {
    if (!*w)
        return;
    uv_close((uv_handle_t *)&(*w)->handle, free_handle);
    *w = NULL;
}
