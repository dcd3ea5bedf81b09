/* The header of a message as it goes into the store. */
#include "accept/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct completion completion(bool submitted) {
    struct completion c = {
        .hostname = B("mail.proseware.com"),
        .received_from = B("pc.proseware.com"),
        .protocol = B("ESMTPSA"),
        .id = B("0-1-a"),
        .tls = B("TLSv1.3 TLS_AES_256_GCM_SHA384"),
        .for_recipient = B("bob@adatum.com"),
        .now = 1795165200000,
        .submitted = submitted,
    };
    addr_parse(B("2001:db8::7"), &c.client);
    return c;
}

static char memory[65536];

static const char *completed(struct completion c, const char *text) {
    struct buf b = buf_fixed(memory, sizeof(memory));
    struct header_summary summary;
    header_summarise(bytes_str(text), &summary);
    complete_header(&b, &c, bytes_str(text), &summary);
    return buf_text(&b);
}

#define RECEIVED                                                                                   \
    "Received: from pc.proseware.com ([IPv6:2001:db8::7])\r\n"                                     \
    "\tby mail.proseware.com (Postern) with ESMTPSA id 0-1-a\r\n"                                  \
    "\t(TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"                                                       \
    "\tfor <bob@adatum.com>;\r\n"                                                                  \
    "\tFri, 20 Nov 2026 09:00:00 +0000\r\n"

static void foreign_mail_gets_received_only(void **state) {
    (void)state;
    assert_string_equal(
        completed(completion(false), "From: a@b.example\r\nBcc: c@d.example\r\n\r\n"),
        RECEIVED "From: a@b.example\r\nBcc: c@d.example\r\n\r\n");
}

static void submitted_mail_is_completed(void **state) {
    (void)state;
    assert_string_equal(completed(completion(true),
                                  "From: a@b.example\r\nbcc: c@d.example,\r\n e@f.example\r\n\r\n"),
                        RECEIVED "Date: Fri, 20 Nov 2026 09:00:00 +0000\r\n"
                                 "Message-ID: <0-1-a@mail.proseware.com>\r\n"
                                 "From: a@b.example\r\n\r\n");
    assert_string_equal(completed(completion(true), "Date: x\r\nMessage-ID: <y>\r\n\r\n"),
                        RECEIVED "Date: x\r\nMessage-ID: <y>\r\n\r\n");
}

/* RFC 8601 section 5: a field that claims to be ours and came from outside is not ours. */
static void results_in_our_name_are_dropped(void **state) {
    (void)state;
    assert_string_equal(completed(completion(false),
                                  "Authentication-Results: mail.proseware.com; spf=pass\r\n"
                                  "Authentication-Results:\r\n MAIL.proseware.com\r\n"
                                  "Authentication-Results: mail.proseware.com.example; spf=pass\r\n"
                                  "Authentication-Results: other.example; spf=pass\r\n\r\n"),
                        RECEIVED "Authentication-Results: mail.proseware.com.example; spf=pass\r\n"
                                 "Authentication-Results: other.example; spf=pass\r\n\r\n");
}

static void body_without_header_stays_body(void **state) {
    (void)state;
    assert_string_equal(completed(completion(false), "just words, no header\r\n"),
                        RECEIVED "\r\njust words, no header\r\n");
    assert_string_equal(completed(completion(false), "\r\n"), RECEIVED "\r\n");
    assert_string_equal(completed(completion(false), ""), RECEIVED);
}

static void helo_cannot_forge(void **state) {
    (void)state;
    struct completion c = completion(false);
    c.received_from = B("x)\r\n\tby evil (");
    assert_non_null(strstr(completed(c, "\r\n"), "Received: from x????by?evil?? ("));
    c.received_from = BYTES_NONE;
    c.client = (struct addr){ .family = 1 };
    assert_non_null(strstr(completed(c, "\r\n"), "Received: from unknown (local)"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_mail_gets_received_only),
        cmocka_unit_test(submitted_mail_is_completed),
        cmocka_unit_test(results_in_our_name_are_dropped),
        cmocka_unit_test(body_without_header_stays_body),
        cmocka_unit_test(helo_cannot_forge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
