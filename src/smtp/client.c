/* client: the sending machine. This file alone knows which reply belongs to which command. Replies
 * are counted against what was sent: one that was there before its command went out, one that
 * nobody asked for, or one of a class that cannot answer the command, ends the session (code 0 and
 * a why), because from then on every reply would be taken for that of another recipient. Handlers
 * give the next state, enter() alone puts it in place; the driver's turn comes when all input has
 * been used. */
#include "smtp/client_machine.h"

#include "base/must.h"

#include <string.h>

enum {
    OUTPUT_MAX = 1 << 30, /* pieces are the driver's, so the bound is too */
    WINDOW = 64 * 1024,
    CHALLENGE_MAX = 16 * 1024,
};
enum { C2 = 1, C3 = 2, C4 = 4, C5 = 8, FINAL = C2 | C4 | C5 }; /* classes of replies */

typedef void actor(struct smtp_client *c);
typedef enum client_state replier(struct smtp_client *c, const struct smtp_reply *reply);

static actor begin_ehlo, begin_helo, begin_clear, begin_quit, begin_empty;
static actor turn_ready, turn_secure, turn_challenge, turn_content;
static replier on_banner, on_ehlo, on_helo, on_starttls, on_xclient, on_auth, on_mail, on_rcpt,
    on_data, on_content, on_end, on_empty, on_drain, on_clear, on_rset, on_quit;

static const struct {
    enum smtp_stage stage;
    unsigned classes;
    actor *begin; /* on entering: writes the command */
    replier *answer;
    actor *turn; /* calls the driver */
} states[CLIENT_STATES] = {
    [BANNER] = { SMTP_STAGE_BANNER, FINAL, NULL, on_banner, NULL },
    [EHLO] = { SMTP_STAGE_EHLO, FINAL, begin_ehlo, on_ehlo, NULL },
    [HELO] = { SMTP_STAGE_EHLO, FINAL, begin_helo, on_helo, NULL },
    [READY] = { SMTP_STAGE_RSET, 0, NULL, NULL, turn_ready },
    [HALTED] = { SMTP_STAGE_QUIT, 0, NULL, NULL, NULL },
    [STARTTLS] = { SMTP_STAGE_STARTTLS, FINAL, NULL, on_starttls, NULL },
    [XCLIENT] = { SMTP_STAGE_XCLIENT, FINAL, NULL, on_xclient, NULL },
    [SECURING] = { SMTP_STAGE_STARTTLS, 0, NULL, NULL, turn_secure },
    [AUTH] = { SMTP_STAGE_AUTH, FINAL | C3, NULL, on_auth, NULL },
    [CHALLENGED] = { SMTP_STAGE_AUTH, 0, NULL, NULL, turn_challenge },
    [MAIL] = { SMTP_STAGE_MAIL, FINAL, NULL, on_mail, NULL },
    [RCPT] = { SMTP_STAGE_RCPT, FINAL, NULL, on_rcpt, NULL },
    [DATA] = { SMTP_STAGE_DATA, C3 | C4 | C5, NULL, on_data, NULL },
    [CONTENT] = { SMTP_STAGE_END_OF_DATA, FINAL, NULL, on_content, turn_content },
    [END] = { SMTP_STAGE_END_OF_DATA, FINAL, NULL, on_end, NULL },
    [EMPTY] = { SMTP_STAGE_RSET, FINAL, begin_empty, on_empty, NULL },
    [DRAIN] = { SMTP_STAGE_RSET, FINAL, NULL, on_drain, NULL },
    [CLEAR] = { SMTP_STAGE_RSET, FINAL, begin_clear, on_clear, NULL },
    [RSET] = { SMTP_STAGE_RSET, FINAL, NULL, on_rset, NULL },
    [QUIT] = { SMTP_STAGE_QUIT, FINAL | C3, begin_quit, on_quit, NULL },
    [OVER] = { SMTP_STAGE_QUIT, 0, NULL, NULL, NULL },
};

