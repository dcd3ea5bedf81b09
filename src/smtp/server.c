/* server: the receiving machine. This file alone knows its states: what each does when it is
 * entered, with input, and with the driver's answer. Each of these gives the next state, and only
 * enter() puts it in place. Line ends, the end of content and the end of chunks are found here, by
 * position in the stream alone: how it was cut into reads changes nothing. */
#include "smtp/server_machine.h"

#include "base/must.h"

#include <string.h>

enum {
    LINE_LIMIT = 4096,
    AUTH_LINE_LIMIT = 12288,    /* RFC 4954 section 4 */
    SKIP_LIMIT = 256 * 1024,    /* of a line that never ends */
    KEPT_LIMIT = 64 * 1024,     /* then the driver stops reading */
    KEPT_MAX = 4 * 1024 * 1024, /* a driver that did not */
    OUTPUT_HIGH = 32 * 1024,    /* is sent without waiting for the end of the group */
    OUTPUT_MAX = 1024 * 1024,
    SLICE = 16 * 1024,                /* of content, in one call of the driver's */
    SWALLOW_LIMIT = 64 * 1024 * 1024, /* of one chunk; what is larger ends the session */
};

typedef void beginner(struct smtp_server *s);
typedef enum server_state reader(struct smtp_server *s);
typedef enum server_state answerer(struct smtp_server *s, enum rc rc, const struct why *why);

static beginner ask_helo, ask_mail, ask_rcpt, ask_data, ask_content, ask_auth, ask_auth_response,
    ask_starttls, ask_xclient, begin_content, begin_closed;
static reader read_command, read_refused, read_skip, read_content, read_chunk, read_swallow,
    read_auth_line, read_nothing;
static answerer on_helo, on_mail, on_rcpt, on_data, on_bdat, on_content, on_auth, on_starttls,
    on_xclient;

static const struct {
    const char *name;
    beginner *begin;  /* on entering */
    reader *input;    /* takes from s->in; NULL: takes none */
    answerer *answer; /* asking */
} states[SERVER_STATES] = {
    [START] = { "start", NULL, NULL, NULL },
    [COMMAND] = { "command", NULL, read_command, NULL },
    [REFUSED] = { "refused", NULL, read_refused, NULL },
    [SKIP] = { "skip", NULL, read_skip, NULL },
    [ASK_HELO] = { "helo", ask_helo, NULL, on_helo },
    [ASK_MAIL] = { "mail", ask_mail, NULL, on_mail },
    [ASK_RCPT] = { "rcpt", ask_rcpt, NULL, on_rcpt },
    [ASK_DATA] = { "data", ask_data, NULL, on_data },
    [ASK_BDAT] = { "bdat", ask_data, NULL, on_bdat },
    [ASK_CONTENT] = { "content end", ask_content, NULL, on_content },
    [ASK_AUTH] = { "auth", ask_auth, NULL, on_auth },
    [ASK_AUTH_RESPONSE] = { "auth response", ask_auth_response, NULL, on_auth },
    [ASK_STARTTLS] = { "starttls", ask_starttls, NULL, on_starttls },
    [ASK_XCLIENT] = { "xclient", ask_xclient, NULL, on_xclient },
    [CONTENT] = { "content", begin_content, read_content, NULL },
    [CHUNK] = { "chunk", NULL, read_chunk, NULL },
    [SWALLOW] = { "swallow", NULL, read_swallow, NULL },
    [AUTH_LINE] = { "auth line", NULL, read_auth_line, NULL },
    [SECURING] = { "securing", NULL, read_nothing, NULL },
    [CLOSED] = { "closed", begin_closed, read_nothing, NULL },
};

/* Nothing leaves CLOSED: a callback may have ended the session while its caller was on the way to
 * some other state. */
static void enter(struct smtp_server *s, enum server_state to) {
    if (s->state == CLOSED || s->state == to)
        return;
    s->state = to;
    s->told = false;
    if (states[to].begin)
        states[to].begin(s);
}

/* --- replies -------------------------------------------------------------------------------- */

void server_say(struct smtp_server *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    buf_vprintf(&s->output, format, args);
    va_end(args);
    buf_str(&s->output, "\r\n");
}

