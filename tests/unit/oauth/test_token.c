/* Tokens: every algorithm from a real key, and everything that must not pass for one. */
#include "jose.h"
#include "oauth/oauth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000) /* 2027 */
#define GOOD                                                                                       \
    "{\"iss\":\"https://login.example\",\"aud\":\"mail\",\"email\":\"Terri@a.example\","           \
    "\"iat\":1799999900,\"nbf\":1799999900,\"exp\":1800000600}"

static const struct {
    const char *alg, *type;
} algorithms[] = {
    { "RS256", "RSA" },   { "RS384", "RSA" },     { "RS512", "RSA" },   { "PS256", "RSA" },
    { "PS384", "RSA" },   { "PS512", "RSA" },     { "ES256", "P-256" }, { "ES384", "P-384" },
    { "ES512", "P-521" }, { "EdDSA", "ED25519" }, { "EdDSA", "ED448" },
};

static const struct oauth_policy policy = { { "https://login.example", 21 },
                                            { "mail", 4 },
                                            { "email", 5 } };

struct fixture {
    struct arena *arena;
    struct buf token, set;
    EVP_PKEY *rsa, *ec;
    struct oauth_keys *keys; /* rsa as "r", ec as "e" */
    struct oauth_token out;
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    struct why why;
    f->arena = arena_open();
    f->token = buf_grow(65536);
    f->set = buf_grow(65536);
    f->rsa = jose_make("RSA");
    f->ec = jose_make("P-256");
    buf_str(&f->set, "{\"keys\":[");
    jose_jwk(&f->set, f->rsa, "r", ",\"use\":\"sig\"");
    buf_char(&f->set, ',');
    jose_jwk(&f->set, f->ec, "e", ",\"alg\":\"ES256\",\"key_ops\":[\"verify\"]");
    buf_str(&f->set, "]}");
    assert_int_equal(oauth_keys_parse(f->arena, buf_bytes(&f->set), &f->keys, &why), OK);
    assert_int_equal(oauth_keys_count(f->keys), 2);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    buf_free(&f->token);
    buf_free(&f->set);
    EVP_PKEY_free(f->rsa);
    EVP_PKEY_free(f->ec);
    arena_close(&f->arena);
    free(f);
    return 0;
}

static enum oauth_fault check(struct fixture *f, struct bytes token) {
    return oauth_token_check(f->arena, token, f->keys, &policy, NOW, &f->out);
}

static enum oauth_fault check_signed(struct fixture *f, const char *header, const char *claims) {
    jose_sign(&f->token, "RS256", f->rsa, header, claims);
    return check(f, buf_bytes(&f->token));
}

#define RS "{\"alg\":\"RS256\",\"kid\":\"r\"}"

static void test_algorithms(void **state) {
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(algorithms); i++) {
        EVP_PKEY *key = jose_make(algorithms[i].type), *other = jose_make(algorithms[i].type);
        struct buf set = buf_grow(65536);
        struct oauth_keys *keys;
        struct why why;
        char header[100];
        buf_str(&set, "{\"keys\":[");
        jose_jwk(&set, key, "one", NULL);
        buf_str(&set, "]}");
        assert_int_equal(oauth_keys_parse(f->arena, buf_bytes(&set), &keys, &why), OK);
        snprintf(header, sizeof header, "{\"alg\":\"%s\",\"typ\":\"at+JWT\",\"kid\":\"one\"}",
                 algorithms[i].alg);
        jose_sign(&f->token, algorithms[i].alg, key, header, GOOD);
        assert_int_equal(
            oauth_token_check(f->arena, buf_bytes(&f->token), keys, &policy, NOW, &f->out),
            OAUTH_FINE);
        assert_true(bytes_equal(f->out.login, B("Terri@a.example")));
        assert_int_equal(f->out.expires, INT64_C(1800000600000));
        jose_sign(&f->token, algorithms[i].alg, other, header, GOOD);
        assert_int_equal(
            oauth_token_check(f->arena, buf_bytes(&f->token), keys, &policy, NOW, &f->out),
            OAUTH_SIGNATURE);
        buf_free(&set);
        EVP_PKEY_free(key);
        EVP_PKEY_free(other);
    }
}

