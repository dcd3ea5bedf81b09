/* words: finding a reply in what was copied from a screen. Four readers, from the most to the least
 * certain: a conversation of commands and replies; the dictionary of Python's smtplib; replies one a
 * line; and the best looking code, or the words behind a phrase such as "The server response was:". */
#include "bounce/words.h"

#include "base/buf.h"
#include "base/must.h"
#include "bounce/spoken.h"

#include <string.h>

enum { PENDING_MAX = 128, MARK_MAX = 120, STEP_WITHIN = 8192 };

struct reading {
    struct arena *arena;
    struct bounce_recipient *list;
    struct bytes sender;
    size_t count, max;
    bool cut;
};

static struct bounce_recipient *add(struct reading *r) {
    static struct bounce_recipient spare;
    spare = (struct bounce_recipient){ 0 };
    if (r->count == r->max) {
        r->cut = true;
        return &spare;
    }
    r->list[r->count] = (struct bounce_recipient){ .action = "failed" };
    return &r->list[r->count++];
}

static const char *action_of(const struct bounce_recipient *r) {
    int class = r->code ? r->code / 100 : r->status.klass;
    return class == 2 ? "relayed" : class == 4 ? "delayed" : "failed";
}

static char char_at(struct bytes text, size_t at) {
    return at < text.len ? text.at[at] : ' ';
}

/* --- lines of a conversation ------------------------------------------------------------------------------ */

/* What tools put before what a side says; what only consists of signs is taken off besides. */
static const char *const marks[] = {
    "SERVER -> CLIENT:",
    "CLIENT -> SERVER:",
    "reply:",
    "send:",
    "Server:",
    "Client:",
    "S:",
    "C:",
    "SMTP<<",
    "SMTP>>",
    "Response:",
    "Command:",
    "Recv:",
    "Sent:",
    "Received:",
    "Sending:",
    "smtp<",
    "smtp>",
};

static bool is_sign(char c) {
    return strchr("<>*~-=|#: \t\r\"", c) && c;
}

static struct bytes without_signs(struct bytes line) {
    size_t i = 0;
    while (i < line.len && is_sign(line.at[i]))
        i++;
    struct bytes rest = bytes_skip(line, i);
    if (rest.len > 2 && rest.at[0] == 'b' && (rest.at[1] == '\'' || rest.at[1] == '"'))
        return bytes_skip(rest, 2);
    if (rest.len > 1 && rest.at[0] == '\'')
        return bytes_skip(rest, 1);
    return rest;
}

enum side { SIDE_NONE, SIDE_CLIENT, SIDE_SERVER };

static enum side side_of(struct bytes said) {
    if (spoken_code(said, 0) && strchr(" -\t\r'", char_at(said, 3)))
        return SIDE_SERVER;
    if (spoken_command(said) && !bytes_starts_nocase(said, B("Data ")))
        return SIDE_CLIENT;
    return said.len == 1 && said.at[0] == '.' ? SIDE_CLIENT : SIDE_NONE;
}

/* The line without what a tool has put before it, and who said it. */
static enum side read_line(struct bytes line, struct bytes *said) {
    *said = without_signs(line);
    enum side side = side_of(*said);
    struct bytes head = bytes_first(line, MARK_MAX);
    for (size_t i = 0; i < COUNT_OF(marks) && !side; i++) {
        ptrdiff_t at = bytes_search(head, bytes_str(marks[i]));
        if (at < 0 || (at > 0 && ascii_is_alnum(head.at[at - 1])))
            continue;
        *said = without_signs(bytes_skip(line, (size_t)at + strlen(marks[i])));
        side = side_of(*said);
    }
    return side;
}

struct command {
    const char *step;
    struct bytes address;
};
struct talk {
    struct reading *to;
    struct command pending[PENDING_MAX];
    size_t first, last; /* of pending */
    struct command now; /* the one that is being answered */
    bool any_command, in_reply;
    bool auth_worked, helo_worked;
    struct bytes host;
    struct buf reply; /* the lines of the reply so far */
    struct bounce_recipient accepted;
};

static void talk_command(struct talk *t, struct bytes said) {
    const char *step = said.len == 1 ? "end" : spoken_command(said);
    bool addressed = !strcmp(step, "RCPT") || !strcmp(step, "MAIL");
    t->any_command = true;
    t->in_reply = false;
    if (t->last - t->first == PENDING_MAX)
        return;
    /* The dot that ends the data may stand for the one that the 354 has announced. */
    if (!strcmp(step, "end") && t->last > t->first &&
        !strcmp(t->pending[(t->last - 1) % PENDING_MAX].step, "end"))
        return;
    t->pending[t->last++ % PENDING_MAX] =
        (struct command){ step, addressed ? spoken_address(said) : BYTES_NONE };
}

