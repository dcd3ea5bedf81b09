/* Between the files of domain. */
#ifndef DOCTOR_DOMAIN_PARTS_H
#define DOCTOR_DOMAIN_PARTS_H

#include "doctor/domain.h"
#include "reply/knowledge.h"

enum { FACTS_MAX = 3000, PAGE_MAX = 64 * 1024 };

/* --- facts ------------------------------------------------------------------------------------------------- */

enum fact_kind { FACT_DNS, FACT_TALK, FACT_PAGE };
struct domain_page { /* what a web server gave */
    enum rc rc;
    struct why why;
    int status;
    struct bytes body;
};
/* What an MX said, as far as it came. */
struct domain_talk {
    bool connected, greeted, extended, offers_tls, secured;
    struct bytes banner; /* first line, without its code */
    const char
        *step; /* where it ended, "connect" "banner" "EHLO" "MAIL" "RCPT"; NULL: to the end */
    bool timed_out;
    bool no_way;        /* this machine has no route there */
    struct bytes words; /* what happened there */
    int code;           /* of the last reply; 0: none */
    struct status status;
    bool accepted;          /* RCPT to postmaster */
    bool mail_refused;      /* it came to no RCPT */
    struct bytes tls_words; /* why TLS did not come about, or the certificate does not hold */
    bool trusted;
    const struct tls_look *look; /* NULL: no certificate was seen */
};
struct fact {
    struct fact *next; /* in order of being wanted */
    enum fact_kind kind;
    struct bytes
        key; /* of FACT_DNS the name, of FACT_PAGE the host, of FACT_TALK the host's name */
    enum dns_type type;
    struct addr address;
    bool asked, known;
    struct dns_answer answer;
    struct domain_talk talk;
    struct domain_page page;
};
struct domain_facts {
    struct arena *arena; /* the facts' own */
    struct map *index;
    struct fact *first, *last;
    size_t count, open; /* open: wanted and not known */
    bool late;          /* what is not known now never will be */
};
/* NULL: not known yet, and now wanted. The name in any case, without final dot. */
const struct dns_answer *domain_ask(struct domain_facts *f, struct bytes name, enum dns_type type);
const struct domain_talk *domain_talk(struct domain_facts *f, struct addr address,
                                      struct bytes host);
const struct domain_page *domain_page(struct domain_facts *f, struct bytes host);

/* --- judgement --------------------------------------------------------------------------------------------- */

struct look {
    const struct domain_want *want;
    struct domain_facts *facts;
    struct arena *arena; /* of this judgement */
    struct domain_report *report;
    struct bytes domain; /* lower case */
};
/* All of it. Whether something is still wanted, the facts tell. */
void domain_judge(const struct domain_want *want, struct domain_facts *facts, struct arena *a,
                  struct domain_report *out);
void domain_look_zone(struct look *k); /* the domain itself: DNSSEC, SOA, NS, wildcards */
void domain_look_mx(struct look *k);
void domain_look_names(struct look *k); /* PTR, of MX hosts and egress */
void domain_look_spf(struct look *k);
void domain_look_dkim(struct look *k);
void domain_look_dmarc(struct look *k);
void domain_look_bimi(struct look *k);
void domain_look_sts(struct look *k);
void domain_look_tlsrpt(struct look *k);
void domain_look_dane(struct look *k);
void domain_look_talk(struct look *k); /* the servers themselves */
void domain_look_plan(struct look *k);

/* ask() of the domain's own files: NULL also when the DNS failed, which is then told, once a step. */
const struct dns_answer *domain_get(struct look *k, struct bytes name, enum dns_type type,
                                    const char *id, const char *step);
/* TXT records of `name` for which `is` holds, at most `max`; their number in all. -1: not known, or told. */
ptrdiff_t domain_texts(struct look *k, struct bytes name, bool (*is)(struct bytes text),
                       const char *id, const char *step, struct bytes *out, size_t max);
/* "_dmarc" and a domain; names longer than the DNS takes become empty, and are not asked for. */
struct bytes domain_below(struct look *k, const char *label, struct bytes domain);
/* For spf_find. */
const struct spf_answer *domain_spf_find(void *look, const struct spf_question *q);
/* The addresses of a host, A and AAAA, into the arena; false: not known yet, or the DNS failed (*failed). */
bool domain_addresses(struct look *k, struct bytes host, struct addr **out, size_t *count_out,
                      bool *failed_out);
struct bytes domain_address_text(struct look *k, struct addr a);
/* A finding that says who must act, and about which host or record (may be empty). */
struct finding *domain_found(struct look *k, const char *who, enum severity s, const char *id,
                             const char *step, struct bytes about, const char *format, ...)
    __attribute__((format(printf, 7, 8)));

#define ERROR_(k, id, step, ...)                                                                   \
    finding_add(&(k)->report->findings, SEVERITY_ERROR, id, step, __VA_ARGS__)
#define WARNING_(k, id, step, ...)                                                                 \
    finding_add(&(k)->report->findings, SEVERITY_WARNING, id, step, __VA_ARGS__)
#define INFO_(k, id, step, ...)                                                                    \
    finding_add(&(k)->report->findings, SEVERITY_INFO, id, step, __VA_ARGS__)
#define ABOUT(k, f, ...) finding_about(&(k)->report->findings, f, __VA_ARGS__)
#define MEANS(k, f, ...) finding_means(&(k)->report->findings, f, __VA_ARGS__)
#define FIX(k, f, ...)   finding_fix(&(k)->report->findings, f, __VA_ARGS__)

#endif
