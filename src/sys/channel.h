/* channel: messages between Postern's own processes over SOCK_SEQPACKET unix sockets. One record is
 * one message, at most CHANNEL_MAX octets, and may carry one file descriptor.
 *
 * A caller (worker) opens a channel to the service's socket and it reconnects by itself when the
 * service is restarted; a call that was under way, or does not come back in time, ends with TEMP
 * and reason backend.NAME, so a caller always gets an answer. The service listens on a descriptor
 * the parent handed it, so calls made while it restarts wait in the socket's backlog. */
#ifndef SYS_CHANNEL_H
#define SYS_CHANNEL_H

#include "base/why.h"
#include "sys/loop.h"

enum { CHANNEL_MAX = 128 * 1024 };

/* --- caller's side --- */
struct channel;
struct channel *channel_open(struct loop *l, const char *path, const char *name);
void channel_close(struct channel **c); /* open calls end without a callback */

/* Sends `request`; on_reply comes exactly once, never before channel_call returned: OK and the
 * reply (gone when it returns), or TEMP and why. Returns an id for channel_cancel. */
uint64_t channel_call(struct channel *c, struct bytes request, int64_t timeout_ms,
                      void (*on_reply)(void *ctx, enum rc rc, struct bytes reply,
                                       const struct why *why),
                      void *ctx);
void channel_cancel(struct channel *c, uint64_t id); /* no callback any more */

/* --- service's side --- */
struct service;
struct service_call; /* lives until service_reply */
/* fd: a listening SOCK_SEQPACKET socket. on_call may answer at once or later. When the caller's
 * connection ends its open calls must still be answered (the reply is dropped). */
struct service *service_open(struct loop *l, int fd,
                             void (*on_call)(void *ctx, struct service_call *call,
                                             struct bytes request),
                             void *ctx);
void service_close(struct service **s);
void service_reply(struct service_call *call, struct bytes reply);
/* A number that names the connection the call came on, for state a caller keeps over several calls;
 * on_gone tells when it ends. */
uint64_t service_caller(const struct service_call *call);
void service_on_gone(struct service *s, void (*on_gone)(void *ctx, uint64_t caller), void *ctx);

#endif
