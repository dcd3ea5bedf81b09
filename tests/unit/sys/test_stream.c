/* Streams over real sockets on loopback: both ends as streams, or one end as a plain socket that
 * misbehaves. Every run is bounded by a timer that fails the test. */
#include "base/event.h"
#include "base/must.h"
#include "sys/random.h"
#include "sys/sockets.h"
#include "sys/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct world;

struct end {
    struct world *world;
    struct stream *stream;
    struct buf got;
    int reads, ended, end_error, writables, secured;
    enum rc secured_rc;
    struct why why;
    const char *name;
};

/* One listener, what it accepts, and a client. */
struct world {
    struct loop *loop;
    struct stream_listener *listener;
    struct stream_connect *connect;
    struct addr at;
    struct end server, client;
    struct timer guard, step;
    bool timed_out;
    size_t want; /* octets after which it stops */
    int accepted, failed;
    struct why failure;
    /* What a test does when something arrives. */
    void (*on_accepted)(struct world *w);
    void (*on_connected)(struct world *w);
    void (*on_data)(struct end *e, struct bytes data);
    void (*on_secured)(struct end *e);
    void (*on_ended)(struct end *e);
};

static struct arena *arena;
static struct tls_server *tls_server;
static struct tls_client *tls_client;

static void read_cb(void *ctx, struct bytes data) {
    struct end *e = ctx;
    e->reads++;
    buf_add(&e->got, data);
    if (e->world->on_data)
        e->world->on_data(e, data);
}

static void end_cb(void *ctx, int error) {
    struct end *e = ctx;
    e->ended++;
    e->end_error = error;
    if (e->world->on_ended)
        e->world->on_ended(e);
    else
        loop_stop(e->world->loop);
}

static void writable_cb(void *ctx) {
    struct end *e = ctx;
    e->writables++;
}

static void secured_cb(void *ctx, enum rc rc, const struct tls_info *info, const struct why *why) {
    struct end *e = ctx;
    e->secured++;
    e->secured_rc = rc;
    assert_true((rc == OK) == (info != NULL) && (rc == OK) == (why == NULL));
    if (why)
        e->why = *why;
    if (e->world->on_secured)
        e->world->on_secured(e);
}

static const struct stream_handler handler = { read_cb, end_cb, writable_cb, secured_cb };

static void accept_cb(void *ctx, struct stream *s) {
    struct world *w = ctx;
    w->accepted++;
    w->server.stream = s;
    stream_attach(s, &handler, &w->server);
    if (w->on_accepted)
        w->on_accepted(w);
}

static void connect_cb(void *ctx, enum rc rc, struct stream *s, const struct why *why) {
    struct world *w = ctx;
    w->connect = NULL;
    if (rc != OK) {
        w->failed++;
        w->failure = *why;
        assert_null(s);
        loop_stop(w->loop);
        return;
    }
    w->client.stream = s;
    stream_attach(s, &handler, &w->client);
    if (w->on_connected)
        w->on_connected(w);
}

static void too_long(void *ctx) {
    struct world *w = ctx;
    w->timed_out = true;
    loop_stop(w->loop);
}

static void world_open(struct world *w) {
    struct addr at;
    struct why why;
    int fd;
    *w = (struct world){ .loop = loop_open() };
    w->server = (struct end){ .world = w, .got = buf_grow(1 << 26), .name = "server" };
    w->client = (struct end){ .world = w, .got = buf_grow(1 << 26), .name = "client" };
    assert_true(addr_parse(B("127.0.0.1"), &at));
    assert_int_equal(sockets_listen_tcp(at, &fd, &why), OK);
    w->at = sockets_bound(fd);
    w->listener = stream_listen(w->loop, fd, accept_cb, w);
}

static void client_begin(struct world *w) {
    const struct connect_to to = { .remote = w->at, .timeout_ms = 5000 };
    w->connect = stream_connect(w->loop, &to, connect_cb, w);
}

static void run(struct world *w) {
    timer_set(w->loop, &w->guard, 20000, too_long, w);
    loop_run(w->loop);
    timer_clear(&w->guard);
    assert_false(w->timed_out);
}

static void stop_cb(void *ctx) {
    struct world *w = ctx;
    loop_stop(w->loop);
}

/* A few turns of the loop for what is under way. */
static void settle(struct world *w) {
    timer_set(w->loop, &w->step, 20, stop_cb, w);
    run(w);
}