static const struct {
    const char *name;
    int64_t timeout; /* seconds */
} stages[SMTP_STAGES] = {
    [SMTP_STAGE_BANNER] = { "banner", 300 },
    [SMTP_STAGE_EHLO] = { "EHLO", 300 },
    [SMTP_STAGE_STARTTLS] = { "STARTTLS", 120 },
    [SMTP_STAGE_AUTH] = { "AUTH", 180 },
    [SMTP_STAGE_XCLIENT] = { "XCLIENT", 300 },
    [SMTP_STAGE_MAIL] = { "MAIL", 300 },
    [SMTP_STAGE_RCPT] = { "RCPT", 300 },
    [SMTP_STAGE_DATA] = { "DATA", 120 },
    [SMTP_STAGE_END_OF_DATA] = { "end of data", 600 },
    [SMTP_STAGE_RSET] = { "RSET", 20 }, /* a dead connection is found sooner by opening another */
    [SMTP_STAGE_QUIT] = { "QUIT", 5 },  /* nobody waits for it */
};

const char *smtp_stage_name(enum smtp_stage s) {
    MUST(s < SMTP_STAGES);
    return stages[s].name;
}

int64_t smtp_stage_timeout(enum smtp_stage s) {
    MUST(s < SMTP_STAGES);
    return stages[s].timeout * 1000;
}

/* Nothing leaves OVER. */
static void enter(struct smtp_client *c, enum client_state to) {
    if (c->state == OVER || c->state == to)
        return;
    c->state = to;
    c->turn = true;
    if (states[to].begin)
        states[to].begin(c);
}

static bool is_positive(const struct smtp_reply *reply) {
    return reply->code / 100 == 2;
}

/* n more replies are due. A part of one that is here already cannot be an answer. */
static void expect(struct smtp_client *c, size_t n) {
    if (c->owed == 0 && smtp_reply_partial(c->reader))
        c->early = true;
    c->owed += n;
}

/* The driver may close the client in here: callers touch it no more. */
static void report(struct smtp_client *c, enum smtp_stage stage, size_t index,
                   const struct smtp_reply *reply) {
    c->driver->stage(c->ctx, stage, index, reply, NULL);
}

/* --- before any mail ------------------------------------------------------------------------ */

static enum client_state on_banner(struct smtp_client *c, const struct smtp_reply *reply) {
    report(c, SMTP_STAGE_BANNER, 0, reply);
    return is_positive(reply) ? EHLO : HALTED;
}

static void begin_ehlo(struct smtp_client *c) {
    client_write_ehlo(c, c->lmtp ? "LHLO" : "EHLO");
    expect(c, 1);
}

/* 521: this host takes no mail (RFC 7504), whatever it is asked. */
static enum client_state on_ehlo(struct smtp_client *c, const struct smtp_reply *reply) {
    if (reply->code / 100 == 5 && reply->code != 521 && !c->lmtp)
        return HELO;
    if (is_positive(reply))
        client_read_peer(c, reply, true);
    report(c, SMTP_STAGE_EHLO, 0, reply);
    return is_positive(reply) ? READY : HALTED;
}

static void begin_helo(struct smtp_client *c) {
    client_write_ehlo(c, "HELO");
    expect(c, 1);
}

static enum client_state on_helo(struct smtp_client *c, const struct smtp_reply *reply) {
    if (is_positive(reply))
        client_read_peer(c, reply, false);
    report(c, SMTP_STAGE_EHLO, 0, reply);
    return is_positive(reply) ? READY : HALTED;
}

static enum client_state on_starttls(struct smtp_client *c, const struct smtp_reply *reply) {
    report(c, SMTP_STAGE_STARTTLS, 0, reply);
    return is_positive(reply) ? SECURING : READY;
}

/* The session begins anew, but for its greeting. */
static enum client_state on_xclient(struct smtp_client *c, const struct smtp_reply *reply) {
    if (is_positive(reply))
        c->peer = (struct smtp_peer){ 0 };
    report(c, SMTP_STAGE_XCLIENT, 0, reply);
    return is_positive(reply) ? EHLO : READY;
}

static void turn_ready(struct smtp_client *c) {
    c->driver->ready(c->ctx);
}

static void turn_secure(struct smtp_client *c) {
    c->driver->secure(c->ctx);
}

/* --- AUTH ----------------------------------------------------------------------------------- */

static void wipe(struct buf *b) {
    if (b->at)
        explicit_bzero(b->at, b->cap);
    buf_free(b);
}

