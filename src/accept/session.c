/* session: one SMTP connection from its first octet to its last: PROXY header, TLS, greeting, the
 * machine's questions that no transaction is needed for, time limits, the end. */
#include "accept/internal.h"
#include "base/must.h"

#include <stdlib.h>
#include <string.h>

static void begin(struct session *s);
static void note_progress(struct session *s);

/* --- events ------------------------------------------------------------------------------ */

void session_refused_event(struct session *s, const struct why *why) {
    struct event *e = event_begin("refused");
    session_event_caller(e, s->id, &s->facts);
    event_text(e, "helo", s->facts.helo);
    if (s->facts.has_sender)
        event_text(e, "from", s->facts.sender.len ? s->facts.sender : B("<>"));
    event_text(e, "to", s->facts.recipient);
    if (s->refusing)
        event_text(e, "tenant", s->refusing->tenant);
    if (s->tried.len) {
        event_text(e, "login_tried", s->tried);
        event_text(e, "mechanism", s->facts.mechanism);
    }
    event_why(e, why);
    event_text(e, "because", s->because);
    if (s->refusing)
        session_event_rules(e, s->refusing);
    s->refusing = NULL; /* the answer to a pipelined command may follow before it is over */
    event_end(e);
}

void session_refuse(struct session *s, const struct verdict *v) {
    s->refusing = v;
    smtp_server_answer(s->machine, v->rc, &v->why);
}

/* --- the end ----------------------------------------------------------------------------- */

void session_free_if_done(struct session *s) {
    if (!s->gone || s->committing)
        return;
    struct accept *a = s->accept;
    ask_cancel(s);
    login_end(s);
    transaction_reset(s);
    timer_clear(&s->timer);
    if (s->counted)
        counters_give(a->setup.counters, bytes_str(s->client_key));
    smtp_server_close(s->machine);
    tls_server_close(&s->tls);
    buf_free(&s->proxy);
    ruleset_leave(&s->rules);
    list_remove(&a->sessions, &s->node);
    struct arena *arena = s->arena;
    arena_close(&arena); /* the session lies in it */
    if (a->draining && a->sessions.count == 0 && a->on_idle) {
        void (*on_idle)(void *) = a->on_idle;
        a->on_idle = NULL;
        timer_clear(&a->drain_timer);
        on_idle(a->idle_ctx);
    }
}

/* The machine may be on the stack: the session is freed in a later turn. */
static void free_later(void *ctx) {
    session_free_if_done(ctx);
}

void session_close(struct session *s) {
    if (s->gone)
        return;
    s->gone = true;
    ask_cancel(s);
    login_end(s); /* its answer would set the timer that frees us to something else */
    if (s->stream)
        stream_close(&s->stream);
    if (!s->committing)
        timer_set(s->accept->setup.loop, &s->timer, 0, free_later, s);
}

/* --- output ------------------------------------------------------------------------------ */

void session_flush(struct session *s) {
    if (s->gone || !s->machine)
        return;
    struct buf *out = smtp_server_output(s->machine);
    if (out->len) {
        note_progress(s);
        stream_write(s->stream, buf_bytes(out));
        buf_drop(out, out->len);
    }
    if (s->closing) {
        session_close(s);
        return;
    }
    if (s->securing)
        return;
    if (smtp_server_wants_input(s->machine) && stream_pending(s->stream) < 64 * 1024)
        stream_resume(s->stream);
    else
        stream_hold(s->stream);
}

static void on_writable(void *ctx) {
    session_flush(ctx);
}

void session_end(struct session *s, const struct why *why) {
    session_refused_event(s, why);
    smtp_server_abort(s->machine, why);
    s->closing = true;
}

void session_stop(struct session *s) {
    struct why why;
    why_set(&why, TEMP, 421, "4.3.2", "limit.stopping", "This server is being stopped: try again");
    session_end(s, &why);
    session_flush(s);
}

/* --- time -------------------------------------------------------------------------------- */

/* A client that sends an octet now and then, and completes nothing, is idle too. */
static void idle(void *ctx) {
    struct session *s = ctx;
    struct loop *l = s->accept->setup.loop;
    int64_t left = s->active + s->bounds.idle_timeout - loop_now(l);
    if (left > 0) {
        timer_set(l, &s->timer, left, idle, s);
        return;
    }
    struct why why;
    why_set(&why, TEMP, 421, "4.4.2", "limit.idle", "Nothing heard for too long: closing");
    if (!s->started) {
        session_close(s);
        return;
    }
    session_end(s, &why);
    session_flush(s);
}

