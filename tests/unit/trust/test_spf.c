/* SPF: the grammar of records, macros, each mechanism and modifier, the limits, and the walk through all of a
 * record (RFC 7208). */
#include "dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* --- grammar ------------------------------------------------------------------------------------------- */

static const char *const good[] = {
    "v=spf1",
    "v=spf1 ",
    "V=SPF1 -ALL",
    "v=spf1  mx   -all",
    "v=spf1 a a/24 a//64 a/24//64 a:example.com a:example.com/0 a:example.com//0 a:example.com/32//128",
    "v=spf1 mx:%{d} mx:%{d}/24 ?mx:example.com//64 ptr ptr:example.com.",
    "v=spf1 ip4:192.0.2.1 ip4:192.0.2.1/24 ip6:2001:db8::1 ip6:2001:db8::/32 ip6:::1 ip6:::ffff:192.0.2.1/120",
    "v=spf1 exists:%{ir}.%{v}._spf.%{d2} include:%{d1r-+}.example.com redirect=_spf.example.com exp=e.%{d}",
    "v=spf1 exists:%%%_%-.example.com exists:%{l1R-/}.example.com exists:%{S}",
    "v=spf1 future=any%{c}thing other.name=x x-y_z= -all",
    "v=spf1 a:foo:bar/baz.example.com a:example.com-x.a1 -all",
    "v=spf1 all mx redirect=example.com",
};
static const struct {
    const char *text;
    unsigned number; /* of the term that is wrong */
} bad[] = {
    { "v=spf1 alle", 1 },
    { "v=spf1 all:example.com", 1 },
    { "v=spf1 all/24", 1 },
    { "v=spf1 mx -all.", 2 },
    { "v=spf1 a:", 1 },
    { "v=spf1 a:example.com/33", 1 },
    { "v=spf1 a/024", 1 },
    { "v=spf1 a//129", 1 },
    { "v=spf1 a/24/24", 1 },
    { "v=spf1 a//64/24", 1 },
    { "v=spf1 a:example.com:8080", 1 },
    { "v=spf1 a:111", 1 },
    { "v=spf1 a:example.1", 1 },
    { "v=spf1 a:example-", 1 },
    { "v=spf1 a:example", 1 },
    { "v=spf1 mx:example.com;", 1 },
    { "v=spf1 include", 1 },
    { "v=spf1 include:", 1 },
    { "v=spf1 include:example.com/24", 1 },
    { "v=spf1 exists", 1 },
    { "v=spf1 exists:example.com/24", 1 },
    { "v=spf1 ptr/24", 1 },
    { "v=spf1 ptr:", 1 },
    { "v=spf1 ip4", 1 },
    { "v=spf1 ip4:", 1 },
    { "v=spf1 ip4:192.0.2", 1 },
    { "v=spf1 ip4:192.0.2.256", 1 },
    { "v=spf1 ip4:192.0.2.0/33", 1 },
    { "v=spf1 ip4:192.0.2.0/08", 1 },
    { "v=spf1 ip4:192.0.2.0/", 1 },
    { "v=spf1 ip4:192.0.2.0//24", 1 },
    { "v=spf1 ip4:192.0.2.1:25", 1 },
    { "v=spf1 ip4:2001:db8::1", 1 },
    { "v=spf1 ip6:192.0.2.1", 1 },
    { "v=spf1 ip6:2001:db8::/129", 1 },
    { "v=spf1 ip6:[2001:db8::1]", 1 },
    { "v=spf1 ipv4:192.0.2.1", 1 },
    { "v=spf1 a mx exists:%{x}.example.com", 3 },
    { "v=spf1 exists:%{c}.example.com", 1 },
    { "v=spf1 exists:%{d0}.example.com", 1 },
    { "v=spf1 exists:%{d129}.example.com", 1 },
    { "v=spf1 exists:%{d.example.com", 1 },
    { "v=spf1 exists:%{dx}.example.com", 1 },
    { "v=spf1 exists:%(d}.example.com", 1 },
    { "v=spf1 exists:100%.example.com", 1 },
    { "v=spf1 redirect=", 1 },
    { "v=spf1 redirect=a.example.com redirect=b.example.com", 2 },
    { "v=spf1 exp=a.example.com -all EXP=b.example.com", 3 },
    { "v=spf1 exp=", 1 },
    { "v=spf1 -all future=%{q}", 2 },
    { "v=spf1 \303\244:example.com", 1 },
    { "v=spf1 a:\303\244.example.com", 1 },
    { "v=spf1 mx\t-all", 1 },
    { "v=spf1 1x=y", 1 },
    { "v=spf1 =y", 1 },
    { "v=spf1 +-mx", 1 },
    { "v=spf1 -", 1 },
    { "v=spf1 ,mx", 1 },
};

