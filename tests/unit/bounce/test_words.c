/* Replies as they stand on screens: in transcripts, exceptions, dialogs, letters. */
#include "bounce/words.h"

#include "base/buf.h"
#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct wanted {
    const char *given, *format, *address, *command;
    int code;
    const char *status, *text; /* text: how it begins */
};

static void expect(const char *given, const char *what, struct bytes is, const char *wanted) {
    if (!bytes_equal(is, bytes_str(wanted)))
        fail_msg("%s\n%s: \"%.*s\", not \"%s\"", given, what, BYTES_FMT(is), wanted);
}

static void check(const struct wanted *w) {
    struct arena *a = arena_open();
    struct bounce b;
    char status[12];
    if (words_read(bytes_str(w->given), a, &b) != OK)
        fail_msg("no reply in: %s", w->given);
    const struct bounce_recipient *r = &b.recipients[0];
    if (b.count != 1)
        fail_msg("%s\n%zu replies, not one", w->given, b.count);
    status_format(r->status, status);
    expect(w->given, "format", bytes_str(b.format), w->format);
    expect(w->given, "address", r->address, w->address);
    expect(w->given, "command", bytes_str(r->command), w->command);
    expect(w->given, "status", bytes_str(status), w->status);
    if (r->code != w->code)
        fail_msg("%s\ncode: %d, not %d", w->given, r->code, w->code);
    if (!bytes_starts(r->text, bytes_str(w->text)))
        fail_msg("%s\ntext: \"%.*s\", not \"%s\"", w->given, BYTES_FMT(r->text), w->text);
    arena_close(&a);
}

