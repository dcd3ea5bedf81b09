/* tree: an ordered tree of things that live in a pool and are named by numbers (0 is none). It
 * costs eight octets an element and balances itself (a treap whose priorities are a hash of the
 * number). It owns nothing. */
#ifndef SPOOL_TREE_H
#define SPOOL_TREE_H

#include <stdint.h>

struct links {
    uint32_t left, right;
};
struct tree_kind {
    struct links *(*links)(void *pool, uint32_t n);
    /* Below, at or above zero: the key stands before, at or behind element n. */
    int (*compare)(void *pool, const void *key, uint32_t n);
    const void *(*key)(void *pool, uint32_t n);
};

/* n must not be in it; no other element may have its key. */
void tree_put(const struct tree_kind *k, void *pool, uint32_t *root, uint32_t n);
/* n must be in it. */
void tree_remove(const struct tree_kind *k, void *pool, uint32_t *root, uint32_t n);
uint32_t tree_find(const struct tree_kind *k, void *pool, uint32_t root, const void *key);
/* The first element behind the key. */
uint32_t tree_after(const struct tree_kind *k, void *pool, uint32_t root, const void *key);

#endif
