/* The cases of a provider's everyday, as a table; then the rules one by one. */
#include "lab.h"

#define HOTEL  "198.51.100.7"
#define OFFICE "192.0.2.5"
#define COPIER "192.0.2.20"
#define TERRI  "terri@proseware.com"

static const struct row {
    const char *name, *client, *listener, *login, *from, *to;
    int code;
    const char *status, *reason, *connector;
    bool relay;
} rows[] = {
    { "1 home to ours", OFFICE, "internet", NULL, TERRI, "ceo@proseware.com", 250, "2.1.5", "", "",
      false },
    { "2 home to elsewhere", OFFICE, "internet", NULL, TERRI, "x@adatum.com", 250, "2.1.5", "",
      "office", true },
    { "2 over IPv6", "2001:db8:5::9", "internet", NULL, TERRI, "x@adatum.com", 250, "2.1.5", "",
      "office", true },
    { "2 mapped", "::ffff:192.0.2.5", "internet", NULL, TERRI, "x@adatum.com", 250, "2.1.5", "",
      "office", true },
    { "2 null sender on the list", OFFICE, "internet", NULL, "<>", "x@adatum.com", 250, "2.1.5", "",
      "office", true },
    { "2 in except", "192.0.2.201", "internet", NULL, TERRI, "x@adatum.com", 550, "5.7.1",
      "relay.no-grant", "", true },
    { "2 on another listener", OFFICE, "offer", NULL, TERRI, "x@adatum.com", 550, "5.7.1",
      "relay.no-grant", "", true },
    { "2 sender of others", OFFICE, "internet", NULL, "x@contoso.com", "x@adatum.com", 553, "5.7.1",
      "sender.not-yours", "", true },
    { "3 work to ours", HOTEL, "internet", NULL, TERRI, "ceo@proseware.com", 250, "2.1.5", "", "",
      false },
    { "4, 5 work to elsewhere", HOTEL, "internet", NULL, TERRI, "x@adatum.com", 550, "5.7.1",
      "relay.no-grant", "", true },
    { "5 to a subdomain of ours", HOTEL, "internet", NULL, TERRI, "x@sub.proseware.com", 550,
      "5.7.1", "relay.no-grant", "", true },
    { "6 login", HOTEL, "submission", TERRI, TERRI, "x@adatum.com", 250, "2.1.5", "", "people",
      true },
    { "6 login on 465", HOTEL, "submissions", TERRI, TERRI, "x@adatum.com", 250, "2.1.5", "",
      "people", true },
    { "6 login to ours", HOTEL, "submission", TERRI, TERRI, "ceo@proseware.com", 250, "2.1.5", "",
      "people", false },
    { "6 alias", HOTEL, "submission", TERRI, "T.Chudzik@proseware.com", "x@adatum.com", 250,
      "2.1.5", "", "people", true },
    { "6 null sender", HOTEL, "submission", TERRI, "<>", "x@adatum.com", 250, "2.1.5", "", "people",
      true },
    { "6 own tag", HOTEL, "submission", TERRI, "terri+shop@proseware.com", "x@adatum.com", 250,
      "2.1.5", "", "people", true },
    { "6 a tag that is somebody else", HOTEL, "submission", TERRI, "terri+vip@proseware.com",
      "x@adatum.com", 553, "5.7.1", "sender.not-yours", "", true },
    { "10 not its own", HOTEL, "submission", TERRI, "terri@contoso.com", "x@adatum.com", 553,
      "5.7.1", "sender.not-yours", "", true },
    { "10 for ours too", HOTEL, "submission", TERRI, "terri@contoso.com", "ceo@proseware.com", 553,
      "5.7.1", "sender.not-yours", "", false },
    { "10 on port 25 of the office", OFFICE, "internet", TERRI, "ceo@proseware.com", "x@adatum.com",
      250, "2.1.5", "", "office", true },
    { "12 send-as", HOTEL, "submission", TERRI, "team@adatum.com", "x@adatum.com", 250, "2.1.5", "",
      "people", true },
    { "login is disabled", HOTEL, "submission", "gone@proseware.com", "gone@proseware.com",
      "x@adatum.com", 550, "5.7.1", "relay.no-grant", "", true },
    { "login is disabled, ours", HOTEL, "submission", "gone@proseware.com", "gone@proseware.com",
      "ceo@proseware.com", 553, "5.7.1", "sender.not-yours", "", false },
    { "login that is nobody", HOTEL, "submission", "ghost@proseware.com", "<>", "ceo@proseware.com",
      553, "5.7.1", "sender.not-yours", "", false },
    { "14 copier", COPIER, "submission", NULL, "scanner@proseware.com", "x@adatum.com", 250,
      "2.1.5", "", "copiers", true },
    { "14 copier to ours", COPIER, "submission", NULL, "scanner@proseware.com", "ceo@proseware.com",
      250, "2.1.5", "", "copiers", false },
    { "14 elsewhere", HOTEL, "submission", NULL, "scanner@proseware.com", "x@adatum.com", 530,
      "5.7.0", "auth.required", "", false },
    { "14 elsewhere, port 25", HOTEL, "internet", NULL, "scanner@proseware.com", "x@adatum.com",
      550, "5.7.1", "relay.no-grant", "", true },
    { "15 copier as the ceo", COPIER, "submission", NULL, "ceo@proseware.com", "x@adatum.com", 553,
      "5.7.1", "sender.not-yours", "", true },
    { "15 to ours", COPIER, "submission", NULL, "ceo@proseware.com", "terri@proseware.com", 553,
      "5.7.1", "sender.not-yours", "", false },
    { "15 on port 25 it is not bound", COPIER, "internet", NULL, "ceo@proseware.com",
      "terri@proseware.com", 250, "2.1.5", "", "", false },
    { "16 no login", OFFICE, "submission", NULL, TERRI, "ceo@proseware.com", 530, "5.7.0",
      "auth.required", "", false },
    { "20 unknown", HOTEL, "internet", NULL, "x@adatum.com", "nobody@proseware.com", 550, "5.1.1",
      "recipient.unknown", "", false },
    { "known by its tag", HOTEL, "internet", NULL, "x@adatum.com", "ceo+news@proseware.com", 250,
      "2.1.5", "", "", false },
    { "any recipient", HOTEL, "internet", NULL, "x@adatum.com", "who@catchall.example", 250,
      "2.1.5", "", "", false },
    { "28 partner without its certificate", HOTEL, "internet", NULL, "x@contoso.com",
      "x@adatum.com", 550, "5.7.1", "relay.no-grant", "", true },
    { "30 percent", HOTEL, "internet", NULL, "x@contoso.com", "user%adatum.com@proseware.com", 550,
      "5.1.1", "recipient.unknown", "", false },
    { "30 percent behind a tag", HOTEL, "internet", NULL, "x@contoso.com",
      "ceo+x%adatum.com@proseware.com", 550, "5.1.1", "recipient.unknown", "", false },
    { "30 percent, any", HOTEL, "internet", NULL, "x@contoso.com",
      "user%adatum.com@catchall.example", 550, "5.1.1", "recipient.unknown", "", false },
    { "30 quoted", HOTEL, "internet", NULL, "x@contoso.com", "\"user@adatum.com\"@proseware.com",
      550, "5.1.1", "recipient.unknown", "", false },
    { "30 quoted, any", HOTEL, "internet", NULL, "x@contoso.com",
      "\"user@adatum.com\"@catchall.example", 550, "5.1.1", "recipient.unknown", "", false },
    { "30 bang", HOTEL, "internet", NULL, "x@contoso.com", "adatum.com!user@catchall.example", 550,
      "5.1.1", "recipient.unknown", "", false },
    { "30 literal", HOTEL, "internet", NULL, "x@contoso.com", "user@[127.0.0.1]", 550, "5.7.1",
      "relay.no-grant", "", true },
    { "30 without a domain", OFFICE, "internet", NULL, TERRI, "adatum.com!user", 550, "5.7.1",
      "relay.no-grant", "", true },
    { "postmaster", HOTEL, "internet", NULL, "x@contoso.com", "postmaster", 250, "2.1.5", "", "",
      false },
    { "postmaster of ours", HOTEL, "internet", NULL, "<>", "PostMaster@proseware.com", 250, "2.1.5",
      "", "", false },
    { "postmaster of our literal", HOTEL, "internet", NULL, "<>", "postmaster@[127.0.0.1]", 250,
      "2.1.5", "", "", false },
    { "postmaster of others", HOTEL, "internet", NULL, "<>", "postmaster@adatum.com", 550, "5.7.1",
      "relay.no-grant", "", true },
    { "postmaster, from a login, for anybody", HOTEL, "submission", TERRI, "x@contoso.com",
      "postmaster@proseware.com", 250, "2.1.5", "", "", false },
    { "a time that is over", "192.0.2.209", "offer", NULL, TERRI, "x@adatum.com", 550, "5.7.1",
      "relay.grant-expired", "", true },
    { "over, but for another listener too", "192.0.2.209", "fixing", NULL, TERRI, "x@adatum.com",
      550, "5.7.1", "relay.no-grant", "", true },
    { "blocked sender", HOTEL, "internet", NULL, "x@spam.example", "ceo@proseware.com", 550,
      "5.7.1", "sender.blocked", "", false },
    { "blocked from outside only", OFFICE, "internet", NULL, "x@spam.example", "ceo@proseware.com",
      250, "2.1.5", "", "", false },
    { "a narrow connector's own domain", HOTEL, "submission", "strict@proseware.com",
      "a@strict.example", "x@strict.example", 250, "2.1.5", "", "strict", true },
    { "but not beyond it", HOTEL, "submission", "strict@proseware.com", "a@strict.example",
      "x@adatum.com", 553, "5.7.1", "sender.not-yours", "", true },
};

