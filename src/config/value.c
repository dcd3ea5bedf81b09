/* value: the types of settings, each a reader, a writer and the words for what it expects. Ranges
 * and choices come from the schema row; nothing here knows a setting by name, but for the three
 * lists a word may stand for. */
#include "config/value.h"

#include "base/must.h"
#include "base/num.h"
#include "config/config.h"
#include "message/address.h"
#include "oauth/oauth.h"

#include <string.h>

enum { LIST_MAX = 10000, SHOWN_MAX = 80, RATE_WINDOW_MIN = 1000 };
#define DAY_MS          INT64_C(86400000)

#define FIELD(in, type) ((type *)field_of((in)->base, (in)->setting))
#define CONST_FIELD(base, setting, type)                                                           \
    ((const type *)(const void *)((const char *)(base) + (setting)->offset))

static void *field_of(void *base, const struct setting *s) {
    return (char *)base + s->offset;
}

/* --- complaints -------------------------------------------------------------------------- */

static struct bytes expected(const struct input *in) {
    struct buf b = buf_grow(2000);
    schema_expected(&b, in->setting);
    struct bytes text = arena_copy(in->r->arena, buf_bytes(&b));
    buf_free(&b);
    return text;
}

static bool complain(const struct input *in, const struct syntax_item *item, const char *id,
                     const char *what) {
    struct bytes text = bytes_first(item->text, SHOWN_MAX);
    if (in->setting->secret)
        reading_error(in->r, item->line, in->label, id, "the value %s; expected %.*s", what,
                      BYTES_FMT(expected(in)));
    else
        reading_error(in->r, item->line, in->label, id, "\"%.*s\" %s; expected %.*s",
                      BYTES_FMT(text), what, BYTES_FMT(expected(in)));
    return false;
}

static bool invalid(const struct input *in, const struct syntax_item *item) {
    return complain(in, item, "config.value", "is not valid");
}

static bool in_range(const struct input *in, const struct syntax_item *item, uint64_t n) {
    if (n >= in->setting->min && n <= in->setting->max)
        return true;
    return complain(in, item, "config.range", "is out of range");
}

/* --- showing ----------------------------------------------------------------------------- */

static void show_text(struct buf *b, struct bytes text) {
    buf_char(b, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c < ' ' || c == 0x7f) {
            buf_printf(b, "\\x%02x", c);
            continue;
        }
        if (c == '"' || c == '\\')
            buf_char(b, '\\');
        buf_char(b, text.at[i]);
    }
    buf_char(b, '"');
}

static void show_comma(struct buf *b, size_t i) {
    if (i)
        buf_str(b, ", ");
}

/* An empty list is shown only where it says something: where the schema has a default. */
static bool shows_list(size_t count, const struct setting *s) {
    return count || s->fallback;
}

/* --- text -------------------------------------------------------------------------------- */

/* The check of one text; what it returns is kept, empty: not valid. */
typedef struct bytes check_text(const struct input *in, struct bytes text);

static bool read_one(const struct input *in, check_text *check) {
    struct bytes text = check(in, in->from->items[0].text);
    if (text.len == 0)
        return invalid(in, &in->from->items[0]);
    *FIELD(in, struct bytes) = text;
    return true;
}

/* Complains about every item that is wrong, not only the first. */
static bool read_each(const struct input *in, check_text *check) {
    struct bytes *list = ARENA_ARRAY(in->r->arena, in->from->count, struct bytes);
    bool good = true;
    for (size_t i = 0; i < in->from->count; i++) {
        list[i] = check(in, in->from->items[i].text);
        if (list[i].len == 0)
            good = invalid(in, &in->from->items[i]);
    }
    if (good)
        *FIELD(in, struct strings) = (struct strings){ in->from->count, list };
    return good;
}

static bool show_one(struct buf *b, const struct setting *s, const void *base) {
    const struct bytes *text = CONST_FIELD(base, s, struct bytes);
    if (text->len)
        show_text(b, *text);
    return text->len > 0;
}

static void show_strings(struct buf *b, struct strings list) {
    buf_char(b, '{');
    for (size_t i = 0; i < list.count; i++) {
        show_comma(b, i);
        show_text(b, list.list[i]);
    }
    buf_char(b, '}');
}

static bool show_each(struct buf *b, const struct setting *s, const void *base) {
    const struct strings *list = CONST_FIELD(base, s, struct strings);
    if (shows_list(list->count, s))
        show_strings(b, *list);
    return shows_list(list->count, s);
}

/* {} says something else than nothing does. */
static bool show_even_none(struct buf *b, const struct setting *s, const void *base) {
    show_strings(b, *CONST_FIELD(base, s, struct strings));
    return true;
}

static bool has_control(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7f)
            return true;
    return false;
}

static bool has_blank(struct bytes text) {
    return has_control(text) || bytes_find(text, ' ') >= 0;
}

static struct bytes check_any(const struct input *in, struct bytes text) {
    text = bytes_trim(text);
    return text.len > in->setting->max || has_control(text) ? BYTES_NONE : text;
}

/* Accounts, listeners, tenants. */
struct bytes value_name(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_alnum(text.at[i]) && bytes_find(B("._-"), text.at[i]) < 0)
            return BYTES_NONE;
    return text.len == 0 || text.len > 64 || text.at[0] == '-' ? BYTES_NONE : text;
}

static struct bytes check_name(const struct input *in, struct bytes text) {
    (void)in;
    return value_name(text);
}

