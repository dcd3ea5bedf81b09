/* format: fields and their places. Numbers are little-endian; heads have a fixed size, what follows
 * them is read with the bounded reader and nothing in it is taken on trust. */
#include "spool/format.h"

#include "base/crc.h"
#include "base/must.h"
#include "base/scan.h"

#include <string.h>

static const char segment_magic[8] = "PSTNseg";
static const char big_magic[8] = "PSTNbig";
enum { RECORD_MAGIC = 0x4352534e, TRAILER_MAGIC = 0x444e534e, HALF_HEAD = FILE_HEAD / 2 };
enum { RECIPIENTS_MAX = 1 << 20 };

uint32_t salted_crc(uint64_t salt, struct bytes data) {
    char octets[9];
    struct buf b = buf_fixed(octets, sizeof octets);
    buf_le64(&b, salt);
    return crc32c(crc32c(0, buf_bytes(&b)), data);
}

uint32_t big_crc(uint64_t salt, uint64_t from, struct bytes chunk) {
    return salted_crc(salt ^ from * UINT64_C(0x9e3779b97f4a7c15), chunk);
}

static void put32(char *at, uint32_t n) {
    char octets[5];
    struct buf b = buf_fixed(octets, sizeof octets);
    buf_le32(&b, n);
    memcpy(at, octets, 4);
}

/* --- file heads ----------------------------------------------------------------------------- */

void file_head_format(char out[FILE_HEAD], const struct file_head *h) {
    struct buf b = buf_fixed(out, HALF_HEAD);
    memset(out, 0, FILE_HEAD);
    buf_add(&b, bytes_of(h->kind == FILE_BIG ? big_magic : segment_magic, 8));
    buf_le32(&b, FORMAT_VERSION);
    buf_le64(&b, h->number);
    buf_le64(&b, h->salt);
    put32(out + HALF_HEAD - 4, crc32c(0, bytes_of(out, HALF_HEAD - 4)));
    memcpy(out + HALF_HEAD, out, HALF_HEAD);
}

static bool half_parse(const char *in, struct file_head *out) {
    struct scan s = scan_of(bytes_of(in, HALF_HEAD));
    struct bytes magic = scan_take(&s, 8);
    bool big = memcmp(magic.at, big_magic, 8) == 0;
    if (!big && memcmp(magic.at, segment_magic, 8) != 0)
        return false;
    if (scan_le32(&s) != FORMAT_VERSION)
        return false;
    out->kind = big ? FILE_BIG : FILE_SEGMENT;
    out->number = scan_le64(&s);
    out->salt = scan_le64(&s);
    s = scan_of(bytes_of(in + HALF_HEAD - 4, 4));
    return scan_le32(&s) == crc32c(0, bytes_of(in, HALF_HEAD - 4));
}

bool file_head_parse(const char in[FILE_HEAD], struct file_head *out, bool *damaged_out) {
    struct file_head second;
    bool first_ok = half_parse(in, out), second_ok = half_parse(in + HALF_HEAD, &second);
    if (!first_ok && second_ok)
        *out = second;
    *damaged_out = !first_ok || !second_ok;
    return first_ok || second_ok;
}

/* --- record heads ---------------------------------------------------------------------------- */

uint64_t record_length(const struct record *r) {
    return ((uint64_t)RECORD_HEAD + r->meta_len + r->body_len + 7) & ~(uint64_t)7;
}

void record_format(char out[RECORD_HEAD], const struct record *r, uint64_t salt) {
    char room[RECORD_HEAD + 1]; /* a buf keeps room for a NUL */
    struct buf b = buf_fixed(room, sizeof room);
    buf_le32(&b, RECORD_MAGIC);
    buf_char(&b, (char)r->kind);
    buf_char(&b, (char)r->flags);
    buf_le16(&b, 0);
    buf_le64(&b, r->sequence);
    buf_le32(&b, r->offset);
    buf_le32(&b, r->meta_len);
    buf_le32(&b, r->body_len);
    buf_le32(&b, r->meta_crc);
    buf_le32(&b, r->body_crc);
    buf_le32(&b, salted_crc(salt, buf_bytes(&b)));
    MUST(b.len == RECORD_HEAD);
    memcpy(out, room, RECORD_HEAD);
}

