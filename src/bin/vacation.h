/* vacation: answers of users who are away (RFC 3834), from the recipient that was delivered to the message
 * that goes to accept's inner door. Whether a message may be answered at all was settled as it came:
 * resolve marked the recipient (`away`). Here it is looked up whether the user still is away, and
 * whether the sender was answered within seven days (directory_claim_answer).
 *
 * Nothing waits for an answer: what fails on the way (the directory, the disk) is an event, and
 * there is no answer. Never two for one message: the claim is on disk before the answer is. */
#ifndef BIN_VACATION_H
#define BIN_VACATION_H

#include "directory/directory.h"
#include "flow/job.h"
#include "flow/outcome.h"

struct vacations;
struct vacations_setup {
    struct loop *loop;
    struct directory *directory;
    /* Hands a whole message in at accept's inner door; on_done once, when it is on disk or is not. */
    void (*send)(void *ctx, struct bytes to, struct bytes tenant, struct bytes message,
                 void (*on_done)(void *arg, enum rc rc, const struct message_id *id), void *arg);
    void (*on_end)(void *ctx); /* one of those that vacations_delivered began has ended */
    void *ctx;
};
struct vacations *vacations_open(const struct vacations_setup *setup);
void vacations_close(struct vacations **v);
/* The recipient was delivered; with the name of its tenant (or none) and of this host to it. True: an
 * answer has begun, on_end comes. */
bool vacations_delivered(struct vacations *v, const struct job *job, uint32_t recipient,
                         struct bytes tenant, struct bytes hostname);

#endif