static void check(const struct row *r, const struct verdict *v) {
    char status[12];
    status_format(v->why.status, status);
    if (v->why.code != r->code || strcmp(v->why.reason, r->reason) != 0 ||
        strcmp(status, r->status) != 0)
        fail_msg("%s: %d %s %s %s", r->name, v->why.code, status, v->why.reason, v->why.text);
    if (!bytes_equal(v->connector, bytes_str(r->connector)) && v->rc == OK)
        fail_msg("%s: charged %.*s", r->name, BYTES_FMT(v->connector));
    if (v->relay != r->relay)
        fail_msg("%s: relay %d", r->name, v->relay);
    assert_true(v->rule_count > 0);
    for (size_t i = 0; i < v->rule_count; i++)
        assert_true(v->rules[i].name.len && v->rules[i].because.len);
}

static void test_cases(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct lab l;
        lab_open(&l, lab_conf);
        lab_caller(&l, rows[i].client, rows[i].listener, rows[i].login);
        lab_message(&l, rows[i].from, rows[i].to);
        check(&rows[i], lab_try(&l));
        lab_close(&l);
    }
}

/* Whatever service is down: never a denial of its own, never an acceptance where it matters. */
static void test_services_down(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct lab l;
        lab_open(&l, lab_conf);
        lab_caller(&l, rows[i].client, rows[i].listener, rows[i].login);
        lab_message(&l, rows[i].from, rows[i].to);
        l.down = FACT_LOGIN | FACT_RECIPIENT | FACT_GATEWAY | FACT_COUNTERS | FACT_SENDER_ENTRY;
        const struct verdict *v = lab_try(&l);
        if (l.asked) {
            assert_int_equal(v->rc, TEMP);
            assert_int_equal(v->why.code, 451);
            assert_true(bytes_starts(bytes_str(v->why.reason), B("backend.")));
        } else {
            check(&rows[i], v);
        }
        lab_close(&l);
    }
}

