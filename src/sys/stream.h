/* stream: a connection as octets in and octets out, plain or TLS, TCP or unix socket.
 *
 * Order of calls: a stream comes from stream_listen's on_accept or stream_connect's on_connect;
 * give it a handler with stream_attach before returning; read through on_read, write with
 * stream_write; end with stream_close (what was written still goes out, bounded by 10 s) or
 * stream_abort (at once). After either call no callback comes. After on_end the owner must still
 * close or abort.
 *
 * An idle stream holds no buffers: reads go to one buffer of the loop, and the view given to
 * on_read is gone when on_read returns. TCP_NODELAY is set; write a reply or a command group in one
 * call. */
#ifndef SYS_STREAM_H
#define SYS_STREAM_H

#include "base/addr.h"
#include "sys/loop.h"
#include "sys/tls.h"

struct stream;

struct stream_handler {
    void (*on_read)(void *ctx, struct bytes data);
    /* The peer ended or the connection broke: error 0 for an orderly end, else an errno. */
    void (*on_end)(void *ctx, int error);
    /* What waits to be sent fell below 64 KiB after stream_write said so; may be NULL. */
    void (*on_writable)(void *ctx);
    /* stream_start_tls came to an end: OK and info, or not and why (then close it); may be NULL. */
    void (*on_secured)(void *ctx, enum rc rc, const struct tls_info *info, const struct why *why);
};

void stream_attach(struct stream *s, const struct stream_handler *handler, void *ctx);
struct addr stream_peer(const struct stream *s);
struct addr stream_local(const struct stream *s);
struct loop *stream_loop(const struct stream *s);
/* Of a unix socket's peer (SO_PEERCRED); false for others. */
bool stream_credentials(const struct stream *s, unsigned *uid_out, unsigned *gid_out, int *pid_out);
/* Is a unix socket's peer a member of this group, as its first or another one? */
bool stream_peer_in_group(const struct stream *s, unsigned gid);

/* Queues a copy of what cannot go at once. False when 64 KiB or more now wait: stop producing until
 * on_writable. Never fails: a broken connection is told by on_end. */
bool stream_write(struct stream *s, struct bytes data);
size_t stream_pending(const struct stream *s);
/* Stops reading (the kernel's buffers fill and the peer waits), and goes on. */
void stream_hold(struct stream *s);
void stream_resume(struct stream *s);

/* Starts TLS on what follows. What has been read from the socket but not yet given to on_read is
 * dropped by the owner before this call (RFC 3207 section 4.2); data written before still goes out
 * plain. Reading resumes by itself. */
void stream_start_tls_server(struct stream *s, struct tls_server *tls, bool ask_certificate);
void stream_start_tls_client(struct stream *s, struct tls_client *tls, const struct tls_want *want);
/* Directly behind the start: octets of the handshake that were read before it, with what stood in
 * front of them (a PROXY header). Never what was said in plain text. */
void stream_tls_received(struct stream *s, struct bytes data);
const struct tls_info *stream_tls(const struct stream *s); /* NULL when plain */

void stream_close(struct stream **s);
void stream_abort(struct stream **s);

/* --- where streams come from ------------------------------------------------------------- */
struct stream_listener;
/* fd: a bound and listening socket that the parent handed over; closed with the listener. */
struct stream_listener *stream_listen(struct loop *l, int fd,
                                      void (*on_accept)(void *ctx, struct stream *s), void *ctx);
void stream_listener_close(struct stream_listener **l);

struct stream_connect;
struct connect_to {
    struct addr remote; /* with port; a unix socket when path is not empty */
    struct bytes path;
    struct addr source; /* family 0: the system's choice */
    int64_t timeout_ms;
};
/* Calls back exactly once: OK and the stream, or TEMP and why (text like "connection refused").
 * Never before it returned. stream_connect_cancel ends it without a callback. */
struct stream_connect *stream_connect(struct loop *l, const struct connect_to *to,
                                      void (*on_connect)(void *ctx, enum rc rc, struct stream *s,
                                                         const struct why *why),
                                      void *ctx);
void stream_connect_cancel(struct stream_connect **c);

#endif