static void grammar(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct spf_record r;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        if (spf_parse(bytes_str(good[i]), a, &r) != OK)
            fail_msg("%s: %.*s %s", good[i], BYTES_FMT(r.wrong_term), r.wrong);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (spf_parse(bytes_str(bad[i].text), a, &r) != PERM)
            fail_msg("%s is taken", bad[i].text);
        if (r.wrong_number != bad[i].number)
            fail_msg("%s: term %zu", bad[i].text, r.wrong_number);
    }
    arena_close(&a);
}

static void terms(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct spf_record r;
    assert_int_equal(
        spf_parse(B("v=spf1 ~a:b.example.com/24//64 ip4:192.0.2.9/24 exp=x.example.com ?all"), a,
                  &r),
        OK);
    assert_int_equal(r.count, 3);
    assert_int_equal(r.terms[0].qualifier, '~');
    assert_int_equal(r.terms[0].mechanism, SPF_A);
    assert_true(bytes_equal(r.terms[0].domain, B("b.example.com")));
    assert_int_equal(r.terms[0].bits4, 24);
    assert_int_equal(r.terms[0].bits6, 64);
    assert_int_equal(r.terms[1].network.bits, 24);
    assert_int_equal(r.terms[2].qualifier, '?');
    assert_true(bytes_equal(r.exp, B("x.example.com")));
    assert_true(spf_is_record(B("v=SPF1")) && spf_is_record(B("v=spf1 x")));
    assert_false(spf_is_record(B("v=spf10 -all")) || spf_is_record(B("v=spf1\t-all")) ||
                 spf_is_record(B(" v=spf1 -all")) || spf_is_record(B("spf2.0/mfrom")));
    arena_close(&a);
}

/* --- a world ---------------------------------------------------------------------------------------------- */

