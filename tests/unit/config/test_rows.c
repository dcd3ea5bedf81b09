/* Every row of the schema, in a file full of comments: a good value reaches its field (config_show
 * gives it back), a bad one is told with its own line. A row without a line here fails the test. */
#include "config_test.h"

#include "config/schema.h"
#include "config/value.h"

struct row {
    const char *section, *name, *good, *bad;
    const char *shown; /* NULL: as `good` */
};

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
static const struct row rows[] = {
    { "", "hostname", "\"mail.proseware.com\"", "\"mail proseware\"" },
    { "", "state_dir", "\"/srv/postern\"", "postern" },
    { "", "mail_dir", "\"/srv/mail\"", "\"\"" },
    { "", "run_as", "\"mailrelay\"", "\"a b\"" },
    { "", "keeper_as", "\"keeper\"", "{}" },
    { "", "workers", "3", "300" },
    { "", "log", "\"file:/var/log/postern.json\"", "\"file:\"" },
    { "", "postmaster", "\"admin@proseware.com\"", "admin" },
    { "", "explain", "brief", "verbose" },
    { "", "blocked_senders", "{\"spam.example\", \".bulk.example\", \"joe@a.example\"}",
      "{\"a b\"}" },
    { "", "blocked_headers", "{\"ceo@proseware.com\"}", "{\"ceo@\"}" },
    { "", "directory", "\"postgresql://db/postern\"", "mysql" },
    { "", "logins", "{\"directory\", \"dovecot:/run/auth\", \"pam:smtp\"}", "{\"pam:\"}" },
    { "", "counters", "\"redis://cache:6379\"", "\"redis://a b\"" },
    { "", "dns", "{\"127.0.0.1:5353\", \"[::1]:53\"}", "{\"::1:53\"}" },
    { "", "dns_trust_anchor", "\"file:/etc/anchor\"", "\"file:anchor\"" },
    { "", "blocklists", "{\"zen.example\", \"b.example:127.0.0.2-4=3\"}",
      "{\"zen.example:192.0.2.1\"}" },
    { "", "allowlists", "{\"dnswl.example\"}", "zen.example" },
    { "", "blocklist_score", "3", "0" },
    { "", "greylist", "on", "yes" },
    { "", "greylist_delay", "1min", "0s" },
    { "", "greylist_window", "4d", "60d" },
    { "", "greylist_lifetime", "60d", "1min" },
    { "", "greylist_trust", "0", "two" },
    { "", "tripwire_senders", "30", "65" },
    { "", "tripwire_helos", "0", "-1" },
    { "", "tripwire_window", "2h", "1s" },
    { "", "srs_secret", "\"file:@/srs.key\"", "\"0123456789\"", "\"***\"" },
    { "", "alarm", "\"https://hook.example/x\"", "\"ftp://hook.example\"" },
    { "history", "keep", "30d", "\"30 days\"" },
    { "history", "max_size", "10GiB", "10" },
    { "domain", "recipients", "any", "anybody" },
    { "domain", "deliver", "\"lmtp:unix:/run/dovecot/lmtp\"", "mbox" },
    { "domain", "header_auth", "note", "on" },
    { "domain", "limit", "{\"1000/1h\"}", "1000" },
    { "domain", "limit_recipients", "{\"1000/1h\"}", "{\"1000\"}" },
    { "domain", "blocked_senders", "{\".ads.example\"}", "{\"a b\"}" },
    { "domain", "blocked_headers", "{\"win@ads.example\"}", "{\"win@\"}" },
    { "listener", "bind", "{\"127.0.0.2:2525\", \"[::1]:0\"}", "{\"25\"}" },
    { "listener", "service", "pop3", "imap" },
    { "listener", "tls", "require", "starttls" },
    { "listener", "tls_min", "1.3", "1.0" },
    { "listener", "auth", "require", "on" },
    { "listener", "mechanisms", "{\"PLAIN\", \"CRAM-MD5\"}", "{\"NTLM\"}" },
    { "listener", "proxy_protocol_from", "{\"10.0.0.0/24\"}", "{\"10.0.0.0/40\"}" },
    { "listener", "xclient_from", "{\"10.0.0.1/32\"}", "{\"proxy.example\"}" },
    { "listener", "xclient_login", "yes", "true" },
    { "listener", "bare_newline", "fix", "keep" },
    { "listener", "certificate", "\"@/mail.pem\"", "\"mail.pem\"" },
    { "listener", "key", "\"@/mail.key\"", "{\"/etc/mail.key\"}" },
    { "listener", "max_connections_per_client", "7", "0" },
    { "listener", "max_message_size", "100MiB", "100M" },
    { "listener", "max_recipients", "1000", "1e3" },
    { "listener", "idle_timeout", "30s", "1d" },
    { "listener", "limit_per_client", "{\"60/1h\", \"500/1d\"}", "{\"60/fortnight\"}" },
    { "listener", "limit_recipients_per_client", "{\"60/1h\"}", "{\"many/hour\"}" },
    { "listener", "blocklists", "{}", "{\"zen..example\"}" },
    { "listener", "allowlists", "{\"dnswl.example=2\"}", "{\"dnswl.example=0\"}" },
    { "listener", "helo", "require", "yes" },
    { "listener", "ptr", "note", "on" },
    { "certificate", "chain", "\"@/box.pem\"", "box.pem" },
    { "certificate", "key", "\"@/box.key\"", "box.key" },
    { "connector", "clients", "{\"192.0.2.0/24\", \"2001:db8:5::/48\"}", "{\"192.0.2.0/24/3\"}" },
    { "connector", "except", "{\"192.0.2.16/28\"}", "{\"192.0.2.17/28\"}" },
    { "connector", "listeners", "{\"internet\"}", "{\"the internet\"}" },
    { "connector", "auth", "{\"app1@proseware.com\"}", "\"app1@proseware.com\"" },
    { "connector", "client_certificate",
      "{\"spki-sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"}",
      "{\"spki-sha256:9f86\"}" },
    { "connector", "pop_before_smtp", "15min", "2d" },
    { "connector", "local_users", "{\"root\", \"www-data\"}", "{\"-root\"}" },
    { "connector", "expires", "\"2027-12-31\"", "\"31.12.2027\"" },
    { "connector", "tenant", "\"northwind\"", "\"north wind\"" },
    { "connector", "may_relay_to", "{\"adatum.com\", \"*\"}", "everywhere" },
    { "connector", "senders", "{\"proseware.com\", \"<>\"}", "{\"@proseware.com\"}" },
    { "connector", "header_from", "strict", "own" },
    { "connector", "limit", "{\"5/1h\", \"50/1d\"}", "{\"5\"}" },
    { "connector", "limit_total", "{\"100/15min\"}", "{\"/day\"}" },
    { "connector", "limit_recipients", "{\"5000/1d\"}", "{\"5000/0s\"}" },
    { "connector", "max_recipients", "50", "-50" },
    { "connector", "without_auth_on", "{\"internet\"}", "internet" },
    { "connector", "without_tls_on", "{\"internet\"}", "{\"\"}" },
    { "connector", "note", "\"say \\\"hi\\\" \\\\ bye\"", "\" \"" },
    { "tenant", "domains", "{\"northwind.example\"}", "{\"*\"}" },
    { "tenant", "hostname", "\"box.northwind.example\"", "\"box_\xff\"" },
    { "tenant", "address", "\"2001:db8::40\"", "\"2001:db8::40/64\"" },
    { "tenant", "clients", "{\"198.51.100.0/24\"}", "{\"198.51.100.1/24\"}" },
    { "tenant", "limit", "{\"10000/1d\"}", "{\"ten/day\"}" },
    { "tenant", "limit_recipients", "{\"10/1s\"}", "10/1s" },
    { "tenant", "max_recipients", "9", "nine" },
    { "tenant", "external_forwarding", "allow", "yes" },
    { "tenant", "admins", "{\"admin@northwind.example\"}", "{\"admin\"}" },
    { "route", "to", "{\"a.example\", \".b.example\"}", "{}" },
    { "route", "from", "{\"joe@proseware.com\"}", "{\"*@*\"}" },
    { "route", "via",
      "{\"smtp://a.example:25\", \"smtps://[2001:db8::1]:465\", \"mx:b.example:25\"}",
      "{\"http://a.example\"}" },
    { "route", "tls", "require", "yes" },
    { "route", "ca_file", "\"/etc/ssl/ca.pem\"", "ca.pem" },
    { "route", "login", "\"file:@/provider.login\"", "\"joe:secret\"" },
    { "route", "source_address", "\"203.0.113.41\"", "\"203.0.113\"" },
    { "route", "max_connections", "5", "10001" },
    { "route", "rate", "{\"1000/1h\"}", "{\"1000 an hour\"}" },
    { "route", "chunking", "off", "maybe" },
    { "queue", "store", "\"postgresql://db/q\"", "\"postgresql://\"" },
    { "queue", "retry", "{\"10s\", \"1h\"}", "{\"2d\"}" },
    { "queue", "give_up", "2d", "31d" },
    { "queue", "warn_after", "1h", "soon" },
    { "queue", "min_free", "10%", "ten%" },
    { "oauth", "issuer", "\"https://login.example\"", "{}" },
    { "oauth", "jwks", "\"https://login.example/keys\"", "\"\"" },
    { "oauth", "audience", "\"mail\"", "{\"a\", \"b\"}" },
    { "oauth", "claim", "\"upn\"", "\" \"" },
    { "oauth", "introspection", "\"https://login.example/i\"", "{}" },
    { "oauth", "client", "\"file:@/provider.login\"", "\"id:secret\"", "\"***\"" },
    { "oauth", "ca_file", "\"@/mail.pem\"", "mail.pem" },
};

