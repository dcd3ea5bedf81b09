/* schedule: the queue of destinations. What is due comes in pages from the store and as news of fresh
 * messages; destinations take turns; each turn starts one attempt. */
#include "base/event.h"
#include "base/must.h"
#include "schedule/internal.h"

#include <stdlib.h>
#include <string.h>

/* --- items ------------------------------------------------------------------------------- */

enum { KEY_MAX = 1024 };

static struct bytes item_key(char *memory, struct message_id id, struct bytes next_hop) {
    struct buf b = buf_fixed(memory, KEY_MAX);
    buf_str(&b, id.text);
    buf_char(&b, ' ');
    buf_add(&b, bytes_first(next_hop, KEY_MAX - 32));
    return buf_bytes(&b);
}

struct item *item_find(struct schedule *s, struct message_id id, struct bytes next_hop) {
    char memory[KEY_MAX];
    return map_find(s->items, item_key(memory, id, next_hop));
}

/* What has no room now stays in the store and is paged in later. */
void item_add(struct schedule *s, struct message_id id, struct bytes next_hop, int64_t due) {
    if (item_find(s, id, next_hop))
        return;
    struct destination *d = map_find(s->destinations, next_hop);
    if (map_count(s->items) >= ITEMS_MAX || (d && d->ready.count >= ITEMS_PER_HOP)) {
        if (d)
            d->paged = true;
        return;
    }
    d = destination_get(s, next_hop);
    struct item *item = calloc(1, sizeof(*item));
    MUST(item);
    item->id = id;
    item->destination = d;
    item->due = due;
    char memory[KEY_MAX];
    map_put(s->items, item_key(memory, id, next_hop), item);
    list_append(&d->ready, &item->node);
    destination_activate(d);
}

void item_free(struct schedule *s, struct item *item) {
    char memory[KEY_MAX];
    struct destination *d = item->destination;
    map_remove(s->items, item_key(memory, item->id, d->next_hop));
    if (list_linked(&item->node))
        list_remove(&d->ready, &item->node);
    free(item);
}

/* --- pages from the store ---------------------------------------------------------------- */

static void page_destination(struct schedule *s, struct destination *d, int64_t now) {
    struct store_due page[PAGE];
    struct store_cursor cursor = { 0 };
    int64_t earliest;
    d->paged = false;
    size_t count = store_due(s->store, d->next_hop, now, &cursor, page, PAGE, &earliest);
    for (size_t i = 0; i < count; i++)
        item_add(s, page[i].id, page[i].next_hop, page[i].due);
    if (count == PAGE)
        d->paged = true;
}

/* Takes up what is due behind the cursor; *earliest_out: when there is more. */
static void page_in(struct schedule *s, int64_t now, int64_t *earliest_out) {
    struct store_due page[PAGE];
    *earliest_out = INT64_MAX;
    size_t count = store_due(s->store, BYTES_NONE, now, &s->cursor, page, PAGE, earliest_out);
    for (size_t i = 0; i < count; i++)
        item_add(s, page[i].id, page[i].next_hop, page[i].due);
    s->more_due = count == PAGE;
}

/* Failures of destinations that nothing waits for any more are remembered for an hour. */
static void forget_destinations(struct schedule *s, int64_t now) {
    size_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(s->destinations, &position, &key, &value)) {
        struct destination *d = value;
        if (!d->running && !d->ready.count && !d->paged && d->blocked_until < now - FORGET_MS)
            destination_free(d);
    }
}

/* What is due later than any retry could have set is left of a clock that was ahead and jumped back:
 * nobody waits for that day. */
static void page_in_strays(struct schedule *s, int64_t now) {
    struct store_due page[PAGE];
    struct store_cursor cursor = { .due = now + attempt_longest(s) };
    int64_t earliest;
    size_t count = store_due(s->store, BYTES_NONE, INT64_MAX, &cursor, page, PAGE, &earliest);
    for (size_t i = 0; i < count; i++)
        item_add(s, page[i].id, page[i].next_hop, now);
}

