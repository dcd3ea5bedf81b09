/* The matrix of the lab's server, row by row, and that it never promises more than the decision. */
#include "lab.h"

static const struct matrix_row *find(const struct matrix_row *rows, size_t count, const char *who,
                                     const char *connector, const char *listener) {
    for (size_t i = 0; i < count; i++)
        if (bytes_search(rows[i].who, bytes_str(who)) >= 0 &&
            bytes_equal(rows[i].connector, bytes_str(connector)) &&
            bytes_search(rows[i].listener, bytes_str(listener)) >= 0)
            return &rows[i];
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%.*s | %.*s | %.*s | %.*s | %.*s\n", BYTES_FMT(rows[i].who),
                BYTES_FMT(rows[i].listener), BYTES_FMT(rows[i].senders), BYTES_FMT(rows[i].to_own),
                BYTES_FMT(rows[i].to_other));
    fail_msg("no row for %s at %s", who, listener);
    return NULL;
}

static const struct expected {
    const char *who, *connector, *listener, *senders, *to_own, *to_other;
} expected[] = {
    { "any login", "people", "submission", "own", "yes", "yes" },
    { "any login", "people", "offer", "own", "yes", "yes" },
    { "strict@proseware.com", "strict", "submission", "strict@proseware.com, strict.example", "yes",
      "strict.example only" },
    { "192.0.2.0/24", "office", "internet", "proseware.com, <>", "yes", "yes" },
    { "192.0.2.16/28", "copiers", "internet", "scanner@proseware.com", "yes", "yes" },
    { "192.0.2.16/28", "copiers", "submission", "scanner@proseware.com", "yes", "yes" },
    { "192.0.2.208/28", "old-site", "offer", "any", "yes", "no (relay.grant-expired)" },
    { "203.0.113.9", "billing", "internet", "any", "yes", "adatum.com only" },
    { "203.0.113.9", "billing", "submission", "any", "no (auth.required)", "no (auth.required)" },
    { "POP3", "after-pop", "internet", "own", "yes", "yes" },
    { "certificate", "partner", "internet", "any", "yes", "adatum.com only" },
    { "root, www-data", "cron", "postern send", "own", "yes", "yes" },
    { "anyone else", "", "internet", "any", "yes", "no (relay.no-grant)" },
    { "anyone else", "", "submission", "any", "no (auth.required)", "no (auth.required)" },
};

static void test_rows(void **state) {
    (void)state;
    struct lab l;
    const struct matrix_row *rows;
    lab_open(&l, lab_conf);
    size_t count = decide_matrix(l.config, LAB_NOW, l.arena, &rows);
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        const struct expected *e = &expected[i];
        const struct matrix_row *r = find(rows, count, e->who, e->connector, e->listener);
        assert_true(bytes_equal(r->senders, bytes_str(e->senders)));
        if (!bytes_equal(r->to_own, bytes_str(e->to_own)) ||
            !bytes_equal(r->to_other, bytes_str(e->to_other)))
            fail_msg("%s at %s: %.*s, %.*s", e->who, e->listener, BYTES_FMT(r->to_own),
                     BYTES_FMT(r->to_other));
    }
    lab_close(&l);
}

static void test_nothing_configured(void **state) {
    (void)state;
    struct lab l;
    const struct matrix_row *rows;
    lab_open(&l, "listener \"x\" { bind = {\"127.0.0.1:25\"} }\n");
    size_t count = decide_matrix(l.config, LAB_NOW, l.arena, &rows);
    assert_int_equal(count, 1);
    assert_true(bytes_equal(rows[0].who, B("anyone else")));
    assert_true(bytes_equal(rows[0].to_own, B("no domain is ours")));
    assert_true(bytes_equal(rows[0].to_other, B("no (relay.no-grant)")));
    lab_close(&l);

    lab_open(&l, "# nothing\n");
    assert_int_equal(decide_matrix(l.config, LAB_NOW, l.arena, &rows), 0);
    lab_close(&l);
}

static void test_a_connector_that_grants_nothing(void **state) {
    (void)state;
    struct lab l;
    const struct matrix_row *rows;
    lab_open(&l, "domain \"proseware.com\" {}\n"
                 "listener \"x\" { bind = {\"127.0.0.1:587\"} }\n"
                 "connector \"a\" { auth = {\"app@proseware.com\"} senders = any }\n");
    size_t count = decide_matrix(l.config, LAB_NOW, l.arena, &rows);
    const struct matrix_row *r = find(rows, count, "app@proseware.com", "a", "x");
    assert_true(bytes_equal(r->to_own, B("yes")));
    assert_true(bytes_equal(r->to_other, B("no (relay.no-grant)")));
    r = find(rows, count, "any other login", "", "x");
    assert_true(bytes_equal(r->senders, B("own")));
    assert_true(bytes_equal(r->to_other, B("no (relay.no-grant)")));
    lab_close(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_nothing_configured),
        cmocka_unit_test(test_a_connector_that_grants_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
