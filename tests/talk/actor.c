/* actor: a client or server that does nothing but what the script says: it collects what it hears and
 * sends what it is told. */
#include "base/must.h"
#include "talk.h"

#include <stdlib.h>

enum { HEARD_MAX = 64 * 1024 * 1024 };

static void on_read(void *ctx, struct bytes data) {
    struct actor *a = ctx;
    buf_add(&a->in, data);
}

static void on_end(void *ctx, int error) {
    (void)error;
    struct actor *a = ctx;
    a->ended = true;
    stream_close(&a->stream);
}

static void on_secured(void *ctx, enum rc rc, const struct tls_info *info, const struct why *why) {
    (void)info;
    struct actor *a = ctx;
    a->secured = rc == OK;
    a->secure_failed = rc != OK;
    if (rc != OK) {
        buf_printf(&a->transcript, "   (TLS: %s)\n", why->text);
        stream_close(&a->stream);
        a->ended = true;
    }
}

static const struct stream_handler handler = { .on_read = on_read,
                                               .on_end = on_end,
                                               .on_secured = on_secured };

static struct actor *new_actor(struct world *w, struct bytes name) {
    struct actor *a = calloc(1, sizeof(*a));
    MUST(a);
    a->world = w;
    a->name = arena_copy(w->arena, name);
    a->in = buf_grow(HEARD_MAX);
    a->transcript = buf_grow(HEARD_MAX);
    return a;
}

static void take(struct actor *a, struct stream *s) {
    a->stream = s;
    a->ended = a->secured = a->secure_failed = false;
    buf_clear(&a->in);
    stream_attach(s, &handler, a);
}

static void on_connect(void *ctx, enum rc rc, struct stream *s, const struct why *why) {
    struct actor *a = ctx;
    a->connecting = NULL;
    if (rc == OK) {
        take(a, s);
        return;
    }
    buf_printf(&a->transcript, "   (%s)\n", why->text);
    a->ended = true;
}

struct actor *actor_client(struct world *w, struct bytes name, struct addr from, struct addr to) {
    struct actor *a = new_actor(w, name);
    a->connecting = stream_connect(
        w->loop, &(struct connect_to){ .remote = to, .source = from, .timeout_ms = 30000 },
        on_connect, a);
    return a;
}

/* One connection at a time; a second one while the first lasts is closed at once. */
static void on_accept(void *ctx, struct stream *s) {
    struct actor *a = ctx;
    if (a->stream) {
        stream_abort(&s);
        return;
    }
    a->waiting = true;
    take(a, s);
}

struct actor *actor_server(struct world *w, struct bytes name, struct addr at,
                           struct tls_server *tls) {
    struct actor *a = new_actor(w, name);
    a->tls = tls;
    a->listener = stream_listen(w->loop, sim_bind(at), on_accept, a);
    return a;
}

void actor_send(struct actor *a, struct bytes data) {
    if (a->stream)
        stream_write(a->stream, data);
}

bool actor_line(struct actor *a, struct bytes *out) {
    ptrdiff_t at = bytes_find(buf_bytes(&a->in), '\n');
    if (at < 0)
        return false;
    struct bytes line = bytes_first(buf_bytes(&a->in), (size_t)at);
    if (line.len && line.at[line.len - 1] == '\r')
        line.len--;
    *out = arena_copy(a->world->arena, line);
    buf_drop(&a->in, (size_t)at + 1);
    return true;
}

void actor_close(struct actor *a, bool abort) {
    if (a->stream && abort)
        stream_abort(&a->stream);
    else if (a->stream)
        stream_close(&a->stream);
    a->ended = true;
}

void actor_free(struct actor *a) {
    actor_close(a, true);
    if (a->connecting)
        stream_connect_cancel(&a->connecting);
    if (a->listener)
        stream_listener_close(&a->listener);
    buf_free(&a->in);
    buf_free(&a->transcript);
    free(a);
}
