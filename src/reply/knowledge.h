/* knowledge: what a server's reply means: cause, who must act, what to do. Rules are data
 * (data/replies, built in; a file of the operator's may come before them): by code, enhanced
 * code, step, the server's family and words, in that order of weight: the words outweigh the codes,
 * the step outweighs vague words, and what is known of the host outweighs both. Used for the first
 * paragraph of our NDRs, `explain` and the doctor. */
#ifndef REPLY_KNOWLEDGE_H
#define REPLY_KNOWLEDGE_H

#include "base/arena.h"
#include "base/why.h"

/* Whether the host that spoke is one that the recipient's domain names by MX (or by its address,
 * where it has no MX). */
enum reply_mx { REPLY_MX_UNKNOWN, REPLY_MX_YES, REPLY_MX_NO };

struct reply_facts {
    int code; /* 0 unknown */
    struct status status;
    struct bytes text;   /* the words, with or without code, "smtp;", quotes, markup around them */
    const char *command; /* "RCPT" ..., NULL unknown */
    const char *action;  /* of a report: "failed" "delayed" "delivered" "vacation" ...; NULL none */
    bool ours_is_client; /* we, or the reader's server, were the client */
    bool submission;     /* a login or smart host was involved */
    bool logged_in;      /* it is known that the client had logged in */
    enum reply_mx mx;
    struct bytes host;                     /* the server that spoke, when its name is known */
    struct bytes banner;                   /* its greeting, when that was seen */
    struct bytes sender_domain, recipient; /* of the envelope, when they are known */
};
struct reply_meaning {
    const char *cause;        /* "relay-not-authorised" ... of the taxonomy in docs/causes.md */
    const char *who;          /* sender sender-admin recipient recipient-admin network-owner
                          server-admin nobody */
    bool permanent;           /* as it really is */
    int said_permanent;       /* as the codes said: 1, 0; -1 they said nothing */
    const char *severity;     /* info warning error */
    const char *reason;       /* coarse name of the published map: norelaying userunknown ... */
    const char *family;       /* "postfix" "microsoft-365" ..., NULL unknown */
    const char *family_title; /* "Postfix" "Microsoft 365" ..., NULL unknown */
    double confidence;        /* 0 to 1 */
    const char *rule;         /* name of the rule that matched */
    const char *explanation;  /* a sentence or two for the reader of an NDR */
    const char *const *fixes; /* ordered, NULL at the end */
    int code;                 /* as given, else as found in the text; 0 none */
    struct status status;
    const char *command; /* as given, else as the text tells; NULL unknown */
};
/* Code, enhanced code and step are looked for in the text when they are not given. Never fails: what
 * no rule knows has the cause "unknown". The answer lives until the next call. Not thread-safe. */
const struct reply_meaning *reply_explain(const struct reply_facts *facts);

/* A cause of the taxonomy, for lists and pages; lists have NULL at the end. */
struct reply_cause {
    const char *name, *who, *severity, *reason, *explanation;
    const char *permanent;       /* yes, no, as-said: as the reply's class says */
    const char *const *fixes;    /* what to do, the first thing first */
    const char *const *sees;     /* replies as people see them */
    const char *const *because;  /* what commonly leads to it */
    const char *const *prevents; /* how it does not come again */
};
/* The causes one after the other; false when there are no more. */
bool reply_cause_at(size_t index, struct reply_cause *out);
/* One by its name; false when there is none. */
bool reply_cause_find(const char *name, struct reply_cause *out);

/* Takes rules of the operator's (the text of a file like those in data/replies; built-in causes and lets
 * may be used) that come before the built-in ones, in place of those learnt before. PERM and why,
 * with file and line, for what is no rule; then nothing has changed. */
enum rc reply_learn(const char *file, struct bytes text, struct why *why);
/* Frees all rules; the built-in ones are read again when needed. */
void reply_forget(void);

#endif
