/* fuzz_log: any octets as the lines of a log. */
#include "bounce/log.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_open();
    struct bounce b;
    enum rc rc = log_read(bytes_of(data, size), a, &b);
    MUST((rc == OK) == (b.count > 0) && b.count <= LOG_RECIPIENTS);
    MUST(rc == OK ? b.format != NULL : b.because != NULL);
    for (size_t i = 0; i < b.count; i++) {
        const struct bounce_recipient *r = &b.recipients[i];
        MUST(r->action && r->text.len <= BOUNCE_TEXT && bytes_is_utf8(r->text) &&
             bytes_is_utf8(r->address));
    }
    arena_close(&a);
    return 0;
}
