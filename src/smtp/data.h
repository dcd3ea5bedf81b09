/* data: message content on the wire: dot-stuffing (RFC 5321 section 4.5.2) with strict CRLF. A bare
 * CR or LF never ends anything: only CRLF . CRLF ends data. */
#ifndef SMTP_DATA_H
#define SMTP_DATA_H

#include "base/buf.h"

/* Reading after 354. Zero it to begin; the state before the first octet counts as behind a CRLF. */
struct smtp_data_in {
    uint8_t state;
    bool bare; /* a bare CR or LF was seen (RFC 5321 section 2.3.8) */
    bool fix;  /* in: turn a bare CR or LF into CRLF instead of passing it on */
};
/* Takes octets and appends unstuffed content to out; *used_out says how many were taken: all, but
 * for what follows the end. True at the end of data. Out must have room: data.len + 2 octets, twice
 * that with `fix`. */
bool smtp_data_in(struct smtp_data_in *s, struct bytes data, size_t *used_out, struct buf *out);
/* The same normalisation for BDAT: no dots, no end; notes and, if asked, mends bare newlines. */
void smtp_data_in_bdat(struct smtp_data_in *s, struct bytes data, struct buf *out);
/* Behind the last chunk: a CR that ended it is bare after all. */
void smtp_data_in_bdat_end(struct smtp_data_in *s, struct buf *out);

/* Writing. Content is stored with CRLF; whatever bare CR or LF it holds all the same goes out as
 * CRLF. finish appends CRLF if the content did not end in one, then ".\r\n". */
struct smtp_data_out {
    uint8_t state;
};
void smtp_data_out(struct smtp_data_out *s, struct bytes content, struct buf *out);
void smtp_data_out_finish(struct smtp_data_out *s, struct buf *out);
/* The same for BDAT: without dots; end closes the last line. */
void smtp_data_out_bdat(struct smtp_data_out *s, struct bytes content, struct buf *out);
void smtp_data_out_bdat_end(struct smtp_data_out *s, struct buf *out);
/* True, and the state moves on, when this content would go out by BDAT as it is; else nothing has
 * happened. */
bool smtp_data_out_clean(struct smtp_data_out *s, struct bytes content);

#endif
