/* control: from a command's connection to the workers and back. A question's number names the command
 * it belongs to, so answers that come after it has gone are dropped. */
#include "bin/control.h"
#include "base/list.h"
#include "base/must.h"
#include "sys/names.h"
#include "sys/sockets.h"
#include "sys/stream.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Who is not trusted cannot keep others from asking, by connections that say or read nothing. */
enum {
    REQUEST_MAX = 64 * 1024,
    STRANGERS_MAX = 64,
    STRANGER_MAX = 16, /* of one account */
    REQUEST_MS = 10 * 1000,
    READING_MS = 60 * 1000
};

struct control {
    struct loop *loop;
    struct stream_listener *listener;
    int fd;
    unsigned group; /* of those who are trusted */
    struct list askers;
    struct names *names;
    uint64_t last;
    unsigned workers;
    bool (*ask)(void *ctx, unsigned worker, enum link_type type, struct bytes body);
    void *ctx;
};

struct asker {
    struct list_node node;
    struct control *control;
    struct stream *stream;
    uint64_t question;
    struct buf request;
    struct bytes operator_name;
    struct arena *arena;
    unsigned worker;     /* that is being asked */
    bool asked, waiting; /* for room, before the next page */
    bool complete;       /* the request is here */
    bool trusted;        /* root, the server's own account, or its group */
    unsigned uid;
    struct timer timer; /* a stranger's: for its request, and for reading a page */
};

static void tell_worker(struct asker *a, enum link_type type) {
    char memory[16];
    struct buf b = buf_fixed(memory, sizeof(memory));
    buf_le64(&b, a->question);
    a->control->ask(a->control->ctx, a->worker, type, buf_bytes(&b));
}

static void end(struct asker *a, bool all_sent) {
    if (a->asked && !all_sent)
        tell_worker(a, LINK_STOP);
    timer_clear(&a->timer);
    list_remove(&a->control->askers, &a->node);
    stream_close(&a->stream);
    buf_free(&a->request);
    struct arena *arena = a->arena;
    arena_close(&arena);
}

/* The next worker that runs; when none is left the answer is complete. */
static void ask_next(struct asker *a) {
    struct control *c = a->control;
    struct buf b = buf_grow(REQUEST_MAX + 1024);
    buf_le64(&b, a->question);
    buf_lbytes(&b, buf_bytes(&a->request));
    while (a->worker < c->workers && !c->ask(c->ctx, a->worker, LINK_ASK, buf_bytes(&b))) {
        stream_write(a->stream, B("{\"error\":\"a worker is starting or stopping, and its part is "
                                  "not told: ask again\"}\n"));
        a->worker++;
    }
    buf_free(&b);
    if (a->worker >= c->workers) {
        end(a, true);
        return;
    }
    a->asked = true;
}

static void on_late(void *ctx) {
    end(ctx, false);
}

static void wait_for(struct asker *a, int64_t ms) {
    if (!a->trusted)
        timer_set(a->control->loop, &a->timer, ms, on_late, a);
}

static struct asker *find(struct control *c, uint64_t question) {
    LIST_EACH(&c->askers, n) {
        struct asker *a = CONTAINER_OF(n, struct asker, node);
        if (a->question == question)
            return a;
    }
    return NULL;
}

void control_answer(struct control *c, uint64_t question, struct bytes lines,
                    enum answer_end end_of_page) {
    struct asker *a = find(c, question);
    if (!a)
        return;
    bool room = stream_write(a->stream, lines);
    if (end_of_page != ANSWER_MORE) {
        a->asked = false;
        a->worker = end_of_page == ANSWER_WHOLE ? c->workers : a->worker + 1;
        ask_next(a);
        return;
    }
    if (room) {
        tell_worker(a, LINK_NEXT);
        return;
    }
    a->waiting = true;
    wait_for(a, READING_MS);
}

void control_worker_gone(struct control *c, unsigned worker) {
    LIST_EACH(&c->askers, n) {
        struct asker *a = CONTAINER_OF(n, struct asker, node);
        if (!a->asked || a->worker != worker)
            continue;
        a->asked = false;
        stream_write(a->stream, B("{\"error\":\"a worker ended while it answered: ask again\"}\n"));
        a->worker++;
        ask_next(a);
    }
}

static void on_writable(void *ctx) {
    struct asker *a = ctx;
    if (!a->waiting)
        return;
    a->waiting = false;
    timer_clear(&a->timer);
    tell_worker(a, LINK_NEXT);
}

