/* crc: CRC32C by the machine's own instructions or, without them, eight octets at a time by tables
 * ("slicing by 8"). This file alone knows which machine it runs on. */
#include "base/crc.h"

#include <string.h>

#define POLYNOMIAL UINT32_C(0x82f63b78) /* reflected */

/* table[k][n]: the crc of octet n followed by k zero octets. */
static uint32_t table[8][256];

__attribute__((constructor)) static void make_table(void) {
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = n;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        table[0][n] = crc;
    }
    for (uint32_t n = 0; n < 256; n++)
        for (int k = 1; k < 8; k++)
            table[k][n] = table[k - 1][n] >> 8 ^ table[0][table[k - 1][n] & 0xff];
}

/* Little-endian, wherever we are. */
static uint32_t load32(const unsigned char *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint32_t crc_by_table(uint32_t crc, const unsigned char *at, size_t len) {
    for (; len >= 8; at += 8, len -= 8) {
        uint32_t low = crc ^ load32(at), high = load32(at + 4);
        crc = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^ table[5][low >> 16 & 0xff] ^
              table[4][low >> 24] ^ table[3][high & 0xff] ^ table[2][high >> 8 & 0xff] ^
              table[1][high >> 16 & 0xff] ^ table[0][high >> 24];
    }
    for (; len > 0; at++, len--)
        crc = crc >> 8 ^ table[0][(crc ^ *at) & 0xff];
    return crc;
}

#if defined(__x86_64__)

static bool machine_has_crc(void) {
    return __builtin_cpu_supports("sse4.2") != 0;
}

__attribute__((target("sse4.2"))) static uint32_t crc_by_machine(uint32_t crc,
                                                                 const unsigned char *at,
                                                                 size_t len) {
    uint64_t wide = crc;
    for (; len >= 8; at += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; len > 0; at++, len--)
        crc = __builtin_ia32_crc32qi(crc, *at);
    return crc;
}

#elif defined(__aarch64__) && defined(__linux__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#include <sys/auxv.h>

static bool machine_has_crc(void) {
    return (getauxval(AT_HWCAP) & 1 << 7) != 0; /* HWCAP_CRC32 */
}

/* As assembly, because compilers differ in how they want the extension enabled. */
static uint32_t crc_by_machine(uint32_t crc, const unsigned char *at, size_t len) {
    for (; len >= 8; at += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    }
    for (; len > 0; at++, len--)
        __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"((uint32_t)*at));
    return crc;
}

#else

static bool machine_has_crc(void) {
    return false;
}

static uint32_t crc_by_machine(uint32_t crc, const unsigned char *at, size_t len) {
    return crc_by_table(crc, at, len);
}

#endif

uint32_t crc32c(uint32_t crc, struct bytes data) {
    const unsigned char *at = (const unsigned char *)data.at;
    return ~(machine_has_crc() ? crc_by_machine(~crc, at, data.len)
                               : crc_by_table(~crc, at, data.len));
}
