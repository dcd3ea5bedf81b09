/* why: filling in the reasons of a failure. This file alone makes texts fit to stand in a reply and
 * in a log: one line, whole characters, no controls. */
#include "base/why.h"

#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Cuts at `max` octets, but not within a character. */
static size_t cut_len(const char *text, size_t len, size_t max) {
    if (len <= max)
        return len;
    while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
        max--;
    return max;
}

__attribute__((format(printf, 2, 0))) static void set_text(struct why *w, const char *format,
                                                           va_list args) {
    char raw[WHY_TEXT + 8]; /* a few more, to see where the character at the cut begins */
    int len = vsnprintf(raw, sizeof raw, format, args);
    size_t got = len < 0 ? 0 : (size_t)len < sizeof raw ? (size_t)len : sizeof raw - 1;
    got = cut_len(raw, got, WHY_TEXT - 1);
    for (size_t i = 0; i < got; i++)
        if ((unsigned char)raw[i] < 0x20 || raw[i] == 0x7f)
            raw[i] = ' ';
    /* Never longer than raw: what is broken becomes one '?'. */
    struct buf b = buf_fixed(w->text, sizeof w->text);
    buf_printable(&b, bytes_of(raw, got));
    buf_text(&b);
}

__attribute__((format(printf, 4, 0))) static void set(struct why *w, struct why next,
                                                      const char *reason, const char *format,
                                                      va_list args) {
    /* Into `next` first: the arguments may well be parts of *w. */
    set_text(&next, format, args);
    snprintf(next.reason, sizeof next.reason, "%s", reason ? reason : "");
    *w = next;
}

enum rc why_set(struct why *w, enum rc rc, int code, const char *status, const char *reason,
                const char *format, ...) {
    if (!w)
        return rc;
    struct why next = { .code = code };
    if (!status_parse(bytes_str(status), &next.status))
        next.status = (struct status){ 0 };
    va_list args;
    va_start(args, format);
    set(w, next, reason, format, args);
    va_end(args);
    return rc;
}

enum rc why_backend(struct why *w, const char *reason, const char *format, ...) {
    if (!w)
        return TEMP;
    va_list args;
    va_start(args, format);
    set(w, (struct why){ .code = 451, .status = { 4, 3, 0 } }, reason, format, args);
    va_end(args);
    return TEMP;
}

void why_clear(struct why *w) {
    if (w)
        *w = (struct why){ 0 };
}

static bool status_number(struct bytes text, uint16_t *out) {
    uint64_t n;
    if (text.len > 3 || !bytes_to_u64(text, 999, &n))
        return false;
    *out = (uint16_t)n;
    return true;
}

bool status_parse(struct bytes text, struct status *out) {
    struct status s = { 0 };
    struct bytes klass, subject;
    bytes_split(&text, '.', &klass);
    bytes_split(&text, '.', &subject);
    if (klass.len != 1 || bytes_find(B("245"), klass.at[0]) < 0)
        return false;
    if (!status_number(subject, &s.subject) || !status_number(text, &s.detail))
        return false;
    s.klass = (uint8_t)(klass.at[0] - '0');
    *out = s;
    return true;
}

bool status_is_set(struct status s) {
    return s.klass != 0;
}

void status_format(struct status s, char out[12]) {
    out[0] = '\0';
    if (status_is_set(s))
        snprintf(out, 12, "%u.%u.%u", s.klass % 10u, s.subject % 1000u, s.detail % 1000u);
}
