/* tags: lists of "tag=value;", the form that DKIM gave to the records after it (RFC 6376 section 3.2). */
#ifndef TRUST_TAGS_H
#define TRUST_TAGS_H

#include "base/bytes.h"
#include "base/why.h"

enum { TAGS_MAX = 32 };
struct tag {
    struct bytes name, value; /* without blanks around */
};
struct tags {
    size_t count;
    struct tag list[TAGS_MAX];
    const char *wrong; /* of a list that breaks the grammar: half a sentence about ... */
    struct bytes wrong_at;
};
/* PERM: wrong says why; the tags in front of that are there. Views look into the text. */
enum rc tags_parse(struct bytes text, struct tags *out);
/* The value of a tag, whose name is compared as it stands; false: there is none. */
bool tags_find(const struct tags *t, const char *name, struct bytes *value_out);
/* The first tag is this one, with this value. */
bool tags_begin(const struct tags *t, const char *name, const char *value);
/* Whether a TXT record is meant to be such a list: it begins with "v=VERSION" and an end, blank or semicolon. */
bool tags_have_version(struct bytes text, const char *version);

#endif
