/* tlsa: records at _25._tcp.HOST: which certificate a server shows (RFC 6698; for mail RFC 7672). */
#ifndef TRUST_TLSA_H
#define TRUST_TLSA_H

#include "base/bytes.h"
#include "base/why.h"

enum tlsa_usage { TLSA_PKIX_TA, TLSA_PKIX_EE, TLSA_DANE_TA, TLSA_DANE_EE };
enum tlsa_selector { TLSA_CERTIFICATE, TLSA_KEY };
enum tlsa_matching { TLSA_FULL, TLSA_SHA256, TLSA_SHA512 };
struct tlsa_record {
    unsigned usage, selector, matching;
    struct bytes data;
    const char *wrong; /* why no sender of mail can use it */
};
/* From the octets of the record. PERM: senders pass it over, see wrong. */
enum rc tlsa_parse(struct bytes octets, struct tlsa_record *out);
const char *tlsa_usage_name(unsigned usage); /* "DANE-EE" */

#endif
