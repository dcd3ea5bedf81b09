/* automatic: which messages no program answers by itself (RFC 3834 section 2, RFC 5230 section 4.6): lists,
 * bulk, answers of other programs, and senders that are programs. Pure; in doubt there is no answer. */
#ifndef MESSAGE_AUTOMATIC_H
#define MESSAGE_AUTOMATIC_H

#include "message/header.h"

/* This field says so, whatever else stands in the header. */
bool automatic_field(const struct header_field *field);
/* The reverse-path is null or a program's: mailer-daemon@, owner-list@, list-request@, bounces+x@,
 * no-reply@ ... */
bool automatic_sender(struct bytes mailbox);
/* The mailbox behind a reverse-path that is written anew for each message (BATV, prvs=TAG=user@domain);
 * else itself. */
struct bytes automatic_sender_base(struct bytes mailbox);

#endif
