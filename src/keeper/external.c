/* external: EXTERNAL (RFC 4422 appendix A): the client's certificate says who it is. The public key
 * is asked first, then the name that a trusted authority vouches for. */
#include "keeper/exchange.h"

static enum rc find(struct server *s, struct bytes certificate, struct buf *login,
                    struct why *why) {
    return login->len ? OK : secrets_find_certificate(s->checker->secrets, certificate, login, why);
}

static enum rc find_login(struct server *s, struct buf *login, struct why *why) {
    char text[12 + 2 * HASH_OCTETS + 1];
    struct buf key = buf_fixed(text, sizeof text);
    struct bytes rest = buf_bytes(&s->certificates), line;
    buf_str(&key, "spki-sha256:");
    buf_hex(&key, bytes_of(s->spki, HASH_OCTETS));
    enum rc rc = checker_ready(s->checker, why);
    if (rc == OK && s->has_spki)
        rc = find(s, buf_bytes(&key), login, why);
    while (rc == OK && s->has_spki && bytes_split(&rest, '\n', &line))
        rc = line.len ? find(s, line, login, why) : OK;
    return rc;
}

void step_external(struct server *s, bool has_input, struct bytes input, int64_t now,
                   struct server_answer *out) {
    struct buf login = buf_fixed(out->login, sizeof out->login);
    struct why why;
    (void)now;
    if (!has_input && s->steps == 1) {
        server_challenge(BYTES_NONE, out);
        return;
    }
    if (bytes_find(input, '\0') >= 0) {
        server_malformed(s, "a NUL in the identity", out);
        return;
    }
    enum rc rc = find_login(s, &login, &why);
    out->login_len = login.len;
    /* An identity asked for must be the one it has. */
    if (rc != OK)
        server_down(s, &why, out);
    else if (!login.len || (input.len && !server_same_login(input, buf_bytes(&login))))
        server_refused(s, false, out);
    else
        server_in(s, NULL, out);
}
