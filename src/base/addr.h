/* addr: IPv4, IPv6 and unix-socket addresses as values, and networks of them. An IPv4-mapped IPv6
 * address is folded to IPv4 wherever one is made, so one host has one value. Pure. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include "base/buf.h"

struct addr {
    uint8_t family; /* 4, 6, 1 for a unix socket, 0 for none */
    uint8_t ip[16]; /* network order; the first 4 for IPv4 */
    uint16_t port;  /* 0 if it does not matter */
    uint32_t scope; /* IPv6 interface index of a link-local address, else 0 */
};

/* "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1" (folded); no port, no brackets. */
bool addr_parse(struct bytes text, struct addr *out);
/* "192.0.2.1:25", "[2001:db8::1]:25", "*:25" (family 0). */
bool addr_parse_port(struct bytes text, struct addr *out);
/* "192.0.2.1"; "local" for a unix socket. */
void addr_format(struct buf *b, struct addr a);
/* "192.0.2.1:25", "[2001:db8::1]:25". */
void addr_format_port(struct buf *b, struct addr a);
bool addr_equal(struct addr a, struct addr b); /* ports ignored */
bool addr_is_loopback(struct addr a);          /* 127.0.0.0/8, ::1 */
bool addr_is_public(struct addr a);            /* not in the IANA special-purpose registries */
struct addr addr_fold(struct addr a);          /* IPv4-mapped to IPv4 */
/* The address with all but the first `bits` cleared: a /64 of an IPv6 client, for counters. */
struct addr addr_masked(struct addr a, unsigned bits);
/* "1.2.0.192" resp. nibbles, for PTR and blocklists; without suffix. */
void addr_format_reversed(struct buf *b, struct addr a);

struct network {
    struct addr base;
    unsigned bits; /* prefix length, at most 32 or 128 */
};
enum network_error { NETWORK_OK, NETWORK_SYNTAX, NETWORK_HOST_BITS };
/* "192.0.2.0/24", "2001:db8::/32", an address alone (/32, /128). ::ffff:0:0/96 and longer fold to
 * IPv4. With NETWORK_HOST_BITS *out holds the network as it should have been written. */
enum network_error network_parse(struct bytes text, struct network *out);
bool network_contains(struct network n, struct addr a);
bool network_overlaps(struct network a, struct network b);
void network_format(struct buf *b, struct network n);

#endif
