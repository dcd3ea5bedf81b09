/* list: intrusive doubly linked list. The node lives in the element; the list owns nothing. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_node {
    struct list_node *prev, *next;
};
struct list {
    struct list_node head; /* head.next is the first, head.prev the last */
    size_t count;
};

void list_init(struct list *l);
void list_append(struct list *l, struct list_node *n);
void list_prepend(struct list *l, struct list_node *n);
/* Takes it out; its links become NULL. Must be in this list. */
void list_remove(struct list *l, struct list_node *n);
bool list_linked(const struct list_node *n);
struct list_node *list_first(const struct list *l); /* or NULL */
struct list_node *list_next(const struct list *l, const struct list_node *n);
struct list_node *list_pop(struct list *l); /* the first, taken out, or NULL */

#define LIST_EACH(l, n)                                                                            \
    for (struct list_node *n = list_first(l), *n##_next; n && ((n##_next = list_next((l), n)), 1); \
         n = n##_next)

#endif
