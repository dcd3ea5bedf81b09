/* answer: what a worker answers to a command that came over the control socket: JSON lines, a page
 * at a time, so that a queue of any length is shown in bounded memory. The requests:
 *
 *     {"command":"queue-list","filter":{"id","sender","recipient","domain","next_hop","state",
 *                                       "older_than","newer_than"}}
 *     {"command":"queue-stats"}
 *     {"command":"operate","order":"retry|hold|release|bounce|remove","id":"...","operator":"..."}
 *     {"command":"trace","what":"ID, Message-ID, address or session"}
 *         the events, as they stand in the history
 *     {"command":"people","kind":"user|alias|group","show":false,"address":"..."}
 *         all, or with "show" this one, as the commands' --json has them
 *     {"command":"limits","at":WALL_MS,"limits":[{"key":"...","crowd":false,"besides":0,
 *                                                 "rates":[[500,86400000]]}]}
 *         how full these limits are (at: or will be): {"full":true,"most":500,"window":86400000,
 *         "opens":WALL_MS}, one line each, in their order
 *     {"command":"pop-open","login":"...","address":"..."}      the documented call: postern-pop(1)
 *     {"command":"pop-close","login":"...","address":"..."}     either may be left out
 *     {"command":"pop-list","login":"...","address":"..."}
 *         windows of POP before SMTP: {"login","address","at","opened","until"}, {"closed":2}
 *
 * With "as" and "password" queue-list, operate, trace and people are a tenant administrator's, and tell and do what
 * scope.h allows; without, the parent must say that the asker is "trusted".
 *
 * With the server stopped, cmd_queue.c opens the spool itself and asks here all the same. */
#ifndef BIN_ANSWER_H
#define BIN_ANSWER_H

#include "bin/link.h"
#include "bin/pipeline.h"

struct answers; /* the open questions of one process */

/* operate: pipeline_operate, or what stands in for it with the server stopped. send: a page of
 * lines; after one with more = true the next is made when answers_next is called. */
struct answers_setup {
    struct store *store;
    struct counters *counters;   /* NULL: no server runs, nothing is counted */
    struct loop *loop;           /* with counters */
    struct directory *directory; /* with counters */
    struct auth *auth; /* with counters; NULL: whoever asks may see and steer everything */
    const struct config *(*config)(void *ctx); /* with counters: the one that holds now */
    enum rc (*is_gateway)(void *ctx, struct addr client, bool *out); /* with counters */
    void (*operate)(void *ctx, enum schedule_order order, struct message_id id, struct bytes who,
                    void (*done)(void *arg, enum rc rc, size_t changed, const struct why *why),
                    void *arg);
    void (*send)(void *ctx, uint64_t question, struct bytes lines, enum answer_end end);
    void *ctx;
};
struct answers *answers_open(const struct answers_setup *setup);
void answers_ask(struct answers *a, uint64_t question, struct bytes request);
void answers_next(struct answers *a, uint64_t question);
void answers_stop(struct answers *a, uint64_t question);
void answers_close(struct answers **a);

#endif
