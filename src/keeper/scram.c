/* scram: SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677) and SCRAM-SHA-1 by GNU SASL, with the keys of
 * secrets.db. A login that does not exist takes the same steps as one that does.
 *
 * The library knows one password a login. Which of several a client has shows in its proof alone:
 * so it is looked for before the library is given the message, and its keys are what the library gets. */
#include "base/must.h"
#include "keeper/exchange.h"

#include <stdio.h>
#include <string.h>

/* --- what GNU SASL asks ------------------------------------------------------------------------ */

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
    s->lookup = server_look_up(s, buf_bytes(&name), s->mechanism->hash, &s->why);
    s->real &= good;
    if (s->lookup != OK)
        return GSASL_AUTHENTICATION_ERROR;
    snprintf(digits, sizeof digits, "%u", s->account.salting.iterations);
    return gsasl_property_set(session, GSASL_SCRAM_ITER, digits);
}

static int give_binding(Gsasl_session *session, Gsasl_property property, const char *base64) {
    return *base64 ? gsasl_property_set(session, property, base64) : GSASL_NO_CALLBACK;
}

/* SCRAM-SHA-1-PLUS is not offered, so a client of SCRAM-SHA-1 that could bind is right to say "y". */
static const char *binding_of(const struct server *s, const char *base64) {
    return s->no_plus || s->mechanism->hash != SCRAM_SHA_256 ? "" : base64;
}

int scram_property(struct server *s, Gsasl_session *session, Gsasl_property property) {
    enum scram_hash h = s->mechanism->hash;
    const struct scram_keys *keys = &s->account.list[s->which].keys[h];
    switch (property) {
    case GSASL_CB_TLS_EXPORTER: /* without -PLUS: asked when the client says "y" */
        return give_binding(session, property, binding_of(s, s->exporter));
    case GSASL_CB_TLS_UNIQUE:
        return give_binding(session, property, binding_of(s, s->unique));
    case GSASL_SCRAM_ITER:
        return give_iterations(s, session);
    case GSASL_SCRAM_SALT:
        return give_base64(session, property, s->account.salting.salt, SALT_OCTETS);
    case GSASL_SCRAM_STOREDKEY:
        return give_base64(session, property, keys->stored, scram_octets(h));
    case GSASL_SCRAM_SERVERKEY:
        return give_base64(session, property, keys->server, scram_octets(h));
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
    server_in(s, &s->account.list[s->which], out);
    if (out->result != AUTH_DONE)
        buf_clear(&out->data);
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

/* --- which password -------------------------------------------------------------------------- */

/* "n,,n=user,r=..." without its gs2 header (RFC 5802 section 7). */
static struct bytes without_header(struct bytes first) {
    struct bytes part;
    bytes_split(&first, ',', &part);
    bytes_split(&first, ',', &part);
    return first;
}

/* AuthMessage (RFC 5802 section 3) grows with the exchange: the first two messages ... */
static void keep_said(struct server *s, struct bytes client, struct bytes server) {
    if (s->said.len)
        return;
    buf_add(&s->said, without_header(client));
    buf_char(&s->said, ',');
    buf_add(&s->said, server);
    buf_char(&s->said, ',');
}

/* ... and the last one's part before its proof. */
static void choose(struct server *s, struct bytes last) {
    char memory[64];
    struct buf proof = buf_fixed(memory, sizeof memory);
    enum scram_hash h = s->mechanism->hash;
    ptrdiff_t end = bytes_search(last, B(",p="));
    if (!s->said.len || end < 0 || !buf_unbase64(&proof, bytes_skip(last, (size_t)end + 3)))
        return; /* of a form that the library refuses */
    buf_add(&s->said, bytes_first(last, (size_t)end));
    for (size_t i = 0; i < s->account.count && !s->said.full; i++)
        if (scram_proves(h, &s->account.list[i].keys[h], buf_bytes(&s->said), buf_bytes(&proof)))
            s->which = i;
}

/* --- the exchange -------------------------------------------------------------------------------- */

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
    choose(s, input);
    int code = gsasl_step(s->session, input.len ? input.at : "", input.len, &output, &len);
    memcpy(out->login, s->name, s->name_len);
    out->login_len = s->name_len;
    if (code == GSASL_OK || code == GSASL_NEEDS_MORE)
        server_challenge(bytes_of(output, output ? len : 0), out);
    if (code == GSASL_NEEDS_MORE)
        keep_said(s, input, bytes_of(output, output ? len : 0));
    if (code == GSASL_OK)
        scram_done(s, out);
    else if (code != GSASL_NEEDS_MORE)
        scram_failed(s, code, out);
    gsasl_free(output);
}
