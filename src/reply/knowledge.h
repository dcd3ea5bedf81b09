/* knowledge: what a server's reply means: cause, who must act, what to do. Rules are data
 * (data/replies, built in; a file of the operator's may come before them): by code, enhanced
 * code, step and words, in that order of weight: the words outweigh the codes, the step outweighs
 * vague words. Used for the first paragraph of our NDRs, `explain` and the doctor. */
#ifndef REPLY_KNOWLEDGE_H
#define REPLY_KNOWLEDGE_H

#include "base/arena.h"
#include "base/why.h"

struct reply_facts {
    int code; /* 0 unknown */
    struct status status;
    struct bytes text;   /* the words */
    const char *command; /* "RCPT" ..., NULL unknown */
    bool ours_is_client; /* we, or the reader's server, were the client */
    bool submission;     /* a login or smart host was involved */
    struct bytes host;   /* the server that spoke, when its name is known */
};
struct reply_meaning {
    const char *cause; /* "relay-not-authorised" ... of the taxonomy in docs/causes.md */
    const char *who;   /* sender sender-admin recipient recipient-admin network-owner
                          server-admin nobody */
    bool permanent;
    double confidence;        /* 0 to 1 */
    const char *rule;         /* name of the rule that matched */
    const char *explanation;  /* a sentence or two for the reader of an NDR */
    const char *const *fixes; /* ordered, NULL at the end */
};
/* Code and enhanced code are looked for in the text when they are not given. Never fails: what no
 * rule knows has the cause "unknown". The answer lives until the next call. Not thread-safe. */
const struct reply_meaning *reply_explain(const struct reply_facts *facts);

/* Takes rules of the operator's (the text of a file like those in data/replies; built-in causes and lets
 * may be used) that come before the built-in ones, in place of those learnt before. PERM and why,
 * with file and line, for what is no rule; then nothing has changed. */
enum rc reply_learn(const char *file, struct bytes text, struct why *why);
/* Frees all rules; the built-in ones are read again when needed. */
void reply_forget(void);

#endif
