/* Address patterns: what each matches, and which of several wins. */
#include "config_test.h"

static struct pattern pattern(struct arena *a, const char *text) {
    struct pattern p;
    if (!pattern_parse(bytes_str(text), a, &p))
        fail_msg("\"%s\" is a pattern", text);
    return p;
}

static void what_matches(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *mailbox;
        bool matches;
    } cases[] = {
        { "user@a.example", "user@a.example", true },
        { "User@A.example", "uSER@a.EXAMPLE", true },
        { "user@a.example", "user2@a.example", false },
        { "user@a.example", "user@b.a.example", false },
        { "user@a.example", "", false },
        { "a.example", "user@a.example", true },
        { "a.example", "user@A.Example", true },
        { "a.example", "user@xa.example", false },
        { "a.example", "user@b.a.example", false },
        { "a.example", "a.example", false },
        { "a.example", "\"x@a.example\"@b.example", false },
        { "b.example", "\"x@a.example\"@b.example", true },
        { "*@a.example", "user@a.example", true },
        { "*@a.example", "user@b.example", false },
        { ".a.example", "user@b.a.example", true },
        { ".a.example", "user@c.b.A.example", true },
        { ".a.example", "user@a.example", false },
        { ".a.example", "user@ba.example", false },
        { ".a.example", "user@.a.example", false },
        { "*@.a.example", "user@b.a.example", true },
        { "*", "user@a.example", true },
        { "*", "user@[192.0.2.1]", true },
        { "*", "postmaster", true },
        { "*", "", false },
        { "<>", "", true },
        { "<>", "user@a.example", false },
        { "a.example", "", false },
        { ".a.example", "", false },
    };
    struct arena *a = arena_open();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pattern p = pattern(a, cases[i].pattern);
        bool matches = pattern_match(&p, bytes_str(cases[i].mailbox)) > 0;
        if (matches != cases[i].matches)
            fail_msg("%s and \"%s\"", cases[i].pattern, cases[i].mailbox);
    }
    arena_close(&a);
}

static void which_wins(void **state) {
    (void)state;
    /* From the least specific to the most. */
    static const char *const order[] = {
        "*", ".example", ".c.example", ".b.c.example", "a.b.c.example", "user@a.b.c.example"
    };
    struct arena *a = arena_open();
    unsigned before = 0;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        struct pattern p = pattern(a, order[i]);
        unsigned score = pattern_match(&p, B("user@a.b.c.example"));
        assert_true(score > before);
        before = score;
    }
    arena_close(&a);
}

static void the_longest_parent_is_below_a_domain(void **state) {
    (void)state;
    char text[260] = ".", mailbox[260] = "u@a";
    for (size_t i = 0; i < 125; i++)
        strcat(strcat(text, i ? "." : ""), "x");
    strcat(mailbox, text);
    struct arena *a = arena_open();
    struct pattern below = pattern(a, text), exact = pattern(a, mailbox + 2);
    assert_true(pattern_match(&below, bytes_str(mailbox)) > 0);
    assert_true(pattern_match(&below, bytes_str(mailbox)) <
                pattern_match(&exact, bytes_str(mailbox)));
    arena_close(&a);
}

static void the_best_of_a_list(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct pattern list[] = { pattern(a, "*"), pattern(a, "a.example"), pattern(a, ".example") };
    struct patterns all = { 3, list }, none = { 0, NULL };
    assert_int_equal(patterns_match(all, B("u@a.example")),
                     pattern_match(&list[1], B("u@a.example")));
    assert_int_equal(patterns_match(all, B("u@b.example")),
                     pattern_match(&list[2], B("u@b.example")));
    assert_int_equal(patterns_match(all, B("")), 0);
    assert_int_equal(patterns_match(none, B("u@a.example")), 0);
    arena_close(&a);
}

static void what_is_no_pattern(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",      "@",   "@a.example", "a@",           "a@b@c d",    "*@",
        "*@*",   "**",  "*.example",  "u*@a.example", ".",          "..",
        ".a..b", "a b", "a@.example", "<a@b>",        "a.example.."
    };
    struct arena *a = arena_open();
    struct pattern p;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (pattern_parse(bytes_str(wrong[i]), a, &p))
            fail_msg("\"%s\" is no pattern", wrong[i]);
    assert_false(pattern_parse(bytes_of("a\0b.example", 11), a, &p));
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_matches),
        cmocka_unit_test(which_wins),
        cmocka_unit_test(the_longest_parent_is_below_a_domain),
        cmocka_unit_test(the_best_of_a_list),
        cmocka_unit_test(what_is_no_pattern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
