/* mime: where parts begin and end. One pass over the message with a stack of the open multiparts, so
 * that neither depth nor the number of boundaries costs more than the message's length. This file
 * knows what to do when boundaries are missing, closed twice, or not announced. */
#include "message/mime.h"

#include "base/must.h"

#include <string.h>

/* --- header sections ---------------------------------------------------------------------------- */

static struct bytes line_at(struct bytes text, size_t at) {
    struct bytes rest = bytes_skip(text, at);
    ptrdiff_t end = bytes_find(rest, '\n');
    return end < 0 ? rest : bytes_first(rest, (size_t)end + 1);
}

static bool is_empty_line(struct bytes line) {
    return line.len == 0 || line.at[0] == '\n' || (line.at[0] == '\r' && line.len <= 2);
}

/* The octets of the name that a field begins with, or 0 for a line that begins none. */
static size_t field_name(struct bytes line) {
    size_t n = 0;
    while (n < line.len && line.at[n] > ' ' && line.at[n] < 127 && line.at[n] != ':')
        n++;
    size_t colon = n;
    while (colon < line.len && (line.at[colon] == ' ' || line.at[colon] == '\t'))
        colon++;
    return n && colon < line.len && line.at[colon] == ':' ? n : 0;
}

static bool is_folded(struct bytes line) {
    return line.len && (line.at[0] == ' ' || line.at[0] == '\t');
}

size_t mime_header_length(struct bytes text) {
    size_t at = 0, strange = 0;
    while (at < text.len) {
        struct bytes line = line_at(text, at);
        if (is_empty_line(line))
            return at + line.len;
        if (bytes_starts(line, B("--")))
            return at; /* a delimiter: this part has no body */
        if (!at && !field_name(line) && !bytes_starts(line, B("From ")) &&
            !bytes_starts(line, B(">From ")))
            return 0; /* it has no header */
        strange = is_folded(line) || field_name(line) ? 0 : strange + 1;
        if (strange > 3) /* text that nobody separated from the header */
            return at;
        at += line.len;
    }
    return text.len;
}

/* The field's value from behind the colon to the end of its folded lines. */
static struct bytes field_value(struct bytes header, size_t at, struct bytes line) {
    size_t end = at + line.len, colon = (size_t)bytes_find(line, ':');
    while (end < header.len && is_folded(line_at(header, end)))
        end += line_at(header, end).len;
    return bytes_slice(header, at + colon + 1, end);
}

static struct bytes unfold(struct bytes value, struct arena *a) {
    value = bytes_trim(bytes_first(value, MIME_HEADER));
    struct buf b = buf_fixed(arena_alloc(a, value.len + 1), value.len + 1);
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] != '\r' && value.at[i] != '\n')
            buf_char(&b, value.at[i] == '\t' || value.at[i] == 0 ? ' ' : value.at[i]);
    return buf_bytes(&b);
}

bool mime_field(struct bytes header, struct bytes name, struct arena *a, struct bytes *out) {
    header = bytes_first(header, MIME_HEADER);
    for (size_t at = 0; at < header.len;) {
        struct bytes line = line_at(header, at);
        if (field_name(line) == name.len && bytes_starts_nocase(line, name)) {
            *out = unfold(field_value(header, at, line), a);
            return true;
        }
        at += line.len;
    }
    *out = BYTES_NONE;
    return false;
}

/* --- parts -------------------------------------------------------------------------------------- */

struct open {
    struct bytes boundary; /* empty: never matches */
    size_t part;           /* the multipart */
    size_t parts;          /* when it was last closed */
};

struct walk {
    struct mime *m;
    struct bytes text;
    struct open stack[MIME_DEPTH];
    size_t opened;
};

static void read_into(struct mime *m, struct bytes text, size_t parent);

static struct mime_part *add_part(struct mime *m) {
    if (m->count == MIME_PARTS) {
        m->cut = true;
        return NULL;
    }
    if (m->count == m->room) {
        size_t room = m->room ? m->room * 2 : 8;
        struct mime_part *parts = ARENA_ARRAY(m->arena, room, struct mime_part);
        if (m->count)
            memcpy(parts, m->parts, m->count * sizeof *parts);
        m->parts = parts;
        m->room = room;
    }
    m->parts[m->count] = (struct mime_part){ 0 };
    return &m->parts[m->count++];
}

