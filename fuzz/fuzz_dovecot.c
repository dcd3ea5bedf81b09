/* Whatever says it is Dovecot's auth service: lines, each parsed; a name it gives is one of ours to
 * hold, without its escapes. */
#include "base/must.h"
#include "keeper/dovecot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes rest = bytes_of(data, size), line;
    while (bytes_split(&rest, '\n', &line)) {
        struct dovecot_line l;
        dovecot_parse(line, &l);
        MUST(l.word <= DOVECOT_BROKEN && l.user.len <= DOVECOT_USER_MAX);
        MUST(!l.temporary || l.word == DOVECOT_FAIL);
        MUST(!l.user.len || l.word == DOVECOT_OK || l.word == DOVECOT_BROKEN);
    }
    return 0;
}
