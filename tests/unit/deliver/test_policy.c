/* The ladder of TLS policy: what a route says, and what a login, a loopback address, a socket of this host and
 * TLS from the first octet make of it. */
#include "deliver/deliver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define DEFAULT TLS_POLICY_DEFAULT
#define VERIFY  TLS_POLICY_VERIFY
#define REQUIRE TLS_POLICY_REQUIRE
#define TRY     TLS_POLICY_OPPORTUNISTIC
#define OFF     TLS_POLICY_OFF

static const struct {
    struct deliver_tls facts;
    enum tls_policy expected;
} rows[] = {
    { { .set = DEFAULT }, TRY },
    { { .set = DEFAULT, .loopback = true }, OFF },
    { { .set = VERIFY }, VERIFY },
    { { .set = REQUIRE }, REQUIRE },
    { { .set = TRY }, TRY },
    { { .set = OFF }, OFF },
    { { .set = VERIFY, .loopback = true }, VERIFY },
    /* A login goes out over verified TLS only; to this host itself over TLS. */
    { { .set = DEFAULT, .login = true }, VERIFY },
    { { .set = TRY, .login = true }, VERIFY },
    { { .set = REQUIRE, .login = true }, VERIFY },
    { { .set = DEFAULT, .login = true, .loopback = true }, REQUIRE },
    { { .set = VERIFY, .login = true, .loopback = true }, VERIFY },
    /* TLS from the first octet is TLS, whatever else is said. */
    { { .set = OFF, .implicit = true }, REQUIRE },
    { { .set = DEFAULT, .implicit = true, .loopback = true }, REQUIRE },
    { { .set = TRY, .implicit = true }, TRY },
    /* Nothing goes over a wire. */
    { { .set = DEFAULT, .unix_socket = true }, OFF },
    { { .set = VERIFY, .unix_socket = true }, OFF },
};

static void test_ladder(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum tls_policy got = deliver_tls_policy(&rows[i].facts);
        if (got != rows[i].expected)
            fail_msg("row %zu: %d, not %d", i, (int)got, (int)rows[i].expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_ladder) };
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
