/* job: one attempt: some recipients of one message that share a next hop. schedule makes it,
 * deliver carries it out and answers with one outcome a recipient. */
#ifndef FLOW_JOB_H
#define FLOW_JOB_H

#include "base/why.h"
#include "flow/envelope.h"
#include "flow/message_id.h"

/* Where the content is: in memory, or to be read from the spool in pieces. */
struct content {
    uint64_t size;
    struct bytes memory; /* all of it, or empty: then read() */
    /* Reads up to `size` octets from `offset`: on_read comes exactly once, with fewer octets only
     * at the end; rc is not OK when the spool's record is damaged or the disk failed. */
    void (*read)(void *ctx, uint64_t offset, size_t size,
                 void (*on_read)(void *arg, enum rc rc, struct bytes data, const struct why *why),
                 void *arg);
    void *ctx;
};

struct job {
    struct message_id id;
    const struct envelope *envelope;
    const uint32_t *recipients; /* indices in the envelope */
    size_t count;
    uint32_t attempt; /* 1 for the first */
    struct bytes next_hop;
    struct content content;
    bool
        probe; /* asks about its one recipient (RCPT) and sends nothing; settled by deliver itself */
};

#endif
