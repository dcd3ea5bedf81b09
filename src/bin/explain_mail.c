/* explain_mail: files, mboxes and Maildirs. This file alone knows where a message in an mbox ends (RFC 4155:
 * an empty line, then a line that begins with "From " and has a time in it), and which files of a
 * Maildir are mail. */
#include "bin/explain_mail.h"

#include "bin/explain.h"
#include "sys/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 256 * 1024 };

/* --- which files ------------------------------------------------------------------------------------------- */

static void add_file(struct mail_list *l, struct bytes path, uint64_t size) {
    if (l->count == MAIL_FILES) {
        l->cut = true;
        return;
    }
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        struct mail_file *files = ARENA_ARRAY(l->arena, room, struct mail_file);
        if (l->count)
            memcpy(files, l->files, l->count * sizeof *files);
        l->files = files;
        l->room = room;
    }
    l->files[l->count++] = (struct mail_file){ arena_copy(l->arena, path), size };
    l->octets += size;
}

static bool has_name(const struct bytes *names, size_t count, const char *wanted) {
    for (size_t i = 0; i < count; i++)
        if (bytes_equal(names[i], bytes_str(wanted)))
            return true;
    return false;
}

static enum rc add_path(struct mail_list *l, struct bytes path, unsigned depth, struct why *why);

/* Of a Maildir the files in cur and new, and the folders below it; of any other folder all but hidden ones. */
static bool is_wanted(struct bytes name, bool maildir, bool directory) {
    if (!maildir)
        return name.at[0] != '.';
    return directory && !bytes_equal(name, B("tmp"));
}

static enum rc add_folder(struct mail_list *l, struct bytes path, unsigned depth, struct why *why) {
    struct bytes *names;
    size_t count;
    struct stat st;
    enum rc rc = files_list(path, MAIL_FILES, l->arena, &names, &count, why);
    if (rc != OK)
        return rc;
    bool maildir = has_name(names, count, "cur") && has_name(names, count, "new");
    for (size_t i = 0; i < count; i++) {
        struct bytes child =
            arena_printf(l->arena, "%.*s/%.*s", BYTES_FMT(path), BYTES_FMT(names[i]));
        /* A link to a folder may lead in a circle. */
        if (lstat(child.at, &st) != 0 || !is_wanted(names[i], maildir, S_ISDIR(st.st_mode)))
            continue;
        if (S_ISDIR(st.st_mode) ? depth >= MAIL_DEPTH
                                : stat(child.at, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        rc = add_path(l, child, depth + 1, why);
        if (rc != OK)
            return rc;
    }
    return OK;
}

static enum rc add_path(struct mail_list *l, struct bytes path, unsigned depth, struct why *why) {
    struct stat st;
    if (bytes_equal(path, B("-"))) {
        add_file(l, path, 0);
        return OK;
    }
    if (stat(path.at, &st) != 0)
        return why_set(why, PERM, 0, NULL, "files.missing", "%.*s: %s", BYTES_FMT(path),
                       strerror(errno));
    if (S_ISDIR(st.st_mode))
        return add_folder(l, path, depth, why);
    add_file(l, path, S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0);
    return OK;
}

enum rc mail_list_add(struct mail_list *l, struct bytes path, struct why *why) {
    return add_path(l, path, 0, why);
}

/* --- one file ---------------------------------------------------------------------------------------------- */

/* Reads on; false at the end, or when the window is full. */
static bool fill(struct mail_reader *r) {
    size_t room = r->window.max - r->window.len;
    if (r->ended || room < BLOCK)
        return false;
    char *to = buf_room(&r->window, BLOCK);
    ssize_t got;
    do
        got = read(r->fd, to, BLOCK);
    while (got < 0 && errno == EINTR);
    r->ended = got <= 0;
    if (got <= 0)
        return false;
    buf_wrote(&r->window, (size_t)got);
    r->octets += (uint64_t)got;
    return true;
}

/* "From bob@example.com Fri Nov 20 09:30:00 2026": a time is in it. */
static bool is_separator(struct bytes line) {
    if (!bytes_starts(line, B("From ")))
        return false;
    line = bytes_first(line, 200);
    for (size_t i = 6; i + 2 < line.len; i++)
        if (line.at[i] == '\n')
            return false;
        else if (line.at[i] == ':' && ascii_is_digit(line.at[i - 1]) &&
                 ascii_is_digit(line.at[i + 1]))
            return true;
    return false;
}

/* The place of the next separator behind `from`, or -1. */
static ptrdiff_t separator(struct bytes text, size_t from) {
    while (from < text.len) {
        ptrdiff_t at = bytes_search(bytes_skip(text, from), B("\nFrom "));
        if (at < 0)
            return -1;
        size_t line = from + (size_t)at + 1;
        bool empty = line >= 2 && (text.at[line - 2] == '\n' || text.at[line - 2] == '\r');
        if (empty && is_separator(bytes_skip(text, line)))
            return (ptrdiff_t)line;
        from = line;
    }
    return -1;
}

enum rc mail_reader_open(struct mail_reader *r, struct bytes path, struct why *why) {
    bool standard = bytes_equal(path, B("-"));
    *r =
        (struct mail_reader){ .fd = standard ? STDIN_FILENO : open(path.at, O_RDONLY | O_CLOEXEC) };
    if (r->fd < 0)
        return why_set(why, PERM, 0, NULL, "files.denied", "%.*s: %s", BYTES_FMT(path),
                       strerror(errno));
    r->window = buf_grow(EXPLAIN_INPUT + 2 * BLOCK);
    while (r->window.len < BLOCK && fill(r))
        ;
    r->mbox = is_separator(buf_bytes(&r->window));
    return OK;
}

/* Goes on to the next separator without keeping what lies between. */
static void skip_rest(struct mail_reader *r) {
    enum { OVERLAP = 256 };
    ptrdiff_t at;
    while ((at = separator(buf_bytes(&r->window), 0)) < 0) {
        if (r->window.len > OVERLAP)
            buf_drop(&r->window, r->window.len - OVERLAP);
        if (!fill(r)) {
            buf_clear(&r->window);
            return;
        }
    }
    buf_drop(&r->window, (size_t)at);
}

static bool next_of_mbox(struct mail_reader *r, struct bytes *out) {
    ptrdiff_t at;
    size_t from = 5;
    if (r->cut)
        skip_rest(r);
    r->cut = false;
    if (!r->window.len && !fill(r))
        return false;
    while ((at = separator(buf_bytes(&r->window), from)) < 0) {
        /* What might be half a separator is looked at again. */
        from = r->window.len > 256 ? r->window.len - 256 : 5;
        if (!fill(r))
            break;
    }
    r->cut = at < 0 && !r->ended;
    r->used = at < 0 ? r->window.len : (size_t)at;
    struct bytes message = bytes_first(buf_bytes(&r->window), r->used), line;
    bytes_split(&message, '\n', &line);
    *out = message;
    r->number++;
    return true;
}

bool mail_reader_next(struct mail_reader *r, struct bytes *message_out) {
    buf_drop(&r->window, r->used);
    r->used = 0;
    if (r->mbox)
        return next_of_mbox(r, message_out);
    if (r->number)
        return false;
    while (fill(r))
        ;
    r->cut = !r->ended;
    r->number = 1;
    *message_out = bytes_first(buf_bytes(&r->window), EXPLAIN_INPUT);
    return true;
}

void mail_reader_close(struct mail_reader *r) {
    buf_free(&r->window);
    if (r->fd > STDIN_FILENO)
        close(r->fd);
    r->fd = -1;
}
