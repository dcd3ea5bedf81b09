/* hash: the arithmetic of SCRAM (RFC 5802 section 3, RFC 7677), imported password hashes, and the
 * preparation of names and passwords. No database, no clock. */
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
    HASH_TEXT_MAX = 512,
};

enum scram_hash { SCRAM_SHA_256, SCRAM_SHA_1, SCRAM_HASHES };
/* What all passwords of one login are salted with: one salt for all of them lets SCRAM, which tells
 * the client the salt before it knows which password the client has, try each. */
struct salting {
    unsigned iterations;
    uint8_t salt[SALT_OCTETS];
};
/* What is stored of a password for one hash function; SHA-1's are the first 20 octets. */
struct scram_keys {
    bool is_set;
    uint8_t stored[HASH_OCTETS];
    uint8_t server[HASH_OCTETS];
};
size_t scram_octets(enum scram_hash h);
void scram_derive(const struct salting *s, enum scram_hash h, struct bytes password,
                  struct scram_keys *out);
/* Was this proof of the client's made with the password behind these keys? */
bool scram_proves(enum scram_hash h, const struct scram_keys *keys, struct bytes auth_message,
                  struct bytes proof);
bool scram_same(enum scram_hash h, const struct scram_keys *a, const struct scram_keys *b);

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

/* --- hashes of other systems (import.c) ------------------------------------------------------ */
/* A hash string as it is kept: "$argon2id$...", "$2b$...", "$6$..." and what else libsodium and
 * libxcrypt know; Dovecot's {SCHEME} in front is taken off. NULL, or what is wrong with it. */
const char *import_parse(struct bytes text, struct bytes *out);
/* Is this the password? Slow on purpose: tens of milliseconds. The password is taken as it was
 * typed: other systems know no SASLprep. */
bool import_fits(struct bytes hash, struct bytes password);

#endif
