/* downgrade: the structure of a message as it streams by: which part an octet belongs to, what may be
 * done to it, and what is written in its place. This file alone knows where MIME parts begin and end
 * (RFC 2046 section 5.1): the line end in front of a boundary is the boundary's, so it is held back
 * until the next line has begun. Both passes go through the same code; the first writes down an octet
 * for each part (what must be done), which the second reads. */
#include "message/downgrade_parts.h"

#include "base/scan.h"

#include <string.h>

enum {
    BOUNDARY_MAX = 200, /* RFC 2046 section 5.1.1: 70 */
    LINE_HELD = 256,    /* of a line that may be a boundary */
    DEPTH_MAX = 32,     /* multiparts in multiparts */
    PARTS_MAX = 10000,
    SHORT_TEXT = 256, /* octets */
    HEADER_MOST = 512 * 1024,
};

/* Why a part is left as it is. */
enum lock {
    LOCK_NONE,
    LOCK_SIGNED,
    LOCK_ENCRYPTED,
    LOCK_PARTIAL,
    LOCK_UNREADABLE,
    LOCK_ENCODING,
    LOCK_DEEP,
    LOCK_ADDRESS,
};
static const struct {
    const char *status, *text;
} obstacles[] = {
    [LOCK_SIGNED] = { "5.6.3", "a part with a signature (multipart/signed) has 8-bit content, and "
                               "converting it would break the signature" },
    [LOCK_ENCRYPTED] = { "5.6.3",
                         "an encrypted part (multipart/encrypted) has 8-bit content, which must "
                         "not be changed" },
    [LOCK_PARTIAL] = { "5.6.3",
                       "it is a fragment (message/partial) with 8-bit content, which must not be "
                       "changed" },
    [LOCK_UNREADABLE] = { "5.6.3", "the MIME structure around its 8-bit content cannot be read" },
    [LOCK_ENCODING] = { "5.6.3",
                        "its 8-bit content is in a transfer encoding that is not known here" },
    [LOCK_DEEP] = { "5.6.3", "it has more parts, or deeper ones, than are looked into" },
    [LOCK_ADDRESS] = { "5.6.7", "an address in its header is not ASCII" },
};

struct frame { /* a multipart that is open */
    char boundary[BOUNDARY_MAX];
    size_t length;
    bool digest;
    enum lock lock; /* of its parts */
};

enum encoding { ENCODING_IDENTITY, ENCODING_QP, ENCODING_BASE64, ENCODING_UNKNOWN };
enum kind { KIND_LEAF, KIND_MULTIPART, KIND_MESSAGE };

struct part {
    size_t number;
    bool top;        /* a message, not only a part of one */
    enum lock outer; /* what it stands in: holds for its header, too */
    enum lock lock;  /* of its body */
    enum kind kind;
    enum encoding encoding;
    bool relabel; /* says 8bit or binary */
    bool has_type, has_encoding, has_version, text;
    uint64_t octets, eightbit;
    int utf8_due; /* octets of a character still to come; -1: it is not UTF-8 */
};

enum where { IN_HEADER, IN_BODY, IN_FILLER };

struct downgrade {
    struct arena *scratch; /* of one header */
    struct buf plan;       /* an octet a part */
    struct downgrade_finding finding;
    bool converting, lost;
    struct buf *out;
    struct buf sink; /* in the place of out while only looking */

    struct frame frames[DEPTH_MAX];
    size_t depth;
    size_t parts;
    struct part part;
    enum where where;
    struct buf header;
    size_t header_line; /* where its last line begins */

    bool held_cr;
    bool in_line;   /* part of the line has been passed on */
    bool line_due;  /* a line end is held back */
    bool line_open; /* the last line that went out has no end yet */
    char held[LINE_HELD];
    size_t held_length;
    struct encoder encoder;
};

enum { PLAN_UTF8 = 0x10, PLAN_ACTION = 0x0f };

static void obstacle(struct downgrade *d, enum lock lock) {
    if (d->finding.obstacle)
        return;
    d->finding.obstacle = obstacles[lock].text;
    d->finding.status = obstacles[lock].status;
}

/* --- out ---------------------------------------------------------------------------------------- */

static void put(struct downgrade *d, struct bytes text) {
    if (d->converting && text.len) {
        buf_add(d->out, text);
        d->line_open = text.at[text.len - 1] != '\n';
    }
}

static void put_line_end(struct downgrade *d) {
    put(d, B("\r\n"));
}

