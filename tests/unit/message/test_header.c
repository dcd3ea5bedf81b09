/* Header fields, encoded words, and above all: whom an address field names, when it is written so
 * that programs disagree. */
#include "message/header.h"

#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;

static int set_up(void **state) {
    (void)state;
    arena = arena_open();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_close(&arena);
    return 0;
}

static void assert_text(struct bytes got, const char *expected) {
    assert_string_equal(arena_str(arena, got), expected);
}

/* --- fields ------------------------------------------------------------------------------- */

static void test_fields(void **state) {
    (void)state;
    struct bytes rest = B("From: a@b\r\nSubject : one\r\n two\r\n\tthree\r\nX:\r\n\r\nbody\r\n");
    struct header_field f;
    assert_int_equal(header_next(&rest, &f), HEADER_FIELD);
    assert_text(f.name, "From");
    assert_text(f.value, " a@b");
    assert_text(f.whole, "From: a@b\r\n");
    assert_int_equal(header_next(&rest, &f), HEADER_FIELD);
    assert_text(f.name, "Subject");
    assert_text(f.value, " one\r\n two\r\n\tthree");
    assert_text(header_unfold(f.value, arena), "one two\tthree");
    assert_int_equal(header_next(&rest, &f), HEADER_FIELD);
    assert_text(f.value, "");
    assert_int_equal(header_next(&rest, &f), HEADER_END);
    assert_text(rest, "body\r\n");
}

static void test_ends(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum header_next state;
        const char *rest;
    } rows[] = {
        { "", HEADER_END, "" },
        { "\r\nbody", HEADER_END, "body" },
        { "\nbody", HEADER_END, "body" },
        { "no field\r\nA: b\r\n", HEADER_MALFORMED, "no field\r\nA: b\r\n" },
        { ": x\r\n", HEADER_MALFORMED, ": x\r\n" },
        { " folded first\r\n", HEADER_MALFORMED, " folded first\r\n" },
        { "F\xc3\xbcr: x\r\n", HEADER_MALFORMED, "F\xc3\xbcr: x\r\n" },
        { "A B: c\r\n", HEADER_MALFORMED, "A B: c\r\n" },
        { "From", HEADER_TRUNCATED, "From" },
        { "From: a@b", HEADER_TRUNCATED, "" },
        { "From: a@b\r\n c", HEADER_TRUNCATED, "" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bytes rest = bytes_str(rows[i].text);
        struct header_field f;
        assert_int_equal(header_next(&rest, &f), rows[i].state);
        assert_text(rest, rows[i].rest);
    }
}

static void test_length_and_find(void **state) {
    (void)state;
    struct header_field f;
    assert_int_equal(header_length(B("A: b\r\n\r\nbody")), 8);
    assert_int_equal(header_length(B("A: b\n\nbody")), 6);
    assert_int_equal(header_length(B("\r\nbody")), 2);
    assert_int_equal(header_length(B("A: b\r\n \r\nC: d\r\n\r\n")), 17);
    assert_int_equal(header_length(B("A: b\r\n")), 0);
    assert_int_equal(header_length(B("")), 0);
    assert_true(header_find(B("A: 1\r\nb: 2\r\nB: 3\r\n\r\nC: 4\r\n"), B("B"), &f));
    assert_text(f.value, " 2");
    assert_false(header_find(B("A: 1\r\n\r\nC: 4\r\n"), B("C"), &f));
    assert_true(
        header_find(B("junk\r\nFrom: x"), B("from"), &f)); /* what some program would find */
}

static void test_summary(void **state) {
    (void)state;
    struct header_summary s;
    header_summarise(B("Received: 1\r\nreceived: 2\r\nFROM: a@b,\r\n c@d\r\nSender: e@f\r\n"
                       "Reply-to: g@h\r\nDate: x\r\nMessage-Id: <i@j>\r\nSubject: k\r\nBcc: l\r\n"
                       "Return-Path: <>\r\nTLS-Required: No\r\n\r\nFrom: body\r\n"),
                     &s);
    assert_true(s.complete && !s.malformed && !s.has_8bit);
    assert_int_equal(s.received_fields, 2);
    assert_int_equal(s.from_fields, 1);
    assert_int_equal(s.sender_fields, 1);
    assert_int_equal(s.reply_to_fields, 1);
    assert_int_equal(s.date_fields, 1);
    assert_int_equal(s.message_id_fields, 1);
    assert_int_equal(s.bcc_fields, 1);
    assert_int_equal(s.return_path_fields, 1);
    assert_text(s.from, "a@b,\r\n c@d");
    assert_text(s.message_id, "<i@j>");
    assert_text(s.subject, "k");
    assert_text(s.tls_required, "No");
    assert_int_equal(s.length, 157);
}

