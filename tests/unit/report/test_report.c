/* Reports as their readers get them: each situation has its message in tests/golden/ndr/. With
 * POSTERN_WRITE_GOLDEN=1 the files are written anew, to be read before they are committed. Whatever
 * the situation, a report must be well formed. */
#include "report/report.h"

#include "base/must.h"
#include "message/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const int64_t arrived = 1795167000000; /* Fri, 20 Nov 2026 09:30:00 +0000 */

static const char original_plain[] = "Received: from pc.proseware.com by mail.proseware.com\r\n"
                                     "From: Ann Beebe <ann@proseware.com>\r\n"
                                     "To: bob@adatum.com\r\n"
                                     "Subject: Figures for October\r\n"
                                     "Date: Fri, 20 Nov 2026 10:29:58 +0100\r\n"
                                     "Message-ID: <figures.17@proseware.com>\r\n"
                                     "\r\n"
                                     "Dear Bob,\r\n"
                                     "here they are.\r\n";

struct situation {
    const char *name;
    enum report_kind kind;
    const char *original; /* NULL: original_plain */
    const char *next_hop;
    const char *sender; /* NULL: ann@proseware.com */
    uint32_t flags;
    const char *envid;
    int64_t after; /* ms since it arrived */
    uint32_t attempt;
    size_t recipients;
    struct recipient to[4];
    struct outcome outcomes[4];
    const char *goes_to; /* NULL: the sender */
};

#define TEXT(literal)                                                                              \
    { "" literal, sizeof(literal) - 1 }
#define MINUTES(n) ((int64_t)(n)*60000)
#define DAYS(n)    ((int64_t)(n)*86400000)
#define IP(a, b, c, d)                                                                             \
    {                                                                                              \
        .family = 4, .ip = { a, b, c, d }                                                          \
    }
#define BOB                                                                                        \
    { .original = TEXT("bob@adatum.com"), .final = TEXT("bob@adatum.com") }
#define REFUSED(at, c, s1, s2, s3, words)                                                          \
    .kind = OUTCOME_FAILED, .code = (c), .status = { (s1), (s2), (s3) }, .reply = TEXT(words),     \
    .remote = true, .command = (at)
#define PUT_OFF(at, c, s1, s2, s3, words)                                                          \
    .kind = OUTCOME_DEFERRED, .code = (c), .status = { (s1), (s2), (s3) }, .reply = TEXT(words),   \
    .remote = true, .command = (at)
#define MX1      .host = TEXT("mx1.adatum.com"), .address = IP(198, 51, 100, 25)
#define PROVIDER .host = TEXT("smtp.provider.example"), .address = IP(203, 0, 113, 9)
#define TLS      .tls = TEXT("TLSv1.3 TLS_AES_256_GCM_SHA384")

