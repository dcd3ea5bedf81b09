/* session: one POP3 connection from its first octet to its last: PROXY header, TLS, greeting, time
 * limits, the end. */
#include "retrieve/internal.h"

#include "base/must.h"

static void begin(struct reader *s);
static void note_progress(struct reader *s);

/* --- events ------------------------------------------------------------------------------ */

void reader_refused_event(struct reader *s, const struct why *why) {
    struct event *e = event_begin("refused");
    session_event_caller(e, s->id, &s->facts);
    if (s->tried.len) {
        event_text(e, "login_tried", s->tried);
        event_text(e, "mechanism", s->facts.mechanism);
    }
    event_why(e, why);
    event_text(e, "because", s->because);
    if (s->refusing)
        session_event_rules(e, s->refusing);
    s->refusing = NULL;
    event_end(e);
}

void reader_refuse(struct reader *s, const struct verdict *v) {
    s->refusing = v;
    pop3_server_answer(s->machine, v->rc, &v->why);
    s->refusing = NULL;
}

/* --- the end ----------------------------------------------------------------------------- */

static void cancel_services(struct reader *s) {
    reader_auth_end(s);
    if (s->looking_up)
        directory_cancel(s->stage->setup.directory, s);
    s->looking_up = false;
    mailbox_end(s);
}

void reader_free(struct reader *s) {
    struct retrieve *r = s->stage;
    cancel_services(s);
    timer_clear(&s->timer);
    if (s->counted)
        counters_give(r->setup.counters, bytes_str(s->client_key));
    pop3_server_close(s->machine);
    tls_server_close(&s->tls);
    buf_free(&s->proxy);
    ruleset_leave(&s->rules);
    list_remove(&r->sessions, &s->node);
    struct arena *arena = s->arena;
    arena_close(&arena); /* the session lies in it */
    if (r->draining && r->sessions.count == 0 && r->on_idle) {
        void (*on_idle)(void *) = r->on_idle;
        r->on_idle = NULL;
        timer_clear(&r->drain_timer);
        on_idle(r->idle_ctx);
    }
}

static void free_later(void *ctx) {
    reader_free(ctx);
}

/* The machine may be on the stack: the session is freed in a later turn. */
void reader_close(struct reader *s) {
    if (s->gone)
        return;
    s->gone = true;
    cancel_services(s);
    if (s->stream)
        stream_close(&s->stream);
    timer_set(s->stage->setup.loop, &s->timer, 0, free_later, s);
}

/* --- output ------------------------------------------------------------------------------ */

static void write_out(struct reader *s) {
    struct buf *out = pop3_server_output(s->machine);
    if (s->gone || !out->len)
        return;
    note_progress(s);
    bool room = stream_write(s->stream, buf_bytes(out));
    buf_drop(out, out->len);
    if (!room)
        pop3_server_hold(s->machine, true);
}

static void flush(void *ctx) {
    write_out(ctx);
}

/* Nothing may be said within a message or a list; the machine knows. */
void reader_end(struct reader *s, const struct why *why) {
    reader_refused_event(s, why);
    pop3_server_abort(s->machine, why);
    s->closing = true;
}

bool reader_is_busy(const struct reader *s) {
    return s->reading || s->updating;
}

static void end_when_stopping(struct reader *s) {
    struct why why;
    if (!s->stage->draining || !s->started || s->closing || reader_is_busy(s))
        return;
    why_set(&why, TEMP, 421, "4.3.2", "limit.stopping", "This server is being stopped: try again");
    reader_end(s, &why);
}

void reader_pump(struct reader *s) {
    if (s->gone)
        return;
    end_when_stopping(s);
    write_out(s);
    if (s->closing) {
        reader_close(s);
        return;
    }
    if (s->securing)
        return;
    if (pop3_server_wants_input(s->machine))
        stream_resume(s->stream);
    else
        stream_hold(s->stream);
}

static void on_writable(void *ctx) {
    struct reader *s = ctx;
    if (s->gone)
        return;
    note_progress(s);
    pop3_server_hold(s->machine, false);
    reader_pump(s);
}

/* --- time -------------------------------------------------------------------------------- */

/* RFC 1939 section 3: the connection is closed without a word, and nothing is removed. A client that
 * sends an octet now and then, and completes nothing, is idle too. */
static void idle(void *ctx) {
    struct reader *s = ctx;
    struct loop *l = s->stage->setup.loop;
    int64_t left = s->active + s->facts.listener->idle_timeout - loop_now(l);
    if (left > 0) {
        timer_set(l, &s->timer, left, idle, s);
        return;
    }
    struct why why;
    why_set(&why, TEMP, 421, "4.4.2", "limit.idle", "Nothing heard for too long: closing");
    if (s->started)
        reader_refused_event(s, &why);
    reader_close(s);
}

static void note_progress(struct reader *s) {
    s->active = loop_now(s->stage->setup.loop);
    s->trickle = 0;
}

void reader_idle_timer(struct reader *s) {
    note_progress(s);
    if (!s->gone)
        timer_set(s->stage->setup.loop, &s->timer, s->facts.listener->idle_timeout, idle, s);
}

