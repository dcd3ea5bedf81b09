/* Fuzzes the way from a mailbox to its folder: whatever the address, it stays below mail_dir. */
#include "base/must.h"
#include "mailbox/maildir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_allowed(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '+' ||
           c == '-' || c == '%';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf out = buf_grow(4 * size + 16);
    maildir_path(&out, bytes_of(data, size));
    struct bytes rest = buf_bytes(&out), part;
    unsigned parts = 0;
    MUST(!out.full);
    while (bytes_split(&rest, '/', &part)) {
        parts++;
        MUST(part.len > 0 && part.at[0] != '.');
        for (size_t i = 0; i < part.len; i++)
            MUST(is_allowed(part.at[i]));
    }
    MUST(parts == 1 || parts == 2);
    buf_free(&out);
    return 0;
}
