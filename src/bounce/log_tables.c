/* log_tables: logs in columns and in JSON: Exchange's message tracking and protocol logs, PowerMTA's accounting
 * files; KumoMTA, the events of mail services, containers' and journals' wrappings, and our own events. The
 * JSON reader is no validator: it gives each value with the names of the last two keys above it. */
#include "bounce/log_lines.h"

#include "base/addr.h"
#include "base/buf.h"
#include "base/must.h"
#include "bounce/spoken.h"

#include <string.h>

enum { CELLS_MAX = 64, DEPTH_MAX = 16, VALUE_MAX = 8 * 1024, NAMES_MAX = 100 };

static bool is_word_of(struct bytes word, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes_equal(word, bytes_str(words[i])))
            return true;
    return false;
}

/* --- Exchange's last error ----------------------------------------------------------------------------------------- */

/* "[{LRT=...};{LED=550 5.7.1 Unable to relay};{FQDN=mx.example.com};{IP=192.0.2.7}]". */
static struct bytes error_part(struct bytes text, const char *name) {
    return log_before(spoken_after(text, name), "}");
}

static bool take_last_error(struct log_said *s, struct bytes text) {
    struct bytes led = error_part(text, "{LED="), host = error_part(text, "{FQDN=");
    if (!led.len)
        return false;
    s->words = led;
    s->host = spoken_host(host.len ? host : error_part(text, "{IP="));
    s->command = spoken_step(led);
    return true;
}

bool log_exchange_error(struct log *l, const struct log_line *line) {
    struct log_said s = { .reporter = line->host };
    if (!take_last_error(&s, line->all))
        return false;
    s.address = spoken_address(log_before(line->all, "{LED="));
    log_add(l, &s);
    return true;
}

/* --- columns ----------------------------------------------------------------------------------------------------------- */

struct cells {
    struct bytes cell[CELLS_MAX];
    size_t count;
};

static struct bytes cell(const struct cells *c, size_t i) {
    return i < c->count ? c->cell[i] : BYTES_NONE;
}

/* RFC 4180; doubled quotes stay. */
static void split(struct bytes line, struct cells *out) {
    size_t from = 0;
    bool quoted = false;
    out->count = 0;
    for (size_t i = 0; i <= line.len && out->count < CELLS_MAX; i++) {
        if (i < line.len && line.at[i] == '"')
            quoted = !quoted;
        if (i < line.len && (line.at[i] != ',' || quoted))
            continue;
        struct bytes one = bytes_slice(line, from, i);
        if (one.len > 1 && one.at[0] == '"' && one.at[one.len - 1] == '"')
            one = bytes_slice(one, 1, one.len - 1);
        out->cell[out->count++] = one;
        from = i + 1;
    }
}

/* The addresses of a cell, with ; between them, one saying each. */
static void add_each(struct log *l, struct log_said *s, struct bytes addresses) {
    struct bytes one;
    for (size_t i = 0; i < NAMES_MAX && bytes_split(&addresses, ';', &one); i++) {
        s->address = one;
        log_add(l, s);
    }
}

/* Message tracking: ... source, event-id, internal-message-id, message-id, network-message-id, recipient-address,
 * recipient-status, ... */
static bool exchange_tracking(struct log *l, const struct cells *c) {
    static const char *const failing[] = { "FAIL",         "DEFER",          "DSN",
                                           "BADMAIL",      "HAREDIRECTFAIL", "RESUBMITFAIL",
                                           "POISONMESSAGE" };
    static const char *const fine[] = { "DELIVER", "SEND", "SENDEXTERNAL" };
    size_t at = 4;
    while (at < c->count && !is_word_of(c->cell[at], failing, COUNT_OF(failing)) &&
           !is_word_of(c->cell[at], fine, COUNT_OF(fine)))
        at++;
    if (at >= c->count || at > 12)
        return false;
    struct log_said s = { .reporter = cell(c, 4), .action = "failed" };
    if (bytes_equal(c->cell[at], B("DEFER")))
        s.action = "delayed";
    if (is_word_of(c->cell[at], fine, COUNT_OF(fine)))
        s.action = bytes_equal(c->cell[at], B("DELIVER")) ? "delivered" : "relayed";
    size_t to = at + 1;
    while (to < c->count && (bytes_find(c->cell[to], '@') < 0 || c->cell[to].at[0] == '<'))
        to++;
    struct bytes status = cell(c, to + 1);
    for (size_t i = at + 1; i < c->count; i++)
        if (log_has(c->cell[i], "{LED="))
            status = c->cell[i];
    if (!take_last_error(&s, status)) {
        s.words = status;
        s.command = spoken_step(status);
    }
    for (size_t i = to + 2; i < c->count && !s.sender.len; i++)
        if (bytes_find(c->cell[i], '@') > 0 && bytes_find(c->cell[i], ' ') < 0 &&
            c->cell[i].at[0] != '<')
            s.sender = c->cell[i];
    add_each(l, &s, cell(c, to));
    return true;
}

