/* session: what a connection from a client needs whatever protocol it speaks: the configuration it refers to, who
 * is calling (PROXY header, certificate), refusals that need no decision, the events that tell of them, and
 * how a login is checked. accept (SMTP) and retrieve (POP3) each keep a session of their own and call
 * these; nothing here knows a protocol's words, writes to a stream, or keeps anything but a ruleset. */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "base/event.h"
#include "flow/verdict.h"
#include "keeper/auth.h"
#include "sys/stream.h"

enum {
    SESSION_ERRORS_MAX = 20, /* refusals in a session before it is ended */
    SESSION_SECURE_MS = 60 * 1000,
    SESSION_PROGRESS = 512, /* octets without a reply that count as progress */
    SESSION_PROXY_MAX = 4096,
};

/* --- ruleset.c: a configuration that sessions refer to; let go when it is not the current one and nobody
 * does. */
struct ruleset {
    const struct config *config;
    size_t sessions;
    bool retired;
    void (*release)(void *ctx, const struct config *old);
    void *release_ctx;
};
struct ruleset *ruleset_open(const struct config *config);
struct ruleset *ruleset_join(struct ruleset *r);
/* It may be freed by this. */
void ruleset_leave(struct ruleset **r);
/* Nobody joins it any more: released now, or when the last one leaves. */
void ruleset_retire(struct ruleset **r, void (*release)(void *ctx, const struct config *old),
                    void *ctx);

/* --- refusal.c: a refusal that is found without the decision. The remedy is left out where explain = brief,
 * as decide does. */
struct refusal {
    enum rc rc;
    int code;
    const char *status, *reason, *what, *remedy;
};
void refusal_why(const struct config *config, const struct refusal *r, struct why *out);
/* "session" "listener" "client" "login" ... of an event. */
void session_event_caller(struct event *e, const char *id, const struct facts *f);
/* "rules": why nothing let it pass, as `postern why` tells it. */
void session_event_rules(struct event *e, const struct verdict *v);
/* "refused": TLS came where plain text is spoken, or the other way about. */
void session_wrong_port_event(const char *id, const struct facts *f, const char *what,
                              const char *remedy);
/* "tls-failed"; without why: the listener has no usable certificate, with an alarm. */
void session_tls_failed_event(const char *id, const struct facts *f, const struct why *why);
/* "proxy-refused": a peer that must send a PROXY header sent none. */
void session_no_proxy_event(const char *id, const struct facts *f);

/* --- caller.c ------------------------------------------------------------------------------------- */
/* A TLS record of type handshake where plain text should be: a client set to "SSL" on a port that begins
 * without. It cannot read our words. */
bool caller_is_client_hello(struct bytes data);
/* Gathers a PROXY header in `gathered` (buf_grow(SESSION_PROXY_MAX)). OK: it is whole, *data is what stands behind it,
 * the facts tell who is calling (client, client_told_by, client_peer, client_unknown, local), and `gathered` is
 * freed. MORE: there is more to come. PERM: it is none. */
enum rc caller_read_proxy(struct facts *f, struct buf *gathered, struct bytes *data);
/* The client's certificate, copied to `a`. */
void caller_note_certificate(struct facts *f, const struct tls_info *info, struct arena *a);
void caller_forget_certificate(struct facts *f);

/* --- login.c: AUTH, between the client's words and the keeper's -------------------------------------- */
/* `service`: "smtp" or "pop"; `offered`: the mechanisms as they were told to the client. */
struct login_attempt {
    struct auth *auth;
    const struct facts *facts;
    const struct tls_info *tls; /* or NULL */
    struct bytes service, offered;
    bool has_initial;
    struct bytes initial;
};
struct auth_exchange *session_login(const struct login_attempt *l, auth_answered *on_answer,
                                    void *ctx);
/* Keeps an answer past its callback while its delay runs; true when there is a delay. */
bool session_login_hold(struct auth_answer *held, const struct auth_answer *answer,
                        struct arena *a);
/* What the client is told of an answer that is REFUSED, MALFORMED or DOWN (its words may be the
 * answer's), and what only the log is told of it. */
struct refusal session_login_refusal(const struct facts *f, const struct auth_answer *answer,
                                     struct bytes *because_out);
/* After the refusal, when the answer says `close`. */
extern const struct refusal session_too_many_logins;
/* PLAIN that cannot be right (too long). */
extern const struct refusal session_wrong_login;
/* Tells, with an alarm, that a login is being guessed at from many addresses: if the answer says so. One address
 * that guesses slows itself down; many at one login are somebody's work. */
void session_login_guessed(const char *id, const struct facts *f, const struct auth_answer *answer);
/* "authenticated". */
void session_login_event(const char *id, const struct facts *f);

#endif
