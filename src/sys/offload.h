/* offload: one thread of its own for calls that block (fdatasync, SQLite). Jobs run in the order
 * they were given; `done` runs on the loop. Each user has its own offload: a slow database never
 * holds up a sync. */
#ifndef SYS_OFFLOAD_H
#define SYS_OFFLOAD_H

#include "sys/loop.h"

struct offload;

struct offload *offload_open(struct loop *l, const char *name);
/* Waits for the running job; jobs not yet begun still run, their `done` is called. */
void offload_close(struct offload **o);

/* Embedded in what it works on; zero it once. It may be given again after `done`. */
struct offload_job {
    struct offload_job *next;
    void (*work)(void *ctx); /* on the thread; touches only what nobody else touches meanwhile */
    void (*done)(void *ctx); /* on the loop */
    void *ctx;
};
void offload_submit(struct offload *o, struct offload_job *job);

#endif
