/* mime_decode: base64, quoted-printable and uuencode (RFC 2045 section 6) as they arrive: without padding,
 * with foreign octets in between, cut anywhere. What cannot be decoded is passed over or kept. */
#include "base/must.h"
#include "message/mime.h"

/* 64: no digit. */
static unsigned base64_digit(char c) {
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a' + 26);
    if (ascii_is_digit(c))
        return (unsigned)(c - '0' + 52);
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : 64;
}

/* Plain text behind the encoded one (a mailing list's footer) begins where a line has a blank or
 * another foreign octet inside. */
static bool is_base64_line(struct bytes line) {
    line = bytes_trim(line);
    for (size_t i = 0; i < line.len; i++)
        if (base64_digit(line.at[i]) == 64 && line.at[i] != '=')
            return false;
    return true;
}

void mime_unbase64(struct buf *out, struct bytes text) {
    unsigned bits = 0, value = 0;
    struct bytes rest = text, line;
    bool padded = false;
    while (!out->full && bytes_split(&rest, '\n', &line)) {
        bool whole = is_base64_line(line) && bytes_trim(line).len % 4 == 0;
        if (padded && !whole) { /* it has ended; what follows is as it stands */
            buf_char(out, '\n');
            buf_add(out, line);
            continue;
        }
        for (size_t i = 0; i < line.len; i++) {
            unsigned digit = base64_digit(line.at[i]);
            if (line.at[i] == '=') {
                bits = 0;
                padded = true;
            }
            if (digit == 64)
                continue;
            value = (value << 6 | digit) & 0xffff;
            bits += 6;
            if (bits >= 8) {
                bits -= 8;
                buf_char(out, (char)(value >> bits & 0xff));
            }
        }
    }
}

static int hex_value(char c) {
    c = ascii_lower(c);
    return ascii_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Octets of a soft line break behind the '=' at i: "=", blanks, line end; 0: it is none. */
static size_t soft_break(struct bytes text, size_t i) {
    size_t at = i + 1;
    while (at < text.len && at - i < 80 && (text.at[at] == ' ' || text.at[at] == '\t'))
        at++;
    if (at < text.len && text.at[at] == '\r')
        at++;
    if (at < text.len && text.at[at] == '\n')
        at++;
    else if (at < text.len)
        return 0;
    return at - i;
}

void mime_unqp(struct buf *out, struct bytes text) {
    for (size_t i = 0; i < text.len && !out->full;) {
        char c = text.at[i];
        if (c != '=') {
            buf_char(out, c);
            i++;
            continue;
        }
        int high = i + 2 < text.len ? hex_value(text.at[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.at[i + 2]) : -1;
        size_t skip = soft_break(text, i);
        if (low >= 0) {
            buf_char(out, (char)(high << 4 | low));
            i += 3;
        } else if (skip) {
            i += skip;
        } else {
            buf_char(out, c);
            i++;
        }
    }
}

static void unuu_line(struct buf *out, struct bytes line) {
    size_t count = (size_t)(line.at[0] - ' ') & 63, bits = 0;
    unsigned value = 0;
    for (size_t i = 1; i < line.len && count; i++) {
        value = (value << 6 | ((unsigned)(line.at[i] - ' ') & 63)) & 0xffff;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        buf_char(out, (char)(value >> bits & 0xff));
        count--;
    }
}

void mime_unuu(struct buf *out, struct bytes text) {
    struct bytes rest = text, line;
    bool inside = false;
    while (!out->full && bytes_split(&rest, '\n', &line)) {
        line = bytes_trim(line);
        if (bytes_starts(line, B("begin ")))
            inside = true;
        else if (bytes_equal(line, B("end")))
            inside = false;
        else if (inside && line.len)
            unuu_line(out, line);
    }
}
