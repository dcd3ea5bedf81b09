/* Timers, clocks, watched descriptors, signals, offload threads. */
#include "base/must.h"
#include "sys/loop.h"
#include "sys/offload.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct seen {
    struct loop *loop;
    struct timer timers[8];
    char order[64];
    size_t count;
    int rounds;
};

struct mark {
    struct seen *seen;
    char letter;
};

static void note(void *ctx) {
    struct mark *m = ctx;
    m->seen->order[m->seen->count++] = m->letter;
}

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void timers_fire_in_order(void **state) {
    (void)state;
    struct seen s = { .loop = loop_open() };
    struct mark m[6];
    const int64_t when[6] = { 30, 10, 20, 10, 0, 25 };
    int64_t before = now_ms();
    for (int i = 0; i < 6; i++) {
        m[i] = (struct mark){ &s, (char)('a' + i) };
        timer_set(s.loop, &s.timers[i], when[i], note, &m[i]);
        assert_true(timer_is_set(&s.timers[i]));
    }
    timer_clear(&s.timers[5]);
    timer_clear(&s.timers[5]);
    loop_run(s.loop);
    assert_string_equal(s.order, "ebdca");
    assert_true(now_ms() - before >= 29);
    assert_false(timer_is_set(&s.timers[0]));
    loop_close(&s.loop);
    assert_null(s.loop);
}

static void timer_moves(void **state) {
    (void)state;
    struct seen s = { .loop = loop_open() };
    struct mark m[2] = { { &s, 'a' }, { &s, 'b' } };
    timer_set(s.loop, &s.timers[0], 0, note, &m[0]);
    timer_set(s.loop, &s.timers[1], 10, note, &m[1]);
    timer_set(s.loop, &s.timers[0], 20, note, &m[0]); /* put off */
    loop_run(s.loop);
    assert_string_equal(s.order, "ba");
    loop_close(&s.loop);
}

static void again(void *ctx) {
    struct seen *s = ctx;
    if (++s->rounds < 1000)
        timer_set(s->loop, &s->timers[0], 0, again, s);
}

/* A timer that sets itself again with 0 must not keep the loop from others. */
static void zero_timer_yields(void **state) {
    (void)state;
    struct seen s = { .loop = loop_open() };
    struct mark m = { &s, 'x' };
    timer_set(s.loop, &s.timers[0], 0, again, &s);
    timer_set(s.loop, &s.timers[1], 1, note, &m);
    loop_run(s.loop);
    assert_int_equal(s.rounds, 1000);
    assert_string_equal(s.order, "x");
    loop_close(&s.loop);
}

static void look_at_clocks(void *ctx) {
    struct seen *s = ctx;
    int64_t now = loop_now(s->loop), wall = loop_wall(s->loop), start = now_ms();
    while (now_ms() - start < 3)
        ;
    assert_int_equal(loop_now(s->loop), now);
    assert_int_equal(loop_wall(s->loop), wall);
    assert_true(wall / 1000 - time(NULL) <= 1 && wall / 1000 - time(NULL) >= -1);
    s->rounds++;
}

static void clocks_stand_still(void **state) {
    (void)state;
    struct seen s = { .loop = loop_open() };
    timer_set(s.loop, &s.timers[0], 1, look_at_clocks, &s);
    timer_set(s.loop, &s.timers[1], 5, look_at_clocks, &s);
    loop_run(s.loop);
    assert_int_equal(s.rounds, 2);
    loop_close(&s.loop);
}

struct pipe_test {
    struct loop *loop;
    struct watch *watch;
    int pair[2];
    int reads, writes;
};

static void on_ready(void *ctx, int what) {
    struct pipe_test *t = ctx;
    char c;
    if (what & WATCH_WRITE) {
        t->writes++;
        watch_change(t->watch, WATCH_READ);
        assert_int_equal(write(t->pair[1], "x", 1), 1);
    }
    if (what & WATCH_READ) {
        t->reads++;
        if (read(t->pair[0], &c, 1) == 1)
            shutdown(t->pair[1], SHUT_WR);
        else
            watch_close(&t->watch);
    }
}

static void watches_descriptors(void **state) {
    (void)state;
    struct pipe_test t = { .loop = loop_open() };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, t.pair), 0);
    t.watch = watch_open(t.loop, t.pair[0], WATCH_READ | WATCH_WRITE, on_ready, &t);
    loop_run(t.loop);
    assert_int_equal(t.writes, 1);
    assert_int_equal(t.reads, 2);
    loop_close(&t.loop);
    assert_int_equal(close(t.pair[0]), 0); /* it stayed open */
    close(t.pair[1]);
}

