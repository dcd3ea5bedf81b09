/* live_names: what other servers look up about us: the address of our hostname, and the names of our
 * public addresses (PTR), which must lead back to them: without those much mail is refused elsewhere. */
#include "base/must.h"
#include "bin/live.h"
#include "sys/sockets.h"

#include <string.h>

enum { INTERFACES_MAX = 256, OWN_MAX = 16 };

/* A name whose addresses are asked for; for one of our addresses, after its PTR. */
struct name {
    struct list_node node;
    struct live *live;
    struct bytes name;
    struct bytes address_text; /* of ours; empty: the name is our hostname */
    struct addr address;
    unsigned open; /* questions */
    bool failed, found, back;
    char asked[80];
};

static const struct live_about hostname = { .setting = { "hostname", 8 } };

static void answered(struct name *n) {
    if (--n->open == 0)
        live_over(n->live);
}

static void ask(struct name *n, struct bytes name, enum dns_type type, dns_answered *on_answer) {
    struct dns *d = n->live->dns;
    n->open++;
    d->ask(d->self, name, type, on_answer, n);
}

static void on_addresses(void *ctx, const struct dns_answer *answer) {
    struct name *n = ctx;
    n->failed |= answer->rc != OK;
    n->found |= answer->rc == OK && answer->count;
    for (size_t i = 0; answer->rc == OK && i < answer->count; i++)
        n->back |= addr_equal(answer->records[i].address, n->address);
    answered(n);
}

static void ask_addresses(struct name *n) {
    ask(n, n->name, DNS_A, on_addresses);
    ask(n, n->name, DNS_AAAA, on_addresses);
}

static void on_pointer(void *ctx, const struct dns_answer *answer) {
    struct name *n = ctx;
    n->failed |= answer->rc != OK;
    if (answer->rc == OK && answer->count) {
        n->name = arena_copy(n->live->arena, answer->records[0].name);
        ask_addresses(n);
    }
    answered(n);
}

static struct name *add(struct live *l) {
    struct name *n = ARENA_NEW(l->arena, struct name);
    n->live = l;
    list_append(&l->names, &n->node);
    live_begun(l);
    return n;
}

static void add_address(struct live *l, struct addr a) {
    struct name *n = add(l);
    struct buf b = buf_fixed(n->asked, sizeof(n->asked));
    struct buf text = buf_grow(80);
    addr_format(&text, a);
    n->address = a;
    n->address_text = arena_copy(l->arena, buf_bytes(&text));
    buf_free(&text);
    addr_format_reversed(&b, a);
    buf_str(&b, a.family == 4 ? ".in-addr.arpa" : ".ip6.arpa");
    ask(n, buf_bytes(&b), DNS_PTR, on_pointer);
}

void live_names_begin(struct live *l) {
    struct addr interfaces[INTERFACES_MAX];
    size_t own = 0;
    if (!l->dns)
        return;
    struct name *n = add(l);
    n->name = l->config->hostname;
    ask_addresses(n);
    size_t count = sockets_interface_addresses(interfaces, INTERFACES_MAX);
    for (size_t i = 0; i < count && own < OWN_MAX; i++)
        if (addr_is_public(interfaces[i])) {
            add_address(l, interfaces[i]);
            own++;
        }
}

/* --- what it means ------------------------------------------------------------------------ */

static void judge_hostname(struct live *l, const struct name *n) {
    if (!n->found)
        live_find(l, LIVE_WARNING, "live.hostname", &hostname,
                  "%.*s has no address in the DNS, so other servers take our greeting for a lie; "
                  "publish one, or correct hostname",
                  BYTES_FMT(n->name));
}

static void judge_address(struct live *l, const struct name *n) {
    if (!n->name.len)
        live_find(l, LIVE_WARNING, "live.ptr", &hostname,
                  "our address %.*s has no name in the DNS (PTR), and many servers refuse mail "
                  "from such; its network's owner can set it to %.*s",
                  BYTES_FMT(n->address_text), BYTES_FMT(l->config->hostname));
    else if (!n->back)
        live_find(l, LIVE_WARNING, "live.ptr", &hostname,
                  "the name of our address %.*s (PTR), %.*s, does not lead back to it; publish "
                  "that address for it, or have the PTR set to %.*s",
                  BYTES_FMT(n->address_text), BYTES_FMT(n->name), BYTES_FMT(l->config->hostname));
}

void live_names_end(struct live *l) {
    size_t failed = 0;
    LIST_EACH(&l->names, node) {
        const struct name *n = CONTAINER_OF(node, struct name, node);
        if (n->failed || n->open)
            failed++;
        else if (n->address_text.len)
            judge_address(l, n);
        else
            judge_hostname(l, n);
    }
    if (failed)
        live_find(l, LIVE_WARNING, "live.dns", &hostname,
                  "the DNS did not answer, so what it says about this host is not known");
}