static void open_case(struct lab *l, const char *client, const char *listener, const char *login,
                      const char *to) {
    lab_open(l, lab_conf);
    lab_caller(l, client, listener, login);
    lab_message(l, TERRI, to);
}

#define REFUSED(v, number, id)                                                                     \
    do {                                                                                           \
        assert_int_equal((v)->why.code, (number));                                                 \
        assert_string_equal((v)->why.reason, (id));                                                \
    } while (0)

static void test_gateway_earns_nothing(void **state) {
    (void)state;
    struct lab l;
    open_case(&l, OFFICE, "internet", NULL, "x@adatum.com");
    l.gateway = true;
    const struct verdict *v = lab_try(&l);
    REFUSED(v, 550, "relay.no-grant");
    assert_non_null(strstr(v->why.text, "gateway"));
    assert_null(lab_change(v, "add-client"));
    assert_null(lab_change(v, "add-connector"));
    /* With a login it does not matter, and is not asked. */
    lab_caller(&l, OFFICE, "submission", TERRI);
    l.f.gateway_state = FACT_UNKNOWN;
    l.asked = 0;
    assert_int_equal(lab_try(&l)->rc, OK);
    assert_false(l.asked & FACT_GATEWAY);
    lab_close(&l);

    /* Nor does it waive the login. */
    open_case(&l, COPIER, "submission", NULL, "x@adatum.com");
    l.gateway = true;
    REFUSED(lab_try(&l), 530, "auth.required");
    l.f.verb = B("MAIL");
    REFUSED(lab_ask(&l, STEP_COMMAND), 530, "tls.required");
    lab_close(&l);
}

static void test_facts_are_asked_for_when_they_matter(void **state) {
    (void)state;
    static const struct {
        const char *client, *listener, *login, *to;
        uint32_t asked;
    } cases[] = {
        { HOTEL, "internet", NULL, "x@adatum.com", 0 },
        { HOTEL, "internet", NULL, "ceo@proseware.com", FACT_RECIPIENT },
        { OFFICE, "internet", NULL, "ceo@proseware.com", FACT_RECIPIENT },
        { OFFICE, "internet", NULL, "x@adatum.com", FACT_GATEWAY },
        { HOTEL, "submission", TERRI, "x@adatum.com", FACT_LOGIN },
        { HOTEL, "submission", TERRI, "ceo@proseware.com", FACT_LOGIN | FACT_RECIPIENT },
        { HOTEL, "internet", NULL, "postmaster", 0 },
        { HOTEL, "internet", NULL, "who@catchall.example", FACT_RECIPIENT },
        { "203.0.113.9", "internet", NULL, "x@adatum.com", FACT_GATEWAY | FACT_COUNTERS },
        { "203.0.113.9", "internet", NULL, "x@contoso.com", 0 },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct lab l;
        open_case(&l, cases[i].client, cases[i].listener, cases[i].login, cases[i].to);
        lab_try(&l);
        if (l.asked != cases[i].asked)
            fail_msg("case %zu: asked %x, not %x", i, l.asked, cases[i].asked);
        lab_close(&l);
    }
}

static void test_proxy_that_does_not_say(void **state) {
    (void)state;
    struct lab l;
    open_case(&l, OFFICE, "internet", NULL, "x@adatum.com");
    l.f.client_unknown = true;
    REFUSED(lab_try(&l), 550, "relay.no-grant");
    l.f.recipient = B("ceo@proseware.com");
    assert_int_equal(lab_try(&l)->rc, OK);
    lab_close(&l);
}

static void test_pop_before_smtp(void **state) {
    (void)state;
    struct lab l;
    open_case(&l, HOTEL, "internet", NULL, "x@adatum.com");
    l.f.popped_login = B(TERRI);
    l.f.popped_at = LAB_NOW - 14 * 60000;
    assert_int_equal(lab_try(&l)->rc, OK);
    assert_true(bytes_equal(l.v.connector, B("after-pop")));
    assert_true(l.v.bound);
    lab_message(&l, "ceo@proseware.com", "ceo@proseware.com");
    REFUSED(lab_try(&l), 553, "sender.not-yours"); /* bound as if logged in */
    lab_message(&l, TERRI, "x@adatum.com");
    l.f.now = LAB_NOW + 60000;
    REFUSED(lab_try(&l), 550, "relay.no-grant"); /* the window is over */
    l.f.now = LAB_NOW;
    l.f.popped_login = B("gone@proseware.com");
    l.f.login_state = FACT_UNKNOWN;
    l.f.sender = B("gone@proseware.com");
    REFUSED(lab_try(&l), 550, "relay.no-grant"); /* disabled */
    lab_close(&l);
}

static void test_client_certificate(void **state) {
    (void)state;
    struct lab l;
    char spki[32];
    memcpy(spki, LAB_SPKI.at, 32);
    open_case(&l, HOTEL, "internet", NULL, "x@adatum.com");
    l.f.client_spki = bytes_of(spki, 32);
    assert_int_equal(lab_try(&l)->rc, OK);
    assert_true(bytes_equal(l.v.connector, B("partner")));
    l.f.recipient = B("x@contoso.com");
    REFUSED(lab_try(&l), 550, "relay.no-grant");
    l.f.recipient = B("x@adatum.com");
    spki[0] ^= 1;
    REFUSED(lab_try(&l), 550, "relay.no-grant");
    lab_close(&l);
}

