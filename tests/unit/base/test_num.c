/* Tests of src/base/num.c. */
#include "base/num.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void test_duration(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = { { "0s", 0 },          { "250ms", 250 },         { "30s", 30000 },
                 { "15min", 900000 },  { "4h", 14400000 },       { "5d", 432000000 },
                 { "90min", 5400000 }, { "3653d", 315619200000 } };
    static const char *const bad[] = {
        "",   "5",     "s",    "-5s", "5 s", "1.5h", "5m",
        "5S", "3654d", "5s5s", "1w",  "+1s", "5day", "99999999999999999999s"
    };
    int64_t ms;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[32];
        struct buf b = buf_fixed(text, sizeof text);
        assert_true(num_parse_duration(bytes_str(good[i].text), &ms));
        assert_int_equal(ms, good[i].ms);
        num_format_duration(&b, ms);
        assert_string_equal(buf_text(&b), good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(num_parse_duration(bytes_str(bad[i]), &ms));
    assert_true(num_parse_duration(B("60min"), &ms) && ms == 3600000);
    char text[40];
    struct buf b = buf_fixed(text, sizeof text);
    num_format_duration(&b, 3600000);
    num_format_duration(&b, -1500);
    assert_string_equal(buf_text(&b), "1h-1500ms");
}

static void test_size(void **state) {
    (void)state;
    uint64_t n;
    assert_true(num_parse_size(B("25MiB"), &n) && n == 26214400);
    assert_true(num_parse_size(B("64KiB"), &n) && n == 65536);
    assert_true(num_parse_size(B("2GiB"), &n) && n == UINT64_C(2147483648));
    assert_true(num_parse_size(B("512"), &n) && n == 512);
    assert_true(num_parse_size(B("10B"), &n) && n == 10);
    assert_false(num_parse_size(B(""), &n));
    assert_false(num_parse_size(B("MiB"), &n));
    assert_false(num_parse_size(B("1MB"), &n));
    assert_false(num_parse_size(B("1 MiB"), &n));
    assert_false(num_parse_size(B("18446744073709551615KiB"), &n));
    char text[64];
    struct buf b = buf_fixed(text, sizeof text);
    num_format_size(&b, 26214400);
    num_format_size(&b, 0);
    num_format_size(&b, 1025);
    num_format_size(&b, 3072);
    assert_string_equal(buf_text(&b), "25MiB0B1025B3KiB");
    b = buf_fixed(text, 4);
    num_format_size(&b, 3072);
    assert_true(b.full && b.len == 0);
    b = buf_fixed(text, 5);
    num_format_size(&b, 3072);
    assert_false(b.full);
}

