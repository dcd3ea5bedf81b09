/* internal: what the files of deliver share.
 *
 * A hop is a next hop with what the configuration says of it; a task is a job being carried out; a
 * connection belongs to one hop and serves one task at a time. A task asks for targets (targets.c)
 * until a connection to one of them takes its message (conn.c, transaction.c). */
#ifndef DELIVER_INTERNAL_H
#define DELIVER_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "deliver/deliver.h"
#include "message/downgrade.h"
#include "sasl/sasl.h"
#include "smtp/client.h"

enum {
    IDLE_MS = 5000,
    MESSAGES_MAX = 100, /* on one connection */
    CONNECT_MS = 30000,
    HANDSHAKE_MS = 60000,
    QUIT_MS = 2000,
    TARGETS_MAX = 16,         /* addresses tried in one attempt */
    RECIPIENTS_STEP = 100,    /* in one transaction (RFC 5321 section 4.5.3.1.8) */
    RECIPIENTS_MAX = 1000,    /* the same, when the server announces more */
    CHUNKED_FROM = 64 * 1024, /* octets of content: less goes by DATA */
    FIRST_CHUNK = 8,          /* "Received": see smtp_client_content_goes */
    PIECE = 128 * 1024,       /* of content, read at once */
    WAIT_MS = 200,            /* for a free connection, before looking again */
    WAIT_MAX_MS = 60000,
    SPARE_ARENAS = 64,
};

struct task;
struct probes;
struct deliver {
    struct deliver_setup setup;
    const struct config *config;
    struct map *hops;  /* by next hop */
    struct map *tasks; /* by job */
    struct list task_list;
    struct list conns; /* all of them */
    struct probes *probes;
    struct arena *spare[SPARE_ARENAS];
    size_t spare_count;
    bool draining;
    struct timer drain;
    void (*on_idle)(void *ctx);
    void *idle_ctx;
};
/* Arenas of tasks are used again: one allocation less a message. */
struct arena *deliver_arena(struct deliver *d);
void deliver_arena_back(struct deliver *d, struct arena **a);
/* Notes in shared memory which message is being worked on, so that one that ends the process is
 * known; NULL: none. Around whatever handles what a server, a disk or the DNS said about it. */
void deliver_in_hand(struct deliver *d, const struct task *t);
struct probes *probes_open(struct deliver *d);
void probes_close(struct probes **p);
/* The job of a probe is over. */
void probes_outcome(struct probes *p, const struct job *job, const struct outcome *o);
/* A task is over: for drain. */
void deliver_check_idle(struct deliver *d);

/* --- hop.c: next hops and what they mean ---------------------------------------------------- */
enum hop_kind { HOP_BROKEN, HOP_REFUSED, HOP_MAILDIR, HOP_MX, HOP_ROUTE, HOP_SMTP, HOP_LMTP };
struct source { /* where addresses come from, in order */
    bool mx, implicit;
    struct bytes host;
    uint16_t port;
    struct bytes path; /* unix socket */
};
struct hop {
    struct deliver *deliver;
    struct arena *arena;
    struct bytes name; /* "mx:example.com" */
    struct bytes key;  /* of its connections' counter: "hop/mx:example.com", whoever's mail it is */
    struct bytes rate_key;
    struct bytes hostname; /* for EHLO */
    enum hop_kind kind;
    struct why why; /* with HOP_BROKEN, HOP_REFUSED */
    size_t source_count;
    struct source *sources;
    enum tls_policy tls;
    struct tls_client *own_tls; /* with the route's own roots; else NULL */
    bool has_login;
    struct bytes login_user, login_password;
    struct bytes login_route; /* whose tokens the fetcher has; empty: a password */
    struct addr source_address;
    uint64_t max_connections;
    struct rates rate;
    bool no_chunking;    /* the route says so, or a server of it refused what it offers */
    struct list idle;    /* connections, last used first */
    struct list waiting; /* tasks, for a connection */
    unsigned users;      /* tasks and connections */
    bool stale;          /* the configuration changed: no longer in the table */
};
struct hop *hop_get(struct deliver *d, struct bytes next_hop);
/* Is this a name that this server goes by, for itself or a tenant? */
bool hop_is_our_name(const struct hop *h, struct bytes name);
void hop_use(struct hop *h);
void hop_release(struct hop *h); /* frees it when nobody uses it */
void hop_forget_all(struct deliver *d);

