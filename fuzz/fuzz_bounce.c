/* fuzz_bounce: any octets as a message. What comes out keeps what bounce.h promises of it, and is the same when
 * it is read again. */
#include "bounce/bounce.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct bytes text) {
    MUST(text.len <= BOUNCE_TEXT && bytes_is_utf8(text));
    for (size_t i = 0; i < text.len; i++)
        MUST((unsigned char)text.at[i] >= ' ' && text.at[i] != 127);
}

static void check_recipient(const struct bounce_recipient *r) {
    check_text(r->address);
    check_text(r->original);
    check_text(r->text);
    check_text(r->host);
    MUST(r->action && r->code >= 0 && r->code < 600);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_open();
    struct bounce first, again;
    struct bytes message = bytes_of(data, size);
    enum rc rc = bounce_read(message, a, &first);
    MUST(rc == bounce_read(message, a, &again));
    if (rc == OK) {
        MUST(first.kind == again.kind && first.count == again.count);
        MUST(first.kind == BOUNCE_NONE ? first.count == 0 && first.because
                                       : first.count && first.format);
        check_text(first.reporter);
        check_text(first.sender);
        check_text(first.subject);
        check_text(first.message_id);
        check_text(first.client);
        for (size_t i = 0; i < first.count; i++) {
            check_recipient(&first.recipients[i]);
            MUST(bytes_equal(first.recipients[i].address, again.recipients[i].address));
        }
    }
    arena_close(&a);
    return 0;
}
