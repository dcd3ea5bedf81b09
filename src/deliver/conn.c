/* conn: one connection to one server: connect, greeting, EHLO, TLS, login, then transactions, then
 * kept for a while. How far TLS must go is settled here, and that no login goes out without it.
 *
 * A connection that failed is dead at once and freed in the next turn: the machines that called us
 * are still on the stack. */
#include "base/must.h"
#include "deliver/fault.h"
#include "deliver/internal.h"

#include <string.h>

static void enter(struct conn *c, enum conn_phase phase) {
    c->phase = phase;
}

/* --- outcomes that name this server --------------------------------------------------------- */

static struct outcome here(const struct conn *c, enum outcome_kind kind, const char *command) {
    return (struct outcome){
        .kind = kind,
        .blast = BLAST_SESSION,
        .host = c->target.host,
        .address = c->target.address,
        .command = command,
        .tls = c->tls_text,
    };
}

/* RFC 3463 section 2: a class is all that a bare code tells. */
static struct status status_of(int code, struct status theirs) {
    if (status_is_set(theirs))
        return theirs;
    return (struct status){ .klass = code >= 500 ? 5 : code >= 400 ? 4 : 2 };
}

struct outcome conn_said(const struct conn *c, enum outcome_kind kind, enum smtp_stage stage,
                         const struct smtp_reply *reply) {
    struct outcome o = here(c, kind, smtp_stage_name(stage));
    o.code = reply->code;
    o.status = status_of(reply->code, reply->status);
    o.reply = reply->text;
    o.remote = true;
    return o;
}

struct outcome conn_fault(const struct conn *c, enum outcome_kind kind, const char *command,
                          const struct why *why) {
    struct outcome o = here(c, kind, command);
    o.status = why->status;
    o.reply = bytes_str(why->text);
    o.reason = why->reason[0] ? why->reason : NULL;
    return o;
}

/* --- the end -------------------------------------------------------------------------------- */

static void free_later(void *ctx) {
    conn_free(ctx);
}

/* From its task, or from the idle ones. */
static void detach(struct conn *c) {
    struct task *t = c->task;
    if (c->phase == CONN_IDLE)
        list_remove(&c->hop->idle, &c->idle_node);
    c->task = NULL;
    if (!t)
        return;
    t->conn = NULL;
    t->read_stale = t->reading;
}

static void stop_fetch(struct conn *c) {
    if (c->fetch)
        fetcher_cancel(c->deliver->setup.fetcher, c->fetch);
    c->fetch = 0;
}

static void die(struct conn *c) {
    detach(c);
    stop_fetch(c);
    enter(c, CONN_DEAD);
    if (c->connect)
        stream_connect_cancel(&c->connect);
    timer_set(c->deliver->setup.loop, &c->timer, 0, free_later, c);
}

void conn_abort(struct conn *c) {
    if (c->stream)
        stream_abort(&c->stream);
    die(c);
}

static void close_softly(struct conn *c) {
    if (c->stream)
        stream_close(&c->stream);
    die(c);
}

void conn_free(struct conn *c) {
    struct deliver *d = c->deliver;
    timer_clear(&c->timer);
    stop_fetch(c);
    if (c->connect)
        stream_connect_cancel(&c->connect);
    if (c->stream)
        stream_abort(&c->stream);
    if (c->client)
        smtp_client_close(c->client);
    list_remove(&d->conns, &c->node);
    counters_give(d->setup.counters, c->hop->key);
    task_wake_waiting(c->hop);
    hop_release(c->hop);
    struct arena *a = c->arena;
    arena_close(&a);
}

/* A connection kept open may have been closed by the server while nothing went over it; that says
 * nothing of the message, which is then sent on a new one at once. */
static bool was_stale(const struct conn *c) {
    return c->reused && c->phase == CONN_MAIL && !c->transaction.answered;
}

