/* The lists: the file that is built in is whole, mistakes in one are told with their line, and what an
 * answer says. Asking is shown against a table of names. */
#include "../dns/table.h"
#include "doctor/blocklists.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct addr address(const char *text) {
    struct addr a;
    assert_true(addr_parse(bytes_str(text), &a));
    return a;
}

/* --- the data ------------------------------------------------------------------------------------- */

static void whole(const struct blocklist *l) {
    bool says = l->ended != NULL;
    for (size_t i = 0; i < l->code_count; i++) {
        const struct blocklist_code *c = &l->codes[i];
        says |= !c->refuses;
        assert_true(*c->means && (c->bit || c->first[0] == 127));
        for (size_t j = 0; j < i && !c->bit; j++) /* no code twice */
            assert_false(bytes_equal(c->text, l->codes[j].text));
    }
    if (!says || !*l->name || !*l->means || !*l->delist || !l->of || l->weight < 1 || l->weight > 5)
        fail_msg("%.*s is not whole", BYTES_FMT(l->zone));
    /* Who is on a blocklist is told what to do, and who does it. */
    if (!l->allow && !l->ended && (!l->fixes || !l->who))
        fail_msg("%.*s says not what to do", BYTES_FMT(l->zone));
}

static void test_built_in(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct blocklist_table t;
    size_t asked = 0, of[3] = { 0 }, allow = 0;
    blocklists_builtin(a, &t);
    for (size_t i = 0; i < t.count; i++) {
        const struct blocklist *l = &t.lists[i];
        whole(l);
        assert_ptr_equal(blocklists_find(&t, l->zone), l);
        for (int bit = 0; bit < 3; bit++)
            of[bit] += blocklist_is_asked(l) && l->of & 1u << bit;
        asked += blocklist_is_asked(l);
        allow += l->allow;
    }
    assert_true(asked >= 30 && of[0] >= 20 && of[1] >= 8 && of[2] >= 8 && allow >= 3);
    const struct blocklist *zen = blocklists_find(&t, B("ZEN.spamhaus.org"));
    assert_ptr_equal(blocklists_find(&t, B("abc.zen.dq.spamhaus.net")), zen);
    assert_null(blocklists_find(&t, B("a.b.zen.dq.spamhaus.net")));
    assert_null(blocklists_find(&t, B("spamhaus.org")));
    assert_false(blocklist_is_asked(blocklists_find(&t, B("dnsbl.sorbs.net"))));
    arena_close(&a);
}

static const char *says(const struct blocklist_table *t, const char *zone, const char *answer) {
    const struct blocklist_code *c =
        blocklist_code(blocklists_find(t, bytes_str(zone)), address(answer));
    return c ? c->refuses ? "refuses" : c->means : "nothing";
}

static void test_codes(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct blocklist_table t;
    blocklists_builtin(a, &t);
    assert_true(strstr(says(&t, "zen.spamhaus.org", "127.0.0.6"), "XBL"));
    assert_string_equal(says(&t, "zen.spamhaus.org", "127.255.255.254"), "refuses");
    assert_string_equal(says(&t, "zen.spamhaus.org", "127.0.1.6"), "nothing");
    assert_string_equal(says(&t, "zen.spamhaus.org", "192.0.2.6"), "nothing");
    assert_true(strstr(says(&t, "list.dnswl.org", "127.0.11.3"), "high"));
    assert_string_equal(says(&t, "list.dnswl.org", "127.0.0.255"), "refuses");
    /* A sum of bits: the heaviest of them. */
    assert_true(strstr(says(&t, "multi.uribl.com", "127.0.0.6"), "black"));
    assert_true(strstr(says(&t, "multi.uribl.com", "127.0.0.4"), "grey"));
    assert_string_equal(says(&t, "multi.uribl.com", "127.0.0.1"), "refuses");
    assert_string_equal(says(&t, "multi.surbl.org", "127.0.1.8"), "nothing");
    arena_close(&a);
}

