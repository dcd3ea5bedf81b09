/* The proof that the checker would notice: with any one of the spool's syncs left out, some cut
 * breaks a promise. */
#include "trial.h"

#include <stdio.h>

enum { VARIANTS = 8 };

static bool noticed(enum site skip) {
    static struct life l;
    uint64_t calls, ignored;
    trial_run(0, 0, skip, &l, &calls);
    for (uint64_t cut = 1; cut <= calls; cut++)
        if (!trial_run(cut, VARIANTS, skip, &l, &ignored)) {
            printf("without sync %s: cut at call %llu: %s\n", site_name(skip),
                   (unsigned long long)cut, l.violation);
            return true;
        }
    printf("without sync %s: nobody noticed\n", site_name(skip));
    return false;
}

int main(void) {
    bool all = true;
    for (unsigned s = SITE_NONE + 1; s < SITES; s++)
        all &= noticed((enum site)s);
    return all ? 0 : 1;
}
