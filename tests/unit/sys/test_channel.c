/* Calls between processes, played by one process and, for the bad manners, by plain sockets. */
#include "base/must.h"
#include "sys/channel.h"
#include "sys/random.h"
#include "sys/sockets.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MANY = 500 };

static char path[64];

struct world {
    struct loop *loop;
    struct service *service;
    struct channel *channel;
    struct timer guard, step;
    int listening;
    struct service_call *kept[MANY];
    size_t kept_count;
    bool keep; /* instead of answering */
    int calls, replies, fine, temporary, gone;
    uint64_t caller;
    char last[64], reason[64];
    int until;
    bool timed_out, close_in_reply, close_in_call;
    size_t reply_size;
};

static char *big;

static void on_call(void *ctx, struct service_call *call, struct bytes request) {
    struct world *w = ctx;
    w->calls++;
    w->caller = service_caller(call);
    if (w->close_in_call) {
        service_close(&w->service);
        service_reply(call, B("dropped"));
        return;
    }
    if (w->keep) {
        w->kept[w->kept_count++] = call;
        if (w->until && w->calls == w->until)
            loop_stop(w->loop);
        return;
    }
    service_reply(call, w->reply_size ? bytes_of(big, w->reply_size) : request);
}

static void on_gone(void *ctx, uint64_t caller) {
    struct world *w = ctx;
    if (w->calls)
        assert_int_equal(caller, w->caller);
    w->gone++;
}

static void on_reply(void *ctx, enum rc rc, struct bytes reply, const struct why *why) {
    struct world *w = ctx;
    w->replies++;
    w->fine += rc == OK;
    w->temporary += rc == TEMP;
    if (rc == OK && w->reply_size)
        assert_true(bytes_equal(reply, bytes_of(big, w->reply_size)));
    else
        snprintf(w->last, sizeof w->last, "%.*s", BYTES_FMT(reply));
    if (why)
        snprintf(w->reason, sizeof w->reason, "%s", why->reason);
    if (w->close_in_reply)
        channel_close(&w->channel);
    if (w->replies == w->until || w->close_in_reply)
        loop_stop(w->loop);
}

static void too_long(void *ctx) {
    struct world *w = ctx;
    w->timed_out = true;
    loop_stop(w->loop);
}

static void stop(void *ctx) {
    loop_stop(ctx);
}

static void run(struct world *w) {
    timer_set(w->loop, &w->guard, 20000, too_long, w);
    loop_run(w->loop);
    timer_clear(&w->guard);
    assert_false(w->timed_out);
}

static void settle(struct world *w, int64_t ms) {
    timer_set(w->loop, &w->step, ms, stop, w->loop);
    run(w);
}

static void serve(struct world *w) {
    w->service = service_open(w->loop, dup(w->listening), on_call, w);
    service_on_gone(w->service, on_gone, w);
}

static void world_open(struct world *w) {
    struct why why;
    *w = (struct world){ .loop = loop_open() };
    assert_int_equal(
        sockets_listen_unix(bytes_str(path), SOCK_SEQPACKET, 0600, &w->listening, &why), OK);
    serve(w);
    w->channel = channel_open(w->loop, path, "keeper");
}

static void world_close(struct world *w) {
    channel_close(&w->channel);
    service_close(&w->service);
    close(w->listening);
    unlink(path);
    timer_clear(&w->step);
    loop_close(&w->loop);
}

static uint64_t call(struct world *w, struct bytes request, int64_t timeout) {
    return channel_call(w->channel, request, timeout, on_reply, w);
}

static void answers(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.until = 2;
    call(&w, B("hello"), 1000);
    call(&w, BYTES_NONE, 1000);
    assert_int_equal(w.replies, 0);
    run(&w);
    assert_int_equal(w.fine, 2);
    call(&w, B("again"), 1000);
    w.until = 3;
    run(&w);
    assert_string_equal(w.last, "again");
    channel_close(&w.channel);
    settle(&w, 5);
    assert_int_equal(w.gone, 1);
    world_close(&w);
}

static void big_messages_queue(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.until = MANY;
    w.reply_size = CHANNEL_MAX;
    for (int i = 0; i < MANY; i++)
        call(&w, bytes_of(big, CHANNEL_MAX), 20000);
    run(&w);
    assert_int_equal(w.fine, MANY);
    world_close(&w);
}

static void answers_come_late_and_in_any_order(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.keep = true;
    w.until = 3;
    call(&w, B("a"), 5000);
    uint64_t cancelled = call(&w, B("b"), 5000);
    call(&w, B("c"), 5000);
    run(&w);
    channel_cancel(w.channel, cancelled);
    channel_cancel(w.channel, cancelled);
    w.until = 2;
    service_reply(w.kept[2], B("for c"));
    service_reply(w.kept[1], B("for b"));
    service_reply(w.kept[0], B("for a"));
    run(&w);
    assert_string_equal(w.last, "for a");
    assert_int_equal(w.replies, 2);
    world_close(&w);
}

static void silence_ends_in_time(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.keep = true;
    call(&w, B("a"), 20);
    settle(&w, 60);
    assert_int_equal(w.temporary, 1);
    assert_string_equal(w.reason, "backend.keeper");
    service_reply(w.kept[0], B("too late"));
    settle(&w, 20);
    assert_int_equal(w.replies, 1);
    world_close(&w);
}