static void write_refusal(struct smtp_server *s, struct buf *out, const struct why *why,
                          bool enhanced) {
    char memory[WHY_REASON + 80];
    struct buf tail = buf_fixed(memory, sizeof memory);
    if (s->id.len) {
        buf_char(&tail, '[');
        if (why->reason[0])
            buf_printf(&tail, "%s ", why->reason);
        buf_add(&tail, bytes_first(s->id, 64));
        buf_char(&tail, ']');
    }
    smtp_reply_format(out, why, buf_bytes(&tail), enhanced);
}

static enum server_state home(const struct smtp_server *s) {
    return s->refused ? REFUSED : COMMAND;
}

/* A refusal that is none is a fault of ours. */
static struct why refusal_of(const struct why *why) {
    struct why own;
    if (why && why->code >= 400 && why->code <= 599)
        return *why;
    why_backend(&own, "backend.internal", "A fault of this server: try again later");
    return own;
}

static enum server_state count_refusal(struct smtp_server *s, const struct why *why) {
    enum server_state next = why->code == 421 ? CLOSED : home(s);
    s->errors++;
    if (s->driver->refused)
        s->driver->refused(s->ctx, why);
    return next;
}

enum server_state server_refuse(struct smtp_server *s, const struct why *why) {
    struct why refusal = refusal_of(why);
    write_refusal(s, &s->output, &refusal, true);
    return count_refusal(s, &refusal);
}

enum server_state server_refuse_with(struct smtp_server *s, int code, const char *status,
                                     const char *reason, const char *text) {
    struct why why;
    why_set(&why, PERM, code, status, reason, "%s", text);
    return server_refuse(s, &why);
}

enum server_state server_swallow(struct smtp_server *s, const struct why *why,
                                 bool ends_transaction) {
    struct why refusal = refusal_of(why);
    s->chunk_left = s->command->bdat.size;
    s->late = ARENA_NEW(s->arena, struct why);
    *s->late = refusal;
    s->late_ends = ends_transaction;
    if (s->chunk_left <= SWALLOW_LIMIT && refusal.code != 421)
        return SWALLOW;
    server_refuse(s, s->late);
    return CLOSED;
}

/* The driver's words if it has any of this class. */
static void agree(struct smtp_server *s, const struct why *why, const char *words) {
    if (why && why->code / 100 == words[0] - '0')
        smtp_reply_format(&s->output, why, BYTES_NONE, true);
    else
        server_say(s, "%s", words);
}

void server_end_transaction(struct smtp_server *s) {
    bool open = s->mail;
    s->mail = s->utf8 = s->chunking = false;
    s->recipients = s->recipients_refused = 0;
    s->content_size = 0;
    s->data = (struct smtp_data_in){ 0 };
    if (open)
        s->driver->reset(s->ctx);
}

static void begin_session(struct smtp_server *s) {
    server_end_transaction(s);
    s->helo = s->extended = s->authenticated = false;
}

/* --- lines ---------------------------------------------------------------------------------- */

enum line { LINE_PART, LINE_WHOLE, LINE_BAD, LINE_LONG };

static bool has_bare(struct bytes text) {
    return bytes_find(text, '\r') >= 0 || bytes_find(text, '\0') >= 0;
}

/* Only CRLF ends a line. Looks no further than the longest line there may be, so that the verdict
 * depends on nothing else; a bad one is known as soon as its first bad octet is there, because a
 * client that ends lines with LF alone would else wait for an answer forever. */
static enum line find_line(struct bytes in, size_t limit, struct bytes *line_out) {
    struct bytes window = bytes_first(in, limit + 2);
    ptrdiff_t lf = bytes_find(window, '\n');
    *line_out = window;
    if (lf >= 0) {
        bool crlf = lf > 0 && window.at[lf - 1] == '\r';
        *line_out = bytes_first(window, (size_t)lf - crlf);
        return crlf && !has_bare(*line_out) ? LINE_WHOLE : LINE_BAD;
    }
    bool cr = window.len && window.at[window.len - 1] == '\r';
    if (has_bare(bytes_first(window, window.len - cr)))
        return LINE_BAD;
    return in.len >= limit + 2 ? LINE_LONG : LINE_PART;
}

static enum server_state refuse_line(struct smtp_server *s, enum line found) {
    enum server_state next =
        found == LINE_LONG
            ? server_refuse_with(s, 500, "5.5.6", "syntax.line", "The line is too long")
            : server_refuse_with(s, 500, "5.5.2", "syntax.line",
                                 "A line must end in CRLF and hold no bare CR, LF or NUL");
    s->skipped = 0;
    s->skip_cr = false;
    return next == CLOSED ? CLOSED : SKIP;
}

