/* login: USER and PASS, AUTH (RFC 5034), and what a login that succeeded earns: POP before SMTP. The
 * exchange itself is the keeper's; USER and PASS are its PLAIN. */
#include "flow/app_password.h"
#include "flow/certificate.h"
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
    struct event *e = event_begin("authenticated");
    reader_event_head(e, s);
    event_text(e, "mechanism", s->facts.mechanism);
    event_text(e, "app_password", s->facts.app_password);
    event_end(e);
    reader_auth_end(s);
    pop3_server_answer(s->machine, OK, NULL);
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

static bool is_token(const struct reader *s) {
    return bytes_equal_nocase(s->facts.mechanism, B("OAUTHBEARER")) ||
           bytes_equal_nocase(s->facts.mechanism, B("XOAUTH2"));
}

static void refuse(struct reader *s, const struct refusal *refusal) {
    struct why why;
    reader_why(s, refusal, &why);
    reader_auth_end(s);
    pop3_server_answer(s->machine, refusal->rc, &why);
}

static void tell_guessed(struct reader *s, const struct auth_answer *answer) {
    struct event *e = event_begin("login-guessed");
    reader_event_head(e, s);
    event_text(e, "login", answer->login);
    event_u64(e, "addresses", answer->guessed_from);
    event_str(e, "remedy",
              "Nothing is locked: the login goes on from where it has come in lately. See that its "
              "password is a long one");
    event_bool(e, "alarm", true);
    event_end(e);
}

static void refused(struct reader *s, const struct auth_answer *answer) {
    bool close = answer->close;
    struct refusal refusal = is_token(s) ? bad_token : wrong;
    if (answer->told)
        refusal.what = answer->why.text;
    if (answer->guessed_from)
        tell_guessed(s, answer);
    s->tried = answer->login;
    s->because = is_token(s) && !answer->told ? bytes_str(answer->why.text) : BYTES_NONE;
    refuse(s, &refusal);
    s->tried = s->because = BYTES_NONE;
    if (!close || s->gone || s->closing)
        return;
    struct why why;
    reader_why(s, &too_many, &why);
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
        refused(s, a);
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
    struct reader *s = ctx;
    reader_idle_timer(s);
    answer_held(s);
    reader_pump(s);
}

static void answered(void *ctx, const struct auth_answer *answer) {
    struct reader *s = ctx;
    s->held = *answer;
    if (answer->delay_ms > 0) {
        /* Views die with the callback, and a delayed answer is always a refusal. */
        s->held.data = BYTES_NONE;
        s->held.login = arena_copy(s->arena, answer->login);
        timer_set(s->stage->setup.loop, &s->timer, answer->delay_ms, delay_over, s);
        return;
    }
    answer_held(s);
    reader_pump(s);
}

/* --- what the client says ------------------------------------------------------------------ */

static void ask_keeper(struct reader *s, bool has_initial, struct bytes initial) {
    const struct tls_info *tls = stream_tls(s->stream);
    char memory[CERTIFICATES_MAX + 1];
    struct buf names = buf_fixed(memory, sizeof memory);
    facts_vouched_names(&s->facts, &names);
    struct auth_session session = {
        .mechanism = s->facts.mechanism,
        .client = s->facts.client,
        .service = B("pop"),
        .cb_exporter = tls ? tls->exporter : BYTES_NONE,
        .cb_unique = tls ? tls->unique : BYTES_NONE,
        .tls = tls != NULL,
        .client_spki = s->facts.client_spki,
        .client_names = buf_bytes(&names),
        .no_plus = bytes_search(bytes_str(s->offered), B("-PLUS")) < 0,
        .has_initial = has_initial,
        .initial = initial,
    };
    s->exchange = auth_begin(s->stage->setup.auth, &session, answered, s);
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
        refuse(s, &wrong); /* a line is shorter: it cannot be */
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
