/* Where mail for a domain goes, over a table instead of the DNS. */
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct table_row rows[] = {
    { "example.com", DNS_MX, "20 b.example.com" },
    { "example.com", DNS_MX, "10 a.example.com" },
    { "example.com", DNS_MX, "30 A.example.com" }, /* a double */
    { "a.example.com", DNS_A, "192.0.2.1" },
    { "a.example.com", DNS_A, "192.0.2.2" },
    { "a.example.com", DNS_AAAA, "2001:db8::1" },
    { "b.example.com", DNS_A, "192.0.2.3" },
    { "null.example", DNS_MX, "0 " },
    { "nullandmore.example", DNS_MX, "0 " },
    { "nullandmore.example", DNS_MX, "10 b.example.com" },
    { "implicit.example", DNS_A, "192.0.2.9" },
    { "nomail.example", DNS_TXT, "v=spf1 -all" },
    { "dangling.example", DNS_MX, "10 gone.example" },
    { "self.example", DNS_MX, "10 zero.example" },
    { "zero.example", DNS_A, "0.0.0.0" },
    { "late.example", DNS_MX, "TEMP" },
    { "halflate.example", DNS_MX, "10 late1.example" },
    { "halflate.example", DNS_MX, "20 b.example.com" },
    { "alllate.example", DNS_MX, "10 late1.example" },
    { "alllate.example", DNS_MX, "10 gone.example" },
    { "late1.example", DNS_A, "TEMP" },
    { "onefamily.example", DNS_AAAA, "TEMP" },
    { "onefamily.example", DNS_A, "192.0.2.7" },
    { "equal.example", DNS_MX, "10 e1.example" },
    { "equal.example", DNS_MX, "10 e2.example" },
    { "equal.example", DNS_MX, "10 e3.example" },
    { "e1.example", DNS_A, "192.0.2.11" },
    { "e2.example", DNS_A, "192.0.2.12" },
    { "e3.example", DNS_A, "192.0.2.13" },
    { "localhost", DNS_A, "203.0.113.1" }, /* never asked for */
};

/* "rc code status reason implicit|mx: host addr addr; host ..." */
struct seen {
    unsigned calls;
    char text[2000];
};

static void on_route(void *ctx, const struct dns_route *route) {
    struct seen *s = ctx;
    char status[12];
    struct buf b = buf_fixed(s->text, sizeof s->text);
    s->calls++;
    if (route->rc != OK) {
        status_format(route->why.status, status);
        buf_printf(&b, "%s %d %s %s", route->rc == TEMP ? "temp" : "perm", route->why.code, status,
                   route->why.reason);
    }
    for (size_t i = 0; i < route->count; i++) {
        const struct dns_host *h = &route->hosts[i];
        buf_printf(&b, "%s%s%.*s", i ? "; " : "",
                   h->rc == TEMP   ? "?"
                   : h->rc == PERM ? "!"
                                   : "",
                   BYTES_FMT(h->name));
        for (size_t j = 0; j < h->address_count; j++) {
            buf_char(&b, ' ');
            addr_format(&b, h->addresses[j]);
        }
    }
    buf_text(&b);
}

static struct seen find(struct dns_query *(*how)(struct dns *, struct bytes, dns_routed *, void *),
                        const char *name, uint64_t seed) {
    struct seen s = { 0 };
    struct table t;
    struct loop *l = loop_open();
    table_open(&t, l, rows, COUNT_OF(rows));
    t.dns.seed = seed;
    how(&t.dns, bytes_str(name), on_route, &s);
    loop_run(l);
    assert_int_equal(s.calls, 1);
    assert_int_equal(t.questions.count, 0);
    loop_close(&l);
    return s;
}

