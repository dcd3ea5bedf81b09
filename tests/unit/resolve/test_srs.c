/* Senders rewritten by SRS: there and back, and what others make of them. */
#include "resolve/srs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KEY B("the first key is 26 long..")
#define DAY INT64_C(86400000)
static const int64_t now = INT64_C(1795165200000); /* 20 November 2026 */

static struct bytes written(struct arena *a, struct bytes key, const char *sender,
                            const char *domain, int64_t at) {
    char text[300];
    struct buf b = buf_fixed(text, sizeof text);
    if (!srs_write(key, bytes_str(sender), bytes_str(domain), at, &b))
        return BYTES_NONE;
    return arena_copy(a, buf_bytes(&b));
}

static void there_and_back(void **state) {
    (void)state;
    static const char *const senders[] = { "anna@example.com", "a=b+c-d@x.example", "O'Neill@E.co",
                                           "bounces+1234-5678-user=host.example@em.example" };
    struct arena *a = arena_open();
    struct bytes inside;
    for (size_t i = 0; i < 4; i++) {
        struct bytes srs = written(a, KEY, senders[i], "ours.example", now);
        assert_true(bytes_starts(srs, B("SRS0=")));
        assert_true(bytes_ends_nocase(srs, B("@ours.example")));
        assert_true(srs_looks(srs));
        assert_int_equal(srs_read(KEY, srs, now, a, &inside), SRS_GOOD);
        assert_true(bytes_equal_nocase(inside, bytes_str(senders[i])));
        /* Some servers change the case of local parts. */
        assert_int_equal(srs_read(KEY, arena_lower(a, srs), now, a, &inside), SRS_GOOD);
        /* 21 days, and a day for clocks that differ. */
        assert_int_equal(srs_read(KEY, srs, now + 21 * DAY, a, &inside), SRS_GOOD);
        assert_int_equal(srs_read(KEY, srs, now + 23 * DAY, a, &inside), SRS_EXPIRED);
        assert_int_equal(srs_read(KEY, srs, now - 1 * DAY, a, &inside), SRS_GOOD);
        assert_int_equal(srs_read(KEY, srs, now - 2 * DAY, a, &inside), SRS_EXPIRED);
        assert_int_equal(srs_read(KEY, srs, now + 1023 * DAY, a, &inside), SRS_GOOD); /* wraps */
    }
    arena_close(&a);
}

static void every_changed_octet_is_a_forgery(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct bytes inside, srs = written(a, KEY, "anna@example.com", "ours.example", now);
    size_t at = (size_t)bytes_find(srs, '@');
    for (size_t i = 4; i < at; i++) {
        char changed[300];
        memcpy(changed, srs.at, srs.len);
        changed[i] = changed[i] == 'x' ? 'y' : 'x';
        assert_int_equal(srs_read(KEY, bytes_of(changed, srs.len), now, a, &inside), SRS_FORGED);
        assert_int_equal(inside.len, 0);
    }
    assert_int_equal(srs_read(B("another key"), srs, now, a, &inside), SRS_FORGED);
    assert_int_equal(srs_read(B(""), srs, now, a, &inside), SRS_FORGED);
    arena_close(&a);
}

static void old_keys_are_believed(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct bytes inside, srs = written(a, KEY, "anna@example.com", "ours.example", now);
    struct bytes keys = B("a new key\r\n\n  the first key is 26 long..\n");
    assert_int_equal(srs_read(keys, srs, now, a, &inside), SRS_GOOD);
    struct bytes fresh = written(a, keys, "anna@example.com", "ours.example", now);
    assert_false(bytes_equal(fresh, srs));
    assert_int_equal(srs_read(B("a new key"), fresh, now, a, &inside), SRS_GOOD);
    assert_int_equal(srs_read(KEY, fresh, now, a, &inside), SRS_FORGED);
    arena_close(&a);
}

