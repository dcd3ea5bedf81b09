/* Bounces as messages: what comes out of each, and what is none. */
#include "bounce/bounce.h"

#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char report[] = "From: MAILER-DAEMON@mx.example.com\n"
                             "To: ann@example.com\n"
                             "Content-Type: multipart/report; boundary=x\n"
                             "\n"
                             "--x\n"
                             "\n"
                             "It failed.\n"
                             "--x\n"
                             "Content-Type: message/delivery-status\n"
                             "\n"
                             "Reporting-MTA: dns; mx.example.com\n"
                             "\n"
                             "Original-Recipient: rfc822;bob@example.org\n"
                             "Final-Recipient: rfc822;robert@example.net\n"
                             "Action: failed (for good)\n"
                             "Status: 5.0.0 (permanent failure)\n"
                             "Remote-MTA: dns; mail.example.net\n"
                             "Diagnostic-Code: smtp; 550 5.1.1\n"
                             " no\tsuch user\n"
                             "\n"
                             "Final-Recipient: rfc822;eve@example.net\n"
                             "Action: delayed\n"
                             "Status: 4.4.1\n"
                             "--x--\n";

static void reads_a_report(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct bounce b;
    assert_int_equal(bounce_read(bytes_str(report), a, &b), OK);
    assert_int_equal(b.kind, BOUNCE_BOUNCE);
    assert_string_equal(b.format, "rfc3464");
    assert_true(bytes_equal(b.reporter, B("mx.example.com")));
    assert_int_equal(b.count, 2);
    assert_true(bytes_equal(b.recipients[0].address, B("robert@example.net")));
    assert_true(bytes_equal(b.recipients[0].original, B("bob@example.org")));
    assert_true(bytes_equal(b.recipients[0].text, B("550 5.1.1 no such user")));
    assert_true(bytes_equal(b.recipients[0].host, B("mail.example.net")));
    assert_int_equal(b.recipients[0].code, 550);
    assert_int_equal(b.recipients[0].status.subject, 1);
    assert_string_equal(b.recipients[1].action, "delayed");
    assert_int_equal(b.recipients[1].status.klass, 4);
    assert_int_equal(b.recipients[1].code, 0);
    arena_close(&a);
}

static void tells_what_is_no_bounce(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct bounce b;
    assert_int_equal(bounce_read(B(""), a, &b), PERM);
    assert_int_equal(bounce_read(B("Hello there\nhow are you\n"), a, &b), PERM);
    assert_int_equal(bounce_read(B("From: ann@example.com\nSubject: hi\n\nHello\n"), a, &b), OK);
    assert_int_equal(b.kind, BOUNCE_NONE);
    assert_non_null(b.because);
    assert_int_equal(b.count, 0);
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_report),
        cmocka_unit_test(tells_what_is_no_bounce),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
