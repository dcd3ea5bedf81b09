/* control: STATE/run/control.sock, where commands speak to the running server: one JSON request a
 * connection, a line; JSON lines come back until the end. Everybody of this host may connect; only root,
 * the server's own account and the members of its group are trusted, others must prove a login that
 * administers a tenant (answer_as.c); the operator's name is taken from the socket, not from the request.
 *
 * A question is asked of one worker after the other, each telling what it has; pages wait until the
 * command has read; a stranger that does not ask, or does not read, is sent away. Runs in the parent. */
#ifndef BIN_CONTROL_H
#define BIN_CONTROL_H

#include "base/buf.h"
#include "bin/link.h"

struct control;
/* group: of those who are trusted. */
struct control *control_open(struct loop *l, int fd, unsigned group);
/* ask: sends to a worker; false when it does not run. */
void control_serve(struct control *c, unsigned workers,
                   bool (*ask)(void *ctx, unsigned worker, enum link_type type, struct bytes body),
                   void *ctx);
void control_answer(struct control *c, uint64_t question, struct bytes lines, enum answer_end end);
void control_worker_gone(struct control *c, unsigned worker);

/* control_sign.c: a line of the peer's as a request, with "trusted" and "operator" put in by us; false:
 * it is no JSON object, or too long. */
bool control_sign(struct bytes line, bool trusted, struct bytes operator_name, struct buf *out);

/* --- the command's side --- */
/* Asks the server of this configuration, blocking: each(line) for every line that comes back. False
 * when no server runs there (nothing was said then). */
bool control_ask(struct bytes socket_path, struct bytes request,
                 void (*each)(void *ctx, struct bytes line), void *ctx);

#endif
