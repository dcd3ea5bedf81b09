/* What replies mean: agreement with tests/golden/replies.tsv, the traps, the rules' own grammar. */
#include "reply/knowledge.h"

#include "base/buf.h"
#include "base/must.h"
#include "reply/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct reply_meaning *explain(const char *step, const char *text) {
    const struct reply_facts facts = { .text = bytes_str(text), .command = step };
    return reply_explain(&facts);
}

static void assert_cause(const char *step, const char *text, const char *cause) {
    const struct reply_meaning *m = explain(step, text);
    if (strcmp(m->cause, cause) != 0)
        fail_msg("%s: %s by rule %s, not %s", text, m->cause, m->rule, cause);
}

/* --- the golden file ---------------------------------------------------------------------- */

static bool is_one_of(struct bytes list, struct bytes item) {
    struct bytes one;
    while (bytes_split(&list, '|', &one))
        if (bytes_equal(one, item))
            return true;
    return false;
}

static bool is_relay(struct bytes causes) {
    return bytes_starts(causes, B("relay-")) || bytes_equal(causes, B("auth-required"));
}

/* Counts how the file's replies are judged, and tells of those that are judged wrongly. */
struct tally {
    unsigned count, right, relay_missed, relay_wrong;
};

static void judge_row(struct bytes row, struct tally *t) {
    struct bytes step, causes;
    bytes_split(&row, '\t', &step);
    bytes_split(&row, '\t', &causes);
    char command[32];
    snprintf(command, sizeof command, "%.*s", BYTES_FMT(step));
    const struct reply_facts facts = { .text = row, .command = command[0] == '-' ? NULL : command };
    const struct reply_meaning *m = reply_explain(&facts);
    bool good = is_one_of(causes, bytes_str(m->cause));
    t->count++;
    t->right += good;
    t->relay_missed += is_relay(causes) && !is_relay(bytes_str(m->cause));
    t->relay_wrong += !is_relay(causes) && bytes_starts(bytes_str(m->cause), B("relay-"));
    if (!good)
        print_message("%.*s: %s by rule %s, not %.*s\n", BYTES_FMT(row), m->cause, m->rule,
                      BYTES_FMT(causes));
}

static struct tally judge_file(const char *path) {
    char line[4096];
    struct tally t = { 0 };
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (line[0] != '#')
            judge_row(bytes_trim(bytes_str(line)), &t);
    fclose(f);
    return t;
}

static void test_golden(void **state) {
    (void)state;
    struct tally t = judge_file("tests/golden/replies.tsv");
    assert_true(t.count >= 120);
    assert_true(t.right * 100 >= t.count * 95);
    assert_int_equal(t.relay_missed, 0);
    assert_int_equal(t.relay_wrong, 0);
}

static void test_refusals(void **state) {
    (void)state;
    struct tally t = judge_file("tests/golden/refusals.tsv");
    assert_true(t.count >= 600);
    assert_int_equal(t.right, t.count);
}

/* --- traps -------------------------------------------------------------------------------- */

static void test_traps(void **state) {
    (void)state;
    /* 5.7.1 alone says nothing */
    assert_cause("RCPT", "550 5.7.1 Unable to relay", "relay-not-authorised");
    assert_cause("DATA", "550 5.7.1 Message identified as spam", "spam-content");
    assert_cause("RCPT", "550 5.7.1 Mailbox full", "mailbox-full");
    assert_cause("RCPT", "550 5.7.1", "policy");
    /* the words outweigh the code */
    assert_cause("RCPT", "550 5.1.1 relaying denied", "relay-not-authorised");
    assert_cause("RCPT", "451 4.7.1 relaying denied", "relay-not-authorised");
    assert_true(explain("RCPT", "451 4.7.1 relaying denied")->permanent);
    /* "access denied" with and without relay */
    assert_cause("RCPT", "550 5.4.1 Recipient address rejected: Access denied",
                 "recipient-unknown");
    assert_cause("RCPT", "550 5.4.1 Relay Access Denied", "relay-domain-not-hosted");
    /* what looks like an enhanced code in an address is none */
    assert_cause("banner", "554 host 5.1.1.22 says no", "client-denied");
    assert_cause("banner", "554 [10.5.1.1] says no", "client-denied");
    /* names are no words */
    assert_cause("RCPT", "550 <relay-denied@x.example>: User unknown", "recipient-unknown");
    assert_cause("RCPT", "550 <spam@x.example>: User unknown", "recipient-unknown");
    assert_cause("RCPT", "550 <a@relay.example>: no such user", "recipient-unknown");
    assert_cause("RCPT", "550 relay.example: no such user", "recipient-unknown");
    /* codes repeated on every line */
    assert_cause("RCPT", "550-5.7.1 relaying is 550-5.7.1 not allowed 550 5.7.1 from here",
                 "relay-not-authorised");
    /* the step decides what is vague */
    assert_cause("AUTH", "535 5.7.0 rejected", "auth-failed");
    assert_cause("RCPT", "553 go away", "recipient-unknown");
    assert_true(explain("RCPT", "553 go away")->confidence < 0.5);
    /* greylisting is temporary, whatever the code */
    assert_cause("RCPT", "550 you are greylisted", "greylisted");
    assert_false(explain("RCPT", "550 you are greylisted")->permanent);
    assert_cause(NULL, "250 2.0.0 Ok", "delivered");
    assert_cause(NULL, "", "unknown");
}