static void talk_next(struct talk *t) {
    if (t->first < t->last)
        t->now = t->pending[t->first++ % PENDING_MAX];
    else if (!t->any_command)
        t->now = (struct command){ "banner", BYTES_NONE };
}

static void talk_answered(struct talk *t) {
    struct bounce_recipient r = { .host = t->host, .command = t->now.step };
    spoken_reply(&r, buf_bytes(&t->reply), t->to->arena);
    if (r.code / 100 == 3) { /* it goes on: the login, or the data */
        if (t->now.step && !strcmp(t->now.step, "DATA"))
            t->now.step = "end";
        if (t->last - t->first < PENDING_MAX)
            t->pending[--t->first % PENDING_MAX] = t->now;
        return;
    }
    r.action = action_of(&r);
    struct bytes address = spoken_clean(t->now.address, SPOKEN_ADDRESS, t->to->arena);
    if (r.command && !strcmp(r.command, "MAIL"))
        t->to->sender = address;
    else
        r.address = address;
    if (r.code / 100 == 2) {
        t->auth_worked |= r.code == 235;
        t->helo_worked |= r.command && !strcmp(r.command, "EHLO");
        if (r.command && (!strcmp(r.command, "RCPT") || !strcmp(r.command, "end"))) {
            if (!r.address.len)
                r.address = t->accepted.address;
            t->accepted = r;
        }
        return;
    }
    *add(t->to) = r;
}

static void talk_reply(struct talk *t, struct bytes said) {
    if (!t->in_reply) {
        talk_next(t);
        buf_clear(&t->reply);
    }
    if (t->now.step && !strcmp(t->now.step, "banner") && !t->host.len && said.at[0] == '2')
        t->host = spoken_clean(spoken_host(bytes_skip(said, 4)), SPOKEN_NAME, t->to->arena);
    if (t->reply.len)
        buf_char(&t->reply, ' ');
    buf_add(&t->reply, said);
    t->in_reply = char_at(said, 3) == '-';
    if (!t->in_reply)
        talk_answered(t);
}

/* A refusal that was made good later, or that only follows from another, is not what went wrong. */
static bool is_aftermath(const struct talk *t, size_t i) {
    const struct bounce_recipient *r = &t->to->list[i];
    if (!r->command)
        return false;
    if (!strcmp(r->command, "QUIT") || (!strcmp(r->command, "EHLO") && t->helo_worked) ||
        (!strcmp(r->command, "AUTH") && t->auth_worked))
        return true;
    return i > 0 &&
           (r->code == 503 ||
            (!strcmp(r->command, "DATA") &&
             !strcmp(t->to->list[i - 1].command ? t->to->list[i - 1].command : "", "RCPT")));
}

static void talk_end(struct talk *t) {
    size_t kept = 0;
    if (t->in_reply)
        talk_answered(t); /* the last line was not copied */
    for (size_t i = 0; i < t->to->count; i++)
        t->to->list[i].host = t->host;
    for (size_t i = t->to->count; i-- > 0;)
        if (is_aftermath(t, i))
            t->to->list[i].action = NULL;
    for (size_t i = 0; i < t->to->count; i++)
        if (t->to->list[i].action)
            t->to->list[kept++] = t->to->list[i];
    t->to->count = kept;
    if (!kept && t->accepted.code)
        *add(t->to) = t->accepted;
}

/* There are commands, and replies. */
static bool is_talk(struct bytes text) {
    struct bytes line, said;
    bool client = false, server = false;
    while (bytes_split(&text, '\n', &line) && !(client && server)) {
        enum side side = read_line(line, &said);
        client |= side == SIDE_CLIENT && said.len > 1;
        server |= side == SIDE_SERVER;
    }
    return client && server;
}

static bool read_talk(struct reading *r, struct bytes text) {
    struct talk t = {
        .to = r, .reply = buf_grow(4 * SPOKEN_TEXT), .first = 1 << 30, .last = 1 << 30
    };
    struct bytes line, said, connected;
    if (!is_talk(text))
        return false;
    connected = spoken_after(text, "Connected to ");
    t.host =
        spoken_clean(spoken_host(connected.len ? connected : spoken_after(text, "=== Trying ")),
                     SPOKEN_NAME, r->arena);
    while (bytes_split(&text, '\n', &line)) {
        enum side side = read_line(line, &said);
        if (side == SIDE_CLIENT)
            talk_command(&t, bytes_trim(said));
        else if (side == SIDE_SERVER)
            talk_reply(&t, bytes_trim(said));
    }
    talk_end(&t);
    buf_free(&t.reply);
    return r->count > 0;
}