static void world_close(struct world *w) {
    stream_abort(&w->server.stream);
    stream_abort(&w->client.stream);
    stream_listener_close(&w->listener);
    stream_connect_cancel(&w->connect);
    buf_free(&w->server.got);
    buf_free(&w->client.got);
    timer_clear(&w->step);
    loop_close(&w->loop);
}

/* --- plain ---------------------------------------------------------------------------------------- */

static void greet(struct world *w) {
    stream_write(w->server.stream, B("220 hello\r\n"));
}

static void converse(struct end *e, struct bytes data) {
    if (e == &e->world->client && bytes_starts(data, B("220")))
        stream_write(e->stream, B("EHLO a\r\nMAIL\r\nRCPT\r\n"));
    if (e == &e->world->server) {
        /* Three answers to a group of commands. */
        stream_write(e->stream, B("250 one\r\n"));
        stream_write(e->stream, B("250 two\r\n"));
        stream_write(e->stream, B("250 three\r\n"));
    }
    if (e == &e->world->client && bytes_search(buf_bytes(&e->got), B("three\r\n")) >= 0)
        loop_stop(e->world->loop);
}

static void speaks_plain(void **state) {
    (void)state;
    struct world w;
    unsigned uid, gid;
    int pid;
    world_open(&w);
    w.on_accepted = greet;
    w.on_data = converse;
    client_begin(&w);
    assert_null(w.client.stream); /* never before it returned */
    run(&w);
    assert_string_equal(buf_text(&w.client.got),
                        "220 hello\r\n250 one\r\n250 two\r\n250 three\r\n");
    assert_int_equal(w.client.reads, 2); /* what was written in one on_read came together */
    assert_true(addr_equal(stream_peer(w.client.stream), w.at));
    assert_int_equal(stream_peer(w.client.stream).port, w.at.port);
    assert_int_equal(stream_local(w.server.stream).port, w.at.port);
    assert_int_equal(stream_peer(w.server.stream).port, stream_local(w.client.stream).port);
    assert_false(stream_credentials(w.server.stream, &uid, &gid, &pid));
    assert_null(stream_tls(w.server.stream));
    assert_ptr_equal(stream_loop(w.server.stream), w.loop);
    world_close(&w);
}

/* Accepts with a plain socket's help, to look at the options of the accepted one. */
static void nodelay_is_inherited(void **state) {
    (void)state;
    struct addr at;
    struct why why;
    struct sockaddr_storage system;
    int listening, value = 0;
    socklen_t size = sizeof value;
    assert_true(addr_parse(B("127.0.0.1"), &at));
    assert_int_equal(sockets_listen_tcp(at, &listening, &why), OK);
    socklen_t length = sockets_to_system(sockets_bound(listening), &system);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&system, length), 0);
    int accepted = accept(listening, NULL, NULL);
    assert_int_equal(getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &value, &size), 0);
    assert_true(value);
    close(client);
    close(accepted);
    close(listening);
}

static void close_after_greeting(struct world *w) {
    stream_write(w->server.stream, B("421 later\r\n"));
    stream_close(&w->server.stream);
    assert_null(w->server.stream);
}

static void close_sends_what_was_written(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_accepted = close_after_greeting;
    client_begin(&w);
    run(&w);
    assert_string_equal(buf_text(&w.client.got), "421 later\r\n");
    assert_int_equal(w.client.ended, 1);
    assert_int_equal(w.client.end_error, 0);
    world_close(&w);
}

static char *big;
enum { BIG = 8 * 1024 * 1024 };

static void write_big_and_close(struct world *w) {
    bool room = stream_write(w->server.stream, bytes_of(big, BIG));
    assert_false(room);
    assert_true(stream_pending(w->server.stream) > 65536);
    stream_close(&w->server.stream);
}

static void big_write_arrives_whole(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_accepted = write_big_and_close;
    client_begin(&w);
    run(&w);
    assert_int_equal(w.client.got.len, BIG);
    assert_memory_equal(w.client.got.at, big, BIG);
    assert_int_equal(w.client.end_error, 0);
    world_close(&w);
}

static void write_big(struct world *w) {
    assert_false(stream_write(w->server.stream, bytes_of(big, BIG)));
}

static void stop_when_all_is_there(struct end *e, struct bytes data) {
    (void)data;
    if (e->got.len >= e->world->want)
        loop_stop(e->world->loop);
}

