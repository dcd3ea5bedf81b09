/* The transcript: lines as swaks writes them, secrets kept out in every form, hostile octets and endless lines
 * kept in bounds. */
#include "base/must.h"
#include "doctor/wirelog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static struct bytes shown(const struct transcript *t, struct buf *b) {
    buf_clear(b);
    for (size_t i = 0; i < t->count; i++) {
        transcript_line_text(&t->lines[i], b);
        buf_char(b, '\n');
    }
    return buf_bytes(b);
}

static void test_arrows(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct transcript t;
    struct buf b = buf_grow(1 << 16);
    transcript_open(&t, a);
    struct wirelog w = { .transcript = &t, .session = B("main") };
    wirelog_note(&w, 0, MARK_NOTE, "Trying %s", "192.0.2.1:25");
    wirelog_got(&w, 1, B("220-one\r\n220 two\r\n"));
    wirelog_sent(&w, 2, B("EHLO x\r\n"));
    wirelog_got(&w, 3, B("550 no\r\n"));
    w.tls = true;
    wirelog_sent(&w, 4, B("MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\n"));
    wirelog_got(&w, 5, B("250 ok\r\n45"));
    wirelog_got(&w, 6, B("1 later\n"));
    wirelog_note(&w, 7, MARK_FAULT, "it ended");
    const char *expected =
        "=== Trying 192.0.2.1:25\n<-  220-one\n<-  220 two\n -> EHLO x\n<** 550 no\n"
        " ~> MAIL FROM:<>\n ~> RCPT TO:<a@example.com>\n<~  250 ok\n<~* 451 later\n*** it ended\n";
    shown(&t, &b);
    assert_string_equal(buf_text(&b), expected);
    buf_clear(&b);
    transcript_json(&t, &b);
    json_t *root = json_loadb(b.at, b.len, 0, NULL);
    assert_int_equal(json_array_size(root), 10);
    json_t *line = json_array_get(root, 8);
    assert_string_equal(json_string_value(json_object_get(line, "mark")), "got");
    assert_true(json_is_true(json_object_get(line, "tls")));
    assert_int_equal(json_integer_value(json_object_get(line, "ms")), 6);
    json_decref(root);
    buf_free(&b);
    arena_close(&a);
}

static void test_secrets(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct transcript t;
    struct buf b = buf_grow(1 << 16);
    transcript_open(&t, a);
    transcript_password(&t, B("alice"), B("hunter22"));
    struct wirelog w = { .transcript = &t, .session = B("main"), .login = true };
    wirelog_sent(&w, 0, B("AUTH PLAIN AGFsaWNlAGh1bnRlcjIy\r\n"));
    wirelog_sent(&w, 0, B("AUTH LOGIN\r\n"));
    wirelog_got(&w, 0, B("334 VXNlcm5hbWU6\r\n"));
    wirelog_sent(&w, 0, B("YWxpY2U=\r\n"));
    wirelog_sent(&w, 0, B("*\r\n"));
    w.login = false;
    wirelog_got(
        &w, 0, B("535 hunter22 and aHVudGVyMjI= and AGFsaWNlAGh1bnRlcjIy are wrong, hunter22\r\n"));
    wirelog_note(&w, 0, MARK_FAULT, "AUTH: hunter22");
    shown(&t, &b);
    assert_string_equal(
        buf_text(&b),
        " -> AUTH PLAIN ********\n -> AUTH LOGIN\n<-  334 ********\n -> ********\n -> *\n"
        "<** 535 ******** and ******** and ******** are wrong, ********\n*** AUTH: ********\n");
    struct bytes masked = transcript_masked(&t, B("xhunter22x"));
    assert_memory_equal(masked.at, "x********x", masked.len);
    buf_free(&b);
    arena_close(&a);
}

/* Two octets are everywhere; a mask would only hide what is to be seen. */
static void test_short_secret(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct transcript t;
    transcript_open(&t, a);
    transcript_secret(&t, B("ab"));
    assert_int_equal(t.secret_count, 0);
    transcript_secret(&t, B("abc"));
    assert_int_equal(t.secret_count, 1);
    arena_close(&a);
}

static void test_hostile(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct transcript t;
    struct buf b = buf_grow(1 << 24);
    char big[8192];
    transcript_open(&t, a);
    struct wirelog w = { .transcript = &t, .session = B("main") };
    memset(big, 'x', sizeof big);
    for (int i = 0; i < 200; i++)
        wirelog_got(&w, 0, bytes_of(big, sizeof big));
    wirelog_got_all(&w, 0);
    assert_int_equal(t.count, 1);
    assert_true(t.lines[0].text.len < 2 * TRANSCRIPT_TEXT);
    assert_true(bytes_search(t.lines[0].text, B("octets more")) > 0);
    wirelog_got(&w, 0, B("220 \x1b[2J\x07 \x9b \xff\r\r\n"));
    struct bytes text = t.lines[1].text;
    assert_true(bytes_is_utf8(text) && bytes_find(text, '\x1b') < 0 && bytes_find(text, '\r') < 0);
    for (int i = 0; i < 2 * TRANSCRIPT_LINES; i++)
        wirelog_got(&w, 0, B("220-more\r\n"));
    wirelog_got_all(&w, 0);
    assert_true(t.count <= WIRELOG_LINES + 2);
    for (int i = 0; i < 2 * TRANSCRIPT_LINES; i++)
        wirelog_note(&w, 0, MARK_NOTE, "%d", i);
    assert_int_equal(t.count, TRANSCRIPT_LINES);
    assert_true(t.dropped > 0);
    buf_free(&b);
    arena_close(&a);
}

static void test_message(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct transcript t;
    struct buf b = buf_grow(1 << 20);
    transcript_open(&t, a);
    struct wirelog w = { .transcript = &t, .session = B("main"), .content = true };
    for (int i = 0; i < 1000; i++)
        wirelog_sent(&w, 0, B("a line of the message\r\n"));
    wirelog_sent(&w, 0, B(".\r\n"));
    wirelog_got_all(&w, 0);
    assert_int_equal(t.count, WIRELOG_CONTENT_LINES + 2);
    assert_memory_equal(t.lines[WIRELOG_CONTENT_LINES].text.at, ".", 1);
    buf_free(&b);
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arrows),       cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_short_secret), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
