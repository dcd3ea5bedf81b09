/* What the DNS says of a client: lists, names, and what counts as no answer. */
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct table_row rows[] = {
    { "7.113.0.203.zen.example", DNS_A, "127.0.0.2" },
    { "7.113.0.203.zen.example", DNS_A, "127.0.0.4" },
    { "7.113.0.203.zen.example", DNS_TXT, "see \x01 \xff it" },
    { "7.113.0.203.quota.example", DNS_A, "127.255.255.254" },
    { "7.113.0.203.parked.example", DNS_A, "192.0.2.80" },
    { "7.113.0.203.late.example", DNS_A, "TEMP" },
    { "7.113.0.203.silent.example", DNS_A, "127.0.0.2" },
    { "7.113.0.203.mixed.example", DNS_A, "127.0.0.2" },
    { "7.113.0.203.mixed.example", DNS_A, "10.0.0.1" },
    { "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.zen.example", DNS_A,
      "127.0.0.3" },
    { "7.113.0.203.in-addr.arpa", DNS_PTR, "mx.example" },
    { "mx.example", DNS_A, "203.0.113.7" },
    { "8.113.0.203.in-addr.arpa", DNS_PTR, "liar.example" },
    { "8.113.0.203.in-addr.arpa", DNS_PTR, "gone.example" },
    { "liar.example", DNS_A, "203.0.113.200" },
    { "10.113.0.203.in-addr.arpa", DNS_PTR, "TEMP" },
    { "11.113.0.203.in-addr.arpa", DNS_PTR, "slow.example" },
    { "slow.example", DNS_A, "TEMP" },
    { "six.example", DNS_AAAA, "2001:db8::1" },
};

struct seen {
    struct loop *loop;
    struct arena *arena;
    struct dns_name_check check;
    struct dns_listing list[8];
    size_t count;
    int calls;
};

static void on_listed(void *ctx, const struct dns_listing *list, size_t count) {
    struct seen *s = ctx;
    s->calls++;
    s->count = count;
    for (size_t i = 0; i < count; i++) {
        s->list[i] = list[i];
        s->list[i].zone = arena_copy(s->arena, list[i].zone);
        s->list[i].text = arena_copy(s->arena, list[i].text);
        s->list[i].codes = NULL;
    }
    loop_stop(s->loop);
}

static void on_checked(void *ctx, const struct dns_name_check *check) {
    struct seen *s = ctx;
    s->calls++;
    s->check = *check;
    s->check.name = arena_copy(s->arena, check->name);
    loop_stop(s->loop);
}

struct bench {
    struct loop *loop;
    struct table table;
    struct dns *dns;
    struct seen seen;
};

static void bench_open(struct bench *b) {
    b->loop = loop_open();
    table_open(&b->table, b->loop, rows, COUNT_OF(rows));
    b->dns = &b->table.dns;
    b->seen = (struct seen){ .loop = b->loop, .arena = arena_open() };
}

static void bench_close(struct bench *b) {
    loop_close(&b->loop);
    arena_close(&b->seen.arena);
}

static struct addr address(const char *text) {
    struct addr a;
    assert_true(addr_parse(bytes_str(text), &a));
    return a;
}

static void lists(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b);
    const struct bytes zones[] = { B("zen.example"),  B("quota.example"), B("parked.example"),
                                   B("late.example"), B("none.example"),  B("silent.example"),
                                   B("mixed.example") };
    const struct dns_listing *l = b.seen.list;
    dns_ask_lists(b.dns, b.loop, address("203.0.113.7"), zones, 7, on_listed, &b.seen);
    assert_int_equal(b.seen.calls, 0);
    loop_run(b.loop);
    assert_int_equal(b.seen.calls, 1);
    assert_int_equal(b.seen.count, 7);
    assert_true(!l[0].failed && l[0].count == 2);
    assert_true(bytes_equal(l[0].text, B("see ? ? it")));
    assert_true(l[1].failed && strstr(l[1].because, "refuses"));
    assert_true(l[2].failed && strstr(l[2].because, "outside 127/8"));
    assert_true(l[3].failed && !l[4].failed && l[4].count == 0);
    assert_true(!l[5].failed && l[5].count == 1 && l[5].text.len == 0);
    assert_true(l[6].failed && l[6].count == 0);
    dns_ask_lists(b.dns, b.loop, address("2001:db8::1"), zones, 1, on_listed, &b.seen);
    loop_run(b.loop);
    assert_int_equal(b.seen.list[0].count, 1);
    dns_ask_lists(b.dns, b.loop, address("::ffff:203.0.113.7"), zones, 1, on_listed, &b.seen);
    loop_run(b.loop);
    assert_int_equal(b.seen.list[0].count, 2);
    bench_close(&b);
}

