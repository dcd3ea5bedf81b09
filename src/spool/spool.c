/* spool: opening and closing, ids, and how full the disk is. The table of store.h is at the end. */
#include "spool/parts.h"

#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- ids: the sequence, the lane and, unless it is 0, the node, in base 36 -------------------- */

static void put_base36(struct buf *b, uint64_t n) {
    char digits[16];
    size_t count = 0;
    do
        digits[count++] = "0123456789abcdefghijklmnopqrstuvwxyz"[n % 36];
    while ((n /= 36));
    while (count)
        buf_char(b, digits[--count]);
}

static bool get_base36(struct bytes text, uint64_t max, uint64_t *out) {
    uint64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        uint64_t digit = ascii_is_digit(c)        ? (uint64_t)(c - '0')
                         : (c >= 'a' && c <= 'z') ? (uint64_t)(c - 'a') + 10
                                                  : 36;
        if (digit == 36 || n > (max - digit) / 36)
            return false;
        n = n * 36 + digit;
    }
    *out = n;
    /* One id has one form. */
    return text.len > 0 && (text.at[0] != '0' || text.len == 1);
}

struct message_id id_format(const struct lane *lane, uint64_t sequence) {
    struct message_id id;
    struct buf b = buf_fixed(id.text, sizeof id.text);
    put_base36(&b, sequence);
    buf_char(&b, '-');
    put_base36(&b, lane->number);
    if (lane->spool->setup.node) {
        buf_char(&b, '-');
        put_base36(&b, lane->spool->setup.node);
    }
    MUST(!b.full);
    buf_text(&b);
    return id;
}

struct lane *id_parse(struct spool *s, struct bytes id, uint64_t *sequence_out) {
    struct bytes sequence, lane_text;
    uint64_t lane, node = 0;
    if (!bytes_split(&id, '-', &sequence) || !bytes_split(&id, '-', &lane_text))
        return NULL;
    if (!get_base36(sequence, (uint64_t)1 << 56, sequence_out) ||
        !get_base36(lane_text, UINT16_MAX, &lane))
        return NULL;
    if (id.len && !get_base36(id, UINT32_MAX, &node))
        return NULL;
    if (node != s->setup.node)
        return NULL;
    LIST_EACH(&s->lanes, n) {
        struct lane *l = CONTAINER_OF(n, struct lane, node);
        if (l->number == lane && (l->state == LANE_READING || l->state == LANE_READY))
            return l;
    }
    return NULL;
}

/* --- answers of the next turn ----------------------------------------------------------------- */

struct later {
    struct list_node node;
    void (*run)(void *ctx);
    void *ctx;
};

static void run_later(void *ctx) {
    struct spool *s = ctx;
    /* Those that come meanwhile wait for another turn. */
    for (size_t count = s->later.count; count > 0; count--) {
        struct list_node *n = list_pop(&s->later);
        struct later l = *CONTAINER_OF(n, struct later, node);
        free(CONTAINER_OF(n, struct later, node));
        l.run(l.ctx);
    }
    if (s->later.count && !timer_is_set(&s->later_turn))
        timer_set(s->loop, &s->later_turn, 0, run_later, s);
}

void spool_later(struct spool *s, void (*run)(void *ctx), void *ctx) {
    struct later *l = calloc(1, sizeof *l);
    MUST(l);
    l->run = run;
    l->ctx = ctx;
    list_append(&s->later, &l->node);
    if (!timer_is_set(&s->later_turn))
        timer_set(s->loop, &s->later_turn, 0, run_later, s);
}

/* --- room on the disk -------------------------------------------------------------------------- */

struct space_job {
    struct offload_job job;
    struct spool *spool;
    bool full;
};

static bool below(uint64_t free_now, uint64_t total, unsigned percent) {
    return total > 0 && free_now < total / 100 * percent;
}

static void read_space(void *ctx) {
    struct space_job *j = ctx;
    struct disk *d = j->spool->disk;
    uint64_t octets, all, inodes, all_inodes;
    if (d->space(d->ctx, &octets, &all, &inodes, &all_inodes) < 0)
        return; /* says nothing; writing will tell */
    j->full = below(octets, all, j->spool->setup.min_free) ||
              below(inodes, all_inodes, j->spool->setup.min_free);
}

/* While it is full it is looked at again each second: else the first sender after somebody made room
 * would be turned away for what was true long ago. */
static void look_again(void *ctx) {
    spool_check_space(ctx);
}

