/* internal: what the files of schedule share.
 *
 * An item is one message due for one next hop. It waits in its destination's list, or is being
 * worked on (an attempt). Items are found by message and next hop, so none is in memory twice. */
#ifndef SCHEDULE_INTERNAL_H
#define SCHEDULE_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "schedule/schedule.h"

enum {
    ITEMS_MAX = 20000,    /* in memory */
    ITEMS_PER_HOP = 2000, /* of one destination: a dead one leaves room for the others */
    PAGE = 256,           /* entries taken from the store in one turn */
    RUNNING_MAX = 1000,   /* attempts at once */
    POSTPONING_MAX = 64,  /* of them, for destinations that just failed */
    WINDOW_START = 2,
    HOP_MAX = 1000, /* connections to one destination, where nothing else is configured */
    BLOCK_LONGEST_MS = 60 * 60 * 1000, /* of a destination that fails */
    FORGET_MS = 60 * 60 * 1000,
    LATE_MS = 60 * 1000, /* the watchdog's patience */
    BACK_MAX = 64,       /* messages to be held instead of tried */
};

/* One next hop. */
struct destination {
    struct list_node node; /* in schedule.active while it has items that may start */
    struct schedule *schedule;
    struct bytes next_hop;
    struct list ready;
    unsigned running;
    unsigned window;       /* attempts at once it is trusted with now */
    unsigned failures;     /* of the session, in a row */
    int64_t blocked_until; /* wall ms; 0: not */
    int64_t waits_until;   /* a limit of our own is used up: nothing is started, nothing failed */
    bool paged;            /* the store holds more that is due for it */
    char last_reply[512];  /* why it is blocked */
    int last_code;
    struct status last_status;
    const char *last_command;
    char last_reason[64];
};

struct attempt;
struct item {
    struct list_node node;
    struct destination *destination;
    struct message_id id;
    int64_t due;
    bool running;
    struct attempt *attempt; /* while running */
};

struct schedule {
    struct loop *loop;
    struct store *store;
    struct counters *counters;
    const struct config *config;
    struct schedule_ports ports;
    struct map *items;        /* by id and next hop */
    struct map *destinations; /* by next hop */
    struct list active;       /* destinations that may start something, in turns */
    struct list attempts;
    size_t running, postponing;
    size_t operations; /* of operators, not yet answered */
    struct store_cursor cursor;
    bool more_due;      /* the store may hold more behind the cursor */
    int64_t last_sweep; /* when the cursor was set back to the beginning */
    struct timer timer;
    struct message_id back[BACK_MAX];
    size_t back_count;
    uint64_t random;
    bool draining;
    void (*on_idle)(void *ctx);
    void *idle_ctx;
};

/* schedule.c */
void schedule_pump(struct schedule *s);
void schedule_wake(struct schedule *s, int64_t ms);
void item_free(struct schedule *s, struct item *item);
struct item *item_find(struct schedule *s, struct message_id id, struct bytes next_hop);
void item_add(struct schedule *s, struct message_id id, struct bytes next_hop, int64_t due);
uint64_t schedule_random(struct schedule *s, uint64_t below);
void schedule_check_idle(struct schedule *s);

/* destination.c: concurrency and back-off. */
struct destination *destination_get(struct schedule *s, struct bytes next_hop);
void destination_activate(struct destination *d);
void destination_succeeded(struct destination *d);
void destination_failed(struct destination *d, const struct outcome *outcome, int64_t now);
void destination_waits(struct destination *d, int64_t now);
void destination_unblock(struct destination *d);
void destination_free(struct destination *d);

/* attempt.c: one item from loading its message to settling its recipients. */
void attempt_begin(struct schedule *s, struct item *item, bool postpone);
void attempt_outcomes(struct schedule *s, struct message_id id, struct bytes next_hop,
                      const struct outcome *outcomes, size_t count);
void attempt_close_all(struct schedule *s);
/* No attempt is ever set further away than this. */
int64_t attempt_longest(const struct schedule *s);
/* schedule.c: messages to be held instead of tried. */
bool schedule_is_back(const struct schedule *s, struct message_id id);
void schedule_let_go(struct schedule *s, struct message_id id);
/* Milliseconds to the next attempt after this many, with jitter by luck. */
int64_t attempt_delay(const struct schedule *s, uint32_t attempts, uint64_t luck);

#endif
