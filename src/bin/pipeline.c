/* pipeline: the one file that knows all stages. It holds no rules: each function here hands what one
 * stage made to the next. */
#include "bin/pipeline.h"
#include "accept/accept.h"
#include "base/event.h"
#include "base/must.h"
#include "bin/alarm.h"
#include "bin/vacation.h"
#include "decide/decide.h"
#include "deliver/deliver.h"
#include "report/report.h"
#include "resolve/resolve.h"
#include "resolve/srs.h"
#include "retrieve/retrieve.h"

#include <stdlib.h>

enum { REPORT_ORIGINAL = 256 * 1024 }; /* of a failed message, read for its NDR */

static const uint64_t RETRIEVE_SEED = 0xa5a5a5a55a5a5a5aULL; /* other session ids than accept's */

/* A configuration, and who may still look at it: the sessions of stages, which count them, and questions of
 * resolve. */
struct generation {
    const struct config *config;
    size_t users; /* questions; once it is replaced, stages with sessions too */
    bool replaced;
    void (*release)(void *ctx, const struct config *old);
    void *release_ctx;
};

struct pipeline {
    struct pipeline_setup setup;
    const struct config *config;
    struct generation *generation;
    struct accept *accept;
    struct retrieve *retrieve; /* NULL: no POP3 */
    struct schedule *schedule;
    struct deliver *deliver;
    struct alarm *alarm;
    struct vacations *vacations;
    unsigned draining; /* stages that have not come to rest */
    unsigned letters;  /* of our own that are not on disk yet: alarms, automatic answers */
    bool at_rest;
    void (*on_idle)(void *ctx);
    void *idle_ctx;
};

/* --- configurations ------------------------------------------------------------------------- */

static struct generation *open_generation(const struct config *config) {
    struct generation *g = calloc(1, sizeof *g);
    MUST(g);
    g->config = config;
    return g;
}

static void generation_unused(struct generation *g) {
    if (--g->users || !g->replaced)
        return;
    g->release(g->release_ctx, g->config);
    free(g);
}

static void left(void *ctx, const struct config *old) {
    (void)old;
    generation_unused(ctx);
}

/* --- accept -> resolve ------------------------------------------------------------------- */

struct resolving {
    struct generation *generation;
    void (*on_resolved)(void *arg, enum rc rc, const struct envelope *resolved,
                        const struct why *why);
    void *arg;
};

static void resolved(void *ctx, enum rc rc, const struct envelope *envelope,
                     const struct why *why) {
    struct resolving q = *(struct resolving *)ctx; /* its arena may go with the call */
    q.on_resolved(q.arg, rc, envelope, why);
    generation_unused(q.generation);
}

static void resolve_for(void *ctx, const struct envelope *envelope, struct arena *a,
                        void (*on_resolved)(void *arg, enum rc rc, const struct envelope *resolved,
                                            const struct why *why),
                        void *arg) {
    struct pipeline *p = ctx;
    struct resolving *q = ARENA_NEW(a, struct resolving);
    *q = (struct resolving){ p->generation, on_resolved, arg };
    p->generation->users++;
    resolve_begin(p->setup.loop, p->config, p->setup.directory, envelope, a, resolved, q);
}

static enum srs_state srs_for(void *ctx, struct bytes mailbox, int64_t now) {
    struct pipeline *p = ctx;
    struct arena *a = arena_open();
    struct bytes inside;
    enum srs_state state = srs_read(p->config->srs_secret, mailbox, now, a, &inside);
    arena_close(&a);
    return state;
}

static enum rc gateway_for(void *ctx, struct addr client, bool *out) {
    struct pipeline *p = ctx;
    *out = false;
    return p->setup.is_gateway ? p->setup.is_gateway(p->setup.gateway_ctx, client, out) : OK;
}

/* --- accept -> deliver: is there such a mailbox behind us -------------------------------------- */

static void probe_for(void *ctx, struct bytes mailbox, probe_told *on_answer, void *arg) {
    struct pipeline *p = ctx;
    char memory[600];
    struct buf hop = buf_fixed(memory, sizeof(memory));
    resolve_next_hop(p->config, BYTES_NONE, mailbox, &hop);
    deliver_probe(p->deliver, buf_bytes(&hop), mailbox, on_answer, arg);
}

static void probe_cancel_for(void *ctx, void *arg) {
    struct pipeline *p = ctx;
    if (p->deliver)
        deliver_probe_cancel(p->deliver, arg);
}

/* --- schedule -> deliver -> schedule ----------------------------------------------------- */

static void deliver_for(void *ctx, const struct job *job) {
    struct pipeline *p = ctx;
    deliver_begin(p->deliver, job);
}

static bool has_arrived(const struct outcome *o) {
    return o->kind == OUTCOME_DELIVERED || o->kind == OUTCOME_RELAYED;
}

