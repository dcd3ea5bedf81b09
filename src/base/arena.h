/* arena: memory that is freed together. Four kinds live in Postern: configuration, session,
 * transaction, job; each has one owner who closes or resets it.
 *
 * Allocation never fails: a process that cannot get memory stops (MUST), because limits sit on the
 * inputs, not here. Things that are not memory are undone by arena_defer, last first. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/bytes.h"

#include <stdarg.h>

struct arena;

/* Allocates nothing but the arena itself until first used. */
struct arena *arena_open(void);
/* Takes a first block of so many octets at once, for an owner who knows what he will need: blocks
 * double, and there may be 20,000 of such arenas. */
struct arena *arena_open_for(size_t first);
/* Runs what was deferred, frees everything, sets *a to NULL; NULL is fine. */
void arena_close(struct arena **a);
/* Runs what was deferred and frees everything but one block for use again. */
void arena_reset(struct arena *a);
size_t arena_used(const struct arena *a); /* octets handed out since the last reset */

/* Zeroed, aligned for any type. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_array(struct arena *a, size_t count, size_t size);
#define ARENA_NEW(a, type)          ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, count, type) ((type *)arena_array((a), (count), sizeof(type)))

/* Copies; the copy is NUL-terminated besides, for libraries that want that. */
struct bytes arena_copy(struct arena *a, struct bytes data);
struct bytes arena_lower(struct arena *a, struct bytes data);
struct bytes arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct bytes arena_vprintf(struct arena *a, const char *format, va_list args);
/* NUL-terminated copy, for libraries. */
const char *arena_str(struct arena *a, struct bytes data);

/* Calls undo(arg) when the arena is reset or closed. */
void arena_defer(struct arena *a, void (*undo)(void *arg), void *arg);

#endif
