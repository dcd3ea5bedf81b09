/* probe: asking the server behind a domain about a mailbox, with the machines that deliver. This file
 * alone knows how long an answer holds, and how much a server is asked: few at a time, each mailbox
 * once, and for some seconds not at all when it is down. */
#include "base/event.h"
#include "base/must.h"
#include "deliver/internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    RUNNING_MAX = 8, /* of this worker */
    WAITING_MAX = 500,
    CACHE_MAX = 10000,
    WORDS_MAX = 200,
    PATIENCE_MS = 20 * 1000,
    TAKES_MS = 60 * 60 * 1000,
    REFUSES_MS = 5 * 60 * 1000,
    LATER_MS = 5 * 1000,
    DOWN_MS = 5 * 1000,
    TELL_MS = 60 * 1000,
};

struct answer {
    struct list_node node; /* oldest first */
    enum probe_answer says;
    struct status status;
    int64_t until;
    char words[WORDS_MAX + 1];
    size_t key_len;
    char key[]; /* NEXT-HOP LF mailbox */
};

struct asker {
    struct list_node node;
    probe_told *on_answer;
    void *ctx;
};

/* One question to one server. */
struct probe {
    struct list_node node;
    struct probes *probes;
    struct arena *arena;
    struct list askers;
    struct bytes key;
    struct job job;
    struct envelope envelope;
    struct recipient recipient;
    uint32_t index;
    struct timer timer;
    bool running, told;
    enum probe_answer says; /* what the timer tells, where it is known beforehand */
    struct status status;
    struct bytes words;
};

struct down { /* a next hop that was not there */
    int64_t until, told;
};

struct probes {
    struct deliver *deliver;
    struct list waiting, running;
    struct map *cache, *down;
    struct list order;
};

static int64_t now_of(const struct probes *p) {
    return loop_now(p->deliver->setup.loop);
}

struct probes *probes_open(struct deliver *d) {
    struct probes *p = calloc(1, sizeof *p);
    MUST(p);
    p->deliver = d;
    list_init(&p->waiting);
    list_init(&p->running);
    list_init(&p->order);
    p->cache = map_open();
    p->down = map_open();
    return p;
}

/* --- what is remembered ------------------------------------------------------------------------ */

static void forget_oldest(struct probes *p) {
    struct answer *a = CONTAINER_OF(list_pop(&p->order), struct answer, node);
    if (map_find(p->cache, bytes_of(a->key, a->key_len)) == a)
        map_remove(p->cache, bytes_of(a->key, a->key_len));
    free(a);
}

static const struct answer *recall(struct probes *p, struct bytes key) {
    struct answer *a = map_find(p->cache, key);
    return a && a->until > now_of(p) ? a : NULL;
}

static void remember(struct probes *p, const struct probe *q, enum probe_answer says,
                     struct status status, struct bytes words) {
    struct answer *a = calloc(1, sizeof *a + q->key.len);
    MUST(a);
    a->says = says;
    a->status = status;
    a->until = now_of(p) + (says == PROBE_TAKES     ? TAKES_MS
                            : says == PROBE_REFUSES ? REFUSES_MS
                                                    : LATER_MS);
    struct buf b = buf_fixed(a->words, sizeof a->words);
    buf_printable(&b, bytes_first(words, WORDS_MAX));
    buf_text(&b);
    a->key_len = q->key.len;
    memcpy(a->key, q->key.at, q->key.len);
    map_put(p->cache, q->key, a); /* an older one stays in the list until its turn comes */
    list_append(&p->order, &a->node);
    while (p->order.count > CACHE_MAX)
        forget_oldest(p);
}

static struct down *down_of(struct probes *p, struct bytes next_hop) {
    struct down *d = map_find(p->down, next_hop);
    if (d)
        return d;
    d = calloc(1, sizeof *d);
    MUST(d);
    d->told = INT64_MIN / 2;
    map_put(p->down, next_hop, d);
    return d;
}

static bool is_down(struct probes *p, struct bytes next_hop) {
    const struct down *d = map_find(p->down, next_hop);
    return d && d->until > now_of(p);
}

