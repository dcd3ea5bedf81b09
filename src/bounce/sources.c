/* sources: what is asked about a mail system's own message, the surest first: fields for machines, header
 * fields, passages of text, transcripts of sessions; and who is named in them but is no recipient. */
#include "bounce/internal.h"

#include "base/must.h"

struct bytes reading_address(struct reading *r, struct bytes name) {
    struct bytes value;
    struct place p;
    return mime_field(r->header, name, r->arena, &value) && address_find(value, 0, &p) ? p.address
                                                                                       : BYTES_NONE;
}

/* Recipients that the header names, for texts that do not say it well: Exim, Gmail, Mail.ru. */
static void read_failed(struct reading *r) {
    struct bytes rest = bytes_first(r->header, MIME_HEADER), value, item;
    while (rest.len) {
        ptrdiff_t end = bytes_find(rest, '\n');
        if (bytes_starts_nocase(rest, B("X-Failed-Recipients:"))) {
            if (!mime_field(rest, B("X-Failed-Recipients"), r->arena, &value))
                break;
            while (bytes_split(&value, ',', &item)) {
                struct bytes address = clean_address(item, r->arena);
                struct saying *s = address.len ? saying_add(r, &r->fields) : NULL;
                if (s)
                    s->address = address;
            }
        }
        rest = end < 0 ? BYTES_NONE : bytes_skip(rest, (size_t)end + 1);
    }
}

struct others {
    struct bytes sender, to, from; /* who is named in a bounce and is no recipient */
};

/* Whom texts name for help: "postmaster@example.com", alone on a line. */
static bool is_role(struct bytes address) {
    static const struct bytes roles[] = { W("postmaster@"),   W("support@"),  W("helpdesk@"),
                                          W("help@"),         W("abuse@"),    W("mailer-daemon@"),
                                          W("noreply@"),      W("no-reply@"), W("servicedesk@"),
                                          W("mail-support@"), W("hotline@"),  W("kundenservice@") };
    return phrases_begin(address, roles, COUNT_OF(roles));
}

static bool is_other(const struct others *o, const struct saying *s) {
    return is_role(s->address) || bytes_equal_nocase(s->address, o->sender) ||
           bytes_equal_nocase(s->address, o->to) || bytes_equal_nocase(s->address, o->from);
}

/* A sender who is named in the text is no recipient, unless he is the only one. */
static void drop_others(struct reading *r, struct sayings *s) {
    const struct others o = { .sender = r->out->sender,
                              .to = reading_address(r, B("To")),
                              .from = reading_address(r, B("From")) };
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < s->count; i++)
        kept += !is_other(&o, &s->list[i]);
    for (size_t i = 0; i < s->count && kept; i++)
        if (!is_other(&o, &s->list[i]) || extract_weight(s->list[i].text) >= 2)
            s->list[count++] = s->list[i];
    s->count = kept ? count : s->count;
}

static struct sayings addressed(struct reading *r, const struct sayings *s) {
    struct sayings out = { 0 };
    for (size_t i = 0; i < s->count; i++) {
        struct saying *copy = s->list[i].address.len ? saying_add(r, &out) : NULL;
        if (copy)
            *copy = s->list[i];
    }
    return out;
}

/* Nobody else says whom it was for: the original message's To. */
static void read_to(struct reading *r) {
    struct bytes to;
    struct place p;
    if (!mime_field(r->original_header, B("To"), r->arena, &to) || !address_find(to, 0, &p))
        return;
    struct saying *s = saying_add(r, &r->fields);
    if (s)
        s->address = clean_address(p.address, r->arena);
}

/* From others than mail systems, a subject is not enough: shops speak of deliveries, too. */
static bool is_believed(struct reading *r) {
    struct bytes value;
    if (r->out->format || r->laid_out || signs_of_daemon(r) || signs_of_null_path(r) ||
        mime_field(r->header, B("X-Failed-Recipients"), r->arena, &value))
        return true;
    for (size_t i = 0; i < r->fields.count; i++)
        if (extract_weight(r->fields.list[i].text) >= 2)
            return true;
    return false;
}

