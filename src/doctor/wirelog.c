/* wirelog: lines in, lines out. This file alone knows which part of a line of AUTH may be shown. */
#include "doctor/wirelog.h"

#include <stdarg.h>
#include <string.h>

static void add(struct wirelog *w, int64_t now, enum mark mark, struct bytes text) {
    if (w->transcript)
        transcript_add(w->transcript, now - w->began, w->session, mark, w->tls, text);
}

void wirelog_note(struct wirelog *w, int64_t now, enum mark mark, const char *format, ...) {
    char text[TRANSCRIPT_TEXT];
    struct buf b = buf_fixed(text, sizeof text);
    va_list args;
    va_start(args, format);
    buf_vprintf(&b, format, args);
    va_end(args);
    add(w, now, mark, buf_bytes(&b));
}

/* --- received ---------------------------------------------------------------------------------------- */

static bool is_refusal(struct bytes line) {
    return line.len >= 3 && (line.at[0] == '4' || line.at[0] == '5') &&
           ascii_is_digit(line.at[1]) && ascii_is_digit(line.at[2]);
}

/* A challenge may hold what the answer was made of. */
static bool is_challenge(const struct wirelog *w, struct bytes line) {
    return w->login && bytes_starts(line, B("334 ")) && line.len > 4;
}

static void got_line(struct wirelog *w, int64_t now, struct bytes line, size_t more) {
    char text[WIRELOG_LINE + 64];
    struct buf b = buf_fixed(text, sizeof text);
    if (++w->lines > WIRELOG_LINES) {
        w->unseen++;
        return;
    }
    if (line.len && line.at[line.len - 1] == '\r')
        line.len--;
    if (is_challenge(w, line))
        buf_str(&b, "334 ********");
    else
        buf_add(&b, line);
    if (more)
        buf_printf(&b, " ... (%zu octets more)", more);
    add(w, now, is_refusal(line) ? MARK_GOT_REFUSAL : MARK_GOT, buf_bytes(&b));
}

static void end_line(struct wirelog *w, int64_t now) {
    w->last_len = w->line_len < sizeof w->last ? w->line_len : sizeof w->last;
    memcpy(w->last, w->line, w->last_len);
    got_line(w, now, bytes_of(w->line, w->line_len), w->line_more);
    w->line_len = w->line_more = 0;
}

static void take(struct wirelog *w, struct bytes piece) {
    struct bytes kept = bytes_first(piece, sizeof w->line - w->line_len);
    if (kept.len)
        memcpy(w->line + w->line_len, kept.at, kept.len);
    w->line_len += kept.len;
    w->line_more += piece.len - kept.len;
}

void wirelog_got(struct wirelog *w, int64_t now, struct bytes data) {
    while (data.len) {
        ptrdiff_t lf = bytes_find(data, '\n');
        take(w, lf < 0 ? data : bytes_first(data, (size_t)lf));
        data = bytes_skip(data, lf < 0 ? data.len : (size_t)lf + 1);
        if (lf >= 0)
            end_line(w, now);
    }
}

void wirelog_got_all(struct wirelog *w, int64_t now) {
    if (w->line_len)
        end_line(w, now);
    if (w->unseen)
        wirelog_note(w, now, MARK_NOTE, "(%zu lines more are not shown)", w->unseen);
    if (w->content_more)
        wirelog_note(w, now, MARK_NOTE, "(%zu lines of the message are not shown)",
                     w->content_more);
    w->unseen = w->content_more = 0;
}

/* --- sent ---------------------------------------------------------------------------------------------- */

static void sent_login(struct wirelog *w, int64_t now, struct bytes line) {
    char text[128];
    struct buf b = buf_fixed(text, sizeof text);
    struct bytes rest = line, verb, mechanism;
    if (bytes_equal(line, B("*"))) {
        add(w, now, MARK_SENT, line);
        return;
    }
    if (bytes_starts_nocase(line, B("AUTH "))) {
        bytes_split(&rest, ' ', &verb);
        bytes_split(&rest, ' ', &mechanism);
        buf_printf(&b, "AUTH %.*s%s", BYTES_FMT(mechanism), rest.len ? " " : "");
    }
    if (!b.len || rest.len)
        buf_str(&b, "********");
    add(w, now, MARK_SENT, buf_bytes(&b));
}

static void sent_line(struct wirelog *w, int64_t now, struct bytes line) {
    if (line.len && line.at[line.len - 1] == '\r')
        line.len--;
    if (w->login)
        sent_login(w, now, line);
    else if (w->content && ++w->content_lines > WIRELOG_CONTENT_LINES && !bytes_equal(line, B(".")))
        w->content_more++;
    else
        add(w, now, MARK_SENT, line);
}

void wirelog_sent(struct wirelog *w, int64_t now, struct bytes data) {
    struct bytes line;
    if (!w->transcript)
        return;
    while (data.len && bytes_split(&data, '\n', &line))
        sent_line(w, now, line);
}
