/* Tests of src/base/event.c. */
#include "base/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define START "{\"time\":\"1970-01-01T00:00:01.500Z\",\"event\":\"test\""

struct seen {
    char line[70000];
    size_t len;
    unsigned count;
    const char *name;
};

static void see(void *ctx, const char *name, struct bytes line) {
    struct seen *s = ctx;
    assert_true(line.len < sizeof s->line);
    memcpy(s->line, line.at, line.len);
    s->line[line.len] = '\0';
    s->len = line.len;
    s->name = name;
    s->count++;
}

static int64_t fixed_clock(void *ctx) {
    return *(int64_t *)ctx;
}

static struct seen one, two;
static int64_t now = 1500;

static int setup(void **state) {
    (void)state;
    memset(&one, 0, sizeof one);
    memset(&two, 0, sizeof two);
    event_open(fixed_clock, &now);
    event_listen(see, &one);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    event_unlisten(see, &one);
    event_unlisten(see, &two);
    return 0;
}

static void test_fields(void **state) {
    (void)state;
    struct event *e = event_begin("test");
    struct addr a;
    assert_true(addr_parse(B("192.0.2.1"), &a));
    event_text(e, "text", B("a\"b\n"));
    event_text(e, "left-out", BYTES_NONE);
    event_str(e, "str", "x");
    event_str(e, "null", NULL);
    event_u64(e, "u", UINT64_MAX);
    event_i64(e, "i", -5);
    event_bool(e, "yes", true);
    event_bool(e, "no", false);
    event_addr(e, "client", a);
    event_addr(e, "none", (struct addr){ 0 });
    event_time(e, "due", 86400000);
    event_end(e);
    assert_string_equal(one.line, START
                        ",\"text\":\"a\\\"b\\n\",\"str\":\"x\",\"u\":18446744073709551615,\"i\":-5,"
                        "\"yes\":true,\"no\":false,\"client\":\"192.0.2.1\","
                        "\"due\":\"1970-01-02T00:00:00.000Z\"}");
    assert_string_equal(one.name, "test");
}

static void test_why(void **state) {
    (void)state;
    struct why w;
    why_set(&w, PERM, 550, "5.7.1", "relay.no-grant", "Unable to relay");
    struct event *e = event_begin("test");
    event_why(e, &w);
    event_end(e);
    assert_string_equal(one.line,
                        START ",\"code\":550,\"enhanced\":\"5.7.1\","
                              "\"reason\":\"relay.no-grant\",\"text\":\"Unable to relay\"}");
    why_clear(&w);
    e = event_begin("test");
    event_why(e, &w);
    event_why(e, NULL);
    event_end(e);
    assert_string_equal(one.line, START "}");
}

static void test_array(void **state) {
    (void)state;
    struct event *e = event_begin("test");
    event_array(e, "none");
    event_array_end(e);
    event_array(e, "two");
    event_item(e, B("a"));
    event_item(e, B(""));
    event_array_end(e);
    event_bool(e, "x", true);
    event_end(e);
    assert_string_equal(one.line, START ",\"none\":[],\"two\":[\"a\",\"\"],\"x\":true}");
}

static void test_long_values_are_cut(void **state) {
    (void)state;
    static char value[100000];
    memset(value, 'v', sizeof value);
    struct event *e = event_begin("test");
    event_text(e, "long", bytes_of(value, sizeof value));
    for (int i = 0; i < 5000; i++)
        event_u64(e, "more", 123456);
    event_end(e);
    assert_true(one.len <= 64 * 1024 && one.len > 48 * 1024);
    assert_int_equal(one.line[one.len - 1], '}');
    /* Whole characters, and escapes that make it six times as long. */
    for (size_t i = 0; i < sizeof value; i += 4)
        memcpy(value + i, "\xf0\x9f\x98\x80", 4);
    e = event_begin("test");
    event_text(e, "long", bytes_of(value, sizeof value));
    event_end(e);
    assert_null(strstr(one.line, "\xef\xbf\xbd"));
    assert_true(one.len <= 64 * 1024);
    memset(value, 1, sizeof value);
    e = event_begin("test");
    event_text(e, "long", bytes_of(value, sizeof value));
    event_end(e);
    assert_true(one.len <= 64 * 1024 && one.len > 48 * 1024);
    assert_string_equal(one.line + one.len - 8, "\\u0001\"}");
}

static void test_full_arrays_are_closed(void **state) {
    (void)state;
    for (size_t lead = 0; lead < 40; lead++) {
        struct event *e = event_begin("test");
        event_text(e, "lead", bytes_first(B("........................................"), lead));
        for (int k = 0; k < 3; k++) {
            event_array(e, "list");
            for (int i = 0; i < 9000; i++)
                event_item(e, B("0123456"));
            event_array_end(e);
        }
        for (int i = 0; i < 40; i++) {
            event_array(e, "");
            event_item(e, B(""));
            event_array_end(e);
        }
        event_end(e);
        assert_true(one.len <= 64 * 1024 && one.len > 65000);
        assert_string_equal(one.line + one.len - 2, "]}");
    }
}

static void nested(void *ctx, const char *name, struct bytes line) {
    (void)line;
    event_unlisten(nested, ctx);
    if (strcmp(name, "test") == 0) {
        struct event *e = event_begin("inner");
        event_end(e);
    }
}

static void test_sinks(void **state) {
    (void)state;
    event_listen(see, &two);
    event_end(event_begin("test"));
    assert_int_equal(one.count, 1);
    assert_int_equal(two.count, 1);
    event_unlisten(see, &one);
    event_end(event_begin("test"));
    assert_int_equal(one.count, 1);
    assert_int_equal(two.count, 2);
    event_unlisten(see, &one);
    event_unlisten(see, &two);
    /* A sink that writes an event itself and leaves meanwhile: the others still get the outer. */
    event_listen(nested, NULL);
    event_listen(see, &one);
    event_end(event_begin("test"));
    assert_int_equal(one.count, 3);
    assert_string_equal(one.line, START "}");
}

static void test_stderr_without_a_sink(void **state) {
    (void)state;
    int ends[2], saved = dup(STDERR_FILENO);
    char text[256];
    event_unlisten(see, &one);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    event_end(event_begin("test"));
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    ssize_t len = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    assert_true(len > 0);
    text[len] = '\0';
    assert_string_equal(text, START "}\n");
}

static void test_system_clock(void **state) {
    (void)state;
    event_open(NULL, NULL);
    event_end(event_begin("test"));
    assert_memory_equal(one.line, "{\"time\":\"20", 11);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_fields),
        TEST(test_why),
        TEST(test_array),
        TEST(test_long_values_are_cut),
        TEST(test_full_arrays_are_closed),
        TEST(test_sinks),
        TEST(test_stderr_without_a_sink),
        TEST(test_system_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