/* --- what stands in quotes ---------------------------------------------------------------------------------- */

/* Where the text that a quote opens before it ends: at the same quote, with no letter behind it (an
 * apostrophe is none), else at the end of all. */
static size_t quoted_end(struct bytes text, size_t from, char quote) {
    for (size_t i = from; i < text.len; i++)
        if (text.at[i] == quote && text.at[i - 1] != '\\' && !ascii_is_alnum(char_at(text, i + 1)))
            return i;
    return text.len;
}

/* {'a@example.com': (550, b'5.7.1 ...'), ...}: each (code, b'words') is one. */
static bool read_python(struct reading *r, struct bytes text) {
    size_t before = 0;
    const char *step = NULL;
    for (size_t i = 0; i + 8 < text.len && !r->cut; i++) {
        int code = text.at[i] == '(' ? spoken_code(text, i + 1) : 0;
        if (!code || char_at(text, i + 4) != ',')
            continue;
        size_t at = i + 5;
        at += char_at(text, at) == ' ';
        at += char_at(text, at) == 'b';
        char quote = char_at(text, at);
        if (quote != '\'' && quote != '"')
            continue;
        size_t end = quoted_end(text, at + 1, quote);
        struct bounce_recipient *one = add(r);
        struct bytes said =
            arena_printf(r->arena, "%d %.*s", code,
                         BYTES_FMT(bytes_first(bytes_slice(text, at + 1, end), SPOKEN_TEXT)));
        spoken_reply(one, said, r->arena);
        one->action = action_of(one);
        if (!before) /* the exception's name stands before the first */
            step = spoken_step(bytes_slice(text, i > STEP_WITHIN ? i - STEP_WITHIN : 0, i));
        one->command = step;
        one->address =
            spoken_clean(spoken_address(bytes_slice(text, before, i)), SPOKEN_ADDRESS, r->arena);
        before = i = end;
    }
    return r->count > 0;
}

/* --- whom a reply is about --------------------------------------------------------------------------------- */

/* The recipient that is named in the words: in front of them as Postfix and sendmail do, or beside RCPT. */
static struct bytes recipient_in(struct bytes text, const char *step) {
    static const char *const before[] = { "RCPT TO:",
                                          "recipient \"",
                                          "recipient <",
                                          "recipient '",
                                          "e-mail address was '",
                                          "email address was '",
                                          "recipients failed:",
                                          "recipient address",
                                          "rejected: [ '",
                                          "unable to relay for ",
                                          "relaying denied for ",
                                          "relay to " };
    for (size_t i = 0; i < COUNT_OF(before); i++) {
        struct bytes rest = bytes_first(spoken_after(text, before[i]), SPOKEN_ADDRESS);
        struct bytes line = BYTES_NONE, found;
        bytes_split(&rest, '\n', &line);
        found = spoken_address(line);
        if (found.len)
            return found;
    }
    static const char *const of_recipients[] = { "relay",   "recipient", "user",    "mailbox",
                                                 "rcpt",    "no such",   "account", "unknown",
                                                 "address", "greylist" };
    bool names_one = false;
    for (size_t i = 0; i < COUNT_OF(of_recipients); i++)
        names_one |= bytes_search_nocase(text, bytes_str(of_recipients[i])) >= 0;
    bool other = !names_one || (step && strcmp(step, "RCPT") != 0) ||
                 bytes_search_nocase(text, B("sender")) >= 0 ||
                 bytes_search_nocase(text, B("mail from")) >= 0;
    struct bytes start = bytes_first(text, 24);
    ptrdiff_t at = bytes_find(start, '<');
    return other || at < 0
               ? BYTES_NONE
               : spoken_address(bytes_first(bytes_skip(text, (size_t)at), SPOKEN_ADDRESS));
}

/* --- replies, one a line or folded over several -------------------------------------------------------------- */

static bool all_lines_have_codes(struct bytes text) {
    struct bytes line;
    size_t lines = 0;
    while (bytes_split(&text, '\n', &line)) {
        line = bytes_trim(line);
        if (!line.len)
            continue;
        if (!spoken_code(line, 0))
            return false;
        lines++;
    }
    return lines > 0;
}

