/* evacuate: how the log gives room back. A segment whose messages are all finished is deleted,
 * unless an older one needs what it says. One that is mostly waste is emptied first: its stragglers
 * are copied to the end of the log with their ids, the last notes of messages elsewhere are said
 * again, and the messages that are finished are named once more for older segments that still hold
 * their records. Only what is on disk counts, and everything goes through the log in order. */
#include "spool/parts.h"

#include "base/must.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOOK_MS = 100,        /* after a batch */
    AGAIN_MS = 10 * 1000, /* while there is waste */
    AGE_MS = 60 * 1000,   /* a sealed segment is left alone that long: most mail goes by itself */
    WASTE = 4,            /* emptied when less than one part in so many is of use */
    NOTE_OCTETS = 160,    /* about what one takes */
    MANY_SEGMENTS = 64,   /* beyond, small ones are emptied too */
    IN_FLIGHT = 32,
    SLICE = 1000,
    GONE_AT_ONCE = 8 * 1024,
    DELETED_AT_ONCE = 16,
};

/* --- deleting ---------------------------------------------------------------------------------- */

struct deletion {
    struct offload_job job;
    struct lane *lane;
    struct segment *segments[DELETED_AT_ONCE];
    int files[DELETED_AT_ONCE];
    int count;
    int error;
};

static void delete_work(void *ctx) {
    struct deletion *x = ctx;
    struct disk *d = x->lane->spool->disk;
    char path[PATH_SIZE], aside[PATH_SIZE];
    for (int i = 0; i < x->count; i++) {
        struct segment *s = x->segments[i];
        segment_path(path, x->lane->number, s->number);
        snprintf(aside, sizeof aside, "%u/%08x.damaged", x->lane->number, s->number);
        int error = s->damaged ? d->rename(d->ctx, path, aside) : d->unlink(d->ctx, path);
        if (error && error != -ENOENT)
            x->error = error;
    }
    snprintf(path, sizeof path, "%u", x->lane->number);
    int error = site_sync_dir(d, SITE_DELETED, path);
    if (error)
        x->error = error;
}

static void delete_done(void *ctx) {
    struct deletion *x = ctx;
    struct lane *lane = x->lane;
    struct disk *d = lane->spool->disk;
    lane->jobs--;
    for (int i = 0; i < x->count; i++) {
        struct segment *s = x->segments[i];
        s->readers--;
        /* After an error it counts as there, and what it needs stays too. */
        if (x->error)
            continue;
        if (s->file >= 0)
            d->close(d->ctx, s->file);
        segment_free(s);
    }
    free(x);
    upkeep(lane);
    lane_check_release(lane);
}

static bool deletable(const struct lane *lane, const struct segment *s) {
    return s != lane->active && s->sealed && !s->deleting && s->live == 0 && s->needed_by == 0 &&
           s->readers == 0;
}

/* True when there may be more. */
static bool delete_some(struct lane *lane) {
    struct deletion *x = calloc(1, sizeof *x);
    MUST(x);
    x->lane = lane;
    LIST_EACH(&lane->segments, n) {
        struct segment *s = CONTAINER_OF(n, struct segment, node);
        if (x->count == DELETED_AT_ONCE || !deletable(lane, s))
            continue;
        s->deleting = true;
        s->readers++;
        x->segments[x->count++] = s;
    }
    if (!x->count) {
        free(x);
        return false;
    }
    x->job = (struct offload_job){ .work = delete_work, .done = delete_done, .ctx = x };
    lane->jobs++;
    worker_submit(lane->writer, &x->job);
    return true;
}

/* --- what is to be emptied ----------------------------------------------------------------------- */

struct evacuation {
    struct offload_job job;
    struct lane *lane;
    struct segment *segment;
    struct segment_read read;
    struct scan entries;
    struct entry entry; /* the one in hand */
    struct timer turn;
    unsigned in_flight; /* pieces */
    bool waiting;       /* for a job, an object or its content */
    bool walked, said_gone, failed, stop;
    uint64_t *gone;
    size_t gone_count, gone_cap, gone_sent;
};

struct copy {           /* of a message, or of one note */
    struct piece piece; /* first */
    struct evacuation *evacuation;
    struct object *object;
};

static void step(struct evacuation *v);

static void evacuation_free(struct evacuation *v) {
    struct lane *lane = v->lane;
    timer_clear(&v->turn);
    lane->evacuation = NULL;
    v->segment->readers--;
    buf_free(&v->read.entries);
    buf_free(&v->read.damage.text);
    free(v->gone);
    free(v);
    upkeep(lane);
    lane_check_release(lane);
}

