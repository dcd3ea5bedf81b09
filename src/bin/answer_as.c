/* answer_as: questions of a tenant's administrator. The login is proved to the keeper by its password
 * before anything is answered; a wrong one waits as long as at any other door. */
#include "base/event.h"
#include "base/must.h"
#include "bin/question.h"
#include "bin/scope.h"

#include <string.h>

void question_end_as(struct question *q) {
    if (q->proving)
        directory_cancel(q->answers->setup.directory, q);
    auth_end(&q->exchange);
    timer_clear(&q->timer);
    json_decref(q->request);
    q->request = NULL;
}

static void refuse(void *ctx) {
    struct question *q = ctx;
    q->owed = q->proving = false;
    if (q->stopped)
        question_free(q);
    else
        question_error(q, "login or password is wrong, or the login administers no tenant");
}

static void entry_found(void *ctx, enum rc rc, const struct directory_entry *entry,
                        const struct why *why) {
    struct question *q = ctx;
    const struct answers_setup *setup = &q->answers->setup;
    q->owed = q->proving = false;
    const struct tenant *t = scope_of_login(setup->config(setup->ctx), q->login);
    if (q->stopped) {
        question_free(q);
    } else if (rc != OK) {
        question_error(q, "%s", why->text);
    } else if (!entry || entry->disabled || !t) {
        refuse(q);
    } else {
        q->scope = arena_copy(q->arena, t->name);
        json_object_set_new(q->request, "operator", json_stringn(q->login.at, q->login.len));
        q->answer(q, q->request);
    }
}

static void told(void *ctx, const struct auth_answer *answer) {
    struct question *q = ctx;
    const struct answers_setup *setup = &q->answers->setup;
    if (answer->result == AUTH_DONE) {
        q->login = arena_copy(q->arena, answer->login);
        auth_end(&q->exchange);
        directory_find_login(setup->directory, q->login, entry_found, q);
        return;
    }
    bool down = answer->result == AUTH_DOWN;
    int64_t delay = answer->delay_ms;
    auth_end(&q->exchange);
    if (down) {
        q->owed = q->proving = false;
        if (q->stopped)
            question_free(q);
        else
            question_error(q, "logins cannot be checked for the moment");
        return;
    }
    struct event *e = event_begin("refused");
    event_str(e, "session", "control");
    event_text(e, "login_tried", q->login);
    event_text(e, "local_user", q->operator_name);
    event_str(e, "reason", "auth.failed");
    event_end(e);
    timer_set(setup->loop, &q->timer, delay, refuse, q);
}

/* RFC 4616: nobody else's name, login, password. */
static struct bytes plain(struct question *q, const json_t *request) {
    struct bytes password = question_text(request, "password", q->arena);
    struct buf b = buf_grow(4096);
    buf_char(&b, 0);
    buf_add(&b, q->login);
    buf_char(&b, 0);
    buf_add(&b, password);
    struct bytes initial = arena_copy(q->arena, buf_bytes(&b));
    explicit_bzero(b.at, b.len);
    buf_free(&b);
    return initial;
}

void question_as(struct question *q, json_t *request,
                 void (*answer)(struct question *q, const json_t *request)) {
    const struct answers_setup *setup = &q->answers->setup;
    q->login = question_text(request, "as", q->arena);
    q->operator_name = question_text(request, "operator", q->arena);
    struct bytes initial = plain(q, request);
    json_object_del(request, "password");
    q->request = json_incref(request);
    q->answer = answer;
    q->owed = q->proving = true;
    q->exchange = auth_begin(setup->auth,
                             &(struct auth_session){ .mechanism = B("PLAIN"),
                                                     .client = { .family = 1 },
                                                     .service = B("smtp"),
                                                     .tls = true, /* nobody listens in here */
                                                     .has_initial = true,
                                                     .initial = initial },
                             told, q);
    explicit_bzero((void *)(uintptr_t)initial.at, initial.len);
}
