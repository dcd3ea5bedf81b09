/* message: messages in memory. There is at most one object a message, shared by all who hold it; a
 * fresh one keeps its content, others read it when asked. Whoever holds one keeps the segment from
 * being deleted, so that an attempt can be finished whatever happens to the message meanwhile. */
#include "spool/parts.h"

#include "base/must.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- objects --------------------------------------------------------------------------------- */

static struct object *of(const struct store_message *m) {
    return (struct object *)(uintptr_t)m;
}

static struct object *object_make(struct lane *lane, uint64_t sequence, struct arena *a,
                                  const struct envelope *e) {
    struct object *o = calloc(1, sizeof *o);
    MUST(o);
    o->message.store = &lane->spool->store;
    o->refs = 1;
    o->lane = lane;
    o->sequence = sequence;
    o->id = id_format(lane, sequence);
    o->arena = a;
    o->envelope = e;
    o->big_file = -1;
    o->recipients = ARENA_ARRAY(a, e->count, struct store_recipient);
    for (size_t i = 0; i < e->count; i++)
        o->recipients[i] = (struct store_recipient){ .state = RECIPIENT_DUE,
                                                     .next = e->arrived,
                                                     .next_hop = e->recipients[i].next_hop };
    return o;
}

struct object *object_new(struct lane *lane, uint64_t sequence, const struct envelope *e) {
    struct arena *a = arena_open();
    return object_make(lane, sequence, a, envelope_copy(a, e));
}

void object_refresh(struct object *o) {
    struct index *x = &o->lane->spool->index;
    if (!o->n)
        return;
    struct message *m = index_at(x, o->n);
    const struct seat *seats = message_seats(m);
    for (uint32_t i = 0; i < m->count; i++) {
        struct store_recipient *r = &o->recipients[i];
        struct bytes hop = index_hop(x, seats[i].hop);
        r->state = (enum recipient_state)seats[i].state;
        r->attempts = seats[i].attempts;
        r->next = recipient_state_final(r->state) || r->state == RECIPIENT_HELD ? 0 : seats[i].next;
        r->warned = seats[i].warned;
        if (!bytes_equal(r->next_hop, hop))
            r->next_hop = arena_copy(o->arena, hop);
    }
}

void object_set_reply(struct object *o, uint32_t recipient, struct bytes reply) {
    struct bytes *at = &o->recipients[recipient].reply;
    char *copy = malloc(reply.len + 1);
    MUST(copy);
    if (reply.len)
        memcpy(copy, reply.at, reply.len);
    free((char *)(uintptr_t)at->at);
    *at = bytes_of(copy, reply.len);
}

void object_put(struct object **object) {
    struct object *o = *object;
    *object = NULL;
    if (!o || --o->refs)
        return;
    struct lane *lane = o->lane;
    struct disk *d = lane->spool->disk;
    if (o->n)
        index_at(&lane->spool->index, o->n)->object = NULL;
    if (o->big_file >= 0)
        d->close(d->ctx, o->big_file);
    if (o->unlink_big)
        big_unlink(lane, o->sequence);
    if (o->segment)
        o->segment->readers--;
    for (size_t i = 0; i < o->envelope->count; i++)
        free((char *)(uintptr_t)o->recipients[i].reply.at);
    free(o->memory);
    arena_close(&o->arena);
    free(o);
}

/* --- fresh ones ---------------------------------------------------------------------------------- */

void object_drop_fresh(struct object *o) {
    struct spool *s = o->lane->spool;
    if (!list_linked(&o->fresh))
        return;
    list_remove(&s->fresh, &o->fresh);
    s->fresh_octets -= o->cap;
    object_put(&o);
}

void object_keep_fresh(struct object *o) {
    struct spool *s = o->lane->spool;
    int64_t now = loop_now(s->loop);
    struct list_node *first;
    o->cap += sizeof *o + arena_used(o->arena);
    while (s->fresh_octets + o->cap > FRESH_MEMORY && (first = list_first(&s->fresh)) &&
           now - CONTAINER_OF(first, struct object, fresh)->since > FRESH_AGE_MS)
        object_drop_fresh(CONTAINER_OF(first, struct object, fresh));
    if (s->fresh_octets + o->cap > FRESH_MEMORY)
        return;
    o->since = now;
    o->refs++;
    s->fresh_octets += o->cap;
    list_append(&s->fresh, &o->fresh);
}

