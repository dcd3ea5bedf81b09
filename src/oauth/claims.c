/* claims: what a token or an introspection says, held against what is wanted (RFC 7519 section
 * 4.1). */
#include "oauth/json.h"

#include <string.h>

static bool has_audience(const json_t *claims, struct bytes wanted) {
    const json_t *aud = json_object_get(claims, "aud"), *one;
    size_t i;
    if (json_is_string(aud))
        return bytes_equal(oauth_json_text(claims, "aud"), wanted);
    json_array_foreach(
        aud, i, one) if (json_is_string(one) &&
                         bytes_equal(bytes_of(json_string_value(one), json_string_length(one)),
                                     wanted)) return true;
    return false;
}

/* A claim that is there and is no time makes the token unreadable, not eternal. */
static enum oauth_fault check_times(const json_t *claims, int64_t now, bool whole,
                                    int64_t *expires_out) {
    static const char *const starts[] = { "nbf", "iat" };
    int64_t at;
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        if (!json_object_get(claims, starts[i]))
            continue;
        if (!oauth_json_time(claims, starts[i], &at))
            return OAUTH_SHAPE;
        if (at > now + OAUTH_LEEWAY_MS)
            return OAUTH_EARLY;
    }
    *expires_out = INT64_MAX;
    if (!json_object_get(claims, "exp"))
        return whole ? OAUTH_SHAPE : OAUTH_FINE;
    if (!oauth_json_time(claims, "exp", expires_out))
        return OAUTH_SHAPE;
    return *expires_out + OAUTH_LEEWAY_MS <= now ? OAUTH_EXPIRED : OAUTH_FINE;
}

static bool is_login(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] <= ' ' || text.at[i] == 127)
            return false;
    return text.len > 0 && text.len <= OAUTH_LOGIN_MAX;
}

/* An address that its provider has not verified is whatever somebody typed there (OpenID Connect
 * Core section 5.1). */
static bool is_unverified(const json_t *claims, struct bytes claim) {
    const json_t *verified = json_object_get(claims, "email_verified");
    bool yes = json_is_true(verified) ||
               bytes_equal_nocase(oauth_json_text(claims, "email_verified"), B("true"));
    return bytes_equal(claim, B("email")) && verified && !yes;
}

enum oauth_fault oauth_claims_check(struct arena *a, const json_t *claims,
                                    const struct oauth_policy *policy, int64_t now, bool whole,
                                    struct oauth_token *out) {
    bool has_issuer = json_object_get(claims, "iss") != NULL;
    if ((whole || has_issuer) && !bytes_equal(oauth_json_text(claims, "iss"), policy->issuer))
        return OAUTH_ISSUER;
    if (policy->audience.len && !has_audience(claims, policy->audience))
        return OAUTH_AUDIENCE;
    enum oauth_fault fault = check_times(claims, now, whole, &out->expires);
    if (fault)
        return fault;
    struct bytes login = oauth_json_text(claims, arena_str(a, policy->claim));
    if (!is_login(login) || is_unverified(claims, policy->claim))
        return OAUTH_NOBODY;
    out->login = arena_copy(a, login);
    return OAUTH_FINE;
}
