/* Right files: what an absent setting means, the example, the ways to write things, looking up. */
#include "config_test.h"

static char *read_whole(const char *path) {
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *text = calloc(1, 1 << 18);
    size_t n = fread(text, 1, (1 << 18) - 1, f);
    assert_true(n > 0 && feof(f));
    fclose(f);
    return text;
}

static void an_empty_file_is_valid(void **state) {
    (void)state;
    struct parsed p = parse_clean("");
    const struct config *c = p.config;
    assert_bytes(c->hostname, "host.example.net");
    assert_bytes(c->state_dir, "/var/lib/postern");
    assert_bytes(c->mail_dir, "/var/lib/postern/mail");
    assert_bytes(c->run_as, "postern");
    assert_bytes(c->keeper_as, "postern");
    assert_int_equal(c->workers, 2);
    assert_bytes(c->log, "stderr");
    assert_int_equal(c->postmaster.len, 0);
    assert_int_equal(c->explain, EXPLAIN_FULL);
    assert_int_equal(c->history_keep, INT64_C(14) * 86400000);
    assert_int_equal(c->history_max_size, UINT64_C(2) << 30);
    assert_int_equal(c->domain_count + c->listener_count + c->connector_count + c->route_count, 0);
    assert_bytes(c->queue.store, "spool");
    assert_int_equal(c->queue.retry.count, 5);
    assert_int_equal(c->queue.retry.list[4], 4 * 3600000);
    assert_int_equal(c->queue.give_up, INT64_C(5) * 86400000);
    assert_int_equal(c->queue.warn_after, 4 * 3600000);
    assert_int_equal(c->queue.min_free, 5);
    assert_int_equal(c->logins.count, 1);
    assert_bytes(c->dns_trust_anchor, "builtin");
    assert_null(config_domain(c, B("host.example.net")));
    config_close(&p.config);
    assert_null(p.config);
}

static void defaults_of_an_unknown_host(void **state) {
    (void)state;
    struct config *c;
    struct config_findings f;
    assert_int_equal(config_parse(B("x"), B("\n"), &c, &f), OK);
    assert_bytes(c->hostname, "localhost");
    assert_int_equal(c->workers, 1);
    config_close(&c);
}

static void defaults_that_depend(void **state) {
    (void)state;
    struct parsed p = parse_clean("state_dir = /srv/x  run_as = mail  dns = {\"127.0.0.1:53\"}\n"
                                  "domain \"Proseware.COM\" { }\n");
    assert_bytes(p.config->mail_dir, "/srv/x/mail");
    assert_bytes(p.config->keeper_as, "mail");
    assert_bytes(p.config->postmaster, "postmaster@proseware.com");
    assert_bytes(p.config->dns_trust_anchor, "off");
    assert_bytes(p.config->domains[0].name, "proseware.com");
    config_close(&p.config);
}

static void auth_by_port_and_service(void **state) {
    (void)state;
    struct parsed p = parse_all("listener \"a\" { bind = {\"*:25\"} }\n"
                                "listener \"b\" { bind = {\"*:587\"} }\n"
                                "listener \"c\" { bind = {\"*:110\"} service = pop3 }\n"
                                "listener \"d\" { bind = {\"127.0.0.1:1\"} service = admin }\n"
                                "listener \"e\" { bind = {\"127.0.0.1:0\", \"[::1]:0\"} }\n"
                                "listener \"f\" { bind = {\"127.0.0.9:2525\"} auth = off }\n");
    static const enum auth_mode want[] = { AUTH_OFF,     AUTH_OFFER, AUTH_REQUIRE,
                                           AUTH_REQUIRE, AUTH_OFFER, AUTH_OFF };
    assert_int_equal(p.rc, OK);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(p.config->listeners[i].auth, want[i]);
    assert_int_equal(p.config->listeners[0].tls, TLS_OFFER);
    assert_int_equal(p.config->listeners[0].tls_min, 12);
    config_close(&p.config);
}

