/* draft: content on its way in. Up to 128 KiB it gathers in memory, behind room for the prefix, so
 * that prefix and content are one piece without a copy. Beyond, it goes to a file of its own in
 * checked chunks, as it comes; the record in the log then holds the prefix alone. That file and its
 * name are synced before the record is written. */
#include "spool/parts.h"

#include "base/must.h"
#include "sys/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct chunk {
    struct list_node node;
    size_t len;
    char octets[BIG_STRIDE];
};

/* The file of a big message. Jobs for it run one at a time. */
struct big {
    struct offload_job job;
    struct draft *draft;
    struct disk *disk;
    struct list waiting;   /* full chunks */
    struct list writing;   /* given to the job */
    struct chunk *filling; /* may be NULL */
    bool under_way, finish, sync, opened;
    int file;
    uint64_t salt, size, written;
    uint64_t queued; /* octets in memory */
    int error;
};

struct draft {
    struct store_draft draft; /* first */
    struct spool *spool;
    struct lane *lane;
    uint64_t sequence;
    uint64_t size; /* of content */
    char *memory;  /* headroom, then content */
    size_t cap;    /* behind the headroom */
    struct big *big;
    bool aborted;
    void (*on_room)(void *ctx);
    void *room_ctx;
    /* from commit on */
    struct piece piece;
    struct object *object;
    void (*on_committed)(void *ctx, enum rc rc, struct message_id id, const struct why *why);
    void *ctx;
    struct why why;
};

static struct draft *of(struct store_draft *d) {
    return (struct draft *)(void *)d;
}

/* --- beginning -------------------------------------------------------------------------------- */

/* Lanes take turns. */
static struct lane *next_lane(struct spool *s) {
    struct list_node *n = s->turn_lane ? &s->turn_lane->node : NULL;
    for (size_t i = 0; i < s->lanes.count; i++) {
        n = n ? list_next(&s->lanes, n) : NULL;
        if (!n)
            n = list_first(&s->lanes);
        struct lane *lane = CONTAINER_OF(n, struct lane, node);
        if (log_can_take(lane) && lane->id_next < (1U << SEQUENCE_BITS) - 1)
            return s->turn_lane = lane;
    }
    return NULL;
}

struct store_draft *draft_begin(struct store *store, uint64_t size, struct why *why) {
    struct spool *s = (struct spool *)(void *)store;
    if (spool_is_full(store)) {
        why_set(why, TEMP, 452, "4.3.1", "queue.full", "The queue is full; try again later");
        return NULL;
    }
    struct lane *lane = next_lane(s);
    if (!lane) {
        why_backend(why, "backend.spool", "The queue cannot be written at the moment");
        return NULL;
    }
    struct draft *d = calloc(1, sizeof *d);
    MUST(d);
    d->draft.store = store;
    d->spool = s;
    d->lane = lane;
    d->sequence = (uint64_t)lane->id_segment << SEQUENCE_BITS | ++lane->id_next;
    d->cap = size && size < DRAFT_MEMORY ? (size_t)size : 0;
    if (lane->id_next == SEQUENCES_ROLL)
        log_roll(lane);
    return &d->draft;
}

struct message_id draft_id(const struct store_draft *draft) {
    const struct draft *d = (const struct draft *)(const void *)draft;
    return id_format(d->lane, d->sequence);
}

uint64_t draft_size(const struct store_draft *draft) {
    return ((const struct draft *)(const void *)draft)->size;
}

void draft_on_room(struct store_draft *draft, void (*on_room)(void *ctx), void *ctx) {
    of(draft)->on_room = on_room;
    of(draft)->room_ctx = ctx;
}

/* --- a file of its own -------------------------------------------------------------------------- */

