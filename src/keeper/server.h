/* server: the server side of one SASL exchange, and what its thread knows: the database, the
 * library, right answers of the last minutes. Blocking: on an offload thread. An exchange stays on
 * one thread, so nothing here is shared. */
#ifndef KEEPER_SERVER_H
#define KEEPER_SERVER_H

#include "keeper/auth.h"
#include "keeper/hash.h"

struct checker; /* one a thread */
/* boot_key: 32 octets of this process's own. The database is opened, made if missing; OK even if
 * that fails: then answers are AUTH_DOWN until it works. */
struct checker *checker_open(const char *file, struct bytes hostname,
                             const uint8_t boot_key[HASH_OCTETS]);
void checker_close(struct checker **k);

struct server;
/* NULL: no such mechanism. Copies the session. */
struct server *server_open(struct checker *k, const struct auth_session *session);
void server_close(struct server **s);

struct server_answer {
    enum auth_result result;
    bool guess;      /* REFUSED: a password was tried */
    struct buf data; /* for the client; buf_free it */
    char login[LOGIN_MAX + 1];
    size_t login_len; /* prepared; as far as known */
    struct why why;
};
/* One message of the client's (`has_input` false: none came with AUTH). now: monotonic ms. */
void server_step(struct server *s, bool has_input, struct bytes input, int64_t now,
                 struct server_answer *out);

#endif
