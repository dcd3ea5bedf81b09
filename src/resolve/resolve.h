/* resolve: turns the recipients of an accepted message into final addresses and next hops: aliases,
 * groups, forwards (nested, without loops, at most 10 deep, 25,000 addresses), subaddresses,
 * postmaster, and senders that were rewritten (srs.h). And routing: which next hop an address has
 * under the configuration.
 *
 * What goes on to another domain gets a reverse-path of ours: the group's owner, else by SRS.
 *
 * next hop, a key of text: "maildir:DOMAIN", "lmtp:HOST:PORT", "lmtp:unix:PATH",
 * "smtp:HOST:PORT" (a domain's deliver), "route:NAME", "mx:DOMAIN"; the last two with @TENANT.
 * "fail:REASON" ends in a report at once. */
#ifndef RESOLVE_RESOLVE_H
#define RESOLVE_RESOLVE_H

#include "config/config.h"
#include "directory/directory.h"
#include "flow/envelope.h"
#include "sys/loop.h"

/* Pure: domain of ours -> its deliver; else the most specific route (to, then from); else the
 * recipient's MX. `sender` is the envelope sender, or for an NDR the address in its From. */
void resolve_next_hop(const struct config *config, struct bytes sender, struct bytes recipient,
                      struct buf *out);
/* Whose mail it is on the way out: of the tenant that sends it on (an alias of its), else of the one
 * it was handed in by; NULL: no tenant's. */
const struct tenant *resolve_tenant(const struct config *config, const struct envelope *e,
                                    const struct recipient *r);
/* The next hop of a recipient as resolve left it, under this configuration: with its own
 * reverse-path, and what the tenant of its forwarder forbids now. Mail of a tenant that has a name or
 * address of its own goes by next hops of its own, with its name behind an @:
 * "mx:example.com@northwind". */
void resolve_recipient_hop(const struct config *config, const struct envelope *e,
                           const struct recipient *r, struct buf *out);
/* May mail for `from`, of ours, go on to `to` automatically? A tenant may forbid that for other
 * domains than its own; where there is no tenant it may. */
bool resolve_may_forward(const struct config *config, struct bytes from, struct bytes to);
/* That `sender` of a message: its envelope's, for a report of ours the address in its From. */
void resolve_sender(const struct config *config, const struct envelope *e, struct buf *out);
const struct route *resolve_route(const struct config *config, struct bytes sender,
                                  struct bytes recipient); /* or NULL: MX */

struct resolve_query;
/* Fills envelope.recipients anew: one or more final for each original, duplicates of the same final
 * address merged, next_hop set. The result lives in `a`. on_resolved comes exactly once, never
 * before the call returned: OK; TEMP when the directory failed, or an alias leads nowhere, too deep
 * or to too many (backend.alias). A report of ours whose address does so goes to the postmaster. */
struct resolve_query *resolve_begin(struct loop *loop, const struct config *config,
                                    struct directory *directory, const struct envelope *envelope,
                                    struct arena *a,
                                    void (*on_resolved)(void *ctx, enum rc rc,
                                                        const struct envelope *resolved,
                                                        const struct why *why),
                                    void *ctx);
void resolve_cancel(struct resolve_query **q);

#endif
