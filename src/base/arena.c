/* arena: memory handed out from blocks and given back at once. This file alone knows the blocks:
 * they double from 1 to 64 KiB; what is larger than a quarter of that gets one of its own, so that
 * a big allocation never strands the rest of a block. Under ASan what is not handed out is
 * poisoned, with a gap behind every allocation. */
#include "base/arena.h"

#include "base/must.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define POISONING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONING 1
#endif
#endif

#ifdef POISONING
#include <sanitizer/asan_interface.h>
#define POISON(at, size)   ASAN_POISON_MEMORY_REGION(at, size)
#define UNPOISON(at, size) ASAN_UNPOISON_MEMORY_REGION(at, size)
enum { GAP = 16 };
#else
#define POISON(at, size)   ((void)(at), (void)(size))
#define UNPOISON(at, size) ((void)(at), (void)(size))
enum { GAP = 0 };
#endif

enum { ALIGN = alignof(max_align_t), BLOCK_MIN = 1024, BLOCK_MAX = 64 * 1024 };

struct block {
    struct block *next;
    size_t size, used; /* of memory */
    alignas(max_align_t) char memory[];
};

struct deferred {
    struct deferred *next;
    void (*undo)(void *arg);
    void *arg;
};

struct arena {
    struct block *blocks; /* allocations come from the first */
    struct block *big;    /* one allocation each */
    struct deferred *deferred;
    size_t used;
    size_t next_size; /* of the next block, its header included */
};

struct arena *arena_open(void) {
    struct arena *a = calloc(1, sizeof *a);
    MUST(a);
    a->next_size = BLOCK_MIN;
    return a;
}

/* `size` is that of the memory. */
static struct block *block_open(size_t size, struct block *next) {
    struct block *block = malloc(sizeof *block + size);
    MUST(block);
    block->next = next;
    block->size = size;
    block->used = 0;
    POISON(block->memory, size);
    return block;
}

struct arena *arena_open_for(size_t first) {
    struct arena *a = arena_open();
    a->blocks = block_open(first, NULL);
    return a;
}

static void run_deferred(struct arena *a) {
    /* One by one: an undo may itself allocate here or defer. */
    while (a->deferred) {
        struct deferred *d = a->deferred;
        a->deferred = d->next;
        d->undo(d->arg);
    }
}

static void free_blocks(struct block *block) {
    while (block) {
        struct block *next = block->next;
        UNPOISON(block->memory, block->size);
        free(block);
        block = next;
    }
}

void arena_close(struct arena **a) {
    if (!*a)
        return;
    run_deferred(*a);
    free_blocks((*a)->blocks);
    free_blocks((*a)->big);
    free(*a);
    *a = NULL;
}

void arena_reset(struct arena *a) {
    run_deferred(a);
    free_blocks(a->big);
    a->big = NULL;
    a->used = 0;
    if (!a->blocks)
        return;
    free_blocks(a->blocks->next);
    a->blocks->next = NULL;
    a->blocks->used = 0;
    POISON(a->blocks->memory, a->blocks->size);
}

size_t arena_used(const struct arena *a) {
    return a->used;
}

/* A block that has `size` octets left. */
static struct block *block_for(struct arena *a, size_t size) {
    if (a->blocks && a->blocks->size - a->blocks->used >= size)
        return a->blocks;
    if (size > BLOCK_MAX / 4)
        return a->big = block_open(size, a->big);
    while (a->next_size - sizeof(struct block) < size)
        a->next_size *= 2;
    a->blocks = block_open(a->next_size - sizeof(struct block), a->blocks);
    if (a->next_size < BLOCK_MAX)
        a->next_size *= 2;
    return a->blocks;
}

/* Like arena_alloc, but not zeroed. */
static char *take(struct arena *a, size_t size) {
    MUST(size < SIZE_MAX / 2);
    size_t space = ((size ? size : 1) + GAP + ALIGN - 1) / ALIGN * ALIGN;
    struct block *block = block_for(a, space);
    char *at = block->memory + block->used;
    block->used += space;
    a->used += size;
    UNPOISON(at, size);
    return at;
}

void *arena_alloc(struct arena *a, size_t size) {
    char *at = take(a, size);
    memset(at, 0, size);
    return at;
}

void *arena_array(struct arena *a, size_t count, size_t size) {
    size_t total;
    MUST(!__builtin_mul_overflow(count, size, &total));
    return arena_alloc(a, total);
}

/* Room for len octets, already terminated. */
static char *take_text(struct arena *a, size_t len) {
    MUST(len < SIZE_MAX / 2);
    char *at = take(a, len + 1);
    at[len] = '\0';
    return at;
}

struct bytes arena_copy(struct arena *a, struct bytes data) {
    if (data.len == 0)
        return B("");
    char *at = take_text(a, data.len);
    memcpy(at, data.at, data.len);
    return bytes_of(at, data.len);
}

struct bytes arena_lower(struct arena *a, struct bytes data) {
    char *at = take_text(a, data.len);
    for (size_t i = 0; i < data.len; i++)
        at[i] = ascii_lower(data.at[i]);
    return bytes_of(at, data.len);
}

struct bytes arena_printf(struct arena *a, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct bytes text = arena_vprintf(a, format, args);
    va_end(args);
    return text;
}

__attribute__((format(printf, 2, 0))) struct bytes arena_vprintf(struct arena *a,
                                                                 const char *format, va_list args) {
    char small[256];
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(small, sizeof small, format, args);
    MUST(len >= 0);
    char *at = take_text(a, (size_t)len);
    if ((size_t)len < sizeof small)
        memcpy(at, small, (size_t)len);
    else
        vsnprintf(at, (size_t)len + 1, format, again);
    va_end(again);
    return bytes_of(at, (size_t)len);
}

const char *arena_str(struct arena *a, struct bytes data) {
    return arena_copy(a, data).at;
}

void arena_defer(struct arena *a, void (*undo)(void *arg), void *arg) {
    struct deferred *d = ARENA_NEW(a, struct deferred);
    a->used -= sizeof *d; /* ours, not handed out */
    *d = (struct deferred){ .next = a->deferred, .undo = undo, .arg = arg };
    a->deferred = d;
}