static const struct situation situations[] = {
    { .name = "relay-refused-by-mx",
      .kind = REPORT_FAILED,
      .recipients = 1,
      .to = { BOB },
      .outcomes = { { REFUSED("RCPT", 550, 5, 7, 1, "Unable to relay"), MX1, TLS } } },
    { .name = "relay-refused-by-smart-host",
      .kind = REPORT_FAILED,
      .next_hop = "route:provider",
      .recipients = 1,
      .to = { BOB },
      .outcomes = { { REFUSED("RCPT", 554, 5, 7, 1, "<bob@adatum.com>: Relay access denied"), TLS,
                      .host = TEXT("smtp.provider.example"), .address = IP(203, 0, 113, 9) } } },
    { .name = "two-unknown-users",
      .kind = REPORT_FAILED,
      .recipients = 2,
      .to = { BOB, { .original = TEXT("rob@adatum.com"), .final = TEXT("rob@adatum.com") } },
      .outcomes = { { REFUSED("RCPT", 550, 5, 1, 1, "No such user here"), MX1, TLS },
                    { REFUSED("RCPT", 550, 5, 1, 1, "No such user here"), MX1, TLS,
                      .recipient = 1 } } },
    { .name = "different-outcomes",
      .kind = REPORT_FAILED,
      .recipients = 3,
      .to = { BOB,
              { .original = TEXT("rob@adatum.com"), .final = TEXT("rob@adatum.com") },
              { .original = TEXT("kim@adatum.com"), .final = TEXT("kim@adatum.com") } },
      .outcomes = { { REFUSED("RCPT", 550, 5, 1, 1, "<bob@adatum.com>: User unknown"), MX1, TLS },
                    { REFUSED("RCPT", 552, 5, 2, 2, "Mailbox is full"), MX1, TLS, .recipient = 1 },
                    { REFUSED("RCPT", 550, 5, 7, 1,
                              "RESOLVER.RST.AuthRequired; authentication required"),
                      MX1, TLS, .recipient = 2 } } },
    { .name = "gave-up-unreachable",
      .kind = REPORT_GAVE_UP,
      .after = DAYS(5),
      .attempt = 34,
      .recipients = 1,
      .to = { BOB },
      .outcomes = { { .kind = OUTCOME_DEFERRED,
                      .blast = BLAST_SESSION,
                      .status = { 4, 4, 1 },
                      .reply = TEXT("Connection refused"),
                      MX1,
                      .command = "connect" } } },
    { .name = "gave-up-mailbox-full",
      .kind = REPORT_GAVE_UP,
      .after = DAYS(5),
      .attempt = 34,
      .recipients = 1,
      .to = { BOB },
      .outcomes = { { PUT_OFF("RCPT", 452, 4, 2, 2, "The recipient's mailbox is over quota"),
                      MX1 } } },
    { .name = "gave-up-uncertain",
      .kind = REPORT_GAVE_UP,
      .after = DAYS(5),
      .attempt = 34,
      .recipients = 1,
      .to = { BOB },
      .outcomes = { { .kind = OUTCOME_DEFERRED,
                      .status = { 4, 4, 2 },
                      .reply = TEXT("The connection was lost after the message had been sent"),
                      MX1,
                      .command = "end of data",
                      .uncertain = true } } },
    { .name = "gave-up-login-of-smart-host",
      .kind = REPORT_GAVE_UP,
      .next_hop = "route:provider",
      .after = DAYS(5),
      .attempt = 34,
      .recipients = 1,
      .to = { BOB },
      .outcomes = { { PUT_OFF("AUTH", 535, 5, 7, 8, "Authentication credentials invalid"),
                      .host = TEXT("smtp.provider.example"), .address = IP(203, 0, 113, 9),
                      .blast = BLAST_SESSION, .reason = "auth.smarthost", .alarm = true } } },
    { .name = "delayed-put-off",
      .kind = REPORT_DELAY,
      .after = MINUTES(241),
      .attempt = 6,
      .recipients = 1,
      .to = { BOB },
      .outcomes = { { PUT_OFF("RCPT", 451, 4, 7, 1,
                              "Greylisting in action, please come back later"),
                      MX1 } } },
    { .name = "delayed-no-dns",
      .kind = REPORT_DELAY,
      .after = MINUTES(241),
      .attempt = 6,
      .recipients = 1,
      .to = { BOB },
      .outcomes = { { .kind = OUTCOME_DEFERRED,
                      .status = { 4, 4, 3 },
                      .reply = TEXT("The name servers of adatum.com do not answer"),
                      .command = "DNS" } } },
    { .name = "delivered",
      .kind = REPORT_SUCCESS,
      .next_hop = "maildir:proseware.com",
      .recipients = 1,
      .to = { { .original = TEXT("kim@proseware.com"),
                .final = TEXT("kim@proseware.com"),
                .notify = NOTIFY_SUCCESS } },
      .outcomes = { { .kind = OUTCOME_DELIVERED, .command = "write" } } },
    { .name = "relayed-to-a-server-without-dsn",
      .kind = REPORT_SUCCESS,
      .envid = "QQ314159",
      .recipients = 1,
      .to = { { .original = TEXT("bob@adatum.com"),
                .final = TEXT("bob@adatum.com"),
                .orcpt = TEXT("rfc822;bob.smith@proseware.com"),
                .notify = NOTIFY_SUCCESS | NOTIFY_FAILURE } },
      .outcomes = { { .kind = OUTCOME_RELAYED,
                      .code = 250,
                      .status = { 2, 0, 0 },
                      .reply = TEXT("Ok: queued as 4F1C2"),
                      .remote = true,
                      MX1,
                      .command = "end of data",
                      .tls = TEXT("TLSv1.3 TLS_AES_256_GCM_SHA384 verified") } } },
    { .name = "domain-takes-no-mail",
      .kind = REPORT_FAILED,
      .recipients = 1,
      .to = { { .original = TEXT("bob@adatun.com"), .final = TEXT("bob@adatun.com") } },
      .outcomes = { { .kind = OUTCOME_FAILED,
                      .status = { 5, 1, 10 },
                      .reply = TEXT("adatun.com takes no mail: its MX record is null"),
                      .command = "DNS",
                      .reason = "dns.null-mx" } } },
    { .name = "loop",
      .kind = REPORT_FAILED,
      .recipients = 1,
      .to = { BOB },
      .outcomes = { { .kind = OUTCOME_FAILED,
                      .status = { 5, 4, 6 },
                      .reply = TEXT("The MX record of adatum.com names this server, which does not "
                                    "serve adatum.com: the mail would loop"),
                      .command = "DNS",
                      .reason = "loop.best-mx" } } },
    { .name = "too-big-returned-in-full",
      .kind = REPORT_FAILED,
      .flags = ENVELOPE_RET_FULL,
      .envid = "ann-0017",
      .recipients = 1,
      .to = { { .original = TEXT("bob@adatum.com"),
                .final = TEXT("bob@adatum.com"),
                .orcpt = TEXT("rfc822;bob@adatum.com"),
                .notify = NOTIFY_FAILURE } },
      .outcomes = { { REFUSED("MAIL", 552, 5, 3, 4,
                              "Message size exceeds fixed limit of 10485760 octets"),
                      MX1, TLS } } },
    { .name = "forwarded-and-refused",
      .kind = REPORT_FAILED,
      .flags = ENVELOPE_RET_HDRS,
      .recipients = 1,
      .to = { { .original = TEXT("bob@proseware.com"), .final = TEXT("bob@adatum.com") } },
      .outcomes = { { REFUSED("end of data", 550, 5, 7, 1,
                              "This message was rejected as spam: score 11.2"),
                      MX1, TLS } } },
    { .name = "letters-beyond-ascii",
      .kind = REPORT_FAILED,
      .original = "From: =?utf-8?q?J=C3=BCrgen?= <jürgen@bücher.example>\r\n"
                  "To: δοκιμή@παράδειγμα.example\r\n"
                  "Subject: Bücher für Mai\r\n"
                  "Message-ID: <mai@bücher.example>\r\n\r\nHallo!\r\n",
      .sender = "jürgen@bücher.example",
      .flags = ENVELOPE_UTF8,
      .recipients = 1,
      .to = { { .original = TEXT("δοκιμή@παράδειγμα.example"),
                .final = TEXT("δοκιμή@παράδειγμα.example") } },
      .outcomes = { { REFUSED("RCPT", 550, 5, 1, 1, "Postfach existiert nicht – prüfen"), MX1,
                      TLS } } },
    { .name = "notice-not-delivered",
      .kind = REPORT_FAILED,
      .original = "From: Mail Delivery System <MAILER-DAEMON@mail.proseware.com>\r\n"
                  "To: bob@adatum.com\r\nSubject: Not delivered: kim@example.com\r\n"
                  "Message-ID: <0a1.0.19aa@mail.proseware.com>\r\n\r\nYour message ...\r\n",
      .sender = "",
      .flags = ENVELOPE_REPORT,
      .recipients = 1,
      .to = { { .original = TEXT("bob@adatum.com"),
                .final = TEXT("bob@adatum.com"),
                .notify = NOTIFY_NEVER } },
      .outcomes = { { REFUSED("RCPT", 550, 5, 1, 1, "No such user"), MX1, TLS } },
      .goes_to = "postmaster@proseware.com" },
    { .name = "hostile-words",
      .kind = REPORT_FAILED,
      .original = "From: x\r\nSubject: =?utf-8?q?Hi=0D=0AX-Injected:_1=0D=0A=0D=0A--b?= \x1b[2J\r\n"
                  "Message-ID: <a@b>\r\n\tX: y\r\n\r\nbody\rwith\nbare\r\r\nends\r\n",
      .envid = "e\r\nX-Evil: 1",
      .recipients = 1,
      .to = { { .original = TEXT("\"a\r\nBcc: all\"@adatum.com"),
                .final = TEXT("\"a\r\nBcc: all\"@adatum.com"),
                .orcpt = TEXT("rfc822;x\r\nAction: delivered") } },
      .outcomes = { { REFUSED("RCPT", 550, 5, 7, 1,
                              "no\r\nAction: delivered\r\n\r\n--boundary\r\nX: \x1b[2J\xff\xfe"),
                      .host = TEXT("evil\r\nX-Host: 1"), .address = IP(198, 51, 100, 25),
                      .tls = TEXT("T\r\nLS") } } },
    { .name = "returned-by-an-operator",
      .kind = REPORT_FAILED,
      .recipients = 1,
      .to = { BOB },
      .outcomes = { { .kind = OUTCOME_FAILED,
                      .status = { 5, 7, 0 },
                      .reply = TEXT("Returned by root"),
                      .reason = "operator.returned" } } },
    { .name = "blocklisted",
      .kind = REPORT_FAILED,
      .recipients = 1,
      .to = { BOB },
      .outcomes = { { REFUSED("RCPT", 554, 5, 7, 1,
                              "Service unavailable; Client host [203.0.113.40] blocked using "
                              "zen.spamhaus.org; https://www.spamhaus.org/query/ip/203.0.113.40"),
                      MX1, TLS } } },
    { .name = "refused-without-a-reason",
      .kind = REPORT_FAILED,
      .recipients = 1,
      .to = { BOB },
      .outcomes = { { REFUSED("end of data", 554, 0, 0, 0, "Transaction failed"), MX1 } } },
};

