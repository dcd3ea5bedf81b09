/* settle: what happened to recipients goes into the index at once and to the log with company. A
 * message whose recipients are all final stays in the index, unseen, until that is on disk: only
 * then may its record and its file go. */
#include "spool/parts.h"

#include "base/must.h"

#include <stdlib.h>

enum { REPLY_MAX = 500 };

struct call {
    unsigned waiting; /* pieces, and the call itself */
    enum rc rc;
    void (*on_settled)(void *ctx, enum rc rc);
    void *ctx;
};

struct notes_piece {
    struct piece piece; /* first */
    struct lane *lane;
    struct call *call; /* NULL once told */
    bool news;         /* something became due again */
};

static void call_done(void *ctx) {
    struct call *c = ctx;
    if (--c->waiting)
        return;
    if (c->on_settled)
        c->on_settled(c->ctx, c->rc);
    free(c);
}

static void tell(struct notes_piece *p, enum rc rc) {
    struct call *c = p->call;
    p->call = NULL;
    if (!c)
        return;
    if (rc != OK)
        c->rc = TEMP;
    call_done(c);
}

/* A note is on disk: the index learns where, the message may be over. */
static void note_written(struct notes_piece *p, const struct note *note) {
    struct lane *lane = p->lane;
    struct index *x = &lane->spool->index;
    entry_note(&p->piece.segment->entries, p->piece.record.offset, note);
    uint32_t n = index_find(x, lane->number, note->sequence);
    struct message *m = index_at(x, n);
    segment_note(lane, &message_seats(m)[note->recipient], p->piece.segment,
                 p->piece.record.offset);
    segment_need(m->segment, p->piece.segment);
    m->pending--;
    if (m->open == 0 && m->pending == 0)
        message_finished(lane, n);
    else if (p->news && note->state != RECIPIENT_HELD && !recipient_state_final(note->state))
        spool_tell_news(lane->spool, n);
}

static void notes_done(struct piece *piece, enum rc rc, const struct why *why) {
    struct notes_piece *p = CONTAINER_OF(piece, struct notes_piece, piece);
    (void)why;
    if (rc == TEMP) {
        tell(p, TEMP); /* and it comes again */
        return;
    }
    struct scan s = scan_of(bytes_skip(buf_bytes(&piece->front), RECORD_HEAD));
    struct note note;
    while (rc == OK && note_next(&s, &note))
        note_written(p, &note);
    tell(p, rc);
    buf_free(&piece->front);
    free(p);
}

static struct notes_piece *notes_new(struct lane *lane, struct call *call) {
    struct notes_piece *p = calloc(1, sizeof *p);
    MUST(p);
    piece_init(&p->piece, RECORD_NOTES, 0);
    p->piece.patient = p->piece.lasting = true;
    p->piece.done = notes_done;
    p->lane = lane;
    p->call = call;
    call->waiting++;
    return p;
}

static void notes_send(struct notes_piece *p) {
    MUST(piece_close(&p->piece, BYTES_NONE));
    log_put(p->lane, &p->piece);
}

/* The index now; false when nothing is to be written. */
static bool take(struct lane *lane, uint32_t n, const struct settlement *t, struct note *note) {
    struct index *x = &lane->spool->index;
    struct message *m = index_at(x, n);
    struct seat *seat = &message_seats(m)[t->recipient];
    if (t->attempts < UINT16_MAX)
        seat->attempts = (uint16_t)t->attempts;
    seat->next = t->next;
    seat->warned = t->warned;
    if (t->next_hop.len)
        index_set_hop(x, seat, t->next_hop);
    index_set_state(x, m, seat, t->state);
    /* What the caller has may be the message's own words of before, which end here. */
    struct bytes reply = bytes_first(t->reply, REPLY_MAX);
    if (m->object) {
        object_set_reply(m->object, t->recipient, reply);
        reply = m->object->recipients[t->recipient].reply;
    }
    *note = (struct note){
        .sequence = m->sequence,
        .recipient = t->recipient,
        .state = t->state,
        .warned = t->warned,
        .attempts = seat->attempts,
        .next = t->next,
        .next_hop = t->next_hop,
        .reply = reply,
    };
    return t->state != RECIPIENT_SENDING;
}

static void tried(struct object *o) {
    for (size_t i = 0; i < o->envelope->count; i++) {
        enum recipient_state state = o->recipients[i].state;
        if (state == RECIPIENT_SENDING || (state == RECIPIENT_DUE && !o->recipients[i].attempts))
            return;
    }
    object_drop_fresh(o);
}

/* The message with its recipients brought up to date. */
static void taken(struct lane *lane, uint32_t n) {
    struct message *m = index_at(&lane->spool->index, n);
    index_recount(&lane->spool->index, n);
    if (!m->object)
        return;
    object_refresh(m->object);
    tried(m->object);
}

/* The message a settlement is of; 0 when it is over, or never was. */
static uint32_t find(struct spool *s, const struct settlement *t, struct lane **lane_out) {
    uint64_t sequence;
    *lane_out = id_parse(s, message_id_bytes(&t->id), &sequence);
    uint32_t n = *lane_out ? index_find(&s->index, (*lane_out)->number, sequence) : 0;
    struct message *m = n ? index_at(&s->index, n) : NULL;
    if (!m || m->open == 0 || m->flags & MESSAGE_QUIET || t->recipient >= m->count)
        return 0;
    /* The end of a recipient is the end: what comes later, by an operator, say, is too late. */
    return recipient_state_final(message_seats(m)[t->recipient].state) ? 0 : n;
}

void settle(struct store *store, const struct settlement *list, size_t count,
            void (*on_settled)(void *ctx, enum rc rc), void *ctx) {
    struct spool *s = (struct spool *)(void *)store;
    struct call *call = calloc(1, sizeof *call);
    MUST(call);
    *call = (struct call){ .waiting = 1, .on_settled = on_settled, .ctx = ctx };
    struct notes_piece *p = NULL;
    uint32_t last = 0;
    struct lane *last_lane = NULL;
    for (size_t i = 0; i < count; i++) {
        struct lane *lane;
        struct note note;
        uint32_t n = find(s, &list[i], &lane);
        if (last && last != n)
            taken(last_lane, last);
        last = n;
        last_lane = lane;
        if (!n)
            continue;
        bool waited =
            message_seats(index_at(&s->index, n))[list[i].recipient].state <= RECIPIENT_DEFERRED;
        if (!take(lane, n, &list[i], &note))
            continue;
        if (p && (p->lane != lane || p->piece.front.len > 64 * 1024)) {
            notes_send(p);
            p = NULL;
        }
        if (!p)
            p = notes_new(lane, call);
        p->news |= !waited;
        note_format(&p->piece.front, &note);
        index_at(&s->index, n)->pending++;
    }
    if (last)
        taken(last_lane, last);
    if (p)
        notes_send(p);
    spool_later(s, call_done, call);
}
