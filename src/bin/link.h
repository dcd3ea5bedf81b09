/* link: what the parent and a worker say to each other over their socket pair: one record a message,
 * a type octet first; some carry a descriptor. Both are the same program of the same build, so the
 * form is free to change; lengths are checked all the same.
 *
 * Order, parent to worker: SETUP, COUNTERS, CONFIG, LISTEN..., LANE..., HOLD..., START; later CONFIG,
 * LISTEN, UNLISTEN, ASK, NEXT, STOP, LOG, DRAIN. Worker to parent: READY once it takes connections,
 * ANSWER for each ASK, HELD for each HOLD. */
#ifndef BIN_LINK_H
#define BIN_LINK_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/scan.h"
#include "sys/loop.h"

enum link_type {
    LINK_SETUP = 1, /* le32 index, le32 workers, le64 seed, lbytes ticket key */
    LINK_COUNTERS,  /* + fd */
    LINK_CONFIG,    /* + memfd: a frozen configuration */
    LINK_LISTEN,    /* lbytes listener ("" is submit.sock), lbytes address; + fd */
    LINK_UNLISTEN,  /* lbytes listener, lbytes address */
    LINK_LANE,      /* le32 */
    LINK_START,
    LINK_HOLD,  /* lbytes message id: it was in hand at two crashes */
    LINK_ASK,   /* le64 question, lbytes JSON request */
    LINK_NEXT,  /* le64 question: the asker has room for more */
    LINK_STOP,  /* le64 question: the asker is gone */
    LINK_LOG,   /* + fd: standard error from now on */
    LINK_ALARM, /* lbytes event's name, lbytes its line: the postmaster is to be told */
    LINK_DRAIN,
    LINK_READY = 64,
    LINK_ANSWER, /* le64 question, octet: enum answer_end; lbytes JSON lines */
    LINK_HELD,   /* lbytes message id: of LINK_HOLD, it is held on disk */
};

/* What follows a page of an answer: nothing from this worker; another page; nothing from any worker,
 * for this one knew it all. */
enum answer_end { ANSWER_LAST, ANSWER_MORE, ANSWER_WHOLE };

enum { LINK_MAX = 160 * 1024, LINK_FD = 3 };

struct link;
struct link_handler {
    void (*on_message)(void *ctx, enum link_type type, struct scan *body, int fd);
    void (*on_end)(void *ctx); /* the other side is gone */
};
/* Owns fd. */
struct link *link_open(struct loop *l, int fd, const struct link_handler *handler, void *ctx);
/* Waits for room if there is none (both sides read all the time). fd -1: none; it stays open here.
 * False when the other side is gone. */
bool link_send(struct link *link, enum link_type type, struct bytes body, int fd);
void link_close(struct link **link);

#endif
