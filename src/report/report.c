/* report: who is told, and the message that tells them: its header, its three parts (RFC 3462, 3464,
 * 6533) and what of the original is returned. The rules of RFC 3461 on whom to tell and what to
 * return are here and nowhere else. */
#include "report/report.h"

#include "base/must.h"
#include "base/num.h"
#include "report/notice.h"

enum {
    WORDS_MAX = 512 * 1024,
    STATUS_MAX = 1536 * 1024,
    RETURN_FULL_MAX = 64 * 1024, /* when the sender did not say RET */
    HEADER_MAX = 128 * 1024,     /* of the original, returned */
};

/* --- whom to tell --------------------------------------------------------------------------- */

/* RFC 3461 section 4.1: without NOTIFY, failures are told and delays may be; NEVER stands alone. */
static bool wants(const struct recipient *r, enum report_kind kind) {
    static const uint8_t bits[] = {
        [REPORT_FAILED] = NOTIFY_FAILURE,
        [REPORT_GAVE_UP] = NOTIFY_FAILURE,
        [REPORT_DELAY] = NOTIFY_DELAY,
        [REPORT_SUCCESS] = NOTIFY_SUCCESS,
    };
    if (!r->notify)
        return kind != REPORT_SUCCESS;
    return !(r->notify & NOTIFY_NEVER) && r->notify & bits[kind];
}

static bool is_failure(enum report_kind kind) {
    return kind == REPORT_FAILED || kind == REPORT_GAVE_UP;
}

/* Where none is configured, the bare name: it goes to the Maildir of its own. */
static struct bytes postmaster_of(const struct notice *n) {
    struct bytes configured = n->setup->config->postmaster;
    return configured.len ? configured : B("postmaster");
}

/* A notice to the postmaster that fails is the end of it. */
static bool is_postmaster(const struct notice *n, const struct recipient *r) {
    struct bytes postmaster = postmaster_of(n);
    return bytes_equal_nocase(r->original, postmaster) || bytes_equal_nocase(r->final, postmaster);
}

static bool is_told(const struct notice *n, const struct outcome *o) {
    const struct recipient *r = notice_recipient(n, o);
    if (n->doubled)
        return !is_postmaster(n, r);
    if (n->setup->kind == REPORT_SUCCESS && o->dsn_passed_on)
        return false;
    return wants(r, n->setup->kind);
}

/* The null sender is told nothing. Its failures go to the postmaster, whatever NOTIFY says: our own
 * notices carry NEVER. */
static struct bytes choose(struct notice *n, const struct outcome *outcomes, size_t count) {
    n->doubled = n->envelope->sender.len == 0;
    n->outcomes = ARENA_ARRAY(n->arena, count, const struct outcome *);
    if (n->doubled && !is_failure(n->setup->kind))
        return BYTES_NONE;
    for (size_t i = 0; i < count; i++)
        if (outcomes[i].recipient < n->envelope->count && is_told(n, &outcomes[i]))
            n->outcomes[n->count++] = &outcomes[i];
    if (!n->count)
        return BYTES_NONE;
    return n->doubled ? postmaster_of(n) : n->envelope->sender;
}

/* --- what is known of the original ---------------------------------------------------------- */

static void read_original(struct notice *n, struct bytes original) {
    struct header_summary summary;
    header_summarise(original, &summary);
    n->message_id = header_unfold(summary.message_id, n->arena);
    if (!n->message_id.len)
        n->message_id = n->envelope->message_header_id;
    /* What is longer than this is no subject, and need not be decoded. */
    n->subject = header_decode(bytes_first(summary.subject, 2000), n->arena);
    n->utf8 = !bytes_is_ascii(n->envelope->sender);
    for (size_t i = 0; i < n->count; i++) {
        const struct recipient *r = notice_recipient(n, n->outcomes[i]);
        n->utf8 = n->utf8 || !bytes_is_ascii(r->original) || !bytes_is_ascii(r->final) ||
                  !bytes_is_ascii(r->orcpt);
    }
}

