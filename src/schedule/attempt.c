/* attempt: one item on its way: its message is loaded, a job made and handed to deliver, what came of
 * it turned into reports and then settlements. Reports come first: a recipient is settled as bounced
 * only when its NDR is on disk.
 *
 * For a destination that just failed no connection is made: what is due is postponed with the words
 * of that failure, but warned of and given up like the rest. */
#include "base/event.h"
#include "base/must.h"
#include "schedule/internal.h"

#include <stdlib.h>
#include <string.h>

enum { SLACK_MS = 1000, REPORT_RETRY_MS = 60 * 1000 };

struct attempt {
    struct list_node node;
    struct schedule *schedule;
    struct item *item;
    struct arena *arena;
    struct store_message *message;
    bool postpone;
    struct job job;
    uint32_t *indices;
    struct outcome *outcomes; /* parallel to the job's recipients, in the order they came */
    struct settlement *settlements;
    size_t count;
    uint64_t luck;  /* recipients that wait together come back together: one draw for all */
    unsigned phase; /* of reporting */
};

static void next_phase(struct attempt *a);

int64_t attempt_delay(const struct schedule *s, uint32_t attempts, uint64_t luck) {
    const struct config *c = s->config;
    MUST(c->queue.retry.count > 0);
    size_t at = attempts ? attempts - 1 : 0;
    if (at >= c->queue.retry.count)
        at = c->queue.retry.count - 1;
    int64_t ms = c->queue.retry.list[at];
    /* 20 % either way, so that what failed together does not come back together. */
    return ms - ms / 5 + (int64_t)(luck % ((uint64_t)(ms / 5) * 2 + 1));
}

int64_t attempt_longest(const struct schedule *s) {
    const struct config *c = s->config;
    int64_t longest = 0;
    for (size_t i = 0; i < c->queue.retry.count; i++)
        if (c->queue.retry.list[i] > longest)
            longest = c->queue.retry.list[i];
    return longest + longest / 5 + BLOCK_LONGEST_MS;
}

/* --- the end of an attempt --------------------------------------------------------------- */

static void finish(struct attempt *a) {
    struct schedule *s = a->schedule;
    struct destination *d = a->item->destination;
    d->running--;
    s->running--;
    s->postponing -= a->postpone;
    item_free(s, a->item);
    destination_activate(d);
    if (!d->running && !d->ready.count && !d->failures && !d->paged)
        destination_free(d);
    else if (!d->ready.count && d->paged && !list_linked(&d->node))
        list_append(&s->active, &d->node);
    if (a->message)
        store_message_release(&a->message);
    list_remove(&s->attempts, &a->node);
    struct arena *arena = a->arena;
    arena_close(&arena); /* the attempt lies in it */
    schedule_check_idle(s);
    if (!s->draining)
        schedule_wake(s, 0);
}

/* --- events ------------------------------------------------------------------------------ */

static const char *event_name(const struct settlement *st) {
    switch (st->state) {
    case RECIPIENT_DEFERRED:
        return "deferred";
    case RECIPIENT_BOUNCED:
        return "bounced";
    default:
        return recipient_state_name(st->state);
    }
}

/* A limit that our configuration sets says nothing of the destination: it is waited for, no attempt was
 * made. */
static bool is_own_limit(const struct outcome *o) {
    return o->kind == OUTCOME_DEFERRED && o->reason &&
           (!strcmp(o->reason, "limit.route-rate") || !strcmp(o->reason, "limit.connections"));
}

