/* dmarc: the record at _dmarc.DOMAIN (RFC 7489 section 6.3; np, psd and t of RFC 9091 and its successors). */
#ifndef TRUST_DMARC_H
#define TRUST_DMARC_H

#include "base/bytes.h"
#include "base/why.h"

enum dmarc_policy { DMARC_NONE, DMARC_QUARANTINE, DMARC_REJECT };
const char *dmarc_policy_name(enum dmarc_policy p);

enum { DMARC_URIS_MAX = 16, DMARC_PROBLEMS_MAX = 8 };
struct dmarc_uri {
    struct bytes uri;    /* without its size */
    struct bytes domain; /* of a mailto:, as written; empty for others */
    uint64_t max_size;   /* octets; 0: any */
};
struct dmarc_problem {
    const char *what; /* half a sentence about ... */
    struct bytes at;
};
struct dmarc_record {
    enum dmarc_policy policy, subdomain_policy, missing_policy; /* p; sp, else p; np, else sp */
    bool has_subdomain_policy, has_missing_policy;
    bool strict_dkim, strict_spf;
    bool testing;     /* t=y */
    unsigned percent; /* pct */
    size_t rua_count, ruf_count;
    struct dmarc_uri rua[DMARC_URIS_MAX], ruf[DMARC_URIS_MAX];
    /* What breaks the grammar: receivers fall back to the default of that tag, or, after PERM, take it for no
     * record. */
    size_t problem_count;
    struct dmarc_problem problems[DMARC_PROBLEMS_MAX];
};
/* Whether a TXT record counts as one: "v=DMARC1" stands first, spelled so. */
bool dmarc_is_record(struct bytes text);
/* PERM: receivers treat it as if it were not there. Views look into the text. */
enum rc dmarc_parse(struct bytes text, struct dmarc_record *out);

#endif