static struct bytes first_token(struct bytes value) {
    size_t n = 0;
    while (n < value.len && value.at[n] != ';' && value.at[n] > ' ' && value.at[n] != ',')
        n++;
    return bytes_first(value, n);
}

static enum mime_encoding find_encoding(struct bytes value) {
    static const struct {
        struct bytes name;
        enum mime_encoding encoding;
    } names[] = {
        { { "base64", 6 }, MIME_BASE64 },        { { "quoted-printable", 16 }, MIME_QP },
        { { "x-uuencode", 10 }, MIME_UU },       { { "uuencode", 8 }, MIME_UU },
        { { "quoted_printable", 16 }, MIME_QP },
    };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (bytes_equal_nocase(first_token(value), names[i].name))
            return names[i].encoding;
    return MIME_PLAIN;
}

/* What the part's header says of its body; boundary_out is empty unless it is a multipart. */
static void read_header(struct mime *m, struct mime_part *p, struct bytes *boundary_out) {
    struct bytes value, word;
    *boundary_out = BYTES_NONE;
    p->type = B("text/plain");
    if (mime_field(p->header, B("Content-Type"), m->arena, &value)) {
        struct bytes type = first_token(value);
        if (bytes_find(type, '/') > 0)
            p->type = arena_lower(m->arena, type);
        else if (bytes_equal_nocase(type, B("html")))
            p->type = B("text/html");
        mime_parameter(value, B("charset"), m->arena, &p->charset);
        if (bytes_starts(p->type, B("multipart/")))
            mime_parameter(value, B("boundary"), m->arena, boundary_out);
        if (mime_parameter(value, B("format"), m->arena, &word))
            p->flowed = bytes_equal_nocase(word, B("flowed"));
        if (mime_parameter(value, B("delsp"), m->arena, &word))
            p->delsp = bytes_equal_nocase(word, B("yes"));
    }
    if (mime_field(p->header, B("Content-Transfer-Encoding"), m->arena, &value))
        p->encoding = find_encoding(value);
}

/* A multipart whose announced boundary does not come, or without one: the first line that looks like
 * a delimiter, with a part's header under it, shows it. Only the beginning is looked at. */
enum { LOOK = 64 * 1024 };

static bool has_delimiter(struct bytes body, struct bytes boundary) {
    body = bytes_first(body, LOOK);
    for (size_t from = 0; boundary.len;) {
        ptrdiff_t at = bytes_search(bytes_skip(body, from), boundary);
        if (at < 0)
            return false;
        size_t p = from + (size_t)at;
        if (p >= 2 && body.at[p - 1] == '-' && body.at[p - 2] == '-' &&
            (p == 2 || body.at[p - 3] == '\n'))
            return true;
        from = p + boundary.len;
    }
    return false;
}

static struct bytes guess_boundary(struct bytes body) {
    body = bytes_first(body, LOOK);
    for (size_t at = 0; at < body.len;) {
        struct bytes line = line_at(body, at), next = line_at(body, at + line.len);
        struct bytes word = bytes_trim(bytes_skip(line, 2));
        if (bytes_starts(line, B("--")) && word.len && word.len < 200 &&
            bytes_starts_nocase(next, B("Content-")))
            return word;
        at += line.len;
    }
    return BYTES_NONE;
}

static void push(struct walk *w, struct bytes boundary, size_t part) {
    if (w->opened == MIME_DEPTH) {
        w->m->cut = true;
        return;
    }
    struct bytes body = w->m->parts[part].body;
    if (!has_delimiter(body, boundary)) {
        struct bytes guess = guess_boundary(body);
        boundary = guess.len || body.len <= LOOK ? guess : boundary;
        if (!boundary.len) { /* it has no parts: what is there may be read as it stands */
            w->m->parts[part].type = B("text/plain");
            return;
        }
    }
    w->stack[w->opened++] = (struct open){ .boundary = boundary, .part = part };
}

static bool is_message(struct bytes type) {
    return bytes_equal(type, B("message/rfc822")) || bytes_equal(type, B("message/global")) ||
           bytes_equal(type, B("message/partial")) || bytes_equal(type, B("message/news"));
}

/* Begins the part at `at`, and the message inside it, and so on. Returns where its body begins; the
 * body reaches to the end of the text until a delimiter is found. */
