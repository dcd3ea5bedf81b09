/* server_machine: what server.c (states, lines, content) and server_command.c (verbs, their order,
 * EHLO) share. Nobody else includes it. */
#ifndef SMTP_SERVER_MACHINE_H
#define SMTP_SERVER_MACHINE_H

#include "smtp/server.h"

enum server_state {
    START,   /* begin has not been called */
    COMMAND, /* reading commands */
    REFUSED, /* the greeting was a refusal */
    SKIP,    /* passing over a line that has been answered before its end came */
    /* Asking: each ends with smtp_server_answer. */
    ASK_HELO,
    ASK_MAIL,
    ASK_RCPT,
    ASK_DATA,
    ASK_BDAT,
    ASK_CONTENT,
    ASK_AUTH,
    ASK_AUTH_RESPONSE,
    ASK_STARTTLS,
    ASK_XCLIENT,
    /* Reading what is no command. */
    CONTENT,   /* behind 354 */
    CHUNK,     /* of BDAT */
    SWALLOW,   /* a chunk nobody wants */
    AUTH_LINE, /* the answer to a challenge */
    SECURING,  /* 220 to STARTTLS was given */
    CLOSED,
    SERVER_STATES,
};

struct smtp_server {
    const struct smtp_server_driver *driver;
    void *ctx;
    struct bytes hostname, id;
    struct smtp_offer offer;
    enum server_state state;
    bool running; /* in run(): whoever answers from inside a call only changes the state */
    bool told;    /* quit or secure was called for this state */
    bool held;
    bool refused; /* by the greeting */
    bool helo, extended, secured, authenticated;
    bool mail, utf8, chunking; /* a transaction is open; with SMTPUTF8; BDAT has begun in it */
    bool skip_cr, wipe;        /* kept input has secrets */
    unsigned recipients, recipients_refused, errors;
    size_t skipped;
    struct smtp_data_in data;
    uint64_t chunk_left, content_size;
    struct bytes in;              /* input not used yet; between calls it lies in `kept` */
    struct buf kept;              /* nothing is held while a session is idle: not this, ... */
    struct buf output;            /* not this, ... */
    struct arena *arena;          /* nor this, the command's */
    struct smtp_command *command; /* in arena */
    struct why *late;             /* in arena: the refusal that waits for the end of SWALLOW, */
    bool late_ends;               /* and with it the transaction */
    struct buf secret;            /* decoded from AUTH; wiped */
};

/* One line, as it is; for replies of the machine's own that are no refusals. */
void server_say(struct smtp_server *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Replies, counts, tells the driver; returns the state to go to. */
enum server_state server_refuse(struct smtp_server *s, const struct why *why);
enum server_state server_refuse_with(struct smtp_server *s, int code, const char *status,
                                     const char *reason, const char *text);
/* The same for BDAT: the chunk is passed over first. */
enum server_state server_swallow(struct smtp_server *s, const struct why *why,
                                 bool ends_transaction);
void server_end_transaction(struct smtp_server *s);
void server_wipe(struct smtp_server *s);
/* Decodes into s->secret. */
bool server_unbase64(struct smtp_server *s, struct bytes text);

/* server_command.c: a line without CRLF; the next state. */
enum server_state server_command(struct smtp_server *s, struct bytes line);
void server_write_ehlo(struct smtp_server *s);

#endif
