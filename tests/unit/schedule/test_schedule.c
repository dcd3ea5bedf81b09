/* Tests of src/schedule on a store in memory and a clock that stands still until it is moved: turns of
 * destinations, windows, back-off, pages, what is given up and warned of, orders. */
#include "shelf.h"

#include "../../sim/loop.c"
#include "base/event.h"
#include "schedule/schedule.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MINUTE (60 * 1000LL)
#define HOUR   (60 * MINUTE)

enum { JOBS_MAX = 40000 };

/* A job handed to deliver. */
struct handed {
    struct message_id id;
    char hop[48];
    size_t count;
    uint32_t attempt;
    bool answered;
};

struct bench {
    struct loop *loop;
    struct shelf shelf;
    struct counters *counters;
    struct config *config;
    struct schedule *schedule;
    struct handed *jobs;
    size_t count, answered;
    enum outcome_kind answer; /* what every job comes to at once ... */
    bool manual;              /* ... unless the test answers itself */
    const char *silent;       /* jobs of this next hop get no answer */
    const char *rerouted;     /* where next_hop says that things go now */
    const char *reason;
    enum blast blast;
    struct buf events;
    size_t reports, reported;
    enum schedule_report last_report;
    enum rc report_rc;
    bool idle;
    size_t changed;
};

/* --- ports ------------------------------------------------------------------------------------ */

static void answer(struct bench *b, size_t n, enum outcome_kind kind) {
    struct handed *h = &b->jobs[n];
    struct outcome outcomes[2000];
    assert_false(h->answered);
    assert_true(h->count <= 2000);
    h->answered = true;
    b->answered++;
    for (size_t i = 0; i < h->count; i++)
        outcomes[i] = (struct outcome){
            .recipient = (uint32_t)i,
            .kind = kind,
            .blast = b->blast,
            .code = kind == OUTCOME_RELAYED    ? 250
                    : kind == OUTCOME_DEFERRED ? 421
                                               : 550,
            .status = { kind == OUTCOME_RELAYED    ? 2
                        : kind == OUTCOME_DEFERRED ? 4
                                                   : 5,
                        0, 0 },
            .reply = B("words"),
            .remote = true,
            .host = B("mx.example.com"),
            .command = "RCPT",
            .reason = b->reason,
        };
    schedule_outcomes(b->schedule, h->id, bytes_str(h->hop), outcomes, h->count);
}

static void at_once(void *ctx) {
    struct bench *b = ctx;
    for (size_t i = 0; i < b->count; i++)
        if (!b->jobs[i].answered && !(b->silent && strcmp(b->jobs[i].hop, b->silent) == 0))
            answer(b, i, b->answer);
}

static struct timer answering;

static void on_deliver(void *ctx, const struct job *job) {
    struct bench *b = ctx;
    assert_true(b->count < JOBS_MAX);
    struct handed *h = &b->jobs[b->count++];
    *h = (struct handed){ .id = job->id, .count = job->count, .attempt = job->attempt };
    snprintf(h->hop, sizeof h->hop, "%.*s", BYTES_FMT(job->next_hop));
    if (!b->manual && !(b->silent && strcmp(h->hop, b->silent) == 0))
        timer_set(b->loop, &answering, 0, at_once, b);
}

static void on_next_hop(void *ctx, const struct envelope *e, uint32_t recipient, struct buf *out) {
    struct bench *b = ctx;
    if (b->rerouted)
        buf_str(out, b->rerouted);
    else
        buf_add(out, e->recipients[recipient].next_hop);
}

static void on_report(void *ctx, const struct job *job, const struct outcome *outcomes,
                      size_t count, enum schedule_report what, void (*done)(void *arg, enum rc rc),
                      void *arg) {
    struct bench *b = ctx;
    (void)job, (void)outcomes;
    b->reports++;
    b->reported += count;
    b->last_report = what;
    done(arg, b->report_rc);
}

static void on_event(void *ctx, const char *name, struct bytes line) {
    (void)name;
    struct bench *b = ctx;
    buf_add(&b->events, line);
    buf_char(&b->events, '\n');
}

static int64_t clock_of(void *loop) {
    return loop_wall(loop);
}

/* --- the bench -------------------------------------------------------------------------------- */

static struct config *configuration(const char *text) {
    struct config *c;
    struct config_findings findings;
    assert_int_equal(config_parse(B("test.conf"), bytes_str(text), &c, &findings), OK);
    return c;
}

