/* secrets: what the keeper's threads ask secrets.db, beyond what the commands do with it
 * (keeper.h). Blocking. */
#ifndef KEEPER_SECRETS_H
#define KEEPER_SECRETS_H

#include "keeper/hash.h"
#include "keeper/keeper.h"

enum { SERVICE_SMTP_BIT = 1, SERVICE_POP_BIT = 2 };

/* One password of a login. */
struct credential {
    char name[APP_NAME_MAX + 1]; /* an app password's; empty: the login's own */
    unsigned services;           /* bits: what it may be used for */
    struct scram_keys keys[SCRAM_HASHES];
};
struct account {
    bool found; /* false, or disabled: nothing else is filled in */
    bool disabled;
    struct salting salting;
    size_t count;
    struct credential list[1 + APP_PASSWORDS_MAX];
    bool has_own; /* a password of its own, with these keys */
    struct scram_keys own[SCRAM_HASHES];
    char hash[HASH_TEXT_MAX + 1]; /* an imported one, until the first right password */
    bool has_reversible;
};

/* A handle that has not been opened yet: secrets_ready before each use. */
struct secrets *secrets_new(const char *file);
enum rc secrets_ready(struct secrets *s, bool create, struct why *why);
/* `login` is prepared, here and below. */
enum rc secrets_find(struct secrets *s, struct bytes login, struct account *out, struct why *why);
/* What an app password is bound to (keeper.h). *found_out is false when it is gone meanwhile. */
enum rc secrets_app_bounds(struct secrets *s, struct bytes login, struct bytes name,
                           struct buf *senders_out, struct buf *networks_out, bool *found_out,
                           struct why *why);
/* A right password was typed (prepared): keys that are missing are made of it, an imported hash is
 * replaced by them; nothing happens if the password was changed meanwhile. */
enum rc secrets_complete(struct secrets *s, struct bytes login, const struct account *as_read,
                         struct bytes password, struct why *why);
/* Whom a certificate stands for: "spki-sha256:HEX" or "ca:PATH name:NAME". *login_out stays empty when
 * nobody, or somebody disabled. */
enum rc secrets_find_certificate(struct secrets *s, struct bytes certificate, struct buf *login_out,
                                 struct why *why);
/* The password itself, of a login that has_reversible. */
enum rc secrets_reveal(struct secrets *s, struct bytes login, struct buf *out, struct why *why);
/* Octets of this database's own, made once: what unknown logins' salts are made from. */
enum rc secrets_seed(struct secrets *s, uint8_t out[HASH_OCTETS], struct why *why);

#endif
