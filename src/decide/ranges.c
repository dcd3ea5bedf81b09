/* ranges: arithmetic on sorted ranges of addresses. */
#include "decide/ranges.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

static wide number_of(struct addr a) {
    unsigned size = a.family == 4 ? 4 : 16;
    wide n = 0;
    for (unsigned i = 0; i < size; i++)
        n = n << 8 | a.ip[i];
    return n;
}

struct addr address_of(wide n, uint8_t family) {
    struct addr a = { .family = family };
    for (unsigned i = family == 4 ? 4 : 16; i > 0; i--, n >>= 8)
        a.ip[i - 1] = (uint8_t)n;
    return a;
}

static struct range range_of(struct network n) {
    unsigned rest = (n.base.family == 4 ? 32 : 128) - n.bits;
    wide first = number_of(addr_masked(n.base, n.bits));
    wide more = rest >= 128 ? ~(wide)0 : ((wide)1 << rest) - 1;
    return (struct range){ first, first + more };
}

static int by_first(const void *x, const void *y) {
    const struct range *a = x, *b = y;
    return a->first < b->first ? -1 : a->first > b->first;
}

/* Sorts, and joins what overlaps or touches. */
static struct ranges normal(struct ranges r) {
    size_t kept = 0;
    if (r.count == 0)
        return r;
    qsort(r.list, r.count, sizeof *r.list, by_first);
    for (size_t i = 1; i < r.count; i++) {
        struct range *last = &r.list[kept], next = r.list[i];
        if (last->last != ~(wide)0 && next.first > last->last + 1)
            r.list[++kept] = next;
        else if (next.last > last->last)
            last->last = next.last;
    }
    r.count = kept + 1;
    return r;
}

static struct ranges of_family(struct networks list, uint8_t family, struct arena *a) {
    struct ranges r = { 0, ARENA_ARRAY(a, list.count, struct range) };
    for (size_t i = 0; i < list.count; i++)
        if (list.list[i].base.family == family)
            r.list[r.count++] = range_of(list.list[i]);
    return normal(r);
}

struct address_set address_set_of(struct networks list, struct arena *a) {
    return (struct address_set){ of_family(list, 4, a), of_family(list, 6, a) };
}

static struct ranges join(struct ranges x, struct ranges y, struct arena *a) {
    struct ranges r = { x.count + y.count, ARENA_ARRAY(a, x.count + y.count, struct range) };
    if (x.count)
        memcpy(r.list, x.list, x.count * sizeof *r.list);
    if (y.count)
        memcpy(r.list + x.count, y.list, y.count * sizeof *r.list);
    return normal(r);
}

struct address_set address_set_union(struct address_set x, struct address_set y, struct arena *a) {
    return (struct address_set){ join(x.v4, y.v4, a), join(x.v6, y.v6, a) };
}

/* Each range of y cuts at most one range of x in two. */
static struct ranges minus(struct ranges x, struct ranges y, struct arena *a) {
    struct ranges r = { 0, ARENA_ARRAY(a, x.count + y.count, struct range) };
    size_t j = 0;
    for (size_t i = 0; i < x.count; i++) {
        struct range left = x.list[i];
        bool some = true;
        while (j < y.count && y.list[j].last < left.first)
            j++;
        for (size_t k = j; some && k < y.count && y.list[k].first <= left.last; k++) {
            if (y.list[k].first > left.first)
                r.list[r.count++] = (struct range){ left.first, y.list[k].first - 1 };
            some = y.list[k].last < left.last;
            if (some)
                left.first = y.list[k].last + 1;
        }
        if (some)
            r.list[r.count++] = left;
    }
    return r;
}

struct address_set address_set_minus(struct address_set x, struct address_set y, struct arena *a) {
    return (struct address_set){ minus(x.v4, y.v4, a), minus(x.v6, y.v6, a) };
}

bool address_set_empty(struct address_set x) {
    return x.v4.count == 0 && x.v6.count == 0;
}

bool address_set_within(struct address_set x, struct address_set y, struct arena *a) {
    return address_set_empty(address_set_minus(x, y, a));
}

/* The part of an IPv6 set in a /96 that stands for IPv4. */
static struct ranges embedded(struct ranges v6, struct range prefix, struct arena *a) {
    struct ranges r = { 0, ARENA_ARRAY(a, v6.count, struct range) };
    for (size_t i = 0; i < v6.count; i++) {
        struct range x = v6.list[i];
        wide first = x.first > prefix.first ? x.first : prefix.first;
        wide last = x.last < prefix.last ? x.last : prefix.last;
        if (first <= last)
            r.list[r.count++] = (struct range){ first - prefix.first, last - prefix.first };
    }
    return r;
}

struct address_set address_set_fold(struct address_set x, struct arena *a) {
    wide mapped = (wide)0xffff << 32, translated = (wide)0x64ff9b << 96;
    const struct range prefixes[] = {
        { mapped, mapped + UINT32_MAX },
        { translated, translated + UINT32_MAX },
    };
    for (size_t i = 0; i < COUNT_OF(prefixes); i++)
        x.v4 = join(x.v4, embedded(x.v6, prefixes[i], a), a);
    return x;
}

/* The IANA special-purpose registries as base/addr.c has them, without 6to4. */
static const char *const not_public[] = {
    "0.0.0.0/8",      "10.0.0.0/8",     "100.64.0.0/10",   "127.0.0.0/8",     "169.254.0.0/16",
    "172.16.0.0/12",  "192.0.0.0/24",   "192.0.2.0/24",    "192.31.196.0/24", "192.52.193.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",   "198.51.100.0/24",
    "203.0.113.0/24", "224.0.0.0/3",    "::/96",           "64:ff9b::/96",    "64:ff9b:1::/48",
    "100::/64",       "100:0:0:1::/64", "2001::/23",       "2001:db8::/32",   "2620:4f:8000::/48",
    "3fff::/20",      "5f00::/16",      "fc00::/7",        "fe80::/9",        "ff00::/8",
};

struct address_set address_set_public(struct address_set x, struct arena *a) {
    struct network list[COUNT_OF(not_public) + 1];
    size_t count = COUNT_OF(not_public);
    for (size_t i = 0; i < count; i++)
        MUST(network_parse(bytes_str(not_public[i]), &list[i]) == NETWORK_OK);
    /* ::ffff:0:0/96 cannot be written as an IPv6 network: it is read as all of IPv4. */
    list[count] = (struct network){ { .family = 6 }, 96 };
    list[count].base.ip[10] = list[count].base.ip[11] = 0xff;
    return address_set_minus(x, address_set_of((struct networks){ count + 1, list }, a), a);
}

static wide size_of(struct range r) {
    wide more = r.last - r.first;
    return more == ~(wide)0 ? more : more + 1;
}

wide ranges_size(struct ranges r) {
    wide sum = 0;
    for (size_t i = 0; i < r.count; i++)
        sum += size_of(r.list[i]);
    return sum;
}

wide ranges_widest(struct ranges r) {
    wide most = 0;
    for (size_t i = 0; i < r.count; i++)
        most = size_of(r.list[i]) > most ? size_of(r.list[i]) : most;
    return most;
}

bool address_set_first(struct address_set x, struct addr *out) {
    if (address_set_empty(x))
        return false;
    *out = x.v4.count ? address_of(x.v4.list[0].first, 4) : address_of(x.v6.list[0].first, 6);
    return true;
}