/* Takes a line; for anything else gives the next state in *next_out. */
static bool take_line(struct smtp_server *s, size_t limit, struct bytes *line_out,
                      enum server_state *next_out) {
    enum line found = find_line(s->in, limit, line_out);
    *next_out = s->state;
    if (found == LINE_PART)
        return false;
    if (found == LINE_WHOLE) {
        s->in = bytes_skip(s->in, line_out->len + 2);
        return true;
    }
    *next_out = refuse_line(s, found);
    return false;
}

static enum server_state read_command(struct smtp_server *s) {
    struct bytes line;
    enum server_state next;
    size_t limit = bytes_starts_nocase(s->in, B("AUTH ")) ? AUTH_LINE_LIMIT : LINE_LIMIT;
    return take_line(s, limit, &line, &next) ? server_command(s, line) : next;
}

/* RFC 5321 section 3.1: after a 554 greeting only QUIT gets another answer. */
static enum server_state read_refused(struct smtp_server *s) {
    struct bytes line;
    enum server_state next;
    if (!take_line(s, LINE_LIMIT, &line, &next))
        return next;
    if (bytes_equal_nocase(bytes_trim(line), B("QUIT"))) {
        server_say(s, "221 2.0.0 %.*s closing", BYTES_FMT(s->hostname));
        return CLOSED;
    }
    return server_refuse_with(s, 503, "5.5.1", "syntax.sequence",
                              "This session was refused at its greeting: only QUIT is left");
}

/* To the CRLF of a line that has been answered already. */
static enum server_state read_skip(struct smtp_server *s) {
    size_t end = 0;
    bool found = false;
    while (end < s->in.len && !found && s->skipped + end <= SKIP_LIMIT) {
        char c = s->in.at[end++];
        found = s->skip_cr && c == '\n';
        s->skip_cr = c == '\r';
    }
    s->in = bytes_skip(s->in, end);
    s->skipped += end;
    if (!found && s->skipped > SKIP_LIMIT)
        return server_refuse_with(s, 421, "4.7.0", "syntax.line", "This line has no end: closing");
    return found ? home(s) : SKIP;
}

static enum server_state read_nothing(struct smtp_server *s) {
    s->in = bytes_skip(s->in, s->in.len);
    return s->state;
}

/* --- commands that ask ---------------------------------------------------------------------- */

static void ask_helo(struct smtp_server *s) {
    s->driver->helo(s->ctx, s->command->verb == SMTP_EHLO, s->command->argument);
}

static enum server_state on_helo(struct smtp_server *s, enum rc rc, const struct why *why) {
    if (rc != OK)
        return server_refuse(s, why);
    server_end_transaction(s); /* RFC 5321 section 4.1.4: like RSET */
    s->helo = true;
    s->extended = s->command->verb == SMTP_EHLO;
    if (s->extended)
        server_write_ehlo(s);
    else
        server_say(s, "250 %.*s", BYTES_FMT(s->hostname));
    return COMMAND;
}

static void ask_mail(struct smtp_server *s) {
    s->driver->mail(s->ctx, &s->command->mail);
}

static enum server_state on_mail(struct smtp_server *s, enum rc rc, const struct why *why) {
    if (rc != OK)
        return server_refuse(s, why);
    s->mail = true;
    s->utf8 = s->command->mail.smtputf8;
    agree(s, why, "250 2.1.0 Sender ok");
    return COMMAND;
}

static void ask_rcpt(struct smtp_server *s) {
    s->driver->rcpt(s->ctx, &s->command->rcpt);
}

static enum server_state on_rcpt(struct smtp_server *s, enum rc rc, const struct why *why) {
    if (rc != OK) {
        s->recipients_refused++;
        return server_refuse(s, why);
    }
    s->recipients++;
    agree(s, why, "250 2.1.5 Recipient ok");
    return COMMAND;
}

static void ask_xclient(struct smtp_server *s) {
    s->driver->xclient(s->ctx, s->command);
}

static void greet(struct smtp_server *s) {
    server_say(s, "220 %.*s ESMTP Postern", BYTES_FMT(s->hostname));
}

static enum server_state on_xclient(struct smtp_server *s, enum rc rc, const struct why *why) {
    if (rc != OK)
        return server_refuse(s, why);
    begin_session(s);
    greet(s);
    return COMMAND;
}

