/* lane: taking a lane and giving it back. Taking it means: lock it, see which segments there are,
 * and begin a new one, whose number has never been used; then mail is taken, and the old segments
 * are read (recover.c). */
#include "spool/parts.h"

#include "base/must.h"
#include "sys/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct found { /* a segment that was there */
    uint32_t number;
    int file;
    uint64_t salt;
    bool bad;   /* its head is gone */
    bool begun; /* and there is something in its place */
};

struct lease {
    struct offload_job job;
    struct lane *lane;
    struct disk *disk;
    char dir[PATH_SIZE];
    uint64_t reserve;
    /* found */
    struct found *segments;
    size_t count;
    uint64_t *bigs;
    size_t bigs_count;
    struct trim *trims;
    size_t trims_count;
    bool has_reserve;
    uint32_t newest;
    struct damage damage;
    /* made */
    int lock, file;
    uint64_t salt;
    uint32_t end;
    int error;
    bool held;
};

/* --- on the thread -------------------------------------------------------------------------- */

static void *grown(void *array, size_t count, size_t size) {
    if ((count & (count - 1)) != 0 && count)
        return array;
    void *more = realloc(array, (count ? count * 2 : 1) * size);
    MUST(more);
    return more;
}

static void on_name(void *arg, const char *name) {
    struct lease *l = arg;
    char kind[12];
    unsigned long long number;
    int used = 0;
    if (strcmp(name, "reserve") == 0)
        l->has_reserve = true;
    if (sscanf(name, "%14llx.%11s%n", &number, kind, &used) != 2 || name[used])
        return;
    if (strcmp(kind, "big") == 0) {
        l->bigs = grown(l->bigs, l->bigs_count, sizeof *l->bigs);
        l->bigs[l->bigs_count++] = number;
        number >>= SEQUENCE_BITS;
    } else if (strcmp(kind, "seg") == 0) {
        l->segments = grown(l->segments, l->count, sizeof *l->segments);
        l->segments[l->count++] = (struct found){ .number = (uint32_t)number, .file = -1 };
    }
    /* One that was set aside counts too: no number is used twice. */
    if (number > l->newest)
        l->newest = (uint32_t)number;
}

static int by_number(const void *a, const void *b) {
    uint32_t x = ((const struct found *)a)->number, y = ((const struct found *)b)->number;
    return x < y ? -1 : x > y;
}

static void read_trims(struct lease *l, const struct found *f) {
    struct record r;
    struct buf meta = buf_grow(META_MAX);
    if (record_read(l->disk, f->file, f->salt, FILE_HEAD, &r, &meta) == 0 &&
        r.kind == RECORD_TRIM) {
        struct scan s = scan_of(buf_bytes(&meta));
        while (!scan_done(&s)) {
            l->trims = grown(l->trims, l->trims_count, sizeof *l->trims);
            uint32_t number = scan_le32(&s);
            l->trims[l->trims_count++] = (struct trim){ number, scan_le32(&s) };
            if (number > l->newest)
                l->newest = number;
        }
    }
    buf_free(&meta);
}

static int look_at(struct lease *l, struct found *f) {
    char path[PATH_SIZE], head[FILE_HEAD] = { 0 };
    static const char nothing[FILE_HEAD];
    struct file_head h;
    bool damaged = false;
    segment_path(path, l->lane->number, f->number);
    f->file = l->disk->open(l->disk->ctx, path, false);
    if (f->file < 0)
        return f->file;
    int64_t got = l->disk->read(l->disk->ctx, f->file, 0, head, sizeof head);
    if (got < 0)
        return (int)got;
    if (!file_head_parse(head, &h, &damaged) || h.number != f->number) {
        f->bad = true;
        /* Nothing was ever confirmed in a segment whose head did not reach the disk. */
        f->begun = got == FILE_HEAD && memcmp(head, nothing, FILE_HEAD) != 0;
        if (f->begun)
            damage_add(&l->damage, "segment %u/%08x: its head is damaged, none of it can be read",
                       l->lane->number, f->number);
        return 0;
    }
    f->salt = h.salt;
    if (damaged)
        damage_add(&l->damage, "segment %u/%08x: one copy of its head is damaged", l->lane->number,
                   f->number);
    read_trims(l, f);
    return 0;
}

static int take_lock(struct lease *l) {
    char path[PATH_SIZE * 2];
    snprintf(path, sizeof path, "%s/lock", l->dir);
    l->lock = l->disk->open(l->disk->ctx, path, false);
    if (l->lock == -ENOENT)
        l->lock = l->disk->open(l->disk->ctx, path, true);
    if (l->lock == -EEXIST)
        l->lock = l->disk->open(l->disk->ctx, path, false);
    if (l->lock < 0)
        return l->lock;
    int error = l->disk->lock(l->disk->ctx, l->lock);
    l->held = error == -EWOULDBLOCK;
    return error;
}

