/* wire: a call of the fetcher as octets, both ways. Parsing trusts nothing. */
#ifndef FETCHER_WIRE_H
#define FETCHER_WIRE_H

#include "base/buf.h"
#include "fetcher/fetcher.h"

enum { FETCH_NAME_MAX = 256, FETCH_TOKEN_MAX = 8192, FETCH_BODY_MAX = 64 * 1024 };
enum { FETCH_WIRE_MAX = FETCH_BODY_MAX + 4096 }; /* a request or an answer */

void fetch_format_request(struct buf *b, const struct fetch *what);
bool fetch_parse_request(struct bytes data, struct fetch *out);
void fetch_format_answer(struct buf *b, const struct fetched *answer);
bool fetch_parse_answer(struct bytes data, struct fetched *out);

#endif