static void star_binds_both_families(void **state) {
    (void)state;
    struct parsed p = parse_clean("listener \"a\" { bind = {\"*:25\", \"127.0.0.1:0\"} }\n");
    const struct listener *l = config_listener(p.config, B("A"));
    assert_int_equal(l->bind.count, 2);
    assert_int_equal(l->address_count, 3);
    assert_int_equal(l->addresses[0].family, 4);
    assert_int_equal(l->addresses[1].family, 6);
    assert_int_equal(l->addresses[1].port, 25);
    assert_int_equal(l->addresses[2].port, 0);
    config_close(&p.config);
}

static void only_built_mechanisms_by_default(void **state) {
    (void)state;
    struct parsed p = parse_clean("listener \"a\" { bind = {\"*:587\"} }\n");
    assert_int_equal(p.config->listeners[0].mechanisms.count, 4);
    assert_bytes(p.config->listeners[0].mechanisms.list[0], "SCRAM-SHA-256-PLUS");
    assert_bytes(p.config->listeners[0].mechanisms.list[3], "LOGIN");
    config_close(&p.config);
    p = parse_all("listener \"a\" { bind = {\"*:587\"} }\n"
                  "listener \"b\" { bind = {\"*:588\"} mechanisms = {plain, \"cram-md5\"} }\n");
    assert_int_equal(p.config->listeners[0].mechanisms.count, 4);
    assert_bytes(p.config->listeners[1].mechanisms.list[1], "CRAM-MD5");
    config_close(&p.config);
}

static void tls_of_a_route(void **state) {
    (void)state;
    static const struct {
        const char *via;
        enum tls_policy want;
    } cases[] = {
        { "\"smtp://a.example\"", TLS_POLICY_VERIFY },
        { "\"smtps://127.0.0.1\"", TLS_POLICY_VERIFY },
        { "\"smtp://127.0.0.1\", \"smtp://a.example\"", TLS_POLICY_VERIFY },
        { "\"mx:a.example\"", TLS_POLICY_OPPORTUNISTIC },
        { "\"smtp://a.example\", \"mx:a.example\"", TLS_POLICY_OPPORTUNISTIC },
        { "\"smtp://127.1.2.3:2525\"", TLS_POLICY_OFF },
        { "\"smtp://[::1]:2525\", \"smtp://localhost\"", TLS_POLICY_OFF },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "route \"r\" { via = {%s} }\n", cases[i].via);
        struct parsed p = parse_clean(text);
        assert_int_equal(p.config->routes[0].tls, cases[i].want);
        assert_int_equal(p.config->routes[0].from.count, 0);
        assert_int_equal(p.config->routes[0].to.list[0].kind, PATTERN_ANY);
        config_close(&p.config);
    }
}

static void next_hops(void **state) {
    (void)state;
    struct parsed p = parse_clean("route \"r\" { via = {\"smtp://A.example:587\", "
                                  "\"smtps://[2001:DB8::1]\", \"mx:b.example\"} }\n");
    const struct via *via = p.config->routes[0].via;
    assert_int_equal(p.config->routes[0].via_count, 3);
    assert_bytes(via[0].host, "a.example");
    assert_int_equal(via[0].port, 587);
    assert_bytes(via[1].host, "2001:db8::1");
    assert_true(via[1].implicit);
    assert_int_equal(via[1].port, 465);
    assert_true(via[2].mx);
    assert_int_equal(via[2].port, 25);
    config_close(&p.config);
}

