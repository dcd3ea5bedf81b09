/* login: AUTH (RFC 4954). The exchange itself is the keeper's; here is when it may begin, what the
 * client is told, and what it means for the session. */
#include "accept/internal.h"
#include "flow/app_password.h"
#include "flow/certificate.h"

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
    struct event *e = event_begin("authenticated");
    session_event_head(e, s);
    event_text(e, "mechanism", s->facts.mechanism);
    event_text(e, "app_password", s->facts.app_password);
    event_end(e);
    login_end(s);
    session_offer(s);
    why_set(&why, OK, 235, "2.7.0", "", "Authentication successful");
    smtp_server_answer(s->machine, OK, &why);
}

static const struct refusal wrong = {
    PERM,
    535,
    "5.7.8",
    "auth.failed",
    "Wrong login or password",
    "Check both (the login is the whole mail address), or have the password set anew",
}, too_many = {
    TEMP,
    421,
    "4.7.0",
    "auth.failed",
    "Too many failed logins: closing",
    "Wait some minutes, then correct the password that is stored in the mail program",
}, malformed = {
    PERM,
    501,
    "5.5.2",
    "syntax.auth",
    "This answer does not follow the mechanism's form",
    "Try another way to log in, or another program: this one does not speak this mechanism",
}, down = {
    TEMP,
    454,
    "4.7.0",
    "backend.auth",
    "Logins cannot be checked for the moment; this is our fault",
    "Try again in some minutes",
}, no_provider = {
    TEMP,
    454,
    "4.7.0",
    "backend.oauth",
    "Tokens cannot be checked for the moment: their provider does not answer as it should",
    "Try again in some minutes",
}, bad_token = {
    PERM,
    535,
    "5.7.8",
    "auth.failed",
    "The token is not good",
    "Let the mail program log in at its provider again, for this mailbox and this service",
};

static bool is_token(const struct session *s) {
    return bytes_equal_nocase(s->facts.mechanism, B("OAUTHBEARER")) ||
           bytes_equal_nocase(s->facts.mechanism, B("XOAUTH2"));
}

static void refuse(struct session *s, const struct refusal *refusal) {
    struct why why;
    session_why(s, refusal, &why);
    login_end(s);
    smtp_server_answer(s->machine, refusal->rc, &why);
}

/* One address that guesses slows itself down; many at one login are somebody's work. */
static void tell_guessed(struct session *s, const struct auth_answer *answer) {
    struct event *e = event_begin("login-guessed");
    session_event_head(e, s);
    event_text(e, "login", answer->login);
    event_u64(e, "addresses", answer->guessed_from);
    event_str(e, "remedy",
              "Nothing is locked: the login goes on from where it has come in lately. See that its "
              "password is a long one");
    event_bool(e, "alarm", true);
    event_end(e);
}

static void refused(struct session *s, const struct auth_answer *answer) {
    bool close = answer->close;
    if (answer->guessed_from)
        tell_guessed(s, answer);
    struct refusal refusal = is_token(s) ? bad_token : wrong;
    if (answer->told)
        refusal.what = answer->why.text;
    refuse(s, &refusal);
    if (close && !s->gone) {
        struct why why;
        session_why(s, &too_many, &why);
        session_end(s, &why);
    }
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
        s->tried = a->login;
        s->because = is_token(s) && !a->told ? bytes_str(a->why.text) : BYTES_NONE;
        refused(s, a);
        s->tried = s->because = BYTES_NONE;
        return;
    case AUTH_MALFORMED:
        refuse(s, &malformed);
        return;
    case AUTH_DOWN:
        s->because = bytes_str(a->why.text);
        refuse(s, bytes_equal(bytes_str(a->why.reason), B("backend.oauth")) ? &no_provider : &down);
        s->because = BYTES_NONE;
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
    s->held = *answer;
    if (answer->delay_ms > 0) {
        /* Views die with the callback, and a delayed answer is always a refusal. */
        s->held.data = BYTES_NONE;
        s->held.login = arena_copy(s->arena, answer->login);
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
    const struct tls_info *tls = stream_tls(s->stream);
    char memory[CERTIFICATES_MAX + 1];
    struct buf names = buf_fixed(memory, sizeof memory);
    facts_vouched_names(&s->facts, &names);
    struct auth_session session = {
        .mechanism = s->facts.mechanism,
        .client = s->facts.client,
        .service = B("smtp"),
        .cb_exporter = tls ? tls->exporter : BYTES_NONE,
        .cb_unique = tls ? tls->unique : BYTES_NONE,
        .tls = tls != NULL,
        .client_spki = s->facts.client_spki,
        .client_names = buf_bytes(&names),
        .no_plus = bytes_search(bytes_str(s->offered), B("-PLUS")) < 0,
        .has_initial = s->held.result == AUTH_CHALLENGE && s->held.data.at,
        .initial = s->held.data,
    };
    s->exchange = auth_begin(s->accept->setup.auth, &session, answered, s);
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