/* --- loading -------------------------------------------------------------------------------------- */

struct place { /* of a recipient's last note */
    struct segment *segment;
    int file;
    uint64_t salt;
    uint32_t offset;
    struct bytes reply; /* found */
};

struct load {
    struct offload_job job;
    struct spool *spool;
    struct lane *lane;
    uint64_t sequence;
    struct segment *segment;
    int file;
    uint64_t salt;
    uint32_t offset;
    struct place *places; /* a recipient each */
    uint32_t count;
    /* found */
    struct arena *arena;
    struct envelope *envelope;
    struct record record;
    uint64_t size;
    int error;
    void (*on_got)(void *ctx, enum rc rc, struct object *o, const struct why *why);
    void *ctx;
};

/* The replies in one record's notes, for the recipients whose last note is there. */
static void read_replies(struct load *l, const struct place *where, struct bytes notes) {
    struct scan s = scan_of(notes);
    struct note n;
    while (note_next(&s, &n)) {
        if (n.sequence != l->sequence || n.recipient >= l->count)
            continue;
        struct place *p = &l->places[n.recipient];
        if (p->segment == where->segment && p->offset == where->offset)
            p->reply = arena_copy(l->arena, n.reply);
    }
}

/* A reply that cannot be read is missing, and no more. */
static void read_place(struct load *l, const struct place *p) {
    struct record r;
    struct buf meta = buf_grow(META_MAX);
    if (record_read(l->spool->disk, p->file, p->salt, p->offset, &r, &meta) == 0) {
        struct scan s = scan_of(buf_bytes(&meta));
        if (r.kind != RECORD_NOTES) {
            scan_le64(&s);
            scan_lbytes(&s);
        }
        read_replies(l, p, s.rest);
    }
    buf_free(&meta);
}

static void load_work(void *ctx) {
    struct load *l = ctx;
    struct buf meta = buf_grow(META_MAX);
    struct bytes notes;
    l->error = record_read(l->spool->disk, l->file, l->salt, l->offset, &l->record, &meta);
    l->envelope = ARENA_NEW(l->arena, struct envelope);
    if (!l->error &&
        (l->record.sequence != l->sequence ||
         !message_meta_parse(buf_bytes(&meta), l->arena, &l->size, l->envelope, &notes) ||
         l->envelope->count != l->count))
        l->error = -EBADMSG;
    buf_free(&meta);
    const struct place *last = NULL;
    for (uint32_t i = 0; i < l->count && !l->error; i++) {
        const struct place *p = &l->places[i];
        if (!p->segment || (last && last->segment == p->segment && last->offset == p->offset))
            continue;
        read_place(l, p);
        last = p;
    }
}

/* Replies of notes that are not on disk yet. */
static void take_pending(void *ctx, const struct piece *p) {
    struct object *o = ctx;
    struct note n;
    if (p->record.kind != RECORD_NOTES)
        return;
    struct scan s = scan_of(bytes_skip(buf_bytes(&p->front), RECORD_HEAD));
    while (note_next(&s, &n))
        if (n.sequence == o->sequence && n.recipient < o->envelope->count)
            object_set_reply(o, n.recipient, n.reply);
}

/* A note was written while the one before it was read. */
static bool stale(const struct load *l, struct message *m) {
    const struct seat *seats = message_seats(m);
    if (m->object)
        return false;
    for (uint32_t i = 0; i < l->count; i++) {
        const struct place *p = &l->places[i];
        if (seats[i].note_segment != (p->segment ? p->segment->number : 0) ||
            (p->segment && seats[i].note_offset != p->offset))
            return true;
    }
    return false;
}

static struct object *load_object(struct load *l, uint32_t n) {
    struct message *m = index_at(&l->spool->index, n);
    if (m->object) { /* somebody else was faster */
        m->object->refs++;
        return m->object;
    }
    struct object *o = object_make(l->lane, l->sequence, l->arena, l->envelope);
    for (uint32_t i = 0; i < l->count; i++)
        object_set_reply(o, i, l->places[i].reply);
    l->arena = NULL;
    o->size = l->size;
    o->segment = l->segment;
    o->segment->readers++;
    o->record = l->record;
    o->big = l->record.flags & RECORD_BIG;
    o->n = n;
    m->object = o;
    if (m->pending)
        log_each(l->lane, take_pending, o);
    object_refresh(o);
    return o;
}

