/* client_machine: what client.c (states and replies) and client_wire.c (commands and EHLO as text)
 * share. Nobody else includes it. */
#ifndef SMTP_CLIENT_MACHINE_H
#define SMTP_CLIENT_MACHINE_H

#include "smtp/client.h"
#include "smtp/data.h"

enum client_state {
    BANNER,
    EHLO,
    HELO,
    READY,  /* the driver's turn */
    HALTED, /* refused before any mail: nothing is left but QUIT */
    STARTTLS,
    XCLIENT,
    SECURING, /* the driver does the handshake */
    AUTH,
    CHALLENGED, /* the driver computes a response */
    MAIL,
    RCPT,
    DATA,
    CONTENT,
    END,
    EMPTY, /* a message without content, and without a recipient, was ended */
    DRAIN, /* a chunk was refused: the replies to those behind it */
    CLEAR, /* RSET of our own */
    RSET,  /* RSET of the driver's */
    QUIT,
    OVER,
    CLIENT_STATES,
};

struct smtp_client {
    const struct smtp_client_driver *driver;
    void *ctx;
    struct arena *arena;
    struct bytes hostname;
    bool lmtp, no_pipelining, no_chunking;
    enum client_state state;
    bool running;
    bool turn;  /* the driver has not been called yet for this state */
    bool early; /* part of an answer was there before the question */
    bool wipe;  /* output has secrets */
    bool *gone; /* set by close from inside a call */
    struct smtp_reply_reader *reader;
    struct smtp_peer peer;
    struct buf output;
    struct buf challenge; /* decoded */
    struct buf initial;   /* of AUTH, when it did not fit into the command */
    size_t owed;          /* replies to what is in output or has been taken from it */
    /* the transaction */
    struct smtp_client_mail mail;
    struct buf taken; /* one octet a recipient: was it taken */
    size_t index;     /* the recipient whose reply is awaited */
    size_t accepted;
    bool mail_refused, pipelined, chunked;
    bool held_cr;      /* chunked: a CR waits for what follows it */
    bool chunks_taken; /* on this connection: what follows need not wait */
    struct smtp_data_out data;
};

/* client_wire.c: all end their line. */
void client_write_ehlo(struct smtp_client *c, const char *verb);
void client_write_xclient(struct smtp_client *c, struct bytes attributes);
void client_write_mail(struct smtp_client *c);
void client_write_rcpt(struct smtp_client *c, size_t index);
/* False when the initial response does not go with it (RFC 4954 section 4: the line may not get
 * longer than any other command). */
bool client_write_auth(struct smtp_client *c, struct bytes mechanism, bool has_initial,
                       struct bytes initial);
void client_write_base64(struct smtp_client *c, struct bytes data);
/* False when nothing was written: a lone CR waits for what follows. */
bool client_write_chunk(struct smtp_client *c, struct bytes piece, bool last);
/* What an answer to EHLO or HELO tells. */
void client_read_peer(struct smtp_client *c, const struct smtp_reply *reply, bool extended);

#endif
