/* Hashes of other systems, from a file somebody was given: what is taken is printable, bounded, and
 * cheap enough to be checked, for which any password will do. */
#include "base/must.h"
#include "keeper/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes hash;
    if (import_parse(bytes_of(data, size), &hash))
        return 0;
    MUST(hash.len >= 4 && hash.len <= HASH_TEXT_MAX && hash.at[0] == '$');
    MUST(bytes_find(hash, ':') < 0 && bytes_find(hash, ' ') < 0);
    import_fits(hash, B("not this one, 8f1c"));
    return 0;
}
