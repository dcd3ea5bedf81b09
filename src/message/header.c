/* header: where a field begins and ends, and which fields a message has. This file knows how lines
 * that break the rules are told apart: a field without its line end is still a field (BDAT may end
 * anywhere), a line that is no field ends header_next but not header_summarise, which reads on to
 * the empty line, because some mail programs do, and a second From must not hide behind junk. */
#include "message/header.h"

#include "base/must.h"

#include <string.h>

/* The first line with its line end; all of it when there is none. LF alone ends a line here: what a
 * mail program may take for one must not be overlooked. */
static struct bytes first_line(struct bytes text) {
    const char *end = text.len ? memchr(text.at, '\n', text.len) : NULL;
    return end ? bytes_first(text, (size_t)(end - text.at) + 1) : text;
}

static struct bytes without_line_end(struct bytes line) {
    if (line.len && line.at[line.len - 1] == '\n')
        line.len--;
    if (line.len && line.at[line.len - 1] == '\r')
        line.len--;
    return line;
}

static bool is_complete(struct bytes line) {
    return line.len && line.at[line.len - 1] == '\n';
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* The length of a field with all its folded lines. */
static size_t field_length(struct bytes text) {
    size_t len = first_line(text).len;
    while (len < text.len && is_blank(text.at[len]))
        len += first_line(bytes_skip(text, len)).len;
    return len;
}

/* The length of the name a line begins with, and where its colon is; false if it begins with none.
 * Blanks before the colon are obsolete but read (RFC 5322 section 4.5). */
static bool find_name(struct bytes line, size_t *name_out, size_t *colon_out) {
    size_t at = 0;
    while (at < line.len && line.at[at] > ' ' && line.at[at] < 127 && line.at[at] != ':')
        at++;
    *name_out = at;
    while (at < line.len && is_blank(line.at[at]))
        at++;
    *colon_out = at;
    return *name_out > 0 && at < line.len && line.at[at] == ':';
}

enum header_next header_next(struct bytes *rest, struct header_field *out) {
    struct bytes line = first_line(*rest);
    *out = (struct header_field){ 0 };
    if (is_complete(line) && without_line_end(line).len == 0) {
        *rest = bytes_skip(*rest, line.len);
        return HEADER_END;
    }
    if (rest->len == 0)
        return HEADER_END;
    size_t name, colon;
    if (!find_name(line, &name, &colon))
        return is_complete(line) ? HEADER_MALFORMED : HEADER_TRUNCATED;
    out->whole = bytes_first(*rest, field_length(*rest));
    out->name = bytes_first(line, name);
    out->value = bytes_skip(without_line_end(out->whole), colon + 1);
    *rest = bytes_skip(*rest, out->whole.len);
    return is_complete(out->whole) ? HEADER_FIELD : HEADER_TRUNCATED;
}

size_t header_length(struct bytes text) {
    for (size_t at = 0; at < text.len;) {
        struct bytes line = first_line(bytes_skip(text, at));
        at += line.len;
        if (is_complete(line) && without_line_end(line).len == 0)
            return at;
    }
    return 0;
}

/* header_next that passes over lines that are no fields; true as long as there is a field. */
static bool next_field(struct bytes *rest, struct header_field *out, enum header_next *state_out,
                       bool *malformed_out) {
    for (;;) {
        *state_out = header_next(rest, out);
        if (*state_out == HEADER_FIELD)
            return true;
        if (*state_out == HEADER_TRUNCATED && out->name.len)
            return true;
        if (*state_out != HEADER_MALFORMED)
            return false;
        *malformed_out = true;
        *rest = bytes_skip(*rest, first_line(*rest).len);
    }
}

bool header_find(struct bytes text, struct bytes name, struct header_field *out) {
    enum header_next state;
    bool malformed;
    while (next_field(&text, out, &state, &malformed))
        if (bytes_equal_nocase(out->name, name))
            return true;
    *out = (struct header_field){ 0 };
    return false;
}

struct bytes header_unfold(struct bytes value, struct arena *a) {
    char *to = arena_alloc(a, value.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];
        size_t end = c == '\r' && i + 1 < value.len && value.at[i + 1] == '\n' ? i + 1 : i;
        bool folds = value.at[end] == '\n' && end + 1 < value.len && is_blank(value.at[end + 1]);
        if (folds) {
            i = end;
            continue;
        }
        to[len++] = c == '\r' || c == '\n' ? ' ' : c;
    }
    return bytes_trim(bytes_of(to, len));
}

#define NONE SIZE_MAX
static const struct known_field {
    struct bytes name;
    size_t count, value; /* offsets in header_summary */
} known_fields[] = {
#define FIELD(text, count, value)                                                                  \
    { { text, sizeof(text) - 1 }, offsetof(struct header_summary, count), value }
#define VALUE(member) offsetof(struct header_summary, member)
    FIELD("Received", received_fields, NONE),
    FIELD("From", from_fields, VALUE(from)),
    FIELD("Sender", sender_fields, VALUE(sender)),
    FIELD("Reply-To", reply_to_fields, VALUE(reply_to)),
    FIELD("Date", date_fields, NONE),
    FIELD("Message-ID", message_id_fields, VALUE(message_id)),
    FIELD("Return-Path", return_path_fields, NONE),
    FIELD("Bcc", bcc_fields, NONE),
#undef FIELD
    { { "Subject", 7 }, NONE, VALUE(subject) },
    { { "TLS-Required", 12 }, NONE, VALUE(tls_required) },
#undef VALUE
};

static void note_field(struct header_summary *s, const struct header_field *f) {
    for (size_t i = 0; i < COUNT_OF(known_fields); i++) {
        const struct known_field *k = &known_fields[i];
        if (k->name.len != f->name.len || !bytes_equal_nocase(k->name, f->name))
            continue;
        if (k->count != NONE)
            ++*(size_t *)(void *)((char *)s + k->count);
        if (k->value == NONE)
            return;
        struct bytes *value = (struct bytes *)(void *)((char *)s + k->value);
        if (!value->at)
            *value = bytes_trim(f->value);
        return;
    }
}

/* Does it end in a line end that stands at the start of a line? */
static bool ends_in_empty_line(struct bytes text) {
    if (!is_complete(text))
        return false;
    struct bytes before = without_line_end(text);
    return before.len == 0 || before.at[before.len - 1] == '\n';
}

void header_summarise(struct bytes text, struct header_summary *out) {
    struct bytes rest = text;
    struct header_field field;
    enum header_next state;
    *out = (struct header_summary){ 0 };
    while (next_field(&rest, &field, &state, &out->malformed))
        note_field(out, &field);
    if (state == HEADER_TRUNCATED) { /* the text ends in a line that is no field yet */
        out->malformed = true;
        rest = BYTES_NONE;
    }
    out->length = text.len - rest.len;
    out->complete = ends_in_empty_line(bytes_first(text, out->length));
    out->has_8bit = !bytes_is_ascii(bytes_first(text, out->length));
}
