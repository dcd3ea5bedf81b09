/* The simulated loop: timers and two clocks that move only by sim_advance. */
#include "base/must.h"
#include "sim.h"

#include <stdlib.h>

struct loop {
    struct heap timers;
    int64_t now, wall_ahead;
    bool stop;
};

struct watch {
    int unused;
};
struct signal_watch {
    int unused;
};

struct loop *loop_open(void) {
    struct loop *l = calloc(1, sizeof(*l));
    MUST(l);
    heap_init(&l->timers);
    l->now = 1000;
    l->wall_ahead = SIM_EPOCH - l->now;
    return l;
}

void loop_close(struct loop **l) {
    heap_free(&(*l)->timers);
    free(*l);
    *l = NULL;
}

int64_t loop_now(const struct loop *l) {
    return l->now;
}

int64_t loop_wall(const struct loop *l) {
    return l->now + l->wall_ahead;
}

void sim_jump(struct loop *l, int64_t ms) {
    l->wall_ahead += ms;
}

void timer_set(struct loop *l, struct timer *t, int64_t ms, void (*fire)(void *ctx), void *ctx) {
    t->loop = l;
    t->fire = fire;
    t->ctx = ctx;
    heap_put(&l->timers, &t->node, l->now + (ms > 0 ? ms : 0));
}

void timer_clear(struct timer *t) {
    if (t->loop)
        heap_remove(&t->loop->timers, &t->node);
}

bool timer_is_set(const struct timer *t) {
    return heap_has(&t->node);
}

/* One that sets itself again for "now" would go on for ever: that is a bug of the code under test. */
void sim_run(struct loop *l) {
    for (int turns = 0; turns < 10 * 1000 * 1000; turns++) {
        struct heap_node *n = heap_first(&l->timers);
        if (!n || n->key > l->now)
            return;
        struct timer *t = CONTAINER_OF(n, struct timer, node);
        heap_remove(&l->timers, n);
        t->fire(t->ctx);
    }
    MUST(!"the simulation comes to rest");
}

int64_t sim_next(const struct loop *l) {
    struct heap_node *n = heap_first(&l->timers);
    if (!n)
        return -1;
    return n->key > l->now ? n->key - l->now : 0;
}

void sim_advance(struct loop *l, int64_t ms) {
    int64_t until = l->now + ms;
    sim_run(l);
    for (;;) {
        int64_t next = sim_next(l);
        if (next < 0 || l->now + next > until)
            break;
        l->now += next;
        sim_run(l);
    }
    l->now = until;
    sim_run(l);
}

void loop_run(struct loop *l) {
    l->stop = false;
    while (!l->stop && sim_next(l) >= 0)
        sim_advance(l, sim_next(l));
}

void loop_stop(struct loop *l) {
    l->stop = true;
}

struct watch *watch_open(struct loop *l, int fd, int what, void (*ready)(void *ctx, int what),
                         void *ctx) {
    (void)l, (void)fd, (void)what, (void)ready, (void)ctx;
    MUST(!"descriptors are watched in a simulation");
    return NULL;
}

void watch_change(struct watch *w, int what) {
    (void)w, (void)what;
}

void watch_close(struct watch **w) {
    *w = NULL;
}

struct signal_watch *signal_watch_open(struct loop *l, int signo,
                                       void (*caught)(void *ctx, int signo), void *ctx) {
    (void)l, (void)signo, (void)caught, (void)ctx;
    MUST(!"signals are watched in a simulation");
    return NULL;
}

void signal_watch_close(struct signal_watch **w) {
    *w = NULL;
}
