/* downgrade_parts: what the files of downgrade share: encoders (downgrade_encode.c) and header fields
 * (downgrade_field.c). Nobody else includes it. */
#ifndef MESSAGE_DOWNGRADE_PARTS_H
#define MESSAGE_DOWNGRADE_PARTS_H

#include "message/downgrade.h"
#include "message/header.h"

static inline bool is_eightbit(char c) {
    return (unsigned char)c > 127;
}

enum action {
    ACTION_KEEP,
    ACTION_QP,
    ACTION_BASE64,
    ACTION_MEND_QP,     /* says it is quoted-printable, but has octets above 127 */
    ACTION_MEND_BASE64, /* the same for base64 */
    ACTION_MASK,        /* outside of any part: '?' */
};

struct encoder {
    enum action action;
    char group[57]; /* base64: what makes a line of 76 */
    size_t held;
    size_t column;
    size_t escape; /* MEND_QP: characters of "=XX" still to come */
    char blank;    /* quoted-printable: a blank that waits for what follows, or 0 */
    bool begun;
};
void encoder_begin(struct encoder *e, enum action action);
void encoder_text(struct encoder *e, struct bytes text, struct buf *out);
void encoder_line_end(struct encoder *e, struct buf *out);
/* The last line stays open. */
void encoder_end(struct encoder *e, struct buf *out);

/* A whole field with octets above 127, without them. False when they are in an address, which only
 * SMTPUTF8 could carry; what was written then is not to be used. */
bool downgrade_field(const struct header_field *field, struct arena *a, struct buf *out);

#endif
