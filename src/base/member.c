/* member: the members of a JSON object. */
#include "base/member.h"

void member_key(struct buf *b, const char *key) {
    bool first = b->len && b->at[b->len - 1] == '{';
    buf_printf(b, "%s\"%s\":", first ? "" : ",", key);
}

void member_text(struct buf *b, const char *key, struct bytes value) {
    member_key(b, key);
    buf_json(b, value);
}

void member_flag(struct buf *b, const char *key, bool value) {
    member_key(b, key);
    buf_str(b, value ? "true" : "false");
}
