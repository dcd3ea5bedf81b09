/* jose: a provider's part, for tests: keys, key sets and signed tokens, made with OpenSSL. */
#ifndef TESTS_JOSE_H
#define TESTS_JOSE_H

#include "base/buf.h"
#include "base/must.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void jose_base64url(struct buf *out, struct bytes data) {
    struct buf b = buf_grow(2 * data.len + 16);
    buf_base64(&b, data);
    while (b.len && b.at[b.len - 1] == '=')
        b.len--;
    for (size_t i = 0; i < b.len; i++)
        buf_char(out, b.at[i] == '+' ? '-' : b.at[i] == '/' ? '_' : b.at[i]);
    buf_free(&b);
}

/* "RSA", "RSA1024", "P-256", "P-384", "P-521", "ED25519", "ED448" */
static inline EVP_PKEY *jose_make(const char *type) {
    EVP_PKEY *key = NULL;
    if (!strncmp(type, "RSA", 3))
        key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)(type[3] ? atoi(type + 3) : 2048));
    else if (type[0] == 'P')
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", type);
    else
        key = EVP_PKEY_Q_keygen(NULL, NULL, type);
    MUST(key);
    return key;
}

static inline void jose_number(struct buf *out, EVP_PKEY *key, const char *name, size_t width) {
    BIGNUM *n = NULL;
    unsigned char octets[2048];
    MUST(EVP_PKEY_get_bn_param(key, name, &n));
    size_t len = width ? width : (size_t)BN_num_bytes(n);
    MUST(BN_bn2binpad(n, octets, (int)len) == (int)len);
    jose_base64url(out, bytes_of(octets, len));
    BN_free(n);
}

/* One key of a set; `more` is members to be added: ,"alg":"RS256" */
static inline void jose_jwk(struct buf *out, EVP_PKEY *key, const char *kid, const char *more) {
    if (kid)
        buf_printf(out, "{\"kid\":\"%s\",", kid);
    else
        buf_char(out, '{');
    if (EVP_PKEY_is_a(key, "RSA")) {
        buf_str(out, "\"kty\":\"RSA\",\"n\":\"");
        jose_number(out, key, OSSL_PKEY_PARAM_RSA_N, 0);
        buf_str(out, "\",\"e\":\"");
        jose_number(out, key, OSSL_PKEY_PARAM_RSA_E, 0);
    } else if (EVP_PKEY_is_a(key, "EC")) {
        int bits = EVP_PKEY_get_bits(key);
        size_t width = (size_t)(bits + 7) / 8;
        buf_printf(out, "\"kty\":\"EC\",\"crv\":\"P-%d\",\"x\":\"", bits);
        jose_number(out, key, OSSL_PKEY_PARAM_EC_PUB_X, width);
        buf_str(out, "\",\"y\":\"");
        jose_number(out, key, OSSL_PKEY_PARAM_EC_PUB_Y, width);
    } else {
        unsigned char octets[64];
        size_t len = sizeof octets;
        MUST(EVP_PKEY_get_raw_public_key(key, octets, &len));
        buf_printf(out, "\"kty\":\"OKP\",\"crv\":\"%s\",\"x\":\"", len == 32 ? "Ed25519" : "Ed448");
        jose_base64url(out, bytes_of(octets, len));
    }
    buf_printf(out, "\"%s}", more ? more : "");
}

static inline void jose_ecdsa_raw(struct buf *out, const unsigned char *der, size_t len,
                                  size_t half) {
    unsigned char raw[132];
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
    MUST(pair);
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, (int)half);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + half, (int)half);
    buf_add(out, bytes_of(raw, 2 * half));
    ECDSA_SIG_free(pair);
}

static inline void jose_signature(struct buf *out, EVP_PKEY *key, const char *digest, bool pss,
                                  struct bytes text) {
    unsigned char signature[2048];
    size_t len = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *how = NULL;
    MUST(EVP_DigestSignInit_ex(ctx, &how, digest, NULL, NULL, key, NULL) == 1);
    if (pss) {
        EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST);
    }
    MUST(EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text.at, text.len) == 1);
    if (EVP_PKEY_is_a(key, "EC"))
        jose_ecdsa_raw(out, signature, len, (size_t)(EVP_PKEY_get_bits(key) + 7) / 8);
    else
        buf_add(out, bytes_of(signature, len));
    EVP_MD_CTX_free(ctx);
}

/* header and claims are JSON. alg chooses how it is signed; "HS256" signs with `secret`. */
static inline void jose_sign(struct buf *out, const char *alg, EVP_PKEY *key, const char *header,
                             const char *claims) {
    char memory[2048];
    struct buf signature = buf_fixed(memory, sizeof memory);
    const char *digest = strstr(alg, "384") ? "SHA384" : strstr(alg, "512") ? "SHA512" : "SHA256";
    buf_clear(out);
    jose_base64url(out, bytes_str(header));
    buf_char(out, '.');
    jose_base64url(out, bytes_str(claims));
    if (key)
        jose_signature(&signature, key, !strcmp(alg, "EdDSA") ? NULL : digest, alg[0] == 'P',
                       buf_bytes(out));
    buf_char(out, '.');
    jose_base64url(out, buf_bytes(&signature));
}

/* HMAC with any octets: what key confusion tries. */
static inline void jose_sign_shared(struct buf *out, struct bytes secret, const char *header,
                                    const char *claims) {
    unsigned char mac[64];
    unsigned len = 0;
    buf_clear(out);
    jose_base64url(out, bytes_str(header));
    buf_char(out, '.');
    jose_base64url(out, bytes_str(claims));
    HMAC(EVP_sha256(), secret.at, (int)secret.len, (const unsigned char *)out->at, out->len, mac,
         &len);
    buf_char(out, '.');
    jose_base64url(out, bytes_of(mac, len));
}

#endif
