/* source: the table of kinds of sources. */
#include "keeper/source.h"

#include "base/must.h"

#include <stdlib.h>

static const struct source_kind *const kinds[] = { &source_dovecot, &source_pam };

struct source {
    const struct source_kind *kind;
    void *impl;
};

struct source *source_open(struct loop *l, struct bytes setting, const char *helper) {
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct bytes prefix = bytes_str(kinds[i]->prefix);
        if (!bytes_starts(setting, prefix))
            continue;
        struct source *s = calloc(1, sizeof *s);
        MUST(s);
        s->kind = kinds[i];
        s->impl = kinds[i]->open(l, bytes_skip(setting, prefix.len), helper);
        return s;
    }
    return NULL;
}

void source_close(struct source **s) {
    if (!*s)
        return;
    (*s)->kind->close((*s)->impl);
    free(*s);
    *s = NULL;
}

void source_ask(struct source *s, const struct source_question *question,
                source_answered *on_answer, void *ctx) {
    s->kind->ask(s->impl, question, on_answer, ctx);
}
