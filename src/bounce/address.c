/* address: where in running text an address stands. It is the one place that knows which octets around
 * an '@' belong to it when people, brackets and other scripts stand close. */
#include "bounce/internal.h"

enum { LOCAL = 128, DOMAIN = 255 };

static bool in_local(char c) {
    return ascii_is_alnum(c) || (unsigned char)c >= 0x80 ||
           bytes_find(B("!#$%&'*+-/=?^_`{|}~."), c) >= 0;
}

static bool in_domain(char c) {
    return ascii_is_alnum(c) || c == '-' || c == '.' || c == '_' || (unsigned char)c >= 0x80;
}

/* Where the local part that ends before `at` begins. In running text, other scripts stand beside an
 * address without a blank: there only ASCII is taken, unless it is all of another script. */
static size_t local_begin(struct bytes text, size_t at, size_t from) {
    size_t begin = at;
    if (at > from && text.at[at - 1] == '"') {
        size_t quote = at - 1;
        while (quote > from && at - quote < LOCAL && text.at[quote - 1] != '"')
            quote--;
        if (quote > from && text.at[quote - 1] == '"')
            return quote - 1;
    }
    while (begin > from && at - begin < LOCAL && in_local(text.at[begin - 1]))
        begin--;
    bool bracket = begin > from && text.at[begin - 1] == '<';
    if (!bracket)
        for (size_t i = at; i > begin; i--)
            if ((unsigned char)text.at[i - 1] >= 0x80 && i < at &&
                !((unsigned char)text.at[i] >= 0x80)) {
                begin = i;
                break;
            }
    for (size_t i = begin; i < at && !bracket; i++)
        if (text.at[i] == '/') /* "/home/x/ann@example.com" is a path */
            begin = i + 1;
    while (begin < at && bytes_find(B("*'`-./=|#&?!"), text.at[begin]) >= 0)
        begin++;
    return begin;
}

static size_t domain_end(struct bytes text, size_t at, bool bracket) {
    if (at < text.len && text.at[at] == '[') {
        ptrdiff_t close = bytes_find(bytes_first(bytes_skip(text, at), 60), ']');
        return close > 2 ? at + (size_t)close + 1 : at;
    }
    size_t end = at, dots = 0;
    while (end < text.len && end - at < DOMAIN && in_domain(text.at[end])) {
        bool other = (unsigned char)text.at[end] >= 0x80;
        if (other && !bracket && dots && end > at && !((unsigned char)text.at[end - 1] >= 0x80) &&
            text.at[end - 1] != '.')
            break;
        dots += text.at[end++] == '.';
    }
    while (end > at && bytes_find(B(".-_"), text.at[end - 1]) >= 0)
        end--;
    return end;
}

bool address_find(struct bytes text, size_t from, struct place *out) {
    size_t floor = from; /* what has been looked at is not looked at again */
    while (from < text.len) {
        ptrdiff_t found = bytes_find(bytes_skip(text, from), '@');
        if (found < 0)
            return false;
        size_t at = from + (size_t)found;
        size_t begin = local_begin(text, at, floor);
        bool bracket = begin > floor && text.at[begin - 1] == '<';
        size_t end = domain_end(text, at + 1, bracket);
        from = at + 1;
        if (begin == at || end == at + 1)
            continue;
        if (begin >= 3 && bytes_equal(bytes_slice(text, begin - 3, begin), B("://")))
            continue;
        out->address = bytes_slice(text, begin, end);
        while (begin > floor && bytes_find(B("<\"'"), text.at[begin - 1]) >= 0)
            begin--;
        while (end < text.len && bytes_find(B(">\"'"), text.at[end]) >= 0)
            end++;
        out->begin = begin;
        out->end = end;
        return true;
    }
    return false;
}