static void make_reserve(struct lease *l, bool remove) {
    char path[PATH_SIZE * 2];
    snprintf(path, sizeof path, "%s/reserve", l->dir);
    if (remove) {
        l->disk->unlink(l->disk->ctx, path);
        l->has_reserve = false;
        return;
    }
    if (l->has_reserve)
        return;
    l->has_reserve = reserve_make(l->disk, path, l->reserve);
}

static bool there(const struct lease *l, uint32_t number) {
    struct found key = { .number = number };
    return l->count && bsearch(&key, l->segments, l->count, sizeof key, by_number);
}

static int begin_active(struct lease *l) {
    char path[PATH_SIZE];
    struct file_head h = { FILE_SEGMENT, l->newest + 1, l->salt };
    struct buf b = log_opening(&h, l->trims, l->trims_count);
    struct iovec part = { b.at, b.len };
    segment_path(path, l->lane->number, l->newest + 1);
    l->end = (uint32_t)b.len;
    l->file = l->disk->open(l->disk->ctx, path, true);
    int error = l->file < 0 ? l->file : 0;
    if (!error)
        error = l->disk->write(l->disk->ctx, l->file, 0, &part, 1);
    if (!error)
        error = site_sync_dir(l->disk, SITE_FIRST_DIR, l->dir);
    if (error && l->file >= 0) {
        l->disk->close(l->disk->ctx, l->file);
        l->disk->unlink(l->disk->ctx, path);
        l->file = -1;
    }
    buf_free(&b);
    return error;
}

/* Of segments that are still there; each once, with its smallest end. */
static void tidy_trims(struct lease *l) {
    size_t kept = 0;
    for (size_t i = 0; i < l->trims_count; i++) {
        struct trim t = l->trims[i];
        size_t at = 0;
        while (at < kept && l->trims[at].number != t.number)
            at++;
        if (at < kept && t.end < l->trims[at].end)
            l->trims[at].end = t.end;
        else if (at == kept && there(l, t.number))
            l->trims[kept++] = t;
    }
    l->trims_count = kept;
}

static int take_lane(struct lease *l) {
    int error = l->disk->make_dir(l->disk->ctx, l->dir);
    if (error && error != -EEXIST)
        return error;
    /* Also when it was there: whoever made it may have died before this. */
    error = site_sync_dir(l->disk, SITE_LANE_DIR, ".");
    if (!error)
        error = take_lock(l);
    if (!error)
        error = l->disk->list(l->disk->ctx, l->dir, on_name, l);
    if (error)
        return error;
    if (l->count)
        qsort(l->segments, l->count, sizeof *l->segments, by_number);
    for (size_t i = 0; i < l->count && !error; i++)
        error = look_at(l, &l->segments[i]);
    if (error)
        return error;
    tidy_trims(l);
    error = begin_active(l);
    if (error == -ENOSPC) {
        make_reserve(l, true);
        error = begin_active(l);
    } else if (!error) {
        make_reserve(l, false);
    }
    return error;
}

static void lease_work(void *ctx) {
    struct lease *l = ctx;
    l->error = take_lane(l);
}

/* --- on the loop ---------------------------------------------------------------------------- */

static void lease_free(struct lease *l) {
    free(l->segments);
    free(l->bigs);
    free(l->trims);
    buf_free(&l->damage.text);
    free(l);
}

void lane_damage(struct lane *lane, const struct damage *d) {
    struct bytes rest = buf_bytes(&d->text), line;
    while (bytes_split(&rest, '\n', &line))
        if (line.len && lane->events.on_damage)
            lane->events.on_damage(lane->ctx, lane->number, line);
}

static void lease_failed(struct lease *l) {
    struct lane *lane = l->lane;
    struct disk *d = l->disk;
    struct why why;
    for (size_t i = 0; i < l->count; i++)
        if (l->segments[i].file >= 0)
            d->close(d->ctx, l->segments[i].file);
    if (l->lock >= 0)
        d->close(d->ctx, l->lock);
    if (l->held)
        why_backend(&why, "backend.spool", "Lane %u is in use by another process", lane->number);
    else
        why_backend(&why, "backend.spool", "Lane %u could not be opened (%s)", lane->number,
                    strerror(-l->error));
    lane->state = LANE_RELEASED;
    lane->events.on_leased(lane->ctx, lane->number, TEMP, &why);
    if (lane->on_released)
        lane->on_released(lane->released_ctx);
    lane->on_released = NULL;
}

