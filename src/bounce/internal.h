/* internal: what the readers of this folder share. A reader looks at a message and adds sayings: what one
 * source (a machine's fields, a text for people) says of one recipient. bounce.c joins them. */
#ifndef BOUNCE_INTERNAL_H
#define BOUNCE_INTERNAL_H

#include "bounce/bounce.h"
#include "message/mime.h"

struct saying {
    struct bytes address, original;
    struct bytes text; /* the server's words */
    struct bytes host;
    const char *action, *command;
    struct status status; /* said apart from the words */
};

struct sayings {
    struct saying *list;
    size_t count, room;
};

struct reading {
    struct arena *arena;
    struct bounce *out;
    struct bytes message; /* the whole */
    struct mime mime;
    struct bytes header; /* of the whole */
    size_t forwards;     /* messages around this one */
    struct sayings fields, words;
};

/* Empty, to be filled in; NULL when there are BOUNCE_RECIPIENTS already. */
struct saying *saying_add(struct reading *r, struct sayings *s);

/* --- clean.c: octets as the answer's text ------------------------------------------------------- */
/* One line, single blanks, UTF-8, at most BOUNCE_TEXT octets. */
struct bytes clean_line(struct bytes text, struct arena *a);
/* "<ann@example.com>" "rfc822;ann@example.com" "\"ann\" (Ann)": the address alone, as it was written. */
struct bytes clean_address(struct bytes text, struct arena *a);
/* "dns; mx.example.com (192.0.2.1)": the name or address of a host alone. */
struct bytes clean_host(struct bytes text, struct arena *a);

/* --- codes.c: codes in words -------------------------------------------------------------------- */
struct codes {
    int code;             /* 0: none */
    struct status status; /* not set: none */
    size_t at;            /* where the first of them stands */
};
struct codes codes_find(struct bytes text);
/* "550 5.1.1 x", "#5.1.1 x": a code begins the text. */
bool codes_begin(struct bytes text);
/* "5.0.0 (permanent failure)", "5.1.1." */
bool codes_status(struct bytes text, struct status *out);

/* --- machine.c ---------------------------------------------------------------------------------- */
/* Reads the groups of fields of a delivery status (RFC 3464) out of a text; false if there are none. */
bool machine_read(struct reading *r, struct bytes text);

/* --- readers: true if this is theirs; they have set kind, format and recipients ------------------- */
bool read_report(struct reading *r); /* RFC 3464 */

#endif