static void test_rate(void **state) {
    (void)state;
    uint64_t n;
    int64_t ms;
    assert_true(num_parse_rate(B("60/hour"), &n, &ms) && n == 60 && ms == 3600000);
    assert_true(num_parse_rate(B("500/day"), &n, &ms) && n == 500 && ms == 86400000);
    assert_true(num_parse_rate(B("10/min"), &n, &ms) && n == 10 && ms == 60000);
    assert_true(num_parse_rate(B("5/s"), &n, &ms) && n == 5 && ms == 1000);
    assert_true(num_parse_rate(B("100/15min"), &n, &ms) && n == 100 && ms == 900000);
    static const char *const bad[] = { "",        "60",   "/hour",       "60/",   "60/0min",
                                       "60/week", "-1/s", "60/hour/day", "60 /s", "60/9" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(num_parse_rate(bytes_str(bad[i]), &n, &ms));
}

static void test_percent(void **state) {
    (void)state;
    unsigned n;
    assert_true(num_parse_percent(B("5%"), &n) && n == 5);
    assert_true(num_parse_percent(B("0%"), &n) && n == 0);
    assert_true(num_parse_percent(B("100%"), &n) && n == 100);
    assert_false(num_parse_percent(B("101%"), &n));
    assert_false(num_parse_percent(B("%"), &n));
    assert_false(num_parse_percent(B("5"), &n));
    assert_false(num_parse_percent(BYTES_NONE, &n));
}

static void assert_times(int64_t ms, const char *rfc3339, const char *rfc5322) {
    char text[64];
    struct buf b = buf_fixed(text, sizeof text);
    num_format_rfc3339(&b, ms);
    assert_string_equal(buf_text(&b), rfc3339);
    buf_clear(&b);
    num_format_rfc5322(&b, ms);
    assert_string_equal(buf_text(&b), rfc5322);
}

static void test_format_times(void **state) {
    (void)state;
    assert_times(0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 +0000");
    assert_times(INT64_C(1795167000123), "2026-11-20T09:30:00.123Z",
                 "Fri, 20 Nov 2026 09:30:00 +0000");
    assert_times(-1, "1969-12-31T23:59:59.999Z", "Wed, 31 Dec 1969 23:59:59 +0000");
    assert_times(INT64_C(951782400000), "2000-02-29T00:00:00.000Z",
                 "Tue, 29 Feb 2000 00:00:00 +0000");
    assert_times(INT64_MAX, "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 +0000");
    assert_times(INT64_MIN, "0000-01-01T00:00:00.000Z", "Sat, 01 Jan 0000 00:00:00 +0000");
}

/* Every 11 days and a bit of four centuries, against the C library. */
static void test_calendar_agrees_with_libc(void **state) {
    (void)state;
    for (int64_t s = INT64_C(-5000000000); s < INT64_C(9000000000); s += 999999) {
        time_t t = (time_t)s;
        struct tm tm;
        char expected[64], text[64];
        struct buf b = buf_fixed(text, sizeof text);
        gmtime_r(&t, &tm);
        strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S +0000", &tm);
        num_format_rfc5322(&b, s * 1000);
        assert_string_equal(buf_text(&b), expected);
        int64_t back;
        buf_clear(&b);
        num_format_rfc3339(&b, s * 1000 + 7);
        assert_true(num_parse_rfc3339(buf_bytes(&b), &back));
        assert_int_equal(back, s * 1000 + 7);
    }
}

static void test_parse_rfc3339(void **state) {
    (void)state;
    int64_t ms;
    assert_true(num_parse_rfc3339(B("2026-11-20T09:30:00.123Z"), &ms));
    assert_int_equal(ms, INT64_C(1795167000123));
    assert_true(num_parse_rfc3339(B("2026-11-20t11:30:00.1234567+02:00"), &ms));
    assert_int_equal(ms, INT64_C(1795167000123));
    assert_true(num_parse_rfc3339(B("2026-11-20T04:00:00-05:30"), &ms));
    assert_int_equal(ms, INT64_C(1795167000000));
    assert_true(num_parse_rfc3339(B("2026-11-20T09:30:00.5z"), &ms));
    assert_int_equal(ms, INT64_C(1795167000500));
    assert_true(num_parse_rfc3339(B("1970-01-02"), &ms) && ms == 86400000);
    assert_true(num_parse_rfc3339(B("2016-12-31T23:59:60Z"), &ms));
    assert_int_equal(ms, INT64_C(1483228800000));
    static const char *const bad[] = { "",
                                       "2026",
                                       "2026-13-01",
                                       "2026-00-01",
                                       "2026-02-29",
                                       "2026-01-00",
                                       "2026-1-01",
                                       "2026-01-01 00:00:00",
                                       "2026-01-01T00:00:00",
                                       "2026-01-01T",
                                       "2100-02-29",
                                       "2026-04-31",
                                       "2026-01-01T24:00:00Z",
                                       "2026-01-01T00:60:00Z",
                                       "2026-01-01T00:00:61Z",
                                       "2026-01-01T00:00:00.Z",
                                       "2026-01-01T00:00:00Zx",
                                       "2026-01-01T00:00:00+2:00",
                                       "2026-01-01T00:00:00+24:00",
                                       "2026-01-01x" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(num_parse_rfc3339(bytes_str(bad[i]), &ms));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duration),      cmocka_unit_test(test_size),
        cmocka_unit_test(test_rate),          cmocka_unit_test(test_percent),
        cmocka_unit_test(test_format_times),  cmocka_unit_test(test_calendar_agrees_with_libc),
        cmocka_unit_test(test_parse_rfc3339),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