/* When the whole request and the operator's name are here. */
static void go_on(struct asker *a) {
    ptrdiff_t at = bytes_find(buf_bytes(&a->request), '\n');
    a->complete = at >= 0 || a->request.full;
    if (!a->complete || !a->operator_name.len)
        return;
    timer_clear(&a->timer);
    struct bytes line =
        arena_copy(a->arena, bytes_first(buf_bytes(&a->request), at < 0 ? 0 : (size_t)at));
    if (!control_sign(line, a->trusted, a->operator_name, &a->request)) {
        stream_write(a->stream, B("{\"error\":\"the request is no JSON object on one line\"}\n"));
        end(a, true);
        return;
    }
    ask_next(a);
}

static void on_read(void *ctx, struct bytes data) {
    struct asker *a = ctx;
    if (a->asked || a->complete)
        return;
    buf_add(&a->request, data);
    go_on(a);
}

/* It may have gone meanwhile: found by its number. */
struct name_wanted {
    struct control *control;
    uint64_t question;
};

static void on_name(void *ctx, struct bytes name) {
    struct name_wanted *wanted = ctx;
    struct asker *a = find(wanted->control, wanted->question);
    free(wanted);
    if (!a)
        return;
    a->operator_name = arena_copy(a->arena, name);
    go_on(a);
}

static void want_name(struct asker *a, unsigned uid) {
    struct name_wanted *wanted = calloc(1, sizeof(*wanted));
    MUST(wanted);
    *wanted = (struct name_wanted){ a->control, a->question };
    names_find(a->control->names, uid, on_name, wanted);
}

static void on_end(void *ctx, int error) {
    (void)error;
    end(ctx, false);
}

static bool has_room(const struct control *c, unsigned uid) {
    size_t strangers = 0, same = 0;
    LIST_EACH(&c->askers, n) {
        const struct asker *a = CONTAINER_OF(n, struct asker, node);
        strangers += !a->trusted;
        same += !a->trusted && a->uid == uid;
    }
    return strangers < STRANGERS_MAX && same < STRANGER_MAX;
}

static void on_accept(void *ctx, struct stream *s) {
    static const struct stream_handler handler = { .on_read = on_read,
                                                   .on_end = on_end,
                                                   .on_writable = on_writable };
    struct control *c = ctx;
    unsigned uid = 0, gid = 0;
    int pid = 0;
    if (!stream_credentials(s, &uid, &gid, &pid)) {
        stream_abort(&s);
        return;
    }
    bool trusted = uid == 0 || uid == geteuid() || stream_peer_in_group(s, c->group);
    if (!trusted && !has_room(c, uid)) {
        stream_abort(&s);
        return;
    }
    struct arena *arena = arena_open();
    struct asker *a = ARENA_NEW(arena, struct asker);
    a->trusted = trusted;
    a->uid = uid;
    a->control = c;
    a->arena = arena;
    a->stream = s;
    a->question = ++c->last;
    a->request = buf_grow(REQUEST_MAX);
    list_append(&c->askers, &a->node);
    stream_attach(s, &handler, a);
    wait_for(a, REQUEST_MS);
    want_name(a, uid);
}

struct control *control_open(struct loop *l, int fd, unsigned group) {
    struct control *c = calloc(1, sizeof(*c));
    MUST(c);
    c->loop = l;
    c->fd = fd;
    c->group = group;
    list_init(&c->askers);
    c->names = names_open(l);
    return c;
}

void control_serve(struct control *c, unsigned workers,
                   bool (*ask)(void *ctx, unsigned worker, enum link_type type, struct bytes body),
                   void *ctx) {
    c->workers = workers;
    c->ask = ask;
    c->ctx = ctx;
    c->listener = stream_listen(c->loop, c->fd, on_accept, c);
}

/* --- the command's side ------------------------------------------------------------------ */

static bool send_all(int fd, struct bytes data) {
    while (data.len) {
        ssize_t n = send(fd, data.at, data.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        data = bytes_skip(data, (size_t)n);
    }
    return true;
}

bool control_ask(struct bytes socket_path, struct bytes request,
                 void (*each)(void *ctx, struct bytes line), void *ctx) {
    int fd;
    if (sockets_connect_unix(socket_path, SOCK_STREAM, &fd) < 0)
        return false;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    struct buf in = buf_grow(16 * 1024 * 1024);
    bool ok = send_all(fd, request) && send_all(fd, B("\n"));
    while (ok) {
        char *room = buf_room(&in, 65536);
        ssize_t n = room ? recv(fd, room, 65536, 0) : -1;
        if (n <= 0)
            break;
        buf_wrote(&in, (size_t)n);
        ptrdiff_t at;
        size_t used = 0;
        while ((at = bytes_find(bytes_skip(buf_bytes(&in), used), '\n')) >= 0) {
            each(ctx, bytes_slice(buf_bytes(&in), used, used + (size_t)at));
            used += (size_t)at + 1;
        }
        buf_drop(&in, used);
    }
    buf_free(&in);
    close(fd);
    return true;
}
