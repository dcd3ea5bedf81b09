/* Fuzzes MTA-STS policies and records; a policy that was taken, written anew, is taken with the same meaning. */
#include "base/buf.h"
#include "base/must.h"
#include "trust/mta_sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct mta_sts_policy *p) {
    struct mta_sts_policy q;
    struct buf b = buf_grow(1 << 20);
    buf_printf(&b, "version: STSv1\nmode: %s\nmax_age: %llu\n", mta_sts_mode_name(p->mode),
               (unsigned long long)p->max_age);
    for (size_t i = 0; i < p->mx_count; i++)
        buf_printf(&b, "mx: %.*s\n", BYTES_FMT(p->mx[i]));
    MUST(mta_sts_parse_policy(buf_bytes(&b), &q) == OK);
    MUST(q.mode == p->mode && q.max_age == p->max_age && q.mx_count == p->mx_count);
    for (size_t i = 0; i < p->mx_count; i++)
        MUST(bytes_starts(p->mx[i], B("*.")) || mta_sts_covers(&q, p->mx[i]));
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes all = bytes_of(data, size);
    struct mta_sts_policy p;
    struct mta_sts_record r;
    if (mta_sts_parse_policy(all, &p) == OK)
        again(&p);
    else
        MUST(p.wrong);
    MUST(mta_sts_parse_record(all, &r) != OK ? r.wrong != NULL : r.id.len > 0);
    return 0;
}
