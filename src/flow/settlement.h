/* settlement: what became of one recipient, or what is next. The spool writes it, trace and queue
 * show it. The states and their names are a contract with scripts. */
#ifndef FLOW_SETTLEMENT_H
#define FLOW_SETTLEMENT_H

#include "base/why.h"
#include "flow/message_id.h"

enum recipient_state {
    RECIPIENT_DUE,       /* waits for its first attempt */
    RECIPIENT_SENDING,   /* an attempt is under way (in memory only, never on disk) */
    RECIPIENT_DEFERRED,  /* waits for its next attempt */
    RECIPIENT_HELD,      /* an operator, or two crashes, stopped it */
    RECIPIENT_DELIVERED, /* final: in a mailbox of ours */
    RECIPIENT_RELAYED,   /* final: another server took it */
    RECIPIENT_EXPANDED,  /* final: became other recipients, in a message of their own */
    RECIPIENT_BOUNCED,   /* final: failed; an NDR was made, or nobody wanted one */
    RECIPIENT_REMOVED,   /* final: by a named operator */
    RECIPIENT_STATES,
};
const char *recipient_state_name(enum recipient_state s);
bool recipient_state_parse(struct bytes name, enum recipient_state *out);
bool recipient_state_final(enum recipient_state s);

struct settlement {
    struct message_id id;
    uint32_t recipient; /* index in the envelope */
    enum recipient_state state;
    uint32_t attempts;     /* made so far */
    int64_t next;          /* wall ms of the next attempt; 0 for final states and HELD */
    bool warned;           /* a delay notice has been sent */
    struct bytes next_hop; /* empty: as before */
    struct bytes reply;    /* last reply or reason, one line, at most 500 octets */
};

#endif
