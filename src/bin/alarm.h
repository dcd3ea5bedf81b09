/* alarm: events that carry "alarm":true become mail to the postmaster: one at once, then at most one an
 * hour for each kind of event, with the number of those left out. */
#ifndef BIN_ALARM_H
#define BIN_ALARM_H

#include "base/bytes.h"
#include "sys/loop.h"

struct alarm;
struct alarm_setup {
    struct loop *loop;
    struct bytes hostname, postmaster; /* postmaster empty: the bare name */
    /* Hands a complete message in, to this address; its fate is the queue's. */
    void (*send)(void *ctx, struct bytes to, struct bytes message);
    void *ctx;
};
struct alarm *alarm_open(const struct alarm_setup *setup);
/* A new configuration: the views of the old one are used no more. */
void alarm_reload(struct alarm *a, struct bytes hostname, struct bytes postmaster);
void alarm_close(struct alarm **a);
/* An event sink (base/event.h). Mail is made in a later turn of the loop. */
void alarm_event(void *alarm, const char *name, struct bytes line);

#endif