static const struct row world[] = {
    /* plain */
    { "example.com", "TXT", "some other text" },
    { "example.com", "TXT", "v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/64 a mx:mx.example.com -all" },
    { "example.com", "A", "192.0.2.65" },
    { "mx.example.com", "MX", "m1.example.com" },
    { "mx.example.com", "MX", "m2.example.com" },
    { "m1.example.com", "A", "192.0.2.129" },
    { "m2.example.com", "A", "192.0.2.130" },
    { "m2.example.com", "AAAA", "2001:db8:1::1" },
    { "empty.example.com", "TXT", "nothing of interest" },
    { "two.example.com", "TXT", "v=spf1 -all" },
    { "two.example.com", "TXT", "v=spf1 +all" },
    { "broken.example.com", "TXT", "v=spf1 ip4:192.0.2.1 mxx -all" },
    { "down.example.com", "TXT", "fails" },
    { "bare.example.com", "TXT", "v=spf1" },
    { "soft.example.com", "TXT", "v=spf1 ~all" },
    { "unsure.example.com", "TXT", "v=spf1 ?all" },
    { "open.example.com", "TXT", "v=spf1 +all" },
    /* includes */
    { "incl.example.com", "TXT", "v=spf1 include:example.com ?all" },
    { "negated.example.com", "TXT", "v=spf1 -include:example.com +all" },
    { "inclnone.example.com", "TXT", "v=spf1 include:empty.example.com -all" },
    { "incldown.example.com", "TXT", "v=spf1 include:down.example.com -all" },
    { "inclbroken.example.com", "TXT", "v=spf1 include:broken.example.com -all" },
    { "loop.example.com", "TXT", "v=spf1 include:loop.example.com -all" },
    /* redirects */
    { "redir.example.com", "TXT", "v=spf1 ip4:203.0.113.9 redirect=example.com" },
    { "redirall.example.com", "TXT", "v=spf1 redirect=example.com ?all" },
    { "redirnone.example.com", "TXT", "v=spf1 redirect=nowhere.example.com" },
    { "redirexp.example.com", "TXT", "v=spf1 redirect=exp.example.com exp=wrong.example.com" },
    /* exp */
    { "exp.example.com", "TXT", "v=spf1 -all exp=why.%{d}" },
    { "why.exp.example.com", "TXT",
      "%{i} may not send for %{s}, says %{r} at %{t}: see http://%{d}/%{L}" },
    { "inclexp.example.com", "TXT", "v=spf1 include:exp.example.com -all" },
    { "exptwo.example.com", "TXT", "v=spf1 -all exp=two.example.com" },
    { "expbad.example.com", "TXT", "v=spf1 -all exp=badwords.example.com" },
    { "badwords.example.com", "TXT", "100% wrong" },
    /* exists and macros */
    { "exists.example.com", "TXT", "v=spf1 exists:%{l}.%{ir}.%{v}.allow.%{d} -all" },
    { "joe.7.2.0.192.in-addr.allow.exists.example.com", "A", "127.0.0.2" },
    { "byhelo.example.com", "TXT", "v=spf1 a:%{h} -all" },
    { "helo.example.net", "A", "192.0.2.7" },
    /* ptr */
    { "ptr.example.com", "TXT", "v=spf1 ptr:example.net -all" },
    { "7.2.0.192.in-addr.arpa", "PTR", "liar.example.com" },
    { "7.2.0.192.in-addr.arpa", "PTR", "mail.example.net" },
    { "mail.example.net", "A", "192.0.2.7" },
    { "liar.example.com", "A", "203.0.113.1" },
    { "8.2.0.192.in-addr.arpa", "PTR", "liar.example.com" },
    { "9.2.0.192.in-addr.arpa", "PTR", "fails" },
    { "pmacro.example.com", "TXT", "v=spf1 exists:%{p}.seen.example.com -all" },
    { "mail.example.net.seen.example.com", "A", "127.0.0.2" },
    { "unknown.seen.example.com", "A", "127.0.0.2" },
    /* limits */
    { "ten.example.com", "TXT",
      "v=spf1 include:five.example.com include:four.example.com ip4:192.0.2.99 -all" },
    { "eleven.example.com", "TXT",
      "v=spf1 include:five.example.com include:four.example.com a:example.com -all" },
    { "five.example.com", "TXT",
      "v=spf1 a:example.com a:example.com a:example.com a:example.com -all" },
    { "four.example.com", "TXT",
      "v=spf1 a:example.com a:example.com a:example.com mx:mx.example.com -all" },
    { "void2.example.com", "TXT",
      "v=spf1 a:n1.example.com exists:n2.example.com ip4:192.0.2.7 -all" },
    { "void3.example.com", "TXT",
      "v=spf1 a:n1.example.com mx:n2.example.com a:n3.example.com ip4:192.0.2.7 -all" },
    { "manymx.example.com", "TXT", "v=spf1 mx -all" },
    { "aerror.example.com", "TXT", "v=spf1 a:adown.example.com -all" },
    { "adown.example.com", "A", "fails" },
    { "badname.example.com", "TXT", "v=spf1 a:foo..example.com ip4:192.0.2.7 -all" },
    { "nullmx.example.com", "TXT", "v=spf1 mx -all" },
    { "nullmx.example.com", "MX", "" },
    { "mapped.example.com", "TXT", "v=spf1 ip6:::ffff:192.0.2.7 -all" },
#define MANY(n)                                                                                    \
    { "manymx.example.com", "MX", "m" n ".example.net" }
    MANY("1"),
    MANY("2"),
    MANY("3"),
    MANY("4"),
    MANY("5"),
    MANY("6"),
    MANY("7"),
    MANY("8"),
    MANY("9"),
    MANY("10"),
    MANY("11"),
};