/* --- targets.c: the addresses to try -------------------------------------------------------- */
struct target {
    struct bytes host;
    struct addr address;
    struct bytes path;
    bool implicit;         /* TLS from the first octet */
    bool plain;            /* the handshake failed before and TLS is optional */
    struct bytes tls_name; /* what its certificate must carry */
};
struct targets {
    size_t source; /* the next one */
    struct dns_query *query;
    struct target *list; /* of the source before */
    size_t count, next;
    unsigned tried;
};

/* --- task.c: a job being carried out -------------------------------------------------------- */
enum recipient_step { STEP_WAITING, STEP_SENT, STEP_DONE };
struct conn;
struct task {
    struct list_node node;      /* deliver.task_list */
    struct list_node wait_node; /* hop.waiting */
    struct deliver *deliver;
    const struct job *job;
    struct hop *hop;
    struct arena *arena;
    struct outcome *outcomes; /* parallel to the job's recipients */
    uint8_t *steps;           /* enum recipient_step, parallel too */
    size_t left;              /* not DONE */
    struct targets targets;
    struct conn *conn;
    struct timer timer;
    int64_t waiting_since;
    bool waited, charged, finishing, orphan;
    bool reading, read_stale;    /* content.read is under way; its reader is gone */
    struct downgrade *downgrade; /* see convert.c */
    const struct downgrade_finding *finding;
    uint64_t looked;        /* octets of content */
    struct outcome failure; /* of the session: the one that says most */
    bool failed;
    char tried_text[1024];
    struct buf tried;
};
/* Ends it now: what has no outcome yet gets this one. Not for Maildirs, which end by themselves. */
void task_stop(struct task *t, const struct why *why);
struct task *task_open(struct deliver *d, const struct job *job);
void task_start(struct task *t);
void task_free(struct task *t);
/* Sets the outcome of one recipient (by position in the job) to `like`, whose views are copied. */
void task_settle(struct task *t, size_t position, const struct outcome *like);
/* The same for all that have none yet. */
void task_settle_rest(struct task *t, const struct outcome *like);
/* This target failed: kept, to be told if no other takes the message. */
void task_note(struct task *t, const struct outcome *failure);
/* No target is left. */
void task_exhausted(struct task *t);
/* A fault found by us, as an outcome. */
struct outcome task_fault(enum outcome_kind kind, const char *command, const struct why *why);
/* All connections that may be open are in use: it goes on when one is free. */
void task_wait(struct task *t);
void task_wake_waiting(struct hop *h);
/* Goes on in the next turn of the loop: finish, or the next target. */
void task_later(struct task *t, void (*what)(void *task));
/* What a connection tells. */
void task_connected_elsewhere(struct task *t); /* a reused connection was dead: not an attempt */
void task_session_failed(struct task *t, const struct outcome *failure);
void task_session_over(struct task *t); /* the connection let go of it; all is settled */
/* To begin with in content.read's callback; false: the task is over, and may be freed by now. */
bool task_read_over(struct task *t);

void targets_next(void *task); /* tries the next one; in the end task_exhausted */
void targets_again_plain(struct task *t, const struct target *target);
void targets_again(struct task *t, const struct target *target);
void targets_cancel(struct task *t);
bool targets_own(const struct deliver *d, struct addr address);

