/* Keeper calls as octets: what is written is read, and nothing else is. */
#include "keeper/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct wire_request sample = {
    .op = WIRE_BEGIN,
    .exchange = 77,
    .session = { .mechanism = { "SCRAM-SHA-256", 13 },
                 .client = { .family = 6, .ip = { 1, 2, 3 }, .port = 25, .scope = 3 },
                 .service = { "smtp", 4 },
                 .cb_exporter = { "0123", 4 },
                 .no_plus = true,
                 .has_initial = true,
                 .initial = { "n,,", 3 } },
};

static void requests_come_back(void **state) {
    char memory[WIRE_MAX];
    struct buf b = buf_fixed(memory, sizeof memory);
    struct wire_request r;
    (void)state;
    wire_format_request(&b, &sample);
    assert_true(wire_parse_request(buf_bytes(&b), &r));
    assert_int_equal(r.exchange, 77);
    assert_true(bytes_equal(r.session.mechanism, B("SCRAM-SHA-256")));
    assert_true(addr_equal(r.session.client, sample.session.client));
    assert_true(r.session.no_plus && r.session.has_initial);
    assert_true(bytes_equal(r.session.initial, B("n,,")));
    buf_clear(&b);
    wire_format_request(
        &b, &(struct wire_request){ .op = WIRE_STEP, .exchange = 1, .response = B("x") });
    assert_true(wire_parse_request(buf_bytes(&b), &r));
    assert_true(bytes_equal(r.response, B("x")));
}

static void cut_or_longer_requests_do_not(void **state) {
    char memory[WIRE_MAX];
    struct buf b = buf_fixed(memory, sizeof memory);
    struct wire_request r;
    (void)state;
    wire_format_request(&b, &sample);
    for (size_t len = 0; len < b.len; len++)
        assert_false(wire_parse_request(bytes_of(memory, len), &r));
    buf_char(&b, 'x');
    assert_false(wire_parse_request(buf_bytes(&b), &r));
}

static void lengths_are_bounded(void **state) {
    char memory[4 * WIRE_MAX], big[WIRE_DATA_MAX + 1];
    struct buf b = buf_fixed(memory, sizeof memory);
    struct wire_request r = sample;
    (void)state;
    memset(big, 'x', sizeof big);
    r.session.initial = bytes_of(big, WIRE_DATA_MAX);
    wire_format_request(&b, &r);
    assert_true(wire_parse_request(buf_bytes(&b), &r));
    assert_true(b.len <= WIRE_MAX);
    buf_clear(&b);
    r.session.initial = bytes_of(big, sizeof big);
    wire_format_request(&b, &r);
    assert_false(wire_parse_request(buf_bytes(&b), &r));
    buf_clear(&b);
    r = sample;
    r.session.mechanism = bytes_of(big, 33);
    wire_format_request(&b, &r);
    assert_false(wire_parse_request(buf_bytes(&b), &r));
}

static void answers_come_back(void **state) {
    char memory[WIRE_MAX];
    struct buf b = buf_fixed(memory, sizeof memory);
    struct auth_answer a = { .result = AUTH_REFUSED,
                             .data = B("v="),
                             .login = B("terri"),
                             .delay_ms = 4000,
                             .close = true };
    struct auth_answer back;
    (void)state;
    why_set(&a.why, PERM, 535, "5.7.8", "auth.failed", "Wrong login or password");
    wire_format_answer(&b, &a);
    assert_true(wire_parse_answer(buf_bytes(&b), &back));
    assert_int_equal(back.result, AUTH_REFUSED);
    assert_true(bytes_equal(back.data, B("v=")) && bytes_equal(back.login, B("terri")));
    assert_int_equal(back.delay_ms, 4000);
    assert_true(back.close);
    assert_int_equal(back.why.code, 535);
    assert_int_equal(back.why.status.detail, 8);
    assert_string_equal(back.why.text, a.why.text);
    for (size_t len = 0; len < b.len; len++)
        assert_false(wire_parse_answer(bytes_of(memory, len), &back));
    memory[0] = 9;
    assert_false(wire_parse_answer(buf_bytes(&b), &back));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_come_back),
        cmocka_unit_test(cut_or_longer_requests_do_not),
        cmocka_unit_test(lengths_are_bounded),
        cmocka_unit_test(answers_come_back),
    };
    return cmocka_run_group_tests_name("keeper/wire", tests, NULL, NULL);
}
