/* fault: nothing is wrong here: the program itself has no faults to inject. */
#include "deliver/fault.h"

void deliver_fault(const struct job *job) {
    (void)job;
}
