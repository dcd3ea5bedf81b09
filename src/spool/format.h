/* format: the octets of the spool's files. Pure: this and format.c are the only places that know
 * where a field stands.
 *
 * A segment is a file head, then records on multiples of 8, and when it is sealed a record with its
 * index and a trailer that says where that begins. Every checksum starts from the file's salt, a
 * secret number of its own: octets a stranger sent in a message, or left by a file that was there
 * before, never pass for a record. */
#ifndef SPOOL_FORMAT_H
#define SPOOL_FORMAT_H

#include "base/arena.h"
#include "base/buf.h"
#include "flow/envelope.h"
#include "flow/settlement.h"

enum {
    FORMAT_VERSION = 1,
    FILE_HEAD = 128, /* the head twice, so that one bad block does not cost the salt */
    RECORD_HEAD = 40,
    TRAILER = 24,
    BIG_CHUNK = 64 * 1024, /* of a big message's file; each is followed by its checksum */
    BIG_STRIDE = BIG_CHUNK + 4,
    META_MAX = 64 << 20,
    BODY_MAX = 16 << 20,
};

enum file_kind { FILE_SEGMENT, FILE_BIG };
struct file_head {
    enum file_kind kind;
    uint64_t number; /* of the segment; of the message */
    uint64_t salt;
};
void file_head_format(char out[FILE_HEAD], const struct file_head *h);
/* False when both copies are bad. *damaged_out: one is. */
bool file_head_parse(const char in[FILE_HEAD], struct file_head *out, bool *damaged_out);

enum record_kind {
    RECORD_MESSAGE = 1, /* as accepted */
    RECORD_COPY,        /* moved here from an older segment, with its recipients' states */
    RECORD_NOTES,       /* what happened to recipients */
    RECORD_GONE,        /* messages that are finished, said again for an older segment */
    RECORD_TRIM,        /* abandoned segments and how far each is valid */
    RECORD_INDEX,
    RECORD_KINDS,
};
enum record_flag {
    RECORD_BIG = 1,   /* all but the first octets stand in a file of their own */
    RECORD_FIRST = 2, /* of its batch: all before it had been synced when it was written */
};

struct record {
    enum record_kind kind;
    uint8_t flags;
    uint64_t sequence;
    uint32_t offset;
    uint32_t meta_len, body_len;
    uint32_t meta_crc, body_crc;
};
/* Octets on disk, padding included. */
uint64_t record_length(const struct record *r);
void record_format(char out[RECORD_HEAD], const struct record *r, uint64_t salt);
/* False unless format wrote exactly this at this offset. */
bool record_parse(const char in[RECORD_HEAD], uint64_t offset, uint64_t salt, struct record *out);
uint32_t salted_crc(uint64_t salt, struct bytes data);
/* Of the chunk that begins at this octet of a big message's content. */
uint32_t big_crc(uint64_t salt, uint64_t from, struct bytes chunk);

void trailer_format(char out[TRAILER], uint32_t index_offset, uint32_t end, uint64_t salt);
bool trailer_parse(const char in[TRAILER], uint64_t end, uint64_t salt, uint32_t *index_out);

/* --- what records hold ---------------------------------------------------------------------- */
struct note { /* of one recipient */
    uint64_t sequence;
    uint32_t recipient;
    enum recipient_state state;
    bool warned;
    uint32_t attempts;
    int64_t next;
    struct bytes next_hop; /* empty: as before */
    struct bytes reply;
};
void note_format(struct buf *b, const struct note *n);
/* The next of a list of notes; false at its end or when it is bad. */
bool note_next(struct scan *s, struct note *out);

/* Of MESSAGE and COPY: size of the whole content, envelope, notes. */
void message_meta_format(struct buf *b, uint64_t size, const struct envelope *e);
bool message_meta_parse(struct bytes meta, struct arena *a, uint64_t *size_out,
                        struct envelope *envelope_out, struct bytes *notes_out);

struct trim {
    uint32_t number, end;
};

/* --- the index ------------------------------------------------------------------------------ */
/* What a restart must know of a record, and no more. One record may have many. */
enum entry_kind { ENTRY_MESSAGE = 1, ENTRY_NOTE, ENTRY_GONE };
struct entry {
    enum entry_kind kind;
    uint32_t offset; /* of the record */
    uint64_t sequence;
    /* ENTRY_MESSAGE */
    uint32_t length;
    bool big;
    uint64_t size;
    int64_t arrived;
    uint32_t count;
    struct bytes hops; /* entry_hop reads them */
    /* ENTRY_NOTE; its reply is empty */
    struct note note;
};
void entry_message(struct buf *b, const struct record *r, uint64_t size, const struct envelope *e);
void entry_note(struct buf *b, uint32_t offset, const struct note *n);
void entry_gone(struct buf *b, uint32_t offset, uint64_t sequence);
bool entry_next(struct scan *s, struct entry *out);
/* Recipients come in runs with the same next hop. */
bool entry_hop(struct bytes *hops, uint32_t *run_out, struct bytes *hop_out);
/* The entries of a whole record; false when its meta is not what its kind says. */
bool record_entries(struct buf *b, const struct record *r, struct bytes meta);

#endif
