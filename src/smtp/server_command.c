/* server_command: which command may come when, and what the machine says to it by itself. This file
 * alone knows the order of commands (RFC 5321 section 4.1.4) and what EHLO offers; both are tables,
 * and HELP is printed from the first. */
#include "smtp/server_machine.h"

#include "base/must.h"

enum need {
    HELO_SAID = 1,
    EHLO_SAID = 2,
    NO_TRANSACTION = 4,
    TRANSACTION = 8,
    NO_CHUNKS = 16, /* RFC 3030 section 2: behind BDAT only BDAT or RSET */
    RECIPIENT = 32,
    NO_TLS = 64,
    NO_LOGIN = 128,
};

static bool no_helo(const struct smtp_server *s) {
    return !s->helo;
}
static bool no_ehlo(const struct smtp_server *s) {
    return !s->extended;
}
static bool transaction(const struct smtp_server *s) {
    return s->mail;
}
static bool no_transaction(const struct smtp_server *s) {
    return !s->mail;
}
static bool chunks(const struct smtp_server *s) {
    return s->chunking;
}
static bool all_refused(const struct smtp_server *s) {
    return s->recipients == 0 && s->recipients_refused > 0;
}
static bool no_recipient(const struct smtp_server *s) {
    return s->recipients == 0;
}
static bool tls(const struct smtp_server *s) {
    return s->secured;
}
static bool login(const struct smtp_server *s) {
    return s->authenticated;
}

/* The first broken rule is the answer. */
static const struct {
    enum need need;
    bool (*broken)(const struct smtp_server *s);
    int code;
    const char *text;
} order[] = {
    { HELO_SAID, no_helo, 503, "Say EHLO first" },
    { EHLO_SAID, no_ehlo, 503, "Say EHLO first" },
    { NO_TLS, tls, 503, "TLS is active already" },
    { NO_LOGIN, login, 503, "This session is logged in already" },
    { NO_CHUNKS, chunks, 503, "A BDAT transfer is under way: go on with BDAT, or RSET" },
    { NO_TRANSACTION, transaction, 503, "A transaction is open: end it first, or RSET" },
    { TRANSACTION, no_transaction, 503, "Say MAIL first" },
    { RECIPIENT, all_refused, 554, "No valid recipients: all were refused" },
    { RECIPIENT, no_recipient, 503, "Say RCPT first" },
};

typedef enum server_state runner(struct smtp_server *s);
static runner run_helo, run_starttls, run_auth, run_mail, run_rcpt, run_data, run_bdat, run_rset,
    run_noop, run_quit, run_vrfy, run_help, run_xclient, run_not_here;

static const struct {
    unsigned needs;
    runner *run;
    bool listed; /* by HELP */
} commands[SMTP_VERBS] = {
    [SMTP_HELO] = { 0, run_helo, true },
    [SMTP_EHLO] = { 0, run_helo, true },
    [SMTP_STARTTLS] = { EHLO_SAID | NO_TLS, run_starttls, true },
    [SMTP_AUTH] = { EHLO_SAID | NO_LOGIN | NO_TRANSACTION, run_auth, true },
    [SMTP_MAIL] = { HELO_SAID | NO_CHUNKS | NO_TRANSACTION, run_mail, true },
    [SMTP_RCPT] = { TRANSACTION | NO_CHUNKS, run_rcpt, true },
    [SMTP_DATA] = { TRANSACTION | NO_CHUNKS | RECIPIENT, run_data, true },
    [SMTP_BDAT] = { TRANSACTION | RECIPIENT, run_bdat, true },
    [SMTP_RSET] = { 0, run_rset, true },
    [SMTP_NOOP] = { 0, run_noop, true },
    [SMTP_QUIT] = { 0, run_quit, true },
    [SMTP_VRFY] = { 0, run_vrfy, true },
    [SMTP_EXPN] = { 0, run_not_here, false },
    [SMTP_HELP] = { 0, run_help, true },
    [SMTP_ETRN] = { 0, run_not_here, false },
    [SMTP_XCLIENT] = { NO_TRANSACTION, run_xclient, false },
};

/* --- one line ------------------------------------------------------------------------------ */