/* Its user may be away: then there is an answer. */
static void answer_for(struct pipeline *p, const struct job *job, uint32_t recipient) {
    const struct tenant *t =
        resolve_tenant(p->config, job->envelope, &job->envelope->recipients[recipient]);
    struct bytes tenant = t ? t->name : BYTES_NONE;
    if (vacations_delivered(p->vacations, job, recipient, tenant,
                            config_hostname(p->config, tenant)))
        p->letters++;
}

static void delivered(void *ctx, const struct job *job, const struct outcome *outcomes,
                      size_t count) {
    struct pipeline *p = ctx;
    for (size_t i = 0; i < count; i++)
        if (has_arrived(&outcomes[i]))
            answer_for(p, job, outcomes[i].recipient);
    schedule_outcomes(p->schedule, job->id, job->next_hop, outcomes, count);
}

static void held_for(void *ctx, struct message_id id) {
    struct pipeline *p = ctx;
    if (p->setup.on_held)
        p->setup.on_held(p->setup.held_ctx, id);
}

static void next_hop_for(void *ctx, const struct envelope *e, uint32_t recipient, struct buf *out) {
    struct pipeline *p = ctx;
    resolve_recipient_hop(p->config, e, &e->recipients[recipient], out);
}

struct maildir_call {
    struct pipeline *pipeline;
    const struct job *job;
    uint32_t recipient;
};

static void maildir_done(void *ctx, enum rc rc, const struct why *why) {
    struct maildir_call call = *(struct maildir_call *)ctx;
    free(ctx);
    deliver_maildir_done(call.pipeline->deliver, call.job, call.recipient, rc, why);
}

static void maildir_for(void *ctx, const struct job *job, uint32_t recipient) {
    struct pipeline *p = ctx;
    struct maildir_call *call = malloc(sizeof(*call));
    MUST(call);
    *call = (struct maildir_call){ p, job, recipient };
    const struct recipient *r = &job->envelope->recipients[recipient];
    maildir_deliver(p->setup.maildir, job, envelope_sender(job->envelope, r), r->final,
                    maildir_done, call);
}

/* --- schedule -> report -> accept's inner door ------------------------------------------- */

/* One report being made. Outcomes live only as long as the call that brought them, so what the
 * report says of them is kept here. */
struct reporting {
    struct pipeline *pipeline;
    struct arena *arena;
    const struct job *job;    /* with that envelope */
    struct outcome *outcomes; /* for whom the report is that is being written */
    size_t count;
    size_t left; /* behind them: for somebody else, a group's owner */
    enum schedule_report what;
    void (*done)(void *arg, enum rc rc);
    void *arg;
    struct job as;
    struct envelope envelope;
};

static void report_next(struct reporting *r);

static void report_done(void *ctx, enum rc rc, const struct message_id *id) {
    (void)id;
    struct reporting *r = ctx;
    if (rc == OK && r->left) {
        r->outcomes += r->count;
        report_next(r);
        return;
    }
    void (*done)(void *, enum rc) = r->done;
    void *arg = r->arg;
    struct arena *arena = r->arena;
    done(arg, rc);
    arena_close(&arena);
}

static const enum report_kind kinds[] = {
    [SCHEDULE_OUTCOMES] = REPORT_FAILED,
    [SCHEDULE_EXPIRED] = REPORT_GAVE_UP,
    [SCHEDULE_DELAYED] = REPORT_DELAY,
};

static enum report_kind kind_of(const struct reporting *r) {
    if (r->what == SCHEDULE_OUTCOMES && r->outcomes[0].kind != OUTCOME_FAILED)
        return REPORT_SUCCESS;
    return kinds[r->what];
}

/* A damaged record costs the returned part, not the report. */
static void original_read(void *ctx, enum rc rc, struct bytes data, const struct why *why) {
    (void)why;
    struct reporting *r = ctx;
    struct pipeline *p = r->pipeline;
    struct bytes original = rc == OK ? data : BYTES_NONE;
    int64_t now = loop_wall(p->setup.loop);
    const struct envelope *e = r->job->envelope;
    const struct tenant *tenant =
        resolve_tenant(p->config, e, &e->recipients[r->outcomes[0].recipient]);
    struct report_setup setup = {
        .config = p->config,
        .hostname = config_hostname(p->config, tenant ? tenant->name : BYTES_NONE),
        .kind = kind_of(r),
        .now = now,
        .give_up = r->job->envelope->arrived + p->config->queue.give_up,
        .boundary = arena_printf(r->arena, "%s.%u.%llx", r->job->id.text,
                                 (unsigned)r->outcomes[0].recipient, (unsigned long long)now),
    };
    struct bytes to;
    struct buf message = buf_grow(4 * 1024 * 1024);
    report_write(&setup, &r->as, r->outcomes, r->count, original,
                 original.len == r->job->content.size, r->arena, &to, &message);
    if (to.len)
        accept_report(p->accept, to, tenant ? tenant->name : BYTES_NONE, buf_bytes(&message),
                      report_done, r);
    else
        report_done(r, OK, NULL);
    buf_free(&message);
}

