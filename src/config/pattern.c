/* pattern: what an address pattern is and which of several wins. This file alone knows the order:
 * an address beats a domain beats a parent domain (longest first) beats "*". Every comparison is one
 * pass over one text; no pattern holds a wildcard inside. */
#include "config/config.h"

#include "message/address.h"

/* A domain has at most 255 octets, so the longest parent domain stays below a domain. */
enum { SCORE_ANY = 1, SCORE_SUBDOMAINS = 2, SCORE_DOMAIN = 1000, SCORE_ADDRESS = 2000 };

static struct bytes domain_part(struct bytes mailbox) {
    ptrdiff_t at = bytes_find_last(mailbox, '@');
    return at < 0 ? BYTES_NONE : bytes_skip(mailbox, (size_t)at + 1);
}

/* The null sender is no address: only "<>" stands for it. */
unsigned pattern_match(const struct pattern *p, struct bytes mailbox) {
    if (p->kind == PATTERN_NULL || mailbox.len == 0)
        return p->kind == PATTERN_NULL && mailbox.len == 0 ? SCORE_ADDRESS : 0;
    struct bytes domain = domain_part(mailbox);
    switch (p->kind) {
    case PATTERN_ANY:
        return SCORE_ANY;
    case PATTERN_ADDRESS:
        return bytes_equal_nocase(p->text, mailbox) ? SCORE_ADDRESS : 0;
    case PATTERN_DOMAIN:
        return domain.len && bytes_equal_nocase(p->text, domain) ? SCORE_DOMAIN : 0;
    case PATTERN_SUBDOMAINS:
        if (domain.len <= p->text.len || !bytes_ends_nocase(domain, p->text))
            return 0;
        return SCORE_SUBDOMAINS + (unsigned)(p->text.len < 512 ? p->text.len : 512);
    case PATTERN_NULL:
        break;
    }
    return 0;
}

unsigned patterns_match(struct patterns list, struct bytes mailbox) {
    unsigned best = 0;
    for (size_t i = 0; i < list.count; i++) {
        unsigned score = pattern_match(&list.list[i], mailbox);
        if (score > best)
            best = score;
    }
    return best;
}

static bool set_domain(struct bytes text, struct arena *a, struct pattern *out) {
    bool below = bytes_starts(text, B("."));
    struct bytes domain;
    if (address_parse_domain(below ? bytes_skip(text, 1) : text, a, &domain))
        return false;
    domain = arena_lower(a, domain);
    out->kind = below ? PATTERN_SUBDOMAINS : PATTERN_DOMAIN;
    out->text = below ? arena_printf(a, ".%.*s", BYTES_FMT(domain)) : domain;
    return true;
}

/* The local part keeps its letters as they were written, for people; it is compared without case. */
static bool set_address(struct bytes text, struct arena *a, struct pattern *out) {
    struct address address;
    if (address_parse(text, a, &address) || address.domain.len == 0)
        return false;
    out->kind = PATTERN_ADDRESS;
    out->text = address.mailbox;
    return true;
}

static bool has_wildcard(struct bytes text) {
    return bytes_find(text, '*') >= 0;
}

bool pattern_parse(struct bytes text, struct arena *a, struct pattern *out) {
    *out = (struct pattern){ .kind = PATTERN_ANY, .text = BYTES_NONE };
    if (bytes_equal(text, B("*")))
        return true;
    if (bytes_equal(text, B("<>"))) {
        out->kind = PATTERN_NULL;
        return true;
    }
    if (bytes_starts(text, B("*@")))
        text = bytes_skip(text, 2);
    if (has_wildcard(text))
        return false;
    return bytes_find(text, '@') < 0 ? set_domain(text, a, out) : set_address(text, a, out);
}
