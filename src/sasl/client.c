/* client: our side of a login at somebody else's server. This file alone knows GNU SASL's client
 * calls and which mechanism is the better one. */
#include "sasl/sasl.h"

#include "base/buf.h"
#include "base/must.h"
#include "oauth/oauth.h"

#include <gsasl.h>
#include <string.h>

enum { CHALLENGE_MAX = 16 * 1024, STEPS_MAX = 8, SECRET_MAX = 1024 };

/* Best first. */
static const struct mechanism {
    const char *name;
    bool initial;   /* the client speaks first */
    bool binding;   /* needs channel binding data */
    bool plaintext; /* hands the password over */
    bool proves;    /* the server must show that it knows the password */
    bool token;     /* a token instead of a password, in a message of this form: */
    enum oauth_mechanism form;
} mechanisms[] = {
    { "OAUTHBEARER", .initial = true, .plaintext = true, .token = true, .form = OAUTH_BEARER },
    { "XOAUTH2", .initial = true, .plaintext = true, .token = true, .form = OAUTH_XOAUTH2 },
    { "SCRAM-SHA-256-PLUS", .initial = true, .binding = true, .proves = true },
    { "SCRAM-SHA-256", .initial = true, .proves = true },
    { "SCRAM-SHA-1", .initial = true, .proves = true },
    { "CRAM-MD5", .initial = false },
    { "PLAIN", .initial = true, .plaintext = true },
    { "LOGIN", .initial = false, .plaintext = true },
};

struct sasl_client {
    struct arena *arena;
    struct sasl_client_setup setup;
    const struct mechanism *mechanism;
    struct bytes initial;
    Gsasl *library;
    Gsasl_session *session;
    unsigned steps;
    bool done; /* GNU SASL is satisfied, with SCRAM's server signature too */
    bool broken;
};

/* --- choice ------------------------------------------------------------------------------------ */

