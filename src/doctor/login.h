/* login: the mechanisms that are tried in a conversation, each in turn, and what came of them. It decides whether
 * the password may go out: in the clear, or over TLS whose certificate does not hold, only where the
 * user said so; a mechanism that does not hand it over may be tried on any connection. */
#ifndef DOCTOR_LOGIN_H
#define DOCTOR_LOGIN_H

#include "base/arena.h"
#include "base/why.h"
#include "sys/tls.h"

enum { LOGIN_TRIES = 4 };

struct login_want {
    struct bytes user, password, token;
    struct bytes mechanism; /* empty: each that is offered and known, the best first */
    bool allow_plain;       /* send it though the connection is not safe */
    struct bytes host;
    uint16_t port;
};
struct login_try {
    struct bytes mechanism;
    int code; /* 0: it did not come to a reply */
    struct status status;
    struct bytes text;
    bool fine;
};
struct login {
    struct arena *arena;
    const struct login_want *want;
    struct sasl_client *sasl;
    size_t next; /* in the table of mechanisms */
    struct login_try tries[LOGIN_TRIES];
    size_t count;
    bool unsafe;  /* one was passed over, as it would hand the password over */
    bool unknown; /* none that was offered is one we know, or was asked for */
};
struct login_connection {
    struct bytes offered;       /* mechanisms, blank separated */
    const struct tls_info *tls; /* NULL: none */
    bool safe;                  /* encrypted, and the certificate holds */
};

/* Is it one that can be asked for? */
bool login_knows(struct bytes mechanism);
void login_begin(struct login *l, struct arena *a, const struct login_want *want);
/* The next mechanism: OK, and what AUTH is to say. PERM: there is none (more); why, when one could not be
 * begun. */
enum rc login_next(struct login *l, const struct login_connection *c, struct bytes *mechanism_out,
                   bool *has_initial_out, struct bytes *initial_out, struct why *why);
enum rc login_answer(struct login *l, struct bytes challenge, struct bytes *response_out,
                     struct why *why);
/* The server's last word on the mechanism under way; false: it was content, but has not proved itself. */
bool login_result(struct login *l, int code, struct status status, struct bytes text,
                  struct why *why);
/* The try that says most of why none succeeded; NULL: none was made. */
const struct login_try *login_telling(const struct login *l);

#endif
