/* fuzz_reply_pattern: a pattern on the first line, a text behind it. What the pattern cannot do
 * without must not keep it from a text that it matches. */
#include "reply/pattern.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes text = bytes_of(data, size), source, undefined;
    if (size > 2000 || !bytes_split(&text, '\n', &source))
        return 0;
    struct arena *a = arena_open();
    struct patterns *all = patterns_new(a, NULL);
    MUST(pattern_let(all, B("DENIED"), B("denied|(not|never) allowed")));
    struct pattern *p = pattern_new(all, source, &undefined);
    if (p && !pattern_wrong(p)) {
        patterns_look(all, text);
        MUST(pattern_found(p, text) || !pattern_matches(p, text));
    }
    arena_close(&a);
    return 0;
}
