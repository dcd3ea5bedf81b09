/* token: a signed JSON Web Token in compact form, checked in the order of RFC 8725: form, algorithm,
 * key, signature, and only then what it claims. */
#include "oauth/keys.h"

#include "base/must.h"

#include <openssl/ecdsa.h>
#include <openssl/rsa.h>
#include <string.h>

enum { TRIED_MAX = 8 }; /* keys, for a token that does not name its own */

/* The key's kind must be the algorithm's, so a public key never serves as a shared secret, and
 * "none" and HS* are simply not here (RFC 8725 sections 2.1 and 3.1). */
static const struct algorithm {
    const char *name;
    enum oauth_key_kind kind;
    const char *digest;
    bool pss;
    size_t half; /* of an ECDSA signature */
} algorithms[] = {
    { "RS256", OAUTH_KEY_RSA, "SHA256", false, 0 },
    { "RS384", OAUTH_KEY_RSA, "SHA384", false, 0 },
    { "RS512", OAUTH_KEY_RSA, "SHA512", false, 0 },
    { "PS256", OAUTH_KEY_RSA, "SHA256", true, 0 },
    { "PS384", OAUTH_KEY_RSA, "SHA384", true, 0 },
    { "PS512", OAUTH_KEY_RSA, "SHA512", true, 0 },
    { "ES256", OAUTH_KEY_P256, "SHA256", false, 32 },
    { "ES384", OAUTH_KEY_P384, "SHA384", false, 48 },
    { "ES512", OAUTH_KEY_P521, "SHA512", false, 66 },
    { "EdDSA", OAUTH_KEY_EDWARDS, NULL, false, 0 },
};

static const char *const texts[OAUTH_FAULTS] = {
    [OAUTH_FINE] = "fine",
    [OAUTH_SHAPE] = "not a token that can be read",
    [OAUTH_ALGORITHM] = "signed in a way that is not taken",
    [OAUTH_NO_KEY] = "signed with a key that its issuer does not publish",
    [OAUTH_SIGNATURE] = "its signature is wrong",
    [OAUTH_ISSUER] = "from another issuer",
    [OAUTH_AUDIENCE] = "made for another service (audience)",
    [OAUTH_EXPIRED] = "expired",
    [OAUTH_EARLY] = "not valid yet",
    [OAUTH_NOBODY] = "it names no mailbox",
    [OAUTH_INACTIVE] = "its issuer says that it is not active",
};

const char *oauth_fault_text(enum oauth_fault fault) {
    return texts[fault];
}

struct parts {
    struct bytes signed_part, header, claims, signature; /* decoded but for the first */
};

static bool take_apart(struct arena *a, struct bytes token, struct parts *out) {
    ptrdiff_t first = bytes_find(token, '.'), last = bytes_find_last(token, '.');
    if (token.len > OAUTH_TOKEN_MAX || first < 1 || last <= first + 1)
        return false;
    struct bytes claims = bytes_slice(token, (size_t)first + 1, (size_t)last);
    out->signed_part = bytes_first(token, (size_t)last);
    return oauth_json_unbase64(a, bytes_first(token, (size_t)first), &out->header) &&
           oauth_json_unbase64(a, claims, &out->claims) &&
           oauth_json_unbase64(a, bytes_skip(token, (size_t)last + 1), &out->signature);
}

bool oauth_token_issuer(struct arena *a, struct bytes token, struct bytes *issuer_out) {
    struct parts p;
    *issuer_out = BYTES_NONE;
    if (!take_apart(a, token, &p) || !oauth_json_object(a, p.header))
        return false;
    const json_t *claims = oauth_json_object(a, p.claims);
    *issuer_out = oauth_json_text(claims, "iss");
    return claims != NULL;
}

/* --- the header ---------------------------------------------------------------------------------- */

static const struct algorithm *find_algorithm(struct bytes name) {
    for (size_t i = 0; i < COUNT_OF(algorithms); i++)
        if (bytes_equal(name, bytes_str(algorithms[i].name)))
            return &algorithms[i];
    return NULL;
}

/* A security event or a logout token is no access token, though the same key signs it (RFC 8725
 * section 3.11; RFC 9068 section 2.1). */