/* Protocol log: date-time, connector-id, session-id, sequence-number, local-endpoint, remote-endpoint, event, data,
 * context. In a receive connector's log > is our reply, in a send connector's < is theirs. */
static bool exchange_protocol(struct log *l, const struct cells *c) {
    struct bytes event = cell(c, 6), data = cell(c, 7), session = cell(c, 2);
    uint64_t number;
    if (c->count < 8 || event.len != 1 || !strchr("<>*+-", event.at[0]) ||
        !bytes_to_u64(cell(c, 3), 1000000000, &number))
        return false;
    int code = spoken_code(data, 0);
    const char *step = code ? NULL : spoken_command(data);
    if (step) {
        log_remember(l, "command", session, bytes_str(step));
        if (!strcmp(step, "RCPT"))
            log_remember(l, "to", session, spoken_address(data));
        return true;
    }
    if (code < 400)
        return true;
    bool ours = event.at[0] == '>';
    struct bytes remote = spoken_host(cell(c, 5)), last = log_recall(l, "command", session);
    struct log_said s = { .words = data,
                          .host = ours ? BYTES_NONE : remote,
                          .client = ours ? remote : BYTES_NONE };
    s.command = last.len ? spoken_command(bytes_equal(last, B("RCPT"))   ? B("RCPT TO")
                                          : bytes_equal(last, B("MAIL")) ? B("MAIL FROM")
                                                                         : last)
                         : "banner";
    if (s.command && !strcmp(s.command, "RCPT"))
        s.address = log_recall(l, "to", session);
    if (s.command && !strcmp(s.command, "DATA"))
        s.command = "end";
    log_add(l, &s);
    return true;
}

/* PowerMTA: type, timeLogged, timeQueued, orig, rcpt, orcpt, dsnAction, dsnStatus, dsnDiag, dsnMta, ... */
static bool powermta(struct log *l, const struct cells *c) {
    static const char *const types[] = { "b", "rb", "t", "tq", "d", "rs" };
    static const char *const actions[] = { "failed", "relayed", "delayed", "delivered",
                                           "expanded" };
    size_t at = 1;
    if (c->count < 8 || !is_word_of(c->cell[0], types, COUNT_OF(types)))
        return false;
    while (at < c->count && !is_word_of(c->cell[at], actions, COUNT_OF(actions)))
        at++;
    if (at >= c->count)
        return false;
    struct log_said s = { .words = cell(c, at + 2), .host = spoken_host(cell(c, at + 3)) };
    for (size_t i = 0; i < COUNT_OF(actions); i++)
        if (bytes_equal(c->cell[at], bytes_str(actions[i])))
            s.action = actions[i];
    for (size_t i = 1; i < at; i++)
        if (bytes_find(c->cell[i], '@') > 0) {
            s.sender = s.address;
            s.address = c->cell[i];
        }
    status_parse(log_before(cell(c, at + 1), " "), &s.status);
    if (bytes_starts_nocase(s.words, B("smtp;")))
        s.words = bytes_trim(bytes_skip(s.words, 5));
    s.command = spoken_step(s.words);
    log_add(l, &s);
    return true;
}

bool log_csv(struct log *l, const struct log_line *line) {
    struct cells c;
    if (bytes_find(line->all, ',') < 0)
        return false;
    split(line->all, &c);
    struct bytes time = c.cell[0];
    bool dated = time.len >= 19 && ascii_is_digit(time.at[0]) && time.at[4] == '-' &&
                 (time.at[10] == 'T' || time.at[10] == ' ');
    return dated ? exchange_tracking(l, &c) || exchange_protocol(l, &c) : powermta(l, &c);
}

