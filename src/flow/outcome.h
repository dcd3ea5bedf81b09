/* outcome: what one attempt came to for one recipient, as deliver saw it; schedule turns outcomes
 * into settlements, report into NDRs and history. Views live until the callback that brings them
 * returns. */
#ifndef FLOW_OUTCOME_H
#define FLOW_OUTCOME_H

#include "base/addr.h"
#include "base/why.h"

enum outcome_kind {
    OUTCOME_DELIVERED, /* in a mailbox of ours */
    OUTCOME_RELAYED,
    OUTCOME_DEFERRED, /* TEMP: another attempt later */
    OUTCOME_FAILED,   /* PERM: an NDR at once */
    OUTCOME_EXPANDED,
};

/* How far a failure reaches (named by blast radius). */
enum blast {
    BLAST_RECIPIENT,
    BLAST_MESSAGE,
    BLAST_SESSION /* this host, or all of the next hop */
};

struct outcome {
    uint32_t recipient; /* index in the envelope */
    enum outcome_kind kind;
    enum blast blast;
    int code;             /* the remote's reply code; 0 when no reply was had */
    struct status status; /* theirs, else ours for what happened (RFC 3463) */
    struct bytes reply;   /* the reply's text in the server's words, lines joined by a space */
    bool remote;          /* reply was said by another server; else text is ours */
    struct bytes host;    /* name of the server that spoke or could not be reached */
    struct addr address;  /* its address */
    const char *command; /* at which step: "connect" "banner" "EHLO" "STARTTLS" "AUTH" "MAIL" "RCPT"
                            "DATA" "end of data" "DNS" "write" */
    const char
        *reason;      /* stable id for causes found by us: "dns.null-mx" "loop.hops" ...; or NULL */
    struct bytes tls; /* "TLSv1.3 TLS_AES_256_GCM_SHA384 verified", or empty */
    bool uncertain;   /* data was sent and no reply seen: a retry may double it */
    bool alarm;       /* our own configuration is at fault (login refused by a smart host) */
    bool dsn_passed_on; /* the next server speaks DSN: success notices are its business */
};

/* What the deliver target of a domain says when it is asked about a mailbox (recipients = probe). */
enum probe_answer {
    PROBE_TAKES,
    PROBE_REFUSES,
    PROBE_LATER,   /* it is down, slow, or says 4xx */
    PROBE_LIMITED, /* it was not asked: this client asked for too many that there are not */
};
/* Words live until the call returns. */
typedef void probe_told(void *ctx, enum probe_answer answer, struct status status,
                        struct bytes words);

#endif
