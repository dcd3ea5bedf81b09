/* keeper: the exchanges under way, who they belong to, and how many there may be. This file alone
 * decides when one ends without its owner's doing: too old, too many, caller gone. The mechanisms
 * run on threads (server.c); failures are counted here, on the loop, where all threads' answers
 * come together. */
#include "keeper/keeper.h"

#include "base/list.h"
#include "base/map.h"
#include "base/must.h"
#include "keeper/failures.h"
#include "keeper/server.h"
#include "keeper/wire.h"
#include "sys/channel.h"
#include "sys/offload.h"
#include "sys/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    THREADS = 2,
    EXCHANGES_MAX = 1000, /* the oldest goes */
    CALLER_MAX = 500,     /* of one worker */
    AGE_MAX_MS = 5 * 60 * 1000,
};

typedef void keeper_reply(void *ctx, struct bytes reply);

struct keeper {
    struct loop *loop;
    struct {
        struct offload *offload;
        struct checker *checker;
    } threads[THREADS];
    unsigned next_thread;
    struct map *exchanges; /* struct exchange by struct exchange_key */
    struct list ages;      /* oldest first */
    struct map *callers;   /* struct caller by number */
    struct timer timer;    /* the oldest one's end */
    struct failures *failures;
    struct service *service;
};

struct exchange_key {
    uint64_t caller, number;
};
struct caller {
    uint64_t number;
    struct list exchanges; /* oldest first */
};

struct exchange {
    struct keeper *keeper;
    struct exchange_key key;
    struct caller *caller;
    struct list_node by_age, by_caller;
    int64_t began;
    struct addr client;
    struct server *server;
    struct offload *offload;
    bool busy;   /* a job is under way: only then is any of what follows in use */
    bool closed; /* gone from the tables; freed when the job is done */
    struct offload_job job;
    bool has_input;
    char *input;
    size_t input_len;
    int64_t now;
    struct server_answer answer;
    keeper_reply *on_reply;
    void *reply_ctx;
};

/* --- opening ----------------------------------------------------------------------------------- */

enum rc keeper_open(struct loop *l, const char *secrets_file, struct bytes hostname,
                    struct keeper **out, struct why *why) {
    uint8_t boot_key[HASH_OCTETS];
    struct keeper *k = calloc(1, sizeof *k);
    MUST(k);
    (void)why; /* a database that cannot be opened now is told to each login (454) */
    k->loop = l;
    random_octets(boot_key, sizeof boot_key);
    for (size_t i = 0; i < THREADS; i++) {
        k->threads[i].offload = offload_open(l, "login");
        k->threads[i].checker = checker_open(secrets_file, hostname, boot_key);
    }
    explicit_bzero(boot_key, sizeof boot_key);
    k->exchanges = map_open();
    k->callers = map_open();
    list_init(&k->ages);
    k->failures = failures_open();
    *out = k;
    return OK;
}

static void close_exchange(struct exchange *x);

void keeper_close(struct keeper **out) {
    struct keeper *k = *out;
    struct list_node *n;
    if (!k)
        return;
    if (k->service)
        service_close(&k->service);
    while ((n = list_first(&k->ages)))
        close_exchange(CONTAINER_OF(n, struct exchange, by_age));
    for (size_t i = 0; i < THREADS; i++)
        offload_close(&k->threads[i].offload);
    for (size_t i = 0; i < THREADS; i++)
        checker_close(&k->threads[i].checker);
    timer_clear(&k->timer);
    map_close(&k->exchanges);
    map_close(&k->callers);
    failures_close(&k->failures);
    free(k);
    *out = NULL;
}

/* --- the tables -------------------------------------------------------------------------------- */

static struct bytes key_bytes(const struct exchange_key *key) {
    return bytes_of(key, sizeof *key);
}

static struct caller *caller_of(struct keeper *k, uint64_t number) {
    struct caller *c = map_find(k->callers, MAP_KEY(number));
    if (c)
        return c;
    c = calloc(1, sizeof *c);
    MUST(c);
    c->number = number;
    list_init(&c->exchanges);
    map_put(k->callers, MAP_KEY(number), c);
    return c;
}

