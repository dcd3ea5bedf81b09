/* heap: a binary heap in an array whose first place is nodes[1], so that index 0 means "not in" and
 * the parent of i is i / 2. Ties go by the order of arrival. */
#include "base/heap.h"

#include "base/must.h"

#include <stdlib.h>

enum { FIRST_CAP = 16 };

void heap_init(struct heap *h) {
    *h = (struct heap){ 0 };
}

void heap_free(struct heap *h) {
    free(h->nodes);
    heap_init(h);
}

static bool before(const struct heap_node *a, const struct heap_node *b) {
    return a->key != b->key ? a->key < b->key : a->order < b->order;
}

static void place(struct heap *h, struct heap_node *n, size_t index) {
    h->nodes[index] = n;
    n->index = index;
}

static void rise(struct heap *h, struct heap_node *n) {
    size_t i = n->index;
    for (; i > 1 && before(n, h->nodes[i / 2]); i /= 2)
        place(h, h->nodes[i / 2], i);
    place(h, n, i);
}

static void sink(struct heap *h, struct heap_node *n) {
    size_t i = n->index;
    for (size_t child; (child = i * 2) <= h->count; i = child) {
        if (child < h->count && before(h->nodes[child + 1], h->nodes[child]))
            child++;
        if (!before(h->nodes[child], n))
            break;
        place(h, h->nodes[child], i);
    }
    place(h, n, i);
}

static void make_room(struct heap *h) {
    if (h->count + 1 < h->cap)
        return;
    size_t cap = h->cap ? h->cap * 2 : FIRST_CAP;
    struct heap_node **nodes = realloc(h->nodes, cap * sizeof(struct heap_node *));
    MUST(nodes);
    h->nodes = nodes;
    h->cap = cap;
}

void heap_put(struct heap *h, struct heap_node *n, int64_t key) {
    heap_remove(h, n);
    make_room(h);
    n->key = key;
    n->order = h->order++;
    place(h, n, ++h->count);
    rise(h, n);
}

void heap_remove(struct heap *h, struct heap_node *n) {
    size_t index = n->index;
    if (index == 0)
        return;
    MUST(index <= h->count && h->nodes[index] == n);
    struct heap_node *last = h->nodes[h->count--];
    n->index = 0;
    if (last == n)
        return;
    /* The last one takes its place, from where it may have to go either way. */
    place(h, last, index);
    rise(h, last);
    sink(h, last);
}

struct heap_node *heap_first(const struct heap *h) {
    return h->count ? h->nodes[1] : NULL;
}
