/* queue: turns on one of the keeper's threads. Whoever asks most does not get most: client addresses
 * (IPv6 a /64) take turns, and those that logged in lately come more often than strangers, strangers
 * more often than those that guess. So a flood of guesses from few addresses costs everybody else
 * one guess's time, not the flood's. */
#ifndef KEEPER_QUEUE_H
#define KEEPER_QUEUE_H

#include "base/addr.h"
#include "base/list.h"
#include "sys/offload.h"

struct queue;
struct queue_job {
    void (*work)(void *ctx); /* on the thread */
    void (*done)(void *ctx); /* on the loop */
    void *ctx;
    /* the queue's own */
    struct queue *queue;
    struct list_node node;
    struct offload_job offload;
};
enum queue_rank { RANK_KNOWN, RANK_STRANGER, RANK_GUESSER, QUEUE_RANKS };

struct queue *queue_open(struct loop *l, const char *name);
/* Jobs that wait are still worked on, and done. */
void queue_close(struct queue **q);
size_t queue_length(const struct queue *q); /* jobs that are not done yet */
/* Like offload_submit. */
void queue_put(struct queue *q, struct queue_job *job, struct addr client, enum queue_rank rank);

#endif