static struct bytes check_path(const struct input *in, struct bytes text) {
    (void)in;
    bool good = bytes_starts(text, B("/")) && text.len <= 4000 && !has_control(text);
    return good ? text : BYTES_NONE;
}

static bool is_numeric_label(struct bytes domain) {
    struct bytes last = bytes_skip(domain, (size_t)(bytes_find_last(domain, '.') + 1));
    uint64_t n;
    return bytes_to_u64(last, UINT64_MAX, &n);
}

/* A name that ends in digits is a mistyped address (RFC 1123 section 2.1). */
struct bytes value_host(struct arena *a, struct bytes text) {
    struct bytes domain;
    if (has_blank(text) || is_numeric_label(text) || address_parse_domain(text, a, &domain))
        return BYTES_NONE;
    return arena_lower(a, domain);
}

static struct bytes check_host(const struct input *in, struct bytes text) {
    return value_host(in->r->arena, text);
}

static struct bytes check_mailbox(const struct input *in, struct bytes text) {
    struct address address;
    if (address_parse(text, in->r->arena, &address) || address.domain.len == 0)
        return BYTES_NONE;
    return address.mailbox;
}

/* Logins need not be addresses. */
static struct bytes check_login(const struct input *in, struct bytes text) {
    (void)in;
    return text.len > 254 || has_blank(text) ? BYTES_NONE : text;
}

/* A whole word, or one that ends in : or / and begins a longer value. The word is kept as the
 * schema writes it. */
static struct bytes check_choice(const struct input *in, struct bytes text) {
    struct bytes rest = bytes_str(in->setting->choices), word;
    while (bytes_split(&rest, ' ', &word)) {
        if (bytes_equal_nocase(word, text))
            return word.at[word.len - 1] == ':' || word.at[word.len - 1] == '/' ? BYTES_NONE : word;
        bool open = word.at[word.len - 1] == ':' || word.at[word.len - 1] == '/';
        if (!open || !bytes_starts(text, word) || has_blank(text))
            continue;
        bool path = bytes_equal(word, B("file:")) || bytes_equal(word, B("dovecot:"));
        return path && check_path(in, bytes_skip(text, word.len)).len == 0 ? BYTES_NONE : text;
    }
    return BYTES_NONE;
}

static struct bytes check_server(const struct input *in, struct bytes text) {
    struct addr a;
    if (bytes_equal(text, B("system")))
        return text;
    if (!addr_parse_port(text, &a) || a.family == 0 || a.port == 0)
        return BYTES_NONE;
    struct buf b = buf_grow(100);
    addr_format_port(&b, a);
    text = arena_copy(in->r->arena, buf_bytes(&b));
    buf_free(&b);
    return text;
}

/* An authority alone would let in whomever it certifies: a name belongs to it. */
static struct bytes check_authority(const struct input *in, struct bytes text) {
    struct bytes path, name;
    if (!config_certificate_split(text, &path, &name) || check_path(in, path).len == 0)
        return BYTES_NONE;
    name = bytes_find(name, '@') >= 0 ? check_mailbox(in, name) : check_host(in, name);
    name = arena_lower(in->r->arena, name);
    return name.len
               ? arena_printf(in->r->arena, "ca:%.*s name:%.*s", BYTES_FMT(path), BYTES_FMT(name))
               : BYTES_NONE;
}

static struct bytes check_spki(const struct input *in, struct bytes text) {
    static const struct bytes prefix = { "spki-sha256:", 12 };
    struct bytes hex = bytes_skip(text, prefix.len);
    if (bytes_starts_nocase(text, B("ca:")))
        return check_authority(in, text);
    if (!bytes_starts_nocase(text, prefix) || hex.len != 64)
        return BYTES_NONE;
    for (size_t i = 0; i < hex.len; i++)
        if (bytes_find(B("0123456789abcdef"), ascii_lower(hex.at[i])) < 0)
            return BYTES_NONE;
    return arena_lower(in->r->arena, text);
}

static struct bytes check_dnslist(const struct input *in, struct bytes text) {
    struct dnslist list;
    text = arena_lower(in->r->arena, text);
    if (!dnslist_parse(text, &list) || !check_host(in, list.zone).len)
        return BYTES_NONE;
    return text;
}

static bool read_text(const struct input *in) {
    return read_one(in, check_any);
}
static bool read_name(const struct input *in) {
    return read_one(in, check_name);
}
static bool read_path(const struct input *in) {
    return read_one(in, check_path);
}
static bool read_host(const struct input *in) {
    return read_one(in, check_host);
}
static bool read_mailbox(const struct input *in) {
    return read_one(in, check_mailbox);
}
static bool read_one_of(const struct input *in) {
    return read_one(in, check_choice);
}
static bool read_names(const struct input *in) {
    return read_each(in, check_name);
}
static bool read_domains(const struct input *in) {
    return read_each(in, check_host);
}
static bool read_mailboxes(const struct input *in) {
    return read_each(in, check_mailbox);
}
static bool read_servers(const struct input *in) {
    return read_each(in, check_server);
}
static bool read_dnslists(const struct input *in) {
    return read_each(in, check_dnslist);
}
static bool read_spki(const struct input *in) {
    return read_each(in, check_spki);
}

