/* policy: how far TLS must go with one server. The one ladder, for deliver and for whoever looks at servers
 * beforehand (check --live). */
#include "deliver/deliver.h"

/* What the route says; a login raises it. An envelope with "TLS-Required: No" (RFC 8689) would lower
 * defaults, but the only default in use here, opportunistic, demands nothing. */
enum tls_policy deliver_tls_policy(const struct deliver_tls *f) {
    enum tls_policy p = f->set;
    if (f->unix_socket)
        return TLS_POLICY_OFF;
    if (p == TLS_POLICY_DEFAULT)
        p = f->loopback ? TLS_POLICY_OFF : TLS_POLICY_OPPORTUNISTIC;
    if (f->login && p != TLS_POLICY_VERIFY)
        p = f->loopback ? TLS_POLICY_REQUIRE : TLS_POLICY_VERIFY;
    if (f->implicit && p == TLS_POLICY_OFF)
        p = TLS_POLICY_REQUIRE;
    return p;
}
