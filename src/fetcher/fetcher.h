/* fetcher: what Postern gets over HTTPS, by a process of its own: the keys of token providers and
 * their word about a token (for the keeper), and tokens for logins at smart hosts (for workers). It
 * alone holds the secrets of OAuth 2.0 clients.
 *
 * Callers name a provider or a route of the configuration, never a URL, so whoever takes a caller
 * over cannot send it anywhere. The keeper and the workers come in by different sockets, and each is
 * given only what is its own. An answer always comes: OK; TEMP, the provider is down, slow or lies;
 * PERM, it refuses our client. */
#ifndef FETCHER_FETCHER_H
#define FETCHER_FETCHER_H

#include "base/why.h"
#include "sys/loop.h"

struct config;

enum fetch_kind {
    FETCH_KEYS = 1,      /* name: of a provider. The body is its JSON Web Key set. */
    FETCH_INTROSPECTION, /* name, token. The body is the answer (RFC 7662). */
    FETCH_LOGIN, /* name: of a route; token: the one refused, or empty. The body: a token. */
};
struct fetch {
    enum fetch_kind kind;
    struct bytes name, token;
};
struct fetched {
    enum rc rc;
    struct why why;
    struct bytes body; /* gone when the callback returns */
    int64_t lasts_ms;  /* how long it may be used */
};
typedef void fetch_done(void *ctx, const struct fetched *answer);

/* --- callers --- */
struct fetcher;
struct fetcher *fetcher_open_channel(struct loop *l, const char *socket_path);
/* Tests: answers come from this function, which keeps `id` and calls fetcher_answer, later. */
struct fetcher *fetcher_open_direct(struct loop *l,
                                    void (*ask)(void *ctx, uint64_t id, const struct fetch *what),
                                    void *ctx);
void fetcher_answer(struct fetcher *f, uint64_t id, const struct fetched *answer);
void fetcher_close(struct fetcher **f); /* no callbacks any more */
/* on_done comes exactly once, never before this returned. */
uint64_t fetcher_ask(struct fetcher *f, const struct fetch *what, fetch_done *on_done, void *ctx);
void fetcher_cancel(struct fetcher *f, uint64_t id);

/* --- the process --- */
/* Where renewed refresh tokens are kept, under state_dir; 0700. */
#define FETCHER_DIR "fetcher"
struct http;
/* Serves until the loop ends. The descriptors are listening SOCK_SEQPACKET sockets; `folder` is
 * FETCHER_DIR's path. */
void fetcher_serve(struct loop *l, const struct config *config, struct bytes folder,
                   struct http *http, int workers_fd, int keeper_fd);

#endif
