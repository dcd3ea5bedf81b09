/* keeper: the exchanges under way, who they belong to, and how many there may be. This file alone
 * decides when one ends without its owner's doing: too old, too many, caller gone. The mechanisms
 * run on threads (server.c), in turns that queue.c gives; failures are counted here, on the loop,
 * where all threads' answers come together. */
#include "keeper/keeper.h"

#include "base/list.h"
#include "base/map.h"
#include "base/must.h"
#include "keeper/failures.h"
#include "keeper/queue.h"
#include "keeper/server.h"
#include "keeper/tokens.h"
#include "keeper/wire.h"
#include "sys/channel.h"
#include "sys/files.h"
#include "sys/offload.h"
#include "sys/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    THREADS = 3, /* the first is for clients that logged in lately: it is never full of guesses */
    SLOW_THREADS = 2, /* imported hashes: tens of milliseconds each */
    SOURCES_MAX = 16,
    SAVE_MS = 30000,
    EXCHANGES_MAX = 1000, /* the oldest goes */
    CALLER_MAX = 500,     /* of one worker */
    AGE_MAX_MS = 5 * 60 * 1000,
};

typedef void keeper_reply(void *ctx, struct bytes reply);

struct keeper {
    struct loop *loop;
    struct {
        struct queue *queue;
        struct checker *checker;
    } threads[THREADS];
    unsigned next_thread;
    struct offload *slow[SLOW_THREADS];
    unsigned next_slow;
    size_t source_count;
    struct source *sources[SOURCES_MAX];
    struct map *exchanges; /* struct exchange by struct exchange_key */
    struct list ages;      /* oldest first */
    struct map *callers;   /* struct caller by number */
    struct timer timer;    /* the oldest one's end */
    struct failures *failures;
    struct {
        struct buf path, content; /* content is the thread's while a job is under way */
        struct timer timer;
        struct offload_job job;
        uint64_t version;
        bool busy;
    } saved;
    struct tokens *tokens; /* NULL: none are taken */
    struct service *service;
    struct list asking; /* exchanges whose password a source judges */
    bool closing;
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
    struct queue *queue;
    bool busy;   /* a job is under way: only then is any of what follows in use */
    bool closed; /* gone from the tables; freed when the job is done */
    struct queue_job job;
    struct offload_job slow_job;
    struct list_node by_asking;
    bool has_input;
    char *input;
    size_t input_len;
    int64_t now;
    struct server_answer answer;
    struct source_answer judged; /* of what the exchange waited for */
    char judged_login[LOGIN_MAX + 1];
    struct token_view view; /* while a step runs */
    struct token_had had;   /* what came of what a token's check needed */
    bool has_had;
    struct penalty penalty; /* of a bad token, which is refused one step later */
    keeper_reply *on_reply;
    void *reply_ctx;
};

/* --- opening ----------------------------------------------------------------------------------- */

/* Those beside secrets.db, and the place it has among them. */
static void open_sources(struct keeper *k, const struct keeper_setup *setup,
                         struct checker_setup *checkers) {
    checkers->own = !setup->source_count;
    for (size_t i = 0; i < setup->source_count && k->source_count < SOURCES_MAX; i++) {
        struct source *s = source_open(k->loop, setup->sources[i], setup->pam_helper);
        if (s) {
            k->sources[k->source_count++] = s;
        } else if (bytes_equal(setup->sources[i], B("directory"))) {
            checkers->own = true;
            checkers->own_place = k->source_count;
        }
    }
    checkers->source_count = k->source_count;
}

/* --- failed logins over a restart ------------------------------------------------------------- */

static void save_work(void *ctx) {
    struct keeper *k = ctx;
    files_write(buf_bytes(&k->saved.path), buf_bytes(&k->saved.content), FILES_MODE(0600), NULL);
}

static void save_tick(void *ctx);

static void save_done(void *ctx) {
    struct keeper *k = ctx;
    k->saved.busy = false;
    buf_free(&k->saved.content);
    if (!k->closing)
        timer_set(k->loop, &k->saved.timer, SAVE_MS, save_tick, k);
}

/* True when there is something new to write. */
static bool fill_saved(struct keeper *k) {
    if (!k->saved.path.len || k->saved.busy || k->saved.version == failures_version(k->failures))
        return false;
    k->saved.version = failures_version(k->failures);
    k->saved.content = buf_grow(FAILURES_SAVED_MAX);
    failures_save(k->failures, loop_now(k->loop), loop_wall(k->loop), &k->saved.content);
    return true;
}

static void save_tick(void *ctx) {
    struct keeper *k = ctx;
    if (!fill_saved(k)) {
        timer_set(k->loop, &k->saved.timer, SAVE_MS, save_tick, k);
        return;
    }
    k->saved.busy = true;
    k->saved.job = (struct offload_job){ .work = save_work, .done = save_done, .ctx = k };
    offload_submit(k->slow[0], &k->saved.job);
}