static size_t begin_part(struct walk *w, size_t at, size_t parent, bool message) {
    for (;;) {
        struct mime_part *p = add_part(w->m);
        if (!p)
            return at;
        size_t index = w->m->count - 1, length = mime_header_length(bytes_skip(w->text, at));
        struct bytes boundary;
        p->header = bytes_slice(w->text, at, at + length);
        p->body = bytes_skip(w->text, at + length);
        p->parent = index ? parent : 0;
        p->depth = index == 0 ? 0 : w->m->parts[parent].depth + 1;
        p->message = message;
        read_header(w->m, p, &boundary);
        at += length;
        if (bytes_starts(p->type, B("multipart/")))
            push(w, boundary, index);
        if (!is_message(p->type) || p->encoding != MIME_PLAIN || p->depth >= MIME_DEPTH)
            return at;
        parent = index;
        message = true;
    }
}

/* The body ends before the line end that belongs to the delimiter (RFC 2046 section 5.1.1). */
static void end_parts(struct walk *w, size_t first, size_t end) {
    if (end && w->text.at[end - 1] == '\n')
        end--;
    if (end && w->text.at[end - 1] == '\r')
        end--;
    const char *stop = w->text.at + end;
    for (size_t i = first; i < w->m->count; i++) {
        struct bytes *body = &w->m->parts[i].body;
        if (body->at >= w->text.at && body->at <= w->text.at + w->text.len &&
            body->at + body->len > stop)
            body->len = body->at < stop ? (size_t)(stop - body->at) : 0;
    }
}

/* The open multipart whose delimiter this line is, counted from one; 0: none. */
static size_t find_open(const struct walk *w, struct bytes line, bool *close_out) {
    struct bytes word = bytes_skip(line, 2);
    for (size_t i = w->opened; i > 0; i--) {
        struct bytes boundary = w->stack[i - 1].boundary;
        if (!boundary.len || !bytes_starts(word, boundary))
            continue;
        struct bytes tail = bytes_trim(bytes_skip(word, boundary.len));
        *close_out = bytes_starts(tail, B("--"));
        if (!tail.len || *close_out)
            return i;
    }
    return 0;
}

/* Where the next line that begins with "--" is, from `at` on; the text's length if there is none. */
static size_t next_dashes(struct bytes text, size_t at) {
    if (at == 0 || (at <= text.len && text.at[at - 1] == '\n'))
        if (bytes_starts(bytes_skip(text, at), B("--")))
            return at;
    ptrdiff_t found = bytes_search(bytes_skip(text, at), B("\n--"));
    return found < 0 ? text.len : at + (size_t)found + 1;
}

static void walk_delimiters(struct walk *w, size_t at) {
    while (w->opened && (at = next_dashes(w->text, at)) < w->text.len) {
        struct bytes line = line_at(w->text, at);
        bool close;
        size_t open = find_open(w, line, &close);
        if (!open) {
            at += 2;
            continue;
        }
        size_t part = w->stack[open - 1].part;
        if (w->stack[open - 1].parts != w->m->count) /* else all have ended already */
            end_parts(w, part + 1, at);
        w->stack[open - 1].parts = w->m->count;
        w->opened = open;
        at += line.len;
        if (close)
            continue;
        if (w->m->count == MIME_PARTS) {
            w->m->cut = true;
            return;
        }
        at = begin_part(w, at, part, false);
    }
}

/* Messages inside that are encoded (forbidden by RFC 2046 section 5.2.1, and common) are decoded and read. */
static void read_encoded(struct mime *m, size_t first) {
    size_t end = m->count;
    for (size_t i = first; i < end; i++) {
        struct mime_part p = m->parts[i];
        bool container = is_message(p.type) || bytes_starts(p.type, B("multipart/"));
        if (!container || p.encoding == MIME_PLAIN || p.depth >= MIME_DEPTH)
            continue;
        if (bytes_starts(p.type, B("multipart/")) && i + 1 < end && m->parts[i + 1].parent == i)
            continue; /* it said it was encoded, and was not */
        struct bytes inner = mime_octets(m, i);
        if (is_message(p.type))
            read_into(m, inner, i);
    }
}

static void read_into(struct mime *m, struct bytes text, size_t parent) {
    struct walk w = { .m = m, .text = text };
    size_t first = m->count;
    size_t at = begin_part(&w, 0, parent, true);
    if (m->count > first)
        walk_delimiters(&w, at);
    read_encoded(m, first);
}

