/* fuzz_config_thaw: any octets as a frozen configuration. What is accepted must freeze to the same
 * octets and can be shown. */
#include "config/config.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes input = bytes_of(data, size);
    struct config *c;
    if (config_thaw(input, &c) != OK)
        return 0;
    struct buf again = buf_grow(16 << 20), shown = buf_grow(64 << 20);
    config_freeze(&again, c);
    MUST(bytes_equal(buf_bytes(&again), input));
    config_show(&shown, c);
    buf_free(&again);
    buf_free(&shown);
    config_close(&c);
    return 0;
}