bool record_parse(const char in[RECORD_HEAD], uint64_t offset, uint64_t salt, struct record *out) {
    struct scan s = scan_of(bytes_of(in, RECORD_HEAD));
    if (scan_le32(&s) != RECORD_MAGIC)
        return false;
    int kind = (uint8_t)scan_char(&s);
    out->flags = (uint8_t)scan_char(&s);
    uint16_t zero = scan_le16(&s);
    out->sequence = scan_le64(&s);
    out->offset = scan_le32(&s);
    out->meta_len = scan_le32(&s);
    out->body_len = scan_le32(&s);
    out->meta_crc = scan_le32(&s);
    out->body_crc = scan_le32(&s);
    if (scan_le32(&s) != salted_crc(salt, bytes_of(in, RECORD_HEAD - 4)))
        return false;
    out->kind = (enum record_kind)kind;
    return zero == 0 && out->offset == offset && kind > 0 && kind < RECORD_KINDS &&
           out->meta_len <= META_MAX && out->body_len <= META_MAX &&
           (out->flags & ~(RECORD_BIG | RECORD_FIRST)) == 0;
}

void trailer_format(char out[TRAILER], uint32_t index_offset, uint32_t end, uint64_t salt) {
    char room[TRAILER + 1];
    struct buf b = buf_fixed(room, sizeof room);
    buf_le32(&b, TRAILER_MAGIC);
    buf_le32(&b, index_offset);
    buf_le32(&b, end);
    buf_le64(&b, 0);
    buf_le32(&b, salted_crc(salt, buf_bytes(&b)));
    MUST(b.len == TRAILER);
    memcpy(out, room, TRAILER);
}

bool trailer_parse(const char in[TRAILER], uint64_t end, uint64_t salt, uint32_t *index_out) {
    struct scan s = scan_of(bytes_of(in, TRAILER));
    uint32_t magic = scan_le32(&s);
    *index_out = scan_le32(&s);
    uint32_t said = scan_le32(&s);
    scan_le64(&s);
    return magic == TRAILER_MAGIC && said == end &&
           scan_le32(&s) == salted_crc(salt, bytes_of(in, TRAILER - 4));
}

/* --- notes and metas ------------------------------------------------------------------------- */

static void note_fields(struct buf *b, const struct note *n) {
    buf_le64(b, n->sequence);
    buf_le32(b, n->recipient);
    buf_char(b, (char)n->state);
    buf_char(b, (char)n->warned);
    buf_le32(b, n->attempts);
    buf_le64(b, (uint64_t)n->next);
    buf_lbytes(b, n->next_hop);
}

static void scan_note_fields(struct scan *s, struct note *n) {
    n->sequence = scan_le64(s);
    n->recipient = scan_le32(s);
    unsigned state = (uint8_t)scan_char(s), warned = (uint8_t)scan_char(s);
    n->attempts = scan_le32(s);
    n->next = (int64_t)scan_le64(s);
    n->next_hop = scan_lbytes(s);
    if (state >= RECIPIENT_STATES || state == RECIPIENT_SENDING || warned > 1)
        s->bad = true;
    n->state = (enum recipient_state)state;
    n->warned = warned;
}

void note_format(struct buf *b, const struct note *n) {
    note_fields(b, n);
    buf_lbytes(b, n->reply);
}

bool note_next(struct scan *s, struct note *out) {
    if (s->bad || scan_done(s))
        return false;
    scan_note_fields(s, out);
    out->reply = scan_lbytes(s);
    return !s->bad;
}

void message_meta_format(struct buf *b, uint64_t size, const struct envelope *e) {
    buf_le64(b, size);
    size_t at = b->len;
    buf_le32(b, 0);
    envelope_format(b, e);
    if (!b->full)
        put32(b->at + at, (uint32_t)(b->len - at - 4));
}

bool message_meta_parse(struct bytes meta, struct arena *a, uint64_t *size_out,
                        struct envelope *envelope_out, struct bytes *notes_out) {
    struct scan s = scan_of(meta);
    *size_out = scan_le64(&s);
    struct bytes envelope = scan_lbytes(&s);
    *notes_out = s.rest;
    return !s.bad && envelope_parse(envelope, a, envelope_out);
}

/* --- the index ------------------------------------------------------------------------------- */

