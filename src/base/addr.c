/* addr: reading and writing addresses and networks. This file alone knows which addresses IANA has
 * set aside, and that ::ffff:0:0/96 is IPv4 in another dress. */
#include "base/addr.h"

#include "base/must.h"

#include <arpa/inet.h>
#include <string.h>

enum { MAPPED_BITS = 96 };

static unsigned bits_of(uint8_t family) {
    return family == 4 ? 32 : family == 6 ? 128 : 0;
}

static bool is_mapped(struct addr a) {
    static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };
    return a.family == 6 && memcmp(a.ip, prefix, sizeof prefix) == 0;
}

struct addr addr_fold(struct addr a) {
    if (!is_mapped(a))
        return a;
    struct addr folded = { .family = 4, .port = a.port };
    memcpy(folded.ip, a.ip + 12, 4);
    return folded;
}

/* As it is written, not folded. inet_pton is strict: no octal, no leading zeros, no short forms. */
static bool parse_raw(struct bytes text, struct addr *out) {
    char copy[INET6_ADDRSTRLEN];
    struct addr a = { 0 };
    if (text.len == 0 || text.len >= sizeof copy || bytes_find(text, '\0') >= 0)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    a.family = bytes_find(text, ':') >= 0 ? 6 : 4;
    if (inet_pton(a.family == 6 ? AF_INET6 : AF_INET, copy, a.ip) != 1)
        return false;
    *out = a;
    return true;
}

bool addr_parse(struct bytes text, struct addr *out) {
    struct addr a;
    if (!parse_raw(text, &a))
        return false;
    *out = addr_fold(a);
    return true;
}

/* What is before the port: "*", an IPv4 address, an IPv6 address in brackets. */
static bool parse_host(struct bytes host, struct addr *out) {
    if (bytes_equal(host, B("*"))) {
        *out = (struct addr){ 0 };
        return true;
    }
    if (host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']') {
        host = bytes_slice(host, 1, host.len - 1);
        return bytes_find(host, ':') >= 0 && addr_parse(host, out);
    }
    return bytes_find(host, ':') < 0 && addr_parse(host, out);
}

bool addr_parse_port(struct bytes text, struct addr *out) {
    ptrdiff_t colon = bytes_find_last(text, ':');
    struct addr a;
    uint64_t port;
    if (colon < 0)
        return false;
    struct bytes digits = bytes_skip(text, (size_t)colon + 1);
    if (digits.len > 5 || !bytes_to_u64(digits, UINT16_MAX, &port))
        return false;
    if (!parse_host(bytes_first(text, (size_t)colon), &a))
        return false;
    a.port = (uint16_t)port;
    *out = a;
    return true;
}

static void format4(struct buf *b, const uint8_t ip[4], const int order[4]) {
    for (int i = 0; i < 4; i++) {
        if (i)
            buf_char(b, '.');
        buf_u64(b, ip[order[i]]);
    }
}

static unsigned group(const uint8_t *ip, int i) {
    return (unsigned)ip[2 * i] << 8 | ip[2 * i + 1];
}

/* The longest run of at least two zero groups, the first of equals (RFC 5952 section 4.2). */
static int longest_zeros(const uint8_t *ip, int *len_out) {
    int best = -1, best_len = 1;
    for (int i = 0; i < 8; i++) {
        int end = i;
        while (end < 8 && group(ip, end) == 0)
            end++;
        if (end - i > best_len) {
            best = i;
            best_len = end - i;
        }
        i = end > i ? end - 1 : i;
    }
    *len_out = best_len;
    return best;
}

