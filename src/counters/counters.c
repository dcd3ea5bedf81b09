/* counters: the shared table. One mutex guards it, robust, so that a worker that dies inside leaves it
 * usable; calls hold it for some hundred nanoseconds. Memory is reserved whole at the start, and
 * pages that were never touched cost nothing.
 *
 * Gauges are kept per worker (a column each), so that what a dead worker had open is given back in
 * one go. Windows belong to the whole server. Keys are kept as 64-bit hashes. */
#include "counters/counters.h"
#include "base/must.h"
#include "base/scan.h"
#include "counters/pop.h"
#include "sys/process.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    GAUGES = 1 << 17, /* more than connections that can be open */
    WINDOWS = 1 << 14,
    SLOTS = 64, /* steps a rolling window forgets in */
    COLUMNS_MAX = 64,
    HAND_MAX = 32,
    SAVE_VERSION = 2,
    SAVED_WINDOW = 1, /* what a record in the saved part begins with */
    SAVED_POP = 2,
};

struct window {
    uint64_t key; /* 0: free */
    int64_t window_ms;
    int64_t step; /* number of the newest slot: time / (window / SLOTS) */
    uint32_t slots[SLOTS];
};

struct gauge {
    uint64_t key; /* 0: free */
    uint32_t total;
};

struct table {
    pthread_mutex_t mutex;
    uint32_t columns;
    uint32_t gauge_count;
    char in_hand[COLUMNS_MAX][HAND_MAX];
    uint64_t windows_used[WINDOWS / 64]; /* a bit each, so that saving touches no others' pages */
    struct window windows[WINDOWS];
    struct pop_table pop;
    struct gauge gauges[GAUGES];
    uint16_t held[]; /* [column][gauge] */
};

struct counters {
    struct table *table;
    unsigned column;
    bool own_memory;
};

/* Room for all columns there can be, whatever their number now: what nobody touches costs nothing. */
static const size_t table_size = sizeof(struct table) + (size_t)COLUMNS_MAX * GAUGES * 2;

static void lock(struct table *t) {
    int error = pthread_mutex_lock(&t->mutex);
    if (error == EOWNERDEAD)
        error = pthread_mutex_consistent(&t->mutex);
    MUST(error == 0);
}

static void unlock(struct table *t) {
    MUST(pthread_mutex_unlock(&t->mutex) == 0);
}

