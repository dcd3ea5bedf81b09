/* storage: how fields lie in the structs of config.h, for freeze.c. Each struct's table names its
 * fields in order and without a gap; a test holds it to that. */
#ifndef CONFIG_STORAGE_H
#define CONFIG_STORAGE_H

#include <stddef.h>
#include <stdint.h>

enum storage_kind {
    KIND_END,
    KIND_BYTES, /* max 1: withheld from workers */
    KIND_U64,   /* int64_t too; at most max, unless that is 0 */
    KIND_U16,
    KIND_ENUM, /* four octets: enums, int, unsigned; at most max */
    KIND_BOOL,
    KIND_ADDR,
    KIND_SUB,     /* a struct */
    KIND_LIST,    /* a struct of count and list */
    KIND_COUNT,   /* a count whose list is the field at list_at */
    KIND_POINTER, /* that list */
    KIND_SKIPPED,
};
struct storage {
    enum storage_kind kind;
    size_t offset, size;
    uint64_t max;
    const struct storage *of; /* the struct inside, or the item */
    size_t item;              /* octets an item takes in memory */
    size_t list_at;
};

extern const struct storage config_storage[];

#endif
