/* pool: blocks of a thousand; what came back is chained through its first octets. */
#include "spool/pool.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

void pool_init(struct pool *p, size_t size) {
    *p = (struct pool){ .size = size };
}

void pool_free(struct pool *p) {
    for (uint32_t i = 0; i < p->count; i++)
        free(p->blocks[i]);
    free(p->blocks);
    *p = (struct pool){ .size = p->size };
}

static void add_block(struct pool *p) {
    if (p->count == p->room) {
        p->room = p->room ? p->room * 2 : 16;
        p->blocks = realloc(p->blocks, p->room * sizeof *p->blocks);
        MUST(p->blocks);
    }
    p->blocks[p->count] = malloc(POOL_BLOCK * p->size);
    MUST(p->blocks[p->count]);
    p->count++;
}

uint32_t pool_take(struct pool *p) {
    uint32_t n = p->free;
    if (n) {
        memcpy(&p->free, pool_at(p, n), sizeof p->free);
    } else {
        if (p->used == p->count * POOL_BLOCK)
            add_block(p);
        n = ++p->used;
    }
    memset(pool_at(p, n), 0, p->size);
    return n;
}

void pool_give(struct pool *p, uint32_t n) {
    memcpy(pool_at(p, n), &p->free, sizeof p->free);
    p->free = n;
}
