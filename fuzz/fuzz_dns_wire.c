/* Fuzzes what a worker reads from the resolver, and the resolver from a worker: whatever is taken
 * must come back the same when it is written again. */
#include "base/must.h"
#include "dns/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(struct bytes all) {
    struct arena *a = arena_open();
    struct dns_answer first, second;
    struct buf b = buf_grow(1 << 20);
    if (dns_wire_parse_answer(all, a, &first)) {
        dns_wire_format_answer(&b, &first);
        MUST(dns_wire_parse_answer(buf_bytes(&b), a, &second));
        MUST(second.count <= first.count && second.exists == first.exists);
        for (size_t i = 0; i < second.count; i++)
            MUST(bytes_equal(first.records[i].name, second.records[i].name));
    }
    buf_free(&b);
    arena_close(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes all = bytes_of(data, size), name;
    enum dns_type type;
    if (dns_wire_parse_question(all, &name, &type))
        MUST(name.len <= DNS_NAME_MAX);
    answer(all);
    return 0;
}
