/* http: libcurl's multi interface, driven by the loop's watches and one timer. */
#include "sys/http.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/must.h"
#include "base/scan.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 5000, CONNECTIONS_MAX = 32, PER_HOST_MAX = 8, AGE_MAX_S = 365 * 24 * 3600 };

struct http {
    struct loop *loop;
    CURLM *multi;
    struct timer timer;
    struct list calls, sockets;
};
struct socket {
    struct list_node node;
    struct http *http;
    struct watch *watch;
    curl_socket_t fd;
};
struct http_call {
    struct list_node node;
    struct http *http;
    CURL *easy;
    struct curl_slist *headers, *connect_to, *resolve;
    char *form;
    size_t form_len;
    struct buf body;
    bool too_big;
    int64_t max_age_ms;
    char error[CURL_ERROR_SIZE];
    http_answered *on_answer;
    void *ctx;
};

/* --- ends ------------------------------------------------------------------------------------- */

static void wipe(struct buf *b) {
    if (b->len)
        explicit_bzero(b->at, b->len);
    buf_free(b);
}

static void free_call(struct http_call *c) {
    list_remove(&c->http->calls, &c->node);
    curl_multi_remove_handle(c->http->multi, c->easy);
    curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->headers);
    curl_slist_free_all(c->connect_to);
    curl_slist_free_all(c->resolve);
    if (c->form)
        explicit_bzero(c->form, c->form_len);
    free(c->form);
    wipe(&c->body);
    free(c);
}

void http_cancel(struct http_call **c) {
    if (*c)
        free_call(*c);
    *c = NULL;
}

static void tell(struct http_call *c, CURLcode code) {
    struct http_answer answer = { .rc = OK, .max_age_ms = c->max_age_ms };
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    answer.status = (int)status;
    answer.body = buf_bytes(&c->body);
    if (c->too_big)
        answer.rc = why_backend(&answer.why, "backend.http", "the answer is too long");
    else if (code != CURLE_OK)
        answer.rc = why_backend(&answer.why, "backend.http", "%s",
                                c->error[0] ? c->error : curl_easy_strerror(code));
    http_answered *on_answer = c->on_answer;
    void *ctx = c->ctx;
    struct buf body = c->body;
    c->body = buf_grow(1);
    free_call(c);
    on_answer(ctx, &answer);
    wipe(&body);
}

/* The callback may begin and cancel calls: each is looked for anew. */
static void collect(struct http *h) {
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(h->multi, &left))) {
        struct http_call *c = NULL;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &c);
        tell(c, code);
    }
}

/* --- the loop ----------------------------------------------------------------------------------- */

static void act(struct http *h, curl_socket_t fd, int what) {
    int running;
    curl_multi_socket_action(h->multi, fd, what, &running);
    collect(h);
}

