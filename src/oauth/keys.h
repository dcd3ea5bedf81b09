/* keys: a key set from within. Inside oauth only. */
#ifndef OAUTH_KEYS_H
#define OAUTH_KEYS_H

#include "oauth/json.h"

#include <openssl/evp.h>

enum oauth_key_kind {
    OAUTH_KEY_RSA,
    OAUTH_KEY_P256,
    OAUTH_KEY_P384,
    OAUTH_KEY_P521,
    OAUTH_KEY_EDWARDS
};
struct oauth_key {
    struct bytes kid, alg; /* empty: it says none */
    enum oauth_key_kind kind;
    EVP_PKEY *key;
};
struct oauth_keys {
    size_t count;
    struct oauth_key list[OAUTH_KEYS_MAX];
};

#endif
