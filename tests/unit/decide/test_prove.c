/* Configurations that must be refused, that earn a warning, and that are fine. */
#include "lab.h"

static char text[1 << 20];

/* A configuration with these settings of one or more connectors. */
static void prove(const char *conf, const struct networks *gateways, struct arena *a,
                  struct config **c, struct config_findings *out) {
    *c = lab_config(conf);
    *out = (struct config_findings){ 0 };
    decide_prove(*c, gateways, LAB_NOW, a, out);
}

static const struct config_finding *find(const struct config_findings *f, const char *id) {
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->list[i].id, id) == 0)
            return &f->list[i];
    return NULL;
}

static void expect(const char *conf, const char *id) {
    struct arena *a = arena_open();
    struct config *c;
    struct config_findings f;
    prove(conf, NULL, a, &c, &f);
    if (id && !find(&f, id))
        fail_msg("no %s for %s", id, conf);
    for (size_t i = 0; !id && i < f.count; i++)
        fail_msg("%s: %.*s for %s", f.list[i].id, BYTES_FMT(f.list[i].text), conf);
    if (id && (strcmp(id, "proof.public") == 0 || strcmp(id, "proof.peers") == 0))
        assert_int_equal(find(&f, id)->severity, FINDING_ERROR);
    config_close(&c);
    arena_close(&a);
}

#define OPEN(name, networks)                                                                       \
    "connector \"" name "\" { clients = {" networks                                                \
    "} may_relay_to = {\"*\"} senders = {\"*@proseware.com\"} note = \"n\" }\n"

static void test_open_relays(void **state) {
    (void)state;
    static const char *const open[] = {
        OPEN("a", "\"0.0.0.0/0\""),
        OPEN("a", "\"::/0\""),
        OPEN("a", "\"0.0.0.0/1\", \"128.0.0.0/1\""),
        OPEN("a", "\"0.0.0.0/1\"") OPEN("b", "\"128.0.0.0/1\""),
        OPEN("a", "\"2000::/3\""),
        OPEN("a", "\"::ffff:0:0/96\""),
        OPEN("a", "\"64:ff9b::/96\""),
        OPEN("a", "\"2002::/16\""),
        OPEN("a", "\"::/1\", \"8000::/1\""),
        OPEN("a", "\"8.0.0.0/8\", \"9.0.0.0/32\""), /* one more than 2^24 */
        OPEN("a", "\"2600::/20\", \"2610::1\""),
        "connector \"a\" { clients = {\"0.0.0.0/0\"} except = {\"10.0.0.0/8\"}\n"
        "  may_relay_to = {\"adatum.com\"} senders = any note = \"n\" }\n",
        "connector \"a\" { clients = {\"0.0.0.0/0\"} listeners = {\"x\"} may_relay_to = {\"*\"}\n"
        "  senders = own limit = {\"1/day\"} note = \"n\" }\n"
        "listener \"x\" { bind = {\"127.0.0.1:25\"} }\n",
    };
    for (size_t i = 0; i < COUNT_OF(open); i++)
        expect(open[i], "proof.public");
}

/* 64 pieces, in one connector and in as many. */
static void test_pieces(void **state) {
    (void)state;
    struct buf b = buf_fixed(text, sizeof text);
    buf_str(&b, "connector \"a\" { may_relay_to = {\"*\"} senders = any note = \"n\" clients = {");
    for (unsigned i = 0; i < 64; i++)
        buf_printf(&b, "%s\"%u.0.0.0/6\"", i ? ", " : "", i * 4);
    buf_str(&b, "} }\n");
    expect(buf_text(&b), "proof.public");
    buf_clear(&b);
    for (unsigned i = 0; i < 64; i++)
        buf_printf(&b,
                   "connector \"c%u\" { clients = {\"%u.0.0.0/6\"} may_relay_to = {\"*\"}\n"
                   "  senders = any note = \"n\" }\n",
                   i, i * 4);
    expect(buf_text(&b), "proof.public");
    buf_clear(&b);
    for (unsigned i = 0; i < 40; i++) /* each alone is small; together more than a /20 */
        buf_printf(&b,
                   "connector \"c%u\" { clients = {\"26%02x::/24\"} may_relay_to = {\"*\"}\n"
                   "  senders = any note = \"n\" }\n",
                   i, i);
    expect(buf_text(&b), "proof.public");
}

