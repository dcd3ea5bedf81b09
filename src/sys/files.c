/* files: whole small files. Reading refuses what is no regular file before it blocks on it (a FIFO),
 * writing goes through a temporary file beside the target, because only a rename within one
 * directory replaces a file in one step. */
#include "sys/files.h"

#include "base/must.h"
#include "sys/random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

/* False when the path is no file name at all. */
static bool path_text(struct bytes path, char out[PATH_SIZE]) {
    if (path.len == 0 || path.len >= PATH_SIZE || bytes_find(path, '\0') >= 0)
        return false;
    memcpy(out, path.at, path.len);
    out[path.len] = '\0';
    return true;
}

static enum rc failed(struct why *why, const char *what, struct bytes path, int error) {
    static const struct {
        int error;
        enum rc rc;
        const char *reason;
    } known[] = {
        { ENOENT, PERM, "files.missing" },    { ENOTDIR, PERM, "files.missing" },
        { EACCES, PERM, "files.denied" },     { EPERM, PERM, "files.denied" },
        { ELOOP, PERM, "files.denied" },      { EFBIG, PERM, "files.big" },
        { ENAMETOOLONG, PERM, "files.name" }, { EINVAL, PERM, "files.name" },
        { ENOSPC, TEMP, "files.full" },       { EDQUOT, TEMP, "files.full" },
    };
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (known[i].error == error)
            return why_set(why, known[i].rc, 0, NULL, known[i].reason, "cannot %s %.*s: %s", what,
                           BYTES_FMT(path), strerror(error));
    return why_set(why, TEMP, 0, NULL, "files.read", "cannot %s %.*s: %s", what, BYTES_FMT(path),
                   strerror(error));
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Reads to the end; one octet more than the limit is asked for, to see that there is none. */
static int read_all(int fd, size_t limit, struct buf *into) {
    for (;;) {
        size_t room = limit + 1 - into->len;
        if (room > 65536)
            room = 65536;
        char *at = buf_room(into, room);
        if (!at)
            return EFBIG;
        ssize_t got = read(fd, at, room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : 0;
        buf_wrote(into, (size_t)got);
        if (into->len > limit)
            return EFBIG;
    }
}

static enum rc open_regular(struct bytes path, int *fd_out, struct stat *st, struct why *why) {
    char name[PATH_SIZE];
    if (!path_text(path, name))
        return failed(why, "read", path, EINVAL);
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return failed(why, "read", path, errno);
    if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode)) {
        close(fd);
        return why_set(why, PERM, 0, NULL, "files.denied", "%.*s is not a regular file",
                       BYTES_FMT(path));
    }
    *fd_out = fd;
    return OK;
}

enum rc files_read(struct bytes path, size_t limit, struct arena *a, struct bytes *out,
                   struct why *why) {
    struct stat st;
    int fd;
    enum rc rc = open_regular(path, &fd, &st, why);
    if (rc != OK)
        return rc;
    struct buf content = buf_grow(limit + 65536);
    int error = read_all(fd, limit, &content);
    close(fd);
    if (!error)
        *out = arena_copy(a, buf_bytes(&content));
    if (content.at)
        explicit_bzero(content.at, content.len); /* it may have been a key */
    buf_free(&content);
    if (error == EFBIG)
        return why_set(why, PERM, 0, NULL, "files.big", "%.*s has more than %zu octets",
                       BYTES_FMT(path), limit);
    return error ? failed(why, "read", path, error) : OK;
}

enum rc files_read_from(struct bytes path, uint64_t offset, size_t limit, struct arena *a,
                        struct bytes *out, struct why *why) {
    struct stat st;
    int fd;
    enum rc rc = open_regular(path, &fd, &st, why);
    if (rc != OK)
        return rc;
    uint64_t left = (uint64_t)st.st_size > offset ? (uint64_t)st.st_size - offset : 0;
    size_t want = left < limit ? (size_t)left : limit, got = 0;
    char *into = arena_alloc(a, want + 1);
    ssize_t n = 1;
    while (got < want && n > 0) {
        n = pread(fd, into + got, want - got, (off_t)(offset + got));
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            got += (size_t)n;
    }
    int error = n < 0 ? errno : 0;
    close(fd);
    *out = bytes_of(into, got);
    return error ? failed(why, "read", path, error) : OK;
}

enum rc files_size(struct bytes path, uint64_t *out, struct why *why) {
    struct stat st;
    struct why mine;
    int fd = -1;
    *out = 0;
    enum rc rc = open_regular(path, &fd, &st, &mine);
    if (rc != OK && !strcmp(mine.reason, "files.missing"))
        return OK;
    if (rc != OK) {
        if (why)
            *why = mine;
        return rc;
    }
    close(fd);
    *out = (uint64_t)st.st_size;
    return OK;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int write_all(int fd, struct bytes content) {
    while (content.len > 0) {
        ssize_t wrote = write(fd, content.at, content.len);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return errno;
        content = bytes_skip(content, (size_t)wrote);
    }
    return 0;
}

static int give_owner(int fd, struct files_owner owner) {
    if ((owner.uid != (uid_t)-1 || owner.gid != (gid_t)-1) && fchown(fd, owner.uid, owner.gid) < 0)
        return errno;
    return fchmod(fd, owner.mode) < 0 ? errno : 0; /* behind chown, which clears bits */
}

static int fill_file(const char *name, struct bytes content, struct files_owner owner) {
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno;
    int error = give_owner(fd, owner);
    if (!error)
        error = write_all(fd, content);
    if (!error && fsync(fd) < 0)
        error = errno;
    if (close(fd) < 0 && !error)
        error = errno;
    return error;
}

/* Syncs the directory that `name` lies in. */
static int sync_parent(const char *name) {
    char dir[PATH_SIZE];
    const char *slash = strrchr(name, '/');
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - name) + 1 : 1, slash ? name : ".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = fsync(fd) < 0 ? errno : 0;
    close(fd);
    return error;
}

