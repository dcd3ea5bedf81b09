/* finding: the list, and how it is written for people and for scripts. This file alone cleans what
 * came from outside. */
#include "doctor/finding.h"

#include "base/member.h"
#include "base/must.h"

#include <stdio.h>
#include <string.h>

enum { FIRST_ROOM = 16, INDENT = 4 };

const char *severity_name(enum severity s) {
    static const char *const names[] = { "info", "warning", "error" };
    return names[s];
}

void finding_list_open(struct finding_list *l, struct arena *a) {
    memset(l, 0, sizeof *l);
    l->arena = a;
}

/* --- adding ------------------------------------------------------------------------------------------ */

static struct bytes cleaned(const struct finding_list *l, const struct finding *f,
                            const char *format, va_list args) __attribute__((format(printf, 3, 0)));

static struct bytes cleaned(const struct finding_list *l, const struct finding *f,
                            const char *format, va_list args) {
    if (f == &l->spare)
        return BYTES_NONE;
    char raw[4 * FINDING_TEXT]; /* more is cut, here or below */
    vsnprintf(raw, sizeof raw, format, args);
    struct buf clean = buf_grow(sizeof raw);
    buf_printable(&clean, bytes_trim(bytes_str(raw)));
    struct bytes text = buf_bytes(&clean);
    if (text.len > FINDING_TEXT) {
        size_t end = FINDING_TEXT;
        while (end && ((unsigned char)text.at[end] & 0xc0) == 0x80) /* not inside a character */
            end--;
        text = bytes_first(text, end);
    }
    struct bytes copy = arena_copy(l->arena, text);
    buf_free(&clean);
    return copy;
}

static void keep(struct finding_list *l, struct finding *f) {
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : FIRST_ROOM;
        struct finding **list = arena_alloc(l->arena, room * sizeof *list);
        if (l->count)
            memcpy(list, l->list, l->count * sizeof *list);
        l->list = list;
        l->room = room;
    }
    l->list[l->count++] = f;
}

static struct finding *add(struct finding_list *l, enum severity severity, const char *id,
                           const char *step) {
    bool room = l->count < FINDINGS_MAX;
    struct finding *f = room ? arena_alloc(l->arena, sizeof *f) : &l->spare;
    *f = (struct finding){ .id = id, .step = step, .severity = severity };
    if (severity > l->worst)
        l->worst = severity;
    if (room)
        keep(l, f);
    else
        l->dropped++;
    return f;
}

struct finding *finding_add(struct finding_list *l, enum severity severity, const char *id,
                            const char *step, const char *seen, ...) {
    struct finding *f = add(l, severity, id, step);
    va_list args;
    va_start(args, seen);
    f->seen = cleaned(l, f, seen, args);
    va_end(args);
    return f;
}

struct finding *finding_skip(struct finding_list *l, const char *id, const char *step,
                             const char *because, ...) {
    struct finding *f = add(l, SEVERITY_INFO, id, step);
    va_list args;
    va_start(args, because);
    f->skipped = true;
    f->seen = cleaned(l, f, because, args);
    va_end(args);
    return f;
}

void finding_about(struct finding_list *l, struct finding *f, const char *format, ...) {
    va_list args;
    va_start(args, format);
    f->about = cleaned(l, f, format, args);
    va_end(args);
}

void finding_means(struct finding_list *l, struct finding *f, const char *format, ...) {
    va_list args;
    va_start(args, format);
    f->means = cleaned(l, f, format, args);
    va_end(args);
}

void finding_fix(struct finding_list *l, struct finding *f, const char *format, ...) {
    if (f->fixes == FINDING_FIXES)
        return;
    va_list args;
    va_start(args, format);
    f->fix[f->fixes++] = cleaned(l, f, format, args);
    va_end(args);
}

void finding_copy(struct finding_list *l, const struct finding *from) {
    struct finding *f = add(l, from->severity, from->id, from->step);
    *f = *from;
}

