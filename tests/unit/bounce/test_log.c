/* Lines of the logs of many servers: whom, which host, at which step, with which words. */
#include "bounce/log.h"

#include "base/buf.h"
#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct wanted {
    const char *line, *format, *action, *address, *host, *command;
    int code;
    const char *status, *text; /* text: how it begins */
};

static void expect(const char *line, const char *what, struct bytes is, const char *wanted) {
    if (!bytes_equal(is, bytes_str(wanted)))
        fail_msg("%s\n%s: \"%.*s\", not \"%s\"", line, what, BYTES_FMT(is), wanted ? wanted : "");
}

static void check(const struct wanted *w) {
    struct arena *a = arena_open();
    struct bounce b;
    char status[12];
    if (log_read(bytes_str(w->line), a, &b) != OK)
        fail_msg("not taken for a log's: %s", w->line);
    const struct bounce_recipient *r = &b.recipients[0];
    assert_int_equal(b.count, 1);
    status_format(r->status, status);
    expect(w->line, "format", bytes_str(b.format), w->format);
    expect(w->line, "action", bytes_str(r->action), w->action);
    expect(w->line, "address", r->address, w->address);
    expect(w->line, "host", r->host, w->host);
    expect(w->line, "command", bytes_str(r->command), w->command);
    expect(w->line, "status", bytes_str(status), w->status);
    if (r->code != w->code)
        fail_msg("%s\ncode: %d, not %d", w->line, r->code, w->code);
    if (!bytes_starts(r->text, bytes_str(w->text)))
        fail_msg("%s\ntext: \"%.*s\", not \"%s\"", w->line, BYTES_FMT(r->text), w->text);
    arena_close(&a);
}

#define SYSLOG "Nov 20 09:30:00 mail postfix/smtp[1234]: "
#define POSTFIX                                                                                          \
    "4F0B2A1: to=<bob@fabrikam.com>, relay=mx.fabrikam.com[192.0.2.7]:25, delay=1.2, delays=0/0/1/0.2, " \
    "dsn=5.7.1, status=bounced (host mx.fabrikam.com[192.0.2.7] said: 554 5.7.1 <bob@fabrikam.com>: "    \
    "Relay access denied (in reply to RCPT TO command))"
#define POSTFIX_SAID                                                                               \
    "postfix", "failed", "bob@fabrikam.com", "mx.fabrikam.com", "RCPT", 554, "5.7.1",              \
        "554 5.7.1 <bob@fabrikam.com>: Relay access denied"

