/* tags: see tags.h. */
#include "trust/tags.h"

#include "base/scan.h"

#include <string.h>

static bool is_name_char(char c) {
    return ascii_is_alnum(c) || c == '_';
}

static const char *read_tag(struct bytes item, struct tags *out) {
    struct scan s = scan_of(item);
    struct bytes name = scan_while(&s, is_name_char);
    scan_blanks(&s);
    if (!name.len || !ascii_is_alpha(name.at[0]) || !scan_accept(&s, '='))
        return "is not of the form tag=value";
    for (size_t i = 0; i < out->count; i++)
        if (bytes_equal(out->list[i].name, name))
            return "stands there twice";
    if (out->count == TAGS_MAX)
        return "is one of too many";
    out->list[out->count++] = (struct tag){ name, bytes_trim(s.rest) };
    return NULL;
}

enum rc tags_parse(struct bytes text, struct tags *out) {
    struct bytes rest = text, item;
    memset(out, 0, sizeof *out);
    while (bytes_split(&rest, ';', &item)) {
        item = bytes_trim(item);
        if (!item.len && !bytes_trim(rest).len) /* behind the last semicolon */
            break;
        out->wrong = read_tag(item, out);
        out->wrong_at = item;
        if (out->wrong)
            return PERM;
    }
    out->wrong_at = BYTES_NONE;
    return OK;
}

bool tags_find(const struct tags *t, const char *name, struct bytes *value_out) {
    for (size_t i = 0; i < t->count; i++)
        if (bytes_equal(t->list[i].name, bytes_str(name))) {
            *value_out = t->list[i].value;
            return true;
        }
    return false;
}

bool tags_begin(const struct tags *t, const char *name, const char *value) {
    return t->count && bytes_equal(t->list[0].name, bytes_str(name)) &&
           bytes_equal(t->list[0].value, bytes_str(value));
}

bool tags_have_version(struct bytes text, const char *version) {
    struct scan s = scan_of(bytes_trim(text));
    bool v = scan_accept_nocase(&s, B("v"));
    scan_blanks(&s);
    v = v && scan_accept(&s, '=');
    scan_blanks(&s);
    if (!v || !scan_accept_nocase(&s, bytes_str(version)))
        return false;
    int next = scan_peek(&s);
    return next < 0 || next == ';' || next == ' ' || next == '\t';
}