/* Of a default, what is not built yet is left out: nobody asked for it. */
static bool read_words(const struct input *in) {
    const struct not_built *row = schema_not_built(in->setting->section, in->setting->name);
    if (!read_each(in, check_choice))
        return false;
    struct strings *list = FIELD(in, struct strings);
    if (!in->r->silent || !row || in->r->host->lift_not_built)
        return true;
    struct bytes *kept = ARENA_ARRAY(in->r->arena, list->count, struct bytes);
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        if (schema_word(row->built, list->list[i]))
            kept[count++] = list->list[i];
    *list = (struct strings){ count, kept };
    return true;
}

/* A URL may hold a password: everything between the scheme and the last @ of the authority. */
static bool show_one_of(struct buf *b, const struct setting *s, const void *base) {
    struct bytes text = *CONST_FIELD(base, s, struct bytes);
    ptrdiff_t scheme = bytes_search(text, B("://"));
    if (text.len == 0 || scheme < 0)
        return show_one(b, s, base);
    struct bytes authority = bytes_skip(text, (size_t)scheme + 3);
    ptrdiff_t slash = bytes_find(authority, '/');
    ptrdiff_t at =
        bytes_find_last(slash < 0 ? authority : bytes_first(authority, (size_t)slash), '@');
    if (at < 0)
        return show_one(b, s, base);
    struct buf masked = buf_grow(text.len + 10);
    buf_add(&masked, bytes_first(text, (size_t)scheme + 3));
    buf_str(&masked, "***");
    buf_add(&masked, bytes_skip(authority, (size_t)at));
    show_text(b, buf_bytes(&masked));
    buf_free(&masked);
    return true;
}

/* --- words and numbers ------------------------------------------------------------------- */

static int choice_index(const char *choices, struct bytes text) {
    struct bytes rest = bytes_str(choices), word;
    for (int i = 0; bytes_split(&rest, ' ', &word); i++)
        if (bytes_equal_nocase(word, text))
            return i;
    return -1;
}

static struct bytes choice_word(const char *choices, int index) {
    struct bytes rest = bytes_str(choices), word = BYTES_NONE;
    while (index-- >= 0 && bytes_split(&rest, ' ', &word))
        ;
    return word;
}

/* Enums, in the order of the schema's choices, the first of which is `min`. */
static bool read_choice(const struct input *in) {
    int index = choice_index(in->setting->choices, in->from->items[0].text);
    if (index < 0)
        return invalid(in, &in->from->items[0]);
    *FIELD(in, int) = (int)in->setting->min + index;
    return true;
}

static bool show_choice(struct buf *b, const struct setting *s, const void *base) {
    int n = *CONST_FIELD(base, s, int) - (int)s->min;
    if (n < 0)
        return false;
    buf_add(b, choice_word(s->choices, n));
    return true;
}

static bool read_switch(const struct input *in) {
    int index = choice_index(in->setting->choices, in->from->items[0].text);
    if (index < 0)
        return invalid(in, &in->from->items[0]);
    *FIELD(in, bool) = index == 1;
    return true;
}

static bool show_switch(struct buf *b, const struct setting *s, const void *base) {
    buf_add(b, choice_word(s->choices, *CONST_FIELD(base, s, bool)));
    return true;
}

static void set_number(const struct input *in, uint64_t n) {
    if (in->setting->size == sizeof(unsigned))
        *FIELD(in, unsigned) = (unsigned)n;
    else
        *FIELD(in, uint64_t) = n;
}

static uint64_t get_number(const struct setting *s, const void *base) {
    return s->size == sizeof(unsigned) ? *CONST_FIELD(base, s, unsigned)
                                       : *CONST_FIELD(base, s, uint64_t);
}

static bool read_count(const struct input *in) {
    uint64_t n;
    if (!bytes_to_u64(in->from->items[0].text, UINT64_MAX, &n))
        return invalid(in, &in->from->items[0]);
    if (!in_range(in, &in->from->items[0], n))
        return false;
    set_number(in, n);
    return true;
}

/* 0 below the smallest value is "none". */
static bool show_count(struct buf *b, const struct setting *s, const void *base) {
    uint64_t n = get_number(s, base);
    buf_u64(b, n);
    return n >= s->min;
}

static bool read_size(const struct input *in) {
    uint64_t n;
    if (!num_parse_size(in->from->items[0].text, &n))
        return invalid(in, &in->from->items[0]);
    if (!in_range(in, &in->from->items[0], n))
        return false;
    set_number(in, n);
    return true;
}

static bool show_size(struct buf *b, const struct setting *s, const void *base) {
    num_format_size(b, get_number(s, base));
    return true;
}

static bool read_percent(const struct input *in) {
    unsigned n;
    if (!num_parse_percent(in->from->items[0].text, &n))
        return invalid(in, &in->from->items[0]);
    if (!in_range(in, &in->from->items[0], n))
        return false;
    set_number(in, n);
    return true;
}

static bool show_percent(struct buf *b, const struct setting *s, const void *base) {
    buf_printf(b, "%u%%", *CONST_FIELD(base, s, unsigned));
    return true;
}

static bool parse_duration(const struct input *in, const struct syntax_item *item, int64_t *out) {
    if (!num_parse_duration(item->text, out))
        return invalid(in, item);
    return in_range(in, item, (uint64_t)*out);
}

static bool read_duration(const struct input *in) {
    int64_t ms;
    if (!parse_duration(in, &in->from->items[0], &ms))
        return false;
    *FIELD(in, int64_t) = ms;
    return true;
}

