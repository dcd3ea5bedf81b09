/* client: the sending side of RFC 5321 as a machine without I/O, policy or clock; deliver and the
 * doctor both drive this one. LMTP (RFC 2033) is the same machine with another greeting and one
 * reply a recipient at the end.
 *
 * Order of calls: open; input for every read; when `stage` is called, look at the reply and say
 * what is next. Output gathers in smtp_client_output; `flush` says when it should go. The machine
 * waits in a stage until it has its reply; the driver keeps the time (smtp_stage_timeout).
 *
 * After a reply with code 0 or 421 nothing more is called: close. (So too after a refusal that comes
 * in the midst of content, before the final dot.) Behind a refused MAIL the replies to RCPT are not
 * reported. RSET that the machine sends by itself is reported only when it is refused. When the
 * banner or EHLO is refused, `ready` is not called: quit or close. The machine may be closed from
 * inside any of the driver's functions. Content that comes when it is no longer wanted is ignored.
 * When `flush` left output behind for lack of room, call input with no data once it has been taken.
 */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include "base/arena.h"
#include "base/buf.h"
#include "smtp/command.h"
#include "smtp/reply.h"

struct smtp_client;

enum smtp_stage {
    SMTP_STAGE_BANNER,
    SMTP_STAGE_EHLO, /* HELO is tried by the machine when EHLO is refused with 5xx other than 521 */
    SMTP_STAGE_STARTTLS,
    SMTP_STAGE_XCLIENT,
    SMTP_STAGE_AUTH,
    SMTP_STAGE_MAIL,
    SMTP_STAGE_RCPT,
    SMTP_STAGE_DATA,
    SMTP_STAGE_END_OF_DATA,
    SMTP_STAGE_RSET,
    SMTP_STAGE_QUIT,
    SMTP_STAGES,
};
const char *smtp_stage_name(
    enum smtp_stage s); /* "banner" "EHLO" ... "end of data": outcome.command */
/* RFC 5321 section 4.5.3.2: how long to wait for this stage's reply, milliseconds. */
int64_t smtp_stage_timeout(enum smtp_stage s);

/* What the other side said in EHLO. */
struct smtp_peer {
    struct bytes name;
    bool extended; /* answered EHLO, not HELO */
    bool xclient, pipelining, eightbit, smtputf8, chunking, dsn, starttls, enhanced, requiretls,
        binarymime;
    bool has_size;
    uint64_t size;               /* 0: no limit told */
    struct bytes auth;           /* mechanisms, upper case, blank separated */
    uint64_t rcpt_max, mail_max; /* LIMITS; 0 not told */
    struct bytes keywords;       /* all lines, joined by \n */
};

struct smtp_client_driver {
    /* A reply came for this stage (RCPT and, for LMTP, end of data: once a recipient, with its
     * index in the transaction). Broken framing or a reply class that does not fit comes as a reply
     * with code 0 and *why set: the session is of no further use. */
    void (*stage)(void *ctx, enum smtp_stage stage, size_t index, const struct smtp_reply *reply,
                  const struct why *why);
    /* The machine is idle and may be told what to do next (after EHLO, STARTTLS, AUTH, RSET, and
     * after each transaction). */
    void (*ready)(void *ctx);
    /* 220 to STARTTLS was had: do the handshake, then smtp_client_secured (EHLO again). */
    void (*secure)(void *ctx);
    /* AUTH: the server's challenge (decoded); answer with smtp_client_auth_response. */
    void (*challenge)(void *ctx, struct bytes challenge);
    /* 354 (or BDAT) was had and the window is open: give content with smtp_client_content, the last
     * piece with last = true. Called again when more may be given. */
    void (*content)(void *ctx);
    void (*flush)(void *ctx);
};

struct smtp_client_setup {
    struct bytes hostname; /* for EHLO */
    bool lmtp;
    bool no_pipelining;
    bool no_chunking; /* DATA even where BDAT is offered */
};

struct smtp_client *smtp_client_open(struct arena *a, const struct smtp_client_driver *driver,
                                     void *ctx, const struct smtp_client_setup *setup);
void smtp_client_input(struct smtp_client *c, struct bytes data);
struct buf *smtp_client_output(struct smtp_client *c);
enum smtp_stage smtp_client_stage(const struct smtp_client *c); /* whose reply is awaited */
const struct smtp_peer *smtp_client_peer(const struct smtp_client *c);

/* When ready: */
void smtp_client_starttls(struct smtp_client *c);
void smtp_client_secured(struct smtp_client *c);
void smtp_client_auth(struct smtp_client *c, struct bytes mechanism, bool has_initial,
                      struct bytes initial);
/* Postfix's XCLIENT: whom the server is to take us for ("ADDR=192.0.2.1 NAME=host.example"); where it is
 * taken, EHLO is said again. */
void smtp_client_xclient(struct smtp_client *c, struct bytes attributes);
void smtp_client_auth_response(struct smtp_client *c, struct bytes response);
void smtp_client_auth_cancel(struct smtp_client *c);

/* One transaction. With PIPELINING, MAIL, all RCPT and DATA go in one write. Parameters the peer
 * does not offer are left out (RFC 3461 section 5.2; the driver decides beforehand whether it may
 * send 8-bit or SMTPUTF8 content at all). When no recipient is taken, DATA is answered by an empty
 * message or not sent, RSET follows, and end of data never comes. */
struct smtp_client_mail {
    struct bytes sender;
    uint64_t size;
    bool eightbit, smtputf8;
    bool whole;  /* DATA even where BDAT is offered */
    uint8_t ret; /* 0, 1 FULL, 2 HDRS */
    struct bytes envid;
    size_t count;
    const struct smtp_client_rcpt *rcpts; /* must live until all are answered, or `ready` */
    bool probe; /* MAIL and RCPT (count 0: MAIL alone), then RSET: never DATA */
};
struct smtp_client_rcpt {
    struct bytes mailbox;
    uint8_t notify;
    struct bytes orcpt;
};
void smtp_client_mail(struct smtp_client *c, const struct smtp_client_mail *mail);
/* Dot-stuffs and mends newlines itself. The last piece goes out in one write with the final dot. */
void smtp_client_content(struct smtp_client *c, struct bytes piece, bool last);
/* How the content of this transaction goes. The first chunk of a connection is waited for before more
 * is asked for, and a server that offers BDAT and does not know it after all (RFC 3030) takes its octets
 * for commands: so it had better be small, and hold no line end. */
enum smtp_content { SMTP_CONTENT_DATA, SMTP_CONTENT_FIRST_CHUNK, SMTP_CONTENT_CHUNKS };
enum smtp_content smtp_client_content_goes(const struct smtp_client *c);
/* A connection kept for reuse is probed with RSET. */
void smtp_client_rset(struct smtp_client *c);
void smtp_client_quit(struct smtp_client *c);
void smtp_client_close(struct smtp_client *c); /* frees what is not in the arena */

#endif
