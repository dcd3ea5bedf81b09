/* subject: where in a text the reply begins, and what it says besides words. */
#include "reply/subject.h"

#include "base/buf.h"
#include "base/must.h"
#include "reply/clean.h"

#include <string.h>

/* --- codes ---------------------------------------------------------------------------------- */

static bool is_blank(char c) {
    return (unsigned char)c <= ' ' || c == 127;
}

static bool ends_word(struct bytes text, size_t at) {
    return at >= text.len || is_blank(text.at[at]);
}

static bool is_one_of(struct bytes text, size_t at, const char *set) {
    return at < text.len && text.at[at] && strchr(set, text.at[at]);
}

/* Does "550 ", "550-" or "550:" stand here? */
static size_t code_length(struct bytes text) {
    bool digits = text.len >= 3 && text.at[0] >= '2' && text.at[0] <= '5' &&
                  ascii_is_digit(text.at[1]) && ascii_is_digit(text.at[2]);
    if (!digits || !(ends_word(text, 3) || is_one_of(text, 3, "-:")))
        return 0;
    return text.len > 3 ? 4 : 3;
}

static int code_at(struct bytes text) {
    return (text.at[0] - '0') * 100 + (text.at[1] - '0') * 10 + (text.at[2] - '0');
}

/* The length of digits and dots from here. */
static struct bytes dotted(struct bytes text) {
    size_t len = 0;
    while (len < text.len && (ascii_is_digit(text.at[len]) || text.at[len] == '.'))
        len++;
    while (len > 0 && text.at[len - 1] == '.')
        len--;
    return bytes_first(text, len);
}

/* An enhanced code that is not part of something longer, such as an address. */
static bool status_at(struct bytes text, size_t at, int code, struct status *out) {
    struct bytes number = dotted(bytes_skip(text, at));
    size_t end = at + number.len;
    bool begins = at == 0 || is_blank(text.at[at - 1]) || is_one_of(text, at - 1, "#([<\"'-:;=");
    bool ends = ends_word(text, end) || is_one_of(text, end, ")]>\"',;:.-!");
    return begins && ends && status_parse(number, out) && out->klass != 3 &&
           (code < 200 || out->klass == code / 100);
}

static bool is_word(struct bytes word, const char *const *list) {
    for (; *list; list++)
        if (bytes_equal_nocase(word, bytes_str(*list)))
            return true;
    return false;
}

/* The word that ends before `at`, without what stands between. */
static struct bytes word_before(struct bytes text, size_t at) {
    size_t end = at;
    while (end > 0 && (is_blank(text.at[end - 1]) || is_one_of(text, end - 1, ":=(#'\"")))
        end--;
    size_t start = end;
    while (start > 0 && (ascii_is_alnum(text.at[start - 1]) || text.at[start - 1] == '_'))
        start--;
    return bytes_slice(text, start, end);
}

/* "Exim 4.9.2" has no enhanced code in it. */
static bool is_version(struct bytes text, size_t at) {
    static const char *const names[] = { "version", "v",     "exim",    "postfix", "sendmail",
                                         "ver",     "build", "release", "esmtp",   NULL };
    return is_word(word_before(text, at), names);
}

static struct status find_status(struct bytes text, int code) {
    struct status status;
    for (size_t i = 0; i < text.len; i++) {
        if (!ascii_is_digit(text.at[i]))
            continue;
        if (status_at(text, i, code, &status) && !is_version(text, i))
            return status;
        i += dotted(bytes_skip(text, i)).len;
    }
    return (struct status){ 0 };
}

/* --- where the reply begins ----------------------------------------------------------------- */

/* Numbers of three digits are many things. It is a reply code where an enhanced code of its class
 * follows, where a quote or colon comes before it and a word after, or where it is called one. */
static bool is_reply_code(struct bytes text, size_t at) {
    static const char *const names[] = { "code",      "error",  "status",   "smtp",     "reply",
                                         "returned",  "said",   "response", "answered", "replied",
                                         "responded", "fehler", "with",     "failed",   NULL };
    struct bytes rest = bytes_skip(text, at);
    struct status status;
    size_t length = code_length(rest);
    if (!length || code_at(rest) < 200 ||
        (at > 0 && !is_blank(text.at[at - 1]) && !is_one_of(text, at - 1, "\"':;>([#<*=")))
        return false;
    if (at == 0 || status_at(rest, length, code_at(rest), &status))
        return true;
    if (code_at(rest) < 400) /* "died with status 255:" */
        return false;
    size_t before = at;
    while (before > 0 && is_blank(text.at[before - 1]))
        before--;
    bool marked = before > 0 && is_one_of(text, before - 1, "\"':;>#.!=");
    bool word_follows = length < rest.len && !ascii_is_digit(rest.at[length]);
    return word_follows && (marked || is_word(word_before(text, at), names)) &&
           !bytes_equal_nocase(word_before(text, at), B("port"));
}

