/* worker: a thread's queue, or a queue that a timer works off. Only here the two differ. */
#include "spool/worker.h"

#include "base/must.h"

#include <stdlib.h>

struct worker {
    struct loop *loop;
    struct offload *offload; /* NULL: on the loop */
    struct offload_job *first, **end;
    struct timer turn;
    bool draining;
};

struct worker *worker_open(struct loop *l, const char *name, bool on_loop) {
    struct worker *w = calloc(1, sizeof *w);
    MUST(w);
    w->loop = l;
    w->end = &w->first;
    w->offload = on_loop ? NULL : offload_open(l, name);
    return w;
}

static bool run_one(struct worker *w) {
    struct offload_job *job = w->first;
    if (!job)
        return false;
    w->first = job->next;
    if (!w->first)
        w->end = &w->first;
    job->next = NULL;
    job->work(job->ctx);
    job->done(job->ctx);
    return true;
}

static void on_turn(void *ctx) {
    struct worker *w = ctx;
    run_one(w);
    if (w->first)
        timer_set(w->loop, &w->turn, 0, on_turn, w);
}

void worker_submit(struct worker *w, struct offload_job *job) {
    if (w->offload) {
        offload_submit(w->offload, job);
        return;
    }
    job->next = NULL;
    *w->end = job;
    w->end = &job->next;
    if (!w->draining && !timer_is_set(&w->turn))
        timer_set(w->loop, &w->turn, 0, on_turn, w);
}

void worker_drain(struct worker *w) {
    w->draining = true;
    timer_clear(&w->turn);
    struct offload *thread = w->offload;
    w->offload = NULL;
    offload_close(&thread);
    while (run_one(w))
        continue;
}

void worker_close(struct worker **w) {
    if (!*w)
        return;
    worker_drain(*w);
    free(*w);
    *w = NULL;
}
