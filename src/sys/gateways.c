/* gateways: the only file that speaks rtnetlink. Three dumps answer: which interfaces are bridges
 * (IFLA_INFO_KIND, for docker0, br-..., cni0, virbr0 alike), which addresses stand on them, which
 * gateways the default routes name, those of several next hops too. Changes are told by multicast;
 * a burst of them (a container starting) ends in one new reading. */
#include "sys/gateways.h"

#include "base/must.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ANSWER_SIZE = 64 * 1024,
    FOUND_MAX = 4096,
    BRIDGES_MAX = 4096,
    SETTLE_MS = 100,
    RETRY_MS = 5000,
    ANSWER_TIMEOUT_MS = 2000,
};

struct reading {
    struct addr found[FOUND_MAX];
    size_t count;
    int bridges[BRIDGES_MAX];
    size_t bridge_count;
};

struct gateways {
    struct loop *loop;
    struct watch *watch;
    struct timer timer;
    int monitor;
    struct addr *found;
    size_t count;
    void (*changed)(void *ctx);
    void *ctx;
};

/* --- what a message says ---------------------------------------------------------------------- */

static struct bytes attribute(const struct rtattr *attributes, int size, int type) {
    for (const struct rtattr *a = attributes; RTA_OK(a, size); a = RTA_NEXT(a, size))
        if ((a->rta_type & NLA_TYPE_MASK) == type)
            return bytes_of(RTA_DATA(a), RTA_PAYLOAD(a));
    return BYTES_NONE;
}

static void note(struct reading *r, int family, struct bytes ip, int interface) {
    struct addr a = { .family = family == AF_INET ? 4 : 6 };
    if (ip.len != (family == AF_INET ? 4U : 16U) || r->count == FOUND_MAX)
        return;
    memcpy(a.ip, ip.at, ip.len);
    if (a.family == 6 && a.ip[0] == 0xfe && (a.ip[1] & 0xc0) == 0x80)
        a.scope = (uint32_t)interface;
    a = addr_fold(a);
    for (size_t i = 0; i < r->count; i++)
        if (addr_equal(r->found[i], a) && r->found[i].scope == a.scope)
            return;
    r->found[r->count++] = a;
}

static void note_link(struct reading *r, const struct nlmsghdr *m) {
    static const struct bytes kinds[] = { { "bridge", 6 }, { "openvswitch", 11 } };
    const struct ifinfomsg *link = NLMSG_DATA(m);
    struct bytes info = attribute(IFLA_RTA(link), (int)IFLA_PAYLOAD(m), IFLA_LINKINFO);
    struct bytes kind =
        attribute((const struct rtattr *)(const void *)info.at, (int)info.len, IFLA_INFO_KIND);
    if (kind.len && kind.at[kind.len - 1] == '\0')
        kind.len--;
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (bytes_equal(kind, kinds[i]) && r->bridge_count < BRIDGES_MAX)
            r->bridges[r->bridge_count++] = link->ifi_index;
}

static bool is_bridge(const struct reading *r, int interface) {
    for (size_t i = 0; i < r->bridge_count; i++)
        if (r->bridges[i] == interface)
            return true;
    return false;
}

static void note_address(struct reading *r, const struct nlmsghdr *m) {
    const struct ifaddrmsg *a = NLMSG_DATA(m);
    if (!is_bridge(r, (int)a->ifa_index))
        return;
    /* IFA_LOCAL is ours; IFA_ADDRESS is the peer's on point-to-point, ours otherwise. */
    struct bytes ip = attribute(IFA_RTA(a), (int)IFA_PAYLOAD(m), IFA_LOCAL);
    if (ip.len == 0)
        ip = attribute(IFA_RTA(a), (int)IFA_PAYLOAD(m), IFA_ADDRESS);
    note(r, a->ifa_family, ip, (int)a->ifa_index);
}

static int interface_of(struct bytes octets) {
    int interface = 0;
    if (octets.len == sizeof interface)
        memcpy(&interface, octets.at, sizeof interface);
    return interface;
}

