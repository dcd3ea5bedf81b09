/* relaytest: the conversation. Transactions one after the other, a new connection where the server ends one, or
 * where it has been used for long enough: many servers slow down, or close, after so many
 * refusals. What goes wrong with a connection is never taken for an answer to a form. */
#include "doctor/relaytest.h"
#include "base/must.h"
#include "base/num.h"
#include "reply/knowledge.h"
#include "smtp/client.h"
#include "sys/random.h"

#include <stdarg.h>
#include <string.h>

enum {
    FAREWELL_MS = 300,
    AGAIN_MS = 1000, /* before another connection, times those that failed in a row */
    FAILED_MAX = 3,  /* connections in a row that did not come as far as EHLO */
    SILENT_MAX = 6,  /* forms in a row that were not answered */
    GREETING = 3,    /* it may take so many times as long as another reply */
    NAME_MAX_OCTETS = 253,
    REPLY_MAX = 500,
    MESSAGE_MAX = 16 * 1024,
};

struct relaytest {
    struct loop *loop;
    struct arena *arena; /* the caller's */
    struct relaytest_want want;
    struct relaytest_seen *seen;
    void (*on_over)(void *ctx);
    void *ctx;
    struct timer deadline, wait, patience;
    bool over;
    /* this connection */
    struct arena *session;
    struct stream_connect *connect;
    struct stream *stream;
    struct smtp_client *client;
    struct bytes helo;
    bool ready, secured, handshake, leaving, gone;
    unsigned transactions;
    int64_t asked_at;
    /* all of them */
    unsigned failed, silent;
    size_t now;            /* the test that is next, or under way */
    bool asking, answered; /* under way; with what it was to bring */
    bool again;            /* it is tried for the second time */
    bool sending;          /* the second round: those accepted, with a message */
    size_t messages;
};

static void begin_connection(void *ctx);
static void advance(struct relaytest *t);

static struct relay_test *test(const struct relaytest *t) {
    return &t->seen->tests[t->now];
}

/* --- the end --------------------------------------------------------------------------------- */

static void drop_connection(struct relaytest *t) {
    timer_clear(&t->wait);
    timer_clear(&t->patience);
    if (t->connect)
        stream_connect_cancel(&t->connect);
    if (t->stream)
        stream_abort(&t->stream);
    if (t->client)
        smtp_client_close(t->client);
    t->client = NULL;
    arena_close(&t->session);
}

void relaytest_close(struct relaytest **t) {
    if (*t) {
        drop_connection(*t);
        timer_clear(&(*t)->deadline);
    }
    *t = NULL;
}

static void tell(void *ctx) {
    struct relaytest *t = ctx;
    drop_connection(t);
    t->on_over(t->ctx);
}

static void finish(struct relaytest *t, const char *why, ...) __attribute__((format(printf, 2, 3)));

/* An empty `why`: all was tried. Not at once: the machines that brought us here are on the stack. */
static void finish(struct relaytest *t, const char *why, ...) {
    if (t->over)
        return;
    t->over = t->gone = true;
    va_list args;
    va_start(args, why);
    t->seen->why = arena_vprintf(t->arena, why, args);
    va_end(args);
    t->seen->gave_up = !t->seen->count;
    timer_clear(&t->patience);
    timer_clear(&t->deadline);
    timer_set(t->loop, &t->wait, 0, tell, t);
}

static void on_deadline(void *ctx) {
    struct relaytest *t = ctx;
    struct buf b = buf_grow(64);
    num_format_duration(&b, t->want.deadline_ms);
    finish(t, "the time for all of it, %s, was over", buf_text(&b));
    buf_free(&b);
}

/* --- what came of a form ------------------------------------------------------------------------ */

static bool is_relay_cause(const char *cause) {
    return !strncmp(cause, "relay-", strlen("relay-")) || !strcmp(cause, "auth-required");
}

static struct bytes printable(struct relaytest *t, struct bytes text) {
    struct buf b = buf_grow(2 * REPLY_MAX);
    buf_printable(&b, bytes_first(text, REPLY_MAX));
    struct bytes copy = arena_copy(t->arena, buf_bytes(&b));
    buf_free(&b);
    return copy;
}

