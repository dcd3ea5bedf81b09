/* spf: the grammar of records (RFC 7208 sections 4.5, 4.6.1, 5, 6 and 12). The whole record is read before anything is made
 * of it: a wrong term anywhere makes all of it wrong. */
#include "trust/spf.h"

#include "base/must.h"
#include "base/scan.h"
#include "trust/spf_internal.h"

#include <string.h>

enum { TERMS_MAX = 4096 };

const char *spf_result_name(enum spf_result r) {
    static const char *const names[] = { "none",     "neutral",   "pass",     "fail",
                                         "softfail", "temperror", "permerror" };
    return names[r];
}

bool spf_is_record(struct bytes text) {
    return bytes_starts_nocase(text, B("v=spf1")) && (text.len == 6 || text.at[6] == ' ');
}

/* --- mechanisms -------------------------------------------------------------------------------------- */

enum domain_need { DOMAIN_NONE, DOMAIN_MAY, DOMAIN_MUST };
static const struct mechanism {
    const char *name;
    enum spf_mechanism mechanism;
    enum domain_need domain;
    bool lengths; /* takes prefix lengths behind a name */
    bool asks;
} mechanisms[] = {
    { "all", SPF_ALL, DOMAIN_NONE, false, false },
    { "include", SPF_INCLUDE, DOMAIN_MUST, false, true },
    { "a", SPF_A, DOMAIN_MAY, true, true },
    { "mx", SPF_MX, DOMAIN_MAY, true, true },
    { "ptr", SPF_PTR, DOMAIN_MAY, false, true },
    { "ip4", SPF_IP4, DOMAIN_NONE, false, false },
    { "ip6", SPF_IP6, DOMAIN_NONE, false, false },
    { "exists", SPF_EXISTS, DOMAIN_MUST, false, true },
};

bool spf_asks(enum spf_mechanism m) {
    return mechanisms[m].asks;
}

/* "24", without leading zeros (ip4-cidr-length of section 5.6). */
static bool read_length(struct bytes text, unsigned max, unsigned *out) {
    uint64_t n;
    if ((text.len > 1 && text.at[0] == '0') || !bytes_to_u64(text, max, &n))
        return false;
    *out = (unsigned)n;
    return true;
}

static size_t digits_before(struct bytes text, size_t end) {
    while (end && ascii_is_digit(text.at[end - 1]))
        end--;
    return end;
}

/* Takes "/24", "//64" or "/24//64" off the end; what remains may hold other slashes. */
static bool take_lengths(struct bytes *text, unsigned *bits4, unsigned *bits6) {
    size_t start = digits_before(*text, text->len);
    *bits4 = 32;
    *bits6 = 128;
    if (start >= 2 && text->at[start - 1] == '/' && text->at[start - 2] == '/') {
        if (!read_length(bytes_skip(*text, start), 128, bits6))
            return false;
        *text = bytes_first(*text, start - 2);
        start = digits_before(*text, text->len);
        if (start == text->len) /* no length of IPv4 in front */
            return true;
    }
    if (start >= 1 && text->at[start - 1] == '/') {
        if (!read_length(bytes_skip(*text, start), 32, bits4))
            return false;
        *text = bytes_first(*text, start - 1);
    }
    return true;
}

static bool is_address_char(char c) {
    return c != '/';
}

static const char *read_ip4(struct bytes text, struct spf_term *t) {
    struct scan s = scan_of(text);
    struct bytes address = scan_while(&s, is_address_char);
    t->network.bits = 32;
    if (bytes_find(address, ':') >= 0 || !addr_parse(address, &t->network.base))
        return "is no IPv4 address";
    if (scan_accept(&s, '/') && !read_length(s.rest, 32, &t->network.bits))
        return "has no prefix length from 0 to 32";
    return NULL;
}

/* An IPv4-mapped network stays IPv6 here, and matches nobody: clients that come so are IPv4 (section 5). */
static const char *read_ip6(struct bytes text, struct spf_term *t) {
    struct scan s = scan_of(text);
    struct bytes address = scan_while(&s, is_address_char);
    struct addr *base = &t->network.base;
    t->network.bits = 128;
    if (bytes_find(address, ':') < 0 || !addr_parse(address, base))
        return "is no IPv6 address";
    if (base->family == 4) {
        struct addr mapped = { .family = 6, .ip = { [10] = 0xff, [11] = 0xff } };
        memcpy(mapped.ip + 12, base->ip, 4);
        *base = mapped;
    }
    if (scan_accept(&s, '/') && !read_length(s.rest, 128, &t->network.bits))
        return "has no prefix length from 0 to 128";
    return NULL;
}

