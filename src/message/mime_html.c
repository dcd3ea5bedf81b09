/* mime_html: HTML as lines of text, good enough to read a server's words in: which tags begin a new line,
 * what is never shown, what an entity stands for. Tags that are none, "<ann@example.com>", stay. */
#include "base/must.h"
#include "message/mime.h"

enum { TAG = 4096 }; /* octets of a tag; a '<' without its '>' in so many is text */

static const char *const breaking[] = { "br", "p",     "div",  "tr",     "li",         "ul",
                                        "ol", "table", "h1",   "h2",     "h3",         "h4",
                                        "h5", "h6",    "hr",   "pre",    "blockquote", "title",
                                        "dt", "dd",    "body", "center", "section" };
static const char *const hidden[] = { "script", "style", "head", "title" };

static bool is_one_of(struct bytes name, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_nocase(name, bytes_str(names[i])))
            return true;
    return false;
}

struct tag {
    struct bytes name; /* empty: a comment or declaration */
    bool closing;
    size_t length;
};

/* The tag that the text begins with, whose '>' is at `end`; false: it begins with none. */
static bool read_tag(struct bytes text, ptrdiff_t end, struct tag *out) {
    *out = (struct tag){ 0 };
    if (bytes_starts(text, B("<!--"))) {
        end = bytes_search(bytes_first(text, TAG), B("-->"));
        out->length = end < 0 ? 4 : (size_t)end + 3;
        return true;
    }
    if (end < 2 || end > TAG)
        return false;
    size_t at = 1;
    if (text.at[at] == '!' || text.at[at] == '?') {
        out->length = (size_t)end + 1;
        return true;
    }
    out->closing = text.at[at] == '/';
    at += out->closing;
    size_t begin = at;
    while (ascii_is_alnum(text.at[at]) || text.at[at] == ':')
        at++;
    out->name = bytes_slice(text, begin, at);
    out->length = (size_t)end + 1;
    char c = text.at[at];
    return out->name.len && ascii_is_alpha(out->name.at[0]) &&
           (c == '>' || c == '/' || c == ' ' || c == '\t' || c == '\n' || c == '\r');
}

static const struct {
    struct bytes name;
    uint16_t code;
} entities[] = {
    { { "amp", 3 }, '&' },      { { "lt", 2 }, '<' },        { { "gt", 2 }, '>' },
    { { "quot", 4 }, '"' },     { { "apos", 4 }, '\'' },     { { "nbsp", 4 }, ' ' },
    { { "copy", 4 }, 0xa9 },    { { "reg", 3 }, 0xae },      { { "auml", 4 }, 0xe4 },
    { { "ouml", 4 }, 0xf6 },    { { "uuml", 4 }, 0xfc },     { { "Auml", 4 }, 0xc4 },
    { { "Ouml", 4 }, 0xd6 },    { { "Uuml", 4 }, 0xdc },     { { "szlig", 5 }, 0xdf },
    { { "eacute", 6 }, 0xe9 },  { { "egrave", 6 }, 0xe8 },   { { "agrave", 6 }, 0xe0 },
    { { "ccedil", 6 }, 0xe7 },  { { "ecirc", 5 }, 0xea },    { { "acirc", 5 }, 0xe2 },
    { { "aacute", 6 }, 0xe1 },  { { "iacute", 6 }, 0xed },   { { "oacute", 6 }, 0xf3 },
    { { "uacute", 6 }, 0xfa },  { { "ntilde", 6 }, 0xf1 },   { { "atilde", 6 }, 0xe3 },
    { { "otilde", 6 }, 0xf5 },  { { "ndash", 5 }, 0x2013 },  { { "mdash", 5 }, 0x2014 },
    { { "lsquo", 5 }, 0x2018 }, { { "rsquo", 5 }, 0x2019 },  { { "ldquo", 5 }, 0x201c },
    { { "rdquo", 5 }, 0x201d }, { { "hellip", 6 }, 0x2026 }, { { "bull", 4 }, 0x2022 },
};

static void put_character(struct buf *b, unsigned code) {
    if (code < 0x80) {
        buf_char(b, code >= ' ' ? (char)code : ' ');
    } else if (code < 0x800) {
        buf_char(b, (char)(0xc0 | code >> 6));
        buf_char(b, (char)(0x80 | (code & 63)));
    } else if (code < 0x10000) {
        buf_char(b, (char)(0xe0 | code >> 12));
        buf_char(b, (char)(0x80 | (code >> 6 & 63)));
        buf_char(b, (char)(0x80 | (code & 63)));
    } else {
        buf_char(b, (char)(0xf0 | code >> 18));
        buf_char(b, (char)(0x80 | (code >> 12 & 63)));
        buf_char(b, (char)(0x80 | (code >> 6 & 63)));
        buf_char(b, (char)(0x80 | (code & 63)));
    }
}