static void write_chunks(struct big *b) {
    struct disk *d = b->disk;
    LIST_EACH(&b->writing, n) {
        struct chunk *c = CONTAINER_OF(n, struct chunk, node);
        struct iovec part = { c->octets, c->len + 4 };
        if (!b->error)
            b->error = d->write(d->ctx, b->file, FILE_HEAD + b->written, &part, 1);
        b->written += c->len + 4;
    }
}

static int open_big(struct big *b) {
    struct disk *d = b->disk;
    char path[PATH_SIZE], head[FILE_HEAD];
    big_path(path, b->draft->lane->number, b->draft->sequence);
    b->file = d->open(d->ctx, path, true);
    if (b->file < 0)
        return b->file;
    file_head_format(head, &(struct file_head){ FILE_BIG, b->draft->sequence, b->salt });
    struct iovec part = { head, sizeof head };
    return d->write(d->ctx, b->file, 0, &part, 1);
}

static void big_work(void *ctx) {
    struct big *b = ctx;
    if (!b->opened)
        b->error = open_big(b);
    b->opened = true;
    write_chunks(b);
    if (!b->sync || b->error)
        return;
    char path[PATH_SIZE];
    big_path(path, b->draft->lane->number, b->draft->sequence);
    *strchr(path, '/') = '\0';
    b->error = site_sync(b->disk, SITE_BIG, b->file);
    if (!b->error)
        b->error = site_sync_dir(b->disk, SITE_BIG_DIR, path);
}

static void big_step(struct big *b);

static void chunks_free(struct list *l) {
    struct list_node *n;
    while ((n = list_pop(l)))
        free(CONTAINER_OF(n, struct chunk, node));
}

static void draft_free(struct draft *d) {
    if (d->big) {
        chunks_free(&d->big->waiting);
        chunks_free(&d->big->writing);
        free(d->big->filling);
        free(d->big);
    }
    buf_free(&d->piece.front);
    free(d->memory);
    free(d);
}

/* The file is not wanted any more. */
static void big_drop(struct draft *d) {
    struct big *b = d->big;
    if (b->file >= 0)
        b->disk->close(b->disk->ctx, b->file);
    if (b->opened)
        big_unlink(d->lane, d->sequence);
}

static void big_ready(struct draft *d);

static void big_done(void *ctx) {
    struct big *b = ctx;
    struct draft *d = b->draft;
    struct lane *lane = d->lane;
    b->under_way = false;
    lane->jobs--;
    LIST_EACH(&b->writing, n)
    b->queued -= CONTAINER_OF(n, struct chunk, node)->len;
    chunks_free(&b->writing);
    if (d->aborted) {
        big_drop(d);
        draft_free(d);
    } else if (b->sync) {
        big_ready(d);
    } else {
        big_step(b);
        if (d->on_room && !b->finish && b->queued < DRAFT_WAITING / 2) {
            void (*on_room)(void *room_ctx) = d->on_room;
            d->on_room = NULL;
            on_room(d->room_ctx);
        }
    }
    lane_check_release(lane);
}

static void big_step(struct big *b) {
    if (b->under_way || (!b->waiting.count && !b->finish))
        return;
    struct list_node *n;
    while ((n = list_pop(&b->waiting)))
        list_append(&b->writing, n);
    b->sync = b->finish;
    b->under_way = true;
    b->draft->lane->jobs++;
    b->job = (struct offload_job){ .work = big_work, .done = big_done, .ctx = b };
    worker_submit(b->draft->spool->bulk, &b->job);
}

static void chunk_full(struct big *b) {
    struct chunk *c = b->filling;
    char crc[5];
    struct buf to = buf_fixed(crc, sizeof crc);
    /* The salt and the place are part of it, so that no chunk passes for another. */
    buf_le32(&to, big_crc(b->salt, b->size - c->len, bytes_of(c->octets, c->len)));
    memcpy(c->octets + c->len, crc, 4);
    list_append(&b->waiting, &c->node);
    b->filling = NULL;
}

