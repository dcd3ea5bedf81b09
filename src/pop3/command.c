/* command: a line, which command it is, when it may come, what it takes, and what the machine says
 * to it by itself. All of that stands in one table; CAPA is printed from another. */
#include "pop3/machine.h"

#include "base/must.h"

enum phase { ANY, BEFORE_LOGIN, LOGGED_IN };

enum form { NOTHING, MESSAGE, MAYBE_MESSAGE, MESSAGE_LINES, TEXT, EVERYTHING };

typedef enum pop3_state runner(struct pop3_server *s, const struct pop3_argument *a);
static runner run_capa, run_stls, run_utf8, run_auth, run_user, run_pass, run_stat, run_list,
    run_uidl, run_retr, run_top, run_dele, run_rset, run_noop, run_quit, run_apop;

static const struct {
    const char *name;
    enum phase phase;
    enum form form;
    runner *run;
} commands[POP3_VERBS] = {
    [POP3_CAPA] = { "CAPA", ANY, NOTHING, run_capa },
    [POP3_STLS] = { "STLS", BEFORE_LOGIN, NOTHING, run_stls },
    [POP3_UTF8] = { "UTF8", BEFORE_LOGIN, NOTHING, run_utf8 },
    [POP3_AUTH] = { "AUTH", BEFORE_LOGIN, EVERYTHING, run_auth },
    [POP3_USER] = { "USER", BEFORE_LOGIN, TEXT, run_user },
    [POP3_PASS] = { "PASS", BEFORE_LOGIN, EVERYTHING, run_pass },
    [POP3_STAT] = { "STAT", LOGGED_IN, NOTHING, run_stat },
    [POP3_LIST] = { "LIST", LOGGED_IN, MAYBE_MESSAGE, run_list },
    [POP3_UIDL] = { "UIDL", LOGGED_IN, MAYBE_MESSAGE, run_uidl },
    [POP3_RETR] = { "RETR", LOGGED_IN, MESSAGE, run_retr },
    [POP3_TOP] = { "TOP", LOGGED_IN, MESSAGE_LINES, run_top },
    [POP3_DELE] = { "DELE", LOGGED_IN, MESSAGE, run_dele },
    [POP3_RSET] = { "RSET", LOGGED_IN, NOTHING, run_rset },
    [POP3_NOOP] = { "NOOP", LOGGED_IN, NOTHING, run_noop },
    [POP3_QUIT] = { "QUIT", ANY, NOTHING, run_quit },
    [POP3_APOP] = { "APOP", BEFORE_LOGIN, EVERYTHING, run_apop },
};

const char *pop3_verb_name(enum pop3_verb verb) {
    return verb < POP3_VERBS ? commands[verb].name : "unknown";
}

/* --- one line -------------------------------------------------------------------------------- */

static enum pop3_verb find_verb(struct bytes word) {
    unsigned v = 0;
    while (v < POP3_VERBS && !bytes_equal_nocase(word, bytes_str(commands[v].name)))
        v++;
    return (enum pop3_verb)v;
}

static bool has_control(struct bytes line) {
    for (size_t i = 0; i < line.len; i++)
        if ((unsigned char)line.at[i] < ' ' || line.at[i] == 0x7f)
            return true;
    return false;
}

/* A browser made to speak to a mail port would have the lines of its form taken for commands. */
static bool is_http(struct bytes word) {
    static const char *const methods[] = { "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT" };
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        if (bytes_equal_nocase(word, bytes_str(methods[i])))
            return true;
    return false;
}

static enum pop3_state refuse_unknown(struct pop3_server *s, struct bytes word) {
    if (is_http(word))
        return pop3_refuse_with(s, 421, "syntax.command", "This is POP3, not HTTP");
    return pop3_refuse_with(s, 500, "syntax.command", "Unknown command");
}