static void note_down(struct probes *p, struct bytes next_hop, struct bytes words) {
    struct down *d = down_of(p, next_hop);
    int64_t now = now_of(p);
    d->until = now + DOWN_MS;
    if (now - d->told < TELL_MS)
        return;
    d->told = now;
    struct event *e = event_begin("probe-failed");
    event_text(e, "next_hop", next_hop);
    event_text(e, "text", words);
    event_end(e);
}

/* --- answering --------------------------------------------------------------------------------- */

static void free_probe(struct probe *q) {
    struct list_node *n;
    while ((n = list_pop(&q->askers)))
        free(CONTAINER_OF(n, struct asker, node));
    timer_clear(&q->timer);
    struct arena *a = q->arena;
    arena_close(&a);
}

/* Askers may ask again in their callback, or cancel one another. */
static void tell(struct probe *q, enum probe_answer says, struct status status,
                 struct bytes words) {
    struct list_node *n;
    q->told = true;
    while ((n = list_pop(&q->askers))) {
        struct asker a = *CONTAINER_OF(n, struct asker, node);
        free(CONTAINER_OF(n, struct asker, node));
        a.on_answer(a.ctx, says, status, words);
    }
}

static void start_more(struct probes *p);

static void over(struct probe *q, enum probe_answer says, struct status status,
                 struct bytes words) {
    struct probes *p = q->probes;
    list_remove(q->running ? &p->running : &p->waiting, &q->node);
    if (q->job.count) /* it was asked about */
        remember(p, q, says, status, words);
    if (!q->told)
        tell(q, says, status, words);
    free_probe(q);
    start_more(p);
}

/* The task is still on its way: its place is given back when it is over. */
static void late(void *ctx) {
    struct probe *q = ctx;
    struct why why;
    why_set(&why, TEMP, 0, "4.4.2", "deliver.timeout", "no answer in time");
    if (!q->running) {
        over(q, PROBE_LATER, why.status, bytes_str(why.text));
        return;
    }
    struct task *t = map_find(q->probes->deliver->tasks, MAP_KEY((const struct job *){ &q->job }));
    if (t)
        task_stop(t, &why);
}

static void tell_known(void *ctx) {
    struct probe *q = ctx;
    over(q, q->says, q->status, q->words);
}

/* --- asking ------------------------------------------------------------------------------------ */

static void start(struct probe *q) {
    struct probes *p = q->probes;
    list_remove(&p->waiting, &q->node);
    list_append(&p->running, &q->node);
    q->running = true;
    deliver_begin(p->deliver, &q->job);
}

static void start_more(struct probes *p) {
    LIST_EACH(&p->waiting, n) {
        struct probe *q = CONTAINER_OF(n, struct probe, node);
        if (p->running.count >= RUNNING_MAX)
            return;
        if (!q->told && q->job.count)
            start(q);
    }
}

/* A server that takes no null sender is asked in postmaster's name. */
static bool again_as_postmaster(struct probe *q, const struct outcome *o) {
    const struct config *c = q->probes->deliver->config;
    bool mail = o->kind == OUTCOME_FAILED && o->command && !strcmp(o->command, "MAIL");
    if (!mail || q->envelope.sender.len || q->told)
        return false;
    q->envelope.sender = arena_printf(q->arena, "postmaster@%.*s", BYTES_FMT(c->hostname));
    deliver_begin(q->probes->deliver, &q->job);
    return true;
}

void probes_outcome(struct probes *p, const struct job *job, const struct outcome *o) {
    struct probe *q = NULL;
    LIST_EACH(&p->running, n)
    if (&CONTAINER_OF(n, struct probe, node)->job == job)
        q = CONTAINER_OF(n, struct probe, node);
    MUST(q);
    if (again_as_postmaster(q, o))
        return;
    bool of_recipient = o->blast == BLAST_RECIPIENT || !strcmp(o->command, "EHLO");
    enum probe_answer says = o->kind == OUTCOME_DELIVERED                ? PROBE_TAKES
                             : o->kind == OUTCOME_FAILED && of_recipient ? PROBE_REFUSES
                                                                         : PROBE_LATER;
    if (says == PROBE_LATER && o->blast == BLAST_SESSION)
        note_down(p, job->next_hop, o->reply);
    over(q, says, o->status, o->reply);
}