static bool is_type_fit(const json_t *header) {
    static const char *const types[] = { "JWT", "at+jwt", "application/at+jwt", "application/jwt" };
    struct bytes type;
    if (!oauth_json_optional(header, "typ", &type))
        return false;
    bool fit = !type.len;
    for (size_t i = 0; i < COUNT_OF(types); i++)
        fit |= bytes_equal_nocase(type, bytes_str(types[i]));
    return fit;
}

/* --- the signature --------------------------------------------------------------------------------- */

/* r and s side by side (RFC 7518 section 3.4) as OpenSSL wants them. */
static int ecdsa_der(struct bytes raw, unsigned char **out) {
    ECDSA_SIG *pair = ECDSA_SIG_new();
    size_t half = raw.len / 2;
    BIGNUM *r = BN_bin2bn((const unsigned char *)raw.at, (int)half, NULL);
    BIGNUM *s = BN_bin2bn((const unsigned char *)raw.at + half, (int)half, NULL);
    int len = -1;
    if (pair && r && s && ECDSA_SIG_set0(pair, r, s)) {
        r = s = NULL;
        len = i2d_ECDSA_SIG(pair, out);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return len;
}

static bool begin_verify(EVP_MD_CTX *ctx, const struct algorithm *alg, EVP_PKEY *key) {
    EVP_PKEY_CTX *how = NULL;
    if (EVP_DigestVerifyInit_ex(ctx, &how, alg->digest, NULL, NULL, key, NULL) != 1)
        return false;
    return !alg->pss || (EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
                         EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) == 1);
}

static bool verify(const struct parts *p, const struct algorithm *alg, EVP_PKEY *key) {
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char *der = NULL;
    const unsigned char *signature = (const unsigned char *)p->signature.at;
    size_t len = p->signature.len;
    MUST(ctx);
    bool good = len > 0 && begin_verify(ctx, alg, key);
    if (good && alg->half) {
        int made = len == 2 * alg->half ? ecdsa_der(p->signature, &der) : -1;
        good = made > 0;
        signature = der;
        len = good ? (size_t)made : 0;
    }
    good = good && EVP_DigestVerify(ctx, signature, len, (const unsigned char *)p->signed_part.at,
                                    p->signed_part.len) == 1;
    OPENSSL_free(der);
    EVP_MD_CTX_free(ctx);
    return good;
}

/* The key it names, or without a name each that fits. */
static enum oauth_fault check_signature(const struct parts *p, const struct algorithm *alg,
                                        struct bytes kid, const struct oauth_keys *keys) {
    enum oauth_fault fault = OAUTH_NO_KEY;
    unsigned tried = 0;
    for (size_t i = 0; keys && i < keys->count; i++) {
        const struct oauth_key *key = &keys->list[i];
        if (kid.len && !bytes_equal(kid, key->kid))
            continue;
        bool fits = key->kind == alg->kind &&
                    (!key->alg.len || bytes_equal(key->alg, bytes_str(alg->name)));
        if (!fits) {
            if (kid.len)
                fault = OAUTH_ALGORITHM;
            continue;
        }
        if (tried++ == TRIED_MAX)
            break;
        if (verify(p, alg, key->key))
            return OAUTH_FINE;
        if (kid.len)
            fault = OAUTH_SIGNATURE;
    }
    return fault;
}

enum oauth_fault oauth_token_check(struct arena *a, struct bytes token,
                                   const struct oauth_keys *keys, const struct oauth_policy *policy,
                                   int64_t now, struct oauth_token *out) {
    struct parts p;
    struct bytes kid;
    *out = (struct oauth_token){ .login = BYTES_NONE };
    if (!take_apart(a, token, &p))
        return OAUTH_SHAPE;
    const json_t *header = oauth_json_object(a, p.header);
    const json_t *claims = oauth_json_object(a, p.claims);
    if (!header || !claims || !oauth_json_optional(header, "kid", &kid) || !is_type_fit(header))
        return OAUTH_SHAPE;
    const struct algorithm *alg = find_algorithm(oauth_json_text(header, "alg"));
    /* What we do not understand and must (RFC 7515 section 4.1.11): nothing is understood here. */
    if (!alg || json_object_get(header, "crit"))
        return OAUTH_ALGORITHM;
    enum oauth_fault fault = check_signature(&p, alg, kid, keys);
    return fault ? fault : oauth_claims_check(a, claims, policy, now, true, out);
}
