/* Calls of the fetcher and its answers: what is read is what is written again. */
#include "base/must.h"
#include "fetcher/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes text = bytes_of(data, size);
    struct buf b = buf_grow(2 * FETCH_WIRE_MAX);
    struct fetch what;
    struct fetched answer;
    if (fetch_parse_request(text, &what)) {
        fetch_format_request(&b, &what);
        MUST(bytes_equal(buf_bytes(&b), text));
    }
    buf_clear(&b);
    if (fetch_parse_answer(text, &answer)) {
        fetch_format_answer(&b, &answer);
        MUST(fetch_parse_answer(buf_bytes(&b), &answer));
    }
    buf_free(&b);
    return 0;
}