static bool show_duration(struct buf *b, const struct setting *s, const void *base) {
    int64_t ms = *CONST_FIELD(base, s, int64_t);
    num_format_duration(b, ms);
    return ms > 0;
}

struct durations { /* of config.queue.retry */
    size_t count;
    const int64_t *list;
};
_Static_assert(sizeof(struct durations) == sizeof(((struct config *)0)->queue.retry), "the same");

static bool read_durations(const struct input *in) {
    int64_t *list = ARENA_ARRAY(in->r->arena, in->from->count, int64_t);
    bool good = true;
    for (size_t i = 0; i < in->from->count; i++)
        good &= parse_duration(in, &in->from->items[i], &list[i]);
    if (good)
        *FIELD(in, struct durations) = (struct durations){ in->from->count, list };
    return good;
}

static bool show_durations(struct buf *b, const struct setting *s, const void *base) {
    const struct durations *list = CONST_FIELD(base, s, struct durations);
    buf_char(b, '{');
    for (size_t i = 0; i < list->count; i++) {
        show_comma(b, i);
        buf_char(b, '"');
        num_format_duration(b, list->list[i]);
        buf_char(b, '"');
    }
    buf_char(b, '}');
    return true;
}

static void range_number(struct buf *b, uint64_t n) {
    buf_u64(b, n);
}
static void range_percent(struct buf *b, uint64_t n) {
    buf_printf(b, "%u%%", (unsigned)n);
}
static void range_duration(struct buf *b, uint64_t n) {
    num_format_duration(b, (int64_t)n);
}

/* A day without a time: the grant holds until that day ends. */
static bool read_date(const struct input *in) {
    const struct syntax_item *item = &in->from->items[0];
    int64_t ms;
    /* Not before 1970 either: 0 would be "never". */
    if (item->text.len != 10 || !num_parse_rfc3339(item->text, &ms) || ms < 0)
        return invalid(in, item);
    *FIELD(in, int64_t) = ms + DAY_MS;
    return true;
}

static bool show_date(struct buf *b, const struct setting *s, const void *base) {
    int64_t ms = *CONST_FIELD(base, s, int64_t);
    char memory[64];
    struct buf day = buf_fixed(memory, sizeof memory);
    num_format_rfc3339(&day, ms - DAY_MS);
    show_text(b, bytes_first(buf_bytes(&day), 10));
    return ms != 0;
}

static bool read_rates(const struct input *in) {
    struct rate *list = ARENA_ARRAY(in->r->arena, in->from->count, struct rate);
    bool good = true;
    for (size_t i = 0; i < in->from->count; i++) {
        const struct syntax_item *item = &in->from->items[i];
        if (!num_parse_rate(item->text, &list[i].count, &list[i].window_ms) || !list[i].count ||
            list[i].window_ms < RATE_WINDOW_MIN)
            good = invalid(in, item);
    }
    if (good)
        *FIELD(in, struct rates) = (struct rates){ in->from->count, list };
    return good;
}

static bool show_rates(struct buf *b, const struct setting *s, const void *base) {
    const struct rates *list = CONST_FIELD(base, s, struct rates);
    buf_char(b, '{');
    for (size_t i = 0; i < list->count; i++) {
        show_comma(b, i);
        buf_printf(b, "\"%llu/", (unsigned long long)list->list[i].count);
        num_format_duration(b, list->list[i].window_ms);
        buf_char(b, '"');
    }
    buf_char(b, '}');
    return shows_list(list->count, s);
}

/* --- addresses and hosts ----------------------------------------------------------------- */

static bool read_address(const struct input *in) {
    struct addr a;
    if (!addr_parse(in->from->items[0].text, &a))
        return invalid(in, &in->from->items[0]);
    *FIELD(in, struct addr) = a;
    return true;
}

static bool show_address(struct buf *b, const struct setting *s, const void *base) {
    const struct addr *a = CONST_FIELD(base, s, struct addr);
    buf_char(b, '"');
    addr_format(b, *a);
    buf_char(b, '"');
    return a->family != 0;
}

/* "*" is two addresses: 0.0.0.0 and ::. Only listeners bind. */
static bool read_binds(const struct input *in) {
    struct listener *l = in->base;
    struct bytes *written = ARENA_ARRAY(in->r->arena, in->from->count, struct bytes);
    struct addr *list = ARENA_ARRAY(in->r->arena, 2 * in->from->count, struct addr);
    size_t count = 0;
    bool good = true;
    for (size_t i = 0; i < in->from->count; i++) {
        struct addr a;
        written[i] = in->from->items[i].text;
        if (!addr_parse_port(written[i], &a)) {
            good = invalid(in, &in->from->items[i]);
            continue;
        }
        if (a.family != 0) {
            list[count++] = a;
            continue;
        }
        list[count++] = (struct addr){ .family = 4, .port = a.port };
        list[count++] = (struct addr){ .family = 6, .port = a.port };
    }
    if (!good)
        return false;
    l->bind = (struct strings){ in->from->count, written };
    l->address_count = count;
    l->addresses = list;
    return true;
}

static bool host_bits(const struct input *in, const struct syntax_item *item, struct network n) {
    char memory[80];
    struct buf b = buf_fixed(memory, sizeof memory);
    network_format(&b, n);
    reading_error(in->r, item->line, in->label, "config.host-bits",
                  "\"%.*s\" has bits set behind its prefix; expected %s if the whole network is "
                  "meant, or the address alone",
                  BYTES_FMT(bytes_first(item->text, SHOWN_MAX)), buf_text(&b));
    return false;
}

