/* log: how records get to the disk. While one write and sync is under way all that comes gathers for
 * the next; a batch that finds the segment full begins a new one. After a failure the segment is
 * neither written nor synced again: every later one says how far it is valid (RECORD_TRIM), the
 * messages that waited are refused, and what must not be lost (pieces that last) goes on. */
#include "spool/parts.h"

#include "base/crc.h"
#include "base/must.h"
#include "sys/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    COPIED = 16 * 1024, /* larger bodies are written from where they are */
    FLAT_KEPT = 1 << 20 /* octets kept for the next batch */
};

struct batch {
    struct offload_job job;
    struct lane *lane;
    struct disk *disk;
    struct list pieces;
    size_t prompt;        /* pieces that somebody waits for: messages */
    struct segment *seal; /* the one before, to be closed with its index */
    struct buf footer;
    uint32_t footer_at;
    bool create;
    uint32_t number;
    uint64_t salt;
    int file;
    uint32_t begin, end;
    struct iovec *parts;
    int count;
    int error;
    bool left_over; /* a segment that failed at once could not even be deleted */
};

/* --- pieces --------------------------------------------------------------------------------- */

void piece_init(struct piece *p, enum record_kind kind, uint64_t sequence) {
    p->record = (struct record){ .kind = kind, .sequence = sequence };
    p->front = buf_grow(META_MAX + RECORD_HEAD);
    p->body = BYTES_NONE;
    MUST(buf_room(&p->front, 512));
    memset(p->front.at, 0, RECORD_HEAD);
    buf_wrote(&p->front, RECORD_HEAD);
}

bool piece_close(struct piece *p, struct bytes body) {
    if (p->front.full || body.len > BODY_MAX)
        return false;
    struct bytes meta = bytes_skip(buf_bytes(&p->front), RECORD_HEAD);
    p->body = body;
    p->record.meta_len = (uint32_t)meta.len;
    p->record.body_len = (uint32_t)body.len;
    p->record.meta_crc = crc32c(0, meta);
    p->record.body_crc = crc32c(0, body);
    return true;
}

/* --- on the thread -------------------------------------------------------------------------- */

static int begin_segment(struct batch *b) {
    char path[PATH_SIZE], dir[PATH_SIZE];
    segment_path(path, b->lane->number, b->number);
    segment_path(dir, b->lane->number, 0);
    *strchr(dir, '/') = '\0';
    int file = b->disk->open(b->disk->ctx, path, true);
    if (file < 0)
        return file;
    b->file = file;
    return site_sync_dir(b->disk, SITE_SEGMENT_DIR, dir);
}

static void give_up_segment(struct batch *b) {
    char path[PATH_SIZE];
    segment_path(path, b->lane->number, b->number);
    b->disk->close(b->disk->ctx, b->file);
    b->left_over = b->disk->unlink(b->disk->ctx, path) < 0;
}

static void write_batch(void *ctx) {
    struct batch *b = ctx;
    struct disk *d = b->disk;
    if (b->seal) {
        /* Not synced, and it may fail: without an index a restart reads the records. */
        struct iovec footer = { b->footer.at, b->footer.len };
        d->write(d->ctx, b->seal->file, b->footer_at, &footer, 1);
    }
    b->error = b->create ? begin_segment(b) : 0;
    if (!b->error)
        b->error = d->write(d->ctx, b->file, b->begin, b->parts, b->count);
    if (!b->error)
        b->error = site_sync(d, SITE_BATCH, b->file);
    if (b->error && b->create && b->file >= 0)
        give_up_segment(b);
}

/* --- making a batch ------------------------------------------------------------------------- */

static void add_record(struct buf *b, struct record *r, struct bytes meta, struct bytes body,
                       uint64_t salt) {
    char head[RECORD_HEAD];
    r->meta_len = (uint32_t)meta.len;
    r->body_len = (uint32_t)body.len;
    r->meta_crc = crc32c(0, meta);
    r->body_crc = crc32c(0, body);
    record_format(head, r, salt);
    buf_add(b, bytes_of(head, sizeof head));
    buf_add(b, meta);
    buf_add(b, body);
    while (b->len % 8)
        buf_char(b, 0);
}

