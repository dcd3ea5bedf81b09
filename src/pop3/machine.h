/* machine: what server.c (states, lines), command.c (verbs and their order), drop.c and refusal.c
 * share. Nobody else includes it. */
#ifndef POP3_MACHINE_H
#define POP3_MACHINE_H

#include "pop3/pop3.h"
#include "pop3/text.h"

enum pop3_state {
    START,   /* begin has not been called */
    COMMAND, /* reading commands */
    SKIP,    /* passing over a line that has been answered before its end came */
    /* Asking: each ends with an answer. */
    ASK_LOGIN,
    ASK_AUTH,
    ASK_AUTH_RESPONSE,
    ASK_MAILDROP,
    ASK_MESSAGE,
    ASK_PIECE,
    ASK_UPDATE,
    ASK_STLS,
    /* Going on when the driver has room. */
    AUTH_LINE, /* the answer to a challenge */
    SENDING,   /* a message: between two pieces */
    LISTING,   /* LIST or UIDL of all */
    SECURING,  /* +OK to STLS was given */
    CLOSED,
    POP3_STATES,
};

struct pop3_argument {
    bool given; /* a number was */
    uint32_t i; /* of the message it names, which is there */
    uint64_t lines;
    struct bytes text; /* USER's, PASS's, all of AUTH's */
};

/* What the driver said when it let somebody in, and what that one did since. */
struct pop3_drop {
    bool open;
    uint32_t count, left;     /* messages; those not marked */
    uint64_t size, left_size; /* octets */
    struct buf marks;         /* a bit for each message: to be removed */
};

struct pop3_server {
    const struct pop3_server_driver *driver;
    void *ctx;
    struct bytes hostname, id;
    struct pop3_offer offer;
    enum pop3_state state;
    bool running; /* in run(): whoever answers from inside a call only changes the state */
    bool told;    /* quit or secure was called for this state */
    bool held;
    bool waiting; /* the state's step can do nothing more with what is there */
    bool secured, utf8;
    bool skip_cr, wipe; /* kept input has secrets */
    bool uids;          /* LISTING: of UIDL */
    bool reading;       /* content_end is due */
    bool has_initial;
    unsigned errors;
    size_t skipped;
    uint32_t cursor; /* LISTING, ASK_MESSAGE: the message */
    struct pop3_drop drop;
    struct pop3_text text;
    struct bytes in;      /* input not used yet; between calls it lies in `kept` */
    struct buf kept;      /* nothing is held while a session is idle: not this, */
    struct buf output;    /* nor this */
    struct buf user;      /* of USER, until it is used */
    struct buf mechanism; /* of AUTH */
    struct buf secret;    /* PASS's, or decoded from AUTH; wiped */
};

enum { POP3_AUTH_LINE = 12288 }; /* RFC 5034 section 4 */

/* One positive line. */
void pop3_say(struct pop3_server *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* refusal.c: reply, count, tell the driver; the state to go to. */
enum pop3_state pop3_refuse(struct pop3_server *s, const struct why *why);
enum pop3_state pop3_refuse_with(struct pop3_server *s, int code, const char *reason,
                                 const char *format, ...) __attribute__((format(printf, 4, 5)));
void pop3_write_refusal(struct pop3_server *s, const struct why *why);

/* command.c: a line without CRLF; the next state. */
enum pop3_state pop3_command(struct pop3_server *s, struct bytes line);

/* drop.c: the maildrop as the session sees it. */
void pop3_drop_open(struct pop3_server *s, uint32_t count);
void pop3_drop_close(struct pop3_server *s);
bool pop3_drop_marked(const struct pop3_server *s, uint32_t i);
void pop3_drop_mark(struct pop3_server *s, uint32_t i);
void pop3_drop_unmark_all(struct pop3_server *s);
/* The line of one message in LIST or UIDL: "1 320". */
void pop3_drop_line(struct pop3_server *s, uint32_t i, bool uid);

void pop3_wipe(struct pop3_server *s);
void pop3_forget_user(struct pop3_server *s);
bool pop3_unbase64(struct pop3_server *s, struct bytes text);

#endif
