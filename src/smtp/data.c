/* data: dots and newlines of message content. This file alone decides what ends data. Content that
 * needs no thought (every LF behind a CR, every CR before an LF, no dot behind CRLF) is found by a
 * loop the compiler turns into vector code and copied whole; the rest goes octet by octet through a
 * small machine. The state is what the last octet was; content is never held back but for a dot
 * and the CR behind it, which together may be the end. */
#include "smtp/data.h"

#include <string.h>

enum state {
    LINE,   /* behind CRLF, or at the beginning */
    TEXT,   /* anywhere else */
    CR,     /* behind a CR, which has been passed on */
    DOT,    /* behind a dot that began a line, not passed on */
    DOT_CR, /* behind such a dot and a CR, neither passed on */
};

enum { BLOCK = 256 };

/* Is at[1..n-1] free of surprises, given the octet before each? Without dots to look for, LF LF
 * stands in for LF dot: it is odd anyway, and the loop has no branch. */
static bool is_plain(const char *at, size_t n, bool dots) {
    unsigned char odd = 0, dot = dots ? '.' : '\n';
    for (size_t i = 1; i < n; i++) {
        unsigned char behind_cr = at[i - 1] == '\r', behind_lf = at[i - 1] == '\n';
        unsigned char lf = at[i] == '\n';
        odd |= (unsigned char)((lf ^ behind_cr) | (behind_lf & ((unsigned char)at[i] == dot)));
    }
    return !odd;
}

static bool is_odd(char before, char c, bool dots) {
    return (c == '\n') != (before == '\r') || (dots && before == '\n' && c == '.');
}

/* How many octets of data can be copied as they are, from state LINE, TEXT or CR on. */
static size_t plain_run(enum state state, struct bytes data, bool dots) {
    char before = state == LINE ? '\n' : state == CR ? '\r' : 'x';
    if (data.len == 0 || is_odd(before, data.at[0], dots))
        return 0;
    size_t at = 0;
    while (data.len - at > BLOCK && is_plain(data.at + at, BLOCK + 1, dots))
        at += BLOCK;
    do
        at++;
    while (at < data.len && !is_odd(data.at[at - 1], data.at[at], dots));
    return at;
}

/* Within a plain run an LF always stands behind a CR. */
static enum state state_after(char last) {
    return last == '\n' ? LINE : last == '\r' ? CR : TEXT;
}

static enum state copy_run(struct bytes run, struct buf *out) {
    buf_add(out, run);
    return state_after(run.at[run.len - 1]);
}

/* --- reading ------------------------------------------------------------------------------- */

/* A CR that has been passed on proves bare, because c is no LF. */
static void end_bare_cr(struct smtp_data_in *s, struct buf *out) {
    s->bare = true;
    if (s->fix)
        buf_char(out, '\n');
}

/* An octet that is neither part of CRLF nor of a dot at the beginning of a line. */
static enum state bare_or_text(struct smtp_data_in *s, char c, struct buf *out) {
    if (c == '\n') {
        s->bare = true;
        if (s->fix)
            buf_char(out, '\r');
    }
    buf_char(out, c);
    return c == '\r' ? CR : TEXT;
}

static enum state octet(struct smtp_data_in *s, char c, struct buf *out) {
    if (s->state == CR && c == '\n') {
        buf_char(out, c);
        return LINE;
    }
    if (s->state == CR)
        end_bare_cr(s, out);
    return bare_or_text(s, c, out);
}

/* Behind a dot that began a line, with c no part of the end: the dot is dropped (RFC 5321 section
 * 4.5.2). */
static enum state stuffed_octet(struct smtp_data_in *s, char c, struct buf *out) {
    if (s->state == DOT)
        return c == '\r' ? DOT_CR : bare_or_text(s, c, out);
    buf_char(out, '\r');
    s->state = CR;
    return octet(s, c, out);
}

bool smtp_data_in(struct smtp_data_in *s, struct bytes data, size_t *used_out, struct buf *out) {
    for (size_t i = 0; i < data.len;) {
        if (s->state <= CR) {
            struct bytes rest = bytes_skip(data, i);
            size_t run = plain_run((enum state)s->state, rest, true);
            if (run) {
                s->state = (uint8_t)copy_run(bytes_first(rest, run), out);
                i += run;
                continue;
            }
        }
        char c = data.at[i++];
        if (s->state == DOT_CR && c == '\n') {
            s->state = LINE;
            *used_out = i;
            return true;
        }
        if (s->state == LINE && c == '.')
            s->state = DOT;
        else
            s->state = (uint8_t)(s->state >= DOT ? stuffed_octet(s, c, out) : octet(s, c, out));
    }
    *used_out = data.len;
    return false;
}

void smtp_data_in_bdat(struct smtp_data_in *s, struct bytes data, struct buf *out) {
    for (size_t i = 0; i < data.len;) {
        struct bytes rest = bytes_skip(data, i);
        size_t run = plain_run((enum state)s->state, rest, false);
        s->state =
            (uint8_t)(run ? copy_run(bytes_first(rest, run), out) : octet(s, rest.at[0], out));
        i += run ? run : 1;
    }
}

void smtp_data_in_bdat_end(struct smtp_data_in *s, struct buf *out) {
    if (s->state == CR)
        end_bare_cr(s, out);
    s->state = LINE;
}

/* --- writing ------------------------------------------------------------------------------- */

static void write_octet(struct smtp_data_out *s, char c, struct buf *out, bool dots) {
    if (s->state == CR && c != '\n') {
        buf_char(out, '\n');
        s->state = LINE;
    } else if (s->state != CR && c == '\n') {
        buf_char(out, '\r');
    }
    if (dots && s->state == LINE && c == '.')
        buf_char(out, '.');
    buf_char(out, c);
    s->state = (uint8_t)state_after(c);
}

static void write_content(struct smtp_data_out *s, struct bytes content, struct buf *out,
                          bool dots) {
    for (size_t i = 0; i < content.len;) {
        struct bytes rest = bytes_skip(content, i);
        size_t run = plain_run((enum state)s->state, rest, dots);
        if (run)
            s->state = (uint8_t)copy_run(bytes_first(rest, run), out);
        else
            write_octet(s, rest.at[0], out, dots);
        i += run ? run : 1;
    }
}

void smtp_data_out(struct smtp_data_out *s, struct bytes content, struct buf *out) {
    write_content(s, content, out, true);
}

void smtp_data_out_bdat(struct smtp_data_out *s, struct bytes content, struct buf *out) {
    write_content(s, content, out, false);
}

void smtp_data_out_bdat_end(struct smtp_data_out *s, struct buf *out) {
    if (s->state != LINE)
        buf_str(out, s->state == CR ? "\n" : "\r\n");
    s->state = LINE;
}

bool smtp_data_out_clean(struct smtp_data_out *s, struct bytes content) {
    if (!content.len || plain_run((enum state)s->state, content, false) < content.len)
        return false;
    s->state = (uint8_t)state_after(content.at[content.len - 1]);
    return true;
}

void smtp_data_out_finish(struct smtp_data_out *s, struct buf *out) {
    smtp_data_out_bdat_end(s, out);
    buf_str(out, ".\r\n");
}