/* --- conn.c: one connection ----------------------------------------------------------------- */
enum conn_phase {
    CONN_CONNECTING,
    CONN_SECURING_FIRST, /* implicit TLS */
    CONN_HELLO,          /* greeting and EHLO */
    CONN_SECURING,       /* STARTTLS, handshake, EHLO again */
    CONN_LOGIN,
    CONN_MAIL,     /* transactions */
    CONN_CLEARING, /* all of a task is answered; RSET is not yet */
    CONN_IDLE,
    CONN_QUIT,
    CONN_DEAD, /* freed in the next turn */
};
struct transaction {
    size_t count;
    uint32_t *positions; /* in the job, of its recipients */
    uint8_t *taken;      /* RCPT was answered 2xx */
    size_t taken_count;
    struct bytes prefix; /* header fields in front of the content, for these recipients */
    bool prefix_sent;
    bool answered; /* a reply to MAIL was had */
    bool sent_all; /* the final dot went out */
    uint64_t offset;
    bool window, blocked, pumping;
    bool waits;    /* the content is being looked through; nothing has been sent */
    bool converts; /* this server does not take the content as it is */
};
struct conn {
    struct list_node node;      /* deliver.conns */
    struct list_node idle_node; /* hop.idle */
    struct deliver *deliver;
    struct hop *hop;
    struct task *task; /* NULL: idle, quitting, dead */
    struct arena *arena;
    struct target target;
    struct stream_connect *connect;
    struct stream *stream;
    struct smtp_client *client;
    struct sasl_client *sasl;
    struct timer timer;
    enum conn_phase phase;
    enum tls_policy tls; /* that holds here: never DEFAULT */
    struct bytes tls_text;
    bool secured, tls_verified, tls_refused, logged_in, reused;
    bool heard;         /* a whole reply, in this read */
    uint64_t fetch;     /* a token is being fetched */
    struct bytes token; /* the one used last */
    bool token_renewed; /* after it was refused once */
    unsigned messages;
    struct transaction transaction;
};
void conn_open(struct task *t, const struct target *target);
void conn_reuse(struct conn *c, struct task *t);
/* Ends it at once, without a word to its task. */
void conn_abort(struct conn *c);
void conn_quit(struct conn *c);
void conn_free(struct conn *c);
void conn_flush(struct conn *c);
void conn_watch(struct conn *c); /* sets the timer for the reply that is awaited */
/* Done with its task: kept for the next one, or closed. */
void conn_let_go(struct conn *c);
/* Begins the next transaction, or ends when there is none. */
void conn_go_on(struct conn *c);
/* The session is of no further use: tells the task. */
void conn_fail(struct conn *c, struct outcome *failure);
void conn_fail_why(struct conn *c, const char *command, const struct why *why);
/* An outcome that says what the server said, or what happened. */
struct outcome conn_said(const struct conn *c, enum outcome_kind kind, enum smtp_stage stage,
                         const struct smtp_reply *reply);
struct outcome conn_fault(const struct conn *c, enum outcome_kind kind, const char *command,
                          const struct why *why);

/* --- transaction.c: one MAIL, its RCPTs and the content ------------------------------------- */
/* Begins the next transaction for what waits; false when nothing is left to send here. */
bool transaction_begin(struct conn *c);
void transaction_reply(struct conn *c, enum smtp_stage stage, size_t index,
                       const struct smtp_reply *reply);
/* Was it BDAT itself that this reply to content refused? */
bool transaction_chunk_unknown(const struct conn *c, const struct smtp_reply *reply);
/* The machine is ready again: true when another transaction was begun. */
bool transaction_over(struct conn *c);
void transaction_pump(struct conn *c);
/* No read is under way any more: what waited for that goes on. */
void transaction_read_again(struct conn *c);
/* The store does not give the content: none of it, or no more of it, is sent. */
void transaction_unreadable(struct conn *c, const char *text);
/* The connection broke: settles what was sent without an answer. */
void transaction_broken(struct conn *c, const struct outcome *failure);

/* --- convert.c: 8-bit content and servers that do not take it --------------------------------- */
/* Must the content be looked through before it is known what this server can be given? */
bool convert_must_look(const struct conn *c);
/* Looks; false: the transaction begins when it is done. */
bool convert_look(struct conn *c);
bool convert_needs_utf8(const struct task *t);
bool convert_is_needed(const struct conn *c);
void convert_begin(struct conn *c); /* of a transaction */
uint64_t convert_size(const struct conn *c);
/* A piece for the client machine; false: it is not what was looked at, and nothing was given. */
bool convert_give(struct conn *c, struct bytes piece, bool last);

#endif
