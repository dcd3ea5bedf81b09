/* A file of failed logins that was damaged or put there by somebody: taken whole or not at all, and what
 * was taken is bounded and is saved again. */
#include "base/must.h"
#include "keeper/failures.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct failures *f = failures_open();
    struct addr client = { .family = 4, .ip = { 192, 0, 2, 1 } };
    bool taken = failures_load(f, bytes_of(data, size), 1000000, 2000000);
    struct buf b = buf_grow(FAILURES_SAVED_MAX);
    MUST(taken || failures_count(f) == 0);
    failures_save(f, 1000000, 2000000, &b);
    struct penalty p = failures_wrong(f, client, B("a@a.example"), 1000000);
    MUST(p.delay_ms >= 0 && p.delay_ms <= 15000);
    MUST(failures_right(f, client, B("a@a.example"), 1000001) <= 15000);
    buf_free(&b);
    failures_close(&f);
    return 0;
}
