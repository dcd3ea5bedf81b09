/* reply: SMTP replies (RFC 5321 section 4.2), as we write them and as others do. */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/why.h"

enum { SMTP_REPLY_LINE = 510 }; /* octets of a line of ours without CRLF (RFC 5321 4.5.3.1.5) */

/* One line "550 5.7.1 text\r\n" from a why, cut at 510 octets at a character; `tail` (a session id
 * in brackets, say) is kept whole at the end. The enhanced code is left out when not set or when
 * `enhanced` is false (greeting, EHLO; RFC 2034). */
void smtp_reply_format(struct buf *out, const struct why *why, struct bytes tail, bool enhanced);

/* --- reading somebody else's --- */
struct smtp_reply {
    int code;             /* 0 until complete */
    struct status status; /* of the first line that has one whose class fits the code */
    struct bytes text;    /* lines joined by one space, codes and repeated enhanced codes removed,
                             printable; at most 2000 octets */
    struct bytes raw;     /* lines as they came, joined by \n, at most 8 KiB: EHLO, transcripts */
    unsigned lines;
};
struct smtp_reply_reader;
struct smtp_reply_reader *smtp_reply_reader_open(struct arena *a);
/* Part of a reply has been read. */
bool smtp_reply_partial(const struct smtp_reply_reader *r);
/* Gives back its memory; the next read takes new. The views of the last reply are gone. */
void smtp_reply_reader_free(struct smtp_reply_reader *r);
/* Takes octets up to the end of a reply and says how many. *out is set and OK returned when a reply
 * is complete (views live until the next call); MORE; PERM for what is no reply: a line over 4096
 * octets, over 200 lines, no three digits. Bare LF ends a line, as other servers' clients have it.
 */
enum rc smtp_reply_read(struct smtp_reply_reader *r, struct bytes data, size_t *used_out,
                        struct smtp_reply *out, struct why *why);

#endif