/* A challenge that is not base64 is given as empty: where it says nothing anyway (PLAIN, LOGIN)
 * some servers write words, and where it matters the mechanism will not accept it. */
static enum client_state on_auth(struct smtp_client *c, const struct smtp_reply *reply) {
    if (reply->code / 100 != 3) {
        wipe(&c->initial);
        report(c, SMTP_STAGE_AUTH, 0, reply);
        return READY;
    }
    if (c->initial.len) {
        client_write_base64(c, buf_bytes(&c->initial));
        wipe(&c->initial);
        expect(c, 1);
        return AUTH;
    }
    buf_clear(&c->challenge);
    buf_unbase64(&c->challenge, reply->text);
    return CHALLENGED;
}

static void turn_challenge(struct smtp_client *c) {
    c->driver->challenge(c->ctx, buf_bytes(&c->challenge));
}

/* --- the transaction ------------------------------------------------------------------------ */

static void write_rcpt(struct smtp_client *c, size_t index) {
    client_write_rcpt(c, index);
    expect(c, 1);
}

static void write_data(struct smtp_client *c) {
    buf_str(&c->output, "DATA\r\n");
    expect(c, 1);
}

/* RFC 2920 section 3.1: MAIL, all RCPT and DATA in one group. BDAT, which needs no leave to begin,
 * waits until it is known that somebody takes the message. */
static void write_transaction(struct smtp_client *c) {
    client_write_mail(c);
    expect(c, 1);
    if (!c->pipelined)
        return;
    for (size_t i = 0; i < c->mail.count; i++)
        write_rcpt(c, i);
    if (!c->chunked && !c->mail.probe)
        write_data(c);
}

static enum client_state on_mail(struct smtp_client *c, const struct smtp_reply *reply) {
    bool pipelined = c->pipelined, taken = is_positive(reply);
    c->mail_refused = !taken;
    if (taken && !pipelined && c->mail.count)
        write_rcpt(c, 0);
    bool alone = !c->mail.count;
    report(c, SMTP_STAGE_MAIL, 0, reply);
    if (alone)
        return taken ? CLEAR : READY;
    return taken || pipelined ? RCPT : READY;
}

/* All recipients are answered. */
static enum client_state behind_recipients(struct smtp_client *c) {
    if (c->mail.probe)
        return CLEAR;
    if (c->pipelined && !c->chunked)
        return DATA;
    if (c->accepted == 0)
        return CLEAR;
    if (c->chunked)
        return CONTENT;
    write_data(c);
    return DATA;
}

/* Behind a refused MAIL the replies are read, and say nothing. */
static enum client_state on_rcpt(struct smtp_client *c, const struct smtp_reply *reply) {
    size_t index = c->index++;
    if (is_positive(reply) && !c->mail_refused) {
        c->taken.at[index] = 1;
        c->accepted++;
    }
    bool more = c->index < c->mail.count;
    if (more && !c->pipelined)
        write_rcpt(c, c->index);
    enum client_state next = more ? RCPT : behind_recipients(c);
    if (!c->mail_refused)
        report(c, SMTP_STAGE_RCPT, index, reply);
    return next;
}

/* RFC 2920 section 3.1: 354 may come though nobody was taken; then a lone dot ends it. */
static enum client_state on_data(struct smtp_client *c, const struct smtp_reply *reply) {
    if (reply->code / 100 == 3)
        return c->accepted ? CONTENT : EMPTY;
    if (c->accepted)
        report(c, SMTP_STAGE_DATA, 0, reply);
    return CLEAR;
}

static void begin_empty(struct smtp_client *c) {
    buf_str(&c->output, ".\r\n");
    expect(c, 1);
}

static enum client_state on_empty(struct smtp_client *c, const struct smtp_reply *reply) {
    (void)c, (void)reply;
    return CLEAR;
}

/* --- content -------------------------------------------------------------------------------- */

/* The first recipient from `index` on that was taken. */
static size_t next_taken(const struct smtp_client *c, size_t index) {
    while (index < c->mail.count && !c->taken.at[index])
        index++;
    return index;
}

static void turn_content(struct smtp_client *c) {
    c->driver->content(c->ctx);
}

