/* tlsa: see tlsa.h. */
#include "trust/tlsa.h"

#include "base/must.h"

static const char *const usages[] = { "PKIX-TA", "PKIX-EE", "DANE-TA", "DANE-EE" };

const char *tlsa_usage_name(unsigned usage) {
    return usage < COUNT_OF(usages) ? usages[usage] : "unknown";
}

static const char *judge(const struct tlsa_record *r) {
    static const size_t lengths[] = { [TLSA_SHA256] = 32, [TLSA_SHA512] = 64 };
    if (r->usage < TLSA_DANE_TA) /* RFC 7672 section 3.1.3 */
        return "has a usage for browsers (0 or 1), which mail servers do not use";
    if (r->usage > TLSA_DANE_EE)
        return "has a usage that nobody knows";
    if (r->selector > TLSA_KEY)
        return "has a selector that nobody knows";
    if (r->matching > TLSA_SHA512)
        return "has a matching type that nobody knows";
    if (r->matching != TLSA_FULL && r->data.len != lengths[r->matching])
        return "has a digest of the wrong length";
    return r->data.len ? NULL : "names nothing";
}

enum rc tlsa_parse(struct bytes octets, struct tlsa_record *out) {
    *out = (struct tlsa_record){ 0 };
    if (octets.len < 3) {
        out->wrong = "is too short";
        return PERM;
    }
    out->usage = (unsigned char)octets.at[0];
    out->selector = (unsigned char)octets.at[1];
    out->matching = (unsigned char)octets.at[2];
    out->data = bytes_skip(octets, 3);
    out->wrong = judge(out);
    return out->wrong ? PERM : OK;
}
