/* log_servers: the lines of the servers that write one line for each recipient or refusal: Postfix, Exim,
 * sendmail, OpenSMTPD, qmail, Haraka, Dovecot; and any program's whose line has a reply in it. */
#include "bounce/log_lines.h"

#include "base/buf.h"
#include "base/must.h"
#include "bounce/spoken.h"
#include "bounce/words.h"

#include <string.h>

/* From the first reply code of a refusal on; else all. */
static struct bytes from_code(struct bytes text) {
    for (size_t i = 0; i + 3 <= text.len; i++)
        if (spoken_code(text, i) >= 400 &&
            (spoken_char(text, i + 3) == ' ' || spoken_char(text, i + 3) == '-') &&
            (i == 0 || strchr(" \"(:", text.at[i - 1])))
            return bytes_skip(text, i);
    return text;
}

static bool is_submission(struct bytes program) {
    return log_has(program, "submission") || log_has(program, "smtps");
}

/* "ABC123" of "ABC123: to=<...": the name of the message. */
static struct bytes queue_id(struct bytes rest) {
    ptrdiff_t colon = bytes_find(bytes_first(rest, 40), ':');
    return colon > 0 ? bytes_first(rest, (size_t)colon) : BYTES_NONE;
}

/* --- Postfix ---------------------------------------------------------------------------------------------------- */

/* Who said it, and what of the words is theirs. */
static void postfix_words(struct log_said *s, struct bytes text, struct bytes relay) {
    static const struct {
        const char *phrase;
        bool login;
    } said[] = { { " said: ", false }, { " refused to talk to me: ", false } };
    s->words = text;
    s->command = spoken_step(text);
    s->submission = log_has(text, "SASL authentication failed");
    for (size_t i = 0; i < COUNT_OF(said); i++) {
        struct bytes behind = spoken_after(text, said[i].phrase);
        if (!behind.at)
            continue;
        struct bytes who = bytes_first(text, text.len - behind.len - strlen(said[i].phrase));
        ptrdiff_t host = bytes_search(who, B("host "));
        if (host < 0)
            host = bytes_search(who, B("server "));
        s->host =
            host < 0
                ? spoken_host(relay)
                : spoken_host(bytes_skip(who, (size_t)host + 5 + (who.at[host] == 's' ? 2 : 0)));
        s->words = log_before(behind, " (in reply to");
        return;
    }
    if (bytes_starts(text, B("connect to ")))
        s->command = "connect";
    if (bytes_starts(text, B("Host or domain name not found")) ||
        log_has(text, "Name service error"))
        s->command = "DNS";
    struct bytes with = spoken_after(text, "lost connection with ");
    if (!with.at)
        with = spoken_after(text, "conversation with ");
    s->host = spoken_host(with);
}

