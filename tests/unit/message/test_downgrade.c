/* Conversion for servers without 8BITMIME: what is written, to the octet. That it reads back the same is
 * shown by downgrade_roundtrip.py. */
#include "message/downgrade.h"

#include <setjmp.h>
#include <stdarg.h>
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

static const struct downgrade_finding *scan(struct downgrade *d, struct bytes text) {
    for (; text.len; text = bytes_skip(text, 5))
        downgrade_scan(d, bytes_first(text, 5));
    return downgrade_scanned(d);
}

static const char *converted(const char *text) {
    struct downgrade *d = downgrade_open(arena);
    struct buf out = buf_fixed(arena_alloc(arena, 65536), 65536);
    assert_null(scan(d, bytes_str(text))->obstacle);
    downgrade_begin(d);
    downgrade_feed(d, bytes_str(text), &out);
    assert_true(downgrade_end(d, &out));
    return buf_text(&out);
}

static void test_ascii_stays(void **state) {
    (void)state;
    static const char *const texts[] = {
        "Subject: x\r\n\r\nhello\r\n",
        "Subject: x\r\n\r\n",
        "\r\nbody\r\n",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n\r\na\r\n--b--\r\nend\r\n",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: y\r\n--b\r\n\r\n--b--\r\n",
        "Subject: x\r\n\r\n--\r\n--b\r\n-\r\n\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct downgrade *d = downgrade_open(arena);
        assert_false(scan(d, bytes_str(texts[i]))->eightbit);
        assert_string_equal(converted(texts[i]), texts[i]);
    }
}

static void test_text(void **state) {
    (void)state;
    assert_string_equal(converted("MIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
                                  "Content-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9f"
                                  "e, a long line \r\n"),
                        "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
                        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                        "Gr=C3=BC=C3=9Fe, a long line=20\r\n");
    assert_string_equal(converted("Subject: x\r\n\r\n\xfc"),
                        "Subject: x\r\nMIME-Version: 1.0\r\n"
                        "Content-Type: text/plain; charset=unknown-8bit\r\n"
                        "Content-Transfer-Encoding: quoted-printable\r\n\r\n=FC\r\n");
}

static void test_parts(void **state) {
    (void)state;
    assert_string_equal(
        converted(
            "Content-Type: multipart/mixed; boundary=\"a b\"\r\nContent-Transfer-Encoding: 8bit\r\n"
            "\r\n--a b\r\nContent-Type: application/x\r\n\r\n\xff\xfe\r\n--a b\t\r\n"
            "Content-Transfer-Encoding: binary\r\n\r\nplain\r\n--a b--"),
        "Content-Type: multipart/mixed; boundary=\"a b\"\r\nContent-Transfer-Encoding: 7bit\r\n"
        "\r\n--a b\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\n//4=\r\n"
        "--a b\t\r\nContent-Transfer-Encoding: 7bit\r\n\r\nplain\r\n--a b--\r\n");
}

/* A line that is no field ends the header; what was body stays body. */
static void test_header_without_end(void **state) {
    (void)state;
    assert_string_equal(converted("Subject: x\r\nno field \xc3\xbc\r\nmore: text\r\n"),
                        "Subject: x\r\nMIME-Version: 1.0\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\n"
                        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                        "no field =C3=BC\r\nmore: text\r\n");
}

static void test_fields(void **state) {
    (void)state;
    assert_string_equal(converted("To: J\xc3\xb6rg <a@b>\r\nReceived: x\xc3\xb6\r\n\ty\r\n\r\n"),
                        "To: =?utf-8?B?SsO2cmc=?= <a@b>\r\nReceived: x??\r\n\ty\r\n\r\n");
    assert_string_equal(
        converted("Content-Disposition: attachment; filename=\"\xc3\xbc \\\"1\"\r\n\r\n"),
        "Content-Disposition: attachment;\r\n filename*=utf-8''%C3%BC%20%221\r\n\r\n");
}

static void test_obstacles(void **state) {
    (void)state;
    static const struct {
        const char *text, *status;
    } rows[] = {
        { "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xfc\r\n--b--\r\n",
          "5.6.3" },
        { "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nX: \xfc\r\n\r\n--b--\r\n",
          "5.6.3" },
        { "Content-Type: multipart/mixed; boundary=\"\xfc\"\r\n\r\n--\xfc\r\n\r\n--\xfc--\r\n",
          "5.6.3" },
        { "Reply-To: \"\xfc\"@b\r\n\r\n", "5.6.7" },
        { "Sender: <\xfc@b>\r\n\r\n", "5.6.7" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct downgrade *d = downgrade_open(arena);
        const struct downgrade_finding *f = scan(d, bytes_str(rows[i].text));
        assert_true(f->eightbit);
        assert_non_null(f->obstacle);
        assert_string_equal(f->status, rows[i].status);
    }
}

/* Content that is not the one that was looked at is found out. */
static void test_other_content(void **state) {
    (void)state;
    struct downgrade *d = downgrade_open(arena);
    struct buf out = buf_fixed(arena_alloc(arena, 4096), 4096);
    scan(d, B("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\xfc\r\n--b--\r\n"));
    downgrade_begin(d);
    downgrade_feed(d, B("Subject: x\r\n\r\n"), &out);
    assert_false(downgrade_end(d, &out));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ascii_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_header_without_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_obstacles, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_content, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("downgrade", tests, NULL, NULL);
}