static struct bytes report_to(const struct reporting *r, const struct outcome *o) {
    return envelope_report_to(r->as.envelope, &r->as.envelope->recipients[o->recipient]);
}

/* Brings those together that are told to the same address, and writes to it. */
static void report_next(struct reporting *r) {
    size_t all = r->left;
    r->as.envelope = r->job->envelope;
    r->count = 0;
    for (size_t i = 0; i < all; i++) {
        struct outcome o = r->outcomes[i];
        if (r->count && !bytes_equal_nocase(report_to(r, &r->outcomes[0]), report_to(r, &o)))
            continue;
        r->outcomes[i] = r->outcomes[r->count];
        r->outcomes[r->count++] = o;
    }
    r->left = all - r->count;
    r->envelope = *r->job->envelope;
    r->envelope.sender = report_to(r, &r->outcomes[0]);
    r->as = *r->job;
    r->as.envelope = &r->envelope;
    if (r->job->content.memory.len) {
        original_read(r, OK, bytes_first(r->job->content.memory, REPORT_ORIGINAL), NULL);
        return;
    }
    r->job->content.read(r->job->content.ctx, 0, REPORT_ORIGINAL, original_read, r);
}

static void report_for(void *ctx, const struct job *job, const struct outcome *outcomes,
                       size_t count, enum schedule_report what, void (*done)(void *arg, enum rc rc),
                       void *arg) {
    struct arena *arena = arena_open();
    struct reporting *r = ARENA_NEW(arena, struct reporting);
    *r = (struct reporting){
        .pipeline = ctx,
        .arena = arena,
        .job = job,
        .left = count,
        .what = what,
        .done = done,
        .arg = arg,
    };
    r->outcomes = ARENA_ARRAY(arena, count, struct outcome);
    for (size_t i = 0; i < count; i++) {
        r->outcomes[i] = outcomes[i];
        r->outcomes[i].reply = arena_copy(arena, outcomes[i].reply);
        r->outcomes[i].host = arena_copy(arena, outcomes[i].host);
        r->outcomes[i].tls = arena_copy(arena, outcomes[i].tls);
        if (outcomes[i].reason)
            r->outcomes[i].reason = arena_str(arena, bytes_str(outcomes[i].reason));
    }
    report_next(r);
}

/* --- events -> accept's inner door ------------------------------------------------------- */

static void check_idle(struct pipeline *p) {
    if (!p->on_idle || p->draining || p->letters || p->at_rest)
        return;
    p->at_rest = true;
    p->on_idle(p->idle_ctx);
}

static void letter_done(void *ctx) {
    struct pipeline *p = ctx;
    p->letters--;
    check_idle(p);
}

static void alarm_done(void *ctx, enum rc rc, const struct message_id *id) {
    (void)rc;
    (void)id;
    letter_done(ctx);
}

/* Nobody waits for these but the end: what is at rest begins nothing. */
static void send_alarm(void *ctx, struct bytes to, struct bytes message) {
    struct pipeline *p = ctx;
    if (p->at_rest)
        return;
    p->letters++;
    accept_report(p->accept, to, BYTES_NONE, message, alarm_done, p);
}

/* --- delivered -> report -> accept's inner door ------------------------------------------ */

static void send_answer(void *ctx, struct bytes to, struct bytes tenant, struct bytes message,
                        void (*on_done)(void *arg, enum rc rc, const struct message_id *id),
                        void *arg) {
    struct pipeline *p = ctx;
    accept_report(p->accept, to, tenant, message, on_done, arg);
}

void pipeline_alarm(struct pipeline *p, const char *name, struct bytes line) {
    alarm_event(p->alarm, name, line);
}

/* --- opening, changing, closing ---------------------------------------------------------- */