/* By an authority and a name: both, of the same certificate, and of this authority. */
static void test_certificate_by_authority(void **state) {
    (void)state;
    static const struct bytes entry[] = { { "ca:/root.pem name:gw.adatum.com", 31 } };
    static const struct bytes right[] = { { "x.example", 9 }, { "gw.adatum.com", 13 } },
                              wrong[] = { { "gw.adatum.com.x.example", 23 } };
    struct vouch vouches[] = { { B("/other.pem"), true, BYTES_NONE },
                               { B("/root.pem"), true, BYTES_NONE } };
    struct lab l;
    open_case(&l, HOTEL, "internet", NULL, "x@adatum.com");
    const struct connector *partner = config_connector(l.config, B("partner"));
    ((struct connector *)(uintptr_t)partner)->client_certificate = (struct strings){ 1, entry };
    REFUSED(lab_ask(&l, STEP_RCPT), 550, "relay.no-grant");
    l.f.client_spki = LAB_SPKI;
    l.f.client_names = (struct strings){ 2, right };
    REFUSED(lab_ask(&l, STEP_RCPT), 550, "relay.no-grant"); /* nobody was asked */
    l.f.vouches = vouches;
    l.f.vouch_count = 2;
    assert_int_equal(lab_ask(&l, STEP_RCPT)->rc, OK);
    l.f.client_names = (struct strings){ 1, wrong };
    REFUSED(lab_ask(&l, STEP_RCPT), 550, "relay.no-grant");
    l.f.client_names = (struct strings){ 2, right };
    l.f.vouch_count = 1; /* another authority's word does not count */
    REFUSED(lab_ask(&l, STEP_RCPT), 550, "relay.no-grant");
    l.f.vouch_count = 2;
    vouches[1].vouches = false;
    REFUSED(lab_ask(&l, STEP_RCPT), 550, "relay.no-grant");
    lab_close(&l);
}

static void test_local_door(void **state) {
    (void)state;
    struct lab l;
    lab_open(&l, lab_conf);
    l.f.local_door = true;
    l.f.client.family = 1;
    l.f.local_user = B("root");
    lab_message(&l, "root@mail.proseware.com", "x@adatum.com");
    assert_int_equal(lab_try(&l)->rc, OK);
    assert_true(bytes_equal(l.v.connector, B("cron")));
    lab_message(&l, TERRI, "x@adatum.com");
    REFUSED(lab_try(&l), 553, "sender.not-yours");
    l.f.local_user = B("nobody");
    REFUSED(lab_try(&l), 550, "relay.no-grant");
    lab_message(&l, TERRI, "ceo@proseware.com");
    assert_int_equal(lab_try(&l)->rc, OK);
    l.f.inner_door = true;
    lab_message(&l, "<>", "x@adatum.com");
    assert_int_equal(lab_try(&l)->rc, OK);
    lab_close(&l);
}

static void test_tls_gate(void **state) {
    (void)state;
    static const char *const open[] = { "EHLO", "helo", "NOOP", "STARTTLS", "QUIT" };
    static const char *const shut[] = { "MAIL", "RCPT", "AUTH", "DATA",   "BDAT",
                                        "RSET", "VRFY", "HELP", "XCLIENT" };
    struct lab l;
    open_case(&l, HOTEL, "submission", NULL, "x@adatum.com");
    for (size_t i = 0; i < COUNT_OF(open); i++) {
        l.f.verb = bytes_str(open[i]);
        assert_int_equal(lab_ask(&l, STEP_COMMAND)->rc, OK);
    }
    for (size_t i = 0; i < COUNT_OF(shut); i++) {
        l.f.verb = bytes_str(shut[i]);
        REFUSED(lab_ask(&l, STEP_COMMAND), 530, "tls.required");
        assert_non_null(strstr(l.v.why.text, "Must issue a STARTTLS command first"));
        l.f.tls_version = 13;
        assert_int_equal(lab_ask(&l, STEP_COMMAND)->rc, OK);
        l.f.tls_version = 0;
    }
    assert_int_equal(l.asked, 0);
    l.f.client = lab_addr(COPIER);
    assert_int_equal(lab_ask(&l, STEP_COMMAND)->rc, OK); /* without_tls_on */
    lab_caller(&l, HOTEL, "internet", NULL);
    assert_int_equal(lab_ask(&l, STEP_COMMAND)->rc, OK);
    lab_close(&l);
}

static void test_auth(void **state) {
    (void)state;
    static const struct {
        const char *listener, *mechanism;
        int tls, code;
        const char *reason;
    } cases[] = {
        { "internet", "PLAIN", 13, 502, "auth.not-here" },
        { "submission", "PLAIN", 13, 250, "" },
        { "submission", "SCRAM-SHA-256-PLUS", 13, 250, "" },
        { "submission", "CRAM-MD5", 13, 504, "auth.mechanism" },
        { "offer", "PLAIN", 0, 538, "tls.required" },
        { "offer", "plain", 0, 538, "tls.required" },
        { "offer", "LOGIN", 0, 504, "auth.mechanism" },
        { "offer", "SCRAM-SHA-256", 0, 250, "" },
        { "offer", "PLAIN", 13, 250, "" },
    };
    struct lab l;
    lab_open(&l, lab_conf);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        lab_caller(&l, HOTEL, cases[i].listener, NULL);
        l.f.mechanism = bytes_str(cases[i].mechanism);
        l.f.tls_version = cases[i].tls;
        REFUSED(lab_ask(&l, STEP_AUTH), cases[i].code, cases[i].reason);
    }
    lab_caller(&l, HOTEL, "internet", NULL);
    assert_non_null(strstr(lab_ask(&l, STEP_AUTH)->why.text, "587"));
    lab_caller(&l, HOTEL, "submission", TERRI);
    REFUSED(lab_ask(&l, STEP_AUTH), 503, "syntax.sequence");
    lab_caller(&l, HOTEL, "submission", NULL);
    l.f.has_sender = true;
    REFUSED(lab_ask(&l, STEP_AUTH), 503, "syntax.sequence");
    lab_close(&l);
}

