/* Any octets as replies, whole and in pieces: both must come to the same. The first octet is the
 * size of the pieces. */
#include "base/must.h"
#include "smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All replies of a stream, one line each. */
static void read_all(struct bytes data, size_t step, struct buf *to) {
    struct arena *a = arena_open();
    struct smtp_reply_reader *r = smtp_reply_reader_open(a);
    struct smtp_reply reply;
    struct why why;
    size_t used;
    while (data.len) {
        enum rc rc = smtp_reply_read(r, bytes_first(data, step), &used, &reply, &why);
        MUST(rc == MORE ? used == (data.len < step ? data.len : step) : used > 0);
        data = bytes_skip(data, used);
        if (rc == OK)
            buf_printf(to, "%d %u.%u %u %.*s|%.*s\n", reply.code, reply.status.subject,
                       reply.status.detail, reply.lines, BYTES_FMT(reply.text),
                       BYTES_FMT(reply.raw));
        MUST(reply.text.len <= 2000 && reply.raw.len <= 8192);
        if (rc == PERM)
            break;
    }
    arena_close(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    struct bytes stream = bytes_of(data + 1, size - 1);
    struct buf whole = buf_grow(1 << 24), pieces = buf_grow(1 << 24);
    read_all(stream, SIZE_MAX, &whole);
    read_all(stream, 1u + data[0], &pieces);
    MUST(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)));
    buf_free(&whole);
    buf_free(&pieces);
    return 0;
}