#define GOOD "name N\nof ipv4\nmeans M\ndelist D\n"
static void test_mistakes(void **state) {
    (void)state;
    static const struct {
        const char *text, *said;
    } wrong[] = {
        { "", "no list" },
        { "# nothing\n\n", "no list" },
        { "name X\n", "f:1: this belongs to no list" },
        { "list a b\n", "f:1: list takes a zone" },
        { "list .a\n", "list takes a zone" },
        { "list a;b\n", "list takes a zone" },
        { "list a.b\n" GOOD "code 127.0.0.2 x\nlist A.B\n", "f:7: list takes a zone, once" },
        { "list a.b\n" GOOD, "f:1: a list needs codes" },
        { "list a.b\nname N\ncode 127.0.0.2 x\n", "f:1: a list needs name" },
        { "list a.b\nof ipv4 ipv5\n", "f:2: of takes" },
        { "list a.b\nkind grey\n", "f:2: kind is" },
        { "list a.b\nweight 6\n", "f:2: weight" },
        { "list a.b\nweight 0\n", "f:2: weight" },
        { "list a.b\nseverity dire\n", "f:2: severity" },
        { "list a.b\nwho you\n", "f:2: who" },
        { "list a.b\nallow\n", "f:2: allow" },
        { "list a.b\ntest 127.0.0.2\n", "f:2: test takes" },
        { "list a.b\ntest a/b -\n", "f:2: test takes" },
        { "list a.b\nkey zen.example\n", "f:2: key is" },
        { "list a.b\nkeyed X\n" GOOD "code 127.0.0.2 x\n", "f:1: what is keyed" },
        { "list a.b\ncode 127.0.0.2\n", "f:2: code takes" },
        { "list a.b\ncode 128.0.0.2 x\n", "f:2: code takes" },
        { "list a.b\ncode 127.0.0.256 x\n", "f:2: code takes" },
        { "list a.b\ncode 127.0.0.9-4 x\n", "f:2: code takes" },
        { "list a.b\ncode 127.0.0 x\n", "f:2: code takes" },
        { "list a.b\ncode 127.0.0.2.3 x\n", "f:2: code takes" },
        { "list a.b\nbit 3 x\n", "f:2: bit takes" },
        { "list a.b\nbit 256 x\n", "f:2: bit takes" },
        { "list a.b\n\nname\n", "f:3: a value is missing" },
        { "list a.b\nnmae X\n", "f:2: there is no such keyword: nmae" },
        { "list a.b\nname \x1b"
          "[2J\n",
          "f:2: a control character" },
        { "list a.b\nname \xff\n", "f:2: a control character" },
        { "+ on\n", "f:1: there is nothing to go on with" },
        { "list a.b\nfix 1\nfix 2\nfix 3\nfix 4\nfix 5\nfix 6\nfix 7\nfix 8\nfix 9\n",
          "f:10: too many" },
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct arena *a = arena_open();
        struct blocklist_table t;
        struct why why = { 0 };
        assert_int_equal(blocklists_read("f", bytes_str(wrong[i].text), a, &t, &why), PERM);
        if (!strstr(why.text, wrong[i].said))
            fail_msg("%s: %s", wrong[i].text, why.text);
        arena_close(&a);
    }
    char *long_line = calloc(1, 10000);
    memset(long_line, 'x', 9999);
    struct arena *a = arena_open();
    struct blocklist_table t;
    struct why why;
    assert_int_equal(blocklists_read("f", bytes_str(long_line), a, &t, &why), PERM);
    assert_non_null(strstr(why.text, "too long"));
    arena_close(&a);
    free(long_line);
}

/* Whatever stands in it: read, or refused; every cut and every flipped octet of the file itself. */
static void test_any_text(void **state) {
    (void)state;
    static const char text[] =
        "list a.b\n" GOOD "test - -\nkey KEY.a.c\nrefuses 127.0.0.1 no\n"
        "code 127.0.*.4-7 x\n  severity error\n  fix y\n  + z\n  allow\nbit 8 w\n";
    char copy[sizeof text];
    for (size_t i = 0; i < sizeof text - 1; i++)
        for (int c = 0; c < 256; c += 3) {
            struct arena *a = arena_open();
            struct blocklist_table t;
            struct why why;
            memcpy(copy, text, sizeof text);
            copy[i] = (char)c;
            blocklists_read("f", bytes_of(copy, sizeof text - 1), a, &t, &why);
            blocklists_read("f", bytes_of(text, i), a, &t, &why);
            arena_close(&a);
        }
}

/* --- asking --------------------------------------------------------------------------------------- */