static void test_mechanisms(void **state) {
    (void)state;
    static const struct {
        const char *client, *listener;
        int tls;
        const char *offered;
    } cases[] = {
        { HOTEL, "internet", 13, "" },
        { HOTEL, "submission", 0, "" },
        { COPIER, "submission", 0, "SCRAM-SHA-256" },
        { HOTEL, "submission", 13, "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN" },
        { HOTEL, "offer", 0, "SCRAM-SHA-256" },
        { HOTEL, "offer", 13, "SCRAM-SHA-256 PLAIN" },
    };
    struct lab l;
    lab_open(&l, lab_conf);
    l.f.gateway_state = FACT_KNOWN;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        lab_caller(&l, cases[i].client, cases[i].listener, NULL);
        l.f.tls_version = cases[i].tls;
        struct bytes got = decide_mechanisms(l.config, &l.f, l.arena);
        if (!bytes_equal(got, bytes_str(cases[i].offered)))
            fail_msg("case %zu: %.*s", i, BYTES_FMT(got));
    }
    lab_close(&l);
}

static void test_limits(void **state) {
    (void)state;
    struct lab l;
    open_case(&l, OFFICE, "internet", NULL, "x@adatum.com");
    l.f.client_connections = 50;
    assert_int_equal(lab_ask(&l, STEP_CONNECT)->rc, OK);
    l.f.client_connections = 51;
    REFUSED(lab_ask(&l, STEP_CONNECT), 421, "limit.connections");
    l.f.size = 25 << 20;
    assert_int_equal(lab_ask(&l, STEP_MAIL)->rc, OK);
    l.f.size++;
    REFUSED(lab_ask(&l, STEP_MAIL), 552, "limit.size");
    l.f.size = 0;
    l.f.queue_full = true;
    REFUSED(lab_ask(&l, STEP_MAIL), 452, "queue.full");
    l.f.queue_full = false;
    l.f.recipients_so_far = 499;
    assert_int_equal(lab_try(&l)->rc, OK);
    l.f.recipients_so_far = 500;
    REFUSED(lab_try(&l), 452, "limit.recipients");
    assert_int_equal(decide_max_recipients(l.config, &l.f), 500);
    lab_caller(&l, COPIER, "submission", NULL);
    lab_message(&l, "scanner@proseware.com", "x@adatum.com");
    assert_int_equal(decide_max_recipients(l.config, &l.f), 5);
    l.f.recipients_so_far = 5;
    REFUSED(lab_try(&l), 452, "limit.recipients");
    l.f.recipient = B("postmaster@proseware.com"); /* limits hold for it too */
    REFUSED(lab_try(&l), 452, "limit.recipients");
    lab_close(&l);
}

static void test_quota(void **state) {
    (void)state;
    const struct bytes key = B("connector/billing/client/203.0.113.9");
    struct count full = {
        .key = key, .full = true, .opens = LAB_NOW + 60000, .which = { 60, 3600000 }
    };
    struct lab l;
    open_case(&l, "203.0.113.9", "internet", NULL, "x@adatum.com");
    assert_int_equal(lab_try(&l)->rc, OK);
    l.counts = &full;
    l.count_count = 1;
    l.f.counts_state = FACT_UNKNOWN;
    REFUSED(lab_try(&l), 450, "limit.messages");
    assert_non_null(strstr(l.v.why.text,
                           "The limit of 60 messages in 1h for client 203.0.113.9 is reached until "
                           "2026-12-"));
    assert_true(bytes_equal(l.v.full->key, key) && l.v.full->alarm);
    assert_int_equal(l.v.full_count.opens, full.opens);
    l.f.counted = (struct strings){ 1, &key }; /* this very message was counted already */
    assert_int_equal(lab_try(&l)->rc, OK);
    assert_int_equal(l.v.limit_count, 0);
    lab_close(&l);
}

static void test_quota_of_one_of_two(void **state) {
    (void)state;
    static const char conf[] =
        "domain \"proseware.com\" {}\n"
        "listener \"internet\" { bind = {\"127.0.0.1:25\"} }\n"
        "connector \"a\" { clients = {\"192.0.2.5\"} may_relay_to = {\"*\"} senders = any\n"
        "  limit = {\"1/hour\"} note = \"x\" }\n"
        "connector \"b\" { clients = {\"192.0.2.0/24\"} may_relay_to = {\"*\"} senders = any\n"
        "  limit = {\"5/hour\"} note = \"y\" }\n";
    const struct count full[] = {
        { .key = B("connector/a/client/192.0.2.5"), .full = true, .opens = 2 },
        { .key = B("connector/b/client/192.0.2.5"), .full = true, .opens = 1 }
    };
    struct lab l;
    lab_open(&l, conf);
    lab_caller(&l, OFFICE, "internet", NULL);
    lab_message(&l, TERRI, "x@adatum.com");
    l.f.gateway_state = FACT_KNOWN;
    decide(l.config, STEP_RCPT, &l.f, l.arena, &l.v);
    assert_int_equal(l.v.rc, MORE);
    assert_int_equal(l.v.missing, FACT_COUNTERS);
    assert_int_equal(l.v.limit_count, 2);
    l.counts = full;
    l.count_count = 1;
    assert_int_equal(lab_try(&l)->rc, OK);
    assert_true(bytes_equal(l.v.connector, B("b")));
    assert_int_equal(l.v.limit_count, 1);
    assert_true(bytes_equal(l.v.limits[0].key, full[1].key));
    l.f.count_count = 2;
    REFUSED(lab_try(&l), 450, "limit.messages");
    assert_non_null(strstr(l.v.why.text, "00:00:00.001")); /* the first that opens */
    lab_close(&l);
}

/* --- after the data ----------------------------------------------------------------------------- */

static void charge(struct lab *l, const struct bytes *connector) {
    l->f.charged = (struct strings){ 1, connector };
    l->f.from_fields = 1;
}

