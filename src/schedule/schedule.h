/* schedule: which message is tried when, towards which destination, how many at once. It reads the
 * store's index, makes jobs, hands them to deliver through a port, and turns outcomes into
 * settlements. It holds at most 20,000 jobs and pages the rest from the store.
 *
 * Fair between destinations (next hops): each has its own queue and takes turns; concurrency per
 * destination starts at 2, grows by one with each success up to the limit and halves on a failure
 * of the session. A destination that failed a connection, with no other under way, is not tried
 * again before its back-off is over, for any message. A watchdog tells (event overdue) what is late
 * by more than a minute. */
#ifndef SCHEDULE_SCHEDULE_H
#define SCHEDULE_SCHEDULE_H

#include "config/config.h"
#include "counters/counters.h"
#include "flow/job.h"
#include "flow/outcome.h"
#include "flow/store.h"
#include "sys/loop.h"

struct schedule;

enum schedule_report { SCHEDULE_OUTCOMES, SCHEDULE_EXPIRED, SCHEDULE_DELAYED };

struct schedule_ports {
    void *ctx;
    /* Carries a job out; schedule_outcomes answers, once, with one outcome a recipient. */
    void (*deliver)(void *ctx, const struct job *job);
    /* The next hop as the configuration has it now (a reload may have changed routes). */
    void (*next_hop)(void *ctx, const struct envelope *e, uint32_t recipient, struct buf *out);
    /* Report: called after outcomes are known and before they are settled as BOUNCED; done(rc) says
     * that the NDR is on disk (OK: settle) or not (TEMP: the recipient stays deferred). `what`:
     * failed recipients at once, delay notices, relayed with NOTIFY=SUCCESS. */
    void (*report)(void *ctx, const struct job *job, const struct outcome *outcomes, size_t count,
                   enum schedule_report what, void (*done)(void *arg, enum rc rc), void *arg);
    /* A message given to schedule_hold_back is held on disk now. May be NULL. */
    void (*held)(void *ctx, struct message_id id);
};

struct schedule *schedule_open(struct loop *l, struct store *store, struct counters *counters,
                               const struct config *config, const struct schedule_ports *ports);
void schedule_close(struct schedule **s);
void schedule_reload(struct schedule *s, const struct config *config);
/* Stops handing out jobs; on_idle when none is under way any more. */
void schedule_drain(struct schedule *s, void (*on_idle)(void *ctx), void *ctx);
/* The answer to ports.deliver, by the job's id and next hop. */
void schedule_outcomes(struct schedule *s, struct message_id id, struct bytes next_hop,
                       const struct outcome *outcomes, size_t count);
/* Instead of its next attempt this message is held: working on it has ended the process twice.
 * ORDER_RELEASE ends that. */
void schedule_hold_back(struct schedule *s, struct message_id id);
/* Operators: makes recipients due now, held, free again, bounced, removed. `who` is named in the
 * event. done: the number of recipients changed. */
enum schedule_order { ORDER_RETRY, ORDER_HOLD, ORDER_RELEASE, ORDER_BOUNCE, ORDER_REMOVE };
void schedule_operate(struct schedule *s, enum schedule_order order, struct message_id id,
                      struct bytes who,
                      void (*done)(void *ctx, enum rc rc, size_t changed, const struct why *why),
                      void *ctx);

#endif
