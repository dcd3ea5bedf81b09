/* secrets: what the keeper's threads ask secrets.db, beyond what the commands do with it
 * (keeper.h). Blocking. */
#ifndef KEEPER_SECRETS_H
#define KEEPER_SECRETS_H

#include "keeper/hash.h"
#include "keeper/keeper.h"

/* A handle that has not been opened yet: secrets_ready before each use. */
struct secrets *secrets_new(const char *file);
enum rc secrets_ready(struct secrets *s, bool create, struct why *why);
/* *found_out is false when there is no such login or it is disabled. `login` is prepared. */
enum rc secrets_find(struct secrets *s, struct bytes login, struct secret *out, bool *found_out,
                     struct why *why);
/* Octets of this database's own, made once: what unknown logins' salts are made from. */
enum rc secrets_seed(struct secrets *s, uint8_t out[HASH_OCTETS], struct why *why);

#endif
