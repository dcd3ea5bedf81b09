/* server: the machine. This file alone knows its states: what each does when it is entered, step by
 * step as long as there is input and room, and with the driver's answer. Each of these gives the
 * next state, and only enter() puts it in place. How the input was cut into reads changes nothing
 * but for what comes behind STLS. */
#include "pop3/machine.h"

#include "base/must.h"

#include <string.h>

enum {
    LINE_LIMIT = 253,           /* RFC 2449 section 4: 255 with CRLF */
    SKIP_LIMIT = 256 * 1024,    /* of a line that never ends */
    KEPT_LIMIT = 64 * 1024,     /* then the driver stops reading */
    KEPT_MAX = 4 * 1024 * 1024, /* a driver that did not */
    OUTPUT_HIGH = 32 * 1024,    /* is sent without waiting for the end */
    OUTPUT_MAX = 1024 * 1024,
};

typedef void beginner(struct pop3_server *s);
typedef enum pop3_state stepper(struct pop3_server *s);
typedef enum pop3_state answerer(struct pop3_server *s, enum rc rc, const struct why *why);

static beginner ask_login, ask_auth, ask_auth_response, ask_maildrop, ask_message, ask_piece,
    ask_update, ask_stls, begin_closed;
static stepper read_command, read_skip, read_auth_line, read_nothing, send_message, send_list;
static answerer on_login, on_maildrop, on_message, on_update, on_stls;

static const struct {
    const char *name;
    beginner *begin;  /* on entering */
    stepper *step;    /* again and again, until it is waiting; NULL: asking */
    answerer *answer; /* NULL when asking: answered by a function of its own */
} states[POP3_STATES] = {
    [START] = { "start", NULL, NULL, NULL },
    [COMMAND] = { "command", NULL, read_command, NULL },
    [SKIP] = { "skip", NULL, read_skip, NULL },
    [ASK_LOGIN] = { "login", ask_login, NULL, on_login },
    [ASK_AUTH] = { "auth", ask_auth, NULL, on_login },
    [ASK_AUTH_RESPONSE] = { "auth response", ask_auth_response, NULL, on_login },
    [ASK_MAILDROP] = { "maildrop", ask_maildrop, NULL, on_maildrop },
    [ASK_MESSAGE] = { "message", ask_message, NULL, on_message },
    [ASK_PIECE] = { "piece", ask_piece, NULL, NULL },
    [ASK_UPDATE] = { "update", ask_update, NULL, on_update },
    [ASK_STLS] = { "stls", ask_stls, NULL, on_stls },
    [AUTH_LINE] = { "auth line", NULL, read_auth_line, NULL },
    [SENDING] = { "sending", NULL, send_message, NULL },
    [LISTING] = { "listing", NULL, send_list, NULL },
    [SECURING] = { "securing", NULL, read_nothing, NULL },
    [CLOSED] = { "closed", begin_closed, read_nothing, NULL },
};

/* Nothing leaves CLOSED: a callback may have ended the session while its caller was on the way to
 * some other state. */
static void enter(struct pop3_server *s, enum pop3_state to) {
    if (s->state == CLOSED || s->state == to)
        return;
    s->state = to;
    s->told = false;
    if (states[to].begin)
        states[to].begin(s);
}