static void postfix(void **state) {
    (void)state;
    static const struct wanted rows[] = {
        { SYSLOG POSTFIX, POSTFIX_SAID },
        { POSTFIX, POSTFIX_SAID },
        { "2026-11-20T09:30:00.123456+00:00 mail postfix/smtp[1234]: " POSTFIX, POSTFIX_SAID },
        { "<22>1 2026-11-20T09:30:00Z mail postfix/smtp 1234 - - " POSTFIX, POSTFIX_SAID },
        { "postfix-1  | Nov 20 09:30:00 mail postfix/smtp[1234]: " POSTFIX, POSTFIX_SAID },
        { SYSLOG
          "4F0B2A1: to=<bob@fabrikam.com>, orig_to=<info@example.com>, relay=none, delay=30, dsn=4.4.1, "
          "status=deferred (connect to mx.fabrikam.com[192.0.2.7]:25: Connection timed out)",
          "postfix", "delayed", "bob@fabrikam.com", "", "connect", 0, "4.4.1",
          "connect to mx.fabrikam.com" },
        { SYSLOG
          "4F0B2A1: to=<bob@fabrikam.com>, relay=mx.fabrikam.com[192.0.2.7]:25, dsn=4.7.0, status=deferred "
          "(host mx.fabrikam.com[192.0.2.7] refused to talk to me: 421 4.7.0 try later)",
          "postfix", "delayed", "bob@fabrikam.com", "mx.fabrikam.com", "banner", 421, "4.7.0",
          "421 4.7.0 try later" },
        { SYSLOG
          "4F0B2A1: to=<bob@fabrikam.com>, relay=smart.example.net[192.0.2.9]:587, dsn=4.7.8, status=deferred (SASL "
          "authentication failed; server smart.example.net[192.0.2.9] said: 535 5.7.8 Error: authentication failed)",
          "postfix", "delayed", "bob@fabrikam.com", "smart.example.net", "AUTH", 535, "5.7.8",
          "535 5.7.8 Error" },
        { SYSLOG
          "4F0B2A1: to=<bob@example.com>, relay=local, delay=0, dsn=5.1.1, status=bounced (unknown user: \"bob\")",
          "postfix", "failed", "bob@example.com", "", "", 0, "5.1.1", "unknown user: \"bob\"" },
        { SYSLOG
          "4F0B2A1: to=<bob@fabrikam.com>, relay=mx.fabrikam.com[192.0.2.7]:25, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 77)",
          "postfix", "relayed", "bob@fabrikam.com", "mx.fabrikam.com", "", 250, "2.0.0",
          "250 2.0.0 Ok" },
        { "Nov 20 09:30:00 mail postfix/smtpd[12]: NOQUEUE: reject: RCPT from unknown[203.0.113.9]: 554 5.7.1 <bob@fabrikam.com>: "
          "Relay access denied; from=<alice@example.com> to=<bob@fabrikam.com> proto=ESMTP helo=<[192.168.1.5]>",
          "postfix", "failed", "bob@fabrikam.com", "", "RCPT", 554, "5.7.1",
          "554 5.7.1 <bob@fabrikam.com>: Relay access denied" },
        { "Nov 20 09:30:00 mail postfix/smtpd[12]: NOQUEUE: reject: MAIL from unknown[203.0.113.9]: 450 4.7.1 <x>: Helo command rejected: "
          "Host not found; from=<alice@example.com> proto=ESMTP helo=<x>",
          "postfix", "delayed", "", "", "MAIL", 450, "4.7.1",
          "450 4.7.1 <x>: Helo command rejected: Host not found" },
        { "Nov 20 09:30:00 mail postfix/cleanup[12]: 4F0B2A1: milter-reject: END-OF-MESSAGE from unknown[203.0.113.9]: 5.7.1 Spam "
          "message rejected; from=<a@example.com> to=<bob@fabrikam.com> proto=ESMTP helo=<x>",
          "postfix", "failed", "bob@fabrikam.com", "", "end", 0, "5.7.1",
          "5.7.1 Spam message rejected" },
        { "Nov 20 09:30:00 mail postfix/cleanup[12]: 4F0B2A1: reject: header Subject: cheap watches from unknown[203.0.113.9]; "
          "from=<a@example.com> to=<bob@fabrikam.com> proto=ESMTP helo=<x>: 5.7.1 no adverts",
          "postfix", "failed", "bob@fabrikam.com", "", "end", 0, "5.7.1", "5.7.1 no adverts" },
        { "Nov 20 09:30:00 mail postfix/postscreen[12]: NOQUEUE: reject: RCPT from [203.0.113.9]:4242: 550 5.7.1 Service unavailable; "
          "client [203.0.113.9] blocked using bl.example.org; from=<a@example.com>, to=<bob@fabrikam.com>, proto=ESMTP, helo=<x>",
          "postfix", "failed", "bob@fabrikam.com", "", "RCPT", 550, "5.7.1",
          "550 5.7.1 Service unavailable; client" },
        { "Nov 20 09:30:00 mail postfix/smtps/smtpd[12]: warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
          "postfix", "failed", "", "", "AUTH", 535, "", "SASL LOGIN authentication failed" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check(&rows[i]);
}

static void exim(void **state) {
    (void)state;
    static const struct wanted rows[] = {
        { "2026-11-20 09:30:00 1tDxyz-000001-Ab ** bob@fabrikam.com R=dnslookup T=remote_smtp H=mx.fabrikam.com [192.0.2.7] "
          "X=TLS1.3:ECDHE:256 CV=yes: SMTP error from remote mail server after RCPT TO:<bob@fabrikam.com>: 550 5.1.1 No such user",
          "exim", "failed", "bob@fabrikam.com", "mx.fabrikam.com", "RCPT", 550, "5.1.1",
          "550 5.1.1 No such user" },
        { "2026-11-20 09:30:00 1tDxyz-00000000001-Abcd == bob@fabrikam.com R=dnslookup T=remote_smtp defer (-44) H=mx.fabrikam.com "
          "[192.0.2.7]: SMTP error from remote mail server after RCPT TO:<bob@fabrikam.com>: 451 4.7.1 Greylisted",
          "exim", "delayed", "bob@fabrikam.com", "mx.fabrikam.com", "RCPT", 451, "4.7.1",
          "451 4.7.1 Greylisted" },
        { "2026-11-20 09:30:00 1tDxyz-000001-Ab ** bob@fabrikam.com R=lookuphost T=remote_smtp: SMTP error from remote mail server after end "
          "of data: host mx.fabrikam.com [192.0.2.7]: 554 5.7.1 spam",
          "exim", "failed", "bob@fabrikam.com", "mx.fabrikam.com", "end", 554, "5.7.1",
          "554 5.7.1 spam" },
        { "2026-11-20 09:30:00 1tDxyz-000001-Ab ** nobody@example.com: Unrouteable address", "exim",
          "failed", "nobody@example.com", "", "", 0, "", "Unrouteable address" },
        { "2026-11-20 09:30:00 1tDxyz-000001-Ab => bob@fabrikam.com R=dnslookup T=remote_smtp H=mx.fabrikam.com [192.0.2.7] C=\"250 OK id=1\"",
          "exim", "relayed", "bob@fabrikam.com", "mx.fabrikam.com", "", 250, "", "250 OK id=1" },
        { "2026-11-20 09:30:00 H=(laptop) [203.0.113.9] F=<alice@example.com> rejected RCPT <bob@fabrikam.com>: relay not permitted",
          "exim", "failed", "bob@fabrikam.com", "", "RCPT", 550, "", "relay not permitted" },
        { "2026-11-20 09:30:00 H=mail.example.com [203.0.113.9]:4711 F=<alice@example.com> temporarily rejected RCPT <bob@fabrikam.com>: greylisted",
          "exim", "delayed", "bob@fabrikam.com", "", "RCPT", 451, "", "greylisted" },
        { "2026-11-20 09:30:00 1tDxyz-000001-Ab H=mail.example.com [203.0.113.9] F=<a@example.com> "
          "rejected after DATA: Message contains spam",
          "exim", "failed", "", "", "end", 550, "", "Message contains spam" },
        { "2026-11-20 09:30:00 1tDxyz-000001-Ab == bob@fabrikam.com R=dnslookup T=remote_smtp defer (110): Connection timed out "
          "H=mx.fabrikam.com [192.0.2.7]",
          "exim", "delayed", "bob@fabrikam.com", "", "", 0, "", "Connection timed out" },
        { "2026-11-20 09:30:00 1tDxyz-000001-Ab ** >bob@fabrikam.com <info@example.com> R=x T=remote_smtp: retry timeout exceeded",
          "exim", "failed", "bob@fabrikam.com", "", "", 0, "", "retry timeout exceeded" },
        { "2026-11-20 09:30:00 rejected EHLO from [203.0.113.9]: syntactically invalid argument(s): a_b",
          "exim", "failed", "", "", "EHLO", 550, "", "syntactically invalid" },
        { "2026-11-20 09:30:00 TLS error on connection from x [203.0.113.9] (SSL_accept): error:1408F10B:wrong version number",
          "exim", "failed", "", "", "STARTTLS", 0, "", "error:1408F10B" },
        { "2026-11-20 09:30:00 login authenticator failed for (laptop) [203.0.113.9]: 535 Incorrect authentication data (set_id=bob)",
          "exim", "failed", "", "", "AUTH", 535, "", "535 Incorrect authentication data" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check(&rows[i]);
}

static void sendmail_and_others(void **state) {
    (void)state;
    static const struct wanted rows[] = {
        { "Nov 20 09:30:00 mail sendmail[12]: 5AK9U0: to=<bob@fabrikam.com>, ctladdr=<alice@example.com> (1000/1000), delay=00:00:01, "
          "mailer=esmtp, pri=30, relay=mx.fabrikam.com. [192.0.2.7], dsn=5.1.1, reply=550 5.1.1 <bob@fabrikam.com>... User unknown, stat=User unknown",
          "sendmail", "failed", "bob@fabrikam.com", "mx.fabrikam.com", "", 550, "5.1.1",
          "550 5.1.1 <bob@fabrikam.com>... User unknown" },
        { "Nov 20 09:30:00 mail sm-mta[12]: 5AK9U0: to=<bob@fabrikam.com>, delay=00:01:00, mailer=esmtp, relay=mx.fabrikam.com. [192.0.2.7], "
          "dsn=4.0.0, stat=Deferred: Connection timed out with mx.fabrikam.com.",
          "sendmail", "delayed", "bob@fabrikam.com", "", "", 0, "4.0.0",
          "Deferred: Connection timed out" },
        { "Nov 20 09:30:00 mail sm-mta[12]: 5AK9U0: ruleset=check_rcpt, arg1=<bob@fabrikam.com>, relay=host.example.com [203.0.113.9], reject=550 "
          "5.7.1 <bob@fabrikam.com>... Relaying denied",
          "sendmail", "failed", "bob@fabrikam.com", "", "RCPT", 550, "5.7.1",
          "550 5.7.1 <bob@fabrikam.com>... Relaying denied" },
        { "Nov 20 09:30:00 mail sm-mta[12]: 5AK9U0: Milter: data, reject=554 5.7.1 Message blocked",
          "sendmail", "failed", "", "", "end", 554, "5.7.1", "554 5.7.1 Message blocked" },
        { "Nov 20 09:30:00 mail smtpd[12]: 7a3b mta delivery evpid=a1 from=<alice@example.com> to=<bob@fabrikam.com> rcpt=<-> source=\"198.51.100.1\" "
          "relay=\"192.0.2.7 (mx.fabrikam.com)\" delay=1s result=\"PermFail\" stat=\"550 5.1.1 User unknown\"",
          "opensmtpd", "failed", "bob@fabrikam.com", "mx.fabrikam.com", "", 550, "5.1.1",
          "550 5.1.1 User unknown" },
        { "Nov 20 09:30:00 mail smtpd[12]: 7a3b smtp failed-command command=\"RCPT TO:<bob@fabrikam.com> \" result=\"550 Invalid recipient: "
          "<bob@fabrikam.com>\"",
          "opensmtpd", "failed", "bob@fabrikam.com", "", "RCPT", 550, "", "550 Invalid recipient" },
        { "@4000000065f1a2b30c1d2e3f delivery 7: failure: 192.0.2.7_does_not_like_recipient./Remote_host_said:_550_5.1.1_No_such_user/"
          "Giving_up_on_192.0.2.7./",
          "qmail", "failed", "", "192.0.2.7", "RCPT", 550, "5.1.1", "550 5.1.1 No such user" },
        { "[NOTICE] [A1B2.1.1] [core] hook=rcpt plugin=rcpt_to.in_host_file function=hook_rcpt params=\"<bob@fabrikam.com>\" retval=DENY msg=\"I "
          "cannot deliver mail for <bob@fabrikam.com>\"",
          "haraka", "failed", "bob@fabrikam.com", "", "RCPT", 550, "", "I cannot deliver mail" },
        { "Nov 20 09:30:00 mail dovecot: lmtp(bob@example.com)<12><x>: msgid=<1@example.com>: save failed to open mailbox INBOX: Quota exceeded "
          "(mailbox for user is full)",
          "dovecot", "failed", "bob@example.com", "", "end", 0, "", "Quota exceeded" },
        { "Nov 20 09:30:00 app notifier[12]: cannot send: 550 5.7.1 <bob@fabrikam.com>: Relay access denied",
          "syslog", "failed", "bob@fabrikam.com", "", "", 550, "5.7.1",
          "550 5.7.1 <bob@fabrikam.com>: Relay access denied" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check(&rows[i]);
}

static void tables(void **state) {
    (void)state;
    static const struct wanted rows[] = {
        { "2026-11-20T09:30:00.000Z,,MBX1,,,,,SMTP,FAIL,4711,<1@example.com>,0123,bob@fabrikam.com,"
          "[{LRT=11/20/2026 9:30:00 AM};{LED=550 5.7.1 Unable to relay};{FQDN=mx.fabrikam.com};{IP=192.0.2.7}],2000,1,,,the numbers,"
          "alice@example.com,alice@example.com",
          "csv", "failed", "bob@fabrikam.com", "mx.fabrikam.com", "", 550, "5.7.1",
          "550 5.7.1 Unable to relay" },
        { "2026-11-20T09:30:00.000Z,MBX1\\Relay,08D1,3,198.51.100.1:25,203.0.113.9:4711,>,550 5.7.54 SMTP; Unable to relay recipient in "
          "non-accepted domain,",
          "csv", "failed", "", "", "banner", 550, "5.7.54", "550 5.7.54 SMTP; Unable" },
        { "2026-11-20 09:30:00 203.0.113.9 copier SMTPSVC1 WEB1 192.0.2.1 0 RCPT - +TO:<bob@fabrikam.com> 550 0 45 36 0 SMTP - - - -",
          "iis", "failed", "bob@fabrikam.com", "", "RCPT", 550, "", "550" },
        { "2026-11-20 09:30:00 192.0.2.7 OutboundConnectionResponse SMTPSVC1 WEB1 - 25 - - 550+5.7.1+Unable+to+relay+for+bob@fabrikam.com "
          "0 0 44 0 140 SMTP - - - -",
          "iis", "failed", "", "192.0.2.7", "", 550, "5.7.1", "550 5.7.1 Unable to relay for" },
        { "LastError : [{LRT=11/20/2026 9:30:00 AM};{LED=451 4.4.0 DNS query failed};{FQDN=};{IP=}]",
          "exchange", "delayed", "", "", "", 451, "4.4.0", "451 4.4.0 DNS query failed" },
        { "b,2026-11-20 09:30:00+0000,2026-11-20 09:29:00+0000,alice@example.com,bob@fabrikam.com,,failed,5.1.1 (bad destination mailbox "
          "address),smtp;550 5.1.1 User unknown,mx.fabrikam.com (192.0.2.7),bad-mailbox",
          "csv", "failed", "bob@fabrikam.com", "mx.fabrikam.com", "", 550, "5.1.1",
          "550 5.1.1 User unknown" },
        { "{\"type\":\"Bounce\",\"sender\":\"alice@example.com\",\"recipient\":\"bob@fabrikam.com\",\"peer_address\":{\"name\":\"mx.fabrikam.com\","
          "\"addr\":\"192.0.2.7\"},\"response\":{\"code\":550,\"enhanced_code\":{\"class\":5,\"subject\":1,\"detail\":1},\"content\":\"User "
          "unknown\",\"command\":\"RCPT TO:<bob@fabrikam.com>\"}}",
          "json", "failed", "bob@fabrikam.com", "mx.fabrikam.com", "RCPT", 550, "5.1.1",
          "User unknown" },
        { "{\"time\":\"2026-11-20T09:30:00.000Z\",\"event\":\"refused\",\"session\":\"4fq2\",\"code\":550,\"enhanced\":\"5.7.1\",\"reason\":"
          "\"relay.no-grant\",\"text\":\"Unable to relay to fabrikam.com\",\"to\":\"bob@fabrikam.com\",\"client\":\"203.0.113.9\"}",
          "json", "failed", "bob@fabrikam.com", "", "", 550, "5.7.1",
          "Unable to relay to fabrikam.com" },
        { "{\"log\":\"Nov 20 09:30:00 mail postfix/smtpd[12]: NOQUEUE: reject: RCPT from unknown[203.0.113.9]: 554 5.7.1 <bob@fabrikam.com>: Relay "
          "access denied; from=<a@example.com> to=<bob@fabrikam.com> proto=SMTP\\n\",\"stream\":\"stdout\"}",
          "json", "failed", "bob@fabrikam.com", "", "RCPT", 554, "5.7.1",
          "554 5.7.1 <bob@fabrikam.com>: Relay access denied" },
        { "{\"notificationType\":\"Bounce\",\"bounce\":{\"bounceType\":\"Permanent\",\"bouncedRecipients\":[{\"emailAddress\":\"bob@fabrikam.com\","
          "\"action\":\"failed\",\"status\":\"5.1.1\",\"diagnosticCode\":\"smtp; 550 5.1.1 user unknown\"}]}}",
          "json", "failed", "bob@fabrikam.com", "", "", 550, "5.1.1", "550 5.1.1 user unknown" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check(&rows[i]);
}

/* Lines that belong together, lines of no interest between them, deliveries only where there is nothing else. */
static void many_lines(void **state) {
    (void)state;
    static const char text[] =
        "Nov 20 09:30:00 mail postfix/qmgr[1]: 4F0B2A1: from=<alice@example.com>, size=2000, nrcpt=2 (queue active)\n"
        "Nov 20 09:30:00 mail systemd[1]: Started something with 550 files.\n" SYSLOG POSTFIX
        "\r\n" SYSLOG
        "4F0B2A1: to=<carol@fabrikam.com>, relay=mx.fabrikam.com[192.0.2.7]:25, dsn=2.0.0, status=sent (250 ok)\n"
        "Nov 20 09:30:00 mail postfix/qmgr[1]: 4F0B2A1: removed\n";
    static const char qmail[] =
        "info msg 12: bytes 900 from <alice@example.com> qp 1 uid 2\n"
        "starting delivery 7: msg 12 to remote bob@fabrikam.com\n"
        "delivery 7: deferral: CNAME_lookup_failed_temporarily._(#4.4.3)/\n";
    struct arena *a = arena_open();
    struct bounce b;
    assert_int_equal(log_read(bytes_str(text), a, &b), OK);
    assert_int_equal(b.count, 1);
    assert_true(bytes_equal(b.sender, B("alice@example.com")));
    assert_true(bytes_equal(b.reporter, B("mail")));
    assert_int_equal(log_read(bytes_str(qmail), a, &b), OK);
    assert_true(bytes_equal(b.recipients[0].address, B("bob@fabrikam.com")));
    assert_true(bytes_equal(b.sender, B("alice@example.com")));
    assert_string_equal(b.recipients[0].action, "delayed");
    arena_close(&a);
}

static void no_lines_of_logs(void **state) {
    (void)state;
    static const char *const rows[] = {
        "",
        "550 5.7.1 Unable to relay",
        "Dear all, status=good",
        "{\"a\":1}",
        "{}",
        "a,b,c,d,e,f,g,h,i,j",
        "Nov 20 09:30:00 mail kernel: usb 1-1: new device 550",
        "550-mail.example.com [192.0.2.7] is currently not permitted to relay through this server.",
        "<bob@fabrikam.com>: host mx.fabrikam.com[192.0.2.7] said: 550 no (in reply to RCPT TO command)",
    };
    struct arena *a = arena_open();
    struct bounce b;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (log_read(bytes_str(rows[i]), a, &b) != PERM)
            fail_msg("taken for %s: %s", b.format, rows[i]);
        assert_non_null(b.because);
    }
    arena_close(&a);
}

/* Hundreds of thousands of lines, and one without an end. */
static void long_logs(void **state) {
    (void)state;
    enum { LINES = 20000, LONG = 4 * 1024 * 1024 };
    struct arena *a = arena_open();
    struct buf text = buf_grow(64 * 1024 * 1024);
    struct bounce b;
    for (size_t i = 0; i < LINES; i++)
        buf_str(&text, SYSLOG POSTFIX "\n");
    assert_int_equal(log_read(buf_bytes(&text), a, &b), OK);
    assert_int_equal(b.count, LOG_RECIPIENTS);
    assert_true(b.cut);
    arena_reset(a);
    buf_clear(&text);
    for (size_t i = 0; i < LONG; i++)
        buf_char(&text, "{[\",:"[i % 5]);
    assert_int_equal(log_read(buf_bytes(&text), a, &b), PERM);
    buf_free(&text);
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(postfix),
        cmocka_unit_test(exim),
        cmocka_unit_test(sendmail_and_others),
        cmocka_unit_test(tables),
        cmocka_unit_test(many_lines),
        cmocka_unit_test(no_lines_of_logs),
        cmocka_unit_test(long_logs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
