/* log: the lines of a log, one after the other, each given to the readers until one knows it. This file knows
 * what stands in front of lines (RFC 3164, RFC 5424, journals, containers), and keeps what they tell. */
#include "bounce/log_lines.h"

#include "base/buf.h"
#include "base/must.h"
#include "bounce/spoken.h"

#include <string.h>

/* --- what a line says --------------------------------------------------------------------------------------- */

bool log_has(struct bytes line, const char *words) {
    return bytes_search(line, bytes_str(words)) >= 0;
}

/* The place behind a key that is a word of its own, or -1. */
static ptrdiff_t behind_key(struct bytes line, struct bytes key) {
    for (size_t from = 0; from < line.len;) {
        ptrdiff_t at = bytes_search(bytes_skip(line, from), key);
        if (at < 0)
            return -1;
        size_t place = from + (size_t)at;
        if (place == 0 || strchr(" ,;({[\t", line.at[place - 1]))
            return (ptrdiff_t)(place + key.len);
        from = place + 1;
    }
    return -1;
}

/* What stands in brackets or quotes from here on, or {NULL, 0}. */
static struct bytes enclosed(struct bytes text) {
    char opens = spoken_char(text, 0), closes = opens == '<' ? '>' : '"';
    if (opens != '<' && opens != '"')
        return BYTES_NONE;
    for (size_t i = 1; i < text.len; i++)
        if (text.at[i] == closes && text.at[i - 1] != '\\')
            return bytes_slice(text, 1, i);
    return bytes_skip(text, 1);
}

struct bytes log_field(struct bytes line, const char *key) {
    ptrdiff_t at = behind_key(line, bytes_str(key));
    if (at < 0)
        return BYTES_NONE;
    struct bytes rest = bytes_skip(line, (size_t)at), inner = enclosed(rest);
    size_t end = 0;
    if (inner.at)
        return inner;
    while (end < rest.len && rest.at[end] != ' ' && rest.at[end] != ';' &&
           !(rest.at[end] == ',' && spoken_char(rest, end + 1) == ' '))
        end++;
    return bytes_first(rest, end);
}

struct bytes log_rest(struct bytes line, const char *key) {
    ptrdiff_t at = behind_key(line, bytes_str(key));
    if (at < 0)
        return BYTES_NONE;
    struct bytes rest = bytes_skip(line, (size_t)at);
    return spoken_char(rest, 0) == '"' ? enclosed(rest) : rest;
}

struct bytes log_before(struct bytes text, const char *words) {
    ptrdiff_t at = bytes_search(text, bytes_str(words));
    return at < 0 ? text : bytes_first(text, (size_t)at);
}

struct bytes log_ip(struct bytes text) {
    ptrdiff_t open = bytes_find(text, '[');
    if (open < 0)
        return BYTES_NONE;
    struct bytes rest = bytes_skip(text, (size_t)open + 1);
    ptrdiff_t close = bytes_find(rest, ']');
    if (bytes_starts_nocase(rest, B("IPv6:")))
        return close < 5 ? BYTES_NONE : bytes_slice(rest, 5, (size_t)close);
    return close < 0 || close > 45 ? BYTES_NONE : bytes_first(rest, (size_t)close);
}

/* --- what earlier lines said ---------------------------------------------------------------------------------- */

/* The key of a table for all kinds. */
static struct bytes key_of(char memory[160], const char *kind, struct bytes key) {
    struct buf b = buf_fixed(memory, 160);
    buf_printf(&b, "%s %.*s", kind, BYTES_FMT(bytes_first(key, 100)));
    return buf_bytes(&b);
}

void log_remember(struct log *l, const char *kind, struct bytes key, struct bytes value) {
    char memory[160];
    if (!key.len || !value.len)
        return;
    /* What a line refers to stands shortly before it. */
    if (map_count(l->remembered) >= LOG_REMEMBERED) {
        map_close(&l->remembered);
        l->remembered = map_open();
    }
    struct bytes *kept = ARENA_NEW(l->arena, struct bytes);
    *kept = spoken_clean(value, SPOKEN_ADDRESS, l->arena);
    map_put(l->remembered, key_of(memory, kind, key), kept);
}

