/* tree: a treap without parents and without recursion: putting splits the subtree that gives way,
 * removing merges the two that are left. */
#include "spool/tree.h"

#include "base/must.h"

static uint32_t priority(uint32_t n) {
    n ^= n >> 16;
    n *= 0x7feb352dU;
    n ^= n >> 15;
    n *= 0x846ca68bU;
    return n ^ n >> 16;
}

void tree_put(const struct tree_kind *k, void *pool, uint32_t *root, uint32_t n) {
    const void *key = k->key(pool, n);
    uint32_t *at = root;
    while (*at && priority(*at) >= priority(n)) {
        struct links *l = k->links(pool, *at);
        at = k->compare(pool, key, *at) < 0 ? &l->left : &l->right;
    }
    struct links *own = k->links(pool, n);
    uint32_t rest = *at, *left = &own->left, *right = &own->right;
    *at = n;
    while (rest) {
        struct links *l = k->links(pool, rest);
        if (k->compare(pool, key, rest) < 0) {
            *right = rest;
            right = &l->left;
            rest = l->left;
        } else {
            *left = rest;
            left = &l->right;
            rest = l->right;
        }
    }
    *left = *right = 0;
}

void tree_remove(const struct tree_kind *k, void *pool, uint32_t *root, uint32_t n) {
    const void *key = k->key(pool, n);
    uint32_t *at = root;
    while (*at != n) {
        MUST(*at);
        struct links *l = k->links(pool, *at);
        at = k->compare(pool, key, *at) < 0 ? &l->left : &l->right;
    }
    struct links *own = k->links(pool, n);
    uint32_t left = own->left, right = own->right;
    while (left && right) {
        if (priority(left) > priority(right)) {
            *at = left;
            at = &k->links(pool, left)->right;
            left = *at;
        } else {
            *at = right;
            at = &k->links(pool, right)->left;
            right = *at;
        }
    }
    *at = left ? left : right;
    *own = (struct links){ 0, 0 };
}

uint32_t tree_find(const struct tree_kind *k, void *pool, uint32_t root, const void *key) {
    while (root) {
        int side = k->compare(pool, key, root);
        if (side == 0)
            return root;
        struct links *l = k->links(pool, root);
        root = side < 0 ? l->left : l->right;
    }
    return 0;
}

uint32_t tree_after(const struct tree_kind *k, void *pool, uint32_t root, const void *key) {
    uint32_t best = 0;
    while (root) {
        struct links *l = k->links(pool, root);
        if (k->compare(pool, key, root) < 0) {
            best = root;
            root = l->left;
        } else {
            root = l->right;
        }
    }
    return best;
}