void conn_fail(struct conn *c, struct outcome *failure) {
    struct task *t = c->task;
    if (c->phase == CONN_DEAD)
        return;
    if (!t) {
        conn_abort(c);
        return;
    }
    bool stale = was_stale(c);
    if (stale) {
        for (size_t i = 0; i < c->transaction.count; i++)
            t->steps[c->transaction.positions[i]] = STEP_WAITING;
    } else {
        transaction_broken(c, failure);
    }
    struct outcome said = *failure;
    if (said.remote) /* who still talks is told that we go (RFC 5321 section 4.1.1.10) */
        conn_quit(c);
    else
        conn_abort(c);
    if (stale)
        task_connected_elsewhere(t);
    else if (!t->left)
        task_session_over(t);
    else if (said.kind == OUTCOME_FAILED) {
        task_settle_rest(t, &said);
        task_session_over(t);
    } else
        task_session_failed(t, &said);
}

void conn_fail_why(struct conn *c, const char *command, const struct why *why) {
    struct outcome o = conn_fault(c, OUTCOME_DEFERRED, command, why);
    conn_fail(c, &o);
}

static void late(struct conn *c) {
    struct why why;
    if (c->phase == CONN_IDLE) {
        conn_quit(c);
        return;
    }
    if (c->phase == CONN_QUIT) {
        conn_abort(c);
        return;
    }
    bool secure = c->phase == CONN_SECURING_FIRST || (c->phase == CONN_SECURING && !c->secured);
    const char *stage = secure ? "STARTTLS" : smtp_stage_name(smtp_client_stage(c->client));
    why_set(&why, TEMP, 0, "4.4.2", "deliver.timeout", "no answer in time (%s)", stage);
    conn_fail_why(c, stage, &why);
}

static void on_late(void *ctx) {
    struct conn *c = ctx;
    deliver_in_hand(c->deliver, c->task);
    late(c);
    deliver_in_hand(c->deliver, NULL);
}

void conn_watch(struct conn *c) {
    timer_set(c->deliver->setup.loop, &c->timer, smtp_stage_timeout(smtp_client_stage(c->client)),
              on_late, c);
}

void conn_flush(struct conn *c) {
    struct buf *out = smtp_client_output(c->client);
    if (!c->stream || !out->len)
        return;
    if (!stream_write(c->stream, buf_bytes(out)))
        c->transaction.blocked = true;
    buf_clear(out);
}

void conn_quit(struct conn *c) {
    detach(c);
    enter(c, CONN_QUIT);
    smtp_client_quit(c->client);
    conn_flush(c);
    timer_set(c->deliver->setup.loop, &c->timer, QUIT_MS, on_late, c);
}

static bool may_stay(const struct conn *c) {
    const struct smtp_peer *peer = smtp_client_peer(c->client);
    uint64_t most = peer->mail_max && peer->mail_max < MESSAGES_MAX ? peer->mail_max : MESSAGES_MAX;
    return c->messages < most && !c->hop->stale && !c->deliver->draining;
}

void conn_let_go(struct conn *c) {
    if (!may_stay(c)) {
        conn_quit(c);
        return;
    }
    detach(c);
    enter(c, CONN_IDLE);
    list_prepend(&c->hop->idle, &c->idle_node);
    timer_set(c->deliver->setup.loop, &c->timer, IDLE_MS, on_late, c);
    task_wake_waiting(c->hop);
}

/* --- TLS ------------------------------------------------------------------------------------ */

static struct tls_client *tls_of(const struct conn *c) {
    return c->hop->own_tls ? c->hop->own_tls : c->deliver->setup.tls;
}

static enum tls_policy policy_for(const struct hop *h, const struct target *target) {
    if (target->plain) /* the handshake failed, and it may do without */
        return TLS_POLICY_OFF;
    return deliver_tls_policy(&(struct deliver_tls){
        .set = h->tls,
        .login = h->has_login,
        .loopback = addr_is_loopback(target->address),
        .unix_socket = target->path.len,
        .implicit = target->implicit,
    });
}

