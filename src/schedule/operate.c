/* operate: what a named operator does to a message. What is being delivered at this moment is left
 * alone but for "retry": nobody can say any more whether it arrives. */
#include "base/event.h"
#include "base/must.h"
#include "schedule/internal.h"

struct operation {
    struct schedule *schedule;
    struct arena *arena;
    enum schedule_order order;
    struct message_id id;
    struct bytes who;
    struct store_message *message;
    struct job job;
    struct settlement *settlements;
    struct outcome *outcomes;
    size_t count;
    void (*done)(void *ctx, enum rc rc, size_t changed, const struct why *why);
    void *ctx;
};

static const struct order {
    const char *event;
    uint32_t from; /* states it applies to */
    enum recipient_state to;
} orders[] = {
    [ORDER_RETRY] = { "retry-ordered", 1u << RECIPIENT_DUE | 1u << RECIPIENT_DEFERRED,
                      RECIPIENT_DEFERRED },
    [ORDER_HOLD] = { "held", 1u << RECIPIENT_DUE | 1u << RECIPIENT_DEFERRED, RECIPIENT_HELD },
    [ORDER_RELEASE] = { "released", 1u << RECIPIENT_HELD, RECIPIENT_DEFERRED },
    [ORDER_BOUNCE] = { "bounced",
                       1u << RECIPIENT_DUE | 1u << RECIPIENT_DEFERRED | 1u << RECIPIENT_HELD,
                       RECIPIENT_BOUNCED },
    [ORDER_REMOVE] = { "removed",
                       1u << RECIPIENT_DUE | 1u << RECIPIENT_DEFERRED | 1u << RECIPIENT_HELD,
                       RECIPIENT_REMOVED },
};

static void end(struct operation *o, enum rc rc, size_t changed, const struct why *why) {
    void (*done)(void *, enum rc, size_t, const struct why *) = o->done;
    void *ctx = o->ctx;
    struct schedule *s = o->schedule;
    struct arena *arena = o->arena;
    if (o->message)
        store_message_release(&o->message);
    done(ctx, rc, changed, why);
    arena_close(&arena);
    s->operations--;
    schedule_check_idle(s);
}

static void tell(const struct operation *o, uint32_t recipient) {
    struct event *e = event_begin(orders[o->order].event);
    event_str(e, "message", o->id.text);
    event_text(e, "session", o->job.envelope->session);
    event_text(e, "tenant", o->job.envelope->tenant);
    event_text(e, "to", o->job.envelope->recipients[recipient].final);
    event_text(e, "operator", o->who);
    if (o->order == ORDER_BOUNCE)
        event_str(e, "reason", "operator.returned");
    event_end(e);
}

static void settled(void *ctx, enum rc rc) {
    struct operation *o = ctx;
    struct schedule *s = o->schedule;
    if (rc != OK) {
        struct why why;
        end(o, why_backend(&why, "backend.spool", "The change could not be written to disk"), 0,
            &why);
        return;
    }
    const struct store_recipient *r = store_message_recipients(o->message);
    for (size_t i = 0; i < o->count; i++) {
        uint32_t at = o->settlements[i].recipient;
        tell(o, at);
        if (orders[o->order].to != RECIPIENT_DEFERRED)
            continue;
        struct destination *d = map_find(s->destinations, r[at].next_hop);
        if (d)
            destination_unblock(d);
        item_add(s, o->id, r[at].next_hop, o->settlements[i].next);
    }
    schedule_wake(s, 0);
    end(o, OK, o->count, NULL);
}

static void reported(void *arg, enum rc rc) {
    struct operation *o = arg;
    if (rc != OK) {
        struct why why;
        end(o, why_backend(&why, "backend.spool", "The bounce could not be written to disk"), 0,
            &why);
        return;
    }
    store_settle(o->schedule->store, o->settlements, o->count, settled, o);
}

static void collect(struct operation *o) {
    const struct order *order = &orders[o->order];
    const struct store_recipient *r = store_message_recipients(o->message);
    size_t total = o->job.envelope->count;
    int64_t now = loop_wall(o->schedule->loop);
    o->settlements = ARENA_ARRAY(o->arena, total, struct settlement);
    o->outcomes = ARENA_ARRAY(o->arena, total, struct outcome);
    uint32_t *indices = ARENA_ARRAY(o->arena, total, uint32_t);
    struct bytes words =
        arena_printf(o->arena, "%s by %.*s", o->order == ORDER_BOUNCE ? "Returned" : "Removed",
                     BYTES_FMT(o->who));
    for (uint32_t i = 0; i < total; i++) {
        if (!(order->from & 1u << r[i].state) ||
            (item_find(o->schedule, o->id, r[i].next_hop) &&
             item_find(o->schedule, o->id, r[i].next_hop)->running))
            continue;
        bool again = order->to == RECIPIENT_DEFERRED;
        indices[o->count] = i;
        o->outcomes[o->count] = (struct outcome){ .recipient = i,
                                                  .kind = OUTCOME_FAILED,
                                                  .blast = BLAST_MESSAGE,
                                                  .status = { 5, 7, 0 },
                                                  .reason = "operator.returned",
                                                  .reply = words };
        o->settlements[o->count++] = (struct settlement){
            .id = o->id,
            .recipient = i,
            .state = order->to,
            .attempts = r[i].attempts,
            .next = again ? now : 0,
            .warned = r[i].warned,
            .reply = recipient_state_final(order->to) ? words : r[i].reply,
        };
    }
    o->job.recipients = indices;
    o->job.count = o->count;
}

static void loaded(void *ctx, enum rc rc, struct store_message *m, const struct why *why) {
    struct operation *o = ctx;
    o->message = m;
    if (rc != OK || !m) {
        end(o, rc, 0, why);
        return;
    }
    o->job.id = o->id;
    o->job.envelope = store_message_envelope(m);
    o->job.content = store_message_content(m);
    collect(o);
    if (!o->count) {
        end(o, OK, 0, NULL);
        return;
    }
    struct schedule *s = o->schedule;
    if (o->order == ORDER_BOUNCE)
        s->ports.report(s->ports.ctx, &o->job, o->outcomes, o->count, SCHEDULE_OUTCOMES, reported,
                        o);
    else
        store_settle(s->store, o->settlements, o->count, settled, o);
}

void schedule_operate(struct schedule *s, enum schedule_order order, struct message_id id,
                      struct bytes who,
                      void (*done)(void *ctx, enum rc rc, size_t changed, const struct why *why),
                      void *ctx) {
    struct arena *arena = arena_open();
    struct operation *o = ARENA_NEW(arena, struct operation);
    *o = (struct operation){ .schedule = s,
                             .arena = arena,
                             .order = order,
                             .id = id,
                             .who = arena_copy(arena, who),
                             .done = done,
                             .ctx = ctx };
    s->operations++;
    if (order == ORDER_RELEASE)
        schedule_let_go(s, id);
    store_load(s->store, id, loaded, o);
}