/* --- the SMTP service of IIS (W3C) -------------------------------------------------------------------------- */

/* Blanks within a field are written as +. */
static struct bytes without_plus(struct log *l, struct bytes field) {
    struct buf b = buf_grow(LOG_LINE + 64);
    for (size_t i = 0; i < field.len; i++)
        buf_char(&b, field.at[i] == '+' ? ' ' : field.at[i]);
    struct bytes copy = arena_copy(l->arena, bytes_trim(buf_bytes(&b)));
    buf_free(&b);
    return copy;
}

static const char *step_of_verb(struct bytes verb) {
    static const char *const rows[][2] = { { "RCPT", "RCPT" }, { "MAIL", "MAIL" },
                                           { "DATA", "end" },  { "EHLO", "EHLO" },
                                           { "HELO", "EHLO" }, { "AUTH", "AUTH" } };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (bytes_equal(verb, bytes_str(rows[i][0])))
            return rows[i][1];
    return NULL;
}

/* "date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem cs-uri-query sc-status ...", with
 * as many of these as the administrator has chosen; what another server answered is "550+5.7.1+Unable+to+relay". */
bool log_iis(struct log *l, const struct log_line *line) {
    struct bytes rest = line->all, word, query = BYTES_NONE;
    struct log_said s = { .action = NULL };
    bool outbound = log_has(line->all, " OutboundConnectionResponse "),
         ours = log_has(line->all, " SMTPSVC");
    if (!outbound && !ours)
        return false;
    for (size_t i = 0; i < CELLS_MAX && bytes_split(&rest, ' ', &word); i++) {
        uint64_t code;
        struct addr ip;
        if (i == 2 && addr_parse(word, &ip))
            *(outbound ? &s.host : &s.client) = word;
        else if (step_of_verb(word))
            s.command = step_of_verb(word);
        else if (bytes_starts(word, B("+")))
            query = without_plus(l, word);
        else if (outbound && spoken_code(word, 0) >= 400 && word.len > 3)
            s.words = without_plus(l, word);
        else if (!outbound && s.command && !s.code && bytes_to_u64(word, 599, &code) && code >= 400)
            s.code = (int)code;
    }
    if (s.command && !strcmp(s.command, "RCPT"))
        s.address = spoken_address(query);
    if (s.code && !s.words.len)
        s.words = arena_printf(l->arena, "%d", s.code);
    if (s.words.len)
        log_add(l, &s);
    return true;
}

/* --- JSON ---------------------------------------------------------------------------------------------------------------- */

struct json {
    struct bytes text;
    size_t at, depth;
    struct bytes keys[DEPTH_MAX + 1];
    struct log *log;
    const struct log_line *line;
    struct log_said said;
    struct bytes event, inner, note;
    bool is_mail; /* a key that only mail's logs have */
};

static char peek(struct json *j) {
    while (j->at < j->text.len && (unsigned char)j->text.at[j->at] <= ' ')
        j->at++;
    return j->at < j->text.len ? j->text.at[j->at] : 0;
}

static char escaped(char c) {
    static const char from[] = "nrtbf", to[] = "\n\r\t  ";
    const char *at = strchr(from, c);
    return c && at ? to[at - from] : c;
}

/* A string without its quotes; \u is given for ASCII alone, for the rest a question mark. */
static struct bytes read_string(struct json *j) {
    char memory[VALUE_MAX];
    struct buf b = buf_fixed(memory, sizeof memory);
    for (j->at++; j->at < j->text.len && j->text.at[j->at] != '"'; j->at++) {
        char c = j->text.at[j->at];
        if (c != '\\' || j->at + 1 >= j->text.len) {
            buf_char(&b, c);
            continue;
        }
        c = j->text.at[++j->at];
        if (c == 'u' && j->at + 4 < j->text.len) {
            unsigned high = (unsigned char)j->text.at[j->at + 3],
                     low = (unsigned char)j->text.at[j->at + 4];
            bool ascii = j->text.at[j->at + 1] == '0' && j->text.at[j->at + 2] == '0' &&
                         high >= '2' && high <= '7';
            unsigned digit = low <= '9' ? low - '0' : (low | 32) - 'a' + 10;
            buf_char(&b, ascii && digit < 16 ? (char)((high - '0') * 16 + digit) : '?');
            j->at += 4;
            continue;
        }
        buf_char(&b, escaped(c));
    }
    j->at++;
    return arena_copy(j->log->arena, buf_bytes(&b));
}