/* --- bodies ---------------------------------------------------------------------------------------- */

static int utf8_after(int due, struct bytes text) {
    for (size_t i = 0; i < text.len && due >= 0; i++) {
        unsigned char c = (unsigned char)text.at[i];
        bool continues = (c & 0xc0) == 0x80;
        if (continues != (due > 0))
            due = -1;
        else if (continues)
            due--;
        else
            due = c < 0x80 ? 0 : c < 0xc2 ? -1 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : -1;
    }
    return due;
}

static size_t count_eightbit(struct bytes text) {
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += (unsigned char)text.at[i] >> 7;
    return n;
}

static void scan_text(struct downgrade *d, struct bytes text) {
    struct part *p = &d->part;
    size_t found = count_eightbit(text);
    p->octets += text.len;
    p->eightbit += found;
    if (d->where == IN_BODY && (found || p->utf8_due > 0))
        p->utf8_due = utf8_after(p->utf8_due, text);
}

static void encode(struct downgrade *d, struct bytes text) {
    size_t before = d->out->len;
    encoder_text(&d->encoder, text, d->out);
    if (d->out->len > before)
        d->line_open = d->out->at[d->out->len - 1] != '\n';
}

static void body_text(struct downgrade *d, struct bytes text) {
    if (!d->converting)
        scan_text(d, text);
    else if (text.len)
        encode(d, text);
}

static void body_line_end(struct downgrade *d) {
    if (!d->converting) {
        d->part.octets += 2;
        return;
    }
    encoder_line_end(&d->encoder, d->out);
    d->line_open = d->encoder.action == ACTION_BASE64;
}

/* --- the plan ----------------------------------------------------------------------------------------- */

static enum action action_for(const struct part *p) {
    if (p->encoding == ENCODING_QP)
        return ACTION_MEND_QP;
    if (p->encoding == ENCODING_BASE64)
        return ACTION_MEND_BASE64;
    /* What a person may have to read as it is, unless it would become much longer. */
    bool readable = p->octets < SHORT_TEXT || p->eightbit < p->octets / 4;
    return p->text && readable ? ACTION_QP : ACTION_BASE64;
}

/* About what encoding adds. */
static uint64_t growth(enum action action, const struct part *p) {
    uint64_t escaped = p->eightbit * 2 + p->octets / 32; /* "=3D", blanks: some */
    bool base64 = action == ACTION_BASE64;
    return base64 ? p->octets * 39 / 100 + 4 : escaped + (p->octets + escaped) / 70 * 3;
}

static void plan_part(struct downgrade *d) {
    struct part *p = &d->part;
    if (!p->eightbit)
        return;
    d->finding.eightbit = true;
    if (p->kind != KIND_LEAF) { /* filler */
        if (p->lock)
            obstacle(d, p->lock);
        return;
    }
    if (p->lock || p->number >= d->plan.len) {
        obstacle(d, p->lock ? p->lock : LOCK_DEEP);
        return;
    }
    enum action action = action_for(p);
    bool utf8 = p->utf8_due == 0;
    d->plan.at[p->number] = (char)(action | (utf8 ? PLAN_UTF8 : 0));
    d->finding.size += growth(action, p);
}

/* The part's body is over; what follows is not its own. */
static void end_body(struct downgrade *d) {
    if (!d->converting) {
        plan_part(d);
        return;
    }
    size_t before = d->out->len;
    encoder_end(&d->encoder, d->out);
    if (d->out->len > before)
        d->line_open = true;
}

/* --- reading a header ------------------------------------------------------------------------------------ */

struct media {
    struct bytes type, subtype, boundary;
};

static bool in_token(char c) {
    return c > ' ' && c < 127 && bytes_find(B("()<>@,;:\\\"/[]?="), c) < 0;
}

static void skip_space(struct scan *s) {
    int depth = 0;
    while (!scan_done(s)) {
        int c = scan_peek(s);
        if (c != ' ' && c != '\t' && c != '(' && !depth)
            return;
        depth += (c == '(') - (c == ')');
        scan_char(s);
        if (c == '\\')
            scan_take(s, !scan_done(s));
    }
}

static struct bytes take_value(struct scan *s, struct arena *a) {
    if (!scan_accept(s, '"'))
        return scan_while(s, in_token);
    char *text = arena_alloc(a, s->rest.len + 1);
    size_t len = 0;
    while (!scan_done(s) && !scan_accept(s, '"')) {
        scan_accept(s, '\\');
        if (!scan_done(s))
            text[len++] = scan_char(s);
    }
    return bytes_of(text, len);
}

