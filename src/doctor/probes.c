/* probes: conversations that tell causes apart. */
#include "doctor/examine_parts.h"

void probes_run(struct examination *e) {
    (void)e;
}