static void write_content(struct smtp_client *c, struct bytes piece, bool last) {
    buf_room(&c->output, piece.len + piece.len / 64 + 8); /* what it most likely takes, at once */
    smtp_data_out(&c->data, piece, &c->output);
    if (last) {
        smtp_data_out_finish(&c->data, &c->output);
        expect(c, c->lmtp ? c->accepted : 1);
    }
}

/* A chunk before the last one was answered. */
static enum client_state on_content(struct smtp_client *c, const struct smtp_reply *reply) {
    c->chunks_taken |= is_positive(reply);
    if (is_positive(reply))
        return c->state;
    enum client_state next = c->owed ? DRAIN : CLEAR;
    report(c, SMTP_STAGE_END_OF_DATA, 0, reply);
    return next;
}

static enum client_state on_end(struct smtp_client *c, const struct smtp_reply *reply) {
    if (c->chunked && c->owed)
        return on_content(c, reply);
    size_t index = c->lmtp ? c->index : 0;
    c->index = next_taken(c, c->index + 1);
    enum client_state next = c->owed ? END : READY;
    report(c, SMTP_STAGE_END_OF_DATA, index, reply);
    return next;
}

static enum client_state on_drain(struct smtp_client *c, const struct smtp_reply *reply) {
    (void)reply;
    return c->owed ? DRAIN : CLEAR;
}

/* --- RSET and QUIT --------------------------------------------------------------------------- */

static void begin_clear(struct smtp_client *c) {
    buf_str(&c->output, "RSET\r\n");
    expect(c, 1);
}

static enum client_state on_clear(struct smtp_client *c, const struct smtp_reply *reply) {
    return is_positive(reply) ? READY : on_rset(c, reply);
}

static enum client_state on_rset(struct smtp_client *c, const struct smtp_reply *reply) {
    report(c, SMTP_STAGE_RSET, 0, reply);
    return is_positive(reply) ? READY : HALTED;
}

static void begin_quit(struct smtp_client *c) {
    buf_str(&c->output, "QUIT\r\n");
    expect(c, 1);
}

static enum client_state on_quit(struct smtp_client *c, const struct smtp_reply *reply) {
    if (c->owed)
        return QUIT;
    report(c, SMTP_STAGE_QUIT, 0, reply);
    return OVER;
}

/* --- replies --------------------------------------------------------------------------------- */

static size_t report_index(const struct smtp_client *c) {
    if (c->lmtp && c->state == CONTENT)
        return next_taken(c, 0);
    return c->state == RCPT || (c->lmtp && c->state == END) ? c->index : 0;
}

/* The last call: the session is of no further use. */
static void give_up(struct smtp_client *c, const struct smtp_reply *reply, const struct why *why) {
    enum smtp_stage stage = states[c->state].stage;
    size_t index = report_index(c);
    enter(c, OVER);
    c->driver->stage(c->ctx, stage, index, reply, why);
}

static void nonsense(struct smtp_client *c, const struct why *why) {
    struct smtp_reply none = { 0 };
    give_up(c, &none, why);
}

static void out_of_step(struct smtp_client *c) {
    struct why why;
    why_set(&why, TEMP, 451, "4.5.0", "remote.protocol",
            "The other server answered at %s before it was asked",
            stages[states[c->state].stage].name);
    nonsense(c, &why);
}

/* Nothing was asked: a 421 on the way out is heard, and so is a refusal in the midst of content. */
static void unasked(struct smtp_client *c, const struct smtp_reply *reply) {
    if (c->state == HALTED)
        return;
    bool refusal = c->state == CONTENT && !c->lmtp && reply->code >= 400;
    if (reply->code == 421 || refusal)
        give_up(c, reply, NULL);
    else
        out_of_step(c);
}

static void wrong_class(struct smtp_client *c, const struct smtp_reply *reply) {
    char shown[120];
    struct buf b = buf_fixed(shown, sizeof shown);
    struct why why;
    buf_printable(&b, bytes_first(reply->text, sizeof shown - 1));
    why_set(&why, TEMP, 451, "4.5.0", "remote.protocol",
            "The other server answered %d to %s, which cannot be: %s", reply->code,
            stages[states[c->state].stage].name, buf_text(&b));
    nonsense(c, &why);
}

