/* hash: the arithmetic of SCRAM-SHA-256 (RFC 5802 section 3, RFC 7677) and the preparation of names
 * and passwords. No database, no clock. */
#ifndef KEEPER_HASH_H
#define KEEPER_HASH_H

#include "base/buf.h"

enum {
    HASH_OCTETS = 32,
    SALT_OCTETS = 16,
    ITERATIONS = 10000, /* 2.5 ms on the machine this was measured on; at least 4096 (RFC 7677) */
    ITERATIONS_MIN = 4096,
    LOGIN_MAX = 320,
    PASSWORD_MAX = 1024,
};

/* What is stored of a password. */
struct secret {
    unsigned iterations;
    uint8_t salt[SALT_OCTETS];
    uint8_t stored_key[HASH_OCTETS];
    uint8_t server_key[HASH_OCTETS];
};

/* Fills in the keys from iterations and salt. */
void secret_derive(struct secret *s, struct bytes password);
/* HMAC-SHA-256 of the parts one after the other, each behind its length. */
void hash_hmac(const uint8_t key[HASH_OCTETS], const struct bytes *parts, size_t count,
               uint8_t out[HASH_OCTETS]);
#define HASH_PARTS(...)                                                                            \
    (const struct bytes[]){ __VA_ARGS__ },                                                         \
        sizeof((const struct bytes[]){ __VA_ARGS__ }) / sizeof(struct bytes)

/* SASLprep (RFC 4013); false: characters that it forbids, not UTF-8, empty, a NUL, too long for
 * *out. To be stored: code points not assigned in Unicode 3.2 are refused; to be compared: not. */
bool prepare_password(struct bytes password, bool to_store, struct buf *out);
/* SASLprep and lower case. */
bool prepare_login(struct bytes login, struct buf *out);

#endif
