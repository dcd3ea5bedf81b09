/* explain_read: finding out what was given, and handing what servers said to the rules. This file knows the
 * order in which readers are tried, and what a bounce's facts are to the rules. */
#include "bin/explain.h"

#include "base/must.h"
#include "bounce/log.h"
#include "bounce/words.h"
#include "message/header.h"

#include <string.h>

/* --- what it is -------------------------------------------------------------------------------------------- */

static bool is_one_of(struct bytes name, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_nocase(name, bytes_str(names[i])))
            return true;
    return false;
}

/* How many of the first fields have names that messages have. */
static size_t known_fields(struct bytes text, const char *const *names, size_t count) {
    enum { LOOK_AT = 12 };
    struct header_field field;
    size_t known = 0;
    if (bytes_starts(text, B("From ")) && bytes_find(text, '\n') >= 0)
        text = bytes_skip(text, (size_t)bytes_find(text, '\n') + 1);
    for (size_t i = 0; i < LOOK_AT && header_next(&text, &field) == HEADER_FIELD; i++)
        known += is_one_of(field.name, names, count);
    return known;
}

bool explain_is_message(struct bytes input) {
    static const char *const names[] = {
        "From",         "To",           "Subject",       "Date",
        "Received",     "Return-Path",  "Message-ID",    "Content-Type",
        "MIME-Version", "Delivered-To", "X-Original-To", "Auto-Submitted",
        "Reply-To",     "Cc",           "Sender",        "X-Failed-Recipients",
        "Envelope-To",
    };
    return known_fields(input, names, COUNT_OF(names)) >= 2;
}

static bool is_status_part(struct bytes input) {
    static const char *const names[] = { "Reporting-MTA", "Final-Recipient", "Original-Recipient",
                                         "Diagnostic-Code", "Remote-MTA" };
    return known_fields(input, names, COUNT_OF(names)) >= 1;
}

/* --- what it means ----------------------------------------------------------------------------------------- */

static struct bytes domain_of(struct bytes address) {
    ptrdiff_t at = bytes_find_last(address, '@');
    return at < 0 ? BYTES_NONE : bytes_skip(address, (size_t)at + 1);
}

/* The server that speaks bears a name in the recipient's domain: it is the one that domain's MX names, and
 * no smart host of the sender's. */
static bool serves_recipient(const struct bounce_recipient *r) {
    struct bytes domain = domain_of(r->address);
    if (!domain.len || r->submission || r->host.len <= domain.len ||
        !bytes_ends_nocase(r->host, domain))
        return false;
    return r->host.at[r->host.len - domain.len - 1] == '.';
}

/* What a notice says was done; of words alone that is not said, only taken to be so. */
static const char *action_of(const struct bounce_recipient *said, const struct explained *e) {
    return e->kind == EXPLAIN_REPLY && !strcmp(said->action, "failed") ? NULL : said->action;
}

static void ask(const struct bounce_recipient *said, struct bytes words, const struct explained *e,
                struct explain_answer *out) {
    const struct bounce *b = &e->bounce;
    out->facts = (struct reply_facts){
        .code = said->code,
        .status = said->status,
        .text = words,
        .command = said->command,
        .action = action_of(said, e),
        .submission = said->submission,
        .host = said->host,
        .sender_domain = domain_of(b->sender),
        .recipient = said->address,
        .ours_is_client = b->kind == BOUNCE_BOUNCE && serves_recipient(said),
    };
    out->meaning = *reply_explain(&out->facts);
}

static void classify(struct explained *e, struct arena *a) {
    e->count = e->bounce.count;
    e->answers = ARENA_ARRAY(a, e->count ? e->count : 1, struct explain_answer);
    for (size_t i = 0; i < e->count; i++) {
        const struct bounce_recipient *said = &e->bounce.recipients[i];
        e->answers[i].said = said;
        e->answers[i].ours = reason_of_reply(said->text);
        ask(said, said->text, e, &e->answers[i]);
    }
}

/* --- the readers ------------------------------------------------------------------------------------------- */

void explain_message(struct bytes message, struct arena *a, struct explained *out) {
    static const enum explain_kind kinds[] = {
        [BOUNCE_NONE] = EXPLAIN_NO_BOUNCE,
        [BOUNCE_BOUNCE] = EXPLAIN_BOUNCE,
        [BOUNCE_REPORT] = EXPLAIN_REPORT,
    };
    *out = (struct explained){ .kind = EXPLAIN_NO_BOUNCE };
    if (bounce_read(message, a, &out->bounce) == PERM)
        out->bounce = (struct bounce){ .because = "it is no message" };
    out->kind = kinds[out->bounce.kind];
    classify(out, a);
}

/* A part of a bounce that was copied without its header. */
static bool read_part(struct bytes input, struct arena *a, struct explained *out) {
    const char *header =
        is_status_part(input)
            ? "From: MAILER-DAEMON\nSubject: Undelivered Mail\nContent-Type: message/delivery-status\n\n"
            : "From: MAILER-DAEMON\nSubject: Undelivered Mail Returned to Sender\n\n";
    struct buf b = buf_grow(EXPLAIN_INPUT + 4096);
    buf_str(&b, header);
    buf_add(&b, input);
    explain_message(arena_copy(a, buf_bytes(&b)), a, out);
    buf_free(&b);
    return out->kind != EXPLAIN_NO_BOUNCE && out->count;
}