/* RFC 2045 section 5.1. The first boundary counts. */
static struct media read_type(struct bytes value, struct arena *a) {
    struct scan s = scan_of(header_unfold(value, a));
    struct media m = { 0 };
    skip_space(&s);
    m.type = scan_while(&s, in_token);
    skip_space(&s);
    if (scan_accept(&s, '/')) {
        skip_space(&s);
        m.subtype = scan_while(&s, in_token);
    }
    for (;;) {
        scan_until(&s, ';');
        if (!scan_accept(&s, ';'))
            return m;
        skip_space(&s);
        struct bytes name = scan_while(&s, in_token);
        skip_space(&s);
        if (!scan_accept(&s, '='))
            continue;
        skip_space(&s);
        bool wanted = bytes_equal_nocase(name, B("boundary")) && !m.boundary.len;
        if (wanted)
            m.boundary = take_value(&s, a);
        else if (scan_accept(&s, '"'))
            for (char c = 0; !scan_done(&s) && c != '"';)
                if ((c = scan_char(&s)) == '\\')
                    scan_take(&s, !scan_done(&s));
    }
}

static enum encoding read_encoding(struct bytes value, bool *relabel_out, struct arena *a) {
    struct scan s = scan_of(header_unfold(value, a));
    skip_space(&s);
    struct bytes name = scan_while(&s, in_token);
    *relabel_out = bytes_equal_nocase(name, B("8bit")) || bytes_equal_nocase(name, B("binary"));
    if (*relabel_out || bytes_equal_nocase(name, B("7bit")) || !name.len)
        return ENCODING_IDENTITY;
    if (bytes_equal_nocase(name, B("quoted-printable")))
        return ENCODING_QP;
    return bytes_equal_nocase(name, B("base64")) ? ENCODING_BASE64 : ENCODING_UNKNOWN;
}

static enum lock lock_of_multipart(struct bytes subtype) {
    if (bytes_equal_nocase(subtype, B("signed")))
        return LOCK_SIGNED;
    return bytes_equal_nocase(subtype, B("encrypted")) ? LOCK_ENCRYPTED : LOCK_NONE;
}

/* A boundary without an end of its own: blanks at its end are not significant. */
static struct bytes trim_end(struct bytes text) {
    while (text.len && (text.at[text.len - 1] == ' ' || text.at[text.len - 1] == '\t'))
        text.len--;
    return text;
}

static void open_multipart(struct downgrade *d, const struct media *m) {
    struct bytes boundary = trim_end(m->boundary);
    bool usable = boundary.len && boundary.len <= BOUNDARY_MAX && bytes_is_ascii(boundary);
    if (!usable || d->depth == DEPTH_MAX) {
        if (!d->part.lock)
            d->part.lock = usable ? LOCK_DEEP : LOCK_UNREADABLE;
        return;
    }
    struct frame *f = &d->frames[d->depth++];
    memcpy(f->boundary, boundary.at, boundary.len);
    f->length = boundary.len;
    f->digest = bytes_equal_nocase(m->subtype, B("digest"));
    f->lock = d->part.lock = d->part.lock ? d->part.lock : lock_of_multipart(m->subtype);
    d->part.kind = KIND_MULTIPART;
}

static bool is_message_in_message(const struct media *m) {
    return bytes_equal_nocase(m->subtype, B("rfc822")) ||
           bytes_equal_nocase(m->subtype, B("global")) || bytes_equal_nocase(m->subtype, B("news"));
}

static void read_media(struct downgrade *d, const struct media *m) {
    struct part *p = &d->part;
    bool message = bytes_equal_nocase(m->type, B("message"));
    p->text = message || bytes_equal_nocase(m->type, B("text")) || !m->type.len;
    if (bytes_equal_nocase(m->type, B("multipart"))) {
        open_multipart(d, m);
    } else if (message && bytes_equal_nocase(m->subtype, B("partial"))) {
        if (!p->lock)
            p->lock = LOCK_PARTIAL;
    } else if (message && is_message_in_message(m) && p->encoding == ENCODING_IDENTITY) {
        p->kind = KIND_MESSAGE;
    } else if (p->encoding == ENCODING_UNKNOWN && !p->lock) {
        p->lock = LOCK_ENCODING;
    }
}