struct bytes log_recall(struct log *l, const char *kind, struct bytes key) {
    char memory[160];
    const struct bytes *kept = key.len ? map_find(l->remembered, key_of(memory, kind, key)) : NULL;
    return kept ? *kept : BYTES_NONE;
}

/* --- what is kept ----------------------------------------------------------------------------------------------- */

/* One value for all, or none. */
static void merge(struct log *l, struct bytes *one, bool *mixed, struct bytes value, size_t max) {
    value = spoken_clean(value, max, l->arena);
    if (l->told > 1 && !bytes_equal_nocase(*one, value))
        *mixed = true;
    *one = *mixed ? BYTES_NONE : value;
}

static const char *action_of(const struct bounce_recipient *r) {
    int class = r->code ? r->code / 100 : r->status.klass;
    return class == 2 ? "relayed" : class == 4 ? "delayed" : "failed";
}

static bool is_delivery(const char *action) {
    return !strcmp(action, "relayed") || !strcmp(action, "delivered");
}

/* Before anything is copied, so that a long log takes no more memory. */
static bool has_room(struct log *l, const struct log_said *said) {
    if (said->action && is_delivery(said->action))
        return l->delivered.count < LOG_DELIVERIES;
    l->out->cut |= l->refused.count == LOG_RECIPIENTS;
    return l->refused.count < LOG_RECIPIENTS;
}

static void keep(struct log *l, struct log_list *list, const struct bounce_recipient *r) {
    if (list == &l->delivered && list->count == LOG_DELIVERIES)
        return;
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 16;
        struct bounce_recipient *at = ARENA_ARRAY(l->arena, room, struct bounce_recipient);
        if (list->count)
            memcpy(at, list->at, list->count * sizeof *at);
        list->at = at;
        list->room = room;
    }
    list->at[list->count++] = *r;
}

void log_add(struct log *l, const struct log_said *said) {
    if (!has_room(l, said))
        return;
    struct bounce_recipient r = { .command = said->command, .submission = said->submission };
    spoken_reply(&r, said->words, l->arena);
    r.code = r.code ? r.code : said->code;
    /* The words' own status outweighs the one that the log has put beside them. */
    if (!status_is_set(r.status))
        r.status = said->status;
    r.action = said->action ? said->action : action_of(&r);
    r.address = spoken_clean(said->address, SPOKEN_ADDRESS, l->arena);
    r.original = spoken_clean(said->original, SPOKEN_ADDRESS, l->arena);
    r.host = spoken_clean(said->host, SPOKEN_NAME, l->arena);
    keep(l, is_delivery(r.action) ? &l->delivered : &l->refused, &r);
    l->told++;
    merge(l, &l->out->sender, &l->mixed_sender, said->sender, SPOKEN_ADDRESS);
    merge(l, &l->out->reporter, &l->mixed_reporter, said->reporter, SPOKEN_NAME);
    merge(l, &l->out->client, &l->mixed_client, said->client, 64);
}

/* --- prefixes --------------------------------------------------------------------------------------------------- */

/* "postfix/smtp[1234]" or "exim": a name, with or without a number in brackets. */
static bool is_program(struct bytes token) {
    ptrdiff_t bracket = bytes_find(token, '[');
    struct bytes name = bracket > 0 ? bytes_first(token, (size_t)bracket) : token;
    if (!name.len || name.len > 60 || !ascii_is_alpha(name.at[0]))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_alnum(name.at[i]) && !strchr("/._-@", name.at[i]))
            return false;
    return bracket < 0 || token.at[token.len - 1] == ']';
}

/* A line begins with a time: there are digits and a colon in its first words. */
static bool begins_with_time(struct bytes head) {
    for (size_t i = 1; i + 1 < head.len; i++)
        if (head.at[i] == ':' && ascii_is_digit(head.at[i - 1]) && ascii_is_digit(head.at[i + 1]))
            return true;
    return false;
}

