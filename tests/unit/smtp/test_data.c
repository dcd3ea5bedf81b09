/* Tests of src/smtp/data.c: against a plain rewriting of the rules, octet by octet, over many
 * generated contents and every way of cutting them. */
#include "smtp/data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ASSERT_BUF(b, text)                                                                        \
    do {                                                                                           \
        assert_int_equal((b).len, sizeof(text) - 1);                                               \
        assert_memory_equal((b).at, text, sizeof(text) - 1);                                       \
    } while (0)

static struct buf out;

static int setup(void **state) {
    (void)state;
    out = buf_grow(1 << 20);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    buf_free(&out);
    return 0;
}

/* Feeds in pieces of `step`; true at the end of data, with *rest_out octets left over. */
static bool feed(struct smtp_data_in *s, struct bytes data, size_t step, size_t *rest_out) {
    while (data.len) {
        size_t used;
        bool end = smtp_data_in(s, bytes_first(data, step), &used, &out);
        data = bytes_skip(data, used);
        if (end) {
            *rest_out = data.len;
            return true;
        }
    }
    *rest_out = 0;
    return false;
}

static void test_end(void **state) {
    (void)state;
    static const struct {
        const char *wire, *content;
        size_t rest;
    } cases[] = {
        { ".\r\n", "", 0 },
        { "a\r\n.\r\n", "a\r\n", 0 },
        { "a\r\n.\r\nMAIL", "a\r\n", 4 },
        { "\r\n.\r\n", "\r\n", 0 },
        { "..\r\n.\r\n", ".\r\n", 0 },
        { "..a\r\n...\r\n.\r\n", ".a\r\n..\r\n", 0 },
        { ".a\r\n.\r\n", "a\r\n", 0 },
        { "a.\r\n.\r\n", "a.\r\n", 0 },
        { "a\r\r\n.\r\n", "a\r\r\n", 0 }, /* the last CR and the LF are a CRLF */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t step = 1; step < 20; step++) {
            struct smtp_data_in s = { 0 };
            size_t rest;
            buf_clear(&out);
            assert_true(feed(&s, bytes_str(cases[i].wire), step, &rest));
            assert_int_equal(rest, cases[i].rest);
            assert_true(bytes_equal(buf_bytes(&out), bytes_str(cases[i].content)));
        }
    }
}

/* Each of these is somewhere taken for the end of data; here none is, with or without mending. */
static void test_smuggling(void **state) {
    (void)state;
    static const struct bytes ends[] = {
        B("\n.\n"),       B("\n.\r\n"),       B("\r\n.\n"),    B("\r.\r"),       B("\r\n.\r"),
        B("\r.\r\n"),     B("\r.\n"),         B("\n.\r"),      B("\r\n\0.\r\n"), B("\r\n.\0\r\n"),
        B("\r\n.\r\0\n"), B("\n\n.\r\n"),     B("\r\r.\r\n"),  B("\r\n .\r\n"),  B("\r\n. \r\n"),
        B("\r\n.\r\r\n"), B("\r\0\n.\r\0\n"), B("\r\n..\r\n"), B("\n.\n\r\n"),   B("\r\n.\n\n"),
        B("\x0b.\x0b"),   B("\x0c.\r\n"),     B("\x85.\r\n"),  B("\r\n\r.\r\n"), B("\n\r\n\r.\r\n"),
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        for (int fix = 0; fix < 2; fix++) {
            for (size_t step = 1; step < 10; step++) {
                struct smtp_data_in s = { .fix = fix };
                size_t rest;
                buf_clear(&out);
                assert_false(feed(&s, B("text"), step, &rest));
                assert_false(feed(&s, ends[i], step, &rest));
                assert_false(feed(&s, B("MAIL FROM:<a@b>"), step, &rest));
                assert_true(feed(&s, B("\r\n.\r\n"), step, &rest));
            }
        }
    }
}

