/* reply: replies as text. This file alone knows their form: ours are one line, never too long, never
 * cut within a character; others' are read line by line, tolerant in the end of a line and strict
 * in the three digits, so that nothing that is no reply is ever taken for one. */
#include "smtp/reply.h"

#include "base/must.h"
#include "base/scan.h"

#include <string.h>

enum {
    LINE_MAX_READ = 4096,
    LINES_MAX = 200,
    TEXT_MAX = 2000,
    RAW_MAX = 8192,
};

/* --- ours ---------------------------------------------------------------------------------- */

/* The longest beginning of text with at most max octets that ends with a character. */
static struct bytes cut(struct bytes text, size_t max) {
    if (text.len <= max)
        return text;
    while (max > 0 && ((unsigned char)text.at[max] & 0xc0) == 0x80)
        max--;
    return bytes_first(text, max);
}

static bool class_fits(struct status status, int code) {
    return status_is_set(status) && status.klass == code / 100;
}

void smtp_reply_format(struct buf *out, const struct why *why, struct bytes tail, bool enhanced) {
    char line[SMTP_REPLY_LINE + 1], status[12] = "";
    struct buf b = buf_fixed(line, sizeof line);
    /* A why that nobody filled in is a fault of ours. */
    int code = why->code >= 200 && why->code <= 599 ? why->code : 451;
    buf_i64(&b, code);
    if (enhanced && class_fits(why->status, code))
        status_format(why->status, status);
    struct bytes text = bytes_str(why->text);
    tail = cut(tail, SMTP_REPLY_LINE / 2);
    size_t parts = 3 + (*status ? strlen(status) + 1 : 0) + 1 + (tail.len ? tail.len + 1 : 0);
    text = cut(text, SMTP_REPLY_LINE - parts);
    buf_char(&b, ' ');
    if (*status)
        buf_printf(&b, "%s%s", status, text.len || tail.len ? " " : "");
    buf_printable(&b, text);
    if (tail.len && text.len)
        buf_char(&b, ' ');
    buf_printable(&b, tail);
    MUST(!b.full);
    buf_add(out, buf_bytes(&b));
    buf_str(out, "\r\n");
}

/* --- others' ------------------------------------------------------------------------------- */

struct smtp_reply_reader {
    struct buf line; /* one that came in pieces */
    struct buf text, raw;
    int code; /* of the lines so far */
    struct status status;
    unsigned lines;
    bool told; /* the reply in text and raw has been handed out */
};

static void free_reader(void *arg) {
    smtp_reply_reader_free(arg);
}

struct smtp_reply_reader *smtp_reply_reader_open(struct arena *a) {
    struct smtp_reply_reader *r = ARENA_NEW(a, struct smtp_reply_reader);
    r->line = buf_grow(LINE_MAX_READ + 2);
    r->text = buf_grow(TEXT_MAX);
    r->raw = buf_grow(RAW_MAX);
    arena_defer(a, free_reader, r);
    return r;
}

static void forget(struct smtp_reply_reader *r) {
    buf_clear(&r->text);
    buf_clear(&r->raw);
    r->code = 0;
    r->status = (struct status){ 0 };
    r->lines = 0;
    r->told = false;
}

void smtp_reply_reader_free(struct smtp_reply_reader *r) {
    buf_free(&r->line);
    buf_free(&r->text);
    buf_free(&r->raw);
    forget(r);
}

bool smtp_reply_partial(const struct smtp_reply_reader *r) {
    return r->line.len > 0 || (r->lines > 0 && !r->told);
}

static enum rc no_reply(struct smtp_reply_reader *r, struct why *why, const char *what,
                        struct bytes seen) {
    char shown[80];
    struct buf b = buf_fixed(shown, sizeof shown);
    buf_printable(&b, bytes_first(seen, sizeof shown - 1));
    forget(r);
    buf_clear(&r->line);
    return why_set(why, PERM, 451, "4.5.0", "remote.protocol",
                   "The other server's answer is no SMTP reply: %s%s%s", what, b.len ? ": " : "",
                   buf_text(&b));
}

