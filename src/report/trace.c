/* trace: finding in the history what became of a message. This file knows how lines hang together: a
 * message's lines name its id; its first also names its Message-ID and addresses; a notice of ours
 * carries the id of the message it is about in its own Message-ID; a session's other lines name the
 * session only.
 *
 * Two passes over all files, merged by time, with a line of each in memory: the first gathers ids
 * and sessions, the second gives out lines. */
#include "base/arena.h"
#include "base/map.h"
#include "base/must.h"
#include "report/history.h"
#include "report/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE_MAX_OCTETS = 128 * 1024,
    KEYS_MAX = 50 * 1000,
    STREAMS_MAX = 512,
    TIME_AT = 9,
    TIME = 24
};

/* --- reading one worker's files, one after the other ---------------------------------------- */

struct stream {
    const char *directory;
    const struct history_files *files;
    uint32_t worker;
    size_t next; /* file to be opened next, index in files */
    int file;
    struct buf data;
    size_t at;         /* where the current line begins */
    struct bytes line; /* without its line end; empty at the end of all */
    bool failed;
};

static bool open_next(struct stream *s) {
    while (s->next < s->files->count) {
        struct history_name name = s->files->list[s->next++];
        if (name.worker != s->worker)
            continue;
        s->file = history_file_open(s->directory, name);
        if (s->file >= 0)
            return true;
        s->failed = s->failed || errno != ENOENT; /* removed as too old meanwhile */
    }
    return false;
}

/* False at the end of the file. */
static bool fill(struct stream *s) {
    buf_drop(&s->data, s->at);
    s->at = 0;
    if (s->data.len == s->data.max) /* no line is this long */
        buf_clear(&s->data);
    size_t room = s->data.max - s->data.len;
    char *to = buf_room(&s->data, room);
    ptrdiff_t n = history_file_read(s->file, to, room);
    s->failed = s->failed || n < 0;
    if (n > 0)
        buf_wrote(&s->data, (size_t)n);
    return n > 0;
}

static bool is_event(struct bytes line) {
    return line.len > TIME_AT + TIME && bytes_starts(line, B("{\"time\":\"")) &&
           line.at[line.len - 1] == '}';
}

/* The next line that is an event. What is cut off at the end of a file is no line. */
static bool stream_next(struct stream *s) {
    for (;;) {
        if (s->file < 0 && !open_next(s)) {
            s->line = BYTES_NONE;
            return false;
        }
        struct bytes rest = bytes_skip(buf_bytes(&s->data), s->at);
        ptrdiff_t end = bytes_find(rest, '\n');
        if (end >= 0) {
            s->line = bytes_first(rest, (size_t)end);
            s->at += (size_t)end + 1;
            if (is_event(s->line))
                return true;
        } else if (!fill(s)) {
            history_file_close(s->file);
            s->file = -1;
            buf_clear(&s->data);
            s->at = 0;
        }
    }
}

static struct bytes time_of(const struct stream *s) {
    return bytes_slice(s->line, TIME_AT, TIME_AT + TIME);
}

/* --- all of them, in order of time ---------------------------------------------------------- */

struct merge {
    struct history_files files;
    struct stream *streams;
    size_t count;
};

static bool has_worker(const struct merge *m, uint32_t worker) {
    for (size_t i = 0; i < m->count; i++)
        if (m->streams[i].worker == worker)
            return true;
    return false;
}

static int merge_open(struct merge *m, const char *directory) {
    *m = (struct merge){ 0 };
    if (history_files_read(directory, &m->files) < 0)
        return -1;
    m->streams = calloc(STREAMS_MAX, sizeof *m->streams);
    MUST(m->streams);
    for (size_t i = 0; i < m->files.count && m->count < STREAMS_MAX; i++) {
        if (has_worker(m, m->files.list[i].worker))
            continue;
        struct stream *s = &m->streams[m->count++];
        *s = (struct stream){ .directory = directory, .files = &m->files, .file = -1 };
        s->worker = m->files.list[i].worker;
        s->data = buf_grow(LINE_MAX_OCTETS);
        stream_next(s);
    }
    return 0;
}

/* True if all could be read. */
static bool merge_close(struct merge *m) {
    bool whole = true;
    for (size_t i = 0; i < m->count; i++) {
        whole = whole && !m->streams[i].failed;
        if (m->streams[i].file >= 0)
            history_file_close(m->streams[i].file);
        buf_free(&m->streams[i].data);
    }
    free(m->streams);
    history_files_free(&m->files);
    return whole;
}

/* The stream with the earliest line, or NULL. */
static struct stream *merge_first(const struct merge *m) {
    struct stream *first = NULL;
    for (size_t i = 0; i < m->count; i++) {
        struct stream *s = &m->streams[i];
        if (s->line.len && (!first || bytes_compare(time_of(s), time_of(first)) < 0))
            first = s;
    }
    return first;
}

/* --- what a line says ----------------------------------------------------------------------- */

/* The end of the JSON string that begins at `at` (with its quote), behind the closing quote. */
static size_t string_end(struct bytes line, size_t at) {
    for (at++; at < line.len && line.at[at] != '"'; at++)
        if (line.at[at] == '\\')
            at++;
    return at < line.len ? at + 1 : line.len;
}

static bool key_stands_before(struct bytes line, size_t at) {
    return at > 0 && (line.at[at - 1] == ',' || line.at[at - 1] == '{');
}

struct pair {
    struct bytes key, value; /* as they stand in the line, without quotes */
};

