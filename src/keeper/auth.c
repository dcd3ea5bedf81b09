/* auth: the worker's end of the keeper. It numbers the exchanges, puts calls in the wire's form, and
 * sees to it that an answer comes once, later, and never for an exchange that was ended. */
#include "keeper/auth.h"

#include "base/list.h"
#include "base/must.h"
#include "keeper/keeper.h"
#include "keeper/wire.h"
#include "sys/channel.h"

#include <stdlib.h>
#include <string.h>

enum {
    CALL_TIMEOUT_MS = 20000,       /* more than a locked database takes to be given up */
    LOST_MS = CALL_TIMEOUT_MS / 2, /* a call that failed sooner was not waited for in vain */
};

struct auth {
    struct loop *loop;
    struct channel *channel; /* or */
    struct keeper *keeper;
    uint64_t caller; /* with a keeper in this process */
    uint64_t next;
    struct list exchanges;
    struct list calls;
};

/* One call under way. It outlives its exchange, and in this process even its auth. */
struct call {
    struct list_node node;
    struct auth *auth;
    struct auth_exchange *exchange;
};

struct auth_exchange {
    struct list_node node;
    struct auth *auth;
    uint64_t number;
    auth_answered *on_answer;
    void *ctx;
    struct call *call;  /* under way */
    struct buf begin;   /* the first call's octets until it is answered: see begin_again */
    int64_t begun;      /* loop time */
    bool over;          /* the keeper has forgotten it */
    struct timer timer; /* an answer that is not to be given yet */
    struct buf held;
};

static struct auth *open_auth(struct loop *l) {
    struct auth *a = calloc(1, sizeof *a);
    MUST(a);
    a->loop = l;
    list_init(&a->exchanges);
    list_init(&a->calls);
    return a;
}

struct auth *auth_open_channel(struct loop *l, const char *socket_path) {
    struct auth *a = open_auth(l);
    a->channel = channel_open(l, socket_path, "auth");
    return a;
}

struct auth *auth_open_direct(struct loop *l, struct keeper *k) {
    struct auth *a = open_auth(l);
    a->keeper = k;
    a->caller = (uint64_t)(uintptr_t)a;
    return a;
}

static void drop_call(struct call *c) {
    if (c->auth)
        list_remove(&c->auth->calls, &c->node);
    if (c->exchange)
        c->exchange->call = NULL;
    free(c);
}

void auth_close(struct auth **out) {
    struct auth *a = *out;
    struct list_node *n;
    if (!a)
        return;
    while ((n = list_first(&a->exchanges))) {
        struct auth_exchange *x = CONTAINER_OF(n, struct auth_exchange, node);
        auth_end(&x);
    }
    if (a->channel)
        channel_close(&a->channel); /* no more callbacks: the calls are ours to free */
    while ((n = list_first(&a->calls))) {
        struct call *c = CONTAINER_OF(n, struct call, node);
        if (a->keeper) {
            list_remove(&a->calls, n); /* the keeper still answers it */
            c->auth = NULL;
        } else {
            drop_call(c);
        }
    }
    if (a->keeper)
        keeper_gone(a->keeper, a->caller);
    free(a);
    *out = NULL;
}

/* --- answers ----------------------------------------------------------------------------------- */

static void tell_down(struct auth_exchange *x, const struct why *why) {
    struct auth_answer answer = { .result = AUTH_DOWN, .why = *why };
    answer.why.code = 454;
    status_parse(B("4.7.0"), &answer.why.status);
    wire_format_answer(&x->held, &answer);
}

/* The callback may end the exchange or take its next step: nothing of it is used afterwards. */
static void tell(void *ctx) {
    struct auth_exchange *x = ctx;
    struct buf held = x->held;
    struct auth_answer answer;
    x->held = buf_grow(WIRE_MAX);
    if (!wire_parse_answer(buf_bytes(&held), &answer)) {
        answer = (struct auth_answer){ .result = AUTH_DOWN };
        why_set(&answer.why, TEMP, 454, "4.7.0", "backend.auth",
                "The keeper's answer cannot be read");
    }
    x->over = answer.result != AUTH_CHALLENGE;
    if (answer.result != AUTH_REFUSED)
        answer.delay_ms = 0; /* was waited for here */
    x->on_answer(x->ctx, &answer);
    if (held.len)
        explicit_bzero(held.at, held.len);
    buf_free(&held);
}

/* A refusal's delay is the session's to wait. A right answer that has to wait, because its address
 * fails a lot, waits here: what a mechanism still has to say goes with it. */
static void hold(struct auth_exchange *x, enum rc rc, struct bytes reply, const struct why *why) {
    struct auth_answer answer;
    int64_t delay = 0;
    if (rc != OK)
        tell_down(x, why);
    else
        buf_add(&x->held, reply);
    if (rc == OK && wire_parse_answer(reply, &answer) && answer.result == AUTH_DONE)
        delay = answer.delay_ms;
    if (delay || x->auth->keeper)
        timer_set(x->auth->loop, &x->timer, delay, tell, x);
    else
        tell(x);
}