/* --- header --------------------------------------------------------------------------------- */

static const char *outcome_words(const struct notice *n) {
    switch (n->setup->kind) {
    case REPORT_DELAY:
        return "Delayed, still trying";
    case REPORT_SUCCESS:
        return n->outcomes[0]->kind == OUTCOME_DELIVERED ? "Delivered" : "Handed on";
    case REPORT_GAVE_UP:
        return "Not delivered, given up";
    default:
        return "Not delivered";
    }
}

static void put_subject(struct buf *b, const struct notice *n) {
    const struct recipient *r = notice_recipient(n, n->outcomes[0]);
    struct bytes to = line_clean(n->arena, r->original.len ? r->original : r->final, 320);
    struct buf text = buf_grow(2048);
    buf_printf(&text, "%s%s: ", n->doubled ? "Notice " : "",
               n->doubled ? "not delivered" : outcome_words(n));
    if (bytes_is_ascii(to))
        buf_add(&text, to);
    else
        line_encoded(&text, to);
    if (n->count > 1)
        buf_printf(&text, " and %zu other%s", n->count - 1, n->count == 2 ? "" : "s");
    line_field(b, "Subject", buf_bytes(&text));
    buf_free(&text);
}

static void put_header(struct buf *b, const struct notice *n, struct bytes to,
                       struct bytes boundary, bool is_8bit) {
    struct bytes hostname = line_ascii(n->arena, n->setup->hostname, 255);
    buf_printf(b, "From: Mail Delivery System <MAILER-DAEMON@%.*s>\r\n", BYTES_FMT(hostname));
    line_field(b, "To", line_clean(n->arena, to, 400));
    put_subject(b, n);
    buf_str(b, "Date: ");
    num_format_rfc5322(b, n->setup->now);
    buf_printf(b, "\r\nMessage-ID: <%.*s@%.*s>\r\n", BYTES_FMT(boundary), BYTES_FMT(hostname));
    if (line_is_message_id(n->message_id)) {
        line_field(b, "In-Reply-To", n->message_id);
        line_field(b, "References", n->message_id);
    }
    buf_printf(b,
               "Auto-Submitted: auto-replied\r\n"
               "MIME-Version: 1.0\r\n"
               "Content-Type: multipart/report;\r\n"
               "    report-type=%sdelivery-status;\r\n"
               "    boundary=\"%.*s\"\r\n",
               n->utf8 ? "global-" : "", BYTES_FMT(boundary));
    if (is_8bit) /* what a part is, the whole is (RFC 2045 section 6.4) */
        buf_str(b, "Content-Transfer-Encoding: 8bit\r\n");
}

/* --- what is returned ----------------------------------------------------------------------- */

/* RET speaks of failures only: other notices return the header (RFC 3461 section 4.3). */
static bool returns_all(const struct notice *n, struct bytes original, bool whole) {
    if (!whole || !is_failure(n->setup->kind) || n->doubled ||
        n->envelope->flags & ENVELOPE_RET_HDRS)
        return false;
    return n->envelope->flags & ENVELOPE_RET_FULL || original.len <= RETURN_FULL_MAX;
}

/* The header, or as many whole lines of it as there are, without the empty line. */
static struct bytes header_of(struct bytes original) {
    size_t length = header_length(original);
    struct bytes header = length ? bytes_first(original, length) : original;
    if (header.len > HEADER_MAX || !length) {
        header = bytes_first(header, HEADER_MAX);
        header = bytes_first(header, (size_t)(bytes_find_last(header, '\n') + 1));
    }
    return bytes_trim(header);
}

/* --- parts ---------------------------------------------------------------------------------- */

