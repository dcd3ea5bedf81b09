/* dmarc: see dmarc.h. What is broken does not spoil the rest (RFC 7489 section 6.3), but for v and p. */
#include "trust/dmarc.h"

#include "base/must.h"
#include "base/scan.h"
#include "trust/tags.h"

static const char *const policies[] = { "none", "quarantine", "reject" };

const char *dmarc_policy_name(enum dmarc_policy p) {
    return policies[p];
}

bool dmarc_is_record(struct bytes text) {
    struct tags t;
    tags_parse(text, &t);
    return tags_begin(&t, "v", "DMARC1");
}

static void problem(struct dmarc_record *out, const char *what, struct bytes at) {
    if (out->problem_count < DMARC_PROBLEMS_MAX)
        out->problems[out->problem_count++] = (struct dmarc_problem){ what, bytes_first(at, 100) };
}

static bool read_policy(struct bytes value, enum dmarc_policy *out) {
    for (size_t i = 0; i < COUNT_OF(policies); i++)
        if (bytes_equal_nocase(value, bytes_str(policies[i]))) {
            *out = (enum dmarc_policy)i;
            return true;
        }
    return false;
}

/* "10m": RFC 7489 section 6.2. */
static bool read_size(struct bytes text, uint64_t *out) {
    static const char units[] = "kmgt";
    unsigned shift = 0;
    if (text.len && !ascii_is_digit(text.at[text.len - 1])) {
        ptrdiff_t unit = bytes_find(bytes_str(units), ascii_lower(text.at[text.len - 1]));
        if (unit < 0)
            return false;
        shift = 10 * ((unsigned)unit + 1);
        text = bytes_first(text, text.len - 1);
    }
    if (!bytes_to_u64(text, UINT64_MAX >> 41, out))
        return false;
    *out <<= shift;
    return true;
}

static const char *read_uri(struct bytes text, struct dmarc_uri *out) {
    ptrdiff_t mark = bytes_find_last(text, '!');
    *out = (struct dmarc_uri){ .uri = text };
    if (mark >= 0) {
        if (!read_size(bytes_skip(text, (size_t)mark + 1), &out->max_size))
            return "has something behind ! that is no size";
        out->uri = bytes_first(text, (size_t)mark);
    }
    if (!bytes_starts_nocase(out->uri, B("mailto:")))
        return bytes_search(out->uri, B(":")) > 0 ? NULL : "is no address of the form mailto:";
    struct bytes address = bytes_skip(out->uri, 7);
    ptrdiff_t query = bytes_find(address, '?');
    if (query >= 0)
        address = bytes_first(address, (size_t)query);
    ptrdiff_t at = bytes_find_last(address, '@');
    if (at <= 0 || (size_t)at + 1 == address.len)
        return "is no mail address";
    out->domain = bytes_skip(address, (size_t)at + 1);
    return NULL;
}

static size_t read_uris(const struct tags *t, const char *name, struct dmarc_uri *list,
                        struct dmarc_record *out) {
    struct bytes rest, item;
    size_t count = 0;
    if (!tags_find(t, name, &rest))
        return 0;
    while (bytes_split(&rest, ',', &item)) {
        item = bytes_trim(item);
        if (count == DMARC_URIS_MAX) {
            problem(out, "is one address too many", item);
            break;
        }
        const char *wrong = read_uri(item, &list[count]);
        if (wrong)
            problem(out, wrong, item);
        else
            count++;
    }
    return count;
}

static bool read_mode(const struct tags *t, const char *name, struct dmarc_record *out) {
    struct bytes value;
    if (!tags_find(t, name, &value))
        return false;
    if (!bytes_equal_nocase(value, B("r")) && !bytes_equal_nocase(value, B("s")))
        problem(out, "is neither r nor s", value);
    return bytes_equal_nocase(value, B("s"));
}

static void read_rest(const struct tags *t, struct dmarc_record *out) {
    struct bytes value;
    uint64_t n;
    out->strict_dkim = read_mode(t, "adkim", out);
    out->strict_spf = read_mode(t, "aspf", out);
    out->percent = 100;
    if (tags_find(t, "pct", &value)) {
        if (bytes_to_u64(value, 100, &n))
            out->percent = (unsigned)n;
        else
            problem(out, "is no percentage from 0 to 100", value);
    }
    if (tags_find(t, "ri", &value) && !bytes_to_u64(value, UINT32_MAX, &n))
        problem(out, "is no number of seconds (ri=)", value);
    if (tags_find(t, "t", &value))
        out->testing = bytes_equal_nocase(value, B("y"));
}

static bool is_failure_option(struct bytes word) {
    return word.len == 1 && bytes_find(B("01ds"), ascii_lower(word.at[0])) >= 0;
}

static void look_at_others(const struct tags *t, struct dmarc_record *out) {
    static const char *const known[] = { "v",  "p",  "sp", "np", "adkim", "aspf", "pct",
                                         "fo", "rf", "ri", "t",  "psd",   "rua",  "ruf" };
    struct bytes value, word;
    for (size_t i = 0; i < t->count; i++) {
        bool found = false;
        for (size_t k = 0; k < COUNT_OF(known); k++)
            found |= bytes_equal(t->list[i].name, bytes_str(known[k]));
        if (!found)
            problem(out, "is no tag of DMARC, and is ignored", t->list[i].name);
    }
    if (!tags_find(t, "fo", &value))
        return;
    while (bytes_split(&value, ':', &word))
        if (!is_failure_option(bytes_trim(word)))
            problem(out, "is none of 0, 1, d and s (fo=)", word);
}

/* Section 6.6.3: without a good p, but with somebody to report to, it counts as p=none. */
static enum rc read_policies(const struct tags *t, struct dmarc_record *out) {
    struct bytes p = BYTES_NONE, value;
    bool good = tags_find(t, "p", &p) && read_policy(p, &out->policy);
    if (!good)
        problem(out, p.len ? "is none of none, quarantine and reject (p=)" : "lacks p=", p);
    out->subdomain_policy = out->policy;
    if (tags_find(t, "sp", &value)) {
        out->has_subdomain_policy = read_policy(value, &out->subdomain_policy);
        if (!out->has_subdomain_policy)
            problem(out, "is none of none, quarantine and reject (sp=)", value);
        good &= out->has_subdomain_policy;
    }
    out->missing_policy = out->subdomain_policy;
    if (tags_find(t, "np", &value)) {
        out->has_missing_policy = read_policy(value, &out->missing_policy);
        if (!out->has_missing_policy)
            problem(out, "is none of none, quarantine and reject (np=)", value);
    }
    if (good)
        return OK;
    out->policy = out->subdomain_policy = out->missing_policy = DMARC_NONE;
    return out->rua_count ? OK : PERM;
}

enum rc dmarc_parse(struct bytes text, struct dmarc_record *out) {
    struct tags t;
    *out = (struct dmarc_record){ .percent = 100 };
    enum rc rc = tags_parse(text, &t);
    if (!tags_begin(&t, "v", "DMARC1")) {
        problem(out, "does not begin with v=DMARC1", bytes_first(text, 40));
        return PERM;
    }
    if (rc != OK)
        problem(out, t.wrong, t.wrong_at);
    if (t.count > 1 && !bytes_equal(t.list[1].name, B("p")))
        problem(out, "stands before p=, which must come directly behind the version",
                t.list[1].name);
    out->rua_count = read_uris(&t, "rua", out->rua, out);
    out->ruf_count = read_uris(&t, "ruf", out->ruf, out);
    read_rest(&t, out);
    look_at_others(&t, out);
    return read_policies(&t, out);
}
