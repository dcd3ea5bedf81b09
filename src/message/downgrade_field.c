/* downgrade_field: a header field with octets above 127, written without them. This file knows where
 * RFC 2047 (section 5) allows an encoded word and where it does not: in text, in a comment and in a
 * phrase; parameters have RFC 2231; an address has nothing, and in fields that programs wrote for
 * programs '?' stands in. Octets that are UTF-8 are called so, others "unknown-8bit" (RFC 1428). */
#include "base/scan.h"
#include "message/downgrade_parts.h"

#include <string.h>

enum {
    WORD_OCTETS = 39,    /* in an encoded word: 52 characters, and 19 around them, of at most 75 */
    LINE_COLUMN = 76,    /* where a field is folded */
    PARAMETER_MAX = 255, /* octets of a value that RFC 2231 shall carry on one line */
};

struct writer {
    struct buf *out;
    size_t column;
    bool behind_word; /* an encoded word was the last: the blank behind it does not count */
    bool bad;         /* an address has octets above 127 */
};

static const char *charset_of(struct bytes text) {
    return bytes_is_utf8(text) ? "utf-8" : "unknown-8bit";
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static void write_text(struct writer *w, struct bytes text) {
    buf_add(w->out, text);
    w->column += text.len;
}

/* In front of n characters: a fold before a blank that is there, if they would not fit. */
static void write_blanks(struct writer *w, struct bytes blanks, size_t n) {
    if (blanks.len && w->column + blanks.len + n > LINE_COLUMN) {
        buf_str(w->out, "\r\n");
        w->column = 0;
    }
    write_text(w, blanks);
}

/* So many octets that no character is cut, where it is UTF-8. */
static size_t word_part(struct bytes text) {
    size_t n = text.len < WORD_OCTETS ? text.len : WORD_OCTETS;
    size_t cut = n;
    while (cut < text.len && cut > n - 4 && ((unsigned char)text.at[cut] & 0xc0) == 0x80)
        cut--;
    return cut < text.len && ((unsigned char)text.at[cut] & 0xc0) == 0x80 ? n : cut;
}

static void write_word(struct writer *w, const char *charset, struct bytes text) {
    size_t before = w->out->len;
    buf_str(w->out, "=?");
    buf_str(w->out, charset);
    buf_str(w->out, "?B?");
    buf_base64(w->out, text);
    buf_str(w->out, "?=");
    w->column += w->out->len - before;
}

static struct bytes behind_blank(struct bytes text, struct arena *a) {
    char *with = arena_alloc(a, text.len + 1);
    with[0] = ' ';
    memcpy(with + 1, text.at, text.len);
    return bytes_of(with, text.len + 1);
}

/* One or more encoded words. What parts two of them is not shown, so a blank goes into the second. */
static void encode(struct writer *w, struct bytes text, struct arena *a) {
    if (w->behind_word)
        text = behind_blank(text, a);
    const char *charset = charset_of(text);
    bool first = true;
    while (text.len) {
        size_t n = word_part(text);
        if (!first)
            write_blanks(w, B(" "), LINE_COLUMN);
        write_word(w, charset, bytes_first(text, n));
        text = bytes_skip(text, n);
        first = false;
    }
    w->behind_word = true;
}

static bool is_encoded_word(struct bytes word) {
    return word.len > 6 && bytes_starts(word, B("=?")) && bytes_ends_nocase(word, B("?="));
}

static bool in_blanks(char c) {
    return is_blank(c);
}

static bool in_word(char c) {
    return !is_blank(c);
}

static void write_plain(struct writer *w, struct bytes word) {
    write_text(w, word);
    w->behind_word = is_encoded_word(word);
}

static size_t encoded_size(struct bytes text) {
    size_t n = text.len < WORD_OCTETS ? text.len : WORD_OCTETS;
    return n * 4 / 3 + 23;
}

/* --- text (RFC 5322 section 2.2.1) -------------------------------------------------------------- */

static void write_unstructured(struct writer *w, struct bytes value, struct arena *a) {
    struct scan s = scan_of(value);
    while (!scan_done(&s)) {
        struct bytes blanks = scan_while(&s, in_blanks), word = scan_while(&s, in_word);
        bool encoded = !bytes_is_ascii(word);
        write_blanks(w, blanks, encoded ? encoded_size(word) : word.len);
        if (encoded)
            encode(w, word, a);
        else if (word.len)
            write_plain(w, word);
    }
}

/* --- addresses ------------------------------------------------------------------------------------ */

/* From `open` to its `close`, with both, nested where they differ. */
static struct bytes take_enclosed(struct scan *s, char open, char close) {
    struct bytes from = s->rest;
    size_t depth = 0;
    while (!scan_done(s)) {
        char c = scan_char(s);
        if (c == '\\') {
            scan_take(s, !scan_done(s));
            continue;
        }
        bool opens = c == open && (open != close || depth == 0);
        depth += opens;
        if (!opens && c == close && --depth == 0)
            break;
    }
    return bytes_first(from, from.len - s->rest.len);
}

/* Without what encloses it, and without backslashes. */
static struct bytes inner_of(struct bytes whole, char close, struct arena *a) {
    struct bytes text = bytes_skip(whole, 1);
    if (text.len && text.at[text.len - 1] == close)
        text.len--;
    char *inner = arena_alloc(a, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        i += text.at[i] == '\\' && i + 1 < text.len;
        inner[len++] = text.at[i];
    }
    return bytes_of(inner, len);
}

static void write_comment(struct writer *w, struct scan *s, struct arena *a) {
    struct bytes whole = take_enclosed(s, '(', ')');
    if (bytes_is_ascii(whole)) {
        write_plain(w, whole);
        return;
    }
    w->behind_word = false;
    write_text(w, B("("));
    encode(w, inner_of(whole, ')', a), a);
    write_text(w, B(")"));
    w->behind_word = false;
}

static bool next_is(struct scan s, char c) {
    scan_while(&s, in_blanks);
    return scan_peek(&s) == c;
}

static void write_quoted(struct writer *w, struct scan *s, struct arena *a) {
    struct bytes whole = take_enclosed(s, '"', '"');
    if (bytes_is_ascii(whole)) {
        write_plain(w, whole);
    } else {
        w->bad |= next_is(*s, '@') || next_is(*s, '.');
        encode(w, inner_of(whole, '"', a), a);
    }
}

static void write_route(struct writer *w, struct scan *s) {
    struct bytes whole = scan_until(s, '>');
    w->bad |= !bytes_is_ascii(whole);
    write_plain(w, whole);
}

static bool in_atom(char c) {
    return !is_blank(c) && bytes_find(B("()<>,;:\""), c) < 0;
}

static void write_atom(struct writer *w, struct scan *s, struct arena *a) {
    struct bytes atom = scan_while(s, in_atom);
    if (!atom.len) {
        char special = scan_char(s);
        write_plain(w, bytes_of(&special, 1));
    } else if (bytes_is_ascii(atom)) {
        write_plain(w, atom);
    } else {
        w->bad |= bytes_find(atom, '@') >= 0 || next_is(*s, '@');
        encode(w, atom, a);
    }
}

static void write_addresses(struct writer *w, struct bytes value, struct arena *a) {
    struct scan s = scan_of(value);
    while (!scan_done(&s)) {
        struct bytes blanks = scan_while(&s, in_blanks);
        struct scan ahead = s;
        write_blanks(w, blanks, encoded_size(scan_while(&ahead, in_atom)));
        if (scan_done(&s))
            return;
        if (scan_peek(&s) == '(')
            write_comment(w, &s, a);
        else if (scan_peek(&s) == '"')
            write_quoted(w, &s, a);
        else if (scan_peek(&s) == '<')
            write_route(w, &s);
        else
            write_atom(w, &s, a);
    }
}

/* --- parameters (RFC 2231 section 4) --------------------------------------------------------------- */

static void write_masked(struct writer *w, struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        buf_char(w->out, is_eightbit(text.at[i]) ? '?' : text.at[i]);
    w->column += text.len;
}

static void write_extended(struct writer *w, struct bytes name, struct bytes value) {
    static const char digits[] = "0123456789ABCDEF";
    write_text(w, name);
    write_text(w, B("*="));
    write_text(w, bytes_str(charset_of(value)));
    write_text(w, B("''"));
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if (ascii_is_alnum((char)c) || c == '.' || c == '-' || c == '_') {
            buf_char(w->out, (char)c);
            continue;
        }
        buf_char(w->out, '%');
        buf_char(w->out, digits[c >> 4]);
        buf_char(w->out, digits[c & 15]);
    }
}