/* --- what the machine asks --------------------------------------------------------------- */

static bool ask(struct reader *s, enum decide_step step, struct why *refuse) {
    struct verdict v;
    s->facts.now = loop_wall(s->stage->setup.loop);
    s->stage->setup.decide(s->rules->config, step, &s->facts, s->stage->scratch, &v);
    bool ok = v.rc == OK || v.rc == MORE;
    if (!ok)
        *refuse = v.why;
    arena_reset(s->stage->scratch);
    return ok;
}

static bool gate(void *ctx, enum pop3_verb verb, struct why *refuse) {
    struct reader *s = ctx;
    s->facts.verb = bytes_str(pop3_verb_name(verb));
    s->facts.errors = pop3_server_errors(s->machine);
    if (!ask(s, STEP_COMMAND, refuse))
        return false;
    bool sends_password = verb == POP3_USER || verb == POP3_PASS;
    return !sends_password || pop3_server_logged_in(s->machine) ||
           reader_may_send_password(s, refuse);
}

bool reader_may_send_password(struct reader *s, struct why *refuse) {
    s->facts.mechanism = B("PLAIN");
    return ask(s, STEP_AUTH, refuse);
}

static void stls(void *ctx) {
    struct reader *s = ctx;
    struct why why;
    if (s->tls) {
        pop3_server_answer(s->machine, OK, NULL);
        return;
    }
    why_set(&why, PERM, 502, "5.5.1", "tls.not-here", "STLS is not offered here");
    pop3_server_answer(s->machine, PERM, &why);
}

static void secure_timeout(void *ctx) {
    reader_close(ctx);
}

static void secure(void *ctx) {
    struct reader *s = ctx;
    write_out(s);
    if (s->gone)
        return;
    s->securing = true;
    timer_set(s->stage->setup.loop, &s->timer, SESSION_SECURE_MS, secure_timeout, s);
    stream_start_tls_server(s->stream, s->tls,
                            config_wants_certificate(s->rules->config, s->facts.listener));
}

static void quit(void *ctx) {
    struct reader *s = ctx;
    s->closing = true;
    write_out(s);
    reader_close(s);
}

static void refused(void *ctx, const struct why *why) {
    struct reader *s = ctx;
    reader_refused_event(s, why);
    if (pop3_server_errors(s->machine) != SESSION_ERRORS_MAX || why->code == 421)
        return;
    struct why many;
    refusal_why(s->rules->config,
                &(struct refusal){ TEMP, 421, "4.7.0", "limit.errors",
                                   "Too many refusals in one session: closing",
                                   "See the first of them for what to change" },
                &many);
    reader_end(s, &many);
}

static const struct pop3_server_driver driver = {
    .gate = gate,
    .login = reader_password,
    .auth = reader_auth,
    .auth_response = reader_response,
    .auth_cancel = reader_cancel,
    .maildrop = mailbox_open,
    .size = mailbox_size,
    .uid = mailbox_uid,
    .retrieve = mailbox_retrieve,
    .read = mailbox_read,
    .content_end = mailbox_content_end,
    .update = mailbox_update,
    .stls = stls,
    .secure = secure,
    .flush = flush,
    .quit = quit,
    .refused = refused,
};

static bool has_word(struct bytes list, struct bytes word) {
    struct bytes one;
    while (bytes_split(&list, ' ', &one))
        if (bytes_equal(one, word))
            return true;
    return false;
}

/* What CAPA offers depends on TLS, so it is set anew when that changes. */
void reader_offer(struct reader *s) {
    struct retrieve *r = s->stage;
    struct pop3_offer *offer = pop3_server_offer(s->machine);
    struct buf b = buf_fixed(s->offered, sizeof s->offered);
    buf_add(&b, r->setup.mechanisms(s->rules->config, &s->facts, r->scratch));
    arena_reset(r->scratch);
    offer->stls = s->tls && !s->implicit;
    offer->auth = buf_bytes(&b);
    offer->user = has_word(offer->auth, B("PLAIN"));
    offer->implementation = B("Postern");
}

/* --- input ------------------------------------------------------------------------------- */

static bool proxy_done(struct reader *s, struct bytes *data) {
    enum rc rc = caller_read_proxy(&s->facts, &s->proxy, data);
    if (rc == PERM) {
        session_no_proxy_event(s->id, &s->facts);
        reader_close(s);
    }
    s->proxy_wanted = rc != OK;
    return rc == OK;
}

static void refuse_hello(struct reader *s) {
    struct why why;
    session_wrong_port_event(
        s->id, &s->facts, "A TLS handshake came where POP3 in plain text is spoken",
        "Set the client to STARTTLS on this port, or to port 995 for TLS from the start");
    refusal_why(s->rules->config,
                &(struct refusal){ TEMP, 421, "4.7.0", "tls.wrong-port",
                                   "This port begins in plain text", "Use STLS here, or port 995" },
                &why);
    pop3_server_abort(s->machine, &why);
    s->closing = true;
    reader_pump(s);
}

