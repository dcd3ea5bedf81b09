/* vacation: the automatic answer of a user who is away, as RFC 3834 wants it. Everything in its header
 * that others wrote goes through lines.c, so no line of it can end where they want. */
#include "report/notice.h"

#include "base/num.h"

enum {
    ADDRESS_MAX = 400,
    SUBJECT_MAX = 200, /* octets of the original's */
    REFERENCES_MAX = 800,
};

/* As it is if a reader takes it for nothing else: ASCII without anything that looks like an encoded
 * word (RFC 2047 section 7), and words that a line can be broken between. */
static bool is_plain(struct bytes text) {
    size_t word = 0;
    for (size_t i = 0; i < text.len; i++) {
        word = text.at[i] == ' ' ? 0 : word + 1;
        if (word > 70)
            return false;
    }
    return bytes_is_ascii(text) && bytes_search(text, B("=?")) < 0;
}

static void put_subject(struct buf *b, const struct report_vacation *v, struct arena *a) {
    struct bytes own = line_clean(a, v->subject, SUBJECT_MAX);
    struct bytes about = line_clean(a, header_decode(v->about, a), SUBJECT_MAX);
    struct buf line = buf_grow(4096);
    if (!own.len)
        buf_str(&line, "Auto: ");
    struct bytes text = own.len ? own : about.len ? about : B("your message");
    if (is_plain(text))
        buf_add(&line, text);
    else
        line_encoded(&line, text);
    line_field(b, "Subject", buf_bytes(&line));
    buf_free(&line);
}

/* RFC 5322 section 3.6.4: theirs, as many of the last as there is room for, and their message. */
static void put_references(struct buf *b, const struct report_vacation *v, struct arena *a) {
    struct bytes id = header_unfold(v->message_id, a);
    if (!line_is_message_id(id))
        return;
    struct buf line = buf_grow(REFERENCES_MAX + 1000);
    struct bytes all = line_clean(a, v->references, REFERENCES_MAX * 2), one;
    if (all.len > REFERENCES_MAX)
        all = bytes_skip(all, all.len - REFERENCES_MAX);
    while (bytes_split(&all, ' ', &one)) {
        if (!line_is_message_id(one) || bytes_equal(one, id))
            continue;
        buf_add(&line, one);
        buf_char(&line, ' ');
    }
    buf_add(&line, id);
    line_field(b, "In-Reply-To", id);
    line_field(b, "References", buf_bytes(&line));
    buf_free(&line);
}

/* X-Auto-Response-Suppress is for Exchange, which would answer an answer. */
static void put_header(struct buf *b, const struct report_vacation *v, struct arena *a) {
    struct bytes host = line_ascii(a, v->hostname, 255), id = line_safe_id(a, v->id);
    line_field(b, "From", line_clean(a, v->user, ADDRESS_MAX));
    line_field(b, "To", line_clean(a, v->to, ADDRESS_MAX));
    put_subject(b, v, a);
    buf_str(b, "Date: ");
    num_format_rfc5322(b, v->now);
    buf_printf(b, "\r\nMessage-ID: <%.*s@%.*s>\r\n", BYTES_FMT(id), BYTES_FMT(host));
    put_references(b, v, a);
    bool ascii = bytes_is_ascii(v->text);
    buf_printf(b,
               "Auto-Submitted: auto-replied\r\n"
               "X-Auto-Response-Suppress: All\r\n"
               "MIME-Version: 1.0\r\n"
               "Content-Type: text/plain; charset=%s\r\n"
               "Content-Transfer-Encoding: %s\r\n\r\n",
               ascii ? "us-ascii" : "utf-8", ascii ? "7bit" : "8bit");
}

void report_vacation_write(const struct report_vacation *v, struct arena *a, struct buf *out) {
    put_header(out, v, a);
    line_copy(out, v->text);
}