/* --- content -------------------------------------------------------------------------------- */

static void ask_data(struct smtp_server *s) {
    s->driver->data(s->ctx);
}

static enum server_state on_data(struct smtp_server *s, enum rc rc, const struct why *why) {
    if (rc != OK) {
        enum server_state next = server_refuse(s, why);
        server_end_transaction(s);
        return next;
    }
    agree(s, why, "354 Go on; end with <CRLF>.<CRLF>");
    return CONTENT;
}

/* A driver that asked to wait in the last octets of the message before has had them since. */
static void begin_content(struct smtp_server *s) {
    s->held = false;
    s->data = (struct smtp_data_in){ .fix = s->offer.bare_newline_fix };
}

static void pass_content(struct smtp_server *s, struct bytes content) {
    if (content.len)
        s->driver->content(s->ctx, content);
}

static enum server_state read_content(struct smtp_server *s) {
    char memory[2 * SLICE + 16];
    struct buf b = buf_fixed(memory, sizeof memory);
    size_t used = 0;
    if (s->held || s->in.len == 0)
        return CONTENT;
    bool end = smtp_data_in(&s->data, bytes_first(s->in, SLICE), &used, &b);
    s->in = bytes_skip(s->in, used);
    pass_content(s, buf_bytes(&b));
    return end ? ASK_CONTENT : CONTENT;
}

static enum server_state on_bdat(struct smtp_server *s, enum rc rc, const struct why *why) {
    if (rc != OK)
        return server_swallow(s, why, true);
    s->chunking = true;
    begin_content(s);
    return CHUNK;
}

static enum server_state end_chunk(struct smtp_server *s) {
    char memory[2];
    struct buf b = buf_fixed(memory, sizeof memory);
    if (!s->command->bdat.last) {
        server_say(s, "250 2.0.0 %llu octets received", (unsigned long long)s->command->bdat.size);
        return COMMAND;
    }
    smtp_data_in_bdat_end(&s->data, &b);
    pass_content(s, buf_bytes(&b));
    return ASK_CONTENT;
}

static size_t of_chunk(const struct smtp_server *s, size_t max) {
    size_t n = s->in.len < max ? s->in.len : max;
    return n < s->chunk_left ? n : (size_t)s->chunk_left;
}

static enum server_state read_chunk(struct smtp_server *s) {
    char memory[2 * SLICE + 16];
    struct buf b = buf_fixed(memory, sizeof memory);
    if (s->held)
        return CHUNK;
    if (s->chunk_left == 0)
        return end_chunk(s);
    struct bytes piece = bytes_first(s->in, of_chunk(s, SLICE));
    if (piece.len == 0)
        return CHUNK;
    smtp_data_in_bdat(&s->data, piece, &b);
    s->in = bytes_skip(s->in, piece.len);
    s->chunk_left -= piece.len;
    pass_content(s, buf_bytes(&b));
    return CHUNK;
}

/* RFC 3030 section 2: the chunk is read, and only then refused. */
static enum server_state read_swallow(struct smtp_server *s) {
    size_t n = of_chunk(s, SIZE_MAX);
    s->in = bytes_skip(s->in, n);
    s->chunk_left -= n;
    if (s->chunk_left > 0)
        return SWALLOW;
    enum server_state next = server_refuse(s, s->late);
    if (s->late_ends)
        server_end_transaction(s);
    return next;
}

static void ask_content(struct smtp_server *s) {
    s->driver->content_end(s->ctx, s->data.bare);
}

static enum server_state on_content(struct smtp_server *s, enum rc rc, const struct why *why) {
    enum server_state next = COMMAND;
    if (rc != OK)
        next = server_refuse(s, why);
    else
        agree(s, why, "250 2.0.0 Accepted");
    server_end_transaction(s);
    return next;
}

/* --- AUTH (RFC 4954) ------------------------------------------------------------------------- */

void server_wipe(struct smtp_server *s) {
    if (s->secret.at)
        explicit_bzero(s->secret.at, s->secret.cap);
    buf_free(&s->secret);
    if (s->command && s->command->verb == SMTP_AUTH && s->command->line.len)
        explicit_bzero((char *)(uintptr_t)s->command->line.at, s->command->line.len);
}

bool server_unbase64(struct smtp_server *s, struct bytes text) {
    buf_room(&s->secret, text.len); /* at once: growing would leave copies behind */
    return buf_unbase64(&s->secret, text);
}

