/* pool: many small things of one size, named by numbers from 1 on, which stay where they are. */
#ifndef SPOOL_POOL_H
#define SPOOL_POOL_H

#include <stddef.h>
#include <stdint.h>

enum { POOL_SHIFT = 10, POOL_BLOCK = 1 << POOL_SHIFT };

struct pool {
    size_t size; /* of one, at least 4 */
    char **blocks;
    uint32_t count, room; /* blocks there are; pointers there is room for */
    uint32_t used, free;  /* numbers ever given; the first that came back */
};

void pool_init(struct pool *p, size_t size);
void pool_free(struct pool *p);
uint32_t pool_take(struct pool *p); /* zeroed */
void pool_give(struct pool *p, uint32_t n);
static inline void *pool_at(const struct pool *p, uint32_t n) {
    n--;
    return p->blocks[n >> POOL_SHIFT] + (size_t)(n & (POOL_BLOCK - 1)) * p->size;
}

#endif
