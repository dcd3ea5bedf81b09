/* Tests of src/flow/certificate.c. */
#include "flow/certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct bytes names[] = { { "GW.adatum.com", 13 }, { "ops@adatum.com", 14 } };

static void said(const struct facts *f, size_t room, const char *expected) {
    char text[200];
    struct buf b = buf_fixed(text, room + 1); /* a NUL behind it */
    facts_vouched_names(f, &b);
    assert_int_equal(b.len, strlen(expected));
    assert_memory_equal(text, expected, b.len);
}

/* An authority that does not vouch gives no name; each that does gives all of them. */
static void test_vouched(void **state) {
    (void)state;
    struct vouch vouches[] = { { B("/a"), true, BYTES_NONE },
                               { B("/b"), false, B("expired") },
                               { B("/c"), true, BYTES_NONE } };
    struct facts f = { .client_names = { 2, names }, .vouches = vouches, .vouch_count = 3 };
    said(&f, 199,
         "ca:/a name:gw.adatum.com\nca:/a name:ops@adatum.com\n"
         "ca:/c name:gw.adatum.com\nca:/c name:ops@adatum.com\n");
    vouches[0].vouches = vouches[2].vouches = false;
    said(&f, 199, "");
    said(&(struct facts){ 0 }, 199, "");
}

/* Never a name cut short: it would be another's. */
static void test_too_many(void **state) {
    (void)state;
    struct vouch vouches[] = { { B("/a"), true, BYTES_NONE } };
    struct facts f = { .client_names = { 2, names }, .vouches = vouches, .vouch_count = 1 };
    for (size_t room = 1; room < 25; room++)
        said(&f, room, "");
    for (size_t room = 25; room < 51; room++)
        said(&f, room, "ca:/a name:gw.adatum.com\n");
    said(&f, 51, "ca:/a name:gw.adatum.com\nca:/a name:ops@adatum.com\n");
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_vouched),
                                        cmocka_unit_test(test_too_many) };
    return cmocka_run_group_tests_name("certificate", tests, NULL, NULL);
}