static struct probe *find_same(struct probes *p, struct bytes key) {
    LIST_EACH(&p->running, n)
    if (bytes_equal(CONTAINER_OF(n, struct probe, node)->key, key) &&
        !CONTAINER_OF(n, struct probe, node)->told)
        return CONTAINER_OF(n, struct probe, node);
    LIST_EACH(&p->waiting, n)
    if (bytes_equal(CONTAINER_OF(n, struct probe, node)->key, key))
        return CONTAINER_OF(n, struct probe, node);
    return NULL;
}

static void add_asker(struct probe *q, probe_told *on_answer, void *ctx) {
    struct asker *a = calloc(1, sizeof *a);
    MUST(a);
    a->on_answer = on_answer;
    a->ctx = ctx;
    list_append(&q->askers, &a->node);
}

static struct probe *open_probe(struct probes *p, struct bytes next_hop, struct bytes mailbox) {
    struct arena *a = arena_open();
    struct probe *q = ARENA_NEW(a, struct probe);
    q->probes = p;
    q->arena = a;
    list_init(&q->askers);
    q->key = arena_printf(a, "%.*s\n%.*s", BYTES_FMT(next_hop), BYTES_FMT(arena_lower(a, mailbox)));
    q->recipient.original = q->recipient.final = arena_copy(a, mailbox);
    q->recipient.notify = NOTIFY_NEVER;
    q->envelope = (struct envelope){ .count = 1, .recipients = &q->recipient };
    q->job = (struct job){ .envelope = &q->envelope,
                           .recipients = &q->index,
                           .count = 1,
                           .attempt = 1,
                           .next_hop = arena_copy(a, next_hop),
                           .probe = true };
    return q;
}

/* Never from within the call that asks. */
static void answer_later(struct probe *q, enum probe_answer says, struct status status,
                         struct bytes words) {
    q->says = says;
    q->status = status;
    q->words = arena_copy(q->arena, words);
    q->job.count = 0; /* nothing to ask */
    timer_set(q->probes->deliver->setup.loop, &q->timer, 0, tell_known, q);
}

void deliver_probe(struct deliver *d, struct bytes next_hop, struct bytes mailbox,
                   probe_told *on_answer, void *ctx) {
    struct probes *p = d->probes;
    struct probe *q = open_probe(p, next_hop, mailbox), *same = find_same(p, q->key);
    const struct answer *known = recall(p, q->key);
    if (same) {
        free_probe(q);
        add_asker(same, on_answer, ctx);
        return;
    }
    list_append(&p->waiting, &q->node);
    add_asker(q, on_answer, ctx);
    if (known) {
        answer_later(q, known->says, known->status, bytes_str(known->words));
    } else if (is_down(p, next_hop) || d->draining || p->waiting.count > WAITING_MAX) {
        answer_later(q, PROBE_LATER, (struct status){ 4, 4, 1 },
                     B("the server behind it did not answer a moment ago"));
    } else {
        timer_set(d->setup.loop, &q->timer, PATIENCE_MS, late, q);
        start_more(p);
    }
}

/* The server is asked all the same: what it says will be asked for again. */
void deliver_probe_cancel(struct deliver *d, void *ctx) {
    struct list *lists[] = { &d->probes->running, &d->probes->waiting };
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        LIST_EACH(lists[i], n) {
            struct probe *q = CONTAINER_OF(n, struct probe, node);
            LIST_EACH(&q->askers, m) {
                struct asker *a = CONTAINER_OF(m, struct asker, node);
                if (a->ctx != ctx)
                    continue;
                list_remove(&q->askers, m);
                free(a);
            }
        }
}

/* Before the tasks are freed: nobody is told any more. */
void probes_close(struct probes **pp) {
    struct probes *p = *pp;
    struct list_node *n;
    size_t position = 0;
    struct bytes key;
    void *value;
    *pp = NULL;
    while (map_next(p->down, &position, &key, &value))
        free(value);
    while (p->order.count)
        forget_oldest(p);
    map_close(&p->cache);
    map_close(&p->down);
    while ((n = list_pop(&p->waiting)) || (n = list_pop(&p->running)))
        free_probe(CONTAINER_OF(n, struct probe, node));
    free(p);
}