static void open_schedule(struct bench *b) {
    b->schedule = schedule_open(
        b->loop, &b->shelf.base, b->counters, b->config,
        &(struct schedule_ports){
            .ctx = b, .deliver = on_deliver, .next_hop = on_next_hop, .report = on_report });
    sim_run(b->loop);
}

static int setup(void **state) {
    struct bench *b = calloc(1, sizeof(*b));
    MUST(b);
    b->jobs = calloc(JOBS_MAX, sizeof(*b->jobs));
    MUST(b->jobs);
    b->loop = loop_open();
    b->counters = counters_local();
    b->config = configuration("hostname = \"mail.proseware.com\"\n");
    b->events = buf_grow(64 << 20);
    b->answer = OUTCOME_RELAYED;
    b->blast = BLAST_SESSION;
    event_open(clock_of, b->loop);
    event_listen(on_event, b);
    shelf_open(&b->shelf, b->loop);
    open_schedule(b);
    *state = b;
    return 0;
}

static int teardown(void **state) {
    struct bench *b = *state;
    schedule_close(&b->schedule);
    sim_run(b->loop);
    timer_clear(&answering);
    event_unlisten(on_event, b);
    shelf_close(&b->shelf);
    counters_close(&b->counters);
    config_close(&b->config);
    buf_free(&b->events);
    loop_close(&b->loop);
    free(b->jobs);
    free(b);
    return 0;
}

static size_t handed_to(const struct bench *b, const char *hop) {
    size_t n = 0;
    for (size_t i = 0; i < b->count; i++)
        n += strcmp(b->jobs[i].hop, hop) == 0;
    return n;
}

static size_t under_way(const struct bench *b, const char *hop) {
    size_t n = 0;
    for (size_t i = 0; i < b->count; i++)
        n += strcmp(b->jobs[i].hop, hop) == 0 && !b->jobs[i].answered;
    return n;
}

/* Answers what is under way there now. */
static void answer_all(struct bench *b, const char *hop, enum outcome_kind kind) {
    size_t until = b->count;
    for (size_t i = 0; i < until; i++)
        if (strcmp(b->jobs[i].hop, hop) == 0 && !b->jobs[i].answered)
            answer(b, i, kind);
    sim_run(b->loop);
}

static size_t events_of(const struct bench *b, const char *name) {
    char text[64];
    snprintf(text, sizeof text, "\"event\":\"%s\"", name);
    struct bytes rest = buf_bytes(&b->events);
    size_t n = 0;
    for (ptrdiff_t at; (at = bytes_search(rest, bytes_str(text))) >= 0; n++)
        rest = bytes_skip(rest, (size_t)at + 1);
    return n;
}

static enum recipient_state state_of(const struct shelf_message *m) {
    return m->states[0].state;
}

/* --- turns and windows ------------------------------------------------------------------------- */

static void a_fresh_message_is_delivered_and_settled(void **state) {
    struct bench *b = *state;
    struct shelf_message *m = shelf_add(&b->shelf, "mx:a.example", 3, true);
    sim_run(b->loop);
    assert_int_equal(b->count, 1);
    assert_int_equal(b->jobs[0].count, 3);
    assert_int_equal(b->jobs[0].attempt, 1);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(m->states[i].state, RECIPIENT_RELAYED);
    assert_int_equal(events_of(b, "relayed"), 3);
}

static void one_that_never_answers_does_not_hold_up_others(void **state) {
    struct bench *b = *state;
    b->silent = "mx:slow.example";
    for (int i = 0; i < 3000; i++)
        shelf_add(&b->shelf, "mx:slow.example", 1, true);
    for (int i = 0; i < 50; i++) {
        shelf_add(&b->shelf, "mx:a.example", 1, true);
        shelf_add(&b->shelf, "mx:b.example", 1, true);
    }
    sim_run(b->loop);
    assert_int_equal(handed_to(b, "mx:slow.example"), 2);
    assert_int_equal(handed_to(b, "mx:a.example"), 50);
    assert_int_equal(handed_to(b, "mx:b.example"), 50);
}

static void destinations_take_turns(void **state) {
    struct bench *b = *state;
    b->manual = true;
    for (int i = 0; i < 10; i++)
        shelf_add(&b->shelf, "mx:a.example", 1, true);
    for (int i = 0; i < 10; i++)
        shelf_add(&b->shelf, "mx:b.example", 1, true);
    sim_run(b->loop);
    assert_int_equal(b->count, 4);
    assert_string_not_equal(b->jobs[0].hop, b->jobs[1].hop);
    assert_string_not_equal(b->jobs[2].hop, b->jobs[3].hop);
}

