/* domain: what the DNS says about the mail of a domain, what is wrong with it, and what it should say.
 *
 * The judgement is a pure function over facts: it asks for what it wants to know (domain_ask and its like), and what is not
 * known yet is noted as wanted. domain_check_open gets the facts, many at once, and judges again as they
 * come, until nothing is wanted any more or the time is over; then what never came counts as failed.
 * Nothing that a stranger publishes makes it ask without end: FACTS_MAX questions, and the limits of trust/spf.h.
 *
 * Mail servers are spoken to only with `connect`: greeting, EHLO, STARTTLS, MAIL and RCPT to postmaster, never a
 * message. */
#ifndef DOCTOR_DOMAIN_H
#define DOCTOR_DOMAIN_H

#include "dns/dns.h"
#include "doctor/finding.h"
#include "sys/loop.h"
#include "sys/tls.h"
#include "trust/bimi.h"
#include "trust/dkim_key.h"
#include "trust/dmarc.h"
#include "trust/mta_sts.h"
#include "trust/spf.h"
#include "trust/tlsrpt.h"

/* An address that mail of the domain comes from, or a host whose addresses are. */
struct domain_egress {
    struct addr address; /* family 0: `host`'s are meant */
    struct bytes host;
    struct bytes what; /* for people: "hostname", "route provider: source_address" */
    bool smarthost; /* somebody else's, who sends on for us: its name in the DNS is his business */
};
/* What should be published for a domain of ours, see domain_publish and domain_want.plan. */
struct domain_plan {
    struct bytes host; /* the MX: what the server calls itself for this domain */
    size_t address_count;
    const struct addr *addresses; /* public ones of this host; none: not known */
    struct bytes postmaster;      /* whom reports go to */
    bool tls;                     /* a listener for strangers offers TLS */
    struct bytes spki; /* SHA-256 of its certificate's key, 32 octets; empty: not known */
    bool takes_mail;   /* the domain's mail is received here */
    size_t include_count;
    const struct bytes *includes; /* domains whose SPF the routes' providers ask to be included */
};
struct domain_want { /* views live as long as the check */
    struct bytes domain;
    const struct bytes *selectors; /* of DKIM; there must be a key at each */
    size_t selector_count;
    bool common_selectors; /* those that many use are tried besides */
    const struct domain_egress *egress;
    size_t egress_count;
    struct bytes helo; /* our own name, for the SPF of bounces; empty: not looked at */
    bool
        addresses_only; /* only what `egress` and `helo` are about, and nothing else of the domain */
    bool validates;     /* the DNS that is asked checks DNSSEC */
    bool connect;       /* to each address of each MX */
    uint16_t port;      /* there; 0: 25 */
    struct bytes hostname;   /* for EHLO */
    struct tls_client *tls;  /* for it; NULL: STARTTLS is not tried */
    bool fetch;              /* MTA-STS's policy over HTTPS */
    struct addr sts_connect; /* from there, whatever the DNS says; family 0: no. With port. */
    struct bytes ca_pem;     /* authorities for that; empty: the system's */
    const struct domain_plan *plan; /* compare with this; NULL: nothing is planned */
    int64_t ms;                     /* for all of it */
    /* Progress, for people; may be NULL. */
    void (*on_progress)(void *ctx, size_t known, size_t wanted);
};

/* --- what was found ---------------------------------------------------------------------------------------- */

struct domain_host { /* an MX */
    uint16_t preference;
    struct bytes name;
    size_t address_count;
    struct addr *addresses;
    size_t tlsa_count;
};
struct domain_selector {
    struct bytes name;
    struct dkim_key key;
};
struct domain_covered { /* an address of `egress` */
    const struct domain_egress *egress;
    struct addr address;
    bool judged; /* spf is there: not of private addresses */
    struct spf_verdict spf;
    struct bytes pointer; /* its name in the DNS; empty: none */
    bool confirmed;       /* which leads back */
};
enum { DOMAIN_HOSTS = 64, DOMAIN_SELECTORS = 128, DOMAIN_COVERED = 64 };
struct domain_report {
    struct finding_list findings;
    bool unknown; /* whatever was asked, the DNS said nothing */
    bool exists, null_mx, implicit_mx;
    size_t host_count;
    struct domain_host hosts[DOMAIN_HOSTS];
    struct spf_survey spf;
    size_t selector_count;
    struct domain_selector selectors[DOMAIN_SELECTORS];
    struct bytes dmarc_text, dmarc_domain; /* where it was found: here, or at the organisation's */
    bool has_dmarc;
    struct dmarc_record dmarc;
    bool has_sts_record, has_sts_policy;
    struct mta_sts_record sts;
    struct mta_sts_policy sts_policy;
    struct bytes tlsrpt_text, bimi_text;
    const char *dnssec; /* "secure" "insecure" "bogus" "unknown" */
    size_t covered_count;
    struct domain_covered covered[DOMAIN_COVERED];
};

struct domain_check;
/* on_done comes exactly once, never before the call returned; the report is gone with the check. */
struct domain_check *domain_check_open(
    struct dns *d, struct loop *l, const struct domain_want *want,
    void (*on_done)(void *ctx, const struct domain_report *report), void *ctx);
/* Ends it without a callback, or after that. */
void domain_check_close(struct domain_check **c);

/* Whether the DNS answered for this step of the findings ("MX" "SPF" ...), as far as it was asked. */
bool domain_is_known(const struct domain_report *r, const char *step);

/* The records to publish, as lines of a zone file with comments. */
void domain_publish(struct bytes domain, const struct domain_plan *plan,
                    const struct domain_egress *egress, size_t egress_count, struct buf *out);

#endif