static bool is_key(struct bytes key, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_nocase(key, bytes_str(names[i])))
            return true;
    return false;
}

/* {"class":5,"subject":7,"detail":1} */
static void json_status(struct status *s, struct bytes key, uint16_t number) {
    if (bytes_equal(key, B("class")))
        s->klass = (uint8_t)number;
    else if (bytes_equal(key, B("subject")))
        s->subject = number;
    else if (bytes_equal(key, B("detail")))
        s->detail = number;
}

/* Which part of a saying a key tells; several services, several names. */
static void json_value(struct json *j, struct bytes value) {
    static const char *const to[] = { "recipient", "emailAddress", "rcpt_to", "raw_rcpt_to",
                                      "email",     "to",           "rcpt",    "Recipient" };
    static const char *const text[] = { "content",    "text",   "reply",    "diagnosticCode",
                                        "raw_reason", "reason", "response", "Details",
                                        "dsnDiag",    "msg" };
    static const char *const from[] = { "sender", "from", "orig", "friendly_from", "source" };
    static const char *const hosts[] = { "host",        "mx",     "mx-host", "next_hop",
                                         "remoteMtaIp", "dsnMta", "peer" };
    static const char *const events[] = { "event",     "type", "notificationType",
                                          "eventType", "Type", "RecordType" };
    static const char *const sure[] = { "recipient",   "emailAddress",   "rcpt_to",
                                        "raw_rcpt_to", "diagnosticCode", "mx-host",
                                        "next_hop",    "rcpt",           "enhanced",
                                        "smtp-id",     "bounceType",     "delivery-status" };
    static const char *const wrapped[] = { "log", "MESSAGE", "message", "msg" };
    struct bytes key = j->keys[j->depth], above = j->depth ? j->keys[j->depth - 1] : BYTES_NONE;
    struct log_said *s = &j->said;
    uint64_t number;
    j->is_mail |= is_key(key, sure, COUNT_OF(sure));
    if (is_key(key, events, COUNT_OF(events)) && !j->event.len)
        j->event = value;
    else if (bytes_equal(key, B("name")) && bytes_equal(above, B("peer_address")))
        s->host = spoken_host(value);
    else if ((bytes_equal(key, B("code")) || bytes_equal(key, B("status")) ||
              bytes_equal(key, B("error_code"))) &&
             bytes_to_u64(value, 599, &number) && number >= 200)
        s->code = (int)number;
    else if (bytes_equal(key, B("enhanced")) || bytes_equal(key, B("status")) ||
             bytes_equal(key, B("enhanced_code")) || bytes_equal(key, B("enhanced-code")))
        status_parse(value, &s->status);
    else if (bytes_equal(above, B("enhanced_code")) && bytes_to_u64(value, 999, &number))
        json_status(&s->status, key, (uint16_t)number);
    else if (bytes_equal(key, B("command")))
        s->command = spoken_command(value) ? spoken_command(value) : spoken_step(value);
    else if (is_key(key, text, COUNT_OF(text)) &&
             (!s->words.len || bytes_equal(key, B("text")) || bytes_equal(key, B("reply"))) &&
             bytes_find(value, ' ') > 0)
        s->words = value;
    else if (is_key(key, to, COUNT_OF(to)) && bytes_find(value, '@') > 0 && !s->address.len)
        s->address = value;
    else if (is_key(key, from, COUNT_OF(from)) && bytes_find(value, '@') > 0 && !s->sender.len)
        s->sender = value;
    else if (is_key(key, hosts, COUNT_OF(hosts)) && !s->host.len)
        s->host = spoken_host(value);
    else if (bytes_equal(key, B("client")) || bytes_equal(key, B("sourceIp")))
        s->client = value;
    if (is_key(key, wrapped, COUNT_OF(wrapped)) && value.len > j->inner.len)
        j->inner = value;
    if (bytes_equal(key, B("message")) || bytes_equal(key, B("description")))
        j->note = value;
}

static void read_json(struct json *j);

static void read_members(struct json *j, char closes) {
    while (j->at < j->text.len) {
        char c = peek(j);
        if (c == closes || !c) {
            j->at++;
            return;
        }
        if (c == ',') {
            j->at++;
            continue;
        }
        if (closes == '}') {
            if (c != '"') {
                j->at++;
                continue;
            }
            j->keys[j->depth] = read_string(j);
            if (peek(j) == ':')
                j->at++;
        }
        read_json(j);
    }
}