static void big_append(struct big *b, struct bytes data) {
    while (data.len) {
        if (!b->filling) {
            b->filling = malloc(sizeof *b->filling);
            MUST(b->filling);
            b->filling->len = 0;
            b->filling->node = (struct list_node){ NULL, NULL };
        }
        struct chunk *c = b->filling;
        struct bytes head = bytes_first(data, BIG_CHUNK - c->len);
        memcpy(c->octets + c->len, head.at, head.len);
        c->len += head.len;
        b->size += head.len;
        b->queued += head.len;
        data = bytes_skip(data, head.len);
        if (c->len == BIG_CHUNK)
            chunk_full(b);
    }
}

static void become_big(struct draft *d) {
    struct big *b = d->big = calloc(1, sizeof *b);
    MUST(b);
    b->draft = d;
    b->disk = d->spool->disk;
    b->file = -1;
    b->salt = random_u64();
    list_init(&b->waiting);
    list_init(&b->writing);
    if (d->size)
        big_append(b, bytes_of(d->memory + DRAFT_HEADROOM, d->size));
    free(d->memory);
    d->memory = NULL;
    d->cap = 0;
}

/* --- content ------------------------------------------------------------------------------------ */

static void make_room(struct draft *d, size_t more) {
    size_t need = d->size + more;
    if (d->memory && need <= d->cap)
        return;
    size_t cap = d->memory ? d->cap * 2 : d->cap ? d->cap : 4096;
    if (cap < need)
        cap = need;
    d->memory = realloc(d->memory, DRAFT_HEADROOM + cap);
    MUST(d->memory);
    d->cap = cap;
}

bool draft_append(struct store_draft *draft, struct bytes data) {
    struct draft *d = of(draft);
    if (!data.len)
        return true;
    if (!d->big && d->size + data.len > DRAFT_MEMORY)
        become_big(d);
    if (d->big) {
        d->size += data.len;
        if (!d->big->error)
            big_append(d->big, data);
        big_step(d->big);
        return d->big->queued < DRAFT_WAITING;
    }
    make_room(d, data.len);
    memcpy(d->memory + DRAFT_HEADROOM + d->size, data.at, data.len);
    d->size += data.len;
    return true;
}

void draft_abort(struct store_draft **draft) {
    struct draft *d = of(*draft);
    *draft = NULL;
    if (d->big && d->big->under_way) {
        d->aborted = true;
        return;
    }
    if (d->big)
        big_drop(d);
    draft_free(d);
}

/* --- committing ---------------------------------------------------------------------------------- */

static void answer(struct draft *d, enum rc rc, const struct why *why) {
    d->on_committed(d->ctx, rc, id_format(d->lane, d->sequence), why);
}

static void failed(struct draft *d, const struct why *why) {
    if (d->big)
        big_drop(d);
    answer(d, TEMP, why);
    object_put(&d->object);
    draft_free(d);
}

static void fail_later(void *ctx) {
    struct draft *d = ctx;
    failed(d, &d->why);
}

static uint32_t enter_index(struct draft *d) {
    struct lane *lane = d->lane;
    struct index *x = &d->spool->index;
    struct object *o = d->object;
    const struct envelope *e = o->envelope;
    uint32_t n = index_add(x, lane->number, d->sequence);
    struct message *m = index_at(x, n);
    m->arrived = e->arrived;
    m->size = o->size;
    m->flags = MESSAGE_QUIET | (d->big ? MESSAGE_BIG : 0);
    index_seat(x, m, (uint32_t)e->count);
    struct seat *seats = message_seats(m);
    for (size_t i = 0; i < e->count; i++)
        index_set_hop(x, &seats[i], e->recipients[i].next_hop);
    m->segment = d->piece.segment;
    m->offset = d->piece.record.offset;
    m->length = (uint32_t)record_length(&d->piece.record);
    segment_put(m->segment, m);
    entry_message(&m->segment->entries, &d->piece.record, o->size, e);
    m->object = o;
    o->n = n;
    index_show(x, n);
    object_refresh(o);
    return n;
}

