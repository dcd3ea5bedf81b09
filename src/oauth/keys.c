/* keys: JSON Web Keys made into OpenSSL's, and which of them a token may use. */
#include "oauth/keys.h"

#include "base/must.h"

#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <string.h>

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192, EXPONENT_MAX = 8, KID_MAX = 256 };

static const struct curve {
    const char *name;  /* as JWK says it; OpenSSL knows these names too */
    const char *group; /* NULL: an Edwards curve */
    int type;          /* of these: OpenSSL's number */
    size_t octets;     /* of a coordinate, or of the key */
    enum oauth_key_kind kind;
} curves[] = {
    { "P-256", "P-256", 0, 32, OAUTH_KEY_P256 },
    { "P-384", "P-384", 0, 48, OAUTH_KEY_P384 },
    { "P-521", "P-521", 0, 66, OAUTH_KEY_P521 },
    { "Ed25519", NULL, EVP_PKEY_ED25519, 32, OAUTH_KEY_EDWARDS },
    { "Ed448", NULL, EVP_PKEY_ED448, 57, OAUTH_KEY_EDWARDS },
};

/* --- OpenSSL ----------------------------------------------------------------------------------- */

static EVP_PKEY *from_data(const char *type, OSSL_PARAM_BLD *build) {
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

/* A point that is not on its curve, an RSA modulus that is even, and the like. */
static EVP_PKEY *checked(EVP_PKEY *key) {
    EVP_PKEY_CTX *ctx = key ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
    bool good = ctx && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (good)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

static struct bytes member(struct arena *a, const json_t *jwk, const char *name) {
    struct bytes octets;
    struct bytes text = oauth_json_text(jwk, name);
    return text.len && oauth_json_unbase64(a, text, &octets) ? octets : BYTES_NONE;
}

static struct bytes without_zeros(struct bytes number) {
    while (number.len && number.at[0] == '\0')
        number = bytes_skip(number, 1);
    return number;
}

static const unsigned char *octets(struct bytes data) {
    return (const unsigned char *)data.at;
}

static EVP_PKEY *make_rsa(struct bytes n, struct bytes e) {
    BIGNUM *modulus = BN_bin2bn(octets(n), (int)n.len, NULL);
    BIGNUM *exponent = BN_bin2bn(octets(e), (int)e.len, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    int bits = modulus ? BN_num_bits(modulus) : 0;
    if (build && exponent && bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX && BN_is_odd(exponent) &&
        !BN_is_one(exponent) && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent))
        key = checked(from_data("RSA", build));
    OSSL_PARAM_BLD_free(build);
    BN_free(modulus);
    BN_free(exponent);
    return key;
}

static EVP_PKEY *read_rsa(struct arena *a, const json_t *jwk, enum oauth_key_kind *kind_out) {
    struct bytes n = without_zeros(member(a, jwk, "n")), e = without_zeros(member(a, jwk, "e"));
    *kind_out = OAUTH_KEY_RSA;
    if (n.len * 8 < RSA_BITS_MIN || n.len * 8 > RSA_BITS_MAX || !e.len || e.len > EXPONENT_MAX)
        return NULL;
    return make_rsa(n, e);
}

static const struct curve *find_curve(const json_t *jwk) {
    struct bytes name = oauth_json_text(jwk, "crv");
    for (size_t i = 0; i < COUNT_OF(curves); i++)
        if (bytes_equal(name, bytes_str(curves[i].name)))
            return &curves[i];
    return NULL;
}

static EVP_PKEY *make_ec(const struct curve *c, struct bytes point) {
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, c->group, 0) &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point.at, point.len))
        key = checked(from_data("EC", build));
    OSSL_PARAM_BLD_free(build);
    return key;
}