/* --- writing one -------------------------------------------------------------------------- */

static const struct config config = {
    .hostname = TEXT("mail.proseware.com"),
    .postmaster = TEXT("postmaster@proseware.com"),
};

struct written {
    struct arena *arena;
    struct buf message;
    struct bytes to;
};

static struct written write_one(const struct situation *s) {
    struct written w = { .arena = arena_open(), .message = buf_grow(4 << 20) };
    static const uint32_t indices[] = { 0, 1, 2, 3 };
    struct envelope envelope = {
        .sender = bytes_str(s->sender ? s->sender : "ann@proseware.com"),
        .envid = bytes_str(s->envid),
        .flags = s->flags,
        .arrived = arrived,
        .message_header_id = B("<figures.17@proseware.com>"),
        .helo = B("pc.proseware.com"),
        .protocol = B("ESMTPSA"),
        .client = IP(192, 0, 2, 40),
        .count = s->recipients,
        .recipients = (struct recipient *)s->to,
    };
    const struct job job = { .id = { "0a1x7" },
                             .envelope = &envelope,
                             .recipients = indices,
                             .count = s->recipients,
                             .attempt = s->attempt ? s->attempt : 1,
                             .next_hop = bytes_str(s->next_hop ? s->next_hop : "mx:adatum.com") };
    const struct report_setup setup = { .config = &config,
                                        .hostname = config.hostname,
                                        .kind = s->kind,
                                        .now = arrived + (s->after ? s->after : 2000),
                                        .give_up = arrived + DAYS(5),
                                        .boundary = B("0a1x7.0.19a2b3c4d5e") };
    report_write(&setup, &job, s->outcomes, s->recipients,
                 bytes_str(s->original ? s->original : original_plain), true, w.arena, &w.to,
                 &w.message);
    return w;
}

