/* hash: SCRAM's keys by OpenSSL, SASLprep by GNU SASL. What it held in between is wiped. */
#include "keeper/hash.h"

#include "base/must.h"

#include <gsasl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

static void hmac_text(const uint8_t key[HASH_OCTETS], const char *text, uint8_t out[HASH_OCTETS]) {
    unsigned len = 0;
    MUST(HMAC(EVP_sha256(), key, HASH_OCTETS, (const uint8_t *)text, strlen(text), out, &len));
    MUST(len == HASH_OCTETS);
}

void secret_derive(struct secret *s, struct bytes password) {
    uint8_t salted[HASH_OCTETS], client_key[HASH_OCTETS];
    MUST(PKCS5_PBKDF2_HMAC(password.len ? password.at : "", (int)password.len, s->salt, SALT_OCTETS,
                           (int)s->iterations, EVP_sha256(), HASH_OCTETS, salted) == 1);
    hmac_text(salted, "Client Key", client_key);
    SHA256(client_key, HASH_OCTETS, s->stored_key);
    hmac_text(salted, "Server Key", s->server_key);
    explicit_bzero(salted, sizeof salted);
    explicit_bzero(client_key, sizeof client_key);
}

void hash_hmac(const uint8_t key[HASH_OCTETS], const struct bytes *parts, size_t count,
               uint8_t out[HASH_OCTETS]) {
    char memory[2 * (LOGIN_MAX + PASSWORD_MAX)];
    struct buf b = buf_fixed(memory, sizeof memory);
    for (size_t i = 0; i < count; i++)
        buf_lbytes(&b, parts[i]);
    MUST(!b.full);
    unsigned len = 0;
    MUST(HMAC(EVP_sha256(), key, HASH_OCTETS, (const uint8_t *)b.at, b.len, out, &len));
    explicit_bzero(memory, sizeof memory);
}

static bool prepare(struct bytes text, Gsasl_saslprep_flags flags, struct buf *out) {
    char plain[PASSWORD_MAX + 1];
    char *prepared = NULL;
    if (!text.len || text.len > PASSWORD_MAX || bytes_find(text, '\0') >= 0)
        return false;
    memcpy(plain, text.at, text.len);
    plain[text.len] = '\0';
    bool good = gsasl_saslprep(plain, flags, &prepared, NULL) == GSASL_OK && *prepared;
    explicit_bzero(plain, sizeof plain);
    if (prepared) {
        if (good)
            buf_str(out, prepared);
        explicit_bzero(prepared, strlen(prepared));
        gsasl_free(prepared);
    }
    return good && !out->full;
}

bool prepare_password(struct bytes password, bool to_store, struct buf *out) {
    return prepare(password, to_store ? 0 : GSASL_ALLOW_UNASSIGNED, out);
}

bool prepare_login(struct bytes login, struct buf *out) {
    if (login.len > LOGIN_MAX || !prepare(login, GSASL_ALLOW_UNASSIGNED, out))
        return false;
    for (size_t i = 0; i < out->len; i++)
        out->at[i] = ascii_lower(out->at[i]);
    return true;
}
