/* examine: `postern doctor`: all that is looked at, in order: names and addresses, ports, one conversation as far
 * as it goes, TLS from all sides, and, when something was refused, other conversations that tell causes
 * apart. What comes of it is findings, a transcript, and a verdict: which step is to blame, with the
 * server's words, the cause, whose move it is and what to do.
 *
 * It runs the loop itself, and returns within total_ms and a few seconds. No message is sent unless `send`
 * is set, and then exactly one. */
#ifndef DOCTOR_EXAMINE_H
#define DOCTOR_EXAMINE_H

#include "dns/dns.h"
#include "doctor/conversation.h"
#include "doctor/finding.h"

enum { EXAMINE_PORTS = 8, EXAMINE_TRIED = 16 };
enum examine_tls {
    EXAMINE_TLS_DEFAULT,
    EXAMINE_TLS_OFF,
    EXAMINE_TLS_TRY,
    EXAMINE_TLS_REQUIRE,
    EXAMINE_TLS_VERIFY
};

struct examine_want {
    struct bytes target; /* host, host:port, address, mailbox or domain; may be empty with server */
    struct bytes server; /* instead of what the target's MX says */
    struct bytes path;   /* a unix socket instead of all that */
    uint16_t port;       /* 0: 25, or with a login what takes logins */
    uint16_t ports[EXAMINE_PORTS]; /* to look at besides */
    size_t port_count;
    bool ports_chosen; /* the list was given; else it is looked at only when no port was named */
    bool as_domain;    /* the target's MX, not the host itself */
    bool all_mx;
    int family; /* 4, 6 or 0 for both */
    struct addr source;
    struct bytes helo;
    bool has_sender;
    struct bytes sender;
    const struct bytes *recipients;
    size_t recipient_count;
    struct bytes foreign; /* a mailbox that the server surely does not host */
    struct bytes hosted;  /* one that it surely does */
    enum examine_tls tls;
    bool implicit; /* TLS from the first octet; on 465 by itself */
    struct tls_client *tls_client;
    struct bytes ca_pem; /* its roots, for the policy of MTA-STS; empty: the system's */
    struct bytes tls_name;
    bool login;
    struct login_want auth;
    struct bytes proxy, xclient;
    bool lmtp, pipeline, send;
    struct bytes content;
    enum step until;
    bool no_probes, no_tls_look;
    int64_t timeout_ms, total_ms;
};

struct tried {         /* a conversation that tells causes apart */
    struct bytes what; /* "without login" */
    struct bytes sender, recipient;
    uint16_t port;
    bool login;
    enum step step; /* STEP_NONE: the recipient was taken */
    enum how how;
    int code;
    struct bytes words;
};
struct verdict {
    enum step step; /* STEP_NONE: nothing is to blame */
    enum how how;
    int exit;
    const char *cause, *who, *family, *rule; /* cause NULL: all is well */
    bool permanent;
    double confidence;
    int code; /* the server's, 0: it said nothing */
    struct status status;
    struct bytes words;       /* the server's, or what happened */
    struct bytes explanation; /* what it means */
    struct bytes because;     /* what settled the cause, when more than the words did */
    struct bytes fix[FINDING_FIXES];
    size_t fixes;
    struct bytes host; /* "mail.example.com [192.0.2.1]:25" */
};
struct examined {
    struct arena *arena;
    struct bytes target;
    struct finding_list findings;
    struct transcript transcript;
    struct verdict verdict;
    struct tried tried[EXAMINE_TRIED];
    size_t tried_count;
    bool sent;
};

/* `out` must have been opened; transcript.on_line may be set. dns may be NULL: then only literal
 * addresses can be looked at. on_progress may be NULL. */
/* NULL, or why this is no target, as half a sentence. */
const char *examine_wrong_target(struct bytes text, struct arena *a);
void examined_open(struct examined *out, struct arena *a);
void examine(struct loop *l, struct dns *dns, const struct examine_want *want,
             struct examined *out);

#endif
