/* notice: what the parts of report share while one report is being written. For this folder only. */
#ifndef REPORT_NOTICE_H
#define REPORT_NOTICE_H

#include "message/header.h"
#include "reply/knowledge.h"
#include "report/report.h"

struct notice {
    const struct report_setup *setup;
    const struct job *job;
    const struct envelope *envelope;
    const struct outcome **outcomes; /* those that are told of */
    size_t count;
    bool doubled;                     /* goes to the postmaster, because the sender was null */
    bool utf8;                        /* an address in it is not ASCII (RFC 6533) */
    struct bytes subject, message_id; /* of the original, decoded; may be empty */
    struct arena *arena;
};

/* The recipient an outcome is about. */
static inline const struct recipient *notice_recipient(const struct notice *n,
                                                       const struct outcome *o) {
    return &n->envelope->recipients[o->recipient];
}

/* words.c: the part for people. Lines end in CRLF. */
void notice_words(struct buf *b, const struct notice *n);
/* status.c: the part for machines: the fields of message/delivery-status (RFC 3464). */
void notice_status(struct buf *b, const struct notice *n);

/* --- lines.c: text as lines that no reader or server chokes on --- */
/* One line of it: blanks for line ends, no controls, no broken UTF-8, at most max octets. */
struct bytes line_clean(struct arena *a, struct bytes text, size_t max);
/* The same in ASCII: other letters become '?'. */
struct bytes line_ascii(struct arena *a, struct bytes text, size_t max);
/* Broken at blanks so that lines have at most 76 characters where words allow it: `first` stands in
 * front of the first line, as many blanks as `indent` in front of the others. */
void line_wrap(struct buf *b, const char *first, size_t indent, struct bytes text);
/* A header or report field, folded likewise. */
void line_field(struct buf *b, const char *name, struct bytes value);
/* Text as encoded words (RFC 2047), parted by blanks. */
void line_encoded(struct buf *b, struct bytes text);
/* Only what is one message id may stand in In-Reply-To. */
bool line_is_message_id(struct bytes id);
/* Safe in MIME and in a message id: letters, digits, '-' and single dots, at most 55 octets. */
struct bytes line_safe_id(struct arena *a, struct bytes text);
/* Octets of somebody's message, with CRLF line ends, no NUL, no line over 998 octets. */
void line_copy(struct buf *b, struct bytes content);

#endif
