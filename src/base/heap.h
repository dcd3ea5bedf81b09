/* heap: intrusive binary min-heap by a 64-bit key. The node lives in the element. Elements with the
 * same key come out in the order they went in. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key;
    uint64_t order;
    size_t index; /* 0 when not in a heap */
};
struct heap {
    struct heap_node **nodes;
    size_t count, cap;
    uint64_t order;
};

void heap_init(struct heap *h);
void heap_free(struct heap *h);                                  /* the table only */
void heap_put(struct heap *h, struct heap_node *n, int64_t key); /* moves it if it is in already */
void heap_remove(struct heap *h, struct heap_node *n);           /* nothing if it is not in */
struct heap_node *heap_first(const struct heap *h);              /* or NULL */
static inline bool heap_has(const struct heap_node *n) {
    return n->index != 0;
}

#endif
