/* worker: where a spool's blocking calls are made: on a thread (sys/offload), or, for tests, on the
 * loop's thread in a later turn, in the same order. */
#ifndef SPOOL_WORKER_H
#define SPOOL_WORKER_H

#include "sys/offload.h"

struct worker;

struct worker *worker_open(struct loop *l, const char *name, bool on_loop);
/* Runs what was given and what that gives, until nothing is left; then it works at once. */
void worker_drain(struct worker *w);
void worker_close(struct worker **w); /* drains first */
void worker_submit(struct worker *w, struct offload_job *job);

#endif
