/* mime: the parts of a message (RFC 2045-2049), of one that programs and people have broken, too: no
 * boundary where one is announced, transfer encodings cut short, charsets that nobody knows. Nothing
 * is refused; what cannot be read is read as it stands.
 *
 *     struct mime m;
 *     mime_read(message, a, &m);
 *     for (size_t i = 0; i < m.count; i++)
 *         if (bytes_starts(m.parts[i].type, B("text/")))
 *             ... mime_text(&m, i)
 *
 * Parts stand in the order of the message, each behind its container; part 0 is the message itself.
 * Linear in the message and bounded: beyond the limits below nothing is read, and `cut` is set. */
#ifndef MESSAGE_MIME_H
#define MESSAGE_MIME_H

#include "base/arena.h"
#include "base/buf.h"

enum {
    MIME_DEPTH = 16,            /* containers in each other */
    MIME_PARTS = 300,           /* of a message, all levels together */
    MIME_HEADER = 256 * 1024,   /* octets of one header section that are looked at */
    MIME_TEXT = 1024 * 1024,    /* octets of one part's text */
    MIME_DECODED = 6144 * 1024, /* octets decoded in all */
};

enum mime_encoding { MIME_PLAIN, MIME_BASE64, MIME_QP, MIME_UU };

struct mime_part {
    struct bytes type;   /* "text/plain", lower case, never empty */
    struct bytes header; /* as it stands; parameters by mime_field and mime_parameter */
    struct bytes body;   /* as it stands, still encoded */
    struct bytes charset;
    enum mime_encoding encoding;
    bool flowed, delsp; /* RFC 3676 */
    bool message;       /* its header is a message's: part 0, and those inside message/rfc822 */
    size_t parent;      /* of part 0: itself */
    unsigned depth;
    struct bytes octets, text; /* as mime_octets and mime_text have given them */
};
struct mime {
    struct arena *arena;
    struct mime_part *parts;
    size_t count, room;
    size_t decoded; /* octets of MIME_DECODED spent */
    bool cut;       /* limits were hit */
};
void mime_read(struct bytes message, struct arena *a, struct mime *out);

/* The part belongs to a message inside this one, not to this one. */
bool mime_inside(const struct mime *m, size_t part);
/* The part's octets without its transfer encoding, at most MIME_TEXT of them. */
struct bytes mime_octets(struct mime *m, size_t part);
/* Its text for people and parsers: UTF-8, lines end with LF, HTML as its text, flowed lines joined,
 * no controls but LF and tab. */
struct bytes mime_text(struct mime *m, size_t part);

/* The first field of this name in a header section, unfolded and trimmed; lines that are no fields
 * are passed over. False if there is none. */
bool mime_field(struct bytes header, struct bytes name, struct arena *a, struct bytes *out);
/* A parameter of a field such as Content-Type, with RFC 2231's pieces joined and decoded to UTF-8. */
bool mime_parameter(struct bytes value, struct bytes name, struct arena *a, struct bytes *out);
/* The header section of a text with its empty line: where the body begins. A line that cannot be
 * a header's ends it, too. */
size_t mime_header_length(struct bytes text);

/* --- parts of the above, each by itself --- */
/* Each at most `max` octets; what is no base64 or quoted-printable is passed over or kept as it is. */
void mime_unbase64(struct buf *out, struct bytes text);
void mime_unqp(struct buf *out, struct bytes text);
void mime_unuu(struct buf *out, struct bytes text);
/* In UTF-8. An unknown charset is taken for UTF-8, or windows-1252 if it is none. What does not
 * belong to the charset becomes U+FFFD. */
void mime_utf8(struct buf *out, struct bytes charset, struct bytes text);
/* An unstructured field's value: unfolded, encoded words (RFC 2047) of any charset that
 * mime_utf8 knows decoded, one line without controls. */
struct bytes mime_words(struct bytes value, struct arena *a);
/* HTML as lines of text. */
void mime_html(struct buf *out, struct bytes html);

#endif