static bool tls_is_due(const struct conn *c) {
    return !c->secured && !c->tls_refused && c->tls != TLS_POLICY_OFF && tls_of(c) &&
           smtp_client_peer(c->client)->starttls;
}

static bool tls_is_a_must(const struct conn *c) {
    return c->tls == TLS_POLICY_VERIFY || c->tls == TLS_POLICY_REQUIRE;
}

static void start_handshake(struct conn *c) {
    struct tls_want want = { .name = c->target.tls_name, .verify = c->tls == TLS_POLICY_VERIFY };
    timer_set(c->deliver->setup.loop, &c->timer, HANDSHAKE_MS, on_late, c);
    stream_start_tls_client(c->stream, tls_of(c), &want);
}

static void handshake_failed(struct conn *c, const struct why *reason) {
    struct task *t = c->task;
    struct why why;
    struct bytes text = bytes_str(reason->text), said = B("TLS handshake failed: ");
    if (bytes_starts(text, said))
        text = bytes_skip(text, said.len);
    why_set(&why, TEMP, 0, "4.7.5", "tls.handshake", "the TLS handshake failed: %.*s",
            BYTES_FMT(text));
    if (c->tls != TLS_POLICY_OPPORTUNISTIC || c->target.implicit) {
        conn_fail_why(c, "STARTTLS", &why);
        return;
    }
    struct outcome note = conn_fault(c, OUTCOME_DEFERRED, "STARTTLS", &why);
    struct target target = c->target;
    task_note(t, &note);
    targets_again_plain(t, &target);
    conn_abort(c);
}

static void secured(struct conn *c, enum rc rc, const struct tls_info *info,
                    const struct why *why) {
    if (rc != OK) {
        handshake_failed(c, why);
        return;
    }
    c->secured = true;
    c->tls_verified = info->peer_trusted;
    c->tls_text =
        arena_printf(c->arena, "%.*s %.*s %s", BYTES_FMT(info->protocol), BYTES_FMT(info->cipher),
                     info->peer_trusted ? "verified" : "unverified");
    if (c->phase == CONN_SECURING)
        smtp_client_secured(c->client);
    else
        enter(c, CONN_HELLO);
    conn_flush(c);
    conn_watch(c);
}

static void on_secured(void *ctx, enum rc rc, const struct tls_info *info, const struct why *why) {
    struct conn *c = ctx;
    deliver_in_hand(c->deliver, c->task);
    secured(c, rc, info, why);
    deliver_in_hand(c->deliver, NULL);
}

static void wipe_token(void *arg) {
    const struct conn *c = arg;
    if (c->token.len)
        explicit_bzero((void *)(uintptr_t)c->token.at, c->token.len);
}

/* --- login ---------------------------------------------------------------------------------- */

static void login_failed(struct conn *c, const struct why *why) {
    struct outcome o = conn_fault(c, OUTCOME_DEFERRED, smtp_stage_name(SMTP_STAGE_AUTH), why);
    if (o.status.klass == 5) /* retried: it is our configuration that has to change */
        o.status.klass = 4;
    o.alarm = true;
    conn_fail(c, &o);
}

static enum conn_phase begin_login(struct conn *c);

static void had_token(struct conn *c, const struct fetched *answer) {
    struct why why = answer->why;
    c->fetch = 0;
    wipe_token(c);
    if (answer->rc == OK) {
        c->token = arena_copy(c->arena, answer->body);
        arena_defer(c->arena, wipe_token, c);
        if (begin_login(c) != CONN_DEAD)
            conn_watch(c);
        return;
    }
    status_parse(B("4.7.0"), &why.status);
    if (answer->rc == PERM)
        login_failed(c, &why);
    else
        conn_fail_why(c, smtp_stage_name(SMTP_STAGE_AUTH), &why);
}

static void on_token(void *ctx, const struct fetched *answer) {
    struct conn *c = ctx;
    deliver_in_hand(c->deliver, c->task);
    had_token(c, answer);
    deliver_in_hand(c->deliver, NULL);
}

