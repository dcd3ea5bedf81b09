/* bytes: comparing, finding and slicing views. This file alone knows how letters are folded (ASCII,
 * by a table) and that an empty view may carry a NULL pointer, which the C library's functions must
 * never see. */
#include "base/bytes.h"

#include <string.h>

/* clang-format off */
static const unsigned char fold[256] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
    48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63,
    64, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o',
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 91, 92, 93, 94, 95,
    96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
    112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127,
    128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143,
    144, 145, 146, 147, 148, 149, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159,
    160, 161, 162, 163, 164, 165, 166, 167, 168, 169, 170, 171, 172, 173, 174, 175,
    176, 177, 178, 179, 180, 181, 182, 183, 184, 185, 186, 187, 188, 189, 190, 191,
    192, 193, 194, 195, 196, 197, 198, 199, 200, 201, 202, 203, 204, 205, 206, 207,
    208, 209, 210, 211, 212, 213, 214, 215, 216, 217, 218, 219, 220, 221, 222, 223,
    224, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 235, 236, 237, 238, 239,
    240, 241, 242, 243, 244, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254, 255,
};
/* clang-format on */

static unsigned char lower_at(struct bytes all, size_t i) {
    return fold[(unsigned char)all.at[i]];
}

struct bytes bytes_str(const char *text) {
    return text ? bytes_of(text, strlen(text)) : BYTES_NONE;
}

bool bytes_equal(struct bytes a, struct bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool bytes_equal_nocase(struct bytes a, struct bytes b) {
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower_at(a, i) != lower_at(b, i))
            return false;
    return true;
}

static int compare_len(size_t a, size_t b) {
    return (a > b) - (a < b);
}

int bytes_compare(struct bytes a, struct bytes b) {
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.at, b.at, common) : 0;
    return order ? order : compare_len(a.len, b.len);
}

int bytes_compare_nocase(struct bytes a, struct bytes b) {
    size_t common = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < common; i++)
        if (lower_at(a, i) != lower_at(b, i))
            return lower_at(a, i) - lower_at(b, i);
    return compare_len(a.len, b.len);
}

bool bytes_starts(struct bytes all, struct bytes prefix) {
    return all.len >= prefix.len && bytes_equal(bytes_first(all, prefix.len), prefix);
}

bool bytes_starts_nocase(struct bytes all, struct bytes prefix) {
    return all.len >= prefix.len && bytes_equal_nocase(bytes_first(all, prefix.len), prefix);
}

bool bytes_ends_nocase(struct bytes all, struct bytes suffix) {
    return all.len >= suffix.len &&
           bytes_equal_nocase(bytes_skip(all, all.len - suffix.len), suffix);
}

ptrdiff_t bytes_find(struct bytes all, char c) {
    const char *at = all.len ? memchr(all.at, c, all.len) : NULL;
    return at ? at - all.at : -1;
}

ptrdiff_t bytes_find_last(struct bytes all, char c) {
    const char *at = all.len ? memrchr(all.at, c, all.len) : NULL;
    return at ? at - all.at : -1;
}

ptrdiff_t bytes_search(struct bytes all, struct bytes part) {
    if (part.len == 0)
        return 0;
    const char *at = all.len ? memmem(all.at, all.len, part.at, part.len) : NULL;
    return at ? at - all.at : -1;
}

ptrdiff_t bytes_search_nocase(struct bytes all, struct bytes part) {
    if (part.len == 0)
        return 0;
    for (size_t i = 0; i + part.len <= all.len; i++)
        if (lower_at(all, i) == lower_at(part, 0) &&
            bytes_equal_nocase(bytes_slice(all, i, i + part.len), part))
            return (ptrdiff_t)i;
    return -1;
}

struct bytes bytes_skip(struct bytes all, size_t n) {
    return bytes_slice(all, n, all.len);
}

struct bytes bytes_first(struct bytes all, size_t n) {
    return bytes_of(all.at, n < all.len ? n : all.len);
}

struct bytes bytes_slice(struct bytes all, size_t from, size_t to) {
    if (!all.at)
        return BYTES_NONE;
    if (to > all.len)
        to = all.len;
    if (from > to)
        from = to;
    return bytes_of(all.at + from, to - from);
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct bytes bytes_trim(struct bytes all) {
    size_t from = 0, to = all.len;
    while (from < to && is_blank(all.at[from]))
        from++;
    while (to > from && is_blank(all.at[to - 1]))
        to--;
    return bytes_slice(all, from, to);
}

bool bytes_split(struct bytes *rest, char c, struct bytes *head_out) {
    if (!rest->at) {
        *head_out = BYTES_NONE;
        return false;
    }
    ptrdiff_t at = bytes_find(*rest, c);
    *head_out = at < 0 ? *rest : bytes_first(*rest, (size_t)at);
    *rest = at < 0 ? BYTES_NONE : bytes_skip(*rest, (size_t)at + 1);
    return true;
}

bool bytes_to_u64(struct bytes text, uint64_t max, uint64_t *out) {
    uint64_t n = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!ascii_is_digit(text.at[i]))
            return false;
        uint64_t digit = (uint64_t)(text.at[i] - '0');
        if (n > max / 10 || n * 10 > max - digit || digit > max)
            return false;
        n = n * 10 + digit;
    }
    *out = n;
    return true;
}

bool bytes_equal_secret(struct bytes a, struct bytes b) {
    if (a.len != b.len)
        return false;
    /* volatile: the compiler may not leave the loop at the first difference. */
    volatile unsigned char differ = 0;
    for (size_t i = 0; i < a.len; i++)
        differ = (unsigned char)(differ | (a.at[i] ^ b.at[i]));
    return differ == 0;
}

uint64_t bytes_hash(struct bytes all) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < all.len; i++)
        hash = (hash ^ (unsigned char)all.at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

bool bytes_is_ascii(struct bytes all) {
    uint64_t any = 0;
    size_t i = 0;
    for (; all.len - i >= sizeof any; i += sizeof any) { /* content passes through here */
        uint64_t eight;
        memcpy(&eight, all.at + i, sizeof eight);
        any |= eight;
    }
    for (; i < all.len; i++)
        any |= (unsigned char)all.at[i];
    return !(any & 0x8080808080808080u);
}

size_t bytes_utf8(struct bytes all) {
    const unsigned char *at = (const unsigned char *)all.at;
    unsigned char c = all.len ? at[0] : 0xff;
    if (c < 0x80)
        return 1;
    size_t len = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (len == 0 || len > all.len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
    if ((c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] > 0x9f) || (c == 0xf0 && at[1] < 0x90) ||
        (c == 0xf4 && at[1] > 0x8f))
        return 0;
    return len;
}

bool bytes_is_utf8(struct bytes all) {
    while (all.len) {
        size_t len = bytes_utf8(all);
        if (!len)
            return false;
        all = bytes_skip(all, len);
    }
    return true;
}

char ascii_lower(char c) {
    return (char)fold[(unsigned char)c];
}

bool ascii_is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool ascii_is_alpha(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool ascii_is_alnum(char c) {
    return ascii_is_digit(c) || ascii_is_alpha(c);
}
