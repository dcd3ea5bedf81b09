/* server: the receiving side of RFC 5321 as a machine without I/O, policy or clock. Its driver
 * (accept/, a test, a fuzzer) feeds octets in, sends what it puts out, and answers what it asks.
 *
 * The machine may be closed from inside `quit` and `secure`, from no other function of the driver's.
 *
 * Order of calls: open; begin (the greeting); then input for every read. Each time the machine
 * needs an answer it calls one function of the driver's and takes no more input until the driver
 * calls smtp_server_answer (at once, from inside the call, or later). Input that comes meanwhile is
 * kept (PIPELINING), at most 64 KiB: when smtp_server_wants_input is false the driver stops
 * reading. Output gathers in smtp_server_output until the driver takes it; `flush` is called when
 * it should go (RFC 2920: replies to a group may go in one write).
 *
 * The machine itself answers syntax (5xx syntax.*), order (503 5.5.1 syntax.sequence), line length
 * (500 5.5.6 syntax.line, at 12,288 octets in AUTH, 4,096 elsewhere), NOOP, HELP, RSET, QUIT, VRFY
 * (252), EXPN (502). Everything else is asked. */
#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H

#include "smtp/command.h"
#include "smtp/data.h"
#include "smtp/reply.h"

struct smtp_server;

/* What EHLO offers; the driver keeps it true, and may change it between commands (TLS, login). */
struct smtp_offer {
    uint64_t size; /* SIZE */
    bool starttls;
    struct bytes auth;    /* "SCRAM-SHA-256 PLAIN LOGIN", or empty: no AUTH line */
    struct bytes xclient; /* "ADDR NAME ..." or empty */
    uint32_t rcpt_max;    /* LIMITS RCPTMAX= (RFC 9422) */
    bool bare_newline_fix;
};

struct smtp_server_driver {
    /* Every command but QUIT goes by here first, for rules that stand before all others (TLS
     * required). False: *refuse is the reply. Synchronous. */
    bool (*gate)(void *ctx, enum smtp_verb verb, struct why *refuse);
    /* Asked; answer each with smtp_server_answer. Views live until then. */
    void (*helo)(void *ctx, bool extended, struct bytes name); /* answered OK: the machine writes
                                                                  the EHLO reply from the offer */
    void (*mail)(void *ctx, const struct smtp_mail *mail);
    void (*rcpt)(void *ctx, const struct smtp_rcpt *rcpt);
    void (*data)(void *ctx); /* DATA with a recipient: OK gives 354; for the first BDAT too */
    /* Content, already unstuffed; not answered. Set smtp_server_hold_content to slow down. */
    void (*content)(void *ctx, struct bytes content);
    /* End of data, or BDAT LAST. `bare` says that a bare CR or LF was in it. */
    void (*content_end)(void *ctx, bool bare);
    /* AUTH: `initial` is decoded (has_initial false: none given). Answer with MORE and the
     * challenge by smtp_server_challenge, or finish with smtp_server_answer. */
    void (*auth)(void *ctx, struct bytes mechanism, bool has_initial, struct bytes initial);
    void (*auth_response)(void *ctx, struct bytes response); /* decoded; "*" is answered by the
                                                                machine: 501 5.0.0, auth_cancel */
    void (*auth_cancel)(void *ctx);
    /* STARTTLS: answered OK the machine writes 220, forgets all it has read and all state, and then
     * calls `secure` once its output must be sent and the handshake begun. */
    void (*starttls)(void *ctx);
    void (*secure)(void *ctx);
    void (*xclient)(void *ctx, const struct smtp_command *command); /* OK: state is reset, 220 */
    void (*reset)(void *ctx); /* the transaction is over or gone: drop the draft; not answered */
    void (*flush)(void *ctx);
    void (*quit)(void *ctx); /* 221 is in the output: send and close; also after a 421 */
    /* For counting: an error reply was given. */
    void (*refused)(void *ctx, const struct why *why);
};

/* id: the session id; reason id and session id stand in brackets at the end of every refusal. */
struct smtp_server *smtp_server_open(struct arena *a, const struct smtp_server_driver *driver,
                                     void *ctx, struct bytes hostname, struct bytes id);
/* Another name to go by, before begin; a view. */
void smtp_server_set_hostname(struct smtp_server *s, struct bytes hostname);
struct smtp_offer *smtp_server_offer(struct smtp_server *s);
/* Writes the greeting: 220 with this name, or (refusal not NULL) the refusal, after which only QUIT
 * is answered otherwise than by 503 (RFC 5321 section 3.1); a 421 ends it at once. */
void smtp_server_begin(struct smtp_server *s, const struct why *refusal);
/* After the TLS handshake: state is as at the beginning, without greeting. */
void smtp_server_secured(struct smtp_server *s);
/* Takes all of data, keeps what it cannot use yet. */
void smtp_server_input(struct smtp_server *s, struct bytes data);
bool smtp_server_wants_input(const struct smtp_server *s);
/* content() consumers that cannot take more now; taking up again goes on with what was kept. */
void smtp_server_hold_content(struct smtp_server *s, bool hold);
/* OK with a why of code 2xx or 3xx or none (the machine's own words then), else the refusal. A why
 * of code 421 ends the session. */
void smtp_server_answer(struct smtp_server *s, enum rc rc, const struct why *why);
void smtp_server_challenge(struct smtp_server *s, struct bytes challenge); /* raw; it encodes */
/* Ends the session now with this reply (timeout, shutdown, too many errors), if output allows. */
void smtp_server_abort(struct smtp_server *s, const struct why *why);

struct buf *smtp_server_output(struct smtp_server *s); /* heap; the driver drops what it sent */
/* For the session's facts and for drain. */
bool smtp_server_in_transaction(const struct smtp_server *s);
bool smtp_server_in_content(const struct smtp_server *s);
unsigned smtp_server_errors(const struct smtp_server *s);
bool smtp_server_extended(const struct smtp_server *s); /* EHLO was used: ESMTP */
/* Frees what is not in the arena; call before closing the arena. */
void smtp_server_close(struct smtp_server *s);

#endif
