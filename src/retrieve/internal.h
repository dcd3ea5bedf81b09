/* internal: what the files of retrieve share: the stage and a session.
 *
 * A session has one pop3_server machine and one stream. The machine asks one thing at a time, so at
 * most one of keeper, directory and maildrop is at work for it. */
#ifndef RETRIEVE_INTERNAL_H
#define RETRIEVE_INTERNAL_H

#include "base/id.h"
#include "base/list.h"
#include "pop3/pop3.h"
#include "retrieve/retrieve.h"
#include "session/session.h"

enum {
    OFFERED = 256,          /* of the list of mechanisms */
    TOLD_ONE_BY_ONE = 1000, /* removed messages of a session that have an event each */
};

struct retrieve {
    struct retrieve_setup setup;
    struct ruleset *rules;
    struct list sessions;
    struct arena *scratch; /* gates and offers; reset at each use */
    uint64_t counter;
    bool draining;
    void (*on_idle)(void *ctx);
    void *idle_ctx;
    struct timer drain_timer;
};

/* What a session did, for the event at its end. */
struct tally {
    uint64_t fetched, octets, removed;
};

struct reader {
    struct list_node node;
    struct retrieve *stage;
    struct ruleset *rules;
    struct stream *stream;
    struct tls_server *tls;
    struct pop3_server *machine;
    struct arena *arena;
    struct facts facts;
    struct timer timer;
    char id[ID_SIZE];
    char offered[OFFERED];
    char client_key[COUNTERS_CLIENT_KEY];
    bool counted, started, implicit, securing, gone, closing, input_seen;
    bool proxy_wanted;
    struct buf proxy;
    int64_t active; /* loop time of the last progress: what the idle time is counted from */
    size_t trickle; /* octets heard since */
    /* login.c */
    struct auth_exchange *exchange;
    struct auth_answer held;        /* while its delay runs */
    const struct verdict *refusing; /* its refusal is being answered: for the event */
    struct bytes tried;             /* the login that is being refused, for the event */
    struct bytes because;           /* what only the log is told of that */
    bool login_final;               /* the last challenge was sent: the next response ends AUTH */
    bool looking_up;                /* the directory owes us a callback */
    /* mailbox.c */
    struct maildrop *drop;
    uint32_t fetching; /* the message that is being sent */
    bool whole, reading, updating;
    bool confirmed; /* QUIT was said */
    bool removed_all;
    struct buf marked; /* what update was asked to remove */
    struct tally tally;
};

/* session.c */
void reader_pump(struct reader *s); /* after whatever may have made output or room */
void reader_close(struct reader *s);
void reader_free(struct reader *s);
/* Says this, if it may be said now, and ends the session. */
void reader_end(struct reader *s, const struct why *why);
void reader_offer(struct reader *s);
void reader_idle_timer(struct reader *s);
bool reader_is_busy(const struct reader *s); /* within a message, or removing */
void reader_refused_event(struct reader *s, const struct why *why);
/* Answers what the machine asked with this refusal; the event tells the rules that were tried. */
void reader_refuse(struct reader *s, const struct verdict *v);

/* login.c: USER and PASS, AUTH, and what a login earns. */
void reader_password(void *ctx, struct bytes user, struct bytes password);
void reader_auth(void *ctx, struct bytes mechanism, bool has_initial, struct bytes initial);
void reader_response(void *ctx, struct bytes response);
void reader_cancel(void *ctx);
void reader_auth_end(struct reader *s);
void reader_forget(struct reader *s); /* nobody is logged in */
/* Gate of USER and PASS: may a password be sent here, now? */
bool reader_may_send_password(struct reader *s, struct why *refuse);

/* mailbox.c */
void mailbox_open(void *ctx);
uint64_t mailbox_size(void *ctx, uint32_t i);
void mailbox_uid(void *ctx, uint32_t i, struct buf *out);
void mailbox_retrieve(void *ctx, uint32_t i, bool top);
void mailbox_read(void *ctx);
void mailbox_content_end(void *ctx);
void mailbox_update(void *ctx, struct bytes marked);
void mailbox_end(struct reader *s); /* tells of the session, and unlocks */

#endif