/* The place of the first reply code, or the length of the text. */
static size_t find_reply(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (ascii_is_digit(text.at[i]) && (i == 0 || !ascii_is_digit(text.at[i - 1])) &&
            is_reply_code(text, i))
            return i;
    return text.len;
}

/* What programs say before they quote a server, where the reply's code is not among it. */
static const char *const heralds[] = {
    "server response was:",   "server response:", "server responded:", "server replied:",
    "server message:",        "server said:",     "host said:",        "server error:",
    "serverantwort:",         "antwortete:",      "a répondu :",       "a répondu:",
    "ha risposto:",           "respondió:",       "respondeu:",        "ответил:",
    "diagnostic-code: smtp;", "diagnostic code:", "last error:",
};

/* The place behind the last of those words, or the length of the text. */
static size_t find_quote(struct bytes text) {
    size_t place = text.len;
    for (size_t i = 0; i < COUNT_OF(heralds); i++) {
        struct bytes herald = bytes_str(heralds[i]);
        ptrdiff_t at = bytes_search_nocase(text, herald);
        size_t end = at < 0 ? text.len : (size_t)at + herald.len;
        if (end < text.len && (place == text.len || end > place))
            place = end;
    }
    return place;
}

static struct bytes from_reply(struct bytes text) {
    size_t place = find_reply(text);
    if (place == text.len)
        place = find_quote(text);
    return bytes_trim(bytes_skip(text, place));
}

/* What the last server of a chain said: "Remote server returned ... -> 550 5.1.1 no such user". */
static struct bytes last_of_chain(struct bytes text) {
    struct bytes rest = text, last = BYTES_NONE;
    ptrdiff_t at;
    while ((at = bytes_search(rest, B("->"))) >= 0) {
        rest = bytes_trim(bytes_skip(rest, (size_t)at + 2));
        while (is_one_of(rest, 0, "\"'<# "))
            rest = bytes_skip(rest, 1);
        struct status status;
        if (code_length(rest) || status_at(rest, 0, 0, &status))
            last = rest;
    }
    return last;
}

/* What programs write behind the reply. */
static struct bytes without_tail(struct bytes text) {
    static const char *const tails[] = { " (in reply to ",
                                         "', port: ",
                                         "' (port",
                                         "\" while ",
                                         " giving up on ",
                                         " please check the message",
                                         " please verify that your ",
                                         NULL };
    for (size_t i = 0; tails[i]; i++) {
        ptrdiff_t at = bytes_search_nocase(text, bytes_str(tails[i]));
        if (at > 0)
            text = bytes_first(text, (size_t)at);
    }
    while (text.len && is_one_of(text, text.len - 1, "\"' "))
        text = bytes_first(text, text.len - 1);
    return text;
}

static void add_view(struct subject *s, struct bytes text, double doubt) {
    for (size_t i = 0; i < s->view_count; i++)
        if (s->views[i].text.len == text.len)
            return;
    if (text.len)
        s->views[s->view_count++] = (struct view){ .text = text, .doubt = doubt };
}

/* Contractions, and what they stand for: rules that know only one way of saying it get another chance. */
static const struct {
    struct bytes said, meant;
} contractions[] = {
    { { "can't", 5 }, { "cannot", 6 } },
    { { "can not", 7 }, { "cannot", 6 } },
    { { "won't", 5 }, { "will not", 8 } },
    { { "n't", 3 }, { " not", 4 } },
};

static size_t spell_one(struct buf *out, struct bytes text) {
    for (size_t i = 0; i < COUNT_OF(contractions); i++)
        if (bytes_starts_nocase(text, contractions[i].said)) {
            buf_add(out, contractions[i].meant);
            return contractions[i].said.len;
        }
    buf_char(out, text.at[0]);
    return 1;
}

static void add_spelled(struct subject *s) {
    struct buf out = buf_fixed(s->spelled, sizeof s->spelled);
    struct bytes text = s->view_count ? s->views[0].text : BYTES_NONE, rest = text;
    while (rest.len && !out.full)
        rest = bytes_skip(rest, spell_one(&out, rest));
    if (!bytes_equal(buf_bytes(&out), text))
        add_view(s, buf_bytes(&out), 0.05);
}

