/* mac: message authentication codes (HMAC-SHA-256, RFC 2104): what we made ourselves is known again
 * when it comes back. Pure; the library is behind it. */
#ifndef SYS_MAC_H
#define SYS_MAC_H

#include "base/bytes.h"

enum { MAC_OCTETS = 32 };
void mac_sha256(struct bytes key, struct bytes data, char out[MAC_OCTETS]);

#endif