static void test_wide_and_fine(void **state) {
    (void)state;
    expect(OPEN("a", "\"8.0.0.0/8\""), "proof.wide"); /* exactly 2^24 */
    expect(OPEN("a", "\"8.8.0.0/16\", \"9.9.9.9\""), "proof.wide");
    expect(OPEN("a", "\"2600::/20\""), "proof.wide");
    expect(OPEN("a", "\"2600::/32\", \"2610::1\""), "proof.wide");
    expect(OPEN("a", "\"8.8.0.0/16\""), NULL);
    expect(OPEN("a", "\"2600::/32\""), NULL);
    expect(OPEN("a", "\"10.0.0.0/8\", \"192.168.0.0/16\", \"127.0.0.0/8\", \"fc00::/7\""), NULL);
    expect("connector \"a\" { clients = {\"0.0.0.0/0\"} auth = any may_relay_to = {\"*\"} }\n",
           NULL);
    expect("connector \"a\" { auth = any may_relay_to = {\"*\"} }\n", NULL);
    expect("connector \"a\" { clients = {\"0.0.0.0/0\"}\n"
           "  client_certificate = {\"spki-sha256:" LAB_SPKI_HEX "\"}\n"
           "  may_relay_to = {\"*\"} senders = any note = \"n\" }\n",
           NULL);
    expect("connector \"a\" { clients = {\"8.0.0.0/7\"} except = {\"8.0.0.0/8\", \"9.0.0.0/9\",\n"
           "  \"9.128.0.0/10\", \"9.192.0.0/11\", \"9.224.0.0/12\", \"9.240.0.0/13\",\n"
           "  \"9.248.0.0/14\", \"9.252.0.0/15\", \"9.254.0.0/16\"} may_relay_to = {\"*\"}\n"
           "  senders = any note = \"n\" }\n",
           NULL);
    expect("# nothing\n", NULL);
}

static void test_one_finding_names_the_widest(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct config *c;
    struct config_findings f;
    prove("# a comment\n" OPEN("small", "\"8.8.8.8\"") OPEN("big", "\"0.0.0.0/0\""), NULL, a, &c,
          &f);
    const struct config_finding *found = find(&f, "proof.public");
    assert_non_null(found);
    assert_true(bytes_equal(found->setting, B("connector big: clients")));
    assert_int_equal(found->place.line, 3);
    assert_true(bytes_search(found->text, B("small, big")) >= 0);
    config_close(&c);
    arena_close(&a);
}

static void test_gateways(void **state) {
    (void)state;
    const struct network list[] = { { { .family = 4, .ip = { 192, 168, 1, 1 } }, 32 },
                                    { { .family = 4, .ip = { 172, 17, 0, 1 } }, 32 } };
    const struct networks gateways = { 2, list };
    static const struct {
        const char *conf, *id;
        int severity;
    } cases[] = {
        { OPEN("a", "\"192.168.1.1\""), "proof.gateway", FINDING_ERROR },
        { OPEN("a", "\"10.0.0.0/8\", \"172.17.0.1/32\""), "proof.gateway", FINDING_ERROR },
        { OPEN("a", "\"192.168.0.0/16\""), "proof.gateway-inside", FINDING_WARNING },
        { "connector \"a\" { clients = {\"192.168.0.0/16\"} except = {\"192.168.1.1\"}\n"
          "  may_relay_to = {\"*\"} senders = any note = \"n\" }\n",
          NULL, 0 },
        { "connector \"a\" { clients = {\"192.168.1.1\"} auth = any may_relay_to = {\"*\"} }\n",
          NULL, 0 },
        { OPEN("a", "\"192.168.1.2\""), NULL, 0 },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *a = arena_open();
        struct config *c;
        struct config_findings f;
        prove(cases[i].conf, &gateways, a, &c, &f);
        assert_int_equal(f.count, cases[i].id ? 1 : 0);
        if (cases[i].id) {
            assert_non_null(find(&f, cases[i].id));
            assert_int_equal(f.list[0].severity, cases[i].severity);
        }
        config_close(&c);
        arena_close(&a);
    }
}

