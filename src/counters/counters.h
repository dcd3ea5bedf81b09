/* counters: the one thing workers share: a table in shared memory that the parent owns, one column
 * a worker, cleared when that worker dies; the saved part is written every 10 s and read at the
 * next start. Calls are quick and never block; another store (Redis) may answer later behind the
 * same header, which is why the checks call back. */
#ifndef COUNTERS_COUNTERS_H
#define COUNTERS_COUNTERS_H

#include "base/addr.h"
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
/* The saved part (rolling windows, POP windows, login failures). */
void counters_save(const struct counters *c, struct buf *out, int64_t wall_ms);
bool counters_load(struct counters *c, struct bytes saved, int64_t wall_ms);

/* --- gauges: things open now; given back by the same worker or when it dies ---------------- */
/* Takes one if the whole server has fewer than max open under this key. False: full. `key` is
 * "client/192.0.2.1", "hop/mx:example.com" ...; 64-bit hashes of it are kept. */
bool counters_take(struct counters *c, struct bytes key, uint64_t max);
void counters_give(struct counters *c, struct bytes key);
uint64_t counters_open(const struct counters *c, struct bytes key);

/* --- rolling windows ------------------------------------------------------------------------ */
/* Has `n` more room in every one of these rates? *opens_out: when (wall ms), *which_out: the rate
 * that is full. Sixty-four slots a window, so it forgets in steps of 1/64. */
bool counters_room(const struct counters *c, struct bytes key, struct rates rates, uint64_t n,
                   int64_t now, int64_t *opens_out, struct rate *which_out);
void counters_charge(struct counters *c, struct bytes key, struct rates rates, int64_t n,
                     int64_t now); /* n < 0 gives back */

/* --- the message in hand: after two crashes with the same one it is held -------------------- */
void counters_in_hand(struct counters *c, struct bytes id); /* empty: none */
struct bytes counters_was_in_hand(const struct counters *c, unsigned column);

#endif
