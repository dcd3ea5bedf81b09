/* explain_live: what the network says about a refusal, for `postern explain --live`. Between its files:
 * explain_live.c runs it and gives the rules what was learnt, explain_live_host.c looks at the host that
 * spoke, explain_live_client.c at the address the message came from, explain_live_proof.c at SPF, DKIM and
 * DMARC of its sender.
 *
 * All looks are under way at once and end with LIVE_MS, whatever the hosts and name servers do. No mail is
 * sent, and no more than EHLO and STARTTLS said to anybody. Each part begins its looks with ..._begin, and
 * once all are over, or out of time, says what it has seen with ..._tell. */
#ifndef BIN_EXPLAIN_LIVE_H
#define BIN_EXPLAIN_LIVE_H

#include "bin/explain.h"
#include "bin/lookup.h"
#include "doctor/finding.h"

enum { EXPLAIN_LIVE_MS = 15 * 1000, EXPLAIN_PROBE_MS = 8 * 1000, EXPLAIN_HOSTS = 6 };

struct explain_host;
struct explain_client;
struct explain_proof;
struct explain_facts {
    struct explained *explained;
    struct arena *arena;
    struct loop *loop;
    struct dns *dns;
    struct bytes hostname; /* for EHLO */
    struct bytes sender;   /* of the envelope; may be empty */
    struct addr client;    /* family 0: not known */
    bool client_guessed;   /* by the name of the server that wrote the bounce */
    struct dns_query *reporter_query;
    bool reporter_done;
    struct finding_list *findings;
    size_t open; /* looks not yet over */
    bool late;
    struct explain_host *hosts[EXPLAIN_HOSTS];
    size_t host_count, hosts_left_out;
    struct explain_client *from;
    struct explain_proof *proof;
};
void explain_facts_begun(struct explain_facts *f);
void explain_facts_over(struct explain_facts *f); /* the loop ends with the last one */

void explain_hosts_begin(struct explain_facts *f);
void explain_hosts_tell(
    struct explain_facts *f); /* puts what it means for the rules into the answers */
void explain_client_begin(struct explain_facts *f);
void explain_client_tell(struct explain_facts *f);
void explain_proof_begin(struct explain_facts *f);
void explain_proof_tell(struct explain_facts *f);

#endif
