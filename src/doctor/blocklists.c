/* blocklists: reading the text of data/blocklists.txt. This file knows its grammar; every keyword is a
 * row of one table. A mistake is told with its line, so that a person can mend it. */
#include "doctor/blocklists.h"

#include "base/embedded.h"
#include "base/must.h"
#include "base/scan.h"

#include <string.h>

enum { LINE_OCTETS = 4096, LISTS_MAX = 500, CODES_MAX = 64, ZONE_MAX = 180 };

struct reader {
    struct arena *arena;
    const char *file;
    int line;
    struct blocklist *lists;
    size_t count;
    struct blocklist *list;      /* being read, or NULL */
    struct blocklist_code *code; /* of it, or NULL */
    struct blocklist_code *codes;
    struct why *why;
};

static enum rc wrong(struct reader *r, const char *what, struct bytes value) {
    return why_set(r->why, PERM, 0, NULL, "doctor.blocklists", "%s:%d: %s: %.*s", r->file, r->line,
                   what, BYTES_FMT(bytes_first(value, 100)));
}

/* --- values --------------------------------------------------------------------------------------- */

/* A name as the DNS takes it; anything else would end up in questions. */
static bool is_zone(struct bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (!ascii_is_alnum(c) && c != '-' && c != '_' && c != '.')
            return false;
    }
    return text.len && text.len <= ZONE_MAX && text.at[0] != '.' && text.at[text.len - 1] != '.';
}

static bool is_octet(struct scan *s, uint8_t *first, uint8_t *last) {
    *first = 0;
    *last = 255;
    if (scan_accept(s, '*'))
        return true;
    *first = *last = (uint8_t)scan_number(s, 255);
    if (scan_accept(s, '-'))
        *last = (uint8_t)scan_number(s, 255);
    return !s->bad && *first <= *last;
}

static bool read_pattern(struct bytes text, struct blocklist_code *out) {
    struct scan s = scan_of(text);
    for (int i = 0; i < 4; i++) {
        if (i)
            scan_expect(&s, '.');
        if (!is_octet(&s, &out->first[i], &out->last[i]))
            return false;
    }
    return !s.bad && scan_done(&s) && out->first[0] == 127 && out->last[0] == 127;
}

static struct blocklist_code *add_code(struct reader *r, struct bytes *value) {
    if (r->list->code_count == CODES_MAX)
        return NULL;
    struct blocklist_code *c = &r->codes[r->list->code_count++];
    memset(c, 0, sizeof *c);
    c->line = r->line;
    c->severity = r->list->severity;
    c->who = r->list->who;
    bytes_split(value, ' ', &c->text);
    c->text = arena_copy(r->arena, c->text);
    c->means = arena_str(r->arena, bytes_trim(*value));
    return c;
}

static enum rc read_code(struct reader *r, struct bytes value) {
    struct blocklist_code *c = add_code(r, &value);
    if (!c || !*c->means || !read_pattern(c->text, c))
        return wrong(r, "code takes an answer within 127/8 and what it says, 64 times at most",
                     value);
    r->code = c;
    return OK;
}

static enum rc read_refuses(struct reader *r, struct bytes value) {
    struct blocklist_code *c = add_code(r, &value);
    if (!c || !*c->means || !read_pattern(c->text, c))
        return wrong(r, "refuses takes an answer within 127/8 and what it says", value);
    c->refuses = true;
    return OK;
}

static enum rc read_bit(struct reader *r, struct bytes value) {
    uint64_t bit;
    struct blocklist_code *c = add_code(r, &value);
    if (!c || !*c->means || !bytes_to_u64(c->text, 128, &bit) || !bit || bit & (bit - 1))
        return wrong(r, "bit takes 1, 2, 4 ... 128 and what it says", value);
    c->bit = (unsigned)bit;
    r->code = c;
    return OK;
}