const struct finding *finding_find(const struct finding_list *l, const char *id) {
    for (size_t i = 0; i < l->count; i++)
        if (!strcmp(l->list[i]->id, id))
            return l->list[i];
    return NULL;
}

/* --- for people -------------------------------------------------------------------------------------- */

/* The words of `text` from column `column` on, further lines from `indent` on. */
static void wrap(struct buf *out, struct bytes text, size_t column, size_t indent, size_t width) {
    struct bytes word;
    bool first = true;
    while (bytes_split(&text, ' ', &word)) {
        if (!first && column + 1 + word.len > width) {
            buf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        if (!first)
            buf_char(out, ' ');
        buf_add(out, word);
        column += word.len + !first;
        first = false;
    }
    buf_char(out, '\n');
}

static void line(struct buf *out, const char *mark, struct bytes text, size_t width) {
    if (!text.len)
        return;
    buf_printf(out, "%*s%s", INDENT, "", mark);
    wrap(out, text, INDENT + strlen(mark), INDENT + strlen(mark), width);
}

static const char *who_words(const char *who) {
    static const char *const rows[][2] = {
        { "sender", "the sender" },
        { "sender-admin", "whoever runs the server, application or device that sends" },
        { "recipient", "the recipient" },
        { "recipient-admin", "the administrator of the recipient's server or domain" },
        { "network-owner", "the owner of the address: provider, hoster" },
        { "server-admin", "the administrator of that server" },
    };
    for (size_t i = 0; who && i < COUNT_OF(rows); i++)
        if (!strcmp(who, rows[i][0]))
            return rows[i][1];
    return NULL;
}

static void finding_text(const struct finding *f, struct buf *out, size_t width) {
    size_t before = out->len;
    buf_printf(out, "%s: %s", f->skipped ? "skipped" : severity_name(f->severity), f->id);
    if (f->about.len)
        buf_printf(out, ": %.*s", BYTES_FMT(f->about));
    buf_str(out, ": ");
    wrap(out, f->seen, out->len - before, INDENT, width);
    if (f->severity == SEVERITY_INFO)
        return;
    line(out, "", f->means, width);
    line(out, "Who must act: ", bytes_str(who_words(f->who)), width);
    for (size_t i = 0; i < f->fixes; i++)
        line(out, "- ", f->fix[i], width);
}

void finding_list_text(const struct finding_list *l, struct buf *out, bool all, size_t width) {
    for (size_t i = 0; i < l->count; i++)
        if (all || l->list[i]->severity != SEVERITY_INFO)
            finding_text(l->list[i], out, width);
    if (l->dropped)
        buf_printf(out, "(and %zu more)\n", l->dropped);
}

/* --- for scripts ------------------------------------------------------------------------------------- */

static void finding_json(const struct finding *f, struct buf *b) {
    buf_str(b, "{\"id\":");
    buf_json(b, bytes_str(f->id));
    if (f->step)
        member_text(b, "step", bytes_str(f->step));
    member_text(b, "severity", bytes_str(severity_name(f->severity)));
    if (f->skipped)
        buf_str(b, ",\"skipped\":true");
    if (f->about.len)
        member_text(b, "about", f->about);
    member_text(b, "seen", f->seen);
    member_text(b, "means", f->means);
    if (f->who)
        member_text(b, "who", bytes_str(f->who));
    buf_str(b, ",\"fix\":[");
    for (size_t i = 0; i < f->fixes; i++) {
        if (i)
            buf_char(b, ',');
        buf_json(b, f->fix[i]);
    }
    buf_str(b, "]}");
}

void finding_list_json(const struct finding_list *l, struct buf *out) {
    buf_char(out, '[');
    for (size_t i = 0; i < l->count; i++) {
        if (i)
            buf_char(out, ',');
        finding_json(l->list[i], out);
    }
    buf_char(out, ']');
}