/* A second From must not hide: not behind junk, not without line end, not in other letters. */
static void test_summary_hidden_from(void **state) {
    (void)state;
    struct header_summary s;
    header_summarise(B("From: a@b\r\nthis is no field\r\nfrom : c@d\r\n\r\n"), &s);
    assert_int_equal(s.from_fields, 2);
    assert_true(s.malformed && s.complete);
    header_summarise(B("From: a@b\r\nFrom: c@d"), &s);
    assert_int_equal(s.from_fields, 2);
    assert_false(s.complete);
    header_summarise(B("From: a@b\r\n \r\nFrom: c@d\r\n\r\n"), &s);
    assert_int_equal(s.from_fields, 2);
    header_summarise(B("From: a@b\nFrom: c@d\n\nx"), &s);
    assert_int_equal(s.from_fields, 2);
    assert_true(s.complete);
    header_summarise(B("From: a@b\r\nFro"), &s);
    assert_true(s.malformed && !s.complete);
    header_summarise(B("From: a@b\r\n"), &s);
    assert_true(!s.malformed && !s.complete);
    header_summarise(B("Subject: f\xc3\xbcr\r\n\r\n"), &s);
    assert_true(s.has_8bit);
    header_summarise(B("Subject: x\r\n\r\n\xc3\xbc"), &s);
    assert_false(s.has_8bit);
}

/* --- encoded words ------------------------------------------------------------------------ */