static struct table the_world(struct arena *a) {
    return (struct table){ .rows = world, .count = COUNT_OF(world), .arena = a };
}

static struct spf_verdict judge(struct arena *a, const char *domain, const char *client) {
    struct table t = the_world(a);
    struct spf_verdict v;
    struct spf_who who = {
        .domain = bytes_str(domain),
        .sender = arena_printf(a, "joe@%s", domain),
        .helo = B("helo.example.net"),
        .receiver = B("mx.example.org"),
        .time = 1700000000,
    };
    MUST(addr_parse(bytes_str(client), &who.client));
    assert_int_equal(spf_evaluate(&who, look_up, &t, a, &v), OK);
    return v;
}

static void results(void **state) {
    (void)state;
    static const struct {
        const char *domain, *client;
        enum spf_result result;
        const char *trail; /* NULL: does not matter */
    } cases[] = {
        { "example.com", "192.0.2.5", SPF_PASS, "ip4:192.0.2.0/28" },
        { "EXAMPLE.com.", "192.0.2.5", SPF_PASS, NULL },
        { "example.com", "::ffff:192.0.2.5", SPF_PASS, NULL },
        { "example.com", "192.0.2.16", SPF_FAIL, "-all" },
        { "example.com", "2001:db8::77", SPF_PASS, "ip6:2001:db8::/64" },
        { "example.com", "192.0.2.65", SPF_PASS, "a" },
        { "example.com", "192.0.2.130", SPF_PASS, "mx:mx.example.com" },
        { "example.com", "2001:db8:1::1", SPF_PASS, "mx:mx.example.com" },
        { "empty.example.com", "192.0.2.5", SPF_NONE, "" },
        { "nowhere.example.com", "192.0.2.5", SPF_NONE, "" },
        { "localhost", "192.0.2.5", SPF_NONE, "" },
        { "", "192.0.2.5", SPF_NONE, "" },
        { "a..example.com", "192.0.2.5", SPF_NONE, "" },
        { "two.example.com", "192.0.2.5", SPF_PERMERROR, NULL },
        { "broken.example.com", "192.0.2.1", SPF_PERMERROR, NULL },
        { "down.example.com", "192.0.2.1", SPF_TEMPERROR, NULL },
        { "bare.example.com", "192.0.2.1", SPF_NEUTRAL, "" },
        { "soft.example.com", "192.0.2.1", SPF_SOFTFAIL, "~all" },
        { "unsure.example.com", "192.0.2.1", SPF_NEUTRAL, "?all" },
        { "open.example.com", "203.0.113.1", SPF_PASS, "+all" },
        { "incl.example.com", "192.0.2.5", SPF_PASS, "include:example.com > ip4:192.0.2.0/28" },
        { "incl.example.com", "203.0.113.5", SPF_NEUTRAL, "?all" },
        { "negated.example.com", "192.0.2.5", SPF_FAIL, NULL },
        { "negated.example.com", "203.0.113.5", SPF_PASS, "+all" },
        { "inclnone.example.com", "192.0.2.5", SPF_PERMERROR, NULL },
        { "incldown.example.com", "192.0.2.5", SPF_TEMPERROR, NULL },
        { "inclbroken.example.com", "192.0.2.5", SPF_PERMERROR, NULL },
        { "loop.example.com", "192.0.2.5", SPF_PERMERROR, NULL },
        { "redir.example.com", "203.0.113.9", SPF_PASS, "ip4:203.0.113.9" },
        { "redir.example.com", "192.0.2.5", SPF_PASS, "redirect=example.com > ip4:192.0.2.0/28" },
        { "redir.example.com", "203.0.113.10", SPF_FAIL, NULL },
        { "redirall.example.com", "192.0.2.5", SPF_NEUTRAL, "?all" },
        { "redirnone.example.com", "192.0.2.5", SPF_PERMERROR, NULL },
        { "exists.example.com", "192.0.2.7", SPF_PASS, NULL },
        { "exists.example.com", "192.0.2.8", SPF_FAIL, "-all" },
        { "byhelo.example.com", "192.0.2.7", SPF_PASS, NULL },
        { "ptr.example.com", "192.0.2.7", SPF_PASS, "ptr:example.net" },
        { "ptr.example.com", "192.0.2.8", SPF_FAIL, NULL },
        { "ptr.example.com", "192.0.2.9", SPF_FAIL, NULL }, /* no temperror, section 5.5 */
        { "pmacro.example.com", "192.0.2.7", SPF_PASS, NULL },
        { "pmacro.example.com", "192.0.2.9", SPF_PASS, NULL }, /* "unknown" */
        { "ten.example.com", "192.0.2.99", SPF_PASS, "ip4:192.0.2.99" },
        { "eleven.example.com", "192.0.2.99", SPF_PERMERROR, NULL },
        { "void2.example.com", "192.0.2.7", SPF_PASS, NULL },
        { "void3.example.com", "192.0.2.7", SPF_PERMERROR, NULL },
        { "manymx.example.com", "192.0.2.7", SPF_PERMERROR, NULL },
        { "aerror.example.com", "192.0.2.7", SPF_TEMPERROR, NULL },
        { "badname.example.com", "192.0.2.7", SPF_PASS, NULL },
        { "nullmx.example.com", "192.0.2.7", SPF_FAIL, "-all" },
        { "mapped.example.com", "192.0.2.7", SPF_FAIL, "-all" },
    };
    struct arena *a = arena_open();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct spf_verdict v = judge(a, cases[i].domain, cases[i].client);
        if (v.result != cases[i].result)
            fail_msg("%s from %s: %s (%.*s), not %s", cases[i].domain, cases[i].client,
                     spf_result_name(v.result), BYTES_FMT(v.problem),
                     spf_result_name(cases[i].result));
        if (cases[i].trail && !bytes_equal(v.trail, bytes_str(cases[i].trail)))
            fail_msg("%s from %s: by %.*s", cases[i].domain, cases[i].client, BYTES_FMT(v.trail));
        bool error = v.result == SPF_PERMERROR || v.result == SPF_TEMPERROR;
        if (error != (v.problem.len > 0))
            fail_msg("%s: problem '%.*s'", cases[i].domain, BYTES_FMT(v.problem));
    }
    arena_close(&a);
}

