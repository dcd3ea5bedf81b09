/* crashes: a short list, last used first; the oldest falls off its end. */
#include "bin/crashes.h"

#include <string.h>

static size_t find(const struct crashes *c, struct bytes id) {
    size_t at = 0;
    while (at < c->count && !bytes_equal(message_id_bytes(&c->list[at].id), id))
        at++;
    return at;
}

static void take_out(struct crashes *c, size_t at) {
    c->count--;
    memmove(&c->list[at], &c->list[at + 1], (c->count - at) * sizeof(*c->list));
}

void crashes_note(struct crashes *c, unsigned worker, struct bytes id) {
    struct crash crash = { .worker = worker };
    if (!message_id_parse(id, &crash.id))
        return;
    size_t at = find(c, id);
    if (at < c->count) {
        crash.count = c->list[at].count;
        take_out(c, at);
    } else if (c->count == CRASHES_KEPT) {
        c->count--;
    }
    crash.count++;
    memmove(&c->list[1], &c->list[0], c->count * sizeof(*c->list));
    c->list[0] = crash;
    c->count++;
}

size_t crashes_to_hold(const struct crashes *c, unsigned worker, struct message_id *out) {
    size_t count = 0;
    for (size_t i = 0; i < c->count; i++)
        if (c->list[i].count >= CRASHES_MAX && c->list[i].worker == worker)
            out[count++] = c->list[i].id;
    return count;
}

void crashes_forget(struct crashes *c, struct bytes id) {
    size_t at = find(c, id);
    if (at < c->count)
        take_out(c, at);
}
