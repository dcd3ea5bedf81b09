/* machine: see machine.h. Time passes only here, and only when nothing is left to do now. */
#include "machine.h"

#include "base/must.h"
#include "sys/loop.h"
#include "sys/offload.h"
#include "sys/random.h"

#include <stdlib.h>
#include <string.h>

struct loop {
    struct heap timers;
    int64_t now;
    bool stop;
};

static const int64_t epoch = 1795132800000;

struct loop *loop_open(void) {
    struct loop *l = calloc(1, sizeof *l);
    MUST(l);
    heap_init(&l->timers);
    l->now = 1000;
    return l;
}

void loop_close(struct loop **l) {
    MUST(!heap_first(&(*l)->timers));
    heap_free(&(*l)->timers);
    free(*l);
    *l = NULL;
}

void loop_run(struct loop *l) {
    struct heap_node *first;
    l->stop = false;
    while (!l->stop && (first = heap_first(&l->timers))) {
        struct timer *t = CONTAINER_OF(first, struct timer, node);
        if (first->key > l->now)
            l->now = first->key;
        heap_remove(&l->timers, first);
        t->fire(t->ctx);
    }
}

void loop_stop(struct loop *l) {
    l->stop = true;
}

int64_t loop_now(const struct loop *l) {
    return l->now;
}

int64_t loop_wall(const struct loop *l) {
    return epoch + l->now;
}

void timer_set(struct loop *l, struct timer *t, int64_t ms, void (*fire)(void *ctx), void *ctx) {
    t->loop = l;
    t->fire = fire;
    t->ctx = ctx;
    heap_put(&l->timers, &t->node, l->now + (ms > 0 ? ms : 0));
}

void timer_clear(struct timer *t) {
    if (heap_has(&t->node))
        heap_remove(&t->loop->timers, &t->node);
}

bool timer_is_set(const struct timer *t) {
    return heap_has(&t->node);
}

/* The spool is opened with inline_sync: these are only there to be linked. */
struct offload *offload_open(struct loop *l, const char *name) {
    (void)l;
    (void)name;
    return NULL;
}

void offload_close(struct offload **o) {
    *o = NULL;
}

void offload_submit(struct offload *o, struct offload_job *job) {
    (void)o;
    job->work(job->ctx);
    job->done(job->ctx);
}

uint64_t machine_draw(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t stream;

void machine_seed(uint64_t seed) {
    stream = seed;
}

uint64_t random_u64(void) {
    return machine_draw(&stream);
}
