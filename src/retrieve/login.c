/* login: USER and PASS, AUTH (RFC 5034), and what a login that succeeded earns: POP before SMTP. The
 * exchange itself is the keeper's; USER and PASS are its PLAIN. */
#include "flow/app_password.h"
#include "retrieve/internal.h"

#include <string.h>

void reader_auth_end(struct reader *s) {
    if (s->exchange)
        auth_end(&s->exchange);
    s->login_final = false;
}

void reader_forget(struct reader *s) {
    s->facts.login = BYTES_NONE;
    s->facts.login_entry = NULL;
    s->facts.login_state = FACT_UNKNOWN;
    facts_take_app_password(&s->facts, s->arena, BYTES_NONE, BYTES_NONE, BYTES_NONE);
}

/* --- what the keeper says ------------------------------------------------------------------ */

static void login_in(struct reader *s) {
    session_login_event(s->id, &s->facts);
    reader_auth_end(s);
    pop3_server_answer(s->machine, OK, NULL);
}

static void refuse(struct reader *s, const struct refusal *refusal) {
    struct why why;
    refusal_why(s->rules->config, refusal, &why);
    reader_auth_end(s);
    pop3_server_answer(s->machine, refusal->rc, &why);
}

static void refused(struct reader *s) {
    struct why why;
    struct refusal refusal = session_login_refusal(&s->facts, &s->held, &s->because);
    bool close = s->held.result == AUTH_REFUSED && s->held.close;
    session_login_guessed(s->id, &s->facts, &s->held);
    s->tried = s->held.result == AUTH_REFUSED ? s->held.login : BYTES_NONE;
    refuse(s, &refusal);
    s->tried = s->because = BYTES_NONE;
    if (!close || s->gone || s->closing)
        return;
    refusal_why(s->rules->config, &session_too_many_logins, &why);
    reader_end(s, &why);
}

/* The keeper's answer, once its delay is over. */
static void answer_held(struct reader *s) {
    const struct auth_answer *a = &s->held;
    switch (a->result) {
    case AUTH_CHALLENGE:
        pop3_server_challenge(s->machine, a->data);
        return;
    case AUTH_DONE:
        reader_forget(s);
        s->facts.login = arena_copy(s->arena, a->login);
        facts_take_app_password(&s->facts, s->arena, a->app, a->app_senders, a->app_networks);
        if (!a->data.len) {
            login_in(s);
            return;
        }
        /* RFC 5034 section 4: the last word of a mechanism goes as a challenge with an empty answer. */
        s->login_final = true;
        pop3_server_challenge(s->machine, a->data);
        return;
    case AUTH_REFUSED:
    case AUTH_MALFORMED:
    case AUTH_DOWN:
        refused(s);
        return;
    }
}

static void delay_over(void *ctx) {
    struct reader *s = ctx;
    reader_idle_timer(s);
    answer_held(s);
    reader_pump(s);
}

static void answered(void *ctx, const struct auth_answer *answer) {
    struct reader *s = ctx;
    if (session_login_hold(&s->held, answer, s->arena)) {
        timer_set(s->stage->setup.loop, &s->timer, answer->delay_ms, delay_over, s);
        return;
    }
    answer_held(s);
    reader_pump(s);
}

/* --- what the client says ------------------------------------------------------------------ */

static void ask_keeper(struct reader *s, bool has_initial, struct bytes initial) {
    const struct login_attempt attempt = {
        .auth = s->stage->setup.auth,
        .facts = &s->facts,
        .tls = stream_tls(s->stream),
        .service = B("pop"),
        .offered = bytes_str(s->offered),
        .has_initial = has_initial,
        .initial = initial,
    };
    s->exchange = session_login(&attempt, answered, s);
}

/* The mechanism's rules need no facts but those of the connection: nothing is asked for. */
static bool allowed(struct reader *s) {
    struct verdict v;
    s->facts.now = loop_wall(s->stage->setup.loop);
    s->stage->setup.decide(s->rules->config, STEP_AUTH, &s->facts, s->stage->scratch, &v);
    bool ok = v.rc == OK;
    if (!ok)
        reader_refuse(s, &v);
    arena_reset(s->stage->scratch);
    return ok;
}

void reader_auth(void *ctx, struct bytes mechanism, bool has_initial, struct bytes initial) {
    struct reader *s = ctx;
    s->facts.mechanism = arena_copy(s->arena, bytes_first(mechanism, 40));
    if (allowed(s))
        ask_keeper(s, has_initial, initial);
}

void reader_password(void *ctx, struct bytes user, struct bytes password) {
    struct reader *s = ctx;
    char memory[1024];
    struct buf b = buf_fixed(memory, sizeof memory);
    s->facts.mechanism = B("PLAIN");
    buf_char(&b, '\0');
    buf_add(&b, user);
    buf_char(&b, '\0');
    buf_add(&b, password);
    if (b.full)
        refuse(s, &session_wrong_login); /* a line is shorter: it cannot be */
    else if (allowed(s))
        ask_keeper(s, true, buf_bytes(&b));
    explicit_bzero(memory, sizeof memory);
}

void reader_response(void *ctx, struct bytes response) {
    struct reader *s = ctx;
    if (s->login_final)
        login_in(s);
    else
        auth_step(s->exchange, response);
}

void reader_cancel(void *ctx) {
    struct reader *s = ctx;
    if (s->login_final)
        reader_forget(s);
    reader_auth_end(s);
}
