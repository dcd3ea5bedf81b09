/* scope: what the administrator of a tenant sees and steers. The one place where that is decided: the
 * control socket asks here, and so will the admin page. Pure.
 *
 * A tenant's mail is what its sessions handed in, and what is for recipients of its domains. Of
 * somebody else's message to many it sees its own recipients only, and steers it only if all of them
 * are its own. */
#ifndef BIN_SCOPE_H
#define BIN_SCOPE_H

#include "config/config.h"
#include "flow/envelope.h"

/* The tenant this login administers, or NULL. */
const struct tenant *scope_of_login(const struct config *c, struct bytes login);
bool scope_sees_recipient(const struct config *c, struct bytes tenant, const struct envelope *e,
                          const struct recipient *r);
bool scope_sees_message(const struct config *c, struct bytes tenant, const struct envelope *e);
bool scope_steers_message(const struct config *c, struct bytes tenant, const struct envelope *e);

#endif
