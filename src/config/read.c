/* read: the files a configuration consists of and refers to. This file alone opens files and looks
 * at the environment; what it has read is wiped when the config closes, since any of it may be a
 * secret. */
#include "config/reading.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_MAX = 64 * 1024, PEM_MAX = 1024 * 1024 };

struct wipe {
    char *at;
    size_t len;
};

static void wipe(void *arg) {
    struct wipe *w = arg;
    explicit_bzero(w->at, w->len);
}

/* Memory whose contents do not outlive the arena. */
static char *alloc_wiped(struct arena *a, size_t len) {
    struct wipe *w = ARENA_NEW(a, struct wipe);
    *w = (struct wipe){ .at = arena_alloc(a, len + 1), .len = len };
    arena_defer(a, wipe, w);
    return w->at;
}

/* Up to `max` octets; -1 with errno. */
static ssize_t read_all(int fd, char *to, size_t max) {
    size_t len = 0;
    while (len < max) {
        ssize_t n = read(fd, to + len, max - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static const char *read_open(struct arena *a, int fd, size_t max, struct bytes *out,
                             bool *exposed_out) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return strerror(errno);
    if (S_ISDIR(st.st_mode))
        return "it is a directory";
    if (S_ISREG(st.st_mode) && st.st_size > (off_t)max)
        return "it is too large";
    *exposed_out = S_ISREG(st.st_mode) && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0;
    /* A pipe has no size; a file may grow: one octet more than allowed tells. */
    size_t room = S_ISREG(st.st_mode) ? (size_t)st.st_size + 1 : max + 1;
    char *at = alloc_wiped(a, room);
    ssize_t len = read_all(fd, at, room);
    if (len < 0)
        return strerror(errno);
    if ((size_t)len == room)
        return room > max ? "it is too large" : "it changed while it was read";
    *out = bytes_of(at, (size_t)len);
    return NULL;
}

const char *read_file(struct arena *a, struct bytes path, size_t max, struct bytes *out,
                      bool *exposed_out) {
    int fd = open(arena_str(a, path), O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return strerror(errno);
    const char *problem = read_open(a, fd, max, out, exposed_out);
    close(fd);
    return problem;
}

/* A file a setting names. */
static bool read_named(struct reading *r, int line, struct bytes label, struct bytes path,
                       size_t max, struct bytes *out, bool *exposed_out) {
    const char *problem = read_file(r->arena, path, max, out, exposed_out);
    if (problem)
        reading_error(r, line, label, "config.file",
                      "cannot read %.*s: %s; expected a file this "
                      "process may read",
                      BYTES_FMT(path), problem);
    return !problem;
}

static void warn_exposed(struct reading *r, int line, struct bytes label, struct bytes path) {
    reading_warning(r, line, label, "config.permissions",
                    "%.*s holds a secret and is open to its group or to everybody; chmod 600 it",
                    BYTES_FMT(path));
}

static bool read_env(struct reading *r, int line, struct bytes label, struct bytes name,
                     struct bytes *out) {
    const char *value = getenv(arena_str(r->arena, name));
    if (!value || !*value) {
        reading_error(r, line, label, "config.file",
                      "the environment variable %.*s is not set; expected a secret in it",
                      BYTES_FMT(name));
        return false;
    }
    size_t len = strlen(value);
    char *copy = alloc_wiped(r->arena, len);
    memcpy(copy, value, len);
    *out = bytes_of(copy, len);
    return true;
}

static struct bytes without_line_end(struct bytes text) {
    while (text.len && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r'))
        text = bytes_first(text, text.len - 1);
    return text;
}

bool read_reference(struct reading *r, int line, struct bytes label, struct bytes reference,
                    struct bytes *out) {
    bool exposed = false;
    if (bytes_starts(reference, B("env:")))
        return read_env(r, line, label, bytes_skip(reference, 4), out);
    struct bytes path = bytes_skip(reference, 5), text;
    if (!read_named(r, line, label, path, SECRET_MAX, &text, &exposed))
        return false;
    if (exposed && !bytes_ends_nocase(label, B(": jwks"))) /* public keys are no secret */
        warn_exposed(r, line, label, path);
    *out = without_line_end(text);
    if (out->len > 0)
        return true;
    reading_error(r, line, label, "config.file", "%.*s is empty; expected a secret in it",
                  BYTES_FMT(path));
    return false;
}

bool read_pem(struct reading *r, int line, struct bytes label, struct bytes path, bool key,
              struct bytes *out) {
    struct bytes mark = key ? B("PRIVATE KEY-----") : B("-----BEGIN CERTIFICATE-----");
    bool exposed = false;
    if (!read_named(r, line, label, path, PEM_MAX, out, &exposed))
        return false;
    if (bytes_search(*out, mark) < 0) {
        reading_error(r, line, label, "config.file", "%.*s holds no %s; expected PEM",
                      BYTES_FMT(path), key ? "private key" : "certificate");
        return false;
    }
    if (key && exposed)
        warn_exposed(r, line, label, path);
    return true;
}