/* All who needed the emptied segment need what it needs, where all it said stands again. */
static void inherit(struct segment *from) {
    LIST_EACH(&from->lane->segments, n) {
        struct segment *s = CONTAINER_OF(n, struct segment, node);
        size_t at = 0;
        while (at < s->needs_count && s->needs[at] != from)
            at++;
        if (at == s->needs_count)
            continue;
        s->needs[at] = s->needs[--s->needs_count];
        from->needed_by--;
        for (size_t i = 0; i < from->needs_count; i++)
            segment_need(s, from->needs[i]);
    }
}

static void finish(struct evacuation *v) {
    if (v->failed)
        v->segment->sealed_at = loop_now(v->lane->spool->loop); /* again, but not at once */
    else if (!v->stop)
        inherit(v->segment);
    evacuation_free(v);
}

/* --- saying it again ----------------------------------------------------------------------------- */

static bool differs(const struct envelope *e, uint32_t i, const struct store_recipient *r) {
    return r->state != RECIPIENT_DUE || r->attempts || r->warned || r->next != e->arrived ||
           !bytes_equal(r->next_hop, e->recipients[i].next_hop);
}

static void add_note(struct buf *b, const struct object *o, uint32_t i) {
    const struct store_recipient *r = &o->recipients[i];
    /* Under way is a state of this process only. */
    enum recipient_state state = r->state != RECIPIENT_SENDING ? r->state
                                 : r->attempts                 ? RECIPIENT_DEFERRED
                                                               : RECIPIENT_DUE;
    note_format(b, &(struct note){ .sequence = o->sequence,
                                   .recipient = i,
                                   .state = state,
                                   .warned = r->warned,
                                   .attempts = r->attempts,
                                   .next = r->next,
                                   .next_hop = r->next_hop,
                                   .reply = r->reply });
}

static struct bytes notes_in(const struct piece *p) {
    struct scan s = scan_of(bytes_skip(buf_bytes(&p->front), RECORD_HEAD));
    if (p->record.kind == RECORD_COPY) {
        scan_le64(&s);
        scan_lbytes(&s);
    }
    return s.rest;
}

/* The record is on disk: the index follows. */
static void moved(struct copy *c) {
    struct evacuation *v = c->evacuation;
    struct lane *lane = v->lane;
    struct segment *to = c->piece.segment;
    struct object *o = c->object;
    struct index *x = &lane->spool->index;
    struct message *m = o->n ? index_at(x, o->n) : NULL;
    if (c->piece.record.kind == RECORD_COPY) {
        entry_message(&to->entries, &c->piece.record, o->size, o->envelope);
        if (m) {
            segment_drop(m->segment, m);
            m->segment = to;
            m->offset = c->piece.record.offset;
            m->length = (uint32_t)record_length(&c->piece.record);
            segment_put(to, m);
        }
    } else if (m) {
        segment_need(m->segment, to);
    }
    struct scan s = scan_of(notes_in(&c->piece));
    struct note note;
    while (note_next(&s, &note)) {
        entry_note(&to->entries, c->piece.record.offset, &note);
        if (m)
            segment_note(lane, &message_seats(m)[note.recipient], to, c->piece.record.offset);
    }
}

static void copied(struct piece *p, enum rc rc, const struct why *why) {
    struct copy *c = CONTAINER_OF(p, struct copy, piece);
    struct evacuation *v = c->evacuation;
    (void)why;
    if (rc == OK) {
        segment_need(v->segment, p->segment);
        if (c->object) {
            moved(c);
        } else {
            struct scan s = scan_of(notes_in(p));
            while (!scan_done(&s))
                entry_gone(&p->segment->entries, p->record.offset, scan_le64(&s));
        }
    } else {
        v->failed = true;
    }
    object_put(&c->object);
    buf_free(&p->front);
    free(c);
    v->in_flight--;
    step(v);
}

static struct copy *copy_new(struct evacuation *v, enum record_kind kind, uint64_t sequence) {
    struct copy *c = calloc(1, sizeof *c);
    MUST(c);
    piece_init(&c->piece, kind, sequence);
    c->piece.patient = true;
    c->piece.done = copied;
    c->evacuation = v;
    return c;
}

static void copy_send(struct copy *c, struct bytes body) {
    struct evacuation *v = c->evacuation;
    v->in_flight++;
    MUST(piece_close(&c->piece, body));
    log_put(v->lane, &c->piece);
}

