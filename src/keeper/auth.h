/* auth: SASL exchanges as a worker sees them. The worker sees no verifier: it passes octets on and
 * gets challenges and, at the end, a login. */
#ifndef KEEPER_AUTH_H
#define KEEPER_AUTH_H

#include "base/addr.h"
#include "base/why.h"
#include "sys/loop.h"

struct auth; /* one a worker */
struct keeper;
struct auth *auth_open_channel(struct loop *l, const char *socket_path);
struct auth *auth_open_direct(struct loop *l, struct keeper *k); /* talks, tests */
void auth_close(struct auth **a);

enum { CERTIFICATES_MAX = 2048 };
struct auth_session {
    struct bytes mechanism;
    struct addr client;
    struct bytes service;     /* "smtp" or "pop" */
    struct bytes cb_exporter; /* channel binding data; empty without TLS */
    struct bytes cb_unique;
    bool no_plus; /* SCRAM-SHA-256-PLUS was not offered here: a client that says so is right */
    struct bytes client_spki; /* SHA-256 of the client certificate's public key, or empty */
    /* What authorities vouch for of it: "ca:PATH name:NAME" each, parted by newlines; at most
     * CERTIFICATES_MAX octets, what is longer counts for nothing. */
    struct bytes client_names;
    bool tls;
    bool has_initial;
    struct bytes initial; /* decoded initial response */
};
enum auth_result {
    AUTH_CHALLENGE, /* send `data`, come back with auth_step */
    AUTH_DONE,      /* `login` is in; `data` may hold a last message for the client (SCRAM) */
    AUTH_REFUSED,   /* wrong: 535; after `delay_ms` (grows with failures per client and login) */
    AUTH_MALFORMED, /* not SASL: 501 5.5.2 */
    AUTH_DOWN,      /* 454 4.7.0 */
};
struct auth_answer {
    enum auth_result result;
    struct bytes data;
    struct bytes login; /* normalised */
    /* DONE with an app password: its name, and what it is bound to: sender patterns and networks,
     * parted by blanks; empty: not bound. */
    struct bytes app, app_senders, app_networks;
    int64_t delay_ms; /* to wait before answering the client */
    bool close;       /* too many: 421 after the reply */
    bool told;        /* REFUSED: the client may be told what `why` says */
    /* REFUSED: not 0: this login is being guessed at from so many addresses: worth an event. */
    unsigned guessed_from;
    struct why why;
};
typedef void auth_answered(void *ctx, const struct auth_answer *answer);
struct auth_exchange;
/* on_answer comes once for begin and for each step, never before the call returned. */
struct auth_exchange *auth_begin(struct auth *a, const struct auth_session *session,
                                 auth_answered *on_answer, void *ctx);
void auth_step(struct auth_exchange *x, struct bytes response);
/* Ends it at any time; after DONE, REFUSED, MALFORMED or DOWN too. No callback afterwards. */
void auth_end(struct auth_exchange **x);

#endif
