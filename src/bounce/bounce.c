/* bounce: the order in which the readers are asked, and how what they found becomes the answer. */
#include "bounce/internal.h"

#include "base/addr.h"
#include "base/map.h"
#include "base/must.h"

#include <string.h>

struct saying *saying_add(struct reading *r, struct sayings *s) {
    if (s->count == BOUNCE_RECIPIENTS) {
        r->out->cut = true;
        return NULL;
    }
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 8;
        struct saying *list = ARENA_ARRAY(r->arena, room, struct saying);
        if (s->count)
            memcpy(list, s->list, s->count * sizeof *list);
        s->list = list;
        s->room = room;
    }
    s->list[s->count] = (struct saying){ 0 };
    return &s->list[s->count++];
}

/* --- joining ------------------------------------------------------------------------------------ */

/* The saying of a list that is about this address, the weightiest. */
static struct saying *about(struct map *index, struct bytes address, struct arena *a) {
    return address.len ? map_find(index, arena_lower(a, address)) : NULL;
}

static void close_map(void *map) {
    struct map *m = map;
    map_close(&m);
}

static struct map *open_map(struct arena *a) {
    struct map *m = map_open();
    arena_defer(a, close_map, m);
    return m;
}

/* A later saying about the same address completes the first, or gives better words. */
static void merge(struct saying *first, const struct saying *other) {
    if (extract_weight(other->text) > extract_weight(first->text)) {
        first->text = other->text;
        if (other->host.len)
            first->host = other->host;
        if (other->command)
            first->command = other->command;
    }
    if (!first->host.len)
        first->host = other->host;
    if (!first->command)
        first->command = other->command;
    if (!first->original.len)
        first->original = other->original;
    if (!first->action)
        first->action = other->action;
    if (!status_is_set(first->status))
        first->status = other->status;
}

/* Each address once, in the order in which they came; those without one stay. */
static struct map *unite(struct sayings *s, struct arena *a) {
    struct map *index = open_map(a);
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct saying *known = about(index, s->list[i].address, a);
        if (known) {
            merge(known, &s->list[i]);
            continue;
        }
        s->list[count] = s->list[i];
        if (s->list[i].address.len)
            map_put(index, arena_lower(a, s->list[i].address), &s->list[count]);
        count++;
    }
    s->count = count;
    return index;
}

/* "550", "5.1.1", "77", "550 #5.1.1": codes with no words. */
static bool is_bare(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (ascii_is_alpha(text.at[i]) || (unsigned char)text.at[i] >= 0x80)
            return false;
    return true;
}

/* The words for people complete the machine's fields, or stand in where those say less. */
static void complete(struct saying *s, const struct saying *words) {
    unsigned have = extract_weight(s->text), offered = extract_weight(words->text);
    bool same = codes_find(s->text).code == codes_find(words->text).code;
    bool expired = extract_is_expiry(s->text) && offered >= 2 && !extract_is_expiry(words->text);
    bool longer = s->text.len > 10 && words->text.len > s->text.len &&
                  bytes_starts_nocase(words->text, s->text);
    bool better =
        !s->text.len || expired || longer || (have < 2 && offered >= 2) ||
        (is_bare(s->text) && offered && (same || offered >= have) && !is_bare(words->text));
    if (better) {
        s->text = words->text;
        if (words->host.len)
            s->host = words->host;
    }
    if (!s->host.len && words->host.len)
        s->host = words->host;
    if (!s->command)
        s->command = words->command;
    if (!s->original.len)
        s->original = words->original;
    if (!s->action)
        s->action = words->action;
}

/* What is said of nobody is said of those about whom nothing is said: the last error. */
static const struct saying *find_shared(const struct sayings *s) {
    const struct saying *best = NULL;
    for (size_t i = 0; i < s->count; i++)
        if (!s->list[i].address.len && extract_weight(s->list[i].text) >= 2)
            if (!best || s->list[i].host.len || !best->host.len)
                best = &s->list[i];
    return best;
}

/* Of a reply of several lines, the fields often have the first alone. */
static const struct saying *find_longer(const struct sayings *s, struct bytes text) {
    enum { FIRST = 20 };
    for (size_t i = 0; i < s->count && i < FIRST && text.len > 10; i++)
        if (s->list[i].text.len > text.len && bytes_starts_nocase(s->list[i].text, text))
            return &s->list[i];
    return NULL;
}

/* "@mx.example.org" or nothing: no address that mail could go to. */
static bool is_address(struct bytes address) {
    return bytes_find(address, '@') > 0;
}

