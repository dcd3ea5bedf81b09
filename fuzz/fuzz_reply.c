/* fuzz_reply: any octets as a reply's text; the first octet chooses the step. */
#include "reply/knowledge.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const steps[] = { NULL, "RCPT", "MAIL", "end of data", "AUTH", "connect" };
    if (!size)
        return 0;
    const struct reply_facts facts = { .text = bytes_of(data + 1, size - 1),
                                       .command = steps[data[0] % COUNT_OF(steps)],
                                       .submission = data[0] & 64,
                                       .ours_is_client = data[0] & 128 };
    const struct reply_meaning *m = reply_explain(&facts);
    MUST(m->cause && m->who && m->rule && m->explanation && m->fixes);
    MUST(m->confidence > 0 && m->confidence <= 1);
    return 0;
}