static void add_reply(struct reading *r, struct bytes reply) {
    struct bounce_recipient *one = add(r);
    spoken_reply(one, reply, r->arena);
    one->action = action_of(one);
    one->command = spoken_step(reply);
    one->address = spoken_clean(recipient_in(one->text, one->command), SPOKEN_ADDRESS, r->arena);
}

static bool read_replies(struct reading *r, struct bytes text) {
    struct bytes line;
    struct buf reply;
    if (!all_lines_have_codes(text))
        return false;
    reply = buf_grow(4 * SPOKEN_TEXT);
    while (bytes_split(&text, '\n', &line)) {
        line = bytes_trim(line);
        if (!line.len)
            continue;
        if (reply.len)
            buf_char(&reply, ' ');
        buf_add(&reply, line);
        if (char_at(line, 3) == '-')
            continue;
        add_reply(r, buf_bytes(&reply));
        buf_clear(&reply);
    }
    if (reply.len)
        add_reply(r, buf_bytes(&reply));
    buf_free(&reply);
    return r->count > 0;
}

/* --- a reply somewhere in other words -------------------------------------------------------------------------- */

/* What programs put before a server's words, in the languages they speak; the words begin behind it. */
static const char *const introductions[] = {
    "server response was:",
    "server response was :",
    "the server responded:",
    "server responded:",
    "server responded with:",
    "server response:",
    "server replied:",
    "server said:",
    "response from the remote server was:",
    "the response was:",
    "remote server returned:",
    "remote server said:",
    "remote host said:",
    "server message:",
    "with message",
    "error from remote server:",
    "response:",
    "mailserver antwortete:",
    "mail-server antwortete:",
    "der server antwortete:",
    "antwort des servers:",
    "antwort des servers lautete:",
    "serverantwort:",
    "le serveur a r\xc3\xa9pondu",
    "r\xc3\xa9ponse du serveur",
    "respuesta del servidor",
    "el servidor respondi\xc3\xb3",
    "risposta del server",
    "il server ha risposto",
    "antwoord van de server",
    "resposta do servidor",
    "\xd0\xbe\xd1\x82\xd0\xb2\xd0\xb5\xd1\x82 \xd1\x81\xd0\xb5\xd1\x80\xd0\xb2\xd0\xb5\xd1\x80\xd0\xb0",
    ") said:",
    "] said:",
    " said:",
};

static bool is_blank_line(struct bytes text, size_t at) {
    for (at++; at < text.len && strchr(" \t\r", text.at[at]); at++)
        ;
    return at < text.len && text.at[at] == '\n';
}

/* Words that a program has put behind the server's. */
static const char *const endings[] = {
    " (in reply to",
    "; nested exception",
    "\n\tat ",
    "\n   at ",
    "\n    at ",
    "Please check the message recipient",
    "Please verify that your email address",
    ", Port:",
    "', Port:",
    ", code=",
    ", source=",
    "SMTP code:",
    " Please check your Internet connection",
    "\nTraceback",
    "\n):",
    ", responseCode:",
    " .Please check the message recipients",
    "\n  code:",
    ("Bitte pr\xc3\xbc"
     "fen Sie"), /* the parentheses tell clang that it is one */
};

/* How much of the text from here on is the server's. */
static struct bytes said_from(struct bytes text, size_t from) {
    char quote = from ? text.at[from - 1] : ' ';
    size_t end = text.len;
    if (quote == '\'' || quote == '"' || quote == '`')
        end = quoted_end(text, from, quote);
    for (size_t i = from; i < end; i++)
        if (text.at[i] == '\n' && is_blank_line(text, i))
            end = i;
    struct bytes said = bytes_slice(text, from, end);
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        ptrdiff_t at = bytes_search(said, bytes_str(endings[i]));
        if (at > 0)
            said = bytes_first(said, (size_t)at);
    }
    return bytes_trim(said);
}

