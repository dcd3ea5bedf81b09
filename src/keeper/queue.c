/* queue: lines of jobs, one an address, in rings, one a rank. */
#include "keeper/queue.h"

#include "base/map.h"
#include "base/must.h"

#include <stdlib.h>
#include <string.h>

/* So many jobs are with the thread at a time: whose turn is next is decided as late as can be. */
enum { UNDER_WAY = 1, KEY_OCTETS = 17 };

/* Whose turn it is; a rank without jobs is passed over. */
static const enum queue_rank turns[] = {
    RANK_KNOWN, RANK_STRANGER, RANK_KNOWN, RANK_KNOWN, RANK_STRANGER, RANK_KNOWN, RANK_GUESSER,
};

struct line {
    struct list_node node;
    struct list jobs;
    enum queue_rank rank;
    char key[KEY_OCTETS];
};

struct queue {
    struct offload *offload;
    struct map *lines; /* by address; only those with jobs */
    struct list rings[QUEUE_RANKS];
    size_t turn;
    unsigned under_way;
    size_t waiting;
    bool closing;
};

struct queue *queue_open(struct loop *l, const char *name) {
    struct queue *q = calloc(1, sizeof *q);
    MUST(q);
    q->offload = offload_open(l, name);
    q->lines = map_open();
    for (size_t i = 0; i < QUEUE_RANKS; i++)
        list_init(&q->rings[i]);
    return q;
}

static struct bytes key_of(const struct line *l) {
    return bytes_of(l->key, sizeof l->key);
}

static struct line *next_line(struct queue *q) {
    for (size_t i = 0; i < COUNT_OF(turns); i++) {
        struct list *ring = &q->rings[turns[q->turn++ % COUNT_OF(turns)]];
        if (ring->count)
            return CONTAINER_OF(list_first(ring), struct line, node);
    }
    return NULL;
}

static void run(void *ctx) {
    struct queue_job *job = ctx;
    job->work(job->ctx);
}

static void done(void *ctx);

/* One job of the line; the line goes to the end of its ring. */
static void take_job(struct queue *q, struct line *l) {
    struct queue_job *job = CONTAINER_OF(list_pop(&l->jobs), struct queue_job, node);
    list_remove(&q->rings[l->rank], &l->node);
    if (l->jobs.count) {
        list_append(&q->rings[l->rank], &l->node);
    } else {
        map_remove(q->lines, key_of(l));
        free(l);
    }
    q->under_way++;
    q->waiting--;
    job->offload = (struct offload_job){ .work = run, .done = done, .ctx = job };
    offload_submit(q->offload, &job->offload);
}

static void pump(struct queue *q) {
    struct line *l;
    while ((q->under_way < UNDER_WAY || q->closing) && (l = next_line(q)))
        take_job(q, l);
}

static void done(void *ctx) {
    struct queue_job *job = ctx;
    struct queue *q = job->queue;
    q->under_way--;
    pump(q);
    job->done(job->ctx);
}

static struct line *line_of(struct queue *q, struct addr client, enum queue_rank rank) {
    struct addr from = addr_masked(client, client.family == 6 ? 64 : 32);
    char memory[KEY_OCTETS + 1];
    struct buf key = buf_fixed(memory, sizeof memory);
    buf_char(&key, (char)from.family);
    buf_add(&key, bytes_of(from.ip, sizeof from.ip));
    struct line *l = map_find(q->lines, buf_bytes(&key));
    if (l)
        return l;
    l = calloc(1, sizeof *l);
    MUST(l && key.len == KEY_OCTETS);
    memcpy(l->key, key.at, KEY_OCTETS);
    l->rank = rank;
    list_init(&l->jobs);
    map_put(q->lines, key_of(l), l);
    list_append(&q->rings[rank], &l->node);
    return l;
}

void queue_put(struct queue *q, struct queue_job *job, struct addr client, enum queue_rank rank) {
    job->queue = q;
    q->waiting++;
    list_append(&line_of(q, client, rank)->jobs, &job->node);
    pump(q);
}

size_t queue_length(const struct queue *q) {
    return q->under_way + q->waiting;
}

void queue_close(struct queue **out) {
    struct queue *q = *out;
    if (!q)
        return;
    q->closing = true;
    pump(q);
    offload_close(&q->offload);
    map_close(&q->lines);
    free(q);
    *out = NULL;
}
