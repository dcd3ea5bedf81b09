/* explain_mail: messages one after the other, from files, mailboxes and standard input. A message over
 * EXPLAIN_INPUT octets is given as far as that; memory never grows beyond. */
#ifndef BIN_EXPLAIN_MAIL_H
#define BIN_EXPLAIN_MAIL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/why.h"

struct mail_file {
    struct bytes path; /* NUL-terminated; "-" is standard input */
    uint64_t size;
};
/* The files that a path means: itself, or what lies in a Maildir or any other folder, sorted by name; at
 * most MAIL_FILES in all. PERM and why when there is nothing, or it may not be read. */
enum { MAIL_FILES = 1000 * 1000, MAIL_DEPTH = 16 };
struct mail_list {
    struct arena *arena;
    struct mail_file *files;
    size_t count, room;
    uint64_t octets;
    bool cut;
};
enum rc mail_list_add(struct mail_list *l, struct bytes path, struct why *why);

/* Reads one of them. */
struct mail_reader {
    int fd;
    bool mbox, ended, cut; /* cut: the message that was given is longer */
    size_t number;         /* of the message in its mbox, from 1; 0: it is no mbox */
    struct buf window;
    size_t used; /* of the window, by the message that was given */
    uint64_t octets;
};
enum rc mail_reader_open(struct mail_reader *r, struct bytes path, struct why *why);
/* False: there are no more. The view lives until the next call. */
bool mail_reader_next(struct mail_reader *r, struct bytes *message_out);
void mail_reader_close(struct mail_reader *r);

#endif
