/* The records beside SPF: DKIM keys, DMARC, MTA-STS, TLS-RPT, TLSA, BIMI, and the organisation behind a name. */
#include "base/must.h"
#include "trust/bimi.h"
#include "trust/dkim_key.h"
#include "trust/dmarc.h"
#include "trust/mta_sts.h"
#include "trust/organisation.h"
#include "trust/tlsa.h"
#include "trust/tlsrpt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool is(struct bytes a, const char *b) {
    return bytes_equal(a, bytes_str(b));
}

/* --- DKIM ------------------------------------------------------------------------------------------------- */

#define RSA_1024                                                                                   \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDNj8+NrA3sONQmwcBcJJaawnl/Mqss5XykGfyjzRjH"             \
    "hvyZa678fUVx2UwR3qkLp2n39IGmYSG0PdnHgzyFXl0RJFvYYTWB9OUGGmMs6fdSHavHTJF9H9rRtuMl"             \
    "G7cXcF/kVBMS38bhsPQIYD9HpKhKh8Z7d9F09hQn5G1Zw9ROpwIDAQAB"
#define RSA_2048                                                                                   \
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA7bGk560Gqwi4exnGU/xhPZn4Wye0vtgT49/v"             \
    "6m6Ab48Wm296AiQSW0dxZwmlFT3mXrt1Erxr+MtrKEaYj99xmodIhCCeM5wy/lfKPXj56oIRDAUQpVhc"             \
    "jZ/LBCgZU8xsgO7LV2KJx8b/glpEi10Fv5zl9uoM6FF1PqmIDVflOkq/Twnh58ikO/NndFlU1D5xgJGP"             \
    "VDbqDs33Ia3BSSv5TgAeAGuiNGJ1fvHKMOhaOggI1tkzCO4cB60dUqSH8Owgsuuo44pxjKh06FZvvwfY"             \
    "03BDD4hLM0j3wqf8zIb91BClVlxGFV3r8o4QlZgu6zSJebnBqGtKJjI6iGdLmsw28QIDAQAB"
#define ED25519 "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static void dkim_keys(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum rc rc;
        unsigned bits;
    } cases[] = {
        { "v=DKIM1; k=rsa; p=" RSA_2048, OK, 2048 },
        { "p=" RSA_1024, OK, 1024 },
        { "v=DKIM1; p=MIGfMA0GCS \tqGSIb3DQEBAQUAA4GNADCBiQKBgQDNj8+NrA3sONQmwcBcJJaawnl/Mqss5X ykGfyjzRjHhvyZa678fUVx2UwR3qkLp2n39IGmYSG0PdnHgzyFXl0RJFvYYTWB9OUGGmMs6fdSHavHTJF9H9rRtuMlG7cXcF/kVBMS38bhsPQIYD9HpKhKh8Z7d9F09hQn5G1Zw9ROpwIDAQAB;",
          OK, 1024 },
        { "v=DKIM1; k=ed25519; p=" ED25519, OK, 256 },
        { "v=DKIM1; p=", OK, 0 },
        { "k=rsa; v=DKIM1; p=" RSA_1024, PERM, 0 },
        { "v=DKIM2; p=" RSA_1024, PERM, 0 },
        { "v=DKIM1; k=rsa", PERM, 0 },
        { "v=DKIM1; p=not base64!", PERM, 0 },
        { "v=DKIM1; p=bm90IGEga2V5", PERM, 0 },
        { "v=DKIM1; k=ed25519; p=" RSA_1024, PERM, 0 },
        { "v=DKIM1; k=dsa; p=" RSA_1024, PERM, 0 },
        { "v=DKIM1; p=" RSA_1024 "; p=" RSA_1024, PERM, 0 },
        { "v=DKIM1; =x; p=" RSA_1024, PERM, 0 },
        { "", PERM, 0 },
    };
    struct arena *a = arena_open();
    struct dkim_key k;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (dkim_key_parse(bytes_str(cases[i].text), a, &k) != cases[i].rc)
            fail_msg("%s: %s", cases[i].text, k.wrong ? k.wrong : "taken");
        if (cases[i].rc == OK)
            assert_int_equal(k.bits, cases[i].bits);
    }
    arena_close(&a);
}