static void deliver_targets(void **state) {
    (void)state;
    struct parsed p = parse_clean("domain \"a.example\" { deliver = lmtp:[::1]:24 }\n"
                                  "domain \"b.example\" { deliver = \"lmtp:unix:/run/lmtp\" }\n"
                                  "domain \"c.example\" { deliver = smtp:mx.c.example:2525 }\n"
                                  "domain \"d.example\" { }\n");
    const struct domain *d = p.config->domains;
    assert_int_equal(d[0].deliver.transport, TRANSPORT_LMTP);
    assert_bytes(d[0].deliver.host, "::1");
    assert_int_equal(d[0].deliver.port, 24);
    assert_bytes(d[1].deliver.path, "/run/lmtp");
    assert_int_equal(d[2].deliver.transport, TRANSPORT_SMTP);
    assert_bytes(d[2].deliver.host, "mx.c.example");
    assert_int_equal(d[3].deliver.transport, TRANSPORT_MAILDIR);
    assert_ptr_equal(config_domain(p.config, B("B.EXAMPLE")), &d[1]);
    assert_null(config_domain(p.config, B("x.a.example")));
    config_close(&p.config);
}

static void an_expiry_day_is_whole(void **state) {
    (void)state;
    struct parsed p = parse_clean("connector \"c\" { auth = any expires = \"1970-01-02\" }\n");
    assert_int_equal(p.config->connectors[0].expires, 2 * 86400000);
    config_close(&p.config);
}

static void ways_to_write(void **state) {
    (void)state;
    struct parsed p = parse_clean("\xef\xbb\xbf# first\r\n"
                                  "explain=brief hostname = 'mail.a.example' // same line\r\n"
                                  "connector people { auth = any\r\n"
                                  "  senders = {\r\n \"a.example\", # one\r\n b.example,\r\n }\r\n"
                                  "  note = \"a \\\"b\\\" \\\\ \\xc3\\xa9 # // /* not a comment\" }"
                                  "/* inline */ workers = 3");
    assert_bytes(p.config->hostname, "mail.a.example");
    assert_int_equal(p.config->workers, 3);
    assert_int_equal(p.config->connectors[0].sender_list.count, 2);
    assert_bytes(p.config->connectors[0].note, "a \"b\" \\ \xc3\xa9 # // /* not a comment");
    assert_int_equal(p.config->connectors[0].place.line, 3);
    config_close(&p.config);
}

static void dollar_braces_are_plain_text(void **state) {
    (void)state;
    setenv("POSTERN_TEST", "expanded", 1);
    struct parsed p = parse_clean("connector \"c\" { auth = any note = \"${POSTERN_TEST}\" }\n");
    assert_bytes(p.config->connectors[0].note, "${POSTERN_TEST}");
    config_close(&p.config);
}

static void a_login_from_file_and_environment(void **state) {
    (void)state;
    char text[400];
    setenv("POSTERN_TEST_LOGIN", "joe:pass:word", 1);
    snprintf(text, sizeof text,
             "route \"r\" { via = {\"smtp://a.example\"} login = \"file:%s/provider.login\" }\n"
             "route \"s\" { to = {\"b.example\"} via = {\"smtp://a.example\"} "
             "login = \"env:POSTERN_TEST_LOGIN\" }\n",
             test_dir);
    struct parsed p = parse_clean(text);
    assert_true(p.config->routes[0].has_login);
    assert_bytes(p.config->routes[0].login_user, "relay@provider.example");
    assert_bytes(p.config->routes[0].login_password, "s3cret:with:colons");
    assert_bytes(p.config->routes[1].login_user, "joe");
    assert_bytes(p.config->routes[1].login_password, "pass:word");
    config_close(&p.config);
}

static void a_file_is_read(void **state) {
    (void)state;
    char path[200];
    write_file("junk", "hostname = \"a.example\"\n\nexplain = loud\n", 0600);
    snprintf(path, sizeof path, "%s/junk", test_dir);
    struct config *c;
    struct config_findings f;
    assert_int_equal(config_parse(bytes_str(path), BYTES_NONE, &c, &f), PERM);
    assert_bytes(c->hostname, "a.example");
    assert_int_equal(f.count, 1);
    assert_int_equal(f.list[0].place.line, 3);
    assert_bytes(f.list[0].place.file, path);
    config_close(&c);
}

