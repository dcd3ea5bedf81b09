/* id: splitmix64 of seed and number, five bits a letter. */
#include "base/id.h"

void id_make(uint64_t seed, uint64_t number, char out[ID_SIZE]) {
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint64_t z = seed + number * 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    z ^= z >> 31;
    for (int i = 0; i < ID_SIZE - 1; i++, z >>= 5)
        out[i] = digits[z & 31];
    out[ID_SIZE - 1] = 0;
}
