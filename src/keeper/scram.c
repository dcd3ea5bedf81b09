/* scram: SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677) by GNU SASL, with the keys of secrets.db. A login
 * that does not exist takes the same steps as one that does. */
#include "base/must.h"
#include "keeper/exchange.h"

#include <stdio.h>
#include <string.h>

/* --- what GNU SASL asks ------------------------------------------------------------------------------------- */

static int give_base64(Gsasl_session *session, Gsasl_property property, const void *at,
                       size_t size) {
    char text[128];
    struct buf b = buf_fixed(text, sizeof text);
    buf_base64(&b, bytes_of(at, size));
    int code = gsasl_property_set_raw(session, property, b.at, b.len);
    explicit_bzero(text, sizeof text);
    return code;
}

static int give_iterations(struct server *s, Gsasl_session *session) {
    char digits[16];
    const char *authid = gsasl_property_fast(session, GSASL_AUTHID);
    struct buf name = buf_fixed(s->name, sizeof s->name);
    bool good = authid && prepare_login(bytes_str(authid), &name);
    s->name_len = name.len;
    s->lookup = checker_look_up(s->checker, buf_bytes(&name), &s->secret, &s->real, &s->why);
    s->real &= good;
    if (s->lookup != OK)
        return GSASL_AUTHENTICATION_ERROR;
    snprintf(digits, sizeof digits, "%u", s->secret.iterations);
    return gsasl_property_set(session, GSASL_SCRAM_ITER, digits);
}

static int give_binding(Gsasl_session *session, Gsasl_property property, const char *base64) {
    return *base64 ? gsasl_property_set(session, property, base64) : GSASL_NO_CALLBACK;
}

int scram_property(Gsasl *library, Gsasl_session *session, Gsasl_property property) {
    struct server *s = gsasl_session_hook_get(session);
    (void)library;
    switch (property) {
    case GSASL_CB_TLS_EXPORTER: /* without -PLUS: asked when the client says "y" */
        return give_binding(session, property, s->no_plus ? "" : s->exporter);
    case GSASL_CB_TLS_UNIQUE:
        return give_binding(session, property, s->no_plus ? "" : s->unique);
    case GSASL_SCRAM_ITER:
        return give_iterations(s, session);
    case GSASL_SCRAM_SALT:
        return give_base64(session, property, s->secret.salt, SALT_OCTETS);
    case GSASL_SCRAM_STOREDKEY:
        return give_base64(session, property, s->secret.stored_key, HASH_OCTETS);
    case GSASL_SCRAM_SERVERKEY:
        return give_base64(session, property, s->secret.server_key, HASH_OCTETS);
    default:
        return GSASL_NO_CALLBACK;
    }
}

static bool scram_begin(struct server *s, struct server_answer *out) {
    if (s->session)
        return true;
    int code = gsasl_server_start(s->checker->library, s->mechanism->name, &s->session);
    if (code == GSASL_OK) {
        gsasl_session_hook_set(s->session, s);
        return true;
    }
    struct why why;
    why_backend(&why, "backend.auth", "GNU SASL cannot begin %s: %s", s->mechanism->name,
                gsasl_strerror(code));
    server_down(s, &why, out);
    return false;
}

static void scram_done(struct server *s, struct server_answer *out) {
    const char *authzid = gsasl_property_fast(s->session, GSASL_AUTHZID);
    struct bytes name = bytes_of(s->name, s->name_len);
    if (!s->real || (authzid && *authzid && !server_same_login(bytes_str(authzid), name))) {
        buf_clear(&out->data);
        server_refused(s, !s->real, out);
        return;
    }
    server_end(s, AUTH_DONE, out);
}

static void scram_failed(struct server *s, int code, struct server_answer *out) {
    if (s->lookup != OK)
        server_down(s, &s->why, out);
    else if (code == GSASL_MALLOC_ERROR || code == GSASL_CRYPTO_ERROR)
        server_down(s, &(struct why){ .reason = "backend.auth", .text = "GNU SASL failed" }, out);
    else if (code == GSASL_AUTHENTICATION_ERROR || code == GSASL_NO_CB_TLS_EXPORTER ||
             code == GSASL_NO_CB_TLS_UNIQUE)
        server_refused(s, s->name_len > 0, out);
    else
        server_malformed(s, gsasl_strerror(code), out);
}

void step_scram(struct server *s, bool has_input, struct bytes input, int64_t now,
                struct server_answer *out) {
    char *output = NULL;
    size_t len = 0;
    (void)now;
    if (!has_input && s->steps == 1) {
        server_challenge(BYTES_NONE, out);
        return;
    }
    /* RFC 5802 section 6: binding belongs to -PLUS; GNU SASL would let this pass unchecked. */
    if (!s->session && !s->mechanism->plus && bytes_starts(input, B("p="))) {
        server_malformed(s, "channel binding needs SCRAM-SHA-256-PLUS", out);
        return;
    }
    if (bytes_find(input, '\0') >= 0) {
        server_malformed(s, "a NUL in the message", out);
        return;
    }
    if (!scram_begin(s, out))
        return;
    int code = gsasl_step(s->session, input.len ? input.at : "", input.len, &output, &len);
    memcpy(out->login, s->name, s->name_len);
    out->login_len = s->name_len;
    if (code == GSASL_OK || code == GSASL_NEEDS_MORE)
        server_challenge(bytes_of(output, output ? len : 0), out);
    if (code == GSASL_OK)
        scram_done(s, out);
    else if (code != GSASL_NEEDS_MORE)
        scram_failed(s, code, out);
    gsasl_free(output);
}