static enum rc read_of(struct reader *r, struct bytes value) {
    static const struct {
        const char *name;
        unsigned bit;
    } kinds[] = { { "ipv4", BLOCKLIST_IPV4 },
                  { "ipv6", BLOCKLIST_IPV6 },
                  { "domain", BLOCKLIST_DOMAIN } };
    struct bytes word;
    while (bytes_split(&value, ' ', &word)) {
        unsigned bit = 0;
        for (size_t i = 0; i < COUNT_OF(kinds); i++)
            if (bytes_equal(word, bytes_str(kinds[i].name)))
                bit = kinds[i].bit;
        if (!bit)
            return wrong(r, "of takes ipv4, ipv6 and domain; not", word);
        r->list->of |= bit;
    }
    return OK;
}

static enum rc read_kind(struct reader *r, struct bytes value) {
    r->list->allow = bytes_equal(value, B("allow"));
    return r->list->allow || bytes_equal(value, B("block"))
               ? OK
               : wrong(r, "kind is block or allow; not", value);
}

static enum rc read_weight(struct reader *r, struct bytes value) {
    uint64_t n;
    if (!bytes_to_u64(value, 5, &n) || !n)
        return wrong(r, "weight is 1 to 5; not", value);
    r->list->weight = (unsigned)n;
    return OK;
}

static enum rc read_severity(struct reader *r, struct bytes value) {
    for (enum severity s = SEVERITY_INFO; s <= SEVERITY_ERROR; s++)
        if (bytes_equal(value, bytes_str(severity_name(s)))) {
            *(r->code ? &r->code->severity : &r->list->severity) = s;
            return OK;
        }
    return wrong(r, "severity is error, warning or info; not", value);
}

static enum rc read_who(struct reader *r, struct bytes value) {
    static const char *const names[] = { "sender",          "sender-admin",  "recipient",
                                         "recipient-admin", "network-owner", "server-admin",
                                         "nobody" };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (bytes_equal(value, bytes_str(names[i]))) {
            *(r->code ? &r->code->who : &r->list->who) = names[i];
            return OK;
        }
    return wrong(r, "who must be one of sender, sender-admin, ...; not", value);
}

static enum rc read_fix(struct reader *r, struct bytes value) {
    const char **fix = r->code ? r->code->fix : r->list->fix;
    size_t *fixes = r->code ? &r->code->fixes : &r->list->fixes;
    if (*fixes == FINDING_FIXES)
        return wrong(r, "too many a fix", value);
    fix[(*fixes)++] = arena_str(r->arena, value);
    return OK;
}

static enum rc read_allow(struct reader *r, struct bytes value) {
    if (!r->code || value.len)
        return wrong(r, "allow stands alone, behind a code", value);
    r->code->allow = true;
    return OK;
}

/* An address, or a name; "-" for none. */
static bool read_entry(struct bytes text, bool none, struct bytes *out) {
    struct addr a;
    *out = text;
    if (none)
        *out = BYTES_NONE;
    return none || addr_parse(text, &a) || is_zone(text);
}

static enum rc read_test(struct reader *r, struct bytes value) {
    struct bytes first;
    bytes_split(&value, ' ', &first);
    struct bytes second = bytes_trim(value);
    if (!read_entry(first, bytes_equal(first, B("-")), &r->list->listed) ||
        !read_entry(second, bytes_equal(second, B("-")), &r->list->clean))
        return wrong(r, "test takes two addresses or names, or - for none", second);
    r->list->listed = arena_copy(r->arena, r->list->listed);
    r->list->clean = arena_copy(r->arena, r->list->clean);
    return OK;
}

static enum rc read_key(struct reader *r, struct bytes value) {
    if (!bytes_starts(value, B("KEY.")) || !is_zone(value))
        return wrong(r, "key is a zone that begins with KEY.; not", value);
    r->list->key = arena_copy(r->arena, value);
    return OK;
}

/* --- keywords ----------------------------------------------------------------------------------- */