/* Entries by their whole names: what a list says of itself is told too, and words only where wanted. */
static void entries(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b);
    const struct dns_entry asked[] = {
        { B("7.113.0.203.zen.example"), true },   { B("7.113.0.203.zen.example"), false },
        { B("7.113.0.203.quota.example"), true }, { B("7.113.0.203.late.example"), true },
        { B("7.113.0.203.none.example"), true },
    };
    const struct dns_listing *l = b.seen.list;
    dns_ask_entries(b.dns, b.loop, asked, COUNT_OF(asked), 1000, on_listed, &b.seen);
    loop_run(b.loop);
    assert_int_equal(b.seen.calls, 1);
    assert_int_equal(b.seen.count, COUNT_OF(asked));
    assert_true(!l[0].failed && l[0].count == 2 && l[0].text.len);
    assert_true(!l[1].failed && l[1].count == 2 && !l[1].text.len);
    assert_true(l[2].failed && !l[2].late && l[2].count == 0 && l[2].answer_count == 1);
    assert_true(l[3].failed && !l[3].late && l[3].answer_count == 0);
    assert_true(!l[4].failed && l[4].count == 0 && l[4].answer_count == 0);
    bench_close(&b);
}

static void checks(struct bench *b, const char *client, const char *name, bool failed,
                   bool confirmed) {
    b->seen.calls = 0;
    dns_check_client(b->dns, b->loop, address(client), on_checked, &b->seen);
    loop_run(b->loop);
    assert_int_equal(b->seen.calls, 1);
    assert_true(bytes_equal(b->seen.check.name, bytes_str(name)));
    assert_int_equal(b->seen.check.failed, failed);
    assert_int_equal(b->seen.check.confirmed, confirmed);
}

static void names_of_clients(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b);
    checks(&b, "203.0.113.7", "mx.example", false, true);
    checks(&b, "203.0.113.8", "liar.example", false, false);
    checks(&b, "203.0.113.9", "", false, false);
    checks(&b, "203.0.113.10", "", true, false);
    checks(&b, "203.0.113.11", "slow.example", true, false);
    bench_close(&b);
}

static void names_they_give(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b);
    static const struct {
        const char *name;
        bool failed, exists, confirmed;
    } tries[] = {
        { "mx.example", false, true, true },   { "liar.example", false, true, false },
        { "six.example", false, true, false }, { "gone.example", false, false, false },
        { "slow.example", true, true, false },
    };
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        dns_check_name(b.dns, b.loop, bytes_str(tries[i].name), address("203.0.113.7"), on_checked,
                       &b.seen);
        loop_run(b.loop);
        assert_int_equal(b.seen.check.failed, tries[i].failed);
        assert_int_equal(b.seen.check.name.len > 0, tries[i].exists);
        assert_int_equal(b.seen.check.confirmed, tries[i].confirmed);
    }
    bench_close(&b);
}

/* A DNS that never answers costs a few seconds, not the session. */
static uint64_t ask_nobody(void *self, struct bytes name, enum dns_type type,
                           dns_answered *on_answer, void *ctx) {
    (void)name;
    (void)type;
    (void)on_answer;
    (void)ctx;
    return ++*(uint64_t *)self;
}

static void cancel_nobody(void *self, uint64_t number) {
    (void)number;
    --*(uint64_t *)self;
}

static void time_is_limited(void **state) {
    (void)state;
    uint64_t open = 0;
    struct dns mute = { .self = &open, .ask = ask_nobody, .cancel = cancel_nobody };
    struct bench b;
    bench_open(&b);
    const struct bytes zone = B("zen.example");
    int64_t before = loop_now(b.loop);
    dns_ask_lists(&mute, b.loop, address("203.0.113.7"), &zone, 1, on_listed, &b.seen);
    loop_run(b.loop);
    assert_true(b.seen.list[0].failed && loop_now(b.loop) - before < 10000);
    assert_int_equal(open, 0); /* none is left behind */
    /* And one that is called off says nothing. */
    struct dns_inquiry *i =
        dns_ask_lists(&mute, b.loop, address("203.0.113.7"), &zone, 1, on_listed, &b.seen);
    dns_inquiry_cancel(&i);
    const struct dns_entry entry = { B("7.113.0.203.zen.example"), true };
    before = loop_now(b.loop);
    dns_ask_entries(&mute, b.loop, &entry, 1, 50, on_listed, &b.seen);
    loop_run(b.loop);
    assert_true(b.seen.list[0].late && loop_now(b.loop) - before < 2000);
    assert_null(i);
    assert_int_equal(open, 0);
    assert_int_equal(b.seen.calls, 2);
    bench_close(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(entries),
        cmocka_unit_test(names_of_clients),
        cmocka_unit_test(names_they_give),
        cmocka_unit_test(time_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
