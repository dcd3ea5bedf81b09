/* fuzz_header: any octets as a header, and as an address list. Mailboxes that come out must be
 * canonical; what is counted must not depend on how many there is room for. */
#include "message/address.h"
#include "message/header.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 64 };

static void check_list(struct bytes value, struct arena *a) {
    struct bytes out[ROOM], one[1];
    size_t count = header_mailboxes(value, a, out, ROOM);
    MUST(header_mailboxes(value, a, one, 1) == count);
    for (size_t i = 0; i < count && i < ROOM; i++) {
        struct address again;
        if (out[i].len)
            MUST(!address_parse(out[i], a, &again) && bytes_equal(again.mailbox, out[i]));
    }
}

static void check_header(struct bytes text, struct arena *a) {
    struct header_summary s;
    struct header_field f;
    struct bytes rest = text;
    size_t used = 0;
    header_summarise(text, &s);
    MUST(s.length <= text.len);
    MUST(!s.complete || header_length(text) == s.length);
    while (header_next(&rest, &f) == HEADER_FIELD) {
        MUST(f.name.len && f.whole.len > f.name.len);
        used += f.whole.len;
        check_list(f.value, a);
        struct bytes decoded = header_decode(f.value, a);
        MUST(bytes_find(decoded, '\n') < 0 && bytes_find(decoded, '\r') < 0);
    }
    MUST(used <= text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_open();
    check_header(bytes_of(data, size), a);
    check_list(bytes_of(data, size), a);
    arena_close(&a);
    return 0;
}