static void join(struct reading *r, struct sayings *to, struct sayings *from) {
    struct map *index = unite(from, r->arena);
    const struct saying *shared = find_shared(from);
    for (size_t i = 0; i < to->count; i++) {
        struct saying *s = &to->list[i];
        const struct saying *words = about(index, s->address, r->arena);
        if (!words)
            words = about(index, s->original, r->arena);
        if (!words && to->count == 1 && from->count == 1)
            words = &from->list[0];
        if (words && !is_address(s->address) && is_address(words->address))
            s->address = words->address;
        if (words)
            complete(s, words);
        const struct saying *longer = find_longer(from, s->text);
        if (shared && extract_weight(s->text) < 2)
            complete(s, shared);
        else if (longer)
            complete(s, longer);
    }
}

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

static const char *find_action(const struct saying *s, struct status status, int code) {
    if (s->action)
        return s->action;
    if (status_is_set(s->status) && s->status.klass == 2)
        return "delivered";
    (void)status;
    (void)code;
    return "failed";
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
    out.action = find_action(s, out.status, out.code);
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

/* --- the sources -------------------------------------------------------------------------------- */

/* Recipients that the header names, for texts that do not say it well: Exim, Gmail, Mail.ru. */
static void read_failed(struct reading *r) {
    struct bytes rest = bytes_first(r->header, MIME_HEADER), value, item;
    struct header_field;
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

static struct bytes address_in(struct reading *r, struct bytes name) {
    struct bytes value;
    struct place p;
    return mime_field(r->header, name, r->arena, &value) && address_find(value, 0, &p) ? p.address
                                                                                       : BYTES_NONE;
}

static bool is_other(const struct others *o, const struct saying *s) {
    return bytes_equal_nocase(s->address, o->sender) || bytes_equal_nocase(s->address, o->to) ||
           bytes_equal_nocase(s->address, o->from);
}

/* A sender who is named in the text is no recipient, unless he is the only one. */
static void drop_others(struct reading *r, struct sayings *s) {
    const struct others o = { .sender = r->out->sender,
                              .to = address_in(r, B("To")),
                              .from = address_in(r, B("From")) };
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
static bool read_text(struct reading *r) {
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
    unite(&r->fields, r->arena);
    join(r, &r->fields, &r->session);
    join(r, &r->fields, &r->words);
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
        if (codes_begin(s->text) || is_bare(s->text))
            continue;
        extract_words(s->text, r->arena, &e);
        s->text = e.text;
        s->command = e.command;
        if (!s->host.len)
            s->host = e.host;
    }
}

static bool read_status(struct reading *r) {
    if (!read_report(r))
        return false;
    extract_fields(r);
    unite(&r->fields, r->arena);
    read_rejected(r);
    passages_read(r);
    transcript_read(r);
    join(r, &r->fields, &r->words);
    join(r, &r->fields, &r->session);
    words_for_all(r);
    for (size_t i = 0; i < r->fields.count; i++)
        if (!r->fields.list[i].text.len)
            r->fields.list[i].text = r->fields.list[i].comment;
    return true;
}

static bool read_service(struct reading *r) {
    return read_json(r, r->text);
}

/* --- bounces inside ----------------------------------------------------------------------------- */

static enum rc read_message(struct bytes message, struct arena *a, size_t forwards,
                            struct bounce *out);

/* What was found inside becomes this one's; the recipients of several are put together. */
static void adopt(struct reading *r, const struct bounce *inner) {
    struct bounce *out = r->out;
    struct bounce_recipient *list =
        ARENA_ARRAY(r->arena, out->count + inner->count + 1, struct bounce_recipient);
    if (out->count)
        memcpy(list, out->recipients, out->count * sizeof *list);
    if (inner->count)
        memcpy(list + out->count, inner->recipients, inner->count * sizeof *list);
    if (!out->count)
        *out = *inner;
    else
        out->count += inner->count;
    out->recipients = list;
}

/* The octets of a message part: its header and body, decoded if they are encoded. */
static struct bytes inner_message(struct reading *r, size_t i) {
    const struct mime_part *p = &r->mime.parts[i];
    if (p->encoding != MIME_PLAIN)
        return mime_octets(&r->mime, i);
    return p->body;
}

static bool is_attached(struct reading *r, size_t i) {
    struct bytes type = r->mime.parts[i].type, value;
    if (mime_inside(&r->mime, i))
        return false;
    if (bytes_equal(type, B("message/rfc822")) || bytes_equal(type, B("message/global")))
        return true;
    if (!bytes_starts(type, B("application/")) && !bytes_starts(type, B("text/")))
        return false;
    return (mime_field(r->mime.parts[i].header, B("Content-Disposition"), r->arena, &value) &&
            bytes_search_nocase(value, B(".eml")) >= 0) ||
           (mime_field(r->mime.parts[i].header, B("Content-Type"), r->arena, &value) &&
            bytes_search_nocase(value, B(".eml")) >= 0);
}

enum { INNER = 64 }; /* bounces in one digest */

/* It is a notice itself: the message inside is what it is about. */
static bool is_notice(struct reading *r) {
    for (size_t i = 0; i < r->mime.count; i++)
        if (bytes_ends_nocase(r->mime.parts[i].type, B("delivery-status")) &&
            !mime_inside(&r->mime, i))
            return true;
    return signs_of_daemon(r);
}

static bool read_attached(struct reading *r) {
    size_t found = 0;
    if (r->forwards >= BOUNCE_FORWARDS || is_notice(r))
        return false;
    for (size_t i = 0; i < r->mime.count && found < INNER; i++) {
        struct bounce inner;
        if (!is_attached(r, i))
            continue;
        struct bytes message = inner_message(r, i);
        if (read_message(message, r->arena, r->forwards + 1, &inner) != OK || !inner.kind)
            continue;
        adopt(r, &inner);
        found++;
    }
    return found > 0;
}

/* Without the marks of quoting, "> " at the beginning of lines; transcripts have such marks, too. */
static struct bytes unquote(struct bytes text, struct arena *a) {
    struct buf b = buf_fixed(arena_alloc(a, text.len + 1), text.len + 1);
    struct bytes rest = text, line;
    while (bytes_split(&rest, '\n', &line)) {
        const char *begin = line.at;
        while (line.len && (line.at[0] == '>' || line.at[0] == '|')) {
            bool session = bytes_starts(line, B(">>> ")) && extract_verb(bytes_skip(line, 4));
            if (session)
                break;
            line = bytes_skip(line, 1);
            if (line.len && line.at[0] == ' ' && line.len > 1 && line.at[1] == '>')
                line = bytes_skip(line, 1);
        }
        if (bytes_starts(line, B(" ")) && line.at != begin)
            line = bytes_skip(line, 1);
        buf_add(&b, line);
        buf_char(&b, '\n');
    }
    return buf_bytes(&b);
}

/* Where a pasted message's header begins: "From: Mail Delivery System <...>"; text.len: nowhere. */
static size_t find_pasted(struct bytes text) {
    static const struct bytes begins[] = { W("From: "),    W("Return-Path: <"), W("Date: "),
                                           W("Subject: "), W("Received: from"), W("Von: "),
                                           W("De: "),      W("*From:*") };
    for (size_t at = 0; at < text.len;) {
        struct bytes rest = bytes_skip(text, at);
        ptrdiff_t end = bytes_find(rest, '\n');
        struct bytes line = end < 0 ? rest : bytes_first(rest, (size_t)end);
        for (size_t i = 0; i < COUNT_OF(begins); i++)
            if (bytes_starts_nocase(line, begins[i]))
                return at;
        if (end < 0)
            break;
        at += (size_t)end + 1;
    }
    return text.len;
}

static bool is_convincing(const struct bounce *b) {
    if (b->kind == BOUNCE_NONE || !b->count)
        return false;
    if (strcmp(b->format, "text"))
        return true;
    for (size_t i = 0; i < b->count; i++)
        if (extract_weight(b->recipients[i].text) >= 2)
            return true;
    return false;
}

static struct bytes all_text(struct reading *r) {
    for (size_t i = 0; i < r->mime.count; i++)
        if (bytes_starts(r->mime.parts[i].type, B("text/")) && !mime_inside(&r->mime, i))
            return mime_text(&r->mime, i);
    return BYTES_NONE;
}

/* A person has pasted or quoted a bounce into a letter. */
static bool read_pasted(struct reading *r) {
    if (r->forwards >= BOUNCE_FORWARDS)
        return false;
    struct bytes text = unquote(all_text(r), r->arena);
    size_t at = find_pasted(text);
    struct bounce inner;
    if (at < text.len &&
        read_message(bytes_skip(text, at), r->arena, r->forwards + 1, &inner) == OK &&
        inner.kind == BOUNCE_BOUNCE) {
        *r->out = inner;
        return true;
    }
    struct buf b = buf_fixed(arena_alloc(r->arena, text.len + 200), text.len + 200);
    buf_str(&b, "From: MAILER-DAEMON\nSubject: Undeliverable\n"
                "Content-Type: text/plain; charset=utf-8\n\n");
    buf_add(&b, text);
    if (read_message(buf_bytes(&b), r->arena, BOUNCE_FORWARDS, &inner) != OK ||
        !is_convincing(&inner))
        return false;
    *r->out = inner;
    return true;
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
        r->out->sender = clean_address(address_in(r, B("To")), r->arena);
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

static enum rc read_message(struct bytes message, struct arena *a, size_t forwards,
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
    return read_message(message, a, 0, out);
}
