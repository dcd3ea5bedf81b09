/* message_id: what an id may look like from outside; what it means, spool/ alone knows. */
#include "flow/message_id.h"

#include <string.h>

enum { SHORTEST = 4 };

static bool allowed(char c) {
    return ascii_is_digit(c) || (c >= 'a' && c <= 'z') || c == '-';
}

bool message_id_parse(struct bytes text, struct message_id *out) {
    *out = (struct message_id){ { 0 } };
    if (text.len < SHORTEST || text.len >= sizeof out->text)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!allowed(text.at[i]))
            return false;
    memcpy(out->text, text.at, text.len);
    return true;
}