static void writable_is_told_once(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_accepted = write_big;
    w.on_data = stop_when_all_is_there;
    w.want = BIG;
    client_begin(&w);
    run(&w);
    settle(&w);
    assert_int_equal(w.server.writables, 1);
    assert_int_equal(stream_pending(w.server.stream), 0);
    world_close(&w);
}

static void hold_client(struct world *w) {
    stream_hold(w->client.stream);
}

static void hold_makes_the_peer_wait(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_accepted = write_big;
    w.on_connected = hold_client;
    w.on_data = stop_when_all_is_there;
    w.want = BIG;
    client_begin(&w);
    settle(&w);
    assert_int_equal(w.client.reads, 0);
    assert_int_equal(w.server.writables, 0);
    assert_true(stream_pending(w.server.stream) > 0);
    stream_resume(w.client.stream);
    run(&w);
    assert_int_equal(w.client.got.len, BIG);
    world_close(&w);
}

static void hold_while_reading(struct end *e, struct bytes data) {
    (void)data;
    if (e == &e->world->client) {
        stream_hold(e->stream);
        timer_set(e->world->loop, &e->world->step, 0, stop_cb, e->world);
    }
}

static void hold_inside_on_read(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_accepted = write_big;
    w.on_data = hold_while_reading;
    client_begin(&w);
    run(&w);
    size_t got = w.client.got.len;
    assert_true(got > 0 && got <= 65536);
    settle(&w);
    assert_int_equal(w.client.got.len, got);
    while (w.client.got.len < BIG) {
        stream_resume(w.client.stream);
        run(&w);
    }
    assert_memory_equal(w.client.got.at, big, BIG);
    world_close(&w);
}

/* --- peers that misbehave -------------------------------------------------------------------------- */

static int raw_client(struct world *w) {
    struct sockaddr_storage to;
    socklen_t size = sockets_to_system(w->at, &to);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, size), 0);
    return fd;
}