static void written_free(struct written *w) {
    buf_free(&w->message);
    arena_close(&w->arena);
}

/* --- what holds for all ------------------------------------------------------------------- */

static void check_lines(struct bytes message) {
    size_t start = 0;
    /* What is returned may say what it likes, but for line ends. */
    ptrdiff_t ours = bytes_search(message, B("\r\nContent-Description: The same for programs"));
    ours += bytes_search(bytes_skip(message, (size_t)ours), B("\r\n--"));
    assert_true(bytes_find(bytes_first(message, (size_t)ours), '\x1b') < 0);
    for (size_t i = 0; i < message.len; i++) {
        char c = message.at[i];
        assert_true(c != '\0');
        if (c == '\r')
            assert_true(i + 1 < message.len && message.at[i + 1] == '\n');
        if (c == '\n') {
            assert_true(i > 0 && message.at[i - 1] == '\r');
            assert_true(i - start <= 999);
            start = i + 1;
        }
    }
    assert_int_equal(start, message.len);
}

static size_t count(struct bytes all, const char *part) {
    size_t n = 0;
    ptrdiff_t at;
    while ((at = bytes_search(all, bytes_str(part))) >= 0) {
        all = bytes_skip(all, (size_t)at + 1);
        n++;
    }
    return n;
}

