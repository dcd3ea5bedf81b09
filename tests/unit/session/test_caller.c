/* Who is calling: PROXY headers in any pieces, certificates kept past their handshake, TLS in the wrong place. */
#include "base/must.h"
#include "session/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct facts facts_of(const char *peer) {
    struct facts f = { 0 };
    assert_true(addr_parse(bytes_str(peer), &f.client));
    return f;
}

static void assert_addr(struct addr a, const char *text) {
    struct addr wanted;
    assert_true(addr_parse(bytes_str(text), &wanted));
    assert_true(addr_equal(a, wanted));
}

static void test_proxy_in_pieces(void **state) {
    (void)state;
    const struct bytes all = B("PROXY TCP4 198.51.100.7 192.0.2.25 40000 25\r\nEHLO x\r\n");
    const size_t header = all.len - 8;
    for (size_t cut = 1; cut < header; cut++) {
        struct facts f = facts_of("10.0.0.1");
        struct buf b = buf_grow(SESSION_PROXY_MAX);
        struct bytes data = bytes_first(all, cut);
        assert_int_equal(caller_read_proxy(&f, &b, &data), MORE);
        assert_null(f.client_told_by);
        data = bytes_skip(all, cut);
        assert_int_equal(caller_read_proxy(&f, &b, &data), OK);
        assert_true(bytes_equal(data, B("EHLO x\r\n")));
        assert_addr(f.client, "198.51.100.7");
        assert_addr(f.local, "192.0.2.25");
        assert_addr(f.client_peer, "10.0.0.1");
        assert_string_equal(f.client_told_by, "PROXY");
        assert_false(f.client_unknown);
    }
}

static void test_proxy_unknown(void **state) {
    (void)state;
    struct facts f = facts_of("10.0.0.1");
    struct buf b = buf_grow(SESSION_PROXY_MAX);
    struct bytes data = B("PROXY UNKNOWN\r\n");
    assert_int_equal(caller_read_proxy(&f, &b, &data), OK);
    assert_int_equal(data.len, 0);
    assert_true(f.client_unknown);
    assert_addr(f.client, "10.0.0.1");
}

static void test_no_proxy(void **state) {
    (void)state;
    struct facts f = facts_of("10.0.0.1");
    struct buf b = buf_grow(SESSION_PROXY_MAX);
    struct bytes data = B("EHLO x\r\n");
    assert_int_equal(caller_read_proxy(&f, &b, &data), PERM);
    assert_null(f.client_told_by);
    buf_free(&b);
}

static void test_certificate_is_kept(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct facts f = { 0 };
    char name[] = "mail.example.com", key[32] = "k";
    struct bytes names[] = { bytes_str(name) };
    struct tls_info info = { .peer_spki = bytes_of(key, sizeof key),
                             .peer_name_count = 1,
                             .peer_names = names };
    caller_note_certificate(&f, &info, a);
    memset(name, 'x', sizeof name - 1);
    memset(key, 'x', sizeof key);
    assert_int_equal(f.client_names.count, 1);
    assert_true(bytes_equal(f.client_names.list[0], B("mail.example.com")));
    assert_true(f.client_spki.len == 32 && f.client_spki.at[0] == 'k');
    caller_forget_certificate(&f);
    assert_int_equal(f.client_names.count + f.vouch_count + f.client_spki.len, 0);
    arena_close(&a);
}

static void test_client_hello(void **state) {
    (void)state;
    assert_true(caller_is_client_hello(B("\x16\x03\x01")));
    assert_false(caller_is_client_hello(B("\x16")));
    assert_false(caller_is_client_hello(B("EHLO")));
    assert_false(caller_is_client_hello(BYTES_NONE));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proxy_in_pieces), cmocka_unit_test(test_proxy_unknown),
        cmocka_unit_test(test_no_proxy),        cmocka_unit_test(test_certificate_is_kept),
        cmocka_unit_test(test_client_hello),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