static void dkim_flags(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct dkim_key k;
    assert_int_equal(dkim_key_parse(B("v=DKIM1; t=y:s; h=sha1; s=other; n=note; p="), a, &k), OK);
    assert_true(k.testing && k.strict && !k.sha256 && !k.email && k.revoked && k.versioned);
    assert_int_equal(dkim_key_parse(B("h=sha1:sha256; s=email; p="), a, &k), OK);
    assert_true(k.sha256 && k.email && !k.testing && !k.versioned);
    assert_true(dkim_key_is_record(B("p=abc")) && dkim_key_is_record(B("v=DKIM1; k=rsa")));
    assert_false(dkim_key_is_record(B("v=spf1 -all")) || dkim_key_is_record(B("hello")));
    arena_close(&a);
}

/* --- DMARC ------------------------------------------------------------------------------------------------- */

static void dmarc_records(void **state) {
    (void)state;
    struct dmarc_record r;
    assert_int_equal(
        dmarc_parse(
            B("v=DMARC1; p=reject; sp=quarantine; adkim=s; aspf=r; pct=50; fo=1:d; "
              "rua=mailto:a@example.com!10m, mailto:b@reports.example.net?x=y,https://example.org/r; "
              "ruf=mailto:c@example.com; ri=3600"),
            &r),
        OK);
    assert_int_equal(r.problem_count, 0);
    assert_int_equal(r.policy, DMARC_REJECT);
    assert_int_equal(r.subdomain_policy, DMARC_QUARANTINE);
    assert_int_equal(r.missing_policy, DMARC_QUARANTINE);
    assert_true(r.strict_dkim && !r.strict_spf && r.percent == 50);
    assert_int_equal(r.rua_count, 3);
    assert_int_equal(r.rua[0].max_size, 10 << 20);
    assert_true(is(r.rua[0].uri, "mailto:a@example.com") && is(r.rua[0].domain, "example.com"));
    assert_true(is(r.rua[1].domain, "reports.example.net"));
    assert_int_equal(r.rua[2].domain.len, 0);
    assert_int_equal(r.ruf_count, 1);
    assert_int_equal(dmarc_parse(B("v=DMARC1;p=none"), &r), OK);
    assert_true(r.policy == DMARC_NONE && r.subdomain_policy == DMARC_NONE && r.percent == 100);
}

static void dmarc_faults(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum rc rc;
        size_t problems;
    } cases[] = {
        { "v=DMARC1", PERM, 1 },
        { "v=DMARC1; p=rejekt", PERM, 1 },
        { "v=DMARC1; p=rejekt; rua=mailto:a@example.com", OK, 1 }, /* as p=none, section 6.6.3 */
        { "v=DMARC1; rua=mailto:a@example.com", OK, 2 },
        { "v=DMARC1; p=reject; sp=maybe", PERM, 1 },
        { "v=DMARC1; sp=none; p=reject", OK, 1 },
        { "v=DMARC1; p=reject; pct=101", OK, 1 },
        { "v=DMARC1; p=reject; pct=ten; adkim=x; ri=often; fo=z; colour=blue", OK, 5 },
        { "v=DMARC1; p=reject; rua=a@example.com", OK, 1 },
        { "v=DMARC1; p=reject; rua=mailto:example.com", OK, 1 },
        { "v=DMARC1; p=reject; rua=mailto:a@example.com!big", OK, 1 },
        { "v=DMARC1; p=reject p=none", PERM, 1 },
        { "v=DMARC1; p=reject; nonsense", OK, 1 },
        { "v=dmarc1; p=reject", PERM, 1 },
        { "p=reject; v=DMARC1", PERM, 1 },
        { "v=DMARC1; p=REJECT; np=none; psd=n; t=y", OK, 0 },
    };
    struct dmarc_record r;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum rc rc = dmarc_parse(bytes_str(cases[i].text), &r);
        if (rc != cases[i].rc || r.problem_count != cases[i].problems)
            fail_msg("%s: %d, %zu problems", cases[i].text, rc, r.problem_count);
    }
    assert_true(r.testing && r.policy == DMARC_REJECT && r.missing_policy == DMARC_NONE);
    dmarc_parse(B("v=DMARC1; p=rejekt; rua=mailto:a@example.com"), &r);
    assert_int_equal(r.policy, DMARC_NONE);
    assert_true(dmarc_is_record(B("v=DMARC1; p=x")) && !dmarc_is_record(B("v=DMARC10; p=none")) &&
                !dmarc_is_record(B("v=spf1 -all")));
}