static bool read_networks(const struct input *in) {
    struct network *list = ARENA_ARRAY(in->r->arena, in->from->count, struct network);
    bool good = true;
    for (size_t i = 0; i < in->from->count; i++) {
        const struct syntax_item *item = &in->from->items[i];
        enum network_error error = network_parse(item->text, &list[i]);
        if (error == NETWORK_HOST_BITS)
            good = host_bits(in, item, list[i]);
        else if (error != NETWORK_OK)
            good = invalid(in, item);
    }
    if (good)
        *FIELD(in, struct networks) = (struct networks){ in->from->count, list };
    return good;
}

static bool show_networks(struct buf *b, const struct setting *s, const void *base) {
    const struct networks *list = CONST_FIELD(base, s, struct networks);
    buf_char(b, '{');
    for (size_t i = 0; i < list->count; i++) {
        show_comma(b, i);
        buf_char(b, '"');
        network_format(b, list->list[i]);
        buf_char(b, '"');
    }
    buf_char(b, '}');
    return shows_list(list->count, s);
}

/* "name", "192.0.2.1", "[2001:db8::1]" -> a name in A-labels or an address without brackets. */
static struct bytes parse_host(const struct input *in, struct bytes text) {
    struct addr a;
    bool brackets = text.len > 2 && text.at[0] == '[' && text.at[text.len - 1] == ']';
    struct bytes inner = brackets ? bytes_slice(text, 1, text.len - 1) : text;
    if (!addr_parse(inner, &a))
        return brackets ? BYTES_NONE : check_host(in, text);
    if (!brackets && bytes_find(text, ':') >= 0)
        return BYTES_NONE;
    struct buf b = buf_grow(64);
    addr_format(&b, a);
    struct bytes host = arena_copy(in->r->arena, buf_bytes(&b));
    buf_free(&b);
    return host;
}

/* Splits HOST:PORT. Without a port *port stays as it was. */
static bool parse_host_port(const struct input *in, struct bytes text, struct bytes *host,
                            uint16_t *port) {
    ptrdiff_t colon = bytes_find_last(text, ':');
    bool has_port = colon >= 0 && (text.at[text.len - 1] != ']');
    uint64_t n;
    if (has_port) {
        struct bytes digits = bytes_skip(text, (size_t)colon + 1);
        if (digits.len > 5 || !bytes_to_u64(digits, UINT16_MAX, &n) || n == 0)
            return false;
        *port = (uint16_t)n;
        text = bytes_first(text, (size_t)colon);
    }
    *host = parse_host(in, text);
    return host->len > 0;
}

static void show_host_port(struct buf *b, struct bytes host, uint16_t port) {
    bool brackets = bytes_find(host, ':') >= 0;
    buf_printf(b, brackets ? "[%.*s]:%u" : "%.*s:%u", BYTES_FMT(host), port);
}

static bool parse_deliver(const struct input *in, struct bytes text, struct deliver_to *out) {
    if (bytes_equal(text, B("maildir")))
        return true; /* all zero */
    if (bytes_starts(text, B("lmtp:unix:"))) {
        out->transport = TRANSPORT_LMTP;
        out->path = check_path(in, bytes_skip(text, 10));
        return out->path.len > 0;
    }
    if (!bytes_starts(text, B("lmtp:")) && !bytes_starts(text, B("smtp:")))
        return false;
    out->transport = text.at[0] == 'l' ? TRANSPORT_LMTP : TRANSPORT_SMTP;
    return parse_host_port(in, bytes_skip(text, 5), &out->host, &out->port) && out->port;
}

static bool read_deliver(const struct input *in) {
    struct deliver_to to = { .transport = TRANSPORT_MAILDIR };
    if (!parse_deliver(in, in->from->items[0].text, &to))
        return invalid(in, &in->from->items[0]);
    *FIELD(in, struct deliver_to) = to;
    return true;
}

static bool show_deliver(struct buf *b, const struct setting *s, const void *base) {
    const struct deliver_to *to = CONST_FIELD(base, s, struct deliver_to);
    struct buf text = buf_grow(8192);
    if (to->transport == TRANSPORT_MAILDIR)
        buf_str(&text, "maildir");
    else if (to->path.len)
        buf_printf(&text, "lmtp:unix:%.*s", BYTES_FMT(to->path));
    else {
        buf_str(&text, to->transport == TRANSPORT_LMTP ? "lmtp:" : "smtp:");
        show_host_port(&text, to->host, to->port);
    }
    show_text(b, buf_bytes(&text));
    buf_free(&text);
    return true;
}

static bool parse_via(const struct input *in, struct bytes text, struct via *out) {
    static const struct {
        struct bytes prefix;
        struct via via;
    } kinds[] = {
        { { "smtp://", 7 }, { .port = 25 } },
        { { "smtps://", 8 }, { .port = 465, .implicit = true } },
        { { "mx:", 3 }, { .port = 25, .mx = true } },
    };
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (!bytes_starts_nocase(text, kinds[i].prefix))
            continue;
        *out = kinds[i].via;
        text = bytes_skip(text, kinds[i].prefix.len);
        if (bytes_ends_nocase(text, B("/")) && !out->mx)
            text = bytes_first(text, text.len - 1);
        struct addr a;
        return parse_host_port(in, text, &out->host, &out->port) &&
               !(out->mx && addr_parse(out->host, &a));
    }
    return false;
}

