/* Any octets as an envelope: what is taken must come out again the same. */
#include "base/must.h"
#include "flow/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_open();
    struct envelope e;
    if (envelope_parse(bytes_of(data, size), a, &e)) {
        struct buf b = buf_grow(8 * size + 64);
        envelope_format(&b, envelope_copy(a, &e));
        struct envelope again;
        MUST(!b.full && envelope_parse(buf_bytes(&b), a, &again) && again.count == e.count);
        buf_free(&b);
    }
    arena_close(&a);
    return 0;
}
