/* json: reading members of objects that strangers wrote. Inside oauth only. */
#ifndef OAUTH_JSON_H
#define OAUTH_JSON_H

#include "oauth/oauth.h"

#include <jansson.h>

/* An object, or NULL: not JSON, too long, something else, or a name twice. Ends with the arena. */
json_t *oauth_json_object(struct arena *a, struct bytes text);
/* The member's text, or empty when it is missing or no string. */
struct bytes oauth_json_text(const json_t *object, const char *name);
/* A text member that may be missing, or null: false only when it is something else. */
bool oauth_json_optional(const json_t *object, const char *name, struct bytes *out);
/* Seconds since 1970 as wall ms; false when it is missing, no number or out of range. */
bool oauth_json_time(const json_t *object, const char *name, int64_t *out);
/* base64url without padding (RFC 7515 section 2) into the arena. */
bool oauth_json_unbase64(struct arena *a, struct bytes text, struct bytes *out);

/* The claims of a token, or an introspection's answer. whole: all of them must be there. */
enum oauth_fault oauth_claims_check(struct arena *a, const json_t *claims,
                                    const struct oauth_policy *policy, int64_t now, bool whole,
                                    struct oauth_token *out);

#endif
