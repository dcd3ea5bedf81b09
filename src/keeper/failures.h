/* failures: how often logins failed lately: by client address (IPv6 a /64), by login and address
 * together, and for each login from how many addresses. A stranger who guesses slows himself down; where
 * many guess at one login, every address that it has not come from lately waits with them, and the owner
 * is let in all the same. Nothing here ever refuses. Pure: the time is passed in. Its tables are
 * bounded: the longest untouched goes first. */
#ifndef KEEPER_FAILURES_H
#define KEEPER_FAILURES_H

#include "base/addr.h"
#include "base/buf.h"
#include "keeper/queue.h"

struct failures;
struct failures *failures_open(void);
void failures_close(struct failures **f);

struct penalty {
    int64_t delay_ms;
    bool close;
    unsigned addresses; /* not 0: this login is being guessed at from so many; told once an hour */
};
/* A wrong answer: counts it and says what it costs. */
struct penalty failures_wrong(struct failures *f, struct addr client, struct bytes login,
                              int64_t now);
/* A right answer: forgets the pair's failures and knows the pair for a day. It costs nothing to a
 * pair already known; a pair that is not waits as long as its address's failures, and other addresses'
 * at this login, ask for, so that nobody can tell a wrong guess by not waiting for the answer. */
int64_t failures_right(struct failures *f, struct addr client, struct bytes login, int64_t now);
/* Whose turn comes when there is more to do than time. */
enum queue_rank failures_rank(const struct failures *f, struct addr client, int64_t now);
size_t failures_count(const struct failures *f);
/* Changes with every row that does. */
uint64_t failures_version(const struct failures *f);

/* What a restart is to survive, as octets; `wall` is the time of day that belongs to `now`. */
void failures_save(const struct failures *f, int64_t now, int64_t wall, struct buf *out);
/* Into one that is empty. False, and nothing taken, for anything else than what was saved. */
bool failures_load(struct failures *f, struct bytes saved, int64_t now, int64_t wall);
enum { FAILURES_SAVED_MAX = 10 * 1024 * 1024 };

#endif