static void reset(int fd) {
    const struct linger now = { 1, 0 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static void peer_resets(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    int fd = raw_client(&w);
    settle(&w);
    assert_non_null(w.server.stream);
    reset(fd);
    run(&w);
    assert_int_equal(w.server.ended, 1);
    assert_int_equal(w.server.end_error, ECONNRESET);
    /* What is written to it now goes nowhere, without a fault. */
    stream_write(w.server.stream, B("250 fine\r\n"));
    stream_close(&w.server.stream);
    world_close(&w);
}

static void peer_resets_while_we_send(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_accepted = write_big;
    int fd = raw_client(&w);
    settle(&w);
    assert_true(stream_pending(w.server.stream) > 0);
    reset(fd);
    run(&w);
    assert_int_equal(w.server.ended, 1);
    assert_true(w.server.end_error != 0);
    assert_int_equal(stream_pending(w.server.stream), 0);
    world_close(&w);
}

static void held_stream_learns_of_a_break_by_sending(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_accepted = write_big;
    int fd = raw_client(&w);
    settle(&w);
    stream_hold(w.server.stream);
    reset(fd);
    run(&w);
    assert_int_equal(w.server.ended, 1);
    assert_true(w.server.end_error != 0);
    world_close(&w);
}

static void data_before_the_end_is_read(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    int fd = raw_client(&w);
    assert_int_equal(write(fd, "QUIT\r\n", 6), 6);
    close(fd);
    run(&w);
    assert_string_equal(buf_text(&w.server.got), "QUIT\r\n");
    assert_int_equal(w.server.ended, 1);
    assert_int_equal(w.server.end_error, 0);
    world_close(&w);
}

static void half_closed_peer_still_hears(void **state) {
    (void)state;
    struct world w;
    char text[64] = { 0 };
    world_open(&w);
    int fd = raw_client(&w);
    assert_int_equal(write(fd, "NOOP\r\n", 6), 6);
    shutdown(fd, SHUT_WR);
    run(&w);
    assert_int_equal(w.server.ended, 1);
    stream_write(w.server.stream, B("250 heard\r\n"));
    stream_close(&w.server.stream);
    settle(&w);
    assert_int_equal(read(fd, text, sizeof text), 11);
    assert_string_equal(text, "250 heard\r\n");
    assert_int_equal(read(fd, text, sizeof text), 0);
    close(fd);
    world_close(&w);
}

/* A peer that goes on sending must still be able to read why it was sent away. */
static void reply_survives_unread_input(void **state) {
    (void)state;
    struct world w;
    char text[64] = { 0 };
    world_open(&w);
    int fd = raw_client(&w);
    settle(&w);
    stream_hold(w.server.stream);
    for (int i = 0; i < 10; i++)
        assert_int_equal(write(fd, big, 10000), 10000);
    stream_write(w.server.stream, B("552 too big\r\n"));
    stream_close(&w.server.stream);
    settle(&w);
    assert_int_equal(write(fd, big, 10000), 10000);
    settle(&w);
    assert_int_equal(read(fd, text, sizeof text), 13);
    assert_string_equal(text, "552 too big\r\n");
    assert_int_equal(read(fd, text, sizeof text), 0); /* an end, not a reset */
    close(fd);
    world_close(&w);
}

/* What lingers when the loop is closed is let go of. */
static void loop_close_ends_lingering(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_accepted = write_big_and_close;
    int fd = raw_client(&w);
    settle(&w);
    world_close(&w);
    close(fd);
}

/* --- closing inside callbacks -------------------------------------------------------------------- */

static void write_and_close(struct end *e, struct bytes data) {
    (void)data;
    if (e == &e->world->server) {
        stream_write(e->stream, B("221 bye\r\n"));
        stream_close(&e->stream);
    }
}

static void abort_it(struct end *e, struct bytes data) {
    (void)data;
    if (e == &e->world->server) {
        stream_write(e->stream, B("never"));
        stream_abort(&e->stream);
    }
}

static void say_quit(struct world *w) {
    stream_write(w->client.stream, B("QUIT\r\n"));
}

static void close_inside_on_read(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_connected = say_quit;
    w.on_data = write_and_close;
    client_begin(&w);
    run(&w);
    assert_string_equal(buf_text(&w.client.got), "221 bye\r\n");
    world_close(&w);
}

static void abort_inside_on_read(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_connected = say_quit;
    w.on_data = abort_it;
    client_begin(&w);
    run(&w);
    assert_int_equal(w.client.got.len, 0);
    assert_int_equal(w.client.ended, 1);
    world_close(&w);
}

/* --- connecting ------------------------------------------------------------------------------------ */

static void refused_connection_is_told(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    stream_listener_close(&w.listener);
    client_begin(&w);
    run(&w);
    assert_int_equal(w.failed, 1);
    assert_string_equal(w.failure.text, "connection refused");
    assert_string_equal(w.failure.reason, "connect.refused");
    world_close(&w);
}

static void connect_times_out(void **state) {
    (void)state;
    struct world w;
    struct why why;
    int fd, filler[8];
    size_t fillers = 0;
    world_open(&w);
    /* A full backlog drops the SYN. */
    assert_int_equal(sockets_listen_tcp(w.at, &fd, &why), OK);
    close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 0), 0);
    struct connect_to to = { .remote = sockets_bound(fd), .timeout_ms = 100 };
    struct sockaddr_storage system;
    socklen_t size = sockets_to_system(to.remote, &system);
    while (fillers < COUNT_OF(filler)) {
        int f = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        filler[fillers++] = f;
        connect(f, (struct sockaddr *)&system, size);
    }
    w.connect = stream_connect(w.loop, &to, connect_cb, &w);
    run(&w);
    assert_int_equal(w.failed, 1);
    assert_string_equal(w.failure.reason, "connect.timeout");
    for (size_t i = 0; i < fillers; i++)
        close(filler[i]);
    close(fd);
    world_close(&w);
}

static void connect_is_cancelled(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    client_begin(&w);
    stream_connect_cancel(&w.connect);
    struct connect_to nowhere = { .remote = { 0 }, .timeout_ms = 100 };
    w.connect = stream_connect(w.loop, &nowhere, connect_cb, &w);
    stream_connect_cancel(&w.connect);
    settle(&w);
    assert_null(w.client.stream);
    assert_int_equal(w.failed, 0);
    w.connect = stream_connect(w.loop, &nowhere, connect_cb, &w);
    run(&w);
    assert_int_equal(w.failed, 1);
    world_close(&w);
}

