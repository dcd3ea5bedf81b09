/* scope: whose mail it is. */
#include "bin/scope.h"

/* config_parse has seen to it that an admin's login is of the tenant's own domains. */
const struct tenant *scope_of_login(const struct config *c, struct bytes login) {
    const struct tenant *t = config_tenant_of(c, login);
    return t && login.len && strings_has(t->admins, login) ? t : NULL;
}

static bool is_its(const struct config *c, struct bytes tenant, struct bytes mailbox) {
    const struct tenant *t = config_tenant_of(c, mailbox);
    return t && bytes_equal(t->name, tenant);
}

static bool handed_in(struct bytes tenant, const struct envelope *e) {
    return tenant.len && bytes_equal(e->tenant, tenant);
}

bool scope_sees_recipient(const struct config *c, struct bytes tenant, const struct envelope *e,
                          const struct recipient *r) {
    return handed_in(tenant, e) || is_its(c, tenant, r->original) || is_its(c, tenant, r->final);
}

bool scope_sees_message(const struct config *c, struct bytes tenant, const struct envelope *e) {
    for (size_t i = 0; i < e->count; i++)
        if (scope_sees_recipient(c, tenant, e, &e->recipients[i]))
            return true;
    return false;
}

bool scope_steers_message(const struct config *c, struct bytes tenant, const struct envelope *e) {
    for (size_t i = 0; i < e->count; i++)
        if (!scope_sees_recipient(c, tenant, e, &e->recipients[i]))
            return false;
    return e->count > 0;
}
