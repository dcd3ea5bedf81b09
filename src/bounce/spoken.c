/* spoken: codes, steps and names in the words around a reply. The phrases by which programs name the
 * step stand in one table; the longest come first where one is part of another. */
#include "bounce/spoken.h"

#include "base/addr.h"
#include "base/must.h"

#include <string.h>

static bool is_blank(char c) {
    return (unsigned char)c <= ' ' || c == 127;
}

static bool is_word(char c) {
    return ascii_is_alnum(c) || c == '_' || (unsigned char)c >= 0x80;
}

char spoken_char(struct bytes text, size_t at) {
    return at < text.len ? text.at[at] : ' ';
}

/* --- codes ---------------------------------------------------------------------------------------------- */

int spoken_code(struct bytes text, size_t at) {
    if (at + 3 > text.len || text.at[at] < '2' || text.at[at] > '5' ||
        !ascii_is_digit(text.at[at + 1]) || !ascii_is_digit(text.at[at + 2]))
        return 0;
    char before = at ? text.at[at - 1] : ' ', after = spoken_char(text, at + 3);
    if (is_word(before) || before == '.' || is_word(after))
        return 0;
    /* "550.5" is a number, "550." the end of a sentence. */
    if ((after == '.' || after == ',' || after == ':') && ascii_is_digit(spoken_char(text, at + 4)))
        return 0;
    return (text.at[at] - '0') * 100 + (text.at[at + 1] - '0') * 10 + (text.at[at + 2] - '0');
}

/* Digits and dots from here, without a dot at the end. */
static struct bytes dotted(struct bytes text) {
    size_t len = 0;
    while (len < text.len && (ascii_is_digit(text.at[len]) || text.at[len] == '.'))
        len++;
    while (len > 0 && text.at[len - 1] == '.')
        len--;
    return bytes_first(text, len);
}

static bool opens_status(struct bytes text, size_t at) {
    char c = at ? text.at[at - 1] : ' ';
    return is_blank(c) || strchr("#([<\"'=:-;", c) || (at == 1 && c == 'X');
}

static bool closes_status(struct bytes text, size_t at) {
    char c = spoken_char(text, at);
    return is_blank(c) || strchr(")]>\"',;:.-", c);
}

struct status spoken_status(struct bytes text, int code) {
    struct status status;
    for (size_t i = 0; i < text.len; i++) {
        if (!ascii_is_digit(text.at[i]))
            continue;
        struct bytes number = dotted(bytes_skip(text, i));
        bool fits = opens_status(text, i) && closes_status(text, i + number.len) &&
                    status_parse(number, &status);
        if (fits && (code ? status.klass == code / 100 : status.klass != 2))
            return status;
        i += number.len ? number.len - 1 : 0;
    }
    return (struct status){ 0 };
}

/* --- steps ---------------------------------------------------------------------------------------------- */

