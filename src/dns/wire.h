/* wire: questions and answers between workers and the resolver process, as octets. */
#ifndef DNS_WIRE_H
#define DNS_WIRE_H

#include "dns/dns.h"

enum { DNS_NAME_MAX = 253, DNS_RECORDS_MAX = 256 };

void dns_wire_format_question(struct buf *out, struct bytes name, enum dns_type type);
bool dns_wire_parse_question(struct bytes data, struct bytes *name_out, enum dns_type *type_out);
/* Records that would not fit a channel's message are left out. */
void dns_wire_format_answer(struct buf *out, const struct dns_answer *answer);
/* Views look into data; records are made in the arena. False for what format does not write. */
bool dns_wire_parse_answer(struct bytes data, struct arena *a, struct dns_answer *out);

#endif
