/* login: the server side of SASL for sinks, on GNU SASL, apart from what keeper has of it. */
#ifndef TALK_LOGIN_H
#define TALK_LOGIN_H

#include "base/buf.h"
#include "base/why.h"

struct login;
/* For one login alone; NULL when the mechanism is not known. */
struct login *login_open(struct bytes mechanism, struct bytes user, struct bytes password);
/* A line of the client's in base64 (empty: none yet; "=": an empty one). MORE: the next challenge,
 * in base64, is in `out`; OK: it is the one; PERM: it is not. */
enum rc login_step(struct login *l, struct bytes line, struct buf *out);
void login_close(struct login **l);

#endif
