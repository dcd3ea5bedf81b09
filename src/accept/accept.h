/* accept: every way in: SMTP sessions, the local door (postern send), the inner door (reports). It
 * drives smtp/server.h, gathers facts, asks the decision through a port, and puts drafts into the
 * store. 250 is said in one place: when the store's commit came back OK.
 *
 * The ports are filled in by bin/pipeline.c: accept sees no other stage. */
#ifndef ACCEPT_ACCEPT_H
#define ACCEPT_ACCEPT_H

#include "counters/counters.h"
#include "directory/directory.h"
#include "dns/dns.h"
#include "flow/store.h"
#include "flow/verdict.h"
#include "keeper/auth.h"
#include "sys/stream.h"

struct accept;

struct accept_setup {
    struct loop *loop;
    struct store *store;
    struct directory *directory;
    struct auth *auth;
    struct counters *counters;
    struct dns *dns;
    /* decide/decide.h, handed in so that stages do not include each other. */
    void (*decide)(const struct config *config, enum decide_step step, const struct facts *facts,
                   struct arena *a, struct verdict *out);
    struct bytes (*mechanisms)(const struct config *config, const struct facts *facts,
                               struct arena *a);
    /* resolve/resolve.h: final recipients and next hops; on_resolved once, later. */
    void (*resolve)(void *ctx, const struct envelope *envelope, struct arena *a,
                    void (*on_resolved)(void *arg, enum rc rc, const struct envelope *resolved,
                                        const struct why *why),
                    void *arg);
    /* Is this address a default gateway or bridge of this host (sys/gateways.h). TEMP: this
     * host's routes cannot be read. */
    enum rc (*is_gateway)(void *ctx, struct addr client, bool *out);
    /* Is this address, in the form of SRS, one that we made (resolve/srs.h). */
    enum srs_state (*srs)(void *ctx, struct bytes mailbox, int64_t now);
    /* What the deliver target of a domain with recipients = probe says of a mailbox there;
     * on_answer once, later, or never after probe_cancel with the same arg. */
    void (*probe)(void *ctx, struct bytes mailbox, probe_told *on_answer, void *arg);
    void (*probe_cancel)(void *ctx, void *arg);
    void *ctx;
    size_t memory; /* octets that all transactions together may hold; 0: 128 MiB */
    uint64_t seed; /* of session ids: differs between processes and starts */
};
struct accept *accept_open(const struct accept_setup *setup, const struct config *config);
/* Sessions take a new configuration up from their next MAIL. The old one is kept as long as a
 * session uses it (accept holds it by count and frees it through release). */
void accept_reload(struct accept *a, const struct config *config,
                   void (*release)(void *ctx, const struct config *old), void *ctx);
/* One SMTP session on a stream that a listener of this name accepted. tls: NULL when it has none.
 */
void accept_session(struct accept *a, struct stream *s, struct bytes listener,
                    struct tls_server *tls);
/* The local door: a stream of submit.sock; user: by peer credentials. */
void accept_local(struct accept *a, struct stream *s, struct bytes user);
/* The inner door: a report of our own, complete with header, on a tenant's mail or (empty) anybody's.
 * on_done: OK when it is on disk. */
void accept_report(struct accept *a, struct bytes to, struct bytes tenant, struct bytes message,
                   void (*on_done)(void *ctx, enum rc rc, const struct message_id *id), void *ctx);
/* New sessions get 421 4.3.2, those between transactions too; on_idle when none is left, at most ms
 * later. */
void accept_drain(struct accept *a, int64_t ms, void (*on_idle)(void *ctx), void *ctx);
void accept_close(struct accept **a);

#endif
