/* answered: whom a vacation has answered lately: one row a user and sender, in answered.db beside
 * directory.db.
 *
 * It is a file of its own, because workers write it: a change of directory.db would empty the cache of
 * every worker. And it is SQLite, not the shared table of counters, because a row must be on the disk
 * before the answer is: after a crash of process or machine nobody is answered twice, at the price
 * that the answer that was being written then is never given. All workers share the file; a write
 * lock parts two that want the same row.
 *
 * Bounded: rows go when their time is over, and a user has at most ANSWERED_MAX; who comes on top of
 * that is not answered, so that a flood of forged senders ends by itself. */
#ifndef DIRECTORY_ANSWERED_H
#define DIRECTORY_ANSWERED_H

#include "directory/directory.h"

enum { ANSWERED_MAX = 1000 };

struct answered;
/* file: path of directory.db. It has a thread of its own: lookups wait for no sync. */
struct answered *answered_open(struct loop *l, const char *file);
void answered_close(struct answered **a);
void answered_claim(struct answered *a, const struct directory_claim *claim,
                    directory_claimed *on_claimed, void *ctx);
void answered_cancel(struct answered *a, const void *ctx, bool all);

#endif
