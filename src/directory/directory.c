/* directory: the workers' side. Lookups wait for the next turn of the loop; those that the cache
 * answers are answered then, the rest go to the offload thread together. This file alone knows when
 * a remembered answer may be used: for 50 ms after the database's version was seen unchanged.
 *
 * The cache is touched on the loop only; the database on the thread only; a batch belongs to the
 * thread from its start to its end. */
#include "directory/answered.h"
#include "directory/internal.h"

#include "base/list.h"
#include "base/map.h"
#include "base/must.h"

#include <stdlib.h>
#include <string.h>

enum { FRESH_MS = 50, CACHE_ENTRIES = 10000, CACHE_OCTETS = 2 * 1024 * 1024, KEY_MAX = 1200 };

struct cached {
    const struct directory_entry *entry; /* NULL: there is none */
};

struct lookup {
    struct list_node node;
    directory_found *on_found; /* NULL: cancelled */
    void *ctx;
    const struct cached *known; /* what the cache had when the batch began */
    const struct directory_entry *entry;
    size_t len;
    char key[]; /* 'A', 'L', 'W' or 'M', then the address in lower case (M: three, parted by NUL) */
};

struct directory {
    struct loop *loop;
    struct offload *offload;
    struct directory_db *tables; /* the thread's */
    bool create;                 /* the thread's: the file may still have to be made */
    struct answered *answered;

    struct timer turn;
    struct list waiting;
    struct list batch; /* under way */
    struct list answers;
    bool busy;
    struct offload_job job;
    struct arena *batch_arena;
    uint64_t batch_version;
    enum rc batch_rc;
    struct why batch_why;

    struct map *cache; /* struct cached, in cache_arena */
    struct arena *cache_arena;
    uint64_t version;
    bool checked;
    int64_t checked_at;
};

static void on_turn(void *ctx);
static void batch_work(void *ctx);
static void batch_done(void *ctx);

enum rc directory_open(struct loop *l, const char *file, struct directory **out, struct why *why) {
    struct directory *d = calloc(1, sizeof *d);
    MUST(d);
    (void)why;
    d->loop = l;
    d->offload = offload_open(l, "directory");
    d->tables = tables_new(file);
    d->answered = answered_open(l, file);
    /* A file that cannot be opened now is no reason not to start: every lookup says so (451). */
    db_ready(tables_db(d->tables), true, NULL);
    list_init(&d->waiting);
    list_init(&d->batch);
    list_init(&d->answers);
    d->job = (struct offload_job){ .work = batch_work, .done = batch_done, .ctx = d };
    d->batch_arena = arena_open();
    d->cache = map_open();
    d->cache_arena = arena_open();
    *out = d;
    return OK;
}

static void drop_all(struct list *l) {
    struct list_node *n;
    while ((n = list_pop(l)))
        free(CONTAINER_OF(n, struct lookup, node));
}

static void cancel_in(struct list *l, const void *ctx, bool all) {
    LIST_EACH(l, n) {
        struct lookup *u = CONTAINER_OF(n, struct lookup, node);
        if (all || u->ctx == ctx)
            u->on_found = NULL;
    }
}

void directory_close(struct directory **out) {
    struct directory *d = *out;
    if (!d)
        return;
    cancel_in(&d->batch, NULL, true);
    drop_all(&d->waiting);
    offload_close(&d->offload);
    timer_clear(&d->turn);
    drop_all(&d->batch);
    drop_all(&d->answers);
    directory_db_close(&d->tables);
    answered_close(&d->answered);
    map_close(&d->cache);
    arena_close(&d->cache_arena);
    arena_close(&d->batch_arena);
    free(d);
    *out = NULL;
}

/* --- asking ------------------------------------------------------------------------------------ */

static void find(struct directory *d, char by, struct bytes address, directory_found *on_found,
                 void *ctx) {
    /* Longer than any address: it cannot be there, cut or not. */
    struct bytes wanted = bytes_first(address, KEY_MAX);
    struct lookup *u = calloc(1, sizeof *u + 1 + wanted.len);
    MUST(u);
    u->on_found = on_found;
    u->ctx = ctx;
    u->len = 1 + wanted.len;
    u->key[0] = by;
    for (size_t i = 0; i < wanted.len; i++)
        u->key[i + 1] = ascii_lower(wanted.at[i]);
    list_append(&d->waiting, &u->node);
    if (!timer_is_set(&d->turn))
        timer_set(d->loop, &d->turn, 0, on_turn, d);
}

void directory_find(struct directory *d, struct bytes address, directory_found *on_found,
                    void *ctx) {
    find(d, 'A', address, on_found, ctx);
}

void directory_find_login(struct directory *d, struct bytes login, directory_found *on_found,
                          void *ctx) {
    find(d, 'L', login, on_found, ctx);
}

void directory_find_whole(struct directory *d, struct bytes address, directory_found *on_found,
                          void *ctx) {
    find(d, 'W', address, on_found, ctx);
}

void directory_find_member(struct directory *d, struct bytes group, struct bytes login,
                           struct bytes sender, directory_found *on_found, void *ctx) {
    char text[KEY_MAX];
    struct buf b = buf_fixed(text, sizeof text);
    const struct bytes parts[] = { group, login, sender };
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (i)
            buf_char(&b, 0);
        buf_add(&b, bytes_first(parts[i], 320)); /* longer than any address */
    }
    find(d, 'M', buf_bytes(&b), on_found, ctx);
}

void directory_cancel(struct directory *d, void *ctx) {
    cancel_in(&d->waiting, ctx, false);
    cancel_in(&d->batch, ctx, false);
    cancel_in(&d->answers, ctx, false);
    answered_cancel(d->answered, ctx, false);
}