static void mx_cases(void **state) {
    (void)state;
    static const struct {
        const char *domain, *expect;
    } cases[] = {
        { "example.com", "a.example.com 2001:db8::1 192.0.2.1 192.0.2.2; b.example.com 192.0.2.3" },
        { "EXAMPLE.com.",
          "a.example.com 2001:db8::1 192.0.2.1 192.0.2.2; b.example.com 192.0.2.3" },
        { "null.example", "perm 556 5.1.10 dns.null-mx" },
        { "nullandmore.example", "b.example.com 192.0.2.3" },
        { "implicit.example", "implicit.example 192.0.2.9" },
        { "nomail.example", "perm 550 5.1.2 dns.no-mail" },
        { "nowhere.example", "perm 550 5.1.2 dns.no-domain" },
        { "dangling.example", "perm 550 5.4.4 dns.no-address" },
        { "self.example", "perm 550 5.4.4 dns.no-address" },
        { "late.example", "temp 451 4.4.3 dns.failed" },
        { "halflate.example", "?late1.example; b.example.com 192.0.2.3" },
        { "alllate.example", "temp 451 4.4.3 dns.failed" },
        { "onefamily.example", "onefamily.example 192.0.2.7" },
        { "[192.0.2.44]", "[192.0.2.44] 192.0.2.44" },
        { "[IPv6:2001:db8::44]", "[IPv6:2001:db8::44] 2001:db8::44" },
        { "", "perm 550 5.1.2 dns.no-domain" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(find(dns_find_mx, cases[i].domain, 1).text, cases[i].expect);
}

/* RFC 5321 section 5.1: equal preferences share the load. */
static void equal_preferences_are_shuffled(void **state) {
    (void)state;
    unsigned first[3] = { 0 };
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct seen s = find(dns_find_mx, "equal.example", seed);
        assert_true(s.text[0] == 'e' && s.text[1] >= '1' && s.text[1] <= '3');
        first[s.text[1] - '1']++;
    }
    assert_true(first[0] > 5 && first[1] > 5 && first[2] > 5);
}

static void hosts(void **state) {
    (void)state;
    static const struct {
        const char *host, *expect;
    } cases[] = {
        { "b.example.com", "b.example.com 192.0.2.3" },
        { "192.0.2.5", "192.0.2.5 192.0.2.5" },
        { "[192.0.2.5]", "[192.0.2.5] 192.0.2.5" },
        { "2001:db8::5", "2001:db8::5 2001:db8::5" },
        { "localhost", "localhost 127.0.0.1 ::1" },
        { "gone.example", "perm 550 5.4.4 dns.no-host" },
        { "late1.example", "temp 451 4.4.3 dns.failed" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(find(dns_find_host, cases[i].host, 1).text, cases[i].expect);
}

static size_t own_table(void *self, struct bytes name, struct addr *out, size_t max) {
    (void)self;
    assert_true(max > 0);
    return bytes_equal(name, B("filter")) && addr_parse(B("10.0.0.1"), out);
}

static void own_names_count_for_hosts_only(void **state) {
    (void)state;
    struct seen host = { 0 }, mx = { 0 };
    struct table t;
    struct loop *l = loop_open();
    table_open(&t, l, rows, COUNT_OF(rows));
    t.dns.local = own_table;
    assert_null(dns_find_host(&t.dns, B("filter"), on_route, &host));
    assert_string_equal(host.text, "filter 10.0.0.1");
    assert_int_equal(t.asked, 0);
    dns_find_mx(&t.dns, B("filter"), on_route, &mx);
    loop_run(l);
    assert_string_equal(mx.text, "perm 550 5.1.2 dns.no-domain");
    loop_close(&l);
}

static void stop(void *ctx) {
    dns_query_cancel(ctx);
}

static void cancelled_at_any_time(void **state) {
    (void)state;
    for (int when = 0; when < 2; when++) {
        struct seen s = { 0 };
        struct table t;
        struct loop *l = loop_open();
        struct timer timer = { 0 };
        table_open(&t, l, rows, COUNT_OF(rows));
        struct dns_query *q = dns_find_mx(&t.dns, B("example.com"), on_route, &s);
        if (when) /* behind the answer to MX, before those for the addresses */
            timer_set(l, &timer, 0, stop, &q);
        else
            dns_query_cancel(&q);
        loop_run(l);
        assert_null(q);
        assert_int_equal(s.calls, 0);
        assert_int_equal(t.questions.count, 0);
        loop_close(&l);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mx_cases),
        cmocka_unit_test(equal_preferences_are_shuffled),
        cmocka_unit_test(hosts),
        cmocka_unit_test(own_names_count_for_hosts_only),
        cmocka_unit_test(cancelled_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
