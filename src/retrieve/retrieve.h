/* retrieve: the way out to the reader: POP3 sessions. It drives pop3/pop3.h over a stream, asks the
 * decision through a port whether connection, TLS, mechanism and mailbox are right, has the keeper
 * check logins, and reads the login's Maildir through mailbox/maildrop.h. A login that succeeded
 * opens the client's address for POP before SMTP.
 *
 * It is a stage beside accept, not a part of it: no message comes in here, and nothing of SMTP is
 * needed. Removed from a mailbox is what a session marked and confirmed by QUIT, and nothing else.
 * The ports are filled in by bin/pipeline.c. */
#ifndef RETRIEVE_RETRIEVE_H
#define RETRIEVE_RETRIEVE_H

#include "counters/counters.h"
#include "directory/directory.h"
#include "flow/verdict.h"
#include "keeper/auth.h"
#include "mailbox/maildrop.h"
#include "sys/stream.h"

struct retrieve;

struct retrieve_setup {
    struct loop *loop;
    struct directory *directory;
    struct auth *auth;
    struct counters *counters;
    struct maildrops *maildrops;
    /* As accept/accept.h. */
    void (*decide)(const struct config *config, enum decide_step step, const struct facts *facts,
                   struct arena *a, struct verdict *out);
    struct bytes (*mechanisms)(const struct config *config, const struct facts *facts,
                               struct arena *a);
    enum rc (*is_gateway)(void *ctx, struct addr client, bool *out);
    void *ctx;
    uint64_t seed; /* of session ids: not that of accept in the same process */
};
struct retrieve *retrieve_open(const struct retrieve_setup *setup, const struct config *config);
/* New sessions go by the new configuration, those that are open by the one they began with; it is
 * kept so long and given back through release. */
void retrieve_reload(struct retrieve *r, const struct config *config,
                     void (*release)(void *ctx, const struct config *old), void *ctx);
/* One session on a stream that a listener of this name accepted. tls: NULL when it has none. */
void retrieve_session(struct retrieve *r, struct stream *s, struct bytes listener,
                      struct tls_server *tls);
/* New sessions are refused, those between commands ended; on_idle when none is left, at most ms
 * later. */
void retrieve_drain(struct retrieve *r, int64_t ms, void (*on_idle)(void *ctx), void *ctx);
void retrieve_close(struct retrieve **r);

#endif
