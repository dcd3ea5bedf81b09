/* app_password: the facts of a login with an app password (keeper.h), from the texts that the keeper
 * gives. */
#ifndef FLOW_APP_PASSWORD_H
#define FLOW_APP_PASSWORD_H

#include "flow/verdict.h"

/* name empty: no app password was used, and nothing is bound. The lists are parted by blanks; memory from
 * a. */
void facts_take_app_password(struct facts *f, struct arena *a, struct bytes name,
                             struct bytes senders, struct bytes networks);

#endif
