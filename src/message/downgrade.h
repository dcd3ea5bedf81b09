/* downgrade: a message with 8-bit content made fit for a server without 8BITMIME (RFC 6152 section 3):
 * every part is encoded for itself (quoted-printable or base64, RFC 2045), the structure stays, raw
 * 8-bit header fields become encoded words (RFC 2047) or parameters of RFC 2231. What must not be
 * touched (signed, encrypted, a fragment) or cannot be understood is an obstacle, and nothing is sent.
 *
 * Two passes over the content, because a part's header, which names its encoding, comes before the
 * octets that decide on it: scan with every piece, scanned once; then, for each time it is sent,
 * begin, feed with every piece of the same content, end. Memory is bounded: one header section of
 * at most 512 KiB and an octet a part. Pieces may be cut anywhere.
 *
 * What comes out has no octet above 127, ends its lines with CRLF, and carries everything that came
 * in, but for octets that no decoder could have read: 8-bit ones around the parts of a multipart or
 * in trace fields ('?'), and inside base64 (left out; RFC 2045 section 6.8). */
#ifndef MESSAGE_DOWNGRADE_H
#define MESSAGE_DOWNGRADE_H

#include "base/arena.h"
#include "base/buf.h"

struct downgrade;

struct downgrade_finding {
    bool eightbit; /* an octet above 127, anywhere */
    bool
        eightbit_header; /* in the header of the message or of a part: SMTPUTF8, if that was asked for */
    const char *obstacle; /* why it cannot be converted; NULL: it can */
    const char *status;   /* RFC 3463, with obstacle */
    uint64_t size;        /* about what comes out */
};

/* Lives in the arena. */
struct downgrade *downgrade_open(struct arena *a);
void downgrade_scan(struct downgrade *d, struct bytes piece);
const struct downgrade_finding *downgrade_scanned(struct downgrade *d);
void downgrade_begin(struct downgrade *d);
void downgrade_feed(struct downgrade *d, struct bytes piece, struct buf *out);
/* False when the content was not what was scanned: what came out must not be taken for the message. */
bool downgrade_end(struct downgrade *d, struct buf *out);

#endif