static void the_window_grows_with_success_to_its_limit(void **state) {
    struct bench *b = *state;
    b->manual = true;
    for (int i = 0; i < 500; i++)
        shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    assert_int_equal(under_way(b, "mx:a.example"), 2);
    answer_all(b, "mx:a.example", OUTCOME_RELAYED);
    assert_int_equal(under_way(b, "mx:a.example"), 4);
    answer_all(b, "mx:a.example", OUTCOME_RELAYED);
    assert_int_equal(under_way(b, "mx:a.example"), 8);
    for (int i = 0; i < 5; i++)
        answer_all(b, "mx:a.example", OUTCOME_RELAYED);
    assert_int_equal(under_way(b, "mx:a.example"), 20);
}

static void a_route_has_the_limit_of_its_connections(void **state) {
    struct bench *b = *state;
    struct config *old = b->config;
    b->manual = true;
    b->config =
        configuration("hostname = \"mail.proseware.com\"\n"
                      "route \"r\" { via = {\"smtp://a.example:25\"} max_connections = 3 }\n");
    schedule_reload(b->schedule, b->config);
    config_close(&old);
    for (int i = 0; i < 50; i++)
        shelf_add(&b->shelf, "route:r", 1, true);
    sim_run(b->loop);
    for (int i = 0; i < 4; i++)
        answer_all(b, "route:r", OUTCOME_RELAYED);
    assert_int_equal(under_way(b, "route:r"), 3);
}

/* The first job stays under way: an idle destination would be forgotten, and its window with it. */
static void the_window_halves_when_a_session_fails(void **state) {
    struct bench *b = *state;
    b->manual = true;
    for (int i = 0; i < 15; i++)
        shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    for (size_t i = 1; i < 15; i++) { /* 14 successes: the window is 16 */
        answer(b, i, OUTCOME_RELAYED);
        sim_run(b->loop);
    }
    shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    answer(b, 15, OUTCOME_DEFERRED);
    sim_advance(b->loop, 31 * 1000);
    for (int i = 0; i < 50; i++)
        shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    assert_int_equal(under_way(b, "mx:a.example"), 8);
}

/* --- back-off ----------------------------------------------------------------------------------- */

static void a_failed_destination_is_left_alone_for_any_message(void **state) {
    struct bench *b = *state;
    b->answer = OUTCOME_DEFERRED;
    struct shelf_message *first = shelf_add(&b->shelf, "mx:dead.example", 1, true);
    sim_run(b->loop);
    assert_int_equal(b->count, 1);
    assert_int_equal(first->states[0].attempts, 1);
    struct shelf_message *second = shelf_add(&b->shelf, "mx:dead.example", 1, true);
    sim_run(b->loop);
    assert_int_equal(b->count, 1); /* no connection for it ... */
    assert_int_equal(state_of(second), RECIPIENT_DEFERRED);
    assert_int_equal(second->states[0].attempts, 0); /* ... and none counted */
    assert_true(bytes_equal(second->states[0].reply, B("words")));
    assert_true(second->states[0].next >= loop_wall(b->loop) + 30 * 1000);
    sim_advance(b->loop, 2 * MINUTE);
    assert_true(b->count >= 2);
}

static void failures_at_once_count_as_one(void **state) {
    struct bench *b = *state;
    b->manual = true;
    for (int i = 0; i < 8; i++)
        shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    answer_all(b, "mx:a.example", OUTCOME_RELAYED);
    assert_int_equal(under_way(b, "mx:a.example"), 4);
    answer_all(b, "mx:a.example", OUTCOME_DEFERRED);
    /* One failure: half a minute, not four. */
    sim_advance(b->loop, 31 * 1000);
    size_t before = b->count;
    shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    assert_int_equal(b->count, before + 1);
}

/* "421 too many connections": one is turned away while others work. */
static void one_too_many_at_once_does_not_stop_the_rest(void **state) {
    struct bench *b = *state;
    b->manual = true;
    for (int i = 0; i < 30; i++)
        shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    answer_all(b, "mx:a.example", OUTCOME_RELAYED);
    assert_int_equal(under_way(b, "mx:a.example"), 4);
    answer(b, 3, OUTCOME_DEFERRED);
    sim_run(b->loop);
    for (int i = 0; i < 10; i++)
        answer_all(b, "mx:a.example", OUTCOME_RELAYED);
    assert_int_equal(handed_to(b, "mx:a.example"),
                     30); /* all were tried, none was put off unseen */
}