static enum pop3_state refuse_phase(struct pop3_server *s) {
    return pop3_refuse_with(s, 503, "syntax.sequence",
                            s->drop.open ? "This session is logged in already" : "Log in first");
}

/* A number of the client's, of a message that is there. */
static bool parse_message(struct pop3_server *s, struct bytes text, struct pop3_argument *out,
                          enum pop3_state *next_out) {
    uint64_t number;
    if (!bytes_to_u64(text, UINT32_MAX, &number))
        *next_out = pop3_refuse_with(s, 501, "syntax.argument", "Expected a message number");
    else if (number == 0 || number > s->drop.count)
        *next_out = pop3_refuse_with(s, 501, "message.unknown",
                                     "There is no message %llu: the maildrop has %u",
                                     (unsigned long long)number, (unsigned)s->drop.count);
    else if (pop3_drop_marked(s, (uint32_t)number - 1))
        *next_out = pop3_refuse_with(s, 501, "message.deleted", "Message %llu is deleted",
                                     (unsigned long long)number);
    else {
        out->given = true;
        out->i = (uint32_t)number - 1;
        return true;
    }
    return false;
}

static bool parse_lines(struct pop3_server *s, struct bytes text, struct pop3_argument *out,
                        enum pop3_state *next_out) {
    if (bytes_to_u64(text, UINT32_MAX, &out->lines))
        return true;
    *next_out = pop3_refuse_with(s, 501, "syntax.argument", "Expected a number of lines");
    return false;
}

/* Blanks at the end are forgiven but in a password. */
static bool parse_argument(struct pop3_server *s, enum form form, struct bytes rest,
                           struct pop3_argument *out, enum pop3_state *next_out) {
    struct bytes text = bytes_trim(rest), first;
    *out = (struct pop3_argument){ .text = form == EVERYTHING ? rest : text };
    if (form == EVERYTHING || (form == MAYBE_MESSAGE && !text.len))
        return true;
    if ((form == NOTHING) == (text.len > 0)) {
        *next_out = pop3_refuse_with(s, 501, "syntax.argument",
                                     text.len ? "This command takes no argument"
                                              : "This command needs an argument");
        return false;
    }
    if (form == NOTHING || form == TEXT)
        return true;
    if (form != MESSAGE_LINES)
        return parse_message(s, text, out, next_out);
    bytes_split(&text, ' ', &first);
    return parse_lines(s, bytes_trim(text), out, next_out) &&
           parse_message(s, first, out, next_out);
}

enum pop3_state pop3_command(struct pop3_server *s, struct bytes line) {
    struct bytes rest = line, word;
    struct pop3_argument argument;
    struct why refusal = { 0 };
    enum pop3_state next;
    bytes_split(&rest, ' ', &word);
    enum pop3_verb verb = find_verb(word);
    if (has_control(line))
        return pop3_refuse_with(s, 500, "syntax.line", "The line holds a control character");
    if (verb == POP3_UNKNOWN)
        return refuse_unknown(s, word);
    if (verb != POP3_QUIT && !s->driver->gate(s->ctx, verb, &refusal))
        return pop3_refuse(s, &refusal);
    enum phase phase = commands[verb].phase;
    if (phase != ANY && (phase == LOGGED_IN) != s->drop.open)
        return refuse_phase(s);
    if (!parse_argument(s, commands[verb].form, rest, &argument, &next))
        return next;
    return commands[verb].run(s, &argument);
}

/* --- before the login ------------------------------------------------------------------------ */

static enum pop3_state run_stls(struct pop3_server *s, const struct pop3_argument *a) {
    (void)a;
    if (s->secured)
        return pop3_refuse_with(s, 503, "syntax.sequence", "TLS is active already");
    /* RFC 6856 section 2.1. */
    if (s->utf8)
        return pop3_refuse_with(s, 503, "syntax.sequence", "STLS must come before UTF8");
    if (!s->offer.stls)
        return pop3_refuse_with(s, 502, "tls.not-here", "STLS is not offered here");
    return ASK_STLS;
}

