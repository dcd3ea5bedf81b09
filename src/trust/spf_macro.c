/* spf_macro: macros (RFC 7208 section 7): their grammar and what they stand for. Grammar is looked at when a record
 * is read, so that an expansion can go wrong only by what is not known yet. */
#include "base/must.h"
#include "base/scan.h"
#include "trust/spf_internal.h"

#include <string.h>

enum { EXPANDED_MAX = 16 * 1024, PARTS_MAX = 128 };

/* One macro, taken apart: %{ir-.} */
struct macro {
    char letter;   /* lower case */
    bool escape;   /* it was upper case: section 7.3 */
    unsigned keep; /* labels from the right; 0: all */
    bool reverse;
    struct bytes delimiters; /* empty: a dot */
};

static bool is_delimiter(char c) {
    return c == '.' || c == '-' || c == '+' || c == ',' || c == '/' || c == '_' || c == '=';
}

static bool is_letter(char c, bool explanation) {
    return bytes_find(B("slodiphv"), c) >= 0 || (explanation && bytes_find(B("crt"), c) >= 0);
}

/* Behind "%{". NULL or what is wrong. */
static const char *read_macro(struct scan *s, bool explanation, struct macro *m) {
    char c = scan_char(s);
    *m = (struct macro){ .letter = ascii_lower(c), .escape = c >= 'A' && c <= 'Z' };
    if (s->bad || !is_letter(m->letter, explanation))
        return "has a macro of a letter that means nothing here";
    if (ascii_is_digit((char)scan_peek(s))) {
        uint64_t n = scan_number(s, PARTS_MAX);
        if (s->bad || n == 0)
            return "has a macro with a number that is none from 1 to 128";
        m->keep = (unsigned)n;
    }
    m->reverse = scan_accept_nocase(s, B("r"));
    m->delimiters = scan_while(s, is_delimiter);
    return scan_accept(s, '}') ? NULL : "has a macro that is not closed as it should be";
}

bool spf_has_macro(struct bytes text) {
    return bytes_find(text, '%') >= 0;
}