static void note_progress(struct session *s) {
    s->active = loop_now(s->accept->setup.loop);
    s->trickle = 0;
}

void session_idle_timer(struct session *s) {
    note_progress(s);
    if (!s->gone && !s->committing)
        timer_set(s->accept->setup.loop, &s->timer, s->bounds.idle_timeout, idle, s);
}

/* --- what the machine asks --------------------------------------------------------------- */

static bool gate(void *ctx, enum smtp_verb verb, struct why *refuse) {
    struct session *s = ctx;
    transaction_before_command(s);
    s->facts.verb = bytes_str(smtp_verb_name(verb));
    s->facts.errors = smtp_server_errors(s->machine);
    s->facts.now = loop_wall(s->accept->setup.loop);
    if (s->facts.gateway_state != FACT_KNOWN)
        ask_gateway(s);
    ask_popped(s, s->accept->scratch);
    struct verdict v;
    s->accept->setup.decide(s->rules->config, STEP_COMMAND, &s->facts, s->accept->scratch, &v);
    MUST(v.rc != MORE); /* what commands are judged by is known, or found at once */
    bool ok = v.rc == OK;
    if (!ok)
        *refuse = v.why;
    ask_forget_popped(s);
    arena_reset(s->accept->scratch);
    return ok;
}

static void helo(void *ctx, bool extended, struct bytes name) {
    (void)extended;
    struct session *s = ctx;
    struct buf b = buf_fixed(s->helo, sizeof(s->helo));
    buf_printable(&b, bytes_first(name, HELO_MAX));
    buf_text(&b);
    s->facts.helo = buf_bytes(&b);
    s->facts.helo_state = FACT_UNKNOWN;
    transaction_reset(s);
    session_offer(s);
    smtp_server_answer(s->machine, OK, NULL);
}

static void starttls(void *ctx) {
    struct session *s = ctx;
    struct why why;
    if (s->tls) {
        smtp_server_answer(s->machine, OK, NULL);
        return;
    }
    why_set(&why, PERM, 502, "5.5.1", "syntax.command", "STARTTLS is not offered here");
    smtp_server_answer(s->machine, PERM, &why);
}

static void secure_timeout(void *ctx) {
    session_close(ctx);
}

static void secure(void *ctx) {
    struct session *s = ctx;
    session_flush(s);
    if (s->gone)
        return;
    s->securing = true;
    timer_set(s->accept->setup.loop, &s->timer, SESSION_SECURE_MS, secure_timeout, s);
    stream_start_tls_server(s->stream, s->tls,
                            config_wants_certificate(s->rules->config, s->facts.listener));
}

static void flush(void *ctx) {
    session_flush(ctx);
}

static void quit(void *ctx) {
    struct session *s = ctx;
    s->closing = true;
    session_flush(s);
}

static void refused(void *ctx, const struct why *why) {
    struct session *s = ctx;
    session_refused_event(s, why);
    if (smtp_server_errors(s->machine) != SESSION_ERRORS_MAX || why->code == 421)
        return;
    struct why many;
    refusal_why(s->rules->config,
                &(struct refusal){ TEMP, 421, "4.7.0", "limit.errors",
                                   "Too many refusals in one session: closing",
                                   "See the first of them for what to change" },
                &many);
    session_end(s, &many);
}

static const struct smtp_server_driver driver = {
    .gate = gate,
    .helo = helo,
    .mail = transaction_mail,
    .rcpt = transaction_rcpt,
    .data = transaction_data,
    .content = transaction_content,
    .content_end = transaction_content_end,
    .auth = login_auth,
    .auth_response = login_response,
    .auth_cancel = login_cancel,
    .starttls = starttls,
    .secure = secure,
    .xclient = xclient_command,
    .reset = transaction_reset,
    .flush = flush,
    .quit = quit,
    .refused = refused,
};