static const char *postfix_action(struct bytes status, struct bytes relay) {
    static const char *const rows[][2] = {
        { "bounced", "failed" },    { "expired", "failed" }, { "undeliverable", "failed" },
        { "deferred", "delayed" },  { "sent", "relayed" },   { "deliverable", "relayed" },
        { "SOFTBOUNCE", "delayed" }
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (bytes_equal(status, bytes_str(rows[i][0]))) {
            bool here = bytes_equal(relay, B("local")) || bytes_equal(relay, B("virtual")) ||
                        bytes_equal(relay, B("dovecot"));
            return here && !strcmp(rows[i][1], "relayed") ? "delivered" : rows[i][1];
        }
    return NULL;
}

static bool postfix_status(struct log *l, const struct log_line *line) {
    struct bytes status = log_field(line->all, "status="), to = log_field(line->all, "to=");
    struct bytes relay = log_field(line->all, "relay="), text;
    struct log_said s = { .address = to,
                          .original = log_field(line->all, "orig_to="),
                          .reporter = line->host };
    if (!status.len || !to.at || !log_field(line->all, "dsn=").at)
        return false;
    s.action = postfix_action(status, relay);
    if (!s.action)
        return false;
    text = spoken_after(line->all, "status=");
    ptrdiff_t open = bytes_find(text, '('), close = bytes_find_last(text, ')');
    text = open >= 0 && close > open ? bytes_slice(text, (size_t)open + 1, (size_t)close)
                                     : bytes_skip(text, status.len);
    status_parse(log_field(line->all, "dsn="), &s.status);
    s.sender = log_recall(l, "from", queue_id(line->rest));
    postfix_words(&s, text, relay);
    if (!strcmp(s.action, "relayed"))
        s.host = spoken_host(relay);
    log_add(l, &s);
    return true;
}

/* "reject: RCPT from mail.example.com[192.0.2.7]: 554 5.7.1 <...>: Relay access denied; from=<> to=<> proto=ESMTP". */
static bool postfix_reject(struct log *l, const struct log_line *line) {
    struct bytes behind = spoken_after(line->all, "reject: ");
    struct log_said s = { .reporter = line->host, .submission = is_submission(line->program) };
    if (!behind.at || (!log_has(line->all, "NOQUEUE: ") && !log_field(line->all, "proto=").at &&
                       !log_has(line->all, "milter-reject: ")))
        return false;
    struct bytes words = spoken_after(behind, " from ");
    s.client = log_ip(words);
    s.address = log_field(line->all, "to=");
    s.sender = log_field(line->all, "from=");
    s.command = spoken_step(bytes_skip(line->all, line->all.len - behind.len - 8));
    if (bytes_starts(behind, B("header ")) || bytes_starts(behind, B("body "))) {
        struct bytes helo = spoken_after(behind, "helo=<");
        s.words = spoken_after(helo, ">: ");
        s.command = "end";
    } else {
        struct bytes said = spoken_after(words, "]: ");
        ptrdiff_t port = bytes_search(words, B("]:"));
        if (port >= 0 && ascii_is_digit(spoken_char(words, (size_t)port + 2)))
            said = spoken_after(bytes_skip(words, (size_t)port + 2), ": ");
        s.words = log_before(log_before(said, "; from=<"), "; to=<");
        s.words = log_before(s.words, "; proto=");
    }
    log_add(l, &s);
    return true;
}

static bool postfix_login(struct log *l, const struct log_line *line) {
    struct bytes words = spoken_after(line->all, "]: SASL ");
    if (!words.at || !log_has(words, " authentication failed"))
        return false;
    const struct log_said s = { .reporter = line->host,
                                .client = log_ip(spoken_after(line->all, "warning: ")),
                                .command = "AUTH",
                                .code = 535,
                                .submission = true,
                                .action = "failed",
                                .words = bytes_skip(line->all, line->all.len - words.len - 5) };
    log_add(l, &s);
    return true;
}

bool log_postfix(struct log *l, const struct log_line *line) {
    struct bytes from = log_field(line->all, "from=");
    if (from.len && log_field(line->all, "nrcpt=").at) {
        log_remember(l, "from", queue_id(line->rest), from);
        return true;
    }
    return postfix_status(l, line) || postfix_reject(l, line) || postfix_login(l, line);
}

/* --- Exim ------------------------------------------------------------------------------------------------------- */

static bool is_exim_id(struct bytes word) {
    bool old = word.len == 16 && word.at[6] == '-' && word.at[13] == '-';
    bool new = word.len == 23 && word.at[6] == '-' && word.at[18] == '-';
    for (size_t i = 0; i < word.len && (old || new); i++)
        if (!ascii_is_alnum(word.at[i]) && word.at[i] != '-')
            return false;
    return old || new;
}

/* What stands behind the message's id, or {NULL, 0}. */
static struct bytes behind_exim_id(struct bytes all, struct bytes *id) {
    struct bytes rest = bytes_first(all, 200), word;
    for (size_t used = 0; bytes_split(&rest, ' ', &word); used += word.len + 1)
        if (is_exim_id(word)) {
            *id = word;
            return bytes_skip(all, used + word.len + 1);
        }
    return BYTES_NONE;
}

/* "H=mx.example.com [192.0.2.7]:25 X=..." */
static struct bytes exim_host(struct bytes fields) {
    ptrdiff_t at = bytes_search(fields, B(" H="));
    return at < 0 ? BYTES_NONE : spoken_host(bytes_skip(fields, (size_t)at + 3));
}

static bool exim_recipient(struct log *l, const struct log_line *line) {
    static const struct {
        const char *mark, *action;
    } marks[] = { { "** ", "failed" },  { "== ", "delayed" }, { "=> ", "relayed" },
                  { "-> ", "relayed" }, { "*> ", "relayed" }, { ">> ", "relayed" } };
    struct bytes id, rest = behind_exim_id(line->all, &id);
    struct log_said s = { .reporter = line->host };
    for (size_t i = 0; i < COUNT_OF(marks) && rest.at; i++)
        if (bytes_starts(rest, bytes_str(marks[i].mark)))
            s.action = marks[i].action;
    if (rest.at && bytes_starts(rest, B("<= "))) {
        struct bytes sender = log_before(bytes_skip(rest, 3), " ");
        log_remember(l, "exim", id, sender);
        return true;
    }
    if (!s.action)
        return false;
    rest = bytes_skip(rest, 3);
    size_t end = 0;
    while (end < rest.len && rest.at[end] != ' ' &&
           !(rest.at[end] == ':' && spoken_char(rest, end + 1) == ' '))
        end++;
    s.address = bytes_first(rest, end);
    if (bytes_starts(s.address, B(">"))) /* an address that came of another */
        s.address = bytes_skip(s.address, 1);
    struct bytes fields = bytes_skip(rest, end), inner = bytes_trim(bytes_first(fields, 400));
    if (spoken_char(inner, 0) == '<' && bytes_find(inner, '>') > 0) {
        s.original = s.address;
        s.address = bytes_find(s.address, '@') >= 0
                        ? s.address
                        : bytes_slice(inner, 1, (size_t)bytes_find(inner, '>'));
        if (bytes_equal(s.original, s.address))
            s.original = bytes_slice(inner, 1, (size_t)bytes_find(inner, '>'));
    }
    struct bytes words = spoken_after(fields, ": ");
    bool remote =
        words.at && (log_has(words, "SMTP error from remote") || log_has(words, "LMTP error"));
    struct bytes named = spoken_after(words, ": host ");
    s.sender = log_recall(l, "exim", id);
    s.command = spoken_step(words);
    s.host =
        remote ? (named.at ? spoken_host(named) : exim_host(log_before(fields, ": "))) : BYTES_NONE;
    s.words = remote ? from_code(words) : log_before(words, " H=");
    if (!strcmp(s.action, "relayed")) {
        s.host = exim_host(fields);
        s.words = log_rest(fields, "C=");
        s.action = s.host.len ? "relayed" : "delivered";
    }
    if (!words.at && !strcmp(s.action, "delayed"))
        s.words = spoken_after(fields, "defer ");
    log_add(l, &s);
    return true;
}

/* "H=(client) [192.0.2.7] F=<a@example.com> rejected RCPT <b@example.org>: relay not permitted". */
static bool exim_reject(struct log *l, const struct log_line *line) {
    struct bytes behind = spoken_after(line->all, " rejected ");
    bool later = log_has(line->all, "temporarily rejected ");
    struct bytes peer = spoken_after(line->all, " H=");
    if (!behind.at || !peer.at)
        return false;
    struct log_said s = { .reporter = line->host,
                          .client = log_ip(peer),
                          .sender = log_field(line->all, "F="),
                          .code = later ? 451 : 550,
                          .action = later ? "delayed" : "failed" };
    struct bytes address = spoken_address(log_before(behind, ": "));
    s.command = spoken_step(bytes_skip(line->all, line->all.len - behind.len - 10));
    if (s.command && !strcmp(s.command, "RCPT"))
        s.address = address;
    s.words = spoken_after(behind, ": ");
    if (!s.words.at)
        s.words = behind;
    log_add(l, &s);
    return true;
}

/* "2026-11-20 09:30:00 rejected EHLO from [192.0.2.7]: syntactically invalid argument(s): x_y". */
static bool exim_early(struct log *l, const struct log_line *line) {
    static const struct {
        const char *words, *command;
        int code;
    } rows[] = { { " rejected EHLO", "EHLO", 550 },
                 { " rejected HELO", "EHLO", 550 },
                 { " rejected connection", "connect", 554 },
                 { " TLS error on connection", "STARTTLS", 0 } };
    struct bytes time = bytes_first(line->all, 20), behind = BYTES_NONE;
    if (time.len < 20 || time.at[4] != '-' || time.at[10] != ' ' || time.at[13] != ':')
        return false;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        behind = spoken_after(line->all, rows[i].words);
        if (!behind.at)
            continue;
        struct bytes words = spoken_after(behind, ": ");
        const struct log_said s = { .reporter = line->host,
                                    .client = log_ip(behind),
                                    .command = rows[i].command,
                                    .code = rows[i].code,
                                    .action = "failed",
                                    .words = words.at ? words : bytes_skip(line->all, 20) };
        log_add(l, &s);
        return true;
    }
    return false;
}