/* "TIME HOST PROGRAM[PID]: rest", as syslogs and journals have it. */
static void read_prefix(struct log_line *line) {
    enum { PREFIX_MAX = 200 };
    struct bytes head = bytes_first(line->all, PREFIX_MAX);
    ptrdiff_t colon = bytes_search(head, B(": "));
    if (colon <= 0)
        return;
    struct bytes before = bytes_first(head, (size_t)colon);
    ptrdiff_t blank = bytes_find_last(before, ' ');
    if (blank < 0)
        return;
    struct bytes program = bytes_skip(before, (size_t)blank + 1);
    struct bytes rest = bytes_trim(bytes_first(before, (size_t)blank));
    blank = bytes_find_last(rest, ' ');
    if (!is_program(program) || blank < 0)
        return;
    /* The time ends right before the host. */
    struct bytes time = bytes_trim(bytes_first(rest, (size_t)blank));
    ptrdiff_t last = bytes_find_last(time, ' ');
    if (!begins_with_time(bytes_skip(time, (size_t)(last + 1))))
        return;
    struct bytes host = bytes_skip(rest, (size_t)blank + 1);
    ptrdiff_t bracket = bytes_find(program, '[');
    line->host = is_program(host) || ascii_is_digit(spoken_char(host, 0)) ? host : BYTES_NONE;
    line->program = bracket > 0 ? bytes_first(program, (size_t)bracket) : program;
    line->rest = bytes_trim(bytes_skip(line->all, (size_t)colon + 2));
}

/* RFC 5424: "<22>1 TIME HOST PROGRAM PID ID [DATA] rest". */
static bool read_new_prefix(struct log_line *line) {
    struct bytes rest = line->all, word, host, program;
    if (spoken_char(rest, 0) == '<') {
        ptrdiff_t close = bytes_find(bytes_first(rest, 6), '>');
        if (close < 0)
            return false;
        rest = bytes_skip(rest, (size_t)close + 1);
    }
    if (!bytes_starts(rest, B("1 2")) || !bytes_split(&rest, ' ', &word) ||
        !bytes_split(&rest, ' ', &word) || !bytes_split(&rest, ' ', &host) ||
        !bytes_split(&rest, ' ', &program) || !bytes_split(&rest, ' ', &word) ||
        !bytes_split(&rest, ' ', &word))
        return false;
    if (spoken_char(rest, 0) == '-')
        rest = bytes_skip(rest, 1);
    else if (spoken_char(rest, 0) == '[' && bytes_search(rest, B("] ")) >= 0)
        rest = bytes_skip(rest, (size_t)bytes_search(rest, B("] ")) + 1);
    line->host = host;
    line->program = program;
    line->rest = bytes_trim(rest);
    return true;
}

static void read_line(struct log *l, struct bytes text) {
    static const struct {
        log_reader *read;
        const char *format;
    } readers[] = {
        { log_json, "json" },
        { log_csv, "csv" },
        { log_postfix, "postfix" },
        { log_exim, "exim" },
        { log_opensmtpd, "opensmtpd" },
        { log_sendmail, "sendmail" },
        { log_qmail, "qmail" },
        { log_haraka, "haraka" },
        { log_dovecot, "dovecot" },
        { log_exchange_error, "exchange" },
        { log_iis, "iis" },
        { log_syslog, "syslog" },
    };
    struct log_line line = { .all = text, .rest = text };
    if (!read_new_prefix(&line))
        read_prefix(&line);
    for (size_t i = 0; i < COUNT_OF(readers); i++)
        if (readers[i].read(l, &line)) {
            if (!l->out->format)
                l->out->format = readers[i].format;
            return;
        }
}

enum rc log_read(struct bytes text, struct arena *a, struct bounce *out) {
    struct log l = { .arena = a, .out = out, .remembered = map_open() };
    struct bytes line;
    *out = (struct bounce){ .kind = BOUNCE_BOUNCE };
    while (bytes_split(&text, '\n', &line)) {
        line = bytes_trim(bytes_first(line, LOG_LINE));
        if (line.len)
            read_line(&l, line);
    }
    map_close(&l.remembered);
    const struct log_list *told = l.refused.count ? &l.refused : &l.delivered;
    out->count = told->count;
    out->recipients = told->at;
    if (out->count)
        return OK;
    *out = (struct bounce){ .format = out->format,
                            .because = out->format ? "the lines of the log tell of no refusal"
                                                   : "no line of it is a mail server's log's" };
    return PERM;
}