/* All that is wrong with the example on a machine that has its files is what is not built yet. */
static void the_example_lacks_only_what_is_not_built(void **state) {
    (void)state;
    char *text = read_whole("examples/postern.conf");
    char *here = replaced(text, "/etc/postern", test_dir);
    struct parsed p = parse(here);
    for (size_t i = 0; i < p.findings.count; i++)
        if (strcmp(p.findings.list[i].id, "config.not-built") != 0) {
            print_findings(&p);
            fail();
        }
    assert_true(p.findings.count > 0);
    assert_false(p.config->incomplete);
    assert_int_equal(p.config->connector_count, 6);
    assert_int_equal(p.config->listener_count, 6);
    assert_int_equal(config_connector(p.config, B("copiers"))->without_tls_on.count, 1);
    config_close(&p.config);
    free(here);
    free(text);
}

static void names_of_this_machine(void **state) {
    (void)state;
    struct bytes hosts = B("127.0.0.1\tlocalhost\n"
                           "# 192.0.2.9 web.commented.example web\n"
                           "127.0.1.1 web mail.a.example web.a.example # own\n"
                           "192.0.2.1 other.b.example other\n"
                           "192.0.2.2");
    assert_bytes(config_find_fqdn(B("web"), hosts), "mail.a.example");
    assert_bytes(config_find_fqdn(B("OTHER"), hosts), "other.b.example");
    assert_bytes(config_find_fqdn(B("localhost"), hosts), "localhost");
    assert_bytes(config_find_fqdn(B("a.b.example"), hosts), "a.b.example");
    assert_bytes(config_find_fqdn(B("none"), BYTES_NONE), "none");
}

static void networks_and_strings(void **state) {
    (void)state;
    struct parsed p =
        parse_clean("connector \"c\" { clients = {\"192.0.2.0/24\", \"2001:db8::/32\"}\n"
                    "senders = any note = n }\n");
    struct networks clients = p.config->connectors[0].clients;
    struct addr a;
    assert_true(addr_parse(B("::ffff:192.0.2.77"), &a) && networks_have(clients, a));
    assert_true(addr_parse(B("2001:db8::5"), &a) && networks_have(clients, a));
    assert_true(addr_parse(B("192.0.3.1"), &a) && !networks_have(clients, a));
    struct bytes words[] = { B("One"), B("two") };
    assert_true(strings_has((struct strings){ 2, words }, B("TWO")));
    assert_false(strings_has((struct strings){ 2, words }, B("three")));
    config_close(&p.config);
}

static void many_domains(void **state) {
    (void)state;
    struct buf b = buf_grow(4 << 20);
    for (int i = 0; i < 20000; i++)
        buf_printf(&b, "domain \"d%d.example\" { recipients = any }\n", i);
    struct parsed p = parse_clean(buf_text(&b));
    for (int i = 0; i < 20000; i += 7) {
        char name[40];
        snprintf(name, sizeof name, "D%d.example", i);
        assert_ptr_equal(config_domain(p.config, bytes_str(name)), &p.config->domains[i]);
    }
    config_close(&p.config);
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_is_valid),
        cmocka_unit_test(defaults_of_an_unknown_host),
        cmocka_unit_test(defaults_that_depend),
        cmocka_unit_test(auth_by_port_and_service),
        cmocka_unit_test(star_binds_both_families),
        cmocka_unit_test(only_built_mechanisms_by_default),
        cmocka_unit_test(tls_of_a_route),
        cmocka_unit_test(next_hops),
        cmocka_unit_test(deliver_targets),
        cmocka_unit_test(an_expiry_day_is_whole),
        cmocka_unit_test(ways_to_write),
        cmocka_unit_test(dollar_braces_are_plain_text),
        cmocka_unit_test(a_login_from_file_and_environment),
        cmocka_unit_test(a_file_is_read),
        cmocka_unit_test(the_example_lacks_only_what_is_not_built),
        cmocka_unit_test(names_of_this_machine),
        cmocka_unit_test(networks_and_strings),
        cmocka_unit_test(many_domains),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
