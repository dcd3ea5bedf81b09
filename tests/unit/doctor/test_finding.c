/* Findings: kept in order and within bounds, printable whatever came in, the same for people and scripts. */
#include "base/must.h"
#include "doctor/finding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static void fill(struct finding_list *l) {
    struct finding *f =
        finding_add(l, SEVERITY_INFO, "banner", "banner", "220 %s", "mail.example.com ESMTP");
    f = finding_add(l, SEVERITY_ERROR, "tls.expired", "STARTTLS", "the certificate ended on %s",
                    "2020-01-01");
    finding_about(l, f, "%s", "mail.example.com [192.0.2.1]:25");
    finding_means(l, f, "no client that insists on a valid one sends here");
    f->who = "recipient-admin";
    finding_fix(l, f, "renew the certificate");
    finding_fix(l, f, "restart the server");
    finding_skip(l, "tls.dane", "STARTTLS", "there is no DNS");
}

static void test_for_scripts(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct finding_list l;
    finding_list_open(&l, a);
    fill(&l);
    assert_int_equal(l.count, 3);
    assert_int_equal(l.worst, SEVERITY_ERROR);
    assert_ptr_equal(finding_find(&l, "tls.expired"), l.list[1]);
    assert_null(finding_find(&l, "tls"));
    struct buf b = buf_grow(1 << 16);
    finding_list_json(&l, &b);
    json_t *root = json_loadb(b.at, b.len, 0, NULL);
    assert_non_null(root);
    assert_int_equal(json_array_size(root), 3);
    const char *id, *step, *severity, *about, *seen, *means, *who;
    json_t *fix;
    assert_int_equal(json_unpack(json_array_get(root, 1), "{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o!}",
                                 "id", &id, "step", &step, "severity", &severity, "about", &about,
                                 "seen", &seen, "means", &means, "who", &who, "fix", &fix),
                     0);
    assert_string_equal(severity, "error");
    assert_string_equal(who, "recipient-admin");
    assert_int_equal(json_array_size(fix), 2);
    assert_true(json_is_true(json_object_get(json_array_get(root, 2), "skipped")));
    assert_null(json_object_get(json_array_get(root, 0), "about"));
    json_decref(root);
    buf_free(&b);
    arena_close(&a);
}

static void test_for_people(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct finding_list l;
    finding_list_open(&l, a);
    fill(&l);
    struct buf b = buf_grow(1 << 16);
    finding_list_text(&l, &b, false, 60);
    assert_string_equal(buf_text(&b), "error: tls.expired: mail.example.com [192.0.2.1]:25: the\n"
                                      "    certificate ended on 2020-01-01\n"
                                      "    no client that insists on a valid one sends here\n"
                                      "    Who must act: the administrator of the recipient's\n"
                                      "                  server or domain\n"
                                      "    - renew the certificate\n"
                                      "    - restart the server\n");
    buf_clear(&b);
    finding_list_text(&l, &b, true, 200);
    assert_true(bytes_search(buf_bytes(&b), B("info: banner: 220 mail.example.com ESMTP\n")) >= 0);
    assert_true(bytes_search(buf_bytes(&b), B("skipped: tls.dane: there is no DNS\n")) >= 0);
    buf_free(&b);
    arena_close(&a);
}

static void test_nothing_hostile_passes(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct finding_list l;
    char text[8 * FINDING_TEXT];
    finding_list_open(&l, a);
    struct finding *f = finding_add(&l, SEVERITY_WARNING, "banner", NULL, "%s",
                                    "220 \x1b[2J\r\n\x9b\xff ok \xc3\xa9");
    assert_true(bytes_find(f->seen, '\x1b') < 0 && bytes_find(f->seen, '\n') < 0);
    assert_true(bytes_is_utf8(f->seen));
    assert_true(bytes_search(f->seen, B("ok \xc3\xa9")) >= 0);
    memset(text, 'x', sizeof text);
    for (size_t i = 1; i + 1 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    text[sizeof text - 1] = 0;
    finding_means(&l, f, "%s", text);
    assert_true(f->means.len <= FINDING_TEXT && f->means.len > FINDING_TEXT / 4);
    assert_true(bytes_is_utf8(f->means));
    for (int i = 0; i < 2 * FINDING_FIXES; i++)
        finding_fix(&l, f, "%d", i);
    assert_int_equal(f->fixes, FINDING_FIXES);
    arena_close(&a);
}

static void test_bounded(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct finding_list l;
    finding_list_open(&l, a);
    for (int i = 0; i < FINDINGS_MAX; i++)
        finding_add(&l, SEVERITY_WARNING, "many", NULL, "%d", i);
    size_t used = arena_used(a);
    struct finding *f = finding_add(&l, SEVERITY_ERROR, "over", NULL, "%d", 1);
    finding_fix(&l, f, "fewer");
    assert_int_equal(arena_used(a), used);
    assert_int_equal(l.dropped, 1);
    assert_int_equal(l.worst, SEVERITY_ERROR);
    assert_null(finding_find(&l, "over"));
    struct buf b = buf_grow(1 << 20);
    finding_list_text(&l, &b, false, 80);
    assert_true(bytes_ends_nocase(buf_bytes(&b), B("(and 1 more)\n")));
    buf_free(&b);
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_for_scripts),
        cmocka_unit_test(test_for_people),
        cmocka_unit_test(test_nothing_hostile_passes),
        cmocka_unit_test(test_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
