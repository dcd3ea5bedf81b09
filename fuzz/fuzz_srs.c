/* Any text as an address that SRS rewrote, and as a sender to be rewritten. Reading: what has not our hash
 * is forged, and gives nothing. Writing: what comes of it is an address that reads back as the sender. */
#include "base/must.h"
#include "message/address.h"
#include "resolve/srs.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY B("a key of twenty-two octets\nand an older one, longer")
#define NOW INT64_C(1795165200000)
#define DAY INT64_C(86400000)

static const char *kind_of(struct bytes local) {
    return bytes_starts_nocase(local, B("SRS1=")) ? "SRS1" : "SRS0";
}

/* What we wrote for a sender that a command could bring. */
static void write_and_read(struct bytes text, struct arena *a) {
    char memory[600];
    struct buf out = buf_fixed(memory, sizeof memory);
    struct address sender;
    struct bytes inside;
    if (address_parse(text, a, &sender) || !sender.domain.len) {
        srs_write(KEY, text, B("ours.example"), NOW, &out); /* must not fall over */
        return;
    }
    if (!srs_write(KEY, sender.mailbox, B("ours.example"), NOW, &out)) {
        MUST(!out.len);
        return;
    }
    struct bytes srs = buf_bytes(&out);
    MUST(srs.len <= 254 && srs_looks(srs));
    enum srs_state state = srs_read(KEY, srs, NOW, a, &inside);
    bool first = bytes_starts(srs, B("SRS0="));
    MUST(!first || state == SRS_GOOD);
    MUST(!first || bytes_equal(inside, sender.mailbox));
    MUST(state == SRS_FORGED ||
         srs_read(KEY, srs, NOW + 30 * DAY, a, &inside) == (first ? SRS_EXPIRED : SRS_GOOD));
    MUST(srs_read(B("somebody else's key"), srs, NOW, a, &inside) == SRS_FORGED && !inside.len);
    MUST(bytes_ends_nocase(srs, B("@ours.example")) &&
         bytes_starts_nocase(srs, bytes_str(kind_of(srs))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_open();
    struct bytes text = bytes_of(data, size), inside;
    struct address parsed;
    enum srs_state state = srs_read(KEY, text, NOW, a, &inside);
    MUST(state != SRS_FORGED || !inside.len);
    MUST(state == SRS_FORGED || srs_looks(text));
    MUST(state == SRS_FORGED || !address_parse(inside, a, &parsed));
    MUST(srs_read(BYTES_NONE, text, NOW, a, &inside) == SRS_FORGED);
    write_and_read(text, a);
    arena_close(&a);
    return 0;
}
