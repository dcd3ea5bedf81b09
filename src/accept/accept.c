/* accept: the stage itself: configurations that sessions refer to, the inner door for reports, and
 * how it comes to rest. */
#include "accept/internal.h"
#include "base/must.h"

#include <stdlib.h>

struct accept *accept_open(const struct accept_setup *setup, const struct config *config) {
    struct accept *a = calloc(1, sizeof(*a));
    MUST(a);
    a->setup = *setup;
    if (!a->setup.memory)
        a->setup.memory = MEMORY_DEFAULT;
    a->rules = ruleset_open(config);
    a->scratch = arena_open();
    list_init(&a->sessions);
    return a;
}

void accept_reload(struct accept *a, const struct config *config,
                   void (*release)(void *ctx, const struct config *old), void *ctx) {
    ruleset_retire(&a->rules, release, ctx);
    a->rules = ruleset_open(config);
}

/* --- the inner door ---------------------------------------------------------------------- */

struct inner {
    struct accept *accept;
    struct arena *arena;
    struct envelope envelope;
    struct recipient recipient;
    struct store_draft *draft;
    void (*on_done)(void *ctx, enum rc rc, const struct message_id *id);
    void *ctx;
};

static void inner_done(struct inner *in, enum rc rc, const struct message_id *id) {
    if (in->draft)
        store_abort(&in->draft);
    void (*on_done)(void *, enum rc, const struct message_id *) = in->on_done;
    void *ctx = in->ctx;
    struct arena *arena = in->arena;
    on_done(ctx, rc, id);
    arena_close(&arena);
}

static void inner_committed(void *ctx, enum rc rc, struct message_id id, const struct why *why) {
    (void)why;
    struct inner *in = ctx;
    if (rc == OK) {
        struct event *e = event_begin("accepted");
        event_str(e, "session", "report");
        event_str(e, "message", id.text);
        event_text(e, "message_id", in->envelope.message_header_id);
        event_str(e, "from", "<>");
        event_text(e, "tenant", in->envelope.tenant);
        event_array(e, "to");
        event_item(e, in->recipient.original);
        event_array_end(e);
        event_end(e);
    }
    inner_done(in, rc, rc == OK ? &id : NULL);
}

static void inner_resolved(void *ctx, enum rc rc, const struct envelope *envelope,
                           const struct why *why) {
    (void)why;
    struct inner *in = ctx;
    if (rc != OK) {
        inner_done(in, rc, NULL);
        return;
    }
    store_commit(&in->draft, BYTES_NONE, envelope, inner_committed, in);
}

void accept_report(struct accept *a, struct bytes to, struct bytes tenant, struct bytes message,
                   void (*on_done)(void *ctx, enum rc rc, const struct message_id *id), void *ctx) {
    struct arena *arena = arena_open();
    struct inner *in = ARENA_NEW(arena, struct inner);
    *in = (struct inner){ .accept = a, .arena = arena, .on_done = on_done, .ctx = ctx };
    in->recipient.original = in->recipient.final = arena_copy(arena, to);
    in->recipient.notify = NOTIFY_NEVER; /* never a bounce of a bounce */
    struct header_summary summary;
    header_summarise(message, &summary);
    in->envelope = (struct envelope){
        .flags = ENVELOPE_REPORT | (summary.has_8bit ? ENVELOPE_UTF8 : 0) |
                 (bytes_is_ascii(message) ? 0 : ENVELOPE_8BIT | ENVELOPE_FOUND_8BIT) |
                 ENVELOPE_LOOKED,
        .arrived = loop_wall(a->setup.loop),
        .message_header_id = arena_copy(arena, bytes_trim(summary.message_id)),
        .session = B("report"),
        .listener = B("report"),
        .tenant = arena_copy(arena, tenant),
        .protocol = B("local"),
        .count = 1,
        .recipients = &in->recipient,
    };
    in->draft = store_begin(a->setup.store, message.len, NULL);
    if (!in->draft) {
        inner_done(in, TEMP, NULL);
        return;
    }
    /* A report is at most some hundred KiB: the store takes it whole, whatever it says of room. */
    (void)store_append(in->draft, message);
    a->setup.resolve(a->setup.ctx, &in->envelope, arena, inner_resolved, in);
}

/* --- coming to rest ---------------------------------------------------------------------- */

static void end_sessions(struct accept *a) {
    LIST_EACH(&a->sessions, n) {
        struct session *s = CONTAINER_OF(n, struct session, node);
        if (s->machine && s->started && !s->gone && !smtp_server_in_transaction(s->machine))
            session_stop(s);
    }
}

static void drain_over(void *ctx) {
    struct accept *a = ctx;
    LIST_EACH(&a->sessions, n) {
        struct session *s = CONTAINER_OF(n, struct session, node);
        if (s->started && !s->gone && !s->committing)
            session_stop(s);
        else
            session_close(s);
    }
}

void accept_drain(struct accept *a, int64_t ms, void (*on_idle)(void *ctx), void *ctx) {
    a->draining = true;
    if (a->sessions.count == 0) {
        on_idle(ctx);
        return;
    }
    a->on_idle = on_idle;
    a->idle_ctx = ctx;
    timer_set(a->setup.loop, &a->drain_timer, ms, drain_over, a);
    end_sessions(a);
}

void accept_close(struct accept **ap) {
    struct accept *a = *ap;
    if (!a)
        return;
    timer_clear(&a->drain_timer);
    LIST_EACH(&a->sessions, n) {
        struct session *s = CONTAINER_OF(n, struct session, node);
        if (s->stream)
            stream_abort(&s->stream);
        s->gone = true;
        s->committing =
            false; /* the store and resolve are closed before: nothing is owed any more */
        session_free_if_done(s);
    }
    arena_close(&a->scratch);
    ruleset_retire(&a->rules, NULL, NULL);
    free(a);
    *ap = NULL;
}
