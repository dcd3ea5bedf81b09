/* names: account names of user ids. Who knows them (NSS) may be a server elsewhere that does not answer, so
 * they are asked for on a thread of its own, and kept for a minute. */
#ifndef SYS_NAMES_H
#define SYS_NAMES_H

#include "base/bytes.h"
#include "sys/loop.h"

struct names;

/* The thread begins with the first question. */
struct names *names_open(struct loop *l);
/* Waits for what is being looked up. What was asked for and is not answered yet is dropped: on_name is
 * called for it with an empty name. */
void names_close(struct names **n);
/* on_name comes once: at once for a name that is known, else from the loop. Who has no name is called by his
 * number. */
void names_find(struct names *n, unsigned uid, void (*on_name)(void *ctx, struct bytes name),
                void *ctx);
/* Tests: in the place of the system's look-up; called on the thread. */
void names_look_up_with(struct names *n,
                        struct bytes (*look_up)(unsigned uid, char *room, size_t size));

#endif