static void problems(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct spf_verdict v = judge(a, "broken.example.com", "192.0.2.1");
    assert_true(bytes_search(v.problem, B("term 2: mxx is no mechanism")) > 0);
    v = judge(a, "inclnone.example.com", "192.0.2.1");
    assert_true(bytes_search(v.problem, B("empty.example.com, which has no SPF record")) > 0);
    assert_true(bytes_equal(v.term, B("include:empty.example.com")));
    v = judge(a, "ten.example.com", "192.0.2.99");
    assert_int_equal(v.lookups, 10);
    v = judge(a, "void2.example.com", "192.0.2.7");
    assert_int_equal(v.voids, 2);
    arena_close(&a);
}

static void explanations(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct spf_verdict v = judge(a, "exp.example.com", "192.0.2.7");
    assert_true(bytes_equal(
        v.explanation, B("192.0.2.7 may not send for joe@exp.example.com, says mx.example.org at "
                         "1700000000: see http://exp.example.com/joe")));
    v = judge(a, "redirexp.example.com", "192.0.2.7"); /* that of the record it leads to */
    assert_true(bytes_starts(v.explanation, B("192.0.2.7 may not send")));
    assert_true(bytes_equal(v.domain, B("exp.example.com")));
    assert_int_equal(judge(a, "inclexp.example.com", "192.0.2.7").explanation.len, 0);
    assert_int_equal(judge(a, "exptwo.example.com", "192.0.2.7").explanation.len, 0);
    assert_int_equal(judge(a, "expbad.example.com", "192.0.2.7").explanation.len, 0);
    arena_close(&a);
}