static void tell(const struct attempt *a, const struct outcome *o, const struct settlement *st) {
    const struct envelope *e = a->job.envelope;
    struct event *ev = event_begin(event_name(st));
    event_str(ev, "message", a->job.id.text);
    event_text(ev, "session", e->session);
    event_text(ev, "message_id", e->message_header_id);
    event_text(ev, "from", e->sender.len ? e->sender : B("<>"));
    event_text(ev, "tenant", e->tenant);
    event_text(ev, "to", e->recipients[o->recipient].final);
    if (!bytes_equal(e->recipients[o->recipient].final, e->recipients[o->recipient].original))
        event_text(ev, "original_to", e->recipients[o->recipient].original);
    event_text(ev, "next_hop", a->job.next_hop);
    event_u64(ev, "attempt", st->attempts);
    event_text(ev, "host", o->host);
    if (o->address.family)
        event_addr(ev, "address", o->address);
    event_str(ev, "command", o->command ? o->command : "");
    if (o->code)
        event_u64(ev, "code", (uint64_t)o->code);
    char status[12];
    status_format(o->status, status);
    event_text(ev, "enhanced", bytes_str(status));
    event_text(ev, "reply", o->reply);
    event_text(ev, "reason", bytes_str(o->reason));
    event_text(ev, "tls", o->tls);
    if (o->uncertain)
        event_bool(ev, "uncertain", true);
    /* Of our own notices none: an alarm that cannot be delivered would raise the next one. */
    if (o->alarm && !(e->flags & ENVELOPE_REPORT))
        event_bool(ev, "alarm", true);
    if (a->postpone || is_own_limit(o))
        event_bool(ev, "tried", false);
    if (st->next)
        event_time(ev, "next", st->next);
    event_end(ev);
}

/* --- reports, then settlements ----------------------------------------------------------- */

enum { PHASE_FAILED, PHASE_EXPIRED, PHASE_DELAYED, PHASE_SUCCESS, PHASES };

static bool in_phase(const struct attempt *a, size_t i, unsigned phase) {
    const struct outcome *o = &a->outcomes[i];
    const struct settlement *st = &a->settlements[i];
    switch (phase) {
    case PHASE_FAILED:
        return o->kind == OUTCOME_FAILED;
    case PHASE_EXPIRED:
        return o->kind == OUTCOME_DEFERRED && st->state == RECIPIENT_BOUNCED;
    case PHASE_DELAYED:
        return o->kind == OUTCOME_DEFERRED && st->state == RECIPIENT_DEFERRED && st->warned &&
               !store_message_recipients(a->message)[o->recipient].warned;
    default:
        return (o->kind == OUTCOME_RELAYED || o->kind == OUTCOME_DELIVERED) && !o->dsn_passed_on &&
               a->job.envelope->recipients[o->recipient].notify & NOTIFY_SUCCESS;
    }
}

/* A report that could not be written must not make a failure silent: the recipient stays, and the
 * attempt is made again. A delay notice is tried again with the next attempt. */
static void not_reported(struct attempt *a) {
    int64_t now = loop_wall(a->schedule->loop);
    for (size_t i = 0; i < a->count; i++) {
        struct settlement *st = &a->settlements[i];
        if (!in_phase(a, i, a->phase))
            continue;
        if (a->phase == PHASE_DELAYED)
            st->warned = false;
        if (a->phase > PHASE_EXPIRED)
            continue;
        st->state = RECIPIENT_DEFERRED;
        st->next = now + REPORT_RETRY_MS;
    }
}

static void reported(void *arg, enum rc rc) {
    struct attempt *a = arg;
    if (rc != OK)
        not_reported(a);
    a->phase++;
    next_phase(a);
}

static void settle(struct attempt *a) {
    for (size_t i = 0; i < a->count; i++)
        tell(a, &a->outcomes[i], &a->settlements[i]);
    if (a->count)
        store_settle(a->schedule->store, a->settlements, a->count, NULL, NULL);
    finish(a);
}

static void next_phase(struct attempt *a) {
    static const enum schedule_report what[] = {
        [PHASE_FAILED] = SCHEDULE_OUTCOMES,
        [PHASE_EXPIRED] = SCHEDULE_EXPIRED,
        [PHASE_DELAYED] = SCHEDULE_DELAYED,
        [PHASE_SUCCESS] = SCHEDULE_OUTCOMES,
    };
    struct schedule *s = a->schedule;
    for (; a->phase < PHASES; a->phase++) {
        struct outcome *some = ARENA_ARRAY(a->arena, a->count, struct outcome);
        size_t count = 0;
        for (size_t i = 0; i < a->count; i++)
            if (in_phase(a, i, a->phase))
                some[count++] = a->outcomes[i];
        if (!count)
            continue;
        s->ports.report(s->ports.ctx, &a->job, some, count, what[a->phase], reported, a);
        return;
    }
    settle(a);
}