static void asked(struct smtp_client *c, const struct smtp_reply *reply, const bool *gone) {
    enum client_state was = c->state;
    if (reply->code == 421) {
        give_up(c, reply, NULL);
        return;
    }
    if (!(states[was].classes & 1u << (reply->code / 100 - 2))) {
        wrong_class(c, reply);
        return;
    }
    enum client_state next = states[was].answer(c, reply);
    if (!*gone && c->state == was)
        enter(c, next);
}

/* What is owed at the beginning is all that this input can answer: commands written meanwhile have
 * not left yet. */
static void read_replies(struct smtp_client *c, struct bytes data, const bool *gone) {
    size_t due = c->owed;
    bool nothing_due = due == 0;
    while (data.len && c->state != OVER) {
        struct smtp_reply reply;
        struct why why;
        size_t used;
        if (due == 0 && !nothing_due) {
            out_of_step(c);
            return;
        }
        enum rc rc = smtp_reply_read(c->reader, data, &used, &reply, &why);
        data = bytes_skip(data, used);
        if (rc == PERM)
            nonsense(c, &why);
        if (rc != OK)
            return;
        if (nothing_due) {
            unasked(c, &reply);
        } else {
            due--;
            c->owed--;
            asked(c, &reply, gone);
        }
        if (*gone)
            return;
    }
}

/* --- the run --------------------------------------------------------------------------------- */

static bool window_open(const struct smtp_client *c) {
    if (c->state != CONTENT)
        return true;
    bool in_step = !c->chunked || (c->pipelined && c->chunks_taken) || c->owed == 0;
    return in_step && c->output.len < WINDOW;
}

static bool turn_due(const struct smtp_client *c) {
    return c->turn && states[c->state].turn && window_open(c);
}

static void flush(struct smtp_client *c, const bool *gone) {
    c->driver->flush(c->ctx);
    if (*gone || c->output.len)
        return;
    if (c->wipe)
        wipe(&c->output);
    c->wipe = false;
    buf_free(&c->output);
}

/* The driver's turns, as long as it does something with them, then what there is to send. */
static void take_turns(struct smtp_client *c, const bool *gone) {
    for (;;) {
        if (c->early && c->state != OVER) {
            out_of_step(c);
            return;
        }
        if (turn_due(c)) {
            c->turn = false;
            states[c->state].turn(c);
        } else if (c->output.len && c->state != OVER) {
            flush(c, gone);
            if (*gone || !turn_due(c))
                return;
        } else {
            return;
        }
        if (*gone)
            return;
    }
}

static void run(struct smtp_client *c, struct bytes data) {
    bool gone = false;
    if (c->running)
        return;
    c->running = true;
    c->gone = &gone;
    read_replies(c, data, &gone);
    if (!gone)
        take_turns(c, &gone);
    if (gone)
        return;
    c->running = false;
    c->gone = NULL;
}

/* --- the door -------------------------------------------------------------------------------- */

struct smtp_client *smtp_client_open(struct arena *a, const struct smtp_client_driver *driver,
                                     void *ctx, const struct smtp_client_setup *setup) {
    struct smtp_client *c = ARENA_NEW(a, struct smtp_client);
    c->driver = driver;
    c->ctx = ctx;
    c->arena = a;
    c->hostname = arena_copy(a, setup->hostname);
    c->lmtp = setup->lmtp;
    c->no_pipelining = setup->no_pipelining;
    c->no_chunking = setup->no_chunking;
    c->reader = smtp_reply_reader_open(a);
    c->output = buf_grow(OUTPUT_MAX);
    c->challenge = buf_grow(CHALLENGE_MAX);
    c->initial = buf_grow(CHALLENGE_MAX);
    c->taken = buf_grow(OUTPUT_MAX);
    c->owed = 1; /* the banner */
    return c;
}

void smtp_client_input(struct smtp_client *c, struct bytes data) {
    MUST(!c->running);
    if (c->state != OVER)
        run(c, data);
}

struct buf *smtp_client_output(struct smtp_client *c) {
    return &c->output;
}

enum smtp_stage smtp_client_stage(const struct smtp_client *c) {
    return states[c->state].stage;
}