/* Late for a reason that is known: it is under way, or its destination has all it can take. */
static bool is_excused(struct schedule *s, const struct store_due *due, int64_t now) {
    const struct item *item = item_find(s, due->id, due->next_hop);
    const struct destination *d = map_find(s->destinations, due->next_hop);
    return (item && item->running) ||
           (d && (d->running >= d->window || d->blocked_until > now || d->waits_until > now));
}

static void tell_overdue(const struct store_due *due) {
    struct event *e = event_begin("overdue");
    event_str(e, "message", due->id.text);
    event_text(e, "next_hop", due->next_hop);
    event_time(e, "due", due->due);
    event_end(e);
}

/* The watchdog: tells the oldest that is late by more than a minute and should not be. */
static void watch(struct schedule *s, int64_t now) {
    struct store_due page[PAGE];
    struct store_cursor cursor = { 0 };
    int64_t earliest;
    size_t count;
    for (size_t seen = 0; seen < ITEMS_MAX; seen += count) {
        count = store_due(s->store, BYTES_NONE, now - LATE_MS, &cursor, page, PAGE, &earliest);
        for (size_t i = 0; i < count; i++)
            if (!is_excused(s, &page[i], now)) {
                tell_overdue(&page[i]);
                return;
            }
        if (count < PAGE)
            return;
    }
}

/* What came due out of order (a clock that jumped, an operator) lies before the cursor: once a
 * minute it goes back to the beginning, and what is much too late is told. */
static void sweep(struct schedule *s, int64_t now) {
    if (now - s->last_sweep < LATE_MS && now >= s->last_sweep)
        return;
    s->last_sweep = now;
    page_in_strays(s, now);
    forget_destinations(s, now);
    s->cursor = (struct store_cursor){ 0 };
    s->more_due = true;
    watch(s, now);
}

/* --- turns ------------------------------------------------------------------------------- */

/* One attempt for the destination whose turn it is. False: it cannot start any now. */
static bool take_turn(struct schedule *s, struct destination *d, int64_t now) {
    bool blocked = d->blocked_until > now;
    if (d->waits_until > now)
        return false;
    if (blocked ? s->postponing >= POSTPONING_MAX : d->running >= d->window)
        return false;
    struct list_node *n = list_pop(&d->ready);
    if (!n)
        return false;
    struct item *item = CONTAINER_OF(n, struct item, node);
    item->running = true;
    d->running++;
    s->running++;
    attempt_begin(s, item, blocked);
    return true;
}

static void start_attempts(struct schedule *s, int64_t now) {
    size_t idle = 0; /* destinations in a row that could not start any */
    while (idle < s->active.count && s->running < RUNNING_MAX) {
        struct destination *d = CONTAINER_OF(list_pop(&s->active), struct destination, node);
        bool started = take_turn(s, d, now);
        idle = started ? 0 : idle + 1;
        if (d->ready.count == 0 && d->paged)
            page_destination(s, d, now);
        if (d->ready.count > 0) {
            if (!list_linked(&d->node))
                list_append(&s->active, &d->node);
        } else if (!d->running && !d->failures && !d->paged) {
            destination_free(d);
        }
    }
}

static void on_timer(void *ctx) {
    schedule_pump(ctx);
}

void schedule_wake(struct schedule *s, int64_t ms) {
    if (timer_is_set(&s->timer) && s->timer.node.key <= loop_now(s->loop) + ms)
        return;
    timer_set(s->loop, &s->timer, ms, on_timer, s);
}

