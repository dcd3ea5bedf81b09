/* text: a message as a multi-line reply: every line end becomes CRLF, a dot at the beginning of a
 * line is doubled (RFC 1939 section 3), and TOP's is cut behind so many lines of the body. A bare
 * CR or LF ends a line here, so that no reader of lines ever finds a final dot that is none. Only
 * the machine includes it. */
#ifndef POP3_TEXT_H
#define POP3_TEXT_H

#include "base/buf.h"

struct pop3_text {
    bool within;   /* a line has begun */
    bool after_cr; /* an LF that comes next ended with it */
    bool body;     /* the empty line behind the header was there */
    bool top;      /* count lines */
    bool enough;   /* TOP has all it wants */
    uint64_t lines_left;
};

/* Appends at most twice the content's octets. */
void pop3_text_add(struct pop3_text *t, struct bytes content, struct buf *out);
/* The end of the last line, and the final dot. */
void pop3_text_finish(struct pop3_text *t, struct buf *out);

#endif
