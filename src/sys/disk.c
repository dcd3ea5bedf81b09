/* disk: the real one. Handles are descriptors; which are open is noted under a lock, because calls
 * come from the loop and from offload threads. What it adds to the system calls: short reads and
 * writes and EINTR are finished here, and every failure is an errno. */
#include "sys/disk.h"

#include "base/must.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct real {
    struct disk disk;
    int root;
    pthread_mutex_t lock;
    bool *open; /* by descriptor */
    size_t open_size;
};

enum { PARTS_AT_ONCE = 64 };

static void note_open(struct real *r, int file) {
    pthread_mutex_lock(&r->lock);
    size_t need = (size_t)file + 1;
    if (need > r->open_size) {
        need = need < 64 ? 64 : need * 2;
        r->open = realloc(r->open, need * sizeof *r->open);
        MUST(r->open);
        memset(r->open + r->open_size, 0, (need - r->open_size) * sizeof *r->open);
        r->open_size = need;
    }
    r->open[file] = true;
    pthread_mutex_unlock(&r->lock);
}

static int real_open(void *ctx, const char *path, bool create) {
    struct real *r = ctx;
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT | O_EXCL : 0);
    int file;
    do
        file = openat(r->root, path, flags, 0600);
    while (file < 0 && errno == EINTR);
    if (file < 0)
        return -errno;
    note_open(r, file);
    return file;
}

static int real_close(void *ctx, int file) {
    struct real *r = ctx;
    pthread_mutex_lock(&r->lock);
    MUST(file >= 0 && (size_t)file < r->open_size && r->open[file]);
    r->open[file] = false;
    pthread_mutex_unlock(&r->lock);
    return close(file) < 0 && errno != EINTR ? -errno : 0;
}

/* Fills `into` with what is left of the parts behind the first `done` octets. */
static int parts_left(const struct iovec *parts, int count, size_t done,
                      struct iovec into[PARTS_AT_ONCE]) {
    int n = 0;
    for (int i = 0; i < count && n < PARTS_AT_ONCE; i++) {
        if (done >= parts[i].iov_len) {
            done -= parts[i].iov_len;
            continue;
        }
        into[n++] = (struct iovec){ (char *)parts[i].iov_base + done, parts[i].iov_len - done };
        done = 0;
    }
    return n;
}

static int real_write(void *ctx, int file, uint64_t offset, const struct iovec *parts, int count) {
    struct iovec left[PARTS_AT_ONCE];
    size_t done = 0;
    int n;
    (void)ctx;
    while ((n = parts_left(parts, count, done, left)) > 0) {
        ssize_t wrote = pwritev(file, left, n, (off_t)(offset + done));
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return wrote < 0 ? -errno : -EIO;
        done += (size_t)wrote;
    }
    return 0;
}

static int64_t real_read(void *ctx, int file, uint64_t offset, void *into, size_t size) {
    size_t done = 0;
    (void)ctx;
    while (done < size) {
        ssize_t got = pread(file, (char *)into + done, size - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (int64_t)done;
}

static int64_t real_size(void *ctx, int file) {
    struct stat st;
    (void)ctx;
    return fstat(file, &st) < 0 ? -errno : (int64_t)st.st_size;
}

static int real_truncate(void *ctx, int file, uint64_t size) {
    (void)ctx;
    return ftruncate(file, (off_t)size) < 0 ? -errno : 0;
}

static int real_reserve(void *ctx, int file, uint64_t offset, uint64_t size) {
    int failed;
    (void)ctx;
    do
        failed = fallocate(file, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size);
    while (failed && errno == EINTR);
    return failed && errno != EOPNOTSUPP && errno != ENOSYS ? -errno : 0;
}

static int real_sync(void *ctx, int file) {
    (void)ctx;
    return fdatasync(file) < 0 ? -errno : 0;
}

static int open_dir(struct real *r, const char *path) {
    int dir = openat(r->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? -errno : dir;
}

static int real_sync_dir(void *ctx, const char *path) {
    int dir = open_dir(ctx, path);
    if (dir < 0)
        return dir;
    int error = fsync(dir) < 0 ? -errno : 0;
    close(dir);
    return error;
}

static int real_make_dir(void *ctx, const char *path) {
    struct real *r = ctx;
    return mkdirat(r->root, path, 0700) < 0 ? -errno : 0;
}

static int real_rename(void *ctx, const char *from, const char *to) {
    struct real *r = ctx;
    return renameat(r->root, from, r->root, to) < 0 ? -errno : 0;
}

static int real_unlink(void *ctx, const char *path) {
    struct real *r = ctx;
    return unlinkat(r->root, path, 0) < 0 ? -errno : 0;
}

static int real_list(void *ctx, const char *path, void (*each)(void *arg, const char *name),
                     void *arg) {
    int fd = open_dir(ctx, path);
    if (fd < 0)
        return fd;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int error = errno;
        close(fd);
        return -error;
    }
    struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(arg, entry->d_name);
    int error = errno;
    closedir(dir);
    return -error;
}

static int real_lock(void *ctx, int file) {
    (void)ctx;
    return flock(file, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

static int real_space(void *ctx, uint64_t *free_out, uint64_t *total_out, uint64_t *free_inodes_out,
                      uint64_t *inodes_out) {
    struct real *r = ctx;
    struct statvfs fs;
    if (fstatvfs(r->root, &fs) < 0)
        return -errno;
    *free_out = (uint64_t)fs.f_bavail * fs.f_frsize;
    *total_out = (uint64_t)fs.f_blocks * fs.f_frsize;
    *free_inodes_out = fs.f_favail;
    *inodes_out = fs.f_files;
    return 0;
}

static const struct disk calls = {
    .open = real_open,
    .close = real_close,
    .write = real_write,
    .read = real_read,
    .size = real_size,
    .truncate = real_truncate,
    .reserve = real_reserve,
    .sync = real_sync,
    .sync_dir = real_sync_dir,
    .make_dir = real_make_dir,
    .rename = real_rename,
    .unlink = real_unlink,
    .list = real_list,
    .lock = real_lock,
    .space = real_space,
};

struct disk *disk_open(const char *directory) {
    int root = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return NULL;
    struct real *r = calloc(1, sizeof *r);
    MUST(r);
    r->disk = calls;
    r->disk.ctx = r;
    r->root = root;
    MUST(pthread_mutex_init(&r->lock, NULL) == 0);
    return &r->disk;
}

void disk_close(struct disk **d) {
    if (!*d)
        return;
    struct real *r = (*d)->ctx;
    for (size_t i = 0; i < r->open_size; i++)
        if (r->open[i])
            close((int)i);
    close(r->root);
    pthread_mutex_destroy(&r->lock);
    free(r->open);
    free(r);
    *d = NULL;
}