static void test_header_senders(void **state) {
    (void)state;
    const struct bytes people = B("people"), strict = B("strict");
    struct mailbox_header h[3] = { { "From", B("T.Chudzik@proseware.com") },
                                   { "Sender", B("team@adatum.com") },
                                   { "Reply-To", B("x@elsewhere.example") } };
    struct lab l;
    open_case(&l, HOTEL, "submission", TERRI, "x@adatum.com");
    charge(&l, &people);
    l.f.header_mailboxes = h;
    l.f.header_mailbox_count = 3;
    assert_int_equal(lab_ask(&l, STEP_CONTENT)->rc, OK);
    h[1].mailbox = B("ceo@proseware.com");
    REFUSED(lab_ask(&l, STEP_CONTENT), 550, "header.not-yours");
    assert_non_null(strstr(l.v.why.text, "Sender names ceo@proseware.com"));
    h[1].mailbox = BYTES_NONE; /* somebody nobody could read */
    REFUSED(lab_ask(&l, STEP_CONTENT), 550, "header.not-yours");
    h[1].mailbox = B(TERRI);
    h[0].mailbox = B("terri+vip@proseware.com");
    REFUSED(lab_ask(&l, STEP_CONTENT), 550, "header.not-yours");
    l.f.charged.count = 0; /* to ours alone, without a connector: the own addresses hold */
    REFUSED(lab_ask(&l, STEP_CONTENT), 550, "header.not-yours");
    h[0].mailbox = B(TERRI);
    assert_int_equal(lab_ask(&l, STEP_CONTENT)->rc, OK);
    lab_close(&l);

    open_case(&l, HOTEL, "submission", "strict@proseware.com", "x@strict.example");
    charge(&l, &strict);
    h[0].mailbox = h[1].mailbox = B("strict@proseware.com");
    l.f.header_mailboxes = h;
    l.f.header_mailbox_count = 3;
    REFUSED(lab_ask(&l, STEP_CONTENT), 550, "header.not-yours");
    h[2].mailbox = B("replies@strict.example");
    assert_int_equal(lab_ask(&l, STEP_CONTENT)->rc, OK);
    lab_close(&l);
}

static void test_one_from(void **state) {
    (void)state;
    const struct bytes people = B("people");
    struct lab l;
    open_case(&l, HOTEL, "submission", TERRI, "x@adatum.com");
    charge(&l, &people);
    for (size_t n = 0; n < 4; n++) {
        l.f.from_fields = n;
        lab_ask(&l, STEP_CONTENT);
        assert_int_equal(l.v.why.code, n == 1 ? 250 : 550);
        assert_string_equal(l.v.why.reason, n == 1 ? "" : "syntax.header");
    }
    lab_caller(&l, HOTEL, "internet", NULL); /* from outside it is not ours to judge */
    l.f.charged.count = 0;
    assert_int_equal(lab_ask(&l, STEP_CONTENT)->rc, OK);
    lab_close(&l);
}

static void test_content(void **state) {
    (void)state;
    struct mailbox_header h = { "From", B("x@forged.example") };
    struct lab l;
    open_case(&l, HOTEL, "internet", NULL, "ceo@proseware.com");
    l.f.bare_newline = true;
    REFUSED(lab_ask(&l, STEP_CONTENT), 550, "syntax.bare-newline");
    lab_caller(&l, HOTEL, "fixing", NULL);
    assert_int_equal(lab_ask(&l, STEP_CONTENT)->rc, OK);
    l.f.hops = 100;
    assert_int_equal(lab_ask(&l, STEP_CONTENT)->rc, OK);
    l.f.hops = 101;
    REFUSED(lab_ask(&l, STEP_CONTENT), 554, "limit.hops");
    l.f.hops = 0;
    l.f.header_mailboxes = &h;
    l.f.header_mailbox_count = 1;
    REFUSED(lab_ask(&l, STEP_CONTENT), 550, "header.blocked");
    lab_close(&l);
}

/* --- tenants -------------------------------------------------------------------------------------- */

static void test_tenant(void **state) {
    (void)state;
    static const char conf[] =
        "domain \"northwind.example\" {}\n"
        "listener \"submission\" { bind = {\"127.0.0.1:587\"} auth = require tls = require }\n"
        "connector \"theirs\" { auth = any tenant = \"northwind\" may_relay_to = {\"*\"} }\n"
        "tenant \"northwind\" { domains = {\"northwind.example\"}\n"
        "  clients = {\"198.51.100.0/24\"} }\n";
    struct lab l;
    lab_open(&l, conf);
    struct directory_entry *e = lab_user(l.arena, "a@northwind.example", NULL, NULL);
    lab_caller(&l, HOTEL, "submission", "a@northwind.example");
    lab_message(&l, "a@northwind.example", "x@adatum.com");
    l.f.login_entry = e;
    l.f.login_state = FACT_KNOWN;
    assert_int_equal(lab_try(&l)->rc, OK);
    l.f.client = lab_addr("203.0.113.77");
    REFUSED(lab_try(&l), 550, "relay.tenant-network");
    l.f.recipient = B("b@northwind.example");
    REFUSED(lab_try(&l), 550, "relay.tenant-network");
    l.f.client = lab_addr(HOTEL);
    l.f.recipient = B("x@adatum.com");
    assert_int_equal(lab_try(&l)->rc, OK);
    assert_true(bytes_equal(l.v.tenant, B("northwind")));
    /* A login of no tenant is nobody's, at the tenant's own address too. */
    l.f.login = e->address = B("x@proseware.com");
    l.f.sender = B("x@proseware.com");
    REFUSED(lab_try(&l), 550, "relay.no-grant");
    l.f.local = lab_addr("203.0.113.40");
    REFUSED(lab_try(&l), 550, "relay.no-grant");
    assert_int_equal(l.v.tenant.len, 0);
    lab_close(&l);
}