/* RFC 7515 appendix A.3: an ES256 signature made by others, over claims that name no time we know. */
static void test_vector(void **state) {
    struct fixture *f = *state;
    static const char set[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
                              "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                              "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";
    static const char token[] =
        "eyJhbGciOiJFUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl"
        "fQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    struct oauth_policy joe = { B("joe"), BYTES_NONE, B("email") };
    struct oauth_keys *keys;
    struct why why;
    assert_int_equal(oauth_keys_parse(f->arena, bytes_str(set), &keys, &why), OK);
    assert_int_equal(
        oauth_token_check(f->arena, bytes_str(token), keys, &joe, INT64_C(1300819000000), &f->out),
        OAUTH_NOBODY);
    assert_int_equal(
        oauth_token_check(f->arena, bytes_str(token), keys, &joe, INT64_C(1300819440000), &f->out),
        OAUTH_EXPIRED);
}

static void test_headers(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *header;
        enum oauth_fault fault;
    } rows[] = {
        { RS, OAUTH_FINE },
        { "{\"alg\":\"RS256\"}", OAUTH_FINE }, /* each key that fits is tried */
        { "{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"JWT\"}", OAUTH_FINE },
        { "{\"alg\":\"RS256\",\"kid\":\"r\",\"jku\":\"https://evil.example\",\"jwk\":{}}",
          OAUTH_FINE }, /* never looked at */
        { "{\"alg\":\"RS256\",\"kid\":\"unknown\"}", OAUTH_NO_KEY },
        { "{\"alg\":\"RS256\",\"kid\":\"e\"}", OAUTH_ALGORITHM }, /* a key of another kind */
        { "{\"alg\":\"RS384\",\"kid\":\"r\"}", OAUTH_SIGNATURE },
        { "{\"alg\":\"PS256\",\"kid\":\"r\"}", OAUTH_SIGNATURE },
        { "{\"alg\":\"rs256\",\"kid\":\"r\"}", OAUTH_ALGORITHM },
        { "{\"alg\":\"none\",\"kid\":\"r\"}", OAUTH_ALGORITHM },
        { "{\"alg\":\"HS256\",\"kid\":\"r\"}", OAUTH_ALGORITHM },
        { "{\"alg\":[\"RS256\"],\"kid\":\"r\"}", OAUTH_ALGORITHM },
        { "{\"kid\":\"r\"}", OAUTH_ALGORITHM },
        { "{\"alg\":\"RS256\",\"kid\":\"r\",\"crit\":[\"exp\"]}", OAUTH_ALGORITHM },
        { "{\"alg\":\"RS256\",\"kid\":\"r\",\"crit\":null}", OAUTH_ALGORITHM },
        { "{\"alg\":\"RS256\",\"kid\":7}", OAUTH_SHAPE },
        { "{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"logout+jwt\"}", OAUTH_SHAPE },
        { "{\"alg\":\"RS256\",\"alg\":\"none\",\"kid\":\"r\"}", OAUTH_SHAPE },
        { "[\"RS256\"]", OAUTH_SHAPE },
        { "{\"alg\":\"RS256\"", OAUTH_SHAPE },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (check_signed(f, rows[i].header, GOOD) != rows[i].fault)
            fail_msg("header %s", rows[i].header);
}

/* RFC 8725 section 2.1. */
static void test_unsigned_and_confused(void **state) {
    struct fixture *f = *state;
    unsigned char *pem = NULL;
    int len = i2d_PUBKEY(f->rsa, &pem);
    jose_sign(&f->token, "none", NULL, "{\"alg\":\"none\"}", GOOD);
    assert_int_equal(check(f, buf_bytes(&f->token)), OAUTH_ALGORITHM);
    jose_sign(&f->token, "none", NULL, RS, GOOD); /* the signature left out */
    assert_int_equal(check(f, buf_bytes(&f->token)), OAUTH_SIGNATURE);
    jose_sign_shared(&f->token, bytes_of(pem, (size_t)len), "{\"alg\":\"HS256\",\"kid\":\"r\"}",
                     GOOD);
    assert_int_equal(check(f, buf_bytes(&f->token)), OAUTH_ALGORITHM);
    jose_sign_shared(&f->token, bytes_of(pem, (size_t)len), RS, GOOD);
    assert_int_equal(check(f, buf_bytes(&f->token)), OAUTH_SIGNATURE);
    OPENSSL_free(pem);
}

static void test_claims(void **state) {
    struct fixture *f = *state;
#define HEAD "{\"iss\":\"https://login.example\","
#define BODY HEAD "\"aud\":\"mail\",\"email\":\"t@a.example\","
    static const struct {
        const char *claims;
        enum oauth_fault fault;
    } rows[] = {
        { GOOD, OAUTH_FINE },
        { BODY "\"exp\":1800000600}", OAUTH_FINE },
        { BODY "\"exp\":1800000600.5}", OAUTH_FINE },
        { BODY "\"exp\":1799999941}", OAUTH_FINE }, /* within the leeway */
        { BODY "\"exp\":1799999940}", OAUTH_EXPIRED },
        { BODY "\"exp\":1800000600,\"nbf\":1800000060}", OAUTH_FINE },
        { BODY "\"exp\":1800000600,\"nbf\":1800000061}", OAUTH_EARLY },
        { BODY "\"exp\":1800000600,\"iat\":1800000061}", OAUTH_EARLY },
        { BODY "\"exp\":\"1800000600\"}", OAUTH_SHAPE },
        { BODY "\"exp\":-1}", OAUTH_SHAPE },
        { BODY "\"exp\":1e300}", OAUTH_SHAPE },
        { BODY "\"exp\":1800000600,\"nbf\":null}", OAUTH_SHAPE },
        { BODY "\"iat\":1800000000}", OAUTH_SHAPE }, /* it would be good for ever */
        { "{\"iss\":\"https://login.example/\",\"aud\":\"mail\",\"email\":\"t@a.example\","
          "\"exp\":1800000600}",
          OAUTH_ISSUER },
        { "{\"iss\":[\"https://login.example\"],\"aud\":\"mail\",\"email\":\"t@a.example\","
          "\"exp\":1800000600}",
          OAUTH_ISSUER },
        { "{\"aud\":\"mail\",\"email\":\"t@a.example\",\"exp\":1800000600}", OAUTH_ISSUER },
        { HEAD "\"aud\":[\"web\",\"mail\"],\"email\":\"t@a.example\",\"exp\":1800000600}",
          OAUTH_FINE },
        { HEAD "\"aud\":[\"web\",{\"a\":\"mail\"}],\"email\":\"t@a.example\",\"exp\":1800000600}",
          OAUTH_AUDIENCE },
        { HEAD "\"aud\":\"mailbox\",\"email\":\"t@a.example\",\"exp\":1800000600}",
          OAUTH_AUDIENCE },
        { HEAD "\"email\":\"t@a.example\",\"exp\":1800000600}", OAUTH_AUDIENCE },
        { HEAD "\"aud\":\"mail\",\"exp\":1800000600}", OAUTH_NOBODY },
        { HEAD "\"aud\":\"mail\",\"email\":\"\",\"exp\":1800000600}", OAUTH_NOBODY },
        { HEAD "\"aud\":\"mail\",\"email\":[\"t@a.example\"],\"exp\":1800000600}", OAUTH_NOBODY },
        { HEAD "\"aud\":\"mail\",\"email\":\"t@a.example\\r\\nx\",\"exp\":1800000600}",
          OAUTH_NOBODY },
        { BODY "\"email_verified\":true,\"exp\":1800000600}", OAUTH_FINE },
        { BODY "\"email_verified\":\"true\",\"exp\":1800000600}", OAUTH_FINE },
        { BODY "\"email_verified\":false,\"exp\":1800000600}", OAUTH_NOBODY },
        { BODY "\"email_verified\":\"no\",\"exp\":1800000600}", OAUTH_NOBODY },
        { BODY "\"email\":\"ceo@a.example\",\"exp\":1800000600}", OAUTH_SHAPE }, /* twice */
        { "[]", OAUTH_SHAPE },
        { "", OAUTH_SHAPE },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (check_signed(f, RS, rows[i].claims) != rows[i].fault)
            fail_msg("claims %s", rows[i].claims);
}

static void test_any_audience(void **state) {
    struct fixture *f = *state;
    struct oauth_policy any = policy;
    any.audience = BYTES_NONE;
    jose_sign(&f->token, "RS256", f->rsa, RS, HEAD "\"email\":\"t@a.example\",\"exp\":1800000600}");
    assert_int_equal(oauth_token_check(f->arena, buf_bytes(&f->token), f->keys, &any, NOW, &f->out),
                     OAUTH_FINE);
}

static void test_shapes(void **state) {
    struct fixture *f = *state;
    static const char *const rows[] = { "",     ".",      "..",        "a.b",         "a.b.c.d.e",
                                        "e30.", "e30..x", "e30.e30.@", "e30.e30.e30=" };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(check(f, bytes_str(rows[i])), OAUTH_SHAPE);
    check_signed(f, RS, GOOD);
    struct bytes good = buf_bytes(&f->token);
    assert_int_equal(check(f, good), OAUTH_FINE);
    assert_int_equal(oauth_token_check(f->arena, good, NULL, &policy, NOW, &f->out), OAUTH_NO_KEY);
    /* One octet changed anywhere, or one less, and it is another token. */
    for (size_t i = 0; i + 1 < good.len; i += 7) {
        char was = f->token.at[i];
        f->token.at[i] = was == 'A' ? 'B' : 'A';
        assert_int_not_equal(check(f, good), OAUTH_FINE);
        f->token.at[i] = was;
        assert_int_not_equal(check(f, bytes_first(good, i)), OAUTH_FINE);
    }
    char *big = calloc(1, OAUTH_TOKEN_MAX + 2);
    memset(big, 'a', OAUTH_TOKEN_MAX + 1);
    big[10] = big[20] = '.';
    assert_int_equal(check(f, bytes_of(big, OAUTH_TOKEN_MAX + 1)), OAUTH_SHAPE);
    free(big);
}

static void test_issuer(void **state) {
    struct fixture *f = *state;
    struct bytes issuer;
    check_signed(f, RS, GOOD);
    assert_true(oauth_token_issuer(f->arena, buf_bytes(&f->token), &issuer));
    assert_true(bytes_equal(issuer, policy.issuer));
    assert_false(oauth_token_issuer(f->arena, B("2YotnFZFEjr1zCsicMWpAA"), &issuer));
    assert_false(oauth_token_issuer(f->arena, B("ya29.opaque.token"), &issuer));
    assert_int_equal(issuer.len, 0);
}

/* A key says for itself what it may be used for. */
static void test_key_limits(void **state) {
    struct fixture *f = *state;
    static const char *const refused[] = {
        ",\"use\":\"enc\"",        ",\"use\":1",      ",\"key_ops\":[\"encrypt\"]",
        ",\"key_ops\":\"verify\"", ",\"d\":\"AQAB\"", ",\"alg\":7",
    };
    struct oauth_keys *keys;
    struct why why;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        buf_clear(&f->set);
        buf_str(&f->set, "{\"keys\":[");
        jose_jwk(&f->set, f->rsa, "r", refused[i]);
        buf_str(&f->set, "]}");
        assert_int_equal(oauth_keys_parse(f->arena, buf_bytes(&f->set), &keys, &why), PERM);
        assert_null(keys);
    }
    /* Pinned to another algorithm than the token's. */
    buf_clear(&f->set);
    buf_str(&f->set, "{\"keys\":[");
    jose_jwk(&f->set, f->rsa, "r", ",\"alg\":\"PS256\"");
    buf_str(&f->set, "]}");
    assert_int_equal(oauth_keys_parse(f->arena, buf_bytes(&f->set), &keys, &why), OK);
    jose_sign(&f->token, "RS256", f->rsa, RS, GOOD);
    assert_int_equal(oauth_token_check(f->arena, buf_bytes(&f->token), keys, &policy, NOW, &f->out),
                     OAUTH_ALGORITHM);
}

static void test_bad_sets(void **state) {
    struct fixture *f = *state;
    static const char *const rows[] = {
        "",
        "[]",
        "{}",
        "{\"keys\":{}}",
        "{\"keys\":[]}",
        "{\"keys\":[1,null,[],{}]}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
        /* not on the curve */
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
        "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
        "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1\"}]}",
        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"Ed25519\",\"x\":\"AA\",\"y\":\"AA\"}]}",
    };
    struct oauth_keys *keys;
    struct why why;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (oauth_keys_parse(f->arena, bytes_str(rows[i]), &keys, &why) != PERM)
            fail_msg("%s", rows[i]);
    EVP_PKEY *small = jose_make("RSA1024");
    buf_clear(&f->set);
    buf_str(&f->set, "{\"keys\":[");
    jose_jwk(&f->set, small, "small", NULL);
    buf_str(&f->set, "]}");
    assert_int_equal(oauth_keys_parse(f->arena, buf_bytes(&f->set), &keys, &why), PERM);
    EVP_PKEY_free(small);
    buf_clear(&f->set);
    buf_str(&f->set, "{\"keys\":[");
    for (int i = 0; i < OAUTH_KEYS_MAX + 1; i++)
        buf_printf(&f->set, "%s{}", i ? "," : "");
    buf_str(&f->set, "]}");
    assert_int_equal(oauth_keys_parse(f->arena, buf_bytes(&f->set), &keys, &why), PERM);
    assert_non_null(strstr(why.text, "64"));
}

/* A broken key, or one of a kind we do not know, hides no good one (RFC 7517 section 5). */
static void test_mixed_set(void **state) {
    struct fixture *f = *state;
    struct oauth_keys *keys;
    struct why why;
    buf_clear(&f->set);
    buf_str(&f->set, "{\"keys\":[{\"kty\":\"XYZ\"},{\"kty\":\"RSA\",\"n\":\"!\"},");
    jose_jwk(&f->set, f->rsa, "r", NULL);
    buf_str(&f->set, ",{\"kty\":\"oct\",\"k\":\"AAAA\"}],\"more\":1}");
    assert_int_equal(oauth_keys_parse(f->arena, buf_bytes(&f->set), &keys, &why), OK);
    assert_int_equal(oauth_keys_count(keys), 1);
    jose_sign(&f->token, "RS256", f->rsa, RS, GOOD);
    assert_int_equal(oauth_token_check(f->arena, buf_bytes(&f->token), keys, &policy, NOW, &f->out),
                     OAUTH_FINE);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_algorithms), T(test_vector),       T(test_headers),   T(test_unsigned_and_confused),
        T(test_claims),     T(test_any_audience), T(test_shapes),    T(test_issuer),
        T(test_key_limits), T(test_bad_sets),     T(test_mixed_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
