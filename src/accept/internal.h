/* internal: what the files of accept share: the stage, a session, a transaction.
 *
 * One session has one smtp_server machine and one stream. While an answer is outstanding (a service
 * was asked, a commit is on its way) the machine takes no input, so at most one step is under way. */
#ifndef ACCEPT_INTERNAL_H
#define ACCEPT_INTERNAL_H

#include "accept/accept.h"
#include "base/id.h"
#include "base/list.h"
#include "dns/dns.h"
#include "message/header.h"
#include "session/session.h"
#include "smtp/smtp.h"

enum {
    HEADER_MAX = 256 * 1024, /* octets of a header section */
    HEADER_MAILBOXES = 2000, /* read from From, Sender and Reply-To together */
    DELIVERED_TO_MAX = 100,  /* fields that are looked at; longer loops end by Received */
    ADDRESSED_MAX =
        256,           /* mailboxes of To and Cc in which somebody who is away looks for himself */
    SUBJECT_MAX = 800, /* octets, for an automatic answer */
    REFERENCES_MAX = 900,     /* the last of them */
    ANSWER_GRACE = 30 * 1000, /* for a client to take what we wrote */
    HELO_MAX = 255,
    MEMORY_DEFAULT = 128 * 1024 * 1024,
    DRAFT_MEMORY = 128 * 1024, /* of content, before the store writes it to disk */
    SMALL_SHARE = 16 * 1024,   /* who holds less gets what is left above the bound */
    SESSION_ROOM = 512,        /* for the machine and a login, behind the session in its arena */
};

struct accept {
    struct accept_setup setup;
    struct ruleset *rules;
    struct list sessions;
    struct arena *scratch; /* gates and offers; reset at each use */
    size_t in_memory;      /* octets, of all transactions */
    uint64_t counter;
    bool draining;
    void (*on_idle)(void *ctx);
    void *idle_ctx;
    struct timer drain_timer;
};

/* What a listener or the local door sets for its sessions. */
struct bounds {
    uint64_t max_message_size, max_recipients, max_connections;
    int64_t idle_timeout;
    bool bare_fix;
};

/* From MAIL to the end of data. */
struct transaction {
    struct arena *arena;
    struct envelope envelope;
    size_t capacity; /* of envelope.recipients and charged */
    struct bytes *charged;
    struct bytes popped; /* the login whose POP window granted it, or empty */
    bool submitted;
    struct store_draft *draft;
    uint64_t received; /* octets of content */
    bool too_big, header_done, header_too_big, has_8bit;
    bool no_memory;    /* dropped, to make room for others */
    size_t in_memory;  /* its part of accept.in_memory */
    struct buf header; /* until it is complete */
    unsigned hops;
    struct mailbox_header *mailboxes;
    size_t mailbox_count, mailbox_capacity;
    size_t from_fields, sender_fields, date_fields;
    struct bytes message_header_id;
    struct bytes *delivered_to; /* where it has been, by its header */
    size_t delivered_to_count;
    struct bytes *addressed; /* mailboxes of To, Cc, Resent-To, Resent-Cc */
    size_t addressed_count;
    bool automatic; /* the header says that a program or a list sent it */
    bool no_tls_required;
    struct bytes *counted; /* keys: facts.counted */
    struct held *held;     /* places in limits, the newest first */
};

/* Places in one limit: kept when the message is taken, given back when it is not. */
struct held {
    struct held *next;
    struct counters_limit limit;
    uint64_t n;
};

struct session {
    struct list_node node;
    struct accept *accept;
    struct ruleset *rules;
    struct stream *stream;
    struct tls_server *tls;
    struct smtp_server *machine;
    struct arena *arena;
    struct arena *step; /* of the step under way; NULL between steps */
    struct transaction *tx;
    struct facts facts;
    struct bounds bounds;
    struct timer timer;
    char id[ID_SIZE];
    char helo[HELO_MAX + 1];
    char offered[128]; /* AUTH mechanisms in EHLO */
    char client_key[COUNTERS_CLIENT_KEY];
    bool counted;      /* in the client's connections */
    bool started;      /* the greeting was written */
    bool proxy_wanted; /* a PROXY header must come first */
    struct buf proxy;
    bool implicit;
    bool securing;   /* the handshake is under way: reading is the stream's business */
    bool committing; /* resolve or the store owes us a callback that can't be taken back */
    bool gone;       /* the stream is closed; freed when nothing is owed */
    bool closing;    /* closes when output is written */
    bool input_seen;
    int64_t active; /* loop time of the last progress: what the idle time is counted from */
    size_t trickle; /* octets heard since */
    bool watched;   /* by the tripwire, in this step */
    struct dns_inquiry *inquiry; /* a decision waits for it */
    struct auth_exchange *exchange;
    struct auth_answer held;        /* while its delay runs */
    const struct verdict *refusing; /* its refusal is being answered: for the event */
    struct bytes tried;             /* the login that is being refused, for the event */
    struct bytes because;           /* what only the log is told of that */
    bool login_final;               /* the last challenge was sent: the next response ends AUTH */
    void (*then)(struct session *s, const struct verdict *v);
    enum decide_step asking;
    struct counters_limit *limits; /* the counters are being asked about */
    size_t limit_count;
    void (*on_counts)(struct session *s);
    bool in_call, answered; /* they may answer before the call returns */
    bool placed;            /* the step's recipient has its place in every limit */
    struct membership asked_member;
    struct counters_limit probe_limit; /* wrong guesses of this client */
    bool probe_held;
    const struct smtp_rcpt *rcpt;
    struct popped *popped, *finding; /* facts.popped; the one whose entry is being asked for */
    struct addr peer;                /* of the connection itself, whatever PROXY or XCLIENT said */
};

