/* pop3: the server side of POP3 (RFC 1939, 2449, 2595, 3206, 5034, 6856) as a machine without I/O,
 * policy or clock. Its driver feeds octets in, sends what it puts out, and answers what it asks.
 *
 * Order of calls: open; begin (the greeting); then input for every read. Each time the machine
 * needs an answer it calls one function of the driver's and goes no further until the driver gives
 * it, at once, from inside the call, or later. Input that comes meanwhile is kept (PIPELINING), at
 * most 64 KiB: when pop3_server_wants_input is false the driver stops reading. Output gathers in
 * pop3_server_output until `flush`; a driver that cannot send any more holds the machine.
 *
 * The machine answers syntax, order, CAPA, UTF8 and all that concerns numbers, sizes and deletion
 * marks by itself; logins, the maildrop and its messages are asked for. Messages are counted from 0
 * here, from 1 on the wire. It may be closed from inside `quit` and `secure` only. */
#ifndef POP3_POP3_H
#define POP3_POP3_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/why.h"

struct pop3_server;

enum pop3_verb {
    POP3_CAPA,
    POP3_STLS,
    POP3_UTF8,
    POP3_AUTH,
    POP3_USER,
    POP3_PASS,
    POP3_STAT,
    POP3_LIST,
    POP3_UIDL,
    POP3_RETR,
    POP3_TOP,
    POP3_DELE,
    POP3_RSET,
    POP3_NOOP,
    POP3_QUIT,
    POP3_APOP, /* known, not offered: it needs the password in plain on our side */
    POP3_VERBS,
    POP3_UNKNOWN = POP3_VERBS,
};
const char *pop3_verb_name(enum pop3_verb verb); /* "RETR", or "unknown" */

/* What CAPA offers; the driver keeps it true, and may change it between commands (TLS). */
struct pop3_offer {
    bool stls;                   /* left out by itself once TLS is there */
    bool user;                   /* USER and PASS */
    struct bytes auth;           /* "SCRAM-SHA-256 PLAIN", or empty: no AUTH */
    struct bytes implementation; /* "Postern", or empty */
};

enum {
    POP3_UID_MAX = 70,       /* RFC 1939 section 7 */
    POP3_PIECE = 64 * 1024,  /* the most of a message in one answer */
    POP3_MESSAGES = 1000000, /* the most in a maildrop */
};

struct pop3_server_driver {
    /* Every command but QUIT goes by here first, for rules that stand before all others (TLS
     * required). False: *refuse is the reply. Synchronous. */
    bool (*gate)(void *ctx, enum pop3_verb verb, struct why *refuse);
    /* Asked; answered with pop3_server_answer. Views live until then. */
    void (*login)(void *ctx, struct bytes user, struct bytes password); /* USER and PASS */
    /* AUTH: `initial` is decoded (has_initial false: none given). Answered with a challenge, too. */
    void (*auth)(void *ctx, struct bytes mechanism, bool has_initial, struct bytes initial);
    void (*auth_response)(void *ctx, struct bytes response); /* decoded; "*" is answered by the
                                                                machine: auth_cancel */
    void (*auth_cancel)(void *ctx);
    /* Behind a login that was answered OK: open the maildrop. Answered with pop3_server_maildrop,
     * or refused with pop3_server_answer: then nobody is logged in. */
    void (*maildrop)(void *ctx);
    /* Of message i, as it will be sent, line ends as CRLF, without dot-stuffing; and its unique id:
     * 1 to 70 octets of 0x21 to 0x7e. Synchronous. */
    uint64_t (*size)(void *ctx, uint32_t i);
    void (*uid)(void *ctx, uint32_t i, struct buf *out);
    /* RETR and TOP. Answered OK, `read` is asked for one piece after the other, answered with
     * pop3_server_content; content_end follows when no more is wanted, whatever the reason. */
    void (*retrieve)(void *ctx, uint32_t i, bool top);
    void (*read)(void *ctx);
    void (*content_end)(void *ctx);
    /* QUIT of a login: remove what is marked (message i: bit i % 8 of octet i / 8), and unlock.
     * Whatever the answer, the session ends with it. */
    void (*update)(void *ctx, struct bytes marked);
    /* STLS: answered OK the machine writes +OK, forgets all it has read and all state, and then
     * calls `secure` once its output must be sent and the handshake begun. */
    void (*stls)(void *ctx);
    void (*secure)(void *ctx);
    void (*flush)(void *ctx);
    void (*quit)(void *ctx); /* send what is there and close; nothing was removed but in `update` */
    /* For counting: a negative reply was given. */
    void (*refused)(void *ctx, const struct why *why);
};

/* id: the session id, in brackets at the end of every refusal. */
struct pop3_server *pop3_server_open(struct arena *a, const struct pop3_server_driver *driver,
                                     void *ctx, struct bytes hostname, struct bytes id);
struct pop3_offer *pop3_server_offer(struct pop3_server *s);
/* Writes the greeting, or the refusal, which ends the session. */
void pop3_server_begin(struct pop3_server *s, const struct why *refusal);
/* After the TLS handshake: state is as at the beginning, without greeting. */
void pop3_server_secured(struct pop3_server *s);
/* Takes all of data, keeps what it cannot use yet. */
void pop3_server_input(struct pop3_server *s, struct bytes data);
bool pop3_server_wants_input(const struct pop3_server *s);
/* While held the machine begins nothing and puts out nothing more than what it is answered. */
void pop3_server_hold(struct pop3_server *s, bool hold);

/* OK, or the refusal: a why of code 421 ends the session. The response code (RFC 2449 section 8)
 * comes from the reason: mailbox.in-use [IN-USE], auth.failed [AUTH], message.utf8 [UTF8]; else a
 * code of class 4 is [SYS/TEMP], backend.* and mailbox.* are [SYS/PERM]. */
void pop3_server_answer(struct pop3_server *s, enum rc rc, const struct why *why);
void pop3_server_challenge(struct pop3_server *s, struct bytes challenge); /* raw; it encodes */
/* The maildrop is open: this many messages, at most POP3_MESSAGES. */
void pop3_server_maildrop(struct pop3_server *s, uint32_t count);
/* At most POP3_PIECE octets, with any line ends; none: this was all. Not OK: the connection is
 * ended without the final dot, because the reply has begun and nothing else says that it failed. */
void pop3_server_content(struct pop3_server *s, enum rc rc, struct bytes content);
/* Ends the session now with this refusal, or without a word (NULL: RFC 1939 section 3 for a session
 * that was idle). Within a message it is always without a word. */
void pop3_server_abort(struct pop3_server *s, const struct why *why);

struct buf *pop3_server_output(struct pop3_server *s); /* heap; the driver drops what it sent */
bool pop3_server_logged_in(const struct pop3_server *s);
bool pop3_server_utf8(const struct pop3_server *s); /* UTF8 was said (RFC 6856) */
unsigned pop3_server_errors(const struct pop3_server *s);
/* Frees what is not in the arena; call before closing the arena. */
void pop3_server_close(struct pop3_server *s);

#endif
