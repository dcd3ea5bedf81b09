/* task: a job from its beginning to its outcomes. It waits for a connection when the limit of the
 * next hop is reached, and remembers of all that failed what says most. */
#include "base/must.h"
#include "deliver/internal.h"

#include <string.h>

struct outcome task_fault(enum outcome_kind kind, const char *command, const struct why *why) {
    return (struct outcome){
        .kind = kind,
        .blast = BLAST_SESSION,
        .code = kind == OUTCOME_FAILED ? why->code : 0,
        .status = why->status,
        .reply = bytes_str(why->text),
        .command = command,
        .reason = why->reason[0] ? why->reason : NULL,
    };
}

struct task *task_open(struct deliver *d, const struct job *job) {
    struct arena *a = deliver_arena(d);
    struct task *t = ARENA_NEW(a, struct task);
    t->deliver = d;
    t->arena = a;
    t->job = job;
    t->left = job->count;
    t->outcomes = ARENA_ARRAY(a, job->count ? job->count : 1, struct outcome);
    t->steps = ARENA_ARRAY(a, job->count ? job->count : 1, uint8_t);
    t->tried = buf_fixed(t->tried_text, sizeof t->tried_text);
    t->hop = hop_get(d, job->next_hop);
    hop_use(t->hop);
    list_append(&d->task_list, &t->node);
    map_put(d->tasks, MAP_KEY(job), t);
    return t;
}

void task_free(struct task *t) {
    struct deliver *d = t->deliver;
    targets_cancel(t);
    timer_clear(&t->timer);
    if (list_linked(&t->wait_node))
        list_remove(&t->hop->waiting, &t->wait_node);
    list_remove(&d->task_list, &t->node);
    if (map_find(d->tasks, MAP_KEY(t->job)) == t)
        map_remove(d->tasks, MAP_KEY(t->job));
    hop_release(t->hop);
    struct arena *a = t->arena;
    t->orphan = t->reading;
    if (!t->orphan)
        deliver_arena_back(d, &a);
}

void task_later(struct task *t, void (*what)(void *task)) {
    timer_set(t->deliver->setup.loop, &t->timer, 0, what, t);
}

/* --- outcomes ------------------------------------------------------------------------------ */

static void finish(void *ctx) {
    struct task *t = ctx;
    struct deliver *d = t->deliver;
    const struct job *job = t->job;
    MUST(!t->left);
    if (t->reading) /* the job lives until its content was read; on_piece comes back here */
        return;
    /* Out of the table first: the same job may be begun again from the callback. */
    map_remove(d->tasks, MAP_KEY(job));
    if (job->probe)
        probes_outcome(d->probes, job, t->outcomes);
    else
        d->setup.on_outcomes(d->setup.ctx, job, t->outcomes, job->count);
    task_free(t);
    deliver_check_idle(d);
}

bool task_read_over(struct task *t) {
    t->reading = false;
    if (t->orphan) { /* deliver was closed meanwhile */
        struct arena *a = t->arena;
        arena_close(&a);
        return false;
    }
    if (t->finishing)
        task_session_over(t);
    return !t->finishing;
}

void task_session_over(struct task *t) {
    MUST(!t->conn);
    t->finishing = true;
    task_later(t, finish);
}

void task_stop(struct task *t, const struct why *why) {
    struct outcome o = task_fault(OUTCOME_DEFERRED, "connect", why);
    if (t->finishing || t->hop->kind == HOP_MAILDIR)
        return;
    targets_cancel(t);
    if (t->conn) {
        o = conn_fault(t->conn, OUTCOME_DEFERRED, "connect", why);
        transaction_broken(t->conn, &o);
        task_settle_rest(t, &o);
        conn_abort(t->conn);
    } else {
        task_settle_rest(t, &o);
    }
    task_session_over(t);
}

void task_settle(struct task *t, size_t position, const struct outcome *like) {
    struct outcome *o = &t->outcomes[position];
    MUST(t->steps[position] != STEP_DONE);
    *o = *like;
    o->recipient = t->job->recipients[position];
    o->reply = arena_copy(t->arena, like->reply);
    o->host = arena_copy(t->arena, like->host);
    o->tls = arena_copy(t->arena, like->tls);
    if (like->reason)
        o->reason = arena_str(t->arena, bytes_str(like->reason));
    t->steps[position] = STEP_DONE;
    t->left--;
}

void task_settle_rest(struct task *t, const struct outcome *like) {
    for (size_t i = 0; i < t->job->count; i++)
        if (t->steps[i] != STEP_DONE)
            task_settle(t, i, like);
}

/* How much a failure says of what is wrong: a server's own words most, the DNS least. */
static int weight(const struct outcome *o) {
    if (o->remote)
        return 3;
    if (!strcmp(o->command, "DNS"))
        return 0;
    return strcmp(o->command, "connect") ? 2 : 1;
}

void task_note(struct task *t, const struct outcome *failure) {
    if (t->tried.len)
        buf_str(&t->tried, "; ");
    buf_add(&t->tried, bytes_first(failure->host, 255));
    if (failure->address.family && failure->address.family != 1) {
        buf_str(&t->tried, " [");
        addr_format(&t->tried, failure->address);
        buf_char(&t->tried, ']');
    }
    buf_str(&t->tried, ": ");
    buf_add(&t->tried, bytes_first(failure->reply, 200));
    if (t->failed && weight(failure) < weight(&t->failure))
        return;
    t->failed = true;
    t->failure = *failure;
    t->failure.reply = arena_copy(t->arena, failure->reply);
    t->failure.host = arena_copy(t->arena, failure->host);
    t->failure.tls = arena_copy(t->arena, failure->tls);
    if (failure->reason)
        t->failure.reason = arena_str(t->arena, bytes_str(failure->reason));
}

