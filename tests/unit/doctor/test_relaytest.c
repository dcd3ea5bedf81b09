/* The relay test: forms as they are written, each once; what answers mean, and what they do not; marks of messages. */
#include "base/must.h"
#include "doctor/relaytest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct relay_names names = {
    .user = { "relaytest", 9 },
    .target = { "example.net", 11 },
    .other = { "example.org", 11 },
    .name = { "mail.contoso.com", 16 },
    .domain = { "contoso.com", 11 },
    .literal = { "[192.0.2.1]", 11 },
    .from = { "me@adatum.com", 13 },
    .stranger = { "nobody-1", 8 },
};

/* --- forms ---------------------------------------------------------------------------------------------- */

static void expands(const char *template, const char *expected) {
    struct arena *a = arena_open();
    struct bytes out;
    assert_true(relaytest_expand(a, template, &names, &out));
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.at, expected, out.len);
    arena_close(&a);
}

static void test_templates(void **state) {
    (void)state;
    expands("", "");
    expands("postmaster", "postmaster");
    expands("{user}@{target}", "relaytest@example.net");
    expands("\"{user}@{target}\"@{ip}", "\"relaytest@example.net\"@[192.0.2.1]");
    expands("@{name},@{target}:{user}@{target}",
            "@mail.contoso.com,@example.net:relaytest@example.net");
    expands("IMCEASMTP-{user+}+40{target+}@{domain}",
            "IMCEASMTP-relaytest+40example+2Enet@contoso.com");
    expands("{from}", "me@adatum.com");
}

static void test_unknown_names(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct relay_names few = names;
    struct relay_test *list;
    struct bytes out;
    size_t all = relaytest_plan(a, &names, false, &list);
    few.name = few.domain = BYTES_NONE;
    assert_false(relaytest_expand(a, "{user}%{target}@{name}", &few, &out));
    size_t count = relaytest_plan(a, &few, false, &list);
    assert_true(count > 20 && count < all);
    for (size_t i = 0; i < count; i++) {
        assert_true(bytes_find(list[i].to, '{') < 0 && bytes_find(list[i].from, '{') < 0);
        assert_true(list[i].place != RELAY_AT_NAME && list[i].place != RELAY_AT_DOMAIN);
    }
    arena_close(&a);
}

static bool has(const struct relay_test *list, size_t count, const char *from, const char *to) {
    for (size_t i = 0; i < count; i++)
        if (!list[i].control && !list[i].helo.len && bytes_equal(list[i].from, bytes_str(from)) &&
            bytes_equal(list[i].to, bytes_str(to)))
            return true;
    return false;
}

/* As nmap's smtp-open-relay writes them: sender, recipient. */
static void test_the_sixteen(void **state) {
    (void)state;
    static const char *const literal = "nobody-1@[192.0.2.1]";
    const struct {
        const char *from, *to;
    } sixteen[] = {
        { "", "relaytest@example.net" },
        { "nobody-1@example.net", "relaytest@example.net" },
        { "nobody-1@mail.contoso.com", "relaytest@example.net" },
        { literal, "relaytest@example.net" },
        { literal, "relaytest%example.net@[192.0.2.1]" },
        { literal, "relaytest%example.net@mail.contoso.com" },
        { literal, "\"relaytest@example.net\"" },
        { literal, "\"relaytest%example.net\"" },
        { literal, "relaytest@example.net@[192.0.2.1]" },
        { literal, "\"relaytest@example.net\"@[192.0.2.1]" },
        { literal, "relaytest@example.net@mail.contoso.com" },
        { literal, "@[192.0.2.1]:relaytest@example.net" },
        { literal, "@mail.contoso.com:relaytest@example.net" },
        { literal, "example.net!relaytest" },
        { literal, "example.net!relaytest@[192.0.2.1]" },
        { literal, "example.net!relaytest@mail.contoso.com" },
    };
    struct arena *a = arena_open();
    struct relay_test *list;
    size_t count = relaytest_plan(a, &names, false, &list);
    for (size_t i = 0; i < COUNT_OF(sixteen); i++)
        if (!has(list, count, sixteen[i].from, sixteen[i].to))
            fail_msg("MAIL <%s> RCPT <%s> is missing", sixteen[i].from, sixteen[i].to);
    arena_close(&a);
}

/* Where the recipient's domain is behind the last @, as RFC 5321 reads it: the table's own word for it must be right, as
 * what is harmless hangs on it. */
