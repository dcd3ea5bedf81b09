/* drop: the maildrop as one session sees it: numbers from 1, marks that last until the end (RFC 1939
 * section 5), and totals that are kept, not counted again. */
#include "pop3/machine.h"

#include "base/must.h"

#include <string.h>

void pop3_drop_open(struct pop3_server *s, uint32_t count) {
    struct pop3_drop *d = &s->drop;
    MUST(count <= POP3_MESSAGES);
    size_t octets = ((size_t)count + 7) / 8;
    *d = (struct pop3_drop){ .open = true, .count = count, .left = count };
    d->marks = buf_grow(octets + 1);
    if (octets) {
        memset(buf_room(&d->marks, octets), 0, octets);
        buf_wrote(&d->marks, octets);
    }
    for (uint32_t i = 0; i < count; i++)
        d->size += s->driver->size(s->ctx, i);
    d->left_size = d->size;
}

void pop3_drop_close(struct pop3_server *s) {
    buf_free(&s->drop.marks);
    s->drop = (struct pop3_drop){ 0 };
}

bool pop3_drop_marked(const struct pop3_server *s, uint32_t i) {
    return (s->drop.marks.at[i / 8] >> (i % 8)) & 1;
}

void pop3_drop_mark(struct pop3_server *s, uint32_t i) {
    s->drop.marks.at[i / 8] = (char)(s->drop.marks.at[i / 8] | (1 << (i % 8)));
    s->drop.left--;
    s->drop.left_size -= s->driver->size(s->ctx, i);
}

void pop3_drop_unmark_all(struct pop3_server *s) {
    if (s->drop.marks.len)
        memset(s->drop.marks.at, 0, s->drop.marks.len);
    s->drop.left = s->drop.count;
    s->drop.left_size = s->drop.size;
}

static bool is_uid(struct bytes uid) {
    for (size_t i = 0; i < uid.len; i++)
        if (uid.at[i] < '!' || uid.at[i] > '~')
            return false;
    return uid.len > 0;
}

static void write_uid(struct pop3_server *s, uint32_t i) {
    char memory[POP3_UID_MAX + 1];
    struct buf uid = buf_fixed(memory, sizeof memory);
    s->driver->uid(s->ctx, i, &uid);
    MUST(!uid.full && is_uid(buf_bytes(&uid)));
    buf_add(&s->output, buf_bytes(&uid));
}

void pop3_drop_line(struct pop3_server *s, uint32_t i, bool uid) {
    buf_u64(&s->output, (uint64_t)i + 1);
    buf_char(&s->output, ' ');
    if (uid)
        write_uid(s, i);
    else
        buf_u64(&s->output, s->driver->size(s->ctx, i));
}
