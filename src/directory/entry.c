/* entry: copies of what the directory said, which outlive the call that brought it. */
#include "directory/internal.h"

static struct strings copy_strings(struct arena *a, struct strings from) {
    struct bytes *list = ARENA_ARRAY(a, from.count, struct bytes);
    for (size_t i = 0; i < from.count; i++)
        list[i] = arena_copy(a, from.list[i]);
    return (struct strings){ from.count, list };
}

static struct patterns copy_patterns(struct arena *a, struct patterns from) {
    struct pattern *list = ARENA_ARRAY(a, from.count, struct pattern);
    for (size_t i = 0; i < from.count; i++)
        list[i] = (struct pattern){ from.list[i].kind, arena_copy(a, from.list[i].text) };
    return (struct patterns){ from.count, list };
}

static const uint8_t *copy_plain(struct arena *a, const struct directory_entry *from) {
    return from->plain
               ? (const uint8_t *)arena_copy(a, bytes_of(from->plain, from->targets.count)).at
               : NULL;
}

static void copy_into(struct arena *a, const struct directory_entry *from,
                      struct directory_entry *e) {
    *e = *from;
    e->address = arena_copy(a, from->address);
    e->own = copy_strings(a, from->own);
    e->send_as = copy_patterns(a, from->send_as);
    e->targets = copy_strings(a, from->targets);
    e->plain = copy_plain(a, from);
    e->vacation.text = arena_copy(a, from->vacation.text);
    e->vacation.subject = arena_copy(a, from->vacation.subject);
    e->rules.owner = arena_copy(a, from->rules.owner);
    e->rules.allowed = copy_patterns(a, from->rules.allowed);
    e->rules.moderators = copy_strings(a, from->rules.moderators);
    e->tenant = arena_copy(a, from->tenant);
    struct directory_entry *groups = ARENA_ARRAY(a, from->group_count, struct directory_entry);
    for (size_t i = 0; i < from->group_count; i++)
        copy_into(a, &from->groups[i], &groups[i]); /* groups have none behind them: one level */
    e->groups = groups;
}

struct directory_entry *directory_entry_copy(struct arena *a, const struct directory_entry *from) {
    if (!from)
        return NULL;
    struct directory_entry *e = ARENA_NEW(a, struct directory_entry);
    copy_into(a, from, e);
    return e;
}