static void read_json(struct json *j) {
    char c = peek(j);
    if (c == '{' || c == '[') {
        j->at++;
        if (j->depth == DEPTH_MAX) {
            j->at = j->text.len; /* deeper than any log */
            return;
        }
        /* A list's values bear the list's name. */
        struct bytes name = j->keys[j->depth];
        if (c == '{')
            j->depth++;
        read_members(j, c == '{' ? '}' : ']');
        if (c == '{')
            j->depth--;
        j->keys[j->depth] = name;
        return;
    }
    if (c == '"') {
        json_value(j, read_string(j));
        return;
    }
    size_t from = j->at;
    while (j->at < j->text.len && !strchr(",]} \t", j->text.at[j->at]))
        j->at++;
    if (j->at == from)
        j->at++;
    json_value(j, bytes_slice(j->text, from, j->at));
}

/* What an event's name says became of the message; NULL: it is about something else, or the code says. */
static const char *action_of_event(struct bytes event) {
    static const char *const rows[][2] = {
        { "bounce", "failed" },
        { "bounced", "failed" },
        { "failed", "failed" },
        { "HardBounce", "failed" },
        { "Permanent", "failed" },
        { "dropped", "failed" },
        { "Expiration", "failed" },
        { "Rejection", "failed" },
        { "AdminBounce", "failed" },
        { "OOB", "failed" },
        { "refused", "failed" },
        { "out_of_band", "failed" },
        { "policy_rejection", "failed" },
        { "SpamNotification", "failed" },
        { "deferred", "delayed" },
        { "delay", "delayed" },
        { "TransientFailure", "delayed" },
        { "SoftBounce", "delayed" },
        { "Transient", "delayed" },
        { "delivered", "delivered" },
        { "Delivery", "relayed" },
        { "relayed", "relayed" },
        { "complaint", "feedback" },
        { "spam_complaint", "feedback" },
        { "Feedback", "feedback" },
        { "spamreport", "feedback" },
        { "SpamComplaint", "feedback" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (bytes_equal_nocase(event, bytes_str(rows[i][0])))
            return rows[i][1];
    return NULL;
}

static log_reader *const inner_readers[] = { log_postfix,   log_exim,          log_sendmail,
                                             log_opensmtpd, log_qmail,         log_haraka,
                                             log_dovecot,   log_exchange_error };

/* A line that a container or a journal has wrapped. */
static bool read_inner(struct json *j) {
    struct log_line line = { .all = bytes_trim(j->inner), .rest = bytes_trim(j->inner) };
    for (size_t i = 0; i < COUNT_OF(inner_readers); i++)
        if (inner_readers[i](j->log, &line))
            return true;
    return false;
}

bool log_json(struct log *l, const struct log_line *line) {
    ptrdiff_t open = bytes_find(bytes_first(line->all, 200), '{');
    if (open < 0 || line->all.at[line->all.len - 1] != '}' || bytes_find(line->all, ':') < 0)
        return false;
    if (open > 0 && line->rest.at != line->all.at + open)
        return false;
    struct json *j = ARENA_NEW(l->arena, struct json);
    *j = (struct json){ .text = bytes_skip(line->all, (size_t)open), .log = l, .line = line };
    read_json(j);
    if (j->inner.len && read_inner(j))
        return true;
    struct log_said *s = &j->said;
    const char *action = action_of_event(j->event);
    if (!s->words.len)
        s->words = j->note;
    if (!action && !(j->is_mail && s->code >= 400))
        return false;
    bool refused_later = bytes_equal_nocase(j->event, B("refused")) && s->code / 100 == 4;
    if (s->status.subject && !s->status.klass)
        s->status.klass = (uint8_t)(s->code / 100);
    if (s->status.klass != 2 && s->status.klass != 4 && s->status.klass != 5)
        s->status = (struct status){ 0 };
    s->action = refused_later ? "delayed" : action;
    s->reporter = line->host;
    if (bytes_starts_nocase(s->words, B("smtp;")))
        s->words = bytes_trim(bytes_skip(s->words, 5));
    if (!s->command)
        s->command = spoken_step(s->words);
    log_add(l, s);
    return true;
}