static void why_unreadable(struct lane *lane, uint64_t sequence, int error, struct why *why) {
    struct message_id id = id_format(lane, sequence);
    if (error == -EBADMSG) {
        struct damage d = { 0 };
        damage_add(&d, "message %s: its record is damaged", id.text);
        lane_damage(lane, &d);
        buf_free(&d.text);
        why_backend(why, "backend.spool", "Message %s is damaged in the queue", id.text);
    } else {
        why_backend(why, "backend.spool", "Message %s cannot be read (%s)", id.text,
                    strerror(-error));
    }
}

static void load_done(void *ctx) {
    struct load *l = ctx;
    struct lane *lane = l->lane;
    struct why why;
    uint32_t n = index_find(&l->spool->index, lane->number, l->sequence);
    struct object *o = NULL;
    lane->jobs--;
    if (n && index_at(&l->spool->index, n)->open == 0)
        n = 0; /* finished meanwhile */
    bool failed = n && l->error && !index_at(&l->spool->index, n)->object;
    bool again = n && !failed && stale(l, index_at(&l->spool->index, n));
    if (failed)
        why_unreadable(lane, l->sequence, l->error, &why);
    else if (n && !again)
        o = load_object(l, n);
    l->segment->readers--;
    for (uint32_t i = 0; i < l->count; i++)
        if (l->places[i].segment)
            l->places[i].segment->readers--;
    if (again)
        object_get(l->spool, n, l->on_got, l->ctx);
    else
        l->on_got(l->ctx, failed ? TEMP : OK, o, failed ? &why : NULL);
    arena_close(&l->arena);
    free(l->places);
    free(l);
    lane_check_release(lane);
}

struct got { /* an answer that needs no reading */
    struct object *object;
    void (*on_got)(void *ctx, enum rc rc, struct object *o, const struct why *why);
    void *ctx;
};

static void tell_got(void *ctx) {
    struct got *g = ctx;
    g->on_got(g->ctx, OK, g->object, NULL);
    free(g);
}

void object_get(struct spool *s, uint32_t n,
                void (*on_got)(void *ctx, enum rc rc, struct object *o, const struct why *why),
                void *ctx) {
    struct message *m = index_at(&s->index, n);
    if (m->object) {
        struct got *g = calloc(1, sizeof *g);
        MUST(g);
        m->object->refs++;
        *g = (struct got){ m->object, on_got, ctx };
        spool_later(s, tell_got, g);
        return;
    }
    struct load *l = calloc(1, sizeof *l);
    MUST(l);
    l->spool = s;
    l->lane = m->segment->lane;
    l->sequence = m->sequence;
    l->segment = m->segment;
    l->segment->readers++;
    l->file = m->segment->file;
    l->salt = m->segment->salt;
    l->offset = m->offset;
    l->count = m->count;
    l->places = calloc(m->count, sizeof *l->places);
    MUST(l->places);
    const struct seat *seats = message_seats(m);
    for (uint32_t i = 0; i < m->count; i++) {
        struct segment *at =
            seats[i].note_segment ? segment_find(l->lane, seats[i].note_segment) : NULL;
        if (!at)
            continue;
        at->readers++;
        l->places[i] = (struct place){ at, at->file, at->salt, seats[i].note_offset, BYTES_NONE };
    }
    l->arena = arena_open();
    l->on_got = on_got;
    l->ctx = ctx;
    l->job = (struct offload_job){ .work = load_work, .done = load_done, .ctx = l };
    l->lane->jobs++;
    worker_submit(s->reader, &l->job);
}

struct asked {
    void (*on_loaded)(void *ctx, enum rc rc, struct store_message *m, const struct why *why);
    void *ctx;
    bool reading;
};

static void answer(void *ctx, enum rc rc, struct object *o, const struct why *why) {
    struct asked *a = ctx;
    a->on_loaded(a->ctx, rc, o ? &o->message : NULL, why);
    free(a);
}