static bool exim_login(struct log *l, const struct log_line *line) {
    struct bytes behind = spoken_after(line->all, "authenticator failed for ");
    if (!behind.at)
        return false;
    const struct log_said s = { .reporter = line->host,
                                .client = log_ip(behind),
                                .command = "AUTH",
                                .submission = true,
                                .code = 535,
                                .words = from_code(log_before(behind, " (set_id=")) };
    log_add(l, &s);
    return true;
}

bool log_exim(struct log *l, const struct log_line *line) {
    return exim_recipient(l, line) || exim_reject(l, line) || exim_login(l, line) ||
           exim_early(l, line);
}

/* --- sendmail --------------------------------------------------------------------------------------------------- */

static bool sendmail_ruleset(struct log *l, const struct log_line *line) {
    struct bytes reject = log_rest(line->all, "reject=");
    if (!reject.at || (!log_has(line->all, "ruleset=") && !log_has(line->all, "Milter")))
        return false;
    struct bytes relay = spoken_after(line->all, "relay="),
                 milter = spoken_after(line->all, "Milter: ");
    struct log_said s = { .reporter = line->host, .client = log_ip(relay), .words = reject };
    s.command = spoken_step(line->all);
    if (milter.at) {
        s.command = bytes_starts(milter, B("to="))     ? "RCPT"
                    : bytes_starts(milter, B("from=")) ? "MAIL"
                                                       : "end";
        s.address = log_field(milter, "to=");
    } else if (s.command && !strcmp(s.command, "RCPT")) {
        s.address = log_field(line->all, "arg1=");
    } else if (s.command && !strcmp(s.command, "MAIL")) {
        s.sender = log_field(line->all, "arg1=");
    }
    log_add(l, &s);
    return true;
}