/* What stands behind a PROXY header. True when there is nothing (more) to be read as POP3. */
static bool behind_proxy(struct reader *s, struct bytes *data) {
    if (!proxy_done(s, data) || s->gone)
        return true;
    begin(s);
    if (s->gone || !data->len)
        return true;
    if (s->implicit)
        stream_tls_received(s->stream, *data);
    return s->implicit;
}

static void on_read(void *ctx, struct bytes data) {
    struct reader *s = ctx;
    if (s->gone || (s->proxy_wanted && behind_proxy(s, &data)))
        return;
    if (!s->input_seen && !stream_tls(s->stream) && caller_is_client_hello(data)) {
        refuse_hello(s);
        return;
    }
    s->input_seen = true;
    s->trickle += data.len;
    if (s->trickle >= SESSION_PROGRESS)
        note_progress(s);
    pop3_server_input(s->machine, data);
    reader_pump(s);
}

static void on_end(void *ctx, int error) {
    (void)error;
    reader_close(ctx);
}

static void tls_failed(struct reader *s, const struct why *why) {
    if (bytes_equal(bytes_str(why->reason), B("tls.wrong-port")))
        session_wrong_port_event(
            s->id, &s->facts, "Plain text came where TLS begins at once",
            "Set the client to TLS (\"SSL\") on this port, or to STARTTLS on port 110");
    session_tls_failed_event(s->id, &s->facts, why);
    reader_close(s);
}

static void on_secured(void *ctx, enum rc rc, const struct tls_info *info, const struct why *why) {
    struct reader *s = ctx;
    s->securing = false;
    if (rc != OK) {
        tls_failed(s, why);
        return;
    }
    s->facts.tls_version = info->version;
    caller_note_certificate(&s->facts, info, s->arena); /* for EXTERNAL: no grant goes by it here */
    reader_idle_timer(s);
    reader_offer(s);
    if (s->started)
        pop3_server_secured(s->machine);
    else
        begin(s);
    reader_pump(s);
}

static const struct stream_handler handler = {
    .on_read = on_read,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_secured = on_secured,
};

/* --- the beginning ----------------------------------------------------------------------- */

static bool may_connect(struct reader *s, struct why *why) {
    if (!ask(s, STEP_CONNECT, why))
        return false;
    if (!s->stage->draining)
        return true;
    why_set(why, TEMP, 421, "4.3.2", "limit.stopping", "This server is being stopped: try again");
    return false;
}

static void greet(struct reader *s) {
    struct why why;
    s->started = true;
    reader_idle_timer(s);
    reader_offer(s);
    bool welcome = may_connect(s, &why);
    if (!welcome)
        reader_refused_event(s, &why);
    pop3_server_begin(s->machine, welcome ? NULL : &why);
}

static void no_certificate(struct reader *s) {
    session_tls_failed_event(s->id, &s->facts, NULL);
    reader_close(s);
}

/* The client is known (PROXY header read): count it, begin TLS if that comes first, then greet. */
static void begin(struct reader *s) {
    uint64_t max = s->facts.listener->max_connections_per_client;
    if (!s->counted) {
        counters_client_key(s->facts.client, s->client_key);
        s->counted = counters_take(s->stage->setup.counters, bytes_str(s->client_key), max);
        s->facts.client_connections = s->counted ? 1 : max + 1;
    }
    if (s->implicit && !s->tls)
        no_certificate(s);
    else if (s->implicit && !stream_tls(s->stream))
        secure(s);
    else
        greet(s);
}

static struct reader *open_reader(struct retrieve *r, struct stream *stream) {
    struct arena *arena = arena_open_for(sizeof(struct reader) + 512);
    struct reader *s = ARENA_NEW(arena, struct reader);
    s->arena = arena;
    s->stage = r;
    s->stream = stream;
    s->rules = ruleset_join(r->rules);
    s->facts.client = stream_peer(stream);
    s->facts.local = stream_local(stream);
    s->proxy = buf_grow(SESSION_PROXY_MAX);
    id_make(r->setup.seed, ++r->counter, s->id);
    list_append(&r->sessions, &s->node);
    return s;
}

void retrieve_session(struct retrieve *r, struct stream *stream, struct bytes name,
                      struct tls_server *tls) {
    const struct listener *l = config_listener(r->rules->config, name);
    if (!l || l->service != SERVICE_POP3) {
        stream_abort(&stream);
        return;
    }
    struct reader *s = open_reader(r, stream);
    s->facts.listener = l;
    s->tls = l->tls == TLS_OFF ? NULL : tls_server_keep(tls); /* a reload brings others */
    s->implicit = l->tls == TLS_IMPLICIT;
    s->proxy_wanted = networks_have(l->proxy_protocol_from, s->facts.client);
    s->machine =
        pop3_server_open(s->arena, &driver, s, s->rules->config->hostname, bytes_str(s->id));
    stream_attach(stream, &handler, s);
    reader_idle_timer(s);
    if (!s->proxy_wanted)
        begin(s);
}
