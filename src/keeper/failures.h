/* failures: how often logins failed lately, by client address (IPv6 a /64) and by login and address
 * together, never by login alone: a stranger who guesses slows himself down, not the owner. Pure:
 * the time is passed in. Its tables are bounded: the longest untouched goes first. */
#ifndef KEEPER_FAILURES_H
#define KEEPER_FAILURES_H

#include "base/addr.h"
#include "base/bytes.h"

struct failures;
struct failures *failures_open(void);
void failures_close(struct failures **f);

struct penalty {
    int64_t delay_ms;
    bool close;
};
/* A wrong answer: counts it and says what it costs. */
struct penalty failures_wrong(struct failures *f, struct addr client, struct bytes login,
                              int64_t now);
/* A right answer: forgets the pair's failures and knows the pair for a day. It costs nothing to a
 * pair already known; a pair that is not waits as long as its address's failures ask for, so that
 * nobody can tell a wrong guess by not waiting for the answer. */
int64_t failures_right(struct failures *f, struct addr client, struct bytes login, int64_t now);
size_t failures_count(const struct failures *f);

#endif
