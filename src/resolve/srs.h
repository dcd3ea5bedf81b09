/* srs: the Sender Rewriting Scheme. Mail that is sent on to another domain gets a reverse-path of ours,
 * with the first one inside; a report that comes back to it is unrolled and goes there. Nobody but us
 * can make such an address, and it holds for 21 days.
 *
 *     SRS0=HASH=DAY=example.com=anna@ours          anna@example.com
 *     SRS1=HASH=example.net==...@ours              SRS0=...@example.net, rewritten there before
 *
 * `secret`: a key a line; the first one signs, every one is believed. Pure. */
#ifndef RESOLVE_SRS_H
#define RESOLVE_SRS_H

#include "base/arena.h"
#include "base/buf.h"
#include "flow/verdict.h"

/* Has it the form of those that we write, whoever made it? Others' separators ("SRS0+") are not ours. */
bool srs_looks(struct bytes mailbox);
/* Writes the address that stands for `sender` in this domain of ours. False where there is none: the
 * null sender, no key, a form that cannot be carried, too long; then the sender stays as it is. */
bool srs_write(struct bytes secret, struct bytes sender, struct bytes domain, int64_t now,
               struct buf *out);
/* SRS_GOOD and the address inside; SRS_FORGED also for what has the form only. */
enum srs_state srs_read(struct bytes secret, struct bytes mailbox, int64_t now, struct arena *a,
                        struct bytes *out);

#endif
