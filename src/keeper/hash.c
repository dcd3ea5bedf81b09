/* hash: SCRAM's keys by OpenSSL, SASLprep by GNU SASL. What it held in between is wiped. */
#include "keeper/hash.h"

#include "base/must.h"

#include <gsasl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

/* --- SCRAM ------------------------------------------------------------------------------------- */

static const struct {
    size_t octets;
    const EVP_MD *(*digest)(void);
} hashes[SCRAM_HASHES] = {
    [SCRAM_SHA_256] = { 32, EVP_sha256 },
    [SCRAM_SHA_1] = { 20, EVP_sha1 },
};

size_t scram_octets(enum scram_hash h) {
    return hashes[h].octets;
}

static void hmac(enum scram_hash h, const uint8_t *key, struct bytes text, uint8_t *out) {
    unsigned len = 0;
    MUST(HMAC(hashes[h].digest(), key, (int)hashes[h].octets,
              (const uint8_t *)(text.len ? text.at : ""), text.len, out, &len));
    MUST(len == hashes[h].octets);
}

static void digest(enum scram_hash h, const uint8_t *of, uint8_t *out) {
    MUST(EVP_Digest(of, hashes[h].octets, out, NULL, hashes[h].digest(), NULL) == 1);
}

void scram_derive(const struct salting *s, enum scram_hash h, struct bytes password,
                  struct scram_keys *out) {
    uint8_t salted[HASH_OCTETS], client_key[HASH_OCTETS];
    *out = (struct scram_keys){ .is_set = true };
    MUST(PKCS5_PBKDF2_HMAC(password.len ? password.at : "", (int)password.len, s->salt, SALT_OCTETS,
                           (int)s->iterations, hashes[h].digest(), (int)hashes[h].octets,
                           salted) == 1);
    hmac(h, salted, B("Client Key"), client_key);
    digest(h, client_key, out->stored);
    hmac(h, salted, B("Server Key"), out->server);
    explicit_bzero(salted, sizeof salted);
    explicit_bzero(client_key, sizeof client_key);
}

bool scram_same(enum scram_hash h, const struct scram_keys *a, const struct scram_keys *b) {
    return a->is_set && b->is_set &&
           bytes_equal_secret(bytes_of(a->stored, hashes[h].octets),
                              bytes_of(b->stored, hashes[h].octets));
}

/* ClientKey is the proof without ClientSignature, and its hash is what is stored (section 3). */
bool scram_proves(enum scram_hash h, const struct scram_keys *keys, struct bytes auth_message,
                  struct bytes proof) {
    uint8_t key[HASH_OCTETS], hashed[HASH_OCTETS];
    if (!keys->is_set || proof.len != hashes[h].octets)
        return false;
    hmac(h, keys->stored, auth_message, key);
    for (size_t i = 0; i < proof.len; i++)
        key[i] ^= (uint8_t)proof.at[i];
    digest(h, key, hashed);
    explicit_bzero(key, sizeof key);
    return bytes_equal_secret(bytes_of(hashed, hashes[h].octets),
                              bytes_of(keys->stored, hashes[h].octets));
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

/* --- names and passwords ----------------------------------------------------------------------- */

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
