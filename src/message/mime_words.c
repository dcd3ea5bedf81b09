/* mime_words: parameters (RFC 2045 section 5.1, RFC 2231) and encoded words (RFC 2047) of any charset. */
#include "base/must.h"
#include "message/mime.h"

enum {
    PIECES = 64, /* of one parameter, RFC 2231 section 3 */
    WORD = 2000, /* octets of one encoded word; RFC 2047 allows 75 */
};

static int hex_value(char c) {
    c = ascii_lower(c);
    return ascii_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* --- parameters --------------------------------------------------------------------------------- */

struct parameter {
    struct bytes name, value;
    bool quoted;
};

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct bytes unquote(struct bytes text, struct arena *a) {
    struct buf b = buf_fixed(arena_alloc(a, text.len + 1), text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '\\' && i + 1 < text.len)
            i++;
        buf_char(&b, text.at[i]);
    }
    return buf_bytes(&b);
}

static size_t quoted_end(struct bytes text, size_t at) {
    while (at < text.len && text.at[at] != '"')
        at += text.at[at] == '\\' ? 2 : 1;
    return at < text.len ? at : text.len;
}

/* From behind a ';' on; *at moves behind the value. A missing quote ends with the text. */
static struct parameter next_parameter(struct bytes text, size_t *at) {
    struct parameter p = { 0 };
    size_t i = *at;
    while (i < text.len && (is_blank(text.at[i]) || text.at[i] == ';'))
        i++;
    size_t begin = i;
    while (i < text.len && text.at[i] != '=' && text.at[i] != ';')
        i++;
    p.name = bytes_trim(bytes_slice(text, begin, i));
    if (i < text.len && text.at[i] == '=') {
        for (i++; i < text.len && is_blank(text.at[i]);)
            i++;
        if (i < text.len && text.at[i] == '"') {
            size_t end = quoted_end(text, i + 1);
            p.quoted = true;
            p.value = bytes_slice(text, i + 1, end);
            i = end + 1;
        } else {
            begin = i;
            while (i < text.len && text.at[i] != ';')
                i++;
            p.value = bytes_trim(bytes_slice(text, begin, i));
        }
    }
    *at = i < text.len ? i : text.len;
    return p;
}

/* "name*2*" of the parameter `name`: piece 2, encoded. A plain "name" is piece 0. False: another. */
static bool is_piece(struct bytes of, struct bytes name, size_t *piece_out, bool *encoded_out) {
    *piece_out = 0;
    *encoded_out = false;
    if (!bytes_starts_nocase(of, name))
        return false;
    struct bytes rest = bytes_skip(of, name.len), number;
    if (!rest.len)
        return true;
    if (rest.at[0] != '*')
        return false;
    rest = bytes_skip(rest, 1);
    *encoded_out = !rest.len || rest.at[rest.len - 1] == '*';
    bytes_split(&rest, '*', &number);
    uint64_t n = 0;
    if (number.len && !bytes_to_u64(number, PIECES - 1, &n))
        return false;
    *piece_out = (size_t)n;
    return true;
}

static void unpercent(struct buf *b, struct bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        int high = text.at[i] == '%' && i + 2 < text.len ? hex_value(text.at[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.at[i + 2]) : -1;
        buf_char(b, low >= 0 ? (char)(high << 4 | low) : text.at[i]);
        i += low >= 0 ? 2 : 0;
    }
}

/* The pieces in their order; the first encoded one names the charset: charset'language'text. */
static struct bytes join(const struct parameter *pieces, const bool *encoded, struct arena *a) {
    size_t size = 1;
    for (size_t i = 0; i < PIECES; i++)
        size += pieces[i].value.len;
    struct buf raw = buf_fixed(arena_alloc(a, size), size);
    struct bytes charset = BYTES_NONE;
    for (size_t i = 0; i < PIECES && pieces[i].name.len; i++) {
        struct bytes value = pieces[i].value, language;
        if (i == 0 && encoded[i] && bytes_find(value, '\'') >= 0) {
            bytes_split(&value, '\'', &charset);
            bytes_split(&value, '\'', &language);
        }
        if (encoded[i])
            unpercent(&raw, value);
        else
            buf_add(&raw, pieces[i].quoted ? unquote(value, a) : value);
    }
    if (!encoded[0])
        return buf_bytes(&raw);
    struct buf out = buf_fixed(arena_alloc(a, raw.len * 3 + 1), raw.len * 3 + 1);
    mime_utf8(&out, charset, buf_bytes(&raw));
    return buf_bytes(&out);
}

