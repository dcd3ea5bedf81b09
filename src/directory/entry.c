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

struct directory_entry *entry_copy(struct arena *a, const struct directory_entry *from) {
    if (!from)
        return NULL;
    struct directory_entry *e = ARENA_NEW(a, struct directory_entry);
    *e = (struct directory_entry){
        .kind = from->kind,
        .address = arena_copy(a, from->address),
        .disabled = from->disabled,
        .logins_since = from->logins_since,
        .own = copy_strings(a, from->own),
        .send_as = copy_patterns(a, from->send_as),
        .targets = copy_strings(a, from->targets),
        .tenant = arena_copy(a, from->tenant),
    };
    return e;
}
