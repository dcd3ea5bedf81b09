/* literals: words in buckets by their first two octets, for looking; a text is looked up at each of its
 * octets. In others by all their octets, for adding. */
#include "reply/literals.h"

#include <string.h>

enum { BUCKETS = 2048 };

struct literal {
    struct bytes word;
    unsigned next;  /* of the same bucket, 0 none */
    unsigned other; /* of the same hash, 0 none */
    unsigned seen;  /* the look in which it was seen last */
};

struct literals {
    struct arena *arena;
    struct literal *list;
    size_t count, room;
    unsigned look;
    unsigned buckets[BUCKETS], hashes[BUCKETS];
};

static size_t bucket_of(char first, char second) {
    return ((unsigned char)first * 67u + (unsigned char)second) % BUCKETS;
}

static struct literal *add(struct literals *l, struct bytes word) {
    if (l->count == l->room) {
        size_t room = l->room * 2 + 64;
        struct literal *list = ARENA_ARRAY(l->arena, room, struct literal);
        if (l->count)
            memcpy(list, l->list, l->count * sizeof *list);
        l->list = list;
        l->room = room;
    }
    l->list[l->count] = (struct literal){ .word = word };
    return &l->list[l->count++];
}

struct literals *literals_new(struct arena *a) {
    struct literals *l = ARENA_NEW(a, struct literals);
    l->arena = a;
    add(l, BYTES_NONE); /* number 0 is none */
    add(l, BYTES_NONE); /* LITERAL_BEYOND_ASCII */
    return l;
}

unsigned literals_add(struct literals *l, struct bytes word) {
    unsigned *same = &l->hashes[bytes_hash(word) % BUCKETS];
    for (unsigned i = *same; i; i = l->list[i].other)
        if (bytes_equal(l->list[i].word, word))
            return i;
    if (l->count >= LITERALS_MAX)
        return 0;
    unsigned *bucket = &l->buckets[bucket_of(word.at[0], word.at[1])];
    unsigned number = (unsigned)l->count;
    struct literal *literal = add(l, arena_copy(l->arena, word));
    literal->next = *bucket;
    literal->other = *same;
    *bucket = *same = number;
    return number;
}

static bool stands_here(struct bytes word, struct bytes text) {
    if (word.len > text.len)
        return false;
    for (size_t i = 2; i < word.len; i++)
        if (ascii_lower(text.at[i]) != word.at[i])
            return false;
    return ascii_lower(text.at[0]) == word.at[0] && ascii_lower(text.at[1]) == word.at[1];
}

void literals_look(struct literals *l, struct bytes text) {
    l->look++;
    for (size_t at = 0; at < text.len; at++) {
        if ((unsigned char)text.at[at] >= 0x80)
            l->list[LITERAL_BEYOND_ASCII].seen = l->look;
        if (at + 1 == text.len)
            break;
        size_t bucket = bucket_of(ascii_lower(text.at[at]), ascii_lower(text.at[at + 1]));
        for (unsigned i = l->buckets[bucket]; i; i = l->list[i].next)
            if (l->list[i].seen != l->look && stands_here(l->list[i].word, bytes_skip(text, at)))
                l->list[i].seen = l->look;
    }
}

bool literals_seen(const struct literals *l, unsigned number) {
    return number && l->list[number].seen == l->look;
}
