/* map: hash table from a key of octets to a pointer. The table copies and owns its keys, not its
 * values. Keys made of integers are passed as the view of the integer. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/bytes.h"

struct map;

struct map *map_open(void);
void map_close(struct map **m);
size_t map_count(const struct map *m);
void *map_find(const struct map *m, struct bytes key); /* or NULL */
/* Sets and returns what was there before, or NULL. value must not be NULL. */
void *map_put(struct map *m, struct bytes key, void *value);
void *map_remove(struct map *m, struct bytes key); /* what was there, or NULL */

/* Visits all in no particular order; start with *position = 0. The map may not be changed
 * meanwhile, but for removing the entry just returned. */
bool map_next(const struct map *m, size_t *position, struct bytes *key_out, void **value_out);

#define MAP_KEY(integer) bytes_of(&(integer), sizeof(integer))

#endif