void schedule_pump(struct schedule *s) {
    if (s->draining)
        return;
    int64_t now = loop_wall(s->loop), earliest = INT64_MAX;
    sweep(s, now);
    if (map_count(s->items) < ITEMS_MAX - PAGE)
        page_in(s, now, &earliest);
    start_attempts(s, now);
    if (s->more_due && map_count(s->items) < ITEMS_MAX - PAGE) {
        schedule_wake(s, 0);
        return;
    }
    int64_t wait = earliest == INT64_MAX ? LATE_MS : earliest - now;
    schedule_wake(s, wait < 10 ? 10 : wait > LATE_MS ? LATE_MS : wait);
}

static void on_news(void *ctx, const struct store_due *due) {
    struct schedule *s = ctx;
    int64_t now = loop_wall(s->loop);
    if (due->due > now) {
        schedule_wake(s, due->due - now < LATE_MS ? due->due - now : LATE_MS);
        return;
    }
    item_add(s, due->id, due->next_hop, due->due);
    schedule_wake(s, 0);
}

/* --- messages that crash ----------------------------------------------------------------- */

bool schedule_is_back(const struct schedule *s, struct message_id id) {
    for (size_t i = 0; i < s->back_count; i++)
        if (!strcmp(s->back[i].text, id.text))
            return true;
    return false;
}

/* The oldest give way: they have been held by now. */
void schedule_hold_back(struct schedule *s, struct message_id id) {
    if (schedule_is_back(s, id))
        return;
    if (s->back_count == BACK_MAX)
        memmove(s->back, s->back + 1, --s->back_count * sizeof(*s->back));
    s->back[s->back_count++] = id;
}

void schedule_let_go(struct schedule *s, struct message_id id) {
    for (size_t i = 0; i < s->back_count; i++)
        if (!strcmp(s->back[i].text, id.text))
            s->back[i--] = s->back[--s->back_count];
}

/* --- opening and closing ----------------------------------------------------------------- */

uint64_t schedule_random(struct schedule *s, uint64_t below) {
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return below ? s->random % below : 0;
}

struct schedule *schedule_open(struct loop *l, struct store *store, struct counters *counters,
                               const struct config *config, const struct schedule_ports *ports) {
    struct schedule *s = calloc(1, sizeof(*s));
    MUST(s);
    s->loop = l;
    s->store = store;
    s->counters = counters;
    s->config = config;
    s->ports = *ports;
    s->items = map_open();
    s->destinations = map_open();
    s->random = (uint64_t)loop_wall(l) * 2862933555777941757ULL | 1;
    list_init(&s->active);
    list_init(&s->attempts);
    s->last_sweep = loop_wall(l);
    store_on_news(store, on_news, s);
    schedule_wake(s, 0);
    return s;
}

void schedule_reload(struct schedule *s, const struct config *config) {
    s->config = config;
    /* Routes may have changed: what is blocked may go another way now. */
    size_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(s->destinations, &position, &key, &value))
        destination_unblock(value);
    schedule_wake(s, 0);
}

void schedule_check_idle(struct schedule *s) {
    if (!s->draining || s->running || s->operations || !s->on_idle)
        return;
    void (*on_idle)(void *) = s->on_idle;
    s->on_idle = NULL;
    on_idle(s->idle_ctx);
}

void schedule_drain(struct schedule *s, void (*on_idle)(void *ctx), void *ctx) {
    s->draining = true;
    s->on_idle = on_idle;
    s->idle_ctx = ctx;
    timer_clear(&s->timer);
    schedule_check_idle(s);
}

void schedule_close(struct schedule **sp) {
    struct schedule *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    timer_clear(&s->timer);
    store_on_news(s->store, NULL, NULL);
    attempt_close_all(s);
    size_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(s->items, &position, &key, &value))
        free(value);
    position = 0;
    while (map_next(s->destinations, &position, &key, &value))
        free(value);
    map_close(&s->items);
    map_close(&s->destinations);
    free(s);
}

void schedule_outcomes(struct schedule *s, struct message_id id, struct bytes next_hop,
                       const struct outcome *outcomes, size_t count) {
    attempt_outcomes(s, id, next_hop, outcomes, count);
}
