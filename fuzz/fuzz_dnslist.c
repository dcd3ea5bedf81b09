/* Any text as an entry of blocklists: what is taken has a zone, a range in 127/8 and a score. */
#include "base/must.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct dnslist l;
    struct bytes text = bytes_of(data, size);
    if (!dnslist_parse(text, &l))
        return 0;
    MUST(l.zone.len && l.zone.len <= 180 && l.score <= 1000 && l.first <= l.last);
    MUST(!l.last || (l.first >> 24 == 127 && l.last >> 24 == 127));
    MUST(dnslist_name(l.zone).len <= l.zone.len);
    return 0;
}
