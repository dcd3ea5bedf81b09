/* vacation: one answer on its way: the user's text, the claim, the message. */
#include "bin/vacation.h"
#include "base/event.h"
#include "base/list.h"
#include "base/must.h"
#include "message/automatic.h"
#include "report/report.h"

#include <stdlib.h>

/* So many at once: each takes some KiB, and a sync of its own. */
enum { ANSWERS_MAX = 500, MESSAGE_MAX = 128 * 1024 };
static const int64_t PAUSE = INT64_C(7) * 24 * 60 * 60 * 1000; /* RFC 5230 section 4.1's default */

struct vacations {
    struct vacations_setup setup;
    struct list answers;
};

struct answer {
    struct list_node node;
    struct vacations *vacations;
    struct arena *arena;
    struct bytes message, message_id, session, tenant;
    struct report_vacation said;
};

struct vacations *vacations_open(const struct vacations_setup *setup) {
    struct vacations *v = calloc(1, sizeof *v);
    MUST(v);
    v->setup = *setup;
    list_init(&v->answers);
    return v;
}

static void free_answer(struct answer *a) {
    list_remove(&a->vacations->answers, &a->node);
    struct arena *arena = a->arena;
    arena_close(&arena); /* the answer lies in it */
}

void vacations_close(struct vacations **vp) {
    struct vacations *v = *vp;
    if (!v)
        return;
    LIST_EACH(&v->answers, n) {
        struct answer *a = CONTAINER_OF(n, struct answer, node);
        directory_cancel(v->setup.directory, a);
        free_answer(a);
    }
    free(v);
    *vp = NULL;
}

/* --- the end ------------------------------------------------------------------------------------- */

static void describe(const struct answer *a, struct event *e) {
    event_text(e, "message", a->message);
    event_text(e, "session", a->session);
    event_text(e, "message_id", a->message_id);
    event_text(e, "from", a->said.user);
    event_text(e, "to", a->said.to);
}

static void end(struct answer *a) {
    struct vacations_setup setup = a->vacations->setup;
    free_answer(a);
    setup.on_end(setup.ctx);
}

static void not_answered(struct answer *a, const char *text) {
    struct event *e = event_begin("vacation-silent");
    describe(a, e);
    event_str(e, "text", text);
    event_end(e);
    end(a);
}

static void sent(void *ctx, enum rc rc, const struct message_id *id) {
    struct answer *a = ctx;
    if (rc != OK) {
        not_answered(a, "the answer could not be written to the queue");
        return;
    }
    struct event *e = event_begin("vacation-answered");
    describe(a, e);
    event_str(e, "answer", id->text);
    event_end(e);
    end(a);
}

/* --- on the way ---------------------------------------------------------------------------------- */

static const char *const results[] = {
    [DIRECTORY_CLAIMED] = NULL,
    [DIRECTORY_CLAIMED_BEFORE] = "the sender was answered within the last 7 days",
    [DIRECTORY_CLAIMS_FULL] = "1000 senders were answered within the last 7 days",
};

static void claimed(void *ctx, enum rc rc, enum directory_claim_result result,
                    const struct why *why) {
    struct answer *a = ctx;
    struct vacations *v = a->vacations;
    if (rc != OK || results[result]) {
        not_answered(a, rc != OK ? why->text : results[result]);
        return;
    }
    a->said.now = loop_wall(v->setup.loop);
    struct buf message = buf_grow(MESSAGE_MAX);
    report_vacation_write(&a->said, a->arena, &message);
    v->setup.send(v->setup.ctx, a->said.to, a->tenant, buf_bytes(&message), sent, a);
    buf_free(&message);
}

/* A new mark in the reverse-path (BATV) makes no new sender. */
static void claim(struct answer *a) {
    const struct vacations_setup *s = &a->vacations->setup;
    const struct directory_claim wanted = { .user = a->said.user,
                                            .sender = automatic_sender_base(a->said.to),
                                            .now = loop_wall(s->loop),
                                            .pause = PAUSE };
    directory_claim_answer(s->directory, &wanted, claimed, a);
}

static void found(void *ctx, enum rc rc, const struct directory_entry *e, const struct why *why) {
    struct answer *a = ctx;
    if (rc != OK) {
        not_answered(a, why->text);
        return;
    }
    if (!e || !directory_vacation_holds(&e->vacation, loop_wall(a->vacations->setup.loop))) {
        not_answered(a, "the vacation is over");
        return;
    }
    a->said.text = arena_copy(a->arena, e->vacation.text);
    a->said.subject = arena_copy(a->arena, e->vacation.subject);
    claim(a);
}

/* Forged senders in masses end here, and not in memory. */
static bool is_full(const struct vacations *v, const struct job *job, struct bytes user) {
    if (v->answers.count < ANSWERS_MAX)
        return false;
    struct event *e = event_begin("vacation-silent");
    event_text(e, "message", message_id_bytes(&job->id));
    event_text(e, "session", job->envelope->session);
    event_text(e, "from", user);
    event_text(e, "to", job->envelope->sender);
    event_str(e, "text", "500 answers are under way at once");
    event_end(e);
    return true;
}

bool vacations_delivered(struct vacations *v, const struct job *job, uint32_t recipient,
                         struct bytes tenant, struct bytes hostname) {
    const struct envelope *e = job->envelope;
    struct bytes user = e->recipients[recipient].away;
    if (!user.len || is_full(v, job, user))
        return false;
    struct arena *arena = arena_open();
    struct answer *a = ARENA_NEW(arena, struct answer);
    *a = (struct answer){ .vacations = v, .arena = arena };
    a->message = arena_copy(arena, message_id_bytes(&job->id));
    a->message_id = arena_copy(arena, e->message_header_id);
    a->session = arena_copy(arena, e->session);
    a->tenant = arena_copy(arena, tenant);
    a->said = (struct report_vacation){
        .user = arena_copy(arena, user),
        .to = arena_copy(arena, e->sender),
        .about = arena_copy(arena, e->subject),
        .references = arena_copy(arena, e->references),
        .message_id = a->message_id,
        .hostname = arena_copy(arena, hostname),
        /* Begins with the message's id: by that `postern trace` finds it. */
        .id = arena_printf(arena, "%s.v%u.%llx", job->id.text, (unsigned)recipient,
                           (unsigned long long)loop_wall(v->setup.loop)),
    };
    list_append(&v->answers, &a->node);
    directory_find_whole(v->setup.directory, a->said.user, found, a);
    return true;
}
