/* link: records over the parent's socket pair. What the kernel has no room for waits here in order. */
#include "bin/link.h"
#include "base/list.h"
#include "base/must.h"
#include "sys/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct waiting {
    struct list_node node;
    int fd;
    size_t len;
    char octets[];
};

struct link {
    struct loop *loop;
    int fd;
    struct watch *watch;
    const struct link_handler *handler;
    void *ctx;
    struct list waiting;
    bool closed; /* while a handler is on the stack */
    bool busy;
    char *in;
};

static void free_link(struct link *link) {
    struct list_node *n;
    while ((n = list_pop(&link->waiting))) {
        struct waiting *w = CONTAINER_OF(n, struct waiting, node);
        if (w->fd >= 0)
            close(w->fd);
        free(w);
    }
    free(link->in);
    free(link);
}

void link_close(struct link **lp) {
    struct link *link = *lp;
    *lp = NULL;
    if (!link)
        return;
    watch_close(&link->watch);
    close(link->fd);
    link->closed = true;
    if (!link->busy)
        free_link(link);
}

static void send_waiting(struct link *link) {
    while (link->waiting.count) {
        struct waiting *w = CONTAINER_OF(list_first(&link->waiting), struct waiting, node);
        int error = sockets_send_fd(link->fd, w->fd, bytes_of(w->octets, w->len));
        if (error == -EAGAIN)
            return;
        list_remove(&link->waiting, &w->node);
        if (w->fd >= 0)
            close(w->fd);
        free(w);
    }
    watch_change(link->watch, WATCH_READ);
}

/* False at the end of what there is to read now, and after link_close. */
static bool receive_one(struct link *link) {
    int fd = -1;
    ssize_t got = sockets_receive_fd(link->fd, link->in, LINK_MAX, &fd);
    if (got == -EAGAIN || got == -EINTR)
        return false;
    if (got <= 0) {
        watch_change(link->watch, 0);
        link->handler->on_end(link->ctx);
        return false;
    }
    struct scan body = scan_of(bytes_of(link->in, (size_t)got));
    enum link_type type = (enum link_type)scan_char(&body);
    link->handler->on_message(link->ctx, type, &body, fd);
    return !link->closed;
}

static void ready(void *ctx, int what) {
    struct link *link = ctx;
    link->busy = true;
    if (what & WATCH_WRITE)
        send_waiting(link);
    if (what & WATCH_READ)
        for (int i = 0; i < 64 && receive_one(link); i++)
            ;
    link->busy = false;
    if (link->closed)
        free_link(link);
}

struct link *link_open(struct loop *l, int fd, const struct link_handler *handler, void *ctx) {
    struct link *link = calloc(1, sizeof(*link));
    MUST(link);
    link->loop = l;
    link->fd = fd;
    link->handler = handler;
    link->ctx = ctx;
    link->in = malloc(LINK_MAX);
    MUST(link->in);
    list_init(&link->waiting);
    int flags = fcntl(fd, F_GETFL);
    MUST(flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
    link->watch = watch_open(l, fd, WATCH_READ, ready, link);
    return link;
}

static void wait_for_room(struct link *link, struct bytes record, int fd) {
    struct waiting *w = malloc(sizeof(*w) + record.len);
    MUST(w);
    w->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
    w->len = record.len;
    memcpy(w->octets, record.at, record.len);
    list_append(&link->waiting, &w->node);
    watch_change(link->watch, WATCH_READ | WATCH_WRITE);
}

bool link_send(struct link *link, enum link_type type, struct bytes body, int fd) {
    MUST(body.len < LINK_MAX - 1);
    struct buf b = buf_grow(LINK_MAX);
    buf_char(&b, (char)type);
    buf_add(&b, body);
    int error = link->waiting.count ? -EAGAIN : sockets_send_fd(link->fd, fd, buf_bytes(&b));
    if (error == -EAGAIN)
        wait_for_room(link, buf_bytes(&b), fd);
    buf_free(&b);
    return error == 0 || error == -EAGAIN;
}