static void check_form(struct bytes message) {
    static const char *const once[] = { "From",         "To",          "Subject",
                                        "Date",         "Message-ID",  "Auto-Submitted",
                                        "MIME-Version", "Content-Type" };
    struct bytes header = bytes_first(message, header_length(message)), rest = header;
    struct header_field field;
    size_t fields = 0;
    assert_true(header.len > 0);
    while (header_next(&rest, &field) == HEADER_FIELD)
        fields++;
    assert_true(fields >= 8 && fields <= 11);
    for (size_t i = 0; i < COUNT_OF(once); i++)
        assert_true(header_find(header, bytes_str(once[i]), &field));
    assert_int_equal(count(message, "\r\n--0a1x7.0.19a2b3c4d5e\r\n"), 3);
    assert_int_equal(count(message, "\r\n--0a1x7.0.19a2b3c4d5e--\r\n"), 1);
}

static void check_golden(const char *name, struct bytes message) {
    char path[200];
    snprintf(path, sizeof path, "tests/golden/ndr/%s.eml", name);
    if (getenv("POSTERN_WRITE_GOLDEN")) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(message.at, 1, message.len, f), message.len);
        fclose(f);
        return;
    }
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s is missing", path);
    char *expected = malloc(message.len + 2);
    size_t len = fread(expected, 1, message.len + 1, f);
    fclose(f);
    bool same = bytes_equal(bytes_of(expected, len), message);
    free(expected);
    if (!same)
        fail_msg("%s differs from:\n%.*s", path, BYTES_FMT(message));
}

static void test_situations(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(situations); i++) {
        const struct situation *s = &situations[i];
        struct written w = write_one(s);
        const char *to = s->goes_to ? s->goes_to : s->sender ? s->sender : "ann@proseware.com";
        assert_true(bytes_equal(w.to, bytes_str(to)));
        assert_false(w.message.full);
        check_lines(buf_bytes(&w.message));
        check_form(buf_bytes(&w.message));
        check_golden(s->name, buf_bytes(&w.message));
        written_free(&w);
    }
}

/* --- whom to tell ------------------------------------------------------------------------- */

static bool is_written(struct situation s, uint8_t notify) {
    s.to[0].notify = notify;
    struct written w = write_one(&s);
    bool told = w.to.len > 0;
    assert_int_equal(told, w.message.len > 0);
    written_free(&w);
    return told;
}

static struct situation of_kind(enum report_kind kind) {
    for (size_t i = 0; i < COUNT_OF(situations); i++)
        if (situations[i].kind == kind)
            return situations[i];
    fail();
    return situations[0];
}

