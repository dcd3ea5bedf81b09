/* compose: a test message: headers, a body, attachments; or a whole one as it was given. */
#ifndef DOCTOR_COMPOSE_H
#define DOCTOR_COMPOSE_H

#include "base/arena.h"

struct compose_file {
    struct bytes name, content;
};
struct compose {
    struct bytes sender;
    const struct bytes *recipients;
    size_t recipient_count;
    const struct bytes *headers; /* "Subject: test": instead of the one of that name, or besides */
    size_t header_count;
    struct bytes body; /* empty: a sentence */
    const struct compose_file *files;
    size_t file_count;
    int64_t wall_ms;
    uint64_t random; /* for Message-ID and boundary */
    struct bytes host;
};
/* NULL, or which header is none: then *out is not set. */
const char *compose_message(struct arena *a, const struct compose *c, struct bytes *out);

#endif
