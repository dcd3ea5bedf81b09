/* bounce: the order in which the readers are asked, and how what they found becomes the answer. */
#include "bounce/internal.h"

#include "base/map.h"
#include "base/must.h"

#include <string.h>

struct saying *saying_add(struct reading *r, struct sayings *s) {
    if (s->count == BOUNCE_RECIPIENTS) {
        r->out->cut = true;
        return NULL;
    }
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 8;
        struct saying *list = ARENA_ARRAY(r->arena, room, struct saying);
        if (s->count)
            memcpy(list, s->list, s->count * sizeof *list);
        s->list = list;
        s->room = room;
    }
    s->list[s->count] = (struct saying){ 0 };
    return &s->list[s->count++];
}

/* --- the answer --------------------------------------------------------------------------------- */

static struct bounce_recipient as_recipient(const struct saying *s) {
    struct codes c = codes_find(s->text);
    struct bounce_recipient out = {
        .address = s->address,
        .action = s->action ? s->action : "failed",
        .code = c.code,
        .status = status_is_set(c.status) ? c.status : s->status,
        .text = s->text,
        .host = s->host,
        .command = s->command,
    };
    if (!bytes_equal_nocase(s->original, s->address))
        out.original = s->original;
    return out;
}

static void close_map(void *map) {
    struct map *m = map;
    map_close(&m);
}

/* In their order, each address once. */
static void answer(struct reading *r, const struct sayings *s) {
    struct bounce_recipient *list = ARENA_ARRAY(r->arena, s->count + 1, struct bounce_recipient);
    struct map *known = map_open();
    arena_defer(r->arena, close_map, known);
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct bytes key = arena_lower(r->arena, s->list[i].address);
        if (key.len && map_put(known, key, r))
            continue;
        list[count++] = as_recipient(&s->list[i]);
    }
    r->out->recipients = list;
    r->out->count = count;
}

static bool is_report_only(const struct bounce *b) {
    for (size_t i = 0; i < b->count; i++)
        if (!strcmp(b->recipients[i].action, "failed") ||
            !strcmp(b->recipients[i].action, "delayed"))
            return false;
    return b->count > 0;
}

/* --- reading ------------------------------------------------------------------------------------ */

static bool (*const readers[])(struct reading *r) = { read_report };

enum rc bounce_read(struct bytes message, struct arena *a, struct bounce *out) {
    *out = (struct bounce){ .because = "nothing in it speaks of a message that was not delivered" };
    while (message.len && bytes_find(B("\r\n \t"), message.at[0]) >= 0)
        message = bytes_skip(message, 1);
    size_t header = mime_header_length(message);
    if (!header)
        return PERM;
    struct reading r = { .arena = a, .out = out, .message = message };
    r.header = bytes_first(message, header);
    mime_read(message, a, &r.mime);
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        if (!readers[i](&r))
            continue;
        answer(&r, &r.fields);
        out->kind = is_report_only(out) ? BOUNCE_REPORT : BOUNCE_BOUNCE;
        out->because = NULL;
        break;
    }
    out->cut = out->cut || r.mime.cut;
    return OK;
}
