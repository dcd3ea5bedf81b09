/* read: what a segment holds, as seen from a worker's thread: from its index if it was sealed, else
 * record by record. A place that is no record is skipped to the next one that is; whether it was a
 * torn tail or damage is known only when something valid comes behind it, or nothing. */
#include "spool/parts.h"

#include "base/crc.h"
#include "base/must.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 256 * 1024 };

void damage_add(struct damage *d, const char *format, ...) {
    if (!d->text.max)
        d->text = buf_grow(64 * 1024);
    va_list args;
    va_start(args, format);
    buf_vprintf(&d->text, format, args);
    va_end(args);
    buf_char(&d->text, '\n');
}

/* --- single records -------------------------------------------------------------------------- */

static int read_all(struct disk *d, int file, uint64_t offset, void *into, size_t size) {
    int64_t got = d->read(d->ctx, file, offset, into, size);
    return got < 0 ? (int)got : (size_t)got == size ? 0 : -EBADMSG;
}

int record_read(struct disk *d, int file, uint64_t salt, uint32_t offset, struct record *out,
                struct buf *meta) {
    char first[2048];
    int64_t got = d->read(d->ctx, file, offset, first, sizeof first);
    if (got < 0)
        return (int)got;
    if (got < RECORD_HEAD || !record_parse(first, offset, salt, out))
        return -EBADMSG;
    char *room = buf_room(meta, out->meta_len);
    if (!room)
        return -EBADMSG;
    size_t have = (size_t)got - RECORD_HEAD;
    if (have > out->meta_len)
        have = out->meta_len;
    memcpy(room, first + RECORD_HEAD, have);
    int error = read_all(d, file, offset + RECORD_HEAD + have, room + have, out->meta_len - have);
    if (error)
        return error;
    buf_wrote(meta, out->meta_len);
    return crc32c(0, bytes_of(room, out->meta_len)) == out->meta_crc ? 0 : -EBADMSG;
}

int body_read(struct disk *d, int file, uint64_t salt, const struct record *r, char *into) {
    (void)salt;
    uint64_t at = (uint64_t)r->offset + RECORD_HEAD + r->meta_len;
    int error = read_all(d, file, at, into, r->body_len);
    if (error)
        return error;
    return crc32c(0, bytes_of(into, r->body_len)) == r->body_crc ? 0 : -EBADMSG;
}

/* --- by the index ---------------------------------------------------------------------------- */

/* The records of an index, whole and good; what is behind them in the file is not looked at. */
static bool entries_good(struct bytes entries, uint32_t end) {
    struct scan s = scan_of(entries);
    struct entry e;
    while (entry_next(&s, &e))
        if (e.offset < FILE_HEAD || e.offset >= end ||
            (e.kind == ENTRY_MESSAGE && e.length > end - e.offset))
            return false;
    return !s.bad;
}

/* 1: done; 0: there is no index; -1: there is one, and it is damaged. */
static int read_index(struct segment_read *r, uint64_t size) {
    char trailer[TRAILER], head[RECORD_HEAD];
    uint32_t at;
    struct record record;
    if (r->limit || size < FILE_HEAD + RECORD_HEAD + TRAILER)
        return 0;
    if (read_all(r->disk, r->file, size - TRAILER, trailer, sizeof trailer) ||
        !trailer_parse(trailer, size, r->salt, &at))
        return 0;
    if (read_all(r->disk, r->file, at, head, sizeof head) ||
        !record_parse(head, at, r->salt, &record) || record.kind != RECORD_INDEX ||
        at + record_length(&record) + TRAILER != size)
        return -1;
    char *room = buf_room(&r->entries, record.body_len ? record.body_len : 1);
    if (!room || body_read(r->disk, r->file, r->salt, &record, room))
        return -1;
    if (!entries_good(bytes_of(room, record.body_len), at))
        return -1;
    buf_wrote(&r->entries, record.body_len);
    r->end = at;
    return 1;
}

/* --- record by record ------------------------------------------------------------------------ */

struct walk {
    struct segment_read *r;
    uint64_t size;
    char *window; /* of the file */
    uint64_t at;
    size_t have;
    struct buf big; /* for what is larger */
    /* The last places that are no good, told as damage once something good comes behind them. */
    struct damage suspects;
};

/* A view of the file, NULL behind its end or when it cannot be read. */
static const char *look(struct walk *w, uint64_t offset, size_t size) {
    if (offset > w->size || size > w->size - offset)
        return NULL;
    if (offset >= w->at && offset + size <= w->at + w->have)
        return w->window + (offset - w->at);
    struct disk *d = w->r->disk;
    if (size > WINDOW) {
        buf_clear(&w->big);
        char *room = buf_room(&w->big, size);
        return room && read_all(d, w->r->file, offset, room, size) == 0 ? room : NULL;
    }
    int64_t got = d->read(d->ctx, w->r->file, offset, w->window, WINDOW);
    w->at = offset;
    w->have = got > 0 ? (size_t)got : 0;
    if (got < 0 && !w->r->error)
        w->r->error = (int)got;
    return w->have >= size ? w->window : NULL;
}