/* What the header says of the part. */
static void read_header(struct downgrade *d) {
    struct part *p = &d->part;
    struct bytes rest = buf_bytes(&d->header);
    struct header_field f;
    struct media media = { 0 };
    while (header_next(&rest, &f) == HEADER_FIELD) {
        if (!p->has_type && bytes_equal_nocase(f.name, B("Content-Type"))) {
            p->has_type = true;
            media = read_type(f.value, d->scratch);
        } else if (!p->has_encoding && bytes_equal_nocase(f.name, B("Content-Transfer-Encoding"))) {
            p->has_encoding = true;
            p->encoding = read_encoding(f.value, &p->relabel, d->scratch);
        }
        p->has_version |= bytes_equal_nocase(f.name, B("MIME-Version"));
    }
    bool digest = d->depth && !p->top && d->frames[d->depth - 1].digest;
    if (digest && !p->has_type)
        media = (struct media){ .type = B("message"), .subtype = B("rfc822") };
    read_media(d, &media);
}

/* --- writing a header --------------------------------------------------------------------------------------- */

static const char *label_for(enum action action, const struct part *p) {
    if (action == ACTION_QP)
        return "quoted-printable";
    if (action == ACTION_BASE64)
        return "base64";
    return action == ACTION_KEEP && p->relabel ? "7bit" : NULL;
}

/* A field with octets above 127 is written anew, or is an obstacle. */
static void put_field(struct downgrade *d, const struct header_field *f, struct buf *to) {
    if (bytes_is_ascii(f->whole)) {
        buf_add(to, f->whole);
        return;
    }
    d->finding.eightbit = d->finding.eightbit_header = true;
    if (d->part.outer)
        obstacle(d, d->part.outer);
    else if (!downgrade_field(f, d->scratch, to))
        obstacle(d, LOCK_ADDRESS);
}

static void put_label(struct buf *to, const char *label) {
    buf_str(to, "Content-Transfer-Encoding: ");
    buf_str(to, label);
    buf_str(to, "\r\n");
}

/* What the new encoding needs besides, where the sender left it out (RFC 2045 section 4). */
static void put_missing(const struct part *p, bool utf8, const char *label, struct buf *to) {
    if (p->top && !p->has_version)
        buf_str(to, "MIME-Version: 1.0\r\n");
    if (!p->has_type)
        buf_str(to, utf8 ? "Content-Type: text/plain; charset=utf-8\r\n"
                         : "Content-Type: text/plain; charset=unknown-8bit\r\n");
    if (!p->has_encoding)
        put_label(to, label);
}

static void write_header(struct downgrade *d, enum action action, bool utf8, struct buf *to) {
    const struct part *p = &d->part;
    const char *label = p->outer ? NULL : label_for(action, p);
    bool labelled = false;
    struct bytes rest = buf_bytes(&d->header);
    struct header_field f;
    while (header_next(&rest, &f) == HEADER_FIELD) {
        bool is_label = label && bytes_equal_nocase(f.name, B("Content-Transfer-Encoding"));
        if (!is_label)
            put_field(d, &f, to);
        else if (!labelled)
            put_label(to, label);
        labelled |= is_label;
    }
    if (action == ACTION_QP || action == ACTION_BASE64)
        put_missing(p, utf8, label, to);
}

/* --- parts ------------------------------------------------------------------------------------------------------ */

static void begin_part(struct downgrade *d, bool top, enum lock outer) {
    size_t number = d->parts++;
    if (number >= PARTS_MAX && !outer)
        outer = LOCK_DEEP;
    if (!d->converting && number < PARTS_MAX)
        buf_char(&d->plan, ACTION_KEEP);
    d->part = (struct part){ .number = number, .top = top, .outer = outer, .lock = outer };
    d->where = IN_HEADER;
    d->header_line = 0;
    buf_clear(&d->header);
}

static void begin_filler(struct downgrade *d, enum lock lock) {
    d->where = IN_FILLER;
    d->part = (struct part){ .kind = KIND_MULTIPART, .outer = lock, .lock = lock };
    encoder_begin(&d->encoder, lock ? ACTION_KEEP : ACTION_MASK);
}

static int planned(struct downgrade *d) {
    if (d->part.number < d->plan.len)
        return d->plan.at[d->part.number];
    d->lost |= d->part.number < PARTS_MAX;
    return ACTION_KEEP;
}