void task_exhausted(struct task *t) {
    struct outcome *f = &t->failure;
    MUST(t->failed);
    /* The smart host, or the domain's own server, is in our configuration; a server that turns us
     * away before it has heard of a message means us (promise 4). */
    f->alarm |= t->hop->kind != HOP_MX || f->code >= 500;
    f->kind = OUTCOME_DEFERRED;
    f->blast = BLAST_SESSION;
    if (!f->remote && t->targets.tried > 1)
        f->reply =
            arena_printf(t->arena, "no server for %.*s could be reached: %.*s",
                         BYTES_FMT(t->hop->sources[0].host), BYTES_FMT(buf_bytes(&t->tried)));
    task_settle_rest(t, f);
    task_session_over(t);
}

/* --- what a connection tells ---------------------------------------------------------------- */

void task_session_failed(struct task *t, const struct outcome *failure) {
    task_note(t, failure);
    task_later(t, targets_next);
}

static void want_connection(void *ctx);

void task_connected_elsewhere(struct task *t) {
    task_later(t, want_connection);
}

/* --- the beginning -------------------------------------------------------------------------- */

static void fail_at_once(struct task *t, enum rc rc, const char *status, const char *reason,
                         const char *text) {
    struct why why;
    why_set(&why, rc, rc == PERM ? 554 : 450, status, reason, "%s", text);
    struct outcome o = task_fault(rc == PERM ? OUTCOME_FAILED : OUTCOME_DEFERRED, "connect", &why);
    o.alarm = rc == TEMP && bytes_starts(bytes_str(reason), B("config."));
    task_settle_rest(t, &o);
    task_session_over(t);
}

/* Found out before: the recipient leads nowhere. */
static void refuse_at_once(struct task *t) {
    struct outcome o = task_fault(OUTCOME_FAILED, "", &t->hop->why);
    o.blast = BLAST_RECIPIENT;
    task_settle_rest(t, &o);
    task_session_over(t);
}

/* 0 when the route's rate has room, which is then taken; else the milliseconds until it has. */
static int64_t charge(struct task *t) {
    struct hop *h = t->hop;
    struct counters *counters = t->deliver->setup.counters;
    int64_t now = loop_now(t->deliver->setup.loop), opens;
    if (!h->rate.count || t->charged)
        return 0;
    if (!counters_charge_if_room(counters, h->rate_key, h->rate, now, &opens))
        return opens > now ? opens - now : 1;
    t->charged = true;
    return 0;
}

/* Less than a minute in all is waited for: a job that waits holds its message in memory. */
static bool may_wait(struct task *t, int64_t ms) {
    struct loop *l = t->deliver->setup.loop;
    if (!t->waited)
        t->waiting_since = loop_now(l);
    t->waited = true;
    return loop_now(l) + ms - t->waiting_since < WAIT_MAX_MS;
}

/* All connections of this next hop are in use, here or in other workers. */
void task_wait(struct task *t) {
    struct loop *l = t->deliver->setup.loop;
    if (!may_wait(t, 0)) {
        fail_at_once(t, TEMP, "4.4.5", "limit.connections",
                     "all connections that may be open to this next hop are in use");
        return;
    }
    if (!list_linked(&t->wait_node))
        list_append(&t->hop->waiting, &t->wait_node);
    timer_set(l, &t->timer, WAIT_MS, want_connection, t);
}

void task_wake_waiting(struct hop *h) {
    struct list_node *n = list_first(&h->waiting);
    if (n)
        task_later(CONTAINER_OF(n, struct task, wait_node), want_connection);
}

static void find_connection(struct task *t) {
    struct hop *h = t->hop;
    struct list_node *idle = list_first(&h->idle);
    if (list_linked(&t->wait_node))
        list_remove(&h->waiting, &t->wait_node);
    int64_t full = charge(t);
    if (full && may_wait(t, full))
        timer_set(t->deliver->setup.loop, &t->timer, full, want_connection, t);
    else if (full)
        fail_at_once(t, TEMP, "4.4.5", "limit.route-rate",
                     "the rate this route allows is used up for now");
    else if (idle)
        conn_reuse(CONTAINER_OF(idle, struct conn, idle_node), t);
    else if (h->max_connections &&
             counters_open(t->deliver->setup.counters, h->key) >= h->max_connections)
        task_wait(t);
    else
        targets_next(t);
}

static void want_connection(void *ctx) {
    struct task *t = ctx;
    struct deliver *d = t->deliver;
    deliver_in_hand(d, t);
    find_connection(t);
    deliver_in_hand(d, NULL);
}

static void start_maildir(struct task *t) {
    const struct deliver_setup *s = &t->deliver->setup;
    for (size_t i = 0; i < t->job->count; i++)
        s->maildir(s->ctx, t->job, t->job->recipients[i]);
}

void task_start(struct task *t) {
    if (!t->job->count)
        task_session_over(t);
    else if (t->deliver->draining)
        fail_at_once(t, TEMP, "4.3.2", "deliver.stopping", "the server is stopping");
    else if (t->hop->kind == HOP_REFUSED)
        refuse_at_once(t);
    else if (t->hop->kind == HOP_BROKEN)
        fail_at_once(t, TEMP, "4.3.5", "config.next-hop", t->hop->why.text);
    else if (t->hop->kind == HOP_MAILDIR)
        start_maildir(t);
    else if (t->hop->has_login && t->hop->tls == TLS_POLICY_OFF)
        fail_at_once(t, TEMP, "4.7.0", "config.login-without-tls",
                     "this route has a login and tls = off, and a login is never sent without TLS");
    else
        want_connection(t);
}