static void restart_interrupts_and_reconnects(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.keep = true;
    w.until = 1;
    call(&w, B("lost"), 5000);
    run(&w);
    service_close(&w.service);
    run(&w);
    assert_int_equal(w.temporary, 1);
    service_reply(w.kept[0], B("nobody hears it"));
    /* The listening socket stays with the parent: a call waits in its backlog. */
    w.keep = false;
    call(&w, B("waits"), 5000);
    settle(&w, 20);
    assert_int_equal(w.replies, 1);
    serve(&w);
    w.until = 2;
    run(&w);
    assert_string_equal(w.last, "waits");
    world_close(&w);
}

static void missing_socket_is_tried_again(void **state) {
    (void)state;
    struct world w;
    struct why why;
    world_open(&w);
    service_close(&w.service);
    close(w.listening);
    unlink(path);
    call(&w, B("gives up"), 20);
    call(&w, B("waits"), 5000);
    settle(&w, 40);
    assert_int_equal(w.temporary, 1);
    assert_int_equal(sockets_listen_unix(bytes_str(path), SOCK_SEQPACKET, 0600, &w.listening, &why),
                     OK);
    serve(&w);
    w.until = 2;
    run(&w);
    assert_string_equal(w.last, "waits");
    world_close(&w);
}

static void closing_inside_callbacks(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.close_in_reply = true;
    call(&w, B("one"), 5000);
    call(&w, B("two"), 5000);
    run(&w);
    assert_int_equal(w.replies, 1);
    settle(&w, 5);
    world_close(&w);
    world_open(&w);
    w.close_in_call = true;
    w.until = 1;
    call(&w, B("one"), 5000);
    run(&w);
    assert_null(w.service);
    assert_int_equal(w.temporary, 1);
    world_close(&w);
    /* The channel is closed while calls fail. */
    world_open(&w);
    w.keep = true;
    w.until = 2;
    call(&w, B("one"), 5000);
    call(&w, B("two"), 5000);
    run(&w);
    w.close_in_reply = true;
    service_close(&w.service);
    run(&w);
    assert_int_equal(w.replies, 1);
    service_reply(w.kept[0], BYTES_NONE);
    service_reply(w.kept[1], BYTES_NONE);
    world_close(&w);
}

static void bad_callers_are_sent_away(void **state) {
    (void)state;
    struct world w;
    int fd, passed[2], next;
    char text[16];
    world_open(&w);
    assert_int_equal(sockets_connect_unix(bytes_str(path), SOCK_SEQPACKET, &fd), 0);
    assert_int_equal(send(fd, "short", 5, 0), 5);
    settle(&w, 5);
    assert_int_equal(recv(fd, text, sizeof text, 0), 0);
    close(fd);
    /* A descriptor sent along is never taken in. */
    assert_int_equal(pipe(passed), 0);
    assert_int_equal(sockets_connect_unix(bytes_str(path), SOCK_SEQPACKET, &fd), 0);
    settle(&w, 5);
    next = dup(fd);
    close(next);
    assert_int_equal(sockets_send_fd(fd, passed[0], B("12345678hello")), 0);
    settle(&w, 5);
    assert_int_equal(recv(fd, text, sizeof text, 0), 13);
    assert_memory_equal(text, "12345678hello", 13);
    assert_int_equal(fcntl(next, F_GETFD), -1);
    close(fd);
    close(passed[0]);
    close(passed[1]);
    world_close(&w);
}

/* A caller that never reads is not read from for ever either. */
static void deaf_caller_is_bounded(void **state) {
    (void)state;
    struct world w;
    int fd, sent = 0;
    world_open(&w);
    w.reply_size = 60000;
    assert_int_equal(sockets_connect_unix(bytes_str(path), SOCK_SEQPACKET, &fd), 0);
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 50; i++)
            sent += send(fd, "12345678", 8, MSG_DONTWAIT | MSG_NOSIGNAL) == 8;
        settle(&w, 0);
    }
    assert_in_range(w.calls, 200, 400);
    assert_true(sent > w.calls);
    close(fd);
    settle(&w, 5);
    world_close(&w);
}

static void gone_caller_does_not_hurt(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.keep = true;
    w.until = 2;
    call(&w, B("a"), 5000);
    call(&w, B("b"), 5000);
    run(&w);
    channel_close(&w.channel);
    settle(&w, 5);
    assert_int_equal(w.gone, 1);
    service_reply(w.kept[0], B("dropped"));
    service_reply(w.kept[1], B("dropped"));
    assert_int_equal(w.replies, 0);
    world_close(&w);
}

static int prepare(void **state) {
    (void)state;
    snprintf(path, sizeof path, "/tmp/postern-channel-%d.sock", (int)getpid());
    big = malloc(CHANNEL_MAX);
    random_octets(big, CHANNEL_MAX);
    return 0;
}

static int tidy(void **state) {
    (void)state;
    free(big);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(big_messages_queue),
        cmocka_unit_test(answers_come_late_and_in_any_order),
        cmocka_unit_test(silence_ends_in_time),
        cmocka_unit_test(restart_interrupts_and_reconnects),
        cmocka_unit_test(missing_socket_is_tried_again),
        cmocka_unit_test(closing_inside_callbacks),
        cmocka_unit_test(bad_callers_are_sent_away),
        cmocka_unit_test(deaf_caller_is_bounded),
        cmocka_unit_test(gone_caller_does_not_hurt),
    };
    alarm(100);
    return cmocka_run_group_tests(tests, prepare, tidy);
}
