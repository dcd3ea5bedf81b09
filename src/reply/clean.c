/* clean: at each octet, the tables of what may stand there in a costume; else the octet itself. */
#include "reply/clean.h"

#include "base/must.h"

#include <string.h>

enum { TAG_MAX = 200 };

struct costume {
    struct bytes worn, plain;
};
#define ROW(worn, plain)                                                                           \
    {                                                                                              \
        { worn, sizeof worn - 1 }, {                                                               \
            plain, sizeof plain - 1                                                                \
        }                                                                                          \
    }

static const struct costume beyond_ascii[] = {
    ROW("\xe2\x80\x98", "'"),   ROW("\xe2\x80\x99", "'"),  ROW("\xe2\x80\x9a", "'"),
    ROW("\xe2\x80\x9b", "'"),   ROW("\xca\xbc", "'"),      ROW("\xc2\xb4", "'"),
    ROW("\xe2\x80\x9c", "\""),  ROW("\xe2\x80\x9d", "\""), ROW("\xe2\x80\x9e", "\""),
    ROW("\xe2\x80\x9f", "\""),  ROW("\xc2\xab", "\""),     ROW("\xc2\xbb", "\""),
    ROW("\xe2\x80\x90", "-"),   ROW("\xe2\x80\x91", "-"),  ROW("\xe2\x80\x92", "-"),
    ROW("\xe2\x80\x93", "-"),   ROW("\xe2\x80\x94", "-"),  ROW("\xe2\x80\x95", "-"),
    ROW("\xe2\x88\x92", "-"),   ROW("\xe2\x86\x92", "->"), ROW("\xe2\x87\x92", "->"),
    ROW("\xe2\x80\xa6", "..."), ROW("\xc2\xa0", " "),      ROW("\xe2\x80\xaf", " "),
    ROW("\xe2\x81\x9f", " "),   ROW("\xe3\x80\x80", " "),  ROW("\xe2\x80\xa8", " "),
    ROW("\xe2\x80\xa9", " "),   ROW("\xe2\x80\x8b", ""),   ROW("\xe2\x80\x8c", ""),
    ROW("\xe2\x80\x8d", ""),    ROW("\xe2\x80\x8e", ""),   ROW("\xe2\x80\x8f", ""),
    ROW("\xe2\x81\xa0", ""),    ROW("\xef\xbb\xbf", ""),   ROW("\xc2\xad", ""),
};

/* Entities; what other programs make of line ends and blanks. */
static const struct costume within_ascii[] = {
    ROW("&lt;", "<"),   ROW("&gt;", ">"),   ROW("&amp;", "&"),  ROW("&quot;", "\""),
    ROW("&apos;", "'"), ROW("&#39;", "'"),  ROW("&#34;", "\""), ROW("&#60;", "<"),
    ROW("&#62;", ">"),  ROW("&nbsp;", " "), ROW("&#160;", " "), ROW("&#13;", " "),
    ROW("&#10;", " "),  ROW("\\\"", "\""),  ROW("#012", " "),   ROW("#015", " "),
    ROW("#011", " "),   ROW("=0D", " "),    ROW("=0A", " "),    ROW("=3D", "="),
    ROW("=3C", "<"),    ROW("=3E", ">"),    ROW("\\r\\n", " "),
};

static const char *const tags[] = { "br",   "p",    "b",    "i",    "u",  "em", "strong",
                                    "span", "font", "a",    "li",   "ul", "td", "tr",
                                    "pre",  "code", "tt",   "div",  "h1", "h2", "h3",
                                    "hr",   "html", "body", "table" };

static bool is_blank(char c) {
    return (unsigned char)c <= ' ' || c == 127;
}

/* "<br>", "</p>", "<font color=...>"; 0 for "<user@host>". */
static size_t tag_length(struct bytes text) {
    size_t start = text.len > 1 && text.at[1] == '/' ? 2 : 1, end = start;
    while (end < text.len && ascii_is_alnum(text.at[end]))
        end++;
    bool ends =
        end < text.len && (text.at[end] == '>' || text.at[end] == ' ' || text.at[end] == '/');
    for (size_t i = 0; ends && i < COUNT_OF(tags); i++) {
        if (!bytes_equal_nocase(bytes_slice(text, start, end), bytes_str(tags[i])))
            continue;
        ptrdiff_t close = bytes_find(bytes_first(text, TAG_MAX), '>');
        return close < 0 ? 0 : (size_t)close + 1;
    }
    return 0;
}

/* "ESC [ 31 m" */
static size_t escape_length(struct bytes text) {
    size_t len = 2;
    if (text.len < 2 || text.at[1] != '[')
        return 1;
    while (len < text.len && !ascii_is_alpha(text.at[len]) && len < 20)
        len++;
    return len < text.len ? len + 1 : len;
}

/* "\n", where it stands for the end of a line rather than in a name. */
static size_t line_end_length(struct bytes text) {
    if (text.len < 2 || !strchr("nrt", text.at[1]))
        return 0;
    bool ends = text.len == 2 || is_blank(text.at[2]) || text.at[2] == '\\' || text.at[2] == '"' ||
                ascii_is_digit(text.at[2]);
    return ends ? 2 : 0;
}

static const struct costume *find_costume(const struct costume *rows, size_t count,
                                          struct bytes text) {
    for (size_t i = 0; i < count; i++)
        if (bytes_starts_nocase(text, rows[i].worn))
            return &rows[i];
    return NULL;
}

/* How much here stands for a blank. */
static size_t blank_length(struct bytes text) {
    char c = text.at[0];
    if (c == '<')
        return tag_length(text);
    if (c == '\x1b')
        return escape_length(text);
    if (c == '\\')
        return line_end_length(text);
    return is_blank(c) ? 1 : 0;
}

static void add_blank(struct buf *out) {
    if (out->len && out->at[out->len - 1] != ' ')
        buf_char(out, ' ');
}

/* Full-width letters, U+FF01 to U+FF5E, are ASCII made wide. */
static char narrow(struct bytes text) {
    if (text.len < 3 || (unsigned char)text.at[0] != 0xef)
        return 0;
    unsigned point =
        0xf000u | (((unsigned char)text.at[1] & 0x3fu) << 6) | ((unsigned char)text.at[2] & 0x3fu);
    return point >= 0xff01 && point <= 0xff5e ? (char)(point - 0xff01 + '!') : 0;
}

static void add_plain(struct buf *out, struct bytes plain) {
    if (bytes_equal(plain, B(" ")))
        add_blank(out);
    else
        buf_add(out, plain);
}

/* Writes what stands at the start, and says how long it was. */
static size_t add_one(struct buf *out, struct bytes text) {
    bool wide = (unsigned char)text.at[0] >= 0x80;
    const struct costume *costume = wide ? find_costume(beyond_ascii, COUNT_OF(beyond_ascii), text)
                                    : strchr("&\\#=", text.at[0])
                                        ? find_costume(within_ascii, COUNT_OF(within_ascii), text)
                                        : NULL;
    if (costume) {
        add_plain(out, costume->plain);
        return costume->worn.len;
    }
    char c = wide ? narrow(text) : 0;
    if (c) {
        buf_char(out, c);
        return 3;
    }
    buf_char(out, text.at[0]);
    return 1;
}

void clean_text(struct buf *out, struct bytes text) {
    while (text.len && !out->full) {
        size_t blank = blank_length(text);
        if (blank)
            add_blank(out);
        text = bytes_skip(text, blank ? blank : add_one(out, text));
    }
    if (out->len && out->at[out->len - 1] == ' ')
        buf_cut(out, out->len - 1);
}
