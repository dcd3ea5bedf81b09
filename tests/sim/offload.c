/* Simulated offload threads: a job is worked on in a later turn of the loop, in order. */
#include "sys/offload.h"
#include "base/must.h"
#include "sim.h"

#include <stdlib.h>

struct offload {
    struct loop *loop;
    struct offload_job *first, **last;
    struct timer timer;
};

struct offload *offload_open(struct loop *l, const char *name) {
    (void)name;
    struct offload *o = calloc(1, sizeof(*o));
    MUST(o);
    o->loop = l;
    o->last = &o->first;
    return o;
}

static void work(void *ctx) {
    struct offload *o = ctx;
    struct offload_job *job = o->first;
    if (!job)
        return;
    o->first = job->next;
    if (!o->first)
        o->last = &o->first;
    else
        timer_set(o->loop, &o->timer, 0, work, o);
    job->next = NULL;
    job->work(job->ctx);
    job->done(job->ctx);
}

void offload_submit(struct offload *o, struct offload_job *job) {
    job->next = NULL;
    *o->last = job;
    o->last = &job->next;
    timer_set(o->loop, &o->timer, 0, work, o);
}

void offload_close(struct offload **op) {
    struct offload *o = *op;
    *op = NULL;
    if (!o)
        return;
    while (o->first)
        work(o);
    timer_clear(&o->timer);
    free(o);
}