static enum relay_place place_of(struct bytes to) {
    if (to.len && to.at[0] == '@')
        to = bytes_skip(to, (size_t)bytes_find(to, ':') + 1);
    ptrdiff_t at = bytes_find_last(to, '@');
    ptrdiff_t quote = bytes_find_last(to, '"');
    struct bytes domain = at < 0 || quote > at ? BYTES_NONE : bytes_skip(to, (size_t)at + 1);
    if (!domain.len)
        return RELAY_AT_NOTHING;
    if (bytes_equal(domain, names.name))
        return RELAY_AT_NAME;
    if (bytes_equal(domain, names.domain))
        return RELAY_AT_DOMAIN;
    if (bytes_equal(domain, names.literal))
        return RELAY_AT_LITERAL;
    return bytes_equal(domain, B("localhost")) ? RELAY_AT_LOCALHOST : RELAY_FOREIGN;
}

static void test_the_table(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct relay_test *list;
    size_t count = relaytest_plan(a, &names, false, &list), controls = 0;
    assert_true(count > 60);
    for (size_t i = 0; i < count; i++) {
        controls += list[i].control;
        assert_true(!list[i].control || controls == i + 1); /* they come first */
        if (list[i].place != place_of(list[i].to))
            fail_msg("%s: %.*s", list[i].id, BYTES_FMT(list[i].to));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(list[i].id, list[j].id);
    }
    arena_close(&a);
}

/* A server whose name is its domain: what comes to the same is asked once. */
static void test_each_once(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct relay_names same = names;
    struct relay_test *list;
    size_t all = relaytest_plan(a, &names, false, &list);
    same.name = same.domain;
    size_t count = relaytest_plan(a, &same, false, &list);
    assert_true(count < all);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            assert_false(
                bytes_equal(list[i].from, list[j].from) && bytes_equal(list[i].to, list[j].to) &&
                bytes_equal(list[i].helo, list[j].helo) && list[i].control == list[j].control);
    size_t few = relaytest_plan(a, &names, true, &list);
    assert_true(few >= 6 && few < 15);
    arena_close(&a);
}

