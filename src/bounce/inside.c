/* inside: bounces in other messages: attached, in digests, quoted or pasted into a letter. Each is read as it would
 * be by itself. */
#include "bounce/internal.h"

#include "base/map.h"
#include "base/must.h"

#include <string.h>

/* What was found inside becomes this one's; the recipients of several are put together, each once. */
static void adopt(struct reading *r, struct map *known, const struct bounce *inner) {
    struct bounce *out = r->out;
    struct bounce_recipient *list =
        ARENA_ARRAY(r->arena, out->count + inner->count + 1, struct bounce_recipient);
    size_t count = out->count;
    if (count)
        memcpy(list, out->recipients, count * sizeof *list);
    else
        *out = *inner;
    for (size_t i = 0; i < inner->count; i++) {
        struct bytes key = arena_lower(r->arena, inner->recipients[i].address);
        if (!key.len || !map_put(known, key, r))
            list[count++] = inner->recipients[i];
    }
    out->recipients = list;
    out->count = count;
}

static void close_map(void *map) {
    struct map *m = map;
    map_close(&m);
}

/* The octets of a message part: its header and body, decoded if they are encoded. */
static struct bytes inner_message(struct reading *r, size_t i) {
    const struct mime_part *p = &r->mime.parts[i];
    if (p->encoding != MIME_PLAIN)
        return mime_octets(&r->mime, i);
    return p->body;
}

static bool is_attached(struct reading *r, size_t i) {
    struct bytes type = r->mime.parts[i].type, value;
    if (mime_inside(&r->mime, i))
        return false;
    if (bytes_equal(type, B("message/rfc822")) || bytes_equal(type, B("message/global")))
        return true;
    if (!bytes_starts(type, B("application/")) && !bytes_starts(type, B("text/")))
        return false;
    return (mime_field(r->mime.parts[i].header, B("Content-Disposition"), r->arena, &value) &&
            bytes_search_nocase(value, B(".eml")) >= 0) ||
           (mime_field(r->mime.parts[i].header, B("Content-Type"), r->arena, &value) &&
            bytes_search_nocase(value, B(".eml")) >= 0);
}

enum { INNER = 64 }; /* bounces in one digest */

/* It is a notice itself: the message inside is what it is about. */
static bool is_notice(struct reading *r) {
    for (size_t i = 0; i < r->mime.count; i++)
        if (bytes_ends_nocase(r->mime.parts[i].type, B("delivery-status")) &&
            !mime_inside(&r->mime, i))
            return true;
    return signs_of_daemon(r);
}

bool read_attached(struct reading *r) {
    size_t found = 0;
    if (r->forwards >= BOUNCE_FORWARDS || is_notice(r))
        return false;
    struct map *known = map_open();
    arena_defer(r->arena, close_map, known);
    for (size_t i = 0; i < r->mime.count && found < INNER; i++) {
        struct bounce inner;
        if (!is_attached(r, i))
            continue;
        struct bytes message = inner_message(r, i);
        if (bounce_read_inner(message, r->arena, r->forwards + 1, &inner) != OK || !inner.kind)
            continue;
        adopt(r, known, &inner);
        found++;
    }
    return found > 0;
}

/* Without the marks of quoting, "> " at the beginning of lines; transcripts have such marks, too. */
static struct bytes unquote(struct bytes text, struct arena *a) {
    struct buf b = buf_fixed(arena_alloc(a, text.len + 1), text.len + 1);
    struct bytes rest = text, line;
    while (bytes_split(&rest, '\n', &line)) {
        const char *begin = line.at;
        while (line.len && (line.at[0] == '>' || line.at[0] == '|')) {
            bool session = bytes_starts(line, B(">>> ")) && extract_verb(bytes_skip(line, 4));
            if (session)
                break;
            line = bytes_skip(line, 1);
            if (line.len && line.at[0] == ' ' && line.len > 1 && line.at[1] == '>')
                line = bytes_skip(line, 1);
        }
        if (bytes_starts(line, B(" ")) && line.at != begin)
            line = bytes_skip(line, 1);
        buf_add(&b, line);
        buf_char(&b, '\n');
    }
    return buf_bytes(&b);
}

/* Where a pasted message's header begins: "From: Mail Delivery System <...>"; text.len: nowhere. */
static size_t find_pasted(struct bytes text) {
    static const struct bytes begins[] = { W("From: "),    W("Return-Path: <"), W("Date: "),
                                           W("Subject: "), W("Received: from"), W("Von: "),
                                           W("De: "),      W("*From:*") };
    for (size_t at = 0; at < text.len;) {
        struct bytes rest = bytes_skip(text, at);
        ptrdiff_t end = bytes_find(rest, '\n');
        struct bytes line = end < 0 ? rest : bytes_first(rest, (size_t)end);
        if (phrases_begin(line, begins, COUNT_OF(begins)))
            return at;
        if (end < 0)
            break;
        at += (size_t)end + 1;
    }
    return text.len;
}

static bool is_convincing(const struct bounce *b) {
    if (b->kind == BOUNCE_NONE || !b->count)
        return false;
    if (strcmp(b->format, "text"))
        return true;
    for (size_t i = 0; i < b->count; i++)
        if (extract_weight(b->recipients[i].text) >= 2)
            return true;
    return false;
}

static struct bytes all_text(struct reading *r) {
    for (size_t i = 0; i < r->mime.count; i++)
        if (bytes_starts(r->mime.parts[i].type, B("text/")) && !mime_inside(&r->mime, i))
            return mime_text(&r->mime, i);
    return BYTES_NONE;
}

/* A person has pasted or quoted a bounce into a letter. */
bool read_pasted(struct reading *r) {
    if (r->forwards >= BOUNCE_FORWARDS)
        return false;
    struct bytes text = unquote(all_text(r), r->arena);
    size_t at = find_pasted(text);
    struct bounce inner;
    if (at < text.len &&
        bounce_read_inner(bytes_skip(text, at), r->arena, r->forwards + 1, &inner) == OK &&
        inner.kind == BOUNCE_BOUNCE) {
        *r->out = inner;
        return true;
    }
    struct buf b = buf_fixed(arena_alloc(r->arena, text.len + 200), text.len + 200);
    buf_str(&b, "From: MAILER-DAEMON\nSubject: Undeliverable\n"
                "Content-Type: text/plain; charset=utf-8\n\n");
    buf_add(&b, text);
    if (bounce_read_inner(buf_bytes(&b), r->arena, BOUNCE_FORWARDS, &inner) != OK ||
        !is_convincing(&inner))
        return false;
    *r->out = inner;
    return true;
}