static void on_ready(void *ctx, int what) {
    struct socket *s = ctx;
    act(s->http, s->fd,
        (what & WATCH_READ ? CURL_CSELECT_IN : 0) | (what & WATCH_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_time(void *ctx) {
    act(ctx, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *multi, long ms, void *ctx) {
    struct http *h = ctx;
    (void)multi;
    if (ms < 0)
        timer_clear(&h->timer);
    else
        timer_set(h->loop, &h->timer, ms, on_time, h);
    return 0;
}

static void forget_socket(struct socket *s) {
    watch_close(&s->watch);
    list_remove(&s->http->sockets, &s->node);
    free(s);
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *assigned) {
    struct http *h = ctx;
    struct socket *s = assigned;
    int wanted = (what & CURL_POLL_IN ? WATCH_READ : 0) | (what & CURL_POLL_OUT ? WATCH_WRITE : 0);
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        curl_multi_assign(h->multi, fd, NULL);
        if (s)
            forget_socket(s);
        return 0;
    }
    if (s) {
        watch_change(s->watch, wanted);
        return 0;
    }
    s = calloc(1, sizeof *s);
    MUST(s);
    s->http = h;
    s->fd = fd;
    s->watch = watch_open(h->loop, fd, wanted, on_ready, s);
    list_append(&h->sockets, &s->node);
    curl_multi_assign(h->multi, fd, s);
    return 0;
}

struct http *http_open(struct loop *l) {
    struct http *h = calloc(1, sizeof *h);
    MUST(h && curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
    h->loop = l;
    h->multi = curl_multi_init();
    MUST(h->multi);
    list_init(&h->calls);
    list_init(&h->sockets);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS_MAX);
    curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)PER_HOST_MAX);
    return h;
}

void http_close(struct http **out) {
    struct http *h = *out;
    struct list_node *n;
    if (!h)
        return;
    while ((n = list_first(&h->calls)))
        free_call(CONTAINER_OF(n, struct http_call, node));
    curl_multi_cleanup(h->multi);
    while ((n = list_first(&h->sockets)))
        forget_socket(CONTAINER_OF(n, struct socket, node));
    timer_clear(&h->timer);
    free(h);
    curl_global_cleanup();
    *out = NULL;
}

/* --- what comes ----------------------------------------------------------------------------------- */

static size_t on_body(char *at, size_t size, size_t count, void *ctx) {
    struct http_call *c = ctx;
    buf_add(&c->body, bytes_of(at, size * count));
    c->too_big |= c->body.full;
    return c->body.full ? 0 : size * count;
}

/* RFC 9111 section 5.2.2: no-store and no-cache forbid what max-age allows. */
static void read_cache_control(struct http_call *c, struct bytes value) {
    struct bytes word;
    while (bytes_split(&value, ',', &word)) {
        uint64_t seconds;
        word = bytes_trim(word);
        if (bytes_equal_nocase(word, B("no-store")) || bytes_equal_nocase(word, B("no-cache")))
            c->max_age_ms = 0;
        else if (c->max_age_ms && bytes_starts_nocase(word, B("max-age=")) &&
                 bytes_to_u64(bytes_skip(word, 8), AGE_MAX_S, &seconds))
            c->max_age_ms = (int64_t)seconds * 1000;
    }
}

static size_t on_header(char *at, size_t size, size_t count, void *ctx) {
    struct bytes line = bytes_of(at, size * count), name;
    if (bytes_find(line, ':') > 0 && bytes_split(&line, ':', &name) &&
        bytes_equal_nocase(name, B("Cache-Control")))
        read_cache_control(ctx, bytes_trim(line));
    return size * count;
}

/* --- asking ---------------------------------------------------------------------------------------- */

#define SET(c, option, value) MUST(curl_easy_setopt((c)->easy, (option), (value)) == CURLE_OK)

static void set_text(struct http_call *c, CURLoption option, struct bytes text) {
    char *copy = strndup(text.len ? text.at : "", text.len);
    MUST(copy);
    SET(c, option, copy); /* which copies it again */
    explicit_bzero(copy, text.len);
    free(copy);
}

static void set_safety(struct http_call *c, const struct http_request *r) {
    SET(c, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(c, CURLOPT_FOLLOWLOCATION, 0L);
    SET(c, CURLOPT_PROXY, "");
    SET(c, CURLOPT_NOSIGNAL, 1L);
    SET(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(c, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(c, CURLOPT_SSL_VERIFYHOST, 2L);
    SET(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    SET(c, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    if (!r->ca_pem.len)
        return;
    struct curl_blob blob = { (void *)(uintptr_t)r->ca_pem.at, r->ca_pem.len, CURL_BLOB_COPY };
    SET(c, CURLOPT_CAINFO_BLOB, &blob);
    SET(c, CURLOPT_CAPATH, NULL);
}

static void set_accept(struct http_call *c, struct bytes type) {
    struct buf line = buf_grow(1024);
    buf_str(&line, "Accept: ");
    buf_add(&line, type);
    c->headers = curl_slist_append(NULL, buf_text(&line));
    SET(c, CURLOPT_HTTPHEADER, c->headers);
    buf_free(&line);
}

/* libcurl tries the entries of this list in turn only by name: so all go to one name that stands for the
 * addresses. */
static void set_addresses(struct http_call *c, const struct http_request *r) {
    struct buf line = buf_grow(64 * 1024);
    if (!r->address_count)
        return;
    uint16_t port = r->addresses[0].port ? r->addresses[0].port : 443;
    buf_printf(&line, "::postern-looked-up.invalid:%u", port);
    c->connect_to = curl_slist_append(NULL, buf_text(&line));
    SET(c, CURLOPT_CONNECT_TO, c->connect_to);
    buf_clear(&line);
    buf_printf(&line, "postern-looked-up.invalid:%u:", port);
    for (size_t i = 0; i < r->address_count; i++) {
        buf_str(&line, i ? "," : "");
        addr_format(&line, r->addresses[i]);
    }
    c->resolve = curl_slist_append(NULL, buf_text(&line));
    SET(c, CURLOPT_RESOLVE, c->resolve);
    buf_free(&line);
}

static void set_request(struct http_call *c, const struct http_request *r) {
    set_text(c, CURLOPT_URL, r->url);
    set_accept(c, r->accept.len ? r->accept : B("application/json"));
    set_addresses(c, r);
    SET(c, CURLOPT_USERAGENT, "postern");
    if (r->user.len) {
        SET(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        set_text(c, CURLOPT_USERNAME, r->user);
        set_text(c, CURLOPT_PASSWORD, r->password);
    }
    if (!r->form.len)
        return;
    c->form_len = r->form.len;
    c->form = malloc(c->form_len);
    MUST(c->form);
    memcpy(c->form, r->form.at, c->form_len);
    SET(c, CURLOPT_POSTFIELDSIZE, (long)c->form_len);
    SET(c, CURLOPT_POSTFIELDS, c->form);
}

struct http_call *http_begin(struct http *h, const struct http_request *r, http_answered *on_answer,
                             void *ctx) {
    struct http_call *c = calloc(1, sizeof *c);
    MUST(c);
    c->http = h;
    c->easy = curl_easy_init();
    MUST(c->easy);
    c->body = buf_grow(r->body_max);
    c->max_age_ms = -1;
    c->on_answer = on_answer;
    c->ctx = ctx;
    SET(c, CURLOPT_PRIVATE, c);
    SET(c, CURLOPT_ERRORBUFFER, c->error);
    SET(c, CURLOPT_WRITEFUNCTION, on_body);
    SET(c, CURLOPT_WRITEDATA, c);
    SET(c, CURLOPT_HEADERFUNCTION, on_header);
    SET(c, CURLOPT_HEADERDATA, c);
    set_safety(c, r);
    set_request(c, r);
    list_append(&h->calls, &c->node);
    MUST(curl_multi_add_handle(h->multi, c->easy) == CURLM_OK);
    return c;
}
