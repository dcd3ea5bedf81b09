/* sim: a simulated machine behind src/sys: a loop with a fake clock, a network in memory, offload
 * threads that are turns of the loop. It is linked in place of loop.c, stream*.c and offload.c, so
 * that a whole server, its clients and its peers run in one process, in the same order every time.
 *
 * Time stands still until somebody moves it. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "sys/stream.h"

/* 2026-11-20T09:00:00Z, when every simulation begins. */
#define SIM_EPOCH 1795165200000LL

/* Runs everything that can run at this moment; nothing that needs time to pass. */
void sim_run(struct loop *l);
/* Lets this much time pass, timer by timer. */
void sim_advance(struct loop *l, int64_t ms);
/* Milliseconds to the next timer, or -1 when nothing waits. */
int64_t sim_next(const struct loop *l);
/* Sets the wall clock apart from the monotonic one: a clock that jumps. */
void sim_jump(struct loop *l, int64_t ms);

/* --- the network --- */
/* A descriptor for stream_listen: whoever connects to this address gets there. */
int sim_bind(struct addr at);
/* Connections to this address hang (until the caller's time is over) instead of being refused. */
void sim_blackhole(struct addr at);
/* What is not encrypted arrives at most so many octets at a time. */
void sim_pieces(size_t octets);
/* What was bound and blackholed is forgotten, and pieces are as large as they come. */
void sim_reset(void);

#endif