static bool read_vias(const struct input *in) {
    struct route *route = in->base;
    struct via *list = ARENA_ARRAY(in->r->arena, in->from->count, struct via);
    bool good = true;
    for (size_t i = 0; i < in->from->count; i++)
        if (!parse_via(in, in->from->items[i].text, &list[i]))
            good = invalid(in, &in->from->items[i]);
    if (!good)
        return false;
    route->via = list;
    route->via_count = in->from->count;
    return true;
}

static bool show_vias(struct buf *b, const struct setting *s, const void *base) {
    const struct route *route = base;
    (void)s;
    buf_char(b, '{');
    for (size_t i = 0; i < route->via_count; i++) {
        const struct via *via = &route->via[i];
        show_comma(b, i);
        buf_str(b, via->mx ? "\"mx:" : via->implicit ? "\"smtps://" : "\"smtp://");
        show_host_port(b, via->host, via->port);
        buf_char(b, '"');
    }
    buf_char(b, '}');
    return true;
}

/* --- patterns ---------------------------------------------------------------------------- */

static bool parse_patterns(const struct input *in, struct patterns *out) {
    struct pattern *list = ARENA_ARRAY(in->r->arena, in->from->count, struct pattern);
    bool good = true;
    for (size_t i = 0; i < in->from->count; i++)
        if (!pattern_parse(in->from->items[i].text, in->r->arena, &list[i]))
            good = invalid(in, &in->from->items[i]);
    if (good)
        *out = (struct patterns){ in->from->count, list };
    return good;
}

static bool read_patterns(const struct input *in) {
    return parse_patterns(in, FIELD(in, struct patterns));
}

static void show_pattern_list(struct buf *b, struct patterns list) {
    buf_char(b, '{');
    for (size_t i = 0; i < list.count; i++) {
        const struct pattern *p = &list.list[i];
        show_comma(b, i);
        show_text(b, p->kind == PATTERN_ANY ? B("*") : p->kind == PATTERN_NULL ? B("<>") : p->text);
    }
    buf_char(b, '}');
}

static bool show_patterns(struct buf *b, const struct setting *s, const void *base) {
    const struct patterns *list = CONST_FIELD(base, s, struct patterns);
    show_pattern_list(b, *list);
    return shows_list(list->count, s);
}

/* --- a list or a word -------------------------------------------------------------------- */

static bool read_logins(const struct input *in) {
    struct connector *c = in->base;
    c->auth_any = !in->from->list;
    return c->auth_any || read_each(in, check_login);
}

static bool show_logins(struct buf *b, const struct setting *s, const void *base) {
    const struct connector *c = base;
    if (!c->auth_any)
        return show_each(b, s, base);
    buf_str(b, "any");
    return true;
}

static bool read_relay_to(const struct input *in) {
    struct connector *c = in->base;
    c->to_accepted = !in->from->list;
    return c->to_accepted || parse_patterns(in, &c->may_relay_to);
}

static bool show_relay_to(struct buf *b, const struct setting *s, const void *base) {
    const struct connector *c = base;
    (void)s;
    if (c->to_accepted)
        buf_str(b, "accepted");
    else
        show_pattern_list(b, c->may_relay_to);
    return true;
}

static bool read_senders(const struct input *in) {
    struct connector *c = in->base;
    c->senders = SENDERS_LIST;
    if (in->from->list)
        return parse_patterns(in, &c->sender_list);
    c->senders = bytes_equal_nocase(in->from->items[0].text, B("own")) ? SENDERS_OWN : SENDERS_ANY;
    return true;
}

static bool show_senders(struct buf *b, const struct setting *s, const void *base) {
    const struct connector *c = base;
    (void)s;
    if (c->senders == SENDERS_LIST)
        show_pattern_list(b, c->sender_list);
    else
        buf_str(b, c->senders == SENDERS_OWN ? "own" : "any");
    return true;
}

/* --- secrets ----------------------------------------------------------------------------- */

static bool is_reference(struct bytes text) {
    return (bytes_starts(text, B("file:/")) || bytes_starts(text, B("env:"))) && !has_control(text);
}

/* A secret in the file itself is refused, and not repeated in the complaint. */
static bool read_secret_text(const struct input *in, struct bytes *out) {
    const struct syntax_item *item = &in->from->items[0];
    if (!is_reference(item->text))
        return complain(in, item, "config.value", "is not a reference");
    /* What is refused in any case need not be there to be read. */
    if (schema_not_built(in->setting->section, in->setting->name) && !in->r->host->lift_not_built)
        return true;
    return read_reference(in->r, item->line, in->label, item->text, out);
}

static bool read_secret(const struct input *in) {
    return read_secret_text(in, FIELD(in, struct bytes));
}

/* The reference is not kept, the secret is never shown. */
static bool show_secret(struct buf *b, const struct setting *s, const void *base) {
    const struct bytes *secret = CONST_FIELD(base, s, struct bytes);
    buf_str(b, "\"***\"");
    return secret->len > 0;
}

static bool login_problem(const struct input *in, const char *id, const char *text) {
    reading_error(in->r, in->from->items[0].line, in->label, id, "%s", text);
    return false;
}