static bool has_binding(const struct sasl_client_setup *s) {
    return s->cb_exporter.len || s->cb_unique.len;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static bool not_blank(char c) {
    return !is_blank(c);
}

static bool is_offered(struct bytes offered, const char *name) {
    while (offered.len) {
        size_t skip = 0, end;
        while (skip < offered.len && is_blank(offered.at[skip]))
            skip++;
        for (end = skip; end < offered.len && not_blank(offered.at[end]); end++)
            ;
        if (bytes_equal_nocase(bytes_slice(offered, skip, end), bytes_str(name)))
            return true;
        offered = bytes_skip(offered, end);
    }
    return false;
}

static bool is_usable(const struct mechanism *m, const struct sasl_client_setup *s) {
    if ((m->binding && !has_binding(s)) || m->token != (s->token.len > 0))
        return false;
    return !m->plaintext || s->tls || s->plaintext_allowed;
}

static const struct mechanism *choose(const struct sasl_client_setup *s, bool *unsafe_out) {
    *unsafe_out = false;
    for (size_t i = 0; i < COUNT_OF(mechanisms); i++) {
        if (!is_offered(s->mechanisms, mechanisms[i].name))
            continue;
        if (is_usable(&mechanisms[i], s))
            return &mechanisms[i];
        *unsafe_out |= mechanisms[i].plaintext && mechanisms[i].token == (s->token.len > 0);
    }
    return NULL;
}

static enum rc none_fits(const struct sasl_client_setup *s, bool unsafe, struct why *why) {
    if (unsafe)
        return why_set(why, PERM, 538, "5.7.11", "auth.mechanism",
                       "The server takes the secret in the clear only (%.*s) and the connection is "
                       "not encrypted: set tls = verify or require on this route",
                       BYTES_FMT(bytes_first(s->mechanisms, 200)));
    if (!s->mechanisms.len)
        return why_set(why, PERM, 504, "5.5.4", "auth.mechanism",
                       "The server offers no login on this connection: another port (587, 465), or "
                       "tls = verify, may be what it wants");
    if (s->token.len)
        return why_set(why, PERM, 504, "5.5.4", "auth.mechanism",
                       "The server offers %.*s; neither OAUTHBEARER nor XOAUTH2 is among them, so "
                       "it takes no token: give this route's login a password",
                       BYTES_FMT(bytes_first(s->mechanisms, 200)));
    return why_set(why, PERM, 504, "5.5.4", "auth.mechanism",
                   "The server offers %.*s; none of SCRAM-SHA-256(-PLUS), SCRAM-SHA-1, CRAM-MD5, "
                   "PLAIN, LOGIN is among them",
                   BYTES_FMT(bytes_first(s->mechanisms, 200)));
}

/* --- GNU SASL ---------------------------------------------------------------------------------- */

static int give(Gsasl_session *session, Gsasl_property property, struct bytes value) {
    return gsasl_property_set_raw(session, property, value.len ? value.at : "", value.len);
}

static int give_binding(const struct sasl_client *c, Gsasl_session *session,
                        Gsasl_property property, struct bytes value) {
    char text[256];
    struct buf b = buf_fixed(text, sizeof text);
    if (!value.len || !c->mechanism->binding)
        return GSASL_NO_CALLBACK;
    buf_base64(&b, value);
    MUST(!b.full);
    return give(session, property, buf_bytes(&b));
}

/* The library refuses a mechanism without -PLUS when it gets binding data, so it is given them for
 * -PLUS alone. */
static int on_property(Gsasl *library, Gsasl_session *session, Gsasl_property property) {
    const struct sasl_client *c = gsasl_callback_hook_get(library);
    const struct sasl_client_setup *s = &c->setup;
    switch (property) {
    case GSASL_AUTHID:
        return give(session, property, s->user);
    case GSASL_PASSWORD:
        return give(session, property, s->password);
    case GSASL_SERVICE:
        return give(session, property, s->service);
    case GSASL_HOSTNAME:
        return give(session, property, s->host);
    case GSASL_CB_TLS_EXPORTER:
        return give_binding(c, session, property, s->cb_exporter);
    case GSASL_CB_TLS_UNIQUE:
        return give_binding(c, session, property, s->cb_unique);
    default:
        return GSASL_NO_CALLBACK;
    }
}

static void wipe(struct bytes secret) {
    if (secret.len)
        explicit_bzero((char *)(uintptr_t)secret.at, secret.len);
}

static void shut(void *arg) {
    struct sasl_client *c = arg;
    if (c->session)
        gsasl_finish(c->session);
    if (c->library)
        gsasl_done(c->library);
    c->session = NULL;
    c->library = NULL;
    wipe(c->setup.password);
    wipe(c->setup.token);
    wipe(c->initial);
}

static enum rc start(struct sasl_client *c, struct why *why) {
    int code = gsasl_init(&c->library);
    if (code == GSASL_OK) {
        gsasl_callback_set(c->library, on_property);
        gsasl_callback_hook_set(c->library, c);
        code = gsasl_client_start(c->library, c->mechanism->name, &c->session);
    }
    if (code == GSASL_OK)
        return OK;
    c->broken = true;
    return why_backend(why, "backend.auth", "GNU SASL cannot begin %s: %s", c->mechanism->name,
                       gsasl_strerror(code));
}

static enum rc fail(struct sasl_client *c, int code, struct why *why) {
    c->broken = true;
    if (code == GSASL_SASLPREP_ERROR)
        return why_set(why, PERM, 535, "5.7.8", "auth.failed",
                       "User or password of this route hold characters that SASLprep forbids");
    return why_set(why, PERM, 535, "5.7.8", "auth.failed",
                   "The server's part of %s is wrong (%s): it does not know the password, or the "
                   "connection is tampered with",
                   c->mechanism->name, gsasl_strerror(code));
}

/* One call of the library's step; its output is copied into the arena and wiped. */
static enum rc turn(struct sasl_client *c, struct bytes input, struct bytes *out, struct why *why) {
    char *output = NULL;
    size_t len = 0;
    int code = gsasl_step(c->session, input.len ? input.at : "", input.len, &output, &len);
    *out = code == GSASL_OK || code == GSASL_NEEDS_MORE
               ? arena_copy(c->arena, bytes_of(output, output ? len : 0))
               : BYTES_NONE;
    if (output) {
        explicit_bzero(output, len);
        gsasl_free(output);
    }
    c->done = code == GSASL_OK;
    return code == GSASL_OK || code == GSASL_NEEDS_MORE ? OK : fail(c, code, why);
}

/* --- tokens ------------------------------------------------------------------------------------ */

static struct bytes token_message(struct sasl_client *c) {
    struct buf b = buf_grow(2 * OAUTH_TOKEN_MAX);
    struct oauth_message m = { c->setup.user, c->setup.token };
    oauth_message_format(&b, c->mechanism->form, &m, c->setup.host, c->setup.port);
    struct bytes message = arena_copy(c->arena, buf_bytes(&b));
    explicit_bzero(b.at, b.len);
    buf_free(&b);
    return message;
}

/* A challenge says that the token is refused, and wants an answer before the refusal itself comes (RFC
 * 7628 section 3.2.3); an empty one, that the message was overlooked. */
static enum rc token_step(struct sasl_client *c, struct bytes challenge,
                          struct bytes *response_out) {
    bool again = c->steps == 1 && !challenge.len;
    *response_out = again ? c->initial : oauth_message_dummy(c->mechanism->form);
    return OK;
}

/* --- the calls --------------------------------------------------------------------------------- */

static struct sasl_client_setup copy_setup(struct arena *a, const struct sasl_client_setup *s) {
    return (struct sasl_client_setup){
        .mechanisms = arena_copy(a, s->mechanisms),
        .user = arena_copy(a, s->user),
        .password = arena_copy(a, s->password),
        .token = arena_copy(a, s->token),
        .service = arena_copy(a, s->service),
        .host = arena_copy(a, s->host),
        .port = s->port,
        .tls = s->tls,
        .plaintext_allowed = s->plaintext_allowed,
        .cb_exporter = arena_copy(a, bytes_first(s->cb_exporter, 128)),
        .cb_unique = arena_copy(a, bytes_first(s->cb_unique, 128)),
    };
}

static bool has_nul(struct bytes text) {
    return bytes_find(text, '\0') >= 0;
}

enum rc sasl_client_open(struct arena *a, const struct sasl_client_setup *setup,
                         struct sasl_client **out, struct why *why) {
    bool unsafe;
    *out = NULL;
    const struct mechanism *m = choose(setup, &unsafe);
    if (!m)
        return none_fits(setup, unsafe, why);
    if (!setup->user.len || setup->user.len > SECRET_MAX || setup->password.len > SECRET_MAX ||
        setup->token.len > OAUTH_TOKEN_MAX || has_nul(setup->user) || has_nul(setup->password))
        return why_set(why, PERM, 535, "5.7.8", "auth.failed",
                       "User or password of this route are empty, too long or hold a NUL");
    struct sasl_client *c = ARENA_NEW(a, struct sasl_client);
    c->arena = a;
    c->setup = copy_setup(a, setup);
    c->mechanism = m;
    arena_defer(a, shut, c);
    enum rc rc = m->token ? OK : start(c, why);
    if (m->token)
        c->initial = token_message(c);
    else if (rc == OK && m->initial)
        rc = turn(c, BYTES_NONE, &c->initial, why);
    if (rc == OK)
        *out = c;
    return rc;
}

struct bytes sasl_client_mechanism(const struct sasl_client *c) {
    return bytes_str(c->mechanism->name);
}

bool sasl_client_initial(const struct sasl_client *c, struct bytes *initial_out) {
    *initial_out = c->initial;
    return c->mechanism->initial;
}

static enum rc nonsense(struct sasl_client *c, const char *text, struct why *why) {
    c->broken = true;
    return why_set(why, PERM, 535, "5.7.8", "auth.failed", "%s challenge in %s", text,
                   c->mechanism->name);
}

enum rc sasl_client_step(struct sasl_client *c, struct bytes challenge, struct bytes *response_out,
                         struct why *why) {
    *response_out = BYTES_NONE;
    if (c->broken || c->done || ++c->steps > STEPS_MAX)
        return nonsense(c, "The server sent an unexpected", why);
    if (challenge.len > CHALLENGE_MAX)
        return nonsense(c, "The server sent an oversize", why);
    if (c->mechanism->token)
        return token_step(c, challenge, response_out);
    /* A server that overlooks the initial response of PLAIN asks for it with an empty challenge. */
    return turn(c, challenge, response_out, why);
}

enum rc sasl_client_finish(struct sasl_client *c, struct why *why) {
    if (!c->broken && (c->done || !c->mechanism->proves))
        return OK;
    return why_set(why, PERM, 535, "5.7.8", "auth.failed",
                   "The server accepted the login without proving that it knows the password (%s): "
                   "it may not be the server it claims to be",
                   c->mechanism->name);
}