static bool crc_fits(struct walk *w, uint64_t offset, uint32_t len, uint32_t crc) {
    const char *at = look(w, offset, len);
    return at && crc32c(0, bytes_of(at, len)) == crc;
}

/* The next offset at or behind `from` where a record's head stands, or the size. */
static uint64_t resync(struct walk *w, uint64_t from, struct record *out) {
    for (uint64_t at = (from + 7) & ~(uint64_t)7; at + RECORD_HEAD <= w->size; at += 8) {
        const char *head = look(w, at, RECORD_HEAD);
        if (!head)
            break;
        if (record_parse(head, at, w->r->salt, out) && at + record_length(out) <= w->size)
            return at;
    }
    return w->size;
}

static void damaged_message(struct walk *w, const struct record *r, const char *what) {
    damage_add(&w->suspects, "segment %u/%08x: the %s of a record at %u is damaged (message %llx)",
               w->r->lane, w->r->number, what, r->offset, (unsigned long long)r->sequence);
}

/* Takes a record whose head is good. False when the rest of it is not. */
static bool take_record(struct walk *w, const struct record *r) {
    uint64_t meta_at = (uint64_t)r->offset + RECORD_HEAD;
    if (!crc_fits(w, meta_at, r->meta_len, r->meta_crc)) {
        damaged_message(w, r, "head");
        return false;
    }
    if (r->kind != RECORD_INDEX && !crc_fits(w, meta_at + r->meta_len, r->body_len, r->body_crc)) {
        damaged_message(w, r, "body");
        return false;
    }
    size_t before = w->r->entries.len;
    const char *meta = look(w, meta_at, r->meta_len);
    if (!meta || !record_entries(&w->r->entries, r, bytes_of(meta, r->meta_len))) {
        buf_cut(&w->r->entries, before);
        damaged_message(w, r, "head");
        return false;
    }
    return true;
}

static void confirm_suspects(struct walk *w) {
    if (!w->suspects.text.len)
        return;
    if (!w->r->damage.text.max)
        w->r->damage.text = buf_grow(64 * 1024);
    buf_add(&w->r->damage.text, buf_bytes(&w->suspects.text));
    w->r->damaged = true;
    buf_clear(&w->suspects.text);
}

static void walk_records(struct walk *w) {
    uint64_t at = FILE_HEAD;
    unsigned batches = 0;
    w->r->end = FILE_HEAD;
    while (at + RECORD_HEAD <= w->size) {
        struct record record;
        uint64_t good = resync(w, at, &record);
        if (good != at)
            damage_add(&w->suspects, "segment %u/%08x: %llu octets at %llu are no record",
                       w->r->lane, w->r->number, (unsigned long long)(good - at),
                       (unsigned long long)at);
        if (good >= w->size)
            break;
        at = good + record_length(&record);
        if (!take_record(w, &record))
            continue;
        confirm_suspects(w);
        if (record.flags & RECORD_FIRST) {
            w->r->last_batch = batches ? record.offset : 0;
            batches++;
        }
        /* An index is not ours to keep: more may be written behind what it covers. */
        if (record.kind != RECORD_INDEX)
            w->r->end = (uint32_t)at;
    }
}

static void read_records(struct segment_read *r, uint64_t size) {
    struct walk w = { .r = r, .size = size, .big = buf_grow(META_MAX) };
    if (r->limit && w.size > r->limit)
        w.size = r->limit;
    w.window = malloc(WINDOW);
    MUST(w.window);
    walk_records(&w);
    /* What was confirmed once cannot be torn. */
    if (r->limit && w.size < r->limit)
        damage_add(&w.suspects, "segment %u/%08x: it ends at %llu, not at %u", r->lane, r->number,
                   (unsigned long long)w.size, r->limit);
    if (r->limit)
        confirm_suspects(&w);
    free(w.window);
    buf_free(&w.big);
    buf_free(&w.suspects.text);
}

void segment_read(struct segment_read *r) {
    r->entries = buf_grow(META_MAX);
    r->end = FILE_HEAD;
    int64_t size = r->disk->size(r->disk->ctx, r->file);
    if (size < 0) {
        r->error = (int)size;
        return;
    }
    int found = read_index(r, (uint64_t)size);
    r->indexed = found > 0;
    if (found > 0)
        return;
    buf_clear(&r->entries);
    read_records(r, (uint64_t)size);
    if (found < 0) {
        damage_add(&r->damage, "segment %u/%08x: its index is damaged; its records were read",
                   r->lane, r->number);
        r->damaged = true;
    }
}

int segment_secure(const struct segment_read *r) {
    struct disk *d = r->disk;
    char *window = malloc(WINDOW);
    int error = 0;
    MUST(window);
    /* A sync of it may have failed before the process ended. Then what is read here is on no disk,
     * and another sync alone would say it was: it must be written again. */
    for (uint64_t at = r->last_batch; at < r->end && !error; at += WINDOW) {
        size_t size = r->end - at < WINDOW ? (size_t)(r->end - at) : WINDOW;
        struct iovec part = { window, size };
        error = read_all(d, r->file, at, window, size);
        if (!error)
            error = d->write(d->ctx, r->file, at, &part, 1);
    }
    free(window);
    return error ? error : site_sync(d, SITE_RECOVERED, r->file);
}
