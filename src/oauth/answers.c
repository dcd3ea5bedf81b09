/* answers: what a provider says over HTTP: about a token, about itself, and when it gives one. */
#include "oauth/json.h"

#include <string.h>

enum {
    LASTS_MAX_S = 10 * 366 * 24 * 3600,
    LASTS_DEFAULT_S = 600, /* expires_in is only recommended (RFC 6749 section 5.1) */
};

static enum rc lies(struct why *why, const char *text) {
    return why_set(why, PERM, 0, NULL, "backend.oauth", "%s", text);
}

enum rc oauth_introspection_parse(struct arena *a, struct bytes json,
                                  const struct oauth_policy *policy, int64_t now,
                                  enum oauth_fault *fault_out, struct oauth_token *out,
                                  struct why *why) {
    const json_t *answer = oauth_json_object(a, json);
    const json_t *active = json_object_get(answer, "active");
    *out = (struct oauth_token){ .login = BYTES_NONE };
    *fault_out = OAUTH_INACTIVE;
    if (!json_is_boolean(active))
        return lies(why, "the introspection's answer does not say whether the token is active");
    if (json_is_true(active))
        *fault_out = oauth_claims_check(a, answer, policy, now, false, out);
    return OK;
}

enum rc oauth_metadata_parse(struct arena *a, struct bytes json, struct bytes issuer,
                             struct bytes *keys_url_out, struct why *why) {
    const json_t *metadata = oauth_json_object(a, json);
    if (!metadata)
        return lies(why, "the issuer's metadata are no JSON object");
    if (!bytes_equal(oauth_json_text(metadata, "issuer"), issuer))
        return lies(why, "the metadata found there are another issuer's");
    struct bytes url = oauth_json_text(metadata, "jwks_uri");
    if (!oauth_url_is_fit(url))
        return lies(why, "the issuer's metadata name no https:// URL of its keys");
    *keys_url_out = arena_copy(a, url);
    return OK;
}

/* OpenID Connect Discovery section 4 puts it behind the path, RFC 8414 section 3.1 before it. */
bool oauth_metadata_url(struct arena *a, struct bytes issuer, unsigned n, struct bytes *out) {
    struct bytes base = issuer;
    if (base.len && base.at[base.len - 1] == '/')
        base = bytes_first(base, base.len - 1);
    ptrdiff_t host = bytes_search(base, B("://"));
    size_t from = host < 0 ? 0 : (size_t)host + 3;
    ptrdiff_t slash = bytes_find(bytes_skip(base, from), '/');
    size_t end = slash < 0 ? base.len : from + (size_t)slash;
    if (n == 0)
        *out = arena_printf(a, "%.*s/.well-known/openid-configuration", BYTES_FMT(base));
    else
        *out = arena_printf(a, "%.*s/.well-known/oauth-authorization-server%.*s",
                            BYTES_FMT(bytes_first(base, end)), BYTES_FMT(bytes_skip(base, end)));
    return n < 2;
}

/* b64token of RFC 6750 section 2.1, which lets nothing through that a SASL message could be broken
 * with. */
static bool is_token(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] <= ' ' || (unsigned char)text.at[i] >= 127)
            return false;
    return text.len > 0 && text.len <= OAUTH_TOKEN_MAX;
}

static enum rc denied(const json_t *answer, struct why *why) {
    struct bytes error = oauth_json_text(answer, "error");
    struct bytes more = oauth_json_text(answer, "error_description");
    char text[240];
    struct buf b = buf_fixed(text, sizeof text);
    buf_printable(&b, bytes_first(error, 60));
    if (more.len)
        buf_str(&b, ": ");
    buf_printable(&b, bytes_first(more, 160));
    return why_set(why, PERM, 0, NULL, "auth.smarthost", "the token was denied: %s", buf_text(&b));
}

static bool read_lasts(const json_t *answer, int64_t *out) {
    const json_t *value = json_object_get(answer, "expires_in");
    struct bytes text = oauth_json_text(answer, "expires_in"); /* some write it as a text */
    uint64_t seconds = LASTS_DEFAULT_S;
    if (text.len && !bytes_to_u64(text, LASTS_MAX_S, &seconds))
        return false;
    double number = json_is_number(value) ? json_number_value(value) : (double)seconds;
    if (!(number >= 1 && number <= LASTS_MAX_S))
        return false;
    *out = (int64_t)(number * 1000);
    return true;
}

enum rc oauth_grant_parse(struct arena *a, struct bytes json, struct oauth_grant *out,
                          struct why *why) {
    const json_t *answer = oauth_json_object(a, json);
    struct bytes access = oauth_json_text(answer, "access_token"), refresh, type;
    *out = (struct oauth_grant){ .access_token = BYTES_NONE };
    if (!answer)
        return lies(why, "the token endpoint's answer is no JSON object");
    if (oauth_json_text(answer, "error").len)
        return denied(answer, why);
    if (!is_token(access) || !oauth_json_optional(answer, "refresh_token", &refresh) ||
        (refresh.len && !is_token(refresh)) || !read_lasts(answer, &out->lasts_ms))
        return lies(why, "the token endpoint's answer holds no access token that can be used");
    type = oauth_json_text(answer, "token_type");
    if (!bytes_equal_nocase(type, B("bearer")))
        return lies(why, "the token endpoint gave a token that is no bearer token");
    out->access_token = arena_copy(a, access);
    out->refresh_token = arena_copy(a, refresh);
    return OK;
}
