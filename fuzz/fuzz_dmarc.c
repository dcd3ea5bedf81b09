/* Fuzzes DMARC records. */
#include "base/must.h"
#include "trust/dmarc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes all = bytes_of(data, size);
    struct dmarc_record r;
    enum rc rc = dmarc_parse(all, &r);
    MUST(r.percent <= 100 && r.problem_count <= DMARC_PROBLEMS_MAX);
    MUST(rc == OK || r.problem_count);
    MUST(rc != OK || dmarc_is_record(all));
    for (size_t i = 0; i < r.rua_count; i++)
        MUST(r.rua[i].uri.len && r.rua[i].uri.len <= size);
    return 0;
}