static const char *sendmail_action(struct bytes stat) {
    if (bytes_starts_nocase(stat, B("Sent")))
        return "relayed";
    if (bytes_starts_nocase(stat, B("Deferred")) || bytes_starts_nocase(stat, B("host map")))
        return "delayed";
    return bytes_starts_nocase(stat, B("queued")) ? NULL : "failed";
}

bool log_sendmail(struct log *l, const struct log_line *line) {
    enum { EACH_MAX = 100 };
    struct bytes stat = log_rest(line->all, "stat="), to = log_field(line->all, "to="), one, list;
    struct bytes from = log_field(line->all, "from=");
    if (from.len && log_field(line->all, "nrcpts=").at) {
        log_remember(l, "sendmail", queue_id(line->rest), from);
        return true;
    }
    if (sendmail_ruleset(l, line))
        return true;
    if (!stat.at || !to.at)
        return false;
    struct bytes reply = spoken_after(log_before(line->all, ", stat="), "reply=");
    struct log_said s = { .reporter = line->host, .action = sendmail_action(stat) };
    struct bytes ctladdr = log_field(line->all, "ctladdr=");
    s.sender = log_recall(l, "sendmail", queue_id(line->rest));
    s.sender = s.sender.len ? s.sender : ctladdr;
    s.host = spoken_host(spoken_after(line->all, "relay="));
    s.words = reply.at ? reply : stat;
    s.command = spoken_step(s.words);
    status_parse(log_field(line->all, "dsn="), &s.status);
    /* What sendmail says by itself is not that host's. */
    if (!reply.at && spoken_code(stat, 0) == 0 && s.action && strcmp(s.action, "relayed") != 0 &&
        log_has(stat, "Connection"))
        s.host = BYTES_NONE;
    list = log_before(spoken_after(line->all, "to="), ", ");
    for (size_t i = 0; s.action && i < EACH_MAX && bytes_split(&list, ',', &one); i++) {
        s.address = spoken_address(one);
        s.address = s.address.len ? s.address : bytes_trim(one);
        log_add(l, &s);
    }
    return true;
}

