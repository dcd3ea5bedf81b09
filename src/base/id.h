/* id: names for sessions: twelve letters and digits that are easy to read out, from a seed that differs
 * between processes and starts, and a number that differs between calls. Pure. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include <stdint.h>

enum { ID_SIZE = 13 }; /* with NUL */
void id_make(uint64_t seed, uint64_t number, char out[ID_SIZE]);

#endif
