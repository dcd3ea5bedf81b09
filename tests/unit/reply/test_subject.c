/* Making a reply ready: plain words, and the reply in what stands around it. */
#include "reply/subject.h"

#include "base/must.h"
#include "reply/clean.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_clean(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        { "  a \t b\r\nc  ", "a b c" },
        { "can\xe2\x80\x99t \xe2\x80\x9crelay\xe2\x80\x9d \xe2\x80\x93 no",
          "can't \"relay\" - no" },
        { "a\xc2\xa0\xe3\x80\x80"
          "b\xe2\x80\x8b"
          "c\xc2\xad"
          "d",
          "a bcd" },
        { "\xef\xbc\xb2\xef\xbd\x85\xef\xbd\x8c\xef\xbd\x81\xef\xbd\x99 \xef\xbc\x91", "Relay 1" },
        { "&lt;user@example.net&gt;&nbsp;&quot;x&quot; &amp; &#39;y&#39;",
          "<user@example.net> \"x\" & 'y'" },
        { "a<br>b<br/>c</p><font color=\"red\">d</font>", "a b c d" },
        { "<user@example.net> <b@example.net> <a.b>", "<user@example.net> <b@example.net> <a.b>" },
        { "red\x1b[31mtext\x1b[0m \x01\x7f end\x1b", "red text end" },
        { "550-one\\r\\n550 two\\n", "550-one 550 two" },
        { "C:\\new\\road", "C:\\new\\road" },
        { "550-one#015#012550 two", "550-one 550 two" },
        { "status=3D5.1.1", "status=5.1.1" },
        { "one \xe2\x86\x92 two", "one -> two" },
        { "\xff\xfe\xc3", "\xff\xfe\xc3" },
        { "", "" },
        { "&", "&" },
        { "<", "<" },
        { "\\", "\\" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char memory[200];
        struct buf out = buf_fixed(memory, sizeof memory);
        clean_text(&out, bytes_str(rows[i][0]));
        assert_string_equal(buf_text(&out), rows[i][1]);
    }
    char memory[8];
    struct buf out = buf_fixed(memory, sizeof memory);
    clean_text(&out, B("longer than there is room"));
    assert_true(out.len <= sizeof memory);
}

static void test_reply(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *status, *command, *words;
    } rows[] = {
        { "550 5.7.1 Unable to relay", 550, "5.7.1", NULL, "Unable to relay" },
        { "550-5.7.1 Unable 550 5.7.1 to relay", 550, "5.7.1", NULL, "Unable to relay" },
        { "550 550 5.7.1 Unable to relay", 550, "5.7.1", NULL, "Unable to relay" },
        { "smtp; 550 5.7.1 Unable to relay", 550, "5.7.1", NULL, "Unable to relay" },
        { "#< #5.7.1 smtp;550 5.7.1 Unable to relay> #SMTP#", 550, "5.7.1", NULL,
          "Unable to relay> #SMTP#" },
        { "550: no", 550, "0.0.0", NULL, "no" },
        { "550 5.1.2 no!!", 550, "5.1.2", NULL, "no" },
        { "550 5.1.2!", 550, "5.1.2", NULL, "5.1.2" },
        { "host mx.example.net[203.0.113.5] said: 550 no such user (in reply to RCPT TO command)",
          550, "0.0.0", "RCPT", "no such user" },
        { "The server answered \"550 relay not permitted\" while sending.", 550, "0.0.0", NULL,
          "relay not permitted" },
        { "Remote server returned '550 5.0.350 an error -> 554 5.7.1 <a@example.net>: denied'", 554,
          "5.7.1", NULL, "<@example.net>: denied" },
        { "The server response was: 5.7.57 SMTP; not authenticated", 0, "5.7.57", NULL,
          "SMTP; not authenticated" },
        { "SMTP error from remote mail server after end of data: host a.example [192.0.2.1]: 554 no",
          554, "0.0.0", "end", "no" },
        { "553 sorry (#5.7.1)", 553, "5.7.1", NULL, "sorry (#5.7.1)" },
        { "Connect on port 587 failed", 0, "0.0.0", NULL, "Connect on port 587 failed" },
        { "Exim 4.9.2 says no", 0, "0.0.0", NULL, "Exim 4.9.2 says no" },
        { "550 host 5.7.1.22 says no", 550, "0.0.0", NULL, "host 5.7.1.22 says no" },
        { "454 host [5.7.1] says no", 454, "0.0.0", NULL, "host [5.7.1] says no" },
        { "550 <relay@example.net>: unknown", 550, "0.0.0", NULL, "<@example.net>: unknown" },
        { "there are 500 messages and 450 users", 0, "0.0.0", NULL,
          "there are 500 messages and 450 users" },
        { "", 0, "0.0.0", NULL, "" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        static struct subject s;
        const struct reply_facts facts = { .text = bytes_str(rows[i].text) };
        char status[12];
        subject_read(&s, &facts);
        subject_choose(&s, 0);
        status_format(s.status, status);
        if (s.code != rows[i].code ||
            strcmp(status, rows[i].status[0] == '0' ? "" : rows[i].status) ||
            !bytes_equal(bytes_of(s.text, s.length), bytes_str(rows[i].words)) ||
            strcmp(s.command ? s.command : "", rows[i].command ? rows[i].command : ""))
            fail_msg("%s: %d %s %s: %.*s", rows[i].text, s.code, status,
                     s.command ? s.command : "-", (int)s.length, s.text);
    }
}

/* Whatever is cut off or damaged, the answer stays whole. */
static void test_damage(void **state) {
    (void)state;
    char line[4096], copy[4096];
    unsigned count = 0;
    FILE *f = fopen("tests/golden/refusals.tsv", "rb");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) && count < 4000) {
        size_t len = strlen(line);
        static struct subject s;
        for (size_t cut = 0; cut < len; cut += 3, count++) {
            memcpy(copy, line, len);
            copy[cut] = (char)(copy[cut] ^ (1 << (count % 8)));
            const struct reply_facts facts = { .text = bytes_of(copy, cut % 2 ? cut : len) };
            subject_read(&s, &facts);
            assert_in_range(s.view_count, 1, SUBJECT_VIEWS_MAX);
            for (size_t i = 0; i < s.view_count; i++) {
                subject_choose(&s, i);
                assert_in_range(s.length, 0, SUBJECT_TEXT_MAX);
            }
        }
    }
    fclose(f);
    assert_true(count >= 4000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_reply),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