/* session.c */
void session_flush(struct session *s);
void session_close(struct session *s);
void session_free_if_done(struct session *s);
/* Says this 421 and leaves the session to be closed at the next flush. */
void session_end(struct session *s, const struct why *why);
/* The same, at once, because the server is being stopped. */
void session_stop(struct session *s);
void session_offer(struct session *s);
/* The name this session goes by: a tenant's at its own address, else the server's. */
struct bytes session_hostname(const struct session *s);
void session_idle_timer(struct session *s);
void session_bounds(struct session *s); /* from its listener */
void session_refused_event(struct session *s, const struct why *why);
/* Answers what the machine asked with this refusal; the event tells the rules that were tried. */
void session_refuse(struct session *s, const struct verdict *v);

/* ask.c: runs a decision, fetches the facts it misses, and goes on with `then` (which may be called
 * before ask_decision returns). */
void ask_decision(struct session *s, enum decide_step step,
                  void (*then)(struct session *s, const struct verdict *v));
void ask_cancel(struct session *s);
void ask_gateway(struct session *s); /* fills in facts.gateway */
/* Fills in facts.popped, in the transaction's arena if there is one, else in `a`: then it is to be
 * forgotten before that is reset. */
void ask_popped(struct session *s, struct arena *a);
void ask_forget_popped(struct session *s);

void ask_go_on(struct session *s); /* the fact it waited for is there */

/* callers.c: what the DNS says of the client. */
/* Asks for one of FACT_HELO, FACT_PTR, FACT_LISTS; false: it is none of these. */
bool callers_fetch(struct session *s, uint32_t missing);
/* The tripwire: does this recipient make them too many? */
bool callers_trip(struct session *s, const struct verdict *v);
void callers_look_grey(struct session *s); /* FACT_GREY; needs no waiting */
void callers_cancel(struct session *s);
void callers_forget(struct session *s); /* the client is another one, or says another name */

/* transaction.c: MAIL to the end of data. */
void transaction_mail(void *ctx, const struct smtp_mail *mail);
void transaction_rcpt(void *ctx, const struct smtp_rcpt *rcpt);
void transaction_data(void *ctx);
void transaction_content(void *ctx, struct bytes content);
void transaction_content_end(void *ctx, bool bare);
void transaction_reset(void *ctx);
void transaction_before_command(struct session *s);

/* limits.c: places in limits, for the recipient of the step under way. Each returns true when the
 * counters have answered already; else `then` comes later. */
bool limits_look(struct session *s, const struct verdict *v, void (*then)(struct session *s));
bool limits_hold(struct session *s, const struct verdict *v, void (*then)(struct session *s));
void limits_keep(struct session *s); /* the message is on disk */
void limits_give_back(struct session *s);
/* Tells, not too often, that somebody who may have been taken over reached a limit. */
void limits_reached_event(struct session *s, const struct verdict *v);

/* login.c: AUTH. */
void login_auth(void *ctx, struct bytes mechanism, bool has_initial, struct bytes initial);
void login_response(void *ctx, struct bytes response);
void login_cancel(void *ctx);
void login_forget(struct session *s); /* nobody is logged in any more */
void login_end(struct session *s);

/* complete.c: the header as it goes into the store. */
struct completion {
    struct bytes hostname;      /* this mail's */
    struct bytes server;        /* the server's, where that is another */
    struct bytes received_from; /* HELO name, made safe */
    struct addr client;
    struct bytes login;
    struct bytes protocol;
    struct bytes id;
    struct bytes tls;           /* "TLSv1.3 TLS_AES_256_GCM_SHA384" or empty */
    struct bytes for_recipient; /* or empty */
    int64_t now;
    bool submitted; /* complete Date and Message-ID, drop Bcc */
};
/* text: a whole header section with its empty line (or all of a message that has none). */
void complete_header(struct buf *out, const struct completion *c, struct bytes text,
                     const struct header_summary *summary);

/* xclient.c */
void xclient_command(void *ctx, const struct smtp_command *command);

#endif