/* A session by the tenant's own address: strangers bring mail, and only its networks may send. */
static void test_tenant_address(void **state) {
    (void)state;
    static const char conf[] =
        "domain \"northwind.example\" { recipients = any }\n"
        "listener \"internet\" { bind = {\"127.0.0.1:25\"} }\n"
        "connector \"theirs\" { clients = {\"198.51.100.0/24\", \"192.0.2.7\"}\n"
        "  tenant = \"northwind\" may_relay_to = {\"*\"} senders = {\"*@northwind.example\"}\n"
        "  note = \"n\" }\n"
        "tenant \"northwind\" { domains = {\"northwind.example\"} address = \"203.0.113.40\"\n"
        "  clients = {\"198.51.100.0/24\"} }\n";
    struct lab l;
    lab_open(&l, conf);
    lab_caller(&l, "192.0.2.7", "internet", NULL);
    lab_message(&l, "x@adatum.com", "a@northwind.example");
    l.f.local = lab_addr("203.0.113.40");
    assert_int_equal(lab_try(&l)->rc, OK);
    lab_message(&l, "a@northwind.example", "x@adatum.com");
    REFUSED(lab_try(&l), 550, "relay.tenant-network");
    l.f.client = lab_addr("198.51.100.7");
    assert_int_equal(lab_try(&l)->rc, OK);
    lab_message(&l, "a@contoso.com", "x@adatum.com");
    REFUSED(lab_try(&l), 553, "sender.not-yours");
    lab_message(&l, "a@northwind.example", "x@adatum.com");
    l.f.local = lab_addr("203.0.113.41");
    REFUSED(lab_try(&l), 550, "relay.no-grant");
    lab_close(&l);
}

/* An alias in a tenant's domain that leads to somebody outside of it makes him no sender of it. */
static void test_tenant_alias(void **state) {
    (void)state;
    static const char conf[] =
        "domain \"northwind.example\" {}\n"
        "domain \"proseware.com\" {}\n"
        "listener \"submission\" { bind = {\"127.0.0.1:587\"} auth = require tls = require }\n"
        "connector \"people\" { auth = any may_relay_to = {\"*\"} }\n"
        "tenant \"northwind\" { domains = {\"northwind.example\"} }\n";
    struct lab l;
    lab_open(&l, conf);
    lab_caller(&l, HOTEL, "submission", TERRI);
    l.f.login_entry = lab_user(l.arena, TERRI, "boss@northwind.example", NULL);
    l.f.login_state = FACT_KNOWN;
    lab_message(&l, TERRI, "x@adatum.com");
    assert_int_equal(lab_try(&l)->rc, OK);
    lab_message(&l, "boss@northwind.example", "x@adatum.com");
    REFUSED(lab_try(&l), 553, "sender.not-yours");
    lab_close(&l);
}

/* --- what strangers are told ---------------------------------------------------------------------- */

static void test_words(void **state) {
    (void)state;
    struct lab l;
    open_case(&l, HOTEL, "internet", NULL, "x@adatum.com");
    assert_string_equal(
        lab_try(&l)->why.text,
        "Unable to relay to adatum.com for 198.51.100.7: not logged in and not in an authorised "
        "network. Log in on port 587, or use the outgoing server of the network you are in");
    l.config->explain = EXPLAIN_BRIEF;
    assert_string_equal(lab_try(&l)->why.text,
                        "Unable to relay to adatum.com for 198.51.100.7: not logged in and not in "
                        "an authorised network");
    lab_close(&l);
}

/* No connector's name, network or other person's address in any reply to a stranger. */
static void test_replies_tell_nothing_private(void **state) {
    (void)state;
    static const char *const secrets[] = { "people",    "office",     "copiers", "old-site",
                                           "billing",   "after-pop",  "partner", "cron",
                                           "192.0.2.0", "192.0.2.16", "/28",     "submission",
                                           "strict@" };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct lab l;
        lab_open(&l, lab_conf);
        lab_caller(&l, rows[i].client, rows[i].listener, rows[i].login);
        lab_message(&l, rows[i].from, rows[i].to);
        const struct verdict *v = lab_try(&l);
        for (size_t j = 0; v->rc != OK && !rows[i].login && j < COUNT_OF(secrets); j++)
            if (strstr(v->why.text, secrets[j]) && !strstr(rows[i].from, secrets[j]))
                fail_msg("%s: %s", rows[i].name, v->why.text);
        lab_close(&l);
    }
}

static void test_long_names_fit_a_reply(void **state) {
    (void)state;
    char domain[255], to[260];
    memset(domain, 'd', sizeof domain);
    for (size_t i = 60; i < sizeof domain; i += 60)
        domain[i] = '.';
    domain[250] = '\0';
    snprintf(to, sizeof to, "x@%s", domain);
    struct lab l;
    open_case(&l, "2001:db8:1234:5678:9abc:def0:1234:5678", "internet", NULL, to);
    assert_true(strlen(lab_try(&l)->why.text) < 440);
    assert_non_null(strstr(l.v.why.text, "Log in on port 587"));
    lab_close(&l);
}

/* Who is asked, and in which order, when a DNS list has the client: the list only where the recipient
 * would be taken else, and the server behind us only where the list does not refuse. */
