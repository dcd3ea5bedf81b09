/* Tests of src/smtp/reply.c. */
#include "smtp/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;
static struct buf out;

static int setup(void **state) {
    (void)state;
    arena = arena_open();
    out = buf_grow(1 << 20);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    arena_close(&arena);
    buf_free(&out);
    return 0;
}

#define ASSERT_BYTES(view, text)                                                                   \
    do {                                                                                           \
        struct bytes v_ = (view);                                                                  \
        assert_int_equal(v_.len, strlen(text));                                                    \
        assert_memory_equal(v_.at ? v_.at : "", text, v_.len);                                     \
    } while (0)

static void assert_format(const struct why *why, struct bytes tail, bool enhanced,
                          const char *line) {
    buf_clear(&out);
    smtp_reply_format(&out, why, tail, enhanced);
    ASSERT_BYTES(buf_bytes(&out), line);
}

static void test_format(void **state) {
    (void)state;
    struct why w;
    why_set(&w, PERM, 550, "5.7.1", "relay.no-grant", "Unable to relay");
    assert_format(&w, B("[a1]"), true, "550 5.7.1 Unable to relay [a1]\r\n");
    assert_format(&w, BYTES_NONE, true, "550 5.7.1 Unable to relay\r\n");
    assert_format(&w, B("[a1]"), false, "550 Unable to relay [a1]\r\n");
    why_set(&w, PERM, 550, "4.7.1", "x", "no"); /* a class that contradicts the code */
    assert_format(&w, BYTES_NONE, true, "550 no\r\n");
    why_set(&w, PERM, 550, NULL, "x", "%s", "");
    assert_format(&w, BYTES_NONE, true, "550 \r\n");
    assert_format(&w, B("[a1]"), true, "550 [a1]\r\n");
    why_set(&w, PERM, 550, "5.0.0", "x", "%s", "");
    assert_format(&w, B("[a1]"), true, "550 5.0.0 [a1]\r\n");
    struct why empty = { 0 };
    assert_format(&empty, BYTES_NONE, true, "451 \r\n");
    struct why raw = { .code = 550, .text = "a\r\nb\x01" }; /* not by why_set */
    assert_format(&raw, BYTES_NONE, true, "550 a??b?\r\n");
}

/* Every length around the limit, with characters of one to four octets at the cut. */
static void test_format_long(void **state) {
    (void)state;
    static const char *const fill[] = { "a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x93\xa7" };
    for (size_t f = 0; f < 4; f++) {
        for (size_t lead = 0; lead < 4; lead++) {
            for (size_t tail = 0; tail < 60; tail++) {
                struct why w = { .code = 550, .status = { 5, 123, 456 } };
                memset(w.text, 'x', lead);
                while (strlen(w.text) + strlen(fill[f]) < WHY_TEXT)
                    strcat(w.text, fill[f]);
                char id[64];
                memset(id, 'i', tail);
                buf_clear(&out);
                smtp_reply_format(&out, &w, bytes_of(id, tail), true);
                assert_true(out.len <= 512);
                assert_true(out.len > 480);
                assert_memory_equal(out.at + out.len - 2, "\r\n", 2);
                assert_memory_equal(out.at + out.len - 2 - tail, id, tail);
                char *copy = test_malloc(out.len);
                struct buf clean = buf_fixed(copy, out.len);
                buf_printable(&clean, bytes_of(out.at, out.len - 2));
                assert_memory_equal(copy, out.at, out.len - 2);
                assert_null(memchr(out.at, '?', out.len)); /* no character was cut */
                test_free(copy);
            }
        }
    }
}

/* Reads one reply given in pieces of `step`. */
static enum rc read_in(struct smtp_reply_reader *r, struct bytes data, size_t step,
                       struct smtp_reply *reply, struct why *why) {
    enum rc rc = MORE;
    while (rc == MORE && data.len) {
        size_t used;
        rc = smtp_reply_read(r, bytes_first(data, step), &used, reply, why);
        data = bytes_skip(data, used);
    }
    return rc;
}

