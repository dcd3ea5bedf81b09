/* join: how sayings of several sources about the same addresses become one each. It knows which words are
 * better: a code more than none, a whole reply more than its first line, a cause more than "expired". */
#include "bounce/internal.h"

#include "base/map.h"

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

/* The saying of a list that is about this address, the weightiest. */
static struct saying *about(struct map *index, struct bytes address, struct arena *a) {
    return address.len ? map_find(index, arena_lower(a, address)) : NULL;
}

static void close_map(void *map) {
    struct map *m = map;
    map_close(&m);
}

static struct map *open_map(struct arena *a) {
    struct map *m = map_open();
    arena_defer(a, close_map, m);
    return m;
}

/* A later saying about the same address completes the first, or gives better words. */
static void merge(struct saying *first, const struct saying *other) {
    if (extract_weight(other->text) > extract_weight(first->text)) {
        first->text = other->text;
        if (other->host.len)
            first->host = other->host;
        if (other->command)
            first->command = other->command;
    }
    if (!first->host.len)
        first->host = other->host;
    if (!first->command)
        first->command = other->command;
    if (!first->original.len)
        first->original = other->original;
    if (!first->action)
        first->action = other->action;
    if (!status_is_set(first->status))
        first->status = other->status;
}

/* Each address once, in the order in which they came; those without one stay. */
struct map *sayings_unite(struct sayings *s, struct arena *a) {
    struct map *index = open_map(a);
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct saying *known = about(index, s->list[i].address, a);
        if (known) {
            merge(known, &s->list[i]);
            continue;
        }
        s->list[count] = s->list[i];
        if (s->list[i].address.len)
            map_put(index, arena_lower(a, s->list[i].address), &s->list[count]);
        count++;
    }
    s->count = count;
    return index;
}

/* "550", "5.1.1", "77", "550 #5.1.1": codes with no words. */
bool saying_is_bare(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (ascii_is_alpha(text.at[i]) || (unsigned char)text.at[i] >= 0x80)
            return false;
    return true;
}

/* The words for people complete the machine's fields, or stand in where those say less. */
static void complete(struct saying *s, const struct saying *words) {
    unsigned have = extract_weight(s->text), offered = extract_weight(words->text);
    bool same = codes_find(s->text).code == codes_find(words->text).code;
    bool expired = extract_is_expiry(s->text) && offered >= 2 && !extract_is_expiry(words->text);
    bool longer = s->text.len > 10 && words->text.len > s->text.len &&
                  bytes_starts_nocase(words->text, s->text);
    bool better = !s->text.len || expired || longer || (have < 2 && offered >= 2) ||
                  (saying_is_bare(s->text) && offered && (same || offered >= have) &&
                   !saying_is_bare(words->text));
    if (better) {
        s->text = words->text;
        if (words->host.len)
            s->host = words->host;
    }
    if (!s->host.len && words->host.len)
        s->host = words->host;
    if (!s->command)
        s->command = words->command;
    if (!s->original.len)
        s->original = words->original;
    if (!s->action)
        s->action = words->action;
}

/* What is said of nobody is said of those about whom nothing is said: the last error. */
static const struct saying *find_shared(const struct sayings *s) {
    const struct saying *best = NULL;
    for (size_t i = 0; i < s->count; i++)
        if (!s->list[i].address.len && extract_weight(s->list[i].text) >= 2)
            if (!best || s->list[i].host.len || !best->host.len)
                best = &s->list[i];
    return best;
}

/* Of a reply of several lines, the fields often have the first alone. */
static const struct saying *find_longer(const struct sayings *s, struct bytes text) {
    enum { FIRST = 20 };
    for (size_t i = 0; i < s->count && i < FIRST && text.len > 10; i++)
        if (s->list[i].text.len > text.len && bytes_starts_nocase(s->list[i].text, text))
            return &s->list[i];
    return NULL;
}

/* "@mx.example.org" or nothing: no address that mail could go to. */
static bool is_address(struct bytes address) {
    return bytes_find(address, '@') > 0;
}

void sayings_join(struct reading *r, struct sayings *to, struct sayings *from) {
    struct map *index = sayings_unite(from, r->arena);
    const struct saying *shared = find_shared(from);
    for (size_t i = 0; i < to->count; i++) {
        struct saying *s = &to->list[i];
        const struct saying *words = about(index, s->address, r->arena);
        if (!words)
            words = about(index, s->original, r->arena);
        if (!words && to->count == 1 && from->count == 1)
            words = &from->list[0];
        if (words && !is_address(s->address) && is_address(words->address))
            s->address = words->address;
        if (words)
            complete(s, words);
        const struct saying *longer = find_longer(from, s->text);
        if (shared && extract_weight(s->text) < 2)
            complete(s, shared);
        else if (longer)
            complete(s, longer);
    }
}
