/* bounce: the order in which the readers are asked, and how what they found becomes the answer. */
#include "bounce/internal.h"

#include "base/addr.h"
#include "base/must.h"

#include <string.h>

/* --- the answer --------------------------------------------------------------------------------- */

static bool is_vague(struct status s) {
    return !s.subject && !s.detail;
}

static struct status find_status(struct status words, struct status field) {
    if (!status_is_set(words))
        return field;
    if (is_vague(words) && status_is_set(field) && !is_vague(field) && words.klass == field.klass)
        return field;
    return words;
}

static bool is_submission(const struct bounce_recipient *b) {
    return (b->command && !strcmp(b->command, "AUTH")) || b->code == 535 || b->code == 534;
}

static const char *find_action(const struct saying *s) {
    if (s->action)
        return s->action;
    return status_is_set(s->status) && s->status.klass == 2 ? "delivered" : "failed";
}

static struct bounce_recipient as_recipient(const struct saying *s) {
    struct codes c = codes_find(s->text);
    struct bounce_recipient out = {
        .address = s->address,
        .code = c.code >= 400 || (s->action && c.code) ? c.code : 0,
        .status = find_status(c.status, s->status),
        .text = s->text,
        .host = s->host,
        .command = s->command ? s->command : extract_command(s->text),
    };
    out.action = find_action(s);
    out.submission = is_submission(&out);
    if (!bytes_equal_nocase(s->original, s->address))
        out.original = s->original;
    return out;
}

static void answer(struct reading *r, const struct sayings *s) {
    struct bounce_recipient *list = ARENA_ARRAY(r->arena, s->count + 1, struct bounce_recipient);
    for (size_t i = 0; i < s->count; i++)
        list[i] = as_recipient(&s->list[i]);
    r->out->recipients = list;
    r->out->count = s->count;
}

static bool is_report_only(const struct bounce *b) {
    for (size_t i = 0; i < b->count; i++)
        if (!strcmp(b->recipients[i].action, "failed") ||
            !strcmp(b->recipients[i].action, "delayed"))
            return false;
    return b->count > 0;
}

/* --- reading ------------------------------------------------------------------------------------ */

static bool (*const readers[])(struct reading *r) = {
    read_complaint, read_disposition, read_attached, read_status,
    read_reply,     read_text,        read_service,
};

/* What it is instead, where that can be told. */
static const char *find_because(struct reading *r) {
    static const struct {
        struct bytes word;
        const char *because;
    } subjects[] = {
        { W("report domain:"), "it is a DMARC report, not about one message" },
        { W("report-domain:"), "it is a TLS report, not about one message" },
    };
    struct bytes subject;
    if (mime_field(r->header, B("Subject"), r->arena, &subject))
        for (size_t i = 0; i < COUNT_OF(subjects); i++)
            if (bytes_search_nocase(subject, subjects[i].word) >= 0)
                return subjects[i].because;
    if (signs_of_daemon(r))
        return "a mail system sent it, but it names no recipient that anything happened to";
    if (mime_field(r->header, B("Auto-Submitted"), r->arena, &subject) &&
        bytes_starts_nocase(subject, B("auto-generated")))
        return "a program sent it, but not about a message that was not delivered";
    return "nothing in it speaks of a message that was not delivered";
}

/* An IP address that the words name as the client's: "Client host [192.0.2.1] blocked". */
static void find_client(struct reading *r) {
    static const struct bytes before[] = { W("client host ["), W("client host "), W("from ip "),
                                           W("sending ip ["),  W("your ip "),     W("ip address "),
                                           W("ip: "),          W("ip ["),         W("ip="),
                                           W("ip "),           W("host ["),       W("from [") };
    for (size_t n = 0; n < r->out->count && n < 10 && !r->out->client.len; n++) {
        struct bytes text = r->out->recipients[n].text;
        for (size_t i = 0; i < COUNT_OF(before) && !r->out->client.len; i++) {
            ptrdiff_t at = bytes_search_nocase(text, before[i]);
            struct bytes host = BYTES_NONE;
            if (at >= 0)
                host = clean_host(bytes_skip(text, (size_t)at + before[i].len), r->arena);
            struct addr ip;
            if (host.len && addr_parse(host, &ip))
                r->out->client = host;
        }
    }
}

