/* maildir: final delivery: one file a message, MAIL_DIR/DOMAIN/LOCAL/{tmp,new,cur}, written to tmp,
 * synced, renamed to new, the directory synced. Names are lower case; all octets but a-z 0-9 . _ +
 * - are percent-encoded, a leading dot too; an empty one is "%", so no name leads elsewhere. The
 * bare postmaster's folder is MAIL_DIR/postmaster. Return-Path and Delivered-To are put in front;
 * lines end in LF, as Maildir readers expect, and the file's name tells its size (",S=") and its
 * size with CRLF (",W=").
 *
 * All of it happens on a thread of its own. Folders are made 0700 as they are needed. What a crash
 * leaves in tmp was not delivered and is tried again; what it leaves in new, undelivered as far as the
 * queue knows, is found by the message's id in its name, unless a reader has removed it meanwhile. */
#ifndef MAILBOX_MAILDIR_H
#define MAILBOX_MAILDIR_H

#include "flow/job.h"
#include "sys/offload.h"

struct maildir;
struct maildir *maildir_open(struct loop *l, const char *mail_dir, const char *hostname);
void maildir_close(struct maildir **m);
/* The folder of a mailbox, relative to mail_dir: "proseware.com/anna". */
void maildir_path(struct buf *out, struct bytes mailbox);
/* on_done comes exactly once, later: OK; TEMP (disk full, no permission: text says what and where).
 * sender: what Return-Path says. */
void maildir_deliver(struct maildir *m, const struct job *job, struct bytes sender,
                     struct bytes mailbox,
                     void (*on_done)(void *ctx, enum rc rc, const struct why *why), void *ctx);

#endif
