/* client: the callers' end. An answer comes once, later, and never for a call that was cancelled. */
#include "base/list.h"
#include "base/map.h"
#include "base/must.h"
#include "fetcher/wire.h"
#include "sys/channel.h"

#include <stdlib.h>
#include <string.h>

enum { CALL_TIMEOUT_MS = 15000 }; /* longer than the fetcher gives a provider */

struct fetcher {
    struct loop *loop;
    char *path; /* of the channel, which is opened for the first call; or */
    struct channel *channel;
    void (*ask)(void *ctx, uint64_t id, const struct fetch *what);
    void *ask_ctx;
    uint64_t next;
    struct map *calls; /* by id */
};
struct call {
    struct fetcher *fetcher;
    uint64_t id, channel_id;
    fetch_done *on_done;
    void *ctx;
};

static struct fetcher *open_fetcher(struct loop *l) {
    struct fetcher *f = calloc(1, sizeof *f);
    MUST(f);
    f->loop = l;
    f->calls = map_open();
    return f;
}

struct fetcher *fetcher_open_channel(struct loop *l, const char *socket_path) {
    struct fetcher *f = open_fetcher(l);
    f->path = strdup(socket_path);
    MUST(f->path);
    return f;
}

struct fetcher *fetcher_open_direct(struct loop *l,
                                    void (*ask)(void *ctx, uint64_t id, const struct fetch *what),
                                    void *ctx) {
    struct fetcher *f = open_fetcher(l);
    f->ask = ask;
    f->ask_ctx = ctx;
    return f;
}

void fetcher_close(struct fetcher **out) {
    struct fetcher *f = *out;
    size_t position = 0;
    struct bytes key;
    void *call;
    if (!f)
        return;
    if (f->channel)
        channel_close(&f->channel);
    while (map_next(f->calls, &position, &key, &call))
        free(call);
    map_close(&f->calls);
    free(f->path);
    free(f);
    *out = NULL;
}

void fetcher_answer(struct fetcher *f, uint64_t id, const struct fetched *answer) {
    struct call *c = map_remove(f->calls, MAP_KEY(id));
    if (!c)
        return;
    fetch_done *on_done = c->on_done;
    void *ctx = c->ctx;
    free(c);
    on_done(ctx, answer);
}

static void on_reply(void *ctx, enum rc rc, struct bytes reply, const struct why *why) {
    struct call *c = ctx;
    struct fetched answer = { .rc = TEMP };
    if (rc != OK)
        answer.why = *why;
    else if (!fetch_parse_answer(reply, &answer)) {
        answer = (struct fetched){ .rc = TEMP };
        why_backend(&answer.why, "backend.fetcher", "the fetcher's answer cannot be read");
    }
    fetcher_answer(c->fetcher, c->id, &answer);
}

uint64_t fetcher_ask(struct fetcher *f, const struct fetch *what, fetch_done *on_done, void *ctx) {
    struct call *c = calloc(1, sizeof *c);
    MUST(c);
    *c = (struct call){ .fetcher = f, .id = ++f->next, .on_done = on_done, .ctx = ctx };
    map_put(f->calls, MAP_KEY(c->id), c);
    uint64_t id = c->id;
    if (f->ask) {
        f->ask(f->ask_ctx, id, what);
        return id;
    }
    if (!f->channel)
        f->channel = channel_open(f->loop, f->path, "fetcher");
    struct buf b = buf_grow(FETCH_WIRE_MAX);
    fetch_format_request(&b, what);
    c->channel_id = channel_call(f->channel, buf_bytes(&b), CALL_TIMEOUT_MS, on_reply, c);
    explicit_bzero(b.at, b.len);
    buf_free(&b);
    return id;
}

void fetcher_cancel(struct fetcher *f, uint64_t id) {
    struct call *c = f ? map_remove(f->calls, MAP_KEY(id)) : NULL;
    if (c && f->channel)
        channel_cancel(f->channel, c->channel_id);
    free(c);
}