static void free_exchange(struct exchange *x) {
    server_close(&x->server);
    free(x);
}

static void close_exchange(struct exchange *x) {
    struct keeper *k = x->keeper;
    struct caller *c = x->caller;
    map_remove(k->exchanges, key_bytes(&x->key));
    list_remove(&k->ages, &x->by_age);
    list_remove(&c->exchanges, &x->by_caller);
    if (!c->exchanges.count) {
        map_remove(k->callers, MAP_KEY(c->number));
        free(c);
    }
    x->caller = NULL;
    x->closed = true;
    if (!x->busy)
        free_exchange(x);
}

static void on_age(void *ctx) {
    struct keeper *k = ctx;
    struct list_node *n;
    while ((n = list_first(&k->ages))) {
        struct exchange *x = CONTAINER_OF(n, struct exchange, by_age);
        int64_t left = x->began + AGE_MAX_MS - loop_now(k->loop);
        if (left > 0) {
            timer_set(k->loop, &k->timer, left, on_age, k);
            return;
        }
        close_exchange(x);
    }
}

static void make_room(struct keeper *k, uint64_t caller) {
    struct caller *c = map_find(k->callers, MAP_KEY(caller));
    if (c && c->exchanges.count >= CALLER_MAX)
        close_exchange(CONTAINER_OF(list_first(&c->exchanges), struct exchange, by_caller));
    if (k->ages.count >= EXCHANGES_MAX)
        close_exchange(CONTAINER_OF(list_first(&k->ages), struct exchange, by_age));
}

static struct exchange *add_exchange(struct keeper *k, struct exchange_key key,
                                     const struct auth_session *session) {
    make_room(k, key.caller);
    struct exchange *x = calloc(1, sizeof *x);
    MUST(x);
    unsigned thread = k->next_thread++ % THREADS;
    *x = (struct exchange){
        .keeper = k,
        .key = key,
        .caller = caller_of(k, key.caller),
        .began = loop_now(k->loop),
        .client = session->client,
        .offload = k->threads[thread].offload,
        .server = server_open(k->threads[thread].checker, session),
    };
    map_put(k->exchanges, key_bytes(&x->key), x);
    list_append(&k->ages, &x->by_age);
    list_append(&x->caller->exchanges, &x->by_caller);
    if (!timer_is_set(&k->timer))
        timer_set(k->loop, &k->timer, AGE_MAX_MS, on_age, k);
    return x;
}

/* --- answers ----------------------------------------------------------------------------------- */

static void reply_with(const struct auth_answer *answer, keeper_reply *on_reply, void *ctx) {
    char memory[WIRE_MAX];
    struct buf b = buf_fixed(memory, sizeof memory);
    wire_format_answer(&b, answer);
    MUST(!b.full);
    on_reply(ctx, buf_bytes(&b));
    explicit_bzero(memory, b.len);
}

static void reply_down(keeper_reply *on_reply, void *ctx, const char *text) {
    struct auth_answer answer = { .result = AUTH_DOWN };
    why_set(&answer.why, TEMP, 454, "4.7.0", "backend.auth", "%s", text);
    reply_with(&answer, on_reply, ctx);
}

static void reply_malformed(keeper_reply *on_reply, void *ctx, const char *text) {
    struct auth_answer answer = { .result = AUTH_MALFORMED };
    why_set(&answer.why, PERM, 501, "5.5.2", "syntax.auth", "%s", text);
    reply_with(&answer, on_reply, ctx);
}

static void weigh(struct keeper *k, const struct exchange *x, struct auth_answer *answer) {
    const struct server_answer *from = &x->answer;
    if (answer->result == AUTH_DONE)
        answer->delay_ms = failures_right(k->failures, x->client, answer->login, x->now);
    if (answer->result != AUTH_REFUSED || !from->guess)
        return;
    struct penalty p = failures_wrong(k->failures, x->client, answer->login, x->now);
    answer->delay_ms = p.delay_ms;
    answer->close = p.close;
}

static void step_work(void *ctx) {
    struct exchange *x = ctx;
    server_step(x->server, x->has_input, bytes_of(x->input, x->input_len), x->now, &x->answer);
}