/* A browser made to speak to a mail port would have the lines of its form taken for commands. */
static bool is_http(struct bytes line) {
    static const char *const methods[] = {
        "GET ", "POST ", "PUT ", "HEAD ", "OPTIONS ", "CONNECT "
    };
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        if (bytes_starts_nocase(line, bytes_str(methods[i])))
            return true;
    return false;
}

static enum server_state refuse_command(struct smtp_server *s, const struct why *why) {
    return s->command->verb == SMTP_BDAT ? server_swallow(s, why, false) : server_refuse(s, why);
}

/* Where a chunk of unknown size ends cannot be told, and its content must not be taken for
 * commands. */
static enum server_state lost_chunk(struct smtp_server *s, const struct why *why) {
    server_refuse(s, why);
    return CLOSED;
}

static enum server_state in_order(struct smtp_server *s) {
    unsigned needs = commands[s->command->verb].needs;
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        if (!(needs & order[i].need) || !order[i].broken(s))
            continue;
        struct why why;
        why_set(&why, PERM, order[i].code, "5.5.1", "syntax.sequence", "%s", order[i].text);
        return refuse_command(s, &why);
    }
    return commands[s->command->verb].run(s);
}

enum server_state server_command(struct smtp_server *s, struct bytes line) {
    struct why why, refusal;
    refusal.code = 0;
    if (!s->arena)
        s->arena = arena_open();
    arena_reset(s->arena);
    s->command = ARENA_NEW(s->arena, struct smtp_command);
    enum rc rc = smtp_command_parse(arena_copy(s->arena, line), s->arena, s->command, &why);
    enum smtp_verb verb = s->command->verb;
    if (verb == SMTP_UNKNOWN && is_http(line))
        return server_refuse_with(s, 421, "4.7.0", "syntax.command", "This is SMTP, not HTTP");
    if (verb == SMTP_BDAT && rc != OK)
        return lost_chunk(s, &why);
    if (verb != SMTP_QUIT && !s->driver->gate(s->ctx, verb, &refusal))
        return refuse_command(s, &refusal);
    if (rc != OK)
        return server_refuse(s, &why);
    return in_order(s);
}

/* --- the commands, in their order above ----------------------------------------------------- */

static enum server_state run_helo(struct smtp_server *s) {
    (void)s;
    return ASK_HELO;
}

static enum server_state run_starttls(struct smtp_server *s) {
    if (s->offer.starttls)
        return ASK_STARTTLS;
    return server_refuse_with(s, 502, "5.5.1", "tls.not-here", "STARTTLS is not offered here");
}

/* "=" stands for an initial response without octets (RFC 4954 section 4). */
static enum server_state run_auth(struct smtp_server *s) {
    struct bytes initial = s->command->auth.initial;
    s->wipe = true;
    if (bytes_equal(initial, B("=")) || server_unbase64(s, initial))
        return ASK_AUTH;
    server_wipe(s);
    return server_refuse_with(s, 501, "5.5.2", "syntax.argument",
                              "AUTH: the initial response is not valid base64");
}

static enum server_state run_mail(struct smtp_server *s) {
    const struct smtp_mail *mail = &s->command->mail;
    if (mail->body == SMTP_BODY_BINARYMIME)
        return server_refuse_with(s, 555, "5.5.4", "syntax.parameter",
                                  "BODY=BINARYMIME is not offered here");
    /* RFC 6531 section 3.5. */
    if (mail->from.utf8 && !mail->smtputf8)
        return server_refuse_with(s, 550, "5.6.7", "syntax.address",
                                  "An address beyond ASCII needs the parameter SMTPUTF8");
    return ASK_MAIL;
}

static enum server_state run_rcpt(struct smtp_server *s) {
    if (s->command->rcpt.to.utf8 && !s->utf8) {
        s->recipients_refused++;
        return server_refuse_with(s, 553, "5.6.7", "syntax.address",
                                  "An address beyond ASCII needs the parameter SMTPUTF8 at MAIL");
    }
    return ASK_RCPT;
}

static enum server_state run_data(struct smtp_server *s) {
    (void)s;
    return ASK_DATA;
}

static enum server_state run_bdat(struct smtp_server *s) {
    uint64_t size = s->command->bdat.size, max = s->offer.size;
    s->chunk_left = size;
    if (max && (size > max || s->content_size > max - size)) {
        struct why why;
        why_set(&why, PERM, 552, "5.3.4", "limit.size",
                "The message is larger than this server takes: at most %llu octets",
                (unsigned long long)max);
        return server_swallow(s, &why, true);
    }
    s->content_size += size;
    return s->chunking ? CHUNK : ASK_BDAT;
}

