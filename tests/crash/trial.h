/* trial: a life, cut at one call of the disk, and what the restart makes of it. */
#ifndef CRASH_TRIAL_H
#define CRASH_TRIAL_H

#include "life.h"

/* Lives until the cut-th call of the disk (0: to the end), with syncs at `skip` left out; then
 * restarts on what is left, `variants` times with different luck. False: a promise was broken;
 * the life says which. *calls_out: calls of the whole life. */
bool trial_run(uint64_t cut, unsigned variants, enum site skip, struct life *out,
               uint64_t *calls_out);

#endif