static void source_address_is_used(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    struct connect_to to = { .remote = w.at, .timeout_ms = 5000 };
    assert_true(addr_parse(B("127.0.0.9"), &to.source));
    w.on_connected = say_quit;
    w.on_data = write_and_close;
    w.connect = stream_connect(w.loop, &to, connect_cb, &w);
    run(&w);
    assert_true(addr_equal(stream_local(w.client.stream), to.source));
    assert_true(addr_parse(B("192.0.2.99"), &to.source));
    w.connect = stream_connect(w.loop, &to, connect_cb, &w);
    run(&w);
    assert_string_equal(w.failure.reason, "connect.source");
    world_close(&w);
}

static void unix_sockets_carry_credentials(void **state) {
    (void)state;
    struct world w;
    struct why why;
    unsigned uid, gid;
    int fd, pid;
    char dir[] = "/tmp/postern-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct bytes path = arena_printf(arena, "%s/s", dir);
    world_open(&w);
    assert_int_equal(sockets_listen_unix(path, SOCK_STREAM, 0600, &fd, &why), OK);
    struct stream_listener *l = stream_listen(w.loop, fd, accept_cb, &w);
    const struct connect_to to = { .path = path, .timeout_ms = 1000 };
    w.on_connected = say_quit;
    w.on_data = stop_when_all_is_there;
    w.connect = stream_connect(w.loop, &to, connect_cb, &w);
    run(&w);
    assert_string_equal(buf_text(&w.server.got), "QUIT\r\n");
    assert_int_equal(stream_peer(w.server.stream).family, 1);
    assert_true(stream_credentials(w.server.stream, &uid, &gid, &pid));
    assert_int_equal(uid, getuid());
    assert_int_equal(pid, getpid());
    stream_listener_close(&l);
    unlink(path.at);
    w.connect = stream_connect(w.loop, &to, connect_cb, &w);
    run(&w);
    assert_string_equal(w.failure.reason, "connect.refused");
    rmdir(dir);
    world_close(&w);
}

/* --- out of descriptors ---------------------------------------------------------------------------- */

static int pauses;

static void count_pauses(void *ctx, const char *name, struct bytes line) {
    (void)ctx;
    (void)line;
    pauses += strcmp(name, "accept-paused") == 0;
}