static bool in_name(char c) {
    return c > ' ' && c < 127 && bytes_find(B("()<>@,;:\\\"/[]?="), c) < 0;
}

static bool in_value(char c) {
    return c != ';' && !is_blank(c);
}

static struct bytes take_value(struct scan *s, struct arena *a) {
    if (scan_peek(s) != '"')
        return scan_while(s, in_value);
    return inner_of(take_enclosed(s, '"', '"'), '"', a);
}

/* "name=value" at the beginning of s, written anew; false, and nothing taken, if there is none that
 * needs it. */
static bool write_parameter(struct writer *w, struct scan *s, struct arena *a) {
    struct scan at = *s;
    struct bytes name = scan_while(&at, in_name);
    scan_while(&at, in_blanks);
    if (!name.len || bytes_find(name, '*') >= 0 || !scan_accept(&at, '='))
        return false;
    scan_while(&at, in_blanks);
    struct bytes value = take_value(&at, a);
    if (bytes_is_ascii(value) || value.len > PARAMETER_MAX)
        return false;
    write_extended(w, name, value);
    *s = at;
    return true;
}

/* Up to the next semicolon that is not in quotes. */
static struct bytes take_item(struct scan *s) {
    struct bytes from = s->rest;
    while (!scan_done(s) && scan_peek(s) != ';') {
        if (scan_peek(s) == '"')
            take_enclosed(s, '"', '"');
        else
            scan_char(s);
    }
    return bytes_first(from, from.len - s->rest.len);
}

