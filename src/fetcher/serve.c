/* serve: the process's two sockets. Workers may ask for their logins' tokens, the keeper for keys and
 * introspections; nobody for what is the other's. */
#include "base/must.h"
#include "fetcher/logic.h"
#include "fetcher/wire.h"
#include "sys/channel.h"

#include <string.h>

static void on_done(void *ctx, const struct fetched *answer) {
    struct buf b = buf_grow(FETCH_WIRE_MAX);
    fetch_format_answer(&b, answer);
    MUST(!b.full);
    service_reply(ctx, buf_bytes(&b));
    explicit_bzero(b.at, b.len);
    buf_free(&b);
}

static void refuse(struct service_call *call) {
    struct fetched answer = { .rc = TEMP };
    why_backend(&answer.why, "backend.fetcher", "this is not for this caller");
    on_done(call, &answer);
}

static void handle(struct fetch_logic *logic, bool keeper, struct service_call *call,
                   struct bytes request) {
    struct fetch what;
    if (!fetch_parse_request(request, &what) || keeper != (what.kind != FETCH_LOGIN))
        refuse(call);
    else
        fetch_logic_ask(logic, &what, on_done, call);
}

static void on_worker(void *ctx, struct service_call *call, struct bytes request) {
    handle(ctx, false, call, request);
}

static void on_keeper(void *ctx, struct service_call *call, struct bytes request) {
    handle(ctx, true, call, request);
}

static void *begin(void *ctx, const struct http_request *request, http_answered *on_answer,
                   void *arg) {
    return http_begin(ctx, request, on_answer, arg);
}

static void cancel(void *ctx, void *call) {
    struct http_call *c = call;
    (void)ctx;
    http_cancel(&c);
}

void fetcher_serve(struct loop *l, const struct config *config, struct bytes folder,
                   struct http *http, int workers_fd, int keeper_fd) {
    struct fetch_web web = { begin, cancel, http, .quiet = false };
    struct fetch_logic *logic = fetch_logic_open(l, config, folder, &web);
    struct service *workers = service_open(l, workers_fd, on_worker, logic);
    struct service *keeper = service_open(l, keeper_fd, on_keeper, logic);
    loop_run(l);
    fetch_logic_close(&logic);
    service_close(&workers);
    service_close(&keeper);
}