static void lease_done(void *ctx) {
    struct lease *l = ctx;
    struct lane *lane = l->lane;
    lane->jobs--;
    if (l->error) {
        lease_failed(l);
        lease_free(l);
        return;
    }
    lane->lock = l->lock;
    lane->has_reserve = l->has_reserve;
    for (size_t i = 0; i < l->count; i++) {
        struct found *f = &l->segments[i];
        struct segment *s = segment_add(lane, f->number, f->file, f->salt);
        s->sealed = true;
        s->unreadable = f->bad;
        s->damaged = f->begun;
    }
    for (size_t i = 0; i < l->trims_count; i++) {
        lane_trim(lane, l->trims[i].number, l->trims[i].end);
        segment_find(lane, l->trims[i].number)->abandoned = true;
    }
    lane->active = segment_add(lane, l->newest + 1, l->file, l->salt);
    lane->active->end = l->end;
    lane->next_segment = l->newest + 2;
    lane->id_segment = lane->first_own = l->newest + 1;
    lane_damage(lane, &l->damage);
    if (lane->state == LANE_LEASING)
        lane->state = LANE_READING;
    recover_begin(lane, l->bigs, l->bigs_count);
    l->bigs = NULL;
    if (lane->state == LANE_READING)
        lane->events.on_leased(lane->ctx, lane->number, OK, NULL);
    lease_free(l);
    lane_check_release(lane);
}

static struct lane *lane_find(struct spool *s, uint32_t number) {
    LIST_EACH(&s->lanes, n) {
        struct lane *lane = CONTAINER_OF(n, struct lane, node);
        if (lane->number == number && lane->state != LANE_RELEASED)
            return lane;
    }
    return NULL;
}

void spool_lease(struct spool *s, uint32_t number, const struct spool_lane_events *events,
                 void *ctx) {
    MUST(number <= UINT16_MAX && !lane_find(s, number));
    struct lane *lane = calloc(1, sizeof *lane);
    struct lease *l = calloc(1, sizeof *l);
    MUST(lane && l);
    lane->spool = s;
    lane->number = (uint16_t)number;
    lane->events = *events;
    lane->ctx = ctx;
    lane->lock = -1;
    lane->flat = buf_grow(SIZE_MAX);
    list_init(&lane->segments);
    list_init(&lane->queue);
    lane->writer = worker_open(s->loop, "spool-write", s->setup.inline_sync);
    list_append(&s->lanes, &lane->node);
    uint64_t size = s->setup.segment_size ? s->setup.segment_size : 64 << 20;
    *l = (struct lease){ .lane = lane, .disk = s->disk, .lock = -1, .file = -1 };
    l->reserve = size / 4;
    l->salt = random_u64();
    snprintf(l->dir, sizeof l->dir, "%u", number);
    l->job = (struct offload_job){ .work = lease_work, .done = lease_done, .ctx = l };
    lane->jobs++;
    worker_submit(lane->writer, &l->job);
}

/* --- giving it back -------------------------------------------------------------------------- */

static void close_files(struct lane *lane) {
    struct disk *d = lane->spool->disk;
    LIST_EACH(&lane->segments, n) {
        struct segment *s = CONTAINER_OF(n, struct segment, node);
        if (s->file >= 0)
            d->close(d->ctx, s->file);
        s->file = -1;
    }
    if (lane->lock >= 0)
        d->close(d->ctx, lane->lock);
    lane->lock = -1;
}

static void forget_messages(struct lane *lane) {
    struct index *x = &lane->spool->index;
    uint64_t sequence = 0;
    uint32_t n;
    while ((n = index_after(x, lane->number, sequence)) && index_at(x, n)->lane == lane->number) {
        struct message *m = index_at(x, n);
        sequence = m->sequence;
        if (m->object) {
            m->object->n = 0;
            object_drop_fresh(m->object);
        }
        index_remove(x, n);
    }
}

static void told(void *ctx) {
    struct lane *lane = ctx;
    if (lane->on_released)
        lane->on_released(lane->released_ctx);
    lane->on_released = NULL;
}

void lane_check_release(struct lane *lane) {
    if (lane->state != LANE_RELEASING || lane->spool->closing || lane->jobs)
        return;
    if (!recover_abort(lane) || !evacuation_abort(lane) || !log_idle(lane)) {
        if (!lane->paused_until)
            log_kick(lane);
        return;
    }
    lane->state = LANE_RELEASED;
    log_finish(lane);
    timer_clear(&lane->upkeep);
    forget_messages(lane);
    close_files(lane);
    spool_later(lane->spool, told, lane);
}

void spool_release(struct spool *s, uint32_t number, void (*on_released)(void *ctx), void *ctx) {
    struct lane *lane = lane_find(s, number);
    MUST(lane && !lane->on_released);
    lane->on_released = on_released;
    lane->released_ctx = ctx;
    lane->state = LANE_RELEASING;
    lane_check_release(lane);
}

void lane_free(struct lane *lane) {
    worker_close(&lane->writer);
    timer_clear(&lane->upkeep);
    timer_clear(&lane->pause);
    close_files(lane);
    /* Needs first: a segment takes back what it needs when it goes. */
    LIST_EACH(&lane->segments, n)
    segment_free(CONTAINER_OF(n, struct segment, node));
    list_remove(&lane->spool->lanes, &lane->node);
    buf_free(&lane->flat);
    free(lane->trims);
    free(lane);
}
