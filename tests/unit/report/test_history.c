/* The history: what is written, what is removed, what trace finds. */
#include "report/report.h"

#include "base/must.h"
#include "report/history.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];

static int set_up(void **state) {
    (void)state;
    strcpy(directory, "/tmp/postern-history-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    struct history_files files;
    if (history_files_read(directory, &files) < 0)
        return -1;
    for (size_t i = 0; i < files.count; i++) {
        char path[200];
        struct buf b = buf_fixed(path, sizeof path);
        buf_printf(&b, "%s/", directory);
        history_name_format(&b, files.list[i]);
        unlink(buf_text(&b));
    }
    history_files_free(&files);
    return rmdir(directory);
}

static struct history *open_worker(unsigned worker) {
    struct history *h;
    struct why why;
    assert_int_equal(history_open(directory, 14 * 86400000LL, 2ULL << 30, worker, &h, &why), OK);
    return h;
}

static void tell(struct history *h, const char *time, const char *rest) {
    char line[1024];
    snprintf(line, sizeof line, "{\"time\":\"2026-11-%sZ\",%s}", time, rest);
    history_event(h, "event", bytes_str(line));
}

static void found_line(void *ctx, struct bytes line) {
    struct buf *b = ctx;
    ptrdiff_t at = bytes_search(line, B("\"n\":"));
    buf_add(b, at < 0 ? B("?") : bytes_slice(line, (size_t)at + 4, (size_t)at + 5));
}

static void assert_trace(const char *what, const char *expected) {
    char memory[200];
    struct buf b = buf_fixed(memory, sizeof memory);
    struct why why;
    assert_int_equal(history_trace(directory, bytes_str(what), found_line, &b, &why), OK);
    assert_string_equal(buf_text(&b), expected);
}

/* Two workers, two days; the lines of one message lie with both. */
static void write_story(void) {
    struct history *a = open_worker(0), *b = open_worker(1);
    tell(a, "20T09:00:00.000", "\"event\":\"connected\",\"session\":\"s1\",\"n\":1");
    tell(
        a, "20T09:00:01.000",
        "\"event\":\"accepted\",\"session\":\"s1\",\"message\":\"0a1\",\"message_id\":"
        "\"<one@x.example>\",\"from\":\"ann@x.example\",\"to\":[\"bob@y.example\",\"Kim@y.example\"],"
        "\"n\":2");
    tell(a, "20T09:00:02.000",
         "\"event\":\"accepted\",\"session\":\"s1\",\"message\":\"0a2\",\"message_id\":"
         "\"<two@x.example>\",\"from\":\"ann@x.example\",\"to\":[\"carl@y.example\"],\"n\":3");
    tell(b, "20T09:00:01.500",
         "\"event\":\"bounced\",\"message\":\"0a1\",\"to\":\"bob@y.example\",\"n\":4");
    tell(b, "20T09:00:01.600",
         "\"event\":\"accepted\",\"session\":\"report\",\"message\":\"0b7\",\"message_id\":"
         "\"<0a1.0.ff@mail.x.example>\",\"from\":\"<>\",\"to\":[\"ann@x.example\"],\"n\":5");
    tell(b, "21T10:00:00.000",
         "\"event\":\"relayed\",\"message\":\"0a1\",\"to\":\"kim@y.example\",\"n\":6");
    tell(a, "21T11:00:00.000",
         "\"event\":\"refused\",\"session\":\"s9\",\"from\":\"eve@z.example\",\"to\":"
         "\"bob@y.example\",\"n\":7");
    tell(a, "21T11:00:00.500", "\"event\":\"reload\",\"n\":8");
    history_close(&a);
    history_close(&b);
}

static void test_trace(void **state) {
    (void)state;
    write_story();
    assert_trace("0a1", "12456");
    assert_trace("<one@x.example>", "12456");
    assert_trace("one@x.example", "12456");
    assert_trace("0a2", "13");
    assert_trace("kim@y.example", "12456");
    assert_trace("CARL@Y.EXAMPLE", "13");
    assert_trace("eve@z.example", "7");
    assert_trace("s9", "7");
    assert_trace("s1", "124536");
    assert_trace("bob@y.example", "124567");
    assert_trace("nobody@y.example", "");
    assert_trace("", "");
    assert_trace("0a", "");
    assert_trace("\"}", "");
}

/* Sees what has "seen" in it, and only its first half. */
static bool see(void *ctx, struct bytes line, struct buf *out) {
    (void)ctx;
    ptrdiff_t at = bytes_search(line, B(",\"hidden\""));
    if (bytes_search(line, B("\"seen\"")) < 0)
        return false;
    buf_add(out, at < 0 ? line : bytes_first(line, (size_t)at));
    if (at >= 0)
        buf_char(out, '}');
    return true;
}

/* Declines every other time. */
struct fussy {
    struct buf *found;
    bool takes;
};

static bool fussy_line(void *ctx, struct bytes line) {
    struct fussy *f = ctx;
    f->takes = !f->takes;
    if (f->takes)
        found_line(f->found, line);
    return f->takes;
}

static void assert_sliced(const char *what, bool viewed, size_t octets, const char *expected) {
    char memory[200];
    struct buf b = buf_fixed(memory, sizeof memory);
    const struct history_view view = { see, NULL };
    struct fussy fussy = { &b, true };
    struct why why;
    bool more;
    struct history_search *h =
        history_search_open(directory, bytes_str(what), viewed ? &view : NULL);
    do
        assert_int_equal(history_search_step(h, octets, fussy_line, &fussy, &more, &why), OK);
    while (more);
    history_search_close(&h);
    assert_string_equal(buf_text(&b), expected);
}

static void test_slices(void **state) {
    (void)state;
    write_story();
    static const size_t octets[] = { 1, 100, 1000, SIZE_MAX };
    for (size_t i = 0; i < COUNT_OF(octets); i++) {
        assert_sliced("0a1", false, octets[i], "12456");
        assert_sliced("nobody@y.example", false, octets[i], "");
        assert_sliced("", false, octets[i], "");
    }
    /* Ended in the middle of either pass. */
    for (size_t steps = 0; steps < 20; steps++) {
        char memory[200];
        struct buf b = buf_fixed(memory, sizeof memory);
        struct fussy fussy = { &b, true };
        struct why why;
        bool more = true;
        struct history_search *h = history_search_open(directory, B("0a1"), NULL);
        for (size_t i = 0; i < steps && more; i++)
            assert_int_equal(history_search_step(h, 1, fussy_line, &fussy, &more, &why), OK);
        history_search_close(&h);
    }
}

/* What may not be seen finds nothing, neither by itself nor by what it would lead to. */
static void test_view(void **state) {
    (void)state;
    struct history *a = open_worker(0);
    tell(a, "20T09:00:00.000",
         "\"message\":\"0a1\",\"seen\":\"\",\"to\":\"ann@x.example\",\"n\":1,\"hidden\":\"\","
         "\"from\":\"eve@z.example\"");
    tell(a, "20T09:00:01.000", "\"message\":\"0a1\",\"from\":\"bob@y.example\",\"n\":2");
    tell(a, "20T09:00:02.000",
         "\"message\":\"0a1\",\"seen\":\"\",\"to\":\"kim@x.example\",\"n\":3");
    history_close(&a);
    assert_sliced("0a1", true, 1000, "13");
    assert_sliced("kim@x.example", true, 1000, "13");
    assert_sliced("eve@z.example", true, 1000, "");
    assert_sliced("bob@y.example", true, 1000, "");
    assert_sliced("eve@z.example", false, 1000, "123");
}

static void test_no_directory(void **state) {
    (void)state;
    struct why why;
    assert_int_equal(history_trace("/nonexistent/history", B("x"), found_line, NULL, &why), TEMP);
    struct history *h;
    assert_int_equal(history_open("/nonexistent/history", 1, 1, 0, &h, &why), TEMP);
    assert_null(h);
}

/* A crash in the middle of a line, and binary junk, cost those lines only. */
static void test_damage(void **state) {
    (void)state;
    char path[200];
    snprintf(path, sizeof path, "%s/20261120-w0.jsonl", directory);
    FILE *f = fopen(path, "wb");
    fputs("{\"time\":\"2026-11-20T09:00:00.000Z\",\"message\":\"0a1\",\"n\":1}\n", f);
    fputs("{\"time\":\"2026-11-20T09:00:01.000Z\",\"message\":\"0a1\",\"n\n", f);
    for (int i = 0; i < 300000; i++)
        fputc(i % 7 ? 0 : '"', f);
    fputs("\n{\"time\":\"2026-11-20T09:00:02.000Z\",\"message\":\"0a1\",\"n\":2}\n", f);
    fputs("{\"time\":\"2026-11-20T09:00:03.000Z\",\"message\":\"0a1\",\"n\":3}", f);
    fclose(f);
    assert_trace("0a1", "12");
}

static size_t count_files(void) {
    struct history_files files;
    assert_int_equal(history_files_read(directory, &files), 0);
    size_t count = files.count;
    history_files_free(&files);
    return count;
}

static const int64_t noon = 1795176000000; /* 2026-11-20T12:00:00Z */

static void test_removed_by_age(void **state) {
    (void)state;
    struct history *h = open_worker(0);
    tell(h, "01T09:00:00.000", "\"message\":\"0a1\",\"n\":1");
    tell(h, "10T09:00:00.000", "\"message\":\"0a2\",\"n\":2");
    tell(h, "20T09:00:00.000", "\"message\":\"0a3\",\"n\":3");
    assert_int_equal(count_files(), 3);
    history_flush(h, noon);
    assert_int_equal(count_files(), 2);
    history_close(&h);
    assert_trace("0a1", "");
    assert_trace("0a2", "2");
    assert_trace("0a3", "3");
}

/* Parts of a day, so that a busy day can be kept within the limit, too. */
static void test_removed_by_size(void **state) {
    (void)state;
    struct history *h;
    char rest[900];
    memset(rest, 'x', sizeof rest);
    memcpy(rest, "\"message\":\"0a1\",\"text\":\"", 23);
    strcpy(rest + sizeof rest - 2, "\"");
    assert_int_equal(history_open(directory, 14 * 86400000LL, 3 << 20, 0, &h, NULL), OK);
    for (int i = 0; i < 6000; i++)
        tell(h, "20T09:00:00.000", rest);
    assert_true(count_files() >= 5);
    history_flush(h, noon);
    assert_true(count_files() >= 2 && count_files() <= 4);
    history_close(&h);
    h = open_worker(0); /* goes on where it stopped */
    tell(h, "20T09:00:01.000", "\"message\":\"0a9\",\"n\":9");
    history_close(&h);
    assert_trace("0a9", "9");
}

/* Lines a disk did not take are counted where the next ones stand. */
static void test_lost(void **state) {
    (void)state;
    if (geteuid() == 0) {
        char path[200];
        struct history *h = open_worker(0);
        snprintf(path, sizeof path, "%s/20261120-w0.jsonl", directory);
        assert_int_equal(mkdir(path, 0700), 0); /* in the place of the file */
        tell(h, "20T09:00:00.000", "\"message\":\"0a1\",\"n\":1");
        tell(h, "20T09:00:01.000", "\"message\":\"0a1\",\"n\":2");
        assert_int_equal(rmdir(path), 0);
        tell(h, "20T09:00:02.000", "\"message\":\"0a1\",\"n\":3");
        history_close(&h);
        char text[400];
        FILE *f = fopen(path, "rb");
        size_t len = fread(text, 1, sizeof text, f);
        fclose(f);
        assert_true(bytes_search(bytes_of(text, len), B("\"lines\":2}")) >= 0);
        assert_trace("0a1", "3");
    }
}

static void test_names(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bool good;
        struct history_name value;
    } rows[] = {
        { "20261120-w0.jsonl", true, { 20261120, 0, 0 } },
        { "20261120-w12-0003.jsonl", true, { 20261120, 12, 3 } },
        { "20261120.jsonl", false, { 0 } },
        { "20261120-0.jsonl", false, { 0 } },
        { "2026112-w0.jsonl", false, { 0 } },
        { "20261120-w0.jsonl.gz", false, { 0 } },
        { ".jsonl", false, { 0 } },
        { "20261120-w-1.jsonl", false, { 0 } },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct history_name name;
        assert_int_equal(history_name_parse(bytes_str(rows[i].name), &name), rows[i].good);
        if (rows[i].good)
            assert_int_equal(history_name_compare(&name, &rows[i].value), 0);
    }
}

#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(test_trace),          WITH_DIRECTORY(test_damage),
        WITH_DIRECTORY(test_slices),         WITH_DIRECTORY(test_damage),
        WITH_DIRECTORY(test_view),           WITH_DIRECTORY(test_damage),
        WITH_DIRECTORY(test_removed_by_age), WITH_DIRECTORY(test_removed_by_size),
        WITH_DIRECTORY(test_lost),           cmocka_unit_test(test_no_directory),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
