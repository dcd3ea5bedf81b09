/* server: the server side of one SASL exchange, and what its thread knows: the database, the
 * library, right answers of the last minutes. Blocking: on an offload thread. An exchange stays on
 * one thread, so nothing here is shared. */
#ifndef KEEPER_SERVER_H
#define KEEPER_SERVER_H

#include "keeper/auth.h"
#include "keeper/hash.h"
#include "keeper/source.h"
#include "keeper/tokens.h"

struct checker; /* one a thread */
struct checker_setup {
    const char *file;
    struct bytes hostname;
    const uint8_t *boot_key; /* HASH_OCTETS of this process's own */
    size_t source_count;     /* beside secrets.db */
    bool own;                /* secrets.db is asked, */
    size_t own_place;        /* after that many of them */
};
/* The database is opened, made if missing; if that fails answers are AUTH_DOWN until it works. */
struct checker *checker_open(const struct checker_setup *setup);
void checker_close(struct checker **k);

struct server;
/* NULL: no such mechanism. Copies the session. */
struct server *server_open(struct checker *k, const struct auth_session *session);
void server_close(struct server **s);

enum server_wait {
    WAIT_NOTHING,
    WAIT_HASH,   /* server_work on a thread for slow things, then server_resume */
    WAIT_TOKENS, /* `need` of what tokens.h has, then server_give and server_resume */
    WAIT_SOURCE, /* the source number `source` has to be asked server_question, then server_resume */
};
struct server_answer {
    enum server_wait wait; /* not an answer yet */
    size_t source;
    struct token_need need;
    enum auth_result result;
    bool guess;      /* REFUSED: a password was tried, or CHALLENGE: a token was, and is bad, */
    bool known;      /* of a login that there is, or may be elsewhere */
    bool told;       /* REFUSED: the client may be told what `why` says */
    struct buf data; /* for the client; buf_free it */
    char login[LOGIN_MAX + 1];
    size_t login_len; /* prepared; as far as known */
    /* DONE with an app password: its name and what it is bound to, as in keeper.h */
    char app[APP_NAME_MAX + 1], senders[APP_SENDERS_MAX + 1], networks[APP_NETWORKS_MAX + 1];
    struct why why;
};
/* One message of the client's (`has_input` false: none came with AUTH). now: monotonic ms. */
void server_step(struct server *s, bool has_input, struct bytes input, int64_t now,
                 struct server_answer *out);
/* What a login by token is checked with, before each step; the others do not care. had: of WAIT_TOKENS,
 * or NULL. All of it stays as it is until the step is over. */
void server_give(struct server *s, const struct token_view *view, int64_t wall,
                 const struct token_had *had);
/* WAIT_HASH: does the imported hash fit? Touches nothing but the exchange. */
enum source_result server_work(struct server *s);
/* WAIT_SOURCE: views that live as long as the exchange waits. */
struct source_question server_question(const struct server *s);
void server_resume(struct server *s, const struct source_answer *answer, int64_t now,
                   struct server_answer *out);

#endif
