/* Tests of src/smtp/command.c. */
#include "smtp/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;
static struct smtp_command command;
static struct why why;

static int setup(void **state) {
    (void)state;
    arena = arena_open();
    return 0;
}
static int teardown(void **state) {
    (void)state;
    arena_close(&arena);
    return 0;
}

#define ASSERT_BYTES(view, text)                                                                   \
    do {                                                                                           \
        struct bytes v_ = (view);                                                                  \
        assert_int_equal(v_.len, strlen(text));                                                    \
        assert_memory_equal(v_.at ? v_.at : "", text, v_.len);                                     \
    } while (0)

static void good(const char *line, enum smtp_verb verb) {
    if (smtp_command_parse(bytes_str(line), arena, &command, &why) != OK)
        fail_msg("%s: %d %s", line, why.code, why.text);
    assert_int_equal(command.verb, verb);
}

static void bad(const char *line, int code, const char *status, const char *reason) {
    char text[12];
    if (smtp_command_parse(bytes_str(line), arena, &command, &why) != PERM)
        fail_msg("%s was taken", line);
    status_format(why.status, text);
    if (why.code != code || strcmp(text, status) != 0 || strcmp(why.reason, reason) != 0)
        fail_msg("%s: %d %s %s %s", line, why.code, text, why.reason, why.text);
}

static void test_verbs(void **state) {
    (void)state;
    good("noop", SMTP_NOOP);
    good("NooP whatever there is", SMTP_NOOP);
    good("RSET", SMTP_RSET);
    good("RSET  \t ", SMTP_RSET);
    good("QUIT", SMTP_QUIT);
    good("DATA", SMTP_DATA);
    good("STARTTLS", SMTP_STARTTLS);
    good("HELP", SMTP_HELP);
    good("HELP MAIL", SMTP_HELP);
    good("VRFY somebody", SMTP_VRFY);
    good("EXPN", SMTP_EXPN);
    good("ETRN", SMTP_ETRN);
    bad("RSET now", 501, "5.5.4", "syntax.argument");
    bad("DATA x", 501, "5.5.4", "syntax.argument");
    bad("STARTTLS x", 501, "5.5.4", "syntax.argument");
    bad("QUIT x", 501, "5.5.4", "syntax.argument");
    bad("VRFY", 501, "5.5.4", "syntax.argument");
    bad("", 500, "5.5.1", "syntax.command");
    bad(" NOOP", 500, "5.5.1", "syntax.command");
    bad("NOOPS", 500, "5.5.1", "syntax.command");
    bad("unknown", 500, "5.5.1", "syntax.command");
    bad("\xff\xfe\x01", 500, "5.5.1", "syntax.command");
    for (unsigned v = 0; v < SMTP_VERBS; v++)
        assert_non_null(smtp_verb_name((enum smtp_verb)v));
}

static void test_line(void **state) {
    (void)state;
    bad("NOOP a\rb", 500, "5.5.2", "syntax.line");
    bad("NOOP a\nb", 500, "5.5.2", "syntax.line");
    bad("NOOP\r", 500, "5.5.2", "syntax.line");
    assert_int_equal(smtp_command_parse(bytes_of("NOOP \0", 6), arena, &command, &why), PERM);
    assert_string_equal(why.reason, "syntax.line");
}

static void test_helo(void **state) {
    (void)state;
    good("EHLO mail.example.com", SMTP_EHLO);
    ASSERT_BYTES(command.argument, "mail.example.com");
    good("helo [192.0.2.1] ", SMTP_HELO);
    ASSERT_BYTES(command.argument, "[192.0.2.1]");
    good("EHLO my_pc", SMTP_EHLO);
    good("EHLO m\xfcnchen-pc", SMTP_EHLO);
    ASSERT_BYTES(command.argument, "m?nchen-pc");
    good("EHLO a\x01"
         "b",
         SMTP_EHLO);
    ASSERT_BYTES(command.argument, "a?b");
    bad("EHLO", 501, "5.5.4", "syntax.argument");
    bad("HELO ", 501, "5.5.4", "syntax.argument");
    bad("EHLO two words", 501, "5.5.4", "syntax.argument");
    char line[300] = "EHLO ";
    memset(line + 5, 'a', 255);
    good(line, SMTP_EHLO);
    line[260] = 'a';
    bad(line, 501, "5.5.4", "syntax.argument");
}

