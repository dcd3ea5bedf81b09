/* arrival: waits where messages of a test should arrive: looks into a Maildir or an mbox for what was not there
 * when it began, and listens as a mail server itself, for one mailbox. Reads; never removes or changes
 * anything. */
#ifndef DOCTOR_ARRIVAL_H
#define DOCTOR_ARRIVAL_H

#include "base/why.h"
#include "sys/stream.h"

enum {
    ARRIVAL_LOOK_MS = 500,
    ARRIVAL_MESSAGE = 256 * 1024, /* octets of a message that are looked at */
    ARRIVAL_SESSIONS = 32,        /* at once */
};

struct arrival_want {  /* views live until closed */
    struct bytes path; /* a Maildir (has new/ and cur/) or an mbox; empty: none */
    bool listens;      /* on `at` */
    struct addr at;
    struct bytes hostname;
    struct bytes mailbox; /* all others are refused */
};

struct arrivals;
/* on_message: as it came, cut at ARRIVAL_MESSAGE; `by`: the address that delivered it, or empty. TRUE: it is
 * one of the test's; a message that comes by SMTP and is not is refused. */
typedef bool arrived(void *ctx, struct bytes message, struct bytes by);
enum rc arrivals_open(struct loop *l, const struct arrival_want *want, arrived *on_message,
                      void *ctx, struct arrivals **out, struct why *why);
/* Where it listens: the port that was picked. */
struct addr arrivals_at(const struct arrivals *a);
void arrivals_close(struct arrivals **a);

#endif
