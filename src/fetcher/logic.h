/* logic: what the fetcher does with a call: where it asks, what it keeps, and for how long. The web is
 * a port, so that tests can be one. */
#ifndef FETCHER_LOGIC_H
#define FETCHER_LOGIC_H

#include "fetcher/fetcher.h"
#include "sys/http.h"

struct fetch_web {
    void *(*begin)(void *ctx, const struct http_request *request, http_answered *on_answer,
                   void *arg);
    void (*cancel)(void *ctx, void *call);
    void *ctx;
    bool quiet; /* no events, nothing on disk: a look, not a server */
};
struct fetch_logic;
struct fetch_logic *fetch_logic_open(struct loop *l, const struct config *config,
                                     struct bytes folder, const struct fetch_web *web);
void fetch_logic_close(struct fetch_logic **f); /* open calls end without an answer */
/* on_done comes exactly once, at once or later. */
void fetch_logic_ask(struct fetch_logic *f, const struct fetch *what, fetch_done *on_done,
                     void *ctx);

#endif
