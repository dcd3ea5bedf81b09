/* user_mail: what `postern user` sets of a user's mail: where it is forwarded to, and what answers it while
 * the user is away. */
#ifndef BIN_USER_MAIL_H
#define BIN_USER_MAIL_H

#include "bin/people.h"

/* Options, as given. */
struct user_mail {
    bool keep_copy;
    bool text_stdin;
    struct bytes subject, from, until; /* at NULL: not given */
};
int user_forward(struct people *p, const struct user_mail *o, const struct bytes *words,
                 size_t count);
int user_vacation(struct people *p, const struct user_mail *o, const struct bytes *words,
                  size_t count);
/* False, and said so, where a tenant forbids mail for `address` to go on to `target`. */
bool user_may_forward(const struct people *p, const char *command, struct bytes address,
                      struct bytes target);

#endif