static const struct listed_row {
    const char *name, *client, *listener, *login, *from, *to;
    bool hit; /* the list has the client */
    enum srs_state srs;
    enum probe_answer probe;
    int code;
    const char *reason;
    uint32_t asked; /* of FACT_LISTS and FACT_PROBE */
} listed_rows[] = {
    { "refused by the list, not probed", HOTEL, "internet", NULL, "x@contoso.com",
      "a@behind.example", true, SRS_GOOD, PROBE_TAKES, 550, "reputation.blocklist", FACT_LISTS },
    { "not listed, probed", HOTEL, "internet", NULL, "x@contoso.com", "a@behind.example", false,
      SRS_GOOD, PROBE_TAKES, 250, "", FACT_LISTS | FACT_PROBE },
    { "not listed, unknown behind", HOTEL, "internet", NULL, "x@contoso.com", "a@behind.example",
      false, SRS_GOOD, PROBE_REFUSES, 550, "recipient.unknown", FACT_LISTS | FACT_PROBE },
    { "a route behind", HOTEL, "internet", NULL, "x@contoso.com", "a%b@behind.example", true,
      SRS_GOOD, PROBE_TAKES, 550, "recipient.unknown", 0 },
    { "postmaster behind", HOTEL, "internet", NULL, "x@contoso.com", "postmaster@behind.example",
      true, SRS_GOOD, PROBE_TAKES, 250, "", 0 },
    { "a connector's client", "203.0.113.9", "internet", NULL, "x@contoso.com", "a@behind.example",
      true, SRS_GOOD, PROBE_TAKES, 250, "", FACT_PROBE },
    { "a login", HOTEL, "submission", TERRI, TERRI, "a@behind.example", true, SRS_GOOD, PROBE_TAKES,
      250, "", FACT_PROBE },
    { "unknown to the directory", HOTEL, "internet", NULL, "x@contoso.com", "who@proseware.com",
      true, SRS_GOOD, PROBE_TAKES, 550, "recipient.unknown", 0 },
    { "known to the directory", HOTEL, "internet", NULL, "x@contoso.com", TERRI, true, SRS_GOOD,
      PROBE_TAKES, 550, "reputation.blocklist", FACT_LISTS },
    { "a report to a sender we rewrote", HOTEL, "internet", NULL, "<>",
      "SRS0=a=b=x.example=y@proseware.com", true, SRS_GOOD, PROBE_TAKES, 550,
      "reputation.blocklist", FACT_LISTS },
    { "the same of somebody not listed", HOTEL, "internet", NULL, "<>",
      "SRS0=a=b=x.example=y@proseware.com", false, SRS_GOOD, PROBE_TAKES, 250, "", FACT_LISTS },
    { "a forged one", HOTEL, "internet", NULL, "<>", "SRS0=a=b=x.example=y@proseware.com", true,
      SRS_FORGED, PROBE_TAKES, 550, "recipient.srs-forged", 0 },
    { "a report with a sender", HOTEL, "internet", NULL, "x@contoso.com",
      "SRS0=a=b=x.example=y@proseware.com", true, SRS_GOOD, PROBE_TAKES, 550,
      "recipient.srs-sender", 0 },
};

static void test_lists_come_before_probes(void **state) {
    (void)state;
    static const uint32_t code = 0x7f000002;
    static const struct listing hit = { .zone = B("zen.example"), .code_count = 1, .codes = &code };
    static const struct bytes zen = B("zen.example");
    char conf[8000];
    snprintf(conf, sizeof conf, "%s%s", lab_conf,
             "domain \"behind.example\" { recipients = probe deliver = \"lmtp:127.0.0.1:24\" }\n");
    for (size_t i = 0; i < COUNT_OF(listed_rows); i++) {
        const struct listed_row *r = &listed_rows[i];
        struct lab l;
        lab_open(&l, conf);
        for (size_t k = 0; k < l.config->listener_count; k++)
            ((struct listener *)(uintptr_t)&l.config->listeners[k])->blocklists =
                (struct strings){ 1, &zen };
        lab_caller(&l, r->client, r->listener, r->login);
        lab_message(&l, r->from, r->to);
        l.f.listings = &hit;
        l.f.listing_count = r->hit;
        l.srs = r->srs;
        l.probe = r->probe;
        lab_try(&l);
        int said = l.v.rc == OK ? 250 : l.v.why.code;
        const char *reason = l.v.rc == OK ? "" : l.v.why.reason;
        uint32_t asked = l.asked & (FACT_LISTS | FACT_PROBE);
        if (said != r->code || strcmp(reason, r->reason) != 0 || asked != r->asked)
            fail_msg("%s: %d [%s], asked for %u", r->name, said, reason, asked);
        lab_close(&l);
    }
}

/* Nothing configured: nothing is taken, nothing relayed. */
static void test_closed_by_default(void **state) {
    (void)state;
    static const char *const to[] = { "x@adatum.com", "x@localhost", "x@[127.0.0.1]", "a!b" };
    struct lab l;
    lab_open(&l, "listener \"x\" { bind = {\"127.0.0.1:25\"} }\n");
    lab_caller(&l, "127.0.0.1", "x", NULL);
    for (size_t i = 0; i < COUNT_OF(to); i++) {
        lab_message(&l, TERRI, to[i]);
        REFUSED(lab_try(&l), 550, "relay.no-grant");
    }
    l.f.login = B(TERRI);
    REFUSED(lab_try(&l), 550, "relay.no-grant");
    lab_close(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_services_down),
        cmocka_unit_test(test_gateway_earns_nothing),
        cmocka_unit_test(test_facts_are_asked_for_when_they_matter),
        cmocka_unit_test(test_proxy_that_does_not_say),
        cmocka_unit_test(test_pop_before_smtp),
        cmocka_unit_test(test_client_certificate),
        cmocka_unit_test(test_certificate_by_authority),
        cmocka_unit_test(test_local_door),
        cmocka_unit_test(test_tls_gate),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_mechanisms),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_quota_of_one_of_two),
        cmocka_unit_test(test_header_senders),
        cmocka_unit_test(test_one_from),
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_tenant),
        cmocka_unit_test(test_tenant_address),
        cmocka_unit_test(test_tenant_alias),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_replies_tell_nothing_private),
        cmocka_unit_test(test_long_names_fit_a_reply),
        cmocka_unit_test(test_lists_come_before_probes),
        cmocka_unit_test(test_closed_by_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
