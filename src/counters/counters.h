/* counters: the one thing workers share: a table in shared memory that the parent owns, one column
 * a worker, cleared when that worker dies; the saved part is written every 10 s and read at the
 * next start. Calls are quick and never block; another store (Redis) may answer later behind the
 * same header, which is why the checks call back. */
#ifndef COUNTERS_COUNTERS_H
#define COUNTERS_COUNTERS_H

#include "base/addr.h"
#include "base/arena.h"
#include "config/config.h"

struct counters;

/* The parent: makes the table (a memfd) for this many workers; fd goes to the children. */
enum rc counters_create(unsigned workers, struct counters **out, int *fd_out, struct why *why);
/* A child maps it; column is its worker number. */
enum rc counters_map(int fd, unsigned column, struct counters **out, struct why *why);
/* All in this process's memory: tests, talks. */
struct counters *counters_local(void);
void counters_close(struct counters **c);
void counters_worker_died(struct counters *c, unsigned column);
/* The saved part (rolling windows). now: as everywhere below; wall_ms says how long the server was
 * down, and is believed only as far as it goes forward. */
void counters_save(const struct counters *c, struct buf *out, int64_t now, int64_t wall_ms);
bool counters_load(struct counters *c, struct bytes saved, int64_t now, int64_t wall_ms);

/* --- gauges: things open now; given back by the same worker or when it dies ---------------- */
/* Takes one if the whole server has fewer than max open under this key. False: full. `key` is
 * "client/192.0.2.1", "hop/mx:example.com" ...; 64-bit hashes of it are kept. */
bool counters_take(struct counters *c, struct bytes key, uint64_t max);
void counters_give(struct counters *c, struct bytes key);
uint64_t counters_open(const struct counters *c, struct bytes key);
/* A client's key: "client/" and its address, IPv6 as a /64. */
enum { COUNTERS_CLIENT_KEY = 64 };
void counters_client_key(struct addr client, char out[COUNTERS_CLIENT_KEY]);

/* --- rolling windows ------------------------------------------------------------------------ */
/* `now` is loop_now: all processes of a host share that clock, and it neither jumps nor goes back
 * when the time of day is set. A window forgets in steps of 1/64, never early: what was counted is
 * forgotten between one window and 65/64 of it later. */

/* Has `n` more room in every one of these rates? *opens_out: when, *which_out: the rate that is
 * full. */
bool counters_room(const struct counters *c, struct bytes key, struct rates rates, uint64_t n,
                   int64_t now, int64_t *opens_out, struct rate *which_out);
void counters_charge(struct counters *c, struct bytes key, struct rates rates, int64_t n,
                     int64_t now); /* n < 0 gives back */
/* Both in one step: nobody else comes between. False: full, nothing was counted. */
bool counters_charge_if_room(struct counters *c, struct bytes key, struct rates rates, int64_t now,
                             int64_t *opens_out);

/* --- limits: windows that are looked at, held while a message is under way, kept when it is taken
 *
 * However many sessions and workers ask at once, held and kept together never exceed a limit. What a
 * worker held when it died is given back by counters_worker_died. The calls that ask answer through
 * on_answer, exactly once: this table does so before they return, a shared store may do it later. */
struct counters_limit {
    struct bytes key; /* "connector/people/login/anna@example.com" ... */
    struct rates rates;
    bool
        crowd; /* strangers can make any number of such keys: they have a part of the table of their
                   own, where the key that was used longest ago gives way to a new one */
    uint64_t besides; /* as if so many more were counted already */
    /* the answer */
    bool full;         /* no room for one more */
    struct rate which; /* of the rates, one that is full */
    int64_t opens;     /* when all of them have room again */
};
/* OK: the limits were looked at (hold: and one is held in each); MORE, from hold only: one or more
 * are full, and nothing is held; TEMP: the counters cannot tell, and nothing is held. */