enum { REASON = 400 }; /* octets of a text that gives no reason that can be told from the rest */

/* Nothing is said about any of them: what the text says as a whole. */
static void words_for_all(struct reading *r) {
    struct bytes text;
    for (size_t i = 0; i < r->fields.count; i++)
        if (r->fields.list[i].text.len)
            return;
    text = passages_reason(r);
    if (!text.len && !r->out->reporter.len) /* no fields: whatever it says */
        text = clean_line(bytes_first(r->text, REASON), r->arena);
    for (size_t i = 0; i < r->fields.count; i++) {
        r->fields.list[i].text = text;
        r->fields.list[i].command = extract_command(text);
    }
}

/* All sources, from the surest on. */
bool read_text(struct reading *r) {
    if (!signs_of_bounce(r))
        return false;
    read_failed(r);
    passages_read(r);
    transcript_read(r);
    drop_others(r, &r->words);
    if (!r->fields.count)
        r->fields = addressed(r, &r->words);
    if (!r->fields.count)
        r->fields = addressed(r, &r->session);
    if (!r->fields.count)
        read_to(r);
    sayings_unite(&r->fields, r->arena);
    sayings_join(r, &r->fields, &r->session);
    sayings_join(r, &r->fields, &r->words);
    r->out->format = signs_format(r);
    if (!r->fields.count || !is_believed(r)) {
        r->fields.count = 0;
        r->out->format = NULL;
        return false;
    }
    if (!r->out->format)
        r->out->format = "text";
    words_for_all(r);
    const char *action = signs_of_delay(r) ? "delayed" : signs_of_success(r) ? "delivered" : NULL;
    for (size_t i = 0; i < r->fields.count && action; i++)
        r->fields.list[i].action = action;
    return true;
}

/* Dovecot and Cyrus: "Your message to <ann> was automatically rejected:", and why, in the text alone. */
static void read_rejected(struct reading *r) {
    ptrdiff_t at = bytes_search(r->text, B("message to <"));
    struct bytes rest =
        bytes_first(bytes_skip(r->text, at < 0 ? r->text.len : (size_t)at + 12), BOUNCE_TEXT);
    ptrdiff_t close = bytes_find(bytes_first(rest, 300), '>');
    if (close <= 0 ||
        !bytes_starts(bytes_skip(rest, (size_t)close), B("> was automatically rejected")))
        return;
    struct bytes address = clean_address(bytes_first(rest, (size_t)close), r->arena);
    for (size_t i = 0; i < r->fields.count; i++)
        if (bytes_equal_nocase(r->fields.list[i].address, address) ||
            bytes_equal_nocase(r->fields.list[i].original, address))
            return;
    struct saying *s = saying_add(r, &r->fields);
    if (!s)
        return;
    s->address = address;
    ptrdiff_t colon = bytes_find(rest, ':');
    s->text = colon < 0 ? BYTES_NONE : clean_line(bytes_skip(rest, (size_t)colon + 1), r->arena);
}

/* "X-Postfix; host mx.example.com[192.0.2.1] said: 550 x (in reply to RCPT TO command)" */
static void extract_fields(struct reading *r) {
    for (size_t i = 0; i < r->fields.count; i++) {
        struct saying *s = &r->fields.list[i];
        struct extract e;
        if (codes_begin(s->text) || saying_is_bare(s->text))
            continue;
        extract_words(s->text, r->arena, &e);
        s->text = e.text;
        s->command = e.command;
        if (!s->host.len)
            s->host = e.host;
    }
}

bool read_status(struct reading *r) {
    if (!read_report(r))
        return false;
    extract_fields(r);
    sayings_unite(&r->fields, r->arena);
    read_rejected(r);
    passages_read(r);
    transcript_read(r);
    sayings_join(r, &r->fields, &r->words);
    sayings_join(r, &r->fields, &r->session);
    words_for_all(r);
    for (size_t i = 0; i < r->fields.count; i++)
        if (!r->fields.list[i].text.len)
            r->fields.list[i].text = r->fields.list[i].comment;
    return true;
}

bool read_service(struct reading *r) {
    return read_json(r, r->text);
}
