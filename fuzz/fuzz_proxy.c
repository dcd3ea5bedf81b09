/* The PROXY header: whatever comes, the length it claims is within what was given. */
#include "base/must.h"
#include "sys/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct proxy_header h;
    proxy_parse(bytes_of(data, size), &h);
    MUST(h.length <= size);
    if (h.kind == PROXY_CLIENT)
        MUST(h.length > 0 && (h.client.family == 4 || h.client.family == 6));
    return 0;
}
