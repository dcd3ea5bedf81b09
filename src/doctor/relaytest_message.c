/* relaytest_message: what is sent to the tester's own mailbox, and how it is known again there. The mark
 * stands in a field of its own: where it is found behind the header the message came back in a
 * notice, which proves nothing. */
#include "base/num.h"
#include "doctor/relaytest.h"

#define MARK "X-Postern-Relaytest: "

enum { MARK_ROOM = 128 };

static bool fits_header(struct bytes address) {
    return bytes_find(address, '@') > 0 && bytes_is_ascii(address);
}

void relaytest_message(struct buf *out, const struct relaytest_seen *seen, size_t n,
                       struct bytes token, int64_t wall_ms) {
    const struct relay_test *t = &seen->tests[n];
    const struct relay_names *names = &seen->names;
    struct bytes from = fits_header(names->from) ? names->from : B("relaytest@localhost");
    buf_str(out, "Date: ");
    num_format_rfc5322(out, wall_ms);
    buf_printf(out, "\r\nFrom: Relay test <%.*s>\r\nTo: <%.*s@%.*s>\r\n", BYTES_FMT(from),
               BYTES_FMT(names->user), BYTES_FMT(names->target));
    buf_printf(out, "Subject: Relay test %s\r\nMessage-ID: <%.*s-%zu@relaytest.invalid>\r\n", t->id,
               BYTES_FMT(token), n);
    buf_printf(out, MARK "%.*s-%zu\r\nAuto-Submitted: auto-generated\r\n", BYTES_FMT(token), n);
    buf_str(out, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n");
    buf_str(
        out,
        "This is a test of a mail server, sent to its tester's own mailbox by postern\r\n"
        "relaytest. If it arrives, the server relays mail from strangers to strangers.\r\n\r\n");
    buf_printf(out, "Form:    %s (%s)\r\nMAIL:    %.*s\r\nRCPT:    %.*s\r\n", t->id, t->about,
               BYTES_FMT(t->from), BYTES_FMT(t->to));
    buf_printf(out, "Server:  %.*s\r\n", BYTES_FMT(names->name));
}

/* Where its header ends. */
static size_t header_length(struct bytes message) {
    ptrdiff_t crlf = bytes_search(message, B("\r\n\r\n")), lf = bytes_search(message, B("\n\n"));
    if (crlf < 0 || (lf >= 0 && lf < crlf))
        crlf = lf;
    return crlf < 0 ? message.len : (size_t)crlf;
}

/* The number of the test whose mark is in the text; -1: none. */
static ptrdiff_t marked(struct bytes text, const struct relaytest_seen *seen, struct bytes token) {
    char memory[MARK_ROOM];
    struct buf mark = buf_fixed(memory, sizeof memory);
    buf_printf(&mark, MARK "%.*s-", BYTES_FMT(token));
    ptrdiff_t at = bytes_search_nocase(text, buf_bytes(&mark));
    uint64_t number = 0;
    if (at < 0 || mark.full)
        return -1;
    struct bytes rest = bytes_skip(text, (size_t)at + mark.len);
    size_t digits = 0;
    while (digits < rest.len && ascii_is_digit(rest.at[digits]))
        digits++;
    if (!bytes_to_u64(bytes_first(rest, digits), seen->count - 1, &number))
        return -1;
    return (ptrdiff_t)number;
}

bool relaytest_sighted(struct arena *a, struct relaytest_seen *seen, struct bytes token,
                       struct bytes message, struct bytes by) {
    if (!seen->count || !token.len)
        return false;
    size_t end = header_length(message);
    ptrdiff_t delivered = marked(bytes_first(message, end), seen, token);
    ptrdiff_t any = delivered >= 0 ? delivered : marked(message, seen, token);
    if (any < 0)
        return false;
    struct relay_test *t = &seen->tests[any];
    if (t->sent == RELAY_SEEN)
        return true;
    t->sent = delivered >= 0 ? RELAY_SEEN : RELAY_RETURNED;
    t->seen_by = arena_copy(a, by);
    if (delivered >= 0)
        t->grade = RELAY_PROVEN;
    return true;
}