static void answer_none(void *ctx) {
    struct asked *a = ctx;
    struct why why;
    if (a->reading)
        why_backend(&why, "backend.spool", "The queue is still being read");
    answer(a, a->reading ? TEMP : OK, NULL, a->reading ? &why : NULL);
}

void object_load(struct store *store, struct message_id id,
                 void (*on_loaded)(void *ctx, enum rc rc, struct store_message *m,
                                   const struct why *why),
                 void *ctx) {
    struct spool *s = (struct spool *)(void *)store;
    struct asked *a = calloc(1, sizeof *a);
    MUST(a);
    *a = (struct asked){ .on_loaded = on_loaded, .ctx = ctx };
    uint64_t sequence;
    struct lane *lane = id_parse(s, message_id_bytes(&id), &sequence);
    uint32_t n = lane ? index_find(&s->index, lane->number, sequence) : 0;
    struct message *m = n ? index_at(&s->index, n) : NULL;
    if (m && m->open > 0 && !(m->flags & MESSAGE_QUIET)) {
        object_get(s, n, answer, a);
        return;
    }
    a->reading = lane && lane->state == LANE_READING && (!m || m->open > 0);
    spool_later(s, answer_none, a);
}

/* --- looking at one ------------------------------------------------------------------------------ */

struct message_id object_id(const struct store_message *m) {
    return of(m)->id;
}

const struct envelope *object_envelope(const struct store_message *m) {
    return of(m)->envelope;
}

const struct store_recipient *object_recipients(const struct store_message *m) {
    return of(m)->recipients;
}

void object_release(struct store_message **m) {
    struct object *o = of(*m);
    *m = NULL;
    object_put(&o);
}

/* --- content -------------------------------------------------------------------------------------- */

struct content_read {
    struct offload_job job;
    struct object *object;
    uint64_t offset;
    size_t size;
    struct bytes body; /* of the record, once it is known */
    char *body_read;
    int file; /* of the segment */
    int big_file;
    uint64_t big_salt;
    bool big_opened;
    char *data;
    size_t len;
    int error;
    void (*on_read)(void *arg, enum rc rc, struct bytes data, const struct why *why);
    void *arg;
};

static int read_body(struct content_read *c) {
    const struct object *o = c->object;
    if (c->body.at)
        return 0;
    c->body_read = malloc(DRAFT_HEADROOM + o->record.body_len);
    MUST(c->body_read);
    int error =
        body_read(o->lane->spool->disk, c->file, o->segment->salt, &o->record, c->body_read);
    if (!error)
        c->body = bytes_of(c->body_read, o->record.body_len);
    return error;
}

static int open_big(struct content_read *c) {
    const struct object *o = c->object;
    struct disk *d = o->lane->spool->disk;
    char path[PATH_SIZE], head[FILE_HEAD];
    struct file_head h;
    bool damaged;
    big_path(path, o->lane->number, o->sequence);
    c->big_file = d->open(d->ctx, path, false);
    if (c->big_file < 0)
        return c->big_file;
    c->big_opened = true;
    int64_t got = d->read(d->ctx, c->big_file, 0, head, sizeof head);
    if (got < 0)
        return (int)got;
    if (got != FILE_HEAD || !file_head_parse(head, &h, &damaged) || h.kind != FILE_BIG ||
        h.number != o->sequence)
        return -EBADMSG;
    c->big_salt = h.salt;
    return 0;
}

/* The chunk in which `at` stands, as much of it as is wanted. */
static int read_chunk(struct content_read *c, uint64_t at, uint64_t whole, char *chunk) {
    struct disk *d = c->object->lane->spool->disk;
    uint64_t number = at / BIG_CHUNK, from = number * BIG_CHUNK;
    size_t len = whole - from < BIG_CHUNK ? (size_t)(whole - from) : BIG_CHUNK;
    int64_t got = d->read(d->ctx, c->big_file, FILE_HEAD + number * BIG_STRIDE, chunk, len + 4);
    if (got < 0)
        return (int)got;
    struct scan crc = scan_of(bytes_of(chunk + len, 4));
    if ((size_t)got != len + 4 ||
        scan_le32(&crc) != big_crc(c->big_salt, from, bytes_of(chunk, len)))
        return -EBADMSG;
    size_t skip = (size_t)(at - from), take = len - skip;
    if (take > c->size - c->len)
        take = c->size - c->len;
    memcpy(c->data + c->len, chunk + skip, take);
    c->len += take;
    return 0;
}