static void init_table(struct table *t, unsigned columns) {
    pthread_mutexattr_t attributes;
    MUST(pthread_mutexattr_init(&attributes) == 0);
    MUST(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0);
    MUST(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
    MUST(pthread_mutex_init(&t->mutex, &attributes) == 0);
    pthread_mutexattr_destroy(&attributes);
    t->columns = columns;
}

static struct counters *wrap(void *memory, unsigned column, bool own) {
    struct counters *c = calloc(1, sizeof(*c));
    MUST(c);
    *c = (struct counters){ memory, column, own };
    return c;
}

enum rc counters_create(unsigned workers, struct counters **out, int *fd_out, struct why *why) {
    if (workers > COLUMNS_MAX)
        return why_set(why, PERM, 0, NULL, "config.range", "At most %d workers can be run",
                       COLUMNS_MAX);
    int fd = process_shared("postern-counters", table_size);
    void *memory = fd < 0 ? NULL : process_shared_map(fd, table_size);
    if (!memory)
        return why_set(why, TEMP, 0, NULL, "backend.counters",
                       "No shared memory for the counters: %s", strerror(errno));
    init_table(memory, workers);
    *out = wrap(memory, 0, false);
    *fd_out = fd;
    return OK;
}

enum rc counters_map(int fd, unsigned column, struct counters **out, struct why *why) {
    void *memory = process_shared_map(fd, table_size);
    if (!memory)
        return why_set(why, TEMP, 0, NULL, "backend.counters", "Cannot map the counters: %s",
                       strerror(errno));
    MUST(column < ((struct table *)memory)->columns);
    *out = wrap(memory, column, false);
    return OK;
}

struct counters *counters_local(void) {
    struct table *t = calloc(1, table_size);
    MUST(t);
    init_table(t, 1);
    return wrap(t, 0, true);
}

/* A mapping ends with its process: only memory of our own is given back. */
void counters_close(struct counters **cp) {
    struct counters *c = *cp;
    *cp = NULL;
    if (c && c->own_memory)
        free(c->table);
    free(c);
}

/* --- gauges ------------------------------------------------------------------------------ */

static uint64_t hash_key(struct bytes key) {
    uint64_t h = bytes_hash(key);
    return h ? h : 1;
}

/* The place of this key, or the free place where it belongs; GAUGES when the table is full. */
static size_t find_gauge(const struct table *t, uint64_t key) {
    size_t at = key % GAUGES;
    for (size_t i = 0; i < GAUGES; i++, at = (at + 1) % GAUGES)
        if (t->gauges[at].key == key || !t->gauges[at].key)
            return at;
    return GAUGES;
}

static uint16_t *held(struct table *t, unsigned column, size_t at) {
    return &t->held[(size_t)column * GAUGES + at];
}

static void move_gauge(struct table *t, size_t from, size_t to) {
    t->gauges[to] = t->gauges[from];
    t->gauges[from] = (struct gauge){ 0 };
    for (unsigned c = 0; c < t->columns; c++) {
        *held(t, c, to) = *held(t, c, from);
        *held(t, c, from) = 0;
    }
}

/* Frees a place and moves up those behind it whom it kept from their own (linear probing). */
static void free_gauge(struct table *t, size_t hole) {
    t->gauges[hole] = (struct gauge){ 0 };
    t->gauge_count--;
    for (size_t at = (hole + 1) % GAUGES; t->gauges[at].key; at = (at + 1) % GAUGES) {
        size_t home = t->gauges[at].key % GAUGES;
        bool between = hole <= at ? (home > hole && home <= at) : (home > hole || home <= at);
        if (between)
            continue;
        move_gauge(t, at, hole);
        hole = at;
    }
}

bool counters_take(struct counters *c, struct bytes name, uint64_t max) {
    struct table *t = c->table;
    uint64_t key = hash_key(name);
    lock(t);
    size_t at = find_gauge(t, key);
    bool ok = at < GAUGES && t->gauge_count < GAUGES * 7 / 8 && t->gauges[at].total < max &&
              *held(t, c->column, at) < UINT16_MAX;
    if (ok) {
        t->gauge_count += !t->gauges[at].key;
        t->gauges[at].key = key;
        t->gauges[at].total++;
        (*held(t, c->column, at))++;
    }
    unlock(t);
    return ok;
}

void counters_give(struct counters *c, struct bytes name) {
    struct table *t = c->table;
    uint64_t key = hash_key(name);
    lock(t);
    size_t at = find_gauge(t, key);
    if (at < GAUGES && t->gauges[at].key && *held(t, c->column, at)) {
        (*held(t, c->column, at))--;
        if (--t->gauges[at].total == 0)
            free_gauge(t, at);
    }
    unlock(t);
}

uint64_t counters_open(const struct counters *c, struct bytes name) {
    struct table *t = c->table;
    lock(t);
    size_t at = find_gauge(t, hash_key(name));
    uint64_t total = at < GAUGES ? t->gauges[at].total : 0;
    unlock(t);
    return total;
}

void counters_client_key(struct addr client, char out[COUNTERS_CLIENT_KEY]) {
    struct buf b = buf_fixed(out, COUNTERS_CLIENT_KEY);
    buf_str(&b, "client/");
    addr_format(&b, client.family == 6 ? addr_masked(client, 64) : client);
    buf_text(&b);
}

void counters_worker_died(struct counters *c, unsigned column) {
    struct table *t = c->table;
    lock(t);
    for (size_t at = 0; at < GAUGES; at++) {
        uint16_t n = *held(t, column, at);
        *held(t, column, at) = 0;
        t->gauges[at].total -= n;
    }
    for (size_t at = 0; at < GAUGES; at++)
        while (t->gauges[at].key && t->gauges[at].total == 0)
            free_gauge(t, at); /* may move another one here */
    unlock(t);
}

/* --- rolling windows --------------------------------------------------------------------- */

static uint64_t window_key(struct bytes name, struct rate rate) {
    uint64_t h = bytes_hash(name) ^ ((uint64_t)rate.window_ms * 0x9e3779b97f4a7c15ULL);
    return h ? h : 1;
}

static int64_t step_ms(int64_t window_ms) {
    return window_ms > SLOTS ? window_ms / SLOTS : 1;
}

/* Forgets what is older than the window. */
static void roll(struct window *w, int64_t now) {
    int64_t step = now / step_ms(w->window_ms);
    if (step < w->step && w->step - step < SLOTS)
        return; /* the clock went back a little: nothing is forgotten early */
    if (step < w->step || step - w->step >= SLOTS)
        memset(w->slots, 0, sizeof(w->slots));
    else
        for (int64_t i = w->step + 1; i <= step; i++)
            w->slots[i % SLOTS] = 0;
    w->step = step;
}

static uint64_t sum(const struct window *w) {
    uint64_t total = 0;
    for (int i = 0; i < SLOTS; i++)
        total += w->slots[i];
    return total;
}

/* Within a few places of its own; among strangers the one that was used longest ago gives way when
 * `make` asks for a new one. */
static struct window *find_window(struct table *t, uint64_t key, struct rate rate, int64_t now,
                                  bool make) {
    struct window *oldest = NULL;
    for (size_t i = 0; i < 16; i++) {
        struct window *w = &t->windows[(key + i) % WINDOWS];
        if (w->key == key)
            return w;
        if (!w->key || !oldest ||
            (oldest->key &&
             w->step * step_ms(w->window_ms) < oldest->step * step_ms(oldest->window_ms)))
            oldest = w;
        if (!w->key)
            break;
    }
    if (!make)
        return NULL;
    *oldest = (struct window){ .key = key, .window_ms = rate.window_ms };
    oldest->step = now / step_ms(rate.window_ms);
    size_t at = (size_t)(oldest - t->windows);
    t->windows_used[at / 64] |= 1ULL << at % 64;
    return oldest;
}

/* When so much will have been forgotten that n fit in. */
static int64_t opens_at(const struct window *w, struct rate rate, uint64_t n) {
    uint64_t used = sum(w);
    for (int64_t i = w->step - SLOTS + 1; i <= w->step; i++) {
        used -= i >= 0 ? w->slots[i % SLOTS] : 0;
        if (used + n <= rate.count)
            return (i + SLOTS) * step_ms(rate.window_ms);
    }
    return (w->step + SLOTS) * step_ms(rate.window_ms);
}

bool counters_room(const struct counters *c, struct bytes name, struct rates rates, uint64_t n,
                   int64_t now, int64_t *opens_out, struct rate *which_out) {
    struct table *t = c->table;
    bool room = true;
    lock(t);
    for (size_t i = 0; i < rates.count && room; i++) {
        struct rate rate = rates.list[i];
        struct window *w = find_window(t, window_key(name, rate), rate, now, false);
        if (!w && n <= rate.count)
            continue;
        if (w)
            roll(w, now);
        room = w && sum(w) + n <= rate.count;
        if (!room) {
            *opens_out = w ? opens_at(w, rate, n) : now + rate.window_ms;
            *which_out = rate;
        }
    }
    unlock(t);
    return room;
}

void counters_charge(struct counters *c, struct bytes name, struct rates rates, int64_t n,
                     int64_t now) {
    struct table *t = c->table;
    lock(t);
    for (size_t i = 0; i < rates.count; i++) {
        struct rate rate = rates.list[i];
        struct window *w = find_window(t, window_key(name, rate), rate, now, true);
        roll(w, now);
        uint32_t *slot = &w->slots[w->step % SLOTS];
        if (n >= 0)
            *slot += (uint32_t)n;
        else
            *slot -= *slot < (uint32_t)-n ? *slot : (uint32_t)-n;
    }
    unlock(t);
}

/* --- POP before SMTP ----------------------------------------------------------------------- */

void counters_pop_open(struct counters *c, struct addr client, struct bytes login, int64_t now) {
    lock(c->table);
    pop_open(&c->table->pop, client, login, now);
    unlock(c->table);
}

size_t counters_pop_close(struct counters *c, struct bytes login, struct addr client) {
    lock(c->table);
    size_t count = pop_close(&c->table->pop, login, client);
    unlock(c->table);
    return count;
}

size_t counters_popped(const struct counters *c, struct addr client, int64_t since, struct arena *a,
                       struct counters_popped **out) {
    lock(c->table);
    size_t count = pop_find(&c->table->pop, client, since, a, out);
    unlock(c->table);
    return count;
}

bool counters_pop_next(const struct counters *c, uint32_t *cursor, struct arena *a,
                       struct counters_popped *out) {
    lock(c->table);
    bool found = pop_next(&c->table->pop, cursor, a, out);
    unlock(c->table);
    return found;
}

/* --- kept over a restart ----------------------------------------------------------------- */

static void save_windows(struct table *t, struct buf *out) {
    for (size_t i = 0; i < WINDOWS; i++) {
        const struct window *w = &t->windows[i];
        if (!(t->windows_used[i / 64] >> i % 64 & 1) || !sum(w))
            continue;
        buf_char(out, SAVED_WINDOW);
        buf_le64(out, w->key);
        buf_le64(out, (uint64_t)w->window_ms);
        buf_le64(out, (uint64_t)w->step);
        for (int s = 0; s < SLOTS; s++)
            buf_le32(out, w->slots[s]);
    }
}

static void save_pop(struct table *t, struct buf *out) {
    for (uint32_t i = 0; i < POP_ROWS; i++) {
        size_t before = out->len;
        buf_char(out, SAVED_POP);
        if (!pop_save_row(&t->pop, i, out))
            buf_cut(out, before);
    }
}

void counters_save(const struct counters *c, struct buf *out, int64_t wall_ms) {
    struct table *t = c->table;
    buf_char(out, SAVE_VERSION);
    buf_le64(out, (uint64_t)wall_ms);
    lock(t);
    save_windows(t, out);
    save_pop(t, out);
    unlock(t);
}

static bool load_window(struct table *t, struct scan *s, int64_t wall_ms) {
    struct window read = { .key = scan_le64(s) };
    read.window_ms = (int64_t)scan_le64(s);
    read.step = (int64_t)scan_le64(s);
    for (int i = 0; i < SLOTS; i++)
        read.slots[i] = scan_le32(s);
    if (s->bad || !read.key || read.window_ms <= 0 || read.step < 0)
        return false;
    struct rate rate = { 0, read.window_ms };
    *find_window(t, read.key, rate, wall_ms, true) = read;
    return true;
}

static bool load_record(struct table *t, struct scan *s, int64_t wall_ms) {
    int kind = scan_char(s);
    if (kind == SAVED_WINDOW)
        return load_window(t, s, wall_ms);
    if (kind == SAVED_POP)
        pop_load_row(&t->pop, s, wall_ms);
    return kind == SAVED_POP;
}

bool counters_load(struct counters *c, struct bytes saved, int64_t wall_ms) {
    struct scan s = scan_of(saved);
    if (scan_char(&s) != SAVE_VERSION || (int64_t)scan_le64(&s) > wall_ms + 86400000)
        return false;
    struct table *t = c->table;
    bool good = true;
    lock(t);
    while (good && !scan_done(&s) && !s.bad)
        good = load_record(t, &s, wall_ms);
    unlock(t);
    return good && !s.bad && scan_done(&s);
}

/* --- the message in hand ----------------------------------------------------------------- */

void counters_in_hand(struct counters *c, struct bytes id) {
    char *at = c->table->in_hand[c->column];
    size_t len = id.len < HAND_MAX - 1 ? id.len : HAND_MAX - 1;
    if (len)
        memcpy(at, id.at, len);
    at[len] = 0;
}

struct bytes counters_was_in_hand(const struct counters *c, unsigned column) {
    return bytes_of(c->table->in_hand[column], strnlen(c->table->in_hand[column], HAND_MAX));
}