/* --- OpenSMTPD -------------------------------------------------------------------------------------------------- */

bool log_opensmtpd(struct log *l, const struct log_line *line) {
    struct bytes result = log_field(line->all, "result="), stat = log_rest(line->all, "stat=");
    struct bytes command = log_field(line->all, "command="), relay = log_field(line->all, "relay=");
    struct log_said s = { .reporter = line->host };
    if (log_has(line->all, "failed-command") && command.at) {
        s.command = spoken_command(command);
        s.words = result;
        s.address = s.command && !strcmp(s.command, "RCPT") ? spoken_address(command) : BYTES_NONE;
        s.client = log_field(line->all, "address=");
        log_add(l, &s);
        return true;
    }
    if (!result.at || !stat.at)
        return false;
    s.action = bytes_equal_nocase(result, B("PermFail"))   ? "failed"
               : bytes_equal_nocase(result, B("TempFail")) ? "delayed"
                                                           : "relayed";
    s.address = log_field(line->all, "to=");
    s.original = log_field(line->all, "rcpt=");
    if (s.original.len < 2)
        s.original = BYTES_NONE;
    s.sender = log_field(line->all, "from=");
    ptrdiff_t named = bytes_find(relay, '(');
    s.host = named >= 0 ? spoken_host(bytes_skip(relay, (size_t)named)) : spoken_host(relay);
    s.words = stat;
    s.command = spoken_step(stat);
    log_add(l, &s);
    return true;
}

/* --- qmail, s6 and their heirs ------------------------------------------------------------------------------------ */

/* qmail-send writes blanks as _ and line ends as /. */
static struct bytes qmail_words(struct log *l, struct bytes text) {
    struct buf b = buf_grow(LOG_LINE + 64);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i], next = spoken_char(text, i + 1);
        bool line_end = c == '/' && (next == ' ' || (next >= 'A' && next <= 'Z'));
        buf_char(&b, c == '_' || line_end ? ' ' : c);
    }
    struct bytes copy = arena_copy(l->arena, buf_bytes(&b));
    buf_free(&b);
    return copy;
}

static void qmail_delivery(struct log *l, const struct log_line *line, struct bytes number,
                           const char *action, struct bytes text) {
    struct bytes words = qmail_words(l, text), said = spoken_after(words, "said: ");
    struct bytes connected = spoken_after(words, "onnected to ");
    struct log_said s = { .reporter = line->host, .action = action, .command = spoken_step(words) };
    s.address = log_recall(l, "delivery", number);
    s.sender = log_recall(l, "sender", number);
    s.words = said.at ? log_before(said, " Giving up on ") : words;
    if (said.at || connected.at)
        s.host = spoken_host(connected.at ? connected : words);
    if (!strcmp(action, "relayed") && !said.at && !connected.at &&
        !log_has(words, "accepted message"))
        s.action = "delivered";
    log_add(l, &s);
}

bool log_qmail(struct log *l, const struct log_line *line) {
    static const struct {
        const char *word, *action;
    } rows[] = { { " failure: ", "failed" },
                 { " deferral: ", "delayed" },
                 { " success: ", "relayed" } };
    struct bytes starting = spoken_after(line->all, "starting delivery "),
                 delivery = spoken_after(line->all, "delivery ");
    struct bytes info = spoken_after(line->all, "info msg ");
    if (info.at && log_has(info, " from <")) {
        struct bytes from = spoken_after(info, " from <");
        log_remember(l, "msg", log_before(info, ":"), log_before(from, ">"));
        return true;
    }
    if (starting.at && log_has(starting, ": msg ")) {
        struct bytes number = log_before(starting, ":"), to = spoken_after(starting, " to ");
        ptrdiff_t blank = bytes_find(to, ' ');
        log_remember(l, "delivery", number, blank < 0 ? to : bytes_skip(to, (size_t)blank + 1));
        log_remember(l, "sender", number,
                     log_recall(l, "msg", log_before(spoken_after(starting, "msg "), " ")));
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(rows) && delivery.at; i++) {
        struct bytes number = log_before(delivery, ":");
        struct bytes behind = bytes_skip(delivery, number.len + 1);
        if (number.len < 12 && bytes_starts(behind, bytes_str(rows[i].word))) {
            qmail_delivery(l, line, number, rows[i].action,
                           bytes_skip(behind, strlen(rows[i].word)));
            return true;
        }
    }
    return false;
}

