/* login: what the keeper is asked and what its answer means to the client, in one place for all protocols. */
#include "flow/certificate.h"
#include "session/session.h"

const struct refusal session_wrong_login = {
    PERM,
    535,
    "5.7.8",
    "auth.failed",
    "Wrong login or password",
    "Check both (the login is the whole mail address), or have the password set anew",
}, session_too_many_logins = {
    TEMP,
    421,
    "4.7.0",
    "auth.failed",
    "Too many failed logins: closing",
    "Wait some minutes, then correct the password that is stored in the mail program",
};

static const struct refusal malformed = {
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

static bool is_token(const struct facts *f) {
    return bytes_equal_nocase(f->mechanism, B("OAUTHBEARER")) ||
           bytes_equal_nocase(f->mechanism, B("XOAUTH2"));
}

struct auth_exchange *session_login(const struct login_attempt *l, auth_answered *on_answer,
                                    void *ctx) {
    const struct facts *f = l->facts;
    const struct tls_info *tls = l->tls;
    char memory[CERTIFICATES_MAX + 1];
    struct buf names = buf_fixed(memory, sizeof memory);
    facts_vouched_names(f, &names);
    struct auth_session session = {
        .mechanism = f->mechanism,
        .client = f->client,
        .service = l->service,
        .cb_exporter = tls ? tls->exporter : BYTES_NONE,
        .cb_unique = tls ? tls->unique : BYTES_NONE,
        .tls = tls != NULL,
        .client_spki = f->client_spki,
        .client_names = buf_bytes(&names),
        .no_plus = bytes_search(l->offered, B("-PLUS")) < 0,
        .has_initial = l->has_initial,
        .initial = l->initial,
    };
    return auth_begin(l->auth, &session, on_answer, ctx);
}

bool session_login_hold(struct auth_answer *held, const struct auth_answer *answer,
                        struct arena *a) {
    *held = *answer;
    if (answer->delay_ms <= 0)
        return false;
    /* Views die with the callback, and a delayed answer is always a refusal. */
    held->data = BYTES_NONE;
    held->login = arena_copy(a, answer->login);
    return true;
}

static struct refusal refused(const struct facts *f, const struct auth_answer *answer,
                              struct bytes *because_out) {
    struct refusal r = is_token(f) ? bad_token : session_wrong_login;
    if (answer->told)
        r.what = answer->why.text;
    else if (is_token(f))
        *because_out = bytes_str(answer->why.text);
    return r;
}

struct refusal session_login_refusal(const struct facts *f, const struct auth_answer *answer,
                                     struct bytes *because_out) {
    *because_out = BYTES_NONE;
    if (answer->result == AUTH_REFUSED)
        return refused(f, answer, because_out);
    if (answer->result == AUTH_MALFORMED)
        return malformed;
    *because_out = bytes_str(answer->why.text);
    return bytes_equal(bytes_str(answer->why.reason), B("backend.oauth")) ? no_provider : down;
}

void session_login_guessed(const char *id, const struct facts *f,
                           const struct auth_answer *answer) {
    if (answer->result != AUTH_REFUSED || !answer->guessed_from)
        return;
    struct event *e = event_begin("login-guessed");
    session_event_caller(e, id, f);
    event_text(e, "login", answer->login);
    event_u64(e, "addresses", answer->guessed_from);
    event_str(e, "remedy",
              "Nothing is locked: the login goes on from where it has come in lately. See that its "
              "password is a long one");
    event_bool(e, "alarm", true);
    event_end(e);
}

void session_login_event(const char *id, const struct facts *f) {
    struct event *e = event_begin("authenticated");
    session_event_caller(e, id, f);
    event_text(e, "mechanism", f->mechanism);
    event_text(e, "app_password", f->app_password);
    event_end(e);
}