static void on_signal(void *ctx, int signo) {
    struct seen *s = ctx;
    s->rounds = signo;
    loop_stop(s->loop);
}

static void raise_it(void *ctx) {
    (void)ctx;
    raise(SIGUSR1);
}

static void signals_arrive(void **state) {
    (void)state;
    struct seen s = { .loop = loop_open() };
    struct signal_watch *w = signal_watch_open(s.loop, SIGUSR1, on_signal, &s);
    timer_set(s.loop, &s.timers[0], 0, raise_it, NULL);
    loop_run(s.loop);
    assert_int_equal(s.rounds, SIGUSR1);
    signal_watch_close(&w);
    loop_close(&s.loop);
}

/* --- offload ------------------------------------------------------------------------------------ */

struct jobs_test {
    struct loop *loop;
    struct offload *offload;
    pthread_t main;
    struct one {
        struct jobs_test *test;
        struct offload_job job;
        int number;
        bool on_thread;
    } one[100];
    int worked[100], work_count;
    int done[100], done_count;
    int again;
};

static void work(void *ctx) {
    struct one *o = ctx;
    o->on_thread = !pthread_equal(pthread_self(), o->test->main);
    o->test->worked[o->test->work_count++] = o->number;
}

static void done(void *ctx) {
    struct one *o = ctx;
    assert_true(o->on_thread);
    assert_true(pthread_equal(pthread_self(), o->test->main));
    if (o->number == 5 && o->test->again-- > 0) {
        offload_submit(o->test->offload, &o->job);
        return;
    }
    o->test->done[o->test->done_count++] = o->number;
}

static void submit_all(struct jobs_test *t) {
    t->main = pthread_self();
    for (int i = 0; i < 50; i++) {
        t->one[i] = (struct one){ .test = t, .job = { NULL, work, done, &t->one[i] }, .number = i };
        offload_submit(t->offload, &t->one[i].job);
    }
}

static void jobs_run_in_order(void **state) {
    (void)state;
    struct jobs_test t = { .loop = loop_open() };
    t.offload = offload_open(t.loop, "a-name-longer-than-fifteen");
    submit_all(&t);
    loop_run(t.loop); /* ends by itself when no job is left */
    assert_int_equal(t.done_count, 50);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(t.worked[i], i);
        assert_int_equal(t.done[i], i);
    }
    offload_close(&t.offload);
    loop_close(&t.loop);
}

static void job_may_be_given_again(void **state) {
    (void)state;
    struct jobs_test t = { .loop = loop_open(), .again = 3 };
    t.offload = offload_open(t.loop, "again");
    submit_all(&t);
    loop_run(t.loop);
    assert_int_equal(t.work_count, 53);
    assert_int_equal(t.done_count, 50);
    offload_close(&t.offload);
    loop_close(&t.loop);
}

static void close_finishes_jobs(void **state) {
    (void)state;
    struct jobs_test t = { .loop = loop_open() };
    t.offload = offload_open(t.loop, "close");
    submit_all(&t);
    offload_close(&t.offload);
    assert_int_equal(t.done_count, 50);
    loop_close(&t.loop);
}

static void done_then_close(void *ctx) {
    struct one *o = ctx;
    o->test->done_count++;
    offload_close(&o->test->offload);
}

static void close_inside_done(void **state) {
    (void)state;
    struct jobs_test t = { .loop = loop_open(), .main = pthread_self() };
    t.offload = offload_open(t.loop, "close");
    t.one[0] = (struct one){ .test = &t, .job = { NULL, work, done_then_close, &t.one[0] } };
    t.one[1] = (struct one){ .test = &t, .job = { NULL, work, done, &t.one[1] }, .number = 1 };
    offload_submit(t.offload, &t.one[0].job);
    offload_submit(t.offload, &t.one[1].job);
    loop_run(t.loop);
    assert_int_equal(t.done_count, 2);
    loop_close(&t.loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order), cmocka_unit_test(timer_moves),
        cmocka_unit_test(zero_timer_yields),    cmocka_unit_test(clocks_stand_still),
        cmocka_unit_test(watches_descriptors),  cmocka_unit_test(signals_arrive),
        cmocka_unit_test(jobs_run_in_order),    cmocka_unit_test(job_may_be_given_again),
        cmocka_unit_test(close_finishes_jobs),  cmocka_unit_test(close_inside_done),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