/* The client is kept as its file has it: the fetcher reads it again. */
static bool read_oauth_client(const struct input *in, struct bytes text) {
    struct route *route = in->base;
    struct oauth_client client;
    struct why why;
    if (oauth_client_parse(in->r->arena, text, &client, &why) != OK) {
        reading_error(in->r, in->from->items[0].line, in->label, "config.value",
                      "what it leads to is no OAuth 2.0 client: %s; expected the JSON object that "
                      "postern.conf(5) describes",
                      why.text);
        return false;
    }
    if (client.ca_file.len && !read_pem(in->r, in->from->items[0].line, in->label, client.ca_file,
                                        false, &route->login_ca_pem))
        return false;
    route->login = in->from->items[0].text;
    route->login_user = client.user;
    route->login_client = text;
    route->has_login = route->login_oauth = true;
    return true;
}

/* user:password, whose password may hold further colons, or a client. */
static bool read_login(const struct input *in) {
    struct route *route = in->base;
    struct bytes secret, user;
    if (!read_secret_text(in, &secret))
        return false;
    if (oauth_client_is(secret))
        return read_oauth_client(in, secret);
    if (bytes_find(secret, ':') < 1 || has_control(secret))
        return login_problem(
            in, "config.value",
            "what it leads to is not a login; expected one line, user:password, or an "
            "OAuth 2.0 client");
    bytes_split(&secret, ':', &user);
    if (secret.len == 0)
        return login_problem(in, "config.value",
                             "what it leads to has no password; expected one line, user:password");
    route->login = in->from->items[0].text;
    route->login_user = user;
    route->login_password = secret;
    route->has_login = true;
    return true;
}

/* client:secret for an introspection. */
static bool read_client(const struct input *in) {
    struct oauth *oauth = in->base;
    struct bytes secret, id;
    if (!read_secret_text(in, &secret))
        return false;
    if (bytes_find(secret, ':') < 1 || has_control(secret))
        return login_problem(in, "config.value",
                             "what it leads to is no client; expected one line, client:secret");
    bytes_split(&secret, ':', &id);
    oauth->client_id = id;
    oauth->client_secret = secret;
    return true;
}

/* --- URLs -------------------------------------------------------------------------------- */

static bool read_url(const struct input *in) {
    struct bytes text = in->from->items[0].text;
    if (!oauth_url_is_fit(text))
        return invalid(in, &in->from->items[0]);
    *FIELD(in, struct bytes) = text;
    return true;
}

/* The keys of a file are read now, and proved. */
static bool read_key_file(const struct input *in, struct bytes reference) {
    struct oauth *oauth = in->base;
    struct oauth_keys *keys;
    struct why why;
    int line = in->from->items[0].line;
    if (!read_reference(in->r, line, in->label, reference, &oauth->keys))
        return false;
    if (oauth_keys_parse(in->r->arena, oauth->keys, &keys, &why) == OK)
        return true;
    reading_error(in->r, line, in->label, "config.file", "%.*s: %s", BYTES_FMT(reference),
                  why.text);
    return false;
}

static bool read_keys(const struct input *in) {
    struct bytes text = in->from->items[0].text;
    if (!is_reference(text))
        return read_url(in);
    *FIELD(in, struct bytes) = text;
    return read_key_file(in, text);
}

/* --- the types --------------------------------------------------------------------------- */

const struct type type_text = { "text", "text on one line", .read = read_text, .show = show_one };
const struct type type_name = { "name", "a name of letters, digits and . _ -", .read = read_name,
                                .show = show_one };
const struct type type_path = { "path", "an absolute path such as \"/etc/postern/mail.pem\"",
                                .read = read_path, .show = show_one };
const struct type type_host = { "host name", "a host name such as \"mail.example.com\"",
                                .read = read_host, .show = show_one };
const struct type type_mailbox = { "address", "a mail address such as \"user@example.com\"",
                                   .read = read_mailbox, .show = show_one };
const struct type type_one_of = { "word", "", .read = read_one_of, .show = show_one_of };
const struct type type_choice = { "word", "", .read = read_choice, .show = show_choice };
const struct type type_switch = { "word", "", .read = read_switch, .show = show_switch };
const struct type type_count = { "number", "a number", .range = range_number, .read = read_count,
                                 .show = show_count };
const struct type type_duration = { "duration", "a duration such as 30s, 15min, 4h or 5d",
                                    .range = range_duration, .read = read_duration,
                                    .show = show_duration };
const struct type type_size = { "size", "a size such as 64KiB, 25MiB or 2GiB",
                                .range = num_format_size, .read = read_size, .show = show_size };
const struct type type_percent = { "percentage", "a percentage such as 5%", .range = range_percent,
                                   .read = read_percent, .show = show_percent };
const struct type type_date = { "date", "a date such as \"2027-12-31\"", .read = read_date,
                                .show = show_date };
const struct type type_address = { "IP address", "an address such as \"203.0.113.41\"",
                                   .read = read_address, .show = show_address };
const struct type type_secret = {
    "secret", "a reference: \"file:/PATH\" or \"env:NAME\"; secrets are never written here",
    .read = read_secret, .show = show_secret
};
const struct type type_login = {
    "login",
    "a reference, \"file:/PATH\" or \"env:NAME\", to user:password or to an OAuth 2.0 client; "
    "secrets are never written here",
    .read = read_login, .show = show_one
};
const struct type type_client = {
    "secret",
    "a reference, \"file:/PATH\" or \"env:NAME\", to client:secret; secrets are never written here",
    .read = read_client, .show = show_secret
};
const struct type type_url = { "URL", "an https:// URL (http:// to this host only)",
                               .read = read_url, .show = show_one };
