/* certificate: what a client's certificate may log in by besides its key: the names in it, each with an
 * authority that vouches for it. */
#ifndef FLOW_CERTIFICATE_H
#define FLOW_CERTIFICATE_H

#include "flow/verdict.h"

/* "ca:PATH name:NAME" each, a newline behind it, as keeper/auth.h takes it. What does not fit is left
 * out and counts for nothing; then out is full. */
void facts_vouched_names(const struct facts *f, struct buf *out);

#endif
