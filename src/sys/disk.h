/* disk: the file calls that mail's safety hangs on, as a table, so that tests/crash can put a disk
 * in their place that loses what was not synced, tears writes, fills up or fails to sync. Calls
 * block and may come from an offload thread. Each returns 0 or more, or -errno.
 *
 * Paths are relative to the directory the disk was opened on. */
#ifndef SYS_DISK_H
#define SYS_DISK_H

#include "base/bytes.h"

#include <sys/uio.h>

struct disk {
    void *ctx;
    /* Opens for reading and writing; `create` makes it (the parent directory must exist) and fails
     * with -EEXIST if it is there. Returns a handle. */
    int (*open)(void *ctx, const char *path, bool create);
    int (*close)(void *ctx, int file);
    /* All of it or an error: short writes are finished inside. -ENOSPC may leave part written. */
    int (*write)(void *ctx, int file, uint64_t offset, const struct iovec *parts, int count);
    /* Octets read; fewer than size only at the end of the file. */
    int64_t (*read)(void *ctx, int file, uint64_t offset, void *into, size_t size);
    int64_t (*size)(void *ctx, int file);
    int (*truncate)(void *ctx, int file, uint64_t size);
    /* Reserves room without changing the size visible to read, where the file system can. */
    int (*reserve)(void *ctx, int file, uint64_t offset, uint64_t size);
    int (*sync)(void *ctx, int file);             /* fdatasync */
    int (*sync_dir)(void *ctx, const char *path); /* fsync of a directory; "." is the root */
    int (*make_dir)(void *ctx, const char *path); /* -EEXIST if it is there */
    int (*rename)(void *ctx, const char *from, const char *to);
    int (*unlink)(void *ctx, const char *path);
    /* Calls each(name) for every entry but "." and "..", in no order. */
    int (*list)(void *ctx, const char *path, void (*each)(void *arg, const char *name), void *arg);
    /* Takes an exclusive lock on the file that lasts while it is open; -EWOULDBLOCK if held. */
    int (*lock)(void *ctx, int file);
    /* Free and whole octets and inodes of the file system; all four must be given. */
    int (*space)(void *ctx, uint64_t *free_out, uint64_t *total_out, uint64_t *free_inodes_out,
                 uint64_t *inodes_out);
};

/* The real one, on a directory that must exist; NULL and errno. disk_close closes its handles. */
struct disk *disk_open(const char *directory);
void disk_close(struct disk **d);

#endif
