/* clean: what a stranger wrote as text that may be shown: one line, UTF-8, no controls, bounded. */
#include "bounce/internal.h"

static bool is_space(unsigned char c) {
    return c <= ' ' || c == 127;
}

/* Invisible characters that reorder or hide text on a screen, or are blanks: as blanks. */
static size_t odd_blank(struct bytes text) {
    static const struct bytes odd[] = {
        W("\xc2\xa0"),     W("\xe2\x80\x8b"), W("\xe2\x80\x8e"), W("\xe2\x80\x8f"),
        W("\xe2\x80\xa8"), W("\xe2\x80\xa9"), W("\xe2\x80\xaa"), W("\xe2\x80\xab"),
        W("\xe2\x80\xac"), W("\xe2\x80\xad"), W("\xe2\x80\xae"), W("\xe2\x81\xa6"),
        W("\xe2\x81\xa7"), W("\xe2\x81\xa8"), W("\xe2\x81\xa9"), W("\xef\xbb\xbf"),
    };
    if (!text.len || (unsigned char)text.at[0] < 0xc2)
        return 0;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        if (bytes_starts(text, odd[i]))
            return odd[i].len;
    /* C1 controls, U+0080 to U+009F */
    return text.len > 1 && (unsigned char)text.at[0] == 0xc2 && (unsigned char)text.at[1] < 0xa0
               ? 2
               : 0;
}

struct bytes clean_line(struct bytes text, struct arena *a) {
    text = bytes_trim(text);
    size_t size = text.len < BOUNCE_TEXT ? text.len : BOUNCE_TEXT;
    struct buf b = buf_fixed(arena_alloc(a, size + 1), size + 1);
    bool blank = false;
    for (size_t at = 0; at < text.len && b.len < size;) {
        struct bytes rest = bytes_skip(text, at);
        size_t odd = odd_blank(rest), n = odd ? odd : bytes_utf8(rest);
        if (odd || is_space((unsigned char)text.at[at])) {
            blank = b.len > 0;
            at += odd ? odd : 1;
            continue;
        }
        struct bytes c = n ? bytes_first(rest, n) : B("?");
        if (b.len + c.len + blank > size)
            break;
        if (blank)
            buf_char(&b, ' ');
        blank = false;
        buf_add(&b, c);
        at += n ? n : 1;
    }
    return buf_bytes(&b);
}

/* Without comments in parentheses (RFC 5322 section 3.2.2), outside of quotes. */
static struct bytes without_comments(struct bytes text, struct arena *a) {
    struct buf b = buf_fixed(arena_alloc(a, text.len + 1), text.len + 1);
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        quoted = c == '"' && !depth ? !quoted : quoted;
        depth += c == '(' && !quoted;
        if (!depth)
            buf_char(&b, c);
        depth -= c == ')' && depth && !quoted;
    }
    return depth ? text : bytes_trim(buf_bytes(&b));
}

/* "rfc822;" and its like: a short word before the semicolon. */
static struct bytes without_type(struct bytes text) {
    ptrdiff_t at = bytes_find(bytes_first(text, 20), ';');
    for (ptrdiff_t i = 0; i < at; i++)
        if (!ascii_is_alnum(text.at[i]) && text.at[i] != '-' && text.at[i] != ' ')
            return text;
    return at < 0 ? text : bytes_trim(bytes_skip(text, (size_t)at + 1));
}

struct bytes clean_address(struct bytes text, struct arena *a) {
    text = without_comments(without_type(clean_line(text, a)), a);
    ptrdiff_t open = bytes_find_last(text, '<'), close = bytes_find_last(text, '>');
    if (open >= 0 && close > open)
        text = bytes_slice(text, (size_t)open + 1, (size_t)close);
    text = bytes_trim(text);
    static const char edges[] = "<>'`,;:";
    while (text.len && bytes_find(B("<>'`,;: "), text.at[0]) >= 0)
        text = bytes_skip(text, 1);
    while (text.len && (bytes_find(bytes_str(edges), text.at[text.len - 1]) >= 0 ||
                        text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '.'))
        text.len--;
    if (bytes_starts_nocase(text, B("mailto:")))
        text = bytes_skip(text, 7);
    if (bytes_starts_nocase(text, B("smtp:")))
        text = bytes_skip(text, 5);
    ptrdiff_t colon = bytes_starts(text, B("@")) ? bytes_find(text, ':') : -1;
    return colon > 0 ? bytes_skip(text, (size_t)colon + 1) : text; /* a source route */
}

struct bytes clean_host(struct bytes text, struct arena *a) {
    text = without_type(clean_line(text, a));
    while (text.len && bytes_find(B("[<(\"'"), text.at[0]) >= 0)
        text = bytes_skip(text, 1);
    size_t n = 0;
    while (n < text.len && text.at[n] > ' ' && bytes_find(B("()[]<>,;\"'|"), text.at[n]) < 0)
        n++;
    text = bytes_first(text, n);
    while (text.len && (text.at[text.len - 1] == '.' || text.at[text.len - 1] == ':'))
        text.len--;
    return bytes_first(text, 255);
}