/* The recipient's own MX cannot want a login of us. */
static void test_direct(void **state) {
    (void)state;
    struct reply_facts facts = { .text = B("550 5.7.1 Unable to relay"),
                                 .command = "RCPT",
                                 .ours_is_client = true };
    assert_string_equal(reply_explain(&facts)->cause, "relay-domain-not-hosted");
    assert_string_equal(reply_explain(&facts)->who, "recipient-admin");
    facts.submission = true;
    assert_string_equal(reply_explain(&facts)->cause, "relay-not-authorised");
    facts = (struct reply_facts){ .text = B("550 5.7.1 relaying denied"),
                                  .host = B("mx01.mail.icloud.com") };
    assert_string_equal(reply_explain(&facts)->cause, "relay-domain-not-hosted");
    facts.host = B("icloud.com.example");
    assert_string_equal(reply_explain(&facts)->cause, "relay-not-authorised");
}

/* A host that does not serve the recipient's domain knows none of its mailboxes. */
static void test_mx(void **state) {
    (void)state;
    struct reply_facts facts = { .text = B("550 Invalid recipient: <user@example.net>"),
                                 .command = "RCPT" };
    assert_string_equal(reply_explain(&facts)->cause, "recipient-unknown");
    facts.mx = REPLY_MX_NO;
    assert_string_equal(reply_explain(&facts)->cause, "relay-not-authorised");
    assert_string_equal(reply_explain(&facts)->who, "sender-admin");
    facts.logged_in = true;
    assert_string_equal(reply_explain(&facts)->cause, "recipient-unknown");
    facts = (struct reply_facts){ .text = B("550 relay not permitted"), .mx = REPLY_MX_YES };
    assert_string_equal(reply_explain(&facts)->cause, "relay-domain-not-hosted");
    facts =
        (struct reply_facts){ .text = B("452 mailbox full"), .command = "RCPT", .mx = REPLY_MX_NO };
    assert_string_equal(reply_explain(&facts)->cause, "mailbox-full");
}

/* The same words of a smart host, and of a server that may serve the domain. */
static void test_masked(void **state) {
    (void)state;
    struct reply_facts facts = { .text = B("550 Invalid recipient: <user@example.net>"),
                                 .command = "RCPT",
                                 .submission = true };
    assert_string_equal(reply_explain(&facts)->cause, "relay-not-authorised");
    facts.logged_in = true;
    assert_string_equal(reply_explain(&facts)->cause, "recipient-unknown");
    facts = (struct reply_facts){ .text = B("550 5.7.1 relaying denied"), .logged_in = true };
    assert_string_equal(reply_explain(&facts)->rule, "relay.although-logged-in");
    assert_string_equal(reply_explain(&facts)->cause, "relay-not-authorised");
}

/* --- what makes no difference ------------------------------------------------------------------ */

static void upper(struct buf *out, struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        buf_char(out,
                 text.at[i] >= 'a' && text.at[i] <= 'z' ? (char)(text.at[i] - 32) : text.at[i]);
}

