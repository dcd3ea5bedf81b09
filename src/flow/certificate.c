/* certificate: vouched names as text, from facts. A name that nobody vouches for is anybody's word. */
#include "flow/certificate.h"

void facts_vouched_names(const struct facts *f, struct buf *out) {
    for (size_t i = 0; i < f->vouch_count; i++)
        for (size_t j = 0; f->vouches[i].vouches && j < f->client_names.count; j++) {
            size_t before = out->len;
            buf_str(out, "ca:");
            buf_add(out, f->vouches[i].authority);
            buf_str(out, " name:");
            buf_lower(out, f->client_names.list[j]);
            buf_char(out, '\n');
            if (out->full) {
                buf_cut(out, before);
                return;
            }
        }
}
