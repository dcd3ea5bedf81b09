/* organisation: see organisation.h. */
#include "trust/organisation.h"

#include <libpsl.h>
#include <string.h>

enum { NAME_MAX_OCTETS = 253 };

/* NUL-terminated, as the library wants it. */
static bool copy(struct bytes name, char out[NAME_MAX_OCTETS + 1]) {
    if (!name.len || name.len > NAME_MAX_OCTETS || bytes_find(name, '\0') >= 0)
        return false;
    memcpy(out, name.at, name.len);
    out[name.len] = '\0';
    return true;
}

struct bytes organisation_of(struct bytes name) {
    char text[NAME_MAX_OCTETS + 1];
    if (!copy(name, text))
        return name;
    const char *found = psl_registrable_domain(psl_builtin(), text);
    return found ? bytes_skip(name, name.len - strlen(found)) : name;
}

bool organisation_is_suffix(struct bytes name) {
    char text[NAME_MAX_OCTETS + 1];
    return copy(name, text) && psl_is_public_suffix(psl_builtin(), text);
}

bool organisation_same(struct bytes a, struct bytes b) {
    return bytes_equal_nocase(organisation_of(a), organisation_of(b));
}