static void written(struct piece *p, enum rc rc, const struct why *why) {
    struct draft *d = CONTAINER_OF(p, struct draft, piece);
    if (rc != OK) {
        struct why lost;
        if (!why)
            why_backend(&lost, "backend.spool", "The queue was closed");
        failed(d, why ? why : &lost);
        return;
    }
    struct spool *s = d->spool;
    struct object *o = d->object;
    uint32_t n = enter_index(d);
    s->committed++;
    o->memory = d->memory;
    o->cap = d->memory ? DRAFT_HEADROOM + d->cap : 0;
    d->memory = NULL;
    if (d->big) {
        o->big = true;
        o->big_file = d->big->file;
        o->big_salt = d->big->salt;
    }
    object_keep_fresh(o);
    answer(d, OK, NULL);
    /* The answer may have led to anything but this. */
    if (o->n == n)
        spool_tell_news(s, n);
    object_put(&o);
    draft_free(d);
}

static void big_ready(struct draft *d) {
    if (!d->big->error) {
        log_put(d->lane, &d->piece);
        return;
    }
    if (d->big->error == -ENOSPC || d->big->error == -EDQUOT)
        why_set(&d->why, TEMP, 452, "4.3.1", "queue.full", "The disk is full; try again later");
    else
        why_backend(&d->why, "backend.spool", "The message could not be written (%s)",
                    strerror(-d->big->error));
    failed(d, &d->why);
}

/* What the record holds: all of the content, or for a big message only what stands in front. */
static struct bytes make_body(struct draft *d, struct bytes prefix) {
    if (!d->memory || prefix.len > DRAFT_HEADROOM) {
        size_t content = d->big ? 0 : d->size;
        char *memory = malloc(DRAFT_HEADROOM + prefix.len + content + 1);
        MUST(memory);
        if (content)
            memcpy(memory + DRAFT_HEADROOM + prefix.len, d->memory + DRAFT_HEADROOM, content);
        free(d->memory);
        d->memory = memory;
        d->cap = prefix.len + content;
        if (prefix.len)
            memcpy(memory + DRAFT_HEADROOM, prefix.at, prefix.len);
        return bytes_of(memory + DRAFT_HEADROOM, prefix.len + content);
    }
    char *at = d->memory + DRAFT_HEADROOM - prefix.len;
    if (prefix.len)
        memcpy(at, prefix.at, prefix.len);
    return bytes_of(at, prefix.len + d->size);
}

void draft_commit(struct store_draft **draft, struct bytes prefix, const struct envelope *envelope,
                  void (*on_committed)(void *ctx, enum rc rc, struct message_id id,
                                       const struct why *why),
                  void *ctx) {
    struct draft *d = of(*draft);
    *draft = NULL;
    d->on_committed = on_committed;
    d->ctx = ctx;
    struct object *o = d->object = object_new(d->lane, d->sequence, envelope);
    o->body = make_body(d, prefix);
    o->size = prefix.len + d->size;
    piece_init(&d->piece, RECORD_MESSAGE, d->sequence);
    d->piece.record.flags = d->big ? RECORD_BIG : 0;
    d->piece.done = written;
    message_meta_format(&d->piece.front, o->size, o->envelope);
    if (!piece_close(&d->piece, o->body) || !envelope->count) {
        why_backend(&d->why, "backend.spool", "The envelope is too large, or for nobody");
        spool_later(d->spool, fail_later, d);
        return;
    }
    if (!log_can_take(d->lane)) {
        why_backend(&d->why, "backend.spool", "The queue cannot be written at the moment");
        spool_later(d->spool, fail_later, d);
        return;
    }
    if (!d->big) {
        log_put(d->lane, &d->piece);
        return;
    }
    if (d->big->filling)
        chunk_full(d->big);
    d->big->finish = true;
    big_step(d->big);
}