static enum pop3_state run_utf8(struct pop3_server *s, const struct pop3_argument *a) {
    (void)a;
    s->utf8 = true;
    pop3_say(s, "UTF-8 it is");
    return COMMAND;
}

/* RFC 5034 knows no AUTH without a mechanism; clients older than CAPA ask so what there is. */
static enum pop3_state list_mechanisms(struct pop3_server *s) {
    struct bytes rest = s->offer.auth, mechanism;
    pop3_say(s, "Mechanisms follow");
    while (bytes_split(&rest, ' ', &mechanism))
        if (mechanism.len) {
            buf_add(&s->output, mechanism);
            buf_str(&s->output, "\r\n");
        }
    buf_str(&s->output, ".\r\n");
    return COMMAND;
}

/* "=" stands for an initial response without octets (RFC 5034 section 4). */
static enum pop3_state run_auth(struct pop3_server *s, const struct pop3_argument *a) {
    struct bytes initial = bytes_trim(a->text), mechanism;
    if (!s->offer.auth.len)
        return pop3_refuse_with(s, 502, "auth.not-here", "AUTH is not offered here");
    if (!initial.len)
        return list_mechanisms(s);
    bytes_split(&initial, ' ', &mechanism);
    s->has_initial = initial.len > 0;
    if (mechanism.len > 20) /* RFC 4422 section 3.1 */
        return pop3_refuse_with(s, 501, "syntax.argument", "That is no SASL mechanism");
    if (!bytes_equal(initial, B("=")) && !pop3_unbase64(s, initial)) {
        pop3_wipe(s);
        return pop3_refuse_with(s, 501, "syntax.argument",
                                "AUTH: the initial response is not valid base64");
    }
    buf_add(&s->mechanism, mechanism);
    return ASK_AUTH;
}

static enum pop3_state run_apop(struct pop3_server *s, const struct pop3_argument *a) {
    (void)a;
    return pop3_refuse_with(s, 502, "auth.not-here",
                            "APOP is not offered: use AUTH, or USER and PASS");
}

static enum pop3_state refuse_user(struct pop3_server *s) {
    return pop3_refuse_with(s, 502, "auth.not-here", "USER and PASS are not offered here");
}

/* The answer says nothing about whether that user is one. */
static enum pop3_state run_user(struct pop3_server *s, const struct pop3_argument *a) {
    if (!s->offer.user)
        return refuse_user(s);
    buf_clear(&s->user);
    buf_add(&s->user, a->text);
    pop3_say(s, "Now PASS");
    return COMMAND;
}

static enum pop3_state run_pass(struct pop3_server *s, const struct pop3_argument *a) {
    if (!s->offer.user)
        return refuse_user(s);
    if (!s->user.len)
        return pop3_refuse_with(s, 503, "syntax.sequence", "Say USER first");
    buf_room(&s->secret, a->text.len);
    buf_add(&s->secret, a->text);
    return ASK_LOGIN;
}

/* --- behind it ------------------------------------------------------------------------------- */

static enum pop3_state run_stat(struct pop3_server *s, const struct pop3_argument *a) {
    (void)a;
    pop3_say(s, "%u %llu", (unsigned)s->drop.left, (unsigned long long)s->drop.left_size);
    return COMMAND;
}

static enum pop3_state list(struct pop3_server *s, const struct pop3_argument *a, bool uids) {
    if (a->given) {
        buf_str(&s->output, "+OK ");
        pop3_drop_line(s, a->i, uids);
        buf_str(&s->output, "\r\n");
        return COMMAND;
    }
    pop3_say(s, "%u messages (%llu octets)", (unsigned)s->drop.left,
             (unsigned long long)s->drop.left_size);
    s->uids = uids;
    s->cursor = 0;
    return LISTING;
}

