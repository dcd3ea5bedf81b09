/* exchange: what the mechanisms of the server side share: one exchange, and what its thread knows.
 * server.c has the table of mechanisms; each of the other files steps some of them, and ends each
 * step with exactly one of the calls below.
 *
 * A step that cannot be answered on its thread, because it is slow or somebody else has to be asked,
 * ends with server_wait; the keeper sees to it and calls server_resume. */
#ifndef KEEPER_EXCHANGE_H
#define KEEPER_EXCHANGE_H

#include "keeper/bearer.h"
#include "keeper/secrets.h"
#include "keeper/server.h"

#include <gsasl.h>

enum { OUTPUT_MAX = 12 * 1024, BINDING_TEXT = 512 };

struct checker { /* one a thread */
    struct secrets *secrets;
    Gsasl *library;
    char *hostname;
    uint8_t boot_key[HASH_OCTETS];
    bool has_seed;
    uint8_t seed[HASH_OCTETS];
    struct map *remembered; /* password.c's */
    size_t source_count;    /* beside secrets.db; their order: */
    size_t own_place;       /* how many of them are asked before secrets.db ... */
    bool own;               /* ... if it is asked at all */
};

typedef void server_stepper(struct server *s, bool has_input, struct bytes input, int64_t now,
                            struct server_answer *out);
struct server_mechanism {
    const char *name;
    server_stepper *step;
    size_t message_max; /* the longest message of the client's */
    enum scram_hash hash;
    bool plus;
    bool bearer; /* a token instead of a password, in a message of this form: */
    enum oauth_mechanism form;
};
server_stepper step_plain, step_login; /* password.c */
server_stepper step_scram;             /* scram.c */
server_stepper step_cram;              /* cram.c */
server_stepper step_external;          /* external.c */
server_stepper step_token;             /* token.c */

struct server {
    struct checker *checker;
    const struct server_mechanism *mechanism;
    Gsasl_session *session;
    char exporter[BINDING_TEXT], unique[BINDING_TEXT]; /* base64 */
    bool no_plus;
    struct addr client;
    unsigned service; /* bit */
    bool tls;
    uint8_t spki[HASH_OCTETS];
    bool has_spki;
    struct buf certificates; /* what authorities vouch for, as in auth.h */
    unsigned steps;
    bool over;
    char name[LOGIN_MAX + 1]; /* LOGIN: as given; else prepared */
    size_t name_len;
    bool has_name;
    struct account account; /* real; or made up: then a password never fits */
    bool real;
    size_t which;   /* of account.list: the one that fits */
    enum rc lookup; /* how reading it went */
    struct why why;
    struct buf said; /* SCRAM: the messages so far, for the proof */
    /* a password that waits for somebody's judgement */
    char password[PASSWORD_MAX];
    size_t password_len;
    enum server_wait waits;
    size_t source; /* the next to be asked, of those beside secrets.db */
    bool asked_own;
    bool one_down;
    struct bearer *bearer; /* a login by token */
};

/* --- how a step ends ------------------------------------------------------------------------- */
void server_end(struct server *s, enum auth_result result, struct server_answer *out);
void server_malformed(struct server *s, const char *text, struct server_answer *out);
/* guess: a password was tried, which counts as a failure. */
void server_refused(struct server *s, bool guess, struct server_answer *out);
void server_down(struct server *s, const struct why *why, struct server_answer *out);
void server_challenge(struct bytes data, struct server_answer *out);
/* In, as out->login says (prepared), with account.list[which] or without a password of ours. */
void server_in(struct server *s, const struct credential *with, struct server_answer *out);
void server_wait(struct server *s, enum server_wait wait, struct server_answer *out);

/* --- what several need ----------------------------------------------------------------------- */
bool server_same_login(struct bytes a, struct bytes b);
/* Fills s->account with the passwords that have keys for this hash and may be used for what the
 * session wants, and s->real. Without any there is one nobody knows, so that all takes the same
 * steps. */
enum rc server_look_up(struct server *s, struct bytes login, enum scram_hash h, struct why *why);
enum rc checker_ready(struct checker *k, struct why *why);
void checker_forget(struct checker *k); /* password.c: what it remembers */
int scram_property(struct server *s, Gsasl_session *session, Gsasl_property property);
int cram_property(struct server *s, Gsasl_session *session, Gsasl_property property);
/* password.c: goes on where server_wait stopped. */
void password_resume(struct server *s, const struct source_answer *answer, int64_t now,
                     struct server_answer *out);

#endif