static void test_domains(void **state) {
    (void)state;
    const struct {
        const char *name, *domain;
    } cases[] = {
        { "mail.example.com", "example.com" },
        { "example.com", "example.com" },
        { "mx1.mail.example.co.uk", "mail.example.co.uk" },
        { "localhost", "localhost" },
        { "", "" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_true(
            bytes_equal(relaytest_domain_of(bytes_str(cases[i].name)), bytes_str(cases[i].domain)));
}

/* --- what it means ------------------------------------------------------------------------------------------ */

struct lab {
    struct arena *arena;
    struct relaytest_seen seen;
    struct finding_list findings;
};

/* All forms refused as a closed server does. */
static struct lab closed(void) {
    struct lab l = { .arena = arena_open() };
    l.seen.names = names;
    addr_parse(B("203.0.113.7"), &l.seen.local);
    addr_parse(B("198.51.100.25"), &l.seen.remote);
    l.seen.count = relaytest_plan(l.arena, &names, false, &l.seen.tests);
    for (size_t i = 0; i < l.seen.count; i++) {
        struct relay_test *t = &l.seen.tests[i];
        t->grade = RELAY_REFUSED;
        t->code = 554;
        t->text = B("5.7.1 Relay access denied");
        t->stage = "RCPT";
        t->cause = "relay-not-authorised";
    }
    finding_list_open(&l.findings, l.arena);
    return l;
}

static void accept(struct lab *l, enum relay_place place, bool forms) {
    for (size_t i = 0; i < l->seen.count; i++)
        if (l->seen.tests[i].place == place && (forms || l->seen.tests[i].control))
            l->seen.tests[i].grade = RELAY_ACCEPTED;
}

static struct relay_test *form(struct lab *l, const char *id) {
    for (size_t i = 0; i < l->seen.count; i++)
        if (!strcmp(l->seen.tests[i].id, id))
            return &l->seen.tests[i];
    fail_msg("there is no form %s", id);
    return NULL;
}

static void judged(struct lab *l, enum relay_verdict expected, const char *finding) {
    enum relay_verdict v = relaytest_judge(&l->seen, 0, &l->findings);
    assert_string_equal(relay_verdict_grade(v), relay_verdict_grade(expected));
    if (!finding_find(&l->findings, finding))
        fail_msg("no finding %s", finding);
    arena_close(&l->arena);
}

static void test_closed(void **state) {
    (void)state;
    struct lab l = closed();
    judged(&l, RELAY_IS_CLOSED, "relaytest.closed");
}

static void test_one_way_in(void **state) {
    (void)state;
    static const char *const ways[] = {
        "plain",           "null-sender",  "own-sender", "percent-at-name", "quoted",
        "bang-at-literal", "route-domain", "helo-name",  "encapsulated",    "double-at-localhost"
    };
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        struct lab l = closed();
        form(&l, ways[i])->grade = RELAY_ACCEPTED;
        if (!strcmp(ways[i], "plain"))
            form(&l, "control-other")->grade = RELAY_ACCEPTED;
        judged(&l, RELAY_IS_SUSPICIOUS, "relaytest.accepted");
    }
}

/* Anything in its own domain; then anything at all, which is another matter. */
static void test_catch_all(void **state) {
    (void)state;
    static const enum relay_place own[] = { RELAY_AT_NAME, RELAY_AT_DOMAIN, RELAY_AT_LITERAL,
                                            RELAY_AT_LOCALHOST, RELAY_AT_NOTHING };
    struct lab l = closed();
    for (size_t i = 0; i < COUNT_OF(own); i++)
        accept(&l, own[i], true);
    judged(&l, RELAY_IS_CLOSED, "relaytest.catch-all");
    l = closed();
    for (size_t i = 0; i < COUNT_OF(own); i++)
        accept(&l, own[i], true);
    accept(&l, RELAY_FOREIGN, true);
    judged(&l, RELAY_IS_SUSPICIOUS, "relaytest.accepts-all");
    /* Its domain takes anything, its name does not, and yet takes one form. */
    l = closed();
    accept(&l, RELAY_AT_DOMAIN, true);
    form(&l, "percent-at-name")->grade = RELAY_ACCEPTED;
    judged(&l, RELAY_IS_SUSPICIOUS, "relaytest.accepted");
}

/* Cut at the %, the recipient is a local user. */
static void test_a_local_user_of_that_name(void **state) {
    (void)state;
    struct lab l = closed();
    form(&l, "control-user-domain")->grade = RELAY_ACCEPTED;
    form(&l, "percent-at-domain")->grade = RELAY_ACCEPTED;
    judged(&l, RELAY_IS_CLOSED, "relaytest.catch-all");
}

static void test_target_of_its_own(void **state) {
    (void)state;
    struct lab l = closed();
    accept(&l, RELAY_FOREIGN, true);
    form(&l, "control-other")->grade = RELAY_REFUSED;
    judged(&l, RELAY_IS_UNCLEAR, "relaytest.target-is-its-own");
}

static void everywhere(struct lab *l, enum relay_grade grade, const char *stage, const char *cause,
                       int code) {
    for (size_t i = 0; i < l->seen.count; i++) {
        l->seen.tests[i].grade = grade;
        l->seen.tests[i].stage = stage;
        l->seen.tests[i].cause = cause;
        l->seen.tests[i].code = code;
    }
}

static void test_refusals_that_say_nothing(void **state) {
    (void)state;
    const struct {
        enum relay_grade grade;
        const char *stage, *cause;
        int code;
        enum relay_verdict verdict;
        const char *finding;
    } cases[] = {
        { RELAY_REFUSED, "MAIL", "blocklisted", 554, RELAY_IS_UNCLEAR, "relaytest.inconclusive" },
        { RELAY_REFUSED, "RCPT", "blocklisted", 554, RELAY_IS_UNCLEAR, "relaytest.inconclusive" },
        { RELAY_REFUSED, "RCPT", "host-unknown", 550, RELAY_IS_UNCLEAR, "relaytest.inconclusive" },
        { RELAY_REFUSED, "MAIL", "sender-unverified", 550, RELAY_IS_UNCLEAR,
          "relaytest.inconclusive" },
        { RELAY_LATER, "RCPT", "greylisted", 451, RELAY_IS_UNCLEAR, "relaytest.later" },
        { RELAY_UNTRIED, NULL, NULL, 0, RELAY_IS_UNCLEAR, "relaytest.untried" },
        { RELAY_REFUSED, "MAIL", "auth-required", 530, RELAY_IS_CLOSED, "relaytest.closed" },
        { RELAY_REFUSED, "RCPT", "recipient-unknown", 550, RELAY_IS_CLOSED, "relaytest.closed" },
        { RELAY_REFUSED, "RCPT", "unknown", 550, RELAY_IS_CLOSED, "relaytest.closed" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct lab l = closed();
        everywhere(&l, cases[i].grade, cases[i].stage, cases[i].cause, cases[i].code);
        judged(&l, cases[i].verdict, cases[i].finding);
    }
}

static void test_from_inside(void **state) {
    (void)state;
    static const char *const froms[] = { "127.0.0.1", "192.168.1.2", "10.0.0.1" };
    for (size_t i = 0; i < COUNT_OF(froms); i++) {
        struct lab l = closed();
        addr_parse(bytes_str(froms[i]), &l.seen.local);
        form(&l, "plain")->grade = form(&l, "control-other")->grade = RELAY_ACCEPTED;
        judged(&l, RELAY_IS_SUSPICIOUS, "relaytest.inside");
    }
    struct lab far = closed(); /* documentation addresses are not public: use real ones' shape */
    addr_parse(B("8.8.8.8"), &far.seen.local);
    addr_parse(B("9.9.9.9"), &far.seen.remote);
    relaytest_judge(&far.seen, 0, &far.findings);
    assert_null(finding_find(&far.findings, "relaytest.inside"));
    addr_parse(B("9.9.9.200"), &far.seen.local);
    relaytest_judge(&far.seen, 0, &far.findings);
    assert_non_null(finding_find(&far.findings, "relaytest.inside"));
    arena_close(&far.arena);
}

static void test_never_heard(void **state) {
    (void)state;
    struct lab l = closed();
    l.seen.count = 0;
    l.seen.gave_up = true;
    l.seen.why = B("connection refused");
    judged(&l, RELAY_IS_UNCLEAR, "relaytest.no-conversation");
}

/* --- messages -------------------------------------------------------------------------------------------------- */

static void test_marks(void **state) {
    (void)state;
    struct lab l = closed();
    struct buf message = buf_grow(1 << 16), other = buf_grow(1 << 16);
    struct relay_test *plain = form(&l, "plain"), *bang = form(&l, "bang");
    size_t n = (size_t)(plain - l.seen.tests), m = (size_t)(bang - l.seen.tests);
    plain->grade = bang->grade = RELAY_ACCEPTED;
    plain->sent = bang->sent = RELAY_SENT;
    relaytest_message(&message, &l.seen, n, B("t0ken"), 0);
    assert_false(message.full);
    /* Of another run. */
    assert_false(
        relaytest_sighted(l.arena, &l.seen, B("t0ke"), buf_bytes(&message), B("192.0.2.9")));
    assert_false(
        relaytest_sighted(l.arena, &l.seen, B("t0ken2"), buf_bytes(&message), B("192.0.2.9")));
    /* In a notice. */
    relaytest_message(&other, &l.seen, m, B("t0ken"), 0);
    struct bytes notice = arena_printf(
        l.arena, "Subject: Undelivered\n\nIt could not be delivered:\n\n%s", buf_text(&other));
    assert_true(relaytest_sighted(l.arena, &l.seen, B("t0ken"), notice, BYTES_NONE));
    assert_int_equal(bang->sent, RELAY_RETURNED);
    assert_int_equal(bang->grade, RELAY_ACCEPTED);
    /* Delivered, with what was put in front on the way. */
    struct bytes delivered =
        arena_printf(l.arena, "Received: from x\r\n\tby y\r\n%s", buf_text(&message));
    assert_true(relaytest_sighted(l.arena, &l.seen, B("t0ken"), delivered, B("192.0.2.9")));
    assert_int_equal(plain->grade, RELAY_PROVEN);
    assert_true(bytes_equal(plain->seen_by, B("192.0.2.9")));
    /* A number that no form has. */
    assert_false(relaytest_sighted(l.arena, &l.seen, B("t0ken"),
                                   B("X-Postern-Relaytest: t0ken-99999\n\n"), BYTES_NONE));
    assert_false(relaytest_sighted(l.arena, &l.seen, B("t0ken"),
                                   B("X-Postern-Relaytest: t0ken-\n\n"), BYTES_NONE));
    assert_false(relaytest_sighted(l.arena, &l.seen, B("t0ken"), BYTES_NONE, BYTES_NONE));
    buf_free(&message);
    buf_free(&other);
    judged(&l, RELAY_IS_OPEN, "relaytest.open");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_templates),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_the_sixteen),
        cmocka_unit_test(test_the_table),
        cmocka_unit_test(test_each_once),
        cmocka_unit_test(test_domains),
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_one_way_in),
        cmocka_unit_test(test_catch_all),
        cmocka_unit_test(test_a_local_user_of_that_name),
        cmocka_unit_test(test_target_of_its_own),
        cmocka_unit_test(test_refusals_that_say_nothing),
        cmocka_unit_test(test_from_inside),
        cmocka_unit_test(test_never_heard),
        cmocka_unit_test(test_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
