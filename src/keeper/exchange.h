/* exchange: what the mechanisms of the server side share: one exchange, and what its thread knows.
 * server.c has the table of mechanisms; each of the other files steps some of them, and ends each
 * step with exactly one of the calls below. */
#ifndef KEEPER_EXCHANGE_H
#define KEEPER_EXCHANGE_H

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
};

typedef void server_stepper(struct server *s, bool has_input, struct bytes input, int64_t now,
                            struct server_answer *out);
struct server_mechanism {
    const char *name;
    server_stepper *step;
    size_t message_max; /* the longest message of the client's */
    bool plus;
};
server_stepper step_plain, step_login; /* password.c */
server_stepper step_scram;             /* scram.c */

struct server {
    struct checker *checker;
    const struct server_mechanism *mechanism;
    Gsasl_session *session;
    char exporter[BINDING_TEXT], unique[BINDING_TEXT]; /* base64 */
    bool no_plus;
    unsigned steps;
    bool over;
    char name[LOGIN_MAX + 1]; /* LOGIN: as given; SCRAM: prepared */
    size_t name_len;
    bool has_name;
    struct secret secret; /* SCRAM: real or made up */
    bool real;
    enum rc lookup; /* how reading it went */
    struct why why;
};

/* --- how a step ends ------------------------------------------------------------------------- */
void server_end(struct server *s, enum auth_result result, struct server_answer *out);
void server_malformed(struct server *s, const char *text, struct server_answer *out);
/* guess: a password was tried, which counts as a failure. */
void server_refused(struct server *s, bool guess, struct server_answer *out);
void server_down(struct server *s, const struct why *why, struct server_answer *out);
void server_challenge(struct bytes data, struct server_answer *out);

/* --- what several need ----------------------------------------------------------------------- */
bool server_same_login(struct bytes a, struct bytes b);
/* The keys of a login (prepared), or made-up ones that nothing fits: *real_out tells. */
enum rc checker_look_up(struct checker *k, struct bytes login, struct secret *out, bool *real_out,
                        struct why *why);
void checker_forget(struct checker *k); /* password.c: what it remembers */
int scram_property(Gsasl *library, Gsasl_session *session, Gsasl_property property);

#endif
