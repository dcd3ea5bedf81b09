/* address_domain: the right side of an address. This file alone knows libidn2: names given in
 * U-labels become A-labels by UTS #46, nontransitional, and only then are checked, so that nothing
 * that maps to an ASCII dot, digit or at sign slips by. For people it turns them back, unless the
 * letters could pass for others. */
#include "message/address.h"

#include "base/must.h"

#include <idn2.h>

enum { DOMAIN_MAX = 255, LABEL_MAX = 63 }; /* RFC 5321 section 4.5.3.1.2, RFC 1035 2.3.4 */

/* The grammar has no underscore, but DNS takes it, and machines with such names do send mail. */
static const char *check_label(struct bytes label) {
    if (label.len == 0)
        return "the domain has an empty part";
    if (label.len > LABEL_MAX)
        return "a part of the domain is longer than 63 octets";
    if (label.at[0] == '-' || label.at[label.len - 1] == '-')
        return "a part of the domain begins or ends with a hyphen";
    for (size_t i = 0; i < label.len; i++)
        if (!ascii_is_alnum(label.at[i]) && label.at[i] != '-' && label.at[i] != '_')
            return "the domain has a character that is not allowed there";
    return NULL;
}

static struct bytes last_label(struct bytes name) {
    return bytes_skip(name, (size_t)(bytes_find_last(name, '.') + 1));
}

static bool all_digits(struct bytes label) {
    for (size_t i = 0; i < label.len; i++)
        if (!ascii_is_digit(label.at[i]))
            return false;
    return true;
}

static const char *check_domain(struct bytes name) {
    if (name.len == 0)
        return "the domain is missing";
    if (name.len > DOMAIN_MAX)
        return "the domain is longer than 255 octets";
    struct bytes rest = name, label;
    while (bytes_split(&rest, '.', &label)) {
        const char *wrong = check_label(label);
        if (wrong)
            return wrong;
    }
    /* No top-level domain is a number, but some resolvers take such a name for an IP address. */
    return all_digits(last_label(name)) ? "an IP address must stand in brackets" : NULL;
}

static const char *to_alabels(struct bytes text, struct arena *a, struct bytes *out) {
    uint8_t *name = NULL;
    int rc = idn2_lookup_u8((const uint8_t *)arena_str(a, text), &name,
                            IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (rc != IDN2_OK)
        return "the domain is not a valid internationalised name";
    *out = arena_lower(a, bytes_str((const char *)name));
    idn2_free(name);
    return check_domain(*out);
}

const char *address_parse_domain(struct bytes text, struct arena *a, struct bytes *out) {
    *out = BYTES_NONE;
    if (text.len > DOMAIN_MAX)
        return "the domain is longer than 255 octets";
    if (!bytes_is_ascii(text)) {
        /* libidn2 takes C strings: what follows a NUL would go unseen. */
        return bytes_find(text, '\0') >= 0 ? "the domain has a character that is not allowed there"
                                           : to_alabels(text, a, out);
    }
    const char *wrong = check_domain(text);
    if (!wrong)
        *out = arena_lower(a, text);
    return wrong;
}

/* --- for people ---------------------------------------------------------------------------- */

enum script {
    LATIN = 1,
    GREEK = 2,
    CYRILLIC = 4,
    HEBREW = 8,
    ARABIC = 16,
    DEVANAGARI = 32,
    THAI = 64,
    EAST_ASIAN = 128,
    HANGUL = 256,
    OTHER = 512,
};

/* Blocks whose letters people can tell apart. Left out on purpose: dotless i, clicks, phonetic
 * letters, full-width forms, whatever looks like punctuation. */
static const struct {
    uint32_t from, to;
    enum script script;
} blocks[] = {
    { 'a', 'z', LATIN },
    { 0x00df, 0x00f6, LATIN },
    { 0x00f8, 0x0130, LATIN },
    { 0x0132, 0x017e, LATIN },
    { 0x1ea0, 0x1ef9, LATIN },
    { 0x0386, 0x03ce, GREEK },
    { 0x0400, 0x045f, CYRILLIC },
    { 0x0490, 0x04ff, CYRILLIC },
    { 0x05d0, 0x05ea, HEBREW },
    { 0x0620, 0x064a, ARABIC },
    { 0x066e, 0x06d3, ARABIC },
    { 0x0901, 0x0963, DEVANAGARI },
    { 0x0e01, 0x0e4e, THAI },
    { 0x3041, 0x30cd, EAST_ASIAN },
    { 0x30cf, 0x30fa, EAST_ASIAN },
    { 0x30fc, 0x30fe, EAST_ASIAN },
    { 0x4e01, 0x9fff, EAST_ASIAN },
    { 0xac00, 0xd7a3, HANGUL },
};

/* The next character of UTF-8 that libidn2 made. */
static uint32_t next_character(const unsigned char **at) {
    uint32_t c = *(*at)++;
    unsigned more = c < 0xc0 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    if (more)
        c &= 0x3fu >> more;
    for (; more && (**at & 0xc0) == 0x80; more--)
        c = c << 6 | (*(*at)++ & 0x3fu);
    return c;
}

static unsigned script_of(uint32_t c) {
    if (c == '-' || (c < 0x80 && ascii_is_digit((char)c)))
        return 0;
    for (size_t i = 0; i < COUNT_OF(blocks); i++)
        if (c >= blocks[i].from && c <= blocks[i].to)
            return blocks[i].script;
    return OTHER;
}

static unsigned scripts_of(struct bytes label) {
    unsigned scripts = 0;
    const unsigned char *at = (const unsigned char *)label.at, *end = at + label.len;
    while (at < end)
        scripts |= script_of(next_character(&at));
    return scripts;
}

/* One script a label; and since whole words can be written in Greek and Cyrillic letters that look
 * Latin, those only below a top-level domain of the same script. */
static bool safe_to_show(struct bytes name) {
    unsigned top = scripts_of(last_label(name));
    struct bytes label;
    while (bytes_split(&name, '.', &label)) {
        unsigned scripts = scripts_of(label);
        if (scripts & OTHER || (scripts & (scripts - 1)) != 0)
            return false;
        if (scripts & (GREEK | CYRILLIC) && scripts != top)
            return false;
    }
    return true;
}

struct bytes address_display(struct bytes mailbox, struct arena *a) {
    struct bytes domain = address_domain(mailbox);
    if (bytes_search_nocase(domain, B("xn--")) < 0)
        return mailbox;
    char *name = NULL;
    if (idn2_to_unicode_8z8z(arena_str(a, domain), &name, 0) != IDN2_OK)
        return mailbox;
    struct bytes shown = bytes_str(name);
    if (safe_to_show(shown))
        mailbox =
            arena_printf(a, "%.*s%.*s", BYTES_FMT(bytes_first(mailbox, mailbox.len - domain.len)),
                         BYTES_FMT(shown));
    idn2_free(name);
    return mailbox;
}
