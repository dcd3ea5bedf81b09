/* mta_sts: the record at _mta-sts.DOMAIN and the policy at https://mta-sts.DOMAIN/.well-known/mta-sts.txt
 * (RFC 8461). */
#ifndef TRUST_MTA_STS_H
#define TRUST_MTA_STS_H

#include "base/arena.h"
#include "base/why.h"

enum { MTA_STS_AGE_MAX = 31557600, MTA_STS_PATTERNS_MAX = 64, MTA_STS_POLICY_MAX = 64 * 1024 };

struct mta_sts_record {
    struct bytes id;
    const char *wrong; /* half a sentence about ... */
    struct bytes wrong_at;
};
/* It begins with v=STSv1. */
bool mta_sts_is_record(struct bytes text);
/* PERM: it breaks the grammar, and senders take it for none. */
enum rc mta_sts_parse_record(struct bytes text, struct mta_sts_record *out);

enum mta_sts_mode { MTA_STS_NONE, MTA_STS_TESTING, MTA_STS_ENFORCE };
const char *mta_sts_mode_name(enum mta_sts_mode m);
struct mta_sts_policy {
    enum mta_sts_mode mode;
    uint64_t max_age; /* seconds */
    size_t mx_count;
    struct bytes mx[MTA_STS_PATTERNS_MAX]; /* names, or "*.example.com" */
    const char *wrong;                     /* half a sentence about ... */
    struct bytes wrong_at;                 /* the line */
};
/* PERM: it breaks the grammar. Views look into the text. */
enum rc mta_sts_parse_policy(struct bytes text, struct mta_sts_policy *out);
/* Section 4.1: a wildcard stands for exactly one label. */
bool mta_sts_matches(struct bytes pattern, struct bytes host);
bool mta_sts_covers(const struct mta_sts_policy *p, struct bytes host);

#endif
