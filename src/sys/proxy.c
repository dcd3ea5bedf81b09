/* proxy: the header a load balancer puts in front of a connection to tell whose it is
 * (PROXY protocol, HAProxy, versions 1 and 2). Only read from peers the listener lists. */
#include "sys/proxy.h"
#include "base/must.h"

#include <string.h>

enum { V1_MAX = 107, V2_HEAD = 16, V2_MAX = 2048 };

static const char V2_SIGNATURE[12] = "\r\n\r\n\0\r\nQUIT\n";

/* "PROXY TCP4 192.0.2.1 198.51.100.1 1234 25\r\n" */
static void parse_v1(struct bytes data, struct proxy_header *out) {
    ptrdiff_t end = bytes_search(bytes_first(data, V1_MAX), B("\r\n"));
    if (end < 0) {
        out->kind = data.len >= V1_MAX ? PROXY_BAD : PROXY_INCOMPLETE;
        return;
    }
    out->length = (size_t)end + 2;
    struct bytes rest = bytes_first(data, (size_t)end), word[6];
    size_t count = 0;
    while (count < COUNT_OF(word) && bytes_split(&rest, ' ', &word[count]))
        count++;
    out->kind = PROXY_BAD;
    if (count >= 2 && bytes_equal(word[1], B("UNKNOWN"))) {
        out->kind = PROXY_UNKNOWN;
        return;
    }
    bool four = count == 6 && bytes_equal(word[1], B("TCP4"));
    bool six = count == 6 && bytes_equal(word[1], B("TCP6"));
    uint64_t from = 0, to = 0;
    if ((!four && !six) || rest.len || !addr_parse(word[2], &out->client) ||
        !addr_parse(word[3], &out->server) || !bytes_to_u64(word[4], 65535, &from) ||
        !bytes_to_u64(word[5], 65535, &to) || (four && out->client.family != 4))
        return;
    out->client.port = (uint16_t)from;
    out->server.port = (uint16_t)to;
    out->kind = PROXY_CLIENT;
}

static uint16_t be16(const char *at) {
    return (uint16_t)((unsigned char)at[0] << 8 | (unsigned char)at[1]);
}

static struct addr v2_addr(unsigned family, const char *ip, const char *port) {
    struct addr a = { .family = (uint8_t)family, .port = be16(port) };
    memcpy(a.ip, ip, family == 4 ? 4 : 16);
    return addr_fold(a);
}

static void parse_v2(struct bytes data, struct proxy_header *out) {
    if (data.len < V2_HEAD)
        return;
    size_t length = be16(data.at + 14);
    unsigned command = (unsigned char)data.at[12];
    unsigned family = (unsigned char)data.at[13];
    out->kind = PROXY_BAD;
    if (command >> 4 != 2 || (command & 15) > 1 || length > V2_MAX)
        return;
    if (data.len < V2_HEAD + length) {
        out->kind = PROXY_INCOMPLETE;
        return;
    }
    out->length = V2_HEAD + length;
    const char *body = data.at + V2_HEAD;
    if ((command & 15) == 0) {
        out->kind = PROXY_LOCAL;
    } else if (family == 0x11 && length >= 12) {
        out->client = v2_addr(4, body, body + 8);
        out->server = v2_addr(4, body + 4, body + 10);
        out->kind = PROXY_CLIENT;
    } else if (family == 0x21 && length >= 36) {
        out->client = v2_addr(6, body, body + 32);
        out->server = v2_addr(6, body + 16, body + 34);
        out->kind = PROXY_CLIENT;
    } else if (family != 0x11 && family != 0x21) {
        out->kind = PROXY_UNKNOWN;
    }
}

void proxy_parse(struct bytes data, struct proxy_header *out) {
    *out = (struct proxy_header){ .kind = PROXY_INCOMPLETE };
    struct bytes signature = bytes_of(V2_SIGNATURE, sizeof(V2_SIGNATURE));
    if (bytes_starts(signature, bytes_first(data, sizeof(V2_SIGNATURE))))
        parse_v2(data, out);
    else if (bytes_starts(B("PROXY "), bytes_first(data, 6)))
        parse_v1(data, out);
    else
        out->kind = PROXY_BAD;
}
