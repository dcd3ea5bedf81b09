/* proxy: the header a load balancer puts in front of a connection to tell whose it is (PROXY protocol,
 * versions 1 and 2). Only to be read from peers that a listener lists. Pure. */
#ifndef SYS_PROXY_H
#define SYS_PROXY_H

#include "base/addr.h"

enum proxy_kind { PROXY_INCOMPLETE, PROXY_BAD, PROXY_LOCAL, PROXY_UNKNOWN, PROXY_CLIENT };
struct proxy_header {
    enum proxy_kind kind;
    struct addr client, server;
    size_t length; /* octets of the header */
};
void proxy_parse(struct bytes data, struct proxy_header *out);

#endif
