/* offload: a thread with a queue in and a queue out. Jobs are links of their owners, so handing one
 * over allocates nothing; all that finished while the loop was busy come back in one turn. The
 * thread takes every signal blocked: signals belong to the loop. */
#include "sys/offload.h"

#include "base/must.h"
#include "sys/loop_impl.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct jobs {
    struct offload_job *first, **end;
};

struct offload {
    uv_async_t wake; /* holds the loop alive only while jobs are under way */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct jobs waiting, finished;
    bool stop;
    size_t under_way;       /* the loop's side only */
    bool delivering, ended; /* offload_close inside a done */
};

static void jobs_init(struct jobs *q) {
    q->first = NULL;
    q->end = &q->first;
}

static void jobs_put(struct jobs *q, struct offload_job *job) {
    job->next = NULL;
    *q->end = job;
    q->end = &job->next;
}

static struct offload_job *jobs_take(struct jobs *q) {
    struct offload_job *job = q->first;
    if (!job)
        return NULL;
    q->first = job->next;
    if (!q->first)
        q->end = &q->first;
    job->next = NULL;
    return job;
}

static struct offload_job *wait_for_job(struct offload *o) {
    pthread_mutex_lock(&o->lock);
    while (!o->waiting.first && !o->stop)
        pthread_cond_wait(&o->changed, &o->lock);
    struct offload_job *job = jobs_take(&o->waiting);
    pthread_mutex_unlock(&o->lock);
    return job;
}

static void *work(void *arg) {
    struct offload *o = arg;
    struct offload_job *job;
    while ((job = wait_for_job(o))) {
        job->work(job->ctx);
        pthread_mutex_lock(&o->lock);
        jobs_put(&o->finished, job);
        pthread_mutex_unlock(&o->lock);
        uv_async_send(&o->wake);
    }
    return NULL;
}

static struct offload_job *take_finished(struct offload *o) {
    pthread_mutex_lock(&o->lock);
    struct offload_job *job = jobs_take(&o->finished);
    pthread_mutex_unlock(&o->lock);
    return job;
}

static void deliver(struct offload *o) {
    struct offload_job *job;
    while ((job = take_finished(o))) {
        if (--o->under_way == 0)
            uv_unref((uv_handle_t *)&o->wake);
        job->done(job->ctx); /* may give the job again */
    }
}

static void on_freed(uv_handle_t *handle) {
    struct offload *o = handle->data;
    pthread_mutex_destroy(&o->lock);
    pthread_cond_destroy(&o->changed);
    free(o);
}

static void finish(struct offload *o) {
    pthread_mutex_lock(&o->lock);
    o->stop = true;
    pthread_cond_signal(&o->changed);
    pthread_mutex_unlock(&o->lock);
    pthread_join(o->thread, NULL);
    deliver(o);
    uv_close((uv_handle_t *)&o->wake, on_freed);
}

static void on_wake(uv_async_t *handle) {
    struct offload *o = handle->data;
    o->delivering = true;
    deliver(o);
    o->delivering = false;
    if (o->ended)
        finish(o);
}

struct offload *offload_open(struct loop *l, const char *name) {
    struct offload *o = calloc(1, sizeof *o);
    MUST(o);
    MUST(uv_async_init(&l->uv, &o->wake, on_wake) == 0);
    o->wake.data = o;
    uv_unref((uv_handle_t *)&o->wake);
    jobs_init(&o->waiting);
    jobs_init(&o->finished);
    MUST(pthread_mutex_init(&o->lock, NULL) == 0);
    MUST(pthread_cond_init(&o->changed, NULL) == 0);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    MUST(pthread_create(&o->thread, NULL, work, o) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    char short_name[16] = { 0 }; /* the kernel's limit */
    for (size_t i = 0; i < sizeof short_name - 1 && name[i]; i++)
        short_name[i] = name[i];
    pthread_setname_np(o->thread, short_name);
    return o;
}

void offload_close(struct offload **o) {
    if (!*o)
        return;
    if ((*o)->delivering)
        (*o)->ended = true; /* the rest is done when that done has returned */
    else
        finish(*o);
    *o = NULL;
}

void offload_submit(struct offload *o, struct offload_job *job) {
    MUST(job->work && job->done);
    if (o->under_way++ == 0)
        uv_ref((uv_handle_t *)&o->wake);
    pthread_mutex_lock(&o->lock);
    jobs_put(&o->waiting, job);
    pthread_mutex_unlock(&o->lock);
    pthread_cond_signal(&o->changed); /* unlocked, or the thread would wake to wait for the lock */
}