/* --- the step ------------------------------------------------------------------------------- */

/* How programs tell it when they quote a reply. */
static const struct {
    const char *words, *step;
} steps[] = {
    { "in reply to rcpt to", "RCPT" },
    { "in reply to mail from", "MAIL" },
    { "in reply to end of data", "end" },
    { "in reply to data", "DATA" },
    { "in reply to ehlo", "EHLO" },
    { "in reply to helo", "EHLO" },
    { "in reply to starttls", "STARTTLS" },
    { "in reply to auth", "AUTH" },
    { "after end of data", "end" },
    { "after rcpt to", "RCPT" },
    { "after pipelined rcpt to", "RCPT" },
    { "after mail from", "MAIL" },
    { "after pipelined mail from", "MAIL" },
    { "after pipelined data", "DATA" },
    { "after data", "DATA" },
    { "after ehlo", "EHLO" },
    { "after helo", "EHLO" },
    { "after starttls", "STARTTLS" },
    { "after initial connection", "banner" },
    { "initial server greeting", "banner" },
    { "refused to talk to me", "banner" },
    { "protocol greeting", "banner" },
    { "during mail from", "MAIL" },
    { "during rcpt to", "RCPT" },
    { ">>> rcpt to", "RCPT" },
    { ">>> mail from", "MAIL" },
    { ">>> data", "DATA" },
    { ">>> ehlo", "EHLO" },
    { "to rcpt to", "RCPT" },
    { "to mail from", "MAIL" },
    { "does not like recipient", "RCPT" },
    { "does not like sender", "MAIL" },
    { "failed after i sent the message", "end" },
};

static const char *find_step(struct bytes text) {
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        if (bytes_search_nocase(text, bytes_str(steps[i].words)) >= 0)
            return steps[i].step;
    return NULL;
}

/* --- the words ------------------------------------------------------------------------------ */

/* Codes that a server repeats on each line, and the same in front of the text. */
static size_t repeated_code(const struct subject *s, struct bytes text, const char *status) {
    size_t length = code_length(text);
    if (length && code_at(text) == s->code)
        return length;
    length = strlen(status);
    if (length && bytes_starts(text, bytes_str(status)) && ends_word(text, length))
        return length;
    return 0;
}

/* Takes the local part that has just been written off again: user@host becomes @host. */
static void drop_local_part(struct subject *s) {
    size_t len = s->length;
    while (len > 0 && !is_blank(s->text[len - 1]) && !strchr("<>()[]:;,\"'", s->text[len - 1]))
        len--;
    s->length = len;
}

static void add_words(struct subject *s, struct bytes text) {
    char status[12];
    status_format(s->status, status);
    bool at_word = true;
    s->length = 0;
    for (size_t i = 0; i < text.len && s->length + 2 < SUBJECT_TEXT_MAX;) {
        size_t skip = at_word ? repeated_code(s, bytes_skip(text, i), status) : 0;
        if (skip) {
            i += skip;
            continue;
        }
        char c = text.at[i++];
        if (is_blank(c) && at_word)
            continue;
        at_word = is_blank(c);
        if (c == '@')
            drop_local_part(s);
        s->text[s->length++] = c;
    }
    while (s->length && is_one_of(bytes_of(s->text, s->length), s->length - 1, " .!"))
        s->length--;
}

void subject_choose(struct subject *s, size_t view) {
    struct bytes text = s->views[view].text;
    size_t start = find_reply(text);
    s->code = s->facts->code;
    s->status = s->facts->status;
    if (!s->code && start < text.len)
        s->code = code_at(bytes_skip(text, start));
    if (!status_is_set(s->status))
        s->status = find_status(text, s->code);
    add_words(s, text);
}

void subject_read(struct subject *s, const struct reply_facts *facts) {
    struct buf plain = buf_fixed(s->plain, sizeof s->plain);
    s->facts = facts;
    s->view_count = 0;
    clean_text(&plain, facts->text);
    struct bytes whole = buf_bytes(&plain);
    s->plain_length = whole.len;
    s->command = facts->command ? facts->command : find_step(whole);
    add_view(s, without_tail(last_of_chain(whole)), 0);
    add_view(s, without_tail(from_reply(whole)), s->view_count ? 0.15 : 0);
    add_spelled(s);
    add_view(s, whole, 0.15 * (double)s->view_count);
    if (!s->view_count)
        s->views[s->view_count++] = (struct view){ 0 };
}