/* With the token that was refused, if one was: the fetcher then gets another. */
static enum conn_phase fetch_token(struct conn *c) {
    struct fetch what = { .kind = FETCH_LOGIN, .name = c->hop->login_route, .token = c->token };
    struct why why;
    if (!c->deliver->setup.fetcher) {
        why_set(&why, TEMP, 0, "4.7.0", "backend.fetcher", "there is nobody to fetch a token");
        conn_fail_why(c, smtp_stage_name(SMTP_STAGE_AUTH), &why);
        return CONN_DEAD;
    }
    timer_set(c->deliver->setup.loop, &c->timer, HANDSHAKE_MS, on_late, c);
    c->fetch = fetcher_ask(c->deliver->setup.fetcher, &what, on_token, c);
    return CONN_LOGIN;
}

static enum conn_phase start_login(struct conn *c) {
    const struct tls_info *tls = stream_tls(c->stream);
    struct why why;
    if (!tls || (!c->tls_verified && !addr_is_loopback(c->target.address))) {
        why_set(&why, TEMP, 0, "4.7.0", "config.login-without-tls",
                "the login was not sent, as the connection has no verified TLS");
        login_failed(c, &why);
        return CONN_DEAD;
    }
    return c->hop->login_route.len ? fetch_token(c) : begin_login(c);
}

static enum conn_phase begin_login(struct conn *c) {
    const struct tls_info *tls = stream_tls(c->stream);
    struct why why;
    struct sasl_client_setup setup = {
        .mechanisms = smtp_client_peer(c->client)->auth,
        .user = c->hop->login_user,
        .password = c->hop->login_password,
        .token = c->token,
        .port = c->target.address.port,
        .service = B("smtp"),
        .host = c->target.tls_name,
        .tls = true,
        .cb_exporter = tls->exporter,
        .cb_unique = tls->unique,
    };
    if (sasl_client_open(c->arena, &setup, &c->sasl, &why) != OK) {
        login_failed(c, &why);
        return CONN_DEAD;
    }
    struct bytes initial = BYTES_NONE;
    bool has_initial = sasl_client_initial(c->sasl, &initial);
    smtp_client_auth(c->client, sasl_client_mechanism(c->sasl), has_initial, initial);
    return CONN_LOGIN;
}

static void on_challenge(void *ctx, struct bytes challenge) {
    struct conn *c = ctx;
    struct bytes response;
    struct why why;
    if (c->phase != CONN_LOGIN)
        return;
    if (sasl_client_step(c->sasl, challenge, &response, &why) == OK)
        smtp_client_auth_response(c->client, response);
    else
        login_failed(c, &why);
}

/* A token may have become void before its time: one more is tried on this connection (on_ready). */
static bool may_renew(struct conn *c, const struct smtp_reply *reply) {
    if (reply->code < 500 || !c->token.len || c->token_renewed)
        return false;
    c->token_renewed = true;
    return true;
}

static void on_auth(struct conn *c, const struct smtp_reply *reply) {
    struct why why;
    if (may_renew(c, reply))
        return;
    if (reply->code >= 300) {
        struct outcome o = conn_said(c, OUTCOME_DEFERRED, SMTP_STAGE_AUTH, reply);
        o.alarm = reply->code >= 500;
        o.reason = "auth.smarthost";
        conn_fail(c, &o);
    } else if (sasl_client_finish(c->sasl, &why) != OK) {
        login_failed(c, &why);
    } else {
        c->logged_in = true;
    }
}

/* --- the way to the first transaction -------------------------------------------------------- */