/* Takes over the reference. */
static void copy_message(struct evacuation *v, struct object *o) {
    struct copy *c = copy_new(v, RECORD_COPY, o->sequence);
    c->object = o;
    c->piece.record.flags = o->big ? RECORD_BIG : 0;
    message_meta_format(&c->piece.front, o->size, o->envelope);
    for (uint32_t i = 0; i < o->envelope->count; i++)
        if (differs(o->envelope, i, &o->recipients[i]))
            add_note(&c->piece.front, o, i);
    copy_send(c, o->body);
}

static void copy_note(struct evacuation *v, struct object *o) {
    struct copy *c = copy_new(v, RECORD_NOTES, 0);
    c->object = o;
    add_note(&c->piece.front, o, v->entry.note.recipient);
    copy_send(c, BYTES_NONE);
}

static void say_gone(struct evacuation *v) {
    do {
        struct copy *c = copy_new(v, RECORD_GONE, 0);
        for (int i = 0; i < GONE_AT_ONCE && v->gone_sent < v->gone_count; i++)
            buf_le64(&c->piece.front, v->gone[v->gone_sent++]);
        copy_send(c, BYTES_NONE);
    } while (v->gone_sent < v->gone_count);
}

/* --- walking through it -------------------------------------------------------------------------- */

static void gone_add(struct evacuation *v, uint64_t sequence) {
    if (v->gone_count == v->gone_cap) {
        v->gone_cap = v->gone_cap ? v->gone_cap * 2 : 256;
        v->gone = realloc(v->gone, v->gone_cap * sizeof *v->gone);
        MUST(v->gone);
    }
    v->gone[v->gone_count++] = sequence;
}

static bool is_here(const struct evacuation *v, const struct message *m) {
    return m->segment == v->segment && m->offset == v->entry.offset;
}

static bool note_is_last(const struct evacuation *v, struct message *m) {
    uint32_t i = v->entry.note.recipient;
    if (m->segment == v->segment || i >= m->count)
        return false;
    const struct seat *seat = &message_seats(m)[i];
    return seat->note_segment == v->segment->number && seat->note_offset == v->entry.offset;
}

static bool finished(const struct evacuation *v, const struct object *o) {
    return !o->n || index_at(&v->lane->spool->index, o->n)->open == 0;
}

/* The object still stands for a message that waits, and the entry in hand still speaks of it. */
static bool still(struct evacuation *v, struct object *o) {
    if (finished(v, o))
        return false;
    struct message *m = index_at(&v->lane->spool->index, o->n);
    return v->entry.kind == ENTRY_MESSAGE ? is_here(v, m) : note_is_last(v, m);
}

static void on_body(void *arg, enum rc rc, struct bytes data, const struct why *why) {
    struct copy *hand = arg; /* carries evacuation and object, nothing more */
    struct evacuation *v = hand->evacuation;
    struct object *o = hand->object;
    (void)data;
    (void)why;
    free(hand);
    v->waiting = false;
    if (rc != OK) {
        v->failed = v->segment->stuck = true;
        object_put(&o);
    } else if (still(v, o) && !v->stop) {
        copy_message(v, o); /* its body is in memory now */
    } else {
        if (finished(v, o))
            gone_add(v, o->sequence);
        object_put(&o);
    }
    step(v);
}

static void on_object(void *ctx, enum rc rc, struct object *o, const struct why *why) {
    struct evacuation *v = ctx;
    (void)why;
    v->waiting = false;
    if (rc != OK) {
        v->failed = v->segment->stuck = true;
    } else if (!o) {
        gone_add(v, v->entry.sequence);
    } else if (v->stop || !still(v, o)) {
        if (finished(v, o))
            gone_add(v, o->sequence);
        object_put(&o);
    } else if (v->entry.kind == ENTRY_NOTE) {
        copy_note(v, o);
    } else if (o->memory) {
        copy_message(v, o);
    } else {
        struct copy *hand = calloc(1, sizeof *hand);
        MUST(hand);
        hand->evacuation = v;
        hand->object = o;
        v->waiting = true;
        struct content content = object_content(&o->message);
        content.read(content.ctx, 0, o->record.body_len, on_body, hand);
        return;
    }
    step(v);
}

static bool take_entry(struct evacuation *v) {
    struct index *x = &v->lane->spool->index;
    uint32_t n = index_find(x, v->lane->number, v->entry.sequence);
    if (!n) {
        gone_add(v, v->entry.sequence);
        return false;
    }
    struct message *m = index_at(x, n);
    if (m->open == 0) {
        /* Just finishing. Its last notes are queued ahead of what is said here, but they speak of
         * some of its recipients only. */
        gone_add(v, v->entry.sequence);
        return false;
    }
    if (v->entry.kind == ENTRY_GONE ||
        !(v->entry.kind == ENTRY_MESSAGE ? is_here(v, m) : note_is_last(v, m)))
        return false;
    v->waiting = true;
    object_get(v->lane->spool, n, on_object, v);
    return true;
}