/* What EHLO offers depends on TLS, login and client, so it is set anew whenever one changes. */
void session_offer(struct session *s) {
    struct accept *a = s->accept;
    struct smtp_offer *offer = smtp_server_offer(s->machine);
    offer->size = s->bounds.max_message_size;
    offer->rcpt_max = (uint32_t)s->bounds.max_recipients;
    offer->bare_newline_fix = s->bounds.bare_fix;
    offer->starttls = s->tls && !s->implicit && !stream_tls(s->stream);
    offer->auth = BYTES_NONE;
    if (!s->facts.login.len && !s->facts.local_door) {
        struct buf b = buf_fixed(s->offered, sizeof(s->offered));
        buf_add(&b, a->setup.mechanisms(s->rules->config, &s->facts, a->scratch));
        buf_text(&b);
        offer->auth = buf_bytes(&b);
        arena_reset(a->scratch);
    }
    if (s->facts.listener && networks_have(s->facts.listener->xclient_from, s->peer))
        offer->xclient = s->facts.listener->xclient_login ? B("NAME ADDR PORT PROTO HELO LOGIN")
                                                          : B("NAME ADDR PORT PROTO HELO");
}

/* --- input ------------------------------------------------------------------------------- */

static bool proxy_done(struct session *s, struct bytes *data) {
    enum rc rc = caller_read_proxy(&s->facts, &s->proxy, data);
    if (rc == PERM) {
        session_no_proxy_event(s->id, &s->facts);
        session_close(s);
    }
    if (rc != OK)
        return false;
    s->proxy_wanted = false;
    /* What the peer behind the proxy may do (XCLIENT) is not what the proxy may. */
    s->peer = s->facts.client_unknown ? (struct addr){ 0 } : s->facts.client;
    smtp_server_set_hostname(s->machine, arena_copy(s->arena, session_hostname(s)));
    return true;
}

static void refuse_hello(struct session *s) {
    struct why why;
    session_wrong_port_event(
        s->id, &s->facts, "A TLS handshake came where SMTP in plain text is spoken",
        "Set the client to STARTTLS on this port, or to port 465 for TLS from the start");
    refusal_why(s->rules->config,
                &(struct refusal){ TEMP, 421, "4.7.0", "tls.wrong-port",
                                   "This port begins in plain text",
                                   "Use STARTTLS here, or port 465" },
                &why);
    smtp_server_abort(s->machine, &why);
    s->closing = true;
    session_flush(s);
}

static void on_read(void *ctx, struct bytes data) {
    struct session *s = ctx;
    if (s->gone)
        return;
    if (s->proxy_wanted) {
        if (!proxy_done(s, &data) || s->gone)
            return;
        begin(s);
        if (s->gone || !data.len)
            return;
        if (s->implicit) {
            stream_tls_received(s->stream, data);
            return;
        }
    }
    if (!s->input_seen && !stream_tls(s->stream) && caller_is_client_hello(data)) {
        refuse_hello(s);
        return;
    }
    s->input_seen = true;
    s->trickle += data.len;
    if (s->trickle >= SESSION_PROGRESS)
        note_progress(s);
    smtp_server_input(s->machine, data);
    session_flush(s);
}

static void on_end(void *ctx, int error) {
    (void)error;
    session_close(ctx);
}

static void on_secured(void *ctx, enum rc rc, const struct tls_info *info, const struct why *why) {
    struct session *s = ctx;
    s->securing = false;
    if (rc != OK) {
        if (bytes_equal(bytes_str(why->reason), B("tls.wrong-port")))
            session_wrong_port_event(
                s->id, &s->facts, "Plain text came where TLS begins at once",
                "Set the client to TLS (\"SSL\") on this port, or to STARTTLS on port 587");
        session_tls_failed_event(s->id, &s->facts, why);
        session_close(s);
        return;
    }
    s->facts.tls_version = info->version;
    caller_note_certificate(&s->facts, info, s->arena);
    login_forget(s); /* RFC 3207 section 4.2: nothing from before counts */
    s->facts.helo = BYTES_NONE;
    session_idle_timer(s);
    session_offer(s);
    if (s->started) {
        smtp_server_secured(s->machine);
        session_flush(s);
    } else {
        begin(s);
    }
}

static const struct stream_handler handler = {
    .on_read = on_read,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_secured = on_secured,
};

/* --- the beginning ----------------------------------------------------------------------- */

static void greet(struct session *s, const struct verdict *v) {
    s->started = true;
    session_idle_timer(s);
    session_offer(s);
    if (v->rc == OK && s->accept->draining) {
        struct why why;
        why_set(&why, TEMP, 421, "4.3.2", "limit.stopping",
                "This server is being stopped: try again");
        smtp_server_begin(s->machine, &why);
    } else if (v->rc == OK) {
        smtp_server_begin(s->machine, NULL);
    } else {
        session_refused_event(s, &v->why);
        smtp_server_begin(s->machine, &v->why);
    }
    session_flush(s);
}

