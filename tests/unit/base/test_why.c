/* Tests of src/base/why.c. */
#include "base/why.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_set(void **state) {
    (void)state;
    struct why w;
    assert_int_equal(why_set(&w, PERM, 550, "5.7.1", "relay.no-grant", "no %s for %d", "x", 3),
                     PERM);
    assert_int_equal(w.code, 550);
    assert_true(w.status.klass == 5 && w.status.subject == 7 && w.status.detail == 1);
    assert_string_equal(w.reason, "relay.no-grant");
    assert_string_equal(w.text, "no x for 3");
    assert_int_equal(why_set(NULL, MORE, 0, NULL, NULL, "x"), MORE);
    why_set(&w, TEMP, 0, NULL, "r", "outer: %s", w.text);
    assert_string_equal(w.text, "outer: no x for 3");
    assert_false(status_is_set(w.status));
    why_clear(&w);
    assert_true(w.code == 0 && !w.text[0] && !w.reason[0]);
    why_clear(NULL);
}

static void test_text_is_one_clean_line(void **state) {
    (void)state;
    struct why w;
    why_set(&w, PERM, 550, NULL, "r", "%s", "a\r\nb\tc\x7f\xff\xc3\xa4");
    assert_string_equal(w.text, "a  b c ?\xc3\xa4");
}

static void test_text_is_cut_at_a_character(void **state) {
    (void)state;
    struct why w;
    char text[WHY_TEXT * 2];
    for (size_t lead = 0; lead < 4; lead++) {
        memset(text, 'x', lead);
        text[lead] = '\0';
        while (strlen(text) < WHY_TEXT + 40)
            strcat(text, "\xf0\x9f\x98\x80");
        why_set(&w, TEMP, 0, NULL, "a reason that is much longer than there is room for", "%s",
                text);
        size_t len = strlen(w.text);
        assert_true(len < WHY_TEXT && len > WHY_TEXT - 5);
        assert_int_equal((len - lead) % 4, 0);
        assert_memory_equal(w.text, text, len);
        assert_int_equal(strlen(w.reason), WHY_REASON - 1);
    }
}

static void test_backend(void **state) {
    (void)state;
    struct why w;
    assert_int_equal(why_backend(&w, "backend.directory", "%s", "down"), TEMP);
    assert_int_equal(w.code, 451);
    assert_true(w.status.klass == 4 && w.status.subject == 3 && w.status.detail == 0);
    assert_string_equal(w.text, "down");
    assert_int_equal(why_backend(NULL, "x", "y"), TEMP);
}

static void test_status(void **state) {
    (void)state;
    static const char *const bad[] = { "",        "5",        "5.7",    "5.7.",   "3.7.1",
                                       "5.7.1.2", "5.7.x",    "5..1",   "55.7.1", "5.7.1 ",
                                       ".7.1",    "5.1234.1", " 5.7.1", "5.7.-1", "5.7.1234" };
    struct status s = { 0 };
    char text[12];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(status_parse(bytes_str(bad[i]), &s));
    assert_false(status_parse(BYTES_NONE, &s));
    status_format(s, text);
    assert_string_equal(text, "");
    assert_true(status_parse(B("4.999.123"), &s));
    status_format(s, text);
    assert_string_equal(text, "4.999.123");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_text_is_one_clean_line),
        cmocka_unit_test(test_text_is_cut_at_a_character),
        cmocka_unit_test(test_backend),
        cmocka_unit_test(test_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
