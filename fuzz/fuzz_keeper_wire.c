/* Any octets as a keeper request or answer: what is taken must come out again the same. */
#include "base/must.h"
#include "keeper/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_request(struct bytes input, struct buf *b) {
    struct wire_request r;
    if (!wire_parse_request(input, &r))
        return;
    wire_format_request(b, &r);
    MUST(!b->full && bytes_equal(buf_bytes(b), input));
}

static void as_answer(struct bytes input, struct buf *b) {
    struct auth_answer a, again;
    if (!wire_parse_answer(input, &a))
        return;
    wire_format_answer(b, &a);
    MUST(!b->full && wire_parse_answer(buf_bytes(b), &again) && again.result == a.result &&
         bytes_equal(again.data, a.data));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf b = buf_grow(2 * WIRE_MAX);
    as_request(bytes_of(data, size), &b);
    buf_clear(&b);
    as_answer(bytes_of(data, size), &b);
    buf_free(&b);
    return 0;
}
