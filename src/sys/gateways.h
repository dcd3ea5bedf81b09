/* gateways: the addresses behind which NAT or a container proxy hides who is calling: this host's
 * default gateways, and its own addresses on bridge interfaces. From rtnetlink, kept up to date as
 * interfaces and routes change. */
#ifndef SYS_GATEWAYS_H
#define SYS_GATEWAYS_H

#include "base/addr.h"
#include "base/arena.h"
#include "base/why.h"
#include "sys/loop.h"

struct gateways;

/* Reads them and goes on watching. NULL and why when the kernel does not answer. To be opened
 * before the sandbox is entered. */
struct gateways *gateways_open(struct loop *l, struct why *why);
void gateways_close(struct gateways **g);
/* Is this one of them? Ports are ignored, IPv4-mapped addresses folded. */
bool gateways_has(const struct gateways *g, struct addr a);
/* All of them as networks of one address each, for the proof of check. */
size_t gateways_networks(const struct gateways *g, struct arena *a, struct network **out);
/* Called after an interface, an address or a route of this host has changed, whether that changed
 * these or not; NULL for nobody. */
void gateways_on_change(struct gateways *g, void (*changed)(void *ctx), void *ctx);

/* Once, without a loop, for commands. */
enum rc gateways_list(struct arena *a, struct network **out, size_t *count_out, struct why *why);

#endif
