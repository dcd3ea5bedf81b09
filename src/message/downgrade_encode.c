/* downgrade_encode: octets as quoted-printable and base64 (RFC 2045 sections 6.7 and 6.8), as they come.
 * Line ends are told apart from octets: they are the text's own, while a bare CR or LF is an octet. */
#include "message/downgrade_parts.h"

#include <string.h>

enum { LINE_MAX_CHARS = 76 };

void encoder_begin(struct encoder *e, enum action action) {
    *e = (struct encoder){ .action = action };
}

/* --- base64 ---------------------------------------------------------------------------------- */

static void write_group(struct encoder *e, struct buf *out) {
    if (e->begun)
        buf_str(out, "\r\n");
    buf_base64(out, bytes_of(e->group, e->held));
    e->begun = true;
    e->held = 0;
}

static void add_base64(struct encoder *e, struct bytes text, struct buf *out) {
    while (text.len) {
        size_t room = sizeof e->group - e->held, n = text.len < room ? text.len : room;
        memcpy(e->group + e->held, text.at, n);
        e->held += n;
        text = bytes_skip(text, n);
        if (e->held == sizeof e->group)
            write_group(e, out);
    }
}

/* --- quoted-printable ------------------------------------------------------------------------- */

static void escape(struct buf *out, char c) {
    static const char digits[] = "0123456789ABCDEF";
    unsigned char octet = (unsigned char)c;
    buf_char(out, '=');
    buf_char(out, digits[octet >> 4]);
    buf_char(out, digits[octet & 15]);
}

/* A soft line break, where n more characters would leave no room for its '='. */
static void make_room(struct encoder *e, size_t n, struct buf *out) {
    if (e->column + n >= LINE_MAX_CHARS) {
        buf_str(out, "=\r\n");
        e->column = 0;
    }
    e->column += n;
}

static void add_escaped(struct encoder *e, char c, struct buf *out) {
    make_room(e, 3, out);
    escape(out, c);
}

static void add_blank(struct encoder *e, struct buf *out) {
    if (!e->blank)
        return;
    make_room(e, 1, out);
    buf_char(out, e->blank);
    e->blank = 0;
}

static void add_qp(struct encoder *e, struct bytes text, struct buf *out) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        add_blank(e, out);
        if (c == ' ' || c == '\t') {
            e->blank = c;
        } else if (c > ' ' && c < 127 && c != '=') {
            make_room(e, 1, out);
            buf_char(out, c);
        } else {
            add_escaped(e, c, out);
        }
    }
}

/* What is encoded already stays; no soft line break comes into an escape. */
static void mend_qp(struct encoder *e, struct bytes text, struct buf *out) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (is_eightbit(c)) {
            if (!e->escape)
                make_room(e, 3, out);
            escape(out, c);
            e->escape = 0;
            continue;
        }
        e->escape = c == '=' ? 2 : e->escape ? e->escape - 1 : 0;
        e->column++;
        buf_char(out, c);
    }
}

/* --- all ---------------------------------------------------------------------------------------- */

static void mask(struct bytes text, char instead, struct buf *out) {
    for (size_t i = 0; i < text.len; i++) {
        char c = is_eightbit(text.at[i]) ? instead : text.at[i];
        if (c)
            buf_char(out, c);
    }
}

void encoder_text(struct encoder *e, struct bytes text, struct buf *out) {
    switch (e->action) {
    case ACTION_KEEP:
        buf_add(out, text);
        break;
    case ACTION_QP:
        add_qp(e, text, out);
        break;
    case ACTION_BASE64:
        add_base64(e, text, out);
        break;
    case ACTION_MEND_QP:
        mend_qp(e, text, out);
        break;
    case ACTION_MEND_BASE64:
        mask(text, 0, out);
        break;
    case ACTION_MASK:
        mask(text, '?', out);
        break;
    }
}

/* RFC 2045 section 6.7, rule 3: no blank ends a line. */
static void end_blank(struct encoder *e, struct buf *out) {
    if (e->blank)
        add_escaped(e, e->blank, out);
    e->blank = 0;
}

void encoder_line_end(struct encoder *e, struct buf *out) {
    if (e->action == ACTION_BASE64) {
        add_base64(e, B("\r\n"), out);
        return;
    }
    end_blank(e, out);
    buf_str(out, "\r\n");
    e->column = e->escape = 0;
}

void encoder_end(struct encoder *e, struct buf *out) {
    if (e->action == ACTION_BASE64 && e->held)
        write_group(e, out);
    end_blank(e, out);
}
