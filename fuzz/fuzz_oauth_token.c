/* Tokens against a fixed key set, and the text as a SASL message, a key set and a provider's answer. A
 * token that was not signed by the key's owner is never good. */
#include "base/must.h"
#include "oauth/oauth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char keys_text[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\","
                                "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                                "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},"
                                "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"o\","
                                "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static void check_token(struct arena *a, struct bytes text) {
    struct oauth_policy policy = { B("joe"), BYTES_NONE, B("email") };
    struct oauth_keys *keys;
    struct oauth_token token;
    struct bytes issuer;
    struct why why;
    MUST(oauth_keys_parse(a, bytes_str(keys_text), &keys, &why) == OK);
    enum oauth_fault fault =
        oauth_token_check(a, text, keys, &policy, INT64_C(1300819000000), &token);
    MUST(fault != OAUTH_FINE && fault < OAUTH_FAULTS && oauth_fault_text(fault)[0]);
    oauth_token_issuer(a, text, &issuer);
}

static void check_answers(struct arena *a, struct bytes text) {
    struct oauth_policy policy = { B("joe"), B("mail"), B("email") };
    struct oauth_token token;
    struct oauth_grant grant;
    struct oauth_client client;
    struct oauth_keys *keys;
    enum oauth_fault fault;
    struct bytes url;
    struct why why;
    if (oauth_introspection_parse(a, text, &policy, 0, &fault, &token, &why) == OK && !fault)
        MUST(token.login.len && token.login.len <= OAUTH_LOGIN_MAX);
    if (oauth_metadata_parse(a, text, B("joe"), &url, &why) == OK)
        MUST(oauth_url_is_fit(url));
    if (oauth_grant_parse(a, text, &grant, &why) == OK)
        MUST(grant.access_token.len && grant.lasts_ms > 0);
    if (oauth_client_parse(a, text, &client, &why) == OK)
        MUST(oauth_url_is_fit(client.token_url) && client.user.len);
    if (oauth_keys_parse(a, text, &keys, &why) == OK)
        MUST(oauth_keys_count(keys) > 0);
    oauth_metadata_url(a, text, 0, &url);
    oauth_metadata_url(a, text, 1, &url);
}

/* What is written can be read, and says the same. */
static void check_message(struct arena *a, struct bytes text) {
    struct oauth_message message, again;
    for (int i = OAUTH_XOAUTH2; i <= OAUTH_BEARER; i++) {
        enum oauth_mechanism m = (enum oauth_mechanism)i;
        struct buf b = buf_grow(1 << 20);
        if (oauth_message_parse(a, m, text, &message) && message.user.len && message.token.len) {
            oauth_message_format(&b, m, &message, BYTES_NONE, 0);
            MUST(oauth_message_parse(a, m, buf_bytes(&b), &again));
            MUST(bytes_equal(again.user, message.user) && bytes_equal(again.token, message.token));
        }
        buf_clear(&b);
        oauth_message_refusal(&b, m, text);
        buf_free(&b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_open();
    struct bytes text = bytes_of(data, size);
    check_token(a, text);
    check_message(a, text);
    check_answers(a, text);
    arena_close(&a);
    return 0;
}
