/* original: which part of a bounce is for people and which is the message that came back. In MIME the
 * types say it; in plain text, a line such as "--- Below this line is a copy of the message." does, or the
 * look of a header. */
#include "bounce/internal.h"

#include "base/must.h"

/* --- in text ------------------------------------------------------------------------------------ */

/* Words of a marker line: one of each kind must be there. */
static bool is_marker(struct bytes line) {
    static const struct bytes things[] = { W("message"),   W("mail"),      W("header"),
                                           W("nachricht"), W("messaggio"), W("mensaje"),
                                           W("mensagem") };
    static const struct bytes whole[] = {
        W("copy of the message"),     W("copy of your message"),    W("original message"),
        W("copy of the original"),    W("copy of the headers"),     W("copy of the body"),
        W("returned message"),        W("undelivered message"),     W("unsent message"),
        W("message header"),          W("message text follows"),    W("header of the original"),
        W("headers of the original"), W("included is a copy"),      W("your message follows"),
        W("original mail"),           W("ursprüngliche nachricht"), W("mensaje original"),
        W("messaggio originale"),     W("message d'origine"),       W("message original"),
        W("mensagem original"),       W("body of message"),         W("message non-deliverable"),
        W("non-delivered message"),   W("bounced message"),         W("failed message"),
        W("rejected message"),
    };
    static const struct bytes closing[] = {
        W("follow"),   W("below"),    W("---"),     W("==="), W("***"),     W("attached"),
        W("headers:"), W("message:"), W("header:"), W("***"), W("copy of"), W("beginning of"),
    };
    if (line.len > 120 || !phrases_in(line, things, COUNT_OF(things)))
        return false;
    if (bytes_equal_nocase(line, B("Message headers follow.")) ||
        bytes_equal_nocase(line, B("Message headers follow:")) ||
        bytes_equal_nocase(line, B("Message follows.")))
        return true;
    return phrases_in(line, whole, COUNT_OF(whole)) && phrases_in(line, closing, COUNT_OF(closing));
}

/* Fields that hardly stand at the beginning of a line but in a message's header. */
static bool is_header_line(struct bytes line, bool *sure_out) {
    static const struct bytes sure[] = {
        W("Return-Path: <"), W("Received: from"),    W("Received: by"),
        W("Received: ("),    W("DKIM-Signature:"),   W("MIME-Version:"),
        W("Message-ID: <"),  W("X-Originating-IP:"), W("Delivered-To:"),
    };
    static const struct bytes likely[] = {
        W("From: "),      W("To: "),         W("Subject: "),   W("Date: "), W("Content-"),
        W("Reply-To:"),   W("Sender: "),     W("X-"),          W("Cc: "),   W("Received:"),
        W("References:"), W("In-Reply-To:"), W("Message-ID:"),
    };
    *sure_out = false;
    for (size_t i = 0; i < COUNT_OF(sure) && !*sure_out; i++)
        *sure_out = bytes_starts_nocase(line, sure[i]);
    for (size_t i = 0; i < COUNT_OF(likely) && !*sure_out; i++)
        if (bytes_starts_nocase(line, likely[i]))
            return true;
    return *sure_out;
}

static struct bytes line_at(struct bytes text, size_t at) {
    struct bytes rest = bytes_skip(text, at);
    ptrdiff_t end = bytes_find(rest, '\n');
    return end < 0 ? rest : bytes_first(rest, (size_t)end + 1);
}

/* A header begins here: a sure field with another one under it, or three likely ones. */
static bool begins_header(struct bytes text, size_t at) {
    size_t fields = 0, sure = 0;
    for (size_t n = 0; n < 12 && at < text.len; n++) {
        struct bytes line = line_at(text, at);
        bool is_sure;
        at += line.len;
        if (n && (line.at[0] == ' ' || line.at[0] == '\t'))
            continue;
        if (!is_header_line(line, &is_sure))
            break;
        fields++;
        sure += is_sure;
    }
    return (sure && fields >= 2) || fields >= 4;
}

/* Where the original begins, and where its header does; both text.len without one. */
static void split_text(struct bytes text, size_t *end_out, size_t *header_out) {
    bool may = false;  /* a header begins behind an empty line or a marker */
    bool told = false; /* an address has been named */
    *end_out = *header_out = text.len;
    for (size_t at = 0; at < text.len;) {
        struct bytes line = line_at(text, at), words = bytes_trim(line);
        bool sure;
        if (words.len && is_marker(words)) {
            /* Words may come behind it, if nothing that looks like a message does. */
            size_t next = at + line.len;
            while (next < text.len && !bytes_trim(line_at(text, next)).len)
                next += line_at(text, next).len;
            if (next >= text.len || begins_header(text, next) ||
                bytes_search_nocase(words, B("copy of")) >= 0 ||
                bytes_search_nocase(words, B("follow")) >= 0 ||
                bytes_search_nocase(words, B("below")) >= 0) {
                *end_out = at;
                *header_out = next;
                return;
            }
        }
        /* Some reports begin with the fields of the message that they are about. */
        if (may && is_header_line(line, &sure) && begins_header(text, at) && told) {
            *end_out = *header_out = at;
            return;
        }
        told = told || bytes_find(line, '@') >= 0;
        may = !words.len || bytes_starts(words, B("--")) || bytes_starts(words, B("==")) ||
              (words.len && words.at[words.len - 1] == ':');
        at += line.len;
    }
}

