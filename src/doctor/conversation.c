/* conversation: what is said next, and what became of it. The table `plan` is the order of a session; the
 * machine (smtp/client.h) asks, the first row that is due answers. */
#include "doctor/conversation.h"

#include "base/must.h"
#include "doctor/tls_note.h"
#include "doctor/wirelog.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHALLENGES_MAX = 16,     /* in one conversation */
    FAREWELL_MS = 2000,      /* for the answer to QUIT, where all went well */
    SHORT_FAREWELL_MS = 500, /* and where not */
    ANSWER_TO_QUIT = 8192,   /* octets after the end that may be one */
    FLOOD = 256 * 1024,      /* and with which it is cut off */
    OCTETS_A_MS = 16,        /* the least pace of a message on its way out */
};

struct conversation {
    struct loop *loop;
    struct arena *arena;
    struct conversation_want want;
    struct stream_connect *connect;
    struct stream *stream;
    struct smtp_client *client;
    struct login login;
    struct wirelog log;
    struct timer step_timer, deadline, end;
    struct smtp_client_rcpt *rcpts;
    int64_t began, asked; /* loop time: the connection; the last command */
    size_t after_end;     /* octets received */
    unsigned challenges;
    bool handshake; /* under way */
    bool xclient_done, tls_done, login_done, mail_done;
    bool over, gone; /* gone: nobody is there to say farewell to */
    struct conversation_seen seen;
    void (*on_seen)(void *ctx, const struct conversation_seen *seen);
    void *ctx;
};

/* --- the end ----------------------------------------------------------------------------------- */

static void free_conversation(struct conversation *c) {
    timer_clear(&c->step_timer);
    timer_clear(&c->deadline);
    timer_clear(&c->end);
    if (c->connect)
        stream_connect_cancel(&c->connect);
    if (c->stream)
        stream_abort(&c->stream);
    if (c->client)
        smtp_client_close(c->client);
    free(c);
}

static void tell(void *ctx) {
    struct conversation *c = ctx;
    memcpy(c->seen.tries, c->login.tries, sizeof c->seen.tries);
    c->seen.try_count = c->login.count;
    c->seen.login_unsafe = c->login.unsafe;
    wirelog_got_all(&c->log, loop_now(c->loop));
    if (!c->gone)
        wirelog_note(&c->log, loop_now(c->loop), MARK_NOTE, "Connection closed by us.");
    c->on_seen(c->ctx, &c->seen);
    free_conversation(c);
}

static void flush(struct conversation *c) {
    struct buf *out = smtp_client_output(c->client);
    if (c->stream && out->len) {
        int64_t slow = (int64_t)(out->len / OCTETS_A_MS);
        wirelog_sent(&c->log, loop_now(c->loop), buf_bytes(out));
        stream_write(c->stream, buf_bytes(out));
        c->asked = loop_now(c->loop);
        if (timer_is_set(&c->step_timer))
            timer_set(c->loop, &c->step_timer, c->want.timeout_ms + slow, c->step_timer.fire, c);
    }
    buf_clear(out);
}

/* Not at once: the machines that brought us here are still on the stack, and the server may say its
 * farewell. */
static void finish(struct conversation *c, enum step step, enum how how) {
    if (c->over)
        return;
    c->over = true;
    c->seen.step = step;
    c->seen.how = how;
    c->log.login = c->log.content = false;
    timer_clear(&c->step_timer);
    timer_clear(&c->deadline);
    bool polite = c->client && c->stream && !c->handshake && !c->gone;
    if (polite) {
        c->seen.quit = HOW_TIMEOUT; /* until there is an answer */
        smtp_client_quit(c->client);
        flush(c);
    }
    int64_t farewell = step == STEP_NONE ? FAREWELL_MS : SHORT_FAREWELL_MS;
    timer_set(c->loop, &c->end, polite ? farewell : 0, tell, c);
}

static void end_soon(struct conversation *c) {
    timer_set(c->loop, &c->end, 0, tell, c);
}