static void begin_part(struct buf *b, struct bytes boundary, const char *description,
                       const char *type, bool is_8bit) {
    buf_printf(b, "--%.*s\r\nContent-Description: %s\r\nContent-Type: %s\r\n", BYTES_FMT(boundary),
               description, type);
    if (is_8bit)
        buf_str(b, "Content-Transfer-Encoding: 8bit\r\n");
    buf_str(b, "\r\n");
}

static void put_words(struct buf *b, struct bytes words, struct bytes boundary) {
    bool ascii = bytes_is_ascii(words);
    begin_part(b, boundary, "What happened",
               ascii ? "text/plain; charset=us-ascii" : "text/plain; charset=utf-8", !ascii);
    buf_add(b, words);
    buf_str(b, "\r\n");
}

static void put_status(struct buf *b, const struct notice *n, struct bytes status,
                       struct bytes boundary) {
    begin_part(b, boundary, "The same for programs",
               n->utf8 ? "message/global-delivery-status" : "message/delivery-status",
               !bytes_is_ascii(status));
    buf_add(b, status);
    buf_str(b, "\r\n");
}

static void put_original(struct buf *b, const struct notice *n, struct bytes part, bool all,
                         struct bytes boundary) {
    bool global = n->envelope->flags & ENVELOPE_UTF8 && !bytes_is_ascii(header_of(part));
    const char *type = all      ? global ? "message/global" : "message/rfc822"
                       : global ? "message/global-headers"
                                : "text/rfc822-headers";
    if (!part.len)
        return;
    begin_part(b, boundary, all ? "The message" : "The header of the message", type,
               !bytes_is_ascii(part));
    line_copy(b, part);
    buf_str(b, "\r\n");
}

/* One that stands in nothing it encloses. Nobody can know beforehand what it begins with; should
 * somebody have guessed, a number behind it tells them apart. */
static struct bytes choose_boundary(const struct notice *n, struct bytes words, struct bytes status,
                                    struct bytes original) {
    struct bytes base = line_safe_id(n->arena, n->setup->boundary), boundary = base;
    for (unsigned i = 0; i < 100; i++) {
        if (bytes_search(words, boundary) < 0 && bytes_search(status, boundary) < 0 &&
            bytes_search(original, boundary) < 0)
            break;
        boundary = arena_printf(n->arena, "%.*s-%u", BYTES_FMT(base), i);
    }
    return boundary;
}

void report_write(const struct report_setup *setup, const struct job *job,
                  const struct outcome *outcomes, size_t count, struct bytes original, bool whole,
                  struct arena *a, struct bytes *to_out, struct buf *message_out) {
    struct notice n = { .setup = setup, .job = job, .envelope = job->envelope, .arena = a };
    *to_out = choose(&n, outcomes, count);
    if (!to_out->len)
        return;
    read_original(&n, original);
    struct buf words = buf_grow(WORDS_MAX), status = buf_grow(STATUS_MAX);
    notice_words(&words, &n);
    notice_status(&status, &n);
    struct bytes boundary = choose_boundary(&n, buf_bytes(&words), buf_bytes(&status), original);
    bool all = returns_all(&n, original, whole);
    struct bytes part = all ? original : header_of(original);
    put_header(message_out, &n, *to_out, boundary,
               !bytes_is_ascii(buf_bytes(&words)) || !bytes_is_ascii(buf_bytes(&status)) ||
                   !bytes_is_ascii(part));
    buf_str(message_out, "\r\nThis is a report in MIME format.\r\n\r\n");
    put_words(message_out, buf_bytes(&words), boundary);
    put_status(message_out, &n, buf_bytes(&status), boundary);
    buf_free(&words);
    buf_free(&status);
    /* What is returned is the one part that may be left out when there is no room. */
    size_t before = message_out->len;
    if (!message_out->full) {
        put_original(message_out, &n, part, all, boundary);
        if (message_out->full)
            buf_cut(message_out, before);
        message_out->full = false;
    }
    buf_printf(message_out, "--%.*s--\r\n", BYTES_FMT(boundary));
}
