/* names: a small table of what was looked up lately, and one job a question on a thread. */
#include "sys/names.h"

#include "base/list.h"
#include "base/must.h"
#include "sys/offload.h"
#include "sys/process.h"

#include <stdlib.h>
#include <string.h>

enum { KEPT = 64, KEPT_MS = 60 * 1000, NAME_MAX_LEN = 256 };

struct known {
    unsigned uid;
    int64_t until; /* loop time; 0: free */
    char name[NAME_MAX_LEN];
    size_t length;
};

struct names {
    struct loop *loop;
    struct offload *offload;
    struct known known[KEPT];
    size_t next; /* the one to be replaced */
    bool closing;
    struct bytes (*look_up)(unsigned uid, char *room, size_t size);
};

struct question {
    struct names *names;
    struct offload_job job;
    struct known answer;
    void (*on_name)(void *ctx, struct bytes name);
    void *ctx;
};

static struct bytes look_up(unsigned uid, char *room, size_t size) {
    struct arena *a = arena_open();
    struct bytes name = bytes_first(process_user_name(uid, a), size);
    memcpy(room, name.at, name.len);
    arena_close(&a);
    return bytes_of(room, name.len);
}

static void work(void *ctx) {
    struct question *q = ctx;
    q->answer.length = q->names->look_up(q->answer.uid, q->answer.name, NAME_MAX_LEN).len;
}

static void done(void *ctx) {
    struct question *q = ctx;
    struct names *n = q->names;
    struct bytes name = bytes_of(q->answer.name, n->closing ? 0 : q->answer.length);
    q->answer.until = loop_now(n->loop) + KEPT_MS;
    n->known[n->next] = q->answer;
    n->next = (n->next + 1) % KEPT;
    q->on_name(q->ctx, name);
    free(q);
}

static const struct known *find(const struct names *n, unsigned uid) {
    for (size_t i = 0; i < KEPT; i++)
        if (n->known[i].until > loop_now(n->loop) && n->known[i].uid == uid)
            return &n->known[i];
    return NULL;
}

struct names *names_open(struct loop *l) {
    struct names *n = calloc(1, sizeof *n);
    MUST(n);
    n->loop = l;
    n->look_up = look_up;
    return n;
}

void names_close(struct names **np) {
    struct names *n = *np;
    if (!n)
        return;
    n->closing = true;
    if (n->offload)
        offload_close(&n->offload);
    free(n);
    *np = NULL;
}

void names_look_up_with(struct names *n,
                        struct bytes (*other)(unsigned uid, char *room, size_t size)) {
    n->look_up = other;
}

void names_find(struct names *n, unsigned uid, void (*on_name)(void *ctx, struct bytes name),
                void *ctx) {
    const struct known *known = find(n, uid);
    if (known) {
        on_name(ctx, bytes_of(known->name, known->length));
        return;
    }
    if (!n->offload)
        n->offload = offload_open(n->loop, "names");
    struct question *q = calloc(1, sizeof *q);
    MUST(q);
    q->names = n;
    q->answer.uid = uid;
    q->on_name = on_name;
    q->ctx = ctx;
    q->job = (struct offload_job){ .work = work, .done = done, .ctx = q };
    offload_submit(n->offload, &q->job);
}