static void on_turn(void *ctx) {
    step(ctx);
}

static void walk(struct evacuation *v) {
    for (int i = 0; i < SLICE; i++) {
        if (!entry_next(&v->entries, &v->entry)) {
            v->walked = true;
            step(v);
            return;
        }
        if (take_entry(v))
            return;
    }
    timer_set(v->lane->spool->loop, &v->turn, 0, on_turn, v);
}

/* Goes on with whatever is next. */
static void step(struct evacuation *v) {
    if (v->waiting || timer_is_set(&v->turn))
        return;
    if (v->stop || v->failed || v->said_gone) {
        if (!v->in_flight)
            finish(v);
    } else if (!v->walked) {
        if (v->in_flight < IN_FLIGHT)
            walk(v);
    } else if (!v->in_flight) {
        /* Also when nothing is gone: what was queued before is on disk when this is. */
        v->said_gone = true;
        say_gone(v);
    }
}

static void read_work(void *ctx) {
    struct evacuation *v = ctx;
    segment_read(&v->read);
}

static void read_done(void *ctx) {
    struct evacuation *v = ctx;
    v->waiting = false;
    v->lane->jobs--;
    if (v->read.error)
        v->failed = true;
    if (v->read.damaged && !v->segment->damaged) {
        v->segment->damaged = true;
        lane_damage(v->lane, &v->read.damage);
    }
    v->entries = scan_of(buf_bytes(&v->read.entries));
    step(v);
}

static void evacuate(struct lane *lane, struct segment *s) {
    struct evacuation *v = lane->evacuation = calloc(1, sizeof *v);
    MUST(v);
    v->lane = lane;
    v->segment = s;
    s->readers++;
    v->read = (struct segment_read){
        .disk = lane->spool->disk,
        .lane = lane->number,
        .number = s->number,
        .file = s->file,
        .salt = s->salt,
    };
    for (size_t i = 0; i < lane->trims_count; i++)
        if (lane->trims[i].number == s->number)
            v->read.limit = lane->trims[i].end;
    v->waiting = true;
    v->job = (struct offload_job){ .work = read_work, .done = read_done, .ctx = v };
    lane->jobs++;
    worker_submit(lane->spool->reader, &v->job);
}

bool evacuation_abort(struct lane *lane) {
    struct evacuation *v = lane->evacuation;
    if (!v)
        return true;
    v->stop = true;
    timer_clear(&v->turn);
    if (!v->waiting && !v->in_flight)
        finish(v);
    return !lane->evacuation;
}

/* --- choosing ------------------------------------------------------------------------------------ */

static bool worth_it(const struct lane *lane, const struct segment *s) {
    uint64_t use = s->live_octets + (uint64_t)s->notes * NOTE_OCTETS;
    uint64_t whole = lane->spool->setup.segment_size ? lane->spool->setup.segment_size : 64 << 20;
    if (s == lane->active || !s->sealed || s->deleting || s->stuck || s->unreadable || s->file < 0)
        return false;
    if (s->live == 0 && s->needed_by == 0)
        return false; /* it will be deleted as it is */
    return s->abandoned || use * WASTE <= s->end ||
           (lane->segments.count > MANY_SEGMENTS && s->end < whole / 16);
}

static void look(void *ctx) {
    struct lane *lane = ctx;
    if (lane->state != LANE_READY || lane->spool->closing || lane->keep_all ||
        !lane->active_synced || !lane->active)
        return;
    log_keep_reserve(lane);
    if (delete_some(lane))
        return; /* and looks again */
    int64_t now = loop_now(lane->spool->loop);
    bool waste = false;
    LIST_EACH(&lane->segments, n) {
        struct segment *s = CONTAINER_OF(n, struct segment, node);
        if (!worth_it(lane, s))
            continue;
        waste = true;
        if (lane->evacuation || now - s->sealed_at < AGE_MS)
            continue;
        evacuate(lane, s);
    }
    if (waste)
        timer_set(lane->spool->loop, &lane->upkeep, AGAIN_MS, look, lane);
    lane->upkeep_slow = waste;
}

void upkeep(struct lane *lane) {
    /* One look soon serves all that is finished until then; the slow timer gives way to it. */
    if (lane->spool->closing || lane->state != LANE_READY)
        return;
    if (!timer_is_set(&lane->upkeep) || lane->upkeep_slow)
        timer_set(lane->spool->loop, &lane->upkeep, LOOK_MS, look, lane);
    lane->upkeep_slow = false;
}
