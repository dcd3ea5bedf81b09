/* A message from standard input, converted, to standard output, in pieces of argv[1] octets; exit 3 and
 * the reason when it cannot be: for downgrade_roundtrip.py, which reads it back with Python's email. */
#include "message/downgrade.h"

#include <stdio.h>
#include <stdlib.h>

static struct bytes read_all(struct buf *b) {
    size_t n;
    do {
        char *room = buf_room(b, 65536);
        n = room ? fread(room, 1, 65536, stdin) : 0;
        buf_wrote(b, n);
    } while (n);
    return buf_bytes(b);
}

int main(int argc, char **argv) {
    size_t step = argc > 1 ? (size_t)atoi(argv[1]) : 65536;
    struct buf in = buf_grow(1 << 28), out = buf_grow(1 << 30);
    struct bytes content = read_all(&in);
    struct arena *a = arena_open();
    struct downgrade *d = downgrade_open(a);
    for (struct bytes rest = content; rest.len; rest = bytes_skip(rest, step))
        downgrade_scan(d, bytes_first(rest, step));
    const struct downgrade_finding *f = downgrade_scanned(d);
    int status = 3;
    if (f->obstacle) {
        fprintf(stderr, "%s %s\n", f->status, f->obstacle);
    } else {
        downgrade_begin(d);
        for (struct bytes rest = content; rest.len; rest = bytes_skip(rest, step))
            downgrade_feed(d, bytes_first(rest, step), &out);
        status = !downgrade_end(d, &out);
        fwrite(out.at, 1, out.len, stdout);
        fprintf(stderr, "%llu\n", (unsigned long long)f->size);
    }
    buf_free(&in);
    buf_free(&out);
    arena_close(&a);
    return status;
}