static void test_notify(void **state) {
    (void)state;
    static const struct {
        uint8_t notify;
        bool told[4]; /* failed, gave up, delay, success */
    } rows[] = {
        { 0, { true, true, true, false } },
        { NOTIFY_NEVER, { false, false, false, false } },
        { NOTIFY_FAILURE, { true, true, false, false } },
        { NOTIFY_SUCCESS, { false, false, false, true } },
        { NOTIFY_DELAY, { false, false, true, false } },
        { NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY, { true, true, true, true } },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (enum report_kind kind = REPORT_FAILED; kind <= REPORT_SUCCESS; kind++)
            assert_int_equal(is_written(of_kind(kind), rows[i].notify), rows[i].told[kind]);
}

static void test_dsn_passed_on(void **state) {
    (void)state;
    struct situation s = of_kind(REPORT_SUCCESS);
    s.outcomes[0].dsn_passed_on = true;
    assert_false(is_written(s, NOTIFY_SUCCESS));
}

/* Never a bounce of a bounce: what has the null sender goes to the postmaster, once. */
static void test_null_sender(void **state) {
    (void)state;
    struct situation s = of_kind(REPORT_FAILED);
    s.sender = "";
    s.goes_to = "postmaster@proseware.com";
    assert_true(is_written(s, NOTIFY_NEVER));
    s.to[0].original = s.to[0].final = B("Postmaster@proseware.com");
    assert_false(is_written(s, 0));
    s = of_kind(REPORT_DELAY);
    s.sender = "";
    assert_false(is_written(s, 0));
    s = of_kind(REPORT_SUCCESS);
    s.sender = "";
    assert_false(is_written(s, NOTIFY_SUCCESS));
}

/* Only those who want to be told are named. */
static void test_some_recipients(void **state) {
    (void)state;
    struct situation s = situations[2];
    s.to[0].notify = NOTIFY_NEVER;
    struct written w = write_one(&s);
    assert_true(count(buf_bytes(&w.message), "Final-Recipient: rfc822; rob@adatum.com") == 1);
    assert_true(count(buf_bytes(&w.message), "Final-Recipient: rfc822; bob@adatum.com") == 0);
    written_free(&w);
}

/* --- what is returned --------------------------------------------------------------------- */

static void test_returned(void **state) {
    (void)state;
    struct situation s = situations[0];
    struct written w = write_one(&s);
    assert_int_equal(count(buf_bytes(&w.message), "here they are."), 1); /* small, RET not given */
    written_free(&w);
    s.flags = ENVELOPE_RET_HDRS;
    w = write_one(&s);
    assert_int_equal(count(buf_bytes(&w.message), "here they are."), 0);
    assert_int_equal(count(buf_bytes(&w.message), "text/rfc822-headers"), 1);
    written_free(&w);
    s = of_kind(REPORT_DELAY); /* RET speaks of failures */
    s.flags = ENVELOPE_RET_FULL;
    w = write_one(&s);
    assert_int_equal(count(buf_bytes(&w.message), "here they are."), 0);
    written_free(&w);
}

static void test_boundary_in_original(void **state) {
    (void)state;
    struct situation s = situations[0];
    s.original = "From: a@b\r\n\r\n--0a1x7.0.19a2b3c4d5e--\r\n--0a1x7.0.19a2b3c4d5e-0\r\n";
    struct written w = write_one(&s);
    assert_int_equal(count(buf_bytes(&w.message), "boundary=\"0a1x7.0.19a2b3c4d5e-1\""), 1);
    written_free(&w);
}

/* Lines without end, octets of any kind, a header that never ends. */
static void test_hostile_original(void **state) {
    (void)state;
    static char large[300 * 1024];
    for (size_t i = 0; i < sizeof large - 1; i++)
        large[i] = (char)(i % 251 + 1);
    for (unsigned round = 0; round < 3; round++) {
        struct situation s = situations[0];
        s.original = large;
        s.flags = round ? ENVELOPE_RET_FULL : 0;
        if (round == 2)
            memset(large, 'x', sizeof large - 1);
        struct written w = write_one(&s);
        assert_true(w.to.len > 0 && !w.message.full);
        struct bytes message = buf_bytes(&w.message);
        size_t start = 0;
        for (size_t i = 0; i < message.len; i++) {
            assert_true(message.at[i] != '\0');
            assert_true(message.at[i] != '\r' || message.at[i + 1] == '\n');
            if (message.at[i] == '\n') {
                assert_true(message.at[i - 1] == '\r' && i - start <= 999);
                start = i + 1;
            }
        }
        written_free(&w);
    }
}

static void test_many_recipients(void **state) {
    (void)state;
    static struct recipient to[1000];
    static struct outcome outcomes[1000];
    static uint32_t indices[1000];
    struct arena *a = arena_open();
    for (uint32_t i = 0; i < 1000; i++) {
        to[i].original = to[i].final = arena_printf(a, "user%u@adatum.com", i);
        outcomes[i] = (struct outcome){ REFUSED("RCPT", 550, 5, 1, 1, ""), MX1, .recipient = i };
        outcomes[i].reply = arena_printf(a, "<user%u@adatum.com>: User unknown %0400u", i, i);
        indices[i] = i;
    }
    struct envelope e = {
        .sender = B("ann@proseware.com"), .arrived = arrived, .count = 1000, .recipients = to
    };
    const struct job job = {
        .id = { "0a1x7" }, .envelope = &e, .recipients = indices, .count = 1000, .attempt = 1
    };
    const struct report_setup setup = {
        .config = &config, .hostname = config.hostname, .now = arrived, .boundary = B("b")
    };
    struct buf message = buf_grow((1 << 20) + sizeof original_plain);
    struct bytes told;
    report_write(&setup, &job, outcomes, 1000, bytes_str(original_plain), true, a, &told, &message);
    assert_false(message.full);
    check_lines(buf_bytes(&message));
    assert_int_equal(count(buf_bytes(&message), "Final-Recipient:"), 1000);
    buf_free(&message);
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_situations),           cmocka_unit_test(test_notify),
        cmocka_unit_test(test_dsn_passed_on),        cmocka_unit_test(test_null_sender),
        cmocka_unit_test(test_some_recipients),      cmocka_unit_test(test_returned),
        cmocka_unit_test(test_boundary_in_original), cmocka_unit_test(test_hostile_original),
        cmocka_unit_test(test_many_recipients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
