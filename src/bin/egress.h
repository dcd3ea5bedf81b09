/* egress: from where mail of a domain leaves, as a configuration says: addresses of this host and of tenants and routes,
 * and smart hosts that send on; and what such a domain should publish. For `postern dns` and `check --live`. */
#ifndef BIN_EGRESS_H
#define BIN_EGRESS_H

#include "config/config.h"
#include "doctor/domain.h"

enum { EGRESS_MAX = 64 };
struct egress {
    size_t count;
    struct domain_egress list[EGRESS_MAX];
    size_t include_count;
    struct bytes includes[EGRESS_MAX]; /* SPF records of well-known smart hosts */
};
/* `domain` empty: of any sender. */
void egress_of(const struct config *c, struct bytes domain, struct arena *a, struct egress *out);
/* Views look into `e` and the configuration. */
void egress_plan(const struct config *c, struct bytes domain, struct arena *a,
                 const struct egress *e, struct domain_plan *out);

#endif
