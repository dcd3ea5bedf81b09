/* crashes: which messages workers were working on when they ended. One that was in hand at two ends
 * is to be held, whatever happened in between: two bad messages that take turns are found as well.
 * The parent keeps it; it lives as long as the parent does. */
#ifndef BIN_CRASHES_H
#define BIN_CRASHES_H

#include "flow/message_id.h"

enum { CRASHES_KEPT = 64, CRASHES_MAX = 2 };

struct crashes {
    struct crash {
        struct message_id id;
        unsigned worker; /* whose lane it lies in */
        unsigned count;
    } list[CRASHES_KEPT]; /* the last one first */
    size_t count;
};

/* A worker ended while it had this message in hand. */
void crashes_note(struct crashes *c, unsigned worker, struct bytes id);
/* The ones this worker must not try again: at most CRASHES_KEPT; their number. */
size_t crashes_to_hold(const struct crashes *c, unsigned worker, struct message_id *out);
/* It is held on disk: counting begins anew when it is released. */
void crashes_forget(struct crashes *c, struct bytes id);

#endif
