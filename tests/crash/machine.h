/* machine: a loop whose clock jumps to the next timer, offload jobs that run on it, and random
 * numbers that can be had again: linked in the place of src/sys, so that a life of the spool is the
 * same each time. */
#ifndef CRASH_MACHINE_H
#define CRASH_MACHINE_H

#include <stdint.h>

void machine_seed(uint64_t seed);
/* Of a stream of its own, for the tests. */
uint64_t machine_draw(uint64_t *state);

#endif