static enum conn_phase next_step(struct conn *c) {
    struct why why;
    if (tls_is_due(c)) {
        smtp_client_starttls(c->client);
        return CONN_SECURING;
    }
    if (!c->secured && tls_is_a_must(c)) {
        why_set(&why, TEMP, 0, "4.7.4", "tls.not-offered",
                "the server does not offer the TLS that our configuration demands");
        conn_fail_why(c, "STARTTLS", &why);
        return CONN_DEAD;
    }
    if (c->hop->has_login && !c->logged_in)
        return start_login(c);
    return CONN_MAIL;
}

static void transaction_or_end(struct conn *c, bool begun) {
    struct task *t = c->task;
    if (begun)
        return;
    conn_let_go(c);
    task_session_over(t);
}

void conn_go_on(struct conn *c) {
    transaction_or_end(c, transaction_begin(c));
}

static void on_ready(void *ctx) {
    struct conn *c = ctx;
    switch (c->phase) {
    case CONN_HELLO:
    case CONN_SECURING:
    case CONN_LOGIN: {
        enum conn_phase next = next_step(c);
        if (c->phase == CONN_DEAD) /* next_step failed it */
            return;
        enter(c, next);
        if (next == CONN_MAIL)
            conn_go_on(c);
        break;
    }
    case CONN_MAIL:
        transaction_or_end(c, transaction_over(c));
        break;
    case CONN_CLEARING:
        conn_let_go(c);
        break;
    default:
        break;
    }
}

/* Every recipient has its answer, but the machine has still to clear the transaction with RSET (RFC 5321
 * section 4.1.1.5): that is the connection's business, and its task need not wait for it. */
static void let_task_go(struct conn *c) {
    struct task *t = c->task;
    if (!t || t->left || c->phase != CONN_MAIL)
        return;
    detach(c);
    c->transaction.count = 0;
    enter(c, CONN_CLEARING);
    timer_set(c->deliver->setup.loop, &c->timer, smtp_stage_timeout(SMTP_STAGE_RSET), on_late, c);
    task_session_over(t);
}

/* --- replies --------------------------------------------------------------------------------- */

/* RFC 5321 section 4.3.1: the greeting's first word is the server's name. A content filter on this
 * host may well bear our name; it was configured as a domain's own server. */
static bool greets_as_us(const struct conn *c, const struct smtp_reply *reply) {
    if (c->hop->kind != HOP_MX && c->hop->kind != HOP_ROUTE)
        return false;
    struct bytes rest = bytes_trim(reply->text), word;
    return bytes_split(&rest, ' ', &word) && hop_is_our_name(c->hop, word);
}

static void on_greeting(struct conn *c, const struct smtp_reply *reply) {
    if (!greets_as_us(c, reply))
        return;
    struct why why;
    why_set(&why, PERM, 554, "5.4.6", "loop.greeting",
            "mail loop: %.*s greets with our own name, so it is this server itself",
            BYTES_FMT(c->target.host));
    /* As a backup MX we arrive at ourselves when those before us are down. */
    bool backup = c->task->failed && c->hop->kind == HOP_MX;
    struct outcome o = conn_fault(c, backup ? OUTCOME_DEFERRED : OUTCOME_FAILED, "banner", &why);
    o.code = backup ? 0 : 554;
    o.alarm = c->hop->kind != HOP_MX;
    if (backup) {
        o.status.klass = 4;
        c->task->targets.next = c->task->targets.count;
    }
    conn_fail(c, &o);
}

static void refused_session(struct conn *c, enum smtp_stage stage, const struct smtp_reply *reply) {
    struct outcome o = conn_said(c, OUTCOME_DEFERRED, stage, reply);
    conn_fail(c, &o);
}

/* It offers CHUNKING, and does not know BDAT. What it makes of the chunk's octets is not known, so the
 * message goes on another connection, by DATA, as does all that follows. */
static void go_on_without_chunks(struct conn *c) {
    struct task *t = c->task;
    struct outcome nothing = { .kind = OUTCOME_DEFERRED };
    struct target target = c->target;
    c->hop->no_chunking = t->hop->no_chunking = true;
    transaction_broken(c, &nothing);
    conn_abort(c);
    targets_again(t, &target);
}

