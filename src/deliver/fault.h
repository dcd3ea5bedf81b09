/* fault: a place where a test can make a delivery end the process: tests/system links another file in
 * place of fault.c, which knows what this one does not: a reason to crash. */
#ifndef DELIVER_FAULT_H
#define DELIVER_FAULT_H

#include "flow/job.h"

/* Called with every read from a server that is being sent this job. */
void deliver_fault(const struct job *job);

#endif
