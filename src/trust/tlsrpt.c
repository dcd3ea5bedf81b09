/* tlsrpt: see tlsrpt.h. */
#include "trust/tlsrpt.h"

#include "trust/tags.h"

bool tlsrpt_is_record(struct bytes text) {
    return tags_have_version(text, "TLSRPTv1");
}

static enum rc wrong(struct tlsrpt_record *out, const char *what, struct bytes at) {
    out->wrong = what;
    out->wrong_at = bytes_first(at, 100);
    return PERM;
}

static bool is_address(struct bytes uri) {
    if (bytes_starts_nocase(uri, B("https://")))
        return uri.len > 8;
    ptrdiff_t at = bytes_find(uri, '@');
    return bytes_starts_nocase(uri, B("mailto:")) && at > 7 && (size_t)at + 1 < uri.len;
}

enum rc tlsrpt_parse(struct bytes text, struct tlsrpt_record *out) {
    struct tags t;
    struct bytes rest, item;
    *out = (struct tlsrpt_record){ 0 };
    if (tags_parse(text, &t) != OK)
        return wrong(out, t.wrong, t.wrong_at);
    if (!tags_begin(&t, "v", "TLSRPTv1"))
        return wrong(out, "does not begin with v=TLSRPTv1", text);
    if (!tags_find(&t, "rua", &rest))
        return wrong(out, "has no rua=", text);
    while (bytes_split(&rest, ',', &item)) {
        item = bytes_trim(item);
        if (!is_address(item))
            return wrong(out, "is neither mailto: with an address nor https:", item);
        if (out->count == TLSRPT_URIS_MAX)
            return wrong(out, "is one address too many", item);
        out->rua[out->count++] = item;
    }
    return out->count ? OK : wrong(out, "has an empty rua=", text);
}