void directory_claim_answer(struct directory *d, const struct directory_claim *claim,
                            directory_claimed *on_claimed, void *ctx) {
    answered_claim(d->answered, claim, on_claimed, ctx);
}

/* --- answering --------------------------------------------------------------------------------- */

static void answer(struct lookup *u, enum rc rc, const struct directory_entry *entry,
                   const struct why *why) {
    directory_found *on_found = u->on_found;
    void *ctx = u->ctx;
    free(u);
    if (on_found)
        on_found(ctx, rc, rc == OK ? entry : NULL, why);
}

static struct bytes key_of(const struct lookup *u) {
    return bytes_of(u->key, u->len);
}

static bool is_fresh(const struct directory *d) {
    return d->checked && loop_now(d->loop) - d->checked_at < FRESH_MS;
}

static void begin_batch(struct directory *d) {
    LIST_EACH(&d->waiting, n) {
        struct lookup *u = CONTAINER_OF(n, struct lookup, node);
        list_remove(&d->waiting, n);
        u->known = map_find(d->cache, key_of(u));
        list_append(&d->batch, n);
    }
    d->busy = true;
    offload_submit(d->offload, &d->job);
}

static void on_turn(void *ctx) {
    struct directory *d = ctx;
    static const struct why none;
    size_t count = d->waiting.count; /* callbacks may ask again: that is for the next turn */
    while (count-- > 0 && is_fresh(d)) {
        struct list_node *n = list_pop(&d->waiting);
        struct lookup *u = CONTAINER_OF(n, struct lookup, node);
        const struct cached *known = map_find(d->cache, key_of(u));
        if (known)
            answer(u, OK, known->entry, &none);
        else
            list_append(&d->waiting, n);
    }
    if (d->waiting.count && !d->busy)
        begin_batch(d);
}

/* --- on the thread ----------------------------------------------------------------------------- */

static enum rc read_member(struct directory *d, struct bytes key, struct directory_entry **out) {
    struct bytes group, login;
    bool member = false;
    bytes_split(&key, 0, &group);
    bytes_split(&key, 0, &login);
    enum rc rc = directory_db_is_member(d->tables, group, login, key, &member, &d->batch_why);
    if (rc != OK || !member)
        return rc;
    *out = ARENA_NEW(d->batch_arena, struct directory_entry);
    (*out)->kind = DIRECTORY_GROUP;
    (*out)->address = group;
    return OK;
}

static enum rc read_one(struct directory *d, struct lookup *u) {
    struct directory_entry *entry = NULL;
    struct bytes address = bytes_skip(key_of(u), 1);
    struct arena *a = d->batch_arena;
    enum rc rc =
        u->key[0] == 'L'   ? directory_db_find_login(d->tables, address, a, &entry, &d->batch_why)
        : u->key[0] == 'W' ? directory_db_find_whole(d->tables, address, a, &entry, &d->batch_why)
        : u->key[0] == 'M' ? read_member(d, address, &entry)
                           : directory_db_find(d->tables, address, a, &entry, &d->batch_why);
    u->entry = entry;
    return rc;
}

static enum rc work(struct directory *d) {
    enum rc rc = db_ready(tables_db(d->tables), false, &d->batch_why);
    if (rc == OK)
        rc = db_version(tables_db(d->tables), &d->batch_version, &d->batch_why);
    LIST_EACH(&d->batch, n) {
        struct lookup *u = CONTAINER_OF(n, struct lookup, node);
        if (rc != OK)
            return rc;
        if (u->known && d->batch_version == d->version)
            u->entry = u->known->entry;
        else
            rc = read_one(d, u);
    }
    return rc;
}

static void batch_work(void *ctx) {
    struct directory *d = ctx;
    why_clear(&d->batch_why);
    d->batch_rc = work(d);
}

/* --- back on the loop -------------------------------------------------------------------------- */

static void forget(struct directory *d) {
    map_close(&d->cache);
    d->cache = map_open();
    arena_reset(d->cache_arena);
}

static void remember(struct directory *d, const struct lookup *u) {
    if (map_find(d->cache, key_of(u)))
        return;
    struct cached *c = ARENA_NEW(d->cache_arena, struct cached);
    c->entry = directory_entry_copy(d->cache_arena, u->entry);
    map_put(d->cache, key_of(u), c);
}

/* Answers of the batch are in its own arena, or in the cache as it was: so they are copied there
 * before the cache is emptied. */
static void take_over(struct directory *d) {
    bool changed = d->batch_version != d->version;
    bool large = map_count(d->cache) + d->batch.count > CACHE_ENTRIES ||
                 arena_used(d->cache_arena) > CACHE_OCTETS;
    if (large && !changed)
        LIST_EACH(&d->batch, n) {
            struct lookup *u = CONTAINER_OF(n, struct lookup, node);
            u->entry = directory_entry_copy(d->batch_arena, u->entry);
        }
    if (large || changed)
        forget(d);
    d->version = d->batch_version;
    d->checked = true;
    d->checked_at = loop_now(d->loop);
    LIST_EACH(&d->batch, n)
    remember(d, CONTAINER_OF(n, struct lookup, node));
}

static void batch_done(void *ctx) {
    struct directory *d = ctx;
    struct list_node *n;
    enum rc rc = d->batch_rc;
    if (rc == OK)
        take_over(d);
    else
        d->checked = false;
    while ((n = list_pop(&d->batch)))
        list_append(&d->answers, n);
    while ((n = list_pop(&d->answers))) {
        struct lookup *u = CONTAINER_OF(n, struct lookup, node);
        answer(u, rc, u->entry, &d->batch_why);
    }
    arena_reset(d->batch_arena);
    d->busy = false;
    if (d->waiting.count && !timer_is_set(&d->turn))
        timer_set(d->loop, &d->turn, 0, on_turn, d);
}
