/* Any message converted: whole and in pieces alike, into nothing above 127, and what has come out needs
 * nothing more. The first octet is the size of the pieces. */
#include "base/must.h"
#include "message/downgrade.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct downgrade_finding scan(struct downgrade *d, struct bytes content, size_t step) {
    for (struct bytes rest = content; rest.len; rest = bytes_skip(rest, step))
        downgrade_scan(d, bytes_first(rest, step));
    return *downgrade_scanned(d);
}

static void convert(struct downgrade *d, struct bytes content, size_t step, struct buf *out) {
    downgrade_begin(d);
    for (struct bytes rest = content; rest.len; rest = bytes_skip(rest, step))
        downgrade_feed(d, bytes_first(rest, step), out);
    MUST(downgrade_end(d, out));
}

static bool eightbit(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] > 127)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    struct bytes content = bytes_of(data + 1, size - 1);
    size_t step = 1u + data[0];
    struct arena *a = arena_open();
    struct downgrade *whole = downgrade_open(a), *pieces = downgrade_open(a);
    struct downgrade_finding one = scan(whole, content, content.len),
                             two = scan(pieces, content, step);
    MUST(one.eightbit == two.eightbit && one.eightbit == eightbit(content));
    MUST(one.obstacle == two.obstacle && one.size == two.size && (one.eightbit || !one.obstacle));
    if (!one.obstacle) {
        struct buf first = buf_grow(16 * size + 4096), second = buf_grow(16 * size + 4096);
        convert(whole, content, content.len, &first);
        convert(pieces, content, step, &second);
        MUST(bytes_equal(buf_bytes(&first), buf_bytes(&second)) && !eightbit(buf_bytes(&first)));
        buf_clear(&second);
        convert(whole, content, step, &second); /* the plan serves again */
        MUST(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
        MUST(!scan(downgrade_open(a), buf_bytes(&first), step).eightbit);
        buf_free(&first);
        buf_free(&second);
    }
    arena_close(&a);
    return 0;
}