static void end_header(struct downgrade *d, bool empty_line) {
    arena_reset(d->scratch);
    read_header(d);
    int plan = d->converting ? planned(d) : ACTION_KEEP;
    enum action action = (enum action)(plan & PLAN_ACTION);
    buf_clear(&d->sink);
    write_header(d, action, plan & PLAN_UTF8, d->out);
    if (empty_line || action == ACTION_QP || action == ACTION_BASE64)
        buf_str(d->out, "\r\n");
    d->line_open = d->line_due = d->in_line = false;
    if (d->part.kind == KIND_MESSAGE) {
        begin_part(d, true, d->part.lock);
    } else if (d->part.kind == KIND_MULTIPART) {
        begin_filler(d, d->part.lock);
    } else {
        d->where = IN_BODY;
        encoder_begin(&d->encoder, action);
    }
}

/* --- boundaries --------------------------------------------------------------------------------------------------- */

static bool is_boundary(const struct frame *f, struct bytes line, bool *closing_out) {
    struct bytes boundary = bytes_of(f->boundary, f->length);
    if (!bytes_starts(line, B("--")) || !bytes_starts(bytes_skip(line, 2), boundary))
        return false;
    struct bytes rest = bytes_skip(line, 2 + boundary.len);
    *closing_out = bytes_starts(rest, B("--"));
    return trim_end(bytes_skip(rest, *closing_out ? 2 : 0)).len == 0;
}

/* Of the innermost multipart that it fits: one that was not closed ends with the one around it. */
static struct frame *find_boundary(struct downgrade *d, struct bytes line, bool *closing_out) {
    for (size_t i = d->depth; i > 0; i--)
        if (is_boundary(&d->frames[i - 1], line, closing_out))
            return &d->frames[i - 1];
    return NULL;
}

static bool at_boundary(struct downgrade *d, struct bytes line) {
    bool closing;
    struct frame *f = find_boundary(d, line, &closing);
    if (!f)
        return false;
    while (d->where == IN_HEADER)
        end_header(d, false);
    end_body(d);
    if (d->line_due || d->line_open)
        put_line_end(d);
    d->line_due = false;
    put(d, line);
    put_line_end(d);
    d->depth = (size_t)(f - d->frames) + !closing;
    if (closing)
        begin_filler(d, f->lock);
    else
        begin_part(d, false, f->lock);
    return true;
}

/* --- lines ---------------------------------------------------------------------------------------------------------- */

static void line_part(struct downgrade *d, struct bytes text, bool ended);

/* A header that is too long to be looked into: nothing in this part may need a change. */
static void spill(struct downgrade *d) {
    d->part.outer = d->part.lock = LOCK_DEEP;
    d->where = IN_BODY;
    d->in_line = true;
    encoder_begin(&d->encoder, ACTION_KEEP);
    body_text(d, buf_bytes(&d->header));
    buf_clear(&d->header);
}

/* A line that belongs to no header: the body begins, though no empty line does (as Python reads it, and
 * as accept writes it for the message's own header). */
static void end_header_at(struct downgrade *d, struct bytes line) {
    struct buf copy = buf_grow(HEADER_MOST);
    buf_add(&copy, line);
    buf_cut(&d->header, d->header_line);
    end_header(d, false);
    line_part(d, buf_bytes(&copy), true);
    buf_free(&copy);
}

static bool is_header_line(const struct downgrade *d, struct bytes line) {
    if (d->header_line && (line.at[0] == ' ' || line.at[0] == '\t'))
        return true;
    struct header_field f;
    return header_next(&line, &f) != HEADER_MALFORMED && f.whole.len;
}

static void header_line(struct downgrade *d, struct bytes line) {
    if (!line.len) {
        end_header(d, true);
        return;
    }
    char boundary[LINE_HELD];
    if (d->depth && line.len <= sizeof boundary) {
        memcpy(boundary, line.at, line.len);
        if (at_boundary(d, bytes_of(boundary, line.len)))
            return;
    }
    buf_str(&d->header, "\r\n");
    struct bytes whole = bytes_skip(buf_bytes(&d->header), d->header_line);
    if (is_header_line(d, whole))
        d->header_line = d->header.len;
    else
        end_header_at(d, bytes_first(whole, whole.len - 2));
}

static void header_part(struct downgrade *d, struct bytes text, bool ended) {
    if (d->header.len + text.len + 2 > HEADER_MOST) {
        spill(d);
        line_part(d, text, ended);
        return;
    }
    buf_add(&d->header, text);
    if (ended)
        header_line(d, bytes_skip(buf_bytes(&d->header), d->header_line));
}

