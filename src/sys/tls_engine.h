/* tls_engine: TLS as octets in, octets out, without a socket: the real stream and a simulated one
 * drive it alike. Only streams include this.
 *
 * The driver hands received octets over with tls_engine_feed and then calls tls_engine_read until
 * it says ENGINE_MORE; what is to be sent is appended to the buf of each call. The view that was
 * fed must live until then; a driver that stops before takes what is left (tls_engine_unread). An
 * idle engine holds no octets. */
#ifndef SYS_TLS_ENGINE_H
#define SYS_TLS_ENGINE_H

#include "base/buf.h"
#include "sys/tls.h"

struct tls_engine;

enum engine_step {
    ENGINE_MORE,    /* all that was fed is used up */
    ENGINE_SECURED, /* the handshake is done: said once, before any data */
    ENGINE_DATA,    /* some data was read */
    ENGINE_ENDED,   /* the peer said close_notify */
    ENGINE_FAILED,  /* why says how; an alert may be in out */
};

struct tls_engine *tls_engine_server(struct tls_server *t, bool ask_certificate);
struct tls_engine *tls_engine_client(struct tls_client *t, const struct tls_want *want);
void tls_engine_close(struct tls_engine **e);

/* A client begins the handshake; nothing for a server. */
void tls_engine_start(struct tls_engine *e, struct buf *out);
void tls_engine_feed(struct tls_engine *e, struct bytes received);
/* Takes back what was fed and is not used up. */
struct bytes tls_engine_unread(struct tls_engine *e);
/* Goes on until there is something to tell. ENGINE_DATA has put octets into `into`. */
enum engine_step tls_engine_read(struct tls_engine *e, struct buf *into, struct buf *out,
                                 struct why *why);
/* Encrypts all of it; before ENGINE_SECURED it must not be called. False when the engine is broken
 * or out is full. */
bool tls_engine_write(struct tls_engine *e, struct bytes plain, struct buf *out);
/* Says close_notify. */
void tls_engine_shutdown(struct tls_engine *e, struct buf *out);
/* Once ENGINE_SECURED was said; lives as long as the engine. */
const struct tls_info *tls_engine_info(const struct tls_engine *e);

#endif