static int read_big(struct content_read *c) {
    uint64_t whole = c->object->size - c->body.len;
    int error = c->big_file < 0 ? open_big(c) : 0;
    if (error)
        return error;
    char *chunk = malloc(BIG_STRIDE);
    MUST(chunk);
    while (c->len < c->size && !error)
        error = read_chunk(c, c->offset + c->len - c->body.len, whole, chunk);
    free(chunk);
    return error;
}

static void content_work(void *ctx) {
    struct content_read *c = ctx;
    c->error = read_body(c);
    if (c->error)
        return;
    c->data = malloc(c->size + 1);
    MUST(c->data);
    if (c->offset < c->body.len) {
        struct bytes part = bytes_first(bytes_skip(c->body, (size_t)c->offset), c->size);
        memcpy(c->data, part.at, part.len);
        c->len = part.len;
    }
    if (c->len < c->size)
        c->error = c->object->big ? read_big(c) : -EBADMSG;
}

static void content_done(void *ctx) {
    struct content_read *c = ctx;
    struct object *o = c->object;
    struct lane *lane = o->lane;
    struct disk *d = lane->spool->disk;
    struct why why;
    lane->jobs--;
    if (c->body_read && !c->error && !o->memory) {
        o->memory = c->body_read;
        o->body = c->body;
        c->body_read = NULL;
    }
    if (c->big_opened && !c->error && o->big_file < 0) {
        o->big_file = c->big_file;
        o->big_salt = c->big_salt;
    } else if (c->big_opened) {
        d->close(d->ctx, c->big_file);
    }
    if (c->error) {
        why_unreadable(lane, o->sequence, c->error, &why);
        c->on_read(c->arg, TEMP, BYTES_NONE, &why);
    } else {
        c->on_read(c->arg, OK, bytes_of(c->data, c->len), NULL);
    }
    free(c->body_read);
    free(c->data);
    free(c);
    object_put(&o);
    lane_check_release(lane);
}

static void content_read(void *ctx, uint64_t offset, size_t size,
                         void (*on_read)(void *arg, enum rc rc, struct bytes data,
                                         const struct why *why),
                         void *arg) {
    struct object *o = ctx;
    struct content_read *c = calloc(1, sizeof *c);
    MUST(c);
    c->object = o;
    c->offset = offset < o->size ? offset : o->size;
    c->size = size < o->size - c->offset ? size : (size_t)(o->size - c->offset);
    c->body = o->memory ? o->body : BYTES_NONE;
    c->file = o->segment ? o->segment->file : -1;
    c->big_file = o->big_file;
    c->big_salt = o->big_salt;
    c->on_read = on_read;
    c->arg = arg;
    c->job = (struct offload_job){ .work = content_work, .done = content_done, .ctx = c };
    o->refs++;
    o->lane->jobs++;
    worker_submit(o->lane->spool->reader, &c->job);
}

struct content object_content(struct store_message *m) {
    struct object *o = of(m);
    struct content c = { .size = o->size, .read = content_read, .ctx = o };
    if (o->memory && !o->big)
        c.memory = o->body;
    return c;
}

/* --- files of big messages ------------------------------------------------------------------------ */

struct unlink_job {
    struct offload_job job;
    struct lane *lane;
    uint64_t sequence;
};

static void unlink_work(void *ctx) {
    struct unlink_job *j = ctx;
    struct disk *d = j->lane->spool->disk;
    char path[PATH_SIZE];
    big_path(path, j->lane->number, j->sequence);
    d->unlink(d->ctx, path); /* what stays is found by the next restart */
}

static void unlink_done(void *ctx) {
    struct unlink_job *j = ctx;
    struct lane *lane = j->lane;
    lane->jobs--;
    free(j);
    lane_check_release(lane);
}

void big_unlink(struct lane *lane, uint64_t sequence) {
    struct unlink_job *j = calloc(1, sizeof *j);
    MUST(j);
    j->lane = lane;
    j->sequence = sequence;
    j->job = (struct offload_job){ .work = unlink_work, .done = unlink_done, .ctx = j };
    lane->jobs++;
    worker_submit(lane->spool->bulk, &j->job);
}