static char *with_dir(const char *text) {
    char path[128];
    snprintf(path, sizeof path, "%s/", test_dir);
    return replaced(text, "@/", path);
}

/* What stands in the file: comments before, behind and inside, which must not move the lines. */
static struct bytes file_with(struct buf *b, const struct row *row, const char *value) {
    const struct schema_section *kind = schema_section(bytes_str(row->section));
    buf_str(b, "# one { \" = }\n// two \" {\n/* three\n   four */ # five\n\n");
    if (*row->section)
        buf_printf(b, "%s %s { # six\n", row->section,
                   kind->title == TITLE_NONE     ? ""
                   : kind->title == TITLE_DOMAIN ? "\"x.example\""
                                                 : "\"x\"");
    else
        buf_str(b, "\n");
    buf_printf(b, "\n  /* eight */ %s /* = */ = // { \"\n\n   %s # behind\n", row->name, value);
    if (*row->section)
        buf_str(b, "} // end\n");
    return buf_bytes(b);
}

static const struct config_finding *finding_of(const struct parsed *p, const struct row *row) {
    for (size_t i = 0; i < p->findings.count; i++) {
        struct bytes s = p->findings.list[i].setting;
        ptrdiff_t colon = bytes_search(s, B(": "));
        struct bytes name = colon < 0 ? s : bytes_skip(s, (size_t)colon + 2);
        bool reference = strcmp(p->findings.list[i].id, "config.reference") == 0 ||
                         strcmp(p->findings.list[i].id, "config.missing") == 0 ||
                         strcmp(p->findings.list[i].id, "config.conflict") == 0;
        if (bytes_equal(name, bytes_str(row->name)) && !reference)
            return &p->findings.list[i];
    }
    return NULL;
}