static struct buf footer_of(const struct segment *s) {
    struct buf b = buf_grow(META_MAX + 4096);
    struct record r = { .kind = RECORD_INDEX, .offset = s->end };
    char trailer[TRAILER];
    add_record(&b, &r, BYTES_NONE, buf_bytes(&s->entries), s->salt);
    trailer_format(trailer, s->end, s->end + (uint32_t)b.len + TRAILER, s->salt);
    buf_add(&b, bytes_of(trailer, sizeof trailer));
    return b;
}

struct buf log_opening(const struct file_head *h, const struct trim *trims, size_t count) {
    struct buf b = buf_grow(META_MAX), meta = buf_grow(META_MAX);
    char head[FILE_HEAD];
    file_head_format(head, h);
    buf_add(&b, bytes_of(head, sizeof head));
    for (size_t i = 0; i < count; i++) {
        buf_le32(&meta, trims[i].number);
        buf_le32(&meta, trims[i].end);
    }
    struct record r = { .kind = RECORD_TRIM, .offset = FILE_HEAD };
    if (count)
        add_record(&b, &r, buf_bytes(&meta), BYTES_NONE, h->salt);
    buf_free(&meta);
    return b;
}

static uint64_t segment_size(const struct lane *lane) {
    uint64_t size = lane->spool->setup.segment_size;
    return size == 0 ? 64 << 20 : size > 1 << 30 ? 1 << 30 : size;
}

static struct batch *batch_new(struct lane *lane) {
    struct batch *b = calloc(1, sizeof *b);
    MUST(b);
    b->lane = lane;
    b->disk = lane->spool->disk;
    list_init(&b->pieces);
    b->file = -1;
    struct segment *active = lane->active;
    b->create = !active || active->end >= segment_size(lane) || lane->id_next >= SEQUENCES_ROLL;
    if (!b->create) {
        b->file = active->file;
        b->salt = active->salt;
        b->begin = b->end = active->end;
        return b;
    }
    b->number = lane->next_segment++;
    b->salt = random_u64();
    if (active && !active->entries.full) {
        b->seal = active;
        b->footer = footer_of(active);
        b->footer_at = active->end;
    }
    return b;
}

/* Takes pieces from the queue; *flat_out: how much of them is copied together. */
static void take_pieces(struct batch *b, size_t *flat_out) {
    struct lane *lane = b->lane;
    uint64_t octets = 0;
    size_t flat = 0;
    while (octets < BATCH_OCTETS && list_first(&lane->queue)) {
        struct list_node *n = list_pop(&lane->queue);
        struct piece *p = CONTAINER_OF(n, struct piece, node);
        list_append(&b->pieces, n);
        b->prompt += !p->patient;
        lane->waiting -= !p->patient && lane->waiting;
        octets += record_length(&p->record);
        flat += p->front.len + (p->body.len <= COPIED ? p->body.len : 0) + 8;
    }
    *flat_out = flat;
}

static void part_add(struct batch *b, const char *at, size_t size) {
    struct iovec *last = b->count ? &b->parts[b->count - 1] : NULL;
    if (last && (const char *)last->iov_base + last->iov_len == at)
        last->iov_len += size;
    else if (size)
        b->parts[b->count++] = (struct iovec){ (void *)(uintptr_t)at, size };
}

static void lay_out_piece(struct batch *b, struct buf *flat, struct piece *p) {
    size_t from = flat->len;
    p->record.offset = b->end;
    record_format(p->front.at, &p->record, b->salt);
    buf_add(flat, buf_bytes(&p->front));
    if (p->body.len > COPIED) {
        part_add(b, flat->at + from, flat->len - from);
        part_add(b, p->body.at, p->body.len);
        from = flat->len;
    } else {
        buf_add(flat, p->body);
    }
    uint64_t length = record_length(&p->record);
    for (uint64_t n = RECORD_HEAD + p->record.meta_len + p->record.body_len; n < length; n++)
        buf_char(flat, 0);
    part_add(b, flat->at + from, flat->len - from);
    b->end += (uint32_t)length;
}

