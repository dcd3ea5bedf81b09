/* pam: the keeper's side: who PAM is asked about, and what its answer means. */
#include "keeper/pam.h"

#include "base/list.h"
#include "base/must.h"
#include "keeper/hash.h"
#include "sys/channel.h"

#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 12000, REQUEST_MAX = 4096 };

struct pam {
    struct loop *loop;
    struct channel *channel;
    struct buf service, domain;
    struct list asked;
};

struct asked {
    struct list_node node;
    struct pam *pam;
    char login[LOGIN_MAX + 512];
    struct bytes whole; /* the login that a right password stands for */
    struct timer timer;
    source_answered *on_answer;
    void *ctx;
};

static void *open_pam(struct loop *l, struct bytes setting, const char *helper) {
    struct pam *p = calloc(1, sizeof *p);
    struct bytes service, domain;
    MUST(p && helper);
    p->loop = l;
    p->service = buf_grow(256);
    p->domain = buf_grow(256);
    list_init(&p->asked);
    if (pam_parse_setting(setting, &service, &domain)) {
        buf_add(&p->service, service);
        buf_add(&p->domain, domain);
    }
    p->channel = channel_open(l, helper, "auth");
    return p;
}

static void free_asked(struct asked *a) {
    list_remove(&a->pam->asked, &a->node);
    timer_clear(&a->timer);
    free(a);
}

static void close_pam(void *impl) {
    struct pam *p = impl;
    channel_close(&p->channel);
    while (p->asked.count)
        free_asked(CONTAINER_OF(list_first(&p->asked), struct asked, node));
    buf_free(&p->service);
    buf_free(&p->domain);
    free(p);
}

static void on_reply(void *ctx, enum rc rc, struct bytes reply, const struct why *why) {
    struct asked *a = ctx;
    struct source_answer with = { .result = SOURCE_DOWN };
    struct bytes text = BYTES_NONE;
    if (rc != OK)
        with.why = *why;
    else if (!pam_parse_answer(reply, &with.result, &text))
        why_backend(&with.why, "backend.auth", "The answer of the helper for PAM cannot be read");
    else if (with.result == SOURCE_DOWN)
        why_backend(&with.why, "backend.auth", "PAM: %.*s", BYTES_FMT(text));
    char login[sizeof a->login];
    memcpy(login, a->login, sizeof login);
    with.login = bytes_of(login, a->whole.len);
    source_answered *on_answer = a->on_answer;
    void *asker = a->ctx;
    free_asked(a);
    on_answer(asker, &with);
}

/* Not PAM's: nobody need be asked. */
static void not_ours(void *ctx) {
    struct asked *a = ctx;
    struct source_answer wrong = { .result = SOURCE_WRONG };
    source_answered *on_answer = a->on_answer;
    void *asker = a->ctx;
    free_asked(a);
    on_answer(asker, &wrong);
}

static void name(struct asked *a, struct bytes login, struct bytes domain) {
    struct buf b = buf_fixed(a->login, sizeof a->login);
    buf_add(&b, login);
    if (domain.len && bytes_find(login, '@') < 0) {
        buf_char(&b, '@');
        buf_add(&b, domain);
    }
    a->whole = buf_bytes(&b);
}

static void ask(void *impl, const struct source_question *question, source_answered *on_answer,
                void *ctx) {
    struct pam *p = impl;
    char memory[REQUEST_MAX];
    struct buf b = buf_fixed(memory, sizeof memory);
    struct pam_question q = { .service = buf_bytes(&p->service),
                              .password = question->password,
                              .client = question->client };
    struct asked *a = calloc(1, sizeof *a);
    MUST(a);
    a->pam = p;
    a->on_answer = on_answer;
    a->ctx = ctx;
    list_append(&p->asked, &a->node);
    name(a, question->login, buf_bytes(&p->domain));
    if (!pam_user(question->login, buf_bytes(&p->domain), &q.user)) {
        timer_set(p->loop, &a->timer, 0, not_ours, a);
        return;
    }
    pam_format_question(&b, &q);
    MUST(!b.full);
    channel_call(p->channel, buf_bytes(&b), TIMEOUT_MS, on_reply, a);
    explicit_bzero(memory, sizeof memory);
}

const struct source_kind source_pam = { "pam:", open_pam, close_pam, ask };