static const char *read_domain(const struct mechanism *m, struct bytes rest, struct spf_term *t) {
    if (m->lengths && !take_lengths(&rest, &t->bits4, &t->bits6))
        return "has a prefix length that is too long, or begins with 0";
    if (!rest.len && m->domain != DOMAIN_MUST)
        return NULL;
    if (!rest.len || rest.at[0] != ':')
        return m->domain == DOMAIN_MUST ? "lacks the domain behind a colon"
                                        : "has something that does not belong behind its name";
    t->domain = bytes_skip(rest, 1);
    if (!t->domain.len)
        return "lacks the domain behind its colon";
    return spf_macro_wrong(t->domain, true, false);
}

static const char *read_rest(const struct mechanism *m, struct bytes rest, struct spf_term *t) {
    bool address = m->mechanism == SPF_IP4 || m->mechanism == SPF_IP6;
    if (m->mechanism == SPF_ALL)
        return rest.len ? "takes nothing behind its name" : NULL;
    if (!address)
        return read_domain(m, rest, t);
    if (rest.len < 2 || rest.at[0] != ':')
        return "lacks the address behind a colon";
    rest = bytes_skip(rest, 1);
    return m->mechanism == SPF_IP4 ? read_ip4(rest, t) : read_ip6(rest, t);
}

static bool is_name_char(char c) {
    return ascii_is_alnum(c) || c == '-' || c == '_' || c == '.';
}

static const char *read_mechanism(struct bytes text, struct spf_term *t) {
    struct scan s = scan_of(text);
    *t = (struct spf_term){ .text = text, .qualifier = '+', .bits4 = 32, .bits6 = 128 };
    int first = scan_peek(&s);
    if (first == '+' || first == '-' || first == '~' || first == '?')
        t->qualifier = scan_char(&s);
    struct bytes name = scan_while(&s, is_name_char);
    for (size_t i = 0; i < COUNT_OF(mechanisms); i++)
        if (bytes_equal_nocase(name, bytes_str(mechanisms[i].name))) {
            t->mechanism = mechanisms[i].mechanism;
            return read_rest(&mechanisms[i], s.rest, t);
        }
    return "is no mechanism of SPF";
}

/* --- modifiers --------------------------------------------------------------------------------------- */

/* "name=": false, and it is a mechanism. */
static bool split_modifier(struct bytes term, struct bytes *name, struct bytes *value) {
    struct scan s = scan_of(term);
    *name = scan_while(&s, is_name_char);
    if (!name->len || !ascii_is_alpha(name->at[0]) || !scan_accept(&s, '='))
        return false;
    *value = s.rest;
    return true;
}

static const char *take_modifier(struct bytes name, struct bytes value, struct spf_record *r) {
    struct bytes *place = bytes_equal_nocase(name, B("redirect")) ? &r->redirect
                          : bytes_equal_nocase(name, B("exp"))    ? &r->exp
                                                                  : NULL;
    if (!place)
        return spf_macro_wrong(value, false, true);
    if (place->len)
        return "stands there twice";
    if (!value.len)
        return "lacks the domain behind =";
    *place = value;
    return spf_macro_wrong(value, true, false);
}

/* --- records ------------------------------------------------------------------------------------------ */

static size_t count_blanks(struct bytes text) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.at[i] == ' ';
    return count;
}

static const char *read_term(struct bytes text, struct spf_record *r, struct spf_term *terms) {
    struct bytes name, value;
    if (split_modifier(text, &name, &value))
        return take_modifier(name, value, r);
    const char *wrong = read_mechanism(text, &terms[r->count]);
    r->count += !wrong;
    return wrong;
}

enum rc spf_parse(struct bytes text, struct arena *a, struct spf_record *out) {
    struct bytes rest = bytes_skip(text, 6), term;
    size_t room = count_blanks(text) + 1, number = 0;
    *out = (struct spf_record){ 0 };
    if (!spf_is_record(text)) {
        out->wrong = "does not begin with v=spf1";
        out->wrong_term = bytes_first(text, 40);
        return PERM;
    }
    struct spf_term *terms = ARENA_ARRAY(a, room < TERMS_MAX ? room : TERMS_MAX, struct spf_term);
    out->terms = terms;
    while (bytes_split(&rest, ' ', &term)) {
        if (!term.len)
            continue;
        number++;
        const char *wrong = number > TERMS_MAX ? "is one of too many" : read_term(term, out, terms);
        if (!wrong)
            continue;
        out->wrong = wrong;
        out->wrong_term = term;
        out->wrong_number = number;
        return PERM;
    }
    return OK;
}
