/* bimi: see bimi.h. */
#include "trust/bimi.h"

#include "trust/tags.h"

bool bimi_is_record(struct bytes text) {
    return tags_have_version(text, "BIMI1");
}

static enum rc wrong(struct bimi_record *out, const char *what, struct bytes at) {
    out->wrong = what;
    out->wrong_at = bytes_first(at, 100);
    return PERM;
}

static bool is_https(struct bytes uri) {
    return bytes_starts_nocase(uri, B("https://")) && uri.len > 8;
}

enum rc bimi_parse(struct bytes text, struct bimi_record *out) {
    struct tags t;
    *out = (struct bimi_record){ 0 };
    if (tags_parse(text, &t) != OK)
        return wrong(out, t.wrong, t.wrong_at);
    if (!tags_begin(&t, "v", "BIMI1"))
        return wrong(out, "does not begin with v=BIMI1", text);
    if (!tags_find(&t, "l", &out->logo))
        return wrong(out, "has no l=, the logo's address", text);
    tags_find(&t, "a", &out->evidence);
    out->declined = !out->logo.len && !out->evidence.len;
    if (out->logo.len && !is_https(out->logo))
        return wrong(out, "is no https: address", out->logo);
    if (out->evidence.len && !is_https(out->evidence))
        return wrong(out, "is no https: address", out->evidence);
    if (out->logo.len && bytes_search_nocase(out->logo, B(".svg")) < 0)
        return wrong(out, "is no SVG", out->logo);
    return OK;
}
