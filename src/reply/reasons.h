/* reasons: what our own reason ids mean, from data/reasons.txt (compiled in). The one place from which
 * `postern explain` prints, and docs/reasons.md is made from the same file. */
#ifndef REPLY_REASONS_H
#define REPLY_REASONS_H

#include "base/bytes.h"

struct reason {
    const char *id, *section;
    const char *who;            /* the word: sender sender-admin ... as in reply/knowledge.h */
    const char *acts;           /* in words: "the administrator of this server" */
    const char *const *replies; /* "550 5.7.1" "-ERR [IN-USE]", NULL at the end; none: no client
                                   hears of it */
    const char *means;
    const char *client, *administrator, *postmaster; /* what each does about it */
};

/* All, in the order of the file. */
const struct reason *reasons_list(size_t *count_out);
/* NULL: there is none of this id; letter case does not matter. */
const struct reason *reason_find(struct bytes id);
/* Those whose ids are nearest to a misspelt one, the best first; returns how many were put in. */
size_t reasons_near(struct bytes id, const struct reason **out, size_t max);
/* The id that a reply of ours bears at its end, "... [relay.no-grant 4fq2]", whatever it is quoted in;
 * NULL: it bears none. */
const struct reason *reason_of_reply(struct bytes reply);

#endif
