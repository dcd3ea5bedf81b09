/* bearer: one XOAUTH2 or OAUTHBEARER exchange (RFC 7628), on a thread, with what it was given: a view of
 * the providers, the time, and what came of what it needed. It asks for nothing itself: it says what
 * it needs and is called again. */
#ifndef KEEPER_BEARER_H
#define KEEPER_BEARER_H

#include "keeper/tokens.h"

enum { BEARER_MESSAGE_MAX = 9216 }; /* what fits an AUTH line */

struct bearer;
struct bearer *bearer_open(enum oauth_mechanism mechanism);
void bearer_close(struct bearer **b);
/* Before each step. `had` NULL: nothing was asked for. All of it lives until the step is over. */
void bearer_give(struct bearer *b, const struct token_view *view, int64_t wall,
                 const struct token_had *had);

enum bearer_result {
    BEARER_CHALLENGE, /* data */
    BEARER_NEEDS,     /* need; then the same step again */
    BEARER_DONE,      /* login */
    BEARER_BAD,       /* the token is bad; data is the challenge that says so */
    BEARER_REFUSED,   /* the client has answered that challenge */
    BEARER_MALFORMED,
    BEARER_DOWN,
};
struct bearer_answer {
    enum bearer_result result;
    struct buf *data;
    struct token_need need;
    struct bytes login; /* DONE: as the token has it; BAD: as the client says, or empty */
};
/* The login the client gave; empty: none. */
struct bytes bearer_user(const struct bearer *b);
void bearer_step(struct bearer *b, bool has_input, struct bytes input, struct bearer_answer *out);
/* A good token that is none here, for another reason. */
void bearer_spoil(struct bearer *b, const char *text, bool told, struct bearer_answer *out);
/* For BAD, REFUSED and DOWN: what is wrong, and whether the client may be told. What a token that is
 * truly the provider's lacks may be; why a made-up one fails only helps to make up a better one. */
const struct why *bearer_why(const struct bearer *b, bool *told_out);

#endif
