/* oauth: the language of OAuth 2.0 bearer tokens: JSON Web Tokens and the keys that sign them, what
 * providers answer, and the two SASL mechanisms that carry a token. No I/O and no clock: the time is
 * passed in. Everything here reads what strangers wrote; all of it has limits.
 *
 * A token is good when its signature is one of the provider's keys' and its claims fit the policy:
 * issuer, audience, times. What is wrong with one is a word of a table, for logs and replies; the
 * token itself is in no text that comes from here. */
#ifndef OAUTH_OAUTH_H
#define OAUTH_OAUTH_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/why.h"

enum {
    OAUTH_TOKEN_MAX = 8192,         /* what fits an AUTH line, and more than providers issue */
    OAUTH_DOCUMENT_MAX = 64 * 1024, /* key sets, metadata, answers */
    OAUTH_KEYS_MAX = 64,
    OAUTH_LEEWAY_MS = 60 * 1000, /* clocks differ */
    OAUTH_LOGIN_MAX = 320,
    OAUTH_URL_MAX = 1000,
};

/* What is wrong with a token. */
enum oauth_fault {
    OAUTH_FINE,
    OAUTH_SHAPE,     /* no token at all, too long, not readable */
    OAUTH_ALGORITHM, /* "none", a shared secret, one unknown, or not the key's */
    OAUTH_NO_KEY,    /* signed by a key that the set does not have: it may have been renewed */
    OAUTH_SIGNATURE,
    OAUTH_ISSUER,
    OAUTH_AUDIENCE,
    OAUTH_EXPIRED,
    OAUTH_EARLY,    /* not valid yet, or issued in the future */
    OAUTH_NOBODY,   /* names no login */
    OAUTH_INACTIVE, /* the provider says that it is not good */
    OAUTH_FAULTS,
};
/* "expired", "made for somebody else (audience)". */
const char *oauth_fault_text(enum oauth_fault fault);

/* --- keys.c: JSON Web Key sets (RFC 7517) ----------------------------------------------------- */
struct oauth_keys;
/* Keeps the public keys that can sign: RSA from 2048 bits, P-256, P-384, P-521, Ed25519, Ed448.
 * Others, and broken ones, are passed over (section 5). PERM and why when none is left. The keys
 * end with the arena; they never change, so threads may share them. */
enum rc oauth_keys_parse(struct arena *a, struct bytes json, struct oauth_keys **out,
                         struct why *why);
size_t oauth_keys_count(const struct oauth_keys *keys);

/* --- token.c: JSON Web Tokens (RFC 7519, signed: RFC 7515) ------------------------------------- */
struct oauth_policy {
    struct bytes issuer;   /* the iss claim, exactly */
    struct bytes audience; /* one of the aud claim; empty: any */
    struct bytes claim;    /* the claim that names the login */
};
struct oauth_token {
    struct bytes login; /* as the claim has it */
    int64_t expires;    /* wall ms */
};
/* Has it the form of a signed token? Opaque ones are the introspection's business. *issuer_out: what
 * it claims, unchecked, for choosing among providers; empty when it says nothing. */
bool oauth_token_issuer(struct arena *a, struct bytes token, struct bytes *issuer_out);
/* keys NULL: none are known. now: wall ms. Views of *out live in the arena. */
enum oauth_fault oauth_token_check(struct arena *a, struct bytes token,
                                   const struct oauth_keys *keys, const struct oauth_policy *policy,
                                   int64_t now, struct oauth_token *out);

/* --- answers.c: what providers answer ----------------------------------------------------------- */
/* RFC 7662. PERM and why when the answer is none; else *fault_out says what is wrong. */
enum rc oauth_introspection_parse(struct arena *a, struct bytes json,
                                  const struct oauth_policy *policy, int64_t now,
                                  enum oauth_fault *fault_out, struct oauth_token *out,
                                  struct why *why);
/* RFC 8414 and OpenID Connect Discovery: where its keys are. PERM when the document is another
 * issuer's (section 3.3), or its URL is none that may be asked. */
enum rc oauth_metadata_parse(struct arena *a, struct bytes json, struct bytes issuer,
                             struct bytes *keys_url_out, struct why *why);
/* The n-th place where the document may be; false: there is no further one. */
bool oauth_metadata_url(struct arena *a, struct bytes issuer, unsigned n, struct bytes *out);

/* The token endpoint's answer (RFC 6749 sections 5.1 and 5.2). */
struct oauth_grant {
    struct bytes access_token, refresh_token; /* the second may be empty */
    int64_t lasts_ms;
};
enum rc oauth_grant_parse(struct arena *a, struct bytes json, struct oauth_grant *out,
                          struct why *why);

/* --- client.c: a client of ours, as a login file has it ------------------------------------------ */
struct oauth_client {
    struct bytes token_url, client_id, client_secret, scope, audience, refresh_token, user;
    struct bytes ca_file;
    bool secret_in_body; /* client_secret_post; else client_secret_basic */
};
/* Whether the text is meant to be one: a JSON object. */
bool oauth_client_is(struct bytes text);
enum rc oauth_client_parse(struct arena *a, struct bytes text, struct oauth_client *out,
                           struct why *why);
/* The form that asks for a token: by refresh_token if that is not empty, else by the client's own
 * credentials (RFC 6749 sections 4.4 and 6). */
void oauth_client_form(struct buf *out, const struct oauth_client *client,
                       struct bytes refresh_token);
/* name=value& ... as application/x-www-form-urlencoded. */
void oauth_form_add(struct buf *out, const char *name, struct bytes value);
/* The value as such a form has it; Basic authentication wants id and secret so (section 2.3.1). */
void oauth_escape(struct buf *out, struct bytes value);
/* https://, or http:// to this host itself; no user in it, no blanks, no fragment. */
bool oauth_url_is_fit(struct bytes url);

/* --- message.c: XOAUTH2 and OAUTHBEARER (RFC 7628) ---------------------------------------------- */
struct oauth_message {
    struct bytes user; /* OAUTHBEARER: the authorisation identity, may be empty */
    struct bytes token;
};
enum oauth_mechanism { OAUTH_XOAUTH2, OAUTH_BEARER };
/* The client's first message; false: not of its form. The user is decoded into the arena. */
bool oauth_message_parse(struct arena *a, enum oauth_mechanism mechanism, struct bytes message,
                         struct oauth_message *out);
void oauth_message_format(struct buf *out, enum oauth_mechanism mechanism,
                          const struct oauth_message *message, struct bytes host, uint16_t port);
/* The server's word about a token that is refused, as a challenge: JSON (RFC 7628 section 3.2.2). */
void oauth_message_refusal(struct buf *out, enum oauth_mechanism mechanism, struct bytes issuer);
/* What the client must answer to that (section 3.2.3). */
struct bytes oauth_message_dummy(enum oauth_mechanism mechanism);

#endif
