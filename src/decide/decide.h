/* decide: who may do what, as one pure function from facts to a verdict. Everything that accepts or
 * refuses for policy is here and nowhere else; the SMTP server, `why`, `check`, the admin page and
 * the tests call this one function. No I/O, no clock, no memory of earlier calls.
 *
 * A session's facts fill up as it goes on: CONNECT, COMMAND, AUTH, MAIL, RCPT (each recipient by
 * itself), CONTENT. When a fact that matters is not known yet the answer is MORE and `missing` says
 * which: the caller asks the service that knows and calls again with the fact set. Facts that could
 * not change the verdict are never asked for. A service that is down is told as FACT_FAILED: the
 * verdict is then TEMP (451 4.3.0 backend.*), never a denial and never an acceptance. */
#ifndef DECIDE_DECIDE_H
#define DECIDE_DECIDE_H

#include "flow/verdict.h"

/* Fills *out (memory from a). `explain_private`: rules and changes may name connectors, networks
 * and other people's addresses (log, why, logged-in sessions); the reply text follows
 * config.explain. */
void decide(const struct config *config, enum decide_step step, const struct facts *facts,
            struct arena *a, struct verdict *out);

/* Which mechanisms are offered to this session now (after TLS, listener's list, tls = offer without
 * TLS: none that send a plain password); empty: AUTH is not offered. */
struct bytes decide_mechanisms(const struct config *config, const struct facts *facts,
                               struct arena *a);
/* The smallest recipient limit of listener, connectors in play and tenant. */
uint64_t decide_max_recipients(const struct config *config, const struct facts *facts);

/* --- check: the proof over all classes of client, login, sender, recipient --------------- */
/* Adds findings of promise 1 (design.md) to those config_parse made: union of grants without a
 * login, host bits, wildcards, wide PROXY and XCLIENT peers, this host's gateways and bridges
 * (passed in, so that this stays pure), void limits. */
void decide_prove(const struct config *config, const struct networks *gateways, int64_t now,
                  struct arena *a, struct config_findings *out);
/* One row of the matrix: a class of callers, and what it may send where. */
struct matrix_row {
    struct bytes who;      /* "anyone else", "192.0.2.0/24 (connector office)", "any login" */
    struct bytes listener; /* names, comma separated */
    struct bytes senders;
    struct bytes to_own, to_other; /* "yes", "no (relay.no-grant)", "adatum.com only" */
    struct bytes connector;
};
size_t decide_matrix(const struct config *config, int64_t now, struct arena *a,
                     const struct matrix_row **out);

#endif
