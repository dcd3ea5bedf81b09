/* header_decode: encoded words (RFC 2047) as UTF-8, for people to read. This file knows the few
 * charsets that mail in practice still uses for them beside UTF-8; a word in another one stays as it
 * is. What comes out holds no controls and no broken UTF-8, whatever was hidden in the encoding. */
#include "base/must.h"
#include "message/header.h"

/* Windows-1252 from 0x80 to 0x9f; 0 is undefined. ISO-8859-1 text on the web and in mail is read as
 * this by every program, so there is one table for both. */
static const uint16_t windows_1252[32] = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178,
};

enum charset { CHARSET_UTF8, CHARSET_1252, CHARSET_LATIN9, CHARSET_UNKNOWN };

static const struct {
    struct bytes name;
    enum charset charset;
} charsets[] = {
    { { "utf-8", 5 }, CHARSET_UTF8 },          { { "us-ascii", 8 }, CHARSET_UTF8 },
    { { "utf8", 4 }, CHARSET_UTF8 },           { { "ascii", 5 }, CHARSET_UTF8 },
    { { "iso-8859-1", 10 }, CHARSET_1252 },    { { "latin1", 6 }, CHARSET_1252 },
    { { "windows-1252", 12 }, CHARSET_1252 },  { { "cp1252", 6 }, CHARSET_1252 },
    { { "iso-8859-15", 11 }, CHARSET_LATIN9 },
};

static enum charset find_charset(struct bytes name) {
    struct bytes language = name; /* RFC 2231 section 5: charset*language */
    bytes_split(&language, '*', &name);
    for (size_t i = 0; i < COUNT_OF(charsets); i++)
        if (bytes_equal_nocase(charsets[i].name, name))
            return charsets[i].charset;
    return CHARSET_UNKNOWN;
}

static void put_character(struct buf *b, unsigned code) {
    if (code < 0x80) {
        buf_char(b, (char)code);
    } else if (code < 0x800) {
        buf_char(b, (char)(0xc0 | code >> 6));
        buf_char(b, (char)(0x80 | (code & 63)));
    } else {
        buf_char(b, (char)(0xe0 | code >> 12));
        buf_char(b, (char)(0x80 | (code >> 6 & 63)));
        buf_char(b, (char)(0x80 | (code & 63)));
    }
}

/* ISO-8859-15 differs from ISO-8859-1 in eight places. */
static unsigned latin9(unsigned char c) {
    static const struct {
        unsigned char from;
        uint16_t to;
    } differences[] = { { 0xa4, 0x20ac }, { 0xa6, 0x0160 }, { 0xa8, 0x0161 }, { 0xb4, 0x017d },
                        { 0xb8, 0x017e }, { 0xbc, 0x0152 }, { 0xbd, 0x0153 }, { 0xbe, 0x0178 } };
    for (size_t i = 0; i < COUNT_OF(differences); i++)
        if (differences[i].from == c)
            return differences[i].to;
    return c;
}

static void put_octet(struct buf *b, enum charset charset, unsigned char c) {
    if (charset == CHARSET_UTF8)
        buf_char(b, (char)c);
    else if (charset == CHARSET_LATIN9)
        put_character(b, latin9(c));
    else
        put_character(b, c >= 0x80 && c < 0xa0 ? windows_1252[c - 0x80] : c);
}

static int hex_value(char c) {
    c = ascii_lower(c);
    return ascii_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void decode_q(struct buf *b, enum charset charset, struct bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        int high = c == '=' && i + 2 < text.len ? hex_value(text.at[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.at[i + 2]) : -1;
        if (low >= 0) {
            put_octet(b, charset, (unsigned char)(high << 4 | low));
            i += 2;
        } else {
            put_octet(b, charset, c == '_' ? ' ' : (unsigned char)c);
        }
    }
}

/* Lenient: padding may be missing, other octets are passed over. */
static void decode_b(struct buf *b, enum charset charset, struct bytes text) {
    unsigned bits = 0, value = 0;
    for (size_t i = 0; i < text.len && text.at[i] != '='; i++) {
        char c = text.at[i];
        unsigned digit = c >= 'A' && c <= 'Z'   ? (unsigned)(c - 'A')
                         : c >= 'a' && c <= 'z' ? (unsigned)(c - 'a' + 26)
                         : ascii_is_digit(c)    ? (unsigned)(c - '0' + 52)
                         : c == '+'             ? 62
                         : c == '/'             ? 63
                                                : 64;
        if (digit == 64)
            continue;
        value = (value << 6 | digit) & 0xffff;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        put_octet(b, charset, value >> bits & 0xff);
    }
}

struct encoded_word {
    enum charset charset;
    bool base64;
    struct bytes text;
    size_t length; /* from "=?" to "?=" */
};

/* At most 1,000 octets are looked at (RFC 2047 allows 75), so that a header full of beginnings
 * costs no more than its length. */
static bool find_word(struct bytes text, struct encoded_word *out) {
    text = bytes_first(text, 1000);
    if (!bytes_starts(text, B("=?")))
        return false;
    struct bytes rest = bytes_skip(text, 2), charset, encoding;
    if (!bytes_split(&rest, '?', &charset) || !bytes_split(&rest, '?', &encoding))
        return false;
    ptrdiff_t end = bytes_search(rest, B("?="));
    if (end < 0 || encoding.len != 1)
        return false;
    char letter = ascii_lower(encoding.at[0]);
    *out = (struct encoded_word){ .charset = find_charset(charset),
                                  .base64 = letter == 'b',
                                  .text = bytes_first(rest, (size_t)end) };
    out->length = (size_t)(out->text.at - text.at) + out->text.len + 2;
    return out->charset != CHARSET_UNKNOWN && (letter == 'b' || letter == 'q');
}

static void decode_words(struct buf *b, struct bytes text) {
    struct encoded_word word;
    size_t gap = 0; /* blanks since the last encoded word */
    bool after_word = false;
    for (size_t i = 0; i < text.len;) {
        if (text.at[i] == '=' && find_word(bytes_skip(text, i), &word)) {
            if (after_word) /* blanks between two words are not shown (RFC 2047 section 6.2) */
                buf_cut(b, b->len - gap);
            (word.base64 ? decode_b : decode_q)(b, word.charset, word.text);
            i += word.length;
            after_word = true;
            gap = 0;
            continue;
        }
        bool blank = text.at[i] == ' ' || text.at[i] == '\t';
        after_word = after_word && blank;
        gap = blank ? gap + 1 : 0;
        buf_char(b, text.at[i++]);
    }
}

struct bytes header_decode(struct bytes value, struct arena *a) {
    struct bytes text = header_unfold(value, a);
    /* One octet becomes at most three, in decoding and in making it printable. */
    size_t size = text.len * 3 + 1;
    struct buf decoded = buf_fixed(arena_alloc(a, size), size);
    decode_words(&decoded, text);
    struct buf clean = buf_fixed(arena_alloc(a, decoded.len + 1), decoded.len + 1);
    buf_printable(&clean, buf_bytes(&decoded));
    for (size_t i = 0; i < text.len && i < clean.len; i++)
        if (clean.at[i] == '\t')
            clean.at[i] = ' ';
    return bytes_trim(buf_bytes(&clean));
}
