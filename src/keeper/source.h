/* source: somebody else who knows passwords: Dovecot's auth service, PAM. It is asked on the keeper's
 * loop and answers later; a fault of it is SOURCE_DOWN, never a wrong password.
 *
 * A source is open as long as the keeper; source_close drops questions without a callback. */
#ifndef KEEPER_SOURCE_H
#define KEEPER_SOURCE_H

#include "base/addr.h"
#include "base/why.h"
#include "sys/loop.h"

enum source_result { SOURCE_RIGHT, SOURCE_WRONG, SOURCE_DOWN };
struct source_question {
    struct bytes login; /* prepared */
    struct bytes password;
    struct bytes service; /* "smtp", "pop" */
    struct addr client;
    bool tls;
};
struct source_answer {
    enum source_result result;
    struct bytes login; /* RIGHT: whom the source says it is; gone when the callback returns */
    struct why why;     /* DOWN */
};
typedef void source_answered(void *ctx, const struct source_answer *answer);

struct source;
/* setting: "dovecot:PATH" or "pam:SERVICE" (keeper.h), as in `logins`; helper: the socket of the
 * process that asks PAM. NULL: it is none of these. */
struct source *source_open(struct loop *l, struct bytes setting, const char *helper);
void source_close(struct source **s);
/* on_answer comes once, never before the call returned. The question is copied. */
void source_ask(struct source *s, const struct source_question *question,
                source_answered *on_answer, void *ctx);

/* --- one kind of source, for source.c ---------------------------------------------------------- */
struct source_kind {
    const char *prefix;
    void *(*open)(struct loop *l, struct bytes argument, const char *helper);
    void (*close)(void *impl);
    void (*ask)(void *impl, const struct source_question *question, source_answered *on_answer,
                void *ctx);
};
extern const struct source_kind source_dovecot, source_pam;

#endif
