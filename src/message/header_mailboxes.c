/* header_mailboxes: who an address field names. This file knows every way in which an address list
 * is read differently by different programs, and answers each with an empty mailbox beside (or
 * instead of) the one it found: the caller takes that for somebody else's.
 *
 * One pass over the octets. An item is what stands between two commas: words and dots and at-signs
 * go into a spec, `<` throws the spec away (it was a display name) and begins anew. Afterwards the
 * parts of the item that are for show only are searched for addresses that a program which looks
 * with less care would take for the real one: <angles> in quotes and comments, and whatever has an
 * at-sign in an encoded word (RFC 2047 section 5 forbids it where it would count, not everybody
 * obeys). */
#include "message/header.h"

#include "message/address.h"

#include <string.h>

enum { SPEC_MAX = 1024 };

/* An addr-spec in the making, without comments and blanks. */
struct spec {
    struct buf text;
    char memory[SPEC_MAX];
    enum { NOTHING, WORD, DOT, AT } last;
    bool gap;     /* blanks or a comment since the last part */
    bool has_at;  /* an at-sign, outside quotes */
    bool broken;  /* not an addr-spec */
    bool doubted; /* one, but written so that not everybody reads it alike */
};

struct list {
    struct bytes all;
    size_t at;
    struct arena *arena;
    struct bytes domain; /* for a bare local part; may be empty */
    struct bytes *out;
    size_t max, count;
    bool in_group;
};

struct item {
    struct spec spec;
    size_t start, angle, angle_end; /* offsets in the list; angle: of '<', SIZE_MAX if none */
    bool any;                       /* there is something beside blanks and comments */
    bool group;                     /* it was the name of a group */
    bool odd;                       /* can be read in another way */
};

/* --- the spec ------------------------------------------------------------------------------- */

static void spec_clear(struct spec *s) {
    s->text = buf_fixed(s->memory, sizeof s->memory);
    s->last = NOTHING;
    s->gap = s->has_at = s->broken = s->doubted = false;
}

/* Blanks and comments inside an addr-spec are obsolete (RFC 5322 section 4.4), and programs that do
 * not know that stop at them. */
static void spec_begin_part(struct spec *s) {
    if (s->gap && s->last != NOTHING)
        s->doubted = true;
    s->gap = false;
}

static void spec_word(struct spec *s, struct bytes word) {
    s->broken = s->broken || s->last == WORD;
    spec_begin_part(s);
    buf_add(&s->text, word);
    s->last = WORD;
}

static void spec_dot(struct spec *s) {
    s->broken = s->broken || s->last != WORD;
    spec_begin_part(s);
    buf_char(&s->text, '.');
    s->last = DOT;
}

static void spec_at(struct spec *s) {
    s->broken = s->broken || s->last != WORD || s->has_at;
    spec_begin_part(s);
    buf_char(&s->text, '@');
    s->last = AT;
    s->has_at = true;
}

/* The mailbox it stands for, or empty. */
static struct bytes spec_mailbox(const struct spec *s, const struct list *l) {
    struct bytes text = buf_bytes(&s->text);
    struct address address;
    if (s->broken || s->last != WORD || s->text.full)
        return BYTES_NONE;
    if (!s->has_at && l->domain.len)
        text = arena_printf(l->arena, "%.*s@%.*s", BYTES_FMT(text), BYTES_FMT(l->domain));
    else if (!s->has_at)
        return BYTES_NONE;
    return address_parse(text, l->arena, &address) ? BYTES_NONE : address.mailbox;
}

/* --- output --------------------------------------------------------------------------------- */

static void put(struct list *l, struct bytes mailbox) {
    if (l->count < l->max)
        l->out[l->count] = mailbox;
    l->count++;
}

static bool in_address(char c) {
    return (unsigned char)c > ' ' && c != 127 && !strchr("<>(),;:\"\\[]", c);
}

/* Does `shown` hold an address other than `mailbox`? */
static bool shows_another(struct bytes shown, struct bytes mailbox, struct arena *a) {
    for (size_t i = 0; i < shown.len;) {
        size_t start = i;
        while (i < shown.len && in_address(shown.at[i]))
            i++;
        struct bytes word = bytes_slice(shown, start, i);
        ptrdiff_t at = bytes_find(word, '@');
        if (at > 0 && (size_t)at + 1 < word.len) {
            struct address address;
            if (address_parse(word, a, &address) || !bytes_equal_nocase(address.mailbox, mailbox))
                return true;
        }
        i += i == start;
    }
    return false;
}

/* Is there something like <user@host> in it that is not `mailbox`? */
static bool angles_show_another(struct bytes shown, struct bytes mailbox, struct arena *a) {
    struct bytes rest = shown, inside;
    for (;;) {
        ptrdiff_t open = bytes_find(rest, '<');
        if (open < 0)
            return false;
        rest = bytes_skip(rest, (size_t)open + 1);
        struct bytes behind = rest;
        bytes_split(&behind, '>', &inside);
        if (shows_another(inside, mailbox, a))
            return true;
        rest = behind;
    }
}

