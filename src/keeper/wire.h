/* wire: a keeper call as octets, both ways. Parsing trusts nothing: a worker may be taken over. */
#ifndef KEEPER_WIRE_H
#define KEEPER_WIRE_H

#include "base/buf.h"
#include "base/scan.h"
#include "keeper/auth.h"

enum {
    WIRE_DATA_MAX = 12 * 1024, /* a SASL message: the longest AUTH line, decoded */
    WIRE_MAX = 16 * 1024,      /* a request or reply */
};

enum wire_op { WIRE_BEGIN = 1, WIRE_STEP, WIRE_END };
struct wire_request {
    enum wire_op op;
    uint64_t exchange;           /* the caller's number for it */
    struct auth_session session; /* BEGIN */
    struct bytes response;       /* STEP */
};
void wire_format_request(struct buf *b, const struct wire_request *r);
bool wire_parse_request(struct bytes data, struct wire_request *out);

void wire_format_answer(struct buf *b, const struct auth_answer *a);
bool wire_parse_answer(struct bytes data, struct auth_answer *out);

#endif
