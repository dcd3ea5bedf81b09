/* The power fails at each call of the disk in the life of a spool, and what is left of the calls
 * before is drawn several times: nothing that was promised is broken. */
#include "trial.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    static struct life l;
    unsigned variants = argc > 1 ? (unsigned)atoi(argv[1]) : 4;
    uint64_t calls, ignored;
    if (!trial_run(0, 0, SITE_NONE, &l, &calls)) {
        printf("without a cut: %s\n", l.violation);
        return 1;
    }
    printf("%llu calls of the disk, %zu messages\n", (unsigned long long)calls, l.count);
    for (uint64_t cut = 1; cut <= calls; cut++)
        if (!trial_run(cut, variants, SITE_NONE, &l, &ignored)) {
            printf("cut at call %llu: %s\n", (unsigned long long)cut, l.violation);
            return 1;
        }
    return 0;
}
