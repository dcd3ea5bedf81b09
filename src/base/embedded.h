/* embedded: files of data/ as tools/embed.py builds them in: an array that a NULL name ends. */
#ifndef BASE_EMBEDDED_H
#define BASE_EMBEDDED_H

#include <stddef.h>

struct embedded {
    const char *name;
    const unsigned char *octets;
    size_t size;
};

#endif