static bool misleads(struct bytes shown, struct bytes mailbox, struct arena *a) {
    if (bytes_search(shown, B("=?")) >= 0)
        return shows_another(header_decode(shown, a), mailbox, a);
    return angles_show_another(shown, mailbox, a);
}

/* Also for parts of an item that are the real thing: an encoded word is one nowhere in an address,
 * so it is looked for in all of the item. */
static bool item_misleads(const struct list *l, const struct item *it, struct bytes mailbox) {
    struct bytes whole = bytes_slice(l->all, it->start, l->at);
    if (it->angle == SIZE_MAX || bytes_search(whole, B("=?")) >= 0)
        return misleads(whole, mailbox, l->arena);
    return misleads(bytes_slice(l->all, it->start, it->angle), mailbox, l->arena) ||
           misleads(bytes_slice(l->all, it->angle_end, l->at), mailbox, l->arena);
}

/* l->at is at the item's end. */
static void finish_item(struct list *l, struct item *it) {
    bool unclosed = it->angle != SIZE_MAX && it->angle_end == SIZE_MAX;
    bool odd = it->odd || unclosed;
    if (unclosed)
        it->angle_end = l->at;
    if (!it->any && !odd) {
        if (misleads(bytes_slice(l->all, it->start, l->at), BYTES_NONE, l->arena))
            put(l, BYTES_NONE);
        return;
    }
    if (it->group) {
        if (odd || misleads(bytes_slice(l->all, it->start, l->at), BYTES_NONE, l->arena))
            put(l, BYTES_NONE);
        return;
    }
    struct bytes mailbox = spec_mailbox(&it->spec, l);
    put(l, mailbox);
    if (mailbox.len && (odd || it->spec.doubted || item_misleads(l, it, mailbox)))
        put(l, BYTES_NONE);
}

/* --- the lexer ------------------------------------------------------------------------------ */

static bool is_atom(char c) {
    unsigned char u = (unsigned char)c;
    return u >= 128 || (u > ' ' && u != 127 && !strchr("()<>[]:;@\\,.\"", c));
}

static bool is_line_end(char c) {
    return c == '\r' || c == '\n';
}

/* Does a line end here that folds? Any other is the end of the field to some readers. */
static bool folds(const struct list *l, size_t at) {
    size_t end = l->all.at[at] == '\r' ? at + 1 : at;
    return end + 1 < l->all.len && l->all.at[end] == '\n' &&
           (l->all.at[end + 1] == ' ' || l->all.at[end + 1] == '\t');
}

/* Takes what begins with an opening octet up to its closing one: quoted strings, comments (which
 * nest), domain literals. False when it does not end, or holds what no two readers agree on. */
static bool take_enclosed(struct list *l, char open, char close) {
    size_t depth = 1;
    bool clean = true;
    for (l->at++; l->at < l->all.len && depth > 0; l->at++) {
        char c = l->all.at[l->at];
        if (c == '\0' || (is_line_end(c) && !folds(l, l->at)))
            clean = false;
        else if (c == '\r')
            l->at++;
        else if (c == '\\' && l->at + 1 < l->all.len)
            l->at++;
        else if (c == close)
            depth--;
        else if (c == open)
            depth++;
    }
    return clean && depth == 0;
}

/* A quoted local part with a special in it is what a careless reader takes apart. */
static bool quote_is_tame(struct bytes quoted) {
    for (size_t i = 1; i + 1 < quoted.len; i++)
        if (strchr("@<>,;:()\\\r\n", quoted.at[i]))
            return false;
    return true;
}

static void take_quoted(struct list *l, struct item *it) {
    size_t start = l->at;
    it->any = true;
    if (!take_enclosed(l, '"', '"'))
        it->odd = it->spec.broken = true;
    struct bytes quoted = bytes_slice(l->all, start, l->at);
    bool alone = it->spec.last == NOTHING;
    spec_word(&it->spec, header_unfold(quoted, l->arena));
    if (!alone || !quote_is_tame(quoted))
        it->spec.doubted = true;
}

static void take_literal(struct list *l, struct item *it) {
    size_t start = l->at;
    it->any = true;
    if (!take_enclosed(l, '[', ']') || it->spec.last != AT)
        it->spec.broken = true;
    spec_word(&it->spec, bytes_slice(l->all, start, l->at));
}

static void take_comment(struct list *l, struct item *it) {
    if (!take_enclosed(l, '(', ')'))
        it->odd = true;
    it->spec.gap = true;
    /* Inside the angles a comment is legal, and many readers do not look for one. */
    if (it->angle != SIZE_MAX && it->angle_end == SIZE_MAX)
        it->odd = true;
}

