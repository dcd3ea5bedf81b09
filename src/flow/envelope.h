/* envelope: what a message is accepted with and keeps until its end. Written once, with the body;
 * what happens to its recipients afterwards are settlements.
 *
 * A value: the views belong to the arena it was made in. Addresses are mailboxes without angle
 * brackets, as message/address normalises them (domain in lower case). */
#ifndef FLOW_ENVELOPE_H
#define FLOW_ENVELOPE_H

#include "base/addr.h"
#include "base/arena.h"
#include "base/scan.h"

enum envelope_flag {
    ENVELOPE_8BIT = 1,       /* BODY=8BITMIME */
    ENVELOPE_UTF8 = 2,       /* SMTPUTF8 */
    ENVELOPE_RET_FULL = 4,   /* RET=FULL */
    ENVELOPE_RET_HDRS = 8,   /* RET=HDRS */
    ENVELOPE_REPORT = 16,    /* an NDR, delay notice or alarm of our own */
    ENVELOPE_SUBMITTED = 32, /* from a login, a connector or this host: ours to complete and sign */
    ENVELOPE_NO_TLS_REQUIRED = 64, /* header TLS-Required: No (RFC 8689) */
    ENVELOPE_LOOKED = 128,         /* the content was looked through as it came */
    ENVELOPE_FOUND_8BIT = 256,     /* and octets above 127 were in it, whatever BODY= said */
    ENVELOPE_AUTOMATIC = 512,      /* a list's or a program's, by its header: no automatic answer */
    ENVELOPE_QUOTED = 1024,        /* `subject` and `references` are kept, for one */
};

/* NOTIFY= (RFC 3461 section 4.1); 0 means not given. */
enum notify { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 };

struct recipient {
    struct bytes original; /* the mailbox of RCPT */
    struct bytes final;    /* what resolve made of it: where it goes */
    struct bytes orcpt;    /* "rfc822;user@example" as decoded from ORCPT, or empty */
    struct bytes
        next_hop; /* where it goes next, the key of the destination's queue: "mx:example.com",
                     "route:provider", "maildir:proseware.com", "lmtp:127.0.0.1:24", ... */
    struct bytes connector; /* that granted and was charged; empty for our own domains */
    uint8_t notify;
    /* Set by resolve where mail goes on from an address of ours to another one. */
    struct bytes sender; /* reverse-path for this recipient, where it is not the envelope's: the
                            owner of the group it is a member of, or one rewritten by SRS */
    bool rewritten;      /* `sender` is for the wire alone: reports go to the envelope's sender */
    struct bytes forwarder; /* the address of ours that sends it on to another domain */
    struct bytes away;      /* the user whom a vacation answers for when this was delivered */
};

struct envelope {
    struct bytes sender; /* reverse-path; empty is the null sender */
    struct bytes envid;  /* ENVID, decoded, or empty */
    uint32_t flags;
    int64_t arrived;                /* wall ms */
    struct bytes message_header_id; /* content of Message-ID, with its angle brackets */
    struct bytes session;           /* the session it came in by */
    struct bytes
        listener; /* its listener's name, "send" for postern send, "report" for the inner door */
    struct bytes helo;
    struct bytes login;    /* empty if none */
    struct bytes tenant;   /* empty if none */
    struct bytes protocol; /* "ESMTPSA" ... (RFC 3848), as in Received */
    struct addr client;
    size_t count;
    struct recipient *recipients;
    /* Of the header, unfolded; kept where a recipient is away (ENVELOPE_QUOTED). */
    struct bytes subject, references;
    /* For resolve; not kept: Delivered-To of the header, and the mailboxes it is addressed to (To, Cc,
     * Resent-To, Resent-Cc). */
    size_t delivered_to_count, addressed_count;
    const struct bytes *delivered_to, *addressed;
};
/* The reverse-path that goes out for this recipient, and whom reports about it are for. */
static inline struct bytes envelope_sender(const struct envelope *e, const struct recipient *r) {
    return r->sender.len ? r->sender : e->sender;
}
static inline struct bytes envelope_report_to(const struct envelope *e, const struct recipient *r) {
    return r->sender.len && !r->rewritten ? r->sender : e->sender;
}

/* The spool's form: a version octet, then the fields. parse takes nothing on trust: false for
 * anything format did not write. */
void envelope_format(struct buf *b, const struct envelope *e);
bool envelope_parse(struct bytes data, struct arena *a, struct envelope *out);
/* A deep copy into another arena. */
struct envelope *envelope_copy(struct arena *a, const struct envelope *e);

#endif