static void replace(struct buf *out, struct bytes text, const char *from, const char *to) {
    struct bytes old = bytes_str(from);
    while (text.len) {
        bool here = bytes_starts(text, old);
        here ? buf_str(out, to) : buf_char(out, text.at[0]);
        text = bytes_skip(text, here ? old.len : 1);
    }
}

static void wear(struct buf *out, struct bytes text, unsigned costume) {
    switch (costume) {
    case 0:
        upper(out, text);
        return;
    case 1:
        replace(out, text, " ", "  \t");
        return;
    case 2:
        replace(out, text, "'", "\xe2\x80\x99");
        return;
    case 3:
        buf_printf(out, "smtp; %.*s", BYTES_FMT(text));
        return;
    case 4:
        replace(out, text, "<", "&lt;");
        return;
    default:
        buf_printf(out, "The server said: \"%.*s\"", BYTES_FMT(text));
    }
}

/* Capitals, blanks, typographic quotes, markup and what a program puts around it change nothing. */
static void test_costumes(void **state) {
    (void)state;
    char line[4096];
    unsigned count = 0;
    FILE *f = fopen("tests/golden/refusals.tsv", "rb");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        struct bytes rest = bytes_trim(bytes_str(line)), step, causes;
        if (line[0] == '#' || ++count % 3)
            continue;
        bytes_split(&rest, '\t', &step);
        bytes_split(&rest, '\t', &causes);
        char command[32];
        snprintf(command, sizeof command, "%.*s", BYTES_FMT(step));
        for (unsigned costume = 0; costume < 6; costume++) {
            struct buf worn = buf_grow(8192);
            wear(&worn, rest, costume);
            const struct reply_facts facts = { .text = buf_bytes(&worn),
                                               .command = command[0] == '-' ? NULL : command };
            const struct reply_meaning *m = reply_explain(&facts);
            if (!is_one_of(causes, bytes_str(m->cause)))
                fail_msg("%s: %s by rule %s", buf_text(&worn), m->cause, m->rule);
            buf_free(&worn);
        }
    }
    fclose(f);
    assert_true(count > 600);
}

/* Who speaks, by words, name or greeting. */
static void test_families(void **state) {
    (void)state;
    static const struct {
        const char *text, *host, *banner, *family;
    } rows[] = {
        { "554 5.7.1 <user@example.net>: Relay access denied", "", "", "postfix" },
        { "550 relay not permitted", "", "", "exim" },
        { "550 5.7.1 <user@example.net>... Relaying denied", "", "", "sendmail" },
        { "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", "", "",
          "qmail" },
        { "513 Relaying denied.", "", "", "courier" },
        { "550 Invalid recipient: <user@example.net>", "", "", "opensmtpd" },
        { "550 5.7.1 Unable to relay for user@example.net", "", "", "exchange" },
        { "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", "", "", "exchange" },
        { "550 5.7.64 TenantAttribution; Relay Access Denied", "", "", "microsoft-365" },
        { "550 5.4.1 Recipient address rejected: Access denied. AS(201806271)", "", "",
          "microsoft-365" },
        { "535 5.7.8 Username and Password not accepted. a1sm2 - gsmtp", "", "", "gmail" },
        { "550 relaying denied for <user@yahoo.com>", "", "", "yahoo" },
        { "553 Relaying disallowed", "", "", "zoho" },
        { "451 Open relay not allowed - https://community.mimecast.com/docs/DOC-1", "", "",
          "mimecast" },
        { "550 5.7.1 relaying not permitted for 192.0.2.7:4242", "", "", "kumomta" },
        { "550 I cannot deliver mail for <user@example.net>", "", "", "haraka" },
        { "550 5.1.2 Relay not allowed.", "", "", "stalwart" },
        { "501 5.1.8 Use Submission for outgoing SMTP (msg ID = ab)", "", "", "maddy" },
        { "554 Relay rejected for policy reasons.", "", "", "domino" },
        { "571 user@example.net prohibited. We do not relay", "", "", "communigate" },
        { "550 not local host example.net, not a gateway", "", "", "imail" },
        { "550 Authentication is required for relay", "", "", "smartermail" },
        { "530 SMTP authentication is required.", "", "", "hmailserver" },
        { "550 5.7.1 <user@example.net>... we do not relay", "", "", "icewarp" },
        { "553 We do not relay non-local mail, sorry.", "", "", "mercury" },
        { "550 #5.1.0 Address rejected.", "", "", "cisco" },
        { "550 nothing to see", "mx01.mail.icloud.com", "", "icloud" },
        { "550 nothing to see", "example-com.mail.protection.outlook.com", "", "microsoft-365" },
        { "550 nothing to see", "mx1.example.com", "220 mx1.example.com ESMTP Exim 4.96", "exim" },
        { "550 nothing to see", "", "220 mx.example.com ESMTP Haraka ready", "haraka" },
        { "550 nothing to see", "icloud.com.example.net", "", NULL },
        { "550 no such user <user@gmail.com>", "", "", NULL },
        { "550 write to the administrator", "", "", NULL },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct reply_facts facts = { .text = bytes_str(rows[i].text),
                                           .host = bytes_str(rows[i].host),
                                           .banner = bytes_str(rows[i].banner) };
        const char *family = reply_explain(&facts)->family;
        if (strcmp(family ? family : "", rows[i].family ? rows[i].family : "") != 0)
            fail_msg("%s: %s", rows[i].text, family ? family : "none");
    }
}