static void what_others_rewrote(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct bytes inside;
    struct bytes srs =
        written(a, KEY, "SRS0=xjO9=V2=example.com=anna@first.example", "ours.example", now);
    assert_true(bytes_starts(srs, B("SRS1=")));
    assert_true(bytes_search(srs, B("=first.example==xjO9=V2=example.com=anna@ours.example")) > 0);
    assert_int_equal(srs_read(KEY, srs, now + 900 * DAY, a, &inside), SRS_GOOD);
    assert_true(bytes_equal(inside, B("SRS0=xjO9=V2=example.com=anna@first.example")));
    /* Theirs may have other separators: those are kept. */
    srs = written(a, KEY, "SRS0+xjO9-V2-example.com-anna@first.example", "ours.example", now);
    assert_int_equal(srs_read(KEY, srs, now, a, &inside), SRS_GOOD);
    assert_true(bytes_equal(inside, B("SRS0+xjO9-V2-example.com-anna@first.example")));
    /* A third forwarder names the first again, not the second. */
    srs = written(a, KEY, "SRS1=abcd=first.example==xjO9=V2=example.com=anna@second.example",
                  "ours.example", now);
    assert_int_equal(srs_read(KEY, srs, now, a, &inside), SRS_GOOD);
    assert_true(bytes_equal(inside, B("SRS0=xjO9=V2=example.com=anna@first.example")));
    /* An SRS0 cannot be passed off as an SRS1, nor the reverse. */
    char changed[300];
    memcpy(changed, srs.at, srs.len);
    changed[3] = '0';
    assert_int_equal(srs_read(KEY, bytes_of(changed, srs.len), now, a, &inside), SRS_FORGED);
    arena_close(&a);
}

static void what_cannot_be_carried_stays(void **state) {
    (void)state;
    struct arena *a = arena_open();
    char big[300];
    memset(big, 'x', 240);
    strcpy(big + 240, "@e.example");
    static const char *const senders[] = {
        "",        "postmaster",           "\"a b\"@example.com",      "a@[192.0.2.1]",
        "SRS1=x=", "SRS1=abcd=@e.example", "SRS1=abcd=first@e.example"
    };
    for (size_t i = 0; i < sizeof senders / sizeof *senders; i++)
        assert_int_equal(written(a, KEY, senders[i], "ours.example", now).len, 0);
    assert_int_equal(written(a, KEY, big, "ours.example", now).len, 0);
    assert_int_equal(written(a, B(" \n"), "anna@example.com", "ours.example", now).len, 0);
    arena_close(&a);
}

static void the_form_alone_is_a_forgery(void **state) {
    (void)state;
    static const char *const forms[] = { "SRS0=@o",
                                         "SRS0=x@o",
                                         "SRS0==@o",
                                         "SRS0=a=b=c=d@o",
                                         "SRS0=aaaaaa=@o",
                                         "SRS0=aaaaaa==a=b=c@o",
                                         "SRS1=aaaaaa=b=@o",
                                         "srs0-aaaaaa=bb=x.example=a@o",
                                         "SRS0=aaaaaa=bb=x.example=@o",
                                         "SRS1=aaaaaa@o",
                                         "SRS0=" };
    struct arena *a = arena_open();
    struct bytes inside;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        assert_int_equal(srs_read(KEY, bytes_str(forms[i]), now, a, &inside), SRS_FORGED);
    assert_false(srs_looks(B("srs@o")));
    assert_false(srs_looks(B("SRS0x=a@o")));
    assert_false(srs_looks(B("SRS2=a=b@o")));
    assert_false(srs_looks(B("SRS0+aaaa+bb+x.example+a@o"))); /* of a server behind us, say */
    assert_true(srs_looks(B("SRS0=a=b@o")));
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(every_changed_octet_is_a_forgery),
        cmocka_unit_test(old_keys_are_believed),
        cmocka_unit_test(what_others_rewrote),
        cmocka_unit_test(what_cannot_be_carried_stays),
        cmocka_unit_test(the_form_alone_is_a_forgery),
    };
    return cmocka_run_group_tests_name("resolve/srs", tests, NULL, NULL);
}