void entry_message(struct buf *b, const struct record *r, uint64_t size, const struct envelope *e) {
    buf_char(b, ENTRY_MESSAGE);
    buf_le32(b, r->offset);
    buf_le64(b, r->sequence);
    buf_le32(b, (uint32_t)record_length(r));
    buf_char(b, r->flags & RECORD_BIG ? 1 : 0);
    buf_le64(b, size);
    buf_le64(b, (uint64_t)e->arrived);
    buf_le32(b, (uint32_t)e->count);
    for (size_t i = 0, run; i < e->count; i += run) {
        for (run = 1; i + run < e->count; run++)
            if (!bytes_equal(e->recipients[i].next_hop, e->recipients[i + run].next_hop))
                break;
        buf_le32(b, (uint32_t)run);
        buf_lbytes(b, e->recipients[i].next_hop);
    }
}

void entry_note(struct buf *b, uint32_t offset, const struct note *n) {
    buf_char(b, ENTRY_NOTE);
    buf_le32(b, offset);
    note_fields(b, n);
}

void entry_gone(struct buf *b, uint32_t offset, uint64_t sequence) {
    buf_char(b, ENTRY_GONE);
    buf_le32(b, offset);
    buf_le64(b, sequence);
}

bool entry_hop(struct bytes *hops, uint32_t *run_out, struct bytes *hop_out) {
    struct scan s = scan_of(*hops);
    *run_out = scan_le32(&s);
    *hop_out = scan_lbytes(&s);
    *hops = s.rest;
    return !s.bad && *run_out > 0;
}

static void scan_message(struct scan *s, struct entry *e) {
    e->sequence = scan_le64(s);
    e->length = scan_le32(s);
    unsigned big = (uint8_t)scan_char(s);
    e->big = big;
    e->size = scan_le64(s);
    e->arrived = (int64_t)scan_le64(s);
    e->count = scan_le32(s);
    struct bytes from = s->rest;
    uint64_t known = 0;
    while (known < e->count && !s->bad) {
        uint32_t run;
        struct bytes hop;
        if (!entry_hop(&s->rest, &run, &hop))
            s->bad = true;
        known += run;
    }
    e->hops = bytes_first(from, from.len - s->rest.len);
    if (big > 1 || known != e->count || known > RECIPIENTS_MAX)
        s->bad = true;
}

bool entry_next(struct scan *s, struct entry *out) {
    if (s->bad || scan_done(s))
        return false;
    int kind = scan_char(s);
    *out = (struct entry){ .kind = (enum entry_kind)kind, .offset = scan_le32(s) };
    if (kind == ENTRY_MESSAGE) {
        scan_message(s, out);
    } else if (kind == ENTRY_NOTE) {
        scan_note_fields(s, &out->note);
        out->sequence = out->note.sequence;
    } else if (kind == ENTRY_GONE) {
        out->sequence = scan_le64(s);
    } else {
        s->bad = true;
    }
    return !s->bad;
}

static bool notes_entries(struct buf *b, uint32_t offset, struct bytes notes) {
    struct scan s = scan_of(notes);
    struct note n;
    while (note_next(&s, &n))
        entry_note(b, offset, &n);
    return !s.bad;
}

static bool message_entries(struct buf *b, const struct record *r, struct bytes meta) {
    struct arena *a = arena_open();
    uint64_t size;
    struct envelope e;
    struct bytes notes;
    bool ok = message_meta_parse(meta, a, &size, &e, &notes);
    if (ok) {
        entry_message(b, r, size, &e);
        ok = notes_entries(b, r->offset, notes);
    }
    arena_close(&a);
    return ok;
}

static bool gone_entries(struct buf *b, uint32_t offset, struct bytes meta) {
    struct scan s = scan_of(meta);
    while (!scan_done(&s) && !s.bad)
        entry_gone(b, offset, scan_le64(&s));
    return !s.bad;
}

bool record_entries(struct buf *b, const struct record *r, struct bytes meta) {
    switch (r->kind) {
    case RECORD_MESSAGE:
    case RECORD_COPY:
        return message_entries(b, r, meta);
    case RECORD_NOTES:
        return notes_entries(b, r->offset, meta);
    case RECORD_GONE:
        return gone_entries(b, r->offset, meta);
    default:
        return true; /* says nothing of messages */
    }
}
