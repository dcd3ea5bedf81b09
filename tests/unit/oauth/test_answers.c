/* What providers answer, client files, URLs and forms. */
#include "base/must.h"
#include "oauth/oauth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000000)

static struct arena *a;

static int set_up(void **state) {
    (void)state;
    a = arena_open();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_close(&a);
    return 0;
}

static void test_introspection(void **state) {
    static const struct oauth_policy policy = { { "https://login.example", 21 },
                                                { "mail", 4 },
                                                { "username", 8 } };
    static const struct {
        const char *json;
        enum rc rc;
        enum oauth_fault fault;
    } rows[] = {
        { "{\"active\":true,\"username\":\"t@a.example\",\"aud\":\"mail\"}", OK, OAUTH_FINE },
        { "{\"active\":true,\"username\":\"t@a.example\",\"aud\":[\"mail\"],\"exp\":1800000100,"
          "\"iss\":\"https://login.example\"}",
          OK, OAUTH_FINE },
        { "{\"active\":false}", OK, OAUTH_INACTIVE },
        { "{\"active\":false,\"username\":\"t@a.example\",\"aud\":\"mail\"}", OK, OAUTH_INACTIVE },
        { "{\"active\":true,\"username\":\"t@a.example\"}", OK, OAUTH_AUDIENCE },
        { "{\"active\":true,\"aud\":\"mail\"}", OK, OAUTH_NOBODY },
        { "{\"active\":true,\"username\":\"t@a.example\",\"aud\":\"mail\",\"exp\":1700000000}", OK,
          OAUTH_EXPIRED },
        { "{\"active\":true,\"username\":\"t@a.example\",\"aud\":\"mail\",\"iss\":\"x\"}", OK,
          OAUTH_ISSUER },
        { "{\"active\":\"true\",\"username\":\"t@a.example\",\"aud\":\"mail\"}", PERM, 0 },
        { "{\"active\":1}", PERM, 0 },
        { "{\"username\":\"t@a.example\"}", PERM, 0 },
        { "<html>", PERM, 0 },
        { "", PERM, 0 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum oauth_fault fault;
        struct oauth_token token;
        struct why why;
        enum rc rc = oauth_introspection_parse(a, bytes_str(rows[i].json), &policy, NOW, &fault,
                                               &token, &why);
        if (rc != rows[i].rc || (rc == OK && fault != rows[i].fault))
            fail_msg("%s", rows[i].json);
    }
}

static void test_metadata(void **state) {
    struct bytes url;
    struct why why;
    (void)state;
    assert_int_equal(oauth_metadata_parse(a,
                                          B("{\"issuer\":\"https://i.example\",\"jwks_uri\":"
                                            "\"https://i.example/keys\"}"),
                                          B("https://i.example"), &url, &why),
                     OK);
    assert_true(bytes_equal(url, B("https://i.example/keys")));
    static const char *const bad[] = {
        "{\"issuer\":\"https://j.example\",\"jwks_uri\":\"https://i.example/keys\"}",
        "{\"issuer\":\"https://i.example\",\"jwks_uri\":\"http://i.example/keys\"}",
        "{\"issuer\":\"https://i.example\",\"jwks_uri\":\"file:///etc/passwd\"}",
        "{\"issuer\":\"https://i.example\"}",
        "{\"jwks_uri\":\"https://i.example/keys\"}",
        "[]",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(
            oauth_metadata_parse(a, bytes_str(bad[i]), B("https://i.example"), &url, &why), PERM);
    assert_true(oauth_metadata_url(a, B("https://i.example/realm/"), 0, &url));
    assert_true(bytes_equal(url, B("https://i.example/realm/.well-known/openid-configuration")));
    assert_true(oauth_metadata_url(a, B("https://i.example/realm"), 1, &url));
    assert_true(
        bytes_equal(url, B("https://i.example/.well-known/oauth-authorization-server/realm")));
    assert_false(oauth_metadata_url(a, B("https://i.example"), 2, &url));
}

static void test_grant(void **state) {
    static const struct {
        const char *json;
        enum rc rc;
        int64_t lasts;
        const char *words; /* in why, or the refresh token */
    } rows[] = {
        { "{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"expires_in\":3600}", OK, 3600000,
          "" },
        { "{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":\"60\","
          "\"refresh_token\":\"r\"}",
          OK, 60000, "r" },
        { "{\"access_token\":\"t\",\"token_type\":\"bearer\"}", OK, 600000, "" },
        { "{\"access_token\":\"t\",\"token_type\":\"Bearer\",\"refresh_token\":null,"
          "\"expires_in\":null}",
          OK, 600000, "" },
        { "{\"access_token\":\"t\"}", PERM, 0, "bearer" },
        { "{\"access_token\":\"t\",\"token_type\":\"mac\"}", PERM, 0, "bearer" },
        { "{\"access_token\":\"t u\",\"token_type\":\"bearer\"}", PERM, 0, "no access token" },
        { "{\"access_token\":\"t\\u0001\",\"token_type\":\"bearer\"}", PERM, 0, "no access token" },
        { "{\"access_token\":\"\",\"token_type\":\"bearer\"}", PERM, 0, "no access token" },
        { "{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":-5}", PERM, 0,
          "no access token" },
        { "{\"access_token\":\"t\",\"token_type\":\"bearer\",\"refresh_token\":7}", PERM, 0,
          "no access token" },
        { "{\"error\":\"invalid_grant\",\"error_description\":\"Token\\nrevoked\"}", PERM, 0,
          "invalid_grant: Token?revoked" },
        { "<html>", PERM, 0, "no JSON" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct oauth_grant grant;
        struct why why;
        enum rc rc = oauth_grant_parse(a, bytes_str(rows[i].json), &grant, &why);
        if (rc != rows[i].rc || (rc == OK && grant.lasts_ms != rows[i].lasts))
            fail_msg("%s", rows[i].json);
        if (rc == OK && !bytes_equal(grant.refresh_token, bytes_str(rows[i].words)))
            fail_msg("%s", rows[i].json);
        if (rc != OK && !strstr(why.text, rows[i].words))
            fail_msg("%s: %s", rows[i].json, why.text);
    }
}

static void test_urls(void **state) {
    static const struct {
        const char *url;
        bool fit;
    } rows[] = {
        { "https://login.example/token", true },
        { "HTTPS://login.example:8443/t?x=y", true },
        { "https://[2001:db8::1]/", true },
        { "http://127.0.0.1:8080/token", true },
        { "http://127.9.9.9/token", true },
        { "http://[::1]:80/token", true },
        { "http://localhost/token", true },
        { "http://login.example/token", false },
        { "http://localhost.evil.example/", false },
        { "http://127.0.0.1.evil.example/", false },
        { "http://127.0.0.1@evil.example/", false },
        { "https://user:pw@login.example/", false },
        { "https://", false },
        { "https:///path", false },
        { "https://:443/", false },
        { "https://login.example/#x", false },
        { "https://login.example/a b", false },
        { "https://login.example/\r\nHost: x", false },
        { "file:///etc/passwd", false },
        { "ftp://login.example/", false },
        { "//login.example/", false },
        { "", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (oauth_url_is_fit(bytes_str(rows[i].url)) != rows[i].fit)
            fail_msg("%s", rows[i].url);
}

static void test_client(void **state) {
    struct oauth_client c;
    struct why why;
    (void)state;
    assert_true(oauth_client_is(B(" \n{}")));
    assert_false(oauth_client_is(B("user:password")));
    assert_int_equal(
        oauth_client_parse(a,
                           B("{\"token_url\":\"https://l.example/t\",\"client_id\":\"i\","
                             "\"client_secret\":\"s\",\"user\":\"u@d.example\",\"scope\":\"a b\"}"),
                           &c, &why),
        OK);
    struct buf form = buf_grow(1000);
    oauth_client_form(&form, &c, BYTES_NONE);
    assert_string_equal(buf_text(&form), "grant_type=client_credentials&scope=a%20b");
    c.secret_in_body = true;
    buf_clear(&form);
    oauth_client_form(&form, &c, B("r&t"));
    assert_string_equal(buf_text(&form), "grant_type=refresh_token&refresh_token=r%26t&scope=a%20b&"
                                         "client_id=i&client_secret=s");
    buf_free(&form);
    static const struct {
        const char *json, *words;
    } bad[] = {
        { "{", "no JSON" },
        { "{\"token_url\":\"https://l/t\",\"token_url\":\"https://l/t\"}", "twice" },
        { "{\"client_id\":\"x\"}", "\"token_url\" is missing" },
        { "{\"token_url\":\"https://l/t\"}", "\"client_id\" is missing" },
        { "{\"token_url\":\"https://l/t\",\"client_id\":\"i\"}", "\"user\" is missing" },
        { "{\"token_url\":\"https://l/t\",\"client_id\":\"i\",\"user\":\"u\"}", "client_secret" },
        { "{\"token_url\":\"http://l/t\",\"client_id\":\"i\",\"user\":\"u\",\"client_secret\":"
          "\"s\"}",
          "https://" },
        { "{\"token_uri\":\"https://l/t\"}", "no member \"token_uri\"" },
        { "{\"token_url\":7}", "must be a text" },
        { "{\"token_url\":\"https://l/t\",\"client_id\":\"i\",\"user\":\"u\\u0001\"}", "control" },
        { "{\"token_url\":\"https://l/t\",\"client_id\":\"i\",\"user\":\"u\",\"client_secret\":"
          "\"s\",\"client_auth\":\"jwt\"}",
          "client_auth" },
        { "{\"token_url\":\"https://l/t\",\"client_id\":\"i\",\"user\":\"u\",\"client_secret\":"
          "\"s\",\"ca_file\":\"x.pem\"}",
          "absolute" },
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(oauth_client_parse(a, bytes_str(bad[i].json), &c, &why), PERM);
        if (!strstr(why.text, bad[i].words))
            fail_msg("%s: %s", bad[i].json, why.text);
    }
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_introspection), T(test_metadata), T(test_grant), T(test_urls), T(test_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