const struct smtp_peer *smtp_client_peer(const struct smtp_client *c) {
    return &c->peer;
}

void smtp_client_starttls(struct smtp_client *c) {
    MUST(c->state == READY);
    buf_str(&c->output, "STARTTLS\r\n");
    expect(c, 1);
    enter(c, STARTTLS);
    run(c, BYTES_NONE);
}

/* RFC 3207 section 4.2: what was said before TLS is forgotten. */
void smtp_client_secured(struct smtp_client *c) {
    if (c->state == OVER)
        return;
    MUST(c->state == SECURING);
    c->peer = (struct smtp_peer){ 0 };
    enter(c, EHLO);
    run(c, BYTES_NONE);
}

void smtp_client_xclient(struct smtp_client *c, struct bytes attributes) {
    MUST(c->state == READY);
    client_write_xclient(c, attributes);
    expect(c, 1);
    enter(c, XCLIENT);
    run(c, BYTES_NONE);
}

void smtp_client_auth(struct smtp_client *c, struct bytes mechanism, bool has_initial,
                      struct bytes initial) {
    MUST(c->state == READY);
    c->wipe = true;
    if (!client_write_auth(c, mechanism, has_initial, initial))
        buf_add(&c->initial, initial);
    expect(c, 1);
    enter(c, AUTH);
    run(c, BYTES_NONE);
}

void smtp_client_auth_response(struct smtp_client *c, struct bytes response) {
    if (c->state == OVER)
        return;
    MUST(c->state == CHALLENGED);
    c->wipe = true;
    client_write_base64(c, response);
    expect(c, 1);
    enter(c, AUTH);
    run(c, BYTES_NONE);
}

void smtp_client_auth_cancel(struct smtp_client *c) {
    if (c->state == OVER)
        return;
    MUST(c->state == CHALLENGED);
    buf_str(&c->output, "*\r\n");
    expect(c, 1);
    enter(c, AUTH);
    run(c, BYTES_NONE);
}

void smtp_client_mail(struct smtp_client *c, const struct smtp_client_mail *mail) {
    MUST(c->state == READY && (mail->count > 0 || mail->probe));
    c->mail = *mail;
    c->index = c->accepted = 0;
    c->mail_refused = c->held_cr = false;
    c->data = (struct smtp_data_out){ 0 };
    c->pipelined = c->peer.pipelining && !c->no_pipelining;
    c->chunked = c->peer.chunking && !c->no_chunking && !c->lmtp && !mail->whole;
    buf_clear(&c->taken);
    if (mail->count)
        memset(buf_room(&c->taken, mail->count), 0, mail->count);
    write_transaction(c);
    enter(c, MAIL);
    run(c, BYTES_NONE);
}

enum smtp_content smtp_client_content_goes(const struct smtp_client *c) {
    if (!c->chunked)
        return SMTP_CONTENT_DATA;
    return c->chunks_taken ? SMTP_CONTENT_CHUNKS : SMTP_CONTENT_FIRST_CHUNK;
}

void smtp_client_content(struct smtp_client *c, struct bytes piece, bool last) {
    if (c->state != CONTENT)
        return;
    if (!c->chunked)
        write_content(c, piece, last);
    else if (client_write_chunk(c, piece, last))
        expect(c, 1);
    c->turn = true;
    if (last) {
        c->index = next_taken(c, 0);
        enter(c, END);
    }
    run(c, BYTES_NONE);
}

void smtp_client_rset(struct smtp_client *c) {
    MUST(c->state == READY);
    begin_clear(c);
    enter(c, RSET);
    run(c, BYTES_NONE);
}

/* In the midst of content, AUTH or the handshake no command can be given. */
void smtp_client_quit(struct smtp_client *c) {
    bool midst =
        (c->state == CONTENT && !c->chunked) || c->state == CHALLENGED || c->state == SECURING;
    enter(c, midst ? OVER : QUIT);
    run(c, BYTES_NONE);
}

void smtp_client_close(struct smtp_client *c) {
    if (!c)
        return;
    if (c->gone)
        *c->gone = true;
    wipe(&c->output);
    wipe(&c->initial);
    buf_free(&c->challenge);
    buf_free(&c->taken);
    smtp_reply_reader_free(c->reader);
}
