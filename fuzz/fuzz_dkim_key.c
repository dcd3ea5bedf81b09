/* Fuzzes DKIM key records, and the other lists of tags: whatever is taken is whole. */
#include "base/must.h"
#include "trust/bimi.h"
#include "trust/dkim_key.h"
#include "trust/tlsa.h"
#include "trust/tlsrpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes all = bytes_of(data, size);
    struct arena *a = arena_open();
    struct dkim_key k;
    if (dkim_key_parse(all, a, &k) == OK)
        MUST(k.revoked || (k.bits > 0 && k.octets.len > 0));
    else
        MUST(k.wrong);
    struct tlsrpt_record t;
    MUST(tlsrpt_parse(all, &t) != OK ? t.wrong != NULL : t.count > 0);
    struct bimi_record b;
    MUST(bimi_parse(all, &b) == OK || b.wrong);
    struct tlsa_record r;
    MUST(tlsa_parse(all, &r) != OK ? r.wrong != NULL : r.data.len > 0);
    arena_close(&a);
    return 0;
}
