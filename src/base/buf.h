/* buf: the bounded writer. Once full it stays full: what does not fit is dropped whole and `full`
 * is set, so a caller writes on and asks once, at the end.
 *
 * A buf writes to memory of the caller's (buf_fixed), or to memory of its own that grows up to a
 * limit (buf_grow; then buf_free). No function here fails in any other way. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/bytes.h"

#include <stdarg.h>

struct buf {
    char *at;
    size_t len;
    size_t cap; /* octets `at` has room for now */
    size_t max; /* octets it may ever hold */
    bool own;   /* `at` is ours to grow and free */
    bool full;  /* something did not fit */
};

struct buf buf_fixed(char *memory, size_t size);
/* Holds nothing until the first write; grows to at most `max` octets. */
struct buf buf_grow(size_t max);
/* Frees what buf_grow's memory took and empties it; a fixed one is only emptied. */
void buf_free(struct buf *b);
/* Empties it, keeps the memory, clears `full`. */
void buf_clear(struct buf *b);
/* Drops the first n octets. */
void buf_drop(struct buf *b, size_t n);
/* Cuts back to n octets. */
void buf_cut(struct buf *b, size_t n);

static inline struct bytes buf_bytes(const struct buf *b) {
    return bytes_of(b->at, b->len);
}
/* What has been written as a NUL-terminated string (room for the NUL is kept in every buf). */
const char *buf_text(struct buf *b);
/* Room for n more octets, or NULL and full; buf_wrote says how many of them were used. */
char *buf_room(struct buf *b, size_t n);
void buf_wrote(struct buf *b, size_t n);

void buf_add(struct buf *b, struct bytes data);
void buf_char(struct buf *b, char c);
void buf_str(struct buf *b, const char *text);
void buf_u64(struct buf *b, uint64_t n);
void buf_i64(struct buf *b, int64_t n);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list args);
void buf_lower(struct buf *b, struct bytes data);
void buf_hex(struct buf *b, struct bytes data);
/* RFC 4648 section 4, with padding, no line breaks. */
void buf_base64(struct buf *b, struct bytes data);
/* Decodes strict base64 (RFC 4648 section 4: padding required, no blanks); false, and nothing
 * written, for anything else or without room. */
bool buf_unbase64(struct buf *b, struct bytes text);
/* A JSON string with its quotes; octets that are not UTF-8 become U+FFFD. */
void buf_json(struct buf *b, struct bytes text);
/* A copy safe for a terminal and a log line: control octets and broken UTF-8 become '?'. */
void buf_printable(struct buf *b, struct bytes text);
/* Fixed-width little-endian integers. */
void buf_le16(struct buf *b, uint16_t n);
void buf_le32(struct buf *b, uint32_t n);
void buf_le64(struct buf *b, uint64_t n);
/* le32 length, then the octets. */
void buf_lbytes(struct buf *b, struct bytes data);

#endif
