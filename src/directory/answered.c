/* answered: claims on an offload thread, each one transaction. */
#include "directory/answered.h"

#include "base/list.h"
#include "base/must.h"
#include "sys/db.h"

#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 1000 };

static const char *const steps[] = {
    "CREATE TABLE answered ("
    " user TEXT NOT NULL,"
    " sender TEXT NOT NULL,"
    " at INTEGER NOT NULL," /* wall ms */
    " PRIMARY KEY (user, sender)"
    ") WITHOUT ROWID;"
    "CREATE INDEX answered_at ON answered (at);",
};
static const struct db_schema schema = { "backend.directory", steps, COUNT_OF(steps) };

struct answered {
    struct db *db; /* the thread's */
    struct offload *offload;
    struct list claims; /* under way */
};

struct claim {
    struct list_node node;
    struct answered *answered;
    struct offload_job job;
    directory_claimed *on_claimed; /* NULL: cancelled */
    void *ctx;
    struct arena *arena;
    struct directory_claim wanted; /* in lower case */
    enum rc rc;
    enum directory_claim_result result;
    struct why why;
};

/* Beside directory.db. */
static struct db *open_beside(const char *file) {
    struct bytes path = bytes_str(file);
    struct arena *a = arena_open();
    path = bytes_first(path, (size_t)(bytes_find_last(path, '/') + 1));
    struct db *db = db_new(arena_printf(a, "%.*sanswered.db", BYTES_FMT(path)).at, &schema);
    arena_close(&a);
    return db;
}

struct answered *answered_open(struct loop *l, const char *file) {
    struct answered *a = calloc(1, sizeof *a);
    MUST(a);
    a->db = open_beside(file);
    a->offload = offload_open(l, "answered");
    list_init(&a->claims);
    return a;
}

static void free_claim(struct claim *c) {
    list_remove(&c->answered->claims, &c->node);
    struct arena *arena = c->arena;
    arena_close(&arena); /* the claim lies in it */
}

void answered_close(struct answered **ap) {
    struct answered *a = *ap;
    if (!a)
        return;
    answered_cancel(a, NULL, true);
    offload_close(&a->offload);
    db_close(&a->db);
    free(a);
    *ap = NULL;
}

void answered_cancel(struct answered *a, const void *ctx, bool all) {
    LIST_EACH(&a->claims, n) {
        struct claim *c = CONTAINER_OF(n, struct claim, node);
        if (all || c->ctx == ctx)
            c->on_claimed = NULL;
    }
}

/* --- on the thread ----------------------------------------------------------------------------- */

static void on_number(void *ctx, const struct db_row *row) {
    *(int64_t *)ctx = db_int(row, 0);
}

/* Rows whose time is over; one from the future was written by a clock that has been set back since. */
static enum rc forget_old(struct claim *c) {
    const struct directory_claim *w = &c->wanted;
    enum rc rc = db_run(c->answered->db, "DELETE FROM answered WHERE at<=?1",
                        DB_VALUES(DB_INT(w->now - w->pause)), NULL, NULL, &c->why);
    return rc != OK ? rc
                    : db_run(c->answered->db, "DELETE FROM answered WHERE at>?1",
                             DB_VALUES(DB_INT(w->now + w->pause)), NULL, NULL, &c->why);
}

static enum rc look(struct claim *c) {
    const struct directory_claim *w = &c->wanted;
    int64_t same = 0, all = 0;
    struct db *db = c->answered->db;
    enum rc rc = db_run(db, "SELECT count(*) FROM answered WHERE user=?1 AND sender=?2",
                        DB_VALUES(DB_TEXT(w->user), DB_TEXT(w->sender)), on_number, &same, &c->why);
    if (rc == OK)
        rc = db_run(db, "SELECT count(*) FROM answered WHERE user=?1", DB_VALUES(DB_TEXT(w->user)),
                    on_number, &all, &c->why);
    c->result = same                  ? DIRECTORY_CLAIMED_BEFORE
                : all >= ANSWERED_MAX ? DIRECTORY_CLAIMS_FULL
                                      : DIRECTORY_CLAIMED;
    return rc;
}

static enum rc enter(struct claim *c) {
    const struct directory_claim *w = &c->wanted;
    return db_run(c->answered->db, "INSERT INTO answered (user, sender, at) VALUES (?1, ?2, ?3)",
                  DB_VALUES(DB_TEXT(w->user), DB_TEXT(w->sender), DB_INT(w->now)), NULL, NULL,
                  &c->why);
}

static void claim_work(void *ctx) {
    struct claim *c = ctx;
    struct db *db = c->answered->db;
    c->rc = db_ready(db, true, &c->why);
    if (c->rc != OK)
        return;
    c->rc = db_begin(db, &c->why);
    if (c->rc == OK)
        c->rc = forget_old(c);
    if (c->rc == OK)
        c->rc = look(c);
    if (c->rc == OK && c->result == DIRECTORY_CLAIMED)
        c->rc = enter(c);
    if (c->rc == OK)
        c->rc = db_commit(db, &c->why);
    if (c->rc != OK)
        db_rollback(db);
}

/* --- on the loop ------------------------------------------------------------------------------- */

static void claim_done(void *ctx) {
    struct claim *c = ctx;
    if (c->on_claimed)
        c->on_claimed(c->ctx, c->rc, c->result, &c->why);
    free_claim(c);
}

void answered_claim(struct answered *a, const struct directory_claim *claim,
                    directory_claimed *on_claimed, void *ctx) {
    struct arena *arena = arena_open();
    struct claim *c = ARENA_NEW(arena, struct claim);
    *c = (struct claim){ .answered = a, .on_claimed = on_claimed, .ctx = ctx, .arena = arena };
    c->wanted = *claim;
    c->wanted.user = arena_lower(arena, bytes_first(claim->user, KEY_MAX));
    c->wanted.sender = arena_lower(arena, bytes_first(claim->sender, KEY_MAX));
    c->job = (struct offload_job){ .work = claim_work, .done = claim_done, .ctx = c };
    list_append(&a->claims, &c->node);
    offload_submit(a->offload, &c->job);
}
