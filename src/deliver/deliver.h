/* deliver: carries jobs out: by SMTP to MXes or a smart host, by LMTP, into a Maildir. One call in,
 * one outcome a recipient out. It keeps connections open for the next job to the same next hop (at
 * most 5 s idle, at most 100 messages), tries every address of every host in order, tells failures
 * by their blast radius, and never gives up a message on what is the host's trouble.
 *
 * Rules: design.md, promise 4 and relay-cases.md 31-34. Loops: best MX or via that is ourselves
 * (an address we listen on, or our own hostname in the greeting): 5.4.6. */
#ifndef DELIVER_DELIVER_H
#define DELIVER_DELIVER_H

#include "config/config.h"
#include "counters/counters.h"
#include "dns/dns.h"
#include "fetcher/fetcher.h"
#include "flow/job.h"
#include "flow/outcome.h"
#include "sys/stream.h"

struct deliver;

struct deliver_setup {
    struct loop *loop;
    struct dns *dns;
    struct counters *counters;
    struct tls_client *tls;
    struct fetcher *fetcher; /* for routes whose login is an OAuth 2.0 client */
    /* Writes into a Maildir (mailbox/maildir.h), synced; answers later. */
    void (*maildir)(void *ctx, const struct job *job, uint32_t recipient);
    void *ctx;
    /* Exactly once a job. */
    void (*on_outcomes)(void *ctx, const struct job *job, const struct outcome *outcomes,
                        size_t count);
    /* Our own listening addresses, for the loop rule. */
    const struct addr *own_addresses;
    size_t own_address_count;
};
/* How far TLS must go with a server: never DEFAULT. */
struct deliver_tls {
    enum tls_policy set; /* what the route says; DEFAULT where there is none */
    bool login;          /* one goes over it */
    bool loopback, unix_socket, implicit;
};
enum tls_policy deliver_tls_policy(const struct deliver_tls *f);

struct deliver *deliver_open(const struct deliver_setup *setup, const struct config *config);
void deliver_reload(struct deliver *d, const struct config *config);
/* They changed; the list lives until the next call, or deliver's end. */
void deliver_own_addresses(struct deliver *d, const struct addr *list, size_t count);
/* The job and what it points to live until on_outcomes. */
void deliver_begin(struct deliver *d, const struct job *job);
void deliver_maildir_done(struct deliver *d, const struct job *job, uint32_t recipient, enum rc rc,
                          const struct why *why);
/* Asks the server behind this next hop whether it takes a mailbox: MAIL and RCPT, nothing more. What
 * was heard is remembered: an hour that it does, five minutes that it does not; while the server
 * is down what it took before counts as taken. on_answer comes once, later, within half a minute;
 * the words live as long as the call. */
void deliver_probe(struct deliver *d, struct bytes next_hop, struct bytes mailbox,
                   probe_told *on_answer, void *ctx);
/* No answer with this ctx any more. */
void deliver_probe_cancel(struct deliver *d, void *ctx);
/* Finishes what is under way within ms, then says so; what is left is DEFERRED. */
void deliver_drain(struct deliver *d, int64_t ms, void (*on_idle)(void *ctx), void *ctx);
void deliver_close(struct deliver **d);

#endif
