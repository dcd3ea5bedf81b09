/* A worker's logins while the keeper is started anew, as each reload does: a plain service on the same
 * listening socket stands in for it, so that each moment can be chosen. */
#include "base/must.h"
#include "keeper/auth.h"
#include "keeper/wire.h"
#include "sys/channel.h"
#include "sys/sockets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    struct loop *loop;
    struct service *service;
    struct auth *auth;
    struct timer guard;
    int listening;
    char folder[64], path[96];
    unsigned calls, ends; /* ends: how many of the first calls the keeper takes with it */
    char requests[2][512];
    size_t lengths[2];
    struct auth_answer answer;
    unsigned answers;
};

static void on_call(void *ctx, struct service_call *call, struct bytes request) {
    struct world *w = ctx;
    struct wire_request r;
    assert_true(wire_parse_request(request, &r));
    if (r.op == WIRE_END) {
        service_reply(call, BYTES_NONE);
        return;
    }
    if (w->calls < 2) {
        memcpy(w->requests[w->calls], request.at, request.len);
        w->lengths[w->calls] = request.len;
    }
    if (w->calls++ < w->ends) {
        service_close(&w->service);
        service_reply(call, B("dropped"));
        w->service = service_open(w->loop, dup(w->listening), on_call, w);
        return;
    }
    char memory[512];
    struct buf b = buf_fixed(memory, sizeof memory);
    wire_format_answer(&b, &(struct auth_answer){ .result = AUTH_DONE, .login = B("t@a.example") });
    service_reply(call, buf_bytes(&b));
}

static void on_answer(void *ctx, const struct auth_answer *answer) {
    struct world *w = ctx;
    w->answers++;
    w->answer = *answer;
    loop_stop(w->loop);
}

static void too_late(void *ctx) {
    struct world *w = ctx;
    loop_stop(w->loop);
}

static int set_up(void **state) {
    struct world *w = calloc(1, sizeof *w);
    struct why why;
    strcpy(w->folder, "/tmp/postern-restart-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->path, sizeof w->path, "%s/keeper.sock", w->folder);
    w->loop = loop_open();
    assert_int_equal(
        sockets_listen_unix(bytes_str(w->path), SOCK_SEQPACKET, 0600, &w->listening, &why), OK);
    w->service = service_open(w->loop, dup(w->listening), on_call, w);
    w->auth = auth_open_channel(w->loop, w->path);
    timer_set(w->loop, &w->guard, 10000, too_late, w);
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    struct world *w = *state;
    auth_close(&w->auth);
    service_close(&w->service);
    timer_clear(&w->guard);
    loop_close(&w->loop);
    close(w->listening);
    unlink(w->path);
    rmdir(w->folder);
    free(w);
    return 0;
}

static void log_in(struct world *w) {
    struct auth_session session = { .mechanism = B("PLAIN"),
                                    .client = { .family = 4, .ip = { 192, 0, 2, 7 } },
                                    .service = B("smtp"),
                                    .has_initial = true,
                                    .initial = bytes_of("\0t@a.example\0word", 17) };
    struct auth_exchange *x = auth_begin(w->auth, &session, on_answer, w);
    loop_run(w->loop);
    assert_int_equal(w->answers, 1);
    auth_end(&x);
}

/* Nothing but the first message was said: the new keeper is told the same, and nobody notices. */
static void first_call_is_made_again(void **state) {
    struct world *w = *state;
    w->ends = 1;
    log_in(w);
    assert_int_equal(w->answer.result, AUTH_DONE);
    assert_int_equal(w->calls, 2);
    assert_true(bytes_equal(bytes_of(w->requests[0], w->lengths[0]),
                            bytes_of(w->requests[1], w->lengths[1])));
}

/* A keeper that dies of the call is not killed by it again and again. */
static void only_once(void **state) {
    struct world *w = *state;
    w->ends = 9;
    log_in(w);
    assert_int_equal(w->answer.result, AUTH_DOWN);
    assert_int_equal(w->answer.why.code, 454);
    assert_int_equal(w->calls, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(first_call_is_made_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
