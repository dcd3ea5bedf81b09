/* list: a ring through the list's own head, so that no end needs a special case. This file alone
 * knows that a node with NULL links is in no list. */
#include "base/list.h"

#include "base/must.h"

void list_init(struct list *l) {
    l->head.prev = l->head.next = &l->head;
    l->count = 0;
}

static void insert_behind(struct list *l, struct list_node *before, struct list_node *n) {
    MUST(!list_linked(n));
    n->prev = before;
    n->next = before->next;
    n->next->prev = n;
    before->next = n;
    l->count++;
}

void list_append(struct list *l, struct list_node *n) {
    insert_behind(l, l->head.prev, n);
}

void list_prepend(struct list *l, struct list_node *n) {
    insert_behind(l, &l->head, n);
}

void list_remove(struct list *l, struct list_node *n) {
    MUST(list_linked(n) && l->count > 0);
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->prev = n->next = NULL;
    l->count--;
}

bool list_linked(const struct list_node *n) {
    return n->next != NULL;
}

struct list_node *list_first(const struct list *l) {
    return list_next(l, &l->head);
}

struct list_node *list_next(const struct list *l, const struct list_node *n) {
    return n->next == &l->head ? NULL : n->next;
}

struct list_node *list_pop(struct list *l) {
    struct list_node *n = list_first(l);
    if (n)
        list_remove(l, n);
    return n;
}
