/* dovecot: one connection to Dovecot's auth-client socket, on which all questions go side by side. It is
 * made when somebody asks, and made anew by the next question when it broke. */
#include "keeper/dovecot.h"

#include "base/list.h"
#include "base/must.h"
#include "sys/stream.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TIMEOUT_MS = 10000, /* below the time after which a worker gives the keeper up */
    REQUEST_MAX = 4096,
    ASKED_MAX = 500,
};

enum state { STATE_CLOSED, STATE_CONNECTING, STATE_GREETING, STATE_READY };

struct dovecot {
    struct loop *loop;
    struct buf path;
    enum state state;
    struct stream_connect *connecting;
    struct stream *stream;
    struct buf input;
    bool version, plain;
    uint64_t next;
    struct list asked;
};

struct asked {
    struct list_node node;
    struct dovecot *dovecot;
    uint64_t number;
    struct buf request; /* until it was sent */
    struct timer timer;
    source_answered *on_answer;
    void *ctx;
};

static void *open_dovecot(struct loop *l, struct bytes path, const char *helper) {
    struct dovecot *d = calloc(1, sizeof *d);
    MUST(d);
    (void)helper;
    d->loop = l;
    d->path = buf_grow(1024);
    buf_add(&d->path, path);
    d->input = buf_grow(DOVECOT_LINE_MAX);
    list_init(&d->asked);
    return d;
}

/* --- answers ------------------------------------------------------------------------------------- */

static void free_asked(struct asked *a) {
    list_remove(&a->dovecot->asked, &a->node);
    timer_clear(&a->timer);
    if (a->request.len)
        explicit_bzero(a->request.at, a->request.len);
    buf_free(&a->request);
    free(a);
}

static void answer(struct asked *a, const struct source_answer *with) {
    source_answered *on_answer = a->on_answer;
    void *ctx = a->ctx;
    free_asked(a);
    on_answer(ctx, with);
}

static void answer_down(struct asked *a, const char *text) {
    struct source_answer down = { .result = SOURCE_DOWN };
    why_backend(&down.why, "backend.auth", "Dovecot at %s %s", buf_text(&a->dovecot->path), text);
    answer(a, &down);
}

static void disconnect(struct dovecot *d) {
    stream_connect_cancel(&d->connecting);
    if (d->stream)
        stream_abort(&d->stream);
    if (d->input.len)
        explicit_bzero(d->input.at, d->input.len);
    buf_clear(&d->input);
    d->state = STATE_CLOSED;
    d->version = d->plain = false;
}

/* Whoever asks from an answer begins a new connection, which this one's end does not touch. */
static void fail(struct dovecot *d, const char *text) {
    size_t count = d->asked.count;
    disconnect(d);
    while (count-- > 0)
        answer_down(CONTAINER_OF(list_first(&d->asked), struct asked, node), text);
}

static void close_dovecot(void *impl) {
    struct dovecot *d = impl;
    disconnect(d);
    while (d->asked.count)
        free_asked(CONTAINER_OF(list_first(&d->asked), struct asked, node));
    buf_free(&d->input);
    buf_free(&d->path);
    free(d);
}

static void on_timeout(void *ctx) {
    struct asked *a = ctx;
    struct dovecot *d = a->dovecot;
    answer_down(a, "did not answer in time");
    /* One that answers nobody is not waited for again. */
    if (!d->asked.count)
        disconnect(d);
}

/* --- what it says -------------------------------------------------------------------------------- */

static struct asked *find(struct dovecot *d, uint64_t number) {
    LIST_EACH(&d->asked, n) {
        struct asked *a = CONTAINER_OF(n, struct asked, node);
        if (a->number == number)
            return a;
    }
    return NULL;
}

static void send_request(struct dovecot *d, struct asked *a) {
    stream_write(d->stream, buf_bytes(&a->request));
    explicit_bzero(a->request.at, a->request.len);
    buf_free(&a->request);
}

static void greeted(struct dovecot *d) {
    if (!d->version || !d->plain) {
        fail(d, d->version ? "does not offer PLAIN" : "does not speak its protocol 1");
        return;
    }
    d->state = STATE_READY;
    LIST_EACH(&d->asked, n)
    send_request(d, CONTAINER_OF(n, struct asked, node));
}

