/* fuzz_rules: any text as a file of rules. It is read, or refused with a place in it. */
#include "reply/knowledge.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct why why = { 0 };
    enum rc rc = reply_learn("fuzz", bytes_of(data, size), &why);
    MUST(rc == OK || (rc == PERM && bytes_starts(bytes_str(why.text), B("fuzz:"))));
    if (rc == OK) {
        const struct reply_facts facts = { .text = B("550 5.7.1 Unable to relay") };
        MUST(reply_explain(&facts)->cause);
        MUST(reply_learn("none", BYTES_NONE, &why) == OK);
    }
    return 0;
}
