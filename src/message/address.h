/* address: mailboxes as RFC 5321 and RFC 6531 write them in commands. */
#ifndef MESSAGE_ADDRESS_H
#define MESSAGE_ADDRESS_H

#include "base/arena.h"
#include "base/buf.h"

struct address {
    struct bytes local;   /* unquoted and unescaped */
    struct bytes domain;  /* lower case A-labels, or "[192.0.2.1]"; empty for bare postmaster */
    struct bytes mailbox; /* canonical: local (quoted if it must be) @ domain */
    bool literal;         /* domain is an address literal */
    bool utf8;            /* the local part is not ASCII, or the domain was given as U-labels */
};
/* local@domain, without angle brackets. Limits of RFC 5321 4.5.3.1 (64, 255; 254 in all). NULL or
 * what is wrong with it, as half a sentence. */
const char *address_parse(struct bytes text, struct arena *a, struct address *out);
/* The parts of a mailbox that address_parse made. */
struct bytes address_domain(struct bytes mailbox);
struct bytes address_local(struct bytes mailbox);
/* Local parts and domains compared without case (our own directory's view). */
bool address_equal(struct bytes a, struct bytes b);
/* A host name as RFC 5321 4.1.2 Domain; U-labels become A-labels (UTS #46). NULL or what is wrong.
 */
const char *address_parse_domain(struct bytes text, struct arena *a, struct bytes *out);
/* For people: the domain as U-labels when that is safe to show, else as it is. */
struct bytes address_display(struct bytes mailbox, struct arena *a);

#endif
