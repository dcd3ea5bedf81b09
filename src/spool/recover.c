/* recover: reading a lane's old segments, oldest first, while new mail is taken already. What an
 * older segment says of a message holds until a newer one says more, so nothing is shown before all
 * have been read. Work on the loop is cut into slices of about a millisecond. */
#include "spool/parts.h"

#include "base/must.h"

#include <stdlib.h>

enum { SLICE = 1000 };

struct recovery {
    struct offload_job job;
    struct lane *lane;
    struct segment *segment; /* the one being read */
    uint32_t done_number;    /* the last that was */
    struct segment_read read;
    int sync_error;
    bool under_way; /* the job */
    bool stop, damaged;
    struct scan entries;
    uint64_t shown; /* sequence of the last message shown */
    struct timer turn;
    uint64_t *bigs; /* sequences that had a file, sorted */
    size_t bigs_count;
};

/* --- what a note does ------------------------------------------------------------------------- */

void apply_note(struct lane *lane, uint32_t n, const struct note *note) {
    struct index *x = &lane->spool->index;
    struct message *m = index_at(x, n);
    struct seat *seat = &message_seats(m)[note->recipient];
    seat->next = note->next;
    seat->attempts = note->attempts < UINT16_MAX ? (uint16_t)note->attempts : UINT16_MAX;
    seat->warned = note->warned;
    if (note->next_hop.len)
        index_set_hop(x, seat, note->next_hop);
    index_set_state(x, m, seat, note->state);
}

void message_finished(struct lane *lane, uint32_t n) {
    struct index *x = &lane->spool->index;
    struct message *m = index_at(x, n);
    struct seat *seats = message_seats(m);
    struct object *o = m->object;
    for (uint32_t i = 0; i < m->count; i++)
        segment_note(lane, &seats[i], NULL, 0);
    segment_drop(m->segment, m);
    uint64_t sequence = m->sequence;
    /* While segments are read, files without a message are found at the end. */
    bool big = m->flags & MESSAGE_BIG && !(m->flags & MESSAGE_QUIET);
    index_remove(x, n);
    if (o) {
        o->n = 0;
        o->unlink_big = big;
        object_drop_fresh(o);
    } else if (big) {
        big_unlink(lane, sequence);
    }
}

/* --- replay ------------------------------------------------------------------------------------ */

static void replay_message(struct recovery *r, const struct entry *e) {
    struct lane *lane = r->lane;
    struct index *x = &lane->spool->index;
    uint32_t n = index_find(x, lane->number, e->sequence);
    struct message *m;
    if (n) {
        m = index_at(x, n);
        if (m->count != e->count)
            return;
        segment_need(m->segment, r->segment);
        segment_drop(m->segment, m);
    } else {
        n = index_add(x, lane->number, e->sequence);
        m = index_at(x, n);
        m->arrived = e->arrived;
        m->size = e->size;
        m->flags = (uint8_t)(MESSAGE_QUIET | (e->big ? MESSAGE_BIG : 0));
        index_seat(x, m, e->count);
        struct seat *seats = message_seats(m);
        struct bytes hops = e->hops, hop;
        uint32_t run, at = 0;
        while (at < e->count && entry_hop(&hops, &run, &hop))
            for (uint32_t end = at + run; at < end && at < e->count; at++)
                index_set_hop(x, &seats[at], hop);
    }
    m->segment = r->segment;
    m->offset = e->offset;
    m->length = e->length;
    segment_put(r->segment, m);
}

static void replay(struct recovery *r, const struct entry *e) {
    struct lane *lane = r->lane;
    if (e->kind == ENTRY_MESSAGE) {
        replay_message(r, e);
        return;
    }
    uint32_t n = index_find(&lane->spool->index, lane->number, e->sequence);
    if (!n)
        return;
    struct message *m = index_at(&lane->spool->index, n);
    segment_need(m->segment, r->segment);
    if (e->kind == ENTRY_NOTE) {
        if (e->note.recipient >= m->count)
            return;
        apply_note(lane, n, &e->note);
        segment_note(lane, &message_seats(m)[e->note.recipient], r->segment, e->offset);
    }
    if (e->kind == ENTRY_GONE || m->open == 0)
        message_finished(lane, n);
}

/* --- showing ----------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool has_file(const struct recovery *r, uint64_t sequence) {
    return r->bigs_count && bsearch(&sequence, r->bigs, r->bigs_count, sizeof *r->bigs, by_value);
}

static void show(struct recovery *r, uint32_t n) {
    struct lane *lane = r->lane;
    struct message *m = index_at(&lane->spool->index, n);
    if (m->flags & MESSAGE_BIG && !has_file(r, m->sequence)) {
        struct damage d = { 0 };
        damage_add(&d, "message %s: the file with its content is missing",
                   id_format(lane, m->sequence).text);
        lane_damage(lane, &d);
        buf_free(&d.text);
        r->damaged = true;
    }
    index_show(&lane->spool->index, n);
    spool_tell_news(lane->spool, n);
}

/* Files that no message owns: of drafts that were never committed, and of finished messages. */
static void remove_orphans(struct recovery *r) {
    struct lane *lane = r->lane;
    if (r->damaged || lane->keep_all)
        return;
    for (size_t i = 0; i < r->bigs_count; i++)
        if (!index_find(&lane->spool->index, lane->number, r->bigs[i]))
            big_unlink(lane, r->bigs[i]);
}