static void test_mail(void **state) {
    (void)state;
    good("MAIL FROM:<user@Example.COM>", SMTP_MAIL);
    ASSERT_BYTES(command.mail.from.mailbox, "user@example.com");
    ASSERT_BYTES(command.mail.from.local, "user");
    ASSERT_BYTES(command.mail.from.domain, "example.com");
    assert_false(command.mail.has_size || command.mail.smtputf8 || command.mail.has_auth);
    good("mail from:<>", SMTP_MAIL);
    assert_true(command.mail.from.null);
    good("MAIL FROM: <a@b>", SMTP_MAIL);
    good("MAIL FROM:<@hop.example,@hop2.example:a@b>", SMTP_MAIL);
    assert_true(command.mail.from.source_route);
    ASSERT_BYTES(command.mail.from.mailbox, "a@b");
    good("MAIL FROM:<\"a>b\\\"\"@c>  SIZE=5", SMTP_MAIL);
    ASSERT_BYTES(command.mail.from.local, "a>b\"");
    assert_int_equal(command.mail.size, 5);
    good("MAIL FROM:<a@b> SIZE=12345 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ+3D1 AUTH=x+2By@z",
         SMTP_MAIL);
    assert_true(command.mail.has_size);
    assert_int_equal(command.mail.size, 12345);
    assert_int_equal(command.mail.body, SMTP_BODY_8BITMIME);
    assert_true(command.mail.smtputf8);
    assert_int_equal(command.mail.ret, 2);
    ASSERT_BYTES(command.mail.envid, "QQ=1");
    assert_true(command.mail.has_auth);
    ASSERT_BYTES(command.mail.auth, "x+y@z");
    good("MAIL FROM:<a@b> auth=<> ret=full body=7bit", SMTP_MAIL);
    ASSERT_BYTES(command.mail.auth, "<>");
    assert_int_equal(command.mail.ret, 1);
    good("MAIL FROM:<a@b> BODY=BINARYMIME SIZE=99999999999999999999", SMTP_MAIL);
    assert_int_equal(command.mail.body, SMTP_BODY_BINARYMIME);
    assert_true(command.mail.size == UINT64_MAX);
    good("MAIL FROM:<m\xc3\xbcller@b> SMTPUTF8", SMTP_MAIL);
    assert_true(command.mail.from.utf8);
}

static void test_mail_refused(void **state) {
    (void)state;
    static const char *const syntax[] = {
        "MAIL",
        "MAIL FROM",
        "MAIL FROM:",
        "MAIL FROM:a@b",
        "MAIL FROM a@b",
        "MAIL TO:<a@b>",
        "MAIL FROM:<a@b",
        "MAIL FROM:a@b>",
        "MAIL FROM:<a@b>SIZE=1",
        "MAIL FROM:<\"a>@b",
        "MAIL FROM:<a@b>>",
        "MAIL FROM:x <a@b>",
        "MAIL FROM:<a@b> SIZE=",
        "MAIL FROM:<a@b> SIZE",
        "MAIL FROM:<a@b> SIZE=-1",
        "MAIL FROM:<a@b> SIZE=1x",
        "MAIL FROM:<a@b> SIZE=123456789012345678901",
        "MAIL FROM:<a@b> SIZE=1 SIZE=1",
        "MAIL FROM:<a@b> BODY=9BIT",
        "MAIL FROM:<a@b> BODY",
        "MAIL FROM:<a@b> SMTPUTF8=1",
        "MAIL FROM:<a@b> RET=ALL",
        "MAIL FROM:<a@b> ENVID=a+4",
        "MAIL FROM:<a@b> ENVID=+00",
        "MAIL FROM:<a@b> ENVID=+0D+0A",
        "MAIL FROM:<a@b> ENVID=",
        "MAIL FROM:<a@b> AUTH=",
        "MAIL FROM:<a@b> AUTH=+0A",
    };
    for (size_t i = 0; i < sizeof syntax / sizeof *syntax; i++)
        bad(syntax[i], 501, "5.5.4", "syntax.argument");
    static const char *const address[] = {
        "MAIL FROM:<a>",        "MAIL FROM:<postmaster>", "MAIL FROM:<@b>",
        "MAIL FROM:<a@b@c>",    "MAIL FROM:<a b@c>",      "MAIL FROM:< >",
        "MAIL FROM:<@a>",       "MAIL FROM:<@a:>",        "MAIL FROM:<@a,b:c@d>",
        "MAIL FROM:<@a b:c@d>", "MAIL FROM:<<a@b>",       "MAIL FROM:<a@[1.2.3]>",
        "MAIL FROM:<\xff@b>",
    };
    for (size_t i = 0; i < sizeof address / sizeof *address; i++)
        bad(address[i], 501, "5.1.7", "syntax.address");
    bad("MAIL FROM:<a@b> XYZ", 555, "5.5.4", "syntax.parameter");
    bad("MAIL FROM:<a@b> XYZ=1", 555, "5.5.4", "syntax.parameter");
    bad("MAIL FROM:<a@b> NOTIFY=NEVER", 555, "5.5.4", "syntax.parameter");
    bad("MAIL FROM:<a@b> =", 555, "5.5.4", "syntax.parameter");
    char line[200] = "MAIL FROM:<a@b> ENVID=";
    memset(line + strlen(line), 'a', 100);
    good(line, SMTP_MAIL);
    line[strlen(line)] = 'a';
    bad(line, 501, "5.5.4", "syntax.argument");
}

