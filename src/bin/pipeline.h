/* pipeline: the stages of one process, wired. The table of contents of Postern: a message comes in
 * through accept, is judged by decide, spread out by resolve, kept by the store, taken up by
 * schedule, carried out by deliver, and told about by report.
 *
 * Services are handed in, so the same wiring runs in a worker, and in talks on a simulated machine. */
#ifndef BIN_PIPELINE_H
#define BIN_PIPELINE_H

#include "counters/counters.h"
#include "directory/directory.h"
#include "dns/dns.h"
#include "flow/store.h"
#include "keeper/auth.h"
#include "mailbox/maildir.h"
#include "mailbox/maildrop.h"
#include "schedule/schedule.h"
#include "sys/stream.h"

struct pipeline;

struct pipeline_setup { /* none of it is owned */
    struct loop *loop;
    struct store *store;
    struct directory *directory;
    struct auth *auth;
    struct fetcher *fetcher;
    struct counters *counters;
    struct dns *dns;
    struct tls_client *tls;
    struct maildir *maildir;
    struct maildrops *maildrops;                                     /* NULL: no POP3 */
    enum rc (*is_gateway)(void *ctx, struct addr client, bool *out); /* may be NULL */
    void *gateway_ctx;
    const struct addr *own_addresses; /* that we listen on: the loop rule */
    size_t own_address_count;
    size_t memory; /* as accept_setup's; 0: the default */
    uint64_t seed;
    /* A message of pipeline_hold_back is held on disk; may be NULL. */
    void (*on_held)(void *ctx, struct message_id id);
    void *held_ctx;
};
struct pipeline *pipeline_open(const struct pipeline_setup *setup, const struct config *config);
/* Takes the configuration over; release is called for the old one once nothing uses it. */
void pipeline_reload(struct pipeline *p, const struct config *config,
                     void (*release)(void *ctx, const struct config *old), void *ctx);
/* The addresses that we listen on have changed; as deliver_own_addresses. */
void pipeline_own_addresses(struct pipeline *p, const struct addr *list, size_t count);
void pipeline_session(struct pipeline *p, struct stream *s, struct bytes listener,
                      struct tls_server *tls);
/* As pipeline_session, for a listener of service pop3. */
void pipeline_retrieval(struct pipeline *p, struct stream *s, struct bytes listener,
                        struct tls_server *tls);
void pipeline_local(struct pipeline *p, struct stream *s, struct bytes user);
void pipeline_operate(struct pipeline *p, enum schedule_order order, struct message_id id,
                      struct bytes who,
                      void (*done)(void *ctx, enum rc rc, size_t changed, const struct why *why),
                      void *ctx);
/* An event of another process that the postmaster must be told of. */
void pipeline_alarm(struct pipeline *p, const char *name, struct bytes line);
/* As schedule_hold_back. */
void pipeline_hold_back(struct pipeline *p, struct message_id id);
/* No new work; what is under way ends within ms; then on_idle. */
void pipeline_drain(struct pipeline *p, int64_t ms, void (*on_idle)(void *ctx), void *ctx);
void pipeline_close(struct pipeline **p);

#endif
