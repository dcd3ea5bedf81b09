/* history: what happened to messages and sessions, appended as JSON lines to files of its own, one a
 * worker and day. This file knows when a file is full or too old. It keeps what it writes in memory
 * for up to a second: mail's safety hangs on the spool, not on this. A disk that takes no history
 * costs history only; how many lines were lost is written down when it takes them again. */
#include "report/history.h"

#include "base/must.h"
#include "base/num.h"
#include "report/report.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BUFFER_MAX = 256 * 1024,
    WRITE_AT = 64 * 1024, /* what has gathered is written without waiting for the second */
    PART_MIN = 1024 * 1024,
    PART_MAX = 256 * 1024 * 1024,
    CLEAN_MS = 60 * 1000,
    FILES_MAX = 100 * 1000,
};

struct history {
    char *directory;
    int64_t keep_ms;
    uint64_t max_size;
    struct history_name name; /* of the open file; day 0: none */
    int file;
    uint64_t size; /* of the open file */
    struct buf lines;
    uint64_t lost;
    int64_t cleaned;
};

/* --- names ---------------------------------------------------------------------------------- */

bool history_name_parse(struct bytes name, struct history_name *out) {
    uint64_t day, worker, part = 0;
    struct bytes rest = name, head;
    if (!bytes_ends_nocase(name, B(".jsonl")))
        return false;
    rest.len -= 6;
    bytes_split(&rest, '-', &head);
    if (head.len != 8 || !bytes_to_u64(head, 99999999, &day) || !day)
        return false;
    bytes_split(&rest, '-', &head);
    if (!bytes_starts(head, B("w")) || !bytes_to_u64(bytes_skip(head, 1), UINT32_MAX, &worker))
        return false;
    if (rest.len && !bytes_to_u64(rest, UINT32_MAX, &part))
        return false;
    *out = (struct history_name){ (uint32_t)day, (uint32_t)worker, (uint32_t)part };
    return true;
}

void history_name_format(struct buf *b, struct history_name n) {
    buf_printf(b, "%08u-w%u", n.day, n.worker);
    if (n.part)
        buf_printf(b, "-%04u", n.part);
    buf_str(b, ".jsonl");
}

int history_name_compare(const struct history_name *a, const struct history_name *b) {
    if (a->day != b->day)
        return a->day < b->day ? -1 : 1;
    if (a->part != b->part)
        return a->part < b->part ? -1 : 1;
    return a->worker < b->worker ? -1 : a->worker > b->worker;
}

static int compare_names(const void *a, const void *b) {
    return history_name_compare(a, b);
}

int history_files_read(const char *directory, struct history_files *out) {
    *out = (struct history_files){ 0 };
    DIR *d = opendir(directory);
    if (!d)
        return -1;
    for (struct dirent *entry; (entry = readdir(d)) && out->count < FILES_MAX;) {
        struct history_name name;
        if (!history_name_parse(bytes_str(entry->d_name), &name))
            continue;
        if (out->count == out->room) {
            out->room = out->room ? out->room * 2 : 64;
            out->list = realloc(out->list, out->room * sizeof *out->list);
            MUST(out->list);
        }
        out->list[out->count++] = name;
    }
    closedir(d);
    if (out->count)
        qsort(out->list, out->count, sizeof *out->list, compare_names);
    return 0;
}

void history_files_free(struct history_files *f) {
    free(f->list);
    *f = (struct history_files){ 0 };
}

static int open_path(const char *directory, struct history_name name, int flags) {
    char path[4096];
    struct buf b = buf_fixed(path, sizeof path);
    buf_printf(&b, "%s/", directory);
    history_name_format(&b, name);
    if (b.full) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return open(buf_text(&b), flags | O_CLOEXEC, 0640);
}

int history_file_open(const char *directory, struct history_name name) {
    return open_path(directory, name, O_RDONLY);
}

ptrdiff_t history_file_read(int file, char *to, size_t size) {
    ssize_t n;
    do
        n = read(file, to, size);
    while (n < 0 && errno == EINTR);
    return n;
}

void history_file_close(int file) {
    close(file);
}

/* --- opening -------------------------------------------------------------------------------- */

enum rc history_open(const char *directory, int64_t keep_ms, uint64_t max_size, unsigned worker,
                     struct history **out, struct why *why) {
    *out = NULL;
    if (mkdir(directory, 0750) < 0 && errno != EEXIST)
        return why_backend(why, "backend.history", "The directory %s cannot be made: %s", directory,
                           strerror(errno));
    if (access(directory, W_OK | X_OK) < 0)
        return why_backend(why, "backend.history", "The directory %s cannot be written to: %s",
                           directory, strerror(errno));
    struct history *h = calloc(1, sizeof *h);
    MUST(h);
    *h = (struct history){ .keep_ms = keep_ms, .max_size = max_size, .file = -1 };
    h->directory = strdup(directory);
    MUST(h->directory);
    h->name.worker = worker;
    h->lines = buf_grow(BUFFER_MAX);
    *out = h;
    return OK;
}

static void close_file(struct history *h) {
    if (h->file >= 0)
        close(h->file);
    h->file = -1;
    h->name.day = 0;
}

static uint64_t part_size(const struct history *h) {
    uint64_t size = h->max_size / 32;
    return size < PART_MIN ? PART_MIN : size > PART_MAX ? PART_MAX : size;
}