static void test_rcpt(void **state) {
    (void)state;
    good("RCPT TO:<user@example.com>", SMTP_RCPT);
    ASSERT_BYTES(command.rcpt.to.mailbox, "user@example.com");
    assert_int_equal(command.rcpt.notify, 0);
    good("RCPT TO:<PostMaster>", SMTP_RCPT);
    assert_true(command.rcpt.to.postmaster);
    good("RCPT TO:<@proseware.com:user@adatum.com>", SMTP_RCPT);
    assert_true(command.rcpt.to.source_route);
    ASSERT_BYTES(command.rcpt.to.domain, "adatum.com");
    good("RCPT TO:<a@b> NOTIFY=SUCCESS,delay ORCPT=rfc822;a+2Bb@c", SMTP_RCPT);
    assert_int_equal(command.rcpt.notify, 2 | 8);
    ASSERT_BYTES(command.rcpt.orcpt, "rfc822;a+b@c");
    good("RCPT TO:<a@b> NOTIFY=NEVER", SMTP_RCPT);
    assert_int_equal(command.rcpt.notify, 1);
    good("RCPT TO:<a@b> ORCPT=utf-8;m\xc3\xbcller@b", SMTP_RCPT);
    ASSERT_BYTES(command.rcpt.orcpt, "utf-8;m\xc3\xbcller@b");
    good("RCPT TO:<a@b> ORCPT=utf-8;m\\x{FC}ller@b", SMTP_RCPT);
    ASSERT_BYTES(command.rcpt.orcpt, "utf-8;m\\x{FC}ller@b");
    bad("RCPT TO:<>", 553, "5.1.3", "syntax.address");
    bad("RCPT TO:<user>", 553, "5.1.3", "syntax.address");
    bad("RCPT FROM:<a@b>", 501, "5.5.4", "syntax.argument");
    bad("RCPT TO:a@b", 501, "5.5.4", "syntax.argument");
    static const char *const wrong[] = {
        "NOTIFY=",
        "NOTIFY=NEVER,DELAY",
        "NOTIFY=OFTEN",
        "NOTIFY=SUCCESS,",
        "ORCPT=a@b",
        "ORCPT=;a@b",
        "ORCPT=rfc822;",
        "ORCPT=rfc822;+0D+0A",
        "ORCPT=rfc822;+00",
        "ORCPT=rfc822;a=b",
        "ORCPT=rfc822;\xc3\xa4",
        "NOTIFY=DELAY NOTIFY=DELAY",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char line[200] = "RCPT TO:<a@b> ";
        strcat(line, wrong[i]);
        bad(line, 501, "5.5.4", "syntax.argument");
    }
    bad("RCPT TO:<a@b> SIZE=1", 555, "5.5.4", "syntax.parameter");
}