/* What the codes said, and what is so. */
static void test_said(void **state) {
    (void)state;
    const struct reply_meaning *m = explain("RCPT", "454 4.7.1 Relay access denied");
    assert_true(m->permanent);
    assert_int_equal(m->said_permanent, 0);
    assert_string_equal(m->severity, "error");
    assert_string_equal(m->reason, "norelaying");
    assert_int_equal(m->code, 454);
    assert_int_equal(m->status.subject, 7);
    m = explain("RCPT", "552 5.2.2 mailbox full");
    assert_false(m->permanent);
    assert_int_equal(m->said_permanent, 1);
    assert_string_equal(m->severity, "warning");
    assert_int_equal(explain(NULL, "relaying denied")->said_permanent, -1);
}

static void test_causes(void **state) {
    (void)state;
    struct reply_cause c;
    size_t count = 0;
    while (reply_cause_at(count, &c)) {
        assert_string_not_equal(c.severity, "");
        assert_true(!strcmp(c.name, "unknown") || strcmp(c.reason, "undefined") != 0);
        for (const char *const *text = c.sees; *text; text++) /* the pages must not lie */
            assert_cause(NULL, *text, c.name);
        assert_true(!c.sees[0] == !c.because[0] && !c.sees[0] == !c.prevents[0]);
        count++;
    }
    assert_true(count >= 50);
    assert_true(reply_cause_find("greylisted", &c));
    assert_string_equal(c.permanent, "no");
    assert_false(reply_cause_find("nothing-such", &c));
}

/* What a report says was done outweighs its words. */
static void test_action(void **state) {
    (void)state;
    struct reply_facts facts = { .text = B("Ich bin im Urlaub"), .action = "vacation" };
    assert_string_equal(reply_explain(&facts)->cause, "vacation");
    facts = (struct reply_facts){ .action = "feedback" };
    assert_string_equal(reply_explain(&facts)->cause, "feedback");
    facts.action = "relayed";
    assert_string_equal(reply_explain(&facts)->cause, "delivered");
    facts.action = "delayed";
    assert_string_equal(reply_explain(&facts)->cause, "timeout");
    facts.action = "failed";
    assert_string_equal(reply_explain(&facts)->cause, "unknown");
    facts = (struct reply_facts){ .text = B("550 5.1.1 no such user"), .action = "failed" };
    assert_string_equal(reply_explain(&facts)->cause, "recipient-unknown");
    assert_string_equal(reply_explain(&facts)->reason, "userunknown");
    /* neither step nor code: the message may have been refused rather than the address */
    facts.text = B("550 no such user");
    assert_string_equal(reply_explain(&facts)->cause, "recipient-unknown");
    assert_string_equal(reply_explain(&facts)->reason, "filtered");
    facts.command = "RCPT";
    assert_string_equal(reply_explain(&facts)->reason, "userunknown");
}

