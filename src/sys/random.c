/* random: getrandom, and ids made of it. */
#include "sys/random.h"

#include "base/must.h"

#include <errno.h>

void random_octets(void *into, size_t size) {
    char *at = into;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        MUST(got > 0);
        at += got;
        size -= (size_t)got;
    }
}

uint64_t random_u64(void) {
    uint64_t n;
    random_octets(&n, sizeof n);
    return n;
}

uint64_t random_below(uint64_t bound) {
    MUST(bound > 0);
    /* The numbers below 2^64 mod bound would make the small results likelier. */
    const uint64_t uneven = -bound % bound;
    uint64_t n;
    do
        n = random_u64();
    while (n < uneven);
    return n % bound;
}

void random_id(struct buf *b, size_t letters) {
    static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint8_t octets[64];
    while (letters > 0) {
        size_t n = letters < sizeof octets ? letters : sizeof octets;
        random_octets(octets, n);
        for (size_t i = 0; i < n; i++)
            buf_char(b, alphabet[octets[i] & 31]);
        letters -= n;
    }
}