/* Section 7.4's own examples. */
static void macros(void **state) {
    (void)state;
    static const struct {
        const char *client, *text, *expanded;
    } cases[] = {
        { "192.0.2.3", "%{s}", "strong-bad@email.example.com" },
        { "192.0.2.3", "%{o}", "email.example.com" },
        { "192.0.2.3", "%{d}", "email.example.com" },
        { "192.0.2.3", "%{d4}", "email.example.com" },
        { "192.0.2.3", "%{d3}", "email.example.com" },
        { "192.0.2.3", "%{d2}", "example.com" },
        { "192.0.2.3", "%{d1}", "com" },
        { "192.0.2.3", "%{dr}", "com.example.email" },
        { "192.0.2.3", "%{d2r}", "example.email" },
        { "192.0.2.3", "%{l}", "strong-bad" },
        { "192.0.2.3", "%{l-}", "strong.bad" },
        { "192.0.2.3", "%{lr}", "strong-bad" },
        { "192.0.2.3", "%{lr-}", "bad.strong" },
        { "192.0.2.3", "%{l1r-}", "strong" },
        { "192.0.2.3", "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com" },
        { "192.0.2.3", "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com" },
        { "192.0.2.3", "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}",
          "3.2.0.192.in-addr.strong.lp._spf.example.com" },
        { "2001:db8::cb01", "%{ir}.%{v}._spf.%{d2}",
          "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com" },
        { "192.0.2.3", "%{S}.%{d2}", "strong-bad%40email.example.com.example.com" },
        { "192.0.2.3", "a%%b%_c%-.%{h}", "a%b c%20.mx.example.net" },
    };
    struct arena *a = arena_open();
    struct table t = the_world(a);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct spf_who who = { .domain = B("email.example.com"),
                               .sender = B("strong-bad@email.example.com"),
                               .helo = B("mx.example.net") };
        struct bytes out;
        MUST(addr_parse(bytes_str(cases[i].client), &who.client));
        assert_int_equal(
            spf_expand(&who, who.domain, bytes_str(cases[i].text), true, look_up, &t, a, &out), OK);
        if (!bytes_equal(out, bytes_str(cases[i].expanded)))
            fail_msg("%s: %.*s", cases[i].text, BYTES_FMT(out));
    }
    struct spf_who nobody = { .domain = B("example.com") };
    struct bytes out;
    assert_int_equal(spf_expand(&nobody, nobody.domain, B("%{s} %{r}"), true, look_up, &t, a, &out),
                     OK);
    assert_true(bytes_equal(out, B("postmaster@example.com unknown")));
    arena_close(&a);
}

/* Labels go from the left until 253 octets are left. */
static void long_names(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct table t = the_world(a);
    struct buf b = buf_grow(1000);
    for (int i = 0; i < 60; i++)
        buf_printf(&b, "label%02d.", i);
    struct spf_who who = { .domain = B("example.com"), .helo = buf_bytes(&b) };
    struct bytes out;
    assert_int_equal(spf_expand(&who, who.domain, B("%{h}%{d}"), false, look_up, &t, a, &out), OK);
    assert_true(out.len <= 253 && out.len > 240);
    assert_true(bytes_ends_nocase(out, B("label59.example.com")));
    assert_true(bytes_starts(out, B("label")));
    buf_free(&b);
    arena_close(&a);
}

/* --- asked for piece by piece -------------------------------------------------------------------------------- */