/* Coordinates have their full width (RFC 7518 section 6.2.1.2). */
static EVP_PKEY *read_ec(struct arena *a, const json_t *jwk, enum oauth_key_kind *kind_out) {
    const struct curve *c = find_curve(jwk);
    struct bytes x = member(a, jwk, "x"), y = member(a, jwk, "y");
    if (!c || !c->group || x.len != c->octets || y.len != c->octets)
        return NULL;
    char memory[1 + 2 * 66 + 1];
    struct buf point = buf_fixed(memory, sizeof memory);
    buf_char(&point, 4);
    buf_add(&point, x);
    buf_add(&point, y);
    *kind_out = c->kind;
    return make_ec(c, buf_bytes(&point));
}

static EVP_PKEY *read_okp(struct arena *a, const json_t *jwk, enum oauth_key_kind *kind_out) {
    const struct curve *c = find_curve(jwk);
    struct bytes x = member(a, jwk, "x");
    if (!c || c->group || x.len != c->octets)
        return NULL;
    *kind_out = c->kind;
    return EVP_PKEY_new_raw_public_key(c->type, NULL, octets(x), x.len);
}

static const struct {
    const char *kty;
    EVP_PKEY *(*read)(struct arena *a, const json_t *jwk, enum oauth_key_kind *kind_out);
} types[] = { { "RSA", read_rsa }, { "EC", read_ec }, { "OKP", read_okp } };

/* --- one key ------------------------------------------------------------------------------------ */

static bool may_verify(const json_t *jwk) {
    const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops"), *op;
    size_t i;
    if (use && !bytes_equal(oauth_json_text(jwk, "use"), B("sig")))
        return false;
    if (!ops)
        return true;
    json_array_foreach(ops, i, op) if (json_is_string(op) &&
                                       !strcmp(json_string_value(op), "verify")) return true;
    return false;
}

static void free_key(void *key) {
    EVP_PKEY_free(key);
}

/* A key whose private part everybody can read signs for everybody. */
static bool read_key(struct arena *a, const json_t *jwk, struct oauth_key *out) {
    struct bytes kty = oauth_json_text(jwk, "kty");
    if (!oauth_json_optional(jwk, "kid", &out->kid) ||
        !oauth_json_optional(jwk, "alg", &out->alg) || out->kid.len > KID_MAX || !may_verify(jwk) ||
        json_object_get(jwk, "d"))
        return false;
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (bytes_equal(kty, bytes_str(types[i].kty)))
            out->key = types[i].read(a, jwk, &out->kind);
    if (!out->key)
        return false;
    arena_defer(a, free_key, out->key);
    out->kid = arena_copy(a, out->kid);
    out->alg = arena_copy(a, out->alg);
    return true;
}

/* --- the set ------------------------------------------------------------------------------------ */

static enum rc no_set(struct why *why, const char *text) {
    return why_set(why, PERM, 0, NULL, "oauth.keys", "%s", text);
}

enum rc oauth_keys_parse(struct arena *a, struct bytes json, struct oauth_keys **out,
                         struct why *why) {
    const json_t *set = oauth_json_object(a, json);
    const json_t *list = json_object_get(set, "keys"), *jwk;
    size_t i;
    *out = NULL;
    if (!json_is_array(list))
        return no_set(why, "this is no JSON Web Key set (RFC 7517): an object with \"keys\"");
    if (json_array_size(list) > OAUTH_KEYS_MAX)
        return no_set(why, "the key set has more than 64 keys");
    struct oauth_keys *keys = ARENA_NEW(a, struct oauth_keys);
    json_array_foreach(list, i, jwk) {
        struct oauth_key *key = &keys->list[keys->count];
        *key = (struct oauth_key){ .key = NULL };
        keys->count += json_is_object(jwk) && read_key(a, jwk, key);
    }
    if (!keys->count)
        return no_set(why, "the key set has no public key that tokens may be signed with (RSA of "
                           "2048 bits or more, P-256, P-384, P-521, Ed25519, Ed448)");
    *out = keys;
    return OK;
}

size_t oauth_keys_count(const struct oauth_keys *keys) {
    return keys ? keys->count : 0;
}