/* --- from outcomes to settlements -------------------------------------------------------- */

static void settle_deferred(struct attempt *a, struct settlement *st) {
    struct schedule *s = a->schedule;
    const struct destination *d = a->item->destination;
    int64_t now = loop_wall(s->loop), arrived = a->job.envelope->arrived;
    if (now - arrived >= s->config->queue.give_up) {
        st->state = RECIPIENT_BOUNCED;
        return;
    }
    st->state = RECIPIENT_DEFERRED;
    st->next = now + attempt_delay(s, st->attempts, a->luck);
    if (a->postpone && st->next < d->blocked_until)
        st->next = d->blocked_until + (int64_t)(a->luck % 5000);
    if (st->next > arrived + s->config->queue.give_up)
        st->next = arrived + s->config->queue.give_up;
    if (now - arrived >= s->config->queue.warn_after)
        st->warned = true;
}

static void to_settlement(struct attempt *a, const struct outcome *o, struct settlement *st) {
    const struct store_recipient *before = &store_message_recipients(a->message)[o->recipient];
    static const enum recipient_state states[] = {
        [OUTCOME_DELIVERED] = RECIPIENT_DELIVERED, [OUTCOME_RELAYED] = RECIPIENT_RELAYED,
        [OUTCOME_DEFERRED] = RECIPIENT_DEFERRED,   [OUTCOME_FAILED] = RECIPIENT_BOUNCED,
        [OUTCOME_EXPANDED] = RECIPIENT_EXPANDED,
    };
    *st = (struct settlement){
        .id = a->job.id,
        .recipient = o->recipient,
        .state = states[o->kind],
        .attempts = before->attempts + (a->postpone || is_own_limit(o) ? 0 : 1),
        .warned = before->warned,
        .reply = o->reply,
    };
    if (o->kind == OUTCOME_DEFERRED)
        settle_deferred(a, st);
}

static void judge_destination(struct attempt *a) {
    struct destination *d = a->item->destination;
    int64_t now = loop_wall(a->schedule->loop);
    const struct outcome *failure = NULL;
    if (a->count && is_own_limit(&a->outcomes[0])) {
        destination_waits(d, now);
        return;
    }
    for (size_t i = 0; i < a->count; i++)
        if (a->outcomes[i].kind == OUTCOME_DEFERRED && a->outcomes[i].blast == BLAST_SESSION)
            failure = &a->outcomes[i];
    if (failure)
        destination_failed(d, failure, now);
    else
        destination_succeeded(d);
}

enum { REPLY_MAX = 500 }; /* what a settlement holds */

/* A longer reply is cut between words, and shows it. */
static struct bytes keep_reply(struct arena *a, struct bytes reply) {
    if (reply.len <= REPLY_MAX)
        return arena_copy(a, reply);
    struct bytes part = bytes_first(reply, REPLY_MAX - 4);
    ptrdiff_t blank = bytes_find_last(part, ' ');
    if (blank > REPLY_MAX / 2)
        part = bytes_first(part, (size_t)blank);
    while (part.len && ((unsigned char)reply.at[part.len] & 0xc0) == 0x80)
        part.len--; /* nor within a character */
    return arena_printf(a, "%.*s ...", BYTES_FMT(part));
}

/* Outcomes live only as long as the call that brings them. */
static void keep_outcomes(struct attempt *a, const struct outcome *outcomes, size_t count) {
    a->outcomes = ARENA_ARRAY(a->arena, count, struct outcome);
    a->settlements = ARENA_ARRAY(a->arena, count, struct settlement);
    a->count = count;
    for (size_t i = 0; i < count; i++) {
        struct outcome *o = &a->outcomes[i];
        *o = outcomes[i];
        o->reply = keep_reply(a->arena, o->reply);
        o->host = arena_copy(a->arena, o->host);
        o->tls = arena_copy(a->arena, o->tls);
        if (o->reason)
            o->reason = arena_str(a->arena, bytes_str(o->reason));
    }
}