static void a_message_that_fails_says_nothing_of_the_destination(void **state) {
    struct bench *b = *state;
    b->blast = BLAST_MESSAGE;
    b->answer = OUTCOME_DEFERRED;
    for (int i = 0; i < 5; i++)
        shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    assert_int_equal(b->count, 5);
}

static void a_limit_of_our_own_is_waited_for(void **state) {
    struct bench *b = *state;
    b->manual = true;
    struct shelf_message *m = shelf_add(&b->shelf, "route:r", 1, true);
    sim_run(b->loop);
    b->reason = "limit.route-rate";
    answer_all(b, "route:r", OUTCOME_DEFERRED);
    b->reason = NULL;
    assert_int_equal(m->states[0].attempts, 0);
    struct shelf_message *second = shelf_add(&b->shelf, "route:r", 1, true);
    sim_run(b->loop);
    assert_int_equal(state_of(second),
                     RECIPIENT_DUE); /* neither tried nor put off with a failure */
    sim_advance(b->loop, 31 * 1000);
    assert_int_equal(handed_to(b, "route:r"), 2);
    answer_all(b, "route:r", OUTCOME_RELAYED);
    sim_advance(b->loop, 2 * MINUTE);
    answer_all(b, "route:r", OUTCOME_RELAYED);
    assert_int_equal(state_of(m), RECIPIENT_RELAYED);
    assert_int_equal(m->states[0].attempts, 1);
}

/* --- when ---------------------------------------------------------------------------------------- */

static void retries_keep_to_the_schedule(void **state) {
    static const int64_t waits[] = { MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 4 * HOUR };
    struct bench *b = *state;
    b->manual = true;
    b->blast = BLAST_MESSAGE;
    struct shelf_message *m = shelf_add(&b->shelf, "mx:a.example", 40, true);
    sim_run(b->loop);
    for (size_t i = 0; i < COUNT_OF(waits); i++) {
        assert_int_equal(b->count, i + 1);
        assert_int_equal(b->jobs[i].count, 40);
        answer(b, i, OUTCOME_DEFERRED);
        int64_t wait = m->states[0].next - loop_wall(b->loop);
        assert_in_range(wait, waits[i] * 8 / 10, waits[i] * 12 / 10);
        for (size_t r = 1; r < 40; r++) /* together they failed, together they come back */
            assert_int_equal(m->states[r].next, m->states[0].next);
        sim_advance(b->loop, wait - 2000);
        assert_int_equal(b->count, i + 1);
        sim_advance(b->loop, 3000);
    }
}

static void delays_differ_between_messages(void **state) {
    struct bench *b = *state;
    b->blast = BLAST_MESSAGE;
    b->answer = OUTCOME_DEFERRED;
    struct shelf_message *m[10];
    for (size_t i = 0; i < 10; i++)
        m[i] = shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    size_t same = 0;
    for (size_t i = 1; i < 10; i++)
        same += m[i]->states[0].next == m[0]->states[0].next;
    assert_true(same < 3);
}

static void the_sender_is_warned_once_and_told_at_the_end(void **state) {
    struct bench *b = *state;
    b->blast = BLAST_MESSAGE;
    b->answer = OUTCOME_DEFERRED;
    struct shelf_message *m = shelf_add(&b->shelf, "mx:a.example", 2, true);
    sim_advance(b->loop, 3 * HOUR);
    assert_int_equal(b->reports, 0);
    sim_advance(b->loop, 6 * HOUR);
    assert_int_equal(b->reports, 1);
    assert_int_equal(b->reported, 2);
    assert_int_equal(b->last_report, SCHEDULE_DELAYED);
    assert_true(m->states[0].warned);
    sim_advance(b->loop, 100 * HOUR);
    assert_int_equal(b->reports, 1);
    sim_advance(b->loop, 24 * HOUR);
    assert_int_equal(b->reports, 2);
    assert_int_equal(b->last_report, SCHEDULE_EXPIRED);
    assert_int_equal(state_of(m), RECIPIENT_BOUNCED);
    /* Given up when the time is over, not at some attempt after it. */
    assert_non_null(strstr(buf_text(&b->events), "\"event\":\"bounced\""));
}