static void bare_replies(void **state) {
    (void)state;
    static const struct wanted rows[] = {
        { "550", "reply", "", "", 550, "", "550" },
        { "550 5.1.1 User unknown", "reply", "", "", 550, "5.1.1", "550 5.1.1 User unknown" },
        { "  550-5.1.1 User\r\n550 5.1.1 unknown\r\n", "reply", "", "", 550, "5.1.1",
          "550-5.1.1 User 550 5.1.1 unknown" },
        { "5.7.1 Unable to relay", "reply", "", "", 0, "5.7.1", "5.7.1 Unable to relay" },
        { "#5.7.1 Unable to relay", "reply", "", "", 0, "5.7.1", "#5.7.1" },
        { "550 blocked, see 192.0.2.5.7.1 and 5.7.10.2", "reply", "", "", 550, "", "550 blocked" },
        { "553 sorry (#5.7.1)", "reply", "", "", 553, "5.7.1", "553 sorry" },
        { "550 4.7.1 5.7.2 both", "reply", "", "", 550, "5.7.2", "550" },
        { "(550, 'no')", "python", "", "", 550, "", "550 no" },
        { "> > 550 5.7.1 no relaying", "reply", "", "", 550, "5.7.1", "550 5.7.1 no relaying" },
        { "Good day,\n\nour provider says \"550 5.7.1 relaying denied\" since 12:30 on port 587.\n\nThanks",
          "reply", "", "", 550, "5.7.1", "550 5.7.1 relaying denied" },
        { "I called 555 1234 at 14:05 and waited 450 seconds; it said 554 5.7.1 denied", "reply",
          "", "", 554, "5.7.1", "554 5.7.1 denied" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check(&rows[i]);
}

#define RCPT "RCPT TO:<bob@fabrikam.com>"
#define NO   "554 5.7.1 <bob@fabrikam.com>: Relay access denied"

static void transcripts(void **state) {
    (void)state;
    static const struct wanted rows[] = {
        { "220 mail.contoso.com ESMTP\n" RCPT "\n" NO, "transcript", "bob@fabrikam.com", "RCPT",
          554, "5.7.1", NO },
        { "<- 220 x.contoso.com\n -> " RCPT "\n<** " NO, "transcript", "bob@fabrikam.com", "RCPT",
          554, "5.7.1", NO },
        { "S: 220 x\nC: " RCPT "\nS: " NO, "transcript", "bob@fabrikam.com", "RCPT", 554, "5.7.1",
          NO },
        { "<<< 220 x\n>>> " RCPT "\n<<< " NO, "transcript", "bob@fabrikam.com", "RCPT", 554,
          "5.7.1", NO },
        { "< 220 x\n> " RCPT "\n< " NO, "transcript", "bob@fabrikam.com", "RCPT", 554, "5.7.1",
          NO },
        { "<-- 220 x\n--> " RCPT "\n<-- " NO, "transcript", "bob@fabrikam.com", "RCPT", 554,
          "5.7.1", NO },
        { "  SMTP<< 220 x\n  SMTP>> " RCPT "\n  SMTP<< " NO, "transcript", "bob@fabrikam.com",
          "RCPT", 554, "5.7.1", NO },
        { "2026-11-20 09:30:00 SERVER -> CLIENT: 220 x\n2026-11-20 09:30:00 CLIENT -> SERVER: " RCPT
          "\n2026-11-20 09:30:00 SERVER -> CLIENT: " NO,
          "transcript", "bob@fabrikam.com", "RCPT", 554, "5.7.1", NO },
        { "[2026-11-20 09:30:00] DEBUG [x1] C: " RCPT "\n[2026-11-20 09:30:00] DEBUG [x1] S: " NO,
          "transcript", "bob@fabrikam.com", "RCPT", 554, "5.7.1", NO },
        { "send: 'rcpt TO:<bob@fabrikam.com>\\r\\n'\nreply: b'" NO "\\r\\n'", "transcript",
          "bob@fabrikam.com", "RCPT", 554, "5.7.1", NO },
        { "> > " RCPT "\n> > " NO, "transcript", "bob@fabrikam.com", "RCPT", 554, "5.7.1", NO },
        { "DATA\n354 go on\nSubject: x\n\n.\n550 5.7.1 spam", "transcript", "", "end", 550, "5.7.1",
          "550 5.7.1 spam" },
        { "AUTH LOGIN\n334 VXNlcm5hbWU6\neA==\n334 UGFzc3dvcmQ6\neA==\n535 5.7.8 no", "transcript",
          "", "AUTH", 535, "5.7.8", "535 5.7.8 no" },
        { "554 5.7.1 go away\nQUIT\n221 bye", "transcript", "", "banner", 554, "5.7.1",
          "554 5.7.1 go away" },
        { "EHLO x\n502 no\nHELO x\n250 ok\nMAIL FROM:<a@example.com>\n530 5.7.0 log in\n" RCPT
          "\n503 5.5.1 MAIL first",
          "transcript", "", "MAIL", 530, "5.7.0", "530 5.7.0 log in" },
        { RCPT "\n250 ok\n", "transcript", "bob@fabrikam.com", "RCPT", 250, "", "250 ok" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check(&rows[i]);
}

static void programs(void **state) {
    (void)state;
    static const struct wanted rows[] = {
        { "smtplib.SMTPRecipientsRefused: {'bob@fabrikam.com': (550, b'5.1.1 It\\'s unknown\\n5.1.1 here')}",
          "python", "bob@fabrikam.com", "RCPT", 550, "5.1.1", "550 5.1.1 It" },
        { "smtplib.SMTPAuthenticationError: (535, b'5.7.8 Error')", "python", "", "AUTH", 535,
          "5.7.8", "535 5.7.8 Error" },
        { "smtplib.SMTPDataError: (554, b'5.7.1 spam')", "python", "", "end", 554, "5.7.1",
          "554 5.7.1 spam" },
        { "javax.mail.SendFailedException: Invalid Addresses;\n  nested exception is:\n\tcom.sun.mail.smtp.SMTPAddressFailedException: 550 5.7.1 "
          "<bob@fabrikam.com>... Relaying denied\n\n\tat com.sun.mail.smtp.SMTPTransport.rcptTo(SMTPTransport.java:1873)",
          "java", "bob@fabrikam.com", "RCPT", 550, "5.7.1",
          "550 5.7.1 <bob@fabrikam.com>... Relaying denied" },
        { "javax.mail.AuthenticationFailedException: 535 5.7.8 Username and Password not accepted",
          "java", "", "AUTH", 535, "5.7.8", "535 5.7.8" },
        { "System.Net.Mail.SmtpException: The SMTP server requires a secure connection or the client was not authenticated. The server response "
          "was: 5.7.57 Client not authenticated to send mail.\r\n   at System.Net.Mail.MailCommand.CheckResponse()",
          "dotnet", "", "", 530, "5.7.57", "5.7.57 Client not authenticated to send mail." },
        { "Send-MailMessage : Mailbox unavailable. The server response was: 5.7.1 Unable to relay",
          "dotnet", "", "", 550, "5.7.1", "5.7.1 Unable to relay" },
        { "Expected response code \"250\" but got code \"550\", with message \"550-5.7.1 Unable\r\n550 5.7.1 to relay\".",
          "php", "", "", 550, "5.7.1", "550-5.7.1 Unable 550 5.7.1 to relay" },
        { "SMTP Error: The following recipients failed: bob@fabrikam.com: 5.7.1 Unable to relay\n",
          "php", "bob@fabrikam.com", "RCPT", 0, "5.7.1", "SMTP Error" },
        { "{ Error: Invalid login: 535-5.7.8 Username and Password not accepted.\n535 5.7.8 x\n  code: 'EAUTH',\n  responseCode: 535 }",
          "nodemailer", "", "AUTH", 535, "5.7.8", "535-5.7.8 Username" },
        { "dial: gomail: could not send email 1: 550 5.7.1 Unable to relay", "reply", "", "", 550,
          "5.7.1", "550 5.7.1 Unable to relay" },
        { "permanent error (550): 5.7.1 Unable to relay", "reply", "", "", 550, "5.7.1",
          "permanent error (550)" },
        { "curl: (55) RCPT failed: 550", "curl", "", "", 550, "", "curl" },
        { "msmtp: recipient address bob@fabrikam.com not accepted by the server\nmsmtp: server message: 550 5.7.1 Unable to relay\nmsmtp: could not "
          "send mail",
          "msmtp", "bob@fabrikam.com", "RCPT", 550, "5.7.1", "550 5.7.1 Unable to relay" },
        { "Task 'x' reported error (0x800CCC78) : 'Unable to send the message. The server responded: 530 5.7.1 Authentication required'",
          "dialog", "", "", 530, "5.7.1", "530 5.7.1 Authentication required" },
        { "Cannot send message using the server smtp.contoso.com\n\nThe recipient \"bob@fabrikam.com\" was rejected by the server because it does not "
          "allow relaying.\n550 5.7.1 no",
          "reply", "bob@fabrikam.com", "RCPT", 550, "5.7.1", "550 5.7.1 no" },
        { "The response from the remote server was:\n550 5.1.1 No such user", "reply", "", "", 550,
          "5.1.1", "550 5.1.1 No such user" },
        { "mx.fabrikam.com (192.0.2.7) said: 452 4.2.2 Mailbox full (in reply to RCPT TO command)",
          "reply", "", "RCPT", 452, "4.2.2", "452 4.2.2 Mailbox full" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check(&rows[i]);
}

static void several(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct bounce b;
    assert_int_equal(words_read(B("550 5.1.1 a\n\n452-4.2.2 b\n452 4.2.2 c\n250 ok\n"), a, &b), OK);
    assert_int_equal(b.count, 3);
    assert_string_equal(b.recipients[0].action, "failed");
    assert_string_equal(b.recipients[1].action, "delayed");
    assert_string_equal(b.recipients[2].action, "relayed");
    assert_int_equal(
        words_read(
            B("RCPT TO:<a@fabrikam.com>\n550 no\nRCPT TO:<b@fabrikam.com>\n250 ok\nRCPT TO:<c@fabrikam.com>\n452 later\n"
              "DATA\n554 no valid recipients\n"),
            a, &b),
        OK);
    assert_int_equal(b.count, 2);
    assert_true(bytes_equal(b.recipients[1].address, B("c@fabrikam.com")));
    arena_close(&a);
}

/* What is none: no code, no introduction. The words are given all the same, for the rules to try. */
static void no_reply(void **state) {
    (void)state;
    static const char *const rows[] = {
        "",          "   \n ",         "good morning",       "call me at 12:30", "version 5.7",
        "room 1234", "it took 550 ms", "Relay access denied"
    };
    struct arena *a = arena_open();
    struct bounce b;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (words_read(bytes_str(rows[i]), a, &b) != PERM)
            fail_msg("taken for a reply: %s", rows[i]);
        assert_int_equal(b.kind, BOUNCE_NONE);
        assert_int_equal(b.count, 1);
    }
    arena_close(&a);
}

static void hostile(void **state) {
    (void)state;
    enum { SIZE = 1024 * 1024 };
    static const char *const parts[] = { "550 5.7.1 x ", "RCPT TO:<a@b>\n550 x\n",
                                         "(550, b'",     "\n \t",
                                         "said: ",       "<",
                                         "550-x\n",      "\033[2J",
                                         "\xff" };
    struct arena *a = arena_open();
    struct buf text = buf_grow(2 * SIZE);
    struct bounce b;
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        buf_clear(&text);
        while (text.len < SIZE)
            buf_str(&text, parts[i]);
        words_read(buf_bytes(&text), a, &b);
        assert_true(b.cut && b.count <= WORDS_RECIPIENTS);
        for (size_t r = 0; r < b.count; r++)
            for (size_t c = 0; c < b.recipients[r].text.len; c++)
                assert_true((unsigned char)b.recipients[r].text.at[c] >= ' ');
        arena_reset(a);
    }
    buf_free(&text);
    assert_int_equal(words_read(B("550 5.1.1 \033[31mred\033[0m \xc2\x9b"
                                  "31m \xe2\x80\xae"
                                  "turned &lt;bob&gt;"),
                                a, &b),
                     OK);
    assert_true(bytes_equal(b.recipients[0].text, B("550 5.1.1 red 31m turned <bob>")));
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bare_replies), cmocka_unit_test(transcripts), cmocka_unit_test(programs),
        cmocka_unit_test(several),      cmocka_unit_test(no_reply),    cmocka_unit_test(hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