/* "#64" or "#x40"; 0: no character. */
static unsigned numeric(struct bytes name) {
    unsigned code = 0, base = 10;
    size_t i = 1;
    if (name.len > 1 && ascii_lower(name.at[1]) == 'x') {
        base = 16;
        i = 2;
    }
    for (; i < name.len; i++) {
        char c = ascii_lower(name.at[i]);
        unsigned digit = ascii_is_digit(c)      ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                                : 99;
        if (digit >= base || code > 0x10ffff)
            return 0;
        code = code * base + digit;
    }
    bool surrogate = code >= 0xd800 && code < 0xe000;
    return code > 0x10ffff || surrogate || (code >= 0x7f && code < 0xa0) ? 0 : code;
}

/* The octets of the entity that begins here, and what it stands for; 0: it is none. */
static size_t read_entity(struct bytes text, unsigned *code_out) {
    ptrdiff_t end = bytes_find(bytes_first(text, 12), ';');
    if (end < 2)
        return 0;
    struct bytes name = bytes_slice(text, 1, (size_t)end);
    *code_out = 0;
    if (name.at[0] == '#')
        *code_out = numeric(name);
    for (size_t i = 0; i < COUNT_OF(entities) && !*code_out; i++)
        if (bytes_equal(entities[i].name, name))
            *code_out = entities[i].code;
    return *code_out ? (size_t)end + 1 : 0;
}

struct state {
    struct buf *out;
    size_t close; /* where the next '>' is: looked for once, not from each '<' */
    bool blank;   /* one is due before the next word */
    unsigned pre;
    struct bytes hidden; /* the tag whose contents are not shown */
};

static void new_line(struct state *s) {
    s->blank = false;
    if (s->out->len && s->out->at[s->out->len - 1] != '\n')
        buf_char(s->out, '\n');
}

static void begin_word(struct state *s) {
    bool begins = !s->out->len || s->out->at[s->out->len - 1] == '\n';
    if (s->blank && !begins)
        buf_char(s->out, ' ');
    s->blank = false;
}

static void put_text(struct state *s, char c) {
    bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (space && s->pre) {
        buf_char(s->out, c);
        return;
    }
    if (space) {
        s->blank = true;
        return;
    }
    begin_word(s);
    buf_char(s->out, c);
}

static void put_entity(struct state *s, unsigned code) {
    if (code == ' ') {
        s->blank = true;
        return;
    }
    begin_word(s);
    put_character(s->out, code);
}

static void put_tag(struct state *s, const struct tag *tag) {
    if (s->hidden.len) {
        bool body = bytes_equal_nocase(tag->name, B("body"));
        if (body || (tag->closing && bytes_equal_nocase(tag->name, s->hidden)))
            s->hidden = BYTES_NONE;
        return;
    }
    if (!tag->closing && is_one_of(tag->name, hidden, COUNT_OF(hidden)))
        s->hidden = tag->name;
    if (bytes_equal_nocase(tag->name, B("pre")))
        s->pre = tag->closing ? 0 : 1;
    if (bytes_equal_nocase(tag->name, B("td")) || bytes_equal_nocase(tag->name, B("th")))
        s->blank = true;
    if (!is_one_of(tag->name, breaking, COUNT_OF(breaking)))
        return;
    bool paragraph =
        bytes_equal_nocase(tag->name, B("p")) || bytes_equal_nocase(tag->name, B("hr"));
    bool again = bytes_equal_nocase(tag->name, B("br")) && s->out->len &&
                 s->out->at[s->out->len - 1] == '\n';
    new_line(s);
    bool empty = s->out->len > 1 && s->out->at[s->out->len - 2] == '\n';
    if ((paragraph || again) && !empty && s->out->len)
        buf_char(s->out, '\n');
}

/* Counted from `at`; -1: there is none. */
static ptrdiff_t find_close(struct state *s, struct bytes html, size_t at) {
    if (s->close < at || !s->close) {
        ptrdiff_t found = bytes_find(bytes_skip(html, at), '>');
        s->close = found < 0 ? SIZE_MAX : at + (size_t)found;
    }
    return s->close == SIZE_MAX ? -1 : (ptrdiff_t)(s->close - at);
}

void mime_html(struct buf *out, struct bytes html) {
    struct state s = { .out = out };
    for (size_t at = 0; at < html.len && !out->full;) {
        struct bytes rest = bytes_skip(html, at);
        struct tag tag;
        unsigned code;
        size_t entity = 0;
        if (html.at[at] == '<' && read_tag(rest, find_close(&s, html, at), &tag)) {
            put_tag(&s, &tag);
            at += tag.length;
            continue;
        }
        if (!s.hidden.len && html.at[at] == '&' && (entity = read_entity(rest, &code))) {
            put_entity(&s, code);
            at += entity;
            continue;
        }
        if (!s.hidden.len)
            put_text(&s, html.at[at]);
        at++;
    }
    while (out->len && (out->at[out->len - 1] == '\n' || out->at[out->len - 1] == ' '))
        buf_cut(out, out->len - 1);
    new_line(&s);
}