static enum pop3_state run_list(struct pop3_server *s, const struct pop3_argument *a) {
    return list(s, a, false);
}

static enum pop3_state run_uidl(struct pop3_server *s, const struct pop3_argument *a) {
    return list(s, a, true);
}

static enum pop3_state run_retr(struct pop3_server *s, const struct pop3_argument *a) {
    s->cursor = a->i;
    s->text = (struct pop3_text){ 0 };
    return ASK_MESSAGE;
}

static enum pop3_state run_top(struct pop3_server *s, const struct pop3_argument *a) {
    s->cursor = a->i;
    s->text = (struct pop3_text){ .top = true, .lines_left = a->lines };
    return ASK_MESSAGE;
}

static enum pop3_state run_dele(struct pop3_server *s, const struct pop3_argument *a) {
    pop3_drop_mark(s, a->i);
    pop3_say(s, "Message %u will be deleted at QUIT", (unsigned)a->i + 1);
    return COMMAND;
}

static enum pop3_state run_rset(struct pop3_server *s, const struct pop3_argument *a) {
    (void)a;
    pop3_drop_unmark_all(s);
    pop3_say(s, "%u messages (%llu octets)", (unsigned)s->drop.left,
             (unsigned long long)s->drop.left_size);
    return COMMAND;
}

static enum pop3_state run_noop(struct pop3_server *s, const struct pop3_argument *a) {
    (void)a;
    pop3_say(s, "Nothing done");
    return COMMAND;
}

static enum pop3_state run_quit(struct pop3_server *s, const struct pop3_argument *a) {
    (void)a;
    if (s->drop.open)
        return ASK_UPDATE;
    pop3_say(s, "%.*s closing", BYTES_FMT(s->hostname));
    return CLOSED;
}

/* --- what CAPA offers (RFC 2449 section 5) ---------------------------------------------------- */

static bool offer_stls(const struct pop3_server *s, struct buf *b) {
    (void)b;
    return s->offer.stls && !s->secured && !s->drop.open;
}
static bool offer_user(const struct pop3_server *s, struct buf *b) {
    (void)b;
    return s->offer.user;
}
static bool offer_words(struct bytes words, struct buf *b) {
    buf_char(b, ' ');
    buf_add(b, words);
    return words.len > 0;
}
static bool offer_sasl(const struct pop3_server *s, struct buf *b) {
    return offer_words(s->offer.auth, b);
}
static bool offer_implementation(const struct pop3_server *s, struct buf *b) {
    return offer_words(s->offer.implementation, b);
}

static const struct {
    const char *line;
    bool (*offered)(const struct pop3_server *s,
                    struct buf *b); /* writes its words; NULL: always */
} capabilities[] = {
    { "TOP", NULL },
    { "UIDL", NULL },
    { "USER", offer_user },
    { "SASL", offer_sasl },     /* RFC 5034 */
    { "STLS", offer_stls },     /* RFC 2595 */
    { "RESP-CODES", NULL },     /* RFC 2449 */
    { "AUTH-RESP-CODE", NULL }, /* RFC 3206 */
    { "PIPELINING", NULL },     /* RFC 2449 */
    { "EXPIRE NEVER", NULL },   /* nothing is removed but by DELE */
    { "UTF8", NULL },           /* RFC 6856 */
    { "IMPLEMENTATION", offer_implementation },
};

static enum pop3_state run_capa(struct pop3_server *s, const struct pop3_argument *a) {
    (void)a;
    pop3_say(s, "Capabilities follow");
    for (size_t i = 0; i < COUNT_OF(capabilities); i++) {
        size_t start = s->output.len;
        buf_str(&s->output, capabilities[i].line);
        if (capabilities[i].offered && !capabilities[i].offered(s, &s->output))
            buf_cut(&s->output, start);
        else
            buf_str(&s->output, "\r\n");
    }
    buf_str(&s->output, ".\r\n");
    return COMMAND;
}