static void what_waits_for_a_dead_destination_is_given_up_too(void **state) {
    struct bench *b = *state;
    b->answer = OUTCOME_DEFERRED;
    for (int i = 0; i < 100; i++)
        shelf_add(&b->shelf, "mx:dead.example", 1, true);
    sim_advance(b->loop, 122 * HOUR);
    for (size_t i = 0; i < b->shelf.count; i++)
        assert_int_equal(state_of(b->shelf.list[i]), RECIPIENT_BOUNCED);
    assert_true(b->count < 300); /* and few connections were tried for all of it */
}

static void a_failure_is_settled_only_when_its_report_is_written(void **state) {
    struct bench *b = *state;
    b->answer = OUTCOME_FAILED;
    b->report_rc = TEMP;
    struct shelf_message *m = shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    assert_int_equal(state_of(m), RECIPIENT_DEFERRED);
    assert_int_equal(m->states[0].next, loop_wall(b->loop) + MINUTE);
    b->report_rc = OK;
    sim_advance(b->loop, 2 * MINUTE);
    assert_int_equal(state_of(m), RECIPIENT_BOUNCED);
    assert_int_equal(b->last_report, SCHEDULE_OUTCOMES);
}

static void a_warning_that_cannot_be_written_comes_with_the_next_attempt(void **state) {
    struct bench *b = *state;
    b->blast = BLAST_MESSAGE;
    b->answer = OUTCOME_DEFERRED;
    b->report_rc = TEMP;
    struct shelf_message *m = shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_advance(b->loop, 6 * HOUR);
    assert_false(m->states[0].warned);
    b->report_rc = OK;
    sim_advance(b->loop, 6 * HOUR);
    assert_true(m->states[0].warned);
}

static void a_clock_that_was_ahead_makes_nobody_wait(void **state) {
    struct bench *b = *state;
    b->blast = BLAST_MESSAGE;
    b->answer = OUTCOME_DEFERRED;
    struct shelf_message *m = shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    sim_jump(b->loop, -365 * 24 * HOUR);
    b->answer = OUTCOME_RELAYED;
    sim_advance(b->loop, 3 * MINUTE);
    assert_int_equal(state_of(m), RECIPIENT_RELAYED);
}

/* --- more than fits ------------------------------------------------------------------------------- */

static void what_has_no_room_is_paged(void **state) {
    struct bench *b = *state;
    for (int i = 0; i < 6000; i++)
        shelf_add(&b->shelf, "mx:big.example", 1, true);
    shelf_add(&b->shelf, "mx:small.example", 1, true);
    sim_run(b->loop);
    sim_advance(b->loop, 5 * MINUTE);
    assert_int_equal(handed_to(b, "mx:small.example"), 1);
    assert_int_equal(handed_to(b, "mx:big.example"), 6000);
}

static void what_lay_in_the_store_at_the_start_is_found(void **state) {
    struct bench *b = *state;
    schedule_close(&b->schedule);
    for (int i = 0; i < 700; i++)
        shelf_add(&b->shelf, i % 2 ? "mx:a.example" : "mx:b.example", 1, false);
    b->shelf.list[5]->states[0].next += HOUR;
    open_schedule(b);
    assert_int_equal(b->count, 699);
    sim_advance(b->loop, HOUR + 1000);
    assert_int_equal(b->count, 700);
}

static void an_item_found_gone_is_dropped(void **state) {
    struct bench *b = *state;
    struct shelf_message *m = shelf_add(&b->shelf, "mx:a.example", 1, true);
    m->gone = true; /* an operator removed it in the same moment */
    shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    assert_int_equal(b->count, 1);
    assert_string_equal(b->jobs[0].id.text, "m1");
}

static void one_that_cannot_be_read_is_told_and_tried_again(void **state) {
    struct bench *b = *state;
    struct shelf_message *m = shelf_add(&b->shelf, "mx:a.example", 1, true);
    m->unreadable = true;
    sim_run(b->loop);
    assert_int_equal(b->count, 0);
    assert_int_equal(events_of(b, "unreadable"), 1);
    size_t loads = b->shelf.loads;
    sim_advance(b->loop, 2 * MINUTE);
    assert_in_range(b->shelf.loads, loads + 1, loads + 3); /* now and then, not in a circle */
    m->unreadable = false;
    sim_advance(b->loop, 2 * MINUTE);
    assert_int_equal(state_of(m), RECIPIENT_RELAYED);
}

