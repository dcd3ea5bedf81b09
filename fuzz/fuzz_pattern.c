/* fuzz_pattern: a pattern, a newline, a mailbox. What is a pattern stays one when it is shown, with
 * the same matches. */
#include "config/config.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes mailbox = bytes_of(data, size), text;
    struct arena *a = arena_open();
    struct pattern p, again;
    bytes_split(&mailbox, '\n', &text);
    if (pattern_parse(text, a, &p)) {
        unsigned score = pattern_match(&p, mailbox);
        if (p.text.len) {
            MUST(pattern_parse(p.text, a, &again) && again.kind == p.kind);
            MUST(pattern_match(&again, mailbox) == score);
        }
    }
    arena_close(&a);
    return 0;
}
