/* complete: the header of a message on its way into the store: our Received field on top, for
 * submitted mail a Date and a Message-ID where the client gave none, without Bcc; without
 * Authentication-Results fields that claim to be ours (RFC 8601 section 5). */
#include "accept/internal.h"
#include "base/num.h"

/* A name from HELO may be anything: only what can stand in a domain or literal is shown. */
static void add_safe_name(struct buf *out, struct bytes name) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool safe = ascii_is_alnum(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '[' ||
                    c == ']' || (unsigned char)c >= 0x80;
        buf_char(out, safe ? c : '?');
    }
}

/* RFC 5321 section 4.4; the protocol names are RFC 3848's. */
static void add_received(struct buf *out, const struct completion *c) {
    buf_str(out, "Received: from ");
    add_safe_name(out, c->received_from.len ? c->received_from : B("unknown"));
    buf_str(out, " (");
    if (c->client.family == 4 || c->client.family == 6) {
        buf_str(out, c->client.family == 6 ? "[IPv6:" : "[");
        addr_format(out, c->client);
        buf_char(out, ']');
    } else {
        buf_str(out, "local");
    }
    buf_str(out, ")\r\n\tby ");
    buf_add(out, c->hostname);
    buf_str(out, " (Postern) with ");
    buf_add(out, c->protocol);
    buf_str(out, " id ");
    buf_add(out, c->id);
    if (c->tls.len) {
        buf_str(out, "\r\n\t(");
        buf_add(out, c->tls);
        buf_char(out, ')');
    }
    if (c->for_recipient.len) {
        buf_str(out, "\r\n\tfor <");
        buf_add(out, c->for_recipient);
        buf_char(out, '>');
    }
    buf_str(out, ";\r\n\t");
    num_format_rfc5322(out, c->now);
    buf_str(out, "\r\n");
}

static void add_missing(struct buf *out, const struct completion *c,
                        const struct header_summary *summary) {
    if (summary->date_fields == 0) {
        buf_str(out, "Date: ");
        num_format_rfc5322(out, c->now);
        buf_str(out, "\r\n");
    }
    if (summary->message_id_fields == 0) {
        buf_str(out, "Message-ID: <");
        buf_add(out, c->id);
        buf_char(out, '@');
        buf_add(out, c->hostname);
        buf_str(out, ">\r\n");
    }
}

/* Blanks, folds and comments, which may be nested. */
static struct bytes skip_comments(struct bytes text) {
    size_t depth = 0, i = 0;
    for (; i < text.len; i++) {
        char c = text.at[i];
        if (c == '(')
            depth++;
        else if (depth && c == ')')
            depth--;
        else if (depth && c == '\\')
            i++;
        else if (!depth && c != ' ' && c != '\t' && c != '\r' && c != '\n')
            break;
    }
    return bytes_skip(text, i < text.len ? i : text.len);
}

/* The authserv-id that an Authentication-Results field names is ours (RFC 8601 section 2.2): a token
 * or in quotes, with comments around it. */
static bool claims_our_name(struct bytes value, struct bytes hostname) {
    struct bytes rest = skip_comments(value);
    bool quoted = rest.len && rest.at[0] == '"';
    rest = bytes_skip(rest, quoted);
    if (!bytes_starts_nocase(rest, hostname))
        return false;
    rest = bytes_skip(rest, hostname.len);
    return !rest.len || bytes_find(B("; \t\r\n(\""), rest.at[0]) >= 0;
}

static bool is_dropped(const struct completion *c, const struct header_field *field) {
    if (c->submitted && (bytes_equal_nocase(field->name, B("Bcc")) ||
                         bytes_equal_nocase(field->name, B("Return-Path"))))
        return true;
    return bytes_equal_nocase(field->name, B("Authentication-Results")) &&
           (claims_our_name(field->value, c->hostname) ||
            (c->server.len && claims_our_name(field->value, c->server)));
}

void complete_header(struct buf *out, const struct completion *c, struct bytes text,
                     const struct header_summary *summary) {
    add_received(out, c);
    if (c->submitted)
        add_missing(out, c, summary);

    struct bytes rest = text, before = text;
    struct header_field field;
    while (header_next(&rest, &field) == HEADER_FIELD) {
        if (!is_dropped(c, &field))
            buf_add(out, field.whole);
        before = rest;
    }
    /* What is no field is passed on as it came: the empty line and what follows, or a first line of
     * body without one, which our fields must not run into. */
    if (before.len && before.at[0] != '\r' && before.at[0] != '\n')
        buf_str(out, "\r\n");
    buf_add(out, before);
}
