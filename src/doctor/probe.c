/* probe: one conversation, up to where mail would begin. The order of its steps is that of delivery;
 * what ends a delivery ends it as well, and is what it has to say. */
#include "base/must.h"
#include "doctor/doctor.h"
#include "sasl/sasl.h"
#include "smtp/client.h"

#include <string.h>

enum { FAREWELL_MS = 500 };

struct probe {
    struct loop *loop;
    struct arena *arena;
    struct probe_want want;
    struct stream_connect *connect;
    struct stream *stream;
    struct smtp_client *client;
    struct sasl_client *sasl;
    struct timer deadline, end;
    bool handshake; /* under way */
    bool tls_refused, over;
    bool gone; /* nobody is there to say farewell to */
    struct probe_seen seen;
    void (*on_seen)(void *ctx, const struct probe_seen *seen);
    void *ctx;
};

/* --- the end ------------------------------------------------------------------------------ */

static void free_probe(struct probe *p) {
    timer_clear(&p->deadline);
    timer_clear(&p->end);
    if (p->connect)
        stream_connect_cancel(&p->connect);
    if (p->stream)
        stream_abort(&p->stream);
    if (p->client)
        smtp_client_close(p->client);
    struct arena *a = p->arena;
    arena_close(&a); /* p lies in it */
}

static void tell(void *ctx) {
    struct probe *p = ctx;
    p->on_seen(p->ctx, &p->seen);
    free_probe(p);
}

static void flush(struct probe *p) {
    struct buf *out = smtp_client_output(p->client);
    if (p->stream && out->len)
        stream_write(p->stream, buf_bytes(out));
    buf_clear(out);
}

/* Not at once: the machines that brought us here are still on the stack, and the server may say its
 * farewell. */
static void finish(struct probe *p, enum probe_step step) {
    if (p->over)
        return;
    p->over = true;
    p->seen.step = step;
    timer_clear(&p->deadline);
    bool polite = p->client && p->stream && !p->handshake && !p->gone;
    if (polite) {
        smtp_client_quit(p->client);
        flush(p);
    }
    timer_set(p->loop, &p->end, polite ? FAREWELL_MS : 0, tell, p);
}