static enum rc begin_list(struct reader *r, struct bytes value) {
    struct blocklist_table so_far = { r->lists, r->count };
    if (!is_zone(value) || blocklists_find(&so_far, value))
        return wrong(r, "list takes a zone, once", value);
    if (r->count == LISTS_MAX)
        return wrong(r, "too many lists", value);
    r->list = &r->lists[r->count++];
    r->code = NULL;
    r->codes = ARENA_ARRAY(r->arena, CODES_MAX, struct blocklist_code);
    *r->list = (struct blocklist){ .zone = arena_lower(r->arena, value),
                                   .weight = 1,
                                   .who = "sender-admin",
                                   .severity = SEVERITY_WARNING,
                                   .listed = B("?"),
                                   .clean = B("?"),
                                   .codes = r->codes,
                                   .line = r->line };
    return OK;
}

#define TEXT(field) offsetof(struct blocklist, field) + 1
static const struct {
    const char *name;
    enum rc (*read)(struct reader *r, struct bytes value);
    size_t text; /* of a plain text: where it goes in struct blocklist, and one */
    bool bare;   /* takes no value */
} keywords[] = {
    { "list", begin_list, 0, false },
    { "of", read_of, 0, false },
    { "kind", read_kind, 0, false },
    { "weight", read_weight, 0, false },
    { "severity", read_severity, 0, false },
    { "who", read_who, 0, false },
    { "fix", read_fix, 0, false },
    { "test", read_test, 0, false },
    { "key", read_key, 0, false },
    { "code", read_code, 0, false },
    { "refuses", read_refuses, 0, false },
    { "bit", read_bit, 0, false },
    { "allow", read_allow, 0, true },
    { "name", NULL, TEXT(name), false },
    { "means", NULL, TEXT(means), false },
    { "delist", NULL, TEXT(delist), false },
    { "register", NULL, TEXT(registration), false },
    { "keyed", NULL, TEXT(keyed), false },
    { "ended", NULL, TEXT(ended), false },
    { "note", NULL, TEXT(note), false },
};

static enum rc read_line(struct reader *r, struct bytes text) {
    struct bytes word, value = text;
    bytes_split(&value, ' ', &word);
    value = bytes_trim(value);
    for (size_t i = 0; i < COUNT_OF(keywords); i++) {
        if (!bytes_equal(word, bytes_str(keywords[i].name)))
            continue;
        if (!r->list && keywords[i].read != begin_list)
            return wrong(r, "this belongs to no list", word);
        if (!value.len && !keywords[i].bare)
            return wrong(r, "a value is missing", word);
        if (keywords[i].read)
            return keywords[i].read(r, value);
        const char **to = (const char **)(void *)((char *)r->list + keywords[i].text - 1);
        *to = arena_str(r->arena, value);
        return OK;
    }
    return wrong(r, "there is no such keyword", word);
}

/* --- the whole ---------------------------------------------------------------------------------- */

/* RFC 5782 sections 2.1, 2.4 and 3. Those of IPv6 are mapped addresses, which a struct addr would fold. */
#define SIX ".0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"

static void set_tests(struct blocklist *l) {
    if (!bytes_equal(l->listed, B("?")))
        return;
    if (l->of & BLOCKLIST_IPV4) {
        l->listed = B("127.0.0.2");
        l->clean = B("127.0.0.1");
    } else if (l->of & BLOCKLIST_IPV6) {
        l->listed = B("2" SIX);
        l->clean = B("1" SIX);
    } else {
        l->listed = B("test");
        l->clean = B("invalid");
    }
}

static enum rc check_list(struct reader *r, struct blocklist *l) {
    r->line = l->line;
    if (!l->name || !l->of || !l->means || !l->delist)
        return wrong(r, "a list needs name, of, means and delist", l->zone);
    if (!l->code_count && !l->ended)
        return wrong(r, "a list needs codes, or an end", l->zone);
    if (l->keyed && !l->key.len)
        return wrong(r, "what is keyed needs the form of its key", l->zone);
    set_tests(l);
    return OK;
}

/* What stands in the file is shown as it is. */
static bool is_printable(struct bytes line) {
    char memory[LINE_OCTETS];
    struct buf clean = buf_fixed(memory, sizeof memory);
    buf_printable(&clean, line);
    return clean.full || bytes_equal(buf_bytes(&clean), line);
}

