/* Tests of src/message/address.c and address_domain.c. */
#include "message/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena *arena;

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
        assert_memory_equal(v_.at, text, v_.len);                                                  \
    } while (0)

/* Whatever is taken is taken again in its canonical form, as the same. */
static struct address good(const char *text) {
    struct address a, again;
    const char *wrong = address_parse(bytes_str(text), arena, &a);
    if (wrong)
        fail_msg("%s: %s", text, wrong);
    assert_null(address_parse(a.mailbox, arena, &again));
    assert_true(bytes_equal(a.mailbox, again.mailbox));
    assert_true(bytes_equal(a.local, again.local));
    assert_true(bytes_equal(a.domain, again.domain));
    assert_true(bytes_equal(address_domain(a.mailbox), a.domain));
    return a;
}

static void bad(const char *text) {
    struct address a;
    if (!address_parse(bytes_str(text), arena, &a))
        fail_msg("%s was taken as %.*s", text, BYTES_FMT(a.mailbox));
}

static void test_canonical(void **state) {
    (void)state;
    static const struct {
        const char *text, *mailbox, *local, *domain;
    } cases[] = {
        { "user@example.com", "user@example.com", "user", "example.com" },
        { "User.Name+tag@EXAMPLE.Com", "User.Name+tag@example.com", "User.Name+tag",
          "example.com" },
        { "\"user\"@example.com", "user@example.com", "user", "example.com" },
        { "\"us\\er\"@example.com", "user@example.com", "user", "example.com" },
        { "\"a b\"@example.com", "\"a b\"@example.com", "a b", "example.com" },
        { "\"a\\\"b\\\\\"@example.com", "\"a\\\"b\\\\\"@example.com", "a\"b\\", "example.com" },
        { "\"\"@example.com", "\"\"@example.com", "", "example.com" },
        { "\".a\"@example.com", "\".a\"@example.com", ".a", "example.com" },
        { "\"a..b\"@example.com", "\"a..b\"@example.com", "a..b", "example.com" },
        { "\"user@adatum.com\"@proseware.com", "\"user@adatum.com\"@proseware.com",
          "user@adatum.com", "proseware.com" },
        { "user%adatum.com@proseware.com", "user%adatum.com@proseware.com", "user%adatum.com",
          "proseware.com" },
        { "adatum.com!user@proseware.com", "adatum.com!user@proseware.com", "adatum.com!user",
          "proseware.com" },
        { "\"<>\"@example.com", "\"<>\"@example.com", "<>", "example.com" },
        { "!#$%&'*+-/=?^_`{|}~@x", "!#$%&'*+-/=?^_`{|}~@x", "!#$%&'*+-/=?^_`{|}~", "x" },
        { "root@my_host.example", "root@my_host.example", "root", "my_host.example" },
        { "a@1.example", "a@1.example", "a", "1.example" },
        { "a@xn--mller-kva.example", "a@xn--mller-kva.example", "a", "xn--mller-kva.example" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address a = good(cases[i].text);
        ASSERT_BYTES(a.mailbox, cases[i].mailbox);
        ASSERT_BYTES(a.local, cases[i].local);
        ASSERT_BYTES(a.domain, cases[i].domain);
        assert_false(a.literal);
        assert_false(a.utf8);
    }
}

static void test_literals(void **state) {
    (void)state;
    static const struct {
        const char *text, *domain;
    } cases[] = {
        { "user@[127.0.0.1]", "[127.0.0.1]" },
        { "user@[IPv6:2001:DB8:0:0::1]", "[IPv6:2001:db8::1]" },
        { "user@[ipv6:::1]", "[IPv6:::1]" },
        { "user@[IPv6:::ffff:192.0.2.1]", "[192.0.2.1]" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address a = good(cases[i].text);
        ASSERT_BYTES(a.domain, cases[i].domain);
        assert_true(a.literal);
    }
    static const char *const wrong[] = {
        "a@[127.0.0.1",    "a@127.0.0.1]",       "a@[127.0.0]",     "a@[]",
        "a@[::1]",         "a@[IPv6:127.0.0.1]", "a@[127.0.0.1].x", "a@[IPv6:fe80::1%eth0]",
        "a@[x:127.0.0.1]", "a@[127.0.0.1]]",     "a@[ 127.0.0.1]",  "a@[IPv6:]",
        "a@[localhost]",   "a@[127.0.0.1:25]",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        bad(wrong[i]);
}

static void test_malformed(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",
        "@",
        "a",
        "a@",
        "@example.com",
        "a@@example.com",
        "a@b@example.com",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        "a b@example.com",
        "a@exa mple.com",
        "a@example..com",
        "a@.example.com",
        "a@example.com.",
        "a@-example.com",
        "a@example-.com",
        "a@exam!ple.com",
        "\"a@example.com",
        "\"a\"b@example.com",
        "\"a\\\"@example.com",
        "\"\\",
        "\"a\001\"@example.com",
        "a\001@example.com",
        "a@exa\001mple.com",
        "a@example.com\r",
        "a\r\n@example.com",
        "<a@example.com>",
        "a@127.0.0.1",
        "a@1",
        "a@example.1",
        "a,b@example.com",
        "a@b,example.com",
        "(c)a@example.com",
        "a@example.com(c)",
        "a\\@b@example.com",
        "\"a\\\xc3\xa4\"@example.com",
        "a@exa/mple.com",
        "@a:b@example.com",
        "a@b:c",
        "postmasterx",
        "\"postmaster\"",
        "a\x7f@example.com",
        "\"\x7f\"@example.com",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        bad(wrong[i]);
    struct address a;
    assert_non_null(address_parse(bytes_of("a\0b@example.com", 15), arena, &a));
    assert_non_null(address_parse(bytes_of("a@exa\0mple.com", 14), arena, &a));
    assert_non_null(address_parse(bytes_of("a@ex\xc3\xa4\0mple.com", 15), arena, &a));
    assert_non_null(address_parse(bytes_of("\"\0\"@example.com", 15), arena, &a));
}

static void test_postmaster(void **state) {
    (void)state;
    struct address a = good("PostMaster");
    ASSERT_BYTES(a.mailbox, "postmaster");
    ASSERT_BYTES(a.domain, "");
    ASSERT_BYTES(address_local(a.mailbox), "postmaster");
}

static struct bytes filled(const char *before, size_t n, const char *behind) {
    char many[400];
    memset(many, 'a', n);
    many[n] = '\0';
    return arena_printf(arena, "%s%s%s", before, many, behind);
}

static const char label62[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static void test_limits(void **state) {
    (void)state;
    struct address a;
    assert_null(address_parse(filled("", 64, "@example.com"), arena, &a));
    assert_non_null(address_parse(filled("", 65, "@example.com"), arena, &a));
    assert_null(address_parse(filled("\"", 64, "\"@example.com"), arena, &a));
    assert_non_null(address_parse(filled("\"", 65, "\"@example.com"), arena, &a));
    assert_null(address_parse(filled("\" ", 61, "\"@example.com"), arena, &a));
    assert_non_null(address_parse(filled("\" ", 62, "\"@example.com"), arena, &a));
    assert_null(address_parse(filled("a@", 63, ".com"), arena, &a));
    assert_non_null(address_parse(filled("a@", 64, ".com"), arena, &a));
    /* 64 + 1 + 189 = 254 in all */
    struct bytes domain = arena_printf(arena, "@%s.%s.%s", label62, label62, label62);
    const char *tail = arena_str(arena, domain);
    assert_int_equal(domain.len, 189);
    assert_null(address_parse(filled("", 64, arena_str(arena, arena_printf(arena, "%sb", tail))),
                              arena, &a));
    assert_int_equal(a.mailbox.len, 254);
    assert_non_null(address_parse(
        filled("", 64, arena_str(arena, arena_printf(arena, "%s.b", tail))), arena, &a));
    struct bytes name;
    assert_null(address_parse_domain(
        arena_printf(arena, "%s.%s.%s.%s.bbb", label62, label62, label62, label62), arena, &name));
    assert_int_equal(name.len, 255);
    assert_non_null(address_parse_domain(
        arena_printf(arena, "%s.%s.%s.%s.bbbb", label62, label62, label62, label62), arena, &name));
}

static void test_utf8(void **state) {
    (void)state;
    struct address a = good("m\xc3\xbcller@example.com");
    assert_true(a.utf8);
    ASSERT_BYTES(a.mailbox, "m\xc3\xbcller@example.com");
    assert_null(address_parse(B("info@M\xc3\xbcLLER.example"), arena, &a));
    assert_true(a.utf8);
    ASSERT_BYTES(a.domain, "xn--mller-kva.example");
    assert_null(address_parse(B("a@fu\xc3\x9f"
                                "ball.example"),
                              arena, &a));
    ASSERT_BYTES(a.domain, "xn--fuball-cta.example"); /* nontransitional */
    /* Overlong, broken, surrogate, C1 control, lone continuation. */
    bad("a\xc0\xaf@example.com");
    bad("a\xc3@example.com");
    bad("a\xed\xa0\x80@example.com");
    bad("a\xc2\x85@example.com");
    bad("\x80@example.com");
    bad("a@ex\xff"
        "ample.com");
    /* What UTS #46 maps to ASCII is judged as ASCII: full stop, digits, at sign, percent. */
    struct address b;
    assert_null(address_parse(B("a@example\xe3\x80\x82"
                                "com"),
                              arena, &b));
    ASSERT_BYTES(b.domain, "example.com");
    bad("a@\xef\xbc\x91.\xef\xbc\x92.\xef\xbc\x93.\xef\xbc\x94");
    bad("a@b\xef\xbc\xa0"
        "example.com");
    bad("a@b\xef\xbc\x85"
        "example.com");
}

static void test_parts(void **state) {
    (void)state;
    ASSERT_BYTES(address_domain(B("\"a@b\"@c")), "c");
    ASSERT_BYTES(address_local(B("\"a@b\"@c")), "\"a@b\"");
    ASSERT_BYTES(address_domain(BYTES_NONE), "");
    assert_true(address_equal(B("User@example.com"), B("user@Example.com")));
    assert_false(address_equal(B("user@example.com"), B("user@example.co")));
}

static void test_display(void **state) {
    (void)state;
    static const struct {
        const char *text, *shown;
    } cases[] = {
        { "a@example.com", "a@example.com" },
        { "a@xn--mller-kva.example", "a@m\xc3\xbcller.example" },
        { "a@xn--r8jz45g.xn--zckzah",
          "a@\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88" },
        /* Cyrillic that looks like "apple", and Latin with one Cyrillic letter */
        { "a@xn--80ak6aa92e.com", "a@xn--80ak6aa92e.com" },
        { "a@xn--pple-43d.com", "a@xn--pple-43d.com" },
        /* the same script up to the top */
        { "a@xn--e1afmkfd.xn--p1ai",
          "a@\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.\xd1\x80\xd1\x84" },
        { "a@xn--zzzzzzzz9.com", "a@xn--zzzzzzzz9.com" },
        { "postmaster", "postmaster" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ASSERT_BYTES(address_display(bytes_str(cases[i].text), arena), cases[i].shown);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_canonical, setup, teardown),
        cmocka_unit_test_setup_teardown(test_literals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_postmaster, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_utf8, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_display, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