static void test_auth(void **state) {
    (void)state;
    good("AUTH plain", SMTP_AUTH);
    ASSERT_BYTES(command.auth.mechanism, "PLAIN");
    assert_false(command.auth.has_initial);
    good("AUTH SCRAM-SHA-256-PLUS  AGE=", SMTP_AUTH);
    assert_true(command.auth.has_initial);
    ASSERT_BYTES(command.auth.initial, "AGE=");
    good("AUTH PLAIN =", SMTP_AUTH);
    ASSERT_BYTES(command.auth.initial, "=");
    bad("AUTH", 501, "5.5.4", "syntax.argument");
    bad("AUTH PLAIN a b", 501, "5.5.4", "syntax.argument");
    bad("AUTH PL;AIN", 501, "5.5.4", "syntax.argument");
    bad("AUTH ABCDEFGHIJKLMNOPQRSTU", 501, "5.5.4", "syntax.argument");
}

static void test_bdat(void **state) {
    (void)state;
    good("BDAT 10", SMTP_BDAT);
    assert_int_equal(command.bdat.size, 10);
    assert_false(command.bdat.last);
    good("bdat 0 last", SMTP_BDAT);
    assert_true(command.bdat.last);
    static const char *const wrong[] = {
        "BDAT",
        "BDAT LAST",
        "BDAT -1",
        "BDAT 1 FIRST",
        "BDAT 1LAST",
        "BDAT 1 LAST x",
        "BDAT 18446744073709551616",
        "BDAT 9223372036854775808",
        "BDAT 0x10",
        "BDAT 1 LASTx",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        bad(wrong[i], 501, "5.5.4", "syntax.argument");
}

static void test_xclient(void **state) {
    (void)state;
    good("XCLIENT NAME=spike.example ADDR=192.0.2.1 PORT=[UNAVAILABLE]", SMTP_XCLIENT);
    ASSERT_BYTES(command.xclient.name, "spike.example");
    ASSERT_BYTES(command.xclient.addr, "192.0.2.1");
    assert_non_null(command.xclient.port.at);
    assert_int_equal(command.xclient.port.len, 0);
    assert_null(command.xclient.helo.at);
    good("XCLIENT addr=IPV6:2001:db8::1 login=a+20b HELO=x PROTO=ESMTP name=[TEMPUNAVAIL]",
         SMTP_XCLIENT);
    ASSERT_BYTES(command.xclient.addr, "2001:db8::1");
    ASSERT_BYTES(command.xclient.login, "a b");
    ASSERT_BYTES(command.xclient.proto, "ESMTP");
    static const char *const wrong[] = {
        "XCLIENT",
        "XCLIENT NAME",
        "XCLIENT NAME=",
        "XCLIENT FOO=bar",
        "XCLIENT NAME=a NAME=b",
        "XCLIENT NAME=+0A",
        "XCLIENT NAME=+0",
        "XCLIENT =x",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        bad(wrong[i], 501, "5.5.4", "syntax.argument");
}

static void test_xtext(void **state) {
    (void)state;
    char all[256];
    for (unsigned i = 0; i < 256; i++)
        all[i] = (char)i;
    struct buf b = buf_grow(1024);
    struct bytes back;
    smtp_xtext_encode(&b, bytes_of(all, 256));
    for (size_t i = 0; i < b.len; i++)
        assert_true(b.at[i] > ' ' && b.at[i] < 0x7f && b.at[i] != '=');
    assert_true(smtp_xtext_decode(buf_bytes(&b), arena, &back));
    assert_true(bytes_equal(back, bytes_of(all, 256)));
    buf_free(&b);
    assert_true(smtp_xtext_decode(B("+2b+2B"), arena, &back));
    ASSERT_BYTES(back, "++");
    assert_true(smtp_xtext_decode(B(""), arena, &back));
    assert_false(smtp_xtext_decode(B("+"), arena, &back));
    assert_false(smtp_xtext_decode(B("+2"), arena, &back));
    assert_false(smtp_xtext_decode(B("+2g"), arena, &back));
    assert_false(smtp_xtext_decode(B("a b"), arena, &back));
    assert_false(smtp_xtext_decode(B("a\x7f"), arena, &back));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_verbs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_helo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mail_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rcpt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_auth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bdat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_xclient, setup, teardown),
        cmocka_unit_test_setup_teardown(test_xtext, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