/* A lane whose disk gives nothing back, with more than a destination has in memory. */
static void many_that_cannot_be_read_are_no_circle(void **state) {
    struct bench *b = *state;
    schedule_close(&b->schedule);
    for (int i = 0; i < 2500; i++)
        shelf_add(&b->shelf, "mx:a.example", 1, false)->unreadable = true;
    struct shelf_message *last = shelf_add(&b->shelf, "mx:a.example", 1, false);
    open_schedule(b);
    sim_advance(b->loop, 2 * MINUTE);
    assert_in_range(b->shelf.loads, 2000, 10000);
    for (size_t i = 0; i < b->shelf.count; i++)
        b->shelf.list[i]->unreadable = false;
    sim_advance(b->loop, 5 * MINUTE);
    assert_int_equal(state_of(last), RECIPIENT_RELAYED);
    assert_int_equal(b->count, 2501);
}

static void the_watchdog_tells_what_is_late(void **state) {
    struct bench *b = *state;
    b->manual = true; /* nobody answers: a thousand attempts are all that may run */
    for (int i = 0; i < 1000; i++) {
        char hop[48];
        snprintf(hop, sizeof hop, "mx:h%d.example", i / 2);
        shelf_add(&b->shelf, hop, 1, true);
    }
    sim_run(b->loop);
    assert_int_equal(b->count, 1000);
    shelf_add(&b->shelf, "mx:waits.example", 1, true);
    sim_advance(b->loop, 50 * 1000);
    assert_int_equal(events_of(b, "overdue"), 0);
    sim_advance(b->loop, 3 * MINUTE);
    assert_true(events_of(b, "overdue") >= 1);
    assert_non_null(strstr(buf_text(&b->events), "mx:waits.example"));
    answer_all(b, "mx:h0.example", OUTCOME_RELAYED);
    assert_int_equal(handed_to(b, "mx:waits.example"), 1);
}

/* --- changes from outside --------------------------------------------------------------------------- */

static void a_reload_gives_what_waits_another_way(void **state) {
    struct bench *b = *state;
    b->blast = BLAST_MESSAGE;
    b->answer = OUTCOME_DEFERRED;
    struct shelf_message *m = shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    b->rerouted = "route:new";
    b->answer = OUTCOME_RELAYED;
    schedule_reload(b->schedule, b->config);
    sim_advance(b->loop, 2 * MINUTE);
    assert_int_equal(handed_to(b, "route:new"), 1);
    assert_int_equal(handed_to(b, "mx:a.example"), 1);
    assert_int_equal(state_of(m), RECIPIENT_RELAYED);
    assert_true(bytes_equal(m->states[0].next_hop, B("route:new")));
    assert_int_equal(m->states[0].attempts, 2);
}

static void ordered(void *ctx, enum rc rc, size_t changed, const struct why *why) {
    struct bench *b = ctx;
    (void)why;
    b->changed = rc == OK ? changed : SIZE_MAX;
}

static size_t order(struct bench *b, enum schedule_order what, const struct shelf_message *m) {
    b->changed = SIZE_MAX - 1;
    schedule_operate(b->schedule, what, m->id, B("root"), ordered, b);
    sim_run(b->loop);
    return b->changed;
}

static void orders_do_what_they_say(void **state) {
    struct bench *b = *state;
    b->blast = BLAST_MESSAGE;
    b->answer = OUTCOME_DEFERRED;
    struct shelf_message *m = shelf_add(&b->shelf, "mx:a.example", 2, true);
    sim_run(b->loop);
    assert_int_equal(order(b, ORDER_HOLD, m), 2);
    assert_int_equal(state_of(m), RECIPIENT_HELD);
    sim_advance(b->loop, 24 * HOUR);
    assert_int_equal(b->count, 1);
    assert_int_equal(order(b, ORDER_RETRY, m), 0); /* what is held is not retried by the way */
    assert_int_equal(order(b, ORDER_RELEASE, m), 2);
    assert_int_equal(b->count, 2);
    assert_int_equal(order(b, ORDER_RETRY, m), 2);
    assert_int_equal(b->count, 3);
    assert_int_equal(order(b, ORDER_BOUNCE, m), 2);
    assert_int_equal(state_of(m), RECIPIENT_BOUNCED);
    assert_int_equal(b->last_report, SCHEDULE_OUTCOMES);
    assert_int_equal(order(b, ORDER_REMOVE, m), 0); /* too late */
    struct shelf_message *other = shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    assert_int_equal(order(b, ORDER_REMOVE, other), 1);
    assert_int_equal(state_of(other), RECIPIENT_REMOVED);
    assert_non_null(strstr(buf_text(&b->events), "\"operator\":\"root\""));
}