static void fail(struct probe *p, enum probe_step step, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void fail(struct probe *p, enum probe_step step, const char *reason, const char *format,
                 ...) {
    va_list args;
    va_start(args, format);
    struct bytes text = arena_vprintf(p->arena, format, args);
    va_end(args);
    if (!p->over)
        why_set(&p->seen.why, TEMP, 0, NULL, reason, "%.*s", BYTES_FMT(text));
    finish(p, step);
}

static const enum probe_step steps[SMTP_STAGES] = {
    [SMTP_STAGE_BANNER] = PROBE_BANNER,     [SMTP_STAGE_EHLO] = PROBE_EHLO,
    [SMTP_STAGE_STARTTLS] = PROBE_STARTTLS, [SMTP_STAGE_AUTH] = PROBE_AUTH,
    [SMTP_STAGE_MAIL] = PROBE_DONE,         [SMTP_STAGE_RCPT] = PROBE_DONE,
    [SMTP_STAGE_DATA] = PROBE_DONE,         [SMTP_STAGE_END_OF_DATA] = PROBE_DONE,
    [SMTP_STAGE_RSET] = PROBE_DONE,         [SMTP_STAGE_QUIT] = PROBE_DONE,
};

static enum probe_step step_now(const struct probe *p) {
    if (p->handshake)
        return PROBE_TLS;
    return p->client ? steps[smtp_client_stage(p->client)] : PROBE_CONNECT;
}

static const char *awaited(enum probe_step step) {
    static const char *const names[] = {
        [PROBE_CONNECT] = "the connection",  [PROBE_BANNER] = "its greeting",
        [PROBE_EHLO] = "its answer to EHLO", [PROBE_STARTTLS] = "its answer to STARTTLS",
        [PROBE_TLS] = "the TLS handshake",   [PROBE_AUTH] = "its answer to AUTH",
        [PROBE_DONE] = "its answer",
    };
    return names[step];
}

static void on_deadline(void *ctx) {
    struct probe *p = ctx;
    enum probe_step step = step_now(p);
    p->gone = true;
    fail(p, step, "deliver.timeout", "%s did not come in time", awaited(step));
}

static void refused(struct probe *p, enum probe_step step, const struct smtp_reply *reply) {
    fail(p, step, "", "it answers %d %.*s", reply->code, BYTES_FMT(bytes_first(reply->text, 300)));
    p->seen.why.code = reply->code;
    p->seen.why.status = reply->status;
}

/* --- TLS ---------------------------------------------------------------------------------- */

static bool tls_is_a_must(const struct probe *p) {
    return p->want.tls >= PROBE_TLS_REQUIRE;
}

static void start_handshake(struct probe *p) {
    struct tls_want want = { .name = p->want.tls_name };
    p->handshake = true;
    stream_start_tls_client(p->stream, p->want.tls_client, &want);
}

static void on_secured(void *ctx, enum rc rc, const struct tls_info *info, const struct why *why) {
    struct probe *p = ctx;
    struct probe_seen *seen = &p->seen;
    if (rc != OK) {
        p->gone = true;
        fail(p, PROBE_TLS, "tls.handshake", "%s", why->text);
        return;
    }
    p->handshake = false;
    seen->secured = true;
    seen->trusted = info->peer_trusted;
    seen->not_after = info->peer_not_after;
    seen->protocol = arena_copy(p->arena, info->protocol);
    seen->cipher = arena_copy(p->arena, info->cipher);
    if (p->want.tls == PROBE_TLS_VERIFY && !seen->trusted) {
        fail(p, PROBE_TLS, "tls.verify", "its certificate does not hold for %.*s: %.*s",
             BYTES_FMT(p->want.tls_name), BYTES_FMT(info->peer_error));
        return;
    }
    if (!p->want.implicit)
        smtp_client_secured(p->client);
    flush(p);
}

/* --- login -------------------------------------------------------------------------------- */

static bool may_log_in(const struct probe *p) {
    return p->seen.secured && (p->seen.trusted || addr_is_loopback(p->want.address));
}

static void start_login(struct probe *p) {
    const struct tls_info *tls = stream_tls(p->stream);
    struct why why;
    if (!tls || !may_log_in(p)) {
        fail(p, PROBE_AUTH, "config.login-without-tls",
             "the login was not tried, as the connection has no TLS whose certificate holds");
        return;
    }
    struct sasl_client_setup setup = {
        .mechanisms = smtp_client_peer(p->client)->auth,
        .user = p->want.user,
        .password = p->want.password,
        .token = p->want.token,
        .service = B("smtp"),
        .host = p->want.tls_name,
        .tls = true,
        .cb_exporter = tls->exporter,
        .cb_unique = tls->unique,
    };
    if (sasl_client_open(p->arena, &setup, &p->sasl, &why) != OK) {
        fail(p, PROBE_AUTH, why.reason, "%s", why.text);
        return;
    }
    struct bytes initial = BYTES_NONE;
    bool has_initial = sasl_client_initial(p->sasl, &initial);
    p->seen.mechanism = sasl_client_mechanism(p->sasl);
    smtp_client_auth(p->client, p->seen.mechanism, has_initial, initial);
}

static void on_challenge(void *ctx, struct bytes challenge) {
    struct probe *p = ctx;
    struct bytes response;
    struct why why;
    if (p->over)
        return;
    if (sasl_client_step(p->sasl, challenge, &response, &why) == OK)
        smtp_client_auth_response(p->client, response);
    else
        fail(p, PROBE_AUTH, why.reason, "%s", why.text);
}

static void on_auth(struct probe *p, const struct smtp_reply *reply) {
    struct why why;
    if (reply->code >= 300)
        refused(p, PROBE_AUTH, reply);
    else if (sasl_client_finish(p->sasl, &why) != OK)
        fail(p, PROBE_AUTH, why.reason, "%s", why.text);
    else
        p->seen.logged_in = true;
}

/* --- the conversation --------------------------------------------------------------------- */

static void on_ready(void *ctx) {
    struct probe *p = ctx;
    const struct smtp_peer *peer = smtp_client_peer(p->client);
    struct probe_seen *seen = &p->seen;
    if (p->over)
        return;
    seen->extended = peer->extended;
    seen->starttls |= peer->starttls;
    seen->auth = arena_copy(p->arena, peer->auth);
    if (!seen->secured)
        seen->auth_plain = seen->auth;
    if (!seen->secured && p->want.tls != PROBE_TLS_OFF && peer->starttls && !p->tls_refused)
        smtp_client_starttls(p->client);
    else if (!seen->secured && tls_is_a_must(p))
        fail(p, PROBE_STARTTLS, "tls.not-offered", "it does not offer STARTTLS");
    else if (p->want.login && !seen->logged_in)
        start_login(p);
    else
        finish(p, PROBE_DONE);
}

static void on_stage(void *ctx, enum smtp_stage stage, size_t index, const struct smtp_reply *reply,
                     const struct why *why) {
    (void)index;
    struct probe *p = ctx;
    if (p->over) {
        timer_set(p->loop, &p->end, 0, tell, p);
        return;
    }
    if (stage == SMTP_STAGE_BANNER && reply->code) {
        struct bytes rest = reply->text, line;
        if (bytes_split(&rest, '\n', &line))
            p->seen.banner = arena_copy(p->arena, bytes_trim(line));
    }
    p->gone = !reply->code || reply->code == 421;
    if (!reply->code)
        fail(p, steps[stage], "deliver.protocol", "its reply makes no sense: %s",
             why ? why->text : "");
    else if (stage == SMTP_STAGE_AUTH)
        on_auth(p, reply);
    else if (stage == SMTP_STAGE_STARTTLS && reply->code >= 300 && !tls_is_a_must(p))
        p->tls_refused = true;
    else if (reply->code >= 300)
        refused(p, steps[stage], reply);
}

static void on_secure(void *ctx) {
    struct probe *p = ctx;
    if (p->over)
        return;
    flush(p);
    start_handshake(p);
}

static void no_content(void *ctx) {
    (void)ctx;
}

static void on_flush(void *ctx) {
    flush(ctx);
}

static const struct smtp_client_driver driver = {
    .stage = on_stage,
    .ready = on_ready,
    .secure = on_secure,
    .challenge = on_challenge,
    .content = no_content,
    .flush = on_flush,
};

static void on_read(void *ctx, struct bytes data) {
    struct probe *p = ctx;
    smtp_client_input(p->client, data);
}

static void on_end(void *ctx, int error) {
    struct probe *p = ctx;
    enum probe_step step = step_now(p);
    p->gone = true;
    if (p->over)
        timer_set(p->loop, &p->end, 0, tell, p);
    fail(p, step, "deliver.closed", "the connection %s while %s was awaited%s%s",
         error ? "broke" : "was closed", awaited(step), error ? ": " : "",
         error ? strerror(error) : "");
}

static const struct stream_handler handler = {
    .on_read = on_read,
    .on_end = on_end,
    .on_secured = on_secured,
};

static void on_connect(void *ctx, enum rc rc, struct stream *s, const struct why *why) {
    struct probe *p = ctx;
    p->connect = NULL;
    if (rc != OK) {
        fail(p, PROBE_CONNECT, why->reason, "%s", why->text);
        return;
    }
    p->stream = s;
    stream_attach(s, &handler, p);
    p->client = smtp_client_open(
        p->arena, &driver, p,
        &(struct smtp_client_setup){ .hostname = p->want.hostname, .lmtp = p->want.lmtp });
    if (p->want.implicit)
        start_handshake(p);
    else
        flush(p);
}

struct probe *probe_open(struct loop *l, const struct probe_want *want,
                         void (*on_seen)(void *ctx, const struct probe_seen *seen), void *ctx) {
    struct arena *a = arena_open();
    struct probe *p = ARENA_NEW(a, struct probe);
    p->loop = l;
    p->arena = a;
    p->want = *want;
    p->on_seen = on_seen;
    p->ctx = ctx;
    timer_set(l, &p->deadline, want->timeout_ms, on_deadline, p);
    struct connect_to to = {
        .remote = want->address,
        .path = want->path,
        .timeout_ms = want->timeout_ms,
    };
    if (want->source.family == want->address.family)
        to.source = want->source;
    p->connect = stream_connect(l, &to, on_connect, p);
    return p;
}

void probe_close(struct probe **p) {
    if (*p)
        free_probe(*p);
    *p = NULL;
}
