/* tlsrpt: the record at _smtp._tls.DOMAIN: where reports about TLS go (RFC 8460 section 3). */
#ifndef TRUST_TLSRPT_H
#define TRUST_TLSRPT_H

#include "base/bytes.h"
#include "base/why.h"

enum { TLSRPT_URIS_MAX = 16 };
struct tlsrpt_record {
    size_t count;
    struct bytes rua[TLSRPT_URIS_MAX];
    const char *wrong; /* half a sentence about ... */
    struct bytes wrong_at;
};
bool tlsrpt_is_record(struct bytes text);
/* PERM: it breaks the grammar. */
enum rc tlsrpt_parse(struct bytes text, struct tlsrpt_record *out);

#endif
