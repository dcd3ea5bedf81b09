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

/* --- views -------------------------------------------------------------------------------------
 * Of events, the tenant's own are those of its sessions and logins, whole but for the rules that were tried. Of
 * others' it sees what came for its recipients; and what bears its sender, or tried its login, unless
 * another tenant's session did it: without others' recipients and logins, and what was said to them. */
struct scope_view { /* on its own feet: for a thread, while configurations change */
    struct arena *arena;
    struct bytes tenant;
    struct map *domains;
};
struct scope_view *scope_view_open(const struct config *c, struct bytes tenant);
/* Is this mailbox of its domains? */
bool scope_view_has(const struct scope_view *v, struct bytes mailbox);
void scope_view_close(struct scope_view **v);
/* False, or the line as it may be seen. */
bool scope_sees_event(const struct scope_view *v, struct bytes line, struct buf *out);

#endif
