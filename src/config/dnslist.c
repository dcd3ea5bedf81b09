/* dnslist: an entry of blocklists or allowlists, as it stands in the file: "zen.example",
 * "zen.example=2", "zen.example:127.0.0.2", "zen.example:127.0.0.4-7=3". This file alone knows its
 * form. */
#include "config/config.h"

#include "base/scan.h"

/* With an IPv6 address in front a name must still be one. */
enum { SCORE_MAX = 1000, ZONE_MAX = 180, KEY_MIN = 20 };

static bool is_digit_or_dot(char c) {
    return ascii_is_digit(c) || c == '.';
}

/* An answer of a list is an address of 127/8 (RFC 5782 section 2.1), here in the host's order. */
static bool parse_codes(struct bytes text, struct dnslist *out) {
    struct scan s = scan_of(text);
    struct addr a;
    if (!addr_parse(scan_while(&s, is_digit_or_dot), &a) || a.family != 4)
        return false;
    out->first = out->last = dnslist_code(a);
    if (scan_accept(&s, '-'))
        out->last = (out->first & ~UINT32_C(255)) | (uint32_t)scan_number(&s, 255);
    return scan_done(&s) && !s.bad && out->first >> 24 == 127 && out->last >= out->first;
}

uint32_t dnslist_code(struct addr a) {
    a = addr_fold(a);
    if (a.family != 4)
        return 0;
    return (uint32_t)a.ip[0] << 24 | (uint32_t)a.ip[1] << 16 | (uint32_t)a.ip[2] << 8 | a.ip[3];
}

bool dnslist_parse(struct bytes entry, struct dnslist *out) {
    struct bytes rest = entry, front;
    uint64_t score = 0;
    *out = (struct dnslist){ 0 };
    bytes_split(&rest, '=', &front);
    if (rest.at && (!bytes_to_u64(rest, SCORE_MAX, &score) || score == 0))
        return false;
    out->score = (unsigned)score;
    bytes_split(&front, ':', &out->zone);
    return out->zone.len && out->zone.len <= ZONE_MAX && (!front.at || parse_codes(front, out));
}

struct bytes dnslist_name(struct bytes zone) {
    ptrdiff_t dot = bytes_find(zone, '.');
    return dot >= KEY_MIN ? bytes_skip(zone, (size_t)dot + 1) : zone;
}

static size_t add_zones(struct strings lists, struct bytes *out, size_t count, size_t max) {
    struct dnslist list;
    for (size_t i = 0; i < lists.count; i++) {
        bool known = !dnslist_parse(lists.list[i], &list);
        for (size_t j = 0; j < count && !known; j++)
            known = bytes_equal(out[j], list.zone);
        if (!known && count < max)
            out[count++] = list.zone;
    }
    return count;
}

size_t dnslist_zones(const struct listener *l, struct bytes *out, size_t max) {
    return add_zones(l->allowlists, out, add_zones(l->blocklists, out, 0, max), max);
}