static void recovery_free(struct recovery *r) {
    timer_clear(&r->turn);
    r->lane->recovery = NULL;
    buf_free(&r->read.entries);
    buf_free(&r->read.damage.text);
    free(r->bigs);
    free(r);
}

static void all_shown(struct recovery *r) {
    struct lane *lane = r->lane;
    remove_orphans(r);
    recovery_free(r);
    if (lane->state == LANE_READING) {
        lane->state = LANE_READY;
        if (lane->events.on_read)
            lane->events.on_read(lane->ctx, lane->number);
    }
    upkeep(lane);
}

static void show_slice(void *ctx) {
    struct recovery *r = ctx;
    struct lane *lane = r->lane;
    struct index *x = &lane->spool->index;
    for (int i = 0; i < SLICE; i++) {
        uint32_t n = index_after(x, lane->number, r->shown);
        if (!n || index_at(x, n)->lane != lane->number) {
            all_shown(r);
            return;
        }
        r->shown = index_at(x, n)->sequence;
        if (index_at(x, n)->flags & MESSAGE_QUIET)
            show(r, n);
    }
    timer_set(lane->spool->loop, &r->turn, 0, show_slice, r);
}

/* --- segment by segment ------------------------------------------------------------------------- */

static void read_next(struct recovery *r);

static void replay_slice(void *ctx) {
    struct recovery *r = ctx;
    struct entry e;
    for (int i = 0; i < SLICE; i++) {
        if (!entry_next(&r->entries, &e)) {
            buf_free(&r->read.entries);
            r->segment->readers--;
            read_next(r);
            return;
        }
        replay(r, &e);
    }
    timer_set(r->lane->spool->loop, &r->turn, 0, replay_slice, r);
}

static void read_work(void *ctx) {
    struct recovery *r = ctx;
    segment_read(&r->read);
    /* What a process wrote before it crashed may not be on disk yet, but what follows from it is
     * done now. An abandoned segment is valid up to where it was synced, and is left alone. */
    if (!r->read.error && !r->read.indexed && !r->read.limit)
        r->sync_error = segment_secure(&r->read);
}

static void read_done(void *ctx) {
    struct recovery *r = ctx;
    struct lane *lane = r->lane;
    r->under_way = false;
    if (r->read.error) {
        damage_add(&r->read.damage, "segment %u/%08x: it could not be read", lane->number,
                   r->segment->number);
        r->read.damaged = true;
    }
    if (r->read.error || r->sync_error)
        lane->keep_all = true;
    if (r->read.damaged)
        r->damaged = r->segment->damaged = true;
    r->segment->end = r->read.end;
    r->segment->sealed_at = loop_now(lane->spool->loop);
    lane_damage(lane, &r->read.damage);
    buf_free(&r->read.damage.text);
    if (r->stop) {
        r->segment->readers--;
        recovery_free(r);
        lane_check_release(lane);
        return;
    }
    r->entries = scan_of(buf_bytes(&r->read.entries));
    replay_slice(r);
}

static struct segment *next_segment(struct recovery *r) {
    LIST_EACH(&r->lane->segments, n) {
        struct segment *s = CONTAINER_OF(n, struct segment, node);
        if (s->number > r->done_number)
            return s;
    }
    return NULL;
}

static uint32_t limit_of(const struct lane *lane, uint32_t number) {
    for (size_t i = 0; i < lane->trims_count; i++)
        if (lane->trims[i].number == number)
            return lane->trims[i].end;
    return 0;
}

static void read_next(struct recovery *r) {
    struct lane *lane = r->lane;
    struct segment *s;
    /* Those from lane->first_own on are this process's. */
    while ((s = next_segment(r)) && s->number < lane->first_own && s->unreadable)
        r->done_number = s->number;
    if (!s || s->number >= lane->first_own) {
        r->segment = NULL;
        timer_set(lane->spool->loop, &r->turn, 0, show_slice, r);
        return;
    }
    r->done_number = s->number;
    r->segment = s;
    s->readers++;
    r->sync_error = 0;
    r->read = (struct segment_read){
        .disk = lane->spool->disk,
        .lane = lane->number,
        .number = s->number,
        .file = s->file,
        .salt = s->salt,
        .limit = limit_of(lane, s->number),
    };
    r->under_way = true;
    r->job = (struct offload_job){ .work = read_work, .done = read_done, .ctx = r };
    worker_submit(lane->spool->reader, &r->job);
}

void recover_begin(struct lane *lane, uint64_t *bigs, size_t count) {
    struct recovery *r = lane->recovery = calloc(1, sizeof *r);
    MUST(r);
    r->lane = lane;
    r->bigs = bigs;
    r->bigs_count = count;
    if (count)
        qsort(bigs, count, sizeof *bigs, by_value);
    LIST_EACH(&lane->segments, n)
    if (CONTAINER_OF(n, struct segment, node)->unreadable &&
        CONTAINER_OF(n, struct segment, node)->damaged)
        r->damaged = true;
    read_next(r);
}

bool recover_abort(struct lane *lane) {
    struct recovery *r = lane->recovery;
    if (!r)
        return true;
    if (r->under_way) {
        r->stop = true;
        return false;
    }
    if (r->segment && r->segment->readers)
        r->segment->readers--;
    recovery_free(r);
    return true;
}