static void lay_out(struct batch *b, size_t flat_size) {
    struct buf *flat = &b->lane->flat, opening = { 0 };
    if (b->create)
        opening = log_opening(&(struct file_head){ FILE_SEGMENT, b->number, b->salt },
                              b->lane->trims, b->lane->trims_count);
    buf_clear(flat);
    /* Made large enough at once, so that it does not move while parts point into it. */
    MUST(buf_room(flat, flat_size + opening.len + 1));
    b->parts = calloc(3 * b->pieces.count + 1, sizeof *b->parts);
    MUST(b->parts);
    if (b->create) {
        buf_add(flat, buf_bytes(&opening));
        part_add(b, flat->at, flat->len);
        b->begin = 0;
        b->end = (uint32_t)flat->len;
        buf_free(&opening);
    }
    LIST_EACH(&b->pieces, n)
    lay_out_piece(b, flat, CONTAINER_OF(n, struct piece, node));
    MUST(!flat->full);
}

/* --- what came of it ------------------------------------------------------------------------ */

static void on_turn(void *ctx) {
    log_kick(ctx);
}

/* Where several messages came together, as many are on their way again: a moment's wait lets one sync
 * cover them too. It ends when they are here. A sender by itself never waits. */
static void kick_soon(struct lane *lane) {
    int64_t wait = lane->waiting < lane->expected ? GATHER_MS : 0;
    if (!lane->batch && (!wait || !timer_is_set(&lane->turn)))
        timer_set(lane->spool->loop, &lane->turn, wait, on_turn, lane);
}

static void why_failed(struct why *why, int error) {
    if (error == -ENOSPC || error == -EDQUOT)
        why_set(why, TEMP, 452, "4.3.1", "queue.full", "The disk is full; try again later");
    else
        why_backend(why, "backend.spool", "The message could not be written (%s)",
                    strerror(-error));
}

static void fail_piece(struct piece *p, int error) {
    struct why why;
    why_failed(&why, error);
    if (p->lasting && p->failed)
        return;
    p->failed = true;
    p->done(p, TEMP, &why);
}

/* Those that last stay in the queue, in their order. */
static void fail_queue(struct lane *lane, int error) {
    struct list kept, failed;
    list_init(&kept);
    list_init(&failed);
    struct list_node *n;
    while ((n = list_pop(&lane->queue)))
        list_append(CONTAINER_OF(n, struct piece, node)->lasting ? &kept : &failed, n);
    while ((n = list_pop(&kept)))
        list_append(&lane->queue, n);
    while ((n = list_pop(&failed)))
        fail_piece(CONTAINER_OF(n, struct piece, node), error);
}

static void on_pause_over(void *ctx) {
    struct lane *lane = ctx;
    lane->paused_until = 0;
    kick_soon(lane);
}

static void use_reserve(struct lane *lane);

static void on_failed(struct batch *b) {
    struct lane *lane = b->lane;
    struct spool *s = lane->spool;
    if (b->create)
        lane_trim(lane, b->number, FILE_HEAD);
    if (lane->active) {
        lane->active->sealed = true;
        lane->active->sealed_at = loop_now(s->loop);
        lane->active->abandoned = !b->create;
        if (!b->create)
            lane_trim(lane, lane->active->number, lane->active->end);
        buf_free(&lane->active->entries);
        lane->active = NULL;
    }
    if (b->left_over) {
        struct segment *rest = segment_add(lane, b->number, -1, b->salt);
        rest->sealed = rest->abandoned = true;
    }
    struct list failed;
    list_init(&failed);
    while (b->pieces.count) {
        struct list_node *n = b->pieces.head.prev;
        struct piece *p = CONTAINER_OF(n, struct piece, node);
        list_remove(&b->pieces, n);
        list_prepend(p->lasting ? &lane->queue : &failed, n);
    }
    if (b->error == -ENOSPC || b->error == -EDQUOT) {
        s->poor = true;
        use_reserve(lane);
    }
    if (b->create) { /* a new segment failed too: no point in trying at once */
        lane->paused_until = loop_now(s->loop) + PAUSE_MS;
        timer_set(s->loop, &lane->pause, PAUSE_MS, on_pause_over, lane);
    }
    struct list_node *n;
    while ((n = list_pop(&failed)))
        fail_piece(CONTAINER_OF(n, struct piece, node), b->error);
    LIST_EACH(&lane->queue, q) {
        struct piece *p = CONTAINER_OF(q, struct piece, node);
        if (p->lasting && !p->failed)
            fail_piece(p, b->error);
    }
    if (b->create)
        fail_queue(lane, b->error);
}