static void step_done(void *ctx) {
    struct exchange *x = ctx;
    struct keeper *k = x->keeper;
    struct auth_answer answer = {
        .result = x->answer.result,
        .data = buf_bytes(&x->answer.data),
        .login = bytes_of(x->answer.login, x->answer.login_len),
        .why = x->answer.why,
    };
    struct buf data = x->answer.data;
    keeper_reply *on_reply = x->on_reply;
    void *reply_ctx = x->reply_ctx;
    char login[LOGIN_MAX + 1];
    memcpy(login, x->answer.login, sizeof login);
    answer.login.at = login;
    weigh(k, x, &answer);
    explicit_bzero(x->input, x->input_len);
    free(x->input);
    x->input = NULL;
    x->busy = false;
    if (x->closed)
        free_exchange(x);
    else if (answer.result != AUTH_CHALLENGE)
        close_exchange(x);
    reply_with(&answer, on_reply, reply_ctx);
    buf_free(&data);
}

/* --- calls ------------------------------------------------------------------------------------- */

static void submit(struct exchange *x, bool has_input, struct bytes input, keeper_reply *on_reply,
                   void *ctx) {
    x->input = malloc(input.len + 1);
    MUST(x->input);
    if (input.len)
        memcpy(x->input, input.at, input.len);
    x->input_len = input.len;
    x->has_input = has_input;
    x->now = loop_now(x->keeper->loop);
    x->on_reply = on_reply;
    x->reply_ctx = ctx;
    x->busy = true;
    x->job = (struct offload_job){ .work = step_work, .done = step_done, .ctx = x };
    offload_submit(x->offload, &x->job);
}

static void begin(struct keeper *k, struct exchange_key key, const struct wire_request *r,
                  keeper_reply *on_reply, void *ctx) {
    struct exchange *old = map_find(k->exchanges, key_bytes(&key));
    if (old)
        close_exchange(old);
    struct exchange *x = add_exchange(k, key, &r->session);
    if (x->server) {
        submit(x, r->session.has_initial, r->session.initial, on_reply, ctx);
        return;
    }
    close_exchange(x);
    reply_malformed(on_reply, ctx, "No such mechanism");
}

static void step(struct exchange *x, struct bytes response, keeper_reply *on_reply, void *ctx) {
    if (!x)
        reply_down(on_reply, ctx, "This login was interrupted: begin again");
    else if (x->busy)
        reply_malformed(on_reply, ctx, "A message before the last one was answered");
    else
        submit(x, true, response, on_reply, ctx);
}

void keeper_call(struct keeper *k, uint64_t caller, struct bytes request, keeper_reply *on_reply,
                 void *ctx) {
    struct wire_request r;
    if (!wire_parse_request(request, &r)) {
        reply_malformed(on_reply, ctx, "The request cannot be read");
        return;
    }
    struct exchange_key key = { caller, r.exchange };
    struct exchange *x = map_find(k->exchanges, key_bytes(&key));
    switch (r.op) {
    case WIRE_BEGIN:
        begin(k, key, &r, on_reply, ctx);
        return;
    case WIRE_STEP:
        step(x, r.response, on_reply, ctx);
        return;
    case WIRE_END:
        if (x)
            close_exchange(x);
        on_reply(ctx, BYTES_NONE);
        return;
    }
}

void keeper_gone(struct keeper *k, uint64_t caller) {
    struct caller *c;
    while ((c = map_find(k->callers, MAP_KEY(caller))))
        close_exchange(CONTAINER_OF(list_first(&c->exchanges), struct exchange, by_caller));
}

/* --- over a channel ---------------------------------------------------------------------------- */

static void on_call_reply(void *ctx, struct bytes reply) {
    service_reply(ctx, reply);
}

static void on_call(void *ctx, struct service_call *call, struct bytes request) {
    keeper_call(ctx, service_caller(call), request, on_call_reply, call);
}

static void on_gone(void *ctx, uint64_t caller) {
    keeper_gone(ctx, caller);
}

void keeper_serve(struct keeper *k, int fd) {
    k->service = service_open(k->loop, fd, on_call, k);
    service_on_gone(k->service, on_gone, k);
}
