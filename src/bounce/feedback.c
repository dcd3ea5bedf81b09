/* feedback: reports that are no bounces: complaints (ARF, RFC 5965, and what came before it) and notices
 * that a message was displayed (MDN, RFC 8098). */
#include "bounce/internal.h"

#include "base/must.h"

/* The first line "Name: value" of a text; false: there is none. */
static bool find_line(struct bytes text, struct bytes name, struct bytes *value_out) {
    struct bytes rest = text, line;
    while (bytes_split(&rest, '\n', &line)) {
        line = bytes_trim(line);
        if (line.len > name.len && bytes_starts_nocase(line, name) && line.at[name.len] == ':') {
            *value_out = bytes_trim(bytes_skip(line, name.len + 1));
            return true;
        }
    }
    return false;
}

/* The text of the part of this type, or one for people that begins a line with this name. */
static bool find_part(struct reading *r, struct bytes type, struct bytes name, struct bytes *out) {
    for (size_t i = 0; i < r->mime.count; i++) {
        const struct mime_part *p = &r->mime.parts[i];
        struct bytes value;
        if (mime_inside(&r->mime, i))
            continue;
        bool typed = bytes_equal(p->type, type);
        if (!typed && !bytes_equal(p->type, B("text/plain")))
            continue;
        *out = mime_text(&r->mime, i);
        if (find_line(*out, name, &value))
            return true;
    }
    return false;
}

static struct saying *add(struct reading *r, struct bytes address) {
    struct saying *s = saying_add(r, &r->fields);
    if (s)
        s->address = clean_address(address, r->arena);
    return s;
}

/* --- complaints --------------------------------------------------------------------------------- */

/* Whom the complained-of message was for, where the report keeps it to itself. */
static struct bytes find_recipient(struct reading *r, struct bytes report) {
    static const struct bytes fields[] = { W("Original-Rcpt-To"), W("Removal-Recipient"),
                                           W("Redacted-Address"), W("Original-Recipient"),
                                           W("Final-Recipient") };
    static const struct bytes headers[] = { W("X-HmXmrOriginalRecipient"), W("X-Original-To"),
                                            W("Delivered-To"), W("To") };
    struct bytes value;
    struct place p;
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        if (find_line(report, fields[i], &value))
            return value;
    for (size_t i = 0; i < COUNT_OF(headers); i++)
        if (mime_field(r->original_header, headers[i], r->arena, &value) &&
            address_find(value, 0, &p))
            return p.address;
    return BYTES_NONE;
}

static void tell_complaint(struct reading *r, struct bytes report, struct bytes type) {
    struct bytes rest = report, line, value;
    struct buf text = buf_fixed(arena_alloc(r->arena, BOUNCE_TEXT + 1), BOUNCE_TEXT + 1);
    buf_str(&text, "Feedback-Type: ");
    buf_add(&text, bytes_first(type, 80));
    if (find_line(report, B("Auth-Failure"), &value)) {
        buf_str(&text, "; Auth-Failure: ");
        buf_add(&text, bytes_first(value, 80));
    }
    if (find_line(report, B("Source-IP"), &value))
        r->out->client = clean_host(value, r->arena);
    if (find_line(report, B("Reporting-MTA"), &value))
        r->out->reporter = clean_host(value, r->arena);
    if (find_line(report, B("Original-Mail-From"), &value) && !r->out->sender.len)
        r->out->sender = clean_address(value, r->arena);
    while (bytes_split(&rest, '\n', &line)) /* RFC 5965 section 3.2: it may come more than once */
        if (bytes_starts_nocase(line, B("Original-Rcpt-To:")))
            add(r, bytes_skip(line, 17));
    if (!r->fields.count)
        add(r, find_recipient(r, report));
    for (size_t i = 0; i < r->fields.count; i++) {
        r->fields.list[i].action = "feedback";
        r->fields.list[i].text = clean_line(buf_bytes(&text), r->arena);
    }
}

/* Microsoft's Junk Mail Reporting: no report part, but its fields in the message that came back. */
static bool is_jmrp(struct reading *r) {
    struct bytes value;
    return mime_field(r->original_header, B("X-HmXmrOriginalRecipient"), r->arena, &value) ||
           (mime_field(r->header, B("From"), r->arena, &value) &&
            bytes_search_nocase(value, B("staff@hotmail")) >= 0);
}

bool read_complaint(struct reading *r) {
    struct bytes report = BYTES_NONE, type = B("abuse");
    if (!find_part(r, B("message/feedback-report"), B("Feedback-Type"), &report) && !is_jmrp(r))
        return false;
    find_line(report, B("Feedback-Type"), &type);
    if (bytes_starts_nocase(type, B("opt-out")))
        type = B("opt-out");
    tell_complaint(r, report, type);
    r->out->format = "arf";
    r->out->kind = BOUNCE_REPORT;
    return true;
}

/* --- notices of disposition --------------------------------------------------------------------- */

bool read_disposition(struct reading *r) {
    struct bytes report, value;
    if (!find_part(r, B("message/disposition-notification"), B("Disposition"), &report))
        return false;
    find_line(report, B("Disposition"), &value);
    struct bytes said = clean_line(value, r->arena), recipient = BYTES_NONE;
    if (!find_line(report, B("Final-Recipient"), &recipient))
        find_line(report, B("Original-Recipient"), &recipient);
    struct saying *s = add(r, recipient);
    if (!s)
        return false;
    s->action = "displayed";
    s->text = said;
    if (find_line(report, B("Original-Recipient"), &value))
        s->original = clean_address(value, r->arena);
    if (find_line(report, B("Original-Message-ID"), &value) && !r->out->message_id.len)
        r->out->message_id = clean_line(value, r->arena);
    if (find_line(report, B("Reporting-UA"), &value))
        r->out->reporter = clean_host(value, r->arena);
    r->out->format = "mdn";
    r->out->kind = BOUNCE_REPORT;
    return true;
}
