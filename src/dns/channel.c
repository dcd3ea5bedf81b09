/* channel: struct dns over the resolver's socket. This file alone knows that answers come from
 * another process, and that /etc/hosts is a file: it is read at the start and again when it was
 * replaced, looked at no more than every ten seconds. */
#include "sys/channel.h"
#include "base/map.h"
#include "base/must.h"
#include "dns/local.h"
#include "dns/wire.h"
#include "sys/files.h"
#include "sys/random.h"

#include <stdlib.h>

/* The resolver gives up after 15 s; a little more for the way there and back. */
enum { CALL_TIMEOUT = 17000, LOCAL_LOOK = 10000, LOCAL_MAX = 1024 * 1024 };

struct asker {
    struct dns dns;
    struct loop *loop;
    struct channel *channel;
    struct map *questions; /* by the channel's id */
    struct arena *local_arena;
    struct dns_local *local;
    uint64_t local_stamp;
    int64_t local_looked;
};
struct question {
    struct asker *asker;
    uint64_t id;
    dns_answered *on_answer;
    void *ctx;
};

static void answered(void *ctx, enum rc rc, struct bytes reply, const struct why *why) {
    struct question q = *(struct question *)ctx;
    map_remove(q.asker->questions, MAP_KEY(q.id));
    free(ctx);
    struct arena *a = arena_open();
    struct dns_answer answer = { .rc = TEMP };
    if (rc != OK)
        why_set(&answer.why, TEMP, 451, "4.4.3", "backend.resolver", "%s", why->text);
    else if (!dns_wire_parse_answer(reply, a, &answer))
        why_set(&answer.why, TEMP, 451, "4.4.3", "backend.resolver",
                "the resolver's answer could not be read");
    q.on_answer(q.ctx, &answer);
    arena_close(&a);
}

static uint64_t ask(void *self, struct bytes name, enum dns_type type, dns_answered *on_answer,
                    void *ctx) {
    struct asker *a = self;
    struct question *q = malloc(sizeof *q);
    MUST(q);
    char memory[1024]; /* what does not fit is no name, and the resolver says so */
    struct buf request = buf_fixed(memory, sizeof memory);
    dns_wire_format_question(&request, name, type);
    *q = (struct question){ .asker = a, .on_answer = on_answer, .ctx = ctx };
    q->id = channel_call(a->channel, buf_bytes(&request), CALL_TIMEOUT, answered, q);
    map_put(a->questions, MAP_KEY(q->id), q);
    return q->id;
}

static void cancel(void *self, uint64_t id) {
    struct asker *a = self;
    struct question *q = map_remove(a->questions, MAP_KEY(id));
    if (!q)
        return;
    channel_cancel(a->channel, id);
    free(q);
}

static void read_local(struct asker *a) {
    a->local_looked = loop_now(a->loop);
    uint64_t stamp = files_stamp(B("/etc/hosts"));
    if (a->local && (stamp == 0 || stamp == a->local_stamp))
        return;
    struct arena *fresh = arena_open();
    struct bytes text = BYTES_NONE;
    if (files_read(B("/etc/hosts"), LOCAL_MAX, fresh, &text, NULL) != OK)
        text = BYTES_NONE;
    a->local = dns_local_parse(fresh, text);
    a->local_stamp = stamp;
    arena_close(&a->local_arena);
    a->local_arena = fresh;
}

static size_t local(void *self, struct bytes name, struct addr *out, size_t max) {
    struct asker *a = self;
    if (loop_now(a->loop) - a->local_looked >= LOCAL_LOOK)
        read_local(a);
    return dns_local_find(a->local, name, out, max);
}

static void close_asker(void *self) {
    struct asker *a = self;
    channel_close(&a->channel);
    size_t position = 0;
    struct bytes key;
    void *q;
    while (map_next(a->questions, &position, &key, &q))
        free(q);
    map_close(&a->questions);
    arena_close(&a->local_arena);
    free(a);
}

struct dns *dns_open_channel(struct loop *l, const char *socket_path) {
    struct asker *a = calloc(1, sizeof *a);
    MUST(a);
    a->loop = l;
    a->channel = channel_open(l, socket_path, "resolver");
    a->questions = map_open();
    a->dns = (struct dns){ .self = a,
                           .ask = ask,
                           .cancel = cancel,
                           .close = close_asker,
                           .local = local,
                           .seed = random_u64() };
    read_local(a);
    return &a->dns;
}

void dns_close(struct dns **d) {
    if (*d)
        (*d)->close((*d)->self);
    *d = NULL;
}
