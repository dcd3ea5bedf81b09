/* local: the names this host knows by itself (/etc/hosts, hosts(5)). */
#ifndef DNS_LOCAL_H
#define DNS_LOCAL_H

#include "base/addr.h"
#include "base/arena.h"

struct dns_local;

/* Of the text of a hosts file; lines that make no sense are passed over. */
struct dns_local *dns_local_parse(struct arena *a, struct bytes text);
size_t dns_local_find(const struct dns_local *t, struct bytes name, struct addr *out, size_t max);
/* localhost and all below it, whatever the file says (RFC 6761 section 6.3). */
size_t dns_localhost(struct bytes name, struct addr *out, size_t max);

#endif