/* The day's last part, after a restart, or the next one when it is full. */
static bool open_file(struct history *h, uint32_t day) {
    struct history_name name = { .day = day, .worker = h->name.worker };
    struct stat st;
    close_file(h);
    for (;; name.part++) {
        int file = open_path(h->directory, name, O_WRONLY | O_CREAT | O_APPEND);
        if (file < 0 || fstat(file, &st) < 0) {
            if (file >= 0)
                close(file);
            return false;
        }
        if ((uint64_t)st.st_size < part_size(h)) {
            h->file = file;
            h->name = name;
            h->size = (uint64_t)st.st_size;
            return true;
        }
        close(file);
    }
}

/* --- writing -------------------------------------------------------------------------------- */

static size_t count_lines(struct bytes text) {
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.at[i] == '\n';
    return count;
}

static bool write_all(struct history *h, struct bytes data) {
    while (data.len) {
        ssize_t n = write(h->file, data.at, data.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        h->size += (uint64_t)n;
        data = bytes_skip(data, (size_t)n);
    }
    return true;
}

/* Says in the file itself what is missing from it, at the time of the line that follows. The line end
 * in front ends a line that was cut off. */
static bool write_lost(struct history *h) {
    char memory[128];
    struct buf b = buf_fixed(memory, sizeof memory);
    if (!h->lost)
        return true;
    buf_printf(&b, "\n{\"time\":\"%.*s\",\"event\":\"history-lost\",\"lines\":%llu}\n",
               BYTES_FMT(bytes_slice(buf_bytes(&h->lines), 9, 33)), (unsigned long long)h->lost);
    return write_all(h, buf_bytes(&b));
}

static void write_lines(struct history *h) {
    if (!h->lines.len)
        return;
    if (h->file >= 0 && write_lost(h) && write_all(h, buf_bytes(&h->lines))) {
        h->lost = 0;
        if (h->size >= part_size(h))
            close_file(h);
    } else {
        h->lost += count_lines(buf_bytes(&h->lines));
        close_file(h);
    }
    buf_clear(&h->lines);
}

/* Every line begins {"time":"2026-11-20T09:30:00.123Z" (base/event.h); 0 for any other. */
static uint32_t day_of(struct bytes line) {
    enum { TIME = 9 };
    uint64_t year, month, day;
    if (line.len < TIME + 10 || !bytes_to_u64(bytes_slice(line, TIME, TIME + 4), 9999, &year) ||
        !bytes_to_u64(bytes_slice(line, TIME + 5, TIME + 7), 12, &month) ||
        !bytes_to_u64(bytes_slice(line, TIME + 8, TIME + 10), 31, &day))
        return 0;
    return (uint32_t)(year * 10000 + month * 100 + day);
}

void history_event(void *history, const char *name, struct bytes line) {
    struct history *h = history;
    uint32_t day = day_of(line);
    (void)name;
    if (!day || (bytes_search(line, B("\"message\":\"")) < 0 &&
                 bytes_search(line, B("\"session\":\"")) < 0))
        return;
    if (day != h->name.day || h->lines.len + line.len + 256 > h->lines.max)
        write_lines(h);
    if (h->file < 0 || day != h->name.day) {
        if (!open_file(h, day)) {
            h->lost++;
            return;
        }
    }
    buf_add(&h->lines, line);
    buf_char(&h->lines, '\n');
    if (h->lines.len >= WRITE_AT)
        write_lines(h);
}

/* --- removing ------------------------------------------------------------------------------- */

static uint32_t day_at(int64_t wall_ms) {
    char text[40];
    struct buf b = buf_fixed(text, sizeof text);
    buf_str(&b, "{\"time\":\"");
    num_format_rfc3339(&b, wall_ms);
    return day_of(buf_bytes(&b));
}

static void path_of(const struct history *h, struct history_name name, struct buf *path) {
    buf_clear(path);
    buf_printf(path, "%s/", h->directory);
    history_name_format(path, name);
}

/* Oldest first, until what is left is young and small enough. The file being written stays. Every
 * worker does this; one that finds a file gone already goes on. */
static void clean(struct history *h, int64_t wall_ms) {
    struct history_files files;
    char memory[4096];
    struct buf path = buf_fixed(memory, sizeof memory);
    uint64_t total = 0;
    struct stat st;
    uint32_t oldest = wall_ms > h->keep_ms ? day_at(wall_ms - h->keep_ms) : 0;
    if (history_files_read(h->directory, &files) < 0)
        return;
    for (size_t i = 0; i < files.count; i++) {
        path_of(h, files.list[i], &path);
        if (stat(buf_text(&path), &st) == 0)
            total += (uint64_t)st.st_size;
    }
    for (size_t i = 0; i < files.count; i++) {
        bool open = h->file >= 0 && history_name_compare(&files.list[i], &h->name) == 0;
        if (files.list[i].day >= oldest && total <= h->max_size)
            break;
        path_of(h, files.list[i], &path);
        if (open || stat(buf_text(&path), &st) < 0 || unlink(buf_text(&path)) < 0)
            continue;
        total -= (uint64_t)st.st_size < total ? (uint64_t)st.st_size : total;
    }
    history_files_free(&files);
}

void history_flush(struct history *h, int64_t wall_ms) {
    write_lines(h);
    /* A clock that jumps back must not stop the cleaning. */
    if (h->cleaned && wall_ms >= h->cleaned && wall_ms - h->cleaned < CLEAN_MS)
        return;
    h->cleaned = wall_ms;
    clean(h, wall_ms);
}

void history_close(struct history **hp) {
    struct history *h = *hp;
    if (!h)
        return;
    write_lines(h);
    close_file(h);
    buf_free(&h->lines);
    free(h->directory);
    free(h);
    *hp = NULL;
}
