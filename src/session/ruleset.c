/* ruleset: counts who refers to a configuration, so that a reload frees the old one as soon as nobody does. */
#include "base/must.h"
#include "session/session.h"

#include <stdlib.h>

struct ruleset *ruleset_open(const struct config *config) {
    struct ruleset *r = calloc(1, sizeof *r);
    MUST(r);
    r->config = config;
    return r;
}

struct ruleset *ruleset_join(struct ruleset *r) {
    r->sessions++;
    return r;
}

static void end_unless_used(struct ruleset *r) {
    if (r->sessions > 0 || !r->retired)
        return;
    if (r->release)
        r->release(r->release_ctx, r->config);
    free(r);
}

void ruleset_leave(struct ruleset **rp) {
    struct ruleset *r = *rp;
    *rp = NULL;
    MUST(r->sessions > 0);
    r->sessions--;
    end_unless_used(r);
}

void ruleset_retire(struct ruleset **rp, void (*release)(void *ctx, const struct config *old),
                    void *ctx) {
    struct ruleset *r = *rp;
    *rp = NULL;
    r->retired = true;
    r->release = release;
    r->release_ctx = ctx;
    end_unless_used(r);
}
