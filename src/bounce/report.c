/* report: a delivery status notification with a part for machines (RFC 3464), whatever its types say. */
#include "bounce/internal.h"

static bool is_status_type(struct bytes type) {
    return bytes_ends_nocase(type, B("/delivery-status")) ||
           bytes_ends_nocase(type, B("/global-delivery-status"));
}

/* A text that is one, by its first fields. */
static bool has_fields(struct bytes text) {
    return bytes_search_nocase(text, B("Final-Recipient:")) >= 0 ||
           bytes_search_nocase(text, B("Original-Recipient:")) >= 0;
}

bool read_report(struct reading *r) {
    for (size_t i = 0; i < r->mime.count; i++) {
        const struct mime_part *p = &r->mime.parts[i];
        if (mime_inside(&r->mime, i))
            continue;
        bool typed = is_status_type(p->type);
        if (!typed && !bytes_starts(p->type, B("text/")) &&
            !bytes_starts(p->type, B("application/octet-stream")))
            continue;
        struct bytes text = mime_text(&r->mime, i);
        if (typed || has_fields(text))
            machine_read(r, text);
    }
    if (!r->fields.count)
        return false;
    r->out->format = "rfc3464";
    return true;
}
