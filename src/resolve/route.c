/* route: which next hop an address has under the configuration: our own domain's `deliver`, else the
 * most specific route, else the domain's MX. */
#include "message/address.h"
#include "resolve/resolve.h"

/* Two routes that are equally specific for an address were refused by the parser, so the first of
 * the best is the only one. */
const struct route *resolve_route(const struct config *config, struct bytes sender,
                                  struct bytes recipient) {
    const struct route *best = NULL;
    unsigned best_to = 0, best_from = 0;
    for (size_t i = 0; i < config->route_count; i++) {
        const struct route *r = &config->routes[i];
        unsigned to = r->to.count ? patterns_match(r->to, recipient) : 1;
        unsigned from = r->from.count ? patterns_match(r->from, sender) : 1;
        if (!to || !from)
            continue;
        if (!best || to > best_to || (to == best_to && from > best_from)) {
            best = r;
            best_to = to;
            best_from = from;
        }
    }
    return best;
}

void resolve_sender(const struct config *config, const struct envelope *e, struct buf *out) {
    if (e->flags & ENVELOPE_REPORT)
        buf_printf(out, "MAILER-DAEMON@%.*s", BYTES_FMT(config_hostname(config, e->tenant)));
    else
        buf_add(out, e->sender);
}

static void add_port(struct buf *out, const char *scheme, struct bytes host, unsigned port) {
    buf_str(out, scheme);
    buf_add(out, host);
    buf_printf(out, ":%u", port);
}

static void own_domain(const struct domain *d, struct buf *out) {
    switch (d->deliver.transport) {
    case TRANSPORT_MAILDIR:
        buf_str(out, "maildir:");
        buf_add(out, d->name);
        return;
    case TRANSPORT_LMTP:
        if (d->deliver.path.len) {
            buf_str(out, "lmtp:unix:");
            buf_add(out, d->deliver.path);
        } else {
            add_port(out, "lmtp:", d->deliver.host, d->deliver.port);
        }
        return;
    case TRANSPORT_SMTP:
        add_port(out, "smtp:", d->deliver.host, d->deliver.port);
        return;
    }
}

void resolve_next_hop(const struct config *config, struct bytes sender, struct bytes recipient,
                      struct buf *out) {
    struct bytes name = address_domain(recipient);
    if (!name.len) { /* postmaster of no domain: STATE/mail/postmaster */
        buf_str(out, "maildir:");
        return;
    }
    const struct domain *d = config_domain(config, name);
    if (d) {
        own_domain(d, out);
        return;
    }
    const struct route *r = resolve_route(config, sender, recipient);
    buf_str(out, r ? "route:" : "mx:");
    buf_add(out, r ? r->name : name);
}

const struct tenant *resolve_tenant(const struct config *config, const struct envelope *e,
                                    const struct recipient *r) {
    const struct tenant *t = config_tenant_of(config, r->original);
    return t || !e->tenant.len ? t : config_tenant(config, e->tenant);
}

/* --- forwarding ---------------------------------------------------------------------------------- */

bool resolve_may_forward(const struct config *config, struct bytes from, struct bytes to) {
    const struct tenant *t = config_tenant_of(config, from);
    return !t || t->external_forwarding || !address_domain(to).len ||
           strings_has(t->domains, address_domain(to));
}

void resolve_recipient_hop(const struct config *config, const struct envelope *e,
                           const struct recipient *r, struct buf *out) {
    char memory[600];
    struct buf sender = buf_fixed(memory, sizeof(memory));
    if (r->forwarder.len && !resolve_may_forward(config, r->forwarder, r->final)) {
        buf_str(out, "fail:recipient.forwarding-denied");
        return;
    }
    if (bytes_starts(r->next_hop, B("fail:")) &&
        !bytes_equal(r->next_hop, B("fail:recipient.forwarding-denied"))) {
        buf_add(out, r->next_hop);
        return;
    }
    if (r->sender.len)
        buf_add(&sender, r->sender);
    else
        resolve_sender(config, e, &sender);
    size_t before = out->len;
    resolve_next_hop(config, buf_bytes(&sender), r->final, out);
    struct bytes hop = bytes_skip(buf_bytes(out), before);
    const struct tenant *t = resolve_tenant(config, e, r);
    bool leaves = bytes_starts(hop, B("mx:")) || bytes_starts(hop, B("route:"));
    if (t && leaves && (t->hostname.len || t->address.family))
        buf_printf(out, "@%.*s", BYTES_FMT(t->name));
}