static void on_broken(struct conn *c, enum smtp_stage stage, const struct why *why) {
    struct why said;
    why_set(&said, TEMP, 0, "4.5.0", "deliver.protocol", "the server's reply makes no sense: %s",
            why ? why->text : "");
    conn_fail_why(c, smtp_stage_name(stage), &said);
}

static void on_stage(void *ctx, enum smtp_stage stage, size_t index, const struct smtp_reply *reply,
                     const struct why *why) {
    struct conn *c = ctx;
    if (c->phase == CONN_QUIT && (stage == SMTP_STAGE_QUIT || !reply->code))
        close_softly(c);
    c->heard = true;
    if (c->phase == CONN_CLEARING && (!reply->code || stage == SMTP_STAGE_RSET))
        conn_abort(c);
    if (!c->task)
        return;
    if (!reply->code) {
        on_broken(c, stage, why);
        return;
    }
    switch (stage) {
    case SMTP_STAGE_BANNER:
    case SMTP_STAGE_EHLO:
        if (reply->code >= 300)
            refused_session(c, stage, reply);
        else if (stage == SMTP_STAGE_BANNER)
            on_greeting(c, reply);
        break;
    case SMTP_STAGE_STARTTLS:
        c->tls_refused = reply->code >= 300;
        if (c->tls_refused && tls_is_a_must(c))
            refused_session(c, stage, reply);
        break;
    case SMTP_STAGE_AUTH:
        on_auth(c, reply);
        break;
    case SMTP_STAGE_MAIL:
    case SMTP_STAGE_RCPT:
    case SMTP_STAGE_DATA:
        if (reply->code == 421) /* it closes, whatever was asked (RFC 5321 section 3.8) */
            refused_session(c, stage, reply);
        else
            transaction_reply(c, stage, index, reply);
        let_task_go(c);
        break;
    case SMTP_STAGE_END_OF_DATA: {
        if (transaction_chunk_unknown(c, reply)) {
            go_on_without_chunks(c);
            break;
        }
        /* 421, or a refusal in the midst of the content: an answer, and the end of the session. */
        bool ends = reply->code == 421 || !c->transaction.sent_all;
        transaction_reply(c, stage, index, reply);
        if (ends)
            refused_session(c, stage, reply);
        break;
    }
    case SMTP_STAGE_RSET:
        if (reply->code >= 300)
            refused_session(c, stage, reply);
        break;
    case SMTP_STAGE_XCLIENT: /* never sent */
    case SMTP_STAGE_QUIT:
    case SMTP_STAGES:
        break;
    }
}

static void on_secure(void *ctx) {
    struct conn *c = ctx;
    if (c->phase != CONN_SECURING)
        return;
    conn_flush(c);
    start_handshake(c);
}

static void on_content(void *ctx) {
    struct conn *c = ctx;
    c->transaction.window = true;
    if (c->phase == CONN_MAIL)
        transaction_pump(c);
}

static void on_flush(void *ctx) {
    conn_flush(ctx);
}

static const struct smtp_client_driver driver = {
    .stage = on_stage,
    .ready = on_ready,
    .secure = on_secure,
    .challenge = on_challenge,
    .content = on_content,
    .flush = on_flush,
};

/* --- the stream ------------------------------------------------------------------------------ */

static void on_read(void *ctx, struct bytes data) {
    struct conn *c = ctx;
    /* Unasked words on an idle connection: a farewell. */
    if (c->phase == CONN_IDLE) {
        conn_quit(c);
        return;
    }
    c->heard = false;
    deliver_in_hand(c->deliver, c->task);
    if (c->task)
        deliver_fault(c->task->job);
    smtp_client_input(c->client, data);
    deliver_in_hand(c->deliver, NULL);
    /* Whole replies alone win time: one that trickles in is as late as none. */
    if (c->heard && c->phase >= CONN_HELLO && c->phase <= CONN_MAIL && c->task &&
        !(c->phase == CONN_SECURING && !c->secured))
        conn_watch(c);
}

