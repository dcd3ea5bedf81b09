/* keeper: the secrets and the server side of SASL (RFC 4422), in a process of its own that no
 * stranger's octets reach but through these calls. secrets.db holds SCRAM's keys of each password of a
 * login (RFC 5802, RFC 7677), or a hash of another system until its first right password; PLAIN and
 * LOGIN are checked against them, a right answer is remembered for 10 minutes as an HMAC under a key
 * of this boot.
 *
 * auth.h is the workers' side (asynchronous, over a channel or in-process); secrets.h the database;
 * this header the service loop of the keeper process. */
#ifndef KEEPER_KEEPER_H
#define KEEPER_KEEPER_H

#include "base/arena.h"
#include "base/why.h"
#include "sys/loop.h"

struct keeper;
struct keeper_setup {
    const char *secrets_file;
    struct bytes failures_file; /* counts of failed logins survive a restart there; empty: not */
    struct bytes hostname;
    /* Who knows logins, in the order in which they are asked: "directory" (secrets.db),
     * "dovecot:PATH" (its auth-client socket), "pam:SERVICE" (the whole login is PAM's user) or
     * "pam:SERVICE@DOMAIN" (logins of this domain, or without one; the local part is PAM's user).
     * None: secrets.db alone. A login that secrets.db has a password of is decided by it. */
    const struct bytes *sources;
    size_t source_count;
    const char *pam_helper; /* socket of the process that asks PAM (pam_serve) */
};
/* Engine without transport: opens secrets.db (made if missing). */
enum rc keeper_open(struct loop *l, const struct keeper_setup *setup, struct keeper **out,
                    struct why *why);
void keeper_close(struct keeper **k);

/* Providers of tokens, in the order they are tried: XOAUTH2 and OAUTHBEARER are checked with them. */
struct keeper_provider {
    struct bytes name, issuer, audience, claim;
    bool introspects;  /* it is asked about each token */
    struct bytes keys; /* its key set, if that is a file's; empty: the fetcher gets it */
};
struct fetcher;
/* At most 8, copied. Owns the fetcher, which is asked for what is not here. */
void keeper_take_providers(struct keeper *k, const struct keeper_provider *list, size_t count,
                           struct fetcher *fetcher);
/* Writes the counts of failed logins now; it is done by itself every half minute. */
void keeper_save(struct keeper *k);
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
/* Makes the keys of SCRAM-SHA-256 and -1; the password is prepared with SASLprep (RFC 4013). An
 * imported hash and a reversible form of the last password are gone then. */
enum rc secrets_set(struct secrets *s, struct bytes login, struct bytes password, struct why *why);
/* The same, and the password itself besides, encrypted under a key in a file beside the database:
 * what CRAM-MD5 cannot do without (RFC 2195). */
enum rc secrets_set_reversible(struct secrets *s, struct bytes login, struct bytes password,
                               struct why *why);
/* A hash of another system (keeper/hash.h) in place of a password. */
enum rc secrets_import(struct secrets *s, struct bytes login, struct bytes hash, struct why *why);
enum rc secrets_remove(struct secrets *s, struct bytes login, struct why *why);
/* A disabled login keeps its keys and looks like a wrong password. */
enum rc secrets_disable(struct secrets *s, struct bytes login, bool disabled, struct why *why);

enum { APP_PASSWORDS_MAX = 32, APP_NAME_MAX = 64, APP_SENDERS_MAX = 1024, APP_NETWORKS_MAX = 512 };
/* A password beside the login's own. The lists are parted by blanks; empty: not narrowed. */
struct app_password {
    struct bytes name;
    bool smtp, pop; /* what it may be used for */
    struct bytes senders, networks;
    int64_t created; /* wall ms */
};
enum rc secrets_app_add(struct secrets *s, struct bytes login, const struct app_password *app,
                        struct bytes password, struct why *why);
enum rc secrets_app_remove(struct secrets *s, struct bytes login, struct bytes name,
                           struct why *why);
/* In order of name; views are gone when `each` returns. */
enum rc secrets_app_list(struct secrets *s, struct bytes login,
                         void (*each)(void *ctx, const struct app_password *app), void *ctx,
                         struct why *why);
/* Lets a client with this certificate ("spki-sha256:HEX", "ca:PATH name:NAME") log in by EXTERNAL. */
enum { CERTIFICATE_MAX = 1024 };
enum rc secrets_allow_certificate(struct secrets *s, struct bytes login, struct bytes certificate,
                                  struct why *why);
enum rc secrets_deny_certificate(struct secrets *s, struct bytes login, struct bytes certificate,
                                 struct why *why);
/* What a login has, without any of it. */
struct secrets_kinds {
    bool password; /* keys of our own */
    bool sha_1;    /* SCRAM-SHA-1's too */
    bool imported, reversible;
    unsigned app_passwords;
};
enum rc secrets_kinds(struct secrets *s, struct bytes login, struct secrets_kinds *out,
                      struct why *why);
enum rc secrets_certificates(struct secrets *s, struct bytes login,
                             void (*each)(void *ctx, struct bytes certificate), void *ctx,
                             struct why *why);
/* Where it is under state_dir: in a directory of the keeper's own (0700), because SQLite writes its
 * log beside the file, and because whoever may write a directory may replace the files in it. */
#define SECRETS_DIR  "keeper"
#define SECRETS_FILE SECRETS_DIR "/secrets.db"

#endif
