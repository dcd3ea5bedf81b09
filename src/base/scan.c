/* scan: reading with a bound. This file alone knows what "bad" does: the rest becomes empty where
 * it stands, so that every loop over a bad scan ends and `rest.at` still tells where it went wrong.
 */
#include "base/scan.h"

static void fail(struct scan *s) {
    s->bad = true;
    s->rest.len = 0;
}

struct scan scan_of(struct bytes all) {
    return (struct scan){ .rest = all };
}

bool scan_done(const struct scan *s) {
    return s->rest.len == 0;
}

int scan_peek(const struct scan *s) {
    return s->rest.len ? (unsigned char)s->rest.at[0] : -1;
}

char scan_char(struct scan *s) {
    struct bytes one = scan_take(s, 1);
    return one.len ? one.at[0] : '\0';
}

bool scan_accept(struct scan *s, char c) {
    if (scan_peek(s) != (unsigned char)c)
        return false;
    s->rest = bytes_skip(s->rest, 1);
    return true;
}

bool scan_accept_nocase(struct scan *s, struct bytes word) {
    if (s->bad || !bytes_starts_nocase(s->rest, word))
        return false;
    s->rest = bytes_skip(s->rest, word.len);
    return true;
}

void scan_expect(struct scan *s, char c) {
    if (!scan_accept(s, c))
        fail(s);
}

struct bytes scan_while(struct scan *s, bool (*in)(char c)) {
    size_t n = 0;
    while (n < s->rest.len && in(s->rest.at[n]))
        n++;
    return scan_take(s, n);
}

struct bytes scan_until(struct scan *s, char c) {
    ptrdiff_t at = bytes_find(s->rest, c);
    return scan_take(s, at < 0 ? s->rest.len : (size_t)at);
}

struct bytes scan_take(struct scan *s, size_t n) {
    if (s->bad)
        return BYTES_NONE;
    if (n > s->rest.len) {
        fail(s);
        return BYTES_NONE;
    }
    struct bytes taken = bytes_first(s->rest, n);
    s->rest = bytes_skip(s->rest, n);
    return taken;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

void scan_blanks(struct scan *s) {
    scan_while(s, is_blank);
}

uint64_t scan_number(struct scan *s, uint64_t max) {
    struct scan before = *s;
    uint64_t n = 0;
    if (!bytes_to_u64(scan_while(s, ascii_is_digit), max, &n)) {
        *s = before;
        fail(s);
    }
    return n;
}

static uint64_t little_endian(struct scan *s, size_t size) {
    struct bytes octets = scan_take(s, size);
    uint64_t n = 0;
    for (size_t i = 0; i < octets.len; i++)
        n |= (uint64_t)(unsigned char)octets.at[i] << (8 * i);
    return n;
}

uint16_t scan_le16(struct scan *s) {
    return (uint16_t)little_endian(s, 2);
}

uint32_t scan_le32(struct scan *s) {
    return (uint32_t)little_endian(s, 4);
}

uint64_t scan_le64(struct scan *s) {
    return little_endian(s, 8);
}

struct bytes scan_lbytes(struct scan *s) {
    return scan_take(s, scan_le32(s));
}