/* Who reports, where no field says so: "at host mx.example.com", or where it comes from. */
static void find_reporter(struct reading *r) {
    static const struct bytes before[] = { W("mail system at host "),   W("program at host "),
                                           W("qmail-send program at "), W("generating server: "),
                                           W("james mail server at "),  W("reporting-mta: dns; "),
                                           W("reporting-mta: <"),       W("mail server on "),
                                           W("delivery system at "),    W("notification from "),
                                           W("dsn generated by: "),     W("mail server at "),
                                           W("mail agent v0.13 at ") };
    struct bytes from;
    struct place p;
    for (size_t i = 0; i < COUNT_OF(before) && !r->out->reporter.len; i++) {
        ptrdiff_t at = bytes_search(r->low, before[i]);
        struct bytes host = bytes_first(r->text, 0);
        if (at >= 0)
            host = clean_host(bytes_slice(r->text, (size_t)at + before[i].len, (size_t)at + 300),
                              r->arena);
        if (bytes_find(host, '.') > 0)
            r->out->reporter = host;
    }
    if (!r->out->reporter.len && signs_of_daemon(r) &&
        mime_field(r->header, B("From"), r->arena, &from) && address_find(from, 0, &p))
        r->out->reporter = clean_host(
            bytes_skip(p.address, (size_t)bytes_find_last(p.address, '@') + 1), r->arena);
}

/* A bounce goes to the sender, if nothing else says who that was. */
static void find_sender(struct reading *r) {
    if (!r->out->sender.len)
        r->out->sender = clean_address(reading_address(r, B("To")), r->arena);
}

static void finish(struct reading *r) {
    struct bounce *out = r->out;
    if (r->fields.count)
        answer(r, &r->fields);
    if (!out->kind)
        out->kind = is_report_only(out) ? BOUNCE_REPORT : BOUNCE_BOUNCE;
    out->because = NULL;
    find_client(r);
    if (r->fields.count && out->kind == BOUNCE_BOUNCE) {
        find_reporter(r);
        find_sender(r);
    }
}

/* A byte order mark and empty lines before the header; CR alone as the line end. */
static struct bytes normalise(struct bytes message, struct arena *a) {
    enum { FIRST = 64 * 1024, MOST = 4 * 1024 * 1024 };
    if (bytes_starts(message, B("\xef\xbb\xbf")))
        message = bytes_skip(message, 3);
    while (message.len && bytes_find(B("\r\n \t"), message.at[0]) >= 0)
        message = bytes_skip(message, 1);
    struct bytes first = bytes_first(message, FIRST);
    if (bytes_find(first, '\n') >= 0 || bytes_find(first, '\r') < 0)
        return message;
    struct bytes copy = arena_copy(a, bytes_first(message, MOST));
    struct buf b = buf_fixed((char *)(uintptr_t)copy.at, copy.len + 1);
    for (size_t i = 0; i < copy.len; i++)
        buf_char(&b, message.at[i] == '\r' ? '\n' : message.at[i]);
    return buf_bytes(&b);
}

enum { LOOK = 16 * 1024 }; /* octets of a text in which its kind shows */

enum rc bounce_read_inner(struct bytes message, struct arena *a, size_t forwards,
                          struct bounce *out) {
    *out = (struct bounce){ 0 };
    message = normalise(message, a);
    struct reading r = { .arena = a, .out = out, .message = message, .forwards = forwards };
    if (read_json(&r, message)) {
        finish(&r);
        return OK;
    }
    size_t header = mime_header_length(message);
    if (!header)
        return PERM;
    r.header = bytes_first(message, header);
    mime_read(message, a, &r.mime);
    original_find(&r);
    r.low = arena_lower(a, bytes_first(r.text, LOOK));
    r.lines = lines_read(r.text, a, &out->cut);
    original_tell(&r);
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(readers) && !found; i++)
        found = readers[i](&r);
    if (!found)
        found = read_pasted(&r);
    if (found)
        finish(&r);
    else
        out->because = find_because(&r);
    out->cut = out->cut || r.mime.cut;
    return OK;
}

enum rc bounce_read(struct bytes message, struct arena *a, struct bounce *out) {
    return bounce_read_inner(message, a, 0, out);
}