/* --- in parts ----------------------------------------------------------------------------------- */

static bool is_machine(struct bytes type) {
    return bytes_starts(type, B("message/")) && bytes_ends_nocase(type, B("-status"));
}

static bool is_header_type(struct bytes type) {
    return bytes_equal(type, B("text/rfc822-headers")) ||
           bytes_equal(type, B("message/rfc822-headers")) ||
           bytes_equal(type, B("message/global-headers")) || bytes_equal(type, B("text/rfc822"));
}

/* Of the alternatives with plain text in it, that is taken. */
static bool has_plain_sibling(struct mime *m, size_t part) {
    size_t parent = m->parts[part].parent;
    if (!part || !bytes_equal(m->parts[parent].type, B("multipart/alternative")))
        return false;
    for (size_t i = parent + 1; i < m->count && i < part; i++)
        if (m->parts[i].parent == parent && bytes_equal(m->parts[i].type, B("text/plain")) &&
            bytes_trim(m->parts[i].body).len)
            return true;
    return false;
}

static bool is_text(struct reading *r, size_t i) {
    const struct mime_part *p = &r->mime.parts[i];
    return (bytes_equal(p->type, B("text/plain")) || bytes_equal(p->type, B("text/html")) ||
            bytes_equal(p->type, B("message/delivery-notification")) ||
            (bytes_starts(p->type, B("text/")) && !is_header_type(p->type))) &&
           !mime_inside(&r->mime, i) && !has_plain_sibling(&r->mime, i);
}

static struct bytes message_header(struct reading *r, size_t i) {
    const struct mime_part *p = &r->mime.parts[i];
    if (is_header_type(p->type))
        return mime_text(&r->mime, i);
    if (i + 1 < r->mime.count && r->mime.parts[i + 1].parent == i && r->mime.parts[i + 1].message)
        return r->mime.parts[i + 1].header;
    return bytes_first(mime_octets(&r->mime, i), MIME_HEADER);
}

/* The header of the first message inside, or of headers alone. */
static void find_part(struct reading *r, size_t *part_out) {
    *part_out = r->mime.count;
    for (size_t i = 1; i < r->mime.count; i++) {
        struct bytes type = r->mime.parts[i].type;
        bool message = bytes_starts(type, B("message/")) && !is_machine(type) &&
                       !bytes_ends_nocase(type, B("-notification")) &&
                       !bytes_ends_nocase(type, B("-report"));
        if (mime_inside(&r->mime, i) || (!is_header_type(type) && !message))
            continue;
        r->original_header = message_header(r, i);
        *part_out = i;
        return;
    }
}

void original_find(struct reading *r) {
    struct buf all = buf_grow((size_t)2 * MIME_TEXT);
    size_t original;
    find_part(r, &original);
    for (size_t i = 0; i < r->mime.count; i++) {
        if (!is_text(r, i) || (i > original && all.len && original > 0))
            continue;
        struct bytes text = mime_text(&r->mime, i);
        if (all.len)
            buf_char(&all, '\n');
        buf_add(&all, text);
    }
    struct bytes text = arena_copy(r->arena, buf_bytes(&all));
    r->out->cut = r->out->cut || all.full;
    buf_free(&all);
    size_t end, header;
    split_text(text, &end, &header);
    if (!r->original_header.len)
        r->original_header = bytes_skip(text, header);
    r->text = bytes_first(text, end);
}

/* --- what it was -------------------------------------------------------------------------------- */

static struct bytes tell(struct reading *r, struct bytes name) {
    struct bytes value;
    struct bytes header = bytes_first(r->original_header, (size_t)64 * 1024);
    return mime_field(header, name, r->arena, &value)
               ? clean_line(mime_words(value, r->arena), r->arena)
               : BYTES_NONE;
}

static struct bytes tell_address(struct reading *r, struct bytes name) {
    struct place p;
    return address_find(tell(r, name), 0, &p) ? p.address : BYTES_NONE;
}

void original_tell(struct reading *r) {
    struct bounce *out = r->out;
    out->header = arena_copy(r->arena, bytes_first(r->original_header, (size_t)64 * 1024));
    if (!out->sender.len)
        out->sender = tell_address(r, B("Return-Path"));
    if (!out->sender.len)
        out->sender = tell_address(r, B("From"));
    if (!out->sender.len)
        out->sender = tell_address(r, B("Sender"));
    if (!out->subject.len)
        out->subject = tell(r, B("Subject"));
    if (!out->message_id.len)
        out->message_id = tell(r, B("Message-ID"));
    if (!out->date.len)
        out->date = tell(r, B("Date"));
}