/* How much a number looks like the beginning of a reply; below 1: it is none. */
static int likelihood(struct bytes text, size_t at) {
    int code = spoken_code(text, at), points = 1;
    if (code < 400)
        return 0;
    struct bytes before = bytes_slice(text, at > 8 ? at - 8 : 0, at),
                 behind = bytes_skip(text, at + 3);
    static const char *const others[] = { "port ",  "port: ", "line ", "page ", "build ",
                                          "after ", "took ",  "size ", "$" };
    for (size_t i = 0; i < COUNT_OF(others); i++)
        if (bytes_ends_nocase(before, bytes_str(others[i])))
            return 0;
    static const char *const labels[] = { "code: ",   "code ",  "code=", "code:",
                                          "status: ", "errno ", "error " };
    for (size_t i = 0; i < COUNT_OF(labels); i++)
        if (bytes_ends_nocase(before, bytes_str(labels[i])))
            return 1;
    static const char *const units[] = { " ms",         " s ",    " seconds", " bytes",
                                         " kb",         " mb",    " times",   " messages",
                                         " recipients", " users", " mails",   " emails",
                                         " e-mails",    " days",  " euro",    "%" };
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (bytes_starts_nocase(behind, bytes_str(units[i])))
            return 0;
    char c = char_at(behind, 0), next = char_at(behind, 1);
    bool starts_line = at == 0 || text.at[at - 1] == '\n';
    bool quoted = at > 0 && strchr("'\"`", text.at[at - 1]);
    bool introduced = at > 1 && strchr(":>=", text.at[at - 2]);
    bool words = (c == ' ' || c == '-') &&
                 (ascii_is_alnum(next) || strchr("<#[\"*", next) || (unsigned char)next >= 0x80);
    bool status = (c == ' ' || c == '-' || c == ':') &&
                  status_is_set(spoken_status(bytes_first(bytes_skip(behind, 1), 12), code));
    /* "call 555 1234" */
    if (ascii_is_digit(next) && !status && !starts_line && !quoted && !introduced)
        return 0;
    points += 3 * starts_line + 2 * quoted + 2 * introduced + 2 * words + 4 * status;
    return points;
}

/* The place of the code that most looks like a reply's, or of the first that cannot be anything else; -1:
 * there is none. */
static ptrdiff_t best_code(struct bytes text) {
    enum { CERTAIN = 7 };
    ptrdiff_t best = -1;
    int most = 0;
    for (size_t i = 0; i + 3 <= text.len; i++) {
        int points = likelihood(text, i);
        if (points >= CERTAIN)
            return (ptrdiff_t)i;
        if (points > most) {
            most = points;
            best = (ptrdiff_t)i;
        }
    }
    return best;
}

/* The place behind the introduction that stands last in the text, blanks and a quote skipped; -1: none. */
static ptrdiff_t introduced_at(struct bytes text) {
    size_t best = 0;
    for (size_t i = 0; i < COUNT_OF(introductions); i++) {
        struct bytes rest = spoken_after(text, introductions[i]);
        if (rest.at && rest.len && text.len - rest.len > best)
            best = text.len - rest.len;
    }
    if (!best)
        return -1;
    while (best < text.len && strchr(" \t\r\n:", text.at[best]))
        best++;
    if (best < text.len && strchr("'\"`", text.at[best]))
        best++;
    return best < text.len ? (ptrdiff_t)best : -1;
}

