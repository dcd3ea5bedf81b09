/* counters: the shared table. One mutex guards it, robust, so that a worker that dies inside leaves it
 * usable; calls hold it for some hundred nanoseconds. Memory is reserved whole at the start, and
 * pages that were never touched cost nothing.
 *
 * Gauges are kept per worker (a column each), so that what a dead worker had open is given back in
 * one go. Windows belong to the whole server. Keys are kept as 64-bit hashes. */
#include "counters/counters.h"
#include "base/must.h"
#include "base/scan.h"
#include "counters/grey.h"
#include "counters/pop.h"
#include "counters/watch.h"
#include "sys/process.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    GAUGES = 1 << 17,  /* more than connections that can be open */
    WINDOWS = 1 << 16, /* half of them for keys that strangers can make */
    PLACES = 32,       /* of a window, from the one its key points to */
    SLOTS = 64,        /* steps a rolling window forgets in */
    KEPT = SLOTS + 1,  /* the oldest step is kept whole, so that nothing is forgotten early */
    COLUMNS_MAX = 64,
    HAND_MAX = 32,
    SAVE_VERSION = 3,
    SAVED_WINDOW = 1, /* what a record in the saved part begins with */
    SAVED_POP = 2,
    SAVED_GREY = 3,
    SAVED_WATCH = 4,
};

/* Added to every time, so that what happened before this host was started has a number too. */
static const int64_t before_boot = INT64_C(1) << 50;

struct window {
    uint64_t key; /* 0: free */
    int64_t window_ms;
    int64_t step; /* number of the newest slot: time / (window / SLOTS) */
    uint32_t slots[KEPT];
    uint32_t held_total; /* of messages under way, all workers' */
    uint16_t held[COLUMNS_MAX];
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
    struct grey_table grey;
    struct watch_table watch;
    struct gauge gauges[GAUGES];
    uint16_t held[]; /* [column][gauge] */
};