static void take_outcomes(struct attempt *a, const struct outcome *outcomes, size_t count) {
    keep_outcomes(a, outcomes, count);
    if (!a->postpone)
        judge_destination(a);
    for (size_t i = 0; i < count; i++)
        to_settlement(a, &a->outcomes[i], &a->settlements[i]);
    next_phase(a);
}

void attempt_outcomes(struct schedule *s, struct message_id id, struct bytes next_hop,
                      const struct outcome *outcomes, size_t count) {
    struct item *item = item_find(s, id, next_hop);
    MUST(item && item->attempt);
    counters_in_hand(s->counters, message_id_bytes(&id)); /* its report is yet to be written */
    take_outcomes(item->attempt, outcomes, count);
    counters_in_hand(s->counters, BYTES_NONE);
}

/* --- the beginning ----------------------------------------------------------------------- */

static bool is_due(const struct attempt *a, const struct store_recipient *r, int64_t now) {
    if (r->state != RECIPIENT_DUE && r->state != RECIPIENT_DEFERRED)
        return false;
    bool stray = r->next > now + attempt_longest(a->schedule);
    return (r->next <= now + SLACK_MS || stray) && bytes_equal(r->next_hop, a->job.next_hop);
}

/* A reload may have changed the way: those recipients get their new next hop and come back. */
static bool rerouted(struct attempt *a, uint32_t recipient, const struct store_recipient *r) {
    struct schedule *s = a->schedule;
    char memory[600];
    struct buf hop = buf_fixed(memory, sizeof(memory));
    s->ports.next_hop(s->ports.ctx, a->job.envelope, recipient, &hop);
    if (hop.full || bytes_equal(buf_bytes(&hop), a->job.next_hop))
        return false;
    struct bytes now_at = arena_copy(a->arena, buf_bytes(&hop));
    struct settlement st = {
        .id = a->job.id,
        .recipient = recipient,
        .state = RECIPIENT_DEFERRED,
        .attempts = r->attempts,
        .next = loop_wall(s->loop),
        .warned = r->warned,
        .next_hop = now_at,
        .reply = r->reply,
    };
    store_settle(s->store, &st, 1, NULL, NULL);
    item_add(s, a->job.id, now_at, st.next);
    return true;
}

static void collect(struct attempt *a) {
    const struct store_recipient *r = store_message_recipients(a->message);
    int64_t now = loop_wall(a->schedule->loop);
    uint32_t total = (uint32_t)a->job.envelope->count;
    a->indices = ARENA_ARRAY(a->arena, total, uint32_t);
    for (uint32_t i = 0; i < total; i++) {
        if (!is_due(a, &r[i], now) || rerouted(a, i, &r[i]))
            continue;
        a->indices[a->job.count++] = i;
        if (r[i].attempts + 1 > a->job.attempt)
            a->job.attempt = r[i].attempts + 1;
    }
    a->job.recipients = a->indices;
}

static void postpone(struct attempt *a) {
    const struct destination *d = a->item->destination;
    struct outcome *outcomes = ARENA_ARRAY(a->arena, a->job.count, struct outcome);
    struct bytes reply = arena_copy(a->arena, bytes_str(d->last_reply));
    for (size_t i = 0; i < a->job.count; i++)
        outcomes[i] = (struct outcome){
            .recipient = a->indices[i],
            .kind = OUTCOME_DEFERRED,
            .blast = BLAST_SESSION,
            .code = d->last_code,
            .status = d->last_status,
            .command = d->last_command,
            .reason = d->last_reason[0] ? arena_str(a->arena, bytes_str(d->last_reason)) : NULL,
            .reply = reply,
        };
    take_outcomes(a, outcomes, a->job.count);
}

