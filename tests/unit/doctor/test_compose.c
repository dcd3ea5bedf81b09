/* A test message: what is given stands in it, what is not is made, and no header smuggles another one in. */
#include "base/buf.h"
#include "base/must.h"
#include "doctor/compose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct bytes recipients[] = { { "bob@example.com", 15 }, { "carol@example.com", 17 } };

static struct compose plain(void) {
    return (struct compose){
        .sender = B("alice@example.net"),
        .recipients = recipients,
        .recipient_count = 2,
        .wall_ms = 1790000000000,
        .random = 0x1234,
        .host = B("host.example"),
    };
}

static bool has(struct bytes message, const char *part) {
    return bytes_search(message, bytes_str(part)) >= 0;
}

static void test_plain(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct compose c = plain();
    struct bytes m;
    assert_null(compose_message(a, &c, &m));
    assert_true(has(m, "From: alice@example.net\r\n") &&
                has(m, "To: bob@example.com,\r\n carol@example.com\r\n"));
    assert_true(has(m, "Subject: test\r\n") &&
                has(m, "Message-ID: <0000000000001234@host.example>\r\n") && has(m, "Date: "));
    assert_true(has(m, "\r\n\r\nThis is a test message"));
    const struct bytes headers[] = { B("Subject: mine"), B("X-More: 1") };
    c.headers = headers;
    c.header_count = 2;
    c.body = B("k\xc3\xb6rper");
    assert_null(compose_message(a, &c, &m));
    assert_true(has(m, "Subject: mine\r\n") && !has(m, "Subject: test") && has(m, "X-More: 1\r\n"));
    assert_true(has(m, "Content-Transfer-Encoding: 8bit\r\n") &&
                bytes_ends_nocase(m, B("k\xc3\xb6rper\r\n")));
    arena_close(&a);
}

static void test_attachment(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct compose c = plain();
    const struct compose_file files[] = { { B("/tmp/a \"b\".bin"), B("\0\1\2binary") } };
    struct bytes m;
    c.files = files;
    c.file_count = 1;
    assert_null(compose_message(a, &c, &m));
    assert_true(has(m, "multipart/mixed; boundary=\"=_0000000000001234\"") &&
                has(m, "--=_0000000000001234--\r\n"));
    assert_true(has(m, "filename=\"a b.bin\"") && has(m, "\r\nAAECYmluYXJ5\r\n"));
    arena_close(&a);
}

static void test_wrong_headers(void **state) {
    (void)state;
    struct arena *a = arena_open();
    const struct bytes wrong[] = { B("no colon"), B(": nothing"), B("A: b\r\nBcc: x"), B("A b: c"),
                                   B("") };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct compose c = plain();
        struct bytes m;
        c.headers = &wrong[i];
        c.header_count = 1;
        assert_non_null(compose_message(a, &c, &m));
    }
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_attachment),
        cmocka_unit_test(test_wrong_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