static void what_is_being_delivered_is_left_alone(void **state) {
    struct bench *b = *state;
    b->manual = true;
    struct shelf_message *m = shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    assert_int_equal(order(b, ORDER_REMOVE, m), 0);
    assert_int_equal(order(b, ORDER_HOLD, m), 0);
    answer_all(b, "mx:a.example", OUTCOME_RELAYED);
    assert_int_equal(state_of(m), RECIPIENT_RELAYED);
}

static void a_bounce_by_order_needs_its_report(void **state) {
    struct bench *b = *state;
    b->blast = BLAST_MESSAGE;
    b->answer = OUTCOME_DEFERRED;
    struct shelf_message *m = shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    b->report_rc = TEMP;
    assert_int_equal(order(b, ORDER_BOUNCE, m), SIZE_MAX);
    assert_int_equal(state_of(m), RECIPIENT_DEFERRED);
}

static void retry_does_not_wait_for_a_blocked_destination(void **state) {
    struct bench *b = *state;
    b->answer = OUTCOME_DEFERRED;
    struct shelf_message *m = shelf_add(&b->shelf, "mx:dead.example", 1, true);
    sim_run(b->loop);
    b->answer = OUTCOME_RELAYED;
    assert_int_equal(order(b, ORDER_RETRY, m), 1);
    assert_int_equal(state_of(m), RECIPIENT_RELAYED);
}

static void went_idle(void *ctx) {
    ((struct bench *)ctx)->idle = true;
}

static void a_drain_ends_with_the_last_attempt(void **state) {
    struct bench *b = *state;
    b->manual = true;
    struct shelf_message *m = shelf_add(&b->shelf, "mx:a.example", 1, true);
    sim_run(b->loop);
    schedule_drain(b->schedule, went_idle, b);
    shelf_add(&b->shelf, "mx:b.example", 1, true);
    sim_advance(b->loop, HOUR);
    assert_false(b->idle);
    assert_int_equal(b->count, 1);
    answer_all(b, "mx:a.example", OUTCOME_RELAYED);
    assert_true(b->idle);
    assert_int_equal(state_of(m), RECIPIENT_RELAYED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_fresh_message_is_delivered_and_settled),
        TEST(one_that_never_answers_does_not_hold_up_others),
        TEST(destinations_take_turns),
        TEST(the_window_grows_with_success_to_its_limit),
        TEST(a_route_has_the_limit_of_its_connections),
        TEST(the_window_halves_when_a_session_fails),
        TEST(a_failed_destination_is_left_alone_for_any_message),
        TEST(failures_at_once_count_as_one),
        TEST(one_too_many_at_once_does_not_stop_the_rest),
        TEST(a_message_that_fails_says_nothing_of_the_destination),
        TEST(a_limit_of_our_own_is_waited_for),
        TEST(retries_keep_to_the_schedule),
        TEST(delays_differ_between_messages),
        TEST(the_sender_is_warned_once_and_told_at_the_end),
        TEST(what_waits_for_a_dead_destination_is_given_up_too),
        TEST(a_failure_is_settled_only_when_its_report_is_written),
        TEST(a_warning_that_cannot_be_written_comes_with_the_next_attempt),
        TEST(a_clock_that_was_ahead_makes_nobody_wait),
        TEST(what_has_no_room_is_paged),
        TEST(what_lay_in_the_store_at_the_start_is_found),
        TEST(an_item_found_gone_is_dropped),
        TEST(one_that_cannot_be_read_is_told_and_tried_again),
        TEST(many_that_cannot_be_read_are_no_circle),
        TEST(the_watchdog_tells_what_is_late),
        TEST(a_reload_gives_what_waits_another_way),
        TEST(orders_do_what_they_say),
        TEST(what_is_being_delivered_is_left_alone),
        TEST(a_bounce_by_order_needs_its_report),
        TEST(retry_does_not_wait_for_a_blocked_destination),
        TEST(a_drain_ends_with_the_last_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