static bool has_lines(struct bytes text, size_t wanted) {
    struct bytes line;
    size_t lines = 0;
    while (lines < wanted && bytes_split(&text, '\n', &line))
        lines += bytes_trim(line).len > 0;
    return lines >= wanted;
}

/* What the caller knows better than the words say. */
static void take_hints(struct bounce *b, const struct explain_hints *h, struct arena *a) {
    struct bounce_recipient *list =
        ARENA_ARRAY(a, b->count ? b->count : 1, struct bounce_recipient);
    for (size_t i = 0; i < b->count; i++) {
        list[i] = b->recipients[i];
        if (h->command)
            list[i].command = h->command;
        if (h->host.len)
            list[i].host = h->host;
        if (h->to.len)
            list[i].address = h->to;
        if (h->code)
            list[i].code = h->code;
    }
    b->recipients = list;
}

/* Words around a reply may say more than the reply: a mail program's number, the name of an exception. */
static void ask_all_words(struct bytes input, struct explained *e) {
    enum { SURE_PERCENT = 60, WORDS = 1500 };
    struct explain_answer all;
    if (e->count != 1 || e->answers[0].meaning.confidence * 100 >= SURE_PERCENT)
        return;
    ask(e->answers[0].said, bytes_first(input, WORDS), e, &all);
    if (all.meaning.confidence <= e->answers[0].meaning.confidence)
        return;
    all.said = e->answers[0].said;
    all.ours = e->answers[0].ours;
    e->answers[0] = all;
}

/* A conversation, or the text of an exception; but for the transcripts that stand within bounces. */
static bool is_certain(const struct bounce *b, struct bytes input) {
    static const char *const of_bounces[] = { "ranscript of session", "while talking to",
                                              "fatal errors" };
    if (b->kind != BOUNCE_BOUNCE)
        return false;
    for (size_t i = 0; i < COUNT_OF(of_bounces); i++)
        if (bytes_search(input, bytes_str(of_bounces[i])) >= 0)
            return false;
    return !strcmp(b->format, "transcript") || !strcmp(b->format, "python");
}

/* A number in a letter that nobody's rules make anything of, and that stands in the midst of a line. */
static bool is_prose(struct bytes input, const struct explained *e) {
    struct bytes text = bytes_trim(input);
    bool begins = text.len > 3 && ascii_is_digit(text.at[0]) && ascii_is_digit(text.at[2]);
    return e->count == 1 && !begins && has_lines(input, 3) &&
           !status_is_set(e->answers[0].said->status) &&
           !strcmp(e->answers[0].meaning.cause, "unknown");
}

static void read_words(struct bytes input, const struct explain_hints *hints, struct arena *a,
                       struct explained *out) {
    struct explained part;
    enum rc rc = words_read(input, a, &out->bounce);
    if (!is_certain(&out->bounce, input) && (is_status_part(input) || has_lines(input, 4)) &&
        read_part(input, a, &part)) {
        *out = part;
        return;
    }
    out->kind = EXPLAIN_REPLY;
    take_hints(&out->bounce, hints, a);
    classify(out, a);
    ask_all_words(input, out);
    /* Words without a code are a reply when the rules know them. */
    bool hinted = hints->command || hints->code;
    bool known = out->count && strcmp(out->answers[0].meaning.cause, "unknown") != 0;
    if (!hinted && ((rc != OK && !known) || is_prose(input, out))) {
        out->kind = EXPLAIN_NO_BOUNCE;
        out->bounce.because = "there is no reply of a server in it";
    }
}

/* A picture, a program, a compressed log: control octets are rare in any text, whatever its charset. */
static bool is_binary(struct bytes input) {
    enum { LOOK_AT = 64 * 1024, PER_CENT = 4 };
    size_t controls = 0;
    input = bytes_first(input, LOOK_AT);
    for (size_t i = 0; i < input.len; i++) {
        unsigned char c = (unsigned char)input.at[i];
        controls += c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0x1b;
    }
    return input.len > 100 && controls * 100 > input.len * PER_CENT;
}

static bool begins_json(struct bytes input) {
    input = bytes_trim(input);
    return bytes_starts(input, B("{")) || bytes_starts(input, B("[{"));
}

void explain_read(struct bytes input, const struct explain_hints *hints, struct arena *a,
                  struct explained *out) {
    input = bytes_first(input, EXPLAIN_INPUT);
    *out = (struct explained){ .kind = EXPLAIN_NO_BOUNCE };
    if (is_binary(input)) {
        out->bounce.because = "it is no text";
        return;
    }
    if (explain_is_message(input)) {
        explain_message(input, a, out);
        return;
    }
    if (begins_json(input)) { /* what a sending service reports, or else a log's line */
        explain_message(input, a, out);
        if (out->kind != EXPLAIN_NO_BOUNCE)
            return;
    }
    struct bounce lines;
    if (log_read(input, a, &lines) == OK) {
        out->bounce = lines;
        out->kind = EXPLAIN_LOG;
        take_hints(&out->bounce, hints, a);
        classify(out, a);
        return;
    }
    read_words(input, hints, a, out);
    if (lines.format && out->kind == EXPLAIN_NO_BOUNCE)
        out->bounce.because = lines.because;
}
