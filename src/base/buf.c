/* buf: writing with a bound. Every write here goes through buf_room, which alone decides what fits;
 * a write of several parts remembers where it began and is taken back when a later part does not
 * fit, so that nothing is ever written by half. Memory always has one octet more than cap, for the
 * NUL of buf_text. */
#include "base/buf.h"

#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 127 };

struct buf buf_fixed(char *memory, size_t size) {
    MUST(memory && size > 0);
    return (struct buf){ .at = memory, .cap = size - 1, .max = size - 1 };
}

struct buf buf_grow(size_t max) {
    /* Halved so that doubling cannot overflow; nobody has that much memory anyway. */
    return (struct buf){ .max = max < SIZE_MAX / 4 ? max : SIZE_MAX / 4, .own = true };
}

void buf_free(struct buf *b) {
    if (b->own) {
        free(b->at);
        b->at = NULL;
        b->cap = 0;
    }
    buf_clear(b);
}

void buf_clear(struct buf *b) {
    b->len = 0;
    b->full = false;
}

void buf_drop(struct buf *b, size_t n) {
    if (n > b->len)
        n = b->len;
    if (n == 0)
        return;
    b->len -= n;
    memmove(b->at, b->at + n, b->len);
}

void buf_cut(struct buf *b, size_t n) {
    if (n < b->len)
        b->len = n;
}

const char *buf_text(struct buf *b) {
    if (!b->at)
        return "";
    b->at[b->len] = '\0';
    return b->at;
}

static void grow(struct buf *b, size_t need) {
    size_t cap = b->cap ? b->cap * 2 + 1 : FIRST_CAP;
    if (cap < need)
        cap = need;
    if (cap > b->max)
        cap = b->max;
    char *at = realloc(b->at, cap + 1);
    MUST(at);
    b->at = at;
    b->cap = cap;
}

char *buf_room(struct buf *b, size_t n) {
    if (b->full || n > b->max - b->len) {
        b->full = true;
        return NULL;
    }
    if (n > b->cap - b->len || !b->at)
        grow(b, b->len + n);
    return b->at + b->len;
}

void buf_wrote(struct buf *b, size_t n) {
    MUST(n <= b->cap - b->len);
    b->len += n;
}

void buf_add(struct buf *b, struct bytes data) {
    if (data.len == 0)
        return;
    char *to = buf_room(b, data.len);
    if (!to)
        return;
    memcpy(to, data.at, data.len);
    b->len += data.len;
}

void buf_char(struct buf *b, char c) {
    char *to = buf_room(b, 1);
    if (!to)
        return;
    *to = c;
    b->len++;
}

void buf_str(struct buf *b, const char *text) {
    buf_add(b, bytes_str(text));
}

void buf_u64(struct buf *b, uint64_t n) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    buf_add(b, bytes_of(digits + at, sizeof digits - at));
}

void buf_i64(struct buf *b, int64_t n) {
    size_t start = b->len;
    if (n < 0)
        buf_char(b, '-');
    buf_u64(b, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
    if (b->full)
        buf_cut(b, start);
}

void buf_printf(struct buf *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    buf_vprintf(b, format, args);
    va_end(args);
}

__attribute__((format(printf, 2, 0))) void buf_vprintf(struct buf *b, const char *format,
                                                       va_list args) {
    if (b->full)
        return;
    va_list again;
    va_copy(again, args);
    size_t room = b->at ? b->cap - b->len + 1 : 0;
    int len = vsnprintf(b->at ? b->at + b->len : NULL, room, format, args);
    MUST(len >= 0);
    /* It has been written if it fitted; else make the room it needs and write it again. */
    if ((size_t)len >= room && buf_room(b, (size_t)len))
        vsnprintf(b->at + b->len, (size_t)len + 1, format, again);
    va_end(again);
    if (!b->full)
        b->len += (size_t)len;
}

void buf_lower(struct buf *b, struct bytes data) {
    char *to = data.len ? buf_room(b, data.len) : NULL;
    if (!to)
        return;
    for (size_t i = 0; i < data.len; i++)
        to[i] = ascii_lower(data.at[i]);
    b->len += data.len;
}

static const char hex_digits[] = "0123456789abcdef";

void buf_hex(struct buf *b, struct bytes data) {
    /* The bound keeps len * 2 from overflowing; what is larger does not fit in any buf. */
    char *to = buf_room(b, data.len < SIZE_MAX / 4 ? data.len * 2 : SIZE_MAX);
    if (!to)
        return;
    for (size_t i = 0; i < data.len; i++) {
        to[2 * i] = hex_digits[(unsigned char)data.at[i] >> 4];
        to[2 * i + 1] = hex_digits[(unsigned char)data.at[i] & 15];
    }
    b->len += data.len * 2;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* One to three octets as four digits. */
static void base64_group(char *to, const unsigned char *from, size_t n) {
    uint32_t v = (uint32_t)from[0] << 16;
    if (n > 1)
        v |= (uint32_t)from[1] << 8;
    if (n > 2)
        v |= from[2];
    to[0] = base64_digits[v >> 18];
    to[1] = base64_digits[v >> 12 & 63];
    to[2] = n > 1 ? base64_digits[v >> 6 & 63] : '=';
    to[3] = n > 2 ? base64_digits[v & 63] : '=';
}

void buf_base64(struct buf *b, struct bytes data) {
    size_t size = data.len < SIZE_MAX / 4 ? (data.len + 2) / 3 * 4 : SIZE_MAX;
    char *to = buf_room(b, size);
    if (!to)
        return;
    for (size_t i = 0; i < data.len; i += 3, to += 4)
        base64_group(to, (const unsigned char *)data.at + i, data.len - i);
    b->len += size;
}

/* The value of a base64 digit, or 255. */
static unsigned char base64_value(char c) {
    if (c >= 'A' && c <= 'Z')
        return (unsigned char)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned char)(c - 'a' + 26);
    if (c >= '0' && c <= '9')
        return (unsigned char)(c - '0' + 52);
    return c == '+' ? 62 : c == '/' ? 63 : 255;
}

/* Decodes four digits, the last `pad` of which are '='. Bits the padding leaves over must be zero
 * (RFC 4648 section 3.5): one octet string has one encoding. */
static bool unbase64_group(char *to, const char *from, size_t pad) {
    uint32_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        unsigned char digit = i < 4 - pad ? base64_value(from[i]) : 0;
        if (digit > 63)
            return false;
        v = v << 6 | digit;
    }
    if (pad && v & (pad == 1 ? 0xff : 0xffff))
        return false;
    for (size_t i = 0; i < 3 - pad; i++)
        to[i] = (char)(v >> (16 - 8 * i) & 0xff);
    return true;
}

