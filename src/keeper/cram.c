/* cram: CRAM-MD5 (RFC 2195) by GNU SASL, for logins that were given a reversible password on purpose:
 * the server must know the password itself. Each challenge is used once. */
#include "keeper/exchange.h"

#include <string.h>

/* Also for a login that has none: one that nobody knows. */
static int give_password(struct server *s, Gsasl_session *session) {
    char word[PASSWORD_MAX + 1], made_up[2 * HASH_OCTETS + 1];
    const char *authid = gsasl_property_fast(session, GSASL_AUTHID);
    struct buf name = buf_fixed(s->name, sizeof s->name);
    struct buf password = buf_fixed(word, sizeof word), other = buf_fixed(made_up, sizeof made_up);
    uint8_t mac[HASH_OCTETS];
    bool good = authid && prepare_login(bytes_str(authid), &name);
    s->name_len = name.len;
    s->lookup = checker_ready(s->checker, &s->why);
    if (s->lookup == OK)
        s->lookup = secrets_find(s->checker->secrets, buf_bytes(&name), &s->account, &s->why);
    s->real = good && s->account.found && !s->account.disabled && s->account.has_reversible;
    if (s->lookup == OK && s->real)
        s->lookup = secrets_reveal(s->checker->secrets, buf_bytes(&name), &password, &s->why);
    if (s->lookup != OK)
        return GSASL_AUTHENTICATION_ERROR;
    hash_hmac(s->checker->seed, HASH_PARTS(B("password"), buf_bytes(&name)), mac);
    buf_hex(&other, bytes_of(mac, sizeof mac));
    int code = gsasl_property_set(session, GSASL_PASSWORD,
                                  s->real ? buf_text(&password) : buf_text(&other));
    explicit_bzero(word, sizeof word);
    return code;
}

int cram_property(struct server *s, Gsasl_session *session, Gsasl_property property) {
    return property == GSASL_PASSWORD ? give_password(s, session) : GSASL_NO_CALLBACK;
}

static void failed(struct server *s, int code, struct server_answer *out) {
    if (s->lookup != OK)
        server_down(s, &s->why, out);
    else if (code == GSASL_AUTHENTICATION_ERROR)
        server_refused(s, s->name_len > 0, out);
    else
        server_malformed(s, gsasl_strerror(code), out);
}

/* "user digest": 32 hexadecimal digits behind the last blank. */
static bool well_formed(struct bytes input) {
    ptrdiff_t blank = bytes_find_last(input, ' ');
    struct bytes digest = bytes_skip(input, (size_t)(blank + 1));
    for (size_t i = 0; i < digest.len; i++)
        if (!ascii_is_digit(digest.at[i]) && (digest.at[i] < 'a' || digest.at[i] > 'f'))
            return false;
    return blank > 0 && blank <= LOGIN_MAX && digest.len == 32 && bytes_find(input, '\0') < 0;
}

void step_cram(struct server *s, bool has_input, struct bytes input, int64_t now,
               struct server_answer *out) {
    char *output = NULL;
    size_t len = 0;
    (void)now;
    /* RFC 2195 section 2: the server speaks first. */
    if (has_input && (s->steps == 1 || !well_formed(input))) {
        server_malformed(s,
                         s->steps == 1 ? "it has no initial response"
                                       : "expected the login, a blank and 32 hexadecimal digits",
                         out);
        return;
    }
    int code = s->session
                   ? GSASL_OK
                   : gsasl_server_start(s->checker->library, s->mechanism->name, &s->session);
    if (code != GSASL_OK) {
        struct why why;
        why_backend(&why, "backend.auth", "GNU SASL cannot begin CRAM-MD5: %s",
                    gsasl_strerror(code));
        server_down(s, &why, out);
        return;
    }
    gsasl_session_hook_set(s->session, s);
    code = gsasl_step(s->session, input.len ? input.at : "", input.len, &output, &len);
    memcpy(out->login, s->name, s->name_len);
    out->login_len = s->name_len;
    if (code == GSASL_NEEDS_MORE)
        server_challenge(bytes_of(output, output ? len : 0), out);
    else if (code == GSASL_OK && s->real)
        server_in(s, NULL, out);
    else if (code == GSASL_OK)
        server_refused(s, true, out);
    else
        failed(s, code, out);
    gsasl_free(output);
}
