/* random: octets nobody can foresee, from the kernel (getrandom). Never fails. */
#ifndef SYS_RANDOM_H
#define SYS_RANDOM_H

#include "base/buf.h"

/* The C library has a <sys/random.h> too, and src/ comes first in the search. */
#include_next <sys/random.h>

void random_octets(void *into, size_t size);
uint64_t random_u64(void);
/* Evenly from 0 to bound - 1; bound is not 0. */
uint64_t random_below(uint64_t bound);
/* Appends an id of `letters` lower-case letters and digits, five bits each, without i l o u, which
 * people misread. */
void random_id(struct buf *b, size_t letters);

#endif
