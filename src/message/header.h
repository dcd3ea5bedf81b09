/* header: the header section of a message (RFC 5322, RFC 6532), tolerant in what it reads, strict
 * in what it writes. All views look into the text that was parsed. */
#ifndef MESSAGE_HEADER_H
#define MESSAGE_HEADER_H

#include "base/arena.h"
#include "base/buf.h"

struct header_field {
    struct bytes name;  /* "From", as written */
    struct bytes value; /* behind the colon, still folded, without the final CRLF */
    struct bytes whole; /* name to CRLF */
};
/* Reads the next field; *rest moves on. END at the empty line (*rest is what follows it) or of the
 * text; MALFORMED at a line that is no field (*rest stays there); TRUNCATED when the text ends inside
 * a line (*out holds the field so far, if it has a name). */
enum header_next { HEADER_FIELD, HEADER_END, HEADER_MALFORMED, HEADER_TRUNCATED };
enum header_next header_next(struct bytes *rest, struct header_field *out);
/* The whole header's length with the empty line, or 0 when it is not complete in `text`. */
size_t header_length(struct bytes text);
/* First field of this name; false if there is none. */
bool header_find(struct bytes text, struct bytes name, struct header_field *out);
/* Value unfolded, trimmed; encoded words (RFC 2047) decoded to UTF-8 for header_decode. */
struct bytes header_unfold(struct bytes value, struct arena *a);
struct bytes header_decode(struct bytes value, struct arena *a);

/* Every mailbox in an address list (From, Sender, Reply-To, To, Cc): comments, quoted strings,
 * groups, routes, encoded words, obsolete forms (RFC 5322 section 4.4). One that cannot be parsed
 * is given as empty: whoever decides must take it for "somebody else's". What different programs
 * would read differently is given as a mailbox and an empty one beside it. At most `max` are given;
 * returns how many there are: 0 for an empty list or an empty group ("undisclosed:;"). Linear. */
size_t header_mailboxes(struct bytes value, struct arena *a, struct bytes *out, size_t max);
/* The same, with a bare local part ("To: root") completed by this domain: for mail of this host. */
size_t header_mailboxes_at(struct bytes value, struct bytes domain, struct arena *a,
                           struct bytes *out, size_t max);

/* What accept needs of a message's header, in one pass. */
struct header_summary {
    size_t from_fields, sender_fields, reply_to_fields, date_fields, message_id_fields,
        received_fields, return_path_fields, bcc_fields;
    struct bytes from, sender, reply_to, message_id, subject, tls_required; /* first one's value */
    bool has_8bit;  /* octets over 127 in the header */
    bool malformed; /* a line that is no field before the empty line */
    size_t length;  /* of the header with its empty line */
    bool complete;
};
void header_summarise(struct bytes text, struct header_summary *out);

#endif
