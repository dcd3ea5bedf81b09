/* fault: what src/deliver/fault.c is replaced by in postern-with-faults: whoever is sent mail to the
 * local part crash-the-worker ends the worker, as a bug in a parser might. */
#include "deliver/fault.h"

#include <stdlib.h>

void deliver_fault(const struct job *job) {
    for (size_t i = 0; i < job->count; i++) {
        struct bytes to = job->envelope->recipients[job->recipients[i]].final;
        if (bytes_starts(to, B("crash-the-worker@")))
            abort();
    }
}