static enum rc read_text(struct reader *r, struct bytes text) {
    char memory[LINE_OCTETS];
    struct buf whole = buf_fixed(memory, sizeof memory);
    struct bytes raw;
    int number = 0;
    while (bytes_split(&text, '\n', &raw)) {
        struct bytes line = bytes_trim(raw);
        number++;
        bool more = bytes_starts(line, B("+"));
        if (!more && whole.len) {
            if (read_line(r, buf_bytes(&whole)) != OK)
                return PERM;
            buf_clear(&whole);
        }
        if (!line.len || bytes_starts(line, B("#")))
            continue;
        if (!is_printable(line)) {
            r->line = number;
            return wrong(r, "a control character, or no UTF-8", BYTES_NONE);
        }
        if (!more || !whole.len)
            r->line = number;
        if (more && !whole.len)
            return wrong(r, "there is nothing to go on with", line);
        if (more)
            buf_char(&whole, ' ');
        buf_add(&whole, more ? bytes_trim(bytes_skip(line, 1)) : line);
        if (whole.full)
            return wrong(r, "the line is too long", line);
    }
    return whole.len ? read_line(r, buf_bytes(&whole)) : OK;
}

enum rc blocklists_read(const char *file, struct bytes text, struct arena *a,
                        struct blocklist_table *out, struct why *why) {
    struct reader r = { .arena = a, .file = file, .why = why };
    r.lists = ARENA_ARRAY(a, LISTS_MAX, struct blocklist);
    if (read_text(&r, text) != OK)
        return PERM;
    for (size_t i = 0; i < r.count; i++)
        if (check_list(&r, &r.lists[i]) != OK)
            return PERM;
    if (!r.count)
        return wrong(&r, "there is no list in it", BYTES_NONE);
    *out = (struct blocklist_table){ r.lists, r.count };
    return OK;
}

extern const struct embedded blocklists_files[];

void blocklists_builtin(struct arena *a, struct blocklist_table *out) {
    const struct embedded *file = &blocklists_files[0];
    struct why why;
    MUST(blocklists_read(file->name, bytes_of(file->octets, file->size), a, out, &why) == OK);
}

/* --- finding in it ------------------------------------------------------------------------------- */

/* "abcdef.zen.dq.example" is "KEY.zen.dq.example" with one label for KEY. */
static bool is_keyed(const struct blocklist *l, struct bytes zone) {
    ptrdiff_t dot = bytes_find(zone, '.');
    return l->key.len && dot > 0 &&
           bytes_equal_nocase(bytes_skip(zone, (size_t)dot), bytes_skip(l->key, 3));
}

const struct blocklist *blocklists_find(const struct blocklist_table *t, struct bytes zone) {
    for (size_t i = 0; i < t->count; i++)
        if (bytes_equal_nocase(t->lists[i].zone, zone) || is_keyed(&t->lists[i], zone))
            return &t->lists[i];
    return NULL;
}

bool blocklist_is_asked(const struct blocklist *l) {
    return !l->ended && !l->keyed;
}

static bool fits(const struct blocklist_code *c, struct addr answer) {
    if (c->bit)
        return answer.ip[1] == 0 && answer.ip[2] == 0 && answer.ip[3] & c->bit;
    for (int i = 0; i < 4; i++)
        if (answer.ip[i] < c->first[i] || answer.ip[i] > c->last[i])
            return false;
    return true;
}

const struct blocklist_code *blocklist_code(const struct blocklist *l, struct addr answer) {
    const struct blocklist_code *best = NULL;
    answer = addr_fold(answer);
    if (answer.family != 4 || answer.ip[0] != 127)
        return NULL;
    for (size_t i = 0; i < l->code_count; i++) {
        const struct blocklist_code *c = &l->codes[i];
        if (!fits(c, answer))
            continue;
        if (c->refuses)
            return c;
        if (!best || c->severity > best->severity)
            best = c;
    }
    return best;
}