void mime_read(struct bytes message, struct arena *a, struct mime *out) {
    *out = (struct mime){ .arena = a };
    read_into(out, message, 0);
}

bool mime_inside(const struct mime *m, size_t part) {
    for (; part; part = m->parts[part].parent)
        if (m->parts[part].message)
            return true;
    return false;
}

/* --- text --------------------------------------------------------------------------------------- */

static struct buf room_for(struct mime *m, size_t size) {
    size_t left = MIME_DECODED - m->decoded;
    size = size < MIME_TEXT ? size : MIME_TEXT;
    if (size > left) {
        size = left;
        m->cut = true;
    }
    return buf_fixed(arena_alloc(m->arena, size + 1), size + 1);
}

static void spend(struct mime *m, const struct buf *b) {
    m->decoded += b->len;
    if (b->full)
        m->cut = true;
}

struct bytes mime_octets(struct mime *m, size_t part) {
    static void (*const decode[])(struct buf *, struct bytes) = {
        [MIME_BASE64] = mime_unbase64,
        [MIME_QP] = mime_unqp,
        [MIME_UU] = mime_unuu,
    };
    struct mime_part *p = &m->parts[part];
    if (p->octets.at)
        return p->octets;
    if (p->encoding == MIME_PLAIN) {
        if (p->body.len > MIME_TEXT)
            m->cut = true;
        return bytes_first(p->body, MIME_TEXT);
    }
    struct buf b = room_for(m, p->body.len);
    decode[p->encoding](&b, bytes_first(p->body, (size_t)MIME_TEXT * 3));
    spend(m, &b);
    p->octets = buf_bytes(&b);
    return p->octets;
}

/* LF ends lines; other controls than tab are left out, NUL and form feed are blanks. */
static void clean(struct buf *out, struct bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c == '\r') { /* "\r\r\n", too, is one line end: servers' lines stored with theirs */
            char next = i + 1 < text.len ? text.at[i + 1] : ' ';
            if (next != '\n' && next != '\r')
                buf_char(out, '\n');
        } else if (c == '\n' || c == '\t' || (c >= ' ' && c != 127)) {
            buf_char(out, (char)c);
        } else if (c == 0 || c == '\f' || c == '\v') {
            buf_char(out, ' ');
        }
    }
}

/* RFC 3676 section 4.1: a line that ends with a blank goes on in the next one, unless it is the
 * signature's mark. */
static void unflow(struct buf *out, struct bytes text, bool delsp) {
    for (size_t at = 0; at < text.len;) {
        struct bytes line = line_at(text, at);
        at += line.len;
        bool ends = bytes_ends_nocase(line, B("\n"));
        struct bytes words = ends ? bytes_first(line, line.len - 1) : line;
        bool soft = ends && bytes_ends_nocase(words, B(" ")) && !bytes_equal(words, B("-- "));
        bool joined = out->len && out->at[out->len - 1] != '\n';
        if (bytes_starts(words, B(" ")) && !joined)
            words = bytes_skip(words, words.len > 1 && words.at[1] != ' ' ? 1 : 0);
        buf_add(out, soft && delsp ? bytes_first(words, words.len - 1) : words);
        if (!soft && ends)
            buf_char(out, '\n');
    }
}

static struct bytes read_text(struct mime *m, size_t part) {
    struct bytes octets = mime_octets(m, part);
    const struct mime_part *p = &m->parts[part];
    bool html = bytes_equal(p->type, B("text/html"));
    struct buf wide = room_for(m, octets.len * 3);
    mime_utf8(&wide, p->charset, octets);
    spend(m, &wide);
    struct buf lines = room_for(m, wide.len);
    clean(&lines, buf_bytes(&wide));
    spend(m, &lines);
    if (!html && !p->flowed)
        return buf_bytes(&lines);
    struct buf other = room_for(m, lines.len * 2);
    if (html)
        mime_html(&other, buf_bytes(&lines));
    else
        unflow(&other, buf_bytes(&lines), p->delsp);
    spend(m, &other);
    return buf_bytes(&other);
}

struct bytes mime_text(struct mime *m, size_t part) {
    struct mime_part *p = &m->parts[part];
    if (!p->text.at)
        p->text = read_text(m, part);
    return p->text;
}
