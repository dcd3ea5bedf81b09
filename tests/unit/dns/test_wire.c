/* Questions and answers between processes, also such as nobody should send. */
#include "base/must.h"
#include "dns/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void questions(void **state) {
    (void)state;
    char memory[512];
    struct buf b = buf_fixed(memory, sizeof memory);
    struct bytes name;
    enum dns_type type;
    dns_wire_format_question(&b, B("example.com"), DNS_MX);
    assert_true(dns_wire_parse_question(buf_bytes(&b), &name, &type));
    assert_true(bytes_equal(name, B("example.com")));
    assert_int_equal(type, DNS_MX);
    for (size_t n = 0; n < b.len; n++)
        assert_false(dns_wire_parse_question(bytes_first(buf_bytes(&b), n), &name, &type));
    buf_char(&b, 'x');
    assert_false(dns_wire_parse_question(buf_bytes(&b), &name, &type));
    buf_clear(&b);
    dns_wire_format_question(&b, B("a\0b"), DNS_MX);
    assert_false(dns_wire_parse_question(buf_bytes(&b), &name, &type));
    buf_clear(&b);
    dns_wire_format_question(&b, B("example.com"), (enum dns_type)255);
    assert_false(dns_wire_parse_question(buf_bytes(&b), &name, &type));
}

static void answers(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct buf b = buf_grow(4096);
    struct dns_record records[2] = {
        { .preference = 10, .name = B("mail.example.com") },
        { .data = B("v=spf1 -all"), .address = { .family = 4, .ip = { 192, 0, 2, 1 } } },
    };
    struct dns_answer answer = { .rc = OK,
                                 .exists = true,
                                 .secure = true,
                                 .canonical = B("example.com"),
                                 .count = 2,
                                 .records = records };
    struct dns_answer got;
    dns_wire_format_answer(&b, &answer);
    assert_true(dns_wire_parse_answer(buf_bytes(&b), a, &got));
    assert_true(got.exists && got.secure && got.rc == OK && got.count == 2);
    assert_true(bytes_equal(got.records[0].name, records[0].name));
    assert_int_equal(got.records[0].preference, 10);
    assert_true(bytes_equal(got.records[1].data, records[1].data));
    assert_true(addr_equal(got.records[1].address, records[1].address));
    for (size_t n = 0; n < b.len; n++)
        assert_false(dns_wire_parse_answer(bytes_first(buf_bytes(&b), n), a, &got));
    buf_free(&b);
    arena_close(&a);
}

static void temporary_answers_say_why(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct buf b = buf_grow(4096);
    struct dns_answer answer = { .rc = TEMP, .bogus = true }, got;
    why_set(&answer.why, TEMP, 451, "4.4.3", "dns.failed", "no answer");
    dns_wire_format_answer(&b, &answer);
    assert_true(dns_wire_parse_answer(buf_bytes(&b), a, &got));
    assert_int_equal(got.rc, TEMP);
    assert_true(got.bogus);
    assert_int_equal(got.why.code, 451);
    assert_int_equal(got.why.status.detail, 3);
    assert_string_equal(got.why.reason, "dns.failed");
    assert_string_equal(got.why.text, "no answer");
    buf_free(&b);
    arena_close(&a);
}

/* An answer larger than a message between processes is cut at a record. */
static void more_than_fits(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct buf b = buf_grow(1 << 20);
    static char text[60000];
    memset(text, 'x', sizeof text);
    struct dns_record records[4] = { 0 };
    for (size_t i = 0; i < COUNT_OF(records); i++)
        records[i].data = bytes_of(text, sizeof text);
    struct dns_answer answer = { .rc = OK, .exists = true, .count = 4, .records = records }, got;
    dns_wire_format_answer(&b, &answer);
    assert_true(b.len <= 128 * 1024);
    assert_true(dns_wire_parse_answer(buf_bytes(&b), a, &got));
    assert_int_equal(got.count, 2);
    buf_free(&b);
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions),
        cmocka_unit_test(answers),
        cmocka_unit_test(temporary_answers_say_why),
        cmocka_unit_test(more_than_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
