/* keeper: the secrets and the server side of SASL (RFC 4422), in a process of its own that no
 * stranger's octets reach but through these calls. secrets.db holds a SCRAM-SHA-256 key set per
 * login (RFC 5802, RFC 7677); PLAIN and LOGIN are checked against it, a right answer is remembered
 * for 10 minutes as an HMAC under a key of this boot.
 *
 * auth.h is the workers' side (asynchronous, over a channel or in-process); secrets.h the database;
 * this header the service loop of the keeper process. */
#ifndef KEEPER_KEEPER_H
#define KEEPER_KEEPER_H

#include "base/arena.h"
#include "base/why.h"
#include "sys/loop.h"

struct keeper;
/* Engine without transport: opens secrets.db (made if missing). */
enum rc keeper_open(struct loop *l, const char *secrets_file, struct bytes hostname,
                    struct keeper **out, struct why *why);
void keeper_close(struct keeper **k);
/* One call: request and reply in the channel's form (keeper/wire.c writes and reads both). on_reply
 * comes exactly once, at once or later (hashing has threads of its own). `caller` names the
 * worker's connection: exchanges belong to it and end with it. */
void keeper_call(struct keeper *k, uint64_t caller, struct bytes request,
                 void (*on_reply)(void *ctx, struct bytes reply), void *ctx);
void keeper_gone(struct keeper *k, uint64_t caller);
/* Serves fd (a listening SOCK_SEQPACKET socket) until the loop ends. */
void keeper_serve(struct keeper *k, int fd);

/* secrets.db, for the user commands; all blocking. */
struct secrets;
enum rc secrets_open(const char *file, bool create, struct secrets **out, struct why *why);
void secrets_close(struct secrets **s);
/* Makes salt and keys (4096 iterations or more); the password is prepared with SASLprep (RFC 4013).
 */
enum rc secrets_set(struct secrets *s, struct bytes login, struct bytes password, struct why *why);
enum rc secrets_remove(struct secrets *s, struct bytes login, struct why *why);
/* A disabled login keeps its keys and looks like a wrong password. */
enum rc secrets_disable(struct secrets *s, struct bytes login, bool disabled, struct why *why);
/* Where it is under state_dir: in a directory of the keeper's own (0700), because SQLite writes its
 * log beside the file, and because whoever may write a directory may replace the files in it. */
#define SECRETS_DIR  "keeper"
#define SECRETS_FILE SECRETS_DIR "/secrets.db"

#endif