const char *spoken_command(struct bytes line) {
    static const struct {
        const char *verb, *step;
    } rows[] = {
        { "MAIL FROM", "MAIL" }, { "RCPT TO", "RCPT" },      { "EHLO", "EHLO" }, { "HELO", "EHLO" },
        { "LHLO", "EHLO" },      { "STARTTLS", "STARTTLS" }, { "AUTH", "AUTH" }, { "DATA", "DATA" },
        { "BDAT", "end" },       { "QUIT", "QUIT" },         { "RSET", "RSET" }, { "NOOP", "NOOP" },
        { "VRFY", "VRFY" },      { "XCLIENT", "XCLIENT" },   { "HELP", "HELP" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bytes verb = bytes_str(rows[i].verb);
        if (bytes_starts_nocase(line, verb) && !is_word(spoken_char(line, verb.len)))
            return rows[i].step;
    }
    return NULL;
}

/* Programs' words for a step, in the order in which they are looked for. */
static const struct {
    const char *phrase, *step;
} steps[] = {
    { "reply to end of data", "end" },
    { "end of data", "end" },
    { "end of message", "end" },
    { "after sending the message body", "end" },
    { "after pipelined end of data", "end" },
    { "sending message body", "end" },
    { "sending end of data", "end" },
    { "end-of-message", "end" },
    { "end-of-data", "end" },
    { "reply to rcpt to", "RCPT" },
    { "reply to mail from", "MAIL" },
    { "reply to data", "DATA" },
    { "reply to bdat", "end" },
    { "reply to auth", "AUTH" },
    { "reply to ehlo", "EHLO" },
    { "reply to helo", "EHLO" },
    { "reply to lhlo", "EHLO" },
    { "reply to starttls", "STARTTLS" },
    { "reply to connect", "connect" },
    { "reject: rcpt from", "RCPT" },
    { "reject: mail from", "MAIL" },
    { "reject: data from", "DATA" },
    { "reject: bdat from", "DATA" },
    { "reject: ehlo from", "EHLO" },
    { "reject: helo from", "EHLO" },
    { "reject: connect from", "connect" },
    { "reject: end-of-message from", "end" },
    { "reject: starttls from", "STARTTLS" },
    { "reject: auth from", "AUTH" },
    { "rejected after data", "end" },
    { "after rcpt to", "RCPT" },
    { "after pipelined rcpt to", "RCPT" },
    { "after mail from", "MAIL" },
    { "after pipelined mail from", "MAIL" },
    { "after rcpt", "RCPT" },
    { "after mail", "MAIL" },
    { "after ehlo", "EHLO" },
    { "after helo", "EHLO" },
    { "after starttls", "STARTTLS" },
    { "after auth", "AUTH" },
    { "after data", "DATA" },
    { "after initial connection", "banner" },
    { "after connection", "banner" },
    { "while sending rcpt to", "RCPT" },
    { "while sending mail from", "MAIL" },
    { "while sending data command", "DATA" },
    { "while receiving the initial server greeting", "banner" },
    { "while performing the ehlo", "EHLO" },
    { "while performing the helo", "EHLO" },
    { "refused to talk to me", "banner" },
    { "initial server greeting", "banner" },
    { "greeting never received", "banner" },
    { "invalid greeting", "banner" },
    { "mail from command failed", "MAIL" },
    { "rcpt to command failed", "RCPT" },
    { "data command failed", "DATA" },
    { "command: 'rcpt to'", "RCPT" },
    { "command: 'mail from'", "MAIL" },
    { "command: 'data'", "DATA" },
    { "\"command\":\"rcpt to", "RCPT" },
    { "\"command\":\"mail from", "MAIL" },
    { "\"command\":\"data", "DATA" },
    { "\"command\":\"auth", "AUTH" },
    { "\"command\": \"rcpt to", "RCPT" },
    { "\"command\": \"mail from", "MAIL" },
    { "add recipient", "RCPT" },
    { "set the from address", "MAIL" },
    { "command: 'auth", "AUTH" },
    { "command: 'conn'", "connect" },
    { "sender was rejected", "MAIL" },
    { "does not like recipient", "RCPT" },
    { "failed on data command", "DATA" },
    { "failed after i sent the message", "end" },
    { "smtprecipientsrefused", "RCPT" },
    { "smtpsenderrefused", "MAIL" },
    { "smtpauthenticationerror", "AUTH" },
    { "smtpdataerror", "end" },
    { "smtphelorror", "EHLO" },
    { "smtpconnecterror", "banner" },
    { "smtpaddressfailedexception", "RCPT" },
    { "smtpsenderfailedexception", "MAIL" },
    { "authenticationfailedexception", "AUTH" },
    { "smtpfailedrecipient", "RCPT" },
    { "net::smtpauthenticationerror", "AUTH" },
    { "sasl authentication failed", "AUTH" },
    { "invalid login", "AUTH" },
    { "eauth", "AUTH" },
    { "recipients were rejected", "RCPT" },
    { "recipients failed", "RCPT" },
    { "recipient address failed", "RCPT" },
    { "from address failed", "MAIL" },
    { "message recipient", "RCPT" },
    { "recipients was rejected", "RCPT" },
    { "recipient was rejected", "RCPT" },
    { "the recipient \"", "RCPT" },
    { "the sender address ", "MAIL" },
    { "rejected recipient", "RCPT" },
    { "rejected one or more recipients", "RCPT" },
    { "rejected one of the recipients", "RCPT" },
    { "recipient address", "RCPT" },
    { "rejected rcpt", "RCPT" },
    { "rejected mail", "MAIL" },
    { "rejected ehlo", "EHLO" },
    { "rejected helo", "EHLO" },
    { "rejected connection", "connect" },
    { "rejected data", "DATA" },
    { "rejected predata", "DATA" },
    { "ruleset=check_rcpt", "RCPT" },
    { "ruleset=check_compat", "RCPT" },
    { "ruleset=check_mail", "MAIL" },
    { "ruleset=check_relay", "connect" },
    { "ruleset=check_eoh", "end" },
    { "rcpt command", "RCPT" },
    { "mail command", "MAIL" },
    { "rcpt to:", "RCPT" },
    { "mail from:", "MAIL" },
};

const char *spoken_step(struct bytes text) {
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        if (bytes_search_nocase(text, bytes_str(steps[i].phrase)) >= 0)
            return steps[i].step;
    return NULL;
}

/* --- names ---------------------------------------------------------------------------------------------- */

struct bytes spoken_after(struct bytes text, const char *words) {
    struct bytes wanted = bytes_str(words);
    ptrdiff_t at = bytes_search_nocase(text, wanted);
    return at < 0 ? BYTES_NONE : bytes_skip(text, (size_t)at + wanted.len);
}

static bool in_address(char c) {
    return !is_blank(c) && !strchr("<>()[]:;,\"'|\\", c);
}

/* The address whose @ stands at this place. */
static struct bytes address_around(struct bytes text, size_t at) {
    size_t from = at, to = at + 1;
    while (from > 0 && in_address(text.at[from - 1]) && at - from < SPOKEN_ADDRESS)
        from--;
    while (to < text.len && (ascii_is_alnum(text.at[to]) || strchr(".-[]:_", text.at[to]) ||
                             (unsigned char)text.at[to] >= 0x80))
        to++;
    while (to > at + 1 && strchr(".-:[_", text.at[to - 1]))
        to--;
    if (to > at + 1 && text.at[to - 1] == ']' && text.at[at + 1] != '[')
        to--;
    if (from == at || to == at + 1 || to - from > SPOKEN_ADDRESS)
        return BYTES_NONE;
    return bytes_slice(text, from, to);
}

struct bytes spoken_address(struct bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] != '@')
            continue;
        struct bytes found = address_around(text, i);
        if (found.len)
            return found;
    }
    return BYTES_NONE;
}