static void test_bare(void **state) {
    (void)state;
    static const struct {
        const char *wire;
        bool bare;
        const char *fixed;
    } cases[] = {
        { "a\r\nb\r\n.\r\n", false, "a\r\nb\r\n" },    { "a\nb\r\n.\r\n", true, "a\r\nb\r\n" },
        { "a\rb\r\n.\r\n", true, "a\r\nb\r\n" },       { "a\r\r\n.\r\n", true, "a\r\n\r\n" },
        { "\n.\r\n\r\n.\r\n", true, "\r\n.\r\n\r\n" }, { ".\n\r\n.\r\n", true, "\r\n\r\n" },
        { ".\r.\r\n.\r\n", true, "\r\n.\r\n" },        { ".\r\r\n.\r\n", true, "\r\n\r\n" },
        { "\r\n\n.\r\n.\r\n", true, "\r\n\r\n.\r\n" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct smtp_data_in s = { .fix = true };
        size_t rest;
        buf_clear(&out);
        assert_true(feed(&s, bytes_str(cases[i].wire), 100, &rest));
        assert_int_equal(s.bare, cases[i].bare);
        assert_true(bytes_equal(buf_bytes(&out), bytes_str(cases[i].fixed)));
    }
}

static void test_bdat(void **state) {
    (void)state;
    struct smtp_data_in s = { 0 };
    smtp_data_in_bdat(&s, B(".\r"), &out);
    smtp_data_in_bdat(&s, B("\n.\r\n"), &out);
    assert_false(s.bare);
    smtp_data_in_bdat(&s, B("a\r"), &out);
    assert_false(s.bare);
    smtp_data_in_bdat_end(&s, &out);
    assert_true(s.bare);
    ASSERT_BUF(out, ".\r\n.\r\na\r");
    buf_clear(&out);
    s = (struct smtp_data_in){ .fix = true };
    smtp_data_in_bdat(&s, B("\na\rb\r\n\nc\r"), &out);
    smtp_data_in_bdat_end(&s, &out);
    assert_true(s.bare);
    ASSERT_BUF(out, "\r\na\r\nb\r\n\r\nc\r\n");
}

static void test_out(void **state) {
    (void)state;
    static const struct {
        const char *content, *wire, *chunk;
    } cases[] = {
        { "", ".\r\n", "" },
        { "a\r\n", "a\r\n.\r\n", "a\r\n" },
        { "a", "a\r\n.\r\n", "a\r\n" },
        { "a\r", "a\r\n.\r\n", "a\r\n" },
        { "a\n", "a\r\n.\r\n", "a\r\n" },
        { ".", "..\r\n.\r\n", ".\r\n" },
        { ".\r\n..\r\n", "..\r\n...\r\n.\r\n", ".\r\n..\r\n" },
        { "\n.\n", "\r\n..\r\n.\r\n", "\r\n.\r\n" },
        { "\r.\r", "\r\n..\r\n.\r\n", "\r\n.\r\n" },
        { "a\r\r\nb", "a\r\n\r\nb\r\n.\r\n", "a\r\n\r\nb\r\n" },
        { "a\n\rb", "a\r\n\r\nb\r\n.\r\n", "a\r\n\r\nb\r\n" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t step = 1; step < 10; step++) {
            struct smtp_data_out s = { 0 };
            buf_clear(&out);
            struct bytes rest = bytes_str(cases[i].content);
            for (; rest.len; rest = bytes_skip(rest, step))
                smtp_data_out(&s, bytes_first(rest, step), &out);
            smtp_data_out_finish(&s, &out);
            assert_true(bytes_equal(buf_bytes(&out), bytes_str(cases[i].wire)));
            s = (struct smtp_data_out){ 0 };
            buf_clear(&out);
            for (rest = bytes_str(cases[i].content); rest.len; rest = bytes_skip(rest, step))
                smtp_data_out_bdat(&s, bytes_first(rest, step), &out);
            smtp_data_out_bdat_end(&s, &out);
            assert_true(bytes_equal(buf_bytes(&out), bytes_str(cases[i].chunk)));
        }
    }
}

/* --- the rules again, slowly ------------------------------------------------------------------ */

/* Where data ends (behind CRLF . CRLF), or 0. */
static size_t end_of(struct bytes wire) {
    for (size_t i = 0; i + 3 <= wire.len; i++) {
        bool line = i == 0 || (i >= 2 && wire.at[i - 2] == '\r' && wire.at[i - 1] == '\n');
        if (line && memcmp(wire.at + i, ".\r\n", 3) == 0)
            return i + 3;
    }
    return 0;
}

static void plain_in(struct bytes wire, bool fix, bool *bare, struct buf *to) {
    for (size_t i = 0; i < wire.len; i++) {
        char c = wire.at[i], before = i ? wire.at[i - 1] : '\0';
        char behind = i + 1 < wire.len ? wire.at[i + 1] : '\0';
        bool line = i == 0 || (i >= 2 && before == '\n' && wire.at[i - 2] == '\r');
        bool lone = (c == '\n' && before != '\r') || (c == '\r' && behind != '\n');
        *bare |= lone;
        if (c == '.' && line)
            continue;
        if (lone && fix)
            buf_str(to, "\r\n");
        else
            buf_char(to, c);
    }
}

static unsigned seed;
static unsigned next_random(unsigned below) {
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % below;
}

static void generate(struct buf *b, size_t length) {
    static const char odd[] = "\r\n.\r\n.\r\n\n\r..a\0";
    buf_clear(b);
    unsigned rare = 1 + next_random(90);
    while (b->len < length)
        if (next_random(rare) == 0)
            buf_char(b, odd[next_random(sizeof odd - 1)]);
        else if (next_random(40) == 0)
            buf_str(b, "\r\n");
        else
            buf_char(b, (char)('a' + next_random(26)));
}

static void test_against_rules(void **state) {
    (void)state;
    struct buf wire = buf_grow(1 << 16), want = buf_grow(1 << 17), sent = buf_grow(1 << 17);
    for (seed = 1; seed < 0x70000000u; seed += 977777) {
        unsigned start = seed;
        generate(&wire, next_random(1500));
        struct bytes all = buf_bytes(&wire);
        bool fix = next_random(2), bare = false;
        size_t end = end_of(all), rest, step = 1 + next_random(700);
        struct smtp_data_in s = { .fix = fix };
        buf_clear(&out);
        buf_clear(&want);
        assert_int_equal(feed(&s, all, step, &rest), end > 0);
        if (end) {
            assert_int_equal(rest, all.len - end);
            plain_in(bytes_first(all, end - 3), fix, &bare, &want);
            assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&want)));
            assert_int_equal(s.bare, bare);
        }
        /* What is written is read again as the same, ends once, and holds nothing bare. */
        struct smtp_data_out o = { 0 };
        buf_clear(&sent);
        for (struct bytes left = all; left.len; left = bytes_skip(left, step))
            smtp_data_out(&o, bytes_first(left, step), &sent);
        smtp_data_out_finish(&o, &sent);
        s = (struct smtp_data_in){ 0 };
        buf_clear(&out);
        assert_int_equal(end_of(buf_bytes(&sent)), sent.len);
        assert_true(feed(&s, buf_bytes(&sent), 64, &rest));
        assert_false(s.bare);
        o = (struct smtp_data_out){ 0 };
        buf_clear(&want);
        smtp_data_out_bdat(&o, all, &want);
        smtp_data_out_bdat_end(&o, &want);
        assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&want)));
        seed = start;
    }
    buf_free(&wire);
    buf_free(&want);
    buf_free(&sent);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_smuggling, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bare, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bdat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_against_rules, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
