/* examine_parts: what the files of the examination share. For this folder only. */
#ifndef DOCTOR_EXAMINE_PARTS_H
#define DOCTOR_EXAMINE_PARTS_H

#include "doctor/examine.h"
#include "doctor/settle.h"

enum { HOSTS_MAX = 16, ADDRESSES_MAX = 8, SPOTS_MAX = 64 };

struct spot { /* one address and port, as the ports were looked at */
    struct examination *e;
    struct bytes host;
    struct addr address; /* with port */
    bool done;
    struct conversation_seen seen;
};
struct host {
    struct bytes name; /* "[192.0.2.1]" for a literal */
    uint16_t preference;
    bool mx, secure;
    size_t count;
    struct addr addresses[ADDRESSES_MAX];
};
struct examination {
    struct loop *loop;
    struct dns *dns;
    struct arena *arena;
    const struct examine_want *want;
    struct examined *out;
    int64_t began, ends;
    uint16_t port; /* that was named, with the target or apart; 0: none */
    /* target.c */
    struct bytes domain; /* whose MX it is; empty: a host was named */
    struct bytes own;    /* the domain of the server itself, as far as can be guessed */
    struct host hosts[HOSTS_MAX];
    size_t host_count;
    /* ports.c */
    struct spot spots[SPOTS_MAX];
    size_t spot_count, spots_left;
    /* examine.c: the conversation that counts */
    struct bytes host;
    struct addr address;
    bool address_secure, implicit;
    struct bytes recipients[CONVERSATION_RECIPIENTS];
    size_t recipient_count;
    struct bytes sender;
    struct conversation_seen seen;
    enum step blamed; /* by a finding, where the conversation blames none */
    /* examine.c */
    bool dns_silent;
    bool mx_known, is_mx; /* of the first recipient's domain */
    /* probes.c */
    struct bytes refused, hosted; /* recipients: that was refused; that the server hosts */
    uint16_t other_port;          /* where the same was taken; 0: nowhere */
};

/* "mail.example.com [192.0.2.1]:25" */
struct bytes examine_place(struct arena *a, struct bytes host, struct addr address);
/* A conversation to the end; the loop runs meanwhile. */
void examine_talk(struct examination *e, const struct conversation_want *want,
                  struct conversation_seen *out);
/* What all conversations of this examination have in common. */
struct conversation_want examine_talk_want(const struct examination *e, const char *session);
void examine_say(struct examination *e, enum mark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int64_t examine_left(const struct examination *e);
/* Runs the loop until somebody stops it, but no longer than this. */
void examine_wait(struct examination *e, int64_t ms);
/* Runs the loop until somebody stops it, but no longer than this. */
void examine_wait(struct examination *e, int64_t ms);
/* The same for an answer of the DNS, whose callback sets *done: once it was silent, it is not waited for at length
 * again. False: there was no answer, and the question is to be taken back. */
bool examine_wait_dns(struct examination *e, const bool *done);

/* target.c: finds the hosts. False: there are none, and the verdict is made. */
bool target_find(struct examination *e);
/* The MX of a domain: is one of these addresses, or this name, among them? False: not known. */
bool target_is_mx(struct examination *e, struct bytes domain, bool *is_out);
/* At most ADDRESSES_MAX of a host; how many. */
size_t target_addresses(struct examination *e, struct bytes host, struct addr *out);
/* ports.c */
void ports_look(struct examination *e);
/* Where a port was named that takes no login: do those that should? */
void ports_look_for_logins(struct examination *e);
/* When the network, and not the server, seems to answer. */
void ports_hijack_finding(struct examination *e, struct bytes place,
                          const struct conversation_seen *seen);
const struct spot *ports_spot(const struct examination *e, struct addr address, uint16_t port);
bool port_is_implicit(uint16_t port);
/* session.c: findings of the conversation that counts */
void session_findings(struct examination *e);
/* tls_probe.c: versions, enforcement, DANE, MTA-STS */
void tls_probe(struct examination *e);
void sts_probe(struct examination *e); /* sts_probe.c */
void tls_certificate_findings(struct examination *e);
/* probes.c */
/* What they settle stays as it is where they settle nothing. */
void probes_run(struct examination *e, const char *words_cause, double confidence,
                struct settled *out);
/* When there was no greeting, or no handshake: with TLS from the first octet, and without. */
void probes_port(struct examination *e, struct settled *out);
/* verdict.c */
void verdict_make(struct examination *e);
void verdict_of_fault(struct examination *e, enum step step, enum how how, const char *reason,
                      struct bytes words);

#endif