/* RTA_GATEWAY, or RTA_VIA when the gateway is of the other family. */
static void note_hop(struct reading *r, int family, const struct rtattr *attributes, int size,
                     int interface) {
    struct rtvia via;
    note(r, family, attribute(attributes, size, RTA_GATEWAY), interface);
    struct bytes other = attribute(attributes, size, RTA_VIA);
    if (other.len <= sizeof via)
        return;
    memcpy(&via, other.at, sizeof via);
    note(r, via.rtvia_family, bytes_skip(other, offsetof(struct rtvia, rtvia_addr)), interface);
}

static void note_route(struct reading *r, const struct nlmsghdr *m) {
    const struct rtmsg *route = NLMSG_DATA(m);
    const struct rtattr *attributes = RTM_RTA(route);
    const int size = (int)RTM_PAYLOAD(m);
    if (route->rtm_dst_len != 0 || route->rtm_type != RTN_UNICAST)
        return;
    note_hop(r, route->rtm_family, attributes, size,
             interface_of(attribute(attributes, size, RTA_OIF)));
    struct bytes hops = attribute(attributes, size, RTA_MULTIPATH);
    int left = (int)hops.len;
    const struct rtnexthop *hop = (const struct rtnexthop *)(const void *)hops.at;
    while (left >= (int)sizeof *hop && RTNH_OK(hop, left)) {
        note_hop(r, route->rtm_family, (const struct rtattr *)(const void *)RTNH_DATA(hop),
                 hop->rtnh_len - (int)sizeof *hop, hop->rtnh_ifindex);
        left -= RTNH_ALIGN(hop->rtnh_len);
        hop = RTNH_NEXT(hop);
    }
}

/* --- asking ------------------------------------------------------------------------------------- */

static const struct {
    uint16_t request, answer;
    size_t size; /* of the answer's fixed part */
    void (*note)(struct reading *r, const struct nlmsghdr *m);
} dumps[] = {
    { RTM_GETLINK, RTM_NEWLINK, sizeof(struct ifinfomsg), note_link },
    { RTM_GETADDR, RTM_NEWADDR, sizeof(struct ifaddrmsg), note_address },
    { RTM_GETROUTE, RTM_NEWROUTE, sizeof(struct rtmsg), note_route },
};

/* 1 when the dump is complete, 0 when more comes, -errno. */
static int take_answer(struct reading *r, size_t which, const char *answer, int size,
                       uint32_t sequence) {
    for (const struct nlmsghdr *m = (const struct nlmsghdr *)(const void *)answer;
         NLMSG_OK(m, (unsigned)size); m = NLMSG_NEXT(m, size)) {
        if (m->nlmsg_seq != sequence)
            continue;
        /* What changed during the dump is told by the monitor, and read again then. */
        if (m->nlmsg_type == NLMSG_DONE)
            return 1;
        if (m->nlmsg_type == NLMSG_ERROR) {
            const struct nlmsgerr *error = NLMSG_DATA(m);
            return m->nlmsg_len >= NLMSG_LENGTH(sizeof *error) && error->error ? error->error
                                                                               : -EPROTO;
        }
        if (m->nlmsg_type == dumps[which].answer && m->nlmsg_len >= NLMSG_LENGTH(dumps[which].size))
            dumps[which].note(r, m);
    }
    return 0;
}

static int dump(int fd, struct reading *r, size_t which, char *answer) {
    struct {
        struct nlmsghdr head;
        struct rtgenmsg body;
        char padding[3];
    } ask = {
        .head = { .nlmsg_len = NLMSG_LENGTH(sizeof ask.body),
                  .nlmsg_type = dumps[which].request,
                  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                  .nlmsg_seq = (uint32_t)which + 1 },
        .body = { AF_UNSPEC },
    };
    if (send(fd, &ask, ask.head.nlmsg_len, 0) < 0)
        return -errno;
    for (;;) {
        ssize_t got = recv(fd, answer, ANSWER_SIZE, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EPROTO;
        int done = take_answer(r, which, answer, (int)got, ask.head.nlmsg_seq);
        if (done)
            return done > 0 ? 0 : done;
    }
}

static int netlink_open(uint32_t groups, int flags) {
    const struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_groups = groups };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);
    if (fd < 0)
        return -errno;
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

