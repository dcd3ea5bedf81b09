/* fuzz_words: any octets as what was copied from a screen. */
#include "bounce/words.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_open();
    struct bounce b;
    enum rc rc = words_read(bytes_of(data, size), a, &b);
    MUST((rc == OK) == (b.kind == BOUNCE_BOUNCE) && b.count <= WORDS_RECIPIENTS);
    MUST(rc != OK || b.count);
    for (size_t i = 0; i < b.count; i++) {
        const struct bounce_recipient *r = &b.recipients[i];
        MUST(r->action && r->text.len <= BOUNCE_TEXT && bytes_is_utf8(r->text));
        MUST(!r->code || (r->code >= 200 && r->code < 600));
    }
    arena_close(&a);
    return 0;
}