static enum server_state run_rset(struct smtp_server *s) {
    server_end_transaction(s);
    server_say(s, "250 2.0.0 Ok");
    return COMMAND;
}

static enum server_state run_noop(struct smtp_server *s) {
    server_say(s, "250 2.0.0 Ok");
    return COMMAND;
}

static enum server_state run_quit(struct smtp_server *s) {
    server_say(s, "221 2.0.0 %.*s closing", BYTES_FMT(s->hostname));
    return CLOSED;
}

static enum server_state run_vrfy(struct smtp_server *s) {
    server_say(s, "252 2.5.2 Not verified, but mail for it will be tried");
    return COMMAND;
}

static enum server_state run_help(struct smtp_server *s) {
    char memory[SMTP_REPLY_LINE];
    struct buf b = buf_fixed(memory, sizeof memory);
    for (unsigned v = 0; v < SMTP_VERBS; v++)
        if (commands[v].listed)
            buf_printf(&b, " %s", smtp_verb_name((enum smtp_verb)v));
    server_say(s, "214 2.0.0 Commands:%s", buf_text(&b));
    return COMMAND;
}

static enum server_state run_xclient(struct smtp_server *s) {
    return s->offer.xclient.len ? ASK_XCLIENT : run_not_here(s);
}

static enum server_state run_not_here(struct smtp_server *s) {
    return server_refuse_with(s, 502, "5.5.1", "syntax.command",
                              "This command is not offered here");
}

/* --- what EHLO offers ----------------------------------------------------------------------- */

static bool offer_size(const struct smtp_server *s, struct buf *b) {
    buf_printf(b, " %llu", (unsigned long long)s->offer.size);
    return true;
}
static bool offer_starttls(const struct smtp_server *s, struct buf *b) {
    (void)b;
    return s->offer.starttls && !s->secured;
}
static bool offer_words(struct bytes words, struct buf *b) {
    buf_char(b, ' ');
    buf_add(b, words);
    return words.len > 0;
}
static bool offer_auth(const struct smtp_server *s, struct buf *b) {
    return !s->authenticated && offer_words(s->offer.auth, b);
}
static bool offer_xclient(const struct smtp_server *s, struct buf *b) {
    return offer_words(s->offer.xclient, b);
}
static bool offer_limits(const struct smtp_server *s, struct buf *b) {
    buf_printf(b, " RCPTMAX=%u", s->offer.rcpt_max);
    return s->offer.rcpt_max > 0;
}

static const struct {
    const char *keyword;
    bool (*offered)(const struct smtp_server *s,
                    struct buf *b); /* writes its words; NULL: always */
} keywords[] = {
    { "PIPELINING", NULL },          /* RFC 2920 */
    { "SIZE", offer_size },          /* RFC 1870 */
    { "8BITMIME", NULL },            /* RFC 6152 */
    { "SMTPUTF8", NULL },            /* RFC 6531 */
    { "CHUNKING", NULL },            /* RFC 3030 */
    { "DSN", NULL },                 /* RFC 3461 */
    { "ENHANCEDSTATUSCODES", NULL }, /* RFC 2034 */
    { "STARTTLS", offer_starttls },  /* RFC 3207 */
    { "AUTH", offer_auth },          /* RFC 4954 */
    { "XCLIENT", offer_xclient },    /* Postfix's XCLIENT_README */
    { "LIMITS", offer_limits },      /* RFC 9422 */
    { "HELP", NULL },                /* last: always there, ends the reply */
};

void server_write_ehlo(struct smtp_server *s) {
    server_say(s, "250-%.*s", BYTES_FMT(s->hostname));
    for (size_t i = 0; i < COUNT_OF(keywords); i++) {
        size_t start = s->output.len;
        buf_str(&s->output, i + 1 < COUNT_OF(keywords) ? "250-" : "250 ");
        buf_str(&s->output, keywords[i].keyword);
        if (keywords[i].offered && !keywords[i].offered(s, &s->output))
            buf_cut(&s->output, start);
        else
            buf_str(&s->output, "\r\n");
    }
}