/* --- a message that crashes -------------------------------------------------------------- */

static const char held_words[] = "Held: the server crashed twice while it worked on this message. "
                                 "\"postern queue release\" tries again";

static void tell_held(const struct attempt *a, uint32_t recipient) {
    struct event *e = event_begin("held");
    event_str(e, "message", a->job.id.text);
    event_text(e, "session", a->job.envelope->session);
    event_text(e, "tenant", a->job.envelope->tenant);
    event_text(e, "to", a->job.envelope->recipients[recipient].final);
    event_text(e, "next_hop", a->job.next_hop);
    event_str(e, "operator", "postern");
    event_str(e, "reason", "backend.crash");
    event_str(e, "text", held_words);
    event_bool(e, "alarm", true);
    event_end(e);
}

/* Only now that it is on disk: else the next process must hold it again. */
static void is_held(void *ctx, enum rc rc) {
    struct attempt *a = ctx;
    struct schedule *s = a->schedule;
    struct message_id id = a->job.id;
    if (rc == OK)
        for (size_t i = 0; i < a->job.count; i++)
            tell_held(a, a->indices[i]);
    finish(a);
    if (rc == OK && s->ports.held)
        s->ports.held(s->ports.ctx, id);
}

static void hold(struct attempt *a) {
    const struct store_recipient *r = store_message_recipients(a->message);
    a->settlements = ARENA_ARRAY(a->arena, a->job.count, struct settlement);
    for (size_t i = 0; i < a->job.count; i++)
        a->settlements[i] = (struct settlement){
            .id = a->job.id,
            .recipient = a->indices[i],
            .state = RECIPIENT_HELD,
            .attempts = r[a->indices[i]].attempts,
            .warned = r[a->indices[i]].warned,
            .reply = bytes_str(held_words),
        };
    store_settle(a->schedule->store, a->settlements, a->job.count, is_held, a);
}

static void loaded(void *ctx, enum rc rc, struct store_message *m, const struct why *why) {
    struct attempt *a = ctx;
    struct schedule *s = a->schedule;
    a->message = m;
    if (rc != OK || !m) {
        if (rc != OK) {
            struct event *e = event_begin("unreadable");
            event_str(e, "message", a->job.id.text);
            event_why(e, why);
            event_end(e);
            /* The store still has it as due: the next sweep finds it again, and what lies behind. To
             * ask for more of this destination now would bring the same, and again. */
            a->item->destination->paged = false;
        }
        finish(a);
        return;
    }
    a->job.envelope = store_message_envelope(m);
    a->job.content = store_message_content(m);
    collect(a);
    if (!a->job.count) {
        finish(a);
        return;
    }
    if (schedule_is_back(s, a->job.id)) {
        hold(a);
        return;
    }
    if (a->postpone) {
        postpone(a);
        return;
    }
    counters_in_hand(s->counters, message_id_bytes(&a->job.id));
    s->ports.deliver(s->ports.ctx, &a->job);
    counters_in_hand(s->counters, BYTES_NONE);
}

void attempt_begin(struct schedule *s, struct item *item, bool postponed) {
    struct arena *arena = arena_open();
    struct attempt *a = ARENA_NEW(arena, struct attempt);
    a->schedule = s;
    a->item = item;
    item->attempt = a;
    a->arena = arena;
    a->postpone = postponed;
    a->luck = schedule_random(s, UINT32_MAX);
    a->job.id = item->id;
    a->job.next_hop = arena_copy(arena, item->destination->next_hop);
    s->postponing += postponed;
    list_append(&s->attempts, &a->node);
    store_load(s->store, item->id, loaded, a);
}

void attempt_close_all(struct schedule *s) {
    struct list_node *n;
    while ((n = list_pop(&s->attempts))) {
        struct attempt *a = CONTAINER_OF(n, struct attempt, node);
        if (a->message)
            store_message_release(&a->message);
        struct arena *arena = a->arena;
        arena_close(&arena);
    }
}
