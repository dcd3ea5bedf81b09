/* lines: what makes text safe to stand in a message: everything that other people wrote (replies,
 * subjects, host names, addresses) passes through here on its way into a report, so this file is
 * where a line end or a control character of theirs ends. */
#include "report/notice.h"

#include <string.h>

enum { WIDTH = 76, WORD_MAX = 480, LINE_OCTETS = 998 };

static bool continues_character(char c) {
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Cut so that no character is halved. */
static struct bytes cut(struct bytes text, size_t max) {
    if (text.len <= max)
        return text;
    while (max > 0 && continues_character(text.at[max]))
        max--;
    return bytes_first(text, max);
}

struct bytes line_clean(struct arena *a, struct bytes text, size_t max) {
    text = cut(bytes_trim(text), max);
    char *spaced = arena_alloc(a, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        bool blank = c == ' ' || (c >= '\t' && c <= '\r');
        if (!blank)
            spaced[len++] = c;
        else if (len && spaced[len - 1] != ' ')
            spaced[len++] = ' ';
    }
    struct buf b = buf_fixed(arena_alloc(a, len + 1), len + 1);
    buf_printable(&b, bytes_of(spaced, len));
    return bytes_trim(buf_bytes(&b));
}

struct bytes line_ascii(struct arena *a, struct bytes text, size_t max) {
    struct bytes clean = line_clean(a, text, max);
    char *to = arena_alloc(a, clean.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < clean.len; i++)
        if (!continues_character(clean.at[i]))
            to[len++] = (unsigned char)clean.at[i] < 128 ? clean.at[i] : '?';
    return bytes_of(to, len);
}

/* Characters, taking each code point for one column. */
static size_t width_of(struct bytes text) {
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += !continues_character(text.at[i]);
    return width;
}

static void spaces(struct buf *b, size_t count) {
    while (count--)
        buf_char(b, ' ');
}

/* Takes the next word, or as much of it as may stand on a line. */
static bool next_word(struct bytes *rest, struct bytes *word) {
    *rest = bytes_trim(*rest);
    size_t len = 0;
    while (len < rest->len && rest->at[len] != ' ')
        len++;
    *word = cut(bytes_first(*rest, len), WORD_MAX);
    *rest = bytes_skip(*rest, word->len);
    return word->len > 0;
}

/* Words from here on; `column` says where on the line the writer stands. */
static void wrap_words(struct buf *b, size_t column, size_t indent, struct bytes text) {
    struct bytes word;
    bool fresh = true; /* nothing but the indent on this line */
    while (next_word(&text, &word)) {
        size_t width = width_of(word);
        if (!fresh && column + 1 + width > WIDTH) {
            buf_str(b, "\r\n");
            spaces(b, indent);
            column = indent;
            fresh = true;
        }
        if (!fresh)
            buf_char(b, ' ');
        buf_add(b, word);
        column += width + !fresh;
        fresh = false;
    }
    buf_str(b, "\r\n");
}

void line_wrap(struct buf *b, const char *first, size_t indent, struct bytes text) {
    buf_str(b, first);
    wrap_words(b, strlen(first), indent, text);
}

void line_field(struct buf *b, const char *name, struct bytes value) {
    buf_str(b, name);
    buf_str(b, ": ");
    wrap_words(b, strlen(name) + 2, 1, value);
}

/* The octets up to a line end or the longest line there may be. */
static size_t copy_length(struct bytes content) {
    size_t len = 0;
    while (len < content.len && content.at[len] != '\r' && content.at[len] != '\n')
        len++;
    return cut(bytes_first(content, len), LINE_OCTETS).len;
}

static void copy_line(struct buf *b, struct bytes line) {
    while (line.len) {
        const char *nul = memchr(line.at, '\0', line.len);
        size_t len = nul ? (size_t)(nul - line.at) : line.len;
        buf_add(b, bytes_first(line, len));
        if (nul)
            buf_char(b, ' ');
        line = bytes_skip(line, len + (nul != NULL));
    }
    buf_str(b, "\r\n");
}

void line_copy(struct buf *b, struct bytes content) {
    while (content.len && !b->full) {
        struct bytes line = bytes_first(content, copy_length(content));
        copy_line(b, line);
        content = bytes_skip(content, line.len);
        if (bytes_starts(content, B("\r\n")))
            content = bytes_skip(content, 2);
        else if (content.len && (content.at[0] == '\r' || content.at[0] == '\n'))
            content = bytes_skip(content, 1);
    }
}

bool line_is_message_id(struct bytes id) {
    if (id.len < 5 || id.len > 900 || id.at[0] != '<' || id.at[id.len - 1] != '>')
        return false;
    for (size_t i = 1; i + 1 < id.len; i++)
        if (id.at[i] <= ' ' || id.at[i] == 127 || id.at[i] == '<' || id.at[i] == '>')
            return false;
    return bytes_is_ascii(id) && bytes_find(id, '@') > 0;
}

/* At most 45 octets of text each, cut between characters. */
void line_encoded(struct buf *b, struct bytes text) {
    while (text.len) {
        size_t len = text.len < 42 ? text.len : 42;
        while (len < text.len && len > 38 && ((unsigned char)text.at[len] & 0xc0) == 0x80)
            len--;
        buf_str(b, "=?utf-8?B?");
        buf_base64(b, bytes_first(text, len));
        buf_str(b, "?=");
        text = bytes_skip(text, len);
        if (text.len)
            buf_char(b, ' ');
    }
}

struct bytes line_safe_id(struct arena *a, struct bytes text) {
    struct buf b = buf_fixed(arena_alloc(a, 56), 56);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (ascii_is_alnum(c) || c == '-' || (c == '.' && b.len && b.at[b.len - 1] != '.'))
            buf_char(&b, c);
    }
    while (b.len && b.at[b.len - 1] == '.')
        buf_cut(&b, b.len - 1);
    return b.len ? buf_bytes(&b) : B("report");
}
