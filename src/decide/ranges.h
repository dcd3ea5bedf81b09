/* ranges: sets of addresses as sorted ranges that neither overlap nor touch, for the proof. Counting
 * what many networks come to is then exact, in whatever pieces they were written. Pure. */
#ifndef DECIDE_RANGES_H
#define DECIDE_RANGES_H

#include "base/addr.h"
#include "base/arena.h"
#include "config/config.h"

typedef unsigned __int128 wide; /* an address, or how many there are */

struct range {
    wide first, last;
};
struct ranges { /* of one family; the list belongs to an arena */
    size_t count;
    struct range *list;
};
struct address_set {
    struct ranges v4, v6;
};

/* All addresses of a list of networks, each in the family it was written in. */
struct address_set address_set_of(struct networks list, struct arena *a);
struct address_set address_set_union(struct address_set x, struct address_set y, struct arena *a);
struct address_set address_set_minus(struct address_set x, struct address_set y, struct arena *a);
bool address_set_within(struct address_set x, struct address_set y, struct arena *a);
bool address_set_empty(struct address_set x);
/* IPv4 written as IPv6 becomes IPv4 as well: mapped (::ffff:0:0/96), and as translators show IPv4
 * clients to IPv6 servers (64:ff9b::/96, RFC 7755). */
struct address_set address_set_fold(struct address_set x, struct arena *a);
/* Without what no stranger on the Internet can have as an address. 6to4 is left in: routers still
 * carry it. */
struct address_set address_set_public(struct address_set x, struct arena *a);
/* How many; all of IPv6 counts as one less than it has. */
wide ranges_size(struct ranges r);
wide ranges_widest(struct ranges r);
struct addr address_of(wide n, uint8_t family); /* 4 or 6 */
/* The first address of the set, IPv4 first; false when it is empty. */
bool address_set_first(struct address_set x, struct addr *out);

/* For the proof (example.c): a transaction of a client among these, with no login, certificate or POP
 * window, that connector c grants and the decision accepts from CONNECT to CONTENT, in words: "client
 * 192.0.2.1 at listener internet with TLS, from <a@b> to <c@d>, header From a@b". `at`: this listener
 * alone, or NULL. Empty: none was found. */
struct example_question {
    const struct config *config;
    const struct connector *c;
    const struct listener *at;
    struct address_set among;
    const struct networks *gateways;
    int64_t now;
};
struct bytes decide_example(const struct example_question *q, struct arena *a);

#endif
