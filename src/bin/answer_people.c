/* answer_people: users, aliases and groups over the control socket, for a tenant's administrator: those
 * whose address is of the tenant's own domains. Read on a thread beside the loop, so many addresses at a
 * time; what they are in JSON goes out in pieces, for one group alone may be larger than a page. One
 * worker answers for all. */
#include "base/must.h"
#include "bin/layout.h"
#include "bin/people_json.h"
#include "bin/question.h"
#include "bin/scope.h"
#include "sys/offload.h"

#include <stdlib.h>

/* A tenant cannot keep another's administrator from asking. */
enum { SLICE = 500, LISTINGS_MAX = 8, TENANT_LISTINGS_MAX = 2, ADDRESS_MAX = 320 };

struct people_listing {
    struct question *question;
    struct scope_view *view; /* NULL: everything */
    struct offload_job job;
    const char *file;
    enum directory_kind kind;
    bool show;
    struct bytes address; /* show: this one alone */
    struct buf after;     /* where the next slice begins */
    struct buf out;       /* what it found */
    size_t sent;
    bool more;
    enum rc rc;
    struct why why;
};

void answer_people_end(struct question *q) {
    struct people_listing *l = q->listing;
    q->listing = NULL;
    if (!l)
        return;
    scope_view_close(&l->view);
    buf_free(&l->after);
    buf_free(&l->out);
    free(l);
}

/* --- on the thread ---------------------------------------------------------------------------- */

static bool is_told(const struct people_listing *l, struct bytes address) {
    return !l->view || scope_view_has(l->view, address);
}

static enum rc add_one(struct people_listing *l, struct directory_db *db, struct bytes address) {
    struct arena *a = arena_open();
    struct directory_entry *e = NULL;
    enum rc rc = is_told(l, address) ? directory_db_find_whole(db, address, a, &e, &l->why) : OK;
    if (rc == OK && e && e->kind == l->kind && is_told(l, e->address)) {
        people_json(&l->out, a, e);
        buf_str(&l->out, "}\n");
    }
    arena_close(&a);
    return rc;
}

/* Until there is a page of it, or the slice is over. */
static enum rc add_slice(struct people_listing *l, struct directory_db *db) {
    struct arena *a = arena_open();
    struct strings page;
    enum rc rc =
        directory_db_addresses(db, l->kind, buf_bytes(&l->after), SLICE, a, &page, &l->why);
    size_t i = 0;
    for (; rc == OK && i < page.count && l->out.len < PAGE_OCTETS; i++) {
        rc = add_one(l, db, page.list[i]);
        buf_clear(&l->after);
        buf_add(&l->after, page.list[i]);
    }
    l->more = rc == OK && (i < page.count || page.count == SLICE);
    arena_close(&a);
    return rc;
}

static void work(void *ctx) {
    struct people_listing *l = ctx;
    struct directory_db *db = NULL;
    l->more = false;
    l->rc = directory_db_open(l->file, false, &db, &l->why);
    if (l->rc == OK)
        l->rc = l->show ? add_one(l, db, l->address) : add_slice(l, db);
    directory_db_close(&db);
}

/* --- on the loop ------------------------------------------------------------------------------ */

static void go_on(struct question *q) {
    struct people_listing *l = q->listing;
    buf_clear(&l->out);
    l->sent = 0;
    q->owed = true;
    offload_submit(q->answers->people, &l->job);
}

static void send_piece(struct question *q) {
    struct people_listing *l = q->listing;
    struct bytes rest = bytes_skip(buf_bytes(&l->out), l->sent);
    struct bytes piece = bytes_first(rest, PAGE_OCTETS - 1024);
    bool last = piece.len == rest.len;
    buf_add(&q->lines, piece);
    l->sent += piece.len;
    q->next = last ? go_on : send_piece;
    question_send(q, last && !l->more ? ANSWER_WHOLE : ANSWER_MORE);
}

static void worked(void *ctx) {
    struct people_listing *l = ctx;
    struct question *q = l->question;
    q->owed = false;
    if (q->stopped) {
        question_free(q);
    } else if (l->rc != OK || l->out.full) {
        question_error(q, "not all of the directory could be read");
    } else if (!l->out.len && l->more) {
        go_on(q);
    } else {
        send_piece(q);
    }
}

static bool has_room(const struct question *q) {
    size_t all = 0, same = 0;
    LIST_EACH(&q->answers->questions, n) {
        const struct question *other = CONTAINER_OF(n, struct question, node);
        all += other->listing != NULL;
        same += other->listing && bytes_equal(other->scope, q->scope);
    }
    return all < LISTINGS_MAX && same < TENANT_LISTINGS_MAX;
}

static bool find_kind(struct bytes name, enum directory_kind *out) {
    static const char *const kinds[] = {
        [DIRECTORY_USER] = "user", [DIRECTORY_ALIAS] = "alias", [DIRECTORY_GROUP] = "group"
    };
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (bytes_equal(name, bytes_str(kinds[i]))) {
            *out = (enum directory_kind)i;
            return true;
        }
    return false;
}

static void begin(struct question *q, enum directory_kind kind, bool show, struct bytes address) {
    const struct answers_setup *s = &q->answers->setup;
    const struct config *c = s->config(s->ctx);
    struct people_listing *l = calloc(1, sizeof *l);
    MUST(l);
    l->question = q;
    if (q->scope.len)
        l->view = scope_view_open(c, q->scope);
    l->job = (struct offload_job){ .work = work, .done = worked, .ctx = l };
    l->file = layout_directory_file(q->arena, c).at;
    l->kind = kind;
    l->show = show;
    l->address = address;
    l->after = buf_grow(1024);
    l->out = buf_grow(PEOPLE_JSON_MAX + PAGE_OCTETS);
    q->listing = l;
    if (!q->answers->people)
        q->answers->people = offload_open(s->loop, "people");
    go_on(q);
}

void answer_people(struct question *q, const json_t *request) {
    const struct answers_setup *s = &q->answers->setup;
    struct bytes address = arena_lower(q->arena, question_text(request, "address", q->arena));
    bool show = json_is_true(json_object_get(request, "show"));
    enum directory_kind kind;
    if (!s->loop || !s->config)
        question_error(q, "no server runs: postern user reads the directory itself");
    else if (!find_kind(question_text(request, "kind", q->arena), &kind))
        question_error(q, "a kind is user, alias or group");
    else if (show ? address.len > ADDRESS_MAX : address.len > 0)
        question_error(q, "a list takes no address, show one of at most %d octets", ADDRESS_MAX);
    else if (!has_room(q))
        question_error(q, "other listings are under way: ask again when they are over");
    else
        begin(q, kind, show, address);
}