/* A new reading, to be freed; NULL and *error_out. */
static struct reading *read_all(int *error_out) {
    const struct timeval patience = { .tv_sec = ANSWER_TIMEOUT_MS / 1000 };
    int fd = netlink_open(0, 0);
    if (fd < 0) {
        *error_out = -fd;
        return NULL;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    struct reading *r = calloc(1, sizeof *r);
    char *answer = malloc(ANSWER_SIZE);
    MUST(r && answer);
    int error = 0;
    for (size_t i = 0; i < COUNT_OF(dumps) && !error; i++)
        error = dump(fd, r, i, answer);
    close(fd);
    free(answer);
    if (error) {
        free(r);
        *error_out = -error;
        return NULL;
    }
    return r;
}

static enum rc cannot_read(struct why *why, int error) {
    return why_backend(why, "backend.netlink", "cannot read this host's routes and interfaces: %s",
                       strerror(error));
}

/* --- watching ----------------------------------------------------------------------------------- */

static void take_over(struct gateways *g, const struct reading *r) {
    free(g->found);
    g->found = calloc(r->count + 1, sizeof *g->found);
    MUST(g->found);
    memcpy(g->found, r->found, r->count * sizeof *g->found);
    g->count = r->count;
}

static void read_again(void *ctx) {
    struct gateways *g = ctx;
    int error;
    struct reading *r = read_all(&error);
    if (!r) {
        /* What was known stays in force meanwhile. */
        timer_set(g->loop, &g->timer, RETRY_MS, read_again, g);
        return;
    }
    take_over(g, r);
    free(r);
    if (g->changed)
        g->changed(g->ctx);
}

static void on_change(void *ctx, int what) {
    struct gateways *g = ctx;
    char ignored[8192];
    (void)what;
    /* What exactly changed does not matter, nor that some of it got lost (ENOBUFS). */
    while (recv(g->monitor, ignored, sizeof ignored, MSG_DONTWAIT) > 0 || errno == ENOBUFS ||
           errno == EINTR)
        ;
    if (!timer_is_set(&g->timer))
        timer_set(g->loop, &g->timer, SETTLE_MS, read_again, g);
}

struct gateways *gateways_open(struct loop *l, struct why *why) {
    int error;
    /* The monitor first: nothing that changes while it is read gets lost. */
    int monitor = netlink_open(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
                                   RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
                               SOCK_NONBLOCK);
    if (monitor < 0) {
        cannot_read(why, -monitor);
        return NULL;
    }
    struct reading *r = read_all(&error);
    if (!r) {
        close(monitor);
        cannot_read(why, error);
        return NULL;
    }
    struct gateways *g = calloc(1, sizeof *g);
    MUST(g);
    g->loop = l;
    g->monitor = monitor;
    take_over(g, r);
    free(r);
    g->watch = watch_open(l, monitor, WATCH_READ, on_change, g);
    return g;
}

void gateways_close(struct gateways **g) {
    if (!*g)
        return;
    watch_close(&(*g)->watch);
    timer_clear(&(*g)->timer);
    close((*g)->monitor);
    free((*g)->found);
    free(*g);
    *g = NULL;
}

void gateways_on_change(struct gateways *g, void (*changed)(void *ctx), void *ctx) {
    g->changed = changed;
    g->ctx = ctx;
}

bool gateways_has(const struct gateways *g, struct addr a) {
    a = addr_fold(a);
    for (size_t i = 0; i < g->count; i++)
        if (addr_equal(g->found[i], a) &&
            (!a.scope || !g->found[i].scope || a.scope == g->found[i].scope))
            return true;
    return false;
}

static struct network *as_networks(const struct addr *found, size_t count, struct arena *a) {
    struct network *out = ARENA_ARRAY(a, count + 1, struct network);
    for (size_t i = 0; i < count; i++)
        out[i] = (struct network){ found[i], found[i].family == 4 ? 32 : 128 };
    return out;
}

size_t gateways_networks(const struct gateways *g, struct arena *a, struct network **out) {
    *out = as_networks(g->found, g->count, a);
    return g->count;
}

enum rc gateways_list(struct arena *a, struct network **out, size_t *count_out, struct why *why) {
    int error;
    struct reading *r = read_all(&error);
    if (!r)
        return cannot_read(why, error);
    *out = as_networks(r->found, r->count, a);
    *count_out = r->count;
    free(r);
    return OK;
}
