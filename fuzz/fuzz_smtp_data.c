/* Any octets as content, in and out, whole and in pieces. The first octet is the size of the pieces
 * and says whether bare newlines are mended. */
#include "base/must.h"
#include "smtp/data.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool feed(struct smtp_data_in *s, struct bytes data, size_t step, size_t *used_out,
                 struct buf *out) {
    *used_out = 0;
    while (data.len) {
        size_t used;
        bool end = smtp_data_in(s, bytes_first(data, step), &used, out);
        *used_out += used;
        data = bytes_skip(data, used);
        if (end)
            return true;
    }
    return false;
}

static void check_in(struct bytes stream, size_t step, bool fix) {
    struct smtp_data_in whole = { .fix = fix }, pieces = { .fix = fix };
    struct buf a = buf_grow(2 * stream.len + 16), b = buf_grow(2 * stream.len + 16);
    size_t used, used_pieces;
    bool end = feed(&whole, stream, stream.len, &used, &a);
    MUST(end == feed(&pieces, stream, step, &used_pieces, &b));
    MUST(used == used_pieces && whole.bare == pieces.bare && !a.full && !b.full);
    MUST(bytes_equal(buf_bytes(&a), buf_bytes(&b)));
    /* Only CRLF . CRLF ends it, and the first one does. */
    ptrdiff_t dot = bytes_starts(stream, B(".\r\n")) ? 3 : bytes_search(stream, B("\r\n.\r\n"));
    if (dot >= 0 && !bytes_starts(stream, B(".\r\n")))
        dot += 5;
    MUST(end ? used == (size_t)dot : dot < 0);
    buf_free(&a);
    buf_free(&b);
}

static void check_out(struct bytes content, size_t step) {
    struct smtp_data_out s = { 0 }, c = { 0 };
    struct buf wire = buf_grow(3 * content.len + 16), chunk = buf_grow(3 * content.len + 16),
               back = buf_grow(3 * content.len + 16);
    for (struct bytes rest = content; rest.len; rest = bytes_skip(rest, step))
        smtp_data_out(&s, bytes_first(rest, step), &wire);
    smtp_data_out_finish(&s, &wire);
    smtp_data_out_bdat(&c, content, &chunk);
    smtp_data_out_bdat_end(&c, &chunk);
    struct smtp_data_in in = { 0 };
    size_t used;
    MUST(smtp_data_in(&in, buf_bytes(&wire), &used, &back) && used == wire.len && !in.bare);
    MUST(bytes_equal(buf_bytes(&back), buf_bytes(&chunk)));
    buf_free(&wire);
    buf_free(&chunk);
    buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    struct bytes stream = bytes_of(data + 1, size - 1);
    size_t step = 1u + data[0] / 2;
    check_in(stream, step, data[0] & 1);
    check_out(stream, step);
    return 0;
}
