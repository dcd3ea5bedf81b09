/* mta_sts: see mta_sts.h. */
#include "trust/mta_sts.h"

#include "base/must.h"
#include "base/scan.h"
#include "trust/tags.h"

enum { ID_MAX = 32 };

/* --- the record (section 3.1) --------------------------------------------------------------------------- */

bool mta_sts_is_record(struct bytes text) {
    return tags_have_version(text, "STSv1");
}

static bool is_id(struct bytes id) {
    for (size_t i = 0; i < id.len; i++)
        if (!ascii_is_alnum(id.at[i]))
            return false;
    return id.len && id.len <= ID_MAX;
}

static enum rc wrong_record(struct mta_sts_record *out, const char *what, struct bytes at) {
    out->wrong = what;
    out->wrong_at = at;
    return PERM;
}

enum rc mta_sts_parse_record(struct bytes text, struct mta_sts_record *out) {
    struct tags t;
    *out = (struct mta_sts_record){ 0 };
    if (tags_parse(text, &t) != OK)
        return wrong_record(out, t.wrong, t.wrong_at);
    if (!tags_begin(&t, "v", "STSv1"))
        return wrong_record(out, "does not begin with v=STSv1", bytes_first(text, 40));
    if (!tags_find(&t, "id", &out->id))
        return wrong_record(out, "has no id=", text);
    return is_id(out->id) ? OK : wrong_record(out, "is no id: 1 to 32 letters and digits", out->id);
}

/* --- the policy (section 3.2) ----------------------------------------------------------------------------- */

static const char *const modes[] = { "none", "testing", "enforce" };

const char *mta_sts_mode_name(enum mta_sts_mode m) {
    return modes[m];
}

static bool is_host(struct bytes name) {
    struct bytes label;
    if (!name.len || name.len > 253)
        return false;
    while (bytes_split(&name, '.', &label)) {
        if (!label.len || label.len > 63 || label.at[0] == '-')
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!ascii_is_alnum(label.at[i]) && label.at[i] != '-' && label.at[i] != '_')
                return false;
    }
    return true;
}

struct reading {
    struct mta_sts_policy *out;
    bool version, mode, max_age;
};

static const char *take_version(struct reading *r, struct bytes value) {
    r->version = bytes_equal(value, B("STSv1"));
    return r->version ? NULL : "is another version than STSv1";
}

static const char *take_mode(struct reading *r, struct bytes value) {
    for (size_t i = 0; i < COUNT_OF(modes) && !r->mode; i++)
        if (bytes_equal(value, bytes_str(modes[i]))) {
            r->out->mode = (enum mta_sts_mode)i;
            r->mode = true;
            return NULL;
        }
    return r->mode ? NULL : "is none of enforce, testing and none"; /* the first one holds */
}

static const char *take_max_age(struct reading *r, struct bytes value) {
    if (r->max_age)
        return NULL;
    r->max_age = value.len <= 10 && bytes_to_u64(value, MTA_STS_AGE_MAX, &r->out->max_age);
    return r->max_age ? NULL : "is no number of seconds from 0 to 31557600";
}

static const char *take_mx(struct reading *r, struct bytes value) {
    struct bytes name = bytes_starts(value, B("*.")) ? bytes_skip(value, 2) : value;
    if (!is_host(name))
        return "is no name of a host, nor *. and one";
    if (r->out->mx_count == MTA_STS_PATTERNS_MAX)
        return "is one mx too many";
    r->out->mx[r->out->mx_count++] = value;
    return NULL;
}

static const struct {
    const char *key;
    const char *(*take)(struct reading *r, struct bytes value);
} keys[] = { { "version", take_version },
             { "mode", take_mode },
             { "max_age", take_max_age },
             { "mx", take_mx } };

static const char *take_line(struct reading *r, struct bytes line) {
    struct bytes value = line, key;
    if (bytes_find(line, ':') < 0)
        return "is not of the form key: value";
    bytes_split(&value, ':', &key);
    key = bytes_trim(key);
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (bytes_equal(key, bytes_str(keys[i].key)))
            return keys[i].take(r, bytes_trim(value));
    return key.len ? NULL : "lacks a key"; /* others are extensions */
}

static enum rc wrong_policy(struct mta_sts_policy *out, const char *what, struct bytes at) {
    out->wrong = what;
    out->wrong_at = bytes_first(at, 100);
    return PERM;
}

enum rc mta_sts_parse_policy(struct bytes text, struct mta_sts_policy *out) {
    struct reading r = { .out = out };
    struct bytes rest = text, line;
    *out = (struct mta_sts_policy){ 0 };
    while (bytes_split(&rest, '\n', &line)) {
        line = bytes_trim(line);
        const char *wrong = line.len ? take_line(&r, line) : NULL;
        if (wrong)
            return wrong_policy(out, wrong, line);
    }
    const char *missing = !r.version                                    ? "lacks version: STSv1"
                          : !r.mode                                     ? "lacks mode"
                          : !r.max_age                                  ? "lacks max_age"
                          : !out->mx_count && out->mode != MTA_STS_NONE ? "lacks mx"
                                                                        : NULL;
    return missing ? wrong_policy(out, missing, B("the policy")) : OK;
}

bool mta_sts_matches(struct bytes pattern, struct bytes host) {
    if (host.len && host.at[host.len - 1] == '.')
        host.len--;
    if (!bytes_starts(pattern, B("*.")))
        return bytes_equal_nocase(pattern, host);
    ptrdiff_t dot = bytes_find(host, '.');
    return dot > 0 && bytes_equal_nocase(bytes_skip(pattern, 2), bytes_skip(host, (size_t)dot + 1));
}

bool mta_sts_covers(const struct mta_sts_policy *p, struct bytes host) {
    for (size_t i = 0; i < p->mx_count; i++)
        if (mta_sts_matches(p->mx[i], host))
            return true;
    return false;
}