/* --- MTA-STS ------------------------------------------------------------------------------------------------ */

static void sts_records(void **state) {
    (void)state;
    struct mta_sts_record r;
    assert_int_equal(mta_sts_parse_record(B("v=STSv1; id=20261128T010203;"), &r), OK);
    assert_true(is(r.id, "20261128T010203"));
    assert_int_equal(mta_sts_parse_record(B("v=STSv1;id=1;x=y"), &r), OK);
    static const char *const bad[] = {
        "v=STSv1",       "v=STSv1; id=",  "v=STSv1; id=a-b",
        "id=1; v=STSv1", "v=STSv2; id=1", "v=STSv1; id=123456789012345678901234567890123"
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (mta_sts_parse_record(bytes_str(bad[i]), &r) == OK || !r.wrong)
            fail_msg("%s is taken", bad[i]);
}

static void sts_policies(void **state) {
    (void)state;
    struct mta_sts_policy p;
    assert_int_equal(
        mta_sts_parse_policy(B("version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\n"
                               "mx: *.example.net\r\nmax_age: 604800\r\nx-more: y\r\n"),
                             &p),
        OK);
    assert_true(p.mode == MTA_STS_ENFORCE && p.max_age == 604800 && p.mx_count == 2);
    assert_true(mta_sts_covers(&p, B("MAIL.example.com.")) &&
                mta_sts_covers(&p, B("mx1.example.net")));
    assert_false(mta_sts_covers(&p, B("example.net")) || mta_sts_covers(&p, B("a.b.example.net")) ||
                 mta_sts_covers(&p, B("mx.example.com")));
    assert_int_equal(mta_sts_parse_policy(B("version: STSv1\nmode: none\nmax_age: 0"), &p), OK);
    static const char *const bad[] = {
        "",
        "version: STSv1\nmode: enforce\nmax_age: 1\n",
        "version: STSv2\nmode: enforce\nmx: a.example\nmax_age: 1\n",
        "mode: enforce\nmx: a.example\nmax_age: 1\n",
        "version: STSv1\nmx: a.example\nmax_age: 1\n",
        "version: STSv1\nmode: strict\nmx: a.example\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a.example\n",
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 31557601\n",
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 1d\n",
        "version: STSv1\nmode: enforce\nmx: *a.example\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: *.\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 1\n",
        "version: STSv1\nmode: enforce\nmx: a..example\nmax_age: 1\n",
        "<html>\n<body>404</body>",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (mta_sts_parse_policy(bytes_str(bad[i]), &p) == OK || !p.wrong)
            fail_msg("%s is taken", bad[i]);
}

/* --- the rest -------------------------------------------------------------------------------------------------- */

static void tlsrpt_records(void **state) {
    (void)state;
    struct tlsrpt_record r;
    assert_int_equal(
        tlsrpt_parse(B("v=TLSRPTv1; rua=mailto:tls@example.com,https://example.com/tls"), &r), OK);
    assert_int_equal(r.count, 2);
    static const char *const bad[] = { "v=TLSRPTv1",
                                       "v=TLSRPTv1; rua=",
                                       "v=TLSRPTv1; rua=tls@example.com",
                                       "v=TLSRPTv1; rua=http://example.com/",
                                       "rua=mailto:a@example.com",
                                       "v=TLSRPTv1; rua=mailto:@example.com" };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (tlsrpt_parse(bytes_str(bad[i]), &r) == OK || !r.wrong)
            fail_msg("%s is taken", bad[i]);
    assert_true(tlsrpt_is_record(B("v=TLSRPTv1;")) && !tlsrpt_is_record(B("v=TLSRPTv11;")));
}

static void tlsa_records(void **state) {
    (void)state;
    char octets[3 + 64] = { 3, 1, 1 };
    struct tlsa_record r;
    assert_int_equal(tlsa_parse(bytes_of(octets, 35), &r), OK);
    assert_true(r.usage == TLSA_DANE_EE && r.selector == TLSA_KEY && r.matching == TLSA_SHA256);
    assert_int_equal(r.data.len, 32);
    assert_int_equal(tlsa_parse(bytes_of(octets, 34), &r), PERM);
    octets[2] = TLSA_SHA512;
    assert_int_equal(tlsa_parse(bytes_of(octets, 67), &r), OK);
    octets[2] = 3;
    assert_int_equal(tlsa_parse(bytes_of(octets, 67), &r), PERM);
    octets[2] = TLSA_FULL;
    assert_int_equal(tlsa_parse(bytes_of(octets, 10), &r), OK);
    assert_int_equal(tlsa_parse(bytes_of(octets, 3), &r), PERM);
    octets[1] = 2;
    assert_int_equal(tlsa_parse(bytes_of(octets, 10), &r), PERM);
    octets[1] = 0;
    octets[0] = TLSA_PKIX_EE;
    assert_int_equal(tlsa_parse(bytes_of(octets, 10), &r), PERM);
    octets[0] = 4;
    assert_int_equal(tlsa_parse(bytes_of(octets, 10), &r), PERM);
    assert_int_equal(tlsa_parse(bytes_of(octets, 2), &r), PERM);
    assert_string_equal(tlsa_usage_name(2), "DANE-TA");
    assert_string_equal(tlsa_usage_name(9), "unknown");
}

static void bimi_records(void **state) {
    (void)state;
    struct bimi_record r;
    assert_int_equal(
        bimi_parse(B("v=BIMI1; l=https://example.com/logo.svg; a=https://example.com/vmc.pem"), &r),
        OK);
    assert_true(r.evidence.len && !r.declined);
    assert_int_equal(bimi_parse(B("v=BIMI1; l=; a=;"), &r), OK);
    assert_true(r.declined);
    static const char *const bad[] = { "v=BIMI1", "v=BIMI1; l=http://example.com/logo.svg",
                                       "v=BIMI1; l=https://example.com/logo.png",
                                       "v=BIMI1; l=https://example.com/l.svg; a=vmc.pem",
                                       "l=https://x/y.svg" };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (bimi_parse(bytes_str(bad[i]), &r) == OK || !r.wrong)
            fail_msg("%s is taken", bad[i]);
}

static void organisations(void **state) {
    (void)state;
    assert_true(is(organisation_of(B("a.mail.example.co.uk")), "example.co.uk"));
    assert_true(is(organisation_of(B("example.com")), "example.com"));
    assert_true(is(organisation_of(B("mail.example.com")), "example.com"));
    assert_true(is(organisation_of(B("co.uk")), "co.uk"));
    assert_true(is(organisation_of(B("")), ""));
    assert_true(organisation_is_suffix(B("com")) && organisation_is_suffix(B("co.uk")));
    assert_false(organisation_is_suffix(B("example.com")));
    assert_true(organisation_same(B("a.example.com"), B("b.example.com")));
    assert_false(organisation_same(B("example.com"), B("example.org")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dkim_keys),      cmocka_unit_test(dkim_flags),
        cmocka_unit_test(dmarc_records),  cmocka_unit_test(dmarc_faults),
        cmocka_unit_test(sts_records),    cmocka_unit_test(sts_policies),
        cmocka_unit_test(tlsrpt_records), cmocka_unit_test(tlsa_records),
        cmocka_unit_test(bimi_records),   cmocka_unit_test(organisations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