static void asked(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct table t = the_world(a);
    struct spf_who who = { .domain = B("Incl.example.com"), .sender = B("joe@incl.example.com") };
    MUST(addr_parse(B("192.0.2.130"), &who.client));
    struct spf_check *c = spf_check_open(a, &who);
    struct spf_verdict v;
    unsigned rounds = 0, questions = 0;
    const struct spf_question *list;
    while (spf_check_run(c, &v) == MORE) {
        size_t count = spf_check_wanted(c, &list);
        assert_true(count > 0 && ++rounds < 20);
        for (size_t i = 0; i < count; i++, questions++)
            spf_check_answer(c, &list[i], look_up(&t, &list[i]));
    }
    assert_int_equal(v.result, SPF_PASS);
    assert_true(bytes_equal(v.trail, B("include:example.com > mx:mx.example.com")));
    assert_int_equal(questions, 6); /* two records, A, MX, two hosts; each once */
    assert_int_equal(rounds, 5);    /* the hosts at once */
    arena_close(&a);
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

static struct spf_survey survey(struct arena *a, const char *domain) {
    struct table t = the_world(a);
    struct spf_survey s;
    assert_int_equal(spf_survey(bytes_str(domain), look_up, &t, a, &s), OK);
    return s;
}

static bool has_network(const struct spf_survey *s, const char *text, char qualifier) {
    struct network n;
    network_parse(bytes_str(text), &n);
    for (size_t i = 0; i < s->network_count; i++)
        if (addr_equal(s->networks[i].network.base, n.base) &&
            s->networks[i].network.bits == n.bits && s->networks[i].qualifier == qualifier)
            return true;
    return false;
}

static void surveys(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct spf_survey s = survey(a, "incl.example.com");
    assert_int_equal(s.trouble, SPF_FINE);
    assert_int_equal(s.lookups, 3);
    assert_int_equal(s.voids, 0);
    assert_int_equal(s.all, '?');
    assert_int_equal(s.node_count, 4);
    assert_int_equal(s.nodes[2].depth, 2);
    assert_true(has_network(&s, "192.0.2.0/28", '+') && has_network(&s, "2001:db8:1::1/128", '+'));
    s = survey(a, "negated.example.com");
    assert_true(has_network(&s, "192.0.2.0/28", '-'));
    assert_int_equal(s.all, '+');
    s = survey(a, "redir.example.com");
    assert_int_equal(s.all, '-');
    assert_true(has_network(&s, "192.0.2.0/28", '+'));
    s = survey(a, "eleven.example.com");
    assert_int_equal(s.lookups, 11);
    s = survey(a, "void3.example.com");
    assert_int_equal(s.voids, 3);
    s = survey(a, "loop.example.com");
    assert_int_equal(s.nodes[1].trouble, SPF_LOOP);
    s = survey(a, "inclbroken.example.com");
    assert_int_equal(s.nodes[1].trouble, SPF_SYNTAX);
    assert_int_equal(s.nodes[1].wrong_number, 2);
    s = survey(a, "broken.example.com");
    assert_int_equal(s.trouble, SPF_SYNTAX);
    s = survey(a, "two.example.com");
    assert_int_equal(s.trouble, SPF_SEVERAL);
    s = survey(a, "ptr.example.com");
    assert_true(s.uses_ptr);
    s = survey(a, "manymx.example.com");
    assert_int_equal(s.nodes[1].trouble, SPF_TOO_MANY_MX);
    s = survey(a, "exists.example.com");
    assert_true(s.nodes[1].macro);
    arena_close(&a);
}

static void open_includes(void **state) {
    (void)state;
    static const struct row rows[] = {
        { "a.example", "TXT", "v=spf1 include:b.example -all" },
        { "b.example", "TXT", "v=spf1 -include:c.example +all" },
        { "c.example", "TXT", "v=spf1 ip4:192.0.2.1 ?all" },
    };
    struct arena *a = arena_open();
    struct table t = { .rows = rows, .count = COUNT_OF(rows), .arena = a };
    struct spf_survey s;
    assert_int_equal(spf_survey(B("A.example"), look_up, &t, a, &s), OK);
    assert_true(has_network(&s, "0.0.0.0/0", '+') && has_network(&s, "::/0", '+'));
    assert_false(
        has_network(&s, "192.0.2.1", '+')); /* c's pass is b's fail, which is nothing to a */
    assert_int_equal(s.network_count, 2);
    assert_int_equal(s.all, '-');
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grammar),       cmocka_unit_test(terms),        cmocka_unit_test(results),
        cmocka_unit_test(problems),      cmocka_unit_test(explanations), cmocka_unit_test(macros),
        cmocka_unit_test(long_names),    cmocka_unit_test(asked),        cmocka_unit_test(surveys),
        cmocka_unit_test(open_includes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