/* This batch synced the directory: a segment that is no longer in it will not come back. */
static void drop_trims(struct lane *lane) {
    size_t kept = 0;
    for (size_t i = 0; i < lane->trims_count; i++)
        if (segment_find(lane, lane->trims[i].number))
            lane->trims[kept++] = lane->trims[i];
    lane->trims_count = kept;
}

static struct segment *begun(struct batch *b) {
    struct lane *lane = b->lane;
    if (lane->active) {
        lane->active->sealed = true;
        lane->active->sealed_at = loop_now(lane->spool->loop);
        buf_free(&lane->active->entries);
    }
    lane->active = segment_add(lane, b->number, b->file, b->salt);
    lane->id_segment = b->number;
    lane->id_next = 0;
    drop_trims(lane);
    return lane->active;
}

static void on_written(struct batch *b) {
    struct lane *lane = b->lane;
    struct segment *active = b->create ? begun(b) : lane->active;
    active->end = b->end;
    lane->active_synced = true;
    lane->spool->syncs++;
    struct list_node *n;
    while ((n = list_pop(&b->pieces))) {
        struct piece *p = CONTAINER_OF(n, struct piece, node);
        p->segment = active;
        p->done(p, OK, NULL);
    }
}

static void batch_done(void *ctx) {
    struct batch *b = ctx;
    struct lane *lane = b->lane;
    lane->batch = NULL;
    size_t less = lane->expected - lane->expected / 8 - (lane->expected ? 1 : 0);
    lane->expected = b->prompt > less ? b->prompt : less;
    if (b->error)
        on_failed(b);
    else
        on_written(b);
    buf_free(&b->footer);
    free(b->parts);
    free(b);
    if (lane->flat.cap > FLAT_KEPT)
        buf_free(&lane->flat);
    LIST_EACH(&lane->queue, n)
    if (!CONTAINER_OF(n, struct piece, node)->patient) {
        kick_soon(lane);
        break;
    }
    upkeep(lane);
    lane_check_release(lane);
}

/* --- the queue ------------------------------------------------------------------------------ */

void log_kick(struct lane *lane) {
    if (lane->batch || !list_first(&lane->queue) || lane->paused_until)
        return;
    timer_clear(&lane->turn);
    timer_clear(&lane->patience);
    size_t flat;
    struct batch *b = batch_new(lane);
    take_pieces(b, &flat);
    lay_out(b, flat);
    lane->batch = b;
    b->job = (struct offload_job){ .work = write_batch, .done = batch_done, .ctx = b };
    worker_submit(lane->writer, &b->job);
}

bool log_can_take(const struct lane *lane) {
    return (lane->state == LANE_READING || lane->state == LANE_READY) && !lane->paused_until;
}

static void refuse_later(void *ctx) {
    struct piece *p = ctx;
    fail_piece(p, -EIO);
}

void log_put(struct lane *lane, struct piece *p) {
    if (!p->lasting && lane->paused_until) {
        spool_later(lane->spool, refuse_later, p);
        return;
    }
    list_append(&lane->queue, &p->node);
    lane->waiting += !p->patient;
    if (!p->patient)
        kick_soon(lane);
    else if (!timer_is_set(&lane->patience))
        timer_set(lane->spool->loop, &lane->patience, SETTLE_WAIT_MS, on_turn, lane);
}