bool mime_parameter(struct bytes value, struct bytes name, struct arena *a, struct bytes *out) {
    struct parameter pieces[PIECES] = { 0 };
    bool encoded[PIECES] = { false };
    ptrdiff_t first = bytes_find(value, ';');
    *out = BYTES_NONE;
    for (size_t at = first < 0 ? value.len : (size_t)first; at < value.len;) {
        struct parameter p = next_parameter(value, &at);
        size_t piece;
        bool is_encoded;
        if (!is_piece(p.name, name, &piece, &is_encoded) || pieces[piece].name.len)
            continue;
        pieces[piece] = p;
        encoded[piece] = is_encoded;
    }
    if (!pieces[0].name.len)
        return false;
    *out = join(pieces, encoded, a);
    return true;
}

/* --- encoded words ------------------------------------------------------------------------------ */

struct word {
    struct bytes charset, text;
    bool base64;
    size_t length; /* from "=?" to "?=" */
};

static bool find_word(struct bytes text, struct word *out) {
    text = bytes_first(text, WORD);
    if (!bytes_starts(text, B("=?")))
        return false;
    struct bytes rest = bytes_skip(text, 2), charset, encoding, language;
    if (!bytes_split(&rest, '?', &charset) || !bytes_split(&rest, '?', &encoding))
        return false;
    ptrdiff_t end = bytes_search(rest, B("?="));
    if (end < 0 || encoding.len != 1)
        return false;
    char letter = ascii_lower(encoding.at[0]);
    language = charset; /* RFC 2231 section 5: charset*language */
    bytes_split(&language, '*', &charset);
    *out = (struct word){ .charset = charset,
                          .text = bytes_first(rest, (size_t)end),
                          .base64 = letter == 'b' };
    out->length = (size_t)(out->text.at - text.at) + out->text.len + 2;
    return letter == 'b' || letter == 'q';
}

static void decode_q(struct buf *b, struct bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        int high = text.at[i] == '=' && i + 2 < text.len ? hex_value(text.at[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.at[i + 2]) : -1;
        if (low >= 0)
            buf_char(b, (char)(high << 4 | low));
        else
            buf_char(b, text.at[i] == '_' ? ' ' : text.at[i]);
        i += low >= 0 ? 2 : 0;
    }
}

static void decode_octets(struct buf *b, const struct word *word) {
    if (word->base64)
        mime_unbase64(b, word->text);
    else
        decode_q(b, word->text);
}

/* A run of words of one charset is decoded as one: senders cut characters in two. Returns its octets. */
static size_t decode_run(struct buf *out, struct bytes text, const struct word *first,
                         struct arena *a) {
    struct buf octets = buf_fixed(arena_alloc(a, WORD * 4), WORD * 4);
    struct word next = *first;
    size_t length = first->length;
    decode_octets(&octets, first);
    for (size_t at = length; length < WORD * 2;) {
        while (at < text.len && is_blank(text.at[at]))
            at++;
        if (!find_word(bytes_skip(text, at), &next) ||
            !bytes_equal_nocase(next.charset, first->charset))
            break;
        decode_octets(&octets, &next);
        at += next.length;
        length = at;
    }
    mime_utf8(out, first->charset, buf_bytes(&octets));
    return length;
}

struct bytes mime_words(struct bytes value, struct arena *a) {
    value = bytes_first(value, 8 * WORD);
    struct buf b = buf_fixed(arena_alloc(a, value.len * 4 + 1), value.len * 4 + 1);
    struct word word;
    bool after = false; /* a word: blanks between two are not shown (RFC 2047 section 6.2) */
    for (size_t i = 0; i < value.len;) {
        if (value.at[i] == '=' && find_word(bytes_skip(value, i), &word)) {
            if (after)
                while (b.len && b.at[b.len - 1] == ' ')
                    buf_cut(&b, b.len - 1);
            i += decode_run(&b, bytes_skip(value, i), &word, a);
            after = true;
            continue;
        }
        after = after && is_blank(value.at[i]);
        if (value.at[i] != '\r' && value.at[i] != '\n')
            buf_char(&b, value.at[i] == '\t' ? ' ' : value.at[i]);
        i++;
    }
    struct buf valid = buf_fixed(arena_alloc(a, b.len * 3 + 1), b.len * 3 + 1);
    mime_utf8(&valid, B("utf-8"), buf_bytes(&b));
    struct buf clean = buf_fixed(arena_alloc(a, valid.len + 1), valid.len + 1);
    for (size_t i = 0; i < valid.len; i++)
        buf_char(&clean,
                 (unsigned char)valid.at[i] < ' ' || valid.at[i] == 127 ? ' ' : valid.at[i]);
    return bytes_trim(buf_bytes(&clean));
}