struct bytes spoken_host(struct bytes text) {
    size_t from = 0, to;
    struct addr address;
    while (from < text.len && (is_blank(text.at[from]) || strchr("[(\"'<", text.at[from])))
        from++;
    for (to = from; to < text.len && to - from < SPOKEN_NAME; to++)
        if (!ascii_is_alnum(text.at[to]) && !strchr(".-_:", text.at[to]))
            break;
    while (to > from && strchr(".:-", text.at[to - 1]))
        to--;
    struct bytes name = bytes_slice(text, from, to);
    if (addr_parse(name, &address))
        return name;
    ptrdiff_t colon = bytes_find(name, ':');
    if (colon >= 0)
        name = bytes_first(name, (size_t)colon);
    return bytes_find(name, '.') > 0 || bytes_equal_nocase(name, B("localhost")) ? name
                                                                                 : BYTES_NONE;
}

/* --- making it fit for people ---------------------------------------------------------------------------- */

/* The length of a terminal sequence (ECMA-48) that begins here. */
static size_t escape_length(struct bytes text) {
    size_t i = 2;
    if (text.len < 2 || text.at[0] != '\033')
        return 0;
    if (text.at[1] != '[')
        return 2;
    while (i < text.len && (text.at[i] < '@' || text.at[i] > '~'))
        i++;
    return i < text.len ? i + 1 : text.len;
}

/* Characters that a terminal may obey, or that turn what follows them round: C1 controls, and the
 * overrides of writing direction. */
static bool is_unseen(struct bytes character) {
    const unsigned char *c = (const unsigned char *)character.at;
    if (character.len == 2)
        return c[0] == 0xc2 && c[1] < 0xa0;
    return character.len == 3 && c[0] == 0xe2 &&
           ((c[1] == 0x80 && c[2] >= 0xaa && c[2] <= 0xae) ||
            (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9));
}

/* What stands for another character: entities of HTML, and line ends as programs print them. */
static size_t stand_in(struct bytes text, char *out) {
    static const struct {
        const char *text;
        char means;
    } rows[] = {
        { "&lt;", '<' },   { "&gt;", '>' },   { "&quot;", '"' }, { "&#39;", '\'' },
        { "&nbsp;", ' ' }, { "\\r\\n", ' ' }, { "&amp;", '&' },
    };
    if (!text.len || (text.at[0] != '&' && text.at[0] != '\\'))
        return 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (bytes_starts(text, bytes_str(rows[i].text))) {
            *out = rows[i].means;
            return strlen(rows[i].text);
        }
    /* A \n is one where a reply goes on, or ends, behind it; "\new" may be a folder. */
    bool ends = text.len == 2 ||
                (text.len > 2 && (strchr("'\" ", text.at[2]) || ascii_is_digit(text.at[2])));
    if (text.at[0] != '\\' || text.len < 2 || !ends || (text.at[1] != 'n' && text.at[1] != 'r'))
        return 0;
    *out = ' ';
    return 2;
}

struct bytes spoken_clean(struct bytes text, size_t max, struct arena *a) {
    char memory[SPOKEN_TEXT + 1];
    MUST(max <= SPOKEN_TEXT);
    struct buf b = buf_fixed(memory, max + 1);
    for (size_t i = 0; i < text.len && b.len < max;) {
        struct bytes rest = bytes_skip(text, i);
        char c = text.at[i];
        size_t used = escape_length(rest);
        if (used) {
            i += used;
            continue;
        }
        used = stand_in(rest, &c);
        size_t whole = used ? used : bytes_utf8(rest);
        i += whole ? whole : 1;
        if (is_blank(c)) {
            if (b.len && b.at[b.len - 1] != ' ')
                buf_char(&b, ' ');
        } else if (whole > 1 && !used) {
            if (!is_unseen(bytes_first(rest, whole)))
                buf_add(&b, bytes_first(rest, whole));
        } else {
            buf_char(&b, whole ? c : '?');
        }
        if (b.full)
            break;
    }
    return arena_copy(a, bytes_trim(buf_bytes(&b)));
}

void spoken_reply(struct bounce_recipient *r, struct bytes reply, struct arena *a) {
    r->text = spoken_clean(reply, SPOKEN_TEXT, a);
    r->code = spoken_code(r->text, 0);
    r->status = spoken_status(r->text, r->code);
}
