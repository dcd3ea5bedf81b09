/* import: password hashes of other systems, checked by libsodium (Argon2) and libxcrypt (the rest).
 * This file alone knows which may be taken: one that costs more than a login may is not. */
#include "base/must.h"
#include "base/scan.h"
#include "keeper/hash.h"

#include <crypt.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARGON2_KIB_MAX = 256 * 1024,
    ARGON2_COST_MAX = 2 * 1024 * 1024, /* KiB times passes: about a second */
    BCRYPT_COST_MAX = 14,
    SHA_ROUNDS_MAX = 2000000,
};

/* --- what may be taken --------------------------------------------------------------------------- */

static bool take_field(struct scan *s, const char *name, uint64_t max, uint64_t *out) {
    if (!scan_accept_nocase(s, bytes_str(name)))
        return false;
    *out = scan_number(s, max);
    return !s->bad;
}

/* "$argon2id$v=19$m=65536,t=3,p=4$salt$hash" */
static const char *check_argon2(struct bytes text) {
    struct scan s = scan_of(bytes_skip(text, (size_t)bytes_find(bytes_skip(text, 1), '$') + 2));
    uint64_t version = 0, kib = 0, passes = 0, lanes = 0;
    bool good = take_field(&s, "v=", 99, &version) && scan_accept(&s, '$') &&
                take_field(&s, "m=", UINT32_MAX, &kib) && scan_accept(&s, ',') &&
                take_field(&s, "t=", UINT32_MAX, &passes) && scan_accept(&s, ',') &&
                take_field(&s, "p=", 255, &lanes) && scan_accept(&s, '$') && scan_peek(&s) > 0;
    if (!good || version != 19 || !kib || !passes || !lanes)
        return "this is not an Argon2 hash as $argon2id$v=19$m=KIB,t=N,p=N$SALT$HASH has it";
    if (kib > ARGON2_KIB_MAX || kib * passes > ARGON2_COST_MAX)
        return "it costs more than a login may: at most 256 MiB, and MiB times passes 2048";
    return NULL;
}

static const char *check_bcrypt(struct bytes text) {
    struct scan s = scan_of(bytes_skip(text, 4));
    uint64_t cost = scan_number(&s, 99);
    if (s.bad || cost < 4 || text.len != 60)
        return "this is not a bcrypt hash of 60 characters";
    return cost > BCRYPT_COST_MAX ? "its cost is above 14: a login would take seconds" : NULL;
}

static const char *check_sha(struct bytes text) {
    struct scan s = scan_of(bytes_skip(text, 3));
    uint64_t rounds = 0;
    if (scan_accept_nocase(&s, B("rounds=")))
        rounds = scan_number(&s, UINT32_MAX);
    if (s.bad || bytes_find(bytes_skip(text, 3), '$') < 0)
        return "this is not a hash as crypt(5) has it";
    return rounds > SHA_ROUNDS_MAX ? "it has more than 2000000 rounds: a login would take seconds"
                                   : NULL;
}

/* yescrypt and scrypt: their costs are one character, N = 2^that; r stays small in practice. */
static const char *check_yescrypt(struct bytes text) {
    static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    struct bytes field = bytes_skip(text, 3);
    ptrdiff_t end = bytes_find(field, '$');
    const char *digit = end > 1 ? strchr(digits, field.at[1]) : NULL;
    if (!digit || !field.at[1])
        return "this is not a yescrypt hash as crypt(5) has it";
    return digit - digits > 14
               ? "its cost is more than eight times the usual: a login would take seconds"
               : NULL;
}

static const char *check_any(struct bytes text) {
    return text.len < 4 ? "this is not a hash as crypt(5) has it" : NULL;
}

/* Tried in order. */
static const struct {
    const char *prefix;
    const char *(*check)(struct bytes text);
} schemes[] = {
    { "$argon2id$", check_argon2 }, { "$argon2i$", check_argon2 }, { "$2a$", check_bcrypt },
    { "$2b$", check_bcrypt },       { "$2y$", check_bcrypt },      { "$5$", check_sha },
    { "$6$", check_sha },           { "$y$", check_yescrypt },     { "$1$", check_any },
};

static bool is_printable(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] > '~' || text.at[i] == ':')
            return false;
    return text.len > 0;
}

/* "{BLF-CRYPT}$2y$..." */
static struct bytes without_scheme(struct bytes text) {
    ptrdiff_t end = bytes_starts(text, B("{")) ? bytes_find(text, '}') : -1;
    return end > 0 ? bytes_skip(text, (size_t)end + 1) : text;
}

const char *import_parse(struct bytes text, struct bytes *out) {
    *out = without_scheme(bytes_trim(text));
    if (out->len > HASH_TEXT_MAX || !is_printable(*out))
        return "a hash is at most 512 printable characters without blanks or colons";
    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (bytes_starts(*out, bytes_str(schemes[i].prefix)))
            return schemes[i].check(*out);
    return "expected $argon2id$, $argon2i$, $2a$, $2b$, $2y$ (bcrypt), $5$, $6$ (SHA-crypt), $y$ "
           "(yescrypt) or $1$ (MD5-crypt); have the password set anew instead";
}

/* --- checking ------------------------------------------------------------------------------------ */

static bool fits_crypt(const char *hash, const char *password) {
    struct crypt_data *data = calloc(1, sizeof *data);
    MUST(data);
    const char *made = crypt_rn(password, hash, data, (int)sizeof *data);
    bool fits = made && bytes_equal_secret(bytes_str(made), bytes_str(hash));
    explicit_bzero(data, sizeof *data);
    free(data);
    return fits;
}

bool import_fits(struct bytes hash, struct bytes password) {
    char stored[HASH_TEXT_MAX + 1], typed[PASSWORD_MAX + 1];
    struct buf s = buf_fixed(stored, sizeof stored), t = buf_fixed(typed, sizeof typed);
    if (hash.len > HASH_TEXT_MAX || password.len > PASSWORD_MAX || !password.len ||
        bytes_find(password, '\0') >= 0 || sodium_init() < 0)
        return false;
    buf_add(&s, hash);
    buf_add(&t, password);
    bool fits = bytes_starts(hash, B("$argon2"))
                    ? crypto_pwhash_str_verify(buf_text(&s), buf_text(&t), t.len) == 0
                    : fits_crypt(buf_text(&s), buf_text(&t));
    explicit_bzero(typed, sizeof typed);
    return fits;
}