static void ask_auth(struct smtp_server *s) {
    s->driver->auth(s->ctx, s->command->auth.mechanism, s->command->auth.has_initial,
                    buf_bytes(&s->secret));
}

static void ask_auth_response(struct smtp_server *s) {
    s->driver->auth_response(s->ctx, buf_bytes(&s->secret));
}

static enum server_state on_auth(struct smtp_server *s, enum rc rc, const struct why *why) {
    server_wipe(s);
    if (rc != OK)
        return server_refuse(s, why);
    s->authenticated = true;
    agree(s, why, "235 2.7.0 Logged in");
    return COMMAND;
}

static enum server_state cancel_auth(struct smtp_server *s, const char *status, const char *text) {
    server_wipe(s);
    s->driver->auth_cancel(s->ctx);
    return server_refuse_with(s, 501, status, "syntax.argument", text);
}

static enum server_state read_auth_line(struct smtp_server *s) {
    struct bytes line;
    enum server_state next;
    s->wipe = true;
    if (!take_line(s, AUTH_LINE_LIMIT, &line, &next)) {
        if (next != AUTH_LINE)
            s->driver->auth_cancel(s->ctx);
        return next;
    }
    if (bytes_equal(line, B("*")))
        return cancel_auth(s, "5.0.0", "AUTH cancelled");
    if (!server_unbase64(s, line))
        return cancel_auth(s, "5.5.2", "AUTH: the response is not valid base64");
    return ASK_AUTH_RESPONSE;
}

/* --- STARTTLS (RFC 3207) --------------------------------------------------------------------- */

static void ask_starttls(struct smtp_server *s) {
    s->driver->starttls(s->ctx);
}

/* What came behind STARTTLS in plain text was put there by somebody in between: it would be taken
 * for something said under TLS. It is not only forgotten; the session ends. */
static enum server_state on_starttls(struct smtp_server *s, enum rc rc, const struct why *why) {
    if (rc != OK)
        return server_refuse(s, why);
    if (s->in.len)
        return server_refuse_with(s, 421, "4.7.0", "tls.injection",
                                  "Plain text came behind STARTTLS: closing");
    server_say(s, "220 2.0.0 Ready to start TLS");
    begin_session(s);
    return SECURING;
}

/* --- the run --------------------------------------------------------------------------------- */

static void begin_closed(struct smtp_server *s) {
    server_end_transaction(s);
    server_wipe(s);
}

/* Again if the driver ended the session meanwhile. */
static void flush(struct smtp_server *s) {
    enum server_state was;
    do {
        was = s->state;
        if (s->output.len)
            s->driver->flush(s->ctx);
        if (s->output.full)
            enter(s, CLOSED);
    } while (s->state != was);
    if (s->output.len == 0)
        buf_free(&s->output);
}

/* Makes what is left of the input ours. */
static void keep(struct smtp_server *s) {
    bool ours = s->kept.len > 0;
    if (s->wipe && ours)
        explicit_bzero(s->kept.at, s->kept.len - s->in.len);
    if (s->in.len == 0)
        buf_free(&s->kept);
    else if (ours)
        buf_drop(&s->kept, s->kept.len - s->in.len);
    else
        buf_add(&s->kept, s->in);
    s->wipe = s->wipe && s->kept.len;
    s->in = buf_bytes(&s->kept);
    if (s->kept.full)
        enter(s, CLOSED);
}

static bool waits_for_input(const struct smtp_server *s) {
    return states[s->state].input != NULL;
}

/* quit and secure come last: the driver may close the machine in them. */
static void finish(struct smtp_server *s) {
    keep(s);
    if (waits_for_input(s) || s->output.len >= OUTPUT_HIGH)
        flush(s);
    if (s->state == COMMAND && s->in.len == 0) {
        arena_close(&s->arena);
        s->command = NULL;
    }
    s->running = false;
    bool told = s->told;
    s->told = true;
    if (told)
        return;
    if (s->state == CLOSED)
        s->driver->quit(s->ctx);
    else if (s->state == SECURING)
        s->driver->secure(s->ctx);
}

static void run(struct smtp_server *s) {
    s->running = true;
    for (;;) {
        enum server_state was = s->state;
        size_t had = s->in.len;
        if (!states[was].input)
            break;
        enum server_state next = states[was].input(s);
        if (next == was && s->in.len == had)
            break;
        if (s->state == was)
            enter(s, next);
        if (s->output.len >= OUTPUT_HIGH)
            flush(s);
    }
    finish(s);
}

