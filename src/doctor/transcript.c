/* transcript: the lines, and how they are written. This file alone knows how a secret is kept out of
 * them. */
#include "doctor/transcript.h"

#include "base/must.h"

#include <string.h>

enum { FIRST_ROOM = 64, SECRET_LEAST = 3, SECRET_MAX = 4096, MASK_MAX = 64 * 1024 };

void transcript_open(struct transcript *t, struct arena *a) {
    *t = (struct transcript){ .arena = a };
}

/* --- secrets ------------------------------------------------------------------------------------- */

void transcript_secret(struct transcript *t, struct bytes secret) {
    if (secret.len >= SECRET_LEAST && t->secret_count < TRANSCRIPT_SECRETS)
        t->secrets[t->secret_count++] = arena_copy(t->arena, secret);
}

static void secret_in_base64(struct transcript *t, struct bytes raw) {
    struct buf b = buf_grow(2 * SECRET_MAX);
    buf_base64(&b, raw);
    transcript_secret(t, buf_bytes(&b));
    buf_free(&b);
}

/* The longest first: a shorter one may be a part of it. */
void transcript_password(struct transcript *t, struct bytes user, struct bytes password) {
    struct buf plain = buf_grow(2 * SECRET_MAX);
    if (!password.len)
        return;
    buf_char(&plain, '\0');
    buf_add(&plain, user);
    buf_char(&plain, '\0');
    buf_add(&plain, password);
    secret_in_base64(t, buf_bytes(&plain));
    secret_in_base64(t, password);
    transcript_secret(t, password);
    explicit_bzero(plain.at, plain.len);
    buf_free(&plain);
}

static struct bytes without(struct arena *a, struct bytes text, struct bytes secret) {
    ptrdiff_t at = bytes_search(text, secret);
    if (at < 0)
        return text;
    struct buf b = buf_grow(MASK_MAX);
    for (; at >= 0; at = bytes_search(text, secret)) {
        buf_add(&b, bytes_first(text, (size_t)at));
        buf_str(&b, "********");
        text = bytes_skip(text, (size_t)at + secret.len);
    }
    buf_add(&b, text);
    struct bytes masked = arena_copy(a, buf_bytes(&b));
    buf_free(&b);
    return masked;
}

struct bytes transcript_masked(struct transcript *t, struct bytes text) {
    text = bytes_first(text, MASK_MAX / 4);
    for (size_t i = 0; i < t->secret_count; i++)
        text = without(t->arena, text, t->secrets[i]);
    return text;
}

/* --- lines ------------------------------------------------------------------------------------------ */

static struct transcript_line *room_for_one(struct transcript *t) {
    if (t->count == t->room) {
        size_t room = t->room ? 2 * t->room : FIRST_ROOM;
        struct transcript_line *lines = ARENA_ARRAY(t->arena, room, struct transcript_line);
        if (t->count)
            memcpy(lines, t->lines, t->count * sizeof *lines);
        t->lines = lines;
        t->room = room;
    }
    return &t->lines[t->count++];
}

static struct bytes cleaned(struct transcript *t, struct bytes text) {
    struct buf b = buf_grow(4 * TRANSCRIPT_TEXT);
    struct bytes part = bytes_first(text, TRANSCRIPT_TEXT);
    while (part.len < text.len && part.len && ((unsigned char)text.at[part.len] & 0xc0) == 0x80)
        part.len--; /* not inside a character */
    buf_printable(&b, part);
    if (part.len < text.len)
        buf_printf(&b, " ... (%zu octets more)", text.len - part.len);
    struct bytes copy = arena_copy(t->arena, buf_bytes(&b));
    buf_free(&b);
    return copy;
}

void transcript_add(struct transcript *t, int64_t ms, struct bytes session, enum mark mark,
                    bool tls, struct bytes text) {
    if (t->count >= TRANSCRIPT_LINES) {
        t->dropped++;
        return;
    }
    struct transcript_line *line = room_for_one(t);
    bool foreign = mark != MARK_SENT;
    *line = (struct transcript_line){
        .ms = ms,
        .session = session,
        .mark = mark,
        .tls = tls,
        .text = cleaned(t, foreign ? transcript_masked(t, text) : text),
    };
    if (t->on_line)
        t->on_line(t->ctx, line);
}

/* --- for people and for scripts ---------------------------------------------------------------------- */

static const char *arrow(const struct transcript_line *line) {
    static const char *const arrows[][2] = {
        [MARK_NOTE] = { "===", "===" },        [MARK_FAULT] = { "***", "***" },
        [MARK_SENT] = { " ->", " ~>" },        [MARK_GOT] = { "<- ", "<~ " },
        [MARK_GOT_REFUSAL] = { "<**", "<~*" },
    };
    return arrows[line->mark][line->tls];
}

void transcript_line_text(const struct transcript_line *line, struct buf *out) {
    buf_printf(out, "%s %.*s", arrow(line), BYTES_FMT(line->text));
}

void transcript_json(const struct transcript *t, struct buf *out) {
    static const char *const marks[] = { "note", "fault", "sent", "got", "got" };
    buf_char(out, '[');
    for (size_t i = 0; i < t->count; i++) {
        const struct transcript_line *line = &t->lines[i];
        buf_str(out, i ? ",{\"session\":" : "{\"session\":");
        buf_json(out, line->session);
        buf_printf(out, ",\"ms\":%lld,\"mark\":\"%s\",\"tls\":%s,\"text\":", (long long)line->ms,
                   marks[line->mark], line->tls ? "true" : "false");
        buf_json(out, line->text);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}
