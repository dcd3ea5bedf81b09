/* login: AUTH (RFC 4954). The exchange itself is the keeper's; here is when it may begin, what the
 * client is told, and what it means for the session. */
#include "accept/internal.h"
#include "flow/app_password.h"

void login_end(struct session *s) {
    if (s->exchange)
        auth_end(&s->exchange);
    s->login_final = false;
}

void login_forget(struct session *s) {
    s->facts.login = BYTES_NONE;
    facts_take_app_password(&s->facts, s->arena, BYTES_NONE, BYTES_NONE, BYTES_NONE);
}

static void login_in(struct session *s) {
    struct why why;
    session_login_event(s->id, &s->facts);
    login_end(s);
    session_offer(s);
    why_set(&why, OK, 235, "2.7.0", "", "Authentication successful");
    smtp_server_answer(s->machine, OK, &why);
}

static void refuse(struct session *s) {
    struct why why;
    struct refusal refusal = session_login_refusal(&s->facts, &s->held, &s->because);
    bool close = s->held.result == AUTH_REFUSED && s->held.close;
    session_login_guessed(s->id, &s->facts, &s->held);
    refusal_why(s->rules->config, &refusal, &why);
    s->tried = s->held.result == AUTH_REFUSED ? s->held.login : BYTES_NONE;
    login_end(s);
    smtp_server_answer(s->machine, refusal.rc, &why);
    if (close && !s->gone) {
        refusal_why(s->rules->config, &session_too_many_logins, &why);
        session_end(s, &why);
    }
    s->tried = s->because = BYTES_NONE;
}

/* What the keeper said, once its delay is over. */
static void answer_held(struct session *s) {
    const struct auth_answer *a = &s->held;
    switch (a->result) {
    case AUTH_CHALLENGE:
        smtp_server_challenge(s->machine, a->data);
        return;
    case AUTH_DONE:
        s->facts.login = arena_copy(s->arena, a->login);
        s->facts.login_state = FACT_UNKNOWN;
        s->facts.login_entry = NULL;
        facts_take_app_password(&s->facts, s->arena, a->app, a->app_senders, a->app_networks);
        if (!a->data.len) {
            login_in(s);
            return;
        }
        /* RFC 4954 section 4: the last word of a mechanism goes as a challenge with an empty answer. */
        s->login_final = true;
        smtp_server_challenge(s->machine, a->data);
        return;
    case AUTH_REFUSED:
    case AUTH_MALFORMED:
    case AUTH_DOWN:
        refuse(s);
        return;
    }
}

static void delay_over(void *ctx) {
    struct session *s = ctx;
    session_idle_timer(s);
    answer_held(s);
    session_flush(s);
}

static void answered(void *ctx, const struct auth_answer *answer) {
    struct session *s = ctx;
    if (session_login_hold(&s->held, answer, s->arena)) {
        timer_set(s->accept->setup.loop, &s->timer, answer->delay_ms, delay_over, s);
        return;
    }
    answer_held(s);
    session_flush(s);
}

static void allowed(struct session *s, const struct verdict *v) {
    if (v->rc != OK) {
        session_refuse(s, v);
        return;
    }
    const struct login_attempt attempt = {
        .auth = s->accept->setup.auth,
        .facts = &s->facts,
        .tls = stream_tls(s->stream),
        .service = B("smtp"),
        .offered = bytes_str(s->offered),
        .has_initial = s->held.result == AUTH_CHALLENGE && s->held.data.at,
        .initial = s->held.data,
    };
    s->exchange = session_login(&attempt, answered, s);
}

void login_auth(void *ctx, struct bytes mechanism, bool has_initial, struct bytes initial) {
    struct session *s = ctx;
    s->facts.mechanism = arena_copy(s->arena, bytes_first(mechanism, 40));
    /* Kept in `held` until the decision is had: an empty initial response is not "none". */
    s->held = (struct auth_answer){ .result = AUTH_CHALLENGE,
                                    .data = has_initial && !initial.len ? B("") : initial };
    if (!has_initial)
        s->held.data = BYTES_NONE;
    ask_decision(s, STEP_AUTH, allowed);
}

void login_response(void *ctx, struct bytes response) {
    struct session *s = ctx;
    if (s->login_final) {
        login_in(s);
        return;
    }
    auth_step(s->exchange, response);
}

void login_cancel(void *ctx) {
    struct session *s = ctx;
    if (s->login_final)
        login_forget(s);
    login_end(s);
}
