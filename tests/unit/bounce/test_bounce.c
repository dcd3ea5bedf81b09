/* Bounces as messages: what comes out of each, and what is none. */
#include "bounce/bounce.h"

#include "base/buf.h"
#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

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

/* A byte order mark and empty lines before it, or CR alone as line ends: it is read all the same. */
static void reads_what_editors_have_left(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct bytes cr = arena_copy(a, bytes_str(report));
    for (size_t i = 0; i < cr.len; i++)
        if (cr.at[i] == '\n')
            ((char *)(uintptr_t)cr.at)[i] = '\r';
    const struct bytes cases[] = { cr, arena_printf(a, "\xef\xbb\xbf\r\n\n%s", report) };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bounce b;
        assert_int_equal(bounce_read(cases[i], a, &b), OK);
        assert_int_equal(b.count, 2);
        assert_true(bytes_equal(b.recipients[0].text, B("550 5.1.1 no such user")));
    }
    arena_close(&a);
}

/* --- hostile messages --------------------------------------------------------------------------- */

static struct bytes repeat(struct arena *a, const char *begin, const char *piece, size_t times,
                           const char *end) {
    size_t size = strlen(begin) + (strlen(piece) + 12) * times + strlen(end) + 1;
    struct buf b = buf_fixed(arena_alloc(a, size), size);
    buf_str(&b, begin);
    for (size_t i = 0; i < times; i++) { /* "%" stands for the number */
        struct bytes rest = bytes_str(piece), part;
        while (bytes_split(&rest, '%', &part)) {
            buf_add(&b, part);
            if (rest.at)
                buf_u64(&b, i);
        }
    }
    buf_str(&b, end);
    assert_false(b.full);
    return buf_bytes(&b);
}

#define DAEMON "From: MAILER-DAEMON@mx.example.com\nSubject: Undeliverable\n"

static void hostile_messages_stay_within_limits(void **state) {
    (void)state;
    static const struct {
        const char *begin, *piece;
        size_t times;
        const char *end;
        size_t least, most; /* recipients */
        bool cut;
    } cases[] = {
        { DAEMON "Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\n",
          "Final-Recipient: rfc822; a%@example.net\nAction: failed\nStatus: 5.1.1\n\n", 4000, "",
          4000, 4000, false },
        { DAEMON "Content-Type: message/delivery-status\n\n",
          "Final-Recipient: rfc822; a%@example.net\n", 8000, "", BOUNCE_RECIPIENTS,
          BOUNCE_RECIPIENTS, true },
        { DAEMON "Content-Type: message/delivery-status\n\n",
          "Final-Recipient: rfc822; a@example.net\n\n", 5000, "", 1, 1, false },
        { DAEMON "\n", "<a%@example.net>:\n550 no\n\n", 20000, "", 1, BOUNCE_RECIPIENTS, true },
        { DAEMON "\n", "<a%@example.net>\n", 3000, "\n550 no such users\n", 3000, 3000, false },
        { DAEMON "\n<a@example.net>:\n", "x\n\n", 100000, "", 1, 1, true },
        { DAEMON "\n", "a@b ", 200000, "", 0, 2, false },
        { DAEMON "\n", "a%@example.net, ", 2000, "failed\n550 no\n", 2000, 2000, false },
        { DAEMON "\n", "@", 500000, "", 0, 0, false },
        { DAEMON "\n", "message to a%@b failed\n", 20000, "", 1, BOUNCE_RECIPIENTS, false },
        { DAEMON "\n----- Transcript of session follows -----\n",
          ">>> RCPT TO:<a%@b>\n<<< 250 ok\n>>> DATA\n<<< 550 no\n", 8000, "", 1, BOUNCE_RECIPIENTS,
          false },
        { DAEMON "X-Failed-Recipients: ", "a%@b, ", 9000, "\n\nhi\n", BOUNCE_RECIPIENTS,
          BOUNCE_RECIPIENTS, true },
        { "From: a@b\nContent-Type: multipart/digest; boundary=z\n\n",
          "--z\nContent-Type: message/rfc822\n\n" DAEMON "\n<a@b>: 550 no\n\n", 2000, "", 1, 64,
          true },
        { "", "From: a@b\nContent-Type: message/rfc822\n\n", 2000, DAEMON "\n<a@b>: 550 no\n", 0, 1,
          false },
        { DAEMON "\n<a@b>: ", "[", 500000, " 550 no\n", 1, 1, false },
        { DAEMON "Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; ", "(", 200000,
          "\nAction: failed\n", 1, 1, false },
        { DAEMON
          "Content-Type: message/delivery-status\n\nFinal-Recipient: a@b\nDiagnostic-Code: smtp;",
          " 550 x\n", 100000, "", 1, 1, false },
        { "{\"notificationType\":\"Bounce\",", "\"emailAddress\":\"a@b\",", 20000, "", 1,
          BOUNCE_RECIPIENTS, false },
        { "From: a@b\n\n", "> > > > > > <a@b>: 550 no\n", 30000, "", 0, 1, false },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *a = arena_open(), *big = arena_open();
        struct bounce b;
        struct bytes message =
            repeat(big, cases[i].begin, cases[i].piece, cases[i].times, cases[i].end);
        assert_int_equal(bounce_read(message, a, &b), OK);
        if (b.count < cases[i].least || b.count > cases[i].most)
            fail_msg("%zu: %zu recipients", i, b.count);
        if (cases[i].cut && !b.cut)
            fail_msg("%zu: nothing tells that there was more", i);
        assert_in_range(arena_used(a), 0, 64 * 1024 * 1024);
        for (size_t r = 0; r < b.count; r++)
            assert_in_range(b.recipients[r].text.len, 0, BOUNCE_TEXT);
        arena_close(&big);
        arena_close(&a);
    }
}