void pop3_say(struct pop3_server *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    buf_str(&s->output, "+OK ");
    buf_vprintf(&s->output, format, args);
    va_end(args);
    buf_str(&s->output, "\r\n");
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

static enum pop3_state refuse_line(struct pop3_server *s, enum line found) {
    const char *text = found == LINE_LONG
                           ? "The line is too long"
                           : "A line must end in CRLF and hold no bare CR, LF or NUL";
    enum pop3_state next = pop3_refuse_with(s, 500, "syntax.line", "%s", text);
    s->skipped = 0;
    s->skip_cr = false;
    return next == CLOSED ? CLOSED : SKIP;
}

/* Takes a line; for anything else gives the next state in *next_out. */
static bool take_line(struct pop3_server *s, size_t limit, struct bytes *line_out,
                      enum pop3_state *next_out) {
    enum line found = find_line(s->in, limit, line_out);
    *next_out = s->state;
    if (found == LINE_WHOLE) {
        s->in = bytes_skip(s->in, line_out->len + 2);
        return true;
    }
    if (found == LINE_PART)
        s->waiting = true;
    else
        *next_out = refuse_line(s, found);
    return false;
}

/* An initial response may be longer than RFC 2449 allows: clients send tokens that way. */
static enum pop3_state read_command(struct pop3_server *s) {
    struct bytes line;
    enum pop3_state next;
    size_t limit = bytes_starts_nocase(s->in, B("AUTH ")) ? POP3_AUTH_LINE : LINE_LIMIT;
    return take_line(s, limit, &line, &next) ? pop3_command(s, line) : next;
}

/* To the CRLF of a line that has been answered already. */
static enum pop3_state read_skip(struct pop3_server *s) {
    size_t end = 0;
    bool found = false;
    while (end < s->in.len && !found && s->skipped + end <= SKIP_LIMIT) {
        char c = s->in.at[end++];
        found = s->skip_cr && c == '\n';
        s->skip_cr = c == '\r';
    }
    s->in = bytes_skip(s->in, end);
    s->skipped += end;
    if (found)
        return COMMAND;
    if (s->skipped > SKIP_LIMIT)
        return pop3_refuse_with(s, 421, "syntax.line", "This line has no end: closing");
    s->waiting = true;
    return SKIP;
}

static enum pop3_state read_nothing(struct pop3_server *s) {
    s->in = bytes_skip(s->in, s->in.len);
    s->waiting = true;
    return s->state;
}

/* --- logins ---------------------------------------------------------------------------------- */

void pop3_wipe(struct pop3_server *s) {
    if (s->secret.at)
        explicit_bzero(s->secret.at, s->secret.cap);
    buf_free(&s->secret);
    buf_free(&s->mechanism);
}

void pop3_forget_user(struct pop3_server *s) {
    buf_free(&s->user);
}

bool pop3_unbase64(struct pop3_server *s, struct bytes text) {
    buf_room(&s->secret, text.len); /* at once: growing would leave copies behind */
    return buf_unbase64(&s->secret, text);
}

static void ask_login(struct pop3_server *s) {
    s->driver->login(s->ctx, buf_bytes(&s->user), buf_bytes(&s->secret));
}

static void ask_auth(struct pop3_server *s) {
    s->driver->auth(s->ctx, buf_bytes(&s->mechanism), s->has_initial, buf_bytes(&s->secret));
}

static void ask_auth_response(struct pop3_server *s) {
    s->driver->auth_response(s->ctx, buf_bytes(&s->secret));
}

static enum pop3_state on_login(struct pop3_server *s, enum rc rc, const struct why *why) {
    pop3_wipe(s);
    pop3_forget_user(s);
    return rc == OK ? ASK_MAILDROP : pop3_refuse(s, why);
}

static enum pop3_state cancel_auth(struct pop3_server *s, const char *text) {
    pop3_wipe(s);
    s->driver->auth_cancel(s->ctx);
    return pop3_refuse_with(s, 501, "syntax.argument", "%s", text);
}

static enum pop3_state read_auth_line(struct pop3_server *s) {
    struct bytes line;
    enum pop3_state next;
    if (!take_line(s, POP3_AUTH_LINE, &line, &next)) {
        if (next != AUTH_LINE)
            s->driver->auth_cancel(s->ctx);
        return next;
    }
    if (bytes_equal(line, B("*")))
        return cancel_auth(s, "AUTH cancelled");
    if (!pop3_unbase64(s, line))
        return cancel_auth(s, "AUTH: the response is not valid base64");
    return ASK_AUTH_RESPONSE;
}

static void ask_maildrop(struct pop3_server *s) {
    s->driver->maildrop(s->ctx);
}

/* pop3_server_maildrop is the good answer. */
static enum pop3_state on_maildrop(struct pop3_server *s, enum rc rc, const struct why *why) {
    MUST(rc != OK);
    return pop3_refuse(s, why);
}

/* --- STLS (RFC 2595 section 4) --------------------------------------------------------------- */

static void ask_stls(struct pop3_server *s) {
    s->driver->stls(s->ctx);
}

/* What came behind STLS in plain text was put there by somebody in between: it would be taken for
 * something said under TLS. It is not only forgotten; the session ends. */
static enum pop3_state on_stls(struct pop3_server *s, enum rc rc, const struct why *why) {
    if (rc != OK)
        return pop3_refuse(s, why);
    if (s->in.len)
        return pop3_refuse_with(s, 421, "tls.injection", "Plain text came behind STLS: closing");
    pop3_say(s, "Ready to start TLS");
    pop3_forget_user(s);
    return SECURING;
}

/* --- messages -------------------------------------------------------------------------------- */

static void ask_message(struct pop3_server *s) {
    s->driver->retrieve(s->ctx, s->cursor, s->text.top);
}

static enum pop3_state on_message(struct pop3_server *s, enum rc rc, const struct why *why) {
    if (rc != OK)
        return pop3_refuse(s, why);
    s->reading = true;
    if (s->text.top)
        pop3_say(s, "Top of message %u follows", (unsigned)s->cursor + 1);
    else
        pop3_say(s, "%llu octets", (unsigned long long)s->driver->size(s->ctx, s->cursor));
    return SENDING;
}

static enum pop3_state send_message(struct pop3_server *s) {
    (void)s;
    return ASK_PIECE;
}

static void ask_piece(struct pop3_server *s) {
    s->driver->read(s->ctx);
}

static void end_content(struct pop3_server *s) {
    if (!s->reading)
        return;
    s->reading = false;
    s->driver->content_end(s->ctx);
}

static enum pop3_state on_piece(struct pop3_server *s, enum rc rc, struct bytes content) {
    if (rc != OK)
        return CLOSED;
    MUST(content.len <= POP3_PIECE);
    pop3_text_add(&s->text, content, &s->output);
    if (content.len && !s->text.enough)
        return SENDING;
    pop3_text_finish(&s->text, &s->output);
    end_content(s);
    return COMMAND;
}

static enum pop3_state send_list(struct pop3_server *s) {
    for (; s->cursor < s->drop.count; s->cursor++) {
        if (s->output.len >= OUTPUT_HIGH)
            return LISTING;
        if (pop3_drop_marked(s, s->cursor))
            continue;
        pop3_drop_line(s, s->cursor, s->uids);
        buf_str(&s->output, "\r\n");
    }
    buf_str(&s->output, ".\r\n");
    return COMMAND;
}

/* --- the end --------------------------------------------------------------------------------- */

static void ask_update(struct pop3_server *s) {
    s->driver->update(s->ctx, buf_bytes(&s->drop.marks));
}

static enum pop3_state on_update(struct pop3_server *s, enum rc rc, const struct why *why) {
    if (rc != OK)
        pop3_refuse(s, why);
    else
        pop3_say(s, "%.*s closing; messages left: %u", BYTES_FMT(s->hostname),
                 (unsigned)s->drop.left);
    return CLOSED;
}

static void begin_closed(struct pop3_server *s) {
    end_content(s);
    pop3_wipe(s);
    pop3_forget_user(s);
}

/* --- the run --------------------------------------------------------------------------------- */

/* Again if the driver ended the session meanwhile. */
static void flush(struct pop3_server *s) {
    enum pop3_state was;
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
static void keep(struct pop3_server *s) {
    bool ours = s->kept.len > 0;
    if (s->wipe && ours)
        explicit_bzero(s->kept.at, s->kept.len - s->in.len);
    if (s->in.len == 0)
        buf_free(&s->kept);
    else if (ours)
        buf_drop(&s->kept, s->kept.len - s->in.len);
    else
        buf_add(&s->kept, s->in);
    s->in = buf_bytes(&s->kept);
    if (s->kept.full)
        enter(s, CLOSED);
}

static bool is_last(const struct pop3_server *s) {
    return s->state == CLOSED || s->state == SECURING;
}

/* quit and secure come last: the driver may close the machine in them. */
static void finish(struct pop3_server *s) {
    keep(s);
    if (is_last(s) || (!s->held && (s->waiting || s->output.len >= OUTPUT_HIGH)))
        flush(s);
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

static bool may_step(const struct pop3_server *s) {
    return states[s->state].step && (!s->held || is_last(s));
}

static void run(struct pop3_server *s) {
    s->running = true;
    s->waiting = false;
    while (!s->waiting && may_step(s)) {
        enum pop3_state was = s->state;
        enum pop3_state next = states[was].step(s);
        if (s->state == was)
            enter(s, next);
        s->waiting = s->waiting && s->state == was;
        if (s->output.len >= OUTPUT_HIGH)
            flush(s);
    }
    finish(s);
}

/* A move that did not come from input; when it comes from inside a call, the run under way goes on
 * from there. */
static void move(struct pop3_server *s, enum pop3_state to) {
    bool nested = s->running;
    s->running = true;
    enter(s, to);
    if (!nested)
        run(s);
}

/* --- the door -------------------------------------------------------------------------------- */

struct pop3_server *pop3_server_open(struct arena *a, const struct pop3_server_driver *driver,
                                     void *ctx, struct bytes hostname, struct bytes id) {
    struct pop3_server *s = ARENA_NEW(a, struct pop3_server);
    s->driver = driver;
    s->ctx = ctx;
    s->hostname = hostname;
    s->id = id;
    s->kept = buf_grow(KEPT_MAX);
    s->output = buf_grow(OUTPUT_MAX);
    s->user = buf_grow(LINE_LIMIT);
    s->mechanism = buf_grow(LINE_LIMIT);
    s->secret = buf_grow(POP3_AUTH_LINE + 2);
    return s;
}

struct pop3_offer *pop3_server_offer(struct pop3_server *s) {
    return &s->offer;
}

void pop3_server_begin(struct pop3_server *s, const struct why *refusal) {
    MUST(s->state == START);
    if (refusal)
        pop3_write_refusal(s, refusal);
    else
        pop3_say(s, "%.*s POP3 Postern", BYTES_FMT(s->hostname));
    move(s, refusal ? CLOSED : COMMAND);
}

void pop3_server_secured(struct pop3_server *s) {
    if (s->state == CLOSED)
        return;
    MUST(s->state == SECURING);
    s->secured = true;
    move(s, COMMAND);
}

void pop3_server_input(struct pop3_server *s, struct bytes data) {
    MUST(!s->running);
    s->wipe = (s->wipe && s->kept.len) || !s->drop.open; /* there may be a password in it */
    if (s->kept.len) {
        buf_add(&s->kept, data);
        s->in = buf_bytes(&s->kept);
    } else {
        s->in = data;
    }
    run(s);
}

bool pop3_server_wants_input(const struct pop3_server *s) {
    return !is_last(s) && s->kept.len < KEPT_LIMIT;
}

void pop3_server_hold(struct pop3_server *s, bool hold) {
    s->held = hold;
    if (!hold && !s->running && s->state != CLOSED)
        run(s);
}

void pop3_server_answer(struct pop3_server *s, enum rc rc, const struct why *why) {
    if (s->state == CLOSED)
        return;
    MUST(states[s->state].answer);
    bool nested = s->running;
    s->running = true;
    enum pop3_state next = states[s->state].answer(s, rc, why);
    s->running = nested;
    move(s, next);
}

void pop3_server_challenge(struct pop3_server *s, struct bytes challenge) {
    if (s->state == CLOSED)
        return;
    MUST(s->state == ASK_AUTH || s->state == ASK_AUTH_RESPONSE);
    pop3_wipe(s);
    buf_str(&s->output, "+ ");
    buf_base64(&s->output, challenge);
    buf_str(&s->output, "\r\n");
    move(s, AUTH_LINE);
}

void pop3_server_maildrop(struct pop3_server *s, uint32_t count) {
    if (s->state == CLOSED)
        return;
    MUST(s->state == ASK_MAILDROP);
    pop3_drop_open(s, count);
    pop3_say(s, "Logged in: %u messages (%llu octets)", (unsigned)count,
             (unsigned long long)s->drop.size);
    move(s, COMMAND);
}

void pop3_server_content(struct pop3_server *s, enum rc rc, struct bytes content) {
    if (s->state == CLOSED)
        return;
    MUST(s->state == ASK_PIECE);
    bool nested = s->running;
    s->running = true;
    enum pop3_state next = on_piece(s, rc, content);
    s->running = nested;
    move(s, next);
}

void pop3_server_abort(struct pop3_server *s, const struct why *why) {
    if (s->state == CLOSED)
        return;
    bool within = s->reading || s->state == LISTING || s->state == SECURING;
    if (why && !within)
        pop3_write_refusal(s, why);
    move(s, CLOSED);
}

struct buf *pop3_server_output(struct pop3_server *s) {
    return &s->output;
}

bool pop3_server_logged_in(const struct pop3_server *s) {
    return s->drop.open;
}

bool pop3_server_utf8(const struct pop3_server *s) {
    return s->utf8;
}

unsigned pop3_server_errors(const struct pop3_server *s) {
    return s->errors;
}

void pop3_server_close(struct pop3_server *s) {
    if (!s)
        return;
    pop3_wipe(s);
    pop3_forget_user(s);
    if (s->wipe && s->kept.at)
        explicit_bzero(s->kept.at, s->kept.cap);
    buf_free(&s->kept);
    buf_free(&s->output);
    pop3_drop_close(s);
}