/* Codes given apart win over what stands in the text. */
static void test_facts(void **state) {
    (void)state;
    struct reply_facts facts = { .code = 452, .status = { 4, 2, 2 }, .text = B("no") };
    assert_string_equal(reply_explain(&facts)->cause, "mailbox-full");
    facts = (struct reply_facts){ .code = 550, .text = B("(#5.2.2)") };
    assert_string_equal(reply_explain(&facts)->cause, "mailbox-full");
}

static void test_permanent(void **state) {
    (void)state;
    assert_true(explain("end", "554 5.7.1 strange")->permanent);
    assert_false(explain("end", "454 4.7.1 strange")->permanent);
    assert_false(explain("RCPT", "552 5.2.2 mailbox full")->permanent);
    assert_true(explain("RCPT", "450 no such user here")->permanent);
}

/* --- hostile words ------------------------------------------------------------------------ */

static void test_any_octets(void **state) {
    (void)state;
    static const char text[] =
        "550-5.7.1 <user@example.org>: \xe4\xb8\xad\xe7\xbb\xa7 Relay access denied [192.0.2.7]";
    char copy[sizeof text];
    for (size_t len = 0; len < sizeof text; len++) {
        const struct reply_facts facts = { .text = bytes_of(text, len), .command = "RCPT" };
        assert_non_null(reply_explain(&facts)->explanation);
    }
    for (size_t i = 0; i < sizeof text - 1; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(copy, text, sizeof text);
            copy[i] = (char)(copy[i] ^ (1 << bit));
            const struct reply_facts facts = { .text = bytes_of(copy, sizeof text - 1) };
            assert_non_null(reply_explain(&facts)->cause);
        }
}

/* What would make a careless pattern run for ever. */
static void test_long_words(void **state) {
    (void)state;
    static char text[100000];
    static const char *const parts[] = {
        "relay ", "not ",           "a",       "user ",        "@",
        "5.7.1 ", "message is to ", "sender ", "not allowed ", "550-"
    };
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        size_t len = strlen(parts[i]);
        for (size_t at = 0; at + len < sizeof text; at += len)
            memcpy(text + at, parts[i], len);
        const struct reply_facts facts = { .text = bytes_of(text, sizeof text - 1) };
        assert_non_null(reply_explain(&facts)->cause);
    }
}

/* --- the rules ---------------------------------------------------------------------------- */

/* An operator's rules stand before ours. */
static void test_learn(void **state) {
    (void)state;
    struct why why;
    assert_int_equal(reply_learn("own.rules",
                                 B("rule own.bank\n  cause mailbox-full\n  confidence 0.99\n"
                                   "  who server-admin\n  permanent yes\n"
                                   "  explanation Their safe\n  + is full.\n"
                                   "  fix Ring them.\n  fix Wait.\n  words no more {SOMEBODY}\n"),
                                 &why),
                     OK);
    const struct reply_meaning *m = explain("RCPT", "550 5.7.1 no more mailbox, relay denied");
    assert_string_equal(m->rule, "own.bank");
    assert_string_equal(m->cause, "mailbox-full");
    assert_string_equal(m->who, "server-admin");
    assert_string_equal(m->explanation, "Their safe is full.");
    assert_true(m->permanent);
    assert_string_equal(m->fixes[0], "Ring them.");
    assert_string_equal(m->fixes[1], "Wait.");
    assert_null(m->fixes[2]);
    assert_cause("RCPT", "550 relaying denied", "relay-not-authorised");
    /* a family of theirs, and a rule about it and one of ours */
    assert_int_equal(reply_learn("own.rules",
                                 B("family own.box\n  title Our box\n  words black box\n"
                                   "rule own.box\n  cause loop\n  server own.box\n  words round\n"
                                   "rule own.exim\n  cause policy\n  server exim\n  code 5..\n"),
                                 &why),
                     OK);
    m = explain("RCPT", "550 relay not permitted; round the black box");
    assert_string_equal(m->family_title, "Our box");
    assert_string_equal(m->rule, "own.box");
    assert_true(m->confidence > 0.85);
    assert_string_equal(explain("RCPT", "550 relay not permitted")->rule, "own.exim");
    assert_cause("RCPT", "550 5.1.1 user unknown", "recipient-unknown");
    assert_int_equal(reply_learn("own.rules", B(""), &why), OK);
    assert_cause("RCPT", "550 5.7.1 no more mailbox, relay denied", "relay-not-authorised");
}

