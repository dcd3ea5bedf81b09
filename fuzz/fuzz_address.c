/* Any octets as an address: what is taken has one canonical form, within the limits, safe to stand
 * in a command. */
#include "base/must.h"
#include "message/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct bytes text, struct arena *a) {
    struct address first, second;
    if (address_parse(text, a, &first))
        return;
    MUST(!address_parse(first.mailbox, a, &second));
    MUST(bytes_equal(first.mailbox, second.mailbox) && bytes_equal(first.local, second.local));
    MUST(bytes_equal(first.domain, second.domain) && first.literal == second.literal);
    MUST(bytes_equal(address_domain(first.mailbox), first.domain));
    MUST(first.mailbox.len <= 254 && address_local(first.mailbox).len <= 64);
    for (size_t i = 0; i < first.mailbox.len; i++)
        MUST((unsigned char)first.mailbox.at[i] >= ' ' && first.mailbox.at[i] != 0x7f);
    address_display(first.mailbox, a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_open();
    struct bytes text = bytes_of(data, size), domain;
    check(text, a);
    address_parse_domain(text, a, &domain);
    address_display(text, a);
    arena_close(&a);
    return 0;
}