struct pipeline *pipeline_open(const struct pipeline_setup *setup, const struct config *config) {
    struct pipeline *p = calloc(1, sizeof(*p));
    MUST(p);
    p->setup = *setup;
    p->config = config;
    p->generation = open_generation(config);
    p->accept = accept_open(
        &(struct accept_setup){
            .loop = setup->loop,
            .store = setup->store,
            .directory = setup->directory,
            .auth = setup->auth,
            .counters = setup->counters,
            .dns = setup->dns,
            .decide = decide,
            .mechanisms = decide_mechanisms,
            .resolve = resolve_for,
            .is_gateway = gateway_for,
            .srs = srs_for,
            .probe = probe_for,
            .probe_cancel = probe_cancel_for,
            .ctx = p,
            .memory = setup->memory,
            .seed = setup->seed,
        },
        config);
    if (setup->maildrops)
        p->retrieve = retrieve_open(
            &(struct retrieve_setup){
                .loop = setup->loop,
                .directory = setup->directory,
                .auth = setup->auth,
                .counters = setup->counters,
                .maildrops = setup->maildrops,
                .decide = decide,
                .mechanisms = decide_mechanisms,
                .is_gateway = gateway_for,
                .ctx = p,
                .seed = setup->seed ^ RETRIEVE_SEED,
            },
            config);
    p->deliver = deliver_open(
        &(struct deliver_setup){
            .loop = setup->loop,
            .dns = setup->dns,
            .counters = setup->counters,
            .tls = setup->tls,
            .fetcher = setup->fetcher,
            .maildir = maildir_for,
            .ctx = p,
            .on_outcomes = delivered,
            .own_addresses = setup->own_addresses,
            .own_address_count = setup->own_address_count,
        },
        config);
    p->schedule = schedule_open(setup->loop, setup->store, setup->counters, config,
                                &(struct schedule_ports){
                                    .ctx = p,
                                    .deliver = deliver_for,
                                    .next_hop = next_hop_for,
                                    .report = report_for,
                                    .held = held_for,
                                });
    p->alarm = alarm_open(&(struct alarm_setup){ .loop = setup->loop,
                                                 .hostname = config->hostname,
                                                 .postmaster = config->postmaster,
                                                 .send = send_alarm,
                                                 .ctx = p });
    event_listen(alarm_event, p->alarm);
    p->vacations = vacations_open(&(struct vacations_setup){ .loop = setup->loop,
                                                             .directory = setup->directory,
                                                             .send = send_answer,
                                                             .on_end = letter_done,
                                                             .ctx = p });
    return p;
}

void pipeline_reload(struct pipeline *p, const struct config *config,
                     void (*release)(void *ctx, const struct config *old), void *ctx) {
    p->config = config;
    alarm_reload(p->alarm, config->hostname, config->postmaster);
    schedule_reload(p->schedule, config);
    deliver_reload(p->deliver, config);
    struct generation *old = p->generation;
    p->generation = open_generation(config);
    old->replaced = true;
    old->release = release;
    old->release_ctx = ctx;
    old->users += p->retrieve ? 2 : 1;
    if (p->retrieve)
        retrieve_reload(p->retrieve, config, left, old);
    accept_reload(p->accept, config, left, old);
}

void pipeline_own_addresses(struct pipeline *p, const struct addr *list, size_t count) {
    deliver_own_addresses(p->deliver, list, count);
}

void pipeline_session(struct pipeline *p, struct stream *s, struct bytes listener,
                      struct tls_server *tls) {
    accept_session(p->accept, s, listener, tls);
}

void pipeline_retrieval(struct pipeline *p, struct stream *s, struct bytes listener,
                        struct tls_server *tls) {
    MUST(p->retrieve);
    retrieve_session(p->retrieve, s, listener, tls);
}

void pipeline_local(struct pipeline *p, struct stream *s, struct bytes user) {
    accept_local(p->accept, s, user);
}

void pipeline_operate(struct pipeline *p, enum schedule_order order, struct message_id id,
                      struct bytes who,
                      void (*done)(void *ctx, enum rc rc, size_t changed, const struct why *why),
                      void *ctx) {
    schedule_operate(p->schedule, order, id, who, done, ctx);
}

void pipeline_hold_back(struct pipeline *p, struct message_id id) {
    schedule_hold_back(p->schedule, id);
}

static void one_idle(void *ctx) {
    struct pipeline *p = ctx;
    p->draining--;
    check_idle(p);
}

void pipeline_drain(struct pipeline *p, int64_t ms, void (*on_idle)(void *ctx), void *ctx) {
    p->on_idle = on_idle;
    p->idle_ctx = ctx;
    p->draining = p->retrieve ? 4 : 3;
    schedule_drain(p->schedule, one_idle, p);
    deliver_drain(p->deliver, ms, one_idle, p);
    if (p->retrieve)
        retrieve_drain(p->retrieve, ms, one_idle, p);
    accept_drain(p->accept, ms, one_idle, p);
}

void pipeline_close(struct pipeline **pp) {
    struct pipeline *p = *pp;
    if (!p)
        return;
    event_unlisten(alarm_event, p->alarm);
    alarm_close(&p->alarm);
    vacations_close(&p->vacations);
    schedule_close(&p->schedule);
    deliver_close(&p->deliver);
    accept_close(&p->accept);
    retrieve_close(&p->retrieve);
    free(p->generation);
    free(p);
    *pp = NULL;
}
