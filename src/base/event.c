/* event: building one line of JSON and handing it round. This file alone knows the sinks and keeps
 * every line within 64 KiB: a value that is too long is cut, a field that has no room is left out,
 * so that the line is always a whole object.
 *
 * A sink, or a function called between begin and end, may itself write an event: events nest a few
 * deep, and end in the reverse order. Their memory is kept, so that an event allocates nothing. */
#include "base/event.h"

#include "base/buf.h"
#include "base/must.h"
#include "base/num.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_SIZE = 64 * 1024, CLOSING = 2, NESTED_MAX = 4, SINKS_MAX = 8 };

enum array_state { NO_ARRAY, ARRAY_EMPTY, ARRAY_FILLED, ARRAY_LEFT_OUT };

struct event {
    struct buf line;
    const char *name;
    enum array_state array;
};

struct sink {
    event_sink *write;
    void *ctx;
};

static struct event events[NESTED_MAX];
static size_t open_events;
static struct sink sinks[SINKS_MAX];
static size_t sink_count;

static int64_t system_clock(void *ctx) {
    struct timespec now;
    (void)ctx;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static event_clock *read_clock = system_clock;
static void *read_clock_ctx;

void event_open(event_clock *clock, void *clock_ctx) {
    read_clock = clock ? clock : system_clock;
    read_clock_ctx = clock_ctx;
}

void event_listen(event_sink *sink, void *ctx) {
    MUST(sink && sink_count < SINKS_MAX);
    sinks[sink_count++] = (struct sink){ sink, ctx };
}

void event_unlisten(event_sink *sink, void *ctx) {
    for (size_t i = 0; i < sink_count; i++)
        if (sinks[i].write == sink && sinks[i].ctx == ctx) {
            sink_count--;
            memmove(&sinks[i], &sinks[i + 1], (sink_count - i) * sizeof *sinks);
            return;
        }
}

struct event *event_begin(const char *name) {
    MUST(open_events < NESTED_MAX);
    struct event *e = &events[open_events++];
    if (!e->line.own)
        e->line = buf_grow(LINE_MAX_SIZE);
    buf_clear(&e->line);
    e->line.max = LINE_MAX_SIZE - CLOSING;
    e->name = name;
    e->array = NO_ARRAY;
    buf_add(&e->line, B("{\"time\":\""));
    num_format_rfc3339(&e->line, read_clock(read_clock_ctx));
    buf_add(&e->line, B("\",\"event\":"));
    buf_json(&e->line, bytes_str(name));
    MUST(!e->line.full);
    return e;
}

/* Everything written since `start` is taken back if it did not fit. */
static bool keep(struct event *e, size_t start) {
    if (!e->line.full)
        return true;
    buf_cut(&e->line, start);
    e->line.full = false;
    return false;
}

/* Keys are our own words and need no escaping. */
static void put_key(struct event *e, const char *key) {
    MUST(e == &events[open_events - 1] && e->array == NO_ARRAY);
    buf_add(&e->line, B(",\""));
    buf_str(&e->line, key);
    buf_add(&e->line, B("\":"));
}

/* Shorter, and not within a character. */
static struct bytes shorter(struct bytes value, size_t len) {
    while (len > 0 && ((unsigned char)value.at[len] & 0xc0) == 0x80)
        len--;
    return bytes_first(value, len);
}

/* As much of the value as fits. How long its escaped form is shows when it is written. */
static void put_text(struct event *e, struct bytes value) {
    size_t start = e->line.len;
    if (e->line.full)
        return;
    size_t room = e->line.max - start;
    if (value.len > room)
        value = shorter(value, room);
    buf_json(&e->line, value);
    while (value.len > 0 && !keep(e, start)) {
        value = shorter(value, value.len - 1 - value.len / 8);
        buf_json(&e->line, value);
    }
}

void event_text(struct event *e, const char *key, struct bytes value) {
    size_t start = e->line.len;
    if (value.len == 0)
        return;
    put_key(e, key);
    put_text(e, value);
    keep(e, start);
}

void event_str(struct event *e, const char *key, const char *value) {
    event_text(e, key, bytes_str(value));
}

void event_u64(struct event *e, const char *key, uint64_t value) {
    size_t start = e->line.len;
    put_key(e, key);
    buf_u64(&e->line, value);
    keep(e, start);
}

void event_i64(struct event *e, const char *key, int64_t value) {
    size_t start = e->line.len;
    put_key(e, key);
    buf_i64(&e->line, value);
    keep(e, start);
}

void event_json(struct event *e, const char *key, struct bytes json) {
    size_t start = e->line.len;
    put_key(e, key);
    buf_add(&e->line, json);
    keep(e, start);
}

void event_bool(struct event *e, const char *key, bool value) {
    size_t start = e->line.len;
    put_key(e, key);
    buf_str(&e->line, value ? "true" : "false");
    keep(e, start);
}

void event_addr(struct event *e, const char *key, struct addr a) {
    size_t start = e->line.len;
    if (a.family == 0)
        return;
    put_key(e, key);
    buf_char(&e->line, '"');
    addr_format(&e->line, a);
    buf_char(&e->line, '"');
    keep(e, start);
}

void event_time(struct event *e, const char *key, int64_t wall_ms) {
    size_t start = e->line.len;
    put_key(e, key);
    buf_char(&e->line, '"');
    num_format_rfc3339(&e->line, wall_ms);
    buf_char(&e->line, '"');
    keep(e, start);
}

void event_why(struct event *e, const struct why *w) {
    char status[12];
    if (!w)
        return;
    if (w->code)
        event_i64(e, "code", w->code);
    status_format(w->status, status);
    event_str(e, "enhanced", status);
    event_str(e, "reason", w->reason);
    event_str(e, "text", w->text);
}

void event_array(struct event *e, const char *key) {
    size_t start = e->line.len;
    put_key(e, key);
    buf_add(&e->line, B("[]"));
    e->array = keep(e, start) ? ARRAY_EMPTY : ARRAY_LEFT_OUT;
    if (e->array == ARRAY_LEFT_OUT)
        return;
    /* The bracket is taken back, its room kept from the items. */
    buf_cut(&e->line, e->line.len - 1);
    e->line.max--;
}

void event_item(struct event *e, struct bytes value) {
    size_t start = e->line.len;
    MUST(e->array != NO_ARRAY);
    if (e->array == ARRAY_LEFT_OUT)
        return;
    if (e->array == ARRAY_FILLED)
        buf_char(&e->line, ',');
    put_text(e, value);
    if (keep(e, start))
        e->array = ARRAY_FILLED;
}

/* The room for this was kept. */
static void close_with(struct event *e, char c) {
    e->line.max++;
    buf_char(&e->line, c);
}

void event_array_end(struct event *e) {
    MUST(e->array != NO_ARRAY);
    if (e->array != ARRAY_LEFT_OUT)
        close_with(e, ']');
    e->array = NO_ARRAY;
}

/* One write, so that lines of several processes do not mix. */
static void write_stderr(struct event *e) {
    close_with(e, '\n');
    ssize_t written = write(STDERR_FILENO, e->line.at, e->line.len);
    (void)written; /* nobody is left to tell */
}

void event_end(struct event *e) {
    struct sink now[SINKS_MAX];
    size_t count = sink_count;
    MUST(e == &events[open_events - 1] && e->array == NO_ARRAY);
    close_with(e, '}');
    /* A copy: a sink may stop listening while it is called. */
    memcpy(now, sinks, count * sizeof *now);
    if (count == 0)
        write_stderr(e);
    for (size_t i = 0; i < count; i++)
        now[i].write(now[i].ctx, e->name, buf_bytes(&e->line));
    open_events--;
}