static void test_mistakes(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        { "nonsense x\n", "f:1: no such keyword: nonsense" },
        { "\n# x\nrule a\n  words (a\n", "f:4: missing closing parenthesis: (a" },
        { "rule a\n cause nothing-such\n", "f:2: no such cause: nothing-such" },
        { "rule a\n cause loop\n", "no code, enhanced or words" },
        { "rule a\n code 550\n", "no cause in the rule" },
        { "rule a\n cause loop\n words x\nrule a\n", "f:4: rule needs a new name: a" },
        { "cause loop\n", "f:1: cause needs a new name: loop" },
        { "cause new\n words x\n", "f:2: this belongs in a rule, cause or family" },
        { "who sender\n", "f:1: this belongs in a rule, cause or family" },
        { "cause new\n who me\n", "f:2: who must be" },
        { "cause new\n permanent perhaps\n", "f:2: permanent must be" },
        { "rule a\n confidence 2.00\n", "f:2: confidence must be" },
        { "rule a\n confidence 1\n", "f:2: confidence must be" },
        { "rule a\n submission perhaps\n", "f:2: submission must be" },
        { "rule a\n cause loop\n words {NOSUCH}\n", "f:3: no such let: NOSUCH" },
        { "let DENIED x\n", "f:1: let needs a new name" },
        { "let X\n", "let needs a new name and a pattern" },
        { "rule\n", "needs a value" },
        { "rule a\n server nobody\n", "f:2: no such family: nobody" },
        { "rule a\n login perhaps\n", "f:2: login must be" },
        { "rule a\n mx perhaps\n", "f:2: mx must be" },
        { "rule a\n reason perhaps\n", "f:2: no such reason: perhaps" },
        { "rule a\n severity perhaps\n", "f:2: severity must be" },
        { "family a\nfamily a\n", "f:2: family needs a new name: a" },
        { "family a\n code 550\n", "f:2: this belongs in a rule, cause or family: code" },
        { "rule a\n elsewhere loop\n", "f:2: this belongs in a rule, cause or family: elsewhere" },
        { "cause a\n elsewhere nothing\n", "f:2: no such cause: nothing" },
        { "+ more\n", "f:1: no such keyword: +" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct why why = { 0 };
        assert_int_equal(reply_learn("f", bytes_str(rows[i][0]), &why), PERM);
        if (!strstr(why.text, rows[i][1]))
            fail_msg("%s: %s", rows[i][0], why.text);
    }
    assert_cause("RCPT", "550 relaying denied", "relay-not-authorised");
}

/* The files themselves: every cause says who and what to do, and every rule how sure it is. */
static void test_files(void **state) {
    (void)state;
    struct rules rules;
    struct why why;
    rules_open(&rules, NULL);
    for (const struct embedded *e = replies_rules; e->name; e++)
        if (rules_read(&rules, e->name, bytes_of(e->octets, e->size), &why) != OK)
            fail_msg("%s", why.text);
    for (size_t i = 0; i < rules.causes.count; i++) {
        const struct cause *c = rules.causes.list[i];
        assert_true(strlen(c->meaning.explanation) > 20);
        assert_true(c->meaning.fixes.count > 0 || !strcmp(c->meaning.who, "nobody"));
    }
    for (size_t i = 0; i < rules.rules.count; i++) {
        const struct rule *r = rules.rules.list[i];
        if (r->confidence <= 0 || r->confidence > 1)
            fail_msg("rule %s: confidence", r->name);
    }
    rules_close(&rules);
}

static int tear_down(void **state) {
    (void)state;
    reply_forget();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),     cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_costumes),   cmocka_unit_test(test_families),
        cmocka_unit_test(test_traps),      cmocka_unit_test(test_direct),
        cmocka_unit_test(test_mx),         cmocka_unit_test(test_said),
        cmocka_unit_test(test_causes),     cmocka_unit_test(test_facts),
        cmocka_unit_test(test_action),     cmocka_unit_test(test_masked),
        cmocka_unit_test(test_permanent),  cmocka_unit_test(test_any_octets),
        cmocka_unit_test(test_long_words), cmocka_unit_test(test_learn),
        cmocka_unit_test(test_mistakes),   cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