/* The codes behind .NET's names for them, which its messages show instead. */
static int code_of_name(struct bytes text) {
    static const struct {
        const char *name;
        int code;
    } rows[] = {
        { "Mailbox unavailable. The server response", 550 },
        { "Mailbox name not allowed", 553 },
        { "Transaction failed. The server response", 554 },
        { "Exceeded storage allocation", 552 },
        { "Insufficient system storage", 452 },
        { "Error in processing. The server response", 451 },
        { "Service not available, closing transmission channel", 421 },
        { "The SMTP server requires a secure connection or the client was not authenticated", 530 },
        { "Syntax error, command unrecognized. The server response", 500 },
        { "Syntax error in parameters or arguments. The server response", 501 },
        { "Bad sequence of commands. The server response", 503 },
        { "Command not implemented. The server response", 502 },
        { "Command parameter not implemented. The server response", 504 },
        { "User not local", 551 },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (bytes_search_nocase(text, bytes_str(rows[i].name)) >= 0)
            return rows[i].code;
    return 0;
}

/* A client's own number, which its makers print in place of one of the protocol. */
static bool has_client_code(struct bytes text) {
    return bytes_search_nocase(text, B("0x800ccc")) >= 0 ||
           bytes_search_nocase(text, B("0x8004")) >= 0 ||
           bytes_search_nocase(text, B("0x800408")) >= 0;
}

static const char *format_of(struct bytes text) {
    static const struct {
        const char *word, *format;
    } rows[] = {
        { "smtplib.", "python" },
        { "javax.mail", "java" },
        { "jakarta.mail", "java" },
        { "com.sun.mail", "java" },
        { "SmtpException", "dotnet" },
        { "SmtpFailedRecipient", "dotnet" },
        { "Send-MailMessage", "dotnet" },
        { "PHPMailer", "php" },
        { "SMTP Error:", "php" },
        { "Swift_Transport", "php" },
        { "Expected response code", "php" },
        { "EENVELOPE", "nodemailer" },
        { "EAUTH", "nodemailer" },
        { "ECONNECTION", "nodemailer" },
        { "Net::SMTP", "ruby" },
        { "0x800", "dialog" },
        { "Server Response:", "dialog" },
        { "mail server responded", "dialog" },
        { "curl: (", "curl" },
        { "msmtp:", "msmtp" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (bytes_search(text, bytes_str(rows[i].word)) >= 0)
            return rows[i].format;
    return "reply";
}

/* The host that a program names beside a server's words. */
static struct bytes host_beside(struct bytes text) {
    static const char *const before[] = { "host ",         "Server: '",      "using the server ",
                                          "Connected to ", "by the server ", "SMTP host: ",
                                          "server for " };
    for (size_t i = 0; i < COUNT_OF(before); i++) {
        struct bytes host = spoken_host(spoken_after(text, before[i]));
        if (host.len)
            return host;
    }
    return BYTES_NONE;
}

static void complete(struct reading *r, struct bounce_recipient *one, struct bytes all,
                     struct bytes said) {
    if (!one->code)
        one->code = code_of_name(all);
    one->command = spoken_step(bytes_first(all, STEP_WITHIN));
    one->host = spoken_clean(host_beside(all), SPOKEN_NAME, r->arena);
    struct bytes address = recipient_in(said, one->command);
    if (!address.len && said.len < all.len)
        address = recipient_in(all, one->command);
    one->address = spoken_clean(address, SPOKEN_ADDRESS, r->arena);
    one->action = action_of(one);
}

/* Prose: the words behind an introduction, or from the likeliest code on. */
static bool read_prose(struct reading *r, struct bytes text) {
    ptrdiff_t at = introduced_at(text), code = best_code(text);
    /* "got code "550", with message "550 5.7.1 ..."": the code stands again where the words begin. */
    if (at < 0 ||
        (code >= 0 && !spoken_code(text, (size_t)at) && likelihood(text, (size_t)code) >= 5))
        at = code;
    struct bytes said = at >= 0 ? said_from(text, (size_t)at) : text;
    struct bounce_recipient *one = add(r);
    spoken_reply(one, said, r->arena);
    if (!one->code && code >= 0)
        one->code = spoken_code(text, (size_t)code);
    if (one->text.len <= 3 || (at >= 0 && at == code && likelihood(text, (size_t)at) < 3)) {
        /* A code beside the words: "SMTP code: 550". */
        struct status status = one->status;
        int was = one->code;
        spoken_reply(one, text, r->arena);
        one->code = was;
        one->status = status_is_set(status) ? status : spoken_status(one->text, was);
        said = text;
    }
    complete(r, one, text, said);
    return at >= 0 || status_is_set(one->status) || one->code || has_client_code(text);
}

enum rc words_read(struct bytes text, struct arena *a, struct bounce *out) {
    static const struct {
        bool (*read)(struct reading *r, struct bytes text);
        const char *format;
    } readers[] = { { read_talk, "transcript" },
                    { read_python, "python" },
                    { read_replies, "reply" },
                    { read_prose, NULL } };
    /* A reply takes three octets at least. */
    size_t most = text.len / 3 + 1;
    struct reading r = { .arena = a, .cut = text.len > WORDS_TEXT };
    r.max = most < WORDS_RECIPIENTS ? most : WORDS_RECIPIENTS;
    r.list = ARENA_ARRAY(a, r.max, struct bounce_recipient);
    text = bytes_trim(bytes_first(text, WORDS_TEXT));
    *out =
        (struct bounce){ .recipients = r.list, .because = "there is no reply of a server in it" };
    for (size_t i = 0; i < COUNT_OF(readers); i++) {
        r.count = 0;
        r.sender = BYTES_NONE;
        bool found = readers[i].read(&r, text);
        out->format = readers[i].format ? readers[i].format : format_of(text);
        out->count = r.count;
        out->sender = r.sender;
        out->cut = r.cut;
        if (found) {
            out->kind = BOUNCE_BOUNCE;
            out->because = NULL;
            return OK;
        }
    }
    return PERM;
}