static void note_refusal(struct relaytest *t, struct relay_test *k,
                         const struct smtp_reply *reply) {
    const struct reply_meaning *m = reply_explain(&(struct reply_facts){
        .code = reply->code,
        .status = reply->status,
        .text = reply->text,
        .command = k->stage,
    });
    k->cause = arena_str(t->arena, bytes_str(m->cause));
    k->sent = RELAY_NOT_SENT;
    k->grade = reply->code >= 500 || is_relay_cause(k->cause) ? RELAY_REFUSED : RELAY_LATER;
}

static void note(struct relaytest *t, enum smtp_stage stage, const struct smtp_reply *reply) {
    struct relay_test *k = test(t);
    int64_t took = loop_now(t->loop) - t->asked_at;
    if (took > t->seen->slowest_ms)
        t->seen->slowest_ms = took;
    k->code = reply->code;
    k->text = printable(t, reply->text);
    k->stage = smtp_stage_name(stage);
    t->silent = 0;
    if (k->sent >= RELAY_RETURNED) /* it came before the server said so */
        return;
    if (reply->code >= 400)
        note_refusal(t, k, reply);
    else if (stage == SMTP_STAGE_RCPT)
        k->grade = RELAY_ACCEPTED;
    else if (stage == SMTP_STAGE_END_OF_DATA)
        k->sent = RELAY_SENT;
}

static bool brings(const struct relaytest *t, enum smtp_stage stage,
                   const struct smtp_reply *reply) {
    return reply->code >= 400 || stage == (t->sending ? SMTP_STAGE_END_OF_DATA : SMTP_STAGE_RCPT);
}

/* --- connections that end ------------------------------------------------------------------------- */

/* Asked, and no answer. A second try tells a form that the server runs away from from a connection
 * that broke. What was accepted before stays so, when it is sending that fails. */
static void unanswered(struct relaytest *t, struct bytes why, bool may_again) {
    struct relay_test *k = test(t);
    bool handed_over = k->sent != RELAY_NOT_SENT; /* it may have been taken: not a second time */
    if (may_again && !t->again && !handed_over) {
        t->again = true;
        return;
    }
    if (k->grade == RELAY_UNTRIED)
        k->text = why;
    t->silent++;
    t->again = false;
    t->now++;
}

static void settle(struct relaytest *t, struct bytes why, bool may_again) {
    if (!t->asking)
        return;
    t->asking = false;
    if (!t->answered) {
        unanswered(t, why, may_again);
        return;
    }
    t->again = false;
    t->now++;
}

static void later(struct relaytest *t, int64_t ms) {
    t->gone = true;
    timer_clear(&t->patience);
    timer_set(t->loop, &t->wait, ms, begin_connection, t);
}

