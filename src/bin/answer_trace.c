/* answer_trace: `postern trace` over the control socket, which a tenant's administrator needs: the
 * history is read on a thread beside the loop, a slice at a time, so that many searches take turns and
 * one whose asker has gone ends soon. One worker answers for all: the history's folder is theirs
 * together. */
#include "base/must.h"
#include "bin/layout.h"
#include "bin/question.h"
#include "bin/scope.h"
#include "report/report.h"
#include "sys/offload.h"

#include <stdlib.h>

/* A tenant cannot keep another's administrator from asking. */
enum { SLICE_OCTETS = 4 * 1024 * 1024, SEARCHES_MAX = 16, TENANT_SEARCHES_MAX = 2 };

struct tracing {
    struct question *question;
    struct history_search *search;
    struct scope_view *view; /* NULL: everything */
    struct offload_job job;
    bool more;
    enum rc rc;
    struct why why;
};

void answer_trace_end(struct question *q) {
    struct tracing *t = q->tracing;
    q->tracing = NULL;
    if (!t)
        return;
    history_search_close(&t->search);
    scope_view_close(&t->view);
    free(t);
}

/* --- on the thread ---------------------------------------------------------------------------- */

static bool see(void *ctx, struct bytes line, struct buf *out) {
    return scope_sees_event(ctx, line, out);
}

static bool on_line(void *ctx, struct bytes line) {
    struct buf *b = &((struct tracing *)ctx)->question->lines;
    if (b->len + line.len + 1 > b->max && b->len)
        return false;
    size_t before = b->len;
    buf_add(b, line);
    buf_char(b, '\n');
    if (b->full) { /* no event is this long */
        buf_cut(b, before);
        b->full = false;
    }
    return true;
}

static void work(void *ctx) {
    struct tracing *t = ctx;
    t->rc = history_search_step(t->search, SLICE_OCTETS, on_line, t, &t->more, &t->why);
}

/* --- on the loop ------------------------------------------------------------------------------ */

static void go_on(struct question *q) {
    q->owed = true;
    offload_submit(q->answers->history, &q->tracing->job);
}

static void worked(void *ctx) {
    struct tracing *t = ctx;
    struct question *q = t->question;
    q->owed = false;
    if (q->stopped) {
        question_free(q);
    } else if (t->rc != OK) {
        question_error(q, "%s", t->view ? "not all of the history could be read" : t->why.text);
    } else if (!t->more) {
        question_send(q, ANSWER_WHOLE);
    } else if (q->lines.len) {
        question_send(q, ANSWER_MORE);
    } else {
        go_on(q);
    }
}

static bool has_room(const struct question *q) {
    size_t all = 0, same = 0;
    LIST_EACH(&q->answers->questions, n) {
        const struct question *other = CONTAINER_OF(n, struct question, node);
        all += other->tracing != NULL;
        same += other->tracing && bytes_equal(other->scope, q->scope);
    }
    return all < SEARCHES_MAX && same < TENANT_SEARCHES_MAX;
}

void answer_trace(struct question *q, const json_t *request) {
    const struct answers_setup *s = &q->answers->setup;
    struct bytes what = question_text(request, "what", q->arena);
    if (!s->loop || !s->config) {
        question_error(q, "no server runs: postern trace reads the history itself");
        return;
    }
    if (!has_room(q)) {
        question_error(q, "other searches are under way: ask again when they are over");
        return;
    }
    struct tracing *t = calloc(1, sizeof *t);
    MUST(t);
    const struct config *c = s->config(s->ctx);
    if (q->scope.len)
        t->view = scope_view_open(c, q->scope);
    t->question = q;
    t->search = history_search_open(layout_path(q->arena, c, "history").at, what,
                                    t->view ? &(struct history_view){ see, t->view } : NULL);
    t->job = (struct offload_job){ .work = work, .done = worked, .ctx = t };
    q->tracing = t;
    q->next = go_on;
    if (!q->answers->history)
        q->answers->history = offload_open(s->loop, "history");
    go_on(q);
}
