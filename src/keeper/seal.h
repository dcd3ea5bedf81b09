/* seal: passwords that must be had back, encrypted (AES-256-GCM) under a key in a file beside
 * secrets.db: whoever gets a copy of the database alone gets none of them. Bound to the login, so
 * that one cannot be put in another's place. Blocking. */
#ifndef KEEPER_SEAL_H
#define KEEPER_SEAL_H

#include "base/buf.h"
#include "base/why.h"

enum { SEALED_MAX = 1024 + 64 };

struct seal;
/* The file is reversible.key in the database's directory; it is looked at when it is needed. */
struct seal *seal_open(const char *database);
void seal_close(struct seal **s);
/* Makes the key if there is none. */
enum rc seal_make(struct seal *s, struct bytes login, struct bytes password, struct buf *out,
                  struct why *why);
/* TEMP and why (backend.auth) when the key is missing, unreadable or another one. */
enum rc seal_break(struct seal *s, struct bytes login, struct bytes sealed, struct buf *out,
                   struct why *why);

#endif