/* The line is no boundary, so the line end in front of it belongs to the body. */
static void pass(struct downgrade *d, struct bytes text) {
    if (!d->in_line && d->line_due)
        body_line_end(d);
    d->line_due = false;
    d->in_line = true;
    body_text(d, text);
}

static bool may_be_boundary(const struct downgrade *d) {
    struct bytes held = bytes_of(d->held, d->held_length);
    return bytes_starts(B("--"), held) || bytes_starts(held, B("--"));
}

static void body_part(struct downgrade *d, struct bytes text, bool ended) {
    if (!d->in_line && d->depth && d->held_length + text.len <= LINE_HELD) {
        if (text.len)
            memcpy(d->held + d->held_length, text.at, text.len);
        d->held_length += text.len;
        text = BYTES_NONE;
        if (!ended && may_be_boundary(d))
            return;
        struct bytes held = bytes_of(d->held, d->held_length);
        if (ended && may_be_boundary(d) && at_boundary(d, held)) {
            d->held_length = 0;
            return;
        }
    }
    pass(d, bytes_of(d->held, d->held_length));
    pass(d, text);
    d->held_length = 0;
    d->line_due = ended;
    d->in_line = !ended;
}

static void line_part(struct downgrade *d, struct bytes text, bool ended) {
    if (!text.len && !ended)
        return;
    if (d->where == IN_HEADER)
        header_part(d, text, ended);
    else
        body_part(d, text, ended);
}

/* A CR is part of the line end if LF comes next, which may be in the next piece. */
static void feed(struct downgrade *d, struct bytes data) {
    while (data.len) {
        ptrdiff_t at = bytes_find(data, '\n');
        bool ended = at >= 0;
        struct bytes text = bytes_first(data, ended ? (size_t)at : data.len);
        data = bytes_skip(data, text.len + ended);
        if (d->held_cr && (text.len || !ended))
            line_part(d, B("\r"), false);
        d->held_cr = text.len && text.at[text.len - 1] == '\r';
        line_part(d, bytes_first(text, text.len - d->held_cr), ended);
        d->held_cr &= !ended;
    }
}

static void finish(struct downgrade *d) {
    if (d->held_cr)
        line_part(d, B("\r"), false);
    d->held_cr = false;
    if (d->held_length || d->header.len > d->header_line)
        line_part(d, BYTES_NONE, true);
    while (d->where == IN_HEADER)
        end_header(d, false);
    if (d->line_due)
        body_line_end(d);
    end_body(d);
    if (d->line_open)
        put_line_end(d);
}

/* --- the door ------------------------------------------------------------------------------------------------------------ */

static void drop(void *arg) {
    struct downgrade *d = arg;
    buf_free(&d->plan);
    buf_free(&d->header);
    buf_free(&d->sink);
    arena_close(&d->scratch);
}

static void restart(struct downgrade *d, bool converting, struct buf *out) {
    d->converting = converting;
    d->out = out;
    d->depth = d->parts = d->held_length = 0;
    d->held_cr = d->in_line = d->line_due = d->line_open = d->lost = false;
    begin_part(d, true, LOCK_NONE);
}

struct downgrade *downgrade_open(struct arena *a) {
    struct downgrade *d = ARENA_NEW(a, struct downgrade);
    d->scratch = arena_open();
    d->plan = buf_grow(PARTS_MAX + 1);
    d->header = buf_grow(HEADER_MOST + 16);
    d->sink = buf_grow(8 * HEADER_MOST);
    arena_defer(a, drop, d);
    restart(d, false, &d->sink);
    return d;
}

void downgrade_scan(struct downgrade *d, struct bytes piece) {
    d->finding.size += piece.len;
    feed(d, piece);
}

const struct downgrade_finding *downgrade_scanned(struct downgrade *d) {
    finish(d);
    buf_free(&d->sink);
    return &d->finding;
}

void downgrade_begin(struct downgrade *d) {
    restart(d, true, NULL);
}

void downgrade_feed(struct downgrade *d, struct bytes piece, struct buf *out) {
    d->out = out;
    feed(d, piece);
}

bool downgrade_end(struct downgrade *d, struct buf *out) {
    d->out = out;
    finish(d);
    return !d->lost && d->parts >= d->plan.len && !d->finding.obstacle && !out->full;
}
