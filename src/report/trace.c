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

/* Our own events only, which have no deeper levels and no blanks. */
bool history_pair(struct bytes line, size_t *at, struct history_pair *p) {
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
    struct history_pair p = { 0 };
    for (size_t at = 0; history_pair(line, &at, &p);)
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

struct history_search {
    struct search s;
    const char *directory;
    struct history_view view;
    struct arena *arena;
    struct merge merge;
    bool merging, second; /* pass */
    struct buf seen;      /* what the view left of the current line */
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
    struct history_pair p = { 0 };
    for (size_t at = 0; history_pair(line, &at, &p);) {
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

/* "report" and "control" are no sessions but doors. */
static struct bytes session_of(struct bytes line) {
    struct bytes session = value_of(line, B("session"));
    bool door = bytes_equal(session, B("report")) || bytes_equal(session, B("control"));
    return door ? BYTES_NONE : session;
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

/* A JSON string without its quotes. */
static struct bytes as_json(struct arena *a, struct bytes text) {
    struct buf b = buf_grow(64 * 1024);
    buf_json(&b, text);
    struct bytes json = b.len < 2 ? BYTES_NONE : bytes_slice(buf_bytes(&b), 1, b.len - 1);
    json = arena_copy(a, json);
    buf_free(&b);
    return json;
}

struct history_search *history_search_open(const char *directory, struct bytes what,
                                           const struct history_view *view) {
    struct arena *a = arena_open();
    struct history_search *h = ARENA_NEW(a, struct history_search);
    what = bytes_first(bytes_trim(what), 1024);
    h->arena = a;
    h->directory = arena_str(a, bytes_str(directory));
    h->view = view ? *view : (struct history_view){ 0 };
    h->seen = buf_grow(LINE_MAX_OCTETS);
    h->s = (struct search){ .what = as_json(a, what),
                            .what_bracket = as_json(a, arena_printf(a, "<%.*s>", BYTES_FMT(what))),
                            .messages = map_open(),
                            .sessions = map_open() };
    return h;
}

void history_search_close(struct history_search **hp) {
    struct history_search *h = *hp;
    *hp = NULL;
    if (!h)
        return;
    if (h->merging)
        merge_close(&h->merge);
    map_close(&h->s.messages);
    map_close(&h->s.sessions);
    buf_free(&h->seen);
    struct arena *a = h->arena;
    arena_close(&a);
}

/* The current line as it may be seen; empty: not at all. */
static struct bytes seen(struct history_search *h, struct bytes line) {
    if (!h->view.see)
        return line;
    buf_clear(&h->seen);
    bool visible = h->view.see(h->view.ctx, line, &h->seen);
    return visible && !h->seen.full ? buf_bytes(&h->seen) : BYTES_NONE;
}

/* False: `each` did not take the line. */
static bool search_line(struct history_search *h, struct bytes line,
                        bool (*each)(void *ctx, struct bytes line), void *ctx) {
    line = seen(h, line);
    if (!line.len)
        return true;
    if (!h->second)
        gather(&h->s, line);
    else if (belongs(&h->s, line))
        return each(ctx, line);
    return true;
}

static enum rc pass_begin(struct history_search *h, struct why *why) {
    h->merging = merge_open(&h->merge, h->directory) == 0;
    return h->merging ? OK
                      : why_backend(why, "backend.history", "The history in %s cannot be read: %s",
                                    h->directory, strerror(errno));
}

static enum rc pass_end(struct history_search *h, bool *more, struct why *why) {
    bool whole = merge_close(&h->merge), last = h->second;
    h->merging = false;
    h->second = true;
    *more = !last;
    if (!whole)
        return why_backend(why, "backend.history", "Not all of the history in %s could be read",
                           h->directory);
    if (last && h->s.too_many)
        return why_backend(why, "backend.history",
                           "More than %d messages or sessions match: not all are shown", KEYS_MAX);
    return OK;
}

enum rc history_search_step(struct history_search *h, size_t octets,
                            bool (*each)(void *ctx, struct bytes line), void *ctx, bool *more,
                            struct why *why) {
    *more = h->s.what.len > 0;
    if (!*more)
        return OK;
    if (!h->merging && pass_begin(h, why) != OK)
        return TEMP;
    struct stream *first;
    for (size_t read = 0; (first = merge_first(&h->merge)) && read < octets; stream_next(first)) {
        if (!search_line(h, first->line, each, ctx))
            return OK;
        read += first->line.len;
    }
    return first ? OK : pass_end(h, more, why);
}

struct visit {
    void (*each)(void *ctx, struct bytes line);
    void *ctx;
};

static bool visit_line(void *ctx, struct bytes line) {
    const struct visit *v = ctx;
    v->each(v->ctx, line);
    return true;
}

enum rc history_trace(const char *directory, struct bytes what,
                      void (*each)(void *ctx, struct bytes line), void *ctx, struct why *why) {
    struct history_search *h = history_search_open(directory, what, NULL);
    struct visit v = { each, ctx };
    enum rc rc;
    bool more;
    do
        rc = history_search_step(h, SIZE_MAX, visit_line, &v, &more, why);
    while (rc == OK && more);
    history_search_close(&h);
    return rc;
}
