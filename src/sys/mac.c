/* mac: HMAC by OpenSSL. */
#include "sys/mac.h"

#include "base/must.h"

#include <openssl/hmac.h>

void mac_sha256(struct bytes key, struct bytes data, char out[MAC_OCTETS]) {
    unsigned len = MAC_OCTETS;
    MUST(HMAC(EVP_sha256(), key.len ? key.at : "", (int)key.len,
              (const unsigned char *)(data.len ? data.at : ""), data.len, (unsigned char *)out,
              &len));
}
