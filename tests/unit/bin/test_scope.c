/* What a tenant's administrator sees and steers of a message. */
#include "base/must.h"
#include "bin/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char conf[] =
    "domain \"proseware.com\" {}\n"
    "domain \"a.example\" {}\n"
    "domain \"b.example\" {}\n"
    "tenant \"a\" { domains = {\"a.example\"} admins = {\"admin@a.example\"} }\n"
    "tenant \"b\" { domains = {\"b.example\"} admins = {\"admin@b.example\"} }\n";

static struct config *config;

static int open_config(void **state) {
    struct config_findings findings;
    (void)state;
    return config_parse(B("test"), bytes_str(conf), &config, &findings) != OK;
}

static int close_config(void **state) {
    (void)state;
    config_close(&config);
    return 0;
}

static void logins(void **state) {
    (void)state;
    static const char *const none[] = {
        "",           "user@a.example", "admin@proseware.com", "admin", "admin@a.example.",
        "@a.example", "admin@c.example"
    };
    assert_true(bytes_equal(scope_of_login(config, B("admin@a.example"))->name, B("a")));
    assert_true(bytes_equal(scope_of_login(config, B("admin@b.example"))->name, B("b")));
    for (size_t i = 0; i < COUNT_OF(none); i++)
        assert_null(scope_of_login(config, bytes_str(none[i])));
}

/* sees and steers: of tenant a, for a message handed in by `tenant` to these (original, final). */
static const struct {
    const char *tenant, *first, *first_final, *second;
    bool sees_first, sees_second, steers;
} cases[] = {
    { "a", "x@adatum.com", "x@adatum.com", "y@b.example", true, true, true },
    { "b", "x@adatum.com", "x@adatum.com", "y@b.example", false, false, false },
    { "b", "x@a.example", "x@a.example", "y@b.example", true, false, false },
    { "", "x@a.example", "x@a.example", "y@adatum.com", true, false, false },
    { "", "x@a.example", "x@a.example", "Y@A.example", true, true, true },
    { "", "all@proseware.com", "x@a.example", "y@a.example", true, true, true },
    { "", "x@a.example", "x@elsewhere.example", "y@a.example", true, true, true },
    { "", "postmaster", "postmaster", "y@sub.a.example", false, false, false },
};

static void messages(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct recipient to[] = {
            { .original = bytes_str(cases[i].first), .final = bytes_str(cases[i].first_final) },
            { .original = bytes_str(cases[i].second), .final = bytes_str(cases[i].second) },
        };
        const struct envelope e = { .tenant = bytes_str(cases[i].tenant),
                                    .count = 2,
                                    .recipients = to };
        assert_int_equal(scope_sees_recipient(config, B("a"), &e, &to[0]), cases[i].sees_first);
        assert_int_equal(scope_sees_recipient(config, B("a"), &e, &to[1]), cases[i].sees_second);
        assert_int_equal(scope_sees_message(config, B("a"), &e),
                         cases[i].sees_first || cases[i].sees_second);
        assert_int_equal(scope_steers_message(config, B("a"), &e), cases[i].steers);
        assert_false(scope_sees_message(config, BYTES_NONE, &e)); /* no tenant: nothing */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(logins, open_config, close_config),
        cmocka_unit_test_setup_teardown(messages, open_config, close_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