static void lost(struct relaytest *t, bool may_again, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The connection is of no more use. */
static void lost(struct relaytest *t, bool may_again, const char *format, ...) {
    if (t->gone)
        return;
    va_list args;
    va_start(args, format);
    struct bytes why = printable(t, arena_vprintf(t->arena, format, args));
    va_end(args);
    settle(t, why, may_again);
    t->failed = t->ready ? 0 : t->failed + 1;
    bool hopeless = !may_again && !t->ready && !t->seen->count;
    if (hopeless || t->failed == FAILED_MAX)
        finish(t, "%.*s", BYTES_FMT(why));
    else if (t->silent == SILENT_MAX)
        finish(t, "%d forms in a row had no answer: %.*s", SILENT_MAX, BYTES_FMT(why));
    else
        later(t, t->failed * AGAIN_MS);
}

static void without_tls(struct relaytest *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void without_tls(struct relaytest *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    t->seen->no_tls = printable(t, arena_vprintf(t->arena, format, args));
    va_end(args);
}

static void on_patience(void *ctx) {
    struct relaytest *t = ctx;
    struct buf b = buf_grow(64);
    num_format_duration(&b, t->want.timeout_ms);
    const char *stage = t->handshake ? "the TLS handshake"
                        : t->client  ? smtp_stage_name(smtp_client_stage(t->client))
                                     : "the connection";
    if (t->handshake)
        without_tls(t, "the TLS handshake did not end in time");
    lost(t, !t->asking, "no answer to %s in time (%s)", stage, buf_text(&b));
    buf_free(&b);
}

static void have_patience(struct relaytest *t, int64_t times) {
    timer_set(t->loop, &t->patience, times * t->want.timeout_ms, on_patience, t);
}

/* --- names ------------------------------------------------------------------------------------------ */

static bool is_host_name(struct bytes text) {
    struct addr a;
    if (addr_parse(text, &a) || bytes_find(text, '.') <= 0 || text.len > NAME_MAX_OCTETS)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_alnum(text.at[i]) && text.at[i] != '-' && text.at[i] != '.' &&
            text.at[i] != '_')
            return false;
    return true;
}

static bool is_within(struct bytes name, struct bytes domain) {
    char before = name.len > domain.len ? name.at[name.len - domain.len - 1] : '.';
    return bytes_ends_nocase(name, domain) && (before == '.' || before == '@');
}

/* A domain for examples (RFC 2606) that neither the server nor the test uses yet. */
static struct bytes spare_domain(const struct relay_names *n) {
    static const struct bytes spare[] = { { "example.com", 11 },
                                          { "example.net", 11 },
                                          { "example.org", 11 } };
    for (size_t i = 0; i < COUNT_OF(spare); i++) {
        bool used = is_within(n->name, spare[i]) || is_within(n->domain, spare[i]) ||
                    is_within(n->target, spare[i]) || is_within(n->from, spare[i]) ||
                    is_within(n->other, spare[i]);
        if (!used)
            return spare[i];
    }
    return B("relaytest.invalid");
}

static struct bytes literal_of(struct arena *a, struct addr address) {
    char memory[80];
    struct buf b = buf_fixed(memory, sizeof memory);
    buf_str(&b, address.family == 6 ? "[IPv6:" : "[");
    addr_format(&b, address);
    buf_char(&b, ']');
    return arena_copy(a, buf_bytes(&b));
}

static void learn_server(struct relaytest *t, struct relay_names *n) {
    const struct relaytest_want *w = &t->want;
    struct bytes said = smtp_client_peer(t->client)->name;
    n->name = w->name;
    if (!n->name.len && is_host_name(said))
        n->name = arena_lower(t->arena, said);
    if (!n->name.len && is_host_name(w->host))
        n->name = w->host;
    n->domain = w->domain;
    if (!n->domain.len)
        n->domain = relaytest_domain_of(is_host_name(w->host) ? w->host : n->name);
    n->literal = literal_of(t->arena, t->seen->remote);
}

static void learn_names(struct relaytest *t) {
    struct relay_names *n = &t->seen->names;
    const struct relaytest_want *w = &t->want;
    struct buf stranger = buf_grow(64);
    learn_server(t, n);
    ptrdiff_t at = bytes_find_last(w->to, '@');
    t->seen->made_up = at <= 0;
    n->from = w->from;
    n->user = at > 0 ? bytes_first(w->to, (size_t)at) : B("postern-relaytest");
    n->target = at > 0 ? bytes_skip(w->to, (size_t)at + 1) : spare_domain(n);
    if (!n->from.len)
        n->from = arena_printf(t->arena, "postern-relaytest@%.*s", BYTES_FMT(spare_domain(n)));
    n->other = spare_domain(n);
    buf_str(&stranger, "nobody-");
    random_id(&stranger, 10);
    n->stranger = arena_copy(t->arena, buf_bytes(&stranger));
    buf_free(&stranger);
    t->seen->count = relaytest_plan(t->arena, n, w->brief, &t->seen->tests);
    for (size_t i = 0; i < t->seen->count; i++)
        t->seen->tests[i].port = w->address.port;
}

/* --- transactions ------------------------------------------------------------------------------------ */

static void flush(struct relaytest *t) {
    struct buf *out = smtp_client_output(t->client);
    if (t->stream && out->len)
        stream_write(t->stream, buf_bytes(out));
    buf_clear(out);
}

static void ask(void *ctx) {
    struct relaytest *t = ctx;
    const struct relay_test *k = test(t);
    struct smtp_client_rcpt *rcpt = ARENA_NEW(t->session, struct smtp_client_rcpt);
    rcpt->mailbox = k->to;
    t->asking = true;
    t->answered = false;
    t->transactions++;
    t->asked_at = loop_now(t->loop);
    have_patience(t, 1);
    smtp_client_mail(t->client, &(struct smtp_client_mail){
                                    .sender = k->from,
                                    .count = 1,
                                    .rcpts = rcpt,
                                    .whole = true,
                                    .probe = !t->sending,
                                });
}

/* The next test that there is something to do for; false: none. */
static bool find_next(struct relaytest *t) {
    for (; t->now < t->seen->count; t->now++) {
        const struct relay_test *k = test(t);
        if (!t->sending || (k->grade == RELAY_ACCEPTED && !k->control && k->sent == RELAY_NOT_SENT))
            return true;
    }
    if (t->sending || !t->want.messages)
        return false;
    t->sending = true;
    t->now = 0;
    return find_next(t);
}

static struct bytes helo_of(const struct relaytest *t) {
    const struct relay_test *k = t->seen->count && t->now < t->seen->count ? test(t) : NULL;
    return k && k->helo.len ? k->helo : t->want.hostname;
}

static void leave(struct relaytest *t, void (*then)(void *ctx)) {
    t->leaving = true;
    timer_clear(&t->patience);
    smtp_client_quit(t->client);
    timer_set(t->loop, &t->wait, FAREWELL_MS, then, t);
}

static void bow_out(struct relaytest *t) {
    t->over = true;
    timer_clear(&t->deadline);
    leave(t, tell);
}

static void advance(struct relaytest *t) {
    bool enough = t->sending && t->messages == t->want.messages;
    if (enough || !find_next(t))
        bow_out(t);
    else if (t->transactions >= t->want.per_connection || !bytes_equal(helo_of(t), t->helo))
        leave(t, begin_connection);
    else
        timer_set(t->loop, &t->wait, t->transactions ? t->want.pause_ms : 0, ask, t);
}

/* --- the driver of the client --------------------------------------------------------------------------- */

static void start_handshake(struct relaytest *t) {
    t->handshake = true;
    have_patience(t, 1);
    stream_start_tls_client(t->stream, t->want.tls, &(struct tls_want){ .name = t->want.host });
}

static void on_ready(void *ctx) {
    struct relaytest *t = ctx;
    if (t->gone || t->leaving)
        return;
    timer_clear(&t->patience);
    if (!t->secured && !t->seen->no_tls.len && t->want.tls &&
        smtp_client_peer(t->client)->starttls) {
        have_patience(t, 1);
        smtp_client_starttls(t->client);
        return;
    }
    t->ready = true;
    t->failed = 0;
    if (!t->seen->count)
        learn_names(t);
    settle(t, B("it gave no answer to it"), false);
    advance(t);
}

static void on_stage(void *ctx, enum smtp_stage stage, size_t index, const struct smtp_reply *reply,
                     const struct why *why) {
    struct relaytest *t = ctx;
    (void)index;
    if (t->gone)
        return;
    if (t->leaving) {
        if (stage == SMTP_STAGE_QUIT)
            timer_set(t->loop, &t->wait, 0, t->over ? tell : begin_connection, t);
        return;
    }
    if (stage == SMTP_STAGE_BANNER && reply->code && reply->code < 400 && !t->seen->banner.len) {
        struct bytes rest = reply->raw, line;
        bytes_split(&rest, '\n', &line);
        t->seen->banner = printable(t, bytes_trim(bytes_skip(line, 4)));
    }
    bool ours = t->asking && stage >= SMTP_STAGE_MAIL && stage <= SMTP_STAGE_END_OF_DATA;
    if (ours && reply->code && reply->code != 421) {
        note(t, stage, reply);
        t->answered |= brings(t, stage, reply);
        have_patience(t, 1);
    }
    if (!reply->code)
        lost(t, true, "its reply makes no sense: %s", why ? why->text : "");
    else if (reply->code == 421)
        lost(t, true, "it ends the connection: 421 %.*s", BYTES_FMT(reply->text));
    else if (stage == SMTP_STAGE_STARTTLS && reply->code >= 300)
        without_tls(t, "STARTTLS is refused: %d %.*s", reply->code, BYTES_FMT(reply->text));
    else if (!t->ready && reply->code >= 300)
        lost(t, reply->code < 500, "it refuses %s: %d %.*s",
             stage == SMTP_STAGE_BANNER ? "the connection" : smtp_stage_name(stage), reply->code,
             BYTES_FMT(reply->text));
    else if (stage == SMTP_STAGE_RSET && reply->code >= 300)
        lost(t, true, "it refuses RSET: %d %.*s", reply->code, BYTES_FMT(reply->text));
}

static void on_secure(void *ctx) {
    struct relaytest *t = ctx;
    if (t->gone || t->leaving)
        return;
    flush(t);
    start_handshake(t);
}

static void on_challenge(void *ctx, struct bytes challenge) {
    (void)ctx, (void)challenge; /* never asked for: no login */
}

static void on_content(void *ctx) {
    struct relaytest *t = ctx;
    if (t->gone)
        return;
    struct buf b = buf_grow(MESSAGE_MAX);
    relaytest_message(&b, t->seen, t->now, t->want.token, loop_wall(t->loop));
    struct bytes message = arena_copy(t->session, buf_bytes(&b));
    buf_free(&b);
    test(t)->sent = RELAY_SENT;
    t->messages++;
    smtp_client_content(t->client, message, true);
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

/* --- the stream ------------------------------------------------------------------------------------------- */

static void on_secured(void *ctx, enum rc rc, const struct tls_info *info, const struct why *why) {
    struct relaytest *t = ctx;
    (void)info;
    if (t->gone)
        return;
    t->handshake = false;
    if (rc != OK) {
        without_tls(t, "the TLS handshake failed: %s", why->text);
        lost(t, !t->want.implicit, "the TLS handshake failed: %s", why->text);
        return;
    }
    t->secured = t->seen->secured = true;
    have_patience(t, t->want.implicit ? GREETING : 1);
    if (!t->want.implicit)
        smtp_client_secured(t->client);
    flush(t);
}

static void on_read(void *ctx, struct bytes data) {
    struct relaytest *t = ctx;
    if (!t->gone)
        smtp_client_input(t->client, data);
}

static void on_end(void *ctx, int error) {
    struct relaytest *t = ctx;
    if (t->leaving)
        timer_set(t->loop, &t->wait, 0, t->over ? tell : begin_connection, t);
    else
        lost(t, true, "it closed the connection%s%s", error ? ": " : "",
             error ? strerror(error) : "");
}

static const struct stream_handler handler = {
    .on_read = on_read,
    .on_end = on_end,
    .on_secured = on_secured,
};

static void on_connect(void *ctx, enum rc rc, struct stream *s, const struct why *why) {
    struct relaytest *t = ctx;
    t->connect = NULL;
    if (rc != OK) {
        lost(t, false, "%s", why->text);
        return;
    }
    t->stream = s;
    stream_attach(s, &handler, t);
    t->seen->local = stream_local(s);
    t->seen->remote = stream_peer(s);
    have_patience(t, GREETING);
    t->helo = helo_of(t);
    t->client = smtp_client_open(t->session, &driver, t,
                                 &(struct smtp_client_setup){ .hostname = t->helo,
                                                              .lmtp = t->want.lmtp,
                                                              .no_pipelining = true,
                                                              .no_chunking = true });
    if (t->want.implicit)
        start_handshake(t);
    else
        flush(t);
}

static void begin_connection(void *ctx) {
    struct relaytest *t = ctx;
    drop_connection(t);
    if (t->seen->connections == t->want.connections) {
        finish(t, "%u connections were used up", t->want.connections);
        return;
    }
    t->ready = t->secured = t->handshake = t->leaving = t->gone = false;
    t->transactions = 0;
    t->seen->connections++;
    t->session = arena_open();
    struct connect_to to = { .remote = t->want.address,
                             .timeout_ms = GREETING * t->want.timeout_ms };
    if (t->want.source.family == t->want.address.family)
        to.source = t->want.source;
    t->connect = stream_connect(t->loop, &to, on_connect, t);
}

struct relaytest *relaytest_open(struct loop *l, struct arena *a, const struct relaytest_want *want,
                                 void (*on_over)(void *ctx), void *ctx,
                                 struct relaytest_seen **seen_out) {
    struct relaytest *t = ARENA_NEW(a, struct relaytest);
    MUST(want->connections > 0 && want->per_connection > 0 && want->timeout_ms > 0);
    t->loop = l;
    t->arena = a;
    t->want = *want;
    t->seen = *seen_out = ARENA_NEW(a, struct relaytest_seen);
    t->on_over = on_over;
    t->ctx = ctx;
    timer_set(l, &t->deadline, want->deadline_ms, on_deadline, t);
    timer_set(l, &t->wait, 0, begin_connection, t);
    return t;
}