static void write_parameters(struct writer *w, struct bytes value, struct arena *a) {
    struct scan s = scan_of(value);
    write_masked(w, take_item(&s));
    while (scan_accept(&s, ';')) {
        write_text(w, B(";"));
        scan_while(&s, in_blanks);
        buf_str(w->out, "\r\n ");
        w->column = 1;
        write_parameter(w, &s, a);
        write_masked(w, take_item(&s));
    }
}

/* --- which is which ---------------------------------------------------------------------------------- */

static void write_trace(struct writer *w, struct bytes value, struct arena *a) {
    (void)a;
    write_masked(w, value);
}

static const struct {
    const char *name; /* or how it begins, with '*' */
    void (*write)(struct writer *w, struct bytes value, struct arena *a);
} kinds[] = {
    { "From", write_addresses },
    { "Sender", write_addresses },
    { "Reply-To", write_addresses },
    { "To", write_addresses },
    { "Cc", write_addresses },
    { "Bcc", write_addresses },
    { "Mail-Followup-To", write_addresses },
    { "Mail-Reply-To", write_addresses },
    { "Disposition-Notification-To", write_addresses },
    { "Resent-Date", write_trace },
    { "Resent-Message-ID", write_trace },
    { "Resent-*", write_addresses },
    { "Content-Type", write_parameters },
    { "Content-Disposition", write_parameters },
    { "Content-Description", write_unstructured },
    { "Content-*", write_trace },
    { "Date", write_trace },
    { "Message-ID", write_trace },
    { "In-Reply-To", write_trace },
    { "References", write_trace },
    { "MIME-Version", write_trace },
    { "Received", write_trace },
    { "Received-SPF", write_trace },
    { "Return-Path", write_trace },
    { "Delivered-To", write_trace },
    { "Authentication-Results", write_trace },
    { "DKIM-Signature", write_trace },
    { "DomainKey-Signature", write_trace },
    { "ARC-*", write_trace },
    { "List-*", write_trace },
    { "Autocrypt", write_trace },
    { "*", write_unstructured },
};

static bool is_kind(struct bytes name, struct bytes kind) {
    if (kind.at[kind.len - 1] != '*')
        return bytes_equal_nocase(name, kind);
    return bytes_starts_nocase(name, bytes_first(kind, kind.len - 1));
}

bool downgrade_field(const struct header_field *field, struct arena *a, struct buf *out) {
    struct writer w = { .out = out };
    size_t i = 0;
    while (!is_kind(field->name, bytes_str(kinds[i].name)))
        i++;
    write_text(&w, field->name);
    write_text(&w, B(":"));
    if (kinds[i].write == write_trace) { /* its folds stay */
        write_masked(&w, field->value);
    } else {
        write_text(&w, B(" "));
        kinds[i].write(&w, header_unfold(field->value, a), a);
    }
    buf_str(out, "\r\n");
    return !w.bad;
}