static void take_atom(struct list *l, struct item *it) {
    size_t start = l->at;
    while (l->at < l->all.len && is_atom(l->all.at[l->at]))
        l->at++;
    it->any = true;
    /* Behind the angles nothing may stand but a comment. */
    if (it->angle_end != SIZE_MAX)
        it->odd = true;
    else
        spec_word(&it->spec, bytes_slice(l->all, start, l->at));
}

static void take_blank(struct list *l, struct item *it) {
    if (is_line_end(l->all.at[l->at])) {
        if (folds(l, l->at))
            l->at += l->all.at[l->at] == '\r';
        else
            it->odd = true;
    }
    l->at++;
    it->spec.gap = true;
}

static void take_open_angle(struct list *l, struct item *it) {
    it->any = true;
    if (it->angle != SIZE_MAX) {
        it->odd = true;
    } else {
        /* "a@b <a@b>" is common and harmless, "a@b <c@d>" is not. */
        struct bytes before = it->spec.has_at ? spec_mailbox(&it->spec, l) : BYTES_NONE;
        size_t end = l->at + 1;
        while (end < l->all.len && l->all.at[end] != '>')
            end++;
        if (it->spec.has_at && !bytes_equal_nocase(bytes_slice(l->all, l->at + 1, end), before))
            it->odd = true;
        it->angle = l->at;
        spec_clear(&it->spec);
    }
    l->at++;
}

static void take_close_angle(struct list *l, struct item *it) {
    l->at++;
    if (it->angle == SIZE_MAX || it->angle_end != SIZE_MAX)
        it->odd = it->any = true;
    else
        it->angle_end = l->at;
}

static bool inside_angles(const struct item *it) {
    return it->angle != SIZE_MAX && it->angle_end == SIZE_MAX;
}

/* A route (RFC 5322 section 4.4) is dropped, as the standard says; older programs follow it. */
static void take_colon(struct list *l, struct item *it) {
    l->at++;
    if (inside_angles(it)) {
        bool route = it->spec.text.len && it->spec.text.at[0] == '@';
        it->odd = true;
        if (route)
            spec_clear(&it->spec);
        else
            it->spec.broken = true;
    } else if (!l->in_group && it->any && it->angle == SIZE_MAX && !it->spec.has_at) {
        it->group = l->in_group = true;
    } else {
        it->odd = it->any = it->spec.broken = true;
    }
}

static void take_dot_or_at(struct list *l, struct item *it) {
    bool at = l->all.at[l->at++] == '@';
    it->any = true;
    if (it->angle_end != SIZE_MAX)
        it->odd = true;
    else if (at)
        spec_at(&it->spec);
    else
        spec_dot(&it->spec);
}

static void take_stray(struct list *l, struct item *it) {
    l->at++;
    it->any = it->odd = it->spec.broken = true;
}

/* The end of an item: a comma, or the semicolon that ends a group. Some take every semicolon for a
 * comma, and some every comma inside angles. */
static bool ends_item(struct list *l, struct item *it, char c) {
    if (inside_angles(it)) {
        take_stray(l, it);
        return false;
    }
    if (c == ';' && !l->in_group)
        it->odd = true;
    return true;
}

/* Takes one part; false at the item's end. */
static bool take_part(struct list *l, struct item *it) {
    char c = l->all.at[l->at];
    switch (c) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
        take_blank(l, it);
        return true;
    case '(':
        take_comment(l, it);
        return true;
    case '"':
        take_quoted(l, it);
        return true;
    case '[':
        take_literal(l, it);
        return true;
    case '<':
        take_open_angle(l, it);
        return true;
    case '>':
        take_close_angle(l, it);
        return true;
    case ':':
        take_colon(l, it);
        return !it->group;
    case '.':
    case '@':
        take_dot_or_at(l, it);
        return true;
    case ',':
    case ';':
        return !ends_item(l, it, c);
    default:
        (is_atom(c) ? take_atom : take_stray)(l, it);
        return true;
    }
}

size_t header_mailboxes_at(struct bytes value, struct bytes domain, struct arena *a,
                           struct bytes *out, size_t max) {
    struct list l = {
        .all = bytes_trim(value), .arena = a, .domain = domain, .out = out, .max = max
    };
    while (l.at < l.all.len) {
        struct item it = { .start = l.at, .angle = SIZE_MAX, .angle_end = SIZE_MAX };
        spec_clear(&it.spec);
        while (l.at < l.all.len && take_part(&l, &it)) {
        }
        finish_item(&l, &it);
        if (l.at < l.all.len && !it.group) {
            if (l.all.at[l.at] == ';')
                l.in_group = false;
            l.at++;
        }
    }
    /* A group without its semicolon: "a:b@c" may be the mailbox c of a group a, or something else. */
    if (l.in_group)
        put(&l, BYTES_NONE);
    return l.count;
}

size_t header_mailboxes(struct bytes value, struct arena *a, struct bytes *out, size_t max) {
    return header_mailboxes_at(value, BYTES_NONE, a, out, max);
}