static void space_read(void *ctx) {
    struct space_job *j = ctx;
    struct spool *s = j->spool;
    s->full = j->full;
    s->poor = false;
    s->space_read_at = loop_now(s->loop);
    s->space = NULL;
    free(j);
    if (s->full && !s->closing)
        timer_set(s->loop, &s->space_turn, SPACE_AGE_MS, look_again, s);
}

void spool_check_space(struct spool *s) {
    if (s->space || s->closing || loop_now(s->loop) - s->space_read_at < SPACE_AGE_MS)
        return;
    struct space_job *j = s->space = calloc(1, sizeof *j);
    MUST(j);
    j->spool = s;
    j->job = (struct offload_job){ .work = read_space, .done = space_read, .ctx = j };
    worker_submit(s->reader, &j->job);
}

bool spool_is_full(struct store *store) {
    struct spool *s = (struct spool *)(void *)store;
    spool_check_space(s);
    if (s->poor && !timer_is_set(&s->space_turn))
        timer_set(s->loop, &s->space_turn, SPACE_AGE_MS, look_again, s);
    return s->full || s->poor;
}

/* --- news -------------------------------------------------------------------------------------- */

void spool_tell_news(struct spool *s, uint32_t message) {
    const struct message *m = index_at(&s->index, message);
    struct lane *lane = NULL;
    if (!s->on_news)
        return;
    LIST_EACH(&s->lanes, n)
    if (CONTAINER_OF(n, struct lane, node)->number == m->lane)
        lane = CONTAINER_OF(n, struct lane, node);
    struct store_due due = { .id = id_format(lane, m->sequence), .size = m->size };
    for (uint32_t n = m->due; n; n = index_due(&s->index, n)->next) {
        const struct due *d = index_due(&s->index, n);
        due.next_hop = index_hop(&s->index, d->hop);
        due.due = d->at;
        due.count = d->count;
        s->on_news(s->news_ctx, &due);
    }
}

/* --- opening and closing ------------------------------------------------------------------------ */

static const struct store_ops ops;

struct spool *spool_open(struct loop *l, const struct spool_setup *setup) {
    struct spool *s = calloc(1, sizeof *s);
    MUST(s);
    s->store.ops = &ops;
    s->loop = l;
    s->setup = *setup;
    s->disk = setup->disk;
    s->reader = worker_open(l, "spool-read", setup->inline_sync);
    s->bulk = worker_open(l, "spool-bulk", setup->inline_sync);
    s->space_read_at = loop_now(l) - SPACE_AGE_MS;
    list_init(&s->lanes);
    list_init(&s->fresh);
    list_init(&s->later);
    index_init(&s->index);
    spool_check_space(s);
    return s;
}

struct store *spool_store(struct spool *s) {
    return &s->store;
}

void spool_close(struct spool **spool) {
    struct spool *s = *spool;
    if (!s)
        return;
    s->closing = true;
    LIST_EACH(&s->lanes, n) {
        recover_abort(CONTAINER_OF(n, struct lane, node));
        evacuation_abort(CONTAINER_OF(n, struct lane, node));
    }
    /* Reading first: what it brings may still be written. */
    worker_drain(s->bulk);
    worker_drain(s->reader);
    LIST_EACH(&s->lanes, n) {
        log_finish(CONTAINER_OF(n, struct lane, node));
        recover_abort(CONTAINER_OF(n, struct lane, node)); /* it was leased just now */
    }
    worker_drain(s->bulk);
    worker_drain(s->reader);
    while (s->later.count)
        run_later(s);
    timer_clear(&s->later_turn);
    timer_clear(&s->space_turn);
    struct list_node *first;
    while ((first = list_first(&s->fresh)))
        object_drop_fresh(CONTAINER_OF(first, struct object, fresh));
    worker_close(&s->bulk);
    worker_close(&s->reader);
    index_free(&s->index);
    while ((first = list_first(&s->lanes)))
        lane_free(CONTAINER_OF(first, struct lane, node));
    free(s);
    *spool = NULL;
}

static const struct store_ops ops = {
    .begin = draft_begin,
    .append = draft_append,
    .on_room = draft_on_room,
    .draft_id = draft_id,
    .draft_size = draft_size,
    .commit = draft_commit,
    .abort = draft_abort,
    .full = spool_is_full,
    .load = object_load,
    .message_id = object_id,
    .message_envelope = object_envelope,
    .message_recipients = object_recipients,
    .message_content = object_content,
    .message_release = object_release,
    .settle = settle,
    .due = browse_due,
    .on_news = browse_on_news,
    .scan = browse_scan,
    .stats = browse_stats,
};
