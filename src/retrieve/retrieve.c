/* retrieve: the stage itself: configurations that sessions refer to, and how it comes to rest. */
#include "retrieve/internal.h"

#include "base/must.h"

#include <stdlib.h>

struct retrieve *retrieve_open(const struct retrieve_setup *setup, const struct config *config) {
    struct retrieve *r = calloc(1, sizeof(*r));
    MUST(r);
    r->setup = *setup;
    r->rules = ruleset_open(config);
    r->scratch = arena_open();
    list_init(&r->sessions);
    return r;
}

void retrieve_reload(struct retrieve *r, const struct config *config,
                     void (*release)(void *ctx, const struct config *old), void *ctx) {
    ruleset_retire(&r->rules, release, ctx);
    r->rules = ruleset_open(config);
}

static void end_sessions(struct retrieve *r) {
    LIST_EACH(&r->sessions, n)
    reader_pump(CONTAINER_OF(n, struct reader, node));
}

static void drain_over(void *ctx) {
    struct retrieve *r = ctx;
    LIST_EACH(&r->sessions, n)
    reader_close(CONTAINER_OF(n, struct reader, node));
}

void retrieve_drain(struct retrieve *r, int64_t ms, void (*on_idle)(void *ctx), void *ctx) {
    r->draining = true;
    if (r->sessions.count == 0) {
        on_idle(ctx);
        return;
    }
    r->on_idle = on_idle;
    r->idle_ctx = ctx;
    timer_set(r->setup.loop, &r->drain_timer, ms, drain_over, r);
    end_sessions(r);
}

void retrieve_close(struct retrieve **rp) {
    struct retrieve *r = *rp;
    if (!r)
        return;
    *rp = NULL;
    r->on_idle = NULL;
    timer_clear(&r->drain_timer);
    LIST_EACH(&r->sessions, n) {
        struct reader *s = CONTAINER_OF(n, struct reader, node);
        if (s->stream)
            stream_abort(&s->stream);
        s->gone = true;
        reader_free(s);
    }
    arena_close(&r->scratch);
    ruleset_retire(&r->rules, NULL, NULL);
    free(r);
}