static void on_line(struct dovecot *d, const struct dovecot_line *l) {
    struct source_answer with = { .result = l->word == DOVECOT_OK ? SOURCE_RIGHT : SOURCE_WRONG,
                                  .login = l->user };
    struct asked *a = NULL;
    d->version |= l->word == DOVECOT_VERSION && l->number == 1;
    d->plain |= l->word == DOVECOT_MECH && l->plain;
    if (l->word == DOVECOT_DONE && d->state == STATE_GREETING)
        greeted(d);
    if (l->word == DOVECOT_OK || l->word == DOVECOT_FAIL || l->word == DOVECOT_CONT)
        a = find(d, l->number); /* one that was given up is not there any more */
    if (!a || d->state != STATE_READY)
        return;
    if (l->word == DOVECOT_CONT || (l->word == DOVECOT_OK && !l->user.len))
        answer_down(a, "gave an answer without sense");
    else if (l->temporary)
        answer_down(a, "has a fault of its own; see its log");
    else
        answer(a, &with);
}

static void on_read(void *ctx, struct bytes data) {
    struct dovecot *d = ctx;
    struct stream *mine = d->stream;
    ptrdiff_t end;
    buf_add(&d->input, data);
    bool broken = d->input.full;
    while (!broken && d->stream == mine && (end = bytes_find(buf_bytes(&d->input), '\n')) >= 0) {
        struct dovecot_line line;
        dovecot_parse(bytes_first(buf_bytes(&d->input), (size_t)end), &line);
        buf_drop(&d->input, (size_t)end + 1);
        broken = line.word == DOVECOT_BROKEN;
        if (!broken)
            on_line(d, &line);
    }
    if (broken)
        fail(d, "says what is not of its protocol");
}

static void on_end(void *ctx, int error) {
    (void)error;
    fail(ctx, "ended the connection");
}

/* --- asking -------------------------------------------------------------------------------------- */

static const struct stream_handler handler = { .on_read = on_read, .on_end = on_end };

static void on_connect(void *ctx, enum rc rc, struct stream *s, const struct why *why) {
    struct dovecot *d = ctx;
    char text[64];
    struct buf hello = buf_fixed(text, sizeof text);
    d->connecting = NULL;
    if (rc != OK) {
        char said[WHY_TEXT];
        struct buf b = buf_fixed(said, sizeof said - 32);
        buf_printf(&b, "cannot be reached: %.300s", why->text);
        fail(d, buf_text(&b));
        return;
    }
    d->stream = s;
    d->state = STATE_GREETING;
    stream_attach(s, &handler, d);
    buf_printf(&hello, "VERSION\t1\t1\nCPID\t%ld\n", (long)getpid());
    stream_write(s, buf_bytes(&hello));
}

static void connect_to(struct dovecot *d) {
    d->state = STATE_CONNECTING;
    d->connecting = stream_connect(
        d->loop, &(struct connect_to){ .path = buf_bytes(&d->path), .timeout_ms = TIMEOUT_MS / 2 },
        on_connect, d);
}

static void refuse(void *ctx) {
    answer_down(ctx, "has too many questions to answer already");
}

static void ask(void *impl, const struct source_question *question, source_answered *on_answer,
                void *ctx) {
    struct dovecot *d = impl;
    struct asked *a = calloc(1, sizeof *a);
    MUST(a);
    a->dovecot = d;
    a->number = ++d->next & UINT32_MAX;
    a->on_answer = on_answer;
    a->ctx = ctx;
    a->request = buf_grow(REQUEST_MAX);
    bool fits = dovecot_format(&a->request, a->number, question) && d->asked.count < ASKED_MAX;
    list_append(&d->asked, &a->node);
    if (!fits) {
        timer_set(d->loop, &a->timer, 0, refuse, a);
        return;
    }
    timer_set(d->loop, &a->timer, TIMEOUT_MS, on_timeout, a);
    if (d->state == STATE_READY)
        send_request(d, a);
    else if (d->state == STATE_CLOSED)
        connect_to(d);
}

const struct source_kind source_dovecot = { "dovecot:", open_dovecot, close_dovecot, ask };
