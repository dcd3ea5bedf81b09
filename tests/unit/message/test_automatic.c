/* What no program answers by itself: fields and senders. */
#include "message/automatic.h"

#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static bool is_automatic(const char *line) {
    struct bytes rest = bytes_str(line);
    struct header_field field;
    assert_int_equal(header_next(&rest, &field), HEADER_FIELD);
    return automatic_field(&field);
}

static void fields_of_programs_and_lists(void **state) {
    (void)state;
    static const char *const yes[] = {
        "List-Id: <x.example>\r\n",
        "LIST-UNSUBSCRIBE: <mailto:x@y.example>\r\n",
        "List-Post:\r\n",
        "Precedence: bulk\r\n",
        "precedence:  LIST\r\n",
        "Precedence: (why) junk\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "Auto-Submitted: auto-replied; owner-email=\"x@y.example\"\r\n",
        "Auto-Submitted: (no) auto-notified\r\n",
        "Auto-Submitted: nonsense\r\n",
        "Auto-Submitted:\r\n",
        "X-Auto-Response-Suppress: All\r\n",
        "X-Auto-Response-Suppress: DR, RN, NRN, OOF\r\n",
        "X-Auto-Response-Suppress: dr,\r\n autoreply\r\n",
    };
    static const char *const no[] = {
        "Auto-Submitted: no\r\n",
        "Auto-Submitted: (by hand) No ; x=y\r\n",
        "Precedence: first-class\r\n",
        "Precedence: special-delivery\r\n",
        "Precedence:\r\n",
        "X-Auto-Response-Suppress: DR, RN\r\n",
        "X-Auto-Response-Suppress: none\r\n",
        "Lists: bulk\r\n",
        "Listen-Id: x\r\n",
        "X-List-Id: x\r\n",
        "Subject: Auto-Submitted: auto-generated\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(yes); i++)
        if (!is_automatic(yes[i]))
            fail_msg("not taken for automatic: %s", yes[i]);
    for (size_t i = 0; i < COUNT_OF(no); i++)
        if (is_automatic(no[i]))
            fail_msg("taken for automatic: %s", no[i]);
}

static void senders_that_are_programs(void **state) {
    (void)state;
    static const char *const yes[] = {
        "",
        "MAILER-DAEMON@x.example",
        "postmaster@x.example",
        "owner-list@x.example",
        "list-owner@x.example",
        "List-Request@x.example",
        "bounce@x.example",
        "bounces+17-ann=a.example@x.example",
        "bounce-4711@x.example",
        "news-bounces@x.example",
        "news-bounces+ann=a.example@x.example",
        "noreply@x.example",
        "no-reply+17@x.example",
        "do-not-reply@x.example",
        "DoNotReply@x.example",
        "prvs=0123456789=noreply@x.example",
    };
    static const char *const no[] = {
        "ann@x.example",   "owner@x.example",      "ann.postmaster@x.example", "request@x.example",
        "reply@x.example", "daemon-fan@x.example", "ann+noreply@x.example",
    };
    for (size_t i = 0; i < COUNT_OF(yes); i++)
        if (!automatic_sender(bytes_str(yes[i])))
            fail_msg("not taken for a program: %s", yes[i]);
    for (size_t i = 0; i < COUNT_OF(no); i++)
        if (automatic_sender(bytes_str(no[i])))
            fail_msg("taken for a program: %s", no[i]);
}

static void marks_in_reverse_paths(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        { "prvs=3519a4b2c1=ann@x.example", "ann@x.example" },
        { "PRVS=3519=ann+tag@x.example", "ann+tag@x.example" },
        { "ann@x.example", "ann@x.example" },
        { "prvs=@x.example", "prvs=@x.example" },
        { "prvs==ann@x.example", "prvs==ann@x.example" },
        { "prvs=3519=@x.example", "prvs=3519=@x.example" },
        { "prvs=", "prvs=" },
        { "", "" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_true(
            bytes_equal(automatic_sender_base(bytes_str(rows[i][0])), bytes_str(rows[i][1])));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_of_programs_and_lists),
        cmocka_unit_test(senders_that_are_programs),
        cmocka_unit_test(marks_in_reverse_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
