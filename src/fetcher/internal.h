/* internal: what the files of the fetcher share. */
#ifndef FETCHER_INTERNAL_H
#define FETCHER_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "config/config.h"
#include "fetcher/logic.h"
#include "oauth/oauth.h"

enum {
    ANSWER_MS = 10 * 1000, /* a provider is given that long */
    OPEN_MAX = 100,        /* introspections under way */
    KEYS_LAST_MIN_MS = 5 * 60 * 1000,
    KEYS_LAST_MS = 60 * 60 * 1000, /* without a word of the provider's */
    KEYS_LAST_MAX_MS = 24 * 60 * 60 * 1000,
    PLACE_LASTS_MS = 24 * 60 * 60 * 1000, /* where the keys are */
};

struct waiting { /* a call that shares the fetch under way */
    struct list_node node;
    fetch_done *on_done;
    void *ctx;
};
/* Tells all of them and empties the list. */
void waiting_add(struct list *l, fetch_done *on_done, void *ctx);
void waiting_tell(struct list *l, const struct fetched *answer);
void waiting_drop(struct list *l);

struct fetch_logic {
    struct loop *loop;
    const struct config *config;
    struct bytes folder;
    struct fetch_web web;
    struct arena *arena;
    size_t provider_count, login_count;
    struct provider *providers;
    struct login *logins;
    struct list introspections;
};
/* Ends a call with TEMP. */
void fetch_tell_down(fetch_done *on_done, void *ctx, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- providers.c --- */
struct provider *providers_open(struct fetch_logic *f, size_t *count_out);
void providers_close(struct fetch_logic *f);
void providers_keys(struct fetch_logic *f, struct bytes name, fetch_done *on_done, void *ctx);
void providers_introspect(struct fetch_logic *f, const struct fetch *what, fetch_done *on_done,
                          void *ctx);

/* --- logins.c --- */
struct login *logins_open(struct fetch_logic *f, size_t *count_out);
void logins_close(struct fetch_logic *f);
void logins_token(struct fetch_logic *f, const struct fetch *what, fetch_done *on_done, void *ctx);

#endif