/* Takes an enhanced code off the front of a line's text: the first one found, and whatever repeats
 * it; another one is information and stays. */
static struct bytes take_status(struct smtp_reply_reader *r, struct bytes text) {
    ptrdiff_t blank = bytes_find(text, ' ');
    struct bytes word = blank < 0 ? text : bytes_first(text, (size_t)blank);
    struct status status;
    if (!status_parse(word, &status) || !class_fits(status, r->code))
        return text;
    bool first = !status_is_set(r->status);
    if (!first && (status.subject != r->status.subject || status.detail != r->status.detail))
        return text;
    r->status = status;
    return bytes_trim(bytes_skip(text, word.len));
}

/* As much of text as there is room for. */
static void add_text(struct smtp_reply_reader *r, struct bytes text) {
    if (text.len == 0)
        return;
    if (r->text.len > 0 && r->text.len < TEXT_MAX)
        buf_char(&r->text, ' ');
    buf_printable(&r->text, cut(text, TEXT_MAX - r->text.len));
}

/* What is wrong with a line, or NULL; *last_out: it ends the reply. */
static const char *read_line(struct smtp_reply_reader *r, struct bytes line, bool *last_out) {
    struct scan s = scan_of(line);
    struct bytes digits = scan_take(&s, 3);
    uint64_t code;
    if (s.bad || !bytes_to_u64(digits, 599, &code) || code < 200)
        return "it does not begin with a code from 200 to 599";
    if (!scan_done(&s) && scan_peek(&s) != ' ' && scan_peek(&s) != '-')
        return "neither a blank nor a hyphen follows the code";
    if (r->lines > 0 && (int)code / 100 != r->code / 100)
        return "its lines have different codes";
    *last_out = !scan_accept(&s, '-');
    r->code = (int)code;
    if (++r->lines > LINES_MAX)
        return "it has too many lines";
    if (r->raw.len)
        buf_char(&r->raw, '\n');
    buf_add(&r->raw, line);
    add_text(r, take_status(r, bytes_trim(s.rest)));
    return NULL;
}

static struct bytes without_cr(struct bytes line) {
    return line.len && line.at[line.len - 1] == '\r' ? bytes_first(line, line.len - 1) : line;
}

/* The next line, put together if it came in pieces; false if its end is not there yet. */
static bool next_line(struct smtp_reply_reader *r, struct bytes *data, struct bytes *line_out) {
    ptrdiff_t lf = bytes_find(*data, '\n');
    struct bytes piece = lf < 0 ? *data : bytes_first(*data, (size_t)lf);
    *data = bytes_skip(*data, lf < 0 ? data->len : (size_t)lf + 1);
    if (lf >= 0 && r->line.len == 0) {
        *line_out = without_cr(piece);
        return true;
    }
    buf_add(&r->line, bytes_first(piece, LINE_MAX_READ + 2 - r->line.len));
    *line_out = without_cr(buf_bytes(&r->line));
    return lf >= 0;
}

static void hand_out(struct smtp_reply_reader *r, struct smtp_reply *out) {
    r->told = true;
    *out = (struct smtp_reply){
        .code = r->code,
        .status = r->status,
        .text = buf_bytes(&r->text),
        .raw = buf_bytes(&r->raw),
        .lines = r->lines,
    };
}

enum rc smtp_reply_read(struct smtp_reply_reader *r, struct bytes data, size_t *used_out,
                        struct smtp_reply *out, struct why *why) {
    struct bytes rest = data, line;
    bool last = false;
    *out = (struct smtp_reply){ 0 };
    if (r->told)
        forget(r);
    while (!last) {
        bool whole = next_line(r, &rest, &line);
        *used_out = data.len - rest.len;
        if (line.len > LINE_MAX_READ)
            return no_reply(r, why, "a line is longer than 4096 octets", bytes_first(line, 40));
        if (!whole)
            return MORE;
        const char *wrong = read_line(r, line, &last);
        if (wrong)
            return no_reply(r, why, wrong, line);
        buf_clear(&r->line);
    }
    hand_out(r, out);
    return OK;
}