static void check_shown(const struct parsed *p, const struct row *row, const char *value) {
    struct buf out = buf_grow(1 << 20), want = buf_grow(4096);
    config_show(&out, p->config);
    buf_printf(&want, "%s%s = %s\n", *row->section ? "    " : "", row->name, value);
    bool found = bytes_search(buf_bytes(&out), buf_bytes(&want)) >= 0;
    if (!found)
        fail_msg("expected %s in:\n%s", buf_text(&want), buf_text(&out));
    buf_free(&out);
    buf_free(&want);
}

static void check_good(const struct row *row) {
    struct buf b = buf_grow(8192);
    char *value = with_dir(row->good);
    file_with(&b, row, value);
    struct parsed p = parse_all(buf_text(&b));
    const struct config_finding *f = finding_of(&p, row);
    if (f)
        fail_msg("%s: %s = %s: %.*s", row->section, row->name, value, BYTES_FMT(f->text));
    check_shown(&p, row, row->shown ? row->shown : value);
    config_close(&p.config);
    free(value);
    buf_free(&b);
}

static void check_bad(const struct row *row) {
    struct buf b = buf_grow(8192), expected = buf_grow(4096);
    char *value = with_dir(row->bad);
    file_with(&b, row, value);
    struct parsed p = parse_all(buf_text(&b));
    const struct config_finding *f = finding_of(&p, row);
    if (!f)
        fail_msg("%s: %s = %s passed", row->section, row->name, value);
    assert_int_equal(p.rc, PERM);
    /* The setting's line when the shape is wrong, else the value's. */
    if (f->place.line != 8 && f->place.line != 10)
        fail_msg("%s: %s = %s: line %d", row->section, row->name, value, f->place.line);
    const struct setting *s = schema_setting(row->section, bytes_str(row->name));
    schema_expected(&expected, s);
    if (strcmp(f->id, "config.host-bits") != 0 && bytes_search(f->text, buf_bytes(&expected)) < 0)
        fail_msg("%s: %s: %.*s", row->section, row->name, BYTES_FMT(f->text));
    config_close(&p.config);
    free(value);
    buf_free(&b);
    buf_free(&expected);
}

static void every_row_has_a_test(void **state) {
    (void)state;
    assert_int_equal(sizeof rows / sizeof rows[0], schema_count);
    for (size_t i = 0; i < schema_count; i++) {
        assert_string_equal(rows[i].section, schema[i].section);
        assert_string_equal(rows[i].name, schema[i].name);
    }
}

static void every_row_is_complete(void **state) {
    (void)state;
    for (size_t i = 0; i < schema_count; i++) {
        const struct setting *s = &schema[i];
        assert_non_null(s->type);
        assert_non_null(s->sentence);
        /* A default, or words for what absence means: exactly one of both. */
        assert_true(!s->fallback != !s->otherwise);
        assert_non_null(schema_section(bytes_str(s->section)));
        assert_ptr_equal(schema_setting(s->section, bytes_str(s->name)), s);
        assert_true(s->type->expected[0] || s->choices);
    }
}

static void good_values(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_good(&rows[i]);
}

static void bad_values(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_bad(&rows[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_a_test),
        cmocka_unit_test(every_row_is_complete),
        cmocka_unit_test(good_values),
        cmocka_unit_test(bad_values),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