/* What a terminal would act on, or would show in another order, does not get through. */
static void nothing_acts_on_a_terminal(void **state) {
    (void)state;
    static const char message[] =
        DAEMON "\n<a@example.net>: 550 \x1b]0;x\x07red \xe2\x80\xaetxt\xc2\x9b"
               "31m \x00 end\n";
    struct arena *a = arena_open();
    struct bounce b;
    assert_int_equal(bounce_read(bytes_of(message, sizeof message - 1), a, &b), OK);
    assert_int_equal(b.count, 1);
    struct bytes text = b.recipients[0].text;
    assert_true(bytes_starts(text, B("550 ")) && bytes_ends_nocase(text, B(" end")));
    assert_true(bytes_find(text, '\x1b') < 0 && bytes_find(text, 7) < 0);
    assert_true(bytes_search(text, B("\xe2\x80\xae")) < 0 && bytes_search(text, B("\xc2\x9b")) < 0);
    arena_close(&a);
}

/* --- codes -------------------------------------------------------------------------------------- */

static void codes_are_told_from_other_numbers(void **state) {
    (void)state;
    static const struct {
        const char *words;
        int code;
        const char *status;
    } cases[] = {
        { "550 5.1.1 unknown", 550, "5.1.1" },
        { "550-5.7.1 one 550 5.7.1 two", 550, "5.7.1" },
        { "#5.1.1 unknown", 0, "5.1.1" },
        { "unknown (#5.1.1)", 0, "5.1.1" },
        { "Client host 5.1.1.9 blocked", 0, "" },
        { "554 rejected: [192.0.2.5] port 550", 554, "" },
        { "mailbox is over 550 MB", 0, "" },
        { "more than 500 recipients", 0, "" },
        { "Exim 4.96.2 says no", 0, "" },
        { "421 4.7.0 [TSS04] from 192.0.2.9 - 4.16.55.1", 421, "4.7.0" },
        { "5.1.0 - Unknown address error 550-'5.1.1 no'", 550, "5.1.1" },
        { "550 4.4.7 expired", 550, "4.4.7" },
        { "554 seen 4.7.1 elsewhere", 554, "" },
        { "error 452 at 10:45:21", 452, "" },
        { "AS201806281 550", 550, "" },
        { "host a550.example.net", 0, "" },
        { "550", 550, "" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *a = arena_open();
        struct bounce b;
        struct bytes message =
            arena_printf(a, DAEMON "\nThis failed:\n\n<bob@example.net>:\n%s\n", cases[i].words);
        assert_int_equal(bounce_read(message, a, &b), OK);
        assert_int_equal(b.count, 1);
        char status[12] = "";
        status_format(b.recipients[0].status, status);
        if (b.recipients[0].code != cases[i].code ||
            strcmp(status_is_set(b.recipients[0].status) ? status : "", cases[i].status))
            fail_msg("'%s': %d %s in '%.*s'", cases[i].words, b.recipients[0].code, status,
                     BYTES_FMT(b.recipients[0].text));
        arena_close(&a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_report),
        cmocka_unit_test(tells_what_is_no_bounce),
        cmocka_unit_test(reads_what_editors_have_left),
        cmocka_unit_test(hostile_messages_stay_within_limits),
        cmocka_unit_test(nothing_acts_on_a_terminal),
        cmocka_unit_test(codes_are_told_from_other_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