/* The next string value with its key; the items of an array come one by one under its key. Our own
 * events only, which have no deeper levels and no blanks. */
static bool next_pair(struct bytes line, size_t *at, struct pair *p) {
    while (*at < line.len) {
        if (line.at[*at] != '"') {
            ++*at;
            continue;
        }
        size_t start = *at, end = string_end(line, start);
        struct bytes text = bytes_slice(line, start + 1, end > start + 1 ? end - 1 : end);
        *at = end;
        if (end < line.len && line.at[end] == ':' && key_stands_before(line, start)) {
            p->key = text;
            continue;
        }
        p->value = text;
        return true;
    }
    return false;
}

/* The value of a key that stands once, or empty. */
static struct bytes value_of(struct bytes line, struct bytes key) {
    struct pair p = { 0 };
    for (size_t at = 0; next_pair(line, &at, &p);)
        if (bytes_equal(p.key, key))
            return p.value;
    return BYTES_NONE;
}

/* --- the search ----------------------------------------------------------------------------- */

struct search {
    struct bytes what;         /* as a JSON string without its quotes */
    struct bytes what_bracket; /* the same in angle brackets, for a Message-ID */
    struct map *messages, *sessions;
    bool too_many;
};

static void remember(struct search *s, struct map *m, struct bytes key) {
    if (!key.len || map_find(m, key))
        return;
    if (map_count(m) < KEYS_MAX)
        map_put(m, key, s);
    else
        s->too_many = true;
}

/* A notice of ours has the Message-ID <ID.more@host>; is it about a message that is known? */
static bool is_notice_of(const struct search *s, struct bytes message_id) {
    ptrdiff_t dot = bytes_find(message_id, '.');
    return dot > 1 && map_find(s->messages, bytes_slice(message_id, 1, (size_t)dot));
}

static bool names_it(const struct search *s, struct bytes line) {
    static const struct bytes keys[] = { { "from", 4 }, { "to", 2 }, { "original_to", 11 } };
    struct pair p = { 0 };
    for (size_t at = 0; next_pair(line, &at, &p);) {
        if ((bytes_equal(p.key, B("message")) || bytes_equal(p.key, B("session"))) &&
            bytes_equal(p.value, s->what))
            return true;
        if (bytes_equal(p.key, B("message_id")) &&
            (bytes_equal(p.value, s->what) || bytes_equal(p.value, s->what_bracket) ||
             is_notice_of(s, p.value)))
            return true;
        for (size_t i = 0; i < COUNT_OF(keys); i++)
            if (bytes_equal(p.key, keys[i]) && bytes_equal_nocase(p.value, s->what))
                return true;
    }
    return false;
}

/* "report" is no session but a door. */
static struct bytes session_of(struct bytes line) {
    struct bytes session = value_of(line, B("session"));
    return bytes_equal(session, B("report")) ? BYTES_NONE : session;
}

static void gather(struct search *s, struct bytes line) {
    struct bytes message = value_of(line, B("message"));
    if (!names_it(s, line) && !(message.len && map_find(s->messages, message)))
        return;
    remember(s, s->messages, message);
    remember(s, s->sessions, session_of(line));
}

/* Lines of other messages in the same session are left out. */
static bool belongs(const struct search *s, struct bytes line) {
    struct bytes message = value_of(line, B("message"));
    if (message.len)
        return map_find(s->messages, message) != NULL;
    return map_find(s->sessions, session_of(line)) != NULL || names_it(s, line);
}

static enum rc pass(const char *directory, struct search *s,
                    void (*each)(void *ctx, struct bytes line), void *ctx, struct why *why) {
    struct merge m;
    if (merge_open(&m, directory) < 0)
        return why_backend(why, "backend.history", "The history in %s cannot be read: %s",
                           directory, strerror(errno));
    for (struct stream *first; (first = merge_first(&m)); stream_next(first)) {
        if (!each)
            gather(s, first->line);
        else if (belongs(s, first->line))
            each(ctx, first->line);
    }
    if (!merge_close(&m))
        return why_backend(why, "backend.history", "Not all of the history in %s could be read",
                           directory);
    return OK;
}

/* A JSON string without its quotes. */
static struct bytes as_json(struct arena *a, struct bytes text) {
    struct buf b = buf_grow(64 * 1024);
    buf_json(&b, text);
    struct bytes json = b.len < 2 ? BYTES_NONE : bytes_slice(buf_bytes(&b), 1, b.len - 1);
    json = arena_copy(a, json);
    buf_free(&b);
    return json;
}

enum rc history_trace(const char *directory, struct bytes what,
                      void (*each)(void *ctx, struct bytes line), void *ctx, struct why *why) {
    struct arena *a = arena_open();
    what = bytes_first(bytes_trim(what), 1024);
    struct search s = { .what = as_json(a, what),
                        .what_bracket = as_json(a, arena_printf(a, "<%.*s>", BYTES_FMT(what))),
                        .messages = map_open(),
                        .sessions = map_open() };
    enum rc rc = what.len ? pass(directory, &s, NULL, NULL, why) : OK;
    if (rc == OK && what.len)
        rc = pass(directory, &s, each, ctx, why);
    if (rc == OK && s.too_many)
        rc = why_backend(why, "backend.history",
                         "More than %d messages or sessions match: not all are shown", KEYS_MAX);
    map_close(&s.messages);
    map_close(&s.sessions);
    arena_close(&a);
    return rc;
}