enum rc files_write(struct bytes path, struct bytes content, struct files_owner owner,
                    struct why *why) {
    char name[PATH_SIZE], temporary[PATH_SIZE + 32];
    if (!path_text(path, name))
        return failed(why, "write", path, EINVAL);
    struct buf text = buf_fixed(temporary, sizeof temporary);
    buf_str(&text, name);
    buf_str(&text, ".");
    random_id(&text, 12);
    int error = fill_file(buf_text(&text), content, owner);
    if (!error && rename(temporary, name) < 0)
        error = errno;
    if (error && error != EEXIST)
        unlink(temporary);
    if (!error)
        error = sync_parent(name);
    return error ? failed(why, "write", path, error) : OK;
}

/* --- locking ---------------------------------------------------------------------------------- */

static enum rc held_by_another(int fd, struct bytes path, struct why *why) {
    char text[24];
    ssize_t got = pread(fd, text, sizeof text, 0);
    struct bytes pid = bytes_trim(bytes_of(text, got > 0 ? (size_t)got : 0));
    return why_set(why, PERM, 0, NULL, "files.locked", "%.*s is held by process %.*s",
                   BYTES_FMT(path), BYTES_FMT(pid));
}

enum rc files_lock(struct bytes path, int *fd_out, struct why *why) {
    char name[PATH_SIZE], pid[24];
    if (!path_text(path, name))
        return failed(why, "lock", path, EINVAL);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return failed(why, "lock", path, errno);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        enum rc rc = errno == EWOULDBLOCK ? held_by_another(fd, path, why)
                                          : failed(why, "lock", path, errno);
        close(fd);
        return rc;
    }
    /* Only for people to read: an id that could not be written does no harm. */
    int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)len, 0) < 0)
        errno = 0;
    *fd_out = fd;
    return OK;
}

/* --- directories ------------------------------------------------------------------------------ */

enum rc files_make_dir(struct bytes path, struct files_owner owner, struct why *why) {
    char name[PATH_SIZE];
    if (!path_text(path, name))
        return failed(why, "make directory", path, EINVAL);
    bool made = mkdir(name, 0700) == 0;
    if (!made && errno != EEXIST)
        return failed(why, "make directory", path, errno);
    /* Opened without following a link, so that owner and mode go to this directory and no other. */
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return why_set(why, PERM, 0, NULL, "files.denied", "%.*s is not a directory",
                       BYTES_FMT(path));
    if (fd < 0)
        return failed(why, "open directory", path, errno);
    int error = give_owner(fd, owner);
    close(fd);
    if (!error && made)
        error = sync_parent(name);
    return error ? failed(why, "make directory", path, error) : OK;
}

bool files_owner_of(struct bytes path, struct files_owner *out) {
    char name[PATH_SIZE];
    struct stat st;
    if (!path_text(path, name) || lstat(name, &st) < 0)
        return false;
    *out = (struct files_owner){ st.st_mode & 07777, st.st_uid, st.st_gid };
    return true;
}

enum rc files_move(struct bytes from, struct bytes to, struct why *why) {
    char source[PATH_SIZE], target[PATH_SIZE];
    if (!path_text(from, source) || !path_text(to, target))
        return failed(why, "move", from, EINVAL);
    if (rename(source, target) < 0)
        return errno == ENOENT ? OK : failed(why, "move", from, errno);
    int error = sync_parent(target);
    if (!error)
        error = sync_parent(source);
    return error ? failed(why, "move", from, error) : OK;
}

static int by_name(const void *a, const void *b) {
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

static bool is_entry(const struct dirent *e) {
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

enum rc files_list(struct bytes path, size_t limit, struct arena *a, struct bytes **out,
                   size_t *count_out, struct why *why) {
    char name[PATH_SIZE];
    if (!path_text(path, name))
        return failed(why, "list", path, EINVAL);
    DIR *dir = opendir(name);
    if (!dir)
        return failed(why, "list", path, errno);
    size_t count = 0, cap = 0;
    struct bytes *names = NULL;
    struct dirent *entry;
    while (count < limit && (errno = 0, entry = readdir(dir))) {
        if (!is_entry(entry))
            continue;
        if (count == cap) {
            cap = cap ? cap * 2 : 64;
            names = realloc(names, cap * sizeof *names);
            MUST(names);
        }
        names[count++] = arena_copy(a, bytes_str(entry->d_name));
    }
    closedir(dir);
    if (count)
        qsort(names, count, sizeof *names, by_name);
    *out = ARENA_ARRAY(a, count ? count : 1, struct bytes);
    if (count)
        memcpy(*out, names, count * sizeof *names);
    free(names);
    *count_out = count;
    return OK;
}

uint64_t files_stamp(struct bytes path) {
    char name[PATH_SIZE];
    struct stat st;
    if (!path_text(path, name) || stat(name, &st) < 0)
        return 0;
    struct {
        uint64_t device, inode, size, seconds, nanoseconds;
    } seen = { st.st_dev, st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec,
               (uint64_t)st.st_mtim.tv_nsec };
    uint64_t hash = bytes_hash(bytes_of(&seen, sizeof seen));
    return hash ? hash : 1;
}