bool buf_unbase64(struct buf *b, struct bytes text) {
    if (b->full || text.len % 4 != 0)
        return false;
    if (text.len == 0)
        return true;
    const char *end = text.at + text.len;
    size_t pad = end[-1] != '=' ? 0 : end[-2] != '=' ? 1 : 2;
    size_t size = text.len / 4 * 3 - pad;
    char *to = buf_room(b, size);
    if (!to)
        return false;
    for (size_t i = 0; i < text.len; i += 4)
        if (!unbase64_group(to + i / 4 * 3, text.at + i, i + 4 == text.len ? pad : 0))
            return false;
    b->len += size;
    return true;
}

/* U+0080 to U+009F: some terminals obey them like ESC sequences. */
static bool is_c1(const unsigned char *at, size_t len) {
    return len == 2 && at[0] == 0xc2 && at[1] < 0xa0;
}

static void json_control(struct buf *b, unsigned char c) {
    static const char names[] = "btn_fr"; /* from 0x08 */
    buf_char(b, '\\');
    if (c >= 0x08 && c <= 0x0d && c != 0x0b) {
        buf_char(b, names[c - 0x08]);
        return;
    }
    buf_str(b, "u00");
    buf_char(b, hex_digits[c >> 4]);
    buf_char(b, hex_digits[c & 15]);
}

/* Writes the one character at `at` that cannot stand as it is; returns how many octets it was. */
static size_t json_escape(struct buf *b, const unsigned char *at, size_t left) {
    size_t len = bytes_utf8(bytes_of(at, left));
    if (len == 0) {
        buf_add(b, B("\xef\xbf\xbd"));
        return 1;
    }
    if (is_c1(at, len)) {
        json_control(b, at[1]);
    } else if (len > 1) {
        buf_add(b, bytes_of(at, len));
    } else if (*at == '"' || *at == '\\') {
        buf_char(b, '\\');
        buf_char(b, (char)*at);
    } else {
        json_control(b, *at);
    }
    return len;
}

static bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void buf_json(struct buf *b, struct bytes text) {
    const unsigned char *at = (const unsigned char *)text.at;
    size_t start = b->len;
    buf_char(b, '"');
    for (size_t i = 0; i < text.len && !b->full;) {
        size_t run = i;
        while (i < text.len && is_plain(at[i]))
            i++;
        buf_add(b, bytes_of(at + run, i - run));
        if (i < text.len)
            i += json_escape(b, at + i, text.len - i);
    }
    buf_char(b, '"');
    if (b->full)
        buf_cut(b, start);
}

void buf_printable(struct buf *b, struct bytes text) {
    const unsigned char *at = (const unsigned char *)text.at;
    size_t start = b->len;
    for (size_t i = 0; i < text.len && !b->full;) {
        size_t len = bytes_utf8(bytes_skip(text, i));
        if (len == 0 || at[i] < 0x20 || at[i] == 0x7f || is_c1(at + i, len))
            buf_char(b, '?');
        else
            buf_add(b, bytes_of(at + i, len));
        i += len ? len : 1;
    }
    if (b->full)
        buf_cut(b, start);
}

static void little_endian(struct buf *b, uint64_t n, size_t size) {
    char *to = buf_room(b, size);
    if (!to)
        return;
    for (size_t i = 0; i < size; i++)
        to[i] = (char)(n >> (8 * i) & 0xff);
    b->len += size;
}

void buf_le16(struct buf *b, uint16_t n) {
    little_endian(b, n, 2);
}

void buf_le32(struct buf *b, uint32_t n) {
    little_endian(b, n, 4);
}

void buf_le64(struct buf *b, uint64_t n) {
    little_endian(b, n, 8);
}

void buf_lbytes(struct buf *b, struct bytes data) {
    size_t start = b->len;
    MUST(data.len <= UINT32_MAX);
    buf_le32(b, (uint32_t)data.len);
    buf_add(b, data);
    if (b->full)
        buf_cut(b, start);
}
