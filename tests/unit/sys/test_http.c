/* HTTP as a client, against a server of canned words on a thread of its own. What TLS and certificates
 * do is tested with the whole server (tests/system/test_oauth.py). */
#include "base/buf.h"
#include "base/must.h"
#include "sys/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
    int fd, port;
    pthread_t thread;
    const char *reply; /* NULL: silence */
    char heard[8192];
    struct loop *loop;
    struct http *http;
    struct http_answer answer;
    char body[4096];
    unsigned answers;
};

/* One connection, one request, one reply. */
static void *serve(void *ctx) {
    struct fixture *f = ctx;
    int fd = accept(f->fd, NULL, NULL);
    size_t len = 0;
    while (fd >= 0 && len < sizeof f->heard - 1 && !strstr(f->heard, "\r\n\r\n")) {
        ssize_t n = recv(fd, f->heard + len, sizeof f->heard - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
        f->heard[len] = '\0';
    }
    if (f->reply)
        send(fd, f->reply, strlen(f->reply), MSG_NOSIGNAL);
    else
        recv(fd, f->heard, 1, 0); /* until the client gives up */
    close(fd);
    return NULL;
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof at;
    f->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(f->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(f->fd, 10), 0);
    assert_int_equal(getsockname(f->fd, (struct sockaddr *)&at, &len), 0);
    f->port = ntohs(at.sin_port);
    f->loop = loop_open();
    f->http = http_open(f->loop);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    http_close(&f->http);
    loop_close(&f->loop);
    close(f->fd);
    free(f);
    return 0;
}

static void on_answer(void *ctx, const struct http_answer *answer) {
    struct fixture *f = ctx;
    f->answers++;
    f->answer = *answer;
    assert_true(answer->body.len < sizeof f->body);
    if (answer->body.len)
        memcpy(f->body, answer->body.at, answer->body.len);
    f->body[answer->body.len] = '\0';
    loop_stop(f->loop);
}

static void ask(struct fixture *f, const char *reply, struct http_request request) {
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/path?x=y", f->port);
    f->reply = reply;
    request.url = bytes_str(url);
    if (!request.body_max)
        request.body_max = 1000;
    if (!request.timeout_ms)
        request.timeout_ms = 10000;
    assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
    http_begin(f->http, &request, on_answer, f);
    assert_int_equal(f->answers, 0);
    loop_run(f->loop);
    assert_int_equal(f->answers, 1);
}

static void done(struct fixture *f) {
    http_close(&f->http); /* so that the server's thread sees an end */
    pthread_join(f->thread, NULL);
}

static void get(void **state) {
    struct fixture *f = *state;
    ask(f,
        "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=120\r\nContent-Length: 5\r\n\r\nhello",
        (struct http_request){ .form = BYTES_NONE });
    assert_int_equal(f->answer.rc, OK);
    assert_int_equal(f->answer.status, 200);
    assert_string_equal(f->body, "hello");
    assert_int_equal(f->answer.max_age_ms, 120000);
    done(f);
    assert_non_null(strstr(f->heard, "GET /path?x=y HTTP/1.1\r\n"));
    assert_null(strstr(f->heard, "Authorization"));
}

static void post(void **state) {
    struct fixture *f = *state;
    ask(f, "HTTP/1.1 401 No\r\nCache-Control: no-store, max-age=5\r\nContent-Length: 2\r\n\r\n{}",
        (struct http_request){ .form = B("a=b&c=d"), .user = B("id"), .password = B("se:cret") });
    assert_int_equal(f->answer.rc, OK);
    assert_int_equal(f->answer.status, 401);
    assert_int_equal(f->answer.max_age_ms, 0);
    done(f);
    assert_non_null(strstr(f->heard, "POST "));
    assert_non_null(strstr(f->heard, "Authorization: Basic aWQ6c2U6Y3JldA==\r\n"));
    assert_non_null(strstr(f->heard, "Content-Type: application/x-www-form-urlencoded\r\n"));
}

static void no_redirect(void **state) {
    struct fixture *f = *state;
    ask(f, "HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        (struct http_request){ .form = BYTES_NONE });
    assert_int_equal(f->answer.rc, OK);
    assert_int_equal(f->answer.status, 302);
    assert_int_equal(f->answer.max_age_ms, -1);
    done(f);
}

static void too_long(void **state) {
    struct fixture *f = *state;
    ask(f, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        (struct http_request){ .body_max = 10 });
    assert_int_equal(f->answer.rc, TEMP);
    assert_string_equal(f->answer.why.reason, "backend.http");
    assert_non_null(strstr(f->answer.why.text, "too long"));
    done(f);
}

static void too_slow(void **state) {
    struct fixture *f = *state;
    ask(f, NULL, (struct http_request){ .timeout_ms = 200 });
    assert_int_equal(f->answer.rc, TEMP);
    done(f);
}

static void nonsense(void **state) {
    struct fixture *f = *state;
    ask(f, "220 mail.example ESMTP\r\n", (struct http_request){ .form = BYTES_NONE });
    assert_int_equal(f->answer.rc, TEMP);
    done(f);
}

static void refused(void **state) {
    struct fixture *f = *state;
    http_begin(f->http,
               &(struct http_request){
                   .url = B("http://127.0.0.1:1/"), .body_max = 10, .timeout_ms = 5000 },
               on_answer, f);
    loop_run(f->loop);
    assert_int_equal(f->answer.rc, TEMP);
    assert_true(f->answer.why.text[0] != '\0');
    /* What is no http is not asked. */
    http_begin(f->http,
               &(struct http_request){
                   .url = B("file:///etc/passwd"), .body_max = 10000, .timeout_ms = 5000 },
               on_answer, f);
    loop_run(f->loop);
    assert_int_equal(f->answer.rc, TEMP);
    assert_int_equal(f->answer.body.len, 0);
}

static void cancelled(void **state) {
    struct fixture *f = *state;
    struct http_call *c =
        http_begin(f->http,
                   &(struct http_request){
                       .url = B("http://127.0.0.1:1/"), .body_max = 10, .timeout_ms = 5000 },
                   on_answer, f);
    http_cancel(&c);
    assert_null(c);
    /* and one that is open at the end */
    http_begin(f->http,
               &(struct http_request){
                   .url = B("http://127.0.0.1:1/"), .body_max = 10, .timeout_ms = 5000 },
               on_answer, f);
    http_close(&f->http);
    assert_int_equal(f->answers, 0);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(get),      T(post),     T(no_redirect), T(too_long),
        T(too_slow), T(nonsense), T(refused),     T(cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
