/* destination: how much one next hop is trusted with. The window of attempts at once starts low,
 * grows by one with each success, halves when a session fails; a failed session
 * also blocks it for a time that doubles, up to an hour. */
#include "base/must.h"
#include "schedule/internal.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_FIRST_MS = 30 * 1000, OWN_LIMIT_MS = 30 * 1000 };

struct destination *destination_get(struct schedule *s, struct bytes next_hop) {
    struct destination *d = map_find(s->destinations, next_hop);
    if (d)
        return d;
    d = calloc(1, sizeof(*d) + next_hop.len);
    MUST(d);
    if (next_hop.len)
        memcpy(d + 1, next_hop.at, next_hop.len);
    d->schedule = s;
    d->next_hop = bytes_of(d + 1, next_hop.len);
    d->window = WINDOW_START;
    list_init(&d->ready);
    map_put(s->destinations, next_hop, d);
    return d;
}

/* Idle ones are forgotten, unless there is a failure to remember. */
void destination_free(struct destination *d) {
    struct schedule *s = d->schedule;
    MUST(!d->running && d->ready.count == 0);
    if (list_linked(&d->node))
        list_remove(&s->active, &d->node);
    map_remove(s->destinations, d->next_hop);
    free(d);
}

void destination_activate(struct destination *d) {
    if (d->ready.count > 0 && !list_linked(&d->node))
        list_append(&d->schedule->active, &d->node);
}

/* The configuration's limit for a route, else ours. */
static unsigned window_max(const struct destination *d) {
    const struct config *c = d->schedule->config;
    if (!bytes_starts(d->next_hop, B("route:")))
        return bytes_starts(d->next_hop, B("mx:")) ? 20 : 64;
    struct bytes name = bytes_skip(d->next_hop, 6);
    ptrdiff_t tenant = bytes_find(name, '@');
    if (tenant >= 0)
        name = bytes_first(name, (size_t)tenant);
    for (size_t i = 0; i < c->route_count; i++)
        if (bytes_equal(c->routes[i].name, name))
            return c->routes[i].max_connections < HOP_MAX ? (unsigned)c->routes[i].max_connections
                                                          : HOP_MAX;
    return 20;
}

void destination_succeeded(struct destination *d) {
    d->failures = 0;
    d->blocked_until = 0;
    if (d->window < window_max(d))
        d->window++;
    if (d->window > window_max(d))
        d->window = window_max(d);
}

void destination_failed(struct destination *d, const struct outcome *outcome, int64_t now) {
    d->window = d->window > 1 ? d->window / 2 : 1;
    /* While others are under way it may be that they were too many at once, which the smaller window
     * mends; should they fail too, the last of them blocks. What was under way when one blocked does not
     * count again. */
    if (d->running > 1 || d->blocked_until > now)
        return;
    unsigned shift = d->failures < 8 ? d->failures : 8;
    int64_t block = (int64_t)BLOCK_FIRST_MS << shift;
    if (block > BLOCK_LONGEST_MS)
        block = BLOCK_LONGEST_MS;
    d->failures++;
    d->blocked_until = now + block;
    d->last_code = outcome->code;
    d->last_status = outcome->status;
    d->last_command = outcome->command;
    struct buf b = buf_fixed(d->last_reason, sizeof(d->last_reason));
    buf_str(&b, outcome->reason ? outcome->reason : "");
    buf_text(&b);
    b = buf_fixed(d->last_reply, sizeof(d->last_reply));
    buf_printable(&b, bytes_first(outcome->reply, sizeof(d->last_reply) - 1));
    buf_text(&b);
}

void destination_waits(struct destination *d, int64_t now) {
    d->waits_until = now + OWN_LIMIT_MS;
    schedule_wake(d->schedule, OWN_LIMIT_MS);
}

void destination_unblock(struct destination *d) {
    d->blocked_until = d->waits_until = 0;
    d->failures = 0;
    destination_activate(d);
}
