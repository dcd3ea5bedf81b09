/* crc: CRC32C (Castagnoli, RFC 3720 appendix B.4), with SSE4.2 or ARMv8 CRC instructions where the
 * machine has them. Not for secrets. */
#ifndef BASE_CRC_H
#define BASE_CRC_H

#include "base/bytes.h"

/* Of `before` followed by data, when `crc` is crc32c of `before`; start with 0. */
uint32_t crc32c(uint32_t crc, struct bytes data);

#endif