void keeper_save(struct keeper *k) {
    if (!fill_saved(k))
        return;
    save_work(k);
    buf_free(&k->saved.content);
}

/* What cannot be read is begun anew: it is a file of counts, no database. */
static void load_failures(struct keeper *k, struct bytes file) {
    struct arena *a = arena_open();
    struct bytes content;
    k->saved.path = buf_grow(4096);
    buf_add(&k->saved.path, file);
    if (file.len && files_read(file, FAILURES_SAVED_MAX, a, &content, NULL) == OK)
        failures_load(k->failures, content, loop_now(k->loop), loop_wall(k->loop));
    arena_close(&a);
    if (file.len)
        timer_set(k->loop, &k->saved.timer, SAVE_MS, save_tick, k);
}

enum rc keeper_open(struct loop *l, const struct keeper_setup *setup, struct keeper **out,
                    struct why *why) {
    uint8_t boot_key[HASH_OCTETS];
    struct keeper *k = calloc(1, sizeof *k);
    MUST(k);
    (void)why; /* a database that cannot be opened now is told to each login (454) */
    k->loop = l;
    random_octets(boot_key, sizeof boot_key);
    struct checker_setup checkers = {
        .file = setup->secrets_file,
        .hostname = setup->hostname,
        .boot_key = boot_key,
    };
    open_sources(k, setup, &checkers);
    for (size_t i = 0; i < THREADS; i++) {
        k->threads[i].queue = queue_open(l, "login");
        k->threads[i].checker = checker_open(&checkers);
    }
    for (size_t i = 0; i < SLOW_THREADS; i++)
        k->slow[i] = offload_open(l, "login-hash");
    explicit_bzero(boot_key, sizeof boot_key);
    k->exchanges = map_open();
    k->callers = map_open();
    list_init(&k->ages);
    list_init(&k->asking);
    k->failures = failures_open();
    load_failures(k, setup->failures_file);
    *out = k;
    return OK;
}

void keeper_take_providers(struct keeper *k, const struct keeper_provider *list, size_t count,
                           struct fetcher *fetcher) {
    k->tokens = tokens_open(k->loop, list, count, fetcher);
}

static void close_exchange(struct exchange *x);
static void judged_down(struct exchange *x);

