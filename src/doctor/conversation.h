/* conversation: one session with a mail server, from the connection to QUIT, as far as it is asked to go, and
 * what was seen of it. It is the one that decides nothing about causes: it says at which step it ended
 * and how, and keeps every reply.
 *
 * Nothing is sent that becomes a message unless `send` is set: MAIL and RCPT are followed by RSET.
 *
 * However hostile the server is, it ends: each step has its time, all of it has an end, replies and lines
 * are bounded (smtp/reply.h), and after QUIT nothing is waited for longer than a second or two. */
#ifndef DOCTOR_CONVERSATION_H
#define DOCTOR_CONVERSATION_H

#include "doctor/login.h"
#include "doctor/step.h"
#include "doctor/transcript.h"
#include "smtp/client.h"
#include "sys/stream.h"

enum { CONVERSATION_RECIPIENTS = 100 };

/* TRY goes on without TLS when none comes about, and with any certificate; REQUIRE with any
 * certificate. */
enum conversation_tls { TLS_OFF_WANTED, TLS_TRY_WANTED, TLS_REQUIRE_WANTED, TLS_VERIFY_WANTED };

struct conversation_want { /* views live until on_seen */
    struct bytes session;  /* in the transcript */
    struct addr address;   /* with port; or a unix socket's path */
    struct bytes path;
    struct addr source; /* family 0: the system's choice */
    struct bytes helo;  /* empty: the literal of the address it comes from */
    bool lmtp, pipeline;
    bool implicit; /* TLS from the first octet */
    enum conversation_tls tls;
    struct tls_client *tls_client; /* NULL: no TLS is to be had */
    struct bytes tls_name;
    int tls_minimum, tls_maximum; /* as in tls_want */
    struct bytes proxy;           /* a PROXY header, whole, that goes first */
    struct bytes xclient;         /* attributes */
    bool login;
    struct login_want auth;
    bool mail; /* MAIL, and RCPT for each recipient; then RSET, unless: */
    struct bytes sender;
    const struct bytes *recipients;
    size_t recipient_count;
    bool send; /* DATA and the final dot, too */
    struct bytes content;
    enum step until;               /* QUIT behind this one; STEP_NONE: all there is */
    int64_t timeout_ms;            /* for a step */
    int64_t ends;                  /* loop time: all of it */
    struct transcript *transcript; /* NULL: none */
    int64_t transcript_began;
};

struct said { /* a reply, or the lack of one */
    int code;
    struct status status;
    struct bytes text, raw;
    int64_t ms; /* it took */
    bool tls;
};
struct recipient_said {
    struct bytes mailbox;
    struct said said;
};
struct tls_seen {
    struct bytes protocol, cipher;
    bool trusted;                /* chain, dates and name hold */
    struct bytes error;          /* why not, in OpenSSL's words */
    const struct tls_look *look; /* NULL: no certificate */
};
struct conversation_seen {
    enum step step; /* where it ended; STEP_NONE: nothing went wrong */
    enum how how;
    struct bytes words;      /* what happened, as half a sentence, or the server's words */
    const char *reason;      /* of a connection or handshake that failed: "connect.refused" */
    struct said said[STEPS]; /* the last reply at each step */
    enum step reached;       /* the last step that was asked for */
    struct addr local;
    int64_t connect_ms, first_octet_ms; /* the latter from the connection on; -1: none came */
    bool extended;                      /* it knows EHLO */
    struct smtp_peer plain, secure;     /* what it said before TLS, and under it */
    bool plain_known, secure_known;
    bool starttls_refused; /* and it went on without */
    bool secured;
    struct tls_seen tls;
    struct login_try tries[LOGIN_TRIES];
    size_t try_count;
    bool logged_in, login_unsafe;
    struct recipient_said *recipients;
    size_t recipient_count, accepted;
    bool sent;     /* the message was taken, for one recipient at least */
    bool flooded;  /* it went on and on after the end */
    enum how quit; /* of a session where nothing else went wrong */
};

struct conversation;
/* on_seen comes exactly once, never before the call returned. What was seen lives in `a`. */
struct conversation *conversation_open(
    struct loop *l, struct arena *a, const struct conversation_want *want,
    void (*on_seen)(void *ctx, const struct conversation_seen *seen), void *ctx);
/* Ends it without a callback. */
void conversation_close(struct conversation **c);

#endif
