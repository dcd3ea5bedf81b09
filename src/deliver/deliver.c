/* deliver: the door: jobs come in, outcomes go out; opening, reloading, draining and closing. */
#include "deliver/deliver.h"

#include "base/must.h"
#include "deliver/internal.h"

#include <stdlib.h>

struct arena *deliver_arena(struct deliver *d) {
    return d->spare_count ? d->spare[--d->spare_count] : arena_open();
}

void deliver_arena_back(struct deliver *d, struct arena **a) {
    if (d->spare_count == COUNT_OF(d->spare)) {
        arena_close(a);
        return;
    }
    arena_reset(*a);
    d->spare[d->spare_count++] = *a;
    *a = NULL;
}

void deliver_in_hand(struct deliver *d, const struct task *t) {
    counters_in_hand(d->setup.counters, t ? message_id_bytes(&t->job->id) : BYTES_NONE);
}

struct deliver *deliver_open(const struct deliver_setup *setup, const struct config *config) {
    struct deliver *d = calloc(1, sizeof *d);
    MUST(d);
    d->setup = *setup;
    d->config = config;
    d->hops = map_open();
    d->tasks = map_open();
    list_init(&d->task_list);
    list_init(&d->conns);
    d->probes = probes_open(d);
    return d;
}

void deliver_own_addresses(struct deliver *d, const struct addr *list, size_t count) {
    d->setup.own_addresses = list;
    d->setup.own_address_count = count;
}

void deliver_reload(struct deliver *d, const struct config *config) {
    d->config = config;
    hop_forget_all(d);
}

void deliver_begin(struct deliver *d, const struct job *job) {
    task_start(task_open(d, job));
}

/* --- Maildir ---------------------------------------------------------------------------------- */

static size_t find_recipient(const struct task *t, uint32_t recipient) {
    for (size_t i = 0; i < t->job->count; i++)
        if (t->job->recipients[i] == recipient && t->steps[i] != STEP_DONE)
            return i;
    return t->job->count;
}

void deliver_maildir_done(struct deliver *d, const struct job *job, uint32_t recipient, enum rc rc,
                          const struct why *why) {
    struct task *t = map_find(d->tasks, MAP_KEY(job));
    size_t at = t ? find_recipient(t, recipient) : 0;
    if (!t || at == t->job->count)
        return;
    struct outcome o = { .kind = OUTCOME_DELIVERED, .status = { 2, 0, 0 }, .command = "write" };
    if (rc != OK)
        o = task_fault(rc == PERM ? OUTCOME_FAILED : OUTCOME_DEFERRED, "write", why);
    o.blast = BLAST_RECIPIENT;
    o.alarm = rc == TEMP; /* our own disk */
    o.host = d->config->hostname;
    task_settle(t, at, &o);
    if (!t->left)
        task_session_over(t);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void say_idle(void *ctx) {
    struct deliver *d = ctx;
    void (*on_idle)(void *) = d->on_idle;
    timer_clear(&d->drain);
    d->on_idle = NULL;
    if (on_idle)
        on_idle(d->idle_ctx);
}

void deliver_check_idle(struct deliver *d) {
    if (d->draining && !d->task_list.count)
        timer_set(d->setup.loop, &d->drain, 0, say_idle, d);
}

/* What the disk writes is not stopped half-way: it is ours and ends by itself. */
static void stop_task(struct task *t) {
    struct why why;
    why_set(&why, TEMP, 0, "4.3.2", "deliver.stopping", "the server is stopping");
    task_stop(t, &why);
}

static void on_deadline(void *ctx) {
    struct deliver *d = ctx;
    LIST_EACH(&d->task_list, n)
    stop_task(CONTAINER_OF(n, struct task, node));
}

void deliver_drain(struct deliver *d, int64_t ms, void (*on_idle)(void *ctx), void *ctx) {
    d->draining = true;
    d->on_idle = on_idle;
    d->idle_ctx = ctx;
    LIST_EACH(&d->conns, n) {
        struct conn *c = CONTAINER_OF(n, struct conn, node);
        if (c->phase == CONN_IDLE)
            conn_quit(c);
    }
    if (d->task_list.count)
        timer_set(d->setup.loop, &d->drain, ms, on_deadline, d);
    else
        deliver_check_idle(d);
}

void deliver_close(struct deliver **dp) {
    struct deliver *d = *dp;
    struct list_node *n;
    if (!d)
        return;
    *dp = NULL;
    probes_close(&d->probes);
    while ((n = list_first(&d->conns))) {
        struct conn *c = CONTAINER_OF(n, struct conn, node);
        if (c->phase != CONN_DEAD)
            conn_abort(c);
        conn_free(c);
    }
    while ((n = list_first(&d->task_list)))
        task_free(CONTAINER_OF(n, struct task, node));
    timer_clear(&d->drain);
    while (d->spare_count)
        arena_close(&d->spare[--d->spare_count]);
    map_close(&d->hops);
    map_close(&d->tasks);
    free(d);
}