void keeper_close(struct keeper **out) {
    struct keeper *k = *out;
    struct list_node *n;
    if (!k)
        return;
    if (k->service)
        service_close(&k->service);
    while ((n = list_first(&k->ages)))
        close_exchange(CONTAINER_OF(n, struct exchange, by_age));
    k->closing = true;
    for (size_t i = 0; i < k->source_count; i++)
        source_close(&k->sources[i]);
    while ((n = list_first(&k->asking)))
        judged_down(CONTAINER_OF(n, struct exchange, by_asking));
    tokens_close(&k->tokens);
    for (size_t i = 0; i < SLOW_THREADS; i++)
        offload_close(&k->slow[i]);
    for (size_t i = 0; i < THREADS; i++)
        queue_close(&k->threads[i].queue);
    for (size_t i = 0; i < THREADS; i++)
        checker_close(&k->threads[i].checker);
    timer_clear(&k->timer);
    timer_clear(&k->saved.timer);
    buf_free(&k->saved.path);
    buf_free(&k->saved.content);
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

/* An exchange stays on its thread; the shortest queue, of those open to this client. */
static unsigned choose_thread(struct keeper *k, struct addr client) {
    bool known = failures_rank(k->failures, client, loop_now(k->loop)) == RANK_KNOWN;
    unsigned first = known ? 0 : 1, count = THREADS - first;
    unsigned best = first + k->next_thread++ % count;
    for (unsigned i = first; i < THREADS; i++)
        if (queue_length(k->threads[i].queue) < queue_length(k->threads[best].queue))
            best = i;
    return best;
}

static struct exchange *add_exchange(struct keeper *k, struct exchange_key key,
                                     const struct auth_session *session) {
    make_room(k, key.caller);
    struct exchange *x = calloc(1, sizeof *x);
    MUST(x);
    unsigned thread = choose_thread(k, session->client);
    *x = (struct exchange){
        .keeper = k,
        .key = key,
        .caller = caller_of(k, key.caller),
        .began = loop_now(k->loop),
        .client = session->client,
        .queue = k->threads[thread].queue,
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

/* A bad token counts when it is seen: its client need not stay for the refusal. */
static void weigh(struct keeper *k, struct exchange *x, struct auth_answer *answer) {
    const struct server_answer *from = &x->answer;
    if (answer->result == AUTH_DONE)
        answer->delay_ms = failures_right(k->failures, x->client, answer->login, x->now);
    if (from->guess)
        x->penalty = failures_wrong(k->failures, x->client, answer->login, x->now);
    if (answer->result != AUTH_REFUSED)
        return;
    answer->delay_ms = x->penalty.delay_ms;
    answer->close = x->penalty.close;
    answer->guessed_from = from->guess && from->known ? x->penalty.addresses : 0;
}

/* --- the steps of one ---------------------------------------------------------------------------- */

static void step_work(void *ctx) {
    struct exchange *x = ctx;
    server_step(x->server, x->has_input, bytes_of(x->input, x->input_len), x->now, &x->answer);
}

static void resume_work(void *ctx) {
    struct exchange *x = ctx;
    server_resume(x->server, &x->judged, x->now, &x->answer);
}

static void finish(struct exchange *x) {
    struct keeper *k = x->keeper;
    /* The answer outlives the exchange. */
    struct server_answer from = x->answer;
    struct auth_answer answer = {
        .result = from.result,
        .data = buf_bytes(&from.data),
        .login = bytes_of(from.login, from.login_len),
        .app = bytes_str(from.app),
        .app_senders = bytes_str(from.senders),
        .app_networks = bytes_str(from.networks),
        .why = from.why,
        .told = from.told,
    };
    keeper_reply *on_reply = x->on_reply;
    void *reply_ctx = x->reply_ctx;
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
    buf_free(&from.data);
}

static void step_done(void *ctx);

static void enqueue(struct exchange *x, void (*work)(void *ctx)) {
    struct keeper *k = x->keeper;
    if (k->tokens)
        tokens_view(k->tokens, &x->view);
    server_give(x->server, &x->view, loop_wall(k->loop), x->has_had ? &x->had : NULL);
    x->now = loop_now(k->loop);
    x->job = (struct queue_job){ .work = work, .done = step_done, .ctx = x };
    queue_put(x->queue, &x->job, x->client, failures_rank(k->failures, x->client, x->now));
}

/* --- what an exchange waits for -------------------------------------------------------------------- */

static void judged(void *ctx, const struct source_answer *answer) {
    struct exchange *x = ctx;
    struct buf login = buf_fixed(x->judged_login, sizeof x->judged_login);
    list_remove(&x->keeper->asking, &x->by_asking);
    x->judged = *answer;
    buf_add(&login, answer->login);
    x->judged.login = buf_bytes(&login); /* one that does not fit is empty, and nobody's */
    enqueue(x, resume_work);
}

static void judged_down(struct exchange *x) {
    struct source_answer down = { .result = SOURCE_DOWN };
    why_backend(&down.why, "backend.auth", "The keeper is ending");
    judged(x, &down);
}

static void ask_source(struct exchange *x) {
    struct keeper *k = x->keeper;
    struct source_question question = server_question(x->server);
    MUST(x->answer.source < k->source_count);
    list_append(&k->asking, &x->by_asking);
    source_ask(k->sources[x->answer.source], &question, judged, x);
}

static void end_down(struct exchange *x) {
    x->answer.wait = WAIT_NOTHING;
    x->answer.result = AUTH_DOWN;
    why_set(&x->answer.why, TEMP, 454, "4.7.0", "backend.auth", "The keeper is ending");
    finish(x);
}

static void on_had(void *ctx, const struct token_had *had) {
    struct exchange *x = ctx;
    x->had = *had;
    x->has_had = true;
    if (x->closed || x->keeper->closing)
        end_down(x);
    else
        enqueue(x, resume_work);
}

static void slow_work(void *ctx) {
    struct exchange *x = ctx;
    x->judged = (struct source_answer){ .result = server_work(x->server) };
}

static void slow_done(void *ctx) {
    enqueue(ctx, resume_work);
}

static void step_done(void *ctx) {
    struct exchange *x = ctx;
    struct keeper *k = x->keeper;
    enum server_wait wait = x->answer.wait;
    tokens_release(&x->view);
    x->has_had = false;
    if (wait == WAIT_NOTHING) {
        finish(x);
        return;
    }
    if (k->closing) {
        end_down(x);
        return;
    }
    buf_free(&x->answer.data);
    if (wait == WAIT_TOKENS) {
        tokens_get(k->tokens, &x->answer.need, on_had, x);
        return;
    }
    if (wait == WAIT_SOURCE) {
        ask_source(x);
        return;
    }
    x->slow_job = (struct offload_job){ .work = slow_work, .done = slow_done, .ctx = x };
    offload_submit(k->slow[k->next_slow++ % SLOW_THREADS], &x->slow_job);
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
    x->on_reply = on_reply;
    x->reply_ctx = ctx;
    x->busy = true;
    enqueue(x, step_work);
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
