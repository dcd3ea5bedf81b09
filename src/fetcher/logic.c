/* logic: who gets what, and calls that wait together. */
#include "fetcher/internal.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

struct fetch_logic *fetch_logic_open(struct loop *l, const struct config *config,
                                     struct bytes folder, const struct fetch_web *web) {
    struct arena *a = arena_open();
    struct fetch_logic *f = ARENA_NEW(a, struct fetch_logic);
    f->arena = a;
    f->loop = l;
    f->config = config;
    f->folder = arena_copy(a, folder);
    f->web = *web;
    f->providers = providers_open(f, &f->provider_count);
    f->logins = logins_open(f, &f->login_count);
    return f;
}

void fetch_logic_close(struct fetch_logic **out) {
    struct fetch_logic *f = *out;
    *out = NULL;
    if (!f)
        return;
    providers_close(f);
    logins_close(f);
    struct arena *a = f->arena;
    arena_close(&a);
}

/* --- waiting together ------------------------------------------------------------------------------- */

void waiting_add(struct list *l, fetch_done *on_done, void *ctx) {
    struct waiting *w = calloc(1, sizeof *w);
    MUST(w);
    w->on_done = on_done;
    w->ctx = ctx;
    list_append(l, &w->node);
}

/* Those that come while this goes on wait for the next fetch. */
void waiting_tell(struct list *l, const struct fetched *answer) {
    struct list_node *n;
    for (size_t left = l->count; left && (n = list_pop(l)); left--) {
        struct waiting w = *CONTAINER_OF(n, struct waiting, node);
        free(CONTAINER_OF(n, struct waiting, node));
        w.on_done(w.ctx, answer);
    }
}

void waiting_drop(struct list *l) {
    struct list_node *n;
    while ((n = list_pop(l)))
        free(CONTAINER_OF(n, struct waiting, node));
}

void fetch_tell_down(fetch_done *on_done, void *ctx, const char *format, ...) {
    struct fetched answer = { .rc = TEMP };
    char text[WHY_TEXT];
    struct buf b = buf_fixed(text, sizeof text);
    va_list args;
    va_start(args, format);
    buf_vprintf(&b, format, args);
    va_end(args);
    why_backend(&answer.why, "backend.oauth", "%s", buf_text(&b));
    on_done(ctx, &answer);
}

/* --- the door --------------------------------------------------------------------------------------- */

void fetch_logic_ask(struct fetch_logic *f, const struct fetch *what, fetch_done *on_done,
                     void *ctx) {
    switch (what->kind) {
    case FETCH_KEYS:
        providers_keys(f, what->name, on_done, ctx);
        return;
    case FETCH_INTROSPECTION:
        providers_introspect(f, what, on_done, ctx);
        return;
    case FETCH_LOGIN:
        logins_token(f, what, on_done, ctx);
        return;
    }
    fetch_tell_down(on_done, ctx, "no such call");
}
