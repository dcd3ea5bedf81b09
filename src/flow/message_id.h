/* message_id: the name of an accepted message, on every reply, event and NDR. Opaque outside
 * spool/: it names node, lane and sequence, and is never reused. Printed it is 4 to 23 characters
 * of [0-9a-z-]. */
#ifndef FLOW_MESSAGE_ID_H
#define FLOW_MESSAGE_ID_H

#include "base/bytes.h"

struct message_id {
    char text[24]; /* NUL-terminated; empty is none */
};

static inline struct bytes message_id_bytes(const struct message_id *id) {
    return bytes_str(id->text);
}
/* False if it does not look like one. */
bool message_id_parse(struct bytes text, struct message_id *out);

#endif
