/* maildrop: a mailbox that maildir.h delivers to, as one POP3 session sees it: locked for all others
 * (flock on FOLDER/pop3.lock, so between workers too), its messages as they were at opening, in a
 * fixed order, oldest first; what arrives later is there next time. Other programs that read and
 * flag the same Maildir need not know the lock: files that were renamed are found again.
 *
 * Order of calls: open; count, size, uid; fetch, read until nothing comes, fetch_end, for one
 * message after the other; update, which alone removes anything; close. One call at a time; each
 * calls back once, later, and not at all after close. Messages are counted from 0.
 *
 * All of it happens on a thread of its own, in slices, so that no mailbox holds up the others. A
 * mailbox that nothing was ever delivered to is empty, and none is made. */
#ifndef MAILBOX_MAILDROP_H
#define MAILBOX_MAILDROP_H

#include "base/buf.h"
#include "base/why.h"
#include "sys/offload.h"

struct maildrops;
struct maildrop;

enum {
    MAILDROP_MOST = 100000,     /* a good `most`: 15 MiB while it is open, 24 while it is read in */
    MAILDROP_PIECE = 64 * 1024, /* the most that read gives at once */
    MAILDROP_UID = 70,          /* octets of the longest uid (RFC 1939 section 7) */
};

/* `most`: of a mailbox with more messages only the oldest are there. */
struct maildrops *maildrops_open(struct loop *l, const char *mail_dir, uint32_t most);
/* All maildrops must be closed before; updates under way may stop half-way. Not from inside a call
 * back. */
void maildrops_close(struct maildrops **m);

typedef void maildrop_done(void *ctx, enum rc rc, const struct why *why);

/* OK; TEMP mailbox.in-use: another session has it; TEMP mailbox.read. After any but OK, close. */
struct maildrop *maildrop_open(struct maildrops *m, struct bytes mailbox, maildrop_done *on_done,
                               void *ctx);
uint32_t maildrop_count(const struct maildrop *d);
/* As POP3 sends it: with CRLF at every line's end, the last one's too, whatever the file has. From
 * the file's name (",W="), else the file was read for it; 0 for a file that cannot be read. */
uint64_t maildrop_size(const struct maildrop *d, uint32_t i);
/* The file's name without flags; one that is too long or no good begins so and ends in a hash. */
void maildrop_uid(const struct maildrop *d, uint32_t i, struct buf *out);
/* The queue's id of the message, or nothing: maildir.h did not deliver it. */
void maildrop_message(const struct maildrop *d, uint32_t i, struct buf *out);

/* Opens message i for reading. TEMP mailbox.gone: somebody else has removed it. */
void maildrop_fetch(struct maildrop *d, uint32_t i, maildrop_done *on_done, void *ctx);
/* The next piece, as the file has it; empty at its end. The view lasts until the next call. */
typedef void maildrop_piece(void *ctx, enum rc rc, struct bytes piece, const struct why *why);
void maildrop_read(struct maildrop *d, maildrop_piece *on_piece, void *ctx);
/* Also while a read is under way: then that one does not call back, and close comes next. */
void maildrop_fetch_end(struct maildrop *d);

/* Removes every message whose bit is set (i: bit i % 8 of octet i / 8; copied), makes that last, and
 * unlocks. TEMP mailbox.write: some could not be removed. Goes on after close. */
void maildrop_update(struct maildrop *d, struct bytes marked, maildrop_done *on_done, void *ctx);
/* Unlocks. Without update before, nothing is removed. */
void maildrop_close(struct maildrop **d);

#endif