static void each_of(const struct list *l, void (*each)(void *ctx, const struct piece *p),
                    void *ctx) {
    for (struct list_node *n = list_first(l); n; n = list_next(l, n))
        each(ctx, CONTAINER_OF(n, struct piece, node));
}

void log_each(const struct lane *lane, void (*each)(void *ctx, const struct piece *p), void *ctx) {
    if (lane->batch)
        each_of(&lane->batch->pieces, each, ctx);
    each_of(&lane->queue, each, ctx);
}

bool log_idle(const struct lane *lane) {
    return !lane->batch && !lane->queue.count;
}

void log_finish(struct lane *lane) {
    worker_drain(lane->writer);
    while (lane->queue.count && !lane->paused_until) {
        log_kick(lane);
        worker_drain(lane->writer);
    }
    timer_clear(&lane->turn);
    timer_clear(&lane->patience);
    timer_clear(&lane->pause);
    struct list_node *n;
    while ((n = list_pop(&lane->queue))) {
        struct piece *p = CONTAINER_OF(n, struct piece, node);
        p->done(p, PERM, NULL); /* never: the owner lets it go */
    }
    struct segment *active = lane->active;
    if (!active)
        return;
    struct buf footer = footer_of(active);
    struct iovec part = { footer.at, footer.len };
    if (!active->entries.full)
        lane->spool->disk->write(lane->spool->disk->ctx, active->file, active->end, &part, 1);
    active->sealed = true;
    lane->active = NULL;
    buf_free(&footer);
}

/* --- room kept for settlements and for emptying segments -------------------------------------- */

struct reserve_job {
    struct offload_job job;
    struct lane *lane;
    bool make;
    bool there; /* out */
};

static void reserve_work(void *ctx) {
    struct reserve_job *j = ctx;
    char path[PATH_SIZE];
    segment_path(path, j->lane->number, 0);
    strcpy(strchr(path, '/') + 1, "reserve");
    j->there = j->make && reserve_make(j->lane->spool->disk, path, segment_size(j->lane) / 4);
    if (!j->make)
        j->lane->spool->disk->unlink(j->lane->spool->disk->ctx, path);
}

static void reserve_done(void *ctx) {
    struct reserve_job *j = ctx;
    struct lane *lane = j->lane;
    lane->jobs--;
    lane->reserving = false;
    lane->has_reserve = j->there;
    free(j);
    lane_check_release(lane);
}

bool reserve_make(struct disk *d, const char *path, uint64_t size) {
    int file = d->open(d->ctx, path, true);
    if (file < 0)
        return file == -EEXIST;
    bool made = d->reserve(d->ctx, file, 0, size) == 0;
    d->close(d->ctx, file);
    if (!made)
        d->unlink(d->ctx, path);
    return made;
}

static void reserve_job(struct lane *lane, bool make) {
    struct reserve_job *j = calloc(1, sizeof *j);
    MUST(j);
    j->lane = lane;
    j->make = make;
    j->job = (struct offload_job){ .work = reserve_work, .done = reserve_done, .ctx = j };
    lane->jobs++;
    lane->reserving = true;
    worker_submit(lane->writer, &j->job);
}

static void use_reserve(struct lane *lane) {
    if (lane->has_reserve && !lane->reserving)
        reserve_job(lane, false);
}

void log_keep_reserve(struct lane *lane) {
    if (!lane->has_reserve && !lane->reserving && !lane->spool->poor && !lane->spool->full)
        reserve_job(lane, true);
}

/* --- a new segment for its number -------------------------------------------------------------- */

static void rolled(struct piece *p, enum rc rc, const struct why *why) {
    (void)rc; /* when it failed, the next draft finds no lane, or another one */
    (void)why;
    buf_free(&p->front);
    free(p);
}

void log_roll(struct lane *lane) {
    struct piece *p = calloc(1, sizeof *p);
    MUST(p);
    piece_init(p, RECORD_GONE, 0);
    p->done = rolled;
    MUST(piece_close(p, BYTES_NONE));
    log_put(lane, p);
}
