/* map: open addressing with linear probing. Keys come from strangers, so they are hashed with
 * SipHash-1-3 under a seed of this process: nobody outside can choose keys that collide. Short keys
 * live in their slot. A removed entry leaves a tombstone, so that removing moves nothing and a
 * visit of all entries may remove as it goes. */
#include "base/map.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { INLINE_KEY = 16, FIRST_CAP = 16 };
enum { EMPTY, GONE, FIRST_HASH }; /* values of slot.hash that are not hashes */

struct slot {
    uint64_t hash;
    void *value;
    size_t len;
    union {
        char here[INLINE_KEY];
        char *there;
    } key;
};

struct map {
    struct slot *slots;
    size_t cap; /* a power of two, or 0 */
    size_t count;
    size_t taken; /* with tombstones */
};

static uint64_t seed[2];

/* Before main, so that threads need not agree on who does it. */
__attribute__((constructor)) static void make_seed(void) {
    if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
        /* No getrandom (an ancient kernel, a strict sandbox): what an outsider sees least of. */
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        seed[0] = (uint64_t)now.tv_nsec * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)getpid();
        seed[1] = (uint64_t)(uintptr_t)&now ^ (uint64_t)now.tv_sec << 32;
    }
}

static uint64_t rotate(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32) + v[3];
    v[2] += v[1];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

static uint64_t hash_of(struct bytes key) {
    uint64_t v[4] = { seed[0] ^ UINT64_C(0x736f6d6570736575),
                      seed[1] ^ UINT64_C(0x646f72616e646f6d),
                      seed[0] ^ UINT64_C(0x6c7967656e657261),
                      seed[1] ^ UINT64_C(0x7465646279746573) };
    size_t i = 0;
    for (; i + 8 <= key.len; i += 8) {
        uint64_t word;
        memcpy(&word, key.at + i, 8);
        sip_word(v, word);
    }
    uint64_t last = (uint64_t)key.len << 56;
    for (size_t k = 0; i + k < key.len; k++)
        last |= (uint64_t)(unsigned char)key.at[i + k] << (8 * k);
    sip_word(v, last);
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    uint64_t hash = v[0] ^ v[1] ^ v[2] ^ v[3];
    return hash < FIRST_HASH ? hash + FIRST_HASH : hash;
}

static struct bytes key_of(const struct slot *slot) {
    return bytes_of(slot->len <= INLINE_KEY ? slot->key.here : slot->key.there, slot->len);
}

static void key_set(struct slot *slot, struct bytes key) {
    slot->len = key.len;
    char *to = slot->key.here;
    if (key.len > INLINE_KEY) {
        to = malloc(key.len);
        MUST(to);
        slot->key.there = to;
    }
    if (key.len)
        memcpy(to, key.at, key.len);
}

static void key_free(struct slot *slot) {
    if (slot->len > INLINE_KEY)
        free(slot->key.there);
}

struct map *map_open(void) {
    struct map *m = calloc(1, sizeof *m);
    MUST(m);
    return m;
}

void map_close(struct map **m) {
    if (!*m)
        return;
    for (size_t i = 0; i < (*m)->cap; i++)
        if ((*m)->slots[i].hash >= FIRST_HASH)
            key_free(&(*m)->slots[i]);
    free((*m)->slots);
    free(*m);
    *m = NULL;
}

size_t map_count(const struct map *m) {
    return m->count;
}

static struct slot *find(const struct map *m, struct bytes key, uint64_t hash) {
    if (m->cap == 0)
        return NULL;
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct slot *slot = &m->slots[i];
        if (slot->hash == EMPTY)
            return NULL;
        if (slot->hash == hash && bytes_equal(key_of(slot), key))
            return slot;
    }
}

void *map_find(const struct map *m, struct bytes key) {
    struct slot *slot = m->count ? find(m, key, hash_of(key)) : NULL;
    return slot ? slot->value : NULL;
}

static struct slot *first_empty(struct slot *slots, size_t cap, uint64_t hash) {
    size_t i = hash & (cap - 1);
    while (slots[i].hash != EMPTY)
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

/* Keeps a quarter of the slots empty, so that probing ends soon. A table of tombstones is made anew
 * without them and may become smaller. */
static void make_room(struct map *m) {
    if (m->cap && m->taken + 1 <= m->cap / 4 * 3)
        return;
    size_t cap = FIRST_CAP;
    while (m->count + 1 > cap / 2)
        cap *= 2;
    struct slot *slots = calloc(cap, sizeof *slots);
    MUST(slots);
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].hash >= FIRST_HASH)
            *first_empty(slots, cap, m->slots[i].hash) = m->slots[i];
    free(m->slots);
    m->slots = slots;
    m->cap = cap;
    m->taken = m->count;
}

void *map_put(struct map *m, struct bytes key, void *value) {
    MUST(value);
    uint64_t hash = hash_of(key);
    struct slot *slot = find(m, key, hash);
    if (slot) {
        void *before = slot->value;
        slot->value = value;
        return before;
    }
    make_room(m);
    slot = first_empty(m->slots, m->cap, hash);
    slot->hash = hash;
    slot->value = value;
    key_set(slot, key);
    m->count++;
    m->taken++;
    return NULL;
}

void *map_remove(struct map *m, struct bytes key) {
    struct slot *slot = m->count ? find(m, key, hash_of(key)) : NULL;
    if (!slot)
        return NULL;
    key_free(slot);
    slot->len = 0;
    slot->hash = GONE;
    m->count--;
    /* Tombstones before an empty slot keep no chain together: give them back. */
    size_t mask = m->cap - 1, i = (size_t)(slot - m->slots);
    if (m->slots[(i + 1) & mask].hash == EMPTY)
        for (; m->slots[i].hash == GONE; i = (i - 1) & mask) {
            m->slots[i].hash = EMPTY;
            m->taken--;
        }
    return slot->value;
}

bool map_next(const struct map *m, size_t *position, struct bytes *key_out, void **value_out) {
    while (*position < m->cap) {
        const struct slot *slot = &m->slots[(*position)++];
        if (slot->hash < FIRST_HASH)
            continue;
        if (key_out)
            *key_out = key_of(slot);
        if (value_out)
            *value_out = slot->value;
        return true;
    }
    return false;
}