static void test_decode(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        { "plain", "plain" },
        { "=?utf-8?Q?J=C3=BCrgen_M?=", "J\xc3\xbcrgen M" },
        { "=?UTF-8?B?SsO8cmdlbg==?=", "J\xc3\xbcrgen" },
        { "=?UTF-8?b?SsO8cmdlbg?=", "J\xc3\xbcrgen" },
        { "=?iso-8859-1?q?J=FCrgen?=", "J\xc3\xbcrgen" },
        { "=?windows-1252?q?=80?=", "\xe2\x82\xac" },
        { "=?iso-8859-15?q?=A4?=", "\xe2\x82\xac" },
        { "=?utf-8*en?q?x?=", "x" },
        { "a =?utf-8?q?b?= c", "a b c" },
        { "=?utf-8?q?a?= =?utf-8?q?b?=", "ab" },
        { "=?utf-8?q?a?=\r\n =?utf-8?q?b?= c", "ab c" },
        /* a character cut in two by words */
        { "=?utf-8?q?J=C3?= =?utf-8?q?=BCrgen?=", "J\xc3\xbcrgen" },
        { "=?koi8-r?q?x?=", "=?koi8-r?q?x?=" },
        { "=?utf-8?x?y?=", "=?utf-8?x?y?=" },
        { "=?utf-8?q?unfinished", "=?utf-8?q?unfinished" },
        { "=?utf-8?q?=0D=0ABcc:_x?=", "??Bcc: x" },
        { "=?utf-8?q?=ff?=", "?" },
        { "=?utf-8?q?100=?=", "100=" },
        { "=?", "=?" },
        { "=?utf-8?q?\x3f=", "" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_text(header_decode(bytes_str(rows[i][0]), arena), rows[i][1]);
}

/* --- mailboxes ---------------------------------------------------------------------------- */

/* Joined by blanks; an empty one is "-". */
static const char *mailboxes(const char *value, const char *domain) {
    struct bytes out[16];
    size_t count =
        header_mailboxes_at(bytes_str(value), bytes_str(domain), arena, out, COUNT_OF(out));
    struct buf b = buf_fixed(arena_alloc(arena, 1024), 1024);
    for (size_t i = 0; i < count && i < COUNT_OF(out); i++) {
        buf_str(&b, i ? " " : "");
        buf_add(&b, out[i].len ? out[i] : B("-"));
    }
    return buf_text(&b);
}

static void test_mailboxes(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        /* what everybody reads alike */
        { "a@b.example", "a@b.example" },
        { " <a@b.example> ", "a@b.example" },
        { "Ann Beebe <a@B.Example>", "a@b.example" },
        { "\"Beebe, Ann\" <a@b.example>", "a@b.example" },
        { "John Q. Public <a@b.example>", "a@b.example" },
        { "a@b.example (Ann)", "a@b.example" },
        { "(Ann) a@b.example", "a@b.example" },
        { "Ann (the (real) one) <a@b.example> (x)", "a@b.example" },
        { "a@b.example, c@d.example", "a@b.example c@d.example" },
        { "a@b.example,\r\n\tc@d.example", "a@b.example c@d.example" },
        { ", a@b.example,, c@d.example ,", "a@b.example c@d.example" },
        { "friends: a@b.example, C <c@d.example>;", "a@b.example c@d.example" },
        { "friends: a@b.example;, c@d.example", "a@b.example c@d.example" },
        { "undisclosed-recipients:;", "" },
        { "undisclosed recipients: ;", "" },
        { "", "" },
        { "(nobody)", "" },
        { "\"a b\"@b.example", "\"a b\"@b.example" },
        { "\"ab\"@b.example", "ab@b.example" },
        { "a@[192.0.2.1]", "a@[192.0.2.1]" },
        { "=?utf-8?q?J=C3=BCrgen?= <a@b.example>", "a@b.example" },
        { "=?utf-8?q?J=C3=BCrgen_=40_work?= <a@b.example>", "a@b.example" },
        { "\"a@b.example\" <a@b.example>", "a@b.example" },
        { "a@b.example <a@b.example>", "a@b.example" },
        { "=?utf-8?q?a=40b=2Eexample?= <a@b.example>", "a@b.example" },
        /* what is no mailbox is somebody else's */
        { "Ann Beebe", "-" },
        { "root", "-" },
        { "<>", "-" },
        { "Ann <>", "-" },
        { "a@", "-" },
        { "@b.example", "-" },
        { "a@b@c.example", "-" },
        { "a b@c.example", "-" },
        { "a..b@c.example", "-" },
        { "a@b.example c@d.example", "-" },
        { "a@b.example Ann", "-" },
        { "a@b..example", "-" },
        { "a@b.example, Ann", "a@b.example -" },
        /* what is read in two ways is both */
        { "<a@b.example", "a@b.example -" },
        { "a@b.example>", "a@b.example -" },
        { "<a@b.example> <c@d.example>", "a@b.example -" },
        { "<a@b.example> Ann", "a@b.example -" },
        { "<a@b.example> c@d.example", "a@b.example -" },
        { "c@d.example <a@b.example>", "a@b.example -" },
        { "<@x.example,@y.example:a@b.example>", "a@b.example -" },
        { "<@x.example:a@b.example>", "a@b.example -" },
        { "a (x) @b.example", "a@b.example -" },
        { "a@b . example", "a@b.example -" },
        { "a@b.(x)example", "a@b.example -" },
        { "<a(x)@b.example>", "a@b.example -" },
        { "<(c@d.example) a@b.example>", "a@b.example -" },
        { "a@b.example; c@d.example", "a@b.example - c@d.example" },
        { "friends: a@b.example", "a@b.example -" },
        { "friends: others: a@b.example;", "-" },
        { "a@b.example (unclosed", "a@b.example -" },
        { "\"unclosed <a@b.example>", "-" },
        { "a@b.example\\", "-" },
        { "a@b.example\n", "a@b.example" },
        { "a@b.example\rBcc: c@d.example", "-" },
        { "x\r <a@b.example>", "a@b.example -" },
        { "x\n<a@b.example>", "a@b.example -" },
        { "\"a@evil.example\"@b.example", "\"a@evil.example\"@b.example -" },
        { "\"a\".b@c.example", "-" },
        { "\"<c@d.example>\" <a@b.example>", "a@b.example -" },
        { "Ann (<c@d.example>) <a@b.example>", "a@b.example -" },
        { "a@b.example (<c@d.example>)", "a@b.example -" },
        { "<a@b.example> (<c@d.example>)", "a@b.example -" },
        { "=?utf-8?q?c=40d=2Eexample?= <a@b.example>", "a@b.example -" },
        { "=?utf-8?b?PGNAZC5leGFtcGxlPg==?= <a@b.example>", "a@b.example -" },
        { "=?utf-8?q?c=40d?=\r\n =?utf-8?q?=2Eexample?= <a@b.example>", "a@b.example -" },
        { "\"=?utf-8?q?c=40d=2Eexample?=\" <a@b.example>", "a@b.example -" },
        { "a@b.example (=?utf-8?q?c=40d=2Eexample?=)", "a@b.example -" },
        { "=?utf-8?q?c=40d=2Eexample=2C?= <a@b.example>", "a@b.example -" },
        { "=?utf-8?q?c,d?= <a@b.example>", "- a@b.example" },
        { "\"<c@d.example>\": a@b.example;", "- a@b.example" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *got = mailboxes(rows[i][0], "");
        if (strcmp(got, rows[i][1]) != 0)
            fail_msg("%s: got '%s', expected '%s'", rows[i][0], got, rows[i][1]);
    }
}

static void test_nul(void **state) {
    (void)state;
    struct bytes out[4];
    assert_true(header_mailboxes(B("a@b.example\0, c@d.example"), arena, out, 4) >= 2);
    assert_int_equal(out[0].len, 0);
    assert_int_equal(header_mailboxes(B("\"x\0y\" <a@b.example>"), arena, out, 4), 2);
    assert_int_equal(out[1].len, 0);
}

/* Mail of this host: "To: root" of every cron job. */
static void test_bare_local_parts(void **state) {
    (void)state;
    assert_string_equal(mailboxes("root", "h.example"), "root@h.example");
    assert_string_equal(mailboxes("root (Cron Daemon), <www-data>", "h.example"),
                        "root@h.example www-data@h.example");
    assert_string_equal(mailboxes("Ann Beebe", "h.example"), "-");
    assert_string_equal(mailboxes("a@b.example", "h.example"), "a@b.example");
}

/* More than there is room for: counted, not written. And thousands cost no more than their length. */
static void test_many(void **state) {
    (void)state;
    enum { MANY = 20000 };
    struct bytes out[3];
    struct buf b = buf_grow(4 << 20);
    for (int i = 0; i < MANY; i++)
        buf_printf(&b, "%s\"User, %d\" <user%d@example.com>", i ? ",\r\n " : "", i, i);
    assert_int_equal(header_mailboxes(buf_bytes(&b), arena, out, 3), MANY);
    assert_text(out[2], "user2@example.com");
    buf_clear(&b);
    for (int i = 0; i < 300000; i++)
        buf_char(&b, "(<\"=?@,"[i % 7]);
    header_mailboxes(buf_bytes(&b), arena, out, 3);
    buf_clear(&b);
    for (int i = 0; i < 300000; i++)
        buf_str(&b, "=?");
    header_mailboxes(buf_bytes(&b), arena, out, 3);
    header_decode(buf_bytes(&b), arena);
    buf_clear(&b);
    for (int i = 0; i < 300000; i++)
        buf_char(&b, '(');
    assert_int_equal(header_mailboxes(buf_bytes(&b), arena, out, 3), 1);
    buf_clear(&b);
    for (int i = 0; i < 100000; i++)
        buf_str(&b, "a@b<");
    header_mailboxes(buf_bytes(&b), arena, out, 3);
    buf_free(&b);
}

#define WITH_ARENA(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_fields),
        WITH_ARENA(test_ends),
        WITH_ARENA(test_length_and_find),
        WITH_ARENA(test_summary),
        WITH_ARENA(test_summary_hidden_from),
        WITH_ARENA(test_decode),
        WITH_ARENA(test_mailboxes),
        WITH_ARENA(test_nul),
        WITH_ARENA(test_bare_local_parts),
        WITH_ARENA(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