/* toplabel of section 7.1: letters, digits and hyphens, not digits alone, no hyphen at the ends. */
static bool is_top_label(struct bytes label) {
    bool digits = true;
    if (!label.len || label.at[0] == '-' || label.at[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        if (!ascii_is_alnum(label.at[i]) && label.at[i] != '-')
            return false;
        digits &= ascii_is_digit(label.at[i]);
    }
    return !digits;
}

/* A name ends with a macro, or with a dot and a top label. */
static bool ends_well(struct bytes text) {
    if (text.len && text.at[text.len - 1] == '}')
        return true;
    if (text.len && text.at[text.len - 1] == '.')
        text.len--;
    ptrdiff_t dot = bytes_find_last(text, '.');
    return dot >= 0 && is_top_label(bytes_skip(text, (size_t)dot + 1));
}

const char *spf_macro_wrong(struct bytes text, bool name, bool explanation) {
    struct scan s = scan_of(text);
    struct macro m;
    while (!scan_done(&s)) {
        char c = scan_char(&s);
        if (c < 0x21 || c > 0x7e) {
            if (c != ' ' || name)
                return "has an octet that is not printable ASCII";
            continue;
        }
        if (c != '%')
            continue;
        if (scan_accept(&s, '%') || scan_accept(&s, '_') || scan_accept(&s, '-'))
            continue;
        if (!scan_accept(&s, '{'))
            return "has a % that begins no macro";
        const char *wrong = read_macro(&s, explanation, &m);
        if (wrong)
            return wrong;
    }
    return !name || ends_well(text) ? NULL : "has a domain that does not end like one";
}

/* --- what letters stand for ---------------------------------------------------------------------------- */

struct expansion {
    const struct spf_who *who;
    struct bytes domain;
    spf_find *find;
    void *ctx;
    struct arena *arena;
    bool more;
};

/* Section 7.3: the whole address for %{i}: dotted nibbles of IPv6. */
static void put_dotted(struct buf *b, struct addr a) {
    a = addr_fold(a);
    if (a.family == 4) {
        addr_format(b, a);
        return;
    }
    for (size_t i = 0; i < 16; i++)
        buf_printf(b, "%s%x.%x", i ? "." : "", a.ip[i] >> 4, a.ip[i] & 15);
}

static void put_sender(struct buf *b, const struct spf_who *who, char letter) {
    ptrdiff_t at = bytes_find_last(who->sender, '@');
    struct bytes local = at > 0 ? bytes_first(who->sender, (size_t)at) : B("postmaster");
    struct bytes domain = at >= 0           ? bytes_skip(who->sender, (size_t)at + 1)
                          : who->sender.len ? who->sender
                                            : who->domain;
    if (letter != 'o')
        buf_add(b, local);
    if (letter == 's')
        buf_char(b, '@');
    if (letter != 'l')
        buf_add(b, domain);
}

/* Section 7.3: the domain itself before one below it before any. */
static void put_validated(struct buf *b, struct expansion *e) {
    struct spf_names names = spf_validated(e->who->client, e->find, e->ctx, e->arena);
    struct bytes best = B("unknown");
    int rank = 0;
    e->more |= names.rc == MORE;
    for (size_t i = 0; names.rc == OK && i < names.count; i++) {
        int r = bytes_equal_nocase(names.list[i], e->domain) ? 3
                : spf_is_below(names.list[i], e->domain)     ? 2
                                                             : 1;
        if (r > rank) {
            rank = r;
            best = names.list[i];
        }
    }
    buf_add(b, best);
}

static void put_letter(struct buf *b, char letter, struct expansion *e) {
    const struct spf_who *who = e->who;
    switch (letter) {
    case 's':
    case 'l':
    case 'o':
        put_sender(b, who, letter);
        break;
    case 'd':
        buf_add(b, e->domain);
        break;
    case 'i':
        put_dotted(b, who->client);
        break;
    case 'p':
        put_validated(b, e);
        break;
    case 'h':
        buf_add(b, who->helo);
        break;
    case 'v':
        buf_str(b, addr_fold(who->client).family == 6 ? "ip6" : "in-addr");
        break;
    case 'c':
        addr_format(b, addr_fold(who->client));
        break;
    case 'r':
        buf_add(b, who->receiver.len ? who->receiver : B("unknown"));
        break;
    case 't':
        buf_i64(b, who->time);
        break;
    }
}

/* --- transformers ----------------------------------------------------------------------------------------- */

static bool splits_at(const struct macro *m, char c) {
    return m->delimiters.len ? bytes_find(m->delimiters, c) >= 0 : c == '.';
}

/* More parts than PARTS_MAX are not told apart: no name has as many. */
static size_t split_parts(const struct macro *m, struct bytes text, struct bytes *parts) {
    size_t count = 0, start = 0;
    for (size_t i = 0; i < text.len && count < PARTS_MAX - 1; i++)
        if (splits_at(m, text.at[i])) {
            parts[count++] = bytes_slice(text, start, i);
            start = i + 1;
        }
    parts[count++] = bytes_skip(text, start);
    return count;
}

static bool is_unreserved(char c) {
    return ascii_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

static void put_escaped(struct buf *out, struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (is_unreserved(text.at[i]))
            buf_char(out, text.at[i]);
        else
            buf_printf(out, "%%%02X", (unsigned char)text.at[i]);
}

static void put_macro(struct buf *out, const struct macro *m, struct expansion *e) {
    struct bytes parts[PARTS_MAX];
    struct buf value = buf_grow(EXPANDED_MAX), joined = buf_grow(EXPANDED_MAX);
    put_letter(&value, m->letter, e);
    size_t count = split_parts(m, buf_bytes(&value), parts);
    size_t keep = m->keep && m->keep < count ? m->keep : count;
    for (size_t i = count - keep; i < count; i++) {
        /* Reversed first, then the right-hand parts are kept. */
        buf_str(&joined, i > count - keep ? "." : "");
        buf_add(&joined, parts[m->reverse ? count - 1 - i : i]);
    }
    bool whole = !m->reverse && !m->keep && !m->delimiters.len;
    struct bytes result = whole ? buf_bytes(&value) : buf_bytes(&joined);
    if (m->escape)
        put_escaped(out, result);
    else
        buf_add(out, result);
    buf_free(&value);
    buf_free(&joined);
}

/* --- all of it ---------------------------------------------------------------------------------------------- */

/* Section 7.3: labels are dropped from the left until 253 octets are left. */
static struct bytes cut_name(struct bytes name) {
    if (name.len && name.at[name.len - 1] == '.')
        name.len--;
    while (name.len > SPF_NAME_MAX) {
        ptrdiff_t dot = bytes_find(name, '.');
        if (dot < 0)
            break;
        name = bytes_skip(name, (size_t)dot + 1);
    }
    return name;
}

static void expand_all(struct buf *out, struct bytes text, bool explanation, struct expansion *e) {
    struct scan s = scan_of(text);
    struct macro m;
    while (!scan_done(&s)) {
        char c = scan_char(&s);
        if (c != '%') {
            buf_char(out, c);
            continue;
        }
        switch (scan_char(&s)) {
        case '_':
            buf_char(out, ' ');
            break;
        case '-':
            buf_str(out, "%20");
            break;
        case '{':
            read_macro(&s, explanation, &m);
            put_macro(out, &m, e);
            break;
        default:
            buf_char(out, '%');
        }
    }
}

enum rc spf_expand(const struct spf_who *who, struct bytes domain, struct bytes text,
                   bool explanation, spf_find *find, void *ctx, struct arena *a,
                   struct bytes *out) {
    struct expansion e = { who, domain, find, ctx, a, false };
    if (spf_macro_wrong(text, !explanation, explanation))
        return PERM;
    struct buf b = buf_grow(EXPANDED_MAX);
    expand_all(&b, text, explanation, &e);
    *out = explanation ? arena_copy(a, buf_bytes(&b)) : arena_lower(a, cut_name(buf_bytes(&b)));
    bool full = b.full;
    buf_free(&b);
    return e.more ? MORE : full ? PERM : OK;
}