static void fail(struct conversation *c, enum step step, enum how how, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void fail(struct conversation *c, enum step step, enum how how, const char *format, ...) {
    if (c->over)
        return;
    va_list args;
    va_start(args, format);
    struct bytes words = arena_vprintf(c->arena, format, args);
    va_end(args);
    if (c->want.transcript)
        words = transcript_masked(c->want.transcript, words);
    c->seen.words = words;
    if (how != HOW_REFUSED)
        wirelog_note(&c->log, loop_now(c->loop), MARK_FAULT, "%.*s: %.*s",
                     BYTES_FMT(bytes_str(step_name(step))), BYTES_FMT(words));
    finish(c, step, how);
}

static const enum step step_of[SMTP_STAGES] = {
    [SMTP_STAGE_BANNER] = STEP_BANNER,     [SMTP_STAGE_EHLO] = STEP_EHLO,
    [SMTP_STAGE_STARTTLS] = STEP_STARTTLS, [SMTP_STAGE_XCLIENT] = STEP_XCLIENT,
    [SMTP_STAGE_AUTH] = STEP_AUTH,         [SMTP_STAGE_MAIL] = STEP_MAIL,
    [SMTP_STAGE_RCPT] = STEP_RCPT,         [SMTP_STAGE_DATA] = STEP_DATA,
    [SMTP_STAGE_END_OF_DATA] = STEP_END,   [SMTP_STAGE_RSET] = STEP_QUIT,
    [SMTP_STAGE_QUIT] = STEP_QUIT,
};

static enum step step_now(const struct conversation *c) {
    if (!c->client)
        return STEP_CONNECT;
    return c->handshake ? STEP_STARTTLS : step_of[smtp_client_stage(c->client)];
}

/* RSET, when all went well and it is not answered, is of no weight. */
static void ended_at(struct conversation *c, enum how how, const char *happened) {
    enum step step = step_now(c);
    if (c->over)
        return;
    c->gone = true;
    if (step == STEP_QUIT) {
        finish(c, c->seen.step, c->seen.how);
        c->seen.quit = how;
        return;
    }
    fail(c, step, how, "%s %s", step_awaited(step), happened);
}

static void on_step_late(void *ctx) {
    struct conversation *c = ctx;
    ended_at(c, HOW_TIMEOUT,
             c->seen.first_octet_ms >= 0 ? "did not come in time"
                                         : "did not come in time: it is silent");
}

static void on_deadline(void *ctx) {
    ended_at(ctx, HOW_OUT_OF_TIME, "had not come when the time for all of it was over");
}

/* A step has its time from its beginning, however often a server that drips sends an octet. */
static void begin_step(struct conversation *c) {
    c->asked = loop_now(c->loop);
    timer_set(c->loop, &c->step_timer, c->want.timeout_ms, on_step_late, c);
}

/* --- replies ----------------------------------------------------------------------------------------- */

static struct bytes keep(struct conversation *c, struct bytes text) {
    if (c->want.transcript)
        text = transcript_masked(c->want.transcript, text);
    return arena_copy(c->arena, text);
}

static struct said remember(struct conversation *c, enum step step,
                            const struct smtp_reply *reply) {
    struct said said = {
        .code = reply->code,
        .status = reply->status,
        .text = keep(c, reply->text),
        .raw = keep(c, reply->raw),
        .ms = loop_now(c->loop) - c->asked,
        .tls = c->seen.secured,
    };
    c->seen.said[step] = said;
    return said;
}

/* The first thing that went wrong is what the session ends with, though it went on. */
static void note_refusal(struct conversation *c, enum step step) {
    if (c->seen.step != STEP_NONE)
        return;
    c->seen.step = step;
    c->seen.how = HOW_REFUSED;
    c->seen.words = c->seen.said[step].text;
}

static void refused(struct conversation *c, enum step step) {
    note_refusal(c, step);
    finish(c, c->seen.step, c->seen.how);
}

static struct smtp_peer copy_peer(struct conversation *c) {
    struct smtp_peer p = *smtp_client_peer(c->client);
    p.name = arena_copy(c->arena, p.name);
    p.auth = arena_copy(c->arena, p.auth);
    p.keywords = arena_copy(c->arena, p.keywords);
    return p;
}

static void on_ehlo(struct conversation *c, const struct smtp_reply *reply) {
    (void)reply;
    struct smtp_peer peer = copy_peer(c);
    c->seen.extended = peer.extended;
    if (c->seen.secured) {
        c->seen.secure = peer;
        c->seen.secure_known = true;
    } else {
        c->seen.plain = peer;
        c->seen.plain_known = true;
    }
    if (c->want.until == STEP_EHLO)
        finish(c, STEP_NONE, HOW_FINE);
}

static void on_starttls(struct conversation *c, const struct smtp_reply *reply) {
    c->tls_done = true;
    if (reply->code < 300)
        return;
    c->seen.starttls_refused = true;
    if (c->want.tls >= TLS_REQUIRE_WANTED || c->want.tls_minimum)
        refused(c, STEP_STARTTLS);
}

static void on_xclient(struct conversation *c, const struct smtp_reply *reply) {
    if (reply->code >= 300)
        refused(c, STEP_XCLIENT);
}

static void on_auth(struct conversation *c, const struct smtp_reply *reply) {
    struct why why;
    c->log.login = false;
    if (!login_result(&c->login, reply->code, reply->status, keep(c, reply->text), &why))
        fail(c, STEP_AUTH, HOW_UNPROVED,
             "it said that the login is good, but its part of %.*s is wrong",
             BYTES_FMT(c->login.tries[c->login.count - 1].mechanism));
    else
        c->seen.logged_in = reply->code < 300;
}

static void on_mail(struct conversation *c, const struct smtp_reply *reply) {
    if (reply->code >= 300)
        note_refusal(c, STEP_MAIL);
}

static void on_rcpt(struct conversation *c, const struct smtp_reply *reply) {
    if (reply->code >= 300)
        note_refusal(c, STEP_RCPT);
    else
        c->seen.accepted++;
}

static void on_data(struct conversation *c, const struct smtp_reply *reply) {
    if (reply->code >= 400)
        note_refusal(c, STEP_DATA);
}

static void on_end_of_data(struct conversation *c, const struct smtp_reply *reply) {
    c->log.content = false;
    if (reply->code >= 300)
        note_refusal(c, STEP_END);
    else
        c->seen.sent = true;
}

/* The machine goes on with nothing after a refused RSET. */
static void on_rset(struct conversation *c, const struct smtp_reply *reply) {
    if (reply->code >= 300)
        finish(c, c->seen.step, c->seen.how);
}

static void on_banner(struct conversation *c, const struct smtp_reply *reply) {
    (void)reply;
    if (c->want.until == STEP_BANNER)
        finish(c, STEP_NONE, HOW_FINE);
}

static void (*const on_reply[SMTP_STAGES])(struct conversation *c,
                                           const struct smtp_reply *reply) = {
    [SMTP_STAGE_BANNER] = on_banner,
    [SMTP_STAGE_EHLO] = on_ehlo,
    [SMTP_STAGE_STARTTLS] = on_starttls,
    [SMTP_STAGE_XCLIENT] = on_xclient,
    [SMTP_STAGE_AUTH] = on_auth,
    [SMTP_STAGE_MAIL] = on_mail,
    [SMTP_STAGE_RCPT] = on_rcpt,
    [SMTP_STAGE_DATA] = on_data,
    [SMTP_STAGE_END_OF_DATA] = on_end_of_data,
    [SMTP_STAGE_RSET] = on_rset,
};

static void on_farewell(struct conversation *c, const struct smtp_reply *reply) {
    if (reply->code)
        remember(c, STEP_QUIT, reply);
    c->seen.quit = !reply->code ? HOW_NONSENSE : reply->code >= 400 ? HOW_REFUSED : HOW_FINE;
    end_soon(c);
}

/* Of a recipient, which one. */
static void note_recipient(struct conversation *c, enum step step, size_t index, struct said said) {
    if (index >= c->seen.recipient_count)
        return;
    if (step == STEP_RCPT || (step == STEP_END && c->want.lmtp))
        c->seen.recipients[index].said = said;
}

/* Between two commands. What it says may be why it will not go on. */
static void spoke_unasked(struct conversation *c) {
    struct bytes line = bytes_trim(bytes_of(c->log.last, c->log.last_len));
    uint64_t code;
    if (line.len < 4 || !bytes_to_u64(bytes_first(line, 3), 599, &code) || code < 400) {
        fail(c, STEP_MAIL, HOW_NONSENSE, "it spoke before it was asked");
        return;
    }
    c->seen.said[STEP_MAIL] = (struct said){
        .code = (int)code,
        .text = keep(c, bytes_skip(line, 4)),
        .tls = c->seen.secured,
    };
    refused(c, STEP_MAIL);
}

static void on_stage(void *ctx, enum smtp_stage stage, size_t index, const struct smtp_reply *reply,
                     const struct why *why) {
    struct conversation *c = ctx;
    enum step step = step_of[stage];
    if (c->over) {
        on_farewell(c, reply);
        return;
    }
    enum step failed_before = c->seen.step;
    struct said before = c->seen.said[step], said = remember(c, step, reply);
    if (before.code >= 400 && failed_before == step) /* of several recipients, the first refusal */
        c->seen.said[step] = before;
    c->asked = loop_now(c->loop);
    c->gone = !reply->code || reply->code == 421;
    if (!reply->code && stage == SMTP_STAGE_RSET && !c->mail_done && c->want.mail) {
        spoke_unasked(c);
        return;
    }
    if (!reply->code) {
        fail(c, step, HOW_NONSENSE, "%s", why ? why->text : "");
        return;
    }
    c->seen.reached = step > c->seen.reached && step < STEP_QUIT ? step : c->seen.reached;
    note_recipient(c, step, index, said);
    bool fatal =
        reply->code == 421 || ((step == STEP_BANNER || step == STEP_EHLO) && reply->code >= 300);
    if (fatal && step != STEP_QUIT)
        refused(c, step);
    else if (on_reply[stage])
        on_reply[stage](c, reply);
}

/* --- TLS ---------------------------------------------------------------------------------------------- */

static void start_handshake(struct conversation *c) {
    struct tls_want want = {
        .name = c->want.tls_name,
        .minimum = c->want.tls_minimum,
        .maximum = c->want.tls_maximum,
        .look = true,
    };
    c->handshake = true;
    begin_step(c);
    stream_start_tls_client(c->stream, c->want.tls_client, &want);
}

static void note_tls(struct conversation *c, const struct tls_info *info) {
    c->seen.secured = c->log.tls = true;
    c->seen.tls = (struct tls_seen){
        .protocol = arena_copy(c->arena, info->protocol),
        .cipher = arena_copy(c->arena, info->cipher),
        .trusted = info->peer_trusted,
        .error = arena_copy(c->arena, info->peer_error),
        .look = tls_note_copy(c->arena, info->look),
    };
    wirelog_note(&c->log, loop_now(c->loop), MARK_NOTE, "TLS started with %.*s, %.*s",
                 BYTES_FMT(info->protocol), BYTES_FMT(info->cipher));
    if (info->look)
        wirelog_note(
            &c->log, loop_now(c->loop), MARK_NOTE, "certificate: %.*s (%s%.*s)",
            BYTES_FMT(info->look->subject),
            info->peer_trusted ? "it holds" : "it does not hold: ", BYTES_FMT(info->peer_error));
}

static void on_secured(void *ctx, enum rc rc, const struct tls_info *info, const struct why *why) {
    struct conversation *c = ctx;
    if (c->over)
        return;
    if (rc != OK) {
        c->gone = true;
        c->seen.reason = tls_note_reason(why);
        fail(c, STEP_STARTTLS, HOW_HANDSHAKE, "%s", why->text);
        return;
    }
    c->seen.said[STEP_STARTTLS].ms = loop_now(c->loop) - c->asked;
    note_tls(c, info);
    if (c->want.tls == TLS_VERIFY_WANTED && !info->peer_trusted) {
        fail(c, STEP_STARTTLS, HOW_CERTIFICATE, "its certificate does not hold for %.*s: %.*s",
             BYTES_FMT(c->want.tls_name), BYTES_FMT(info->peer_error));
        return;
    }
    if (c->want.until == STEP_STARTTLS) {
        finish(c, STEP_NONE, HOW_FINE);
        return;
    }
    c->handshake =
        false; /* only now: before EHLO no QUIT is given, and no answer to it waited for */
    begin_step(c);
    if (!c->want.implicit)
        smtp_client_secured(c->client);
    flush(c);
}

static void on_secure(void *ctx) {
    struct conversation *c = ctx;
    if (c->over)
        return;
    flush(c);
    start_handshake(c);
}

/* --- the login ----------------------------------------------------------------------------------------- */

static bool is_safe(const struct conversation *c) {
    return c->seen.secured && (c->seen.tls.trusted || addr_is_loopback(c->want.address));
}

static void no_login(struct conversation *c) {
    struct bytes offered = smtp_client_peer(c->client)->auth;
    const struct login_try *t = login_telling(&c->login);
    if (t) {
        struct said said = {
            .code = t->code, .status = t->status, .text = t->text, .tls = c->seen.secured
        };
        c->seen.said[STEP_AUTH] = said;
        refused(c, STEP_AUTH);
    } else if (c->login.unsafe) {
        fail(c, STEP_AUTH, HOW_WITHHELD,
             "the password was not sent: %s, and it takes no login that keeps it secret",
             c->seen.secured ? "its certificate does not hold" : "the connection is not encrypted");
    } else if (!offered.len) {
        fail(c, STEP_AUTH, HOW_NOT_OFFERED, "it offers no login on this connection");
    } else {
        fail(c, STEP_AUTH, HOW_NOT_OFFERED, "it offers the logins %.*s%s%.*s",
             BYTES_FMT(bytes_first(offered, 200)),
             c->want.auth.mechanism.len ? ", not " : ", none of which is known here",
             BYTES_FMT(c->want.auth.mechanism));
    }
}

static bool login_due(const struct conversation *c) {
    return c->want.login && !c->seen.logged_in;
}

static void say_login(struct conversation *c) {
    struct login_connection connection = {
        .offered = smtp_client_peer(c->client)->auth,
        .tls = stream_tls(c->stream),
        .safe = is_safe(c),
    };
    struct bytes mechanism, initial = BYTES_NONE;
    bool has_initial = false;
    struct why why;
    if (login_next(&c->login, &connection, &mechanism, &has_initial, &initial, &why) != OK) {
        no_login(c);
        return;
    }
    c->log.login = true;
    begin_step(c);
    smtp_client_auth(c->client, mechanism, has_initial, initial);
}

static void on_challenge(void *ctx, struct bytes challenge) {
    struct conversation *c = ctx;
    struct bytes response;
    struct why why;
    if (c->over)
        return;
    if (++c->challenges > CHALLENGES_MAX) {
        c->gone = true; /* QUIT would be taken for an answer */
        fail(c, STEP_AUTH, HOW_NONSENSE, "it asks for more and more");
        return;
    }
    begin_step(c);
    if (login_answer(&c->login, challenge, &response, &why) == OK)
        smtp_client_auth_response(c->client, response);
    else
        smtp_client_auth_cancel(c->client);
}

/* --- the plan -------------------------------------------------------------------------------------------- */

static bool xclient_due(const struct conversation *c) {
    return c->want.xclient.len && !c->xclient_done;
}

static void say_xclient(struct conversation *c) {
    c->xclient_done = true;
    begin_step(c);
    smtp_client_xclient(c->client, c->want.xclient);
}

static bool starttls_due(const struct conversation *c) {
    return !c->seen.secured && !c->tls_done && c->want.tls != TLS_OFF_WANTED;
}

static void say_starttls(struct conversation *c) {
    c->tls_done = true;
    bool offered = smtp_client_peer(c->client)->starttls;
    if (offered && c->want.tls_client) {
        begin_step(c);
        smtp_client_starttls(c->client);
    } else if (c->want.tls >= TLS_REQUIRE_WANTED || c->want.tls_minimum) {
        fail(c, STEP_STARTTLS, HOW_NOT_OFFERED, "it does not offer STARTTLS");
    }
}

static bool mail_due(const struct conversation *c) {
    return c->want.mail && !c->mail_done;
}

static void say_mail(struct conversation *c) {
    struct smtp_client_mail mail = {
        .sender = c->want.sender,
        .size = c->want.send ? c->want.content.len : 0,
        .eightbit = c->want.send && !bytes_is_ascii(c->want.content),
        .smtputf8 = !bytes_is_ascii(c->want.sender),
        .whole = true,
        .count = c->want.recipient_count,
        .rcpts = c->rcpts,
        .probe = !c->want.send,
    };
    if (c->want.until == STEP_MAIL)
        mail.count = 0;
    for (size_t i = 0; i < mail.count; i++)
        mail.smtputf8 |= !bytes_is_ascii(c->rcpts[i].mailbox);
    c->mail_done = true;
    begin_step(c);
    smtp_client_mail(c->client, &mail);
}

static const struct {
    enum step step;
    bool (*due)(const struct conversation *c);
    void (*say)(struct conversation *c);
} plan[] = {
    { STEP_XCLIENT, xclient_due, say_xclient },
    { STEP_STARTTLS, starttls_due, say_starttls },
    { STEP_AUTH, login_due, say_login },
    { STEP_MAIL, mail_due, say_mail },
};

static void on_ready(void *ctx) {
    struct conversation *c = ctx;
    if (c->over)
        return;
    for (size_t i = 0; i < COUNT_OF(plan) && c->seen.step == STEP_NONE; i++) {
        if (!plan[i].due(c) || plan[i].step > c->want.until)
            continue;
        bool starttls = plan[i].step == STEP_STARTTLS;
        plan[i].say(c);
        if (!starttls || c->over || smtp_client_stage(c->client) == SMTP_STAGE_STARTTLS)
            return;
    }
    finish(c, c->seen.step, c->seen.how);
}

static void on_content(void *ctx) {
    struct conversation *c = ctx;
    if (c->over)
        return;
    c->log.content = true;
    begin_step(c);
    smtp_client_content(c->client, c->want.content, true);
}

static void on_flush(void *ctx) {
    flush(ctx);
}

static const struct smtp_client_driver driver = {
    .stage = on_stage,
    .ready = on_ready,
    .secure = on_secure,
    .challenge = on_challenge,
    .content = on_content,
    .flush = on_flush,
};

/* --- the connection -------------------------------------------------------------------------------------- */

static void on_read(void *ctx, struct bytes data) {
    struct conversation *c = ctx;
    int64_t now = loop_now(c->loop);
    if (c->seen.first_octet_ms < 0)
        c->seen.first_octet_ms = now - c->began;
    wirelog_got(&c->log, now, data);
    c->after_end += c->over ? data.len : 0;
    c->seen.flooded |= c->after_end > ANSWER_TO_QUIT;
    if (c->after_end > FLOOD) {
        stream_hold(c->stream);
        end_soon(c);
        return;
    }
    smtp_client_input(c->client, data);
}

static void on_end(void *ctx, int error) {
    struct conversation *c = ctx;
    char happened[200];
    struct buf b = buf_fixed(happened, sizeof happened);
    bool was_over = c->over;
    if (error)
        buf_printf(&b, "never came: the connection broke (%s)", strerror(error));
    else
        buf_str(&b, "never came: the server closed the connection");
    if (was_over) {
        if (!c->gone && c->seen.quit == HOW_TIMEOUT)
            c->seen.quit = HOW_CLOSED;
        c->gone = true;
        end_soon(c);
        return;
    }
    ended_at(c, HOW_CLOSED, buf_text(&b));
}

static const struct stream_handler handler = {
    .on_read = on_read,
    .on_end = on_end,
    .on_secured = on_secured,
};

static struct bytes helo_name(struct conversation *c) {
    char text[80];
    struct buf b = buf_fixed(text, sizeof text);
    if (c->want.helo.len)
        return c->want.helo;
    if (c->seen.local.family != 4 && c->seen.local.family != 6)
        return B("localhost");
    addr_format(&b, c->seen.local);
    return arena_printf(c->arena, "[%s%s]", c->seen.local.family == 6 ? "IPv6:" : "", buf_text(&b));
}

static void begin_session(struct conversation *c) {
    struct smtp_client_setup setup = {
        .hostname = helo_name(c),
        .lmtp = c->want.lmtp,
        .no_pipelining = !c->want.pipeline,
        .no_chunking = true,
    };
    c->client = smtp_client_open(c->arena, &driver, c, &setup);
    c->seen.reached = STEP_BANNER;
    if (c->want.proxy.len) {
        wirelog_sent(&c->log, loop_now(c->loop), c->want.proxy);
        stream_write(c->stream, c->want.proxy);
    }
    if (c->want.implicit)
        start_handshake(c);
    else
        begin_step(c);
}

static void on_connect(void *ctx, enum rc rc, struct stream *s, const struct why *why) {
    struct conversation *c = ctx;
    c->connect = NULL;
    c->began = loop_now(c->loop);
    c->seen.connect_ms = c->began - c->asked;
    if (rc != OK) {
        bool late = !strcmp(why->reason, "connect.timeout");
        c->gone = true;
        /* A port that is shut refuses; only a connection that had come about can be reset. */
        if (!strcmp(why->reason, "connect.reset")) {
            fail(c, STEP_BANNER, HOW_CLOSED, "%s never came: the connection broke (%s)",
                 step_awaited(STEP_BANNER), why->text);
            return;
        }
        c->seen.reason = arena_str(c->arena, bytes_str(why->reason));
        fail(c, STEP_CONNECT, late ? HOW_TIMEOUT : HOW_UNREACHABLE, "%s", why->text);
        return;
    }
    c->stream = s;
    c->seen.local = stream_local(s);
    stream_attach(s, &handler, c);
    wirelog_note(&c->log, c->began, MARK_NOTE, "Connected.");
    if (c->want.until == STEP_CONNECT) {
        finish(c, STEP_NONE, HOW_FINE);
        return;
    }
    begin_session(c);
}

static void begin_connecting(struct conversation *c) {
    struct connect_to to = {
        .remote = c->want.address,
        .path = c->want.path,
        .timeout_ms = c->want.timeout_ms,
    };
    char text[80];
    struct buf b = buf_fixed(text, sizeof text);
    addr_format_port(&b, c->want.address);
    if (c->want.source.family == c->want.address.family)
        to.source = c->want.source;
    wirelog_note(&c->log, loop_now(c->loop), MARK_NOTE, "Trying %.*s...",
                 BYTES_FMT(c->want.path.len ? c->want.path : buf_bytes(&b)));
    c->asked = loop_now(c->loop);
    c->connect = stream_connect(c->loop, &to, on_connect, c);
}

static void copy_recipients(struct conversation *c) {
    size_t count = c->want.recipient_count;
    if (!count)
        return;
    c->rcpts = ARENA_ARRAY(c->arena, count, struct smtp_client_rcpt);
    c->seen.recipients = ARENA_ARRAY(c->arena, count, struct recipient_said);
    c->seen.recipient_count = count;
    for (size_t i = 0; i < count; i++)
        c->rcpts[i].mailbox = c->seen.recipients[i].mailbox = c->want.recipients[i];
}

struct conversation *conversation_open(
    struct loop *l, struct arena *a, const struct conversation_want *want,
    void (*on_seen)(void *ctx, const struct conversation_seen *seen), void *ctx) {
    struct conversation *c = calloc(1, sizeof *c);
    MUST(c && want->recipient_count <= CONVERSATION_RECIPIENTS);
    c->loop = l;
    c->arena = a;
    c->want = *want;
    c->on_seen = on_seen;
    c->ctx = ctx;
    c->seen.step = STEP_NONE;
    c->seen.first_octet_ms = -1;
    c->log = (struct wirelog){
        .transcript = want->transcript,
        .session = want->session,
        .began = want->transcript_began,
    };
    login_begin(&c->login, a, &c->want.auth);
    copy_recipients(c);
    int64_t left = want->ends - loop_now(l);
    timer_set(l, &c->deadline, left > 0 ? left : 0, on_deadline, c);
    begin_connecting(c);
    return c;
}

void conversation_close(struct conversation **c) {
    if (*c)
        free_conversation(*c);
    *c = NULL;
}