struct counters {
    struct table *table;
    unsigned column;
    bool own_memory, down;
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
    *c = (struct counters){ .table = memory, .column = column, .own_memory = own };
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

/* What it held for messages under way: nobody will ask to keep it. */
static void give_back_held(struct table *t, unsigned column) {
    for (size_t i = 0; i < WINDOWS; i++) {
        struct window *w = &t->windows[i];
        if (!(t->windows_used[i / 64] >> i % 64 & 1))
            continue;
        w->held_total -= w->held[column];
        w->held[column] = 0;
    }
}

void counters_worker_died(struct counters *c, unsigned column) {
    struct table *t = c->table;
    lock(t);
    give_back_held(t, column);
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

static int64_t step_at(int64_t window_ms, int64_t now) {
    return (now + before_boot) / step_ms(window_ms);
}

static int64_t step_begins(int64_t window_ms, int64_t step) {
    return step * step_ms(window_ms) - before_boot;
}

static uint32_t *slot_of(struct window *w, int64_t step) {
    return &w->slots[step % KEPT];
}

/* The newest step gets another number; the ages of the others in relation to it stay. */
static void renumber(struct window *w, int64_t step) {
    struct window old = *w;
    w->step = step;
    for (int64_t age = 0; age < KEPT; age++)
        *slot_of(w, step - age) = *slot_of(&old, old.step - age);
}

/* Forgets what is older than the window. A clock that went back makes nothing older, and nothing is
 * kept until it has come there again. */
static void roll(struct window *w, int64_t now) {
    int64_t step = step_at(w->window_ms, now);
    if (step < w->step && w->step - step < SLOTS)
        return;
    if (step < w->step) {
        renumber(w, step);
        return;
    }
    if (step - w->step >= KEPT)
        memset(w->slots, 0, sizeof(w->slots));
    else
        for (int64_t i = w->step + 1; i <= step; i++)
            *slot_of(w, i) = 0;
    w->step = step;
}

static uint64_t sum(const struct window *w) {
    uint64_t total = 0;
    for (int i = 0; i < KEPT; i++)
        total += w->slots[i];
    return total;
}

static struct window *place(struct table *t, uint64_t key, bool crowd, size_t i) {
    return &t->windows[(crowd ? WINDOWS / 2 : 0) + (key + i) % (WINDOWS / 2)];
}

/* Places are never emptied, so an empty one ends the search. */
static struct window *find_window(struct table *t, uint64_t key, bool crowd) {
    for (size_t i = 0; i < PLACES; i++) {
        struct window *w = place(t, key, crowd, i);
        if (w->key == key)
            return w;
        if (!w->key)
            break;
    }
    return NULL;
}

static int64_t last_used(const struct window *w) {
    return w->step * step_ms(w->window_ms);
}

/* Somebody else's place that may be taken: one with nothing left in it; in the crowd also the one
 * used longest ago. What is held for a message under way stays. */
static struct window *take_place(struct table *t, uint64_t key, bool crowd, int64_t now) {
    struct window *oldest = NULL;
    for (size_t i = 0; i < PLACES; i++) {
        struct window *w = place(t, key, crowd, i);
        if (!w->key)
            return w;
        if (w->held_total)
            continue;
        roll(w, now);
        if (!sum(w))
            return w;
        if (crowd && (!oldest || last_used(w) < last_used(oldest)))
            oldest = w;
    }
    return oldest;
}

/* NULL: the table has no place for one more. */
static struct window *get_window(struct table *t, uint64_t key, bool crowd, int64_t window_ms,
                                 int64_t now) {
    struct window *w = find_window(t, key, crowd);
    if (w)
        return w;
    w = take_place(t, key, crowd, now);
    if (!w)
        return NULL;
    *w = (struct window){ .key = key, .window_ms = window_ms, .step = step_at(window_ms, now) };
    size_t at = (size_t)(w - t->windows);
    t->windows_used[at / 64] |= 1ULL << at % 64;
    return w;
}

/* When so much will have been forgotten that n fit in. What is held may be counted yet, now. */
static int64_t opens_at(const struct window *w, struct rate rate, uint64_t n) {
    uint64_t used = sum(w) + w->held_total;
    for (int64_t i = w->step - SLOTS; i <= w->step; i++) {
        used -= w->slots[i % KEPT];
        if (used + n <= rate.count)
            return step_begins(w->window_ms, i + KEPT);
    }
    return step_begins(w->window_ms, w->step + KEPT);
}

/* Two rates with one window share it: the first stands for both when something is counted. */
static bool counted_before(struct rates rates, size_t i) {
    for (size_t j = 0; j < i; j++)
        if (rates.list[j].window_ms == rates.list[i].window_ms)
            return true;
    return false;
}

static bool has_room(struct table *t, struct bytes name, bool crowd, struct rate rate, uint64_t n,
                     int64_t now, int64_t *opens_out) {
    const struct window *found = find_window(t, window_key(name, rate), crowd);
    if (!found && n <= rate.count)
        return true;
    /* A copy: a question about another time must not make the table forget. */
    struct window w = found ? *found : (struct window){ .window_ms = rate.window_ms };
    roll(&w, now);
    if (sum(&w) + w.held_total + n <= rate.count)
        return true;
    *opens_out = opens_at(&w, rate, n);
    return false;
}

/* The last to open of those that are full. */
static bool all_have_room(struct table *t, struct bytes name, bool crowd, struct rates rates,
                          uint64_t n, int64_t now, int64_t *opens_out, struct rate *which_out) {
    bool room = true;
    for (size_t i = 0; i < rates.count; i++) {
        int64_t opens;
        if (has_room(t, name, crowd, rates.list[i], n, now, &opens))
            continue;
        if (room || opens > *opens_out) {
            *opens_out = opens;
            *which_out = rates.list[i];
        }
        room = false;
    }
    return room;
}

bool counters_room(const struct counters *c, struct bytes name, struct rates rates, uint64_t n,
                   int64_t now, int64_t *opens_out, struct rate *which_out) {
    struct table *t = c->table;
    lock(t);
    bool room = all_have_room(t, name, false, rates, n, now, opens_out, which_out);
    unlock(t);
    return room;
}

static void count(struct window *w, int64_t n, int64_t now) {
    roll(w, now);
    uint32_t *slot = slot_of(w, w->step);
    if (n >= 0)
        *slot += (uint32_t)n;
    else
        *slot -= *slot < (uint32_t)-n ? *slot : (uint32_t)-n;
}

static void charge(struct table *t, struct bytes name, struct rates rates, int64_t n, int64_t now) {
    for (size_t i = 0; i < rates.count; i++) {
        struct rate rate = rates.list[i];
        if (counted_before(rates, i))
            continue;
        struct window *w = get_window(t, window_key(name, rate), false, rate.window_ms, now);
        if (w)
            count(w, n, now);
    }
}

void counters_charge(struct counters *c, struct bytes name, struct rates rates, int64_t n,
                     int64_t now) {
    lock(c->table);
    charge(c->table, name, rates, n, now);
    unlock(c->table);
}

bool counters_charge_if_room(struct counters *c, struct bytes name, struct rates rates, int64_t now,
                             int64_t *opens_out) {
    struct rate which;
    lock(c->table);
    bool room = all_have_room(c->table, name, false, rates, 1, now, opens_out, &which);
    if (room)
        charge(c->table, name, rates, 1, now);
    unlock(c->table);
    return room;
}

/* --- limits ------------------------------------------------------------------------------ */

void counters_set_down(struct counters *c, bool down) {
    c->down = down;
}

static void answer_down(counters_answered *on_answer, void *ctx, const char *text) {
    struct why why;
    why_set(&why, TEMP, 0, NULL, "backend.counters", "%s", text);
    on_answer(ctx, TEMP, &why);
}

/* False when one is full. */
static bool look(struct table *t, struct counters_limit *limits, size_t count, int64_t now) {
    bool room = true;
    for (size_t i = 0; i < count; i++) {
        struct counters_limit *l = &limits[i];
        l->full = !all_have_room(t, l->key, l->crowd, l->rates, 1 + l->besides, now, &l->opens,
                                 &l->which);
        room &= !l->full;
    }
    return room;
}

void counters_look(struct counters *c, struct counters_limit *limits, size_t count, int64_t now,
                   counters_answered *on_answer, void *ctx) {
    if (c->down) {
        answer_down(on_answer, ctx, "The counters cannot be reached");
        return;
    }
    lock(c->table);
    look(c->table, limits, count, now);
    unlock(c->table);
    on_answer(ctx, OK, NULL);
}

static void let_go(struct table *t, unsigned column, const struct counters_limit *limit, uint64_t n,
                   bool counted, int64_t now) {
    for (size_t i = 0; i < limit->rates.count; i++) {
        if (counted_before(limit->rates, i))
            continue;
        struct window *w =
            find_window(t, window_key(limit->key, limit->rates.list[i]), limit->crowd);
        uint64_t held = w ? w->held[column] : 0;
        uint64_t these = n < held ? n : held;
        if (!these)
            continue;
        w->held[column] -= (uint16_t)these;
        w->held_total -= (uint32_t)these;
        if (counted)
            count(w, (int64_t)these, now);
    }
}

/* One in each window of the limit; false, and none, when the table has no place for it. */
static bool hold_one(struct table *t, unsigned column, const struct counters_limit *limit,
                     int64_t now) {
    for (size_t i = 0; i < limit->rates.count; i++) {
        struct rate rate = limit->rates.list[i];
        if (counted_before(limit->rates, i))
            continue;
        struct window *w =
            get_window(t, window_key(limit->key, rate), limit->crowd, rate.window_ms, now);
        if (!w || w->held[column] == UINT16_MAX) {
            struct counters_limit done = { .key = limit->key,
                                           .rates = { i, limit->rates.list },
                                           .crowd = limit->crowd };
            let_go(t, column, &done, 1, false, now);
            return false;
        }
        w->held[column]++;
        w->held_total++;
    }
    return true;
}

static bool hold_all(struct table *t, unsigned column, const struct counters_limit *limits,
                     size_t count, int64_t now) {
    for (size_t i = 0; i < count; i++) {
        if (hold_one(t, column, &limits[i], now))
            continue;
        while (i--)
            let_go(t, column, &limits[i], 1, false, now);
        return false;
    }
    return true;
}

void counters_hold(struct counters *c, struct counters_limit *limits, size_t count, int64_t now,
                   counters_answered *on_answer, void *ctx) {
    if (c->down) {
        answer_down(on_answer, ctx, "The counters cannot be reached");
        return;
    }
    lock(c->table);
    bool room = look(c->table, limits, count, now);
    bool held = room && hold_all(c->table, c->column, limits, count, now);
    unlock(c->table);
    if (room && !held)
        answer_down(on_answer, ctx, "The table of counters is full");
    else
        on_answer(ctx, room ? OK : MORE, NULL);
}

/* This table has answered before anybody could wish to cancel. */
void counters_cancel(struct counters *c, void *ctx) {
    (void)c;
    (void)ctx;
}

void counters_keep(struct counters *c, const struct counters_limit *limit, uint64_t n,
                   int64_t now) {
    lock(c->table);
    let_go(c->table, c->column, limit, n, true, now);
    unlock(c->table);
}

void counters_drop(struct counters *c, const struct counters_limit *limit, uint64_t n) {
    lock(c->table);
    let_go(c->table, c->column, limit, n, false, 0);
    unlock(c->table);
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

/* --- greylist and tripwire -------------------------------------------------------------------- */

int64_t counters_grey(struct counters *c, const struct counters_grey *g, int64_t now) {
    lock(c->table);
    int64_t opens = grey_look(&c->table->grey, g, now);
    unlock(c->table);
    return opens;
}

bool counters_watch(struct counters *c, struct counters_watch *w, int64_t now) {
    lock(c->table);
    bool tripped = watch_note(&c->table->watch, w, now);
    unlock(c->table);
    return tripped;
}

int64_t counters_suspended(const struct counters *c, struct addr client) {
    lock(c->table);
    int64_t since = watch_suspended(&c->table->watch, client);
    unlock(c->table);
    return since;
}

size_t counters_resume(struct counters *c, struct addr client) {
    lock(c->table);
    size_t count = watch_resume(&c->table->watch, client);
    unlock(c->table);
    return count;
}

bool counters_suspended_next(const struct counters *c, uint32_t *cursor, struct addr *client_out,
                             int64_t *since_out) {
    lock(c->table);
    bool found = watch_next(&c->table->watch, cursor, client_out, since_out);
    unlock(c->table);
    return found;
}

/* --- kept over a restart ----------------------------------------------------------------- */

static bool is_crowd(const struct table *t, const struct window *w) {
    return w - t->windows >= WINDOWS / 2;
}

static void save_windows(struct table *t, int64_t now, struct buf *out) {
    for (size_t i = 0; i < WINDOWS; i++) {
        struct window *w = &t->windows[i];
        if (!(t->windows_used[i / 64] >> i % 64 & 1))
            continue;
        roll(w, now);
        if (!sum(w))
            continue;
        buf_char(out, SAVED_WINDOW);
        buf_char(out, is_crowd(t, w) ? 1 : 0);
        buf_le64(out, w->key);
        buf_le64(out, (uint64_t)w->window_ms);
        for (int64_t age = 0; age < KEPT; age++)
            buf_le32(out, *slot_of(w, w->step - age));
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

void counters_save(const struct counters *c, struct buf *out, int64_t now, int64_t wall_ms) {
    struct table *t = c->table;
    buf_char(out, SAVE_VERSION);
    buf_le64(out, (uint64_t)wall_ms);
    lock(t);
    save_windows(t, now, out);
    save_pop(t, out);
    grey_save(&t->grey, SAVED_GREY, out);
    watch_save(&t->watch, SAVED_WATCH, out);
    unlock(t);
}

/* Slots by age at the time of saving; `down` ms have passed since. */
static bool load_window(struct table *t, struct scan *s, int64_t now, int64_t down) {
    char crowd = scan_char(s);
    uint64_t key = scan_le64(s);
    int64_t window_ms = (int64_t)scan_le64(s);
    uint32_t slots[KEPT];
    for (int i = 0; i < KEPT; i++)
        slots[i] = scan_le32(s);
    if (s->bad || !key || window_ms <= 0 || window_ms > before_boot || (crowd != 0 && crowd != 1))
        return false;
    struct window *w = get_window(t, key, crowd, window_ms, now);
    int64_t passed = down / step_ms(window_ms);
    if (!w)
        return true;
    w->step = step_at(window_ms, now);
    for (int64_t age = 0; passed + age < KEPT; age++)
        *slot_of(w, w->step - passed - age) = slots[age];
    return true;
}

/* A clock that was set back meanwhile makes nothing older. */
bool counters_load(struct counters *c, struct bytes saved, int64_t now, int64_t wall_ms) {
    struct scan s = scan_of(saved);
    if (scan_char(&s) != SAVE_VERSION)
        return false;
    int64_t saved_at = (int64_t)scan_le64(&s);
    int64_t down = saved_at >= 0 && wall_ms > saved_at ? wall_ms - saved_at : 0;
    bool good = !s.bad;
    lock(c->table);
    while (good && !scan_done(&s)) {
        int kind = scan_char(&s);
        good = kind >= SAVED_WINDOW && kind <= SAVED_WATCH;
        if (kind == SAVED_WINDOW)
            good = load_window(c->table, &s, now, down);
        else if (kind == SAVED_POP)
            pop_load_row(&c->table->pop, &s, wall_ms);
        else if (kind == SAVED_GREY)
            grey_load(&c->table->grey, &s, wall_ms);
        else if (kind == SAVED_WATCH)
            watch_load(&c->table->watch, &s, wall_ms);
        good &= !s.bad;
    }
    unlock(c->table);
    return good;
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