#define SIX ".0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.six.example"
static const struct table_row rows[] = {
    { "2.0.0.127.bl.example", DNS_A, "127.0.0.2" },
    { "7.113.0.203.bl.example", DNS_A, "127.0.0.2" },
    { "7.113.0.203.bl.example", DNS_TXT, "go away" },
    { "2.0.0.127.world.example", DNS_A, "127.0.0.2" },
    { "1.0.0.127.world.example", DNS_A, "127.0.0.2" },
    { "7.113.0.203.world.example", DNS_A, "127.0.0.2" },
    { "2.0.0.127.late.example", DNS_A, "TEMP" },
    { "7.113.0.203.fault.example", DNS_A, "TEMP" },
    { "2.0.0.127.nordic.example", DNS_A, "127.255.255.254" },
    { "2" SIX, DNS_A, "127.0.0.2" },
    { "test.dom.example", DNS_A, "127.0.0.2" },
    { "spam.example.dom.example", DNS_A, "127.0.0.8" },
    { "2.0.0.127.good.example", DNS_A, "127.0.0.2" },
    { "7.113.0.203.good.example", DNS_A, "127.0.0.1" },
};
static const char lists[] =
    "list bl.example\n" GOOD "severity error\ncode 127.0.0.2 bad\n fix Repent.\n"
    "list world.example\n" GOOD "code 127.0.0.2 bad\n"
    "list late.example\n" GOOD "code 127.0.0.2 bad\n"
    "list fault.example\n" GOOD "code 127.0.0.2 bad\n"
    "list nordic.example\n" GOOD "code 127.0.0.2 bad\n"
    "list dead.example\n" GOOD "code 127.0.0.2 bad\n"
    "list good.example\n" GOOD "code 127.0.0.1 a friend\n allow\ncode 127.0.0.2 bad\n"
    "list six.example\nname N\nof ipv6\nmeans M\ndelist D\ncode 127.0.0.2 bad\n"
    "list dom.example\nname N\nof domain\nmeans M\ndelist D\nbit 8 bad\n";

struct seen {
    struct loop *loop;
    const struct blocklist_result *r;
    size_t count;
};

static void on_done(void *ctx, const struct blocklist_result *r, size_t count) {
    struct seen *s = ctx;
    s->r = r;
    s->count = count;
    loop_stop(s->loop);
}

static void test_asking(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct loop *l = loop_open();
    struct table names;
    struct blocklist_table t;
    struct why why;
    struct seen seen = { .loop = l };
    assert_int_equal(blocklists_read("f", bytes_str(lists), a, &t, &why), OK);
    table_open(&names, l, rows, COUNT_OF(rows));
    struct blocklist_asked asked[10];
    for (size_t i = 0; i < t.count; i++)
        asked[i] = (struct blocklist_asked){ t.lists[i].zone, &t.lists[i] };
    asked[t.count] = (struct blocklist_asked){ B("unknown.example"), NULL };
    const struct blocklist_subject subjects[] = { { .address = address("203.0.113.7") },
                                                  { .address = address("2001:db8::1") },
                                                  { .domain = B("spam.example") } };
    const struct blocklist_want want = { subjects, 3, asked, t.count + 1, 5000 };
    blocklists_ask(&names.dns, l, a, &want, on_done, &seen);
    assert_int_equal(seen.count, 0);
    loop_run(l);
    static const enum blocklist_state expected[] = {
        BLOCKLIST_LISTED,  BLOCKLIST_WORLD, BLOCKLIST_CLEAN,  BLOCKLIST_SILENT,
        BLOCKLIST_REFUSED, BLOCKLIST_DEAD,  BLOCKLIST_LISTED, BLOCKLIST_DEAD, /* the unknown one */
        BLOCKLIST_CLEAN,   BLOCKLIST_DEAD,  BLOCKLIST_LISTED, BLOCKLIST_DEAD,
    };
    assert_int_equal(seen.count, COUNT_OF(expected));
    for (size_t i = 0; i < seen.count; i++)
        if (seen.r[i].state != expected[i])
            fail_msg("%zu: %s", i, blocklist_state_name(seen.r[i].state));
    assert_true(blocklist_is_against(&asked[0], &seen.r[0]) && seen.r[2].unproven);
    assert_false(blocklist_is_against(&asked[6], &seen.r[6])); /* a good code */
    assert_true(bytes_equal(seen.r[0].text, B("go away")));
    struct finding_list found;
    finding_list_open(&found, a);
    blocklists_findings(&want, seen.r, seen.count, &found);
    assert_string_equal(found.list[0]->id, "blocklist.listed");
    assert_int_equal(found.list[0]->severity, SEVERITY_ERROR);
    assert_true(bytes_equal(found.list[0]->fix[0], B("Repent.")));
    assert_true(bytes_search(found.list[0]->seen, B("127.0.0.2, bad; it says \"go away\"")) >= 0);
    static const char *const ids[] = { "blocklist.allowed",  "blocklist.clean",
                                       "blocklist.world",    "blocklist.dead",
                                       "blocklist.unproven", "blocklist.silent",
                                       "blocklist.refused" };
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        assert_non_null(finding_find(&found, ids[i]));
    /* Called off: nothing comes, nothing is left. */
    seen.count = 0;
    struct blocklist_look *k = blocklists_ask(&names.dns, l, a, &want, on_done, &seen);
    blocklists_cancel(&k);
    assert_null(k);
    loop_run(l);
    assert_int_equal(seen.count, 0);
    assert_int_equal(names.questions.count, 0);
    loop_close(&l);
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_built_in), cmocka_unit_test(test_codes),
        cmocka_unit_test(test_mistakes), cmocka_unit_test(test_any_text),
        cmocka_unit_test(test_asking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