static void forget_begin(struct auth_exchange *x) {
    if (x->begin.len)
        explicit_bzero(x->begin.at, x->begin.len);
    buf_free(&x->begin);
}

static void send_octets(struct auth *a, struct auth_exchange *x, struct bytes request);

/* The keeper was started anew, as each reload does, with the first call under way: nothing of the
 * exchange is lost with it, so the new one gets the same call. Once. */
static bool begin_again(struct auth_exchange *x) {
    struct buf begin = x->begin;
    if (!begin.len || loop_now(x->auth->loop) - x->begun > LOST_MS)
        return false;
    x->begin = buf_grow(WIRE_MAX);
    send_octets(x->auth, x, buf_bytes(&begin));
    explicit_bzero(begin.at, begin.len);
    buf_free(&begin);
    return true;
}

static void on_reply(void *ctx, enum rc rc, struct bytes reply, const struct why *why) {
    struct call *c = ctx;
    struct auth_exchange *x = c->exchange;
    drop_call(c);
    if (!x || (rc != OK && begin_again(x)))
        return;
    forget_begin(x);
    hold(x, rc, reply, why);
}

static void on_direct_reply(void *ctx, struct bytes reply) {
    on_reply(ctx, OK, reply, NULL);
}

/* --- calls ------------------------------------------------------------------------------------- */

static void send_octets(struct auth *a, struct auth_exchange *x, struct bytes request) {
    struct call *c = calloc(1, sizeof *c);
    MUST(c);
    c->auth = a;
    c->exchange = x;
    list_append(&a->calls, &c->node);
    if (x)
        x->call = c;
    if (a->keeper)
        keeper_call(a->keeper, a->caller, request, on_direct_reply, c);
    else
        channel_call(a->channel, request, CALL_TIMEOUT_MS, on_reply, c);
}

static void send(struct auth *a, struct auth_exchange *x, const struct wire_request *r) {
    char memory[WIRE_MAX];
    struct buf b = buf_fixed(memory, sizeof memory);
    wire_format_request(&b, r);
    MUST(!b.full);
    if (r->op == WIRE_BEGIN && a->channel) {
        buf_add(&x->begin, buf_bytes(&b));
        x->begun = loop_now(a->loop);
    }
    send_octets(a, x, buf_bytes(&b));
    explicit_bzero(memory, b.len);
}

static void too_long(struct auth_exchange *x) {
    struct auth_answer answer = { .result = AUTH_MALFORMED };
    why_set(&answer.why, PERM, 501, "5.5.2", "syntax.auth", "The message is too long");
    wire_format_answer(&x->held, &answer);
    timer_set(x->auth->loop, &x->timer, 0, tell, x);
}

struct auth_exchange *auth_begin(struct auth *a, const struct auth_session *session,
                                 auth_answered *on_answer, void *ctx) {
    struct auth_exchange *x = calloc(1, sizeof *x);
    MUST(x);
    x->auth = a;
    x->number = ++a->next;
    x->on_answer = on_answer;
    x->ctx = ctx;
    x->held = buf_grow(WIRE_MAX);
    x->begin = buf_grow(WIRE_MAX);
    list_append(&a->exchanges, &x->node);
    struct wire_request r = { WIRE_BEGIN, x->number, *session, BYTES_NONE };
    r.session.mechanism = bytes_first(session->mechanism, 32);
    r.session.service = bytes_first(session->service, 32);
    r.session.cb_exporter = bytes_first(session->cb_exporter, 256);
    r.session.cb_unique = bytes_first(session->cb_unique, 256);
    if (session->client_names.len > CERTIFICATES_MAX)
        r.session.client_names = BYTES_NONE;
    if (session->initial.len > WIRE_DATA_MAX)
        too_long(x);
    else
        send(a, x, &r);
    return x;
}

void auth_step(struct auth_exchange *x, struct bytes response) {
    MUST(!x->call && !timer_is_set(&x->timer));
    struct wire_request r = { .op = WIRE_STEP, .exchange = x->number, .response = response };
    if (response.len > WIRE_DATA_MAX)
        too_long(x);
    else
        send(x->auth, x, &r);
}

void auth_end(struct auth_exchange **out) {
    struct auth_exchange *x = *out;
    if (!x)
        return;
    struct wire_request r = { .op = WIRE_END, .exchange = x->number };
    if (x->call)
        x->call->exchange = NULL;
    timer_clear(&x->timer);
    list_remove(&x->auth->exchanges, &x->node);
    if (!x->over)
        send(x->auth, NULL, &r);
    if (x->held.len)
        explicit_bzero(x->held.at, x->held.len);
    buf_free(&x->held);
    forget_begin(x);
    free(x);
    *out = NULL;
}
