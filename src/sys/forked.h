/* forked: a copy of this process for one piece of work that may block, crash or hang; what it came to
 * is its exit status. For processes without threads of their own: a thread's locks would stay locked
 * in the copy for ever. */
#ifndef SYS_FORKED_H
#define SYS_FORKED_H

#include "sys/loop.h"

struct forked;
/* In the copy: work(ctx), whose result (0 to 255) is the exit status; it must not touch the loop. Here:
 * on_end comes once, later; exited is false when it was killed. NULL: no process could be made. */
struct forked *forked_begin(struct loop *l, int (*work)(void *ctx),
                            void (*on_end)(void *ctx, bool exited, int status), void *ctx);
void forked_kill(struct forked *f); /* on_end still comes */
/* Killed and forgotten: no callback. */
void forked_cancel(struct forked **f);

#endif