static void ended(struct conn *c, int error) {
    struct why why;
    if (!c->task) {
        conn_abort(c);
        return;
    }
    if (c->phase == CONN_SECURING_FIRST || (c->phase == CONN_SECURING && !c->secured)) {
        why_set(&why, TEMP, 0, "4.4.2", "deliver.closed", "the connection was closed");
        handshake_failed(c, &why);
        return;
    }
    why_set(&why, TEMP, 0, "4.4.2", "deliver.closed",
            error ? "the connection broke: %s" : "the server closed the connection%.0s",
            error ? strerror(error) : "");
    conn_fail_why(c, smtp_stage_name(smtp_client_stage(c->client)), &why);
}

static void on_end(void *ctx, int error) {
    struct conn *c = ctx;
    deliver_in_hand(c->deliver, c->task);
    ended(c, error);
    deliver_in_hand(c->deliver, NULL);
}

static void on_writable(void *ctx) {
    struct conn *c = ctx;
    c->transaction.blocked = false;
    if (c->phase == CONN_MAIL && c->task) {
        conn_watch(c);
        deliver_in_hand(c->deliver, c->task);
        transaction_pump(c);
        deliver_in_hand(c->deliver, NULL);
    }
}

static const struct stream_handler handler = {
    .on_read = on_read,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_secured = on_secured,
};

static void on_connect(void *ctx, enum rc rc, struct stream *s, const struct why *why) {
    struct conn *c = ctx;
    c->connect = NULL;
    if (rc != OK) {
        struct outcome o = conn_fault(c, OUTCOME_DEFERRED, "connect", why);
        o.status = (struct status){ 4, 4, 1 };
        conn_fail(c, &o);
        return;
    }
    c->stream = s;
    stream_attach(s, &handler, c);
    c->client = smtp_client_open(c->arena, &driver, c,
                                 &(struct smtp_client_setup){
                                     .hostname = c->hop->hostname,
                                     .lmtp = c->hop->kind == HOP_LMTP,
                                 });
    if (c->target.implicit) {
        enter(c, CONN_SECURING_FIRST);
        start_handshake(c);
        return;
    }
    enter(c, CONN_HELLO);
    conn_flush(c);
    conn_watch(c);
}

void conn_open(struct task *t, const struct target *target) {
    struct deliver *d = t->deliver;
    struct arena *a = arena_open();
    struct conn *c = ARENA_NEW(a, struct conn);
    c->deliver = d;
    c->hop = t->hop;
    hop_use(c->hop);
    c->task = t;
    c->arena = a;
    c->target = *target;
    c->target.host = arena_copy(a, target->host);
    c->target.tls_name = arena_copy(a, target->tls_name);
    c->target.path = arena_copy(a, target->path);
    c->tls = policy_for(c->hop, target);
    t->conn = c;
    list_append(&d->conns, &c->node);
    enter(c, CONN_CONNECTING);
    struct connect_to to = {
        .remote = c->target.address,
        .path = c->target.path,
        .timeout_ms = CONNECT_MS,
    };
    /* The route's own address, where the family fits. */
    if (c->hop->source_address.family == to.remote.family)
        to.source = c->hop->source_address;
    if (target->implicit && !tls_of(c)) {
        struct why why;
        why_set(&why, TEMP, 0, "4.7.4", "tls.none", "TLS is not available here");
        conn_fail_why(c, "connect", &why);
        return;
    }
    c->connect = stream_connect(d->setup.loop, &to, on_connect, c);
}

void conn_reuse(struct conn *c, struct task *t) {
    MUST(c->phase == CONN_IDLE);
    list_remove(&c->hop->idle, &c->idle_node);
    c->task = t;
    c->reused = true;
    t->conn = c;
    enter(c, CONN_MAIL);
    c->transaction = (struct transaction){ 0 };
    conn_go_on(c);
}