static void format_group(struct buf *b, unsigned n) {
    static const char digits[] = "0123456789abcdef";
    int shift = 12;
    while (shift > 0 && n >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        buf_char(b, digits[n >> shift & 15]);
}

static void format6(struct buf *b, const uint8_t ip[16]) {
    int zeros_len, zeros = longest_zeros(ip, &zeros_len);
    for (int i = 0; i < 8; i++) {
        if (i == zeros) {
            buf_str(b, "::");
            i += zeros_len - 1;
            continue;
        }
        if (i > 0 && i != zeros + zeros_len)
            buf_char(b, ':');
        format_group(b, group(ip, i));
    }
}

static void format(struct buf *b, struct addr a) {
    static const int forward[4] = { 0, 1, 2, 3 };
    if (a.family == 4)
        format4(b, a.ip, forward);
    else if (a.family == 6)
        format6(b, a.ip);
    else
        buf_str(b, a.family == 1 ? "local" : "*");
}

/* Written aside and added whole, as a bounded writer must. */
void addr_format(struct buf *b, struct addr a) {
    char text[64];
    struct buf aside = buf_fixed(text, sizeof text);
    format(&aside, a);
    buf_add(b, buf_bytes(&aside));
}

void addr_format_port(struct buf *b, struct addr a) {
    char text[64];
    struct buf aside = buf_fixed(text, sizeof text);
    if (a.family == 6)
        buf_char(&aside, '[');
    format(&aside, a);
    if (a.family == 6)
        buf_char(&aside, ']');
    if (a.family != 1) {
        buf_char(&aside, ':');
        buf_u64(&aside, a.port);
    }
    buf_add(b, buf_bytes(&aside));
}

void addr_format_reversed(struct buf *b, struct addr a) {
    static const int backward[4] = { 3, 2, 1, 0 };
    static const char digits[] = "0123456789abcdef";
    char text[64];
    struct buf aside = buf_fixed(text, sizeof text);
    if (a.family == 4)
        format4(&aside, a.ip, backward);
    for (int i = 31; a.family == 6 && i >= 0; i--) {
        unsigned nibble = i % 2 ? a.ip[i / 2] & 15u : a.ip[i / 2] >> 4;
        buf_char(&aside, digits[nibble]);
        if (i)
            buf_char(&aside, '.');
    }
    buf_add(b, buf_bytes(&aside));
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits) {
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

bool addr_equal(struct addr a, struct addr b) {
    a = addr_fold(a);
    b = addr_fold(b);
    return a.family == b.family && a.scope == b.scope && same_bits(a.ip, b.ip, bits_of(a.family));
}

bool addr_is_loopback(struct addr a) {
    static const uint8_t loopback[16] = { [15] = 1 };
    a = addr_fold(a);
    return a.family == 4 ? a.ip[0] == 127
                         : a.family == 6 && memcmp(a.ip, loopback, sizeof loopback) == 0;
}

/* The IANA IPv4 and IPv6 special-purpose address registries (RFC 6890, RFC 8190), whether globally
 * reachable or not, and what has registries of its own but is no host either: multicast, and the
 * deprecated IPv4-compatible and site-local ranges. */
static const struct special {
    uint8_t family, bits;
    uint8_t ip[16];
} specials[] = {
    { 4, 8, { 0 } },                             /* this network, RFC 791 */
    { 4, 8, { 10 } },                            /* private use, RFC 1918 */
    { 4, 10, { 100, 64 } },                      /* shared address space, RFC 6598 */
    { 4, 8, { 127 } },                           /* loopback, RFC 1122 */
    { 4, 16, { 169, 254 } },                     /* link-local, RFC 3927 */
    { 4, 12, { 172, 16 } },                      /* private use, RFC 1918 */
    { 4, 24, { 192, 0, 0 } },                    /* IETF protocol assignments, RFC 6890 */
    { 4, 24, { 192, 0, 2 } },                    /* TEST-NET-1, RFC 5737 */
    { 4, 24, { 192, 31, 196 } },                 /* AS112, RFC 7535 */
    { 4, 24, { 192, 52, 193 } },                 /* AMT, RFC 7450 */
    { 4, 24, { 192, 88, 99 } },                  /* 6to4 relays, RFC 7526 */
    { 4, 16, { 192, 168 } },                     /* private use, RFC 1918 */
    { 4, 24, { 192, 175, 48 } },                 /* AS112, RFC 7534 */
    { 4, 15, { 198, 18 } },                      /* benchmarking, RFC 2544 */
    { 4, 24, { 198, 51, 100 } },                 /* TEST-NET-2, RFC 5737 */
    { 4, 24, { 203, 0, 113 } },                  /* TEST-NET-3, RFC 5737 */
    { 4, 4, { 224 } },                           /* multicast, RFC 1112 */
    { 4, 4, { 240 } },                           /* reserved and broadcast, RFC 1112 */
    { 6, 96, { 0 } },                            /* ::, ::1, IPv4-compatible, RFC 4291 */
    { 6, 96, { [10] = 0xff, [11] = 0xff } },     /* IPv4-mapped, RFC 4291; folded before */
    { 6, 96, { 0, 0x64, 0xff, 0x9b } },          /* IPv4/IPv6 translation, RFC 6052 */
    { 6, 48, { 0, 0x64, 0xff, 0x9b, 0, 1 } },    /* the same, local use, RFC 8215 */
    { 6, 64, { 1 } },                            /* discard-only, RFC 6666 */
    { 6, 64, { 1, [7] = 1 } },                   /* dummy prefix, RFC 9780 */
    { 6, 23, { 0x20, 0x01 } },                   /* IETF protocol assignments, RFC 2928 */
    { 6, 32, { 0x20, 0x01, 0x0d, 0xb8 } },       /* documentation, RFC 3849 */
    { 6, 16, { 0x20, 0x02 } },                   /* 6to4, RFC 3056 */
    { 6, 48, { 0x26, 0x20, 0, 0x4f, 0x80, 0 } }, /* AS112, RFC 7534 */
    { 6, 20, { 0x3f, 0xff } },                   /* documentation, RFC 9637 */
    { 6, 16, { 0x5f, 0 } },                      /* SRv6 SIDs, RFC 9602 */
    { 6, 7, { 0xfc } },                          /* unique local, RFC 4193 */
    { 6, 10, { 0xfe, 0x80 } },                   /* link-local, RFC 4291 */
    { 6, 10, { 0xfe, 0xc0 } },                   /* site-local, RFC 3879 */
    { 6, 8, { 0xff } },                          /* multicast, RFC 4291 */
};

bool addr_is_public(struct addr a) {
    a = addr_fold(a);
    if (a.family != 4 && a.family != 6)
        return false;
    for (size_t i = 0; i < COUNT_OF(specials); i++)
        if (specials[i].family == a.family && same_bits(specials[i].ip, a.ip, specials[i].bits))
            return false;
    return true;
}

struct addr addr_masked(struct addr a, unsigned bits) {
    unsigned size = bits_of(a.family) / 8;
    a.port = 0;
    a.scope = 0;
    for (unsigned i = 0; i < size; i++) {
        unsigned keep = bits >= 8 * (i + 1) ? 8 : bits <= 8 * i ? 0 : bits - 8 * i;
        a.ip[i] = (uint8_t)(a.ip[i] & 0xff00u >> keep);
    }
    return a;
}

/* "24"; no leading zeros, which could be meant as octal. */
static bool parse_bits(struct bytes text, unsigned max, unsigned *out) {
    uint64_t n;
    if ((text.len > 1 && text.at[0] == '0') || !bytes_to_u64(text, max, &n))
        return false;
    *out = (unsigned)n;
    return true;
}

enum network_error network_parse(struct bytes text, struct network *out) {
    struct network n;
    ptrdiff_t slash = bytes_find(text, '/');
    struct bytes host = slash < 0 ? text : bytes_first(text, (size_t)slash);
    if (!parse_raw(host, &n.base))
        return NETWORK_SYNTAX;
    n.bits = bits_of(n.base.family);
    if (slash >= 0 && !parse_bits(bytes_skip(text, (size_t)slash + 1), n.bits, &n.bits))
        return NETWORK_SYNTAX;
    if (n.bits >= MAPPED_BITS && is_mapped(n.base)) {
        n.base = addr_fold(n.base);
        n.bits -= MAPPED_BITS;
    }
    out->base = addr_masked(n.base, n.bits);
    out->bits = n.bits;
    return addr_equal(out->base, n.base) ? NETWORK_OK : NETWORK_HOST_BITS;
}

bool network_contains(struct network n, struct addr a) {
    a = addr_fold(a);
    return n.base.family == a.family && bits_of(a.family) != 0 &&
           same_bits(n.base.ip, a.ip, n.bits);
}

bool network_overlaps(struct network a, struct network b) {
    return network_contains(a.bits < b.bits ? a : b, a.bits < b.bits ? b.base : a.base);
}

void network_format(struct buf *b, struct network n) {
    char text[64];
    struct buf aside = buf_fixed(text, sizeof text);
    format(&aside, n.base);
    buf_char(&aside, '/');
    buf_u64(&aside, n.bits);
    buf_add(b, buf_bytes(&aside));
}
