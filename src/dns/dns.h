/* dns: what Postern asks of the DNS. Asynchronous; answers come from the resolver process
 * (libunbound and its cache), or from a table in talks. TEMP is never taken for "does not exist".
 */
#ifndef DNS_DNS_H
#define DNS_DNS_H

#include "base/addr.h"
#include "base/arena.h"
#include "base/why.h"
#include "sys/loop.h"

enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_TLSA = 52
};
const char *dns_type_name(enum dns_type type); /* "MX" */

struct dns_record {
    uint16_t preference; /* MX */
    struct bytes name;   /* MX, PTR, NS, CNAME, SOA (the primary server): lower case without final
                          * dot; "" is the root (null MX) */
    struct bytes
        data; /* TXT: strings joined; TLSA: as on the wire; SOA: "mailbox serial refresh retry
                          * expire minimum" in words, the mailbox as a name */
    struct addr address; /* A, AAAA */
};
struct dns_answer {
    enum rc rc;             /* OK; TEMP: timeout, SERVFAIL, bogus, resolver down */
    bool exists;            /* the name exists (with OK and no records: NODATA); false: NXDOMAIN */
    bool secure;            /* validated by DNSSEC */
    bool bogus;             /* with TEMP: there was an answer, but DNSSEC proves it wrong */
    struct bytes canonical; /* the name at the end of CNAMEs */
    size_t count;
    const struct dns_record *records; /* MX in no order */
    struct why why;                   /* with TEMP: 4.4.3, what was asked and what happened */
};
typedef void dns_answered(void *ctx, const struct dns_answer *answer);

/* The table another implementation fills (talks: a zone). The last two may be left zero. */
struct dns {
    void *self;
    /* on_answer comes exactly once, never before the call returned; returns a number to cancel by.
     */
    uint64_t (*ask)(void *self, struct bytes name, enum dns_type type, dns_answered *on_answer,
                    void *ctx);
    void (*cancel)(void *self, uint64_t question);
    void (*close)(void *self);
    /* This host's own table (/etc/hosts), for dns_find_host: at most `max` addresses of a name in
     * lower case, their number returned. NULL: there is none. */
    size_t (*local)(void *self, struct bytes name, struct addr *out, size_t max);
    uint64_t seed; /* of the order of equal preferences; changes with each use */
};
/* Asks the resolver process over its socket. */
struct dns *dns_open_channel(struct loop *l, const char *socket_path);
void dns_close(struct dns **d);

/* The resolver process: runs the loop and serves fd (a listening SOCK_SEQPACKET socket) until
 * loop_stop, then clears up and returns OK; PERM at once when a server or an anchor cannot be used.
 * servers as in config.dns; anchor as in config.dns_trust_anchor. */
struct resolver_setup {
    const struct bytes *servers;
    size_t server_count;
    struct bytes trust_anchor;
};
enum rc resolver_serve(struct loop *l, int fd, const struct resolver_setup *setup, struct why *why);

/* --- composed questions (dns/hosts.c), over any struct dns ---------------------------------- */
/* The hosts mail for a domain goes to (RFC 5321 section 5.1), best first, equal preferences in
 * random order (seed), addresses filled in, IPv6 and IPv4 interleaved. */
struct dns_host {
    uint16_t preference;
    struct bytes name;
    enum rc rc; /* TEMP: addresses not had for now; PERM: has none */
    size_t address_count;
    const struct addr *addresses; /* port 0 */
    bool secure;
};
struct dns_route {
    enum rc rc; /* OK; TEMP; PERM with why: 5.1.2 no such domain, 556 5.1.10 null MX
                   (reason dns.null-mx), 5.4.4 MX without address */
    struct why why;
    bool implicit; /* no MX: the domain's own address */
    size_t count;
    const struct dns_host *hosts;
};
/* One composed question; gone once on_route was called. */
struct dns_query;
/* The route lives until on_route returns. */
typedef void dns_routed(void *ctx, const struct dns_route *route);
/* domain may be an address literal "[192.0.2.1]". NULL when on_route was called at once. */
struct dns_query *dns_find_mx(struct dns *d, struct bytes domain, dns_routed *on_route, void *ctx);
/* Addresses of one host; a literal address, localhost or a name in /etc/hosts needs no question:
 * on_route is then called at once and NULL returned. */
struct dns_query *dns_find_host(struct dns *d, struct bytes host, dns_routed *on_route, void *ctx);
void dns_query_cancel(struct dns_query **q);

/* --- who is calling (dns/inquiry.c) ------------------------------------------------------------ */
/* Several questions at once, with one limit of time: what has not answered by then counts as failed.
 * The answer comes once, never before the call returned; its memory lives until that returns. */
struct dns_inquiry;
void dns_inquiry_cancel(struct dns_inquiry **i);
/* Whether DNS lists have this address (RFC 5782): all zones in parallel, their words for a listing
 * after that. Answers outside 127/8, and those that mean "you may not ask", count as failed. */
struct dns_listing {
    struct bytes zone; /* or the entry asked for */
    bool failed;
    const char *because; /* of a failure, half a sentence */
    bool late;           /* it failed for not having answered in time */
    size_t count;        /* 0: not listed */
    const struct addr *codes;
    struct bytes text; /* of TXT, printable ASCII; may be empty */
    /* All it answered, what counts as failed too: a list may have codes of its own making. */
    size_t answer_count;
    const struct addr *answers;
};
typedef void dns_listed(void *ctx, const struct dns_listing *list, size_t count);
struct dns_inquiry *dns_ask_lists(struct dns *d, struct loop *l, struct addr client,
                                  const struct bytes *zones, size_t count, dns_listed *on_listed,
                                  void *ctx);
/* The same for entries by their whole names, "2.0.0.127.zen.example" or "example.com.dbl.example", within
 * `ms`; words are asked for only where wanted. */
struct dns_entry {
    struct bytes name;
    bool words;
};
struct dns_inquiry *dns_ask_entries(struct dns *d, struct loop *l, const struct dns_entry *entries,
                                    size_t count, int64_t ms, dns_listed *on_listed, void *ctx);
/* The name of an address, and whether it leads back to it (PTR, then A or AAAA); and whether a host
 * of this name exists, and leads to the address. */
struct dns_name_check {
    bool failed;       /* the DNS did not answer */
    struct bytes name; /* empty: there is none */
    bool confirmed;
};
typedef void dns_checked(void *ctx, const struct dns_name_check *check);
struct dns_inquiry *dns_check_client(struct dns *d, struct loop *l, struct addr client,
                                     dns_checked *on_checked, void *ctx);
struct dns_inquiry *dns_check_name(struct dns *d, struct loop *l, struct bytes name,
                                   struct addr client, dns_checked *on_checked, void *ctx);

#endif