static void test_peers(void **state) {
    (void)state;
#define LISTENER(settings) "listener \"x\" { bind = {\"127.0.0.1:25\"} " settings " }\n"
    expect(LISTENER("proxy_protocol_from = {\"10.0.0.0/24\"}"), NULL);
    expect(LISTENER("proxy_protocol_from = {\"10.0.0.0/24\", \"10.0.2.0/24\"}"), NULL);
    expect(LISTENER("proxy_protocol_from = {\"10.0.0.0/23\"}"), "proof.peers");
    expect(LISTENER("proxy_protocol_from = {\"10.0.0.0/24\", \"10.0.1.0/24\"}"), "proof.peers");
    expect(LISTENER("xclient_from = {\"0.0.0.0/0\"}"), "proof.peers");
    expect(LISTENER("xclient_from = {\"::/0\"}"), "proof.peers");
    expect(LISTENER("xclient_from = {\"fc00::/23\"}"), "proof.peers");
    expect(LISTENER("xclient_from = {\"fd00::/64\"}"), NULL);
}

static void test_void(void **state) {
    (void)state;
    static const char wide_any[] =
        "connector \"wide\" { clients = {\"10.0.0.0/8\"} may_relay_to = {\"*\"} senders = any\n"
        "  note = \"n\" }\n";
    char conf[2000];
    snprintf(conf, sizeof conf, "%s%s", wide_any, OPEN("a", "\"10.1.0.0/16\""));
    expect(conf, "proof.void");
    snprintf(conf, sizeof conf, "%s%s", wide_any, OPEN("a", "\"192.168.0.0/16\""));
    expect(conf, NULL);
    snprintf(conf, sizeof conf, "%s%s", OPEN("b", "\"10.0.0.0/8\""),
             "connector \"a\" { clients = {\"10.1.0.0/16\"} may_relay_to = {\"adatum.com\"}\n"
             "  senders = {\"x@proseware.com\"} limit = {\"1/day\"} note = \"n\" }\n");
    expect(conf, "proof.void");
    /* The usual remedy: the wider one leaves them out. */
    expect("connector \"wide\" { clients = {\"10.0.0.0/8\"} except = {\"10.1.0.0/16\"}\n"
           "  may_relay_to = {\"*\"} senders = any note = \"n\" }\n" OPEN("a", "\"10.1.0.0/16\""),
           NULL);
    /* Any login is wider than two logins. */
    expect("connector \"p\" { auth = any may_relay_to = {\"*\"} senders = any }\n"
           "connector \"q\" { auth = {\"a@b.example\"} may_relay_to = {\"*\"} senders = own }\n",
           "proof.void");
    expect("connector \"p\" { auth = {\"c@b.example\"} may_relay_to = {\"*\"} senders = any }\n"
           "connector \"q\" { auth = {\"a@b.example\"} may_relay_to = {\"*\"} senders = own }\n",
           NULL);
}

static void test_expired(void **state) {
    (void)state;
    expect("connector \"a\" { clients = {\"10.0.0.0/8\"} may_relay_to = {\"*\"} senders = any\n"
           "  note = \"n\" expires = \"2026-01-31\" }\n",
           "proof.expired");
}

static void test_the_lab_is_closed(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct config *c;
    struct config_findings f;
    prove(lab_conf, NULL, a, &c, &f);
    for (size_t i = 0; i < f.count; i++)
        assert_int_equal(f.list[i].severity, FINDING_WARNING);
    assert_non_null(find(&f, "proof.expired"));
    config_close(&c);
    arena_close(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_relays),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_wide_and_fine),
        cmocka_unit_test(test_one_finding_names_the_widest),
        cmocka_unit_test(test_gateways),
        cmocka_unit_test(test_peers),
        cmocka_unit_test(test_void),
        cmocka_unit_test(test_expired),
        cmocka_unit_test(test_the_lab_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
