/* Patterns: the words a pattern cannot do without must never keep it from a text it matches. */
#include "reply/pattern.h"

#include "base/must.h"
#include "reply/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const texts[] = {
    "",
    "a",
    "relay access denied",
    "RELAYING DENIED",
    "we do not relay mail",
    "no such user here",
    "message size exceeds 10 MB",
    "colour of color, coloooour",
    "ab aab aaab aXb a.b a{b",
    "\xe8\xbd\xac\xe5\x8f\x91\xe8\xa2\xab\xe6\x8b\x92\xe7\xbb\x9d", /* 转发被拒绝 */
    "\xd0\x97\xd0\x90\xd0\x9f\xd0\xa0\xd0\x95\xd0\xa9\xd0\x95\xd0\x9d\xd0\x9e", /* ЗАПРЕЩЕНО */
    "caf\xe9 \xff\xfe",
};

static void test_needs(void **state) {
    (void)state;
    static const char *const patterns[] = {
        "relay",
        "relay(s|ing)? ({DENIED})",
        "(access|relaying) denied",
        "colou?r",
        "colo*u?r",
        "colo+ur",
        "a{1,3}b",
        "a{0,3}b",
        "a{,3}b",
        "a\\{b",
        "a{b",
        "a[.X]b",
        "a[^]]b",
        "a.b",
        "a\\.b",
        "(?<!x)relay(?! not)",
        "(?<=not )relay",
        "(?i)RELAY",
        "(?x) re lay",
        "relay|",
        "|relay",
        "(relay)?",
        "(relay|)",
        "((re)(lay))",
        "(re(lay){0})",
        "no such \\w+ here",
        "\\bno\\b",
        "^message.*MB$",
        "\\Qrelay\\E",
        "[[:alpha:]]elay",
        "\xe8\xa2\xab?\xe6\x8b\x92",
        "\xe8\xa2\xab*(\xe6\x8b\x92|\xe8\xbd\xac)",
        "\xd0\xb7\xd0\xb0\xd0\xbf\xd1\x80",
        "{DENIED}",
        "({DENIED})?",
        "{DENIED}{2}",
        "x?y*z{0}",
        "()",
    };
    struct arena *a = arena_open();
    struct patterns *all = patterns_new(a, NULL);
    assert_true(pattern_let(all, B("NOT"), B("not|never")));
    assert_true(pattern_let(all, B("DENIED"), B("denied|refused|{NOT} allowed")));
    for (size_t i = 0; i < COUNT_OF(patterns); i++) {
        struct bytes undefined;
        struct pattern *p = pattern_new(all, bytes_str(patterns[i]), &undefined);
        assert_non_null(p);
        for (size_t t = 0; t < COUNT_OF(texts); t++) {
            patterns_look(all, bytes_str(texts[t]));
            if (pattern_found(p, bytes_str(texts[t])) != pattern_matches(p, bytes_str(texts[t])))
                fail_msg("%s in %s", patterns[i], texts[t]);
        }
    }
    arena_close(&a);
}

/* Every pattern that is built in, on every reply of the golden file. */
static void test_built_in(void **state) {
    (void)state;
    struct rules rules;
    struct why why;
    rules_open(&rules, NULL);
    for (const struct embedded *e = replies_rules; e->name; e++)
        assert_int_equal(rules_read(&rules, e->name, bytes_of(e->octets, e->size), &why), OK);
    FILE *f = fopen("tests/golden/replies.tsv", "rb");
    assert_non_null(f);
    char line[4096];
    unsigned found = 0;
    while (fgets(line, sizeof line, f)) {
        struct bytes text = bytes_str(line);
        patterns_look(rules.patterns, text);
        for (size_t i = 0; i < rules.rules.count; i++) {
            const struct rule *r = rules.rules.list[i];
            for (size_t w = 0; w < r->words.count; w++) {
                bool matches = pattern_matches(r->words.list[w], text);
                if (matches != pattern_found(r->words.list[w], text))
                    fail_msg("rule %s, words %zu: %s", r->name, w + 1, line);
                found += matches;
            }
        }
    }
    fclose(f);
    assert_true(found > 200);
    rules_close(&rules);
}

static void test_lets(void **state) {
    (void)state;
    struct bytes undefined;
    struct arena *a = arena_open(), *b = arena_open();
    struct patterns *lender = patterns_new(a, NULL), *own = patterns_new(b, lender);
    assert_false(pattern_let(lender, B("A"), B("x{B}")));
    assert_false(pattern_let(lender, B(""), B("x")));
    assert_false(pattern_let(lender, B("A"), B("")));
    assert_true(pattern_let(lender, B("A"), B("x")));
    assert_false(pattern_let(lender, B("A"), B("y")));
    assert_null(pattern_new(own, B("{A}{NOSUCH}"), &undefined)); /* lent before A was there */
    struct patterns *later = patterns_new(b, lender);
    assert_null(pattern_new(later, B("{A}{NOSUCH}"), &undefined));
    assert_true(bytes_equal(undefined, B("NOSUCH")));
    struct pattern *p = pattern_new(later, B("^{A}y"), &undefined);
    assert_null(pattern_wrong(p));
    patterns_look(later, B("XY"));
    assert_true(pattern_found(p, B("XY")));
    patterns_look(later, B("ay"));
    assert_false(pattern_found(p, B("ay")));
    p = pattern_new(later, B("x("), &undefined);
    assert_non_null(pattern_wrong(p));
    assert_false(pattern_matches(p, B("x")));
    arena_close(&b);
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_needs),
        cmocka_unit_test(test_built_in),
        cmocka_unit_test(test_lets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
