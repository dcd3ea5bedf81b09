/* fuzz_reply: any octets as a reply's text; the first octet chooses the step, the second what else is
 * known. What is known of the host comes from the text, too. */
#include "reply/knowledge.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const steps[] = { NULL, "RCPT", "MAIL", "end of data", "AUTH", "connect" };
    if (size < 2)
        return 0;
    unsigned known = data[1];
    struct bytes text = bytes_of(data + 2, size - 2);
    const struct reply_facts facts = {
        .text = text,
        .command = steps[data[0] % COUNT_OF(steps)],
        .submission = data[0] & 64,
        .ours_is_client = data[0] & 128,
        .mx = (enum reply_mx)(known % 3),
        .logged_in = known & 4,
        .host = known & 8 ? bytes_first(text, 40) : BYTES_NONE,
        .banner = known & 16 ? bytes_first(text, 80) : BYTES_NONE,
        .code = known & 32 ? 550 : 0,
    };
    const struct reply_meaning *m = reply_explain(&facts);
    MUST(m->cause && m->who && m->rule && m->explanation && m->fixes && m->severity && m->reason);
    MUST(m->confidence > 0 && m->confidence <= 1);
    MUST(m->said_permanent >= -1 && m->said_permanent <= 1);
    MUST(!m->family == !m->family_title);
    return 0;
}
