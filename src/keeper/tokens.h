/* tokens: what the keeper's loop knows of token providers: their keys, for as long as those may be kept,
 * and what introspections said a moment ago. It asks the fetcher, once for all who wait for the same,
 * and never so often that strangers could drive it.
 *
 * Threads check tokens (bearer.c) with a view: the providers as they were when it was taken. It does not
 * change; it is taken and released on the loop. */
#ifndef KEEPER_TOKENS_H
#define KEEPER_TOKENS_H

#include "fetcher/fetcher.h"
#include "keeper/keeper.h"
#include "oauth/oauth.h"

enum { TOKEN_PROVIDERS_MAX = 8 };

struct token_keys {
    struct arena *arena;
    struct oauth_keys *keys;
    unsigned users;
};
struct token_view {
    size_t count;
    struct token_view_provider {
        struct oauth_policy policy;
        bool introspects;
        struct token_keys *keys; /* NULL: none, or too old */
    } list[TOKEN_PROVIDERS_MAX];
};

/* What a check cannot go on without. */
struct token_need {
    enum { NEED_NOTHING, NEED_KEYS, NEED_INTROSPECTION } what;
    unsigned provider;
    struct bytes token; /* of an introspection */
};
/* What came of it. Keys are in the next view. */
struct token_had {
    enum rc rc; /* TEMP and why */
    struct why why;
    enum oauth_fault fault; /* of an introspection */
    char login[OAUTH_LOGIN_MAX + 1];
    size_t login_len;
    int64_t expires; /* wall ms */
};

struct tokens;
struct tokens *tokens_open(struct loop *l, const struct keeper_provider *list, size_t count,
                           struct fetcher *fetcher);
void tokens_close(struct tokens **t); /* who waits is told TEMP */
void tokens_view(struct tokens *t, struct token_view *out);
void tokens_release(struct token_view *view);
/* on_had comes exactly once, at once or later. */
void tokens_get(struct tokens *t, const struct token_need *need,
                void (*on_had)(void *ctx, const struct token_had *had), void *ctx);

#endif