/* A move that did not come from input; when it comes from inside a call, the run under way goes on
 * from there. */
static void move(struct smtp_server *s, enum server_state to) {
    bool nested = s->running;
    s->running = true;
    enter(s, to);
    if (!nested)
        run(s);
}

/* --- the door -------------------------------------------------------------------------------- */

struct smtp_server *smtp_server_open(struct arena *a, const struct smtp_server_driver *driver,
                                     void *ctx, struct bytes hostname, struct bytes id) {
    struct smtp_server *s = ARENA_NEW(a, struct smtp_server);
    s->driver = driver;
    s->ctx = ctx;
    s->hostname = hostname;
    s->id = id;
    s->kept = buf_grow(KEPT_MAX);
    s->output = buf_grow(OUTPUT_MAX);
    s->secret = buf_grow(AUTH_LINE_LIMIT + 2);
    return s;
}

void smtp_server_set_hostname(struct smtp_server *s, struct bytes hostname) {
    s->hostname = hostname;
}

struct smtp_offer *smtp_server_offer(struct smtp_server *s) {
    return &s->offer;
}

void smtp_server_begin(struct smtp_server *s, const struct why *refusal) {
    MUST(s->state == START);
    if (!refusal) {
        greet(s);
        move(s, COMMAND);
        return;
    }
    struct why why = refusal_of(refusal);
    write_refusal(s, &s->output, &why, false);
    s->refused = true;
    move(s, why.code == 421 ? CLOSED : REFUSED);
}

void smtp_server_secured(struct smtp_server *s) {
    if (s->state == CLOSED)
        return;
    MUST(s->state == SECURING);
    s->secured = true;
    move(s, COMMAND);
}

void smtp_server_input(struct smtp_server *s, struct bytes data) {
    MUST(!s->running);
    if (s->kept.len) {
        buf_add(&s->kept, data);
        s->in = buf_bytes(&s->kept);
    } else {
        s->in = data;
    }
    run(s);
}

bool smtp_server_wants_input(const struct smtp_server *s) {
    if (s->state == CLOSED || s->state == SECURING)
        return false;
    if (s->held && smtp_server_in_content(s))
        return false;
    return s->kept.len < KEPT_LIMIT;
}

void smtp_server_hold_content(struct smtp_server *s, bool hold) {
    s->held = hold;
    if (!hold && !s->running)
        run(s);
}

void smtp_server_answer(struct smtp_server *s, enum rc rc, const struct why *why) {
    if (s->state == CLOSED)
        return;
    MUST(states[s->state].answer);
    bool nested = s->running;
    s->running = true;
    enum server_state next = states[s->state].answer(s, rc, why);
    s->running = nested;
    move(s, next);
}

void smtp_server_challenge(struct smtp_server *s, struct bytes challenge) {
    if (s->state == CLOSED)
        return;
    MUST(s->state == ASK_AUTH || s->state == ASK_AUTH_RESPONSE);
    server_wipe(s);
    buf_str(&s->output, "334 ");
    buf_base64(&s->output, challenge);
    buf_str(&s->output, "\r\n");
    move(s, AUTH_LINE);
}

void smtp_server_abort(struct smtp_server *s, const struct why *why) {
    if (s->state == CLOSED)
        return;
    struct why refusal = refusal_of(why);
    if (s->state != SECURING)
        write_refusal(s, &s->output, &refusal, s->state != START);
    move(s, CLOSED);
}

struct buf *smtp_server_output(struct smtp_server *s) {
    return &s->output;
}

bool smtp_server_in_transaction(const struct smtp_server *s) {
    return s->mail;
}

bool smtp_server_in_content(const struct smtp_server *s) {
    return s->state == CONTENT || s->state == CHUNK;
}

unsigned smtp_server_errors(const struct smtp_server *s) {
    return s->errors;
}

bool smtp_server_extended(const struct smtp_server *s) {
    return s->extended;
}

void smtp_server_close(struct smtp_server *s) {
    if (!s)
        return;
    server_wipe(s);
    if (s->wipe && s->kept.at)
        explicit_bzero(s->kept.at, s->kept.cap);
    buf_free(&s->kept);
    buf_free(&s->output);
    arena_close(&s->arena);
}