static void accepting_pauses_without_descriptors(void **state) {
    (void)state;
    struct world w;
    struct rlimit before, few;
    struct timespec start, end;
    world_open(&w);
    event_listen(count_pauses, NULL);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int fd = raw_client(&w);
    int next = dup(fd);
    close(next);
    few = (struct rlimit){ (rlim_t)next, before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    clock_gettime(CLOCK_MONOTONIC, &start);
    settle(&w);
    assert_int_equal(w.accepted, 0);
    assert_int_equal(pauses, 1); /* once, not in every turn */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    w.on_accepted = greet;
    timer_set(w.loop, &w.step, 1100, stop_cb, &w);
    run(&w);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_int_equal(w.accepted, 1);
    event_unlisten(count_pauses, NULL);
    close(fd);
    world_close(&w);
}

/* --- TLS ------------------------------------------------------------------------------------------- */

static const struct tls_want want = { .name = { "mail.example", 12 }, .verify = true };

static void secure_server(struct world *w) {
    stream_start_tls_server(w->server.stream, tls_server, false);
}

static void secure_client(struct world *w) {
    stream_start_tls_client(w->client.stream, tls_client, &want);
}

static void greet_secured(struct end *e) {
    if (e == &e->world->server)
        stream_write(e->stream, B("220 hello\r\n"));
}

static void implicit_tls(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_accepted = secure_server;
    w.on_connected = secure_client;
    w.on_secured = greet_secured;
    w.on_data = converse;
    client_begin(&w);
    run(&w);
    assert_int_equal(w.server.secured + w.client.secured, 2);
    assert_string_equal(buf_text(&w.client.got),
                        "220 hello\r\n250 one\r\n250 two\r\n250 three\r\n");
    assert_int_equal(w.client.reads, 2);
    assert_true(stream_tls(w.client.stream)->peer_trusted);
    assert_true(bytes_equal(stream_tls(w.server.stream)->sni, B("mail.example")));
    assert_true(
        bytes_equal(stream_tls(w.server.stream)->exporter, stream_tls(w.client.stream)->exporter));
    stream_close(&w.server.stream);
    run(&w);
    assert_int_equal(w.client.ended, 1);
    assert_int_equal(w.client.end_error, 0);
    world_close(&w);
}

/* Written before the handshake is done: goes out behind it. */
static void write_early(struct world *w) {
    secure_server(w);
    stream_write(w->server.stream, B("220 hello\r\n"));
    assert_int_equal(stream_pending(w->server.stream), 11);
}

static void early_writes_wait_for_the_handshake(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_accepted = write_early;
    w.on_connected = secure_client;
    w.on_data = stop_when_all_is_there;
    w.want = 11;
    client_begin(&w);
    run(&w);
    assert_string_equal(buf_text(&w.client.got), "220 hello\r\n");
    world_close(&w);
}

static void starttls(struct end *e, struct bytes data) {
    struct world *w = e->world;
    if (e == &w->server && bytes_equal(data, B("STARTTLS\r\n"))) {
        stream_write(e->stream, B("220 go ahead\r\n"));
        stream_start_tls_server(e->stream, tls_server, true);
    } else if (e == &w->client && bytes_equal(data, B("220 go ahead\r\n"))) {
        stream_start_tls_client(e->stream, tls_client, &want);
    } else if (e == &w->server) {
        stream_write(e->stream, B("250 secret\r\n"));
    } else if (bytes_equal(data, B("250 secret\r\n"))) {
        loop_stop(w->loop);
    }
}

static void say_starttls(struct world *w) {
    stream_write(w->client.stream, B("STARTTLS\r\n"));
}

static void ehlo_when_secured(struct end *e) {
    if (e == &e->world->client)
        stream_write(e->stream, B("EHLO again\r\n"));
}

static void starttls_in_the_middle(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_connected = say_starttls;
    w.on_data = starttls;
    w.on_secured = ehlo_when_secured;
    client_begin(&w);
    run(&w);
    assert_string_equal(buf_text(&w.server.got), "STARTTLS\r\nEHLO again\r\n");
    world_close(&w);
}

/* The header of a proxy and the handshake in one read. */
static void resume_cb(void *ctx) {
    struct world *w = ctx;
    stream_resume(w->server.stream);
}

static void hold_a_moment(struct world *w) {
    stream_hold(w->server.stream);
    timer_set(w->loop, &w->step, 20, resume_cb, w);
}

static void header_then_tls(struct world *w) {
    stream_write(w->client.stream, B("PROXY\r\n"));
    secure_client(w);
}

static void secure_behind_header(struct end *e, struct bytes data) {
    struct world *w = e->world;
    if (e == &w->server && !e->secured) {
        assert_true(bytes_starts(data, B("PROXY\r\n")));
        assert_true(data.len > 7);
        secure_server(w);
        stream_tls_received(e->stream, bytes_skip(data, 7));
    } else {
        loop_stop(w->loop);
    }
}

static void handshake_behind_a_header(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_accepted = hold_a_moment;
    w.on_connected = header_then_tls;
    w.on_secured = greet_secured;
    w.on_data = secure_behind_header;
    client_begin(&w);
    run(&w);
    assert_string_equal(buf_text(&w.client.got), "220 hello\r\n");
    world_close(&w);
}

static void write_big_secured(struct end *e) {
    if (e == &e->world->server)
        assert_false(stream_write(e->stream, bytes_of(big, BIG)));
}

static void big_write_over_tls(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_accepted = secure_server;
    w.on_connected = secure_client;
    w.on_secured = write_big_secured;
    w.on_data = stop_when_all_is_there;
    w.want = BIG;
    client_begin(&w);
    run(&w);
    assert_memory_equal(w.client.got.at, big, BIG);
    settle(&w);
    assert_int_equal(w.server.writables, 1);
    world_close(&w);
}

/* Held in the middle of decrypting: what was received already must not be lost. */
static void hold_over_tls(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_accepted = secure_server;
    w.on_connected = secure_client;
    w.on_secured = write_big_secured;
    w.on_data = hold_while_reading;
    client_begin(&w);
    run(&w);
    settle(&w);
    assert_int_equal(w.client.reads, 1);
    while (w.client.got.len < BIG) {
        stream_resume(w.client.stream);
        run(&w);
    }
    assert_memory_equal(w.client.got.at, big, BIG);
    world_close(&w);
}

static void stop_at_secured(struct end *e) {
    loop_stop(e->world->loop);
}

static void plain_text_on_a_tls_port(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_accepted = secure_server;
    w.on_secured = stop_at_secured;
    int fd = raw_client(&w);
    assert_int_equal(write(fd, "EHLO x\r\n", 8), 8);
    run(&w);
    assert_int_equal(w.server.secured_rc, TEMP);
    assert_string_equal(w.server.why.reason, "tls.wrong-port");
    assert_null(stream_tls(w.server.stream));
    stream_close(&w.server.stream);
    settle(&w);
    assert_int_equal(w.server.ended, 0);
    close(fd);
    world_close(&w);
}

static void peer_vanishes_in_the_handshake(void **state) {
    (void)state;
    struct world w;
    world_open(&w);
    w.on_accepted = secure_server;
    w.on_secured = stop_at_secured;
    int fd = raw_client(&w);
    assert_int_equal(write(fd, "\x16\x03\x01\x02", 4), 4);
    close(fd);
    run(&w);
    assert_int_equal(w.server.secured_rc, TEMP);
    assert_string_equal(w.server.why.reason, "tls.handshake");
    assert_int_equal(w.server.ended, 0);
    world_close(&w);
}

static void untrusted_server_is_refused(void **state) {
    (void)state;
    struct world w;
    struct tls_client *system;
    struct why why;
    world_open(&w);
    assert_int_equal(tls_client_open(BYTES_NONE, &system, &why), OK);
    struct tls_client *ours = tls_client;
    tls_client = system;
    w.on_accepted = secure_server;
    w.on_connected = secure_client;
    w.on_secured = stop_at_secured;
    client_begin(&w);
    run(&w);
    while (!w.client.secured)
        run(&w);
    tls_client = ours;
    assert_int_equal(w.client.secured_rc, TEMP);
    assert_string_equal(w.client.why.reason, "tls.verify");
    tls_client_close(&system); /* the stream keeps it alive */
    world_close(&w);
}

static int prepare(void **state) {
    struct tls_pair pair = { .name = BYTES_NONE };
    struct why why;
    (void)state;
    arena = arena_open();
    big = malloc(BIG);
    random_octets(big, BIG);
    if (tls_make_pair(B("mail.example"), (int64_t)time(NULL) * 1000, arena, &pair.chain_pem,
                      &pair.key_pem, &why) != OK)
        return -1;
    if (tls_server_open(&pair, 1, 12, BYTES_NONE, &tls_server, &why) != OK)
        return -1;
    return tls_client_open(pair.chain_pem, &tls_client, &why) == OK ? 0 : -1;
}

static int tidy(void **state) {
    (void)state;
    tls_server_close(&tls_server);
    tls_client_close(&tls_client);
    free(big);
    arena_close(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speaks_plain),
        cmocka_unit_test(nodelay_is_inherited),
        cmocka_unit_test(close_sends_what_was_written),
        cmocka_unit_test(big_write_arrives_whole),
        cmocka_unit_test(writable_is_told_once),
        cmocka_unit_test(hold_makes_the_peer_wait),
        cmocka_unit_test(hold_inside_on_read),
        cmocka_unit_test(peer_resets),
        cmocka_unit_test(peer_resets_while_we_send),
        cmocka_unit_test(held_stream_learns_of_a_break_by_sending),
        cmocka_unit_test(data_before_the_end_is_read),
        cmocka_unit_test(half_closed_peer_still_hears),
        cmocka_unit_test(reply_survives_unread_input),
        cmocka_unit_test(loop_close_ends_lingering),
        cmocka_unit_test(close_inside_on_read),
        cmocka_unit_test(abort_inside_on_read),
        cmocka_unit_test(refused_connection_is_told),
        cmocka_unit_test(connect_times_out),
        cmocka_unit_test(connect_is_cancelled),
        cmocka_unit_test(source_address_is_used),
        cmocka_unit_test(unix_sockets_carry_credentials),
        cmocka_unit_test(accepting_pauses_without_descriptors),
        cmocka_unit_test(implicit_tls),
        cmocka_unit_test(early_writes_wait_for_the_handshake),
        cmocka_unit_test(starttls_in_the_middle),
        cmocka_unit_test(handshake_behind_a_header),
        cmocka_unit_test(big_write_over_tls),
        cmocka_unit_test(hold_over_tls),
        cmocka_unit_test(plain_text_on_a_tls_port),
        cmocka_unit_test(peer_vanishes_in_the_handshake),
        cmocka_unit_test(untrusted_server_is_refused),
    };
    alarm(100);
    return cmocka_run_group_tests(tests, prepare, tidy);
}
