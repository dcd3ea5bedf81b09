/* Fuzzes hosts files. */
#include "base/must.h"
#include "dns/local.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_open();
    struct dns_local *t = dns_local_parse(a, bytes_of(data, size));
    struct addr found[4];
    MUST(dns_local_find(t, B("localhost"), found, 4) <= 4);
    arena_close(&a);
    return 0;
}