const struct type type_keys = {
    "URL or reference",
    "an https:// URL (http:// to this host only), \"file:/PATH\" or \"env:NAME\"",
    .read = read_keys, .show = show_one
};
const struct type type_deliver = {
    "target", "maildir, \"lmtp:HOST:PORT\", \"lmtp:unix:/PATH\" or \"smtp:HOST:PORT\"",
    .read = read_deliver, .show = show_deliver
};
const struct type type_binds = {
    "list of addresses with ports",
    "addresses with ports such as {\"*:25\"}, {\"192.0.2.1:587\"} or {\"[2001:db8::1]:25\"}",
    .list = true, .read = read_binds, .show = show_each
};
const struct type type_networks = { "list of networks",
                                    "networks such as {\"192.0.2.0/24\", \"2001:db8:5::/48\"}",
                                    .list = true, .read = read_networks, .show = show_networks };
const struct type type_patterns = {
    "list of address patterns",
    "address patterns: \"user@example.com\", \"example.com\", \".example.com\" (its subdomains), "
    "\"*\" or \"<>\"",
    .list = true, .read = read_patterns, .show = show_patterns
};
const struct type type_rates = { "list of rates", "rates such as {\"60/hour\", \"500/day\"}",
                                 .list = true, .read = read_rates, .show = show_rates };
const struct type type_durations = {
    "list of durations",    "durations such as {\"1min\", \"15min\", \"4h\"}",
    .list = true,           .range = range_duration,
    .read = read_durations, .show = show_durations
};
const struct type type_vias = {
    "list of next hops",
    "next hops such as {\"smtp://smtp.example.com:587\"}, {\"smtps://HOST\"} or {\"mx:NAME\"}",
    .list = true, .read = read_vias, .show = show_vias
};
const struct type type_domains = { "list of domains", "domains such as {\"example.com\"}",
                                   .list = true, .read = read_domains, .show = show_each };
const struct type type_mailboxes = { "list of addresses",
                                     "mail addresses such as {\"user@example.com\"}", .list = true,
                                     .read = read_mailboxes, .show = show_each };
const struct type type_names = { "list of names", "names such as {\"internet\"}", .list = true,
                                 .read = read_names, .show = show_each };
const struct type type_words = { "list of words", "a list of ", .list = true, .read = read_words,
                                 .show = show_each };
const struct type type_spki = { "list of certificates",
                                "{\"spki-sha256:HEX\"} with 64 hexadecimal digits, or an authority "
                                "and a name as in {\"ca:/etc/postern/ca.pem name:gw.example.com\"}",
                                .list = true, .read = read_spki, .show = show_each };
const struct type type_dnslists = { "list of DNS lists",
                                    "zones such as {\"zen.example\"}, with a score as in "
                                    "\"zen.example=2\", for some answers only as in "
                                    "\"zen.example:127.0.0.4-7=3\"",
                                    .list = true, .read = read_dnslists, .show = show_each };
const struct type type_own_dnslists = { "list of DNS lists",
                                        "zones such as {\"zen.example\"}, with a score as in "
                                        "\"zen.example=2\", for some answers only as in "
                                        "\"zen.example:127.0.0.4-7=3\"",
                                        .list = true, .read = read_dnslists,
                                        .show = show_even_none };
const struct type type_servers = {
    "list of name servers", "{}, {\"system\"} or addresses with ports such as {\"127.0.0.1:53\"}",
    .list = true, .read = read_servers, .show = show_each
};
const struct type type_logins = { "any, or list of logins",
                                  "any, or logins such as "
                                  "{\"app@example.com\"}",
                                  .list = true,
                                  .or_word = "any",
                                  .read = read_logins,
                                  .show = show_logins };
const struct type type_relay_to = {
    "accepted, or list of address patterns",
    "accepted, or address patterns such as {\"*\"} or {\"example.com\"}",
    .list = true,
    .or_word = "accepted",
    .read = read_relay_to,
    .show = show_relay_to
};
const struct type type_senders = { "own, any, or list of address patterns",
                                   "own, any, or address patterns such as {\"*@example.com\"}",
                                   .list = true,
                                   .or_word = "own any",
                                   .read = read_senders,
                                   .show = show_senders };

/* --- the door ---------------------------------------------------------------------------- */

static bool shape_problem(const struct input *in, const char *what) {
    reading_error(in->r, in->from->line, in->label, "config.value", "%s; expected %.*s", what,
                  BYTES_FMT(expected(in)));
    return false;
}

static bool check_shape(const struct input *in) {
    const struct type *type = in->setting->type;
    size_t count = in->from->count;
    if (!type->list)
        return !in->from->list || shape_problem(in, "a list, where one value belongs");
    if (!in->from->list) {
        if (type->or_word && schema_word(type->or_word, in->from->items[0].text))
            return true;
        return type->or_word ? invalid(in, &in->from->items[0])
                             : shape_problem(in, "one value, where a list in { } belongs");
    }
    /* Where min and max bound the items themselves, a list has 1 to 32. */
    size_t min = type->range ? 1 : in->setting->min;
    size_t max = type->range ? 32 : in->setting->max ? in->setting->max : LIST_MAX;
    if (count < min)
        return shape_problem(in, "an empty list");
    return count <= max || shape_problem(in, "too long a list");
}

bool value_read(const struct input *in) {
    return check_shape(in) && in->setting->type->read(in);
}
