/* text: a CR ends its line at once, and an LF right behind it is the rest of the same line end: so
 * no octet has to wait for the next piece. */
#include "pop3/text.h"

static void end_line(struct pop3_text *t, struct buf *out) {
    bool empty = !t->within;
    buf_str(out, "\r\n");
    t->within = false;
    if (!t->top)
        return;
    if (t->body)
        t->lines_left--;
    else
        t->body = empty;
    t->enough = t->body && t->lines_left == 0;
}

/* Octets up to a CR or LF. */
static size_t plain_length(struct bytes content) {
    size_t n = 0;
    while (n < content.len && content.at[n] != '\r' && content.at[n] != '\n')
        n++;
    return n;
}

void pop3_text_add(struct pop3_text *t, struct bytes content, struct buf *out) {
    while (content.len && !t->enough) {
        bool rest_of_crlf = t->after_cr && content.at[0] == '\n';
        t->after_cr = false;
        if (rest_of_crlf) {
            content = bytes_skip(content, 1);
            continue;
        }
        size_t plain = plain_length(content);
        if (plain && !t->within && content.at[0] == '.')
            buf_char(out, '.');
        t->within = t->within || plain;
        buf_add(out, bytes_first(content, plain));
        content = bytes_skip(content, plain);
        if (!content.len)
            return;
        t->after_cr = content.at[0] == '\r';
        end_line(t, out);
        content = bytes_skip(content, 1);
    }
}

void pop3_text_finish(struct pop3_text *t, struct buf *out) {
    if (t->within)
        end_line(t, out);
    buf_str(out, ".\r\n");
}