typedef void counters_answered(void *ctx, enum rc rc, const struct why *why);
void counters_look(struct counters *c, struct counters_limit *limits, size_t count, int64_t now,
                   counters_answered *on_answer, void *ctx);
void counters_hold(struct counters *c, struct counters_limit *limits, size_t count, int64_t now,
                   counters_answered *on_answer, void *ctx);
/* No answer with this ctx any more; what a hold under way gets is given back. */
void counters_cancel(struct counters *c, void *ctx);
/* n that were held are counted from now on, or given back. */
void counters_keep(struct counters *c, const struct counters_limit *limit, uint64_t n, int64_t now);
void counters_drop(struct counters *c, const struct counters_limit *limit, uint64_t n);
/* Tests: as if the counters could not be reached. */
void counters_set_down(struct counters *c, bool down);

/* --- POP before SMTP: logins and the exact addresses they came from, IPv4-mapped folded --------
 *
 * How long a window stays open is the connectors' business: here is only when the last login was.
 * Bounded: what was used longest ago goes. */
enum {
    COUNTERS_LOGIN = 254,        /* octets of a login; a longer one opens nothing */
    COUNTERS_POP_LOGINS = 256,   /* kept of one address */
    COUNTERS_POP_ADDRESSES = 64, /* kept of one login */
};
struct counters_popped {
    struct bytes login;
    struct addr client;
    int64_t at; /* wall ms of the last login */
};
void counters_pop_open(struct counters *c, struct addr client, struct bytes login, int64_t now);
/* Forgets all that fit; an empty login or a client of family 0 fits any. How many it was. */
size_t counters_pop_close(struct counters *c, struct bytes login, struct addr client);
/* Those at this address that came at `since` or later, the newest first. */
size_t counters_popped(const struct counters *c, struct addr client, int64_t since, struct arena *a,
                       struct counters_popped **out);
/* One after the other, in no order; *cursor begins at 0. False: that was all. */
bool counters_pop_next(const struct counters *c, uint32_t *cursor, struct arena *a,
                       struct counters_popped *out);

/* --- greylist: clients from outside that have come before ------------------------------------------
 *
 * A client counts by its /24 or /64. Bounded: of a network, what never came back goes first. */
struct counters_grey {
    struct addr client;
    struct bytes sender, recipient;
    int64_t delay, window; /* it passes this long after the first try, and up to so much later */
    int64_t lifetime;      /* is remembered for so long since it last passed */
    uint64_t trust;        /* so many of a network, and all of it passes; 0: never */
};
/* Notes the try. When it is taken, as wall ms: now or earlier, if it passes. */
int64_t counters_grey(struct counters *c, const struct counters_grey *g, int64_t now);

/* --- the tripwire: who sends through grants by address alone -------------------------------------- */
enum { COUNTERS_WATCHED_MAX = 64 }; /* the highest threshold */
struct counters_watch {
    struct addr client;  /* IPv6 counts as a /64 */
    struct bytes sender; /* its domain; empty: one that belongs there */
    struct bytes helo;
    int64_t window;
    uint64_t senders_max, helos_max; /* thresholds; 0: none */
    unsigned senders, helos;         /* seen within the window, this one included */
};
/* True when this one was too many: the address is suspended from now on. */
bool counters_watch(struct counters *c, struct counters_watch *w, int64_t now);
/* Since when, wall ms; 0: it is not. */
int64_t counters_suspended(const struct counters *c, struct addr client);
/* Lifts it; a client of family 0 is all of them. How many it was. */
size_t counters_resume(struct counters *c, struct addr client);
/* One after the other, in no order; *cursor begins at 0. False: that was all. */
bool counters_suspended_next(const struct counters *c, uint32_t *cursor, struct addr *client_out,
                             int64_t *since_out);

/* --- the message in hand: after two crashes with the same one it is held -------------------- */
void counters_in_hand(struct counters *c, struct bytes id); /* empty: none */
struct bytes counters_was_in_hand(const struct counters *c, unsigned column);

#endif