static void test_read(void **state) {
    (void)state;
    static const struct {
        const char *wire;
        int code;
        const char *status, *text;
        unsigned lines;
    } cases[] = {
        { "250 ok\r\n", 250, "", "ok", 1 },
        { "250\r\n", 250, "", "", 1 },
        { "250 \r\n", 250, "", "", 1 },
        { "250 ok\n", 250, "", "ok", 1 },
        { "550 5.7.1 Unable to relay\r\n", 550, "5.7.1", "Unable to relay", 1 },
        { "550 5.7.1\r\n", 550, "5.7.1", "", 1 },
        { "550-5.7.1 a\r\n550-5.7.1 b\r\n550 5.7.1 c\r\n", 550, "5.7.1", "a b c", 3 },
        { "550-a\r\n550 5.7.1 b\r\n", 550, "5.7.1", "a b", 2 },
        { "550-5.7.1 a\r\n550 5.7.26 b\r\n", 550, "5.7.1", "a 5.7.26 b", 2 },
        { "550 4.7.1 a\r\n", 550, "", "4.7.1 a", 1 },
        { "250-a\r\n250-\r\n250\r\n", 250, "", "a", 3 },
        { "450-a\r\n451 b\r\n", 451, "", "a b", 2 },
        { "354 go\r\n", 354, "", "go", 1 },
        { "550 a\x01\x1b[31m\xff\r\n", 550, "", "a??[31m?", 1 },
        { "550 a\rb\r\n", 550, "", "a?b", 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t step = 1; step < 40; step++) {
            struct smtp_reply_reader *r = smtp_reply_reader_open(arena);
            struct smtp_reply reply;
            struct why why;
            char status[12];
            assert_int_equal(read_in(r, bytes_str(cases[i].wire), step, &reply, &why), OK);
            assert_false(smtp_reply_partial(r));
            assert_int_equal(reply.code, cases[i].code);
            assert_int_equal(reply.lines, cases[i].lines);
            status_format(reply.status, status);
            assert_string_equal(status, cases[i].status);
            ASSERT_BYTES(reply.text, cases[i].text);
        }
    }
}

static void test_read_nonsense(void **state) {
    (void)state;
    static const char *const cases[] = {
        "hello\r\n",
        "\r\n",
        "25\r\n",
        "25x ok\r\n",
        "250x\r\n",
        "250\tok\r\n",
        "150 ok\r\n",
        "650 ok\r\n",
        "000 ok\r\n",
        " 250 ok\r\n",
        "250-a\r\n550 b\r\n",
        "250-a\r\nb\r\n",
        "HTTP/1.1 400 Bad Request\r\n",
        "\x15\x03\x01\n",
        "-50 ok\r\n",
        "+25 ok\r\n",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t step = 1; step < 30; step += 3) {
            struct smtp_reply_reader *r = smtp_reply_reader_open(arena);
            struct smtp_reply reply;
            struct why why = { 0 };
            assert_int_equal(read_in(r, bytes_str(cases[i]), step, &reply, &why), PERM);
            assert_string_equal(why.reason, "remote.protocol");
            assert_int_equal(reply.code, 0);
        }
    }
}

static void test_read_limits(void **state) {
    (void)state;
    struct smtp_reply_reader *r = smtp_reply_reader_open(arena);
    struct smtp_reply reply;
    struct why why;
    for (size_t step = 1; step < 6000; step += 1999) {
        for (size_t length = 4095; length < 4099; length++) {
            buf_clear(&out);
            buf_str(&out, "250 ");
            while (out.len < length)
                buf_char(&out, 'a');
            buf_str(&out, "\r\n");
            enum rc rc = read_in(r, buf_bytes(&out), step, &reply, &why);
            assert_int_equal(rc, length <= 4096 ? OK : PERM);
            if (rc == OK)
                assert_int_equal(reply.text.len, 2000);
        }
    }
    for (unsigned lines = 200; lines <= 201; lines++) {
        r = smtp_reply_reader_open(arena);
        buf_clear(&out);
        for (unsigned i = 1; i < lines; i++)
            buf_str(&out, "250-0123456789012345678901234567890123456789012345678901234567890\r\n");
        buf_str(&out, "250 end\r\n");
        enum rc rc = read_in(r, buf_bytes(&out), 700, &reply, &why);
        assert_int_equal(rc, lines <= 200 ? OK : PERM);
        if (rc == OK) {
            assert_true(reply.raw.len <= 8192);
            assert_true(reply.text.len <= 2000);
        }
    }
    /* Without any newline it ends too. */
    buf_clear(&out);
    for (size_t i = 0; i < 10000; i++)
        buf_char(&out, '2');
    r = smtp_reply_reader_open(arena);
    assert_int_equal(read_in(r, buf_bytes(&out), 100, &reply, &why), PERM);
}

static void test_read_several(void **state) {
    (void)state;
    struct smtp_reply_reader *r = smtp_reply_reader_open(arena);
    struct bytes data = B("250-one\r\n250 1\r\n550 5.1.1 two\r\n22");
    struct smtp_reply reply;
    struct why why;
    size_t used;
    assert_int_equal(smtp_reply_read(r, data, &used, &reply, &why), OK);
    assert_int_equal(used, 16);
    ASSERT_BYTES(reply.raw, "250-one\n250 1");
    data = bytes_skip(data, used);
    assert_int_equal(smtp_reply_read(r, data, &used, &reply, &why), OK);
    assert_int_equal(reply.code, 550);
    ASSERT_BYTES(reply.text, "two");
    assert_int_equal(reply.lines, 1);
    data = bytes_skip(data, used);
    assert_false(smtp_reply_partial(r));
    assert_int_equal(smtp_reply_read(r, data, &used, &reply, &why), MORE);
    assert_true(smtp_reply_partial(r));
    assert_int_equal(used, 2);
    smtp_reply_reader_free(r);
    assert_false(smtp_reply_partial(r));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_format, setup, teardown),
        cmocka_unit_test_setup_teardown(test_format_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_nonsense, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_several, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
