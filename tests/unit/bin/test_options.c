/* Command lines, right and wrong. */
#include "bin/options.h"

#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct bytes file, client, each[2], args[3];
static bool json;
static size_t each_count, arg_count;

static int parse(const char *line, size_t min, size_t max) {
    static char memory[500];
    char *argv[32], *save = NULL;
    int argc = 0;
    const struct option_row rows[] = {
        { .name = "-c", .value = "FILE", .help = "the file", .text = &file },
        { .name = "--client", .value = "IP", .help = "who", .text = &client },
        { .name = "--to",
          .value = "A",
          .help = "each",
          .list = each,
          .count = &each_count,
          .max = 2 },
        { .name = "--json", .help = "as JSON", .flag = &json },
    };
    const struct options o = {
        .command = "test",
        .arguments = "THING",
        .sentence = "a test",
        .rows = rows,
        .row_count = COUNT_OF(rows),
        .args = max ? args : NULL,
        .args_min = min,
        .args_max = max,
        .arg_count = &arg_count,
    };
    file = B("default");
    client = BYTES_NONE;
    json = false;
    each_count = arg_count = 0;
    snprintf(memory, sizeof memory, "%s", line);
    for (char *word = strtok_r(memory, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = strcmp(word, "EMPTY") == 0 ? word + 5 : word;
    argv[argc] = NULL;
    return options_parse(&o, argc, argv);
}

static void test_good(void **state) {
    (void)state;
    assert_int_equal(parse("test", 0, 0), OPTIONS_GO_ON);
    assert_true(bytes_equal(file, B("default")));
    assert_int_equal(parse("test -c a --client 1 --json --client 2", 0, 0), OPTIONS_GO_ON);
    assert_true(bytes_equal(file, B("a")) && bytes_equal(client, B("2")) && json);
    assert_int_equal(parse("test --client=::1 --to a --to=b=c", 0, 0), OPTIONS_GO_ON);
    assert_true(bytes_equal(client, B("::1")) && bytes_equal(each[1], B("b=c")));
    assert_int_equal(each_count, 2);
    assert_int_equal(parse("test --client EMPTY", 0, 0), OPTIONS_GO_ON);
    assert_true(client.at && client.len == 0); /* given, and empty */
    assert_int_equal(parse("test x --json -", 1, 3), OPTIONS_GO_ON);
    assert_int_equal(arg_count, 2);
    assert_true(bytes_equal(args[1], B("-")));
    assert_int_equal(parse("test -- --json", 1, 1), OPTIONS_GO_ON);
    assert_true(bytes_equal(args[0], B("--json")) && !json);
    assert_int_equal(parse("test -c --json", 0, 0), OPTIONS_GO_ON); /* a value may begin with - */
    assert_true(bytes_equal(file, B("--json")));
}

static void test_bad(void **state) {
    (void)state;
    static const char *const lines[] = {
        "test --nosuch",
        "test -x",
        "test -c",
        "test --client",
        "test --json=yes",
        "test surplus",
        "test --to a --to b --to c",
        "test --clien 1",
        "test --jsn",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        assert_int_equal(parse(lines[i], 0, 0), 64);
    assert_int_equal(parse("test", 1, 2), 64);
    assert_int_equal(parse("test a b c", 1, 2), 64);
    assert_int_equal(parse("test --help --nosuch", 0, 0), 0);
    assert_int_equal(parse("test --nosuch --help", 0, 0), 64);
}

static void test_nearest(void **state) {
    (void)state;
    static const char *const words[] = { "check", "why", "queue", "trace", "--client", "--json" };
    static const struct {
        const char *given, *near;
    } cases[] = {
        { "chekc", "check" }, { "queu", "queue" },        { "trcae", "trace" },
        { "wyh", NULL },      { "--clinet", "--client" }, { "--cli", "--client" },
        { "WHY", "why" },     { "xyzzy", NULL },          { "", NULL },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *near = options_nearest(bytes_str(cases[i].given), words, COUNT_OF(words));
        if (!cases[i].near)
            assert_null(near);
        else
            assert_string_equal(near, cases[i].near);
    }
}

/* --- as JSON ------------------------------------------------------------------------------------ */

static char said[300];

static int take(struct arena *a, const char *object) {
    struct buf complaints = buf_fixed(said, sizeof said);
    const struct option_row rows[] = {
        { .name = "-c", .value = "FILE", .help = "the file", .text = &file },
        { .name = "--the-client", .value = "IP", .help = "who", .text = &client },
        { .name = "--to",
          .value = "A",
          .help = "each",
          .list = each,
          .count = &each_count,
          .max = 2 },
        { .name = "--json", .help = "as JSON", .flag = &json },
    };
    const struct options o = {
        .command = "test",
        .rows = rows,
        .row_count = COUNT_OF(rows),
        .complaints = &complaints,
    };
    client = BYTES_NONE;
    json = false;
    each_count = 0;
    int code = options_take_json(&o, bytes_str(object), a);
    (void)buf_text(&complaints);
    return code;
}

static void test_json(void **state) {
    (void)state;
    struct arena *a = arena_open();
    assert_int_equal(take(a, "{\"the-client\":\"::1\",\"json\":true,\"to\":[\"a\",\"b\"]}"),
                     OPTIONS_GO_ON);
    assert_true(bytes_equal(client, B("::1")) && json && each_count == 2);
    assert_true(bytes_equal(each[1], B("b")));
    assert_int_equal(take(a, "{\"the_client\":25,\"json\":false,\"to\":\"a\"}"), OPTIONS_GO_ON);
    assert_true(bytes_equal(client, B("25")) && !json && each_count == 1);
    assert_int_equal(take(a, "{}"), OPTIONS_GO_ON);
    static const struct {
        const char *object, *complaint;
    } bad[] = {
        { "", "not a JSON object" },
        { "[]", "not a JSON object" },
        { "{\"to\":\"a\"", "not a JSON object" },
        { "{\"to\":\"a\",\"to\":\"b\"}", "not a JSON object" },
        { "{\"to\":\"a\\u0000b\"}", "not a JSON object" },
        { "{\"c\":\"file\"}", "there is no option --c" },
        { "{\"clint\":1}", "there is no option --clint" },
        { "{\"to\":[\"a\",\"b\",\"c\"]}", "more than 2 times" },
        { "{\"to\":[[\"a\"]]}", "--to: expected" },
        { "{\"the-client\":[\"a\"]}", "--the-client: expected" },
        { "{\"the-client\":true}", "--the-client: expected" },
        { "{\"the-client\":null}", "--the-client: expected" },
        { "{\"the-client\":1.5}", "--the-client: expected" },
        { "{\"json\":\"yes\"}", "--json: expected true or false" },
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(take(a, bad[i].object), 64);
        if (!strstr(said, bad[i].complaint))
            fail_msg("%s: %s", bad[i].object, said);
    }
    arena_close(&a);
}

static void test_time(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        { "20", 20000 },    { "20s", 20000 },    { "250ms", 250 },
        { "5min", 300000 }, { "2d", 172800000 }, { "86400", 86400000 },
    };
    static const char *const wrong[] = {
        "", "0", "0s", "86401", "-1", "1.5", "20 ", "soon", "s", "20 s", "99999999999999999999s"
    };
    int64_t ms = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_true(options_time(bytes_str(rows[i].text), &ms));
        assert_int_equal(ms, rows[i].ms);
    }
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_false(options_time(bytes_str(wrong[i]), &ms));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time),    cmocka_unit_test(test_good), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_nearest), cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