/* --- Haraka ----------------------------------------------------------------------------------------------------- */

bool log_haraka(struct log *l, const struct log_line *line) {
    static const char *const hooks[][2] = {
        { "connect", "connect" }, { "helo", "EHLO" },
        { "ehlo", "EHLO" },       { "mail", "MAIL" },
        { "rcpt", "RCPT" },       { "rcpt_ok", "RCPT" },
        { "data", "DATA" },       { "data_post", "end" },
        { "queue", "end" },       { "unrecognized_command", "AUTH" }
    };
    struct bytes denied = log_field(line->all, "retval="), hook = log_field(line->all, "hook=");
    if (!bytes_starts(denied, B("DENY")) || !hook.at)
        return false;
    bool later = bytes_starts(denied, B("DENYSOFT"));
    struct log_said s = { .reporter = line->host,
                          .code = later ? 450 : 550,
                          .action = later ? "delayed" : "failed" };
    for (size_t i = 0; i < COUNT_OF(hooks); i++)
        if (bytes_equal(hook, bytes_str(hooks[i][0])))
            s.command = hooks[i][1];
    s.words = log_rest(line->all, "msg=");
    if (s.command && !strcmp(s.command, "RCPT"))
        s.address = spoken_address(log_rest(line->all, "params="));
    log_add(l, &s);
    return true;
}

/* --- Dovecot ---------------------------------------------------------------------------------------------------- */

static bool dovecot_login(struct log *l, const struct log_line *line) {
    if (!log_has(line->all, "submission-login: ") || !log_has(line->all, "auth failed"))
        return false;
    const struct log_said s = { .reporter = line->host,
                                .client = log_field(line->all, "rip="),
                                .command = "AUTH",
                                .code = 535,
                                .submission = true,
                                .words = spoken_after(line->all, "submission-login: "),
                                .action = "failed" };
    log_add(l, &s);
    return true;
}

bool log_dovecot(struct log *l, const struct log_line *line) {
    struct bytes user = spoken_after(line->all, "lmtp("),
                 words = spoken_after(line->all, "save failed to ");
    if (dovecot_login(l, line))
        return true;
    if (!words.at)
        words = spoken_after(line->all, "delivery failed: ");
    if (!user.at || !words.at)
        return false;
    size_t end = 0;
    while (end < user.len && !strchr("),", user.at[end]))
        end++;
    struct bytes why = spoken_after(words, ": ");
    const struct log_said s = { .reporter = line->host,
                                .address = bytes_first(user, end),
                                .command = "end",
                                .words = why.at ? why : words,
                                .action = "failed" };
    log_add(l, &s);
    return true;
}

/* --- anybody ------------------------------------------------------------------------------------------------------ */

/* Numbers stand in many logs: what is a reply speaks of mail, or has an enhanced code. */
static bool speaks_of_mail(const struct bounce_recipient *r) {
    static const char *const words[] = { "mail",   "smtp",   "relay", "recipient", "sender", "user",
                                         "denied", "reject", "block", "spam",      "refuse", "auth",
                                         "policy", "quota",  "host",  "address" };
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (bytes_search_nocase(r->text, bytes_str(words[i])) >= 0)
            return r->text.len > 8;
    return status_is_set(r->status);
}

/* A syslog's line with a reply in it. */
bool log_syslog(struct log *l, const struct log_line *line) {
    struct bounce b;
    if (!line->program.len || from_code(line->rest).at == line->rest.at)
        return false;
    if (words_read(line->rest, l->arena, &b) != OK || b.recipients[0].code < 400 ||
        !speaks_of_mail(&b.recipients[0]))
        return false;
    const struct bounce_recipient *r = &b.recipients[0];
    const struct log_said s = { .reporter = line->host,
                                .address = r->address,
                                .host = r->host,
                                .words = r->text,
                                .command = r->command,
                                .code = r->code,
                                .status = r->status,
                                .submission = is_submission(line->program) };
    log_add(l, &s);
    return true;
}