/* By its address, or by the user who hands mail in on this host. */
static void count_key(struct session *s) {
    if (!s->facts.local_door) {
        counters_client_key(s->facts.client, s->client_key);
        return;
    }
    struct buf b = buf_fixed(s->client_key, sizeof(s->client_key));
    buf_str(&b, "local/");
    buf_add(&b, s->facts.local_user);
    buf_text(&b);
}

static void refuse_crowd(struct session *s) {
    struct verdict v = { 0 };
    v.rc = why_set(&v.why, TEMP, 421, "4.7.0", "limit.connections",
                   "User %.*s hands in too many messages at the same time: wait for some to end",
                   BYTES_FMT(s->facts.local_user));
    greet(s, &v);
}

struct bytes session_hostname(const struct session *s) {
    const struct tenant *t = config_tenant_at(s->rules->config, s->facts.local);
    return config_hostname(s->rules->config, t ? t->name : BYTES_NONE);
}

/* The client is known (PROXY header read): count it, begin TLS if that comes first, then greet. */
static void begin(struct session *s) {
    struct accept *a = s->accept;
    if (!s->counted) {
        count_key(s);
        s->counted =
            counters_take(a->setup.counters, bytes_str(s->client_key), s->bounds.max_connections);
        s->facts.client_connections = s->counted ? 1 : s->bounds.max_connections + 1;
    }
    if (!s->counted && s->facts.local_door) {
        refuse_crowd(s);
        return;
    }
    if (s->implicit && !s->tls) {
        session_tls_failed_event(s->id, &s->facts, NULL);
        session_close(s);
        return;
    }
    if (s->implicit && !stream_tls(s->stream)) {
        secure(s);
        return;
    }
    ask_decision(s, STEP_CONNECT, greet);
}

void session_bounds(struct session *s) {
    const struct listener *l = s->facts.listener;
    s->bounds =
        (struct bounds){ l->max_message_size, l->max_recipients, l->max_connections_per_client,
                         l->idle_timeout, l->bare_newline == BARE_FIX };
}

static struct session *open_session(struct accept *a, struct stream *stream) {
    struct arena *arena = arena_open_for(sizeof(struct session) + SESSION_ROOM);
    struct session *s = ARENA_NEW(arena, struct session);
    s->arena = arena;
    s->accept = a;
    s->stream = stream;
    s->rules = ruleset_join(a->rules);
    s->peer = s->facts.client = stream_peer(stream);
    s->facts.local = stream_local(stream);
    s->proxy = buf_grow(SESSION_PROXY_MAX);
    id_make(a->setup.seed, ++a->counter, s->id);
    list_append(&a->sessions, &s->node);
    return s;
}

/* The session may outlive the configuration the name comes from. */
static void start(struct session *s) {
    struct bytes hostname = arena_copy(s->arena, session_hostname(s));
    s->machine = smtp_server_open(s->arena, &driver, s, hostname, bytes_str(s->id));
    stream_attach(s->stream, &handler, s);
    session_idle_timer(s);
    if (!s->proxy_wanted)
        begin(s);
}

void accept_session(struct accept *a, struct stream *stream, struct bytes name,
                    struct tls_server *tls) {
    const struct listener *l = config_listener(a->rules->config, name);
    if (!l) {
        stream_abort(&stream);
        return;
    }
    struct session *s = open_session(a, stream);
    s->facts.listener = l;
    s->tls = l->tls == TLS_OFF ? NULL : tls_server_keep(tls); /* a reload brings others */
    s->implicit = l->tls == TLS_IMPLICIT;
    session_bounds(s);
    s->proxy_wanted = networks_have(l->proxy_protocol_from, s->peer);
    start(s);
}

void accept_local(struct accept *a, struct stream *stream, struct bytes user) {
    struct session *s = open_session(a, stream);
    s->facts.local_door = true;
    s->facts.local_user = arena_copy(s->arena, user);
    /* A process of this host hands in what the listeners' defaults allow; its newlines are mended. */
    s->bounds = (struct bounds){ 25 * 1024 * 1024, 500, 50, 5 * 60 * 1000, true };
    start(s);
}
